//! What [`BridgeBackend`] promises, call by call. How it is done is in the modules beside this one.

use nix::errno::Errno;

use super::bridge::{FreeBsdBackend, mtu_error, still_there};
use super::driver::Driver;
use super::{events, options, port, vlan};
use crate::change::{self, Step};
use crate::{
    BridgeBackend, BridgeChange, BridgeOption, BridgeSpec, BridgeState, Capabilities, Capability, ErrorKind,
    Events, FdbEntry, InterfaceName, InterfaceState, MacAddr, Operation, PortOptions, PortState, PortVlans,
    Result, StaticEntry, Tap, TapChange, TapSpec, TapState, UnicastMac, VlanId, VlanRange,
};

/// What it can do beyond what every backend must, whatever the kernel.
const CAPABILITIES: &[Capability] = &[
    Capability::StpProtocol,
    Capability::ForwardDelay,
    Capability::HelloTime,
    Capability::MaxAge,
    Capability::Priority,
    Capability::AgeingTime,
    Capability::MaxAddresses,
    Capability::Isolated,
    Capability::Learning,
    Capability::UnicastFlood,
    Capability::PathCost,
    Capability::PortPriority,
    Capability::PortStp,
    Capability::Sticky,
    Capability::PortStpState,
    Capability::FdbList,
    Capability::FdbStatic,
    Capability::FdbVlan,
    Capability::FdbFlush,
    Capability::Events,
    Capability::Tap,
    Capability::TapVnetHdr,
];

