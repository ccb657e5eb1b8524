//! The backend's handle, and what all of its calls use.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libc::c_int;
use nix::errno::Errno;

use super::host_ipv6::Inet6;
use super::{list, sysctl};
use crate::error::{Attempt, CallResult};
use crate::ifreq::Control;
use crate::waiting::Limits;
use crate::{ErrorKind, InterfaceName, MacAddr, Operation, Outcome, Result};

/// What a call says of interfaces: the MAC of each that has one, by name.
pub(super) type Macs = BTreeMap<InterfaceName, Option<MacAddr>>;

/// Bridges of FreeBSD, in the VNET that it was opened in: the host's or that of a jail.
///
/// - Changes need root, of the host or of a VNET jail. Where the bridge driver is not loaded,
///   [`create`](crate::Bridges::create) loads it; in a jail that is not allowed, and the host must
///   have loaded it before (`kldload if_bridge`).
/// - What is made under another name than the kernel's is a `bridgeN` or `tapN` first, with an N
///   from 16384 to 32767 that follows from its name. If the process dies over it, the next one to
///   make the same takes away what has that name yet, is down, and neither is a port nor has any:
///   give no such number to an interface of yours. It takes nothing away while another process is
///   at work, which they tell by a lock on `/var/run/vmbridge/making`; where that file cannot be
///   made, nothing ever.
/// - The kernel gives a new interface the lowest free index. An [`Identity`](crate::Identity) therefore has the
///   time of attachment, too, in seconds of uptime. If an interface goes and another comes within one second,
///   both may have the same identity. Every change compares the name with the identity directly before, so
///   that it sees no rename between these calls.
/// - The kernel keeps the number of a `bridgeN` that was renamed, so that for as long as it is
///   there no other gets its old name (`NameInUse`).
/// - All ports of a bridge have its MTU. The first port sets the bridge's, also one that was set
///   before; a later one gets the bridge's, and so do all of them when that is changed.
/// - A bridge that was never given a MAC keeps the one that it was born with, unless the sysctl
///   `net.link.bridge.inherit_mac` is 1: then it takes its first port's, and loses one that it is
///   given while it has that as soon as that port leaves.
/// - A new bridge has no IPv6 of the host until it is given an address, and accepts no router advertisements, whatever
///   the sysctls say: [`HostIpv6`](crate::HostIpv6) reads as `Disabled` first. `Kernel` and `Manual` change nothing of
///   a new bridge. `Disabled` keeps the addresses, which are not used.
/// - STP is a matter of each port ([`PortOptions::stp`](crate::PortOptions::stp)). There is no switch for the whole bridge,
///   which would hold for ports to come: [`BridgeOptions::stp`](crate::BridgeOptions::stp) is
///   `Unsupported`, and not taken for one of the ports that happen to be there.
/// - A new STP protocol reaches the ports that speak STP at that time, and those that join later.
///   A port that was there and has STP turned on later speaks the protocol that the bridge had
///   when it joined. Path costs above 65535 become that under the protocol STP. The hello time is
///   2 s after the protocol was set; with RSTP it cannot be another.
/// - Fewer [`max_addresses`](crate::BridgeOptions::max_addresses) than are learned are made room
///   for by forgetting some, which setting it back does not bring back.
/// - VLANs are told apart from FreeBSD 15 on (read in its source and compiled against its headers,
///   not run). A port has one VLAN without a tag, its PVID: setting another takes its place, and
///   any other tagging is `Unsupported`
///   ([`UntaggedVlans`](crate::Capability::UntaggedVlans)). Unlike Linux, it lets frames of its
///   PVID in only without a tag; one that has none, of a bridge that has
///   [`vlan_filtering`](crate::BridgeOptions::vlan_filtering), takes no frame without a tag. A new
///   [`default_pvid`](crate::BridgeOptions::default_pvid) is that of ports to come: it is none at
///   first, and those that are there keep theirs.
/// - Before FreeBSD 15 frames without a VLAN are of VLAN 1 to the kernel: its entries in the FDB are
///   those without one. From 15 on it removes an entry without a VLAN together with those of the
///   same MAC in VLANs: static ones are set again, learned ones are learned again. An entry without
///   a VLAN is not for a port's VLANs, the PVID included.
/// - Static entries count as learned ones do; where there is no room for one that is `Os`,
///   with `ENOSPC`. Entries that a sticky port has learned are static: they do not age, nor go
///   with [`flush_fdb`](crate::Bridges::flush_fdb). One that is too old is still listed until the
///   kernel looks for such, every five minutes. An age is wrong by as much as the ageing time was
///   changed since the last frame.
/// - In a jail that has no VNET of its own the kernel tells no MAC: that of a bridge is then all
///   zero.
/// - The kernel destroys one interface at a time, and waits without end for a tap that someone
///   has open. While it does so, deleting a bridge waits as well.
/// - A tap has a device, [`TapState::device`](crate::TapState::device), which the kernel lets one process open at a time and
///   whose name stays when the tap is renamed. In a jail its devfs must show it (`devfs.rules(5)`).
///   Where the tap driver is not loaded, [`create_tap`](crate::Bridges::create_tap) loads it, as
///   above.
/// - A tap goes with its descriptor from FreeBSD 15.0 on
///   ([`TapTransient`](crate::Capability::TapTransient)); before, it stays until it is deleted.
/// - A tap that is closed goes down and loses its addresses, but for one that was
///   [persisted](crate::Backend::persist_tap): it has the flag `link0` then, and stays as it is
///   (tap(4)).
/// - The header before the frames of a tap is that of a descriptor: whoever opens the tap next has none. It has 10 or
///   12 bytes.
/// - The MTU of a tap that is a port is that of its bridge; setting another is `Unsupported`
///   (`EOPNOTSUPP`). An MTU is from 72 to 65535.
/// - A process that has entered another jail since it opened the backend can do nothing with taps
///   (`Unsupported`): which device a tap has the kernel tells for the network of the process only.
#[derive(Debug)]
pub struct FreeBsdBackend {
    pub(super) control: Control,
    pub(super) inet6: Inet6,
    /// Whether the kernel tells VLANs apart, once a bridge has told.
    pub(super) has_vlans: OnceLock<bool>,
    /// The version of the kernel that the jail of the process was told.
    pub(super) version: c_int,
    pub(super) limits: Limits,
}

