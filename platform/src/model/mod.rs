//! A kernel in memory: the rules of Linux's bridge as an executable specification, and the
//! backend for the tests of tools that use vmbridge.
//!
//! The rules were read in Linux's `net/bridge`, and random sequences of operations are played on
//! the model and on a running kernel and compared after each step. Where the two differed the
//! kernel was right; what that taught stands beside the rules.
//!
//! ```
//! use vmbridge_platform::model::Model;
//! use vmbridge_platform::{BridgeBackend, BridgeSpec};
//!
//! let host = Model::new();
//! host.add_interface("tap0".parse()?, "02:00:00:00:00:01".parse()?)?;
//! host.create(&BridgeSpec::new("br0".parse()?).mac("52:54:00:00:00:07".parse()?))?;
//! host.add_port("br0".parse()?, "tap0".parse()?)?;
//! let bridge = host.find("br0".parse()?)?.expect("it was just created");
//! assert_eq!(bridge.mac.to_string(), "52:54:00:00:00:07");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fdb;
mod host;
mod options;
mod tap;
mod vlan;

use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use self::host::{Bridge, Host, Interface, Kind};
use crate::error::Attempt;
use crate::{
    BridgeBackend, BridgeChange, BridgeOption, BridgeSpec, BridgeState, Capabilities, Capability, ErrorKind,
    Events, FdbEntry, InterfaceName, InterfaceState, Operation, PortOption, PortOptions, PortState, PortStpState,
    PortVlans, Result, StaticEntry, Tap, TapChange, TapSpec, TapState, UnicastMac, VlanId, VlanRange, VlanTagging,
};

const NAME: &str = "model";

