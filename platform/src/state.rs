//! The state of bridges, ports and interfaces, as a kernel has it.

use crate::identity::identities;
use crate::{
    BridgeOptions, Identity, InterfaceIndex, InterfaceName, LinkState, MacAddr, PortOptions, PortStpState,
};

identities!(BridgeState, PortState, InterfaceState);

/// A bridge as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BridgeState {
    /// Its name.
    pub name: InterfaceName,
    /// Its index.
    pub index: InterfaceIndex,
    /// What tells it from others of the same index ([`Identity`]); 0 on Linux.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub incarnation: u64,
    /// Its MAC; all zero on Linux when it follows its ports and has none.
    pub mac: MacAddr,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub link: LinkState,
    /// Its options, those that the backend can read.
    #[cfg_attr(feature = "serde", serde(default))]
    pub options: BridgeOptions,
}

impl BridgeState {
    /// A bridge of which this much is known.
    #[must_use]
    pub fn new(name: InterfaceName, index: InterfaceIndex, mac: MacAddr, mtu: u32, link: LinkState) -> Self {
        Self { name, index, incarnation: 0, mac, mtu, link, options: BridgeOptions::default() }
    }
}

/// A port of a bridge as the kernel has it ("member" in FreeBSD's manual).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PortState {
    /// Its name.
    pub name: InterfaceName,
    /// Its index.
    pub index: InterfaceIndex,
    /// What tells it from others of the same index ([`Identity`]); 0 on Linux.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub incarnation: u64,
    /// The bridge that it is a port of. `None` in a list of the ports of one bridge, and in what is read from
    /// text.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub bridge: Option<Identity>,
    /// Its MAC.
    pub mac: MacAddr,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub link: LinkState,
    /// Its options, those that the backend can read.
    #[cfg_attr(feature = "serde", serde(default))]
    pub options: PortOptions,
    /// Where it stands in STP, if the backend can read that.
    #[cfg_attr(feature = "serde", serde(default, rename = "stp-state"))]
    pub stp_state: Option<PortStpState>,
}

impl PortState {
    /// A port of which this much is known.
    #[must_use]
    pub fn new(name: InterfaceName, index: InterfaceIndex, mac: MacAddr, mtu: u32, link: LinkState) -> Self {
        Self {
            name,
            index,
            incarnation: 0,
            bridge: None,
            mac,
            mtu,
            link,
            options: PortOptions::default(),
            stp_state: None,
        }
    }
}

/// Any interface of the host, of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct InterfaceState {
    /// Its name.
    pub name: InterfaceName,
    /// Its index.
    pub index: InterfaceIndex,
    /// What tells it from others of the same index ([`Identity`]); 0 on Linux.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub incarnation: u64,
    /// Its MAC; `None` for one that has no address of six bytes, such as a tunnel.
    pub mac: Option<MacAddr>,
}

impl InterfaceState {
    /// An interface of which this much is known.
    #[must_use]
    pub const fn new(name: InterfaceName, index: InterfaceIndex, mac: Option<MacAddr>) -> Self {
        Self { name, index, incarnation: 0, mac }
    }
}
