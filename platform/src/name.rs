//! The name of an interface.
//!
//! The length is IFNAMSIZ (16 with the NUL) on Linux and FreeBSD. Linux checks names in
//! `dev_valid_name()` (`net/core/dev.c`); FreeBSD checks nothing but the length (a rename to
//! "a b" or "a/b" is accepted), so the check is here, the same for both.

use std::fmt;
use std::str::FromStr;

/// The name of an interface, of 1 to 15 bytes.
///
/// [`InterfaceName::new`] and [`FromStr`] check a name for a new interface. They never cut it, and they
/// refuse a name that a kernel could take for a template, a path or an alias.
///
/// A kernel may also report other names, of interfaces that other programs created. Backends list these
/// interfaces, and [`InterfaceName::from_bytes`] names them. Operations that create an interface refuse
/// such a name ([`ErrorKind::InvalidName`](crate::ErrorKind::InvalidName)).
///
/// # Text
/// `Display` and serde write a backslash as `\\`. They write each byte of a control character, and each
/// byte that is not UTF-8, as `\x` and two hexadecimal digits. Two different names never have the same
/// text, and [`InterfaceName::from_escaped`] reads each text back. serde accepts every name in this form.
///
/// ```
/// use vmbridge_platform::{InterfaceName, NameReason};
///
/// let name: InterfaceName = "virbr0".parse()?;
/// assert_eq!(name.as_str(), Some("virbr0"));
/// let refused = InterfaceName::new("virbr%d").unwrap_err();
/// assert_eq!(refused.reason(), NameReason::Character('%'));
///
/// let odd = InterfaceName::from_bytes(b"br\x1b\xff")?;
/// assert_eq!(odd.to_string(), r"br\x1b\xff");
/// assert_eq!(InterfaceName::from_escaped(r"br\x1b\xff")?, odd);
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

    /// Checks a name for a new interface.
    ///
    /// # Errors
    /// [`InvalidName`] for a name that is empty, longer than 15 bytes, `.`, `..`, `all` or
    /// `default`, or that contains a `/`, `:`, `%`, a blank or a control character.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        match refusal(name) {
            None => Ok(Self::padded(name.as_bytes())),
            Some(reason) => Err(InvalidName { name: name.to_owned(), reason }),
        }
    }

    /// Returns the name of these bytes, as a kernel may report it for an interface that exists.
    ///
    /// # Errors
    /// [`InvalidName`] for a name that is empty, longer than 15 bytes, or contains a NUL.
    pub fn from_bytes(name: &[u8]) -> Result<Self, InvalidName> {
        let reason = match name.len() {
            0 => NameReason::Empty,
            1..=Self::MAX_LEN if !name.contains(&0) => return Ok(Self::padded(name)),
            1..=Self::MAX_LEN => NameReason::Character('\0'),
            _ => NameReason::TooLong,
        };
        Err(InvalidName { name: String::from_utf8_lossy(name).into_owned(), reason })
    }

    /// Reads a name from the text that `Display` writes. [`InterfaceName::from_bytes`] checks the result.
    ///
    /// # Errors
    /// [`InvalidName`] as [`InterfaceName::from_bytes`], and for another escape than those of `Display`.
    pub fn from_escaped(text: &str) -> Result<Self, InvalidName> {
        let unescaped = unescape(text.as_bytes());
        let name = unescaped.ok_or_else(|| InvalidName { name: text.to_owned(), reason: NameReason::Escape })?;
        Self::from_bytes(&name)
    }

    /// Returns the name in a field of a kernel's structure: 1 to 15 bytes before the first NUL.
    pub(crate) fn from_kernel(field: &[u8]) -> Option<Self> {
        Self::from_bytes(field.split(|&byte| byte == 0).next()?).ok()
    }

    /// Checks the name as [`InterfaceName::new`] does, before an interface is created with it.
    ///
    /// # Errors
    /// [`InvalidName`] as [`InterfaceName::new`]. [`NameReason::NotUtf8`] is another reason.
    pub fn check(&self) -> Result<(), InvalidName> {
        let refusal = self.as_str().map_or(Some(NameReason::NotUtf8), refusal);
        refusal.map_or(Ok(()), |reason| Err(InvalidName { name: self.to_string(), reason }))
    }

    fn padded(name: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..name.len()].copy_from_slice(name);
        Self { bytes }
    }

    /// Returns the name as it is, or `None` if it is not UTF-8. A name that [`InterfaceName::new`] has
    /// checked is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// Returns the bytes of the name, without a NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.bytes.iter().position(|&byte| byte == 0).unwrap_or(Self::MAX_LEN);
        &self.bytes[..len]
    }
}

