//! The forwarding database: static entries, and the local ones that follow from the MACs
//! (`net/bridge/br_fdb.c`).

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::host::Host;
use crate::error::Attempt;
use crate::{
    Capability, ErrorKind, FdbEntry, FdbOrigin, InterfaceIndex, MacAddr, Result, StaticEntry, UnicastMac, VlanId,
};

/// Where an address is, in a VLAN or without one.
pub(super) type Entries = BTreeMap<(Option<VlanId>, MacAddr), InterfaceIndex>;

/// What becomes of an entry that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Refuse,
    Replace,
}

impl Host {
    pub(super) fn fdb(&self, bridge: InterfaceIndex) -> Vec<FdbEntry> {
        let entry = |index: InterfaceIndex, mac, vlan, origin| FdbEntry {
            mac,
            port: self.interfaces[&index].name,
            vlan,
            origin,
            age: None,
        };
        let own = self.interfaces.get(&bridge).map(|interface| (bridge, interface));
        let local = own
            .into_iter()
            .chain(self.ports(bridge))
            .map(|(index, interface)| (index, entry(index, interface.mac, None, FdbOrigin::Local)));
        let fixed = self
            .entries(bridge)
            .into_iter()
            .flatten()
            .map(|(&(vlan, mac), &index)| (index, entry(index, mac, vlan, FdbOrigin::Static)));
        let mut entries: Vec<_> = local.chain(fixed).collect();
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
        entries.extend(vlans.into_iter().map(|vlan| ((vlan, mac), port)));
        Ok(())
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
        let port = self.entries(bridge).and_then(|entries| entries.get(&(vlan, mac)).copied());
        let port = port.ok_or_else(|| at.means(ErrorKind::EntryNotFound, Errno::ENOENT))?;
        privileged?;
        let of_port = if vlan.is_none() { self.port_vlan_ids(port) } else { Vec::new() };
        let Some(entries) = self.entries_mut(bridge) else { return Ok(()) };
        entries.remove(&(vlan, mac));
        for vlan in of_port {
            if entries.get(&(Some(vlan), mac)) == Some(&port) {
                entries.remove(&(Some(vlan), mac));
            }
        }
        Ok(())
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
