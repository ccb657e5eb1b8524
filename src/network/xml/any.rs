//! Any network, for the tests of this crate and, by its path, for those that have another program as
//! the witness.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use vmbridge::network::{Anchor, BridgeName, ForwardMode, MacTableManager, Network, NetworkName, PortIsolation};
use vmbridge::{BridgeOptions, HostIpv6, MacAddr, StpProtocol, UnicastMac, VlanId};

pub(crate) fn any_mac() -> impl Strategy<Value = UnicastMac> {
    any::<[u8; 6]>().prop_filter_map("of a group, or zero", |bytes| UnicastMac::new(MacAddr::new(bytes)).ok())
}

pub(crate) fn any_bridge_name() -> impl Strategy<Value = BridgeName> {
    let text = prop_oneof!["[a-z]{1,8}%d", "[ -~]{1,15}", any::<String>()];
    let is_xml = |name: &str| !name.contains(['\u{fffe}', '\u{ffff}']);
    text.prop_filter_map("no name", move |text| text.parse().ok().filter(|_| is_xml(&text)))
}

fn any_time() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

prop_compose! {
    fn any_options()(
        stp in option::of(any::<bool>()),
        stp_protocol in option::of(select(vec![StpProtocol::Stp, StpProtocol::Rstp])),
        forward_delay in option::of((0..1_u64 << 63).prop_map(Duration::from_secs)),
        times in [option::of(any_time()), option::of(any_time()), option::of(any_time())],
        numbers in (option::of(any::<u16>()), option::of(any::<u16>()), option::of(any::<u32>())),
        switches in [option::of(any::<bool>()), option::of(any::<bool>())],
        host_ipv6 in option::of(select(vec![HostIpv6::Kernel, HostIpv6::Manual, HostIpv6::Disabled])),
        default_pvid in option::of((0..=4094_u16).prop_map(|number| VlanId::new(number).ok())),
    ) -> BridgeOptions {
        let mut options = BridgeOptions::default();
        options.stp = stp;
        options.stp_protocol = stp_protocol;
        options.forward_delay = forward_delay;
        [options.hello_time, options.max_age, options.ageing_time] = times;
        (options.priority, options.group_forward_mask, options.max_addresses) = numbers;
        [options.multicast_snooping, options.vlan_filtering] = switches;
        (options.default_pvid, options.host_ipv6) = (default_pvid, host_ipv6);
        options
    }
}

fn any_mode() -> impl Strategy<Value = ForwardMode> {
    select(vec![ForwardMode::Isolated, ForwardMode::Nat, ForwardMode::Route, ForwardMode::Open])
}

prop_compose! {
    pub(crate) fn any_network()(
        name in any::<String>().prop_filter_map("no name", |name| NetworkName::new(&name).ok()),
        forward in any_mode(),
        bridge in any_bridge_name(),
        mac in option::of(any_mac()),
        mtu in option::of(Network::MTU),
        options in any_options(),
        manager in option::of(select(vec![MacTableManager::Kernel, MacTableManager::Libvirt])),
        isolation in select(vec![PortIsolation::Connected, PortIsolation::Isolated]),
        anchor in select(vec![Anchor::None, Anchor::Tap]),
    ) -> Network {
        let mut network = Network::new(name).with_forward(forward).with_bridge(bridge);
        network = network.with_options(options).expect("a delay of whole seconds");
        network = network.with_isolation(isolation).with_anchor(anchor);
        network = mac.map_or(network.clone(), |mac| network.with_mac(mac));
        network = manager.map_or(network.clone(), |manager| network.with_mac_table_manager(manager));
        mtu.map_or(network.clone(), |mtu| network.with_mtu(mtu).expect("an MTU"))
    }
}
