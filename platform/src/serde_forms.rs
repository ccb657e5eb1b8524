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
