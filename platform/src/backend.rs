//! The trait that every kernel interface implements, and what it promises.

use std::fmt;

use crate::bulk;
use crate::{
    Attempt, BridgeChange, BridgeSpec, BridgeState, Bulk, BulkResult, Capabilities, Capability, Error, ErrorKind,
    Events, FdbEntry, InterfaceName, InterfaceState, Operation, PortOptions, PortState, PortVlans, Result,
    StaticEntry, Tap, TapChange, TapSpec, TapState, UnicastMac, VlanId, VlanRange,
};

/// A kernel's interface for bridges.
///
/// What every implementation promises:
///
/// 1. **All or nothing.** When a call returns an error, the host is as it was before: what was
///    half made is undone. If undoing fails too, [`Error::undo`](crate::Error::undo) carries the
///    second failure and names what was left. Of a call for many items this holds of each; whether of
///    all together, the caller says ([`Bulk`]), but for what [`delete_many`](Self::delete_many) says.
/// 2. **The MAC is part of creation.** No bridge bears its final name before it has the MAC of
///    its spec, except where a system fixes the name at creation (FreeBSD's `bridgeN`). Where
///    the kernel takes the MAC in the creating call, it is there from the first moment
///    ([`AtomicCreate`](crate::Capability::AtomicCreate)). Elsewhere it is set before `create`
///    returns, read back, and still there after udev has had its turn.
/// 3. **Only bridges.** An operation on a bridge first knows that it is one: deleting `eth0` is
///    [`NotABridge`](crate::ErrorKind::NotABridge). Where the kernel can work by index, it does, so that
///    a name that was reused meanwhile is not hit.
/// 4. **Names and MACs are checked before the kernel sees them**, by their types.
/// 5. **An existing interface is an error on `create`**
///    ([`BridgeExists`](crate::ErrorKind::BridgeExists), [`NameInUse`](crate::ErrorKind::NameInUse)).
/// 6. **Unsupported is said, never ignored.** [`capabilities`](Self::capabilities) lists what a
///    backend can do; a call outside of it is [`Unsupported`](crate::ErrorKind::Unsupported).
/// 7. **Errors say what, where, why**, and the same situation has the same
///    [`ErrorKind`](crate::ErrorKind) on every backend.
/// 8. **No waiting without a bound, no lost `EINTR`, no hidden thread.** A handle keeps its
///    sockets for every call, and works in the network namespace (Linux) or VNET jail (FreeBSD)
///    that it was opened in, whatever thread calls it.
/// 9. **Tolerant reader.** What a newer kernel adds is skipped; a malformed reply is
///    [`MalformedReply`](crate::ErrorKind::MalformedReply), never a panic.
///
/// On Linux a name may also be an alternative one (`ip link property add altname`); what is read
/// has the interface's own.
///
/// The trait is object-safe and open: others may implement it
/// ([`Attempt`](crate::Attempt) makes its errors).
pub trait BridgeBackend: fmt::Debug + Send + Sync {
    /// The backend's name, as errors and the command give it.
    fn name(&self) -> &'static str;

    /// What this backend can do beyond what every backend must.
    fn capabilities(&self) -> Capabilities;

    /// Creates a bridge, complete.
    ///
    /// # Errors
    /// `InvalidName`, or `Unsupported` for an option, before anything is made; `InvalidOption`, `BridgeExists`, `NameInUse`, `InvalidMtu`, `PermissionDenied`, `NoDriver`; `MacNotKept` or
    /// `TimedOut` where something else on the host sets MACs and could not be outlasted;
    /// `NotFound` when someone deletes the bridge before it is complete.
    fn create(&self, spec: &BridgeSpec) -> Result<()>;

    /// Deletes a bridge, up or down; its ports stay, without it.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PermissionDenied`.
    fn delete(&self, bridge: InterfaceName) -> Result<()>;

    /// The bridge of this name, or `None` when no interface has it.
    ///
    /// # Errors
    /// `NotABridge` when an interface of another kind has it.
    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>>;

