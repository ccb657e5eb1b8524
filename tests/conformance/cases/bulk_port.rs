//! Many ports, entries and VLANs at once: all or nothing, or as much as possible.

use vmbridge::{Bridges, Bulk, Capability, ErrorKind, InterfaceName, PortVlans, StaticEntry, VlanTagging};

use super::bulk::{BULKS, add_interfaces, fails_for_each, fails_for_one, guest};
use super::{Group, create};
use crate::host::{Host, name};
use crate::support::{fdb_additions, joins, tests, vlan_additions};

pub(super) const CASES: &[Group] = &[
    (None, &tests![adds_ports, adds_no_port_or_the_others, has_entries_or_says_by_name_that_it_has_none]),
    (Some(Capability::FdbStatic), &tests![adds_entries, adds_no_entry_or_the_others]),
    (Some(Capability::PortVlans), &tests![adds_vlans_to_no_port_or_to_the_others]),
];

fn adds_ports(host: &dyn Host) {
    create(host, "virbr0");
    let ports = add_interfaces(host, 0..40);
    let before = host.snapshot();
    for bulk in BULKS {
        host.bridges().apply(&joins(name("virbr0"), &ports), bulk).expect("they can be ports");
        assert!(ports.iter().all(|&port| bridge_of(host, port).as_deref() == Some("virbr0")));
        for &port in &ports {
            host.bridges().remove_port(name("virbr0"), port).expect("it is a port");
        }
        assert_eq!(host.snapshot(), before);
    }
}

fn bridge_of(host: &dyn Host, port: InterfaceName) -> Option<String> {
    host.look(port).expect("it is there").bridge
}

fn adds_no_port_or_the_others(host: &dyn Host) {
    create(host, "virbr0");
    create(host, "virbr1");
    add_interfaces(host, 0..5);
    host.bridges().add_port(name("virbr0"), name("tap3")).expect("it can be a port");
    host.bridges().add_port(name("virbr1"), name("tap4")).expect("it can be a port");
    for (bad, kind) in [
        (name("tap9"), ErrorKind::PortNotFound),
        (name("tap3"), ErrorKind::AlreadyPort),
        (name("tap4"), ErrorKind::PortBusy),
        (name("virbr1"), ErrorKind::PortIsBridge),
        (host.loopback(), ErrorKind::PortUnsuitable),
        (name("tap0"), ErrorKind::AlreadyPort),
    ] {
        let ports = [name("tap0"), bad, name("tap1"), name("tap2")];
        let add = |bulk| host.bridges().apply(&joins(name("virbr0"), &ports), bulk);
        fails_for_one(4, (1, kind), &|| host.snapshot(), &add);
        let of = |port: &str| bridge_of(host, name(port));
        for port in ["tap0", "tap1", "tap2"] {
            assert_eq!(of(port).as_deref(), Some("virbr0"));
            host.bridges().remove_port(name("virbr0"), name(port)).expect("it is a port");
        }
        assert_eq!((of("tap3").as_deref(), of("tap4").as_deref()), (Some("virbr0"), Some("virbr1")));
    }
}

/// A bridge with the ports `tap0`, `tap1` and `tap2`, and `tap3`, which is none of its.
fn with_ports(host: &dyn Host) {
    create(host, "virbr0");
    let ports = add_interfaces(host, 0..4);
    host.bridges().apply(&joins(name("virbr0"), &ports[..3]), Bulk::AllOrNothing).expect("they can be ports");
}

fn adds_entries(host: &dyn Host) {
    with_ports(host);
    for bulk in BULKS {
        let port = |number| name(&format!("tap{}", number % 3));
        let entries: Vec<_> = (0..1000).map(|number| StaticEntry::new(guest(number), port(number))).collect();
        host.bridges().apply(&fdb_additions(name("virbr0"), &entries), bulk).expect("they are new");
        let expected: Vec<_> = (0..1000).map(|number| (guest(number).into(), port(number))).collect();
        assert!(host.static_entries(name("virbr0")) == expected, "they are not what was added");
        for number in 0..1000 {
            host.bridges().remove_fdb_entry(name("virbr0"), guest(number), None).expect("it is there");
        }
    }
}

