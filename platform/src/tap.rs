//! Taps: Ethernet interfaces whose other end is a program, such as a guest's network card.

use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::identity::{identities, targets};
use crate::setters::setters;
use crate::words::words;
use crate::{
    Attempt, Capabilities, Capability, ErrorKind, Identity, InterfaceIndex, InterfaceName, LinkState, MacAddr,
    Result, TapOffloads, UnicastMac,
};

targets!(Tap);
identities!(TapState);

/// A tap to create or adopt with [`create_tap`](crate::Bridges::create_tap).
///
/// ```
/// use vmbridge_platform::{TapSpec, UnicastMac, VnetHeader};
///
/// let guest: UnicastMac = "52:54:00:ab:0c:01".parse()?;
/// let spec = TapSpec::new().name("vnet0".parse()?).mac(guest.host_side()).vnet_hdr(VnetHeader::Legacy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields, rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct TapSpec {
    /// Its name. For `None` the kernel chooses the first free name of `tap0`, `tap1` …
    pub name: Option<InterfaceName>,
    /// Whether to refuse or adopt an existing tap of this name.
    pub existing: ExistingTap,
    /// The MAC of the host's side, which the guest does not see; a random one by default.
    pub mac: Option<UnicastMac>,
    /// Its MTU in bytes, 68 to 65521 on Linux (`tun_net_initialize()`); 1500 by default.
    pub mtu: Option<u32>,
    /// The number of its descriptors, each a queue of frames; 1 to 256 on Linux (`MAX_TAP_QUEUES`), 1 on FreeBSD.
    /// More than one makes a tap for `queues=` of QEMU. Without an owner and a group, every user of the host may open
    /// another queue (`tun_not_capable()`).
    pub queues: NonZeroU16,
    /// The header before each frame, which QEMU and vhost need for offloads; none by default.
    ///
    /// A persistent tap on Linux keeps its size when it is closed. Rollback does not take that back: each process
    /// that opens a tap with headers sets the size that it expects, and so does adopting a tap.
    pub vnet_hdr: Option<VnetHeader>,
    /// What the reader of the tap takes over from the kernel; only with a header. `None` leaves them as they are:
    /// none of a new tap.
    ///
    /// A persistent tap keeps them when it is closed. Rollback does not take them back.
    pub offloads: Option<TapOffloads>,
    /// The user who may open it without privilege, if it is persistent. An adopted tap must have this owner already:
    /// no kernel removes an owner.
    pub owner: Option<u32>,
    /// The group whose members may open it; likewise.
    pub group: Option<u32>,
}

impl Default for TapSpec {
    fn default() -> Self {
        Self::new()
    }
}

impl TapSpec {
    /// Makes a spec of a tap with one queue, and a name and a MAC of the kernel's choice.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            name: None,
            existing: ExistingTap::Refuse,
            mac: None,
            mtu: None,
            queues: NonZeroU16::MIN,
            vnet_hdr: None,
            offloads: None,
            owner: None,
            group: None,
        }
    }

    setters! {
        /// Sets the name.
        name: Option<InterfaceName>;
        /// Sets the MAC of the host's side.
        mac: Option<UnicastMac>;
        /// Sets the MTU, in bytes.
        mtu: Option<u32>;
        /// Sets the number of descriptors.
        queues: NonZeroU16;
        /// Puts a header of this size before each frame.
        vnet_hdr: Option<VnetHeader>;
        /// Sets the user who may open it.
        owner: Option<u32>;
        /// Sets the group whose members may open it.
        group: Option<u32>;
    }

    /// Adopts an existing tap of this name. It keeps its owner and its group.
    #[must_use]
    pub const fn adopt_existing(mut self) -> Self {
        self.existing = ExistingTap::Adopt;
        self
    }

    /// Sets the offloads, which need a header.
    #[must_use]
    pub fn offloads(mut self, offloads: impl Into<TapOffloads>) -> Self {
        self.offloads = Some(offloads.into());
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
            (self.vnet_hdr.is_some(), Capability::TapVnetHdr),
            (self.offloads.is_some(), Capability::TapOffloads),
            (self.owner.is_some() || self.group.is_some(), Capability::TapOwner),
        ];
        if self.name.is_some_and(|name| name.check().is_err()) {
            return Err(at.error(ErrorKind::InvalidName));
        }
        for (_, capability) in needs.into_iter().filter(|&(is_needed, _)| is_needed) {
            at.need(capability, capabilities)?;
        }
        // Without a header, nothing tells the reader what is left to do.
        if self.vnet_hdr.is_none() && self.offloads.is_some_and(|offloads| !offloads.is_empty()) {
            return Err(at.with(Capability::TapOffloads).error(ErrorKind::InvalidOption));
        }
        Ok(())
    }
}

