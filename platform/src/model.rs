//! A kernel in memory: the rules of Linux's bridge as an executable specification, and the
//! backend for the tests of tools that use vmbridge.
//!
//! The rules were read in Linux's `net/bridge/br_if.c` and `br_stp_if.c`; the conformance suite
//! holds the model and running kernels to the same expectations.
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

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use crate::error::Attempt;
use crate::{
    BridgeBackend, BridgeChange, BridgeOptions, BridgeSpec, BridgeState, Capabilities, Capability, Error,
    ErrorKind, InterfaceIndex, InterfaceName, InterfaceState, LinkState, MacAddr, Operation, PortOptions,
    PortState, Result, UnicastMac,
};

/// The MTU of an interface that was given none (`ETH_DATA_LEN`).
const DEFAULT_MTU: u32 = 1500;
/// The MTUs that Linux takes for a bridge (`br_dev_setup()`: `ETH_MIN_MTU` to `ETH_MAX_MTU`).
const MTU_RANGE: RangeInclusive<u32> = 68..=65535;
/// The ports of one bridge: `BR_MAX_PORTS` (`net/bridge/br_private.h`) but for the number 0.
const MAX_PORTS: usize = 1023;

/// A host with interfaces and bridges, in memory.
///
/// A new one has the loopback interface `lo`. It is one host for all its users: share it by
/// reference or in an `Arc`.
#[derive(Debug)]
pub struct Model {
    host: Mutex<Host>,
}

#[derive(Debug)]
struct Host {
    interfaces: BTreeMap<InterfaceIndex, Interface>,
    last_index: u32,
    privileged: bool,
}

#[derive(Debug, Clone)]
struct Interface {
    name: InterfaceName,
    mac: MacAddr,
    mtu: u32,
    link: LinkState,
    kind: Kind,
    /// The bridge that it is a port of.
    master: Option<InterfaceIndex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Loopback,
    Ethernet,
    Bridge {
        /// `addr_assign_type` is `NET_ADDR_SET`.
        mac_set: bool,
        /// `BROPT_MTU_SET_BY_USER`.
        mtu_set: bool,
    },
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
        let name = InterfaceName::from_kernel(b"lo").unwrap_or_else(|| unreachable!("two bytes are a name"));
        let loopback = Interface {
            name,
            mac: MacAddr::ZERO,
            mtu: 65536,
            link: LinkState::Up,
            kind: Kind::Loopback,
            master: None,
        };
        let mut host = Host { interfaces: BTreeMap::new(), last_index: 0, privileged: true };
        host.insert(loopback);
        Self { host: Mutex::new(host) }
    }

    /// Takes or gives back the privilege that every change needs (`CAP_NET_ADMIN`).
    pub fn set_privileged(&self, privileged: bool) {
        self.host().privileged = privileged;
    }

    /// Adds an Ethernet interface that is down, as a tap or one end of a veth would be.
    ///
    /// # Errors
    /// `NameInUse` or `BridgeExists`.
    pub fn add_interface(&self, name: InterfaceName, mac: UnicastMac) -> Result<()> {
        let mut host = self.host();
        host.check_free(Attempt::new(NAME, Operation::Create).on(name), name)?;
        host.insert(Interface {
            name,
            mac: mac.into(),
            mtu: DEFAULT_MTU,
            link: LinkState::Down,
            kind: Kind::Ethernet,
            master: None,
        });
        Ok(())
    }

    /// Removes an interface of any kind; a port leaves its bridge first, a bridge its ports.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_interface(&self, name: InterfaceName) -> Result<()> {
        let mut host = self.host();
        let at = Attempt::new(NAME, Operation::Delete).on(name);
        let (index, _) = host.named(name).ok_or_else(|| at.errno(Errno::ENODEV))?;
        host.remove(index);
        Ok(())
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        // Every change of the host is complete before anything can panic.
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NAME: &str = "model";

