//! The name and the index of an interface.
//!
//! The length is IFNAMSIZ (16 with the NUL) on Linux and FreeBSD. Linux checks names in
//! `dev_valid_name()` (`net/core/dev.c`); FreeBSD checks nothing but the length (a rename to
//! "a b" or "a/b" is accepted), so the check is here, the same for both.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// The name of an interface, of 1 to 15 bytes.
///
/// A name from a caller ([`InterfaceName::new`], [`FromStr`]) is checked before any kernel sees it:
/// it is never cut, and what a kernel would take for a template, a path or an alias is refused.
/// A name that a kernel reports is taken as it is, so that an interface with an odd name, made by
/// someone else, can still be listed.
///
/// ```
/// use vmbridge_platform::{InterfaceName, NameReason};
///
/// let name: InterfaceName = "virbr0".parse()?;
/// assert_eq!(name.as_bytes(), b"virbr0");
/// let refused = InterfaceName::new("virbr%d").unwrap_err();
/// assert_eq!(refused.reason(), NameReason::Character('%'));
/// # Ok::<(), vmbridge_platform::InvalidName>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName {
    /// Padded with NULs.
    bytes: [u8; Self::MAX_LEN],
}

impl InterfaceName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 15;

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidName`] for a name that is empty, longer than 15 bytes, `.`, `..`, `all` or
    /// `default`, or that has a `/`, `:`, `%`, a blank or a control character in it.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let refuse = |reason| Err(InvalidName { name: name.to_owned(), reason });
        if name.is_empty() {
            return refuse(NameReason::Empty);
        }
        if name.len() > Self::MAX_LEN {
            return refuse(NameReason::TooLong);
        }
        if name == "." || name == ".." {
            return refuse(NameReason::Dots);
        }
        if name == "all" || name == "default" {
            return refuse(NameReason::Reserved);
        }
        // '/' and ':' end a name in sysfs and in Linux's old aliases, '%' makes it a template.
        // Linux's isspace() takes the byte 0xa0 for a blank, also inside a UTF-8 sequence ("à").
        let refused = |c: char| {
            let mut utf8 = [0; 4];
            matches!(c, '/' | ':' | '%')
                || c.is_whitespace()
                || c.is_control()
                || c.encode_utf8(&mut utf8).bytes().any(|byte| byte == 0xa0)
        };
        if let Some(c) = name.chars().find(|&c| refused(c)) {
            return refuse(NameReason::Character(c));
        }
        Ok(Self::padded(name.as_bytes()))
    }

    /// The name that a kernel reported: the bytes before the first NUL, 1 to 15 of them.
    pub(crate) fn from_kernel(reported: &[u8]) -> Option<Self> {
        let name = reported.split(|&byte| byte == 0).next()?;
        matches!(name.len(), 1..=Self::MAX_LEN).then(|| Self::padded(name))
    }

    fn padded(name: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..name.len()].copy_from_slice(name);
        Self { bytes }
    }

    /// The bytes of the name, without a NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.bytes.iter().position(|&byte| byte == 0).unwrap_or(Self::MAX_LEN);
        &self.bytes[..len]
    }
}

impl fmt::Display for InterfaceName {
    /// The name. In one that was made by someone else, bytes that would disturb a terminal or
    /// are no UTF-8 are written like `\x1b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(name) if !name.contains(char::is_control) => f.pad(name),
            _ => f.pad(&self.as_bytes().escape_ascii().to_string()),
        }
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterfaceName(\"{}\")", self.as_bytes().escape_ascii())
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl TryFrom<&str> for InterfaceName {
    type Error = InvalidName;

    fn try_from(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

#[cfg(feature = "serde")]
crate::serde_forms::serde_as_text!(InterfaceName);

/// A text that is no name for an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no interface name: {reason}")]
pub struct InvalidName {
    name: String,
    reason: NameReason,
}

impl InvalidName {
    /// What is wrong with it.
    #[must_use]
    pub const fn reason(&self) -> NameReason {
        self.reason
    }
}

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameReason {
    /// No byte at all.
    #[error("it is empty")]
    Empty,
    /// More than 15 bytes.
    #[error("it is longer than 15 bytes")]
    TooLong,
    /// `.` or `..`.
    #[error("it is a directory's")]
    Dots,
    /// `all` or `default`: in Linux's /proc/sys/net they mean all interfaces and those to come
    /// (`devinet_sysctl_register()`), so that no interface can be called so.
    #[error("it means other interfaces")]
    Reserved,
    /// A character that a kernel or its tools would read as something else.
    #[error("{0:?} is not allowed in it")]
    Character(char),
}

/// The number that a kernel gives an interface for its lifetime (`ifindex`): it stays when the
/// interface is renamed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct InterfaceIndex(NonZeroU32);

impl InterfaceIndex {
    /// The index of this number. No interface has the index 0, nor one beyond `i32::MAX`.
    #[must_use]
    pub fn new(index: u32) -> Option<Self> {
        NonZeroU32::new(index).filter(|&index| i32::try_from(index.get()).is_ok()).map(Self)
    }

    /// From a kernel's structure, in which it is a C int (or an unsigned short, on FreeBSD).
    pub(crate) fn from_c(index: impl TryInto<u32>) -> Option<Self> {
        index.try_into().ok().and_then(Self::new)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl From<InterfaceIndex> for u32 {
    fn from(index: InterfaceIndex) -> Self {
        index.get()
    }
}

impl TryFrom<u32> for InterfaceIndex {
    type Error = InvalidIndex;

    fn try_from(index: u32) -> Result<Self, InvalidIndex> {
        Self::new(index).ok_or(InvalidIndex)
    }
}

/// A number that no interface can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an interface's index is from 1 to 2147483647")]
pub struct InvalidIndex;

impl fmt::Display for InterfaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for InterfaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterfaceIndex({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_both_kernels_take() {
        for name in ["a", "virbr0", "br-lan.7", "fifteen-bytes-x", "brücke", "-", "...", "bridge0"] {
            assert_eq!(InterfaceName::new(name).map(|n| n.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let reason = |name| InterfaceName::new(name).expect_err(name).reason();
        assert_eq!(reason(""), NameReason::Empty);
        assert_eq!(reason("sixteen-bytes-xx"), NameReason::TooLong);
        assert_eq!(reason("."), NameReason::Dots);
        assert_eq!(reason(".."), NameReason::Dots);
        assert_eq!(reason("all"), NameReason::Reserved);
        assert_eq!(reason("default"), NameReason::Reserved);
        for (name, c) in [
            ("a/b", '/'),
            ("br%d", '%'),
            ("eth0:1", ':'),
            ("a b", ' '),
            ("a\t", '\t'),
            ("a\n", '\n'),
            ("a\0b", '\0'),
            ("\u{a0}", '\u{a0}'),
            ("à", 'à'),
            ("\u{7f}", '\u{7f}'),
        ] {
            assert_eq!(reason(name), NameReason::Character(c), "{name:?}");
        }
    }

    #[test]
    fn a_kernel_may_report_what_a_caller_may_not_ask_for() {
        let odd = InterfaceName::from_kernel(b"a b\xff\0rest").expect("a name of four bytes");
        assert_eq!(odd.as_bytes(), b"a b\xff");
        assert_eq!(odd.to_string(), r"a b\xff");
        assert_eq!(InterfaceName::from_kernel(b"\0"), None);
        assert_eq!(InterfaceName::from_kernel(b"sixteen-bytes-xx"), None);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_kept_whole(text: String) {
            if let Ok(name) = InterfaceName::new(&text) {
                prop_assert_eq!(name.as_bytes(), text.as_bytes());
            }
        }
    }
}
