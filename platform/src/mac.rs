//! MAC addresses: what the kernel reports ([`MacAddr`]), and what an interface may be given ([`UnicastMac`]).
//!
//! The rules come from IEEE 802 (the two low bits of the first byte), from Linux's
//! `is_valid_ether_addr()` (`include/linux/etherdevice.h`), and from the practice of QEMU and
//! libvirt (the prefix 52:54:00, the host side of a tap).

use std::fmt;
use std::str::FromStr;

use crate::random;

/// Any six bytes, as a kernel may report them: of a port, of an FDB entry, or
/// `00:00:00:00:00:00` of a bridge that follows its ports and has none.
///
/// Text has six groups of one or two hexadecimal digits between `:` or `-` (one of the two
/// throughout), in any case, with nothing before or after. It is printed in lower case, with two
/// digits a group and `:`.
///
/// ```
/// use vmbridge_platform::MacAddr;
///
/// let mac: MacAddr = "52-54-0-AB-C-1".parse()?;
/// assert_eq!(mac.to_string(), "52:54:00:ab:0c:01");
/// assert!("52:54:00:ab:0c:01 ".parse::<MacAddr>().is_err());
/// # Ok::<(), vmbridge_platform::InvalidMac>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// `00:00:00:00:00:00`.
    pub const ZERO: Self = Self([0; 6]);
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address of these bytes, in the order of transmission.
    #[must_use]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The bytes, in the order of transmission.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// All six bytes are zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// All six bytes are 0xff.
    #[must_use]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// The address of a group (the lowest bit of the first byte is set), broadcast included.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Administered locally and not assigned by a manufacturer (the second bit of the first byte is set).
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0[0] & 2 == 2
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacAddr({self})")
    }
}

impl FromStr for MacAddr {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let malformed = || InvalidMac { text: text.to_owned(), reason: MacReason::Malformed };
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut groups = text.split(separator);
        for byte in &mut bytes {
            let group = groups.next().ok_or_else(malformed)?;
            // `from_str_radix` alone would take a sign.
            if !matches!(group.len(), 1..=2) || !group.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(malformed());
            }
            *byte = u8::from_str_radix(group, 16).map_err(|_| malformed())?;
        }
        match groups.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(malformed()),
        }
    }
}

/// A MAC that an interface can bear: neither of a group nor all zero.
///
/// Linux refuses the others (EADDRNOTAVAIL); FreeBSD takes them without a word
/// (SIOCSIFLLADDR checks the length only), so the check is in the type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnicastMac(MacAddr);

impl UnicastMac {
    /// Checks that the address is of one station.
    ///
    /// # Errors
    /// [`InvalidMac`] for an address that is all zero, broadcast or multicast.
    pub fn new(mac: MacAddr) -> Result<Self, InvalidMac> {
        let reason = if mac.is_zero() {
            MacReason::Zero
        } else if mac.is_broadcast() {
            MacReason::Broadcast
        } else if mac.is_multicast() {
            MacReason::Multicast
        } else {
            return Ok(Self(mac));
        };
        Err(InvalidMac { text: mac.to_string(), reason })
    }

    /// A MAC for a bridge: 52:54:00 (QEMU's and libvirt's prefix) and three bytes from the
    /// operating system's generator.
    ///
    /// 24 random bits: among 5,000 bridges of one layer-2 network two are equal with even odds.
    ///
    /// # Errors
    /// The operating system's generator failed.
    pub fn generate() -> std::io::Result<Self> {
        let [a, b, c] = random::bytes()?;
        Ok(Self(MacAddr([0x52, 0x54, 0x00, a, b, c])))
    }

    /// The MAC of the tap on the host's side of a guest that has this MAC: the first byte
    /// becomes 0xfe, or 0xfa if it is 0xfe already.
    ///
    /// A tap must not have its guest's own MAC: the host would take the guest's frames for its
    /// own. And no port is then ever lower than the bridge, so that a bridge that follows its
    /// ports does not take a guest's.
    ///
    /// ```
    /// use vmbridge_platform::UnicastMac;
    ///
    /// let guest: UnicastMac = "fa:16:3e:28:64:c2".parse()?;
    /// assert_eq!(guest.host_side().to_string(), "fe:16:3e:28:64:c2");
    /// assert_eq!(guest.host_side().host_side().to_string(), "fa:16:3e:28:64:c2");
    /// # Ok::<(), vmbridge_platform::InvalidMac>(())
    /// ```
    #[must_use]
    pub const fn host_side(self) -> Self {
        let mut bytes = self.0.0;
        bytes[0] = if bytes[0] == 0xfe { 0xfa } else { 0xfe };
        Self(MacAddr(bytes))
    }

