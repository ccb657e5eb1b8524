//! Bridges through rtnetlink: one `RTM_NEWLINK` makes a bridge complete; an MTU takes another message in the same send.
//!
//! The kernel's side is `net/core/rtnetlink.c` and `net/bridge/br_netlink.c`. A step is looked at ([`look`]) and
//! carried out ([`run`]); both send the messages of many steps at once. Every message names interfaces by index.

mod attribute;
mod change;
mod create;
mod delete;
mod fdb;
mod link;
mod list;
mod look;
mod message;
mod neighbour;
mod options;
mod outcome;
mod port;
mod request;
mod requests;
mod run;
mod socket;
mod tap;
mod tun_data;
mod vlan;
mod vlan_info;

use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use nix::errno::Errno;

use self::link::Link;
use self::outcome::{Found, as_bridge, error, found};
use self::request::Request;
use self::requests::Filter;
use self::socket::{Failure, Socket};
use crate::error::Attempt;
use crate::linux::capabilities::{self, CAPABILITIES};
use crate::linux::carrier;
use crate::linux::events;
use crate::linux::host_ipv6::HostIpv6Files;
use crate::linux::namespace::Namespace;
use crate::linux::tap as taps;
use crate::linux::udev::Udev;
use crate::waiting::Limits;
use crate::{
    Backend, BridgeState, Bulk, Capabilities, Capability, Error, ErrorKind, Events, FdbEntry, Identity,
    InterfaceIndex, InterfaceState, MacAddr, Operation, Outcome, PortState, PortVlans, Result, Seen, Step, Tap,
    TapState, Target,
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
    host_ipv6: HostIpv6Files,
    limits: Limits,
    /// Those of the kernel, when they were asked for.
    capabilities: OnceLock<Capabilities>,
}

impl NetlinkBackend {
    /// [`Backend::name`] of this backend.
    pub const NAME: &str = "netlink";

    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `Unsupported` or `Os`: this kernel or policy has no rtnetlink.
    pub fn open() -> Result<Self> {
        Self::open_with(Limits::default())
    }

    /// Opens it as [`open`](Self::open) does, with limits for its calls that wait.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(limits: Limits) -> Result<Self> {
        let at = Attempt::new(Self::NAME, Operation::Open);
        let socket =
            Socket::open(limits.answer).map_err(|source| match source.raw_os_error().map(Errno::from_raw) {
                Some(errno @ (Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT)) => {
                    at.means(ErrorKind::Unsupported, errno)
                }
                Some(errno) => at.errno(errno),
                None => at.io(ErrorKind::Os, source),
            })?;
        let namespace = Namespace::open();
        let host_ipv6 = HostIpv6Files::new(&namespace);
        Ok(Self { socket, namespace, udev: OnceLock::new(), host_ipv6, limits, capabilities: OnceLock::new() })
    }

    fn at(operation: Operation) -> Attempt {
        Attempt::new(Self::NAME, operation)
    }

    /// Adds a veth, one end with this name and MAC: an Ethernet interface for a [`Sandbox`](super::Sandbox).
    #[cfg(feature = "sandbox")]
    pub(super) fn add_veth(&self, name: crate::InterfaceName, mac: crate::UnicastMac) -> std::io::Result<()> {
        self.socket.execute(requests::create_veth(name, mac)).map_err(|failure| match failure {
            Failure::Refused(errno, _) => errno.into(),
            Failure::Io(source) => source,
            Failure::TimedOut => std::io::ErrorKind::TimedOut.into(),
            Failure::Malformed | Failure::Cut | Failure::ListChanged => std::io::ErrorKind::InvalidData.into(),
        })
    }

    /// Looks for an interface.
    fn look_for(&self, target: Target) -> Found {
        found(self.socket.get_link(|| requests::get(target)))
    }

    /// Looks for an interface of each item, many in one send.
    fn look_for_all<T>(&self, items: &[T], request: impl Fn(&T) -> Request) -> Vec<Found> {
        let mut all = Vec::with_capacity(items.len());
        while let rest @ [_, ..] = &items[all.len()..] {
            let answers = self.socket.exchange_some::<Link>(rest.iter().map(&request));
            all.extend(rest.iter().zip(answers).map(|(item, answer)| match answer {
                Ok(_) | Err(Failure::Refused(..)) => found(answer),
                // What was lost is asked for again, alone.
                Err(_) => found(self.socket.get_link(|| request(item))),
            }));
        }
        all
    }

    /// Gets the interface of this index.
    fn indexed(&self, index: InterfaceIndex) -> std::result::Result<Link, Failure> {
        self.socket.get_link(|| requests::get_by_index(index))
    }

    fn is_gone(&self, index: InterfaceIndex) -> bool {
        matches!(self.indexed(index), Err(Failure::Refused(Errno::ENODEV, _)))
    }

    /// The error of a failure to read something of a bridge. The kernel has several words for a bridge that is gone.
    fn failure_on(&self, at: Attempt, bridge: InterfaceIndex, failure: Failure) -> Error {
        match failure {
            Failure::Refused(errno, _) if self.is_gone(bridge) => at.means(ErrorKind::NotFound, errno),
            failure => error(at, failure),
        }
    }

    /// Gets the bridge that an interface is a port of.
    fn master_of(&self, port: &Link) -> std::result::Result<Option<Identity>, Failure> {
        let Some(master) = port.master else { return Ok(None) };
        Ok(found(self.indexed(master))?.filter(|master| master.is_bridge).map(|master| master.identity()))
    }
}

