//! The forwarding database (FDB) of a bridge.

use vmbridge::{
    BridgeChange, BridgeOptions, Bridges, Capability, Error, ErrorKind, FdbOrigin, MacAddr, PortVlans,
    StaticEntry, UnicastMac, VlanId, VlanTagging,
};

use super::{Group, HIGH, LOW, create, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[
    (None, &tests![is_refused_by_name_where_the_backend_has_none]),
    (
        Some(Capability::FdbStatic),
        &tests![
            takes_and_gives_back_static_entries,
            refuses_what_is_there_and_what_is_not,
            moves_an_entry_that_is_replaced,
            loses_the_entries_of_a_port_that_leaves,
            keeps_static_entries_when_it_is_flushed,
            takes_many_entries
        ],
    ),
    (Some(Capability::FdbVlan), &tests![keeps_entries_of_vlans_apart]),
    (Some(Capability::FdbList), &tests![lists_ten_thousand_entries]),
    (Some(Capability::FdbFlush), &tests![is_flushed_where_it_is_one]),
];

const GUEST: &str = "52:54:00:aa:00:01";

fn with_two_ports(host: &dyn Host) {
    create(host, "virbr0");
    for (port, port_mac) in [("tap0", LOW), ("tap1", HIGH)] {
        host.add_interface(name(port), mac(port_mac));
        host.bridges().add_port(name("virbr0"), name(port)).expect("it can be a port");
    }
}

fn entry(guest: &str, port: &str) -> StaticEntry {
    StaticEntry::new(mac(guest), name(port))
}

fn add(host: &dyn Host, guest: &str, port: &str) -> Result<(), Error> {
    host.bridges().add_fdb_entry(name("virbr0"), &entry(guest, port))
}

/// What the backend lists as static, which must be what the oracle sees.
fn listed(host: &dyn Host) -> Vec<(MacAddr, String)> {
    let entries = host.bridges().fdb(name("virbr0")).expect("it is a bridge").into_iter();
    let fixed = entries.filter(|entry| entry.origin == FdbOrigin::Static);
    let mut listed: Vec<_> = fixed.map(|entry| (entry.mac, entry.port)).collect();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(listed, host.static_entries(name("virbr0")));
    listed.into_iter().map(|(mac, port)| (mac, port.to_string())).collect()
}

fn at(guest: &str, port: &str) -> (MacAddr, String) {
    (mac(guest).into(), port.to_owned())
}

fn takes_and_gives_back_static_entries(host: &dyn Host) {
    with_two_ports(host);
    assert_eq!(listed(host), []);
    add(host, GUEST, "tap0").expect("there is none yet");
    assert_eq!(listed(host), [at(GUEST, "tap0")]);
    host.bridges().remove_fdb_entry(name("virbr0"), mac(GUEST), None).expect("it is there");
    assert_eq!(listed(host), []);
}

fn refuses_what_is_there_and_what_is_not(host: &dyn Host) {
    with_two_ports(host);
    host.add_interface(name("tap2"), mac("02:00:00:00:00:03"));
    add(host, GUEST, "tap0").expect("there is none yet");
    let remove = |guest: &str| host.bridges().remove_fdb_entry(name("virbr0"), mac(guest), None);
    refused(
        host,
        &[
            (ErrorKind::EntryExists, &|| add(host, GUEST, "tap0")),
            (ErrorKind::EntryExists, &|| add(host, GUEST, "tap1")),
            (ErrorKind::EntryNotFound, &|| remove("52:54:00:aa:00:02")),
            (ErrorKind::NotAPort, &|| add(host, "52:54:00:aa:00:02", "tap2")),
            (ErrorKind::PortNotFound, &|| add(host, "52:54:00:aa:00:02", "tap3")),
            (ErrorKind::NotABridge, &|| host.bridges().add_fdb_entry(name("tap0"), &entry(GUEST, "tap1"))),
            (ErrorKind::NotFound, &|| host.bridges().add_fdb_entry(name("virbr1"), &entry(GUEST, "tap1"))),
            (ErrorKind::NotFound, &|| host.bridges().fdb(name("virbr1")).map(drop)),
            (ErrorKind::NotABridge, &|| host.bridges().fdb(name("tap0")).map(drop)),
        ],
    );
    assert_eq!(listed(host), [at(GUEST, "tap0")]);
    host.without_privilege(&|| {
        refused(
            host,
            &[
                (ErrorKind::PermissionDenied, &|| add(host, "52:54:00:aa:00:02", "tap1")),
                (ErrorKind::PermissionDenied, &|| remove(GUEST)),
            ],
        );
    });
}

fn moves_an_entry_that_is_replaced(host: &dyn Host) {
    with_two_ports(host);
    for port in ["tap0", "tap1", "tap1", "tap0"] {
        host.bridges().replace_fdb_entry(name("virbr0"), &entry(GUEST, port)).expect("it moves");
        assert_eq!(listed(host), [at(GUEST, port)]);
    }
}

/// On Linux an entry needs a port that has its VLAN, and one without is for those of its port, too.
fn keeps_entries_of_vlans_apart(host: &dyn Host) {
    with_two_ports(host);
    let bridges = host.bridges();
    let seven = VlanId::new(7).expect("a VLAN");
    let in_seven = entry(GUEST, "tap0").vlan(seven);
    if bridges.implemented().contains(Capability::PortVlans) {
        if !host.has_vlans() {
            refused(host, &[(ErrorKind::Unsupported, &|| bridges.add_fdb_entry(name("virbr0"), &in_seven))]);
            return;
        }
        let tagged = PortVlans::new(seven.into(), VlanTagging::Tagged);
        bridges.add_vlans(name("virbr0"), name("tap0"), tagged).expect("it takes it");
    }
    let vlans = || {
        let entries = bridges.fdb(name("virbr0")).expect("it is a bridge").into_iter();
        let mut vlans: Vec<_> = entries.filter(|entry| entry.mac == mac(GUEST)).map(|entry| entry.vlan).collect();
        vlans.sort_unstable();
        assert_eq!(vlans, host.entry_vlans(name("virbr0"), mac(GUEST)));
        vlans
    };
    let remove = |vlan| bridges.remove_fdb_entry(name("virbr0"), mac(GUEST), vlan);
    bridges.add_fdb_entry(name("virbr0"), &in_seven).expect("there is none yet");
    assert_eq!(vlans(), [Some(seven)]);
    refused(
        host,
        &[
            (ErrorKind::EntryExists, &|| bridges.add_fdb_entry(name("virbr0"), &in_seven)),
            (ErrorKind::EntryNotFound, &|| remove(None)),
            (ErrorKind::EntryNotFound, &|| remove(Some(VlanId::MAX))),
        ],
    );
    add(host, GUEST, "tap1").expect("there is none without a VLAN");
    assert!(vlans().contains(&None) && vlans().contains(&Some(seven)));
    remove(None).expect("it is there");
    assert_eq!(vlans(), [Some(seven)]);
    remove(Some(seven)).expect("it is there");
    assert_eq!(vlans(), []);
}

fn loses_the_entries_of_a_port_that_leaves(host: &dyn Host) {
    with_two_ports(host);
    add(host, GUEST, "tap0").expect("there is none yet");
    add(host, "52:54:00:aa:00:02", "tap1").expect("there is none yet");
    host.bridges().remove_port(name("virbr0"), name("tap0")).expect("it is a port");
    assert_eq!(listed(host), [at("52:54:00:aa:00:02", "tap1")]);
}

fn keeps_static_entries_when_it_is_flushed(host: &dyn Host) {
    with_two_ports(host);
    add(host, GUEST, "tap0").expect("there is none yet");
    host.bridges().flush_fdb(name("virbr0")).expect("it is a bridge");
    assert_eq!(listed(host), [at(GUEST, "tap0")]);
}

fn is_flushed_where_it_is_one(host: &dyn Host) {
    with_two_ports(host);
    let flush = |bridge: &str| host.bridges().flush_fdb(name(bridge));
    flush("virbr0").expect("it is a bridge");
    refused(host, &[(ErrorKind::NotFound, &|| flush("virbr1")), (ErrorKind::NotABridge, &|| flush("tap0"))]);
    host.without_privilege(&|| refused(host, &[(ErrorKind::PermissionDenied, &|| flush("virbr0"))]));
}

fn guests(count: u16) -> Vec<UnicastMac> {
    let guest = |number: u16| {
        let [high, low] = number.to_be_bytes();
        UnicastMac::new(MacAddr::new([0x52, 0x54, 0, 1, high, low])).expect("of one station")
    };
    (0..count).map(guest).collect()
}

fn takes_many_entries(host: &dyn Host) {
    with_two_ports(host);
    let guests = guests(1000);
    for &guest in &guests {
        host.bridges().add_fdb_entry(name("virbr0"), &StaticEntry::new(guest, name("tap0"))).expect("it is new");
    }
    assert_eq!(listed(host).len(), guests.len());
}

/// More than one system call gives, on every system; not all of them behind one port.
fn lists_ten_thousand_entries(host: &dyn Host) {
    with_two_ports(host);
    if host.bridges().capabilities().contains(Capability::MaxAddresses) {
        let room = BridgeOptions::default().max_addresses(20_000);
        host.bridges().change(name("virbr0"), &BridgeChange::default().options(room)).expect("it takes it");
    }
    let guests = guests(10_000);
    let (some, others) = guests.split_at(6_000);
    host.add_static_entries(name("virbr0"), name("tap0"), some);
    host.add_static_entries(name("virbr0"), name("tap1"), others);
    let port = |number| name(if number < some.len() { "tap0" } else { "tap1" }).to_string();
    let expected: Vec<_> =
        guests.iter().enumerate().map(|(number, &guest)| (MacAddr::from(guest), port(number))).collect();
    assert!(listed(host) == expected, "it is not what was added");
}

fn is_refused_by_name_where_the_backend_has_none(host: &dyn Host) {
    with_two_ports(host);
    let bridges = host.bridges();
    let capabilities = bridges.capabilities();
    let attempts = [
        (Capability::FdbList, bridges.fdb(name("virbr0")).map(drop)),
        (Capability::FdbStatic, add(host, GUEST, "tap0")),
        (Capability::FdbFlush, bridges.flush_fdb(name("virbr0"))),
    ];
    for (capability, outcome) in attempts {
        match outcome {
            Ok(()) => assert!(capabilities.contains(capability), "{capability} works and is not claimed"),
            Err(error) => {
                assert!(!capabilities.contains(capability), "{error}");
                assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(capability)));
            }
        }
    }
}
