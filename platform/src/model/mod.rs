//! A kernel in memory: the rules of Linux's bridge as an executable specification, and the
//! backend for the tests of tools that use vmbridge.
//!
//! The rules were read in Linux's `net/bridge`, and random sequences of operations are played on
//! the model and on a running kernel and compared after each step. Where the two differed the
//! kernel was right; what that taught stands beside the rules.
//!
//! ```
//! use vmbridge_platform::model::Model;
//! use vmbridge_platform::{BridgeSpec, Bridges, InterfaceName};
//!
//! let host = Model::new();
//! let tap: InterfaceName = "tap0".parse()?;
//! host.add_interface(tap, "02:00:00:00:00:01".parse()?)?;
//! let bridge = host.create(&BridgeSpec::new("br0".parse()?).mac("52:54:00:00:00:07".parse()?))?;
//! host.add_port(bridge, tap)?;
//! let state = host.find(bridge)?.expect("it was just created");
//! assert_eq!(state.mac.to_string(), "52:54:00:00:00:07");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fdb;
mod host;
mod options;
mod tap;
mod vlan;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use self::host::{Bridge, Host, Interface, Kind};
use crate::error::Attempt;
use crate::{
    Backend, BridgeOption, BridgeSpec, BridgeState, Capabilities, Capability, ErrorKind, Events, ExistingTap,
    FdbEntry, Identity, InterfaceIndex, InterfaceName, InterfaceState, Made, Operation, Outcome, PortOption,
    PortState, PortStpState, PortVlans, Result, Seen, SeenPort, SeenVlans, Step, Tap, TapState, Target,
    UnicastMac, VlanId,
};

const NAME: &str = "model";

/// A host with interfaces and bridges, in memory.
///
/// A new one has the loopback interface `lo`. It is one host for all its users: share it by
/// reference or in an `Arc`. No frames flow on it: a bridge learns only through [`learn`](Self::learn), no port
/// forwards, and what is written to a tap is lost.
#[derive(Debug)]
pub struct Model {
    host: Mutex<Host>,
    capabilities: Capabilities,
    /// Where it tells of its changes.
    listeners: Mutex<Vec<UnixDatagram>>,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// A host with a loopback interface, whose caller has every privilege.
    #[must_use]
    pub fn new() -> Self {
        // Linux's netlink has all but what is FreeBSD's alone.
        let freebsd = [Capability::StpProtocol, Capability::MaxAddresses, Capability::PortStp, Capability::Sticky];
        let capabilities =
            Capability::ALL.iter().copied().filter(|capability| !freebsd.contains(capability)).collect();
        Self { host: Mutex::new(Host::new(true)), capabilities, listeners: Mutex::default() }
    }

    /// The same with a kernel that was built without 802.1Q: VLANs are `Unsupported`, though
    /// [`implemented`](Backend::implemented).
    #[must_use]
    pub fn without_vlans() -> Self {
        Self { host: Mutex::new(Host::new(false)), ..Self::new() }
    }

    /// The same with these of its capabilities only, to be like another backend.
    #[must_use]
    pub fn limited_to(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = self.capabilities.common(capabilities);
        self.host().sets_in_sysfs = !self.capabilities.contains(Capability::AtomicCreate);
        self
    }

    /// A bridge as a backend of these capabilities sees it.
    fn limited(&self, mut state: BridgeState) -> BridgeState {
        let known = |option: &BridgeOption| self.capabilities.contains(option.capability());
        state.options = state.options.iter().filter(known).collect();
        state
    }

    /// Those options of a port that a backend of these capabilities sees.
    fn known(&self, options: impl Iterator<Item = PortOption>) -> impl Iterator<Item = PortOption> {
        options.filter(|option| self.capabilities.contains(option.capability()))
    }

    /// Renames an interface of any kind, up or down.
    ///
    /// # Errors
    /// `NotFound`; `NameInUse` or `BridgeExists`.
    pub fn rename_interface(&self, name: InterfaceName, to: InterfaceName) -> Result<()> {
        let at = Attempt::new(NAME, Operation::Change).on(name);
        self.transact(|host| {
            let index = host.index(name).ok_or_else(|| at.errno(Errno::ENODEV))?;
            host.check_free(at, to)?;
            host.interfaces.entry(index).and_modify(|interface| interface.name = to);
            Ok(())
        })
    }

    /// The same with a kernel that gives an interface the lowest free index, as FreeBSD's does.
    #[must_use]
    pub fn reusing_indices(self) -> Self {
        self.host().reuses_indices = true;
        self
    }

    /// Takes or gives back the privilege that every change needs (`CAP_NET_ADMIN`).
    pub fn set_privileged(&self, privileged: bool) {
        self.host().privileged = privileged;
    }