    /// Whether a bridge is up and has a carrier, and the kernel has told its protocols so: on Linux
    /// from a moment after one of its ports forwards on (`br_port_state_selection()`,
    /// `net/core/link_watch.c`). Where that moment has not passed yet, it is waited for, up to two seconds.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`.
    fn has_carrier(&self, bridge: InterfaceName) -> Result<bool> {
        Err(unsupported(self.name(), Operation::Find, bridge, Capability::Carrier))
    }

    /// All bridges, by index.
    ///
    /// # Errors
    /// `ListChanged` when no two readings agree, since other processes change bridges all the time.
    fn list(&self) -> Result<Vec<BridgeState>>;

    /// Changes a bridge: first the MTU and the options, which a kernel may well refuse, then the
    /// MAC, then up or down. What had been changed when a later step fails is set back. (A bridge whose MAC or
    /// MTU was set back no longer follows its ports: no kernel can undo that.)
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `InvalidMtu`, `PermissionDenied`; `Unsupported` for an option,
    /// before anything is changed, and `InvalidOption`.
    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()>;

    /// Makes an interface a port of a bridge.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PortNotFound`, `AlreadyPort`, `PortBusy`, `PortIsBridge`,
    /// `PortUnsuitable`, `TooManyPorts`, `PermissionDenied`.
    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()>;

    /// Releases a port from a bridge.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`, `PermissionDenied`.
    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()>;

    /// The ports of a bridge, by index.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`; `ListChanged` as with [`list`](Self::list).
    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>>;

    /// Changes the options of a port, all or none.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`, `InvalidOption`,
    /// `PermissionDenied`.
    fn change_port(&self, bridge: InterfaceName, port: InterfaceName, options: &PortOptions) -> Result<()> {
        let at = Attempt::new(self.name(), Operation::ChangePort).on(bridge).port(port);
        match options.iter().next() {
            Some(option) => Err(at.with(option.capability()).error(ErrorKind::Unsupported)),
            None => Ok(()),
        }
    }

