//! `bridgeN` and `tapN`: the names that the kernel creates interfaces by (`net/if_clone.c`,
//! `net/if_tuntap.c`).
//!
//! It takes the name of a driver and a decimal number without zeros before it, up to `IF_MAXUNIT`.
//! The number is the interface's unit, and stays its own when it is renamed.

use std::ffi::CStr;

use super::abi::IF_MAXUNIT;
use crate::InterfaceName;

/// A driver that creates interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Bridge,
    Tap,
}

/// The units of interfaces under way are the upper half, 16384 to 32767.
const STAGING: u16 = 0x4000;

impl Driver {
    /// Its name, the first part of its interfaces'.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Tap => "tap",
        }
    }

    /// The module that it is in.
    pub(super) const fn module(self) -> &'static CStr {
        match self {
            Self::Bridge => c"if_bridge",
            Self::Tap => c"if_tuntap",
        }
    }

    /// The group that the kernel puts its interfaces into (`if_clone_createif()` in `net/if_clone.c`).
    pub(super) fn group(self) -> InterfaceName {
        InterfaceName::from_kernel(self.name().as_bytes()).expect("a driver's name is short")
    }

    /// The names that it creates interfaces by.
    pub(super) fn names(self) -> impl Iterator<Item = InterfaceName> {
        let name = move |unit| InterfaceName::from_kernel(format!("{}{unit}", self.name()).as_bytes());
        (0..=IF_MAXUNIT).filter_map(name)
    }

    /// Whether the kernel creates an interface of this driver, and nothing else, by this name.
    pub(super) fn is_name(self, name: InterfaceName) -> bool {
        let Some(digits) = name.as_bytes().strip_prefix(self.name().as_bytes()) else { return false };
        let unit = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u16>().ok());
        // `parse` also takes a sign and zeros before the number.
        unit.is_some_and(|unit| unit <= IF_MAXUNIT && unit.to_string().as_bytes() == digits)
    }

    /// The name for an interface that is to be renamed to `name`: always the same of these two, and
    /// seldom that of another name.
    pub(super) fn staging_name(self, name: InterfaceName, number: u8) -> InterfaceName {
        // FNV-1a: it must not change from one version to the next, as std's hashes may.
        let hash = name
            .as_bytes()
            .iter()
            .chain([&number])
            .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let [a, b, c, d] = hash.to_be_bytes();
        let unit = STAGING + u16::from_be_bytes([a ^ c, b ^ d]) % STAGING;
        InterfaceName::from_kernel(format!("{}{unit}", self.name()).as_bytes()).expect("11 bytes are a name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_the_kernel_creates() {
        let creates = |name: &str| Driver::Bridge.is_name(name.parse().expect(name));
        for name in ["bridge0", "bridge7", "bridge10", "bridge16384", "bridge32767"] {
            assert!(creates(name), "{name}");
        }
        for name in ["bridge", "bridge00", "bridge07", "bridge32768", "bridge65536", "bridge+7", "bridge-1"] {
            assert!(!creates(name), "{name}");
        }
        for name in ["bridge7x", "bridgex", "virbr0", "br0", "tap0", "em0.5", "Bridge0", "xbridge0"] {
            assert!(!creates(name), "{name}");
        }
    }

    #[test]
    fn stages_in_the_upper_half_without_many_collisions() {
        let mut units = std::collections::BTreeSet::new();
        for bridge in 0..100 {
            for number in 0..8 {
                let bridge = format!("virbr{bridge}").parse().expect("a name");
                let name = Driver::Bridge.staging_name(bridge, number);
                assert_eq!(name, Driver::Bridge.staging_name(bridge, number));
                let unit: u16 =
                    name.to_string().split_at(Driver::Bridge.name().len()).1.parse().expect("a number");
                assert!(Driver::Bridge.is_name(name) && unit >= STAGING, "{name}");
                units.insert(unit);
            }
        }
        // Of 800 numbers out of 16384, 19 are expected to be there twice.
        assert!(units.len() > 750, "{}", units.len());
    }

    #[test]
    fn stages_under_the_same_name_in_every_version() {
        assert_eq!(Driver::Bridge.staging_name("virbr0".parse().expect("a name"), 0).to_string(), "bridge19483");
    }

    #[test]
    fn knows_a_driver_by_its_whole_name() {
        let is = |driver: Driver, name: &str| driver.is_name(name.parse().expect(name));
        let staged = Driver::Tap.staging_name("vnet0".parse().expect("a name"), 0).to_string();
        for name in ["tap0", "tap32767", &staged] {
            assert!(is(Driver::Tap, name) && !is(Driver::Bridge, name), "{name}");
        }
        for name in ["tap", "tap00", "tap32768", "vmnet0", "tun0", "bridge0"] {
            assert!(!is(Driver::Tap, name), "{name}");
        }
    }
}