/// The header before each frame of a tap, by the names of virtio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VnetHeader {
    /// `struct virtio_net_hdr`, 10 bytes: of a virtio device before version 1 without mergeable buffers.
    #[default]
    Legacy,
    /// `struct virtio_net_hdr_mrg_rxbuf`, 12 bytes: of a virtio device with mergeable buffers
    /// (`VIRTIO_NET_F_MRG_RXBUF`) or of version 1 (`virtio_net_hdr_v1`).
    MergeableBuffers,
}

words! { VnetHeader: Legacy = "legacy", MergeableBuffers = "mergeable-buffers" }

impl VnetHeader {
    /// Returns its size in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Legacy => 10,
            Self::MergeableBuffers => 12,
        }
    }
}

/// What to do if a tap of the name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExistingTap {
    /// It is an error.
    Refuse,
    /// It is adopted, if no other process has it open. On Linux a tap of several queues, which several processes may
    /// open, is then shared.
    Adopt,
}

words! { ExistingTap: Refuse = "refuse", Adopt = "adopt" }

/// A tap that is open. Its descriptors are closed on exec.
///
/// The kernel removes the tap when they are closed, unless it was
/// [persisted](crate::Backend::persist_tap) or the backend lacks
/// [`TapTransient`](Capability::TapTransient).
#[derive(Debug)]
pub struct Tap {
    identity: Identity,
    queues: Vec<OwnedFd>,
}

impl Tap {
    /// For those who implement [`Backend`](crate::Backend).
    #[must_use]
    pub const fn new(identity: Identity, queues: Vec<OwnedFd>) -> Self {
        Self { identity, queues }
    }

    /// Returns its identity.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns the name that it had when it was opened.
    #[must_use]
    pub const fn name(&self) -> InterfaceName {
        self.identity.name()
    }

    /// Returns its index.
    #[must_use]
    pub const fn index(&self) -> InterfaceIndex {
        self.identity.index()
    }

    /// Returns its descriptors, one for each queue. A write sends a frame to the host, and a read receives one; each
    /// call has one frame.
    #[must_use]
    pub fn queues(&self) -> &[OwnedFd] {
        &self.queues
    }

    /// Sets whether a read without a frame, or a write without room for one, fails with `EAGAIN` instead of waiting
    /// (`O_NONBLOCK`). Every copy of the descriptors follows.
    ///
    /// # Errors
    /// That of the system call.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        for queue in &self.queues {
            let mut flags = OFlag::from_bits_retain(fcntl(queue.as_fd(), FcntlArg::F_GETFL)?);
            flags.set(OFlag::O_NONBLOCK, nonblocking);
            fcntl(queue.as_fd(), FcntlArg::F_SETFL(flags))?;
        }
        Ok(())
    }

    /// Returns its descriptors, and consumes the tap.
    #[must_use]
    pub fn into_queues(self) -> Vec<OwnedFd> {
        self.queues
    }
}

/// What [`change_tap`](crate::Bridges::change_tap) changes of a tap; `None` changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct TapChange {
    /// The new MAC of the host's side.
    pub mac: Option<MacAddr>,
    /// Its new MTU in bytes.
    pub mtu: Option<u32>,
    /// Up or down.
    pub link: Option<LinkState>,
    /// Whether frames have a `virtio_net_hdr`, until the tap is next opened. Only of a tap that nobody has
    /// open; one that somebody has open keeps theirs. Nothing on FreeBSD, where a closed tap has none.
    pub vnet_hdr: Option<bool>,
}

impl TapChange {
    setters! {
        /// Sets the MAC of the host's side: one that the tap had or may have. A kernel refuses one of a group.
        mac: Option<MacAddr>;
        /// Sets the MTU, in bytes.
        mtu: Option<u32>;
        /// Sets it up or down.
        link: Option<LinkState>;
        /// Puts a `virtio_net_hdr` before each frame, or none.
        vnet_hdr: Option<bool>;
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
    /// What tells it from others of the same index ([`Identity`]); 0 on Linux.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub incarnation: u64,
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
            incarnation: 0,
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