/// A host with interfaces and bridges, in memory.
///
/// A new one has the loopback interface `lo`. It is one host for all its users: share it by
/// reference or in an `Arc`. No frames flow on it: nothing is ever learned, no port forwards, and
/// what is written to a tap is lost.
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

    /// The same with a kernel that was built without 802.1Q: VLANs are `Unsupported`.
    #[must_use]
    pub fn without_vlans() -> Self {
        Self { host: Mutex::new(Host::new(false)), ..Self::new() }
    }

    /// The same with these of its capabilities only, to be like another backend.
    #[must_use]
    pub fn limited_to(mut self, capabilities: Capabilities) -> Self {
        self.capabilities =
            self.capabilities.iter().filter(|&capability| capabilities.contains(capability)).collect();
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

    fn check(&self, at: Attempt, capability: Capability) -> Result<()> {
        if self.capabilities.contains(capability) {
            return Ok(());
        }
        Err(at.with(capability).error(ErrorKind::Unsupported))
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

impl BridgeBackend for Model {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        let at = Attempt::new(NAME, Operation::Create).on(spec.name);
        spec.check(at, self.capabilities())?;
        self.transact(|host| {
            host.check_free(at, spec.name)?;
            host.check_privilege(at)?;
            host::check_mtu(at, host::MTU_RANGE, spec.mtu)?;
            let mac = match spec.mac {
                Some(mac) => mac,
                None => UnicastMac::generate().map_err(|source| at.io(ErrorKind::Os, source))?,
            };
            // Seen: an MTU that comes in the creating message holds until the first port joins
            // (`rtnl_create_link()` does not tell the bridge that it was set); one that is set in a
            // call of its own stays.
            let mtu_set = spec.mtu.is_some() && !self.capabilities.contains(Capability::AtomicCreate);
            let mut bridge = Bridge::new(host.has_vlans, spec.mac.is_some(), mtu_set);
            spec.options.iter().try_for_each(|option| bridge.set(at, option))?;
            let mut interface = Interface::new(spec.name, mac.into(), Kind::Bridge(bridge));
            interface.mtu = spec.mtu.unwrap_or(interface.mtu);
            interface.link = spec.link;
            host.insert(interface);
            Ok(())
        })
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        let at = Attempt::new(NAME, Operation::Delete).on(bridge);
        self.transact(|host| {
            let index = host.bridge(at, bridge)?;
            host.check_privilege(at)?;
            host.remove(index);
            Ok(())
        })
    }

    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>> {
        let host = self.host();
        if host.index(bridge).is_none() {
            return Ok(None);
        }
        let index = host.bridge(Attempt::new(NAME, Operation::Find).on(bridge), bridge)?;
        Ok(host.bridge_state(index).map(|state| self.limited(state)))
    }

    fn has_carrier(&self, bridge: InterfaceName) -> Result<bool> {
        let at = Attempt::new(NAME, Operation::Find).on(bridge);
        self.check(at, Capability::Carrier)?;
        let host = self.host();
        let index = host.bridge(at, bridge)?;
        Ok(host.has_carrier(index))
    }

    fn list(&self) -> Result<Vec<BridgeState>> {
        let host = self.host();
        let states = host.interfaces.keys().filter_map(|&index| host.bridge_state(index));
        Ok(states.map(|state| self.limited(state)).collect())
    }

    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        let at = Attempt::new(NAME, Operation::Change).on(bridge);
        change.options.check(at, self.capabilities())?;
        self.transact(|host| {
            let index = host.bridge(at, bridge)?;
            let Some(before) = host.bridge_state(index) else { return Ok(()) };
            let mtu = change.mtu.filter(|&mtu| mtu != before.mtu);
            let link = change.link.filter(|&link| link != before.link);
            let options = change.options.changes(&before.options);
            if mtu.is_none() && options.is_empty() && change.mac.is_none() && link.is_none() {
                return Ok(());
            }
            host.check_privilege(at)?;
            host::check_mtu(at, host::MTU_RANGE, mtu)?;
            for option in options {
                host.set_option(at, index, option)?;
            }
            host.set(index, mtu, change.mac.map(Into::into), link);
            Ok(())
        })
    }

    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Attempt::new(NAME, Operation::AddPort).on(bridge).port(port);
        self.transact(|host| {
            let bridge = host.bridge(at, bridge)?;
            let index = host.index(port).ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENODEV))?;
            host.add_port(at, bridge, index)
        })
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Attempt::new(NAME, Operation::RemovePort).on(bridge).port(port);
        self.transact(|host| {
            let (bridge, port) = host.port(at, bridge, port)?;
            host.check_privilege(at)?;
            host.release(bridge, port);
            Ok(())
        })
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        let host = self.host();
        let bridge = host.bridge(Attempt::new(NAME, Operation::Ports).on(bridge), bridge)?;
        let state = |(index, interface): (_, &Interface)| PortState {
            name: interface.name,
            index,
            mac: interface.mac,
            mtu: interface.mtu,
            link: interface.link,
            options: interface.port.iter().flat_map(|port| self.known(port.options.iter())).collect(),
            stp_state: self.capabilities.contains(Capability::PortStpState).then_some(PortStpState::Disabled),
        };
        Ok(host.ports(bridge).map(state).collect())
    }

    fn change_port(&self, bridge: InterfaceName, port: InterfaceName, options: &PortOptions) -> Result<()> {
        let at = Attempt::new(NAME, Operation::ChangePort).on(bridge).port(port);
        options.check(at, self.capabilities())?;
        self.transact(|host| {
            let (_, port) = host.port(at, bridge, port)?;
            host.change_port(at, port, options)
        })
    }

    fn fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let at = Attempt::new(NAME, Operation::Fdb).on(bridge);
        self.check(at, Capability::FdbList)?;
        let host = self.host();
        let bridge = host.bridge(at, bridge)?;
        Ok(host.fdb(bridge))
    }

    fn add_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        let at = Attempt::new(NAME, Operation::AddFdbEntry).on(bridge).port(entry.port);
        self.check(at, Capability::FdbStatic)?;
        let mut host = self.host();
        let (bridge, port) = host.port(at, bridge, entry.port)?;
        host.check_privilege(at)?;
        host.add_entry(at, bridge, port, entry, fdb::Existing::Refuse)
    }

    fn replace_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        let at = Attempt::new(NAME, Operation::ReplaceFdbEntry).on(bridge).port(entry.port);
        self.check(at, Capability::FdbStatic)?;
        let mut host = self.host();
        let (bridge, port) = host.port(at, bridge, entry.port)?;
        host.check_privilege(at)?;
        host.add_entry(at, bridge, port, entry, fdb::Existing::Replace)
    }

    fn remove_fdb_entry(&self, bridge: InterfaceName, mac: UnicastMac, vlan: Option<VlanId>) -> Result<()> {
        let at = Attempt::new(NAME, Operation::RemoveFdbEntry).on(bridge);
        self.check(at, Capability::FdbStatic)?;
        let mut host = self.host();
        let bridge = host.bridge(at, bridge)?;
        host.remove_entry(at, bridge, mac, vlan)
    }

    fn flush_fdb(&self, bridge: InterfaceName) -> Result<()> {
        let at = Attempt::new(NAME, Operation::FlushFdb).on(bridge);
        self.check(at, Capability::FdbFlush)?;
        let host = self.host();
        host.bridge(at, bridge)?;
        // Nothing was ever learned.
        host.check_privilege(at)
    }

    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Result<Vec<PortVlans>> {
        let at = Attempt::new(NAME, Operation::Vlans).on(bridge).port(port);
        self.check(at, Capability::PortVlans)?;
        let host = self.host();
        let (_, port) = host.port(at, bridge, port)?;
        Ok(host.vlans(port))
    }

    fn add_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: PortVlans) -> Result<()> {
        let at = Attempt::new(NAME, Operation::AddVlans).on(bridge).port(port);
        self.check(at, Capability::PortVlans)?;
        if matches!(vlans.tagging, VlanTagging::Untagged | VlanTagging::PvidTagged) {
            self.check(at, Capability::UntaggedVlans)?;
        }
        vlan::check_pvid(at, vlans)?;
        self.transact(|host| {
            let (_, port) = host.port(at, bridge, port)?;
            host.add_vlans(at, port, vlans)
        })
    }

    fn remove_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: VlanRange) -> Result<()> {
        let at = Attempt::new(NAME, Operation::RemoveVlans).on(bridge).port(port);
        self.check(at, Capability::PortVlans)?;
        self.transact(|host| {
            let (_, port) = host.port(at, bridge, port)?;
            host.remove_vlans(at, port, vlans)
        })
    }

    fn create_tap(&self, spec: &TapSpec) -> Result<Tap> {
        let at = Attempt::new(NAME, Operation::CreateTap).maybe_on(spec.name);
        spec.check(at, self.capabilities())?;
        self.transact(|host| host.create_tap(at, spec))
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        let at = Attempt::new(NAME, Operation::PersistTap).on(tap.name());
        self.check(at, Capability::Tap)?;
        self.transact(|host| host.persist_tap(at, tap.index()))
    }

    fn change_tap(&self, tap: InterfaceName, change: &TapChange) -> Result<()> {
        let at = Attempt::new(NAME, Operation::ChangeTap).on(tap);
        self.check(at, Capability::Tap)?;
        self.transact(|host| host.change_tap(at, tap, change))
    }

    fn delete_tap(&self, tap: InterfaceName) -> Result<()> {
        let at = Attempt::new(NAME, Operation::DeleteTap).on(tap);
        self.check(at, Capability::Tap)?;
        self.transact(|host| host.delete_tap(at, tap))
    }

    fn taps(&self) -> Result<Vec<TapState>> {
        self.check(Attempt::new(NAME, Operation::Taps), Capability::Tap)?;
        Ok(self.host().taps())
    }

    fn events(&self) -> Result<Events> {
        let at = Attempt::new(NAME, Operation::Events);
        self.check(at, Capability::Events)?;
        let pair = || {
            let (ours, theirs) = UnixDatagram::pair()?;
            ours.set_nonblocking(true)?;
            self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(ours);
            Ok(Events::new(theirs.into(), at))
        };
        pair().map_err(|source| at.io(ErrorKind::Os, source))
    }

    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        let host = self.host();
        let state = |(&index, interface): (_, &Interface)| InterfaceState {
            name: interface.name,
            index,
            mac: Some(interface.mac),
        };
        Ok(host.interfaces.iter().map(state).collect())
    }
}
