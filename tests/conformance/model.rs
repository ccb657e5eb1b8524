//! The model as a host. It is its own oracle; the property tests compare it with a kernel.

use vmbridge::model::Model;
use vmbridge::{
    Backend, BridgeOption, Bridges, FdbOrigin, InterfaceName, LinkState, MacAddr, PortOption, PortStpState,
    StaticEntry, UnicastMac, VlanId, VlanTagging,
};

use crate::host::{Host, Seen, SeenTap, bridge_value, name, port_value};

#[derive(Debug, Default)]
pub(crate) struct ModelHost(Model);

impl Host for ModelHost {
    fn bridges(&self) -> &dyn Backend {
        &self.0
    }

    fn loopback(&self) -> InterfaceName {
        name("lo")
    }

    fn add_interface(&self, name: InterfaceName, mac: UnicastMac) {
        self.0.add_interface(name, mac).expect("the name is free");
    }

    fn remove_interface(&self, name: InterfaceName) {
        self.0.remove_interface(name).expect("it is there");
    }

    fn look(&self, name: InterfaceName) -> Option<Seen> {
        let bridges = self.0.list().expect("the model lists");
        let seen = |mac: MacAddr, mtu, link, is_bridge, bridge| Seen {
            mac,
            mtu,
            up: link == LinkState::Up,
            is_bridge,
            bridge,
        };
        for bridge in &bridges {
            if bridge.name == name {
                return Some(seen(bridge.mac, bridge.mtu, bridge.link, true, None));
            }
            for port in self.0.ports(bridge.name).expect("it is a bridge") {
                if port.name == name {
                    return Some(seen(port.mac, port.mtu, port.link, false, Some(bridge.name.to_string())));
                }
            }
        }
        if let Some(tap) = self.0.taps().expect("the model lists").into_iter().find(|tap| tap.name == name) {
            return Some(seen(tap.mac, tap.mtu, tap.link, false, None));
        }
        let interface =
            self.0.interfaces().expect("the model lists").into_iter().find(|other| other.name == name)?;
        Some(seen(interface.mac.unwrap_or(MacAddr::ZERO), 1500, LinkState::Down, false, None))
    }

    fn look_at_tap(&self, tap: InterfaceName) -> Option<SeenTap> {
        let tap = self.0.taps().expect("the model lists").into_iter().find(|other| other.name == tap)?;
        let (owner, group) = (tap.owner, tap.group);
        Some(SeenTap {
            persistent: tap.persistent?,
            multi_queue: tap.multi_queue?,
            vnet_hdr: tap.vnet_hdr?,
            owner,
            group,
        })
    }

    fn snapshot(&self) -> String {
        let bridges = self.0.list().expect("the model lists");
        let ports: Vec<_> = bridges.iter().map(|bridge| self.0.ports(bridge.name)).collect();
        format!("{:?} {bridges:?} {ports:?} {:?}", self.0.interfaces(), self.0.taps())
    }

    fn has_vlans(&self) -> bool {
        true
    }

    fn bridge_option(&self, bridge: InterfaceName, option: BridgeOption) -> Option<String> {
        let options = self.0.find(bridge).expect("it is a bridge").expect("it is there").options;
        options.iter().find(|other| other.capability() == option.capability()).map(bridge_value)
    }

    fn port_option(&self, bridge: InterfaceName, port: InterfaceName, option: PortOption) -> Option<String> {
        let ports = self.0.ports(bridge).expect("it is a bridge");
        let options = ports.into_iter().find(|other| other.name == port).expect("it is a port").options;
        options.iter().find(|other| other.capability() == option.capability()).map(port_value)
    }

    fn static_entries(&self, bridge: InterfaceName) -> Vec<(MacAddr, InterfaceName)> {
        let entries = self.0.fdb(bridge).expect("it is a bridge").into_iter();
        let mut entries: Vec<_> = entries
            .filter(|entry| entry.origin == FdbOrigin::Static)
            .map(|entry| (entry.mac, entry.port))
            .collect();
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    fn entry_vlans(&self, bridge: InterfaceName, mac: UnicastMac) -> Vec<Option<VlanId>> {
        let entries = self.0.fdb(bridge).expect("it is a bridge").into_iter();
        let mut vlans: Vec<_> = entries.filter(|entry| entry.mac == mac).map(|entry| entry.vlan).collect();
        vlans.sort_unstable();
        vlans
    }

    fn stp_state(&self, bridge: InterfaceName, port: InterfaceName) -> Option<PortStpState> {
        let ports = self.0.ports(bridge).expect("it is a bridge");
        ports.into_iter().find(|other| other.name == port).expect("it is a port").stp_state
    }

    fn add_static_entries(&self, bridge: InterfaceName, port: InterfaceName, macs: &[UnicastMac]) {
        for &mac in macs {
            self.0.add_fdb_entry(bridge, &StaticEntry::new(mac, port)).expect("it is new");
        }
    }

    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Vec<(VlanId, VlanTagging)> {
        let vlans = self.0.vlans(bridge, port).expect("it is a port");
        vlans.iter().flat_map(|one| one.vlans.iter().map(|id| (id, one.tagging))).collect()
    }

    fn without_privilege(&self, act: &dyn Fn()) {
        self.0.set_privileged(false);
        act();
        self.0.set_privileged(true);
    }
}
