//! The values of options as text: how command lines and files have them.

use std::time::Duration;

use crate::{StpProtocol, VlanId};

/// A kind of value that an option has, as text.
///
/// ```
/// use std::time::Duration;
///
/// use vmbridge_platform::OptionValue;
///
/// assert_eq!(Duration::parse("0.25"), Ok(Duration::from_millis(250)));
/// assert_eq!(bool::parse("yes"), Err("on or off is wanted".to_owned()));
/// assert_eq!(Duration::from_secs(300).text(), "300");
/// ```
pub trait OptionValue: Sized {
    /// What it looks like, such as `on|off`.
    const FORM: &str;

    /// The value that a text says.
    ///
    /// # Errors
    /// What is wanted instead.
    fn parse(text: &str) -> Result<Self, String>;

    /// The text of a value, which says all of it.
    fn text(&self) -> String;
}

impl OptionValue for bool {
    const FORM: &str = "on|off";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("on or off is wanted".to_owned()),
        }
    }

    fn text(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

/// Decimal, or hexadecimal after `0x`.
macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl OptionValue for $number {
            const FORM: &str = "N";

            fn parse(text: &str) -> Result<Self, String> {
                let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
                // `from_str_radix` alone would take a sign.
                let number = digits.bytes().all(|c| c.is_ascii_hexdigit()).then(|| Self::from_str_radix(digits, radix));
                let wanted = || format!("a number from 0 to {} is wanted, hexadecimal after 0x", Self::MAX);
                number.and_then(Result::ok).ok_or_else(wanted)
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

numbers!(u8, u16, u32);

/// Seconds with at most nine decimals, of which none is lost.
impl OptionValue for Duration {
    const FORM: &str = "SECONDS";

    fn parse(text: &str) -> Result<Self, String> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        let time = || {
            let nanos = format!("{decimals:0<9}");
            Some(Self::new(whole.parse().ok()?, nanos.parse().ok()?))
        };
        let time = if is_number(whole) && is_number(decimals) && decimals.len() <= 9 { time() } else { None };
        time.ok_or_else(|| "a number of seconds is wanted, such as 15 or 0.25".to_owned())
    }

    fn text(&self) -> String {
        let decimals = format!(".{:09}", self.subsec_nanos());
        format!("{}{}", self.as_secs(), decimals.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl OptionValue for StpProtocol {
    const FORM: &str = "stp|rstp";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "stp" => Ok(Self::Stp),
            "rstp" => Ok(Self::Rstp),
            _ => Err("stp or rstp is wanted".to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Stp => "stp",
            Self::Rstp => "rstp",
        }
        .to_owned()
    }
}

impl OptionValue for Option<VlanId> {
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
    fn takes<V: OptionValue + PartialEq + Debug>(text: &str, value: V) {
        assert_eq!(V::parse(text).as_ref(), Ok(&value));
        assert_eq!(V::parse(&value.text()), Ok(value));
    }

    #[track_caller]
    fn refuses<V: OptionValue + Debug>(texts: &[&str]) {
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
        takes("none", None::<VlanId>);
        takes("4094", Some(VlanId::MAX));
        refuses::<StpProtocol>(&["", "mstp", "RSTP"]);
        refuses::<Option<VlanId>>(&["", "0", "4095", "None"]);
    }
}
