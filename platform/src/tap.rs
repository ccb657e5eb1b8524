//! Taps: Ethernet interfaces whose other end is a program, which is a guest's network card.

use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::words::words;
use crate::{
    Attempt, Capabilities, Capability, ErrorKind, InterfaceIndex, InterfaceName, LinkState, MacAddr, Result,
    UnicastMac,
};

/// The tap that [`create_tap`](crate::BridgeBackend::create_tap) makes.
///
/// ```
/// use vmbridge_platform::{TapSpec, UnicastMac};
///
/// let guest: UnicastMac = "52:54:00:ab:0c:01".parse()?;
/// let spec = TapSpec::new().name("vnet0".parse()?).mac(guest.host_side()).mtu(9000).vnet_hdr();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields, rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct TapSpec {
    /// Its name. `None` leaves it to the kernel, which takes the first of `tap0`, `tap1` … that is free.
    pub name: Option<InterfaceName>,
    /// What to do where a tap has this name already.
    pub existing: ExistingTap,
    /// The MAC of the host's side, which the guest does not see; a random one by default.
    pub mac: Option<UnicastMac>,
    /// Its MTU in bytes, 68 to 65521 on Linux (`tun_net_initialize()`); 1500 by default.
    pub mtu: Option<u32>,
    /// How many descriptors it has, each a queue of frames; 1 to 256 on Linux (`MAX_TAP_QUEUES`).
    /// More than one makes a tap that QEMU takes with `queues=`. Without an owner and a group,
    /// everyone on the host may open another of them (`tun_not_capable()`).
    pub queues: NonZeroU16,
    /// Whether each frame has a `virtio_net_hdr` before it, which QEMU and vhost need for offloads.
    pub vnet_hdr: bool,
    /// The user who may open it without privilege, where it is persistent. One that is adopted must
    /// have this owner already: no kernel takes an owner away again.
    pub owner: Option<u32>,
    /// The group whose members may; likewise.
    pub group: Option<u32>,
}

impl Default for TapSpec {
    fn default() -> Self {
        Self::new()
    }
}

impl TapSpec {
    /// A tap of one queue, with a name and a MAC of the kernel's choice.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            name: None,
            existing: ExistingTap::Refuse,
            mac: None,
            mtu: None,
            queues: NonZeroU16::MIN,
            vnet_hdr: false,
            owner: None,
            group: None,
        }
    }

    /// Of this name.
    #[must_use]
    pub const fn name(mut self, name: InterfaceName) -> Self {
        self.name = Some(name);
        self
    }

    /// The tap that has this name already, if there is one. It keeps its owner and its group.
    #[must_use]
    pub const fn adopt_existing(mut self) -> Self {
        self.existing = ExistingTap::Adopt;
        self
    }

    /// With this MAC on the host's side.
    #[must_use]
    pub const fn mac(mut self, mac: UnicastMac) -> Self {
        self.mac = Some(mac);
        self
    }

    /// With this MTU, in bytes.
    #[must_use]
    pub const fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// With so many descriptors.
    #[must_use]
    pub const fn queues(mut self, queues: NonZeroU16) -> Self {
        self.queues = queues;
        self
    }

    /// With a `virtio_net_hdr` before each frame.
    #[must_use]
    pub const fn vnet_hdr(mut self) -> Self {
        self.vnet_hdr = true;
        self
    }

    /// For this user.
    #[must_use]
    pub const fn owner(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// For this group.
    #[must_use]
    pub const fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Whether it has more than one queue.
    pub(crate) const fn is_multi_queue(&self) -> bool {
        self.queues.get() > 1
    }

    /// Refuses, before anything is made, what a backend cannot do.
    pub(crate) fn check(&self, at: Attempt, capabilities: Capabilities) -> Result<()> {
        let needs = [
            (true, Capability::Tap),
            (self.is_multi_queue(), Capability::TapQueues),
            (self.vnet_hdr, Capability::TapVnetHdr),
            (self.owner.is_some() || self.group.is_some(), Capability::TapOwner),
        ];
        let lacks = |&(needed, capability): &(bool, Capability)| needed && !capabilities.contains(capability);
        if self.name.is_some_and(|name| name.check().is_err()) {
            return Err(at.error(ErrorKind::InvalidName));
        }
        match needs.into_iter().find(lacks) {
            Some((_, capability)) => Err(at.with(capability).error(ErrorKind::Unsupported)),
            None => Ok(()),
        }
    }
}

