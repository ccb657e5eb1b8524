//! Bridges through rtnetlink: one `RTM_NEWLINK` makes a bridge complete.
//!
//! The kernel's side is `net/core/rtnetlink.c` and `net/bridge/br_netlink.c`.

mod attach;
mod attribute;
mod batch;
mod change;
mod create;
mod delete;
mod fdb;
mod link;
mod list;
mod message;
mod neighbour;
mod options;
mod outcome;
mod port;
mod request;
mod requests;
mod socket;
mod tap;
mod tun_data;
mod vlan;
mod vlan_info;

use std::sync::OnceLock;

use nix::errno::Errno;

use self::link::Link;
use self::outcome::{Cause, Found, again, as_bridge, error, found, with_text};
use self::request::Request;
use self::requests::Filter;
use self::socket::{Failure, Socket};
use crate::bulk;
use crate::error::Attempt;
use crate::linux::capabilities::CAPABILITIES;
use crate::linux::carrier;
use crate::linux::events;
use crate::linux::namespace::Namespace;
use crate::linux::tap as taps;
use crate::linux::udev::Udev;
use crate::{
    BridgeBackend, BridgeChange, BridgeSpec, BridgeState, Bulk, BulkError, BulkResult, Capabilities, Capability,
    ErrorKind, Events, FdbEntry, InterfaceIndex, InterfaceName, InterfaceState, MacAddr, Operation, PortOptions,
    PortState, PortVlans, Result, StaticEntry, Tap, TapChange, TapSpec, TapState, UnicastMac, VlanId, VlanRange,
};

/// What it can do that the ioctls cannot.
const BEYOND_IOCTLS: [Capability; 6] = [
    Capability::AtomicCreate,
    Capability::Locked,
    Capability::FdbStatic,
    Capability::FdbVlan,
    Capability::PortVlans,
    Capability::UntaggedVlans,
];

/// Bridges through rtnetlink, in the network namespace that it was opened in.
#[derive(Debug)]
pub struct NetlinkBackend {
    socket: Socket,
    namespace: Namespace,
    /// Opened when a tap is created with a MAC.
    udev: OnceLock<Udev>,
}

impl NetlinkBackend {
    /// [`BridgeBackend::name`] of this backend.
    pub const NAME: &str = "netlink";

    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `Unsupported` or `Os`: this kernel or policy has no rtnetlink.
    pub fn open() -> Result<Self> {
        let at = Attempt::new(Self::NAME, Operation::Open);
        let socket = Socket::open().map_err(|source| match source.raw_os_error().map(Errno::from_raw) {
            Some(errno @ (Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT)) => {
                at.means(ErrorKind::Unsupported, errno)
            }
            Some(errno) => at.errno(errno),
            None => at.io(ErrorKind::Os, source),
        })?;
        Ok(Self { socket, namespace: Namespace::open(), udev: OnceLock::new() })
    }

    fn at(operation: Operation) -> Attempt {
        Attempt::new(Self::NAME, operation)
    }

    /// Adds a veth, one end with this name and MAC: an Ethernet interface for a [`Sandbox`](super::Sandbox).
    #[cfg(feature = "sandbox")]
    pub(super) fn add_veth(&self, name: InterfaceName, mac: UnicastMac) -> std::io::Result<()> {
        self.socket.execute(requests::create_veth(name, mac)).map_err(|failure| match failure {
            Failure::Refused(errno, _) => errno.into(),
            Failure::Io(source) => source,
            Failure::TimedOut => std::io::ErrorKind::TimedOut.into(),
            Failure::Malformed | Failure::Cut | Failure::ListChanged => std::io::ErrorKind::InvalidData.into(),
        })
    }

    /// What has this name.
    fn look(&self, name: InterfaceName) -> Found {
        found(self.socket.get_link(|| requests::get_by_name(name)))
    }

