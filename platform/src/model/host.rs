//! The interfaces of a host, and what holds for all of them (`net/core/dev.c`, `net/bridge/br_if.c`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use nix::errno::Errno;

use super::tap::Tap;
use super::vlan::Vlans;
use crate::error::Attempt;
use crate::{
    BridgeChange, BridgeOptions, BridgeState, ErrorKind, HostIpv6, Identity, InterfaceIndex, InterfaceName,
    LinkState, MacAddr, PortOptions, Result, Target,
};

/// The MTU of an interface that was given none (`ETH_DATA_LEN`).
/// The least MTU of an interface that has IPv6.
const IPV6_MIN_MTU: u32 = 1280;
const DEFAULT_MTU: u32 = 1500;
/// The MTUs that Linux takes for a bridge (`br_dev_setup()`: `ETH_MIN_MTU` to `ETH_MAX_MTU`).
pub(super) const MTU_RANGE: RangeInclusive<u32> = 68..=65535;
/// The ports of one bridge: `BR_MAX_PORTS` (`net/bridge/br_private.h`) but for the number 0.
const MAX_PORTS: usize = 1023;

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(super) struct Host {
    pub(super) interfaces: BTreeMap<InterfaceIndex, Interface>,
    last_index: u32,
    /// The lowest free index is next, and interfaces have incarnations.
    pub(super) reuses_indices: bool,
    incarnations: u64,
    pub(super) privileged: bool,
    pub(super) has_vlans: bool,
    /// Like a backend that sets options in sysfs.
    pub(super) sets_in_sysfs: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub(super) name: InterfaceName,
    pub(super) incarnation: u64,
    pub(super) mac: MacAddr,
    pub(super) mtu: u32,
    pub(super) link: LinkState,
    pub(super) kind: Kind,
    /// What it is as a port, if it is one.
    pub(super) port: Option<Port>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Loopback,
    Ethernet,
    Bridge(Bridge),
    Tap(Tap),
}

#[derive(Debug, Clone)]
pub(super) struct Bridge {
    /// `addr_assign_type` is `NET_ADDR_SET`.
    mac_set: bool,
    /// `BROPT_MTU_SET_BY_USER`.
    mtu_set: bool,
    /// Every one that Linux has is there.
    pub(super) options: BridgeOptions,
    /// Static and learned entries: where an address is.
    pub(super) entries: super::fdb::Entries,
}

#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) bridge: InterfaceIndex,
    pub(super) options: PortOptions,
    pub(super) vlans: Vlans,
}

impl Interface {
    pub(super) const fn new(name: InterfaceName, mac: MacAddr, kind: Kind) -> Self {
        Self { name, incarnation: 0, mac, mtu: DEFAULT_MTU, link: LinkState::Down, kind, port: None }
    }

    const fn is_bridge(&self) -> bool {
        matches!(self.kind, Kind::Bridge(_))
    }

    /// Sets the MTU. Below 1280 a bridge has no IPv6, and above it has the kernel's defaults again.
    pub(super) fn set_mtu(&mut self, mtu: u32) {
        self.mtu = mtu;
        if let Kind::Bridge(bridge) = &mut self.kind {
            let now = bridge.options.host_ipv6.take();
            bridge.options.host_ipv6 = (mtu >= IPV6_MIN_MTU).then(|| now.unwrap_or(HostIpv6::Kernel));
        }
    }
}

impl Bridge {
    pub(super) fn new(has_vlans: bool, mac_set: bool, mtu_set: bool) -> Self {
        let options = super::options::of_a_new_bridge(has_vlans);
        Self { mac_set, mtu_set, options, entries: BTreeMap::new() }
    }
}

impl Host {
    pub(super) fn new(has_vlans: bool) -> Self {
        let name = InterfaceName::from_kernel(b"lo").unwrap_or_else(|| unreachable!("two bytes are a name"));
        let mut loopback = Interface::new(name, MacAddr::ZERO, Kind::Loopback);
        loopback.mtu = 65536;
        loopback.link = LinkState::Up;
        let mut host = Self {
            interfaces: BTreeMap::new(),
            last_index: 0,
            reuses_indices: false,
            incarnations: 0,
            privileged: true,
            has_vlans,
            sets_in_sysfs: false,
        };
        host.insert(loopback);
        host
    }

    pub(super) fn insert(&mut self, mut interface: Interface) -> InterfaceIndex {
        self.last_index += 1;
        let mut indices = (1..=self.last_index).filter_map(InterfaceIndex::new);
        let index = if self.reuses_indices {
            self.incarnations += 1;
            interface.incarnation = self.incarnations;
            indices.find(|index| !self.interfaces.contains_key(index))
        } else {
            indices.next_back()
        };
        let index = index.expect("memory ends before the indices do");
        self.interfaces.insert(index, interface);
        index
    }

