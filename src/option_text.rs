//! The options of bridges and ports as text, for the command line, network definitions and reports.
//!
//! The name of an option is the same here and in JSON. [`Value`] has the syntax of each type of value.

use std::time::Duration;

use crate::{BridgeOption, HostIpv6, PortOption, StpProtocol, VlanId};

/// An option of a bridge or of a port, as text. Only [`BridgeOption`] and [`PortOption`] implement this trait.
///
/// ```
/// use std::time::Duration;
///
/// use vmbridge::{BridgeOption, OptionText};
///
/// let option = BridgeOption::parse("forward-delay", "0.25")?;
/// assert_eq!(option, BridgeOption::ForwardDelay(Duration::from_millis(250)));
/// assert_eq!((option.name(), option.text()), ("forward-delay", "0.25".to_owned()));
/// let error = BridgeOption::parse("stp", "yes").unwrap_err();
/// assert_eq!(error.to_string(), "expected on or off");
/// # Ok::<(), vmbridge::InvalidOption>(())
/// ```
pub trait OptionText: Copy + sealed::Sealed {
    /// The names of all options.
    const NAMES: &[&str];

    /// Parses the option of this name with the value in `text`.
    ///
    /// # Errors
    /// [`InvalidOption`] if no option has the name, or if the text is not a value of the option.
    fn parse(name: &str, text: &str) -> Result<Self, InvalidOption>;

    /// Returns the form of the option's values, such as `on|off`, or `None` if no option has the name.
    fn form(name: &str) -> Option<&'static str>;

    /// Returns the name of the option.
    fn name(self) -> &'static str;

    /// Formats the value without loss.
    fn text(self) -> String;
}

mod sealed {
    pub trait Sealed {}
}

/// The error for a text that is not an option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// No option has the name.
    #[error("there is no such option")]
    Unknown,
    /// The option has no such value; the text says what is expected.
    #[error("{0}")]
    Value(String),
}

macro_rules! option_text {
    ($Option:ident: $($Variant:ident $name:literal,)+) => {
        impl sealed::Sealed for $Option {}

        impl OptionText for $Option {
            const NAMES: &[&str] = &[$($name),+];

            fn parse(name: &str, text: &str) -> Result<Self, InvalidOption> {
                match name {
                    $($name => Value::parse(text).map(Self::$Variant).map_err(InvalidOption::Value),)+
                    _ => Err(InvalidOption::Unknown),
                }
            }

            fn form(name: &str) -> Option<&'static str> {
                match name {
                    $($name => Some(form_of(Self::$Variant)),)+
                    _ => None,
                }
            }

            fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant(_) => $name,)+
                    // A test checks that the list has every option.
                    _ => self.capability().name(),
                }
            }

            fn text(self) -> String {
                match self {
                    $(Self::$Variant(value) => value.text(),)+
                    _ => format!("{self:?}"),
                }
            }
        }
    };
}

option_text! {
    BridgeOption:
    StpProtocol "stp-protocol",
    ForwardDelay "forward-delay",
    HelloTime "hello-time",
    MaxAge "max-age",
    Priority "priority",
    Stp "stp",
    AgeingTime "ageing-time",
    MaxAddresses "max-addresses",
    MulticastSnooping "multicast-snooping",
    GroupForwardMask "group-forward-mask",
    DefaultPvid "default-pvid",
    VlanFiltering "vlan-filtering",
    HostIpv6 "host-ipv6",
}

option_text! {
    PortOption:
    Isolated "isolated",
    Learning "learning",
    UnicastFlood "unicast-flood",
    MulticastFlood "multicast-flood",
    BroadcastFlood "broadcast-flood",
    BpduGuard "bpdu-guard",
    RootBlock "root-block",
    FastLeave "fast-leave",
    Hairpin "hairpin",
    NeighborSuppression "neighbor-suppression",
    Locked "locked",
    PathCost "path-cost",
    Priority "priority",
    Stp "stp",
    Sticky "sticky",
}

/// The text of one type of value.
trait Value: Sized {
    /// The form of the values, such as `on|off`.
    const FORM: &str;

    /// Parses a value; the error says what is expected.
    fn parse(text: &str) -> Result<Self, String>;

    /// Formats the value without loss.
    fn text(&self) -> String;
}

const fn form_of<V: Value, O>(_: fn(V) -> O) -> &'static str {
    V::FORM
}

