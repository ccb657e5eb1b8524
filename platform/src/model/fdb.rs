//! The forwarding database: static entries, those that a test lets a bridge learn, and the local ones that follow
//! from the MACs (`net/bridge/br_fdb.c`).

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::host::Host;
use crate::error::Attempt;
use crate::{
    Capability, ErrorKind, FdbEntry, FdbOrigin, InterfaceIndex, MacAddr, Result, SeenEntries, SeenEntry,
    StaticEntry, UnicastMac, VlanId,
};

/// Where an address is, in a VLAN or without one.
pub(super) type Entries = BTreeMap<(Option<VlanId>, MacAddr), Entry>;

/// An entry that is static or learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) port: InterfaceIndex,
    pub(super) origin: FdbOrigin,
}

/// What becomes of an entry that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Refuse,
    Replace,
}

impl Host {
    pub(super) fn fdb(&self, bridge: InterfaceIndex) -> Vec<FdbEntry> {
        let entry = |index, mac, vlan, origin| FdbEntry::new(mac, self.identity(index), vlan, origin);
        let own = self.interfaces.get(&bridge).map(|interface| (bridge, interface));
        let local = own
            .into_iter()
            .chain(self.ports(bridge))
            .map(|(index, interface)| (index, entry(index, interface.mac, None, FdbOrigin::Local)));
        let others = self
            .entries(bridge)
            .into_iter()
            .flatten()
            .map(|(&(vlan, mac), &Entry { port, origin })| (port, entry(port, mac, vlan, origin)));
        let mut entries: Vec<_> = local.chain(others).collect();
        entries.sort_by_key(|(index, entry)| (*index, entry.vlan, entry.mac));
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Adds a static entry; without a VLAN one for each VLAN of the port, too. All or nothing.
    pub(super) fn add_entry(
        &mut self,
        at: Attempt,
        bridge: InterfaceIndex,
        port: InterfaceIndex,
        entry: &StaticEntry,
        existing: Existing,
    ) -> Result<()> {
        let mac = MacAddr::from(entry.mac);
        let of_port: Vec<VlanId> = self.port_vlan_ids(port);
        if entry.vlan.is_some() && !self.has_vlans {
            return Err(at.with(Capability::FdbVlan).error(ErrorKind::Unsupported));
        }
        if entry.vlan.is_some_and(|vlan| !of_port.contains(&vlan)) {
            return Err(at.means(ErrorKind::InvalidOption, Errno::EINVAL));
        }
        let vlans: Vec<_> = match entry.vlan {
            Some(vlan) => vec![Some(vlan)],
            None => [None].into_iter().chain(of_port.into_iter().map(Some)).collect(),
        };
        let is_local = entry.vlan.is_none() && self.is_local(bridge, mac);
        let Some(entries) = self.entries_mut(bridge) else { return Ok(()) };
        let is_taken = is_local || vlans.iter().any(|&vlan| entries.contains_key(&(vlan, mac)));
        if is_taken && existing == Existing::Refuse {
            return Err(at.means(ErrorKind::EntryExists, Errno::EEXIST));
        }
        let entry = Entry { port, origin: FdbOrigin::Static };
        entries.extend(vlans.into_iter().map(|vlan| ((vlan, mac), entry)));
        Ok(())
    }

    /// What the bridge learns from a frame that comes in (`br_fdb_update()`): nothing of its own addresses, nothing
    /// of those that are static, and nothing through a port that does not learn or is locked.
    pub(super) fn learn(
        &mut self,
        bridge: InterfaceIndex,
        port: InterfaceIndex,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) {
        let mac = MacAddr::from(mac);
        let options = self.port_mut(port).map(|port| port.options);
        let learns = options.is_some_and(|has| has.learning != Some(false) && has.locked != Some(true));
        if !learns || self.is_local(bridge, mac) {
            return;
        }
        let Some(entries) = self.entries_mut(bridge) else { return };
        let entry = entries.entry((vlan, mac)).or_insert(Entry { port, origin: FdbOrigin::Learned });
        if entry.origin == FdbOrigin::Learned {
            entry.port = port;
        }
    }

    /// Removes learned entries.
    pub(super) fn forget(
        &mut self,
        bridge: InterfaceIndex,
        which: impl Fn(Option<VlanId>, InterfaceIndex) -> bool,
    ) {
        if let Some(entries) = self.entries_mut(bridge) {
            entries.retain(|&(vlan, _), entry| entry.origin != FdbOrigin::Learned || !which(vlan, entry.port));
        }
    }

    /// Removes an entry; without a VLAN those in the VLANs of its port that are behind it, too. All
    /// or nothing.
    pub(super) fn remove_entry(
        &mut self,
        at: Attempt,
        bridge: InterfaceIndex,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<()> {
        let privileged = self.check_privilege(at);
        let mac = MacAddr::from(mac);
        let entry = self.entries(bridge).and_then(|entries| entries.get(&(vlan, mac)));
        let port = entry.ok_or_else(|| at.means(ErrorKind::EntryNotFound, Errno::ENOENT))?.port;
        privileged?;
        let of_port = if vlan.is_none() { self.port_vlan_ids(port) } else { Vec::new() };
        let Some(entries) = self.entries_mut(bridge) else { return Ok(()) };
        entries.remove(&(vlan, mac));
        for vlan in of_port {
            if entries.get(&(Some(vlan), mac)).is_some_and(|entry| entry.port == port) {
                entries.remove(&(Some(vlan), mac));
            }
        }
        Ok(())
    }

    /// The entries of an address that a step in this VLAN may change.
    pub(super) fn seen_entries(
        &self,
        bridge: InterfaceIndex,
        port: Option<InterfaceIndex>,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> SeenEntries {
        let mut seen = SeenEntries::new(self.identity(bridge));
        seen.port = port.map(|port| self.identity(port));
        seen.is_port = port.is_some_and(|port| self.is_port_of(port, bridge));
        seen.has_vlans = self.has_vlans;
        let of_port = port.map(|port| self.port_vlan_ids(port));
        let concerns = |of: Option<VlanId>| {
            of == vlan
                || vlan.is_none() && of.is_some_and(|of| of_port.as_ref().is_none_or(|port| port.contains(&of)))
        };
        let entries = self.entries(bridge).into_iter().flatten();
        let of_mac = entries.filter(|&(&(vlan, of), _)| of == mac && concerns(vlan));
        seen.entries = of_mac
            .map(|(&(vlan, _), &Entry { port, origin })| SeenEntry::new(vlan, self.identity(port), origin))
            .collect();
        seen
    }

    fn is_local(&self, bridge: InterfaceIndex, mac: MacAddr) -> bool {
        self.interfaces.get(&bridge).is_some_and(|interface| interface.mac == mac)
            || self.ports(bridge).any(|(_, port)| port.mac == mac)
    }

    fn entries(&self, bridge: InterfaceIndex) -> Option<&Entries> {
        match &self.interfaces.get(&bridge)?.kind {
            super::host::Kind::Bridge(bridge) => Some(&bridge.entries),
            _ => None,
        }
    }

    fn entries_mut(&mut self, bridge: InterfaceIndex) -> Option<&mut Entries> {
        self.bridge_mut(bridge).map(|bridge| &mut bridge.entries)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Model;
    use crate::{
        BridgeSpec, Bridges, ErrorKind, FdbOrigin, InterfaceName, MacAddr, PortOptions, StaticEntry, UnicastMac,
        VlanId,
    };

    fn name(text: &str) -> InterfaceName {
        text.parse().expect("a name")
    }

    fn mac(last: u8) -> UnicastMac {
        UnicastMac::new(MacAddr::new([0x52, 0x54, 0, 0, 0, last])).expect("of one station")
    }

    /// A bridge with two ports that has learned an address through the first.
    fn host() -> Model {
        let host = Model::new();
        host.create(&BridgeSpec::new(name("br0")).mac(mac(0xff))).expect("the name is free");
        for (last, port) in [(0xf0, "tap0"), (0xf1, "tap1")] {
            host.add_interface(name(port), mac(last)).expect("the name is free");
            host.add_port(name("br0"), name(port)).expect("it can join");
        }
        host.learn(name("br0"), name("tap0"), mac(7), None).expect("it is a port");
        host
    }

    fn entries(host: &Model) -> Vec<(String, Option<u16>, FdbOrigin)> {
        let entries = host.fdb(name("br0")).expect("it is there").into_iter();
        let of_mac = entries.filter(|entry| entry.mac == mac(7));
        of_mac.map(|entry| (entry.port.to_string(), entry.vlan.map(VlanId::get), entry.origin)).collect()
    }

    #[test]
    fn a_learned_entry_moves_and_gives_way() {
        let host = host();
        let learned = |port: &str| vec![(port.to_owned(), None, FdbOrigin::Learned)];
        assert_eq!(entries(&host), learned("tap0"));
        host.learn(name("br0"), name("tap1"), mac(7), None).expect("it is a port");
        assert_eq!(entries(&host), learned("tap1"));
        let entry = StaticEntry::new(mac(7), name("tap0"));
        let refused = host.add_fdb_entry(name("br0"), &entry).expect_err("the bridge knows it");
        assert_eq!(refused.kind(), ErrorKind::EntryExists);
        host.replace_fdb_entry(name("br0"), &entry).expect("it can be replaced");
        host.learn(name("br0"), name("tap1"), mac(7), None).expect("it is a port");
        let fixed = |vlan| ("tap0".to_owned(), vlan, FdbOrigin::Static);
        assert_eq!(entries(&host), [fixed(None), fixed(Some(1))]);
        host.flush_fdb(name("br0")).expect("it is there");
        assert_eq!(entries(&host).len(), 2);
    }

    #[test]
    fn a_learned_entry_goes_when_it_is_flushed_or_removed_and_with_its_port_or_vlan() {
        type Act = fn(&Model) -> crate::Result<()>;
        let acts: [Act; 4] = [
            |host| host.flush_fdb(name("br0")),
            |host| host.remove_fdb_entry(name("br0"), mac(7), None),
            |host| host.remove_port(name("br0"), name("tap0")),
            |host| host.remove_interface(name("tap0")),
        ];
        for act in acts {
            let host = host();
            act(&host).expect("it can be done");
            assert!(entries(&host).is_empty());
        }
        let host = host();
        host.learn(name("br0"), name("tap0"), mac(7), Some(VlanId::MIN)).expect("it is a port");
        assert_eq!(entries(&host).len(), 2);
        host.remove_vlans(name("br0"), name("tap0"), VlanId::MIN.into()).expect("it has it");
        assert_eq!(entries(&host), [("tap0".to_owned(), None, FdbOrigin::Learned)]);
    }

    #[test]
    fn nothing_is_learned_of_own_addresses_or_through_a_port_that_is_locked() {
        let host = host();
        for own in [0xf1, 0xff] {
            host.learn(name("br0"), name("tap0"), mac(own), None).expect("it is a port");
        }
        for options in [PortOptions::default().locked(true), PortOptions::default().learning(false)] {
            host.change_port(name("br0"), name("tap1"), &options).expect("it is a port");
            host.learn(name("br0"), name("tap1"), mac(7), None).expect("it is a port");
            let back = PortOptions::default().locked(false).learning(true);
            host.change_port(name("br0"), name("tap1"), &back).expect("it is a port");
        }
        assert_eq!(entries(&host), [("tap0".to_owned(), None, FdbOrigin::Learned)]);
        let origins = host.fdb(name("br0")).expect("it is there").into_iter().map(|entry| entry.origin);
        assert_eq!(origins.filter(|&origin| origin == FdbOrigin::Learned).count(), 1);
        let refused = host.learn(name("br0"), name("br0"), mac(7), None).expect_err("it is no port");
        assert_eq!(refused.kind(), ErrorKind::NotAPort);
    }
}
