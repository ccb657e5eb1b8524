//! Lists of steps of one kind.

use vmbridge::{BridgeChange, BridgeSpec, InterfaceName, PortVlans, StaticEntry, Step};

pub(crate) fn creations(specs: &[BridgeSpec]) -> Vec<Step> {
    specs.iter().cloned().map(Step::Create).collect()
}

pub(crate) fn deletions(bridges: &[InterfaceName]) -> Vec<Step> {
    bridges.iter().copied().map(Step::delete).collect()
}

pub(crate) fn bridge_changes(changes: &[(InterfaceName, BridgeChange)]) -> Vec<Step> {
    changes.iter().map(|(bridge, change)| Step::change(*bridge, change.clone())).collect()
}

pub(crate) fn joins(bridge: InterfaceName, ports: &[InterfaceName]) -> Vec<Step> {
    ports.iter().map(|&port| Step::add_port(bridge, port)).collect()
}

pub(crate) fn fdb_additions(bridge: InterfaceName, entries: &[StaticEntry]) -> Vec<Step> {
    entries.iter().map(|&entry| Step::add_fdb_entry(bridge, entry)).collect()
}

pub(crate) fn vlan_additions(bridge: InterfaceName, vlans: &[(InterfaceName, PortVlans)]) -> Vec<Step> {
    vlans.iter().map(|&(port, vlans)| Step::add_vlans(bridge, port, vlans)).collect()
}
