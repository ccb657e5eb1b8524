//! What is played: random steps, valid and invalid.

use std::num::NonZeroU16;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use vmbridge::{
    BridgeChange, BridgeOption, BridgeSpec, InterfaceName, LinkState, MacAddr, PortOption, PortVlans, StaticEntry,
    TapChange, TapSpec, VlanId, VlanRange, VlanTagging, VnetHeader,
};

use super::{BRIDGES, GUESTS, MACS, Step, TAP_MACS, TAPS, mac, name};

/// Bridges more often than what is none or is not there.
fn bridge() -> impl Strategy<Value = InterfaceName> {
    prop_oneof![9 => select(&BRIDGES[..]), 1 => select(&["tap0", "lo", "none"][..])].prop_map(name)
}

fn port() -> impl Strategy<Value = InterfaceName> {
    let ports = select(&["tap0", "tap1", "tap2", "vnet0", "vnet1"][..]);
    prop_oneof![9 => ports, 1 => select(&["virbr0", "lo", "none"][..])].prop_map(name)
}

pub(super) fn step(has_vlans: bool) -> impl Strategy<Value = Step> {
    let create = (select(&BRIDGES[..]), change(has_vlans), any::<bool>()).prop_map(|(bridge, change, up)| {
        let mut spec = BridgeSpec::new(name(bridge)).options(change.options);
        (spec.mac, spec.mtu) = (change.mac, change.mtu);
        if up { spec.link(LinkState::Up) } else { spec }
    });
    prop_oneof![
        5 => create.prop_map(Step::Create),
        1 => bridge().prop_map(Step::Delete),
        4 => (bridge(), change(has_vlans)).prop_map(|(bridge, change)| Step::Change(bridge, change)),
        5 => (bridge(), port()).prop_map(|(bridge, port)| Step::AddPort(bridge, port)),
        2 => (bridge(), port()).prop_map(|(bridge, port)| Step::RemovePort(bridge, port)),
        3 => (bridge(), port(), proptest::collection::vec(port_option(), 0..4))
            .prop_map(|(bridge, port, options)| Step::ChangePort(bridge, port, options)),
        3 => (bridge(), entry()).prop_map(|(bridge, entry)| Step::AddEntry(bridge, entry)),
        2 => (bridge(), entry()).prop_map(|(bridge, entry)| Step::ReplaceEntry(bridge, entry)),
        2 => (bridge(), select(&GUESTS[..]), vlan())
            .prop_map(|(bridge, guest, vlan)| Step::RemoveEntry(bridge, mac(guest), vlan)),
        1 => bridge().prop_map(Step::Flush),
        2 => (bridge(), port(), vlan_range(), tagging())
            .prop_map(|(bridge, port, range, tagging)| Step::AddVlans(bridge, port, PortVlans::new(range, tagging))),
        1 => (bridge(), port(), vlan_range()).prop_map(|(bridge, port, range)| Step::RemoveVlans(bridge, port, range)),
        6 => tap_spec().prop_map(Step::CreateTap),
        2 => tap().prop_map(Step::PersistTap),
        2 => tap().prop_map(Step::CloseTap),
        2 => (tap(), tap_change()).prop_map(|(tap, change)| Step::ChangeTap(tap, change)),
        2 => tap().prop_map(Step::DeleteTap),
    ]
}

/// Taps more often than what is none or is not there.
fn tap() -> impl Strategy<Value = InterfaceName> {
    prop_oneof![9 => select(&TAPS[..]), 1 => select(&["virbr0", "tap0", "lo", "none"][..])].prop_map(name)
}

fn tap_mtu() -> impl Strategy<Value = Option<u32>> {
    proptest::option::of(select(&[0, 67, 68, 1400, 1500, 9000, 65521, 65522][..]))
}

/// Each with a MAC: a bridge takes the lowest of its ports'.
fn tap_spec() -> impl Strategy<Value = TapSpec> {
    let queues = select(&[1_u16, 1, 1, 2, 3][..]);
    let owner = || select(&[None, None, Some(0), Some(7), Some(u32::MAX)][..]);
    let given = (tap(), select(&TAP_MACS[..]), tap_mtu(), any::<bool>());
    (given, queues, any::<bool>(), owner(), owner()).prop_map(
        |((tap, tap_mac, mtu, adopt), queues, vnet_hdr, owner, group)| {
            let mut spec = TapSpec::new().name(tap).mac(mac(tap_mac));
            (spec.mtu, spec.owner, spec.group) = (mtu, owner, group);
            spec.vnet_hdr = vnet_hdr.then(VnetHeader::default);
            spec.queues = NonZeroU16::new(queues).expect("not zero");
            if adopt { spec.adopt_existing() } else { spec }
        },
    )
}