    /// Adds an Ethernet interface that is down, as one end of a veth would be.
    ///
    /// # Errors
    /// `NameInUse` or `BridgeExists`.
    pub fn add_interface(&self, name: InterfaceName, mac: UnicastMac) -> Result<()> {
        let at = Attempt::new(NAME, Operation::Create).on(name);
        self.transact(|host| {
            host.check_free(at, name)?;
            host.insert(Interface::new(name, mac.into(), Kind::Ethernet));
            Ok(())
        })
    }

    /// Removes an interface of any kind; a port leaves its bridge first, a bridge its ports.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_interface(&self, name: InterfaceName) -> Result<()> {
        let at = Attempt::new(NAME, Operation::Delete).on(name);
        self.transact(|host| {
            let index = host.index(name).ok_or_else(|| at.errno(Errno::ENODEV))?;
            host.remove(index);
            Ok(())
        })
    }

    /// Lets a bridge learn an address, as from a frame that comes in through a port.
    ///
    /// A port that does not learn or is locked learns nothing, and a static or a local entry stays as it is. A
    /// learned entry does not age: it goes when it is flushed, removed or replaced, and with its port or its VLAN.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`.
    pub fn learn(
        &self,
        bridge: impl Into<Target>,
        port: impl Into<Target>,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<()> {
        let (bridge, port) = (bridge.into(), port.into());
        let at = Attempt::new(NAME, Operation::Fdb).on(bridge).port(port);
        let mut host = self.host();
        let (bridge, port) = host.port(at, bridge, port)?;
        host.learn(bridge, port, mac, vlan);
        Ok(())
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        // A host is replaced as a whole, so that no panic leaves half a change.
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        host.remove_closed_taps();
        host
    }

    /// Tells those who follow that something has changed. Where there is no room for a message,
    /// there are others that say so.
    fn tell(&self) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| match listener.send(&[0]) {
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            Ok(_) => true,
        });
    }

    /// Changes the host, or leaves it as it was if that fails. Not for the FDB: a copy of ten thousand
    /// entries takes its time, and what changes that looks at everything first.
    fn transact<T>(&self, act: impl FnOnce(&mut Host) -> Result<T>) -> Result<T> {
        let mut host = self.host();
        let mut after = host.clone();
        let result = act(&mut after)?;
        *host = after;
        self.tell();
        Ok(result)
    }
}