impl FreeBsdBackend {
    /// [`Backend::name`](crate::Backend::name) of this backend.
    pub const NAME: &str = "freebsd";

    /// Opens its socket in the VNET of the process.
    ///
    /// # Errors
    /// `Os`: out of descriptors.
    pub fn open() -> Result<Self> {
        Self::open_with(Limits::default())
    }

    /// Opens it as [`open`](Self::open) does, with limits for its calls that wait.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(limits: Limits) -> Result<Self> {
        let at = Self::at(Operation::Open);
        let control = Control::open().at(at)?;
        let inet6 = Inet6::open().at(at)?;
        let version = sysctl::version().at(at)?;
        Ok(Self { control, inet6, version, has_vlans: OnceLock::new(), limits })
    }

    pub(super) fn at(operation: Operation) -> Attempt {
        Attempt::new(Self::NAME, operation)
    }

    /// The MACs of all interfaces.
    pub(super) fn macs(&self, at: Attempt) -> Result<Macs> {
        macs(at, &self.control)
    }
}

pub(super) fn macs(at: Attempt, control: &Control) -> Result<Macs> {
    let interfaces = control.interfaces().at(at)?;
    list::decode(&interfaces).ok_or_else(|| at.error(ErrorKind::MalformedReply))
}

/// What was read of interfaces one by one, without those that vanished while they were read.
pub(super) fn still_there<T>(at: Attempt, read: impl Iterator<Item = nix::Result<T>>) -> Result<Vec<T>> {
    read.filter(|outcome| !matches!(outcome, Err(Errno::ENXIO))).map(|outcome| outcome.at(at)).collect()
}

/// Makes calls one after another, until one fails. A call that the kernel refuses changes nothing.
pub(super) fn in_order(calls: impl IntoIterator<Item = Result<()>>) -> Outcome {
    for (place, outcome) in calls.into_iter().enumerate() {
        match outcome {
            Ok(()) => {}
            Err(error) if place == 0 => return Outcome::Refused(error),
            Err(error) => return Outcome::unclear(error),
        }
    }
    Outcome::DONE
}
