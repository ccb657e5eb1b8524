//! The VLANs of ports (`net/bridge/br_vlan.c`).

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::host::Host;
use crate::error::Attempt;
use crate::{ErrorKind, InterfaceIndex, PortVlans, Result, VlanId, VlanRange, VlanTagging, vlan::merged};

/// The VLANs of a port.
pub(super) type Vlans = BTreeMap<VlanId, VlanTagging>;

impl Host {
    pub(super) fn vlans_of_a_new_port(&mut self, bridge: InterfaceIndex) -> Vlans {
        let pvid = self.bridge_mut(bridge).and_then(|bridge| bridge.options.default_pvid).flatten();
        pvid.map(|pvid| (pvid, VlanTagging::Pvid)).into_iter().collect()
    }

    pub(super) fn port_vlan_ids(&self, port: InterfaceIndex) -> Vec<VlanId> {
        let port = self.interfaces.get(&port).and_then(|interface| interface.port.as_ref());
        port.into_iter().flat_map(|port| port.vlans.keys().copied()).collect()
    }

    pub(super) fn vlans(&self, port: InterfaceIndex) -> Vec<PortVlans> {
        let port = self.interfaces.get(&port).and_then(|interface| interface.port.as_ref());
        let vlans = port.into_iter().flat_map(|port| &port.vlans);
        merged(vlans.map(|(&vlan, &tagging)| PortVlans::new(vlan.into(), tagging)).collect())
    }

    pub(super) fn add_vlans(&mut self, at: Attempt, port: InterfaceIndex, vlans: PortVlans) -> Result<()> {
        self.check_vlans(at)?;
        let Some(port) = self.port_mut(port) else { return Ok(()) };
        if vlans.tagging.is_pvid() {
            give_up_pvid(&mut port.vlans);
        }
        port.vlans.extend(vlans.vlans.iter().map(|vlan| (vlan, vlans.tagging)));
        Ok(())
    }

    pub(super) fn remove_vlans(&mut self, at: Attempt, port: InterfaceIndex, vlans: VlanRange) -> Result<()> {
        self.check_vlans(at)?;
        let Some(state) = self.port_mut(port) else { return Ok(()) };
        let (bridge, before) = (state.bridge, state.vlans.len());
        state.vlans.retain(|&vlan, _| !vlans.contains(vlan));
        if state.vlans.len() == before {
            return Err(at.means(ErrorKind::EntryNotFound, Errno::ENOENT));
        }
        // `nbp_vlan_delete()`
        self.forget(bridge, |vlan, behind| behind == port && vlan.is_some_and(|vlan| vlans.contains(vlan)));
        Ok(())
    }

    /// The ports that have the default PVID as theirs follow it.
    pub(super) fn move_default_pvid(&mut self, bridge: InterfaceIndex, from: Option<VlanId>, to: Option<VlanId>) {
        let ports: Vec<_> = self.ports(bridge).map(|(index, _)| index).collect();
        for index in ports {
            let Some(port) = self.port_mut(index) else { continue };
            if let Some(from) = from.filter(|from| port.vlans.get(from) == Some(&VlanTagging::Pvid)) {
                port.vlans.remove(&from);
            }
            if let Some(to) = to {
                give_up_pvid(&mut port.vlans);
                port.vlans.insert(to, VlanTagging::Pvid);
            }
        }
    }

    fn check_vlans(&self, at: Attempt) -> Result<()> {
        self.check_privilege(at)?;
        if self.has_vlans { Ok(()) } else { Err(at.errno(Errno::EOPNOTSUPP)) }
    }
}

/// There is one PVID; the former one stays as a VLAN.
fn give_up_pvid(vlans: &mut Vlans) {
    for tagging in vlans.values_mut() {
        *tagging = match *tagging {
            VlanTagging::Pvid => VlanTagging::Untagged,
            VlanTagging::PvidTagged => VlanTagging::Tagged,
            other => other,
        };
    }
}