impl Backend for Model {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let has_vlans = self.host().has_vlans;
        self.capabilities.iter().filter(|capability| has_vlans || !capability.needs_vlans()).collect()
    }

    fn implemented(&self) -> Capabilities {
        self.capabilities
    }

    fn look(&self, step: &Step) -> Result<Seen> {
        let at = step.attempt(NAME);
        let host = self.host();
        Ok(match step {
            Step::Create(_) => Seen::Nothing,
            &Step::Delete(bridge) | &Step::FlushFdb(bridge) => {
                Seen::Interface(host.identity(host.bridge(at, bridge)?))
            }
            Step::Change { bridge, .. } => {
                let index = host.bridge(at, *bridge)?;
                Seen::bridge(self.limited(host.bridge_state(index).ok_or_else(|| at.errno(Errno::ENODEV))?))
            }
            &Step::AddPort { bridge, port }
            | &Step::RemovePort { bridge, port }
            | &Step::ChangePort { bridge, port, .. } => Seen::Port(self.seen_port(&host, at, bridge, port)?),
            &Step::AddFdbEntry { bridge, entry } | &Step::ReplaceFdbEntry { bridge, entry } => {
                let (bridge, port) = host.bridge_and_interface(at, bridge, entry.port)?;
                Seen::Entries(host.seen_entries(bridge, Some(port), entry.mac, entry.vlan))
            }
            &Step::RemoveFdbEntry { bridge, mac, vlan } => {
                Seen::Entries(host.seen_entries(host.bridge(at, bridge)?, None, mac, vlan))
            }
            &Step::AddVlans { bridge, port, .. } | &Step::RemoveVlans { bridge, port, .. } => {
                let (bridge, port) = host.bridge_and_interface(at, bridge, port)?;
                let mut seen = SeenVlans::new(host.identity(bridge), host.identity(port), host.vlans(port));
                seen.is_port = host.is_port_of(port, bridge);
                Seen::Vlans(seen)
            }
            Step::CreateTap(spec) => match spec.name.and_then(|name| host.index(name)) {
                None => Seen::Nothing,
                Some(index) if spec.existing == ExistingTap::Refuse => {
                    return Err(at.error(host.kind_of_taken(index)));
                }
                Some(index) => Seen::Tap(host.tap_state(index).ok_or_else(|| at.error(ErrorKind::NotATap))?),
            },
            &Step::ChangeTap { tap, .. } | &Step::DeleteTap(tap) => {
                let index = host.tap(at, tap)?;
                Seen::Tap(host.tap_state(index).ok_or_else(|| at.error(ErrorKind::NotATap))?)
            }
        })
    }

    fn run(&self, step: &Step, seen: &Seen) -> Outcome {
        match self.carry_out(step, seen) {
            Ok(made) => Outcome::Done(made),
            Err(error) => Outcome::Refused(error),
        }
    }

    fn find_bridge(&self, bridge: Target) -> Result<Option<BridgeState>> {
        let host = self.host();
        if host.resolve(bridge).is_none() {
            return Ok(None);
        }
        let index = host.bridge(Attempt::new(NAME, Operation::Find).on(bridge), bridge)?;
        Ok(host.bridge_state(index).map(|state| self.limited(state)))
    }

    fn bridge_has_carrier(&self, bridge: Target) -> Result<bool> {
        let at = Attempt::new(NAME, Operation::Find).on(bridge);
        at.need(Capability::Carrier, self.capabilities)?;
        let host = self.host();
        let index = host.bridge(at, bridge)?;
        Ok(host.has_carrier(index))
    }

    fn list_bridges(&self) -> Result<Vec<BridgeState>> {
        let host = self.host();
        let states = host.interfaces.keys().filter_map(|&index| host.bridge_state(index));
        Ok(states.map(|state| self.limited(state)).collect())
    }

    fn list_ports(&self, bridge: Target) -> Result<Vec<PortState>> {
        let host = self.host();
        let bridge = host.bridge(Attempt::new(NAME, Operation::Ports).on(bridge), bridge)?;
        Ok(host.ports(bridge).map(|(index, interface)| self.port_state(&host, index, interface)).collect())
    }

    fn list_fdb(&self, bridge: Target) -> Result<Vec<FdbEntry>> {
        let at = Attempt::new(NAME, Operation::Fdb).on(bridge);
        at.need(Capability::FdbList, self.capabilities)?;
        let host = self.host();
        let bridge = host.bridge(at, bridge)?;
        Ok(host.fdb(bridge))
    }

    fn list_vlans(&self, bridge: Target, port: Target) -> Result<Vec<PortVlans>> {
        let at = Attempt::new(NAME, Operation::Vlans).on(bridge).port(port);
        at.need(Capability::PortVlans, self.capabilities)?;
        let host = self.host();
        let (_, port) = host.port(at, bridge, port)?;
        Ok(host.vlans(port))
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        let at = Attempt::new(NAME, Operation::PersistTap).on(tap);
        at.need(Capability::Tap, self.capabilities)?;
        self.transact(|host| host.persist_tap(at, tap.identity().into()))
    }

    fn adopt_descriptors(&self, queues: Vec<OwnedFd>) -> Result<Tap> {
        let at = Attempt::new(NAME, Operation::AdoptTap);
        at.need(Capability::TapDescriptors, self.capabilities)?;
        let host = self.host();
        let tap = host.tap_of(at, &queues)?;
        Ok(Tap::new(host.identity(tap), queues))
    }

    fn list_taps(&self) -> Result<Vec<TapState>> {
        Attempt::new(NAME, Operation::Taps).need(Capability::Tap, self.capabilities)?;
        let host = self.host();
        Ok(host.interfaces.keys().filter_map(|&index| host.tap_state(index)).collect())
    }

    fn open_events(&self) -> Result<Events> {
        let at = Attempt::new(NAME, Operation::Events);
        at.need(Capability::Events, self.capabilities)?;
        let pair = || {
            let (ours, theirs) = UnixDatagram::pair()?;
            ours.set_nonblocking(true)?;
            self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(ours);
            Ok(Events::new(theirs.into(), at))
        };
        pair().map_err(|source| at.io(ErrorKind::Os, source))
    }

    fn list_interfaces(&self) -> Result<Vec<InterfaceState>> {
        let host = self.host();
        let state = |(&index, &Interface { name, incarnation, mac, .. }): (_, &_)| InterfaceState {
            incarnation,
            ..InterfaceState::new(name, index, Some(mac))
        };
        Ok(host.interfaces.iter().map(state).collect())
    }
}

impl Model {
    fn port_state(&self, host: &Host, index: InterfaceIndex, interface: &Interface) -> PortState {
        PortState {
            name: interface.name,
            index,
            incarnation: interface.incarnation,
            bridge: interface.port.as_ref().map(|port| host.identity(port.bridge)),
            mac: interface.mac,
            mtu: interface.mtu,
            link: interface.link,
            options: interface.port.iter().flat_map(|port| self.known(port.options.iter())).collect(),
            stp_state: self.capabilities.contains(Capability::PortStpState).then_some(PortStpState::Disabled),
        }
    }