    /// The bytes, in the order of transmission.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0.0
    }
}

impl From<UnicastMac> for MacAddr {
    fn from(mac: UnicastMac) -> Self {
        mac.0
    }
}

impl TryFrom<MacAddr> for UnicastMac {
    type Error = InvalidMac;

    fn try_from(mac: MacAddr) -> Result<Self, InvalidMac> {
        Self::new(mac)
    }
}

impl PartialEq<MacAddr> for UnicastMac {
    fn eq(&self, other: &MacAddr) -> bool {
        self.0 == *other
    }
}

impl PartialEq<UnicastMac> for MacAddr {
    fn eq(&self, other: &UnicastMac) -> bool {
        *self == other.0
    }
}

impl fmt::Display for UnicastMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UnicastMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnicastMac({self})")
    }
}

impl FromStr for UnicastMac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        Self::new(text.parse()?)
    }
}

/// A text or an address that is no MAC, or none that an interface can bear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct InvalidMac {
    text: String,
    reason: MacReason,
}

impl InvalidMac {
    /// What is wrong with it.
    #[must_use]
    pub const fn reason(&self) -> MacReason {
        self.reason
    }
}

/// Why a MAC was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacReason {
    /// Not six groups of one or two hexadecimal digits.
    #[error("is not a MAC address: six groups of one or two hexadecimal digits between ':' are wanted")]
    Malformed,
    /// The address of a group of stations.
    #[error("is a multicast address, which no interface can bear")]
    Multicast,
    /// The address of all stations.
    #[error("is the broadcast address, which no interface can bear")]
    Broadcast,
    /// No address at all.
    #[error("is the all-zero address, which no interface can bear")]
    Zero,
}

#[cfg(feature = "serde")]
crate::serde_forms::serde_as_text!(MacAddr);
#[cfg(feature = "serde")]
crate::serde_forms::serde_as_text!(UnicastMac);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(text: &str) -> MacReason {
        text.parse::<UnicastMac>().expect_err(text).reason()
    }

    #[test]
    fn refuses_what_no_interface_can_bear() {
        assert_eq!(reason("01:00:5e:00:00:01"), MacReason::Multicast);
        assert_eq!(reason("ff:ff:ff:ff:ff:ff"), MacReason::Broadcast);
        assert_eq!(reason("0:0:0:0:0:0"), MacReason::Zero);
    }

    #[test]
    fn refuses_what_is_no_mac() {
        for text in [
            "",
            ":",
            "52",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:ef:01",
            "52:54:00:ab:cd:ef ",
            " 52:54:00:ab:cd:ef",
            "52:54:00:ab:cd:ef\n",
            "52:54:00:ab:cd:efg",
            "52:54:00:ab:cd:0ef",
            "52:54::ab:cd:ef",
            "52:54:00:ab:cd:",
            "+2:54:00:ab:cd:ef",
            "52-54:00:ab:cd:ef",
            "525400abcdef",
            "52:54:00:ab:cd:é",
            "52:54:00:ab:cd:ef\0",
            "52.54.00.ab.cd.ef",
        ] {
            assert_eq!(reason(text), MacReason::Malformed, "{text:?}");
        }
    }

    #[test]
    fn classifies() {
        assert!(MacAddr::BROADCAST.is_multicast());
        assert!("52:54:00:00:00:01".parse::<MacAddr>().is_ok_and(|mac| mac.is_local() && !mac.is_multicast()));
        assert!("58:9c:fc:00:00:01".parse::<MacAddr>().is_ok_and(|mac| !mac.is_local()));
    }

    #[test]
    fn generates_under_the_prefix_and_not_twice_the_same() {
        let one = UnicastMac::generate().expect("the system has a generator");
        assert_eq!(one.bytes()[..3], [0x52, 0x54, 0]);
        assert!((0..4).any(|_| UnicastMac::generate().expect("the system has a generator") != one));
    }

    proptest! {
        #[test]
        fn printed_text_parses_to_the_same(bytes: [u8; 6]) {
            let mac = MacAddr::new(bytes);
            prop_assert_eq!(mac.to_string().parse(), Ok(mac));
            prop_assert_eq!(mac.to_string().to_uppercase().replace(':', "-").parse(), Ok(mac));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<MacAddr>();
        }

        #[test]
        fn no_host_side_is_its_guest(bytes: [u8; 6]) {
            if let Ok(guest) = UnicastMac::new(MacAddr::new(bytes)) {
                prop_assert_ne!(guest.host_side(), guest);
                prop_assert!(UnicastMac::new(guest.host_side().into()).is_ok());
            }
        }
    }
}
