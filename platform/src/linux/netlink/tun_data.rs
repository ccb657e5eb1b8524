//! The driver's attributes of a tap: `IFLA_INFO_DATA` of `tun`, from bytes.
//!
//! The kernel's side is `tun_fill_info()` (`drivers/net/tun.c`, since 4.17). The functions are pure.

use super::attribute::{Malformed, attributes, u8_at, u32_at};
use crate::linux::abi::netlink::{
    IFLA_TUN_GROUP, IFLA_TUN_MULTI_QUEUE, IFLA_TUN_OWNER, IFLA_TUN_PERSIST, IFLA_TUN_PI, IFLA_TUN_TYPE,
    IFLA_TUN_VNET_HDR,
};
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_PERSIST, IFF_TAP, IFF_VNET_HDR};

/// The `IFLA_INFO_KIND` of taps, and of tuns.
pub(super) const KIND: &str = "tun";

/// The attributes of a tap; `None` where an older kernel does not tell them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TunData {
    is_tap: Option<bool>,
    pub(super) owner: Option<u32>,
    pub(super) group: Option<u32>,
    packet_information: Option<bool>,
    pub(super) vnet_hdr: Option<bool>,
    pub(super) persistent: Option<bool>,
    pub(super) multi_queue: Option<bool>,
}

impl TunData {
    /// Reads the attributes of an interface with this kind of address (`ARPHRD_*`). Returns `None` for a
    /// tun.
    pub(super) fn decode(data: &[u8], hardware: u16) -> Result<Option<Self>, Malformed> {
        let mut tun = Self::default();
        for attribute in attributes(data) {
            let (kind, payload) = attribute?;
            let flag = u8_at(payload, 0).map(|value| value != 0);
            match kind {
                IFLA_TUN_TYPE => tun.is_tap = u8_at(payload, 0).map(|value| u16::from(value) == IFF_TAP),
                IFLA_TUN_OWNER => tun.owner = u32_at(payload, 0),
                IFLA_TUN_GROUP => tun.group = u32_at(payload, 0),
                IFLA_TUN_PI => tun.packet_information = flag,
                IFLA_TUN_VNET_HDR => tun.vnet_hdr = flag,
                IFLA_TUN_PERSIST => tun.persistent = flag,
                IFLA_TUN_MULTI_QUEUE => tun.multi_queue = flag,
                _ => {}
            }
        }
        Ok(tun.is_tap.unwrap_or(hardware == libc::ARPHRD_ETHER).then_some(tun))
    }

    /// Returns the flags of `TUNGETIFF`, if the kernel tells all of them.
    pub(super) fn flags(self) -> Option<u16> {
        let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
        Some(
            IFF_TAP
                | flag(!self.packet_information?, IFF_NO_PI)
                | flag(self.vnet_hdr?, IFF_VNET_HDR)
                | flag(self.persistent?, IFF_PERSIST)
                | flag(self.multi_queue?, IFF_MULTI_QUEUE),
        )
    }
}