/// What to do where a tap has the name of the one that is to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExistingTap {
    /// It is an error.
    Refuse,
    /// It is taken, if nobody else has it open. On Linux one of several queues, which is made to be
    /// opened more than once, is then shared.
    Adopt,
}

words! { ExistingTap: Refuse = "refuse", Adopt = "adopt" }

/// A tap that is open. Its descriptors are closed on exec.
///
/// When they are closed the tap goes, unless it was
/// [persisted](crate::BridgeBackend::persist_tap) or the backend lacks
/// [`TapTransient`](Capability::TapTransient).
#[derive(Debug)]
pub struct Tap {
    name: InterfaceName,
    index: InterfaceIndex,
    queues: Vec<OwnedFd>,
}

impl Tap {
    /// For those who implement [`BridgeBackend`](crate::BridgeBackend).
    #[must_use]
    pub const fn new(name: InterfaceName, index: InterfaceIndex, queues: Vec<OwnedFd>) -> Self {
        Self { name, index, queues }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> InterfaceName {
        self.name
    }

    /// Its index.
    #[must_use]
    pub const fn index(&self) -> InterfaceIndex {
        self.index
    }

    /// Its descriptors, one a queue: what is written to one arrives on the tap, what is sent
    /// through the tap is read from one, a frame a call.
    #[must_use]
    pub fn queues(&self) -> &[OwnedFd] {
        &self.queues
    }

    /// Its descriptors, to be passed on.
    #[must_use]
    pub fn into_queues(self) -> Vec<OwnedFd> {
        self.queues
    }
}

/// What [`change_tap`](crate::BridgeBackend::change_tap) changes of a tap; `None` is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct TapChange {
    /// The new MAC of the host's side.
    pub mac: Option<MacAddr>,
    /// Its new MTU in bytes.
    pub mtu: Option<u32>,
    /// Up or down.
    pub link: Option<LinkState>,
}

impl TapChange {
    /// To this MAC. It is one that the tap had or may have: a kernel refuses one of a group.
    #[must_use]
    pub const fn mac(mut self, mac: MacAddr) -> Self {
        self.mac = Some(mac);
        self
    }

    /// To this MTU, in bytes.
    #[must_use]
    pub const fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Up or down.
    #[must_use]
    pub const fn link(mut self, link: LinkState) -> Self {
        self.link = Some(link);
        self
    }
}

/// A tap as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct TapState {
    /// Its name.
    pub name: InterfaceName,
    /// Its index.
    pub index: InterfaceIndex,
    /// The MAC of the host's side.
    pub mac: MacAddr,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub link: LinkState,
    /// Whether it stays when its descriptors are closed; `None` where that cannot be read.
    pub persistent: Option<bool>,
    /// Whether it can have more than one queue; `None` where that cannot be read.
    pub multi_queue: Option<bool>,
    /// Whether each frame has a `virtio_net_hdr` before it; `None` where that cannot be read.
    pub vnet_hdr: Option<bool>,
    /// The user who may open it without privilege.
    pub owner: Option<u32>,
    /// The group whose members may.
    pub group: Option<u32>,
    /// The device that opens this tap and no other, where there is one (FreeBSD's `/dev/tapN`,
    /// which keeps its name when the interface is renamed).
    pub device: Option<PathBuf>,
}

impl TapState {
    /// A tap of which this much is known.
    #[must_use]
    pub const fn new(name: InterfaceName, index: InterfaceIndex, mac: MacAddr, mtu: u32, link: LinkState) -> Self {
        let (persistent, multi_queue, vnet_hdr) = (None, None, None);
        Self {
            name,
            index,
            mac,
            mtu,
            link,
            persistent,
            multi_queue,
            vnet_hdr,
            owner: None,
            group: None,
            device: None,
        }
    }
}
