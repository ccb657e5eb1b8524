//! The forwarding database (FDB) of a bridge: which address is behind which port.

use std::time::Duration;

use crate::words::words;
use crate::{Identity, InterfaceName, MacAddr, Target, UnicastMac, VlanId};

/// An entry as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FdbEntry {
    /// The address.
    pub mac: MacAddr,
    /// The port that it is behind; the bridge's own name for its own addresses on Linux.
    pub port: InterfaceName,
    /// The identity of that port; `None` in what is read from text.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub port_identity: Option<Identity>,
    /// The VLAN that the entry is for; `None` for one that holds without VLANs.
    pub vlan: Option<VlanId>,
    /// How it came to be.
    pub origin: FdbOrigin,
    /// The time since the last frame from the address, where the kernel tells: of learned entries.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::serde_forms::seconds"))]
    pub age: Option<Duration>,
}

impl FdbEntry {
    /// An entry of which this much is known.
    #[must_use]
    pub const fn new(mac: MacAddr, port: Identity, vlan: Option<VlanId>, origin: FdbOrigin) -> Self {
        Self { mac, port: port.name(), port_identity: Some(port), vlan, origin, age: None }
    }
}

/// How an entry of an FDB came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FdbOrigin {
    /// From a frame that came in; it ages.
    Learned,
    /// It was added, and stays.
    Static,
    /// It is the port's or the bridge's own address (Linux).
    Local,
}

words! { FdbOrigin: Learned = "learned", Static = "static", Local = "local" }

/// A static entry, to be added or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaticEntry {
    /// The address.
    pub mac: UnicastMac,
    /// The port that it is behind.
    pub port: Target,
    /// The VLAN that the entry is for; `None` for one that holds without VLANs.
    pub vlan: Option<VlanId>,
}

impl StaticEntry {
    /// This address is behind this port.
    #[must_use]
    pub fn new(mac: UnicastMac, port: impl Into<Target>) -> Self {
        Self { mac, port: port.into(), vlan: None }
    }

    /// In this VLAN.
    #[must_use]
    pub const fn vlan(mut self, vlan: VlanId) -> Self {
        self.vlan = Some(vlan);
        self
    }
}
