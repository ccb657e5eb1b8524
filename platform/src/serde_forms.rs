//! The forms in which serde writes types whose derived form does not suit files and other languages.

/// Implements serde's traits for a type with `Display` and a function that parses the same text.
macro_rules! serde_as_text {
    ($Type:ty) => {
        crate::serde_forms::serde_as_text!($Type, str::parse);
    };
    ($Type:ty, $parse:expr) => {
        impl serde::Serialize for $Type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $Type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;

/// Writes a time as a number of seconds, exact to the microsecond: no kernel counts bridge times finer.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    const MICROS: f64 = 1e6;
    /// Up to here each whole number is an `f64`.
    const EXACT: f64 = 9e15;

    #[expect(clippy::ref_option, reason = "serde calls it like that")]
    #[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
    pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_micros() as f64 / MICROS).serialize(serializer)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let Some(seconds) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
        let micros = (seconds * MICROS).round();
        if !(0.0..=EXACT).contains(&micros) {
            return Err(de::Error::invalid_value(de::Unexpected::Float(seconds), &"a number of seconds"));
        }
        Ok(Some(Duration::from_micros(micros as u64)))
    }
}

/// Writes an option whose value may itself be `None`: null is that value, and an absent field is an
/// option that is not given.
pub(crate) mod given {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::option_option, clippy::ref_option, reason = "the outer one says whether the option is given")]
    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    #[expect(clippy::option_option, reason = "the outer one says whether the option is given")]
    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::num::NonZeroU16;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::{
        BridgeChange, BridgeOption, BridgeOptions, BridgeSpec, InterfaceName, LinkState, TapChange, TapOffload,
        TapSpec, VlanTagging, VnetHeader,
    };

    /// Checks the JSON of a value, and that the value comes back from it.
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).expect("it is serializable"), json);
        assert_eq!(serde_json::from_str::<T>(json).expect("it comes back"), *value);
    }

    #[test]
    fn times_are_seconds() {
        let options: BridgeOptions = [
            BridgeOption::AgeingTime(Duration::from_millis(42_949_672_950)),
            BridgeOption::ForwardDelay(Duration::from_secs(15)),
            BridgeOption::DefaultPvid(None),
        ]
        .into_iter()
        .collect();
        check(&options, r#"{"forward-delay":15.0,"ageing-time":42949672.95,"default-pvid":null}"#);
        check(&BridgeOptions::default(), "{}");
        for bad in ["-1", "1e300", r#""15""#] {
            assert!(serde_json::from_str::<BridgeOptions>(&format!(r#"{{"max-age":{bad}}}"#)).is_err(), "{bad}");
        }
    }

    #[test]
    fn enums_are_words() {
        check(&LinkState::Up, r#""up""#);
        check(&VlanTagging::PvidTagged, r#""pvid-tagged""#);
        let error = serde_json::from_str::<LinkState>(r#""on""#).expect_err("not a word");
        assert_eq!(error.to_string(), "expected up or down");
    }

    #[test]
    fn a_tap_survives_json() {
        let mac = "52:54:00:00:00:01".parse().expect("a MAC");
        let spec = TapSpec::new()
            .name("vnet0".parse().expect("a name"))
            .adopt_existing()
            .mac(mac)
            .mtu(9000)
            .queues(NonZeroU16::new(4).expect("not zero"))
            .vnet_hdr(VnetHeader::MergeableBuffers)
            .offloads([TapOffload::Checksum, TapOffload::Tso4])
            .owner(1000)
            .group(36);
        let json = concat!(
            r#"{"name":"vnet0","existing":"adopt","mac":"52:54:00:00:00:01","mtu":9000,"queues":4,"#,
            r#""vnet-hdr":"mergeable-buffers","offloads":["checksum","tso4"],"owner":1000,"group":36}"#
        );
        check(&spec, json);
        assert_eq!(serde_json::from_str::<TapSpec>("{}").expect("all have defaults"), TapSpec::new());
        let change = TapChange::default().mac(mac.into()).mtu(1400).link(LinkState::Up).vnet_hdr(true);
        check(&change, r#"{"mac":"52:54:00:00:00:01","mtu":1400,"link":"up","vnet-hdr":true}"#);
        assert_eq!(serde_json::from_str::<TapChange>("{}").expect("all are optional"), TapChange::default());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let unknown = r#"{"name":"br0","other":1}"#;
        assert!(serde_json::from_str::<BridgeSpec>(unknown).is_err());
        assert!(serde_json::from_str::<BridgeChange>(r#"{"other":1}"#).is_err());
        assert!(serde_json::from_str::<TapSpec>(unknown).is_err());
        assert!(serde_json::from_str::<TapChange>(r#"{"other":1}"#).is_err());
    }

    proptest! {
        #[test]
        fn every_reported_name_survives_json(bytes in proptest::collection::vec(1_u8.., 1..=15)) {
            let name = InterfaceName::from_bytes(&bytes).expect("a kernel may report it");
            let json = serde_json::to_string(&name).expect("it is serializable");
            prop_assert_eq!(serde_json::from_str::<InterfaceName>(&json).expect("it comes back"), name);
        }
    }
}