impl BridgeBackend for Model {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::from_iter([Capability::AtomicCreate, Capability::MacFollowsPorts])
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        let mut host = self.host();
        let at = Attempt::new(NAME, Operation::Create).on(spec.name);
        spec.options.check(at, self.capabilities())?;
        host.check_free(at, spec.name)?;
        host.check_privilege(at)?;
        check_mtu(at, spec.mtu)?;
        let mac = match spec.mac {
            Some(mac) => mac,
            None => UnicastMac::generate().map_err(|source| at.io(ErrorKind::Os, source))?,
        };
        host.insert(Interface {
            name: spec.name,
            mac: mac.into(),
            mtu: spec.mtu.unwrap_or(DEFAULT_MTU),
            link: spec.link,
            kind: Kind::Bridge { mac_set: spec.mac.is_some(), mtu_set: spec.mtu.is_some() },
            master: None,
        });
        Ok(())
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        let mut host = self.host();
        let at = Attempt::new(NAME, Operation::Delete).on(bridge);
        let (index, _) = host.bridge(at, bridge)?;
        host.check_privilege(at)?;
        host.remove(index);
        Ok(())
    }

    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>> {
        let host = self.host();
        if host.named(bridge).is_none() {
            return Ok(None);
        }
        host.bridge(Attempt::new(NAME, Operation::Find).on(bridge), bridge)
            .map(|(index, interface)| Some(bridge_state(index, interface)))
    }

    fn list(&self) -> Result<Vec<BridgeState>> {
        Ok(self
            .host()
            .interfaces
            .iter()
            .filter(|(_, interface)| interface.is_bridge())
            .map(|(&index, interface)| bridge_state(index, interface))
            .collect())
    }

    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        let mut host = self.host();
        let at = Attempt::new(NAME, Operation::Change).on(bridge);
        change.options.check(at, self.capabilities())?;
        let (index, before) = host.bridge(at, bridge)?;
        let mut after = before.clone();
        let Kind::Bridge { mac_set, mtu_set } = &mut after.kind else { unreachable!("bridge() found a bridge") };
        let changes_mtu = change.mtu.is_some_and(|mtu| mtu != before.mtu);
        let changes_link = change.link.is_some_and(|link| link != before.link);
        if !changes_mtu && !changes_link && change.mac.is_none() {
            return Ok(());
        }
        host.check_privilege(at)?;
        check_mtu(at, change.mtu)?;
        if let Some(mtu) = change.mtu.filter(|&mtu| mtu != before.mtu) {
            after.mtu = mtu;
            *mtu_set = true;
        }
        if let Some(mac) = change.mac {
            after.mac = mac.into();
            *mac_set = true;
        }
        after.link = change.link.unwrap_or(before.link);
        host.interfaces.insert(index, after);
        Ok(())
    }

    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let mut host = self.host();
        let at = Attempt::new(NAME, Operation::AddPort).on(bridge).port(port);
        let (bridge, _) = host.bridge(at, bridge)?;
        let (index, port) = host.named(port).ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENODEV))?;
        match (port.master, port.kind) {
            (Some(master), _) if master == bridge => return Err(at.error(ErrorKind::AlreadyPort)),
            (Some(_), _) => return Err(at.means(ErrorKind::PortBusy, Errno::EBUSY)),
            (None, kind) => {
                host.check_privilege(at)?;
                match kind {
                    Kind::Bridge { .. } => return Err(at.means(ErrorKind::PortIsBridge, Errno::ELOOP)),
                    Kind::Loopback => return Err(at.means(ErrorKind::PortUnsuitable, Errno::EINVAL)),
                    Kind::Ethernet => {}
                }
            }
        }
        if host.ports(bridge).count() == MAX_PORTS {
            return Err(at.error(ErrorKind::TooManyPorts));
        }
        host.set_master(index, Some(bridge));
        host.follow_ports(bridge);
        Ok(())
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let mut host = self.host();
        let at = Attempt::new(NAME, Operation::RemovePort).on(bridge).port(port);
        let (bridge, _) = host.bridge(at, bridge)?;
        let (index, port) = host.named(port).ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENODEV))?;
        if port.master != Some(bridge) {
            return Err(at.error(ErrorKind::NotAPort));
        }
        host.check_privilege(at)?;
        host.set_master(index, None);
        host.follow_ports(bridge);
        Ok(())
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        let host = self.host();
        let (bridge, _) = host.bridge(Attempt::new(NAME, Operation::Ports).on(bridge), bridge)?;
        Ok(host
            .ports(bridge)
            .map(|(index, port)| PortState {
                name: port.name,
                index,
                mac: port.mac,
                mtu: port.mtu,
                link: port.link,
                options: PortOptions::default(),
                stp_state: None,
            })
            .collect())
    }

    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        let host = self.host();
        Ok(host
            .interfaces
            .iter()
            .map(|(&index, interface)| InterfaceState { name: interface.name, index, mac: Some(interface.mac) })
            .collect())
    }
}