fn adds_no_entry_or_the_others(host: &dyn Host) {
    with_ports(host);
    let entry = |number, port| StaticEntry::new(guest(number), name(port));
    let add = |entries: &[StaticEntry]| {
        host.bridges().apply(&fdb_additions(name("virbr0"), entries), Bulk::AllOrNothing).expect("they are new");
    };
    add(&[entry(9, "tap0")]);
    for (bad, kind) in [
        (entry(9, "tap0"), ErrorKind::EntryExists),
        (entry(9, "tap1"), ErrorKind::EntryExists),
        (entry(1, "tap2"), ErrorKind::EntryExists),
        (entry(8, "tap3"), ErrorKind::NotAPort),
        (entry(8, "tap9"), ErrorKind::PortNotFound),
    ] {
        let entries = [entry(1, "tap0"), bad, entry(2, "tap1"), entry(3, "tap2")];
        let state = || format!("{:?}{}", host.static_entries(name("virbr0")), host.snapshot());
        let act = |bulk| host.bridges().apply(&fdb_additions(name("virbr0"), &entries), bulk);
        fails_for_one(4, (1, kind), &state, &act);
        let at = |number, port| (guest(number).into(), name(port));
        let expected = [at(1, "tap0"), at(2, "tap1"), at(3, "tap2"), at(9, "tap0")];
        assert_eq!(host.static_entries(name("virbr0")), expected);
        for number in 1..=3 {
            host.bridges().remove_fdb_entry(name("virbr0"), guest(number), None).expect("it is there");
        }
    }
}

fn has_entries_or_says_by_name_that_it_has_none(host: &dyn Host) {
    with_ports(host);
    let capability = Capability::FdbStatic;
    let entries = [1, 2].map(|number| StaticEntry::new(guest(number), name("tap0")));
    let act = |bulk| host.bridges().apply(&fdb_additions(name("virbr0"), &entries), bulk);
    if host.bridges().capabilities().contains(capability) {
        act(Bulk::AllOrNothing).expect("they are new");
        assert_eq!(host.static_entries(name("virbr0")).len(), 2);
        return;
    }
    fails_for_each(2, ErrorKind::Unsupported, &|| host.snapshot(), &act);
    let error = act(Bulk::AllOrNothing).expect_err("it is not supported");
    assert_eq!(error.failures()[0].1.capability(), Some(capability));
}

fn vlans(port: &str, vlans: &str, tagging: VlanTagging) -> (InterfaceName, PortVlans) {
    (name(port), PortVlans::new(vlans.parse().expect("a range"), tagging))
}

/// The VLANs that the oracle sees on each port.
fn seen_vlans(host: &dyn Host) -> String {
    let seen = ["tap0", "tap1", "tap2"].map(|port| host.vlans(name("virbr0"), name(port)));
    format!("{seen:?}")
}

fn adds_vlans_to_no_port_or_to_the_others(host: &dyn Host) {
    with_ports(host);
    let add = |vlans: &[_], bulk| host.bridges().apply(&vlan_additions(name("virbr0"), vlans), bulk);
    if !host.has_vlans() {
        let some = [vlans("tap0", "7", VlanTagging::Tagged), vlans("tap1", "7", VlanTagging::Tagged)];
        fails_for_each(2, ErrorKind::Unsupported, &|| host.snapshot(), &|bulk| add(&some, bulk));
        return;
    }
    // What the bridge gives its ports by default, and what they have beyond that.
    let own = [vlans("tap0", "5", VlanTagging::Pvid), vlans("tap2", "30-40", VlanTagging::Tagged)];
    add(&own, Bulk::AsMuchAsPossible).expect("they take them");
    let before = seen_vlans(host);
    for (bad, kind) in [
        (vlans("tap3", "7", VlanTagging::Tagged), ErrorKind::NotAPort),
        (vlans("tap9", "7", VlanTagging::Tagged), ErrorKind::PortNotFound),
        (vlans("tap1", "7-8", VlanTagging::Pvid), ErrorKind::InvalidOption),
    ] {
        let many = [
            vlans("tap0", "10-20", VlanTagging::Tagged),
            vlans("tap1", "6", VlanTagging::Pvid),
            // The second time, and over what it has.
            vlans("tap0", "15", VlanTagging::Pvid),
            bad,
            vlans("tap2", "35-50", VlanTagging::Tagged),
        ];
        fails_for_one(5, (3, kind), &|| seen_vlans(host), &|bulk| add(&many, bulk));
        let has = |port, vlan: u16, tagging| {
            let seen = host.vlans(name("virbr0"), name(port));
            seen.iter().any(|&(id, other)| id.get() == vlan && other == tagging)
        };
        assert!(has("tap0", 14, VlanTagging::Tagged) && has("tap0", 15, VlanTagging::Pvid));
        assert!(has("tap1", 6, VlanTagging::Pvid) && has("tap2", 50, VlanTagging::Tagged));
        for (port, range) in [("tap0", "10-20"), ("tap1", "6"), ("tap2", "41-50")] {
            let range = range.parse().expect("a range");
            host.bridges().remove_vlans(name("virbr0"), name(port), range).expect("they are there");
        }
        let default = host
            .vlans(name("virbr0"), name("tap2"))
            .into_iter()
            .find(|(_, tagging)| *tagging == VlanTagging::Pvid);
        let default = default.map(|(id, tagging)| (name("tap1"), PortVlans::new(id.into(), tagging)));
        let again: Vec<_> = own.iter().copied().chain(default).collect();
        add(&again, Bulk::AllOrNothing).expect("they take them");
        assert_eq!(seen_vlans(host), before);
    }
}