    /// The forwarding database of a bridge, by port index, VLAN and MAC.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`; `ListChanged` as with [`list`](Self::list).
    fn fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        Err(unsupported(self.name(), Operation::Fdb, bridge, Capability::FdbList))
    }

    /// Adds a static entry to the forwarding database of a bridge.
    ///
    /// # Errors
    /// `EntryExists` when the bridge has an entry for this address and VLAN, learned or not;
    /// `Unsupported`, `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`, `PermissionDenied`.
    fn add_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        let _ = entry;
        Err(unsupported(self.name(), Operation::AddFdbEntry, bridge, Capability::FdbStatic))
    }

    /// Makes an address static behind a port, wherever it was before.
    ///
    /// # Errors
    /// As with [`add_fdb_entry`](Self::add_fdb_entry), but for `EntryExists`.
    fn replace_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        let _ = entry;
        Err(unsupported(self.name(), Operation::ReplaceFdbEntry, bridge, Capability::FdbStatic))
    }

    /// Removes the entry of an address in a VLAN (or without one), static or learned.
    ///
    /// # Errors
    /// `EntryNotFound`; `Unsupported`, `NotFound`, `NotABridge`, `PermissionDenied`.
    fn remove_fdb_entry(&self, bridge: InterfaceName, mac: UnicastMac, vlan: Option<VlanId>) -> Result<()> {
        let _ = (mac, vlan);
        Err(unsupported(self.name(), Operation::RemoveFdbEntry, bridge, Capability::FdbStatic))
    }

    /// Forgets what a bridge has learned; static entries stay.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`, `PermissionDenied`.
    fn flush_fdb(&self, bridge: InterfaceName) -> Result<()> {
        Err(unsupported(self.name(), Operation::FlushFdb, bridge, Capability::FdbFlush))
    }

    /// The VLANs of a port, in order, VLANs in a row with the same tagging as one range.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`.
    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Result<Vec<PortVlans>> {
        let _ = port;
        Err(unsupported(self.name(), Operation::Vlans, bridge, Capability::PortVlans))
    }

    /// Lets VLANs through a port, or changes how they pass it. A port has one PVID: the former one
    /// stays without a tag on Linux, and is no VLAN of the port any longer on FreeBSD.
    ///
    /// # Errors
    /// `Unsupported` (with the kernel's words where it was built without 802.1Q; also for a tagging
    /// that needs [`UntaggedVlans`](crate::Capability::UntaggedVlans)), `NotFound`,
    /// `NotABridge`, `PortNotFound`, `NotAPort`, `InvalidOption` for a range as PVID,
    /// `PermissionDenied`.
    fn add_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: PortVlans) -> Result<()> {
        let _ = (port, vlans);
        Err(unsupported(self.name(), Operation::AddVlans, bridge, Capability::PortVlans))
    }

    /// Lets VLANs no longer through a port; those of the range that it has not are no error, but
    /// none at all is.
    ///
    /// # Errors
    /// `EntryNotFound`; else as with [`add_vlans`](Self::add_vlans).
    fn remove_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: VlanRange) -> Result<()> {
        let _ = (port, vlans);
        Err(unsupported(self.name(), Operation::RemoveVlans, bridge, Capability::PortVlans))
    }

    /// Creates a tap, or adopts one, and opens it: down, and a port of no bridge when it is new.
    ///
    /// It goes when its descriptors are closed, until it is [persisted](Self::persist_tap); where
    /// the backend lacks [`TapTransient`](Capability::TapTransient), it stays.
    ///
    /// # Errors
    /// `InvalidName`, `Unsupported` before anything is made; `TapExists`, `BridgeExists`, `NameInUse`,
    /// `InvalidMtu`, `InvalidMac`, `InvalidOption`, `PermissionDenied`, `NoDriver`; `TapBusy` or
    /// `NotATap` where one is to be adopted; `MacNotKept` or `TimedOut` where something else on the
    /// host sets MACs and could not be outlasted. One that was adopted is then as it was before.
    fn create_tap(&self, spec: &TapSpec) -> Result<Tap> {
        Err(no_taps(self.name(), Operation::CreateTap, spec.name))
    }

    /// Lets a tap outlive its descriptors. This is the last step of whoever sets one up: until
    /// then nothing is left when the process dies.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `PermissionDenied`.
    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        Err(no_taps(self.name(), Operation::PersistTap, Some(tap.name())))
    }

    /// Changes a tap, all or nothing.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotATap`, `InvalidMtu`, `InvalidMac`, `PermissionDenied`.
    fn change_tap(&self, tap: InterfaceName, change: &TapChange) -> Result<()> {
        let _ = change;
        Err(no_taps(self.name(), Operation::ChangeTap, Some(tap)))
    }

    /// Deletes a tap that nobody has open; a port leaves its bridge.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotATap`, `PermissionDenied`; `TapBusy` while anyone has it open,
    /// the caller included: a guest would be cut off (Linux), or deleting would wait for it and hold
    /// up the whole host (FreeBSD).
    fn delete_tap(&self, tap: InterfaceName) -> Result<()> {
        Err(no_taps(self.name(), Operation::DeleteTap, Some(tap)))
    }

    /// All taps, by index.
    ///
    /// # Errors
    /// `Unsupported`; `ListChanged` as with [`list`](Self::list).
    fn taps(&self) -> Result<Vec<TapState>> {
        Err(no_taps(self.name(), Operation::Taps, None))
    }

    /// Creates many bridges, each complete.
    ///
    /// # Errors
    /// Of each bridge, those of [`create`](Self::create).
    fn create_many(&self, specs: &[BridgeSpec], bulk: Bulk) -> BulkResult {
        bulk::create(self, specs, bulk)
    }

    /// Deletes many bridges, up or down; their ports stay, without them.
    ///
    /// No kernel gives a deleted bridge back. With [`Bulk::AllOrNothing`] each is therefore looked at
    /// before the first is deleted, and nothing is deleted if one is not there, is no bridge or is named
    /// twice (the second time it is `NotFound`, with [`Bulk::AsMuchAsPossible`], too). From
    /// there on, netlink deletes all of them in one call, which holds the kernel's network
    /// configuration up until the last is gone (17 ms for each, half of what one alone takes); the
    /// other backends delete one by one, and if that fails midway,
    /// [`BulkError::done`](crate::BulkError::done) tells which are gone. With
    /// [`Bulk::AsMuchAsPossible`], netlink deletes 64 in a call, so that others get their turn.
    ///
    /// On netlink the bridges are first put into an interface group of a random number, whose members are then
    /// read. What someone else puts into that group after that is deleted with them: the kernel can be told
    /// no more than the number. If the process dies before, they stay in that group, which does nothing.
    ///
    /// # Errors
    /// Of each bridge, those of [`delete`](Self::delete).
    fn delete_many(&self, bridges: &[InterfaceName], bulk: Bulk) -> BulkResult {
        bulk::delete(self, bridges, bulk)
    }

    /// Changes many bridges, each wholly or not at all.
    ///
    /// # Errors
    /// Of each bridge, those of [`change`](Self::change).
    fn change_many(&self, changes: &[(InterfaceName, BridgeChange)], bulk: Bulk) -> BulkResult {
        bulk::change(self, changes, bulk)
    }

    /// Makes many interfaces ports of a bridge.
    ///
    /// # Errors
    /// Of each port, those of [`add_port`](Self::add_port).
    fn add_ports(&self, bridge: InterfaceName, ports: &[InterfaceName], bulk: Bulk) -> BulkResult {
        bulk::add_ports(self, bridge, ports, bulk)
    }

    /// Adds many static entries to the forwarding database of a bridge.
    ///
    /// # Errors
    /// Of each entry, those of [`add_fdb_entry`](Self::add_fdb_entry).
    fn add_fdb_entries(&self, bridge: InterfaceName, entries: &[StaticEntry], bulk: Bulk) -> BulkResult {
        bulk::add_fdb_entries(self, bridge, entries, bulk)
    }

    /// Lets VLANs through many ports of a bridge, each an item with its VLANs.
    ///
    /// # Errors
    /// Of each item, those of [`add_vlans`](Self::add_vlans) and of [`vlans`](Self::vlans).
    fn add_port_vlans(
        &self,
        bridge: InterfaceName,
        vlans: &[(InterfaceName, PortVlans)],
        bulk: Bulk,
    ) -> BulkResult {
        bulk::add_vlans(self, bridge, vlans, bulk)
    }

    /// Follows, from now on, what changes on the host.
    ///
    /// Linux tells of every change of a bridge. FreeBSD tells of bridges and ports that come and go,
    /// of up and down, and of MTUs, but of no MAC and no option: look from time to time, too.
    ///
    /// # Errors
    /// `Unsupported`; `Os`: out of descriptors, or a policy forbids such a socket.
    fn events(&self) -> Result<Events> {
        let at = Attempt::new(self.name(), Operation::Events);
        Err(at.with(Capability::Events).error(ErrorKind::Unsupported))
    }

    /// All interfaces of the host, by index: who has which name and which MAC. While others make
    /// and remove interfaces, the list need not be of one moment.
    fn interfaces(&self) -> Result<Vec<InterfaceState>>;
}

fn no_taps(backend: &'static str, operation: Operation, tap: Option<InterfaceName>) -> Error {
    Attempt::new(backend, operation).maybe_on(tap).with(Capability::Tap).error(ErrorKind::Unsupported)
}

fn unsupported(backend: &'static str, operation: Operation, bridge: InterfaceName, lacking: Capability) -> Error {
    Attempt::new(backend, operation).on(bridge).with(lacking).error(ErrorKind::Unsupported)
}

/// A backend that is compiled in.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Available {
    /// Its name, as [`BridgeBackend::name`] gives it.
    pub name: &'static str,
    /// Opens it in the network namespace or jail of the calling thread.
    pub open: fn() -> Result<Box<dyn BridgeBackend>>,
}
