//! What tells one host from another.

use std::{fmt, io};

/// A number of 128 bits that a host keeps and no other has: on Linux `/etc/machine-id`
/// (`machine-id(5)`), on FreeBSD `kern.hostuuid`, which `rc.d/hostid` sets from `/etc/hostid`.
///
/// It is confidential: whatever leaves the host is to be derived from it by a keyed cryptographic
/// hash, so that it cannot be told from that. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct HostIdentity([u8; 16]);

impl HostIdentity {
    /// The identity of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// This host's.
    ///
    /// # Errors
    /// `NotFound` where the host has none (a container, say, or before the first boot has ended);
    /// `InvalidData` for one that is malformed or all zero. The text says how to make one.
    pub fn of_this_host() -> io::Result<Self> {
        crate::host_identity()
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// 32 hexadecimal digits, as a UUID has them or in a row; not all of them zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.replace('-', "");
        // `from_str_radix` alone would take a sign.
        if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let number = u128::from_str_radix(&digits, 16).ok()?;
        (number != 0).then(|| Self(number.to_be_bytes()))
    }
}

impl fmt::Debug for HostIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostIdentity(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_systems_forms() {
        let bytes =
            [0x60, 0x35, 0xda, 0x58, 0x8d, 0x0e, 0x4d, 0x0c, 0x9c, 0x0a, 0x5b, 0x3f, 0x32, 0x11, 0x2e, 0x01];
        let identity = Some(HostIdentity::new(bytes));
        assert_eq!(HostIdentity::parse("6035da588d0e4d0c9c0a5b3f32112e01"), identity);
        assert_eq!(HostIdentity::parse("6035DA58-8d0e-4d0c-9c0a-5b3f32112e01"), identity);
        assert!(!format!("{identity:?}").contains("60"));
    }

    #[test]
    fn refuses_what_other_hosts_have_too() {
        for text in [
            "",
            "uninitialized",
            "00000000000000000000000000000000",
            "00000000-0000-0000-0000-000000000000",
            "6035da588d0e4d0c9c0a5b3f32112e0",
            "6035da588d0e4d0c9c0a5b3f32112e012",
            "+035da588d0e4d0c9c0a5b3f32112e01",
        ] {
            assert_eq!(HostIdentity::parse(text), None, "{text:?}");
        }
    }
}