impl Value for bool {
    const FORM: &str = "on|off";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("expected on or off".to_owned()),
        }
    }

    fn text(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

/// A number is decimal, or hexadecimal after `0x`.
macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Value for $number {
            const FORM: &str = "N";

            fn parse(text: &str) -> Result<Self, String> {
                let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
                // `from_str_radix` alone would take a sign.
                let number = digits.bytes().all(|c| c.is_ascii_hexdigit()).then(|| Self::from_str_radix(digits, radix));
                let expected = || format!("expected a number from 0 to {}, hexadecimal after 0x", Self::MAX);
                number.and_then(Result::ok).ok_or_else(expected)
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

numbers!(u8, u16, u32);

/// A time is a number of seconds with at most nine decimals.
impl Value for Duration {
    const FORM: &str = "SECONDS";

    fn parse(text: &str) -> Result<Self, String> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        let time = || {
            let nanos = format!("{decimals:0<9}");
            Some(Self::new(whole.parse().ok()?, nanos.parse().ok()?))
        };
        let time = if is_number(whole) && is_number(decimals) && decimals.len() <= 9 { time() } else { None };
        time.ok_or_else(|| "expected a number of seconds, such as 15 or 0.25".to_owned())
    }

    fn text(&self) -> String {
        let decimals = format!(".{:09}", self.subsec_nanos());
        format!("{}{}", self.as_secs(), decimals.trim_end_matches('0').trim_end_matches('.'))
    }
}

macro_rules! words {
    ($($Word:ty: $form:literal),+) => {$(
        impl Value for $Word {
            const FORM: &str = $form;

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: crate::InvalidWord| error.to_string())
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

words! { StpProtocol: "stp|rstp", HostIpv6: "kernel|manual|disabled" }

impl Value for Option<VlanId> {
    const FORM: &str = "N|none";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(None) } else { text.parse().map(Some).map_err(|error| format!("{error}, or none")) }
    }

    fn text(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |vlan| vlan.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[track_caller]
    fn takes<V: Value + PartialEq + Debug>(text: &str, value: V) {
        assert_eq!(V::parse(text).as_ref(), Ok(&value));
        assert_eq!(V::parse(&value.text()), Ok(value));
    }

    #[track_caller]
    fn refuses<V: Value + Debug>(texts: &[&str]) {
        for text in texts {
            assert!(V::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn switches() {
        takes("on", true);
        takes("off", false);
        refuses::<bool>(&["", "On", "yes", "1", "true", "on "]);
    }

    #[test]
    fn seconds_are_exact() {
        takes("0", Duration::ZERO);
        takes("15", Duration::from_secs(15));
        takes("14.99", Duration::from_millis(14_990));
        takes("0.07", Duration::from_millis(70));
        takes("42949672.95", Duration::from_millis(42_949_672_950));
        takes("0.000000001", Duration::from_nanos(1));
        takes("007.50", Duration::from_millis(7500));
        assert_eq!(Duration::from_millis(7500).text(), "7.5");
        assert_eq!(Duration::from_secs(100).text(), "100");
        assert_eq!(Duration::from_millis(10).text(), "0.01");
        refuses::<Duration>(&[
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            " 1",
            "1 ",
            "1s",
            "inf",
            "NaN",
            "0x10",
            "1.5.0",
            "1.-5",
            "1.0000000001",
            "18446744073709551616",
        ]);
    }

    #[test]
    fn numbers() {
        takes("16384", 0x4000_u16);
        takes("0x4000", 0x4000_u16);
        takes("0xFFf8", 0xfff8_u16);
        takes("255", 255_u8);
        takes("4294967295", u32::MAX);
        refuses::<u16>(&["", "0x", "0X10", "-1", "+1", "0x+1", "65536", "0x10000", "4000h", "a", "1.0", " 1"]);
        refuses::<u8>(&["256"]);
    }

    #[test]
    fn words() {
        takes("stp", StpProtocol::Stp);
        takes("rstp", StpProtocol::Rstp);
        takes("manual", HostIpv6::Manual);
        takes("none", None::<VlanId>);
        takes("4094", Some(VlanId::MAX));
        refuses::<StpProtocol>(&["", "mstp", "RSTP"]);
        refuses::<Option<VlanId>>(&["", "0", "4095", "None"]);
    }

    /// Gives each option by its name, and checks that it has this name and formats as it was given.
    #[track_caller]
    fn all<O: OptionText>() -> Vec<O> {
        assert_eq!(O::parse("other", "on").err(), Some(InvalidOption::Unknown));
        let option = |&name: &&str| {
            let value = match O::form(name).expect(name) {
                "on|off" => "on",
                "stp|rstp" => "rstp",
                "kernel|manual|disabled" => "manual",
                _ => "7",
            };
            let option = O::parse(name, value).expect(name);
            assert_eq!((option.name(), option.text().as_str()), (name, value));
            assert!(matches!(O::parse(name, "other"), Err(InvalidOption::Value(_))), "{name}");
            option
        };
        O::NAMES.iter().map(option).collect()
    }

    #[test]
    fn every_option_has_a_name_and_a_text() {
        let bridge: Vec<_> = all::<BridgeOption>().into_iter().map(BridgeOption::capability).collect();
        assert_eq!(bridge, BridgeOption::CAPABILITIES);
        let port: Vec<_> = all::<PortOption>().into_iter().map(PortOption::capability).collect();
        assert_eq!(port, PortOption::CAPABILITIES);
    }
}