impl BridgeBackend for FreeBsdBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        let with_vlans = if self.has_vlans() { vlan::CAPABILITIES } else { &[] };
        let transient = self.has_transient_taps().then_some(Capability::TapTransient);
        CAPABILITIES.iter().chain(with_vlans).copied().chain(transient).collect()
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        let at = Self::at(Operation::Create).on(spec.name);
        spec.check(at, self.capabilities())?;
        options::check(at, &spec.options)?;
        self.check_free(at, Driver::Bridge, spec.name)?;
        self.make(at, spec)
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::Delete).on(bridge);
        self.check_bridge(at, bridge)?;
        self.control.destroy(bridge).map_err(|errno| at.errno(errno))
    }

    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>> {
        let at = Self::at(Operation::Find).on(bridge);
        match self.check_bridge(at, bridge).and_then(|()| self.state(at, bridge)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    fn list(&self) -> Result<Vec<BridgeState>> {
        let at = Self::at(Operation::List);
        let bridges = self.bridges(at)?.into_iter();
        let mut states = still_there(at, bridges.map(|(name, mac)| self.state_with(name, mac)))?;
        states.sort_unstable_by_key(|state| state.index);
        Ok(states)
    }

    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        let at = Self::at(Operation::Change).on(bridge);
        change.options.check(at, self.capabilities())?;
        options::check(at, &change.options)?;
        self.check_bridge(at, bridge)?;
        let read = || self.state(at, bridge);
        let before = read()?;
        let stp = self.stp_before(at, bridge, before.options)?;
        let set = |step| match step {
            Step::Mtu(mtu) => self.control.set_mtu(bridge, mtu).map_err(|errno| mtu_error(at, errno)),
            Step::Mac(mac) => self.control.set_mac(bridge, mac).map_err(|errno| at.errno(errno)),
            Step::Link(link) => self.control.set_link(bridge, link).map_err(|errno| at.errno(errno)),
            Step::Option(BridgeOption::StpProtocol(protocol)) if before.options.stp_protocol == Some(protocol) => {
                self.restore_stp(at, bridge, &stp)
            }
            Step::Option(option) => self.set_option(at, bridge, option),
        };
        change::apply(&before, change, set, read)
    }

    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::AddPort).on(bridge).port(port);
        self.check_bridge(at, bridge)?;
        self.check_port(at, port)?;
        if self.port_names(at, bridge)?.contains(&port) {
            return Err(at.error(ErrorKind::AlreadyPort));
        }
        let Err(errno) = self.control.add_port(bridge, port) else { return Ok(()) };
        let kind = match errno {
            Errno::ENOENT => ErrorKind::PortNotFound,
            Errno::EEXIST => ErrorKind::AlreadyPort,
            Errno::EBUSY => ErrorKind::PortBusy,
            Errno::EINVAL if self.is_bridge(port) == Ok(true) => ErrorKind::PortIsBridge,
            Errno::EINVAL if self.is_lagg_port(port) => ErrorKind::PortBusy,
            Errno::EINVAL => ErrorKind::PortUnsuitable,
            // Whose port it is matters more than who asks, as on the other backends.
            Errno::EPERM if self.is_port_elsewhere(at, bridge, port)? => ErrorKind::PortBusy,
            errno => ErrorKind::of(errno),
        };
        Err(at.means(kind, errno))
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::RemovePort).on(bridge).port(port);
        self.check_bridge(at, bridge)?;
        self.check_port(at, port)?;
        if !self.port_names(at, bridge)?.contains(&port) {
            return Err(at.error(ErrorKind::NotAPort));
        }
        self.control.remove_port(bridge, port).map_err(|errno| match errno {
            Errno::ENOENT => at.means(ErrorKind::NotAPort, errno),
            errno => at.errno(errno),
        })
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        let at = Self::at(Operation::Ports).on(bridge);
        self.check_bridge(at, bridge)?;
        let members = self.control.ports(bridge).map_err(|errno| at.errno(errno))?;
        let macs = self.macs(at)?;
        let ports = members.into_iter().map(|(name, member)| {
            let mac = *macs.get(&name).ok_or(Errno::ENXIO)?;
            Ok(PortState {
                name,
                index: self.control.index(name)?,
                mac: mac.unwrap_or(MacAddr::ZERO),
                mtu: self.control.mtu(name)?,
                link: self.control.link(name)?,
                options: port::decode(&member),
                stp_state: port::stp_state(&member),
            })
        });
        let mut ports = still_there(at, ports)?;
        ports.sort_unstable_by_key(|port| port.index);
        Ok(ports)
    }

    fn change_port(&self, bridge: InterfaceName, port: InterfaceName, options: &PortOptions) -> Result<()> {
        let at = Self::at(Operation::ChangePort).on(bridge).port(port);
        options.check(at, self.capabilities())?;
        self.check_bridge(at, bridge)?;
        self.set_port_options(at, bridge, port, options)
    }

    fn fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let at = Self::at(Operation::Fdb).on(bridge);
        self.check_bridge(at, bridge)?;
        self.entries(at, bridge)
    }

    fn add_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        let at = Self::at(Operation::AddFdbEntry).on(bridge).port(entry.port);
        self.check_bridge(at, bridge)?;
        self.add_entry(at, bridge, entry)
    }

    fn replace_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        let at = Self::at(Operation::ReplaceFdbEntry).on(bridge).port(entry.port);
        self.check_bridge(at, bridge)?;
        self.move_entry(at, bridge, entry)
    }

    fn remove_fdb_entry(&self, bridge: InterfaceName, mac: UnicastMac, vlan: Option<VlanId>) -> Result<()> {
        let at = Self::at(Operation::RemoveFdbEntry).on(bridge);
        self.check_bridge(at, bridge)?;
        self.remove_entry(at, bridge, mac, vlan)
    }

    fn flush_fdb(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::FlushFdb).on(bridge);
        self.check_bridge(at, bridge)?;
        self.control.flush_addresses(bridge).map_err(|errno| at.errno(errno))
    }

    fn create_tap(&self, spec: &TapSpec) -> Result<Tap> {
        let at = Self::at(Operation::CreateTap).maybe_on(spec.name);
        spec.check(at, self.capabilities())?;
        self.check_network(at)?;
        self.new_tap(at, spec)
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        self.keep_tap(Self::at(Operation::PersistTap).on(tap.name()), tap)
    }

    fn change_tap(&self, tap: InterfaceName, change: &TapChange) -> Result<()> {
        let at = Self::at(Operation::ChangeTap).on(tap);
        self.check_network(at)?;
        self.alter_tap(at, tap, change)
    }

    fn delete_tap(&self, tap: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::DeleteTap).on(tap);
        self.check_network(at)?;
        self.remove_tap(at, tap)
    }

    fn taps(&self) -> Result<Vec<TapState>> {
        let at = Self::at(Operation::Taps);
        self.check_network(at)?;
        self.all_taps(at)
    }

    fn events(&self) -> Result<Events> {
        events::open(Self::at(Operation::Events))
    }

    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Result<Vec<PortVlans>> {
        let at = Self::at(Operation::Vlans).on(bridge).port(port);
        self.check_bridge(at, bridge)?;
        self.port_vlans(at, bridge, port)
    }

    fn add_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: PortVlans) -> Result<()> {
        let at = Self::at(Operation::AddVlans).on(bridge).port(port);
        self.check_bridge(at, bridge)?;
        self.let_through(at, bridge, port, vlans)
    }

    fn remove_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: VlanRange) -> Result<()> {
        let at = Self::at(Operation::RemoveVlans).on(bridge).port(port);
        self.check_bridge(at, bridge)?;
        self.let_no_longer_through(at, bridge, port, vlans)
    }

    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        let at = Self::at(Operation::Interfaces);
        let interfaces = self
            .macs(at)?
            .into_iter()
            .map(|(name, mac)| Ok(InterfaceState { name, index: self.control.index(name)?, mac }));
        let mut interfaces = still_there(at, interfaces)?;
        interfaces.sort_unstable_by_key(|interface| interface.index);
        Ok(interfaces)
    }
}
