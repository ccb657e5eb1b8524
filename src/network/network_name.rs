//! The names of networks.

use std::fmt;
use std::str::FromStr;

use super::{InvalidNetwork, NetworkReason};

/// The name of a network.
///
/// It is also that of its file, `NAME.xml`, so it has no `/`, does not begin with `.` (old versions of
/// libvirt pass such files over), and has at most [`MAX_LEN`](Self::MAX_LEN) bytes. It is more than blanks (libvirt
/// takes those for none), and has no control character nor what XML cannot have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

impl NetworkName {
    /// The longest name, in bytes: a file system's names have 255, of which `.xml` and what tells
    /// a temporary file take some.
    pub const MAX_LEN: usize = 200;

    /// Checks a name.
    ///
    /// # Errors
    /// [`NetworkReason::NetworkName`].
    pub fn new(name: &str) -> Result<Self, InvalidNetwork> {
        let refused = |c: char| c == '/' || c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
        let fits = (1..=Self::MAX_LEN).contains(&name.len());
        if !fits || name.trim().is_empty() || name.starts_with('.') || name.contains(refused) {
            return Err(InvalidNetwork::new("name", name, NetworkReason::NetworkName));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
}