impl Backend for NetlinkBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        *self.capabilities.get_or_init(|| capabilities::of_kernel(self, Self::open))
    }

    fn implemented(&self) -> Capabilities {
        CAPABILITIES.into_iter().chain(BEYOND_IOCTLS).collect()
    }

    fn look(&self, step: &Step) -> Result<Seen> {
        self.look_one(step)
    }

    fn look_all(&self, steps: &[&Step], each: &mut dyn FnMut(Result<Seen>)) {
        self.look_at(steps, each);
    }

    fn run(&self, step: &Step, seen: &Seen) -> Outcome {
        self.run_one(step, seen)
    }

    fn run_all(&self, steps: &[(&Step, Seen)], bulk: Bulk, each: &mut dyn FnMut(usize, Outcome)) {
        self.run_many(steps, bulk, each);
    }

    fn find_bridge(&self, bridge: Target) -> Result<Option<BridgeState>> {
        let at = Self::at(Operation::Find).on(bridge);
        match self.look_for(bridge).map_err(|failure| error(at, failure))? {
            None => Ok(None),
            Some(link) if link.is_bridge => Ok(Some(bridge_state(&link))),
            Some(_) => Err(at.error(ErrorKind::NotABridge)),
        }
    }

    fn bridge_has_carrier(&self, bridge: Target) -> Result<bool> {
        let at = Self::at(Operation::Find).on(bridge);
        carrier::settled(self.limits.carrier, || Ok(as_bridge(at, &self.look_for(bridge))?.carrier))
    }

    fn list_bridges(&self) -> Result<Vec<BridgeState>> {
        self.read_bridges()
    }

    fn list_ports(&self, bridge: Target) -> Result<Vec<PortState>> {
        let at = Self::at(Operation::Ports).on(bridge);
        let found = self.look_for(bridge);
        let bridge = as_bridge(at, &found)?;
        let links = self
            .socket
            .dump(|| requests::dump(Filter::PortsOf(bridge.index)), |link| link.master == Some(bridge.index))
            .map_err(|failure| error(at, failure))?;
        Ok(links.iter().map(|link| port_state(link, bridge.identity())).collect())
    }

    fn find_port(&self, port: Target) -> Result<Option<PortState>> {
        let at = Self::at(Operation::Ports).port(port);
        let failed = |failure| error(at, failure);
        let Some(link) = self.look_for(port).map_err(failed)? else { return Ok(None) };
        Ok(self.master_of(&link).map_err(failed)?.map(|bridge| port_state(&link, bridge)))
    }

    fn find_tap(&self, tap: Target) -> Result<Option<TapState>> {
        taps::find(self, tap)
    }

    fn list_taps(&self) -> Result<Vec<TapState>> {
        self.read_taps()
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        taps::persist(self, tap)
    }

    fn adopt_descriptors(&self, queues: Vec<OwnedFd>) -> Result<Tap> {
        taps::adopt_descriptors(self, queues)
    }

    fn list_fdb(&self, bridge: Target) -> Result<Vec<FdbEntry>> {
        self.read_fdb(bridge)
    }

    fn list_vlans(&self, bridge: Target, port: Target) -> Result<Vec<PortVlans>> {
        self.read_vlans(bridge, port)
    }

    fn open_events(&self) -> Result<Events> {
        events::open(&self.namespace, Self::at(Operation::Events))
    }

    fn list_interfaces(&self) -> Result<Vec<InterfaceState>> {
        let links = self
            .socket
            // For who has which name or MAC a moment more or less does not matter.
            .dump_roughly(|| requests::dump(Filter::All))
            .map_err(|failure| error(Self::at(Operation::Interfaces), failure))?;
        Ok(links.iter().map(|link| InterfaceState::new(link.name, link.index, link.mac)).collect())
    }
}

fn bridge_state(link: &Link) -> BridgeState {
    let mac = link.mac.unwrap_or(MacAddr::ZERO);
    BridgeState { options: link.options, ..BridgeState::new(link.name, link.index, mac, link.mtu, link.state) }
}

fn port_state(link: &Link, bridge: Identity) -> PortState {
    let mac = link.mac.unwrap_or(MacAddr::ZERO);
    PortState {
        bridge: Some(bridge),
        options: link.port_options,
        stp_state: link.stp_state,
        ..PortState::new(link.name, link.index, mac, link.mtu, link.state)
    }
}