fn tap_change() -> impl Strategy<Value = TapChange> {
    let macs = select(&["fe:00:00:aa:00:01", "02:00:00:00:00:05", "01:00:5e:00:00:01"][..]);
    let tap_mac = proptest::option::of(macs.prop_map(|text| text.parse::<MacAddr>().expect("a MAC")));
    let link = proptest::option::of(select(&[LinkState::Up, LinkState::Down][..]));
    (tap_mac, tap_mtu(), link).prop_map(|(mac, mtu, link)| {
        let mut change = TapChange::default();
        (change.mac, change.mtu, change.link) = (mac, mtu, link);
        change
    })
}

fn entry() -> impl Strategy<Value = StaticEntry> {
    (select(&GUESTS[..]), port(), vlan()).prop_map(|(guest, port, vlan)| {
        let entry = StaticEntry::new(mac(guest), port);
        vlan.map_or(entry, |vlan| entry.vlan(vlan))
    })
}

fn change(has_vlans: bool) -> impl Strategy<Value = BridgeChange> {
    let mac = proptest::option::of(select(&MACS[..]).prop_map(mac));
    let mtu = proptest::option::of(select(&[0, 67, 68, 1400, 1500, 9000, 65535, 65536][..]));
    let link = proptest::option::of(select(&[LinkState::Up, LinkState::Down][..]));
    (mac, mtu, link, proptest::collection::vec(bridge_option(has_vlans), 0..4)).prop_map(
        |(mac, mtu, link, options)| {
            let mut change = BridgeChange::default().options(options.into_iter().collect());
            (change.mac, change.mtu, change.link) = (mac, mtu, link);
            change
        },
    )
}

fn bridge_option(has_vlans: bool) -> impl Strategy<Value = BridgeOption> {
    // Half a second is a whole number of ticks at every HZ.
    let time = || (0_u64..90).prop_map(|half_seconds| Duration::from_millis(500 * half_seconds));
    prop_oneof![
        time().prop_map(BridgeOption::ForwardDelay),
        time().prop_map(BridgeOption::ForwardDelay),
        time().prop_map(BridgeOption::HelloTime),
        time().prop_map(BridgeOption::MaxAge),
        any::<u16>().prop_map(BridgeOption::Priority),
        any::<bool>().prop_map(BridgeOption::Stp),
        any::<bool>().prop_map(BridgeOption::Stp),
        time().prop_map(BridgeOption::AgeingTime),
        any::<bool>().prop_map(BridgeOption::MulticastSnooping),
        select(&[0, 8, 0x4000, 0xfff8, 1, 7][..]).prop_map(BridgeOption::GroupForwardMask),
        // Without VLANs there are two reasons to refuse a change, and no order of them.
        vlan().prop_map(move |vlan| match (has_vlans, vlan) {
            (false, _) => BridgeOption::Stp(true),
            (true, None) => BridgeOption::VlanFiltering(true),
            (true, vlan) => BridgeOption::DefaultPvid(vlan),
        }),
    ]
}

fn port_option() -> impl Strategy<Value = PortOption> {
    prop_oneof![
        any::<bool>().prop_map(PortOption::Isolated),
        any::<bool>().prop_map(PortOption::Learning),
        any::<bool>().prop_map(PortOption::UnicastFlood),
        any::<bool>().prop_map(PortOption::MulticastFlood),
        any::<bool>().prop_map(PortOption::BroadcastFlood),
        any::<bool>().prop_map(PortOption::BpduGuard),
        any::<bool>().prop_map(PortOption::RootBlock),
        any::<bool>().prop_map(PortOption::FastLeave),
        any::<bool>().prop_map(PortOption::Hairpin),
        any::<bool>().prop_map(PortOption::NeighborSuppression),
        any::<bool>().prop_map(PortOption::Locked),
        select(&[0, 1, 2, 777, 65535, 65536][..]).prop_map(PortOption::PathCost),
        select(&[0, 1, 32, 63, 64, 255][..]).prop_map(PortOption::Priority),
    ]
}

fn vlan() -> impl Strategy<Value = Option<VlanId>> {
    let some = select(&[1_u16, 7, 4094][..]).prop_map(|number| VlanId::new(number).expect("in range"));
    prop_oneof![3 => Just(None), 1 => some.prop_map(Some)]
}

fn vlan_range() -> impl Strategy<Value = VlanRange> {
    select(&["1", "7", "6-8", "4094", "1-4094"][..]).prop_map(|range| range.parse().expect("a range"))
}

fn tagging() -> impl Strategy<Value = VlanTagging> {
    select(&[VlanTagging::Tagged, VlanTagging::Untagged, VlanTagging::Pvid, VlanTagging::PvidTagged][..])
}
