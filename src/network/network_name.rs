//! The names of networks.

use std::fmt;
use std::str::FromStr;

use super::{InvalidNetwork, NetworkReason};

/// The name of a network.
///
/// It is also that of its file, `NAME.xml`, so it has no `/`, does not begin with `.` (old versions of
/// libvirt pass such files over), and has at most [`MAX_LEN`](Self::MAX_LEN) bytes. It is more than blanks (libvirt
/// takes those for none), and has no control character nor what XML cannot have. It must not contain invisible
/// characters or characters that reorder text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

impl NetworkName {
    /// The longest name, in bytes: a file system's names have 255, of which `.xml` and what tells
    /// a temporary file take some.
    pub const MAX_LEN: usize = 200;

    /// Checks a name.
    ///
    /// # Errors
    /// [`NetworkReason::NetworkName`] and [`NetworkReason::Invisible`].
    pub fn new(name: &str) -> Result<Self, InvalidNetwork> {
        let refused = |c: char| c == '/' || c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
        let fits = (1..=Self::MAX_LEN).contains(&name.len());
        if !fits || name.trim().is_empty() || name.starts_with('.') || name.contains(refused) {
            return Err(InvalidNetwork::new("name", name, NetworkReason::NetworkName));
        }
        if let Some(c) = name.chars().find(|&c| is_invisible(c)) {
            return Err(InvalidNetwork::new("name", name, NetworkReason::Invisible(c)));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether a character is invisible, or reorders or breaks the line.
///
/// From Unicode 15: `Default_Ignorable_Code_Point` (`DerivedCoreProperties.txt`), which has all of `Bidi_Control`
/// (`PropList.txt`); the line and paragraph separators U+2028 and U+2029; and the interlinear annotations
/// U+FFF9 to U+FFFB.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for NetworkName {
    type Err = InvalidNetwork;

    fn from_str(name: &str) -> Result<Self, InvalidNetwork> {
        Self::new(name)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for NetworkName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_can_be_called_what_a_file_can() {
        for good in ["default", "a b", "Brücke & <co>", "a.xml", "-"] {
            assert_eq!(NetworkName::new(good).expect(good).to_string(), good);
        }
        let long = "x".repeat(NetworkName::MAX_LEN + 1);
        for bad in ["", " ", "/", "a/b", ".", "..", ".hidden", "a\nb", "a\0", "\u{ffff}", &long] {
            let error = NetworkName::new(bad).expect_err(bad);
            assert_eq!((error.element(), error.value()), ("name", bad));
        }
        assert!(NetworkName::new(&"x".repeat(NetworkName::MAX_LEN)).is_ok());
    }

    /// The first and the last of each range.
    const INVISIBLE: &str = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180f}\u{200b}\u{200f}\u{2028}\
        \u{202e}\u{2060}\u{206f}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{fffb}\u{1bca0}\u{1bca3}\u{1d173}\
        \u{1d17a}\u{e0000}\u{e0fff}";

    #[test]
    fn an_error_names_an_invisible_character() {
        for c in INVISIBLE.chars() {
            let error = NetworkName::new(&format!("a{c}b")).expect_err("nobody sees it");
            let says = format!("U+{:04X} is invisible or reorders the text", u32::from(c));
            assert!(error.to_string().contains(&says), "{error}");
        }
        // Their neighbours are visible, and so are letters of other scripts, combined and from right to left.
        for good in ["\u{ac}\u{ae}", "\u{200a}\u{2010}\u{2027}\u{202f}", "\u{600}1", "e\u{301}", "שלום", "网络"]
        {
            assert!(NetworkName::new(good).is_ok(), "{good:?}");
        }
    }
}
