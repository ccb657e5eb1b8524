//! What a case needs of the host that it runs on.

use std::time::Duration;

use vmbridge::{
    Backend, BridgeOption, InterfaceName, MacAddr, PortOption, PortStpState, StpProtocol, UnicastMac, VlanId,
    VlanTagging,
};

pub(crate) use crate::support::{mac, name};

/// A case of the suite.
pub(crate) type Case = fn(&dyn Host);

/// A host of the case's own, with nothing on it but a loopback interface.
pub(crate) trait Host: Sync {
    /// The backend under test.
    fn bridges(&self) -> &dyn Backend;

    /// The name of the loopback interface.
    fn loopback(&self) -> InterfaceName;

    /// Adds an Ethernet interface, not through the backend.
    fn add_interface(&self, name: InterfaceName, mac: UnicastMac);

    /// Removes an interface, not through the backend.
    fn remove_interface(&self, name: InterfaceName);

    /// What the oracle sees of an interface.
    fn look(&self, name: InterfaceName) -> Option<Seen>;

    /// What the oracle sees of a tap beyond that, if it can see it.
    fn look_at_tap(&self, tap: InterfaceName) -> Option<SeenTap> {
        let _ = tap;
        None
    }

    /// All that the oracle sees of the host, as it prints it.
    fn snapshot(&self) -> String;

    /// Whether its kernel tells VLANs apart, not by the backend's word.
    fn has_vlans(&self) -> bool;

    /// What the oracle sees of an option of a bridge, as text; `None` if it cannot see it.
    fn bridge_option(&self, bridge: InterfaceName, option: BridgeOption) -> Option<String>;

    /// What the oracle sees of an option of a port, as text; `None` if it cannot see it.
    fn port_option(&self, bridge: InterfaceName, port: InterfaceName, option: PortOption) -> Option<String>;

    /// The static entries that the oracle sees in a bridge's FDB: MAC and port, in order.
    fn static_entries(&self, bridge: InterfaceName) -> Vec<(MacAddr, InterfaceName)>;

    /// The VLANs of the static entries of a MAC, in order; `None` for one without.
    fn entry_vlans(&self, bridge: InterfaceName, mac: UnicastMac) -> Vec<Option<VlanId>>;

    /// What the oracle sees of where a port stands in STP, if it speaks that.
    fn stp_state(&self, bridge: InterfaceName, port: InterfaceName) -> Option<PortStpState>;

    /// Adds static entries to a bridge's FDB, not through the backend.
    fn add_static_entries(&self, bridge: InterfaceName, port: InterfaceName, macs: &[UnicastMac]);

    /// The VLANs that the oracle sees on a port, in order, each with how it passes.
    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Vec<(VlanId, VlanTagging)>;

    /// Runs `act` without the privilege to change anything.
    fn without_privilege(&self, act: &dyn Fn());
}

/// What the oracle sees of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub mac: MacAddr,
    pub mtu: u32,
    pub up: bool,
    pub is_bridge: bool,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
}

/// What the oracle sees of a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeenTap {
    pub persistent: bool,
    pub multi_queue: bool,
    pub vnet_hdr: bool,
    pub owner: Option<u32>,
    pub group: Option<u32>,
}

/// The value of an option as an oracle's text: on and off as 1 and 0, times in units of 10 ms.
pub(crate) fn bridge_value(option: BridgeOption) -> String {
    let time = |time: Duration| (time.as_millis() / 10).to_string();
    match option {
        BridgeOption::StpProtocol(StpProtocol::Stp) => "stp".to_owned(),
        BridgeOption::StpProtocol(_) => "rstp".to_owned(),
        BridgeOption::ForwardDelay(value)
        | BridgeOption::HelloTime(value)
        | BridgeOption::MaxAge(value)
        | BridgeOption::AgeingTime(value) => time(value),
        BridgeOption::Priority(value) => value.to_string(),
        BridgeOption::MaxAddresses(value) => value.to_string(),
        BridgeOption::GroupForwardMask(value) => format!("{value:#x}"),
        BridgeOption::Stp(value) | BridgeOption::MulticastSnooping(value) | BridgeOption::VlanFiltering(value) => {
            u8::from(value).to_string()
        }
        BridgeOption::DefaultPvid(value) => value.map_or(0, vmbridge::VlanId::get).to_string(),
        BridgeOption::HostIpv6(value) => value.to_string(),
        other => unreachable!("an option without a text: {other:?}"),
    }
}

/// The value of an option as an oracle's text.
pub(crate) fn port_value(option: PortOption) -> String {
    match option {
        PortOption::PathCost(value) => value.to_string(),
        PortOption::Priority(value) => value.to_string(),
        PortOption::Isolated(value)
        | PortOption::Learning(value)
        | PortOption::UnicastFlood(value)
        | PortOption::MulticastFlood(value)
        | PortOption::BroadcastFlood(value)
        | PortOption::BpduGuard(value)
        | PortOption::RootBlock(value)
        | PortOption::FastLeave(value)
        | PortOption::Hairpin(value)
        | PortOption::NeighborSuppression(value)
        | PortOption::Locked(value)
        | PortOption::Stp(value)
        | PortOption::Sticky(value) => u8::from(value).to_string(),
        other => unreachable!("an option without a text: {other:?}"),
    }
}