    pub(super) fn identity(&self, index: InterfaceIndex) -> Identity {
        let interface = &self.interfaces[&index];
        Identity::new(interface.name, index).with_incarnation(interface.incarnation)
    }

    /// The interface that is meant.
    pub(super) fn resolve(&self, target: Target) -> Option<InterfaceIndex> {
        match target {
            Target::Name(name) => self.index(name),
            Target::Identity(identity) => {
                let index = Some(identity.index()).filter(|index| self.interfaces.contains_key(index));
                index.filter(|&index| self.identity(index) == identity)
            }
        }
    }

    pub(super) fn remove(&mut self, index: InterfaceIndex) {
        let ports: Vec<_> = self.ports(index).map(|(port, _)| port).collect();
        for port in ports {
            self.release(index, port);
        }
        if let Some(bridge) = self.port_mut(index).map(|port| port.bridge) {
            self.release(bridge, index);
        }
        self.interfaces.remove(&index);
    }

    pub(super) fn index(&self, name: InterfaceName) -> Option<InterfaceIndex> {
        self.interfaces.iter().find(|(_, interface)| interface.name == name).map(|(&index, _)| index)
    }

    /// The bridge that is meant.
    pub(super) fn bridge(&self, at: Attempt, bridge: Target) -> Result<InterfaceIndex> {
        let index = self.resolve(bridge).ok_or_else(|| at.errno(Errno::ENODEV))?;
        if self.interfaces[&index].is_bridge() { Ok(index) } else { Err(at.error(ErrorKind::NotABridge)) }
    }