/// Returns why a new interface cannot have this name.
fn refusal(name: &str) -> Option<NameReason> {
    match name {
        "" => return Some(NameReason::Empty),
        "." | ".." => return Some(NameReason::Dots),
        "all" | "default" => return Some(NameReason::Reserved),
        _ if name.len() > InterfaceName::MAX_LEN => return Some(NameReason::TooLong),
        // Most names are plain, and each creation checks its name.
        _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => return None,
        _ => {}
    }
    // '/' and ':' end a name in sysfs and in Linux's old aliases, '%' makes it a template.
    // Linux's isspace() takes the byte 0xa0 for a blank, also inside a UTF-8 sequence ("à").
    let is_refused = |c: &char| {
        matches!(c, '/' | ':' | '%')
            || c.is_whitespace()
            || c.is_control()
            || c.encode_utf8(&mut [0; 4]).bytes().any(|byte| byte == 0xa0)
    };
    name.chars().find(is_refused).map(NameReason::Character)
}

impl fmt::Display for InterfaceName {
    /// Writes the name on one line that does not disturb a terminal, in the form that the type's
    /// documentation describes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(name) if !name.contains(is_escaped) => f.pad(name),
            _ => f.pad(&escape(self.as_bytes())),
        }
    }
}

fn is_escaped(c: char) -> bool {
    c == '\\' || c.is_control()
}

fn escape(name: &[u8]) -> String {
    let mut text = String::new();
    let hexadecimal = |text: &mut String, bytes: &[u8]| {
        text.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
    };
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str(r"\\"),
                c if is_escaped(c) => hexadecimal(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => text.push(c),
            }
        }
        hexadecimal(&mut text, chunk.invalid());
    }
    text
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut name, mut rest) = (Vec::new(), text);
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => (digit(*high)? << 4 | digit(*low)?, after),
            (b'\\', _) => return None,
            (&byte, after) => (byte, after),
        };
        name.push(byte);
        rest = after;
    }
    Some(name)
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterfaceName(\"{self}\")")
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
crate::serde_forms::serde_as_text!(InterfaceName, InterfaceName::from_escaped);

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
    /// Bytes that are not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A backslash that begins neither `\\` nor `\x` and two hexadecimal digits.
    #[error("in this form a backslash is written \\\\, and a byte \\x and two hexadecimal digits")]
    Escape,
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
        assert_eq!((odd.as_bytes(), odd.as_str()), (&b"a b\xff"[..], None));
        assert_eq!(odd.to_string(), r"a b\xff");
        assert_eq!(odd.check().expect_err("not UTF-8").reason(), NameReason::NotUtf8);
        let template = InterfaceName::from_bytes(b"br%d").expect("a name of four bytes");
        assert_eq!(template.check().expect_err("a template").reason(), NameReason::Character('%'));
        assert_eq!(InterfaceName::from_kernel(b"\0"), None);
        assert_eq!(InterfaceName::from_kernel(b"sixteen-bytes-xx"), None);
    }

    #[test]
    fn from_bytes_refuses_what_no_kernel_reports() {
        let reason = |name| InterfaceName::from_bytes(name).expect_err("refused").reason();
        assert_eq!(reason(b""), NameReason::Empty);
        assert_eq!(reason(b"a\0b"), NameReason::Character('\0'));
        assert_eq!(reason(b"sixteen-bytes-xx"), NameReason::TooLong);
    }

    #[test]
    fn different_names_have_different_texts() {
        for (name, text) in [
            (&b"br\xc3\xbccke"[..], "brücke"),
            (br"a\x1b", r"a\\x1b"),
            (b"a\x1b", r"a\x1b"),
            (b"\xc2\x9b", r"\xc2\x9b"),
            (b"\\", r"\\"),
            (b"\xc3", r"\xc3"),
            ("ü\n\u{ff}".as_bytes(), r"ü\x0aÿ"),
        ] {
            let name = InterfaceName::from_bytes(name).expect(text);
            assert_eq!(name.to_string(), text);
            assert_eq!(InterfaceName::from_escaped(text), Ok(name));
        }
        let reason = |text| InterfaceName::from_escaped(text).expect_err(text).reason();
        for text in [r"\", r"a\b", r"\x", r"\x1", r"\x+1", r"\xé", r"\X1b"] {
            assert_eq!(reason(text), NameReason::Escape, "{text}");
        }
        assert_eq!(reason(r"\x00"), NameReason::Character('\0'));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_kept_whole(text: String) {
            if let Ok(name) = InterfaceName::new(&text) {
                prop_assert_eq!(name.as_str(), Some(text.as_str()));
                prop_assert_eq!(name.check(), Ok(()));
            }
        }

        #[test]
        fn every_reported_name_survives_its_text(bytes in proptest::collection::vec(1_u8.., 1..=15)) {
            let name = InterfaceName::from_bytes(&bytes).expect("a kernel may report it");
            let text = name.to_string();
            prop_assert!(!text.contains(char::is_control));
            prop_assert_eq!(InterfaceName::from_escaped(&text), Ok(name));
        }
    }
}
