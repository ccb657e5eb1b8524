//! The operations, for every backend.

use crate::transaction::{apply, once};
use crate::{
    Attempt, Backend, BridgeChange, BridgeSpec, BridgeState, Bulk, BulkResult, ErrorKind, Events, FdbEntry,
    Identity, InterfaceState, Made, Operation, PortOptions, PortState, PortVlans, Result, StaticEntry, Step, Tap,
    TapChange, TapSpec, TapState, Target, UnicastMac, VlanId, VlanRange,
};

/// The operations of every [`Backend`]. Each is all or nothing.
///
/// An interface is given as a [`Target`]: a name, or the [`Identity`] of one interface and no other. [`Backend`] states
/// what every operation promises, and [`waiting`](crate::waiting) how long it can wait.
///
/// Every change can fail with `PermissionDenied`, and every call with `Os` ([`ErrorKind`]). With an identity, it fails
/// with `NotFound` or `PortNotFound` if this interface is gone, even if another has its name.
///
/// ```
/// use vmbridge_platform::{BridgeSpec, Bridges, InterfaceName, LinkState, model::Model};
///
/// let host = Model::new();
/// let tap: InterfaceName = "tap0".parse()?;
/// host.add_interface(tap, "02:00:00:00:00:01".parse()?)?;
/// let spec = BridgeSpec::new("br0".parse()?).mac("52:54:00:00:00:07".parse()?).link(LinkState::Up);
/// let bridge = host.create(&spec)?;
/// host.add_port(bridge, tap)?;
/// assert_eq!(host.ports(bridge)?[0].name, tap);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Bridges: Backend {
    /// Creates a bridge, complete, and returns its identity.
    ///
    /// # Errors
    /// `InvalidName`, or `Unsupported` for an option, before anything is created; `InvalidOption`, `BridgeExists`,
    /// `NameInUse`, `InvalidMtu`, `PermissionDenied`, `NoDriver`; `MacNotKept` if another program on the
    /// host keeps setting the MAC (Linux ioctl); `NotFound` if another process deletes the bridge before it is
    /// complete.
    fn create(&self, spec: &BridgeSpec) -> Result<Identity> {
        match once(self, Step::Create(spec.clone()))? {
            Made::Bridge(identity) => Ok(identity),
            _ => Err(Attempt::new(self.name(), Operation::Create).on(spec.name).error(ErrorKind::NotFound)),
        }
    }

    /// Deletes a bridge, up or down. Its ports stay. A deletion cannot be rolled back.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PermissionDenied`.
    fn delete(&self, bridge: impl Into<Target>) -> Result<()> {
        once(self, Step::delete(bridge)).map(drop)
    }

    /// Finds a bridge; `None` when no interface has the name, or the identity.
    ///
    /// # Errors
    /// `NotABridge` when the interface is of another kind.
    fn find(&self, bridge: impl Into<Target>) -> Result<Option<BridgeState>> {
        self.find_bridge(bridge.into())
    }

    /// Lists all bridges, by index.
    ///
    /// # Errors
    /// `ListChanged` when no two readings agree, since other processes change bridges all the time.
    fn list(&self) -> Result<Vec<BridgeState>> {
        self.list_bridges()
    }

    /// Returns whether a bridge is up and has a carrier; see [`Backend::bridge_has_carrier`].
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`.
    fn has_carrier(&self, bridge: impl Into<Target>) -> Result<bool> {
        self.bridge_has_carrier(bridge.into())
    }

    /// Changes a bridge: first the MTU and the options, which a kernel may refuse, then the MAC, then the link state.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `InvalidMtu`, `PermissionDenied`; `Unsupported` for an option, before anything
    /// is changed; `InvalidOption`.
    fn change(&self, bridge: impl Into<Target>, change: &BridgeChange) -> Result<()> {
        once(self, Step::change(bridge, change.clone())).map(drop)
    }

    /// Makes an interface a port of a bridge.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PortNotFound`, `AlreadyPort`, `PortBusy`, `PortIsBridge`, `PortUnsuitable`,
    /// `TooManyPorts`, `PermissionDenied`.
    fn add_port(&self, bridge: impl Into<Target>, port: impl Into<Target>) -> Result<()> {
        once(self, Step::add_port(bridge, port)).map(drop)
    }

    /// Releases a port from a bridge.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`, `PermissionDenied`.
    fn remove_port(&self, bridge: impl Into<Target>, port: impl Into<Target>) -> Result<()> {
        once(self, Step::remove_port(bridge, port)).map(drop)
    }

    /// Lists the ports of a bridge, by index.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`; `ListChanged` as with [`list`](Self::list).
    fn ports(&self, bridge: impl Into<Target>) -> Result<Vec<PortState>> {
        self.list_ports(bridge.into())
    }

    /// Returns a port of any bridge, and its bridge ([`PortState::bridge`]).
    ///
    /// # Errors
    /// `PortNotFound` when no interface has the name, or the identity; `NotAPort` when the interface is not a port.
    fn port(&self, port: impl Into<Target>) -> Result<PortState> {
        let port = port.into();
        if let Some(found) = self.find_port(port)? {
            return Ok(found);
        }
        let is_there = self.list_interfaces()?.iter().any(|interface| port.is(interface.identity()));
        let kind = if is_there { ErrorKind::NotAPort } else { ErrorKind::PortNotFound };
        Err(Attempt::new(self.name(), Operation::Ports).port(port).error(kind))
    }

    /// Changes the options of a port, all or none.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`, `InvalidOption`, `PermissionDenied`.
    fn change_port(
        &self,
        bridge: impl Into<Target>,
        port: impl Into<Target>,
        options: &PortOptions,
    ) -> Result<()> {
        once(self, Step::change_port(bridge, port, *options)).map(drop)
    }

    /// Lists the forwarding database of a bridge, by port index, VLAN and MAC.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`; `ListChanged` as with [`list`](Self::list).
    fn fdb(&self, bridge: impl Into<Target>) -> Result<Vec<FdbEntry>> {
        self.list_fdb(bridge.into())
    }

    /// Adds a static entry to the forwarding database of a bridge.
    ///
    /// # Errors
    /// `EntryExists` when the bridge has an entry for this address and VLAN, learned or not; `Unsupported`,
    /// `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`, `PermissionDenied`.
    fn add_fdb_entry(&self, bridge: impl Into<Target>, entry: &StaticEntry) -> Result<()> {
        once(self, Step::add_fdb_entry(bridge, *entry)).map(drop)
    }

    /// Adds a static entry for an address behind a port, in place of an existing entry.
    ///
    /// # Errors
    /// As with [`add_fdb_entry`](Self::add_fdb_entry), except `EntryExists`.
    fn replace_fdb_entry(&self, bridge: impl Into<Target>, entry: &StaticEntry) -> Result<()> {
        once(self, Step::replace_fdb_entry(bridge, *entry)).map(drop)
    }

    /// Removes the entry of an address in a VLAN, or the entry without a VLAN, static or learned.
    ///
    /// # Errors
    /// `EntryNotFound`; `Unsupported`, `NotFound`, `NotABridge`, `PermissionDenied`.
    fn remove_fdb_entry(&self, bridge: impl Into<Target>, mac: UnicastMac, vlan: Option<VlanId>) -> Result<()> {
        once(self, Step::remove_fdb_entry(bridge, mac, vlan)).map(drop)
    }

    /// Removes the learned entries of a bridge; static ones stay.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`, `PermissionDenied`.
    fn flush_fdb(&self, bridge: impl Into<Target>) -> Result<()> {
        once(self, Step::FlushFdb(bridge.into())).map(drop)
    }

    /// Lists the VLANs of a port, in order; VLANs in a row with the same tagging are one range.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`.
    fn vlans(&self, bridge: impl Into<Target>, port: impl Into<Target>) -> Result<Vec<PortVlans>> {
        self.list_vlans(bridge.into(), port.into())
    }

    /// Adds VLANs to a port, or changes how they pass it. A port has one PVID: the former one stays without a tag
    /// on Linux, and is removed from the port on FreeBSD.
    ///
    /// # Errors
    /// `Unsupported` (with the kernel's message if it was built without 802.1Q; also for a tagging that needs
    /// [`UntaggedVlans`](crate::Capability::UntaggedVlans)), `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`,
    /// `InvalidOption` for a range as PVID, `PermissionDenied`.
    fn add_vlans(&self, bridge: impl Into<Target>, port: impl Into<Target>, vlans: PortVlans) -> Result<()> {
        once(self, Step::add_vlans(bridge, port, vlans)).map(drop)
    }

    /// Removes VLANs from a port. VLANs that the port lacks are ignored.
    ///
    /// # Errors
    /// `EntryNotFound` if the port has none of the range; else as with [`add_vlans`](Self::add_vlans).
    fn remove_vlans(&self, bridge: impl Into<Target>, port: impl Into<Target>, vlans: VlanRange) -> Result<()> {
        once(self, Step::remove_vlans(bridge, port, vlans)).map(drop)
    }

    /// Creates or adopts a tap, and opens it. A new tap is down, and not a port.
    ///
    /// The kernel removes the tap when its descriptors are closed, unless it is [persisted](Backend::persist_tap). On a
    /// backend without [`TapTransient`](crate::Capability::TapTransient), the tap stays.
    ///
    /// # Errors
    /// `InvalidName`, `Unsupported` before anything is created; `TapExists`, `BridgeExists`, `NameInUse`, `InvalidMtu`,
    /// `InvalidMac`, `InvalidOption`, `PermissionDenied`, `NoDriver`; `TapBusy` or `NotATap` when it
    /// adopts; `MacNotKept` if another program on the host keeps setting the MAC (Linux).
    fn create_tap(&self, spec: &TapSpec) -> Result<Tap> {
        match once(self, Step::CreateTap(spec.clone()))? {
            Made::Tap(tap) => Ok(tap),
            _ => {
                Err(Attempt::new(self.name(), Operation::CreateTap).maybe_on(spec.name).error(ErrorKind::NotFound))
            }
        }
    }

    /// Changes a tap, all or nothing.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotATap`, `InvalidMtu`, `InvalidMac`, `PermissionDenied`.
    fn change_tap(&self, tap: impl Into<Target>, change: &TapChange) -> Result<()> {
        once(self, Step::change_tap(tap, *change)).map(drop)
    }

    /// Deletes a tap that no process has open, the caller included. A port leaves its bridge.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotATap`, `PermissionDenied`; `TapBusy` while a process has it open. Otherwise a
    /// guest would lose its network (Linux), or the deletion would wait for the guest and block the host (FreeBSD).
    fn delete_tap(&self, tap: impl Into<Target>) -> Result<()> {
        once(self, Step::delete_tap(tap)).map(drop)
    }

    /// Finds a tap; `None` when no interface has the name, or the identity.
    ///
    /// # Errors
    /// `Unsupported`; `NotATap` when the interface is of another kind.
    fn tap(&self, tap: impl Into<Target>) -> Result<Option<TapState>> {
        self.find_tap(tap.into())
    }

    /// Lists all taps, by index.
    ///
    /// # Errors
    /// `Unsupported`; `ListChanged` as with [`list`](Self::list).
    fn taps(&self) -> Result<Vec<TapState>> {
        self.list_taps()
    }

    /// Lists all interfaces of the host, by index.
    ///
    /// # Errors
    /// `Os`.
    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        self.list_interfaces()
    }

    /// Follows the changes on the host from now on; see [`Backend::open_events`].
    ///
    /// # Errors
    /// `Unsupported`; `Os`: out of descriptors, or a policy forbids such a socket.
    fn events(&self) -> Result<Events> {
        self.open_events()
    }

    /// Carries out many steps, each all or nothing. [`Bulk`] chooses what happens to the others when one fails.
    ///
    /// The steps are carried out in their order. Steps of one kind that follow one another, on different interfaces or
    /// addresses, are looked at together and then carried out together: netlink sends many messages in one call.
    ///
    /// Steps that [cannot be rolled back](Backend), such as [`Step::Delete`], stay done when a later step fails
    /// ([`BulkError::done`](crate::BulkError::done)): put them last.
    ///
    /// Netlink deletes bridges by a temporary group, 64 in a call, in half the time. The kernel's lock for network
    /// configuration is held for about a second then.
    ///
    /// # Errors
    /// The failures, each with the place of its step in `steps`, from 0. `Unsupported` for [`Step::CreateTap`], whose
    /// tap would be closed: use a [`Transaction`](crate::Transaction).
    fn apply(&self, steps: &[Step], bulk: Bulk) -> BulkResult {
        apply(self, steps, bulk)
    }
}

impl<B: Backend + ?Sized> Bridges for B {}
