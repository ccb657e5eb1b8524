//! Enums whose values are words: the command, JSON and `Display` use the same text for each.

use std::fmt;

/// Implements `Display` and `FromStr` for an enum, and serde's traits with the same texts.
macro_rules! words {
    ($Word:ident: $($Variant:ident = $text:literal),+) => {
        impl std::fmt::Display for $Word {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $(Self::$Variant => $text,)+
                })
            }
        }

        impl std::str::FromStr for $Word {
            type Err = $crate::InvalidWord;

            fn from_str(text: &str) -> std::result::Result<Self, $crate::InvalidWord> {
                match text {
                    $($text => Ok(Self::$Variant),)+
                    _ => Err($crate::InvalidWord { expected: &[$($text),+] }),
                }
            }
        }

        #[cfg(feature = "serde")]
        crate::serde_forms::serde_as_text!($Word);
    };
}

/// Defines an enum whose variants each have a text, which `Display` writes.
macro_rules! texts {
    ($(#[$about:meta])* pub enum $Name:ident { $($(#[$doc:meta])* $Variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Name {
            $($(#[$doc])* $Variant,)+
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $(Self::$Variant => $text,)+
                })
            }
        }
    };
}

pub(crate) use {texts, words};

/// The error for a text that is not one of the words of an enum.
///
/// ```
/// use vmbridge_platform::LinkState;
///
/// let error = "on".parse::<LinkState>().unwrap_err();
/// assert_eq!(error.to_string(), "expected up or down");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidWord {
    pub(crate) expected: &'static [&'static str],
}

impl InvalidWord {
    /// Returns the words that are valid instead.
    #[must_use]
    pub const fn expected(self) -> &'static [&'static str] {
        self.expected
    }
}

impl fmt::Display for InvalidWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected ")?;
        let last = self.expected.len() - 1;
        for (place, word) in self.expected.iter().enumerate() {
            let before = match place {
                0 => "",
                _ if place == last => " or ",
                _ => ", ",
            };
            write!(f, "{before}{word}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidWord {}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use crate::{
        ExistingTap, FdbOrigin, HostIpv6, InvalidWord, LinkState, PortStpState, StpProtocol, TapOffload,
        VlanTagging, VnetHeader,
    };

    /// Checks the error for other texts, and that each word that it lists parses to a value that
    /// displays as this word.
    #[track_caller]
    fn check<W: Display + Debug + FromStr<Err = InvalidWord>>(message: &str) {
        for text in ["", "other", " "] {
            let error = text.parse::<W>().expect_err(text);
            assert_eq!(error.to_string(), format!("expected {message}"));
            for word in error.expected() {
                assert_eq!(word.parse::<W>().expect(word).to_string(), *word);
                assert!(word.to_uppercase().parse::<W>().is_err());
            }
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        check::<LinkState>("up or down");
        check::<HostIpv6>("kernel, manual or disabled");
        check::<VlanTagging>("tagged, untagged, pvid or pvid-tagged");
        check::<FdbOrigin>("learned, static or local");
        check::<ExistingTap>("refuse or adopt");
        check::<StpProtocol>("stp or rstp");
        check::<PortStpState>("disabled, listening, learning, forwarding or blocking");
        check::<VnetHeader>("legacy or mergeable-buffers");
        check::<TapOffload>("checksum, tso4, tso6, tso-ecn, ufo or uso");
    }
}