    /// The interface of this name, of whatever kind.
    fn interface(&self, at: Attempt, name: InterfaceName) -> Result<Option<Link>> {
        self.look(name).map_err(|failure| error(at, failure))
    }

    /// The bridge of this name.
    fn bridge(&self, at: Attempt, name: InterfaceName) -> Result<Link> {
        as_bridge(at, self.look(name))
    }

    /// The bridge that many items are about: without it each of them fails, and without items none.
    fn bridge_of_each<T>(
        &self,
        bridge: InterfaceName,
        items: &[T],
        at: impl Fn(&T) -> Attempt,
    ) -> std::result::Result<Option<Link>, BulkError> {
        let found = self.look(bridge);
        let checked = items.iter().enumerate().map(|(number, item)| (number, as_bridge(at(item), again(&found))));
        bulk::refuse(checked.filter_map(|(number, bridge)| Some((number, bridge.err()?))))?;
        Ok(found.ok().flatten().filter(|_| !items.is_empty()))
    }

    /// Has the kernel do something. Where its answer is lost, `is_done` finds out what it did.
    fn execute<C: Into<Cause>>(
        &self,
        at: Attempt,
        request: Request,
        is_done: impl FnOnce() -> std::result::Result<bool, Failure>,
        refusal: impl FnOnce(Errno, Option<&str>) -> C,
    ) -> Result<()> {
        Self::conclude(at, self.socket.execute(request), is_done, refusal)
    }

    /// What came of something that the kernel was asked to do.
    fn conclude<C: Into<Cause>>(
        at: Attempt,
        outcome: std::result::Result<(), Failure>,
        is_done: impl FnOnce() -> std::result::Result<bool, Failure>,
        refusal: impl FnOnce(Errno, Option<&str>) -> C,
    ) -> Result<()> {
        let failure = match outcome {
            Ok(()) => return Ok(()),
            Err(Failure::Refused(errno, text)) => {
                let cause = refusal(errno, text.as_deref()).into();
                let at = cause.option.map_or(at, |option| at.with(option));
                return Err(with_text(at.means(cause.kind, errno), text));
            }
            Err(failure) => failure,
        };
        match is_done() {
            Ok(true) => Ok(()),
            Ok(false) => Err(error(at, failure)),
            Err(second) => {
                Err(error(at, failure)
                    .undone(Err(error(at, second)), "what was asked, if it was done before that,"))
            }
        }
    }

    /// The interface of this index.
    fn indexed(&self, index: InterfaceIndex) -> std::result::Result<Link, Failure> {
        self.socket.get_link(|| requests::get_by_index(index))
    }

    fn is_gone(&self, index: InterfaceIndex) -> bool {
        matches!(self.indexed(index), Err(Failure::Refused(Errno::ENODEV, _)))
    }
}