    /// A bridge, and the interface that is meant as a port, whether it is one or not.
    pub(super) fn bridge_and_interface(
        &self,
        at: Attempt,
        bridge: Target,
        port: Target,
    ) -> Result<(InterfaceIndex, InterfaceIndex)> {
        let bridge = self.bridge(at, bridge)?;
        let port = self.resolve(port).ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENODEV))?;
        Ok((bridge, port))
    }

    pub(super) fn is_port_of(&self, port: InterfaceIndex, bridge: InterfaceIndex) -> bool {
        self.interfaces[&port].port.as_ref().is_some_and(|port| port.bridge == bridge)
    }

    /// A bridge and its port.
    pub(super) fn port(
        &self,
        at: Attempt,
        bridge: Target,
        port: Target,
    ) -> Result<(InterfaceIndex, InterfaceIndex)> {
        let (bridge, port) = self.bridge_and_interface(at, bridge, port)?;
        if self.is_port_of(port, bridge) { Ok((bridge, port)) } else { Err(at.error(ErrorKind::NotAPort)) }
    }

    pub(super) fn ports(&self, bridge: InterfaceIndex) -> impl Iterator<Item = (InterfaceIndex, &Interface)> {
        self.interfaces
            .iter()
            .filter(move |(_, interface)| interface.port.as_ref().is_some_and(|port| port.bridge == bridge))
            .map(|(&index, interface)| (index, interface))
    }

    pub(super) fn bridge_state(&self, index: InterfaceIndex) -> Option<BridgeState> {
        let interface = self.interfaces.get(&index)?;
        let Kind::Bridge(bridge) = &interface.kind else { return None };
        let mut state = BridgeState::new(interface.name, index, interface.mac, interface.mtu, interface.link);
        (state.incarnation, state.options) = (interface.incarnation, bridge.options);
        Some(state)
    }

    pub(super) fn bridge_mut(&mut self, index: InterfaceIndex) -> Option<&mut Bridge> {
        match &mut self.interfaces.get_mut(&index)?.kind {
            Kind::Bridge(bridge) => Some(bridge),
            _ => None,
        }
    }

    pub(super) fn port_mut(&mut self, index: InterfaceIndex) -> Option<&mut Port> {
        self.interfaces.get_mut(&index)?.port.as_mut()
    }

    pub(super) fn change_bridge(
        &mut self,
        at: Attempt,
        index: InterfaceIndex,
        change: &BridgeChange,
    ) -> Result<()> {
        let Some(before) = self.bridge_state(index) else { return Ok(()) };
        let mtu = change.mtu.filter(|&mtu| mtu != before.mtu);
        let link = change.link.filter(|&link| link != before.link);
        let options = change.options.changes(&before.options);
        if mtu.is_none() && options.is_empty() && change.mac.is_none() && link.is_none() {
            return Ok(());
        }
        self.check_privilege(at)?;
        check_mtu(at, MTU_RANGE, mtu)?;
        // The order of `setting::of_bridge()`: with its MTU, a bridge may get IPv6.
        self.set(index, mtu, None, None);
        for option in options {
            self.set_option(at, index, option)?;
        }
        self.set(index, None, change.mac.map(Into::into), link);
        Ok(())
    }

    /// Sets what is given; a MAC or an MTU that is set stays, whatever the ports have.
    pub(super) fn set(
        &mut self,
        index: InterfaceIndex,
        mtu: Option<u32>,
        mac: Option<MacAddr>,
        link: Option<LinkState>,
    ) {
        let Some(interface) = self.interfaces.get_mut(&index) else { return };
        interface.set_mtu(mtu.unwrap_or(interface.mtu));
        interface.mac = mac.unwrap_or(interface.mac);
        interface.link = link.unwrap_or(interface.link);
        if let Kind::Bridge(bridge) = &mut interface.kind {
            bridge.mtu_set |= mtu.is_some();
            bridge.mac_set |= mac.is_some();
        }
        if let Some(Port { bridge, .. }) = interface.port {
            self.follow_ports(bridge);
        }
    }

    pub(super) fn add_port(&mut self, at: Attempt, bridge: InterfaceIndex, port: InterfaceIndex) -> Result<()> {
        let interface = &self.interfaces[&port];
        match &interface.port {
            Some(port) if port.bridge == bridge => return Err(at.error(ErrorKind::AlreadyPort)),
            Some(_) => return Err(at.means(ErrorKind::PortBusy, Errno::EBUSY)),
            None => self.check_privilege(at)?,
        }
        match interface.kind {
            Kind::Bridge(_) => return Err(at.means(ErrorKind::PortIsBridge, Errno::ELOOP)),
            Kind::Loopback => return Err(at.means(ErrorKind::PortUnsuitable, Errno::EINVAL)),
            Kind::Ethernet | Kind::Tap(_) => {}
        }
        if self.ports(bridge).count() == MAX_PORTS {
            return Err(at.error(ErrorKind::TooManyPorts));
        }
        let vlans = self.vlans_of_a_new_port(bridge);
        if let Some(interface) = self.interfaces.get_mut(&port) {
            interface.port = Some(Port { bridge, options: super::options::of_a_new_port(), vlans });
        }
        self.follow_ports(bridge);
        Ok(())
    }

    /// Takes a port from its bridge.
    pub(super) fn release(&mut self, bridge: InterfaceIndex, port: InterfaceIndex) {
        if let Some(interface) = self.interfaces.get_mut(&port) {
            interface.port = None;
        }
        if let Some(bridge) = self.bridge_mut(bridge) {
            bridge.entries.retain(|_, entry| entry.port != port);
        }
        self.follow_ports(bridge);
    }

    /// After a port came or went: `br_stp_recalculate_bridge_id()` and `br_mtu_auto_adjust()`.
    fn follow_ports(&mut self, bridge: InterfaceIndex) {
        let mac = self.ports(bridge).map(|(_, port)| port.mac).min();
        let mtu = self.ports(bridge).map(|(_, port)| port.mtu).min();
        let Some(interface) = self.interfaces.get_mut(&bridge) else { return };
        let Kind::Bridge(state) = &interface.kind else { return };
        if !state.mac_set {
            interface.mac = mac.unwrap_or(MacAddr::ZERO);
        }
        if !state.mtu_set {
            interface.set_mtu(mtu.unwrap_or(DEFAULT_MTU));
        }
    }

    pub(super) fn check_privilege(&self, at: Attempt) -> Result<()> {
        if self.privileged { Ok(()) } else { Err(at.errno(Errno::EPERM)) }
    }

    pub(super) fn check_free(&self, at: Attempt, name: InterfaceName) -> Result<()> {
        let Some(index) = self.index(name) else { return Ok(()) };
        let by_bridge = self.interfaces[&index].is_bridge();
        let kind = if by_bridge { ErrorKind::BridgeExists } else { ErrorKind::NameInUse };
        Err(at.means(kind, Errno::EEXIST))
    }
}

pub(super) fn check_mtu(at: Attempt, range: RangeInclusive<u32>, mtu: Option<u32>) -> Result<()> {
    match mtu {
        Some(mtu) if !range.contains(&mtu) => Err(at.means(ErrorKind::InvalidMtu, Errno::EINVAL)),
        _ => Ok(()),
    }
}