    fn seen_port(&self, host: &Host, at: Attempt, bridge: Target, port: Target) -> Result<SeenPort> {
        let (bridge, port) = host.bridge_and_interface(at, bridge, port)?;
        let mtu = |index| host.interfaces[&index].mtu;
        let mut seen = SeenPort::new(host.identity(bridge), mtu(bridge), host.identity(port), mtu(port));
        seen.is_port = host.is_port_of(port, bridge);
        seen.options = self.port_state(host, port, &host.interfaces[&port]).options;
        Ok(seen)
    }

    /// Carries out a step, on the interfaces that were seen.
    fn carry_out(&self, step: &Step, seen: &Seen) -> Result<Made> {
        match step {
            Step::AddFdbEntry { .. }
            | Step::ReplaceFdbEntry { .. }
            | Step::RemoveFdbEntry { .. }
            | Step::FlushFdb(_) => Self::carry_out_in(&mut self.host(), step, seen),
            _ => self.transact(|host| Self::carry_out_in(host, step, seen)),
        }
    }

    fn carry_out_in(host: &mut Host, step: &Step, seen: &Seen) -> Result<Made> {
        let at = step.attempt(NAME);
        let gone = || at.errno(Errno::ENODEV);
        let interface = || seen.interface().map(Target::from).ok_or_else(gone);
        let port = || seen.port().map(Target::from).ok_or_else(gone);
        // Each is found on the host before anything changes.
        let bridge = || host.bridge(at, interface()?);
        let bridge_and_port = || host.port(at, interface()?, port()?);
        let port_index = || bridge_and_port().map(|(_, port)| port);
        let tap = || host.tap(at, interface()?);
        match step {
            Step::Create(spec) => return Self::create_in(host, at, spec).map(Made::Bridge),
            Step::CreateTap(spec) => {
                let seen = seen.interface().map(Target::from);
                return host.create_tap(at, spec, seen).map(Made::Tap);
            }
            Step::Delete(_) => {
                let bridge = bridge()?;
                host.check_privilege(at)?;
                host.remove(bridge);
            }
            Step::Change { change, .. } => host.change_bridge(at, bridge()?, change)?,
            Step::AddPort { .. } => {
                let (bridge, port) = host.bridge_and_interface(at, interface()?, port()?)?;
                host.add_port(at, bridge, port)?;
            }
            Step::RemovePort { .. } => {
                let (bridge, port) = bridge_and_port()?;
                host.check_privilege(at)?;
                host.release(bridge, port);
            }
            Step::ChangePort { options, .. } => host.change_port(at, port_index()?, options)?,
            Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. } => {
                let existing = match step {
                    Step::AddFdbEntry { .. } => fdb::Existing::Refuse,
                    _ => fdb::Existing::Replace,
                };
                let (bridge, port) = bridge_and_port()?;
                host.check_privilege(at)?;
                host.add_entry(at, bridge, port, entry, existing)?;
            }
            &Step::RemoveFdbEntry { mac, vlan, .. } => host.remove_entry(at, bridge()?, mac, vlan)?,
            Step::FlushFdb(_) => {
                let bridge = bridge()?;
                host.check_privilege(at)?;
                host.forget(bridge, |_, _| true);
            }
            &Step::AddVlans { vlans, .. } => host.add_vlans(at, port_index()?, vlans)?,
            &Step::RemoveVlans { vlans, .. } => host.remove_vlans(at, port_index()?, vlans)?,
            Step::ChangeTap { change, .. } => host.change_tap(at, tap()?, change)?,
            Step::DeleteTap(_) => host.delete_tap(at, tap()?)?,
        }
        Ok(Made::Nothing)
    }

    fn create_in(host: &mut Host, at: Attempt, spec: &BridgeSpec) -> Result<Identity> {
        host.check_free(at, spec.name)?;
        host.check_privilege(at)?;
        host::check_mtu(at, host::MTU_RANGE, spec.mtu)?;
        let mac = match spec.mac {
            Some(mac) => mac,
            None => UnicastMac::generate().map_err(|source| at.io(ErrorKind::Os, source))?,
        };
        let mut bridge = Bridge::new(host.has_vlans, spec.mac.is_some(), spec.mtu.is_some());
        spec.options.iter().try_for_each(|option| bridge.set(at, option))?;
        let mut interface = Interface::new(spec.name, mac.into(), Kind::Bridge(bridge));
        interface.set_mtu(spec.mtu.unwrap_or(interface.mtu));
        interface.link = spec.link;
        let index = host.insert(interface);
        Ok(host.identity(index))
    }
}