impl BridgeBackend for NetlinkBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES.into_iter().chain(BEYOND_IOCTLS).collect()
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        self.create_bridge(spec)
    }

    fn create_many(&self, specs: &[BridgeSpec], bulk: Bulk) -> BulkResult {
        self.create_bridges(specs, bulk)
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        self.delete_bridge(bridge)
    }

    fn delete_many(&self, bridges: &[InterfaceName], bulk: Bulk) -> BulkResult {
        self.delete_bridges(bridges, bulk)
    }

    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>> {
        let at = Self::at(Operation::Find).on(bridge);
        match self.interface(at, bridge)? {
            None => Ok(None),
            Some(link) if link.is_bridge => Ok(Some(bridge_state(&link))),
            Some(_) => Err(at.error(ErrorKind::NotABridge)),
        }
    }

    fn has_carrier(&self, bridge: InterfaceName) -> Result<bool> {
        carrier::settled(|| Ok(self.bridge(Self::at(Operation::Find).on(bridge), bridge)?.carrier))
    }

    fn list(&self) -> Result<Vec<BridgeState>> {
        self.read_bridges()
    }

    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        self.change_bridge(bridge, change)
    }

    fn change_many(&self, changes: &[(InterfaceName, BridgeChange)], bulk: Bulk) -> BulkResult {
        self.change_bridges(changes, bulk)
    }

    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        self.attach(bridge, port)
    }

    fn add_ports(&self, bridge: InterfaceName, ports: &[InterfaceName], bulk: Bulk) -> BulkResult {
        self.attach_many(bridge, ports, bulk)
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        self.detach(bridge, port)
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        let at = Self::at(Operation::Ports).on(bridge);
        let bridge = self.bridge(at, bridge)?.index;
        let links = self
            .socket
            .dump(|| requests::dump(Filter::PortsOf(bridge)), |link| link.master == Some(bridge))
            .map_err(|failure| error(at, failure))?;
        Ok(links.iter().map(port_state).collect())
    }

    fn change_port(&self, bridge: InterfaceName, port: InterfaceName, options: &PortOptions) -> Result<()> {
        self.set_port_options(bridge, port, options)
    }

    fn fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        self.read_fdb(bridge)
    }

    fn add_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        self.add_neighbour(bridge, entry)
    }

    fn add_fdb_entries(&self, bridge: InterfaceName, entries: &[StaticEntry], bulk: Bulk) -> BulkResult {
        self.add_neighbours(bridge, entries, bulk)
    }

    fn replace_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        self.replace_neighbour(bridge, entry)
    }

    fn remove_fdb_entry(&self, bridge: InterfaceName, mac: UnicastMac, vlan: Option<VlanId>) -> Result<()> {
        self.remove_neighbour(bridge, mac, vlan)
    }

    fn flush_fdb(&self, bridge: InterfaceName) -> Result<()> {
        self.forget(bridge)
    }

    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Result<Vec<PortVlans>> {
        self.read_vlans(bridge, port)
    }

    fn add_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: PortVlans) -> Result<()> {
        self.let_through(bridge, port, vlans)
    }

    fn add_port_vlans(
        &self,
        bridge: InterfaceName,
        vlans: &[(InterfaceName, PortVlans)],
        bulk: Bulk,
    ) -> BulkResult {
        self.let_many_through(bridge, vlans, bulk)
    }

    fn remove_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: VlanRange) -> Result<()> {
        self.let_no_longer_through(bridge, port, vlans)
    }

    fn events(&self) -> Result<Events> {
        events::open(&self.namespace, Self::at(Operation::Events))
    }

    fn create_tap(&self, spec: &TapSpec) -> Result<Tap> {
        taps::create(self, spec)
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        taps::persist(self, tap)
    }

    fn change_tap(&self, tap: InterfaceName, change: &TapChange) -> Result<()> {
        taps::change(self, tap, change)
    }

    fn delete_tap(&self, tap: InterfaceName) -> Result<()> {
        taps::delete(self, tap)
    }

    fn taps(&self) -> Result<Vec<TapState>> {
        self.read_taps()
    }

    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        let links = self
            .socket
            // For who has which name or MAC a moment more or less does not matter.
            .dump_roughly(|| requests::dump(Filter::All))
            .map_err(|failure| error(Self::at(Operation::Interfaces), failure))?;
        Ok(links.iter().map(|link| InterfaceState { name: link.name, index: link.index, mac: link.mac }).collect())
    }
}

fn bridge_state(link: &Link) -> BridgeState {
    BridgeState {
        name: link.name,
        index: link.index,
        mac: link.mac.unwrap_or(MacAddr::ZERO),
        mtu: link.mtu,
        link: link.state,
        options: link.options,
    }
}

fn port_state(link: &Link) -> PortState {
    PortState {
        name: link.name,
        index: link.index,
        mac: link.mac.unwrap_or(MacAddr::ZERO),
        mtu: link.mtu,
        link: link.state,
        options: link.port_options,
        stp_state: link.stp_state,
    }
}