impl Host {
    fn insert(&mut self, interface: Interface) {
        self.last_index += 1;
        let index = InterfaceIndex::new(self.last_index).expect("memory ends before the indices do");
        self.interfaces.insert(index, interface);
    }

    fn remove(&mut self, index: InterfaceIndex) {
        let removed = self.interfaces.remove(&index);
        for interface in self.interfaces.values_mut().filter(|interface| interface.master == Some(index)) {
            interface.master = None;
        }
        if let Some(bridge) = removed.and_then(|interface| interface.master) {
            self.follow_ports(bridge);
        }
    }

    fn named(&self, name: InterfaceName) -> Option<(InterfaceIndex, &Interface)> {
        self.interfaces.iter().find(|(_, interface)| interface.name == name).map(|(&index, found)| (index, found))
    }

    fn bridge(&self, at: Attempt, name: InterfaceName) -> Result<(InterfaceIndex, &Interface)> {
        let found = self.named(name).ok_or_else(|| at.errno(Errno::ENODEV))?;
        if found.1.is_bridge() { Ok(found) } else { Err(at.error(ErrorKind::NotABridge)) }
    }

    fn ports(&self, bridge: InterfaceIndex) -> impl Iterator<Item = (InterfaceIndex, &Interface)> {
        self.interfaces
            .iter()
            .filter(move |(_, port)| port.master == Some(bridge))
            .map(|(&index, port)| (index, port))
    }

    fn set_master(&mut self, port: InterfaceIndex, master: Option<InterfaceIndex>) {
        self.interfaces.entry(port).and_modify(|port| port.master = master);
    }

    /// After a port came or went: `br_stp_recalculate_bridge_id()` and `br_mtu_auto_adjust()`.
    fn follow_ports(&mut self, bridge: InterfaceIndex) {
        let mac = self.ports(bridge).map(|(_, port)| port.mac).min();
        let mtu = self.ports(bridge).map(|(_, port)| port.mtu).min();
        if let Some(Interface { kind: Kind::Bridge { mac_set, mtu_set }, mac: own_mac, mtu: own_mtu, .. }) =
            self.interfaces.get_mut(&bridge)
        {
            if !*mac_set {
                *own_mac = mac.unwrap_or(MacAddr::ZERO);
            }
            if !*mtu_set {
                *own_mtu = mtu.unwrap_or(DEFAULT_MTU);
            }
        }
    }

    fn check_privilege(&self, at: Attempt) -> Result<()> {
        if self.privileged { Ok(()) } else { Err(at.errno(Errno::EPERM)) }
    }

    fn check_free(&self, at: Attempt, name: InterfaceName) -> Result<()> {
        match self.named(name) {
            None => Ok(()),
            Some((_, interface)) => Err(name_taken(at, Errno::EEXIST, interface.is_bridge())),
        }
    }
}

impl Interface {
    const fn is_bridge(&self) -> bool {
        matches!(self.kind, Kind::Bridge { .. })
    }
}

fn check_mtu(at: Attempt, mtu: Option<u32>) -> Result<()> {
    match mtu {
        Some(mtu) if !MTU_RANGE.contains(&mtu) => Err(at.means(ErrorKind::InvalidMtu, Errno::EINVAL)),
        _ => Ok(()),
    }
}

fn name_taken(at: Attempt, errno: Errno, by_bridge: bool) -> Error {
    at.means(if by_bridge { ErrorKind::BridgeExists } else { ErrorKind::NameInUse }, errno)
}

fn bridge_state(index: InterfaceIndex, interface: &Interface) -> BridgeState {
    BridgeState {
        name: interface.name,
        index,
        mac: interface.mac,
        mtu: interface.mtu,
        link: interface.link,
        options: BridgeOptions::default(),
    }
}
