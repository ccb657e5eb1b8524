//! Finding and listing bridges, ports and interfaces.

use std::collections::BTreeSet;

use vmbridge::{BridgeSpec, Bridges, ErrorKind, LinkState, unused_mac};

use super::{BRIDGE_MAC, Group, HIGH, LOW, create, create_up, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[(
    None,
    &tests![
        finds_what_is_there,
        lists_bridges_and_nothing_else,
        lists_ports_of_one_bridge,
        lists_every_interface,
        needs_no_privilege,
        an_unused_mac_is_unused
    ],
)];

fn finds_what_is_there(host: &dyn Host) {
    let spec = BridgeSpec::new(name("virbr0")).mac(mac(BRIDGE_MAC)).mtu(9000).link(LinkState::Up);
    host.bridges().create(&spec).expect("the name is free");
    host.add_interface(name("tap0"), mac(LOW));
    let found = host.bridges().find(name("virbr0")).expect("reading works").expect("it is there");
    assert_eq!(
        (found.name, found.mac, found.mtu, found.link),
        (spec.name, spec.mac.expect("set").into(), 9000, LinkState::Up)
    );
    assert_eq!(host.bridges().find(name("virbr1")).expect("reading works"), None);
    refused(
        host,
        &[
            (ErrorKind::NotABridge, &|| host.bridges().find(name("tap0")).map(drop)),
            (ErrorKind::NotABridge, &|| host.bridges().find(host.loopback()).map(drop)),
        ],
    );
}

fn lists_bridges_and_nothing_else(host: &dyn Host) {
    assert_eq!(host.bridges().list().expect("reading works"), []);
    for bridge in ["c", "a", "b"] {
        create(host, bridge);
        host.add_interface(name(&format!("tap.{bridge}")), mac(LOW));
    }
    let list = host.bridges().list().expect("reading works");
    assert!(list.is_sorted_by_key(|bridge| bridge.index));
    // FreeBSD gives an index that has become free to the next interface, so that the order of
    // the indices is not that of creation.
    let names: BTreeSet<_> = list.iter().map(|bridge| bridge.name).collect();
    assert_eq!(names, ["a", "b", "c"].map(name).into());
    for bridge in list {
        assert_eq!(host.bridges().find(bridge.name).expect("reading works"), Some(bridge));
    }
}

fn lists_ports_of_one_bridge(host: &dyn Host) {
    create(host, "virbr0");
    create(host, "virbr1");
    assert_eq!(host.bridges().ports(name("virbr0")).expect("reading works"), []);
    for (port, port_mac, bridge) in [("b", HIGH, "virbr0"), ("a", LOW, "virbr0"), ("c", LOW, "virbr1")] {
        host.add_interface(name(port), mac(port_mac));
        host.bridges().add_port(name(bridge), name(port)).expect("it can be a port");
    }
    let ports = host.bridges().ports(name("virbr0")).expect("reading works");
    assert!(ports.is_sorted_by_key(|port| port.index));
    let names: BTreeSet<_> = ports.iter().map(|port| port.name).collect();
    assert_eq!(names, ["a", "b"].map(name).into());
    for port in ports {
        let seen = host.look(port.name).expect("it is there");
        assert_eq!((port.mac, port.mtu, port.link == LinkState::Up), (seen.mac, seen.mtu, seen.up));
    }
}

fn lists_every_interface(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("tap0"), mac(LOW));
    let interfaces = host.bridges().interfaces().expect("reading works");
    assert!(interfaces.is_sorted_by_key(|interface| interface.index));
    let mac_of = |wanted| interfaces.iter().find(|interface| interface.name == wanted).expect("it is listed").mac;
    assert_eq!(mac_of(name("virbr0")), Some(mac(BRIDGE_MAC).into()));
    assert_eq!(mac_of(name("tap0")), Some(mac(LOW).into()));
    let _ = mac_of(host.loopback());
}

fn needs_no_privilege(host: &dyn Host) {
    create_up(host, "virbr0");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    let read = || {
        let bridges = host.bridges();
        (bridges.list(), bridges.find(name("virbr0")), bridges.ports(name("virbr0")), bridges.interfaces())
    };
    let with = format!("{:?}", read());
    assert!(!with.contains("Err("), "{with}");
    host.without_privilege(&|| assert_eq!(format!("{:?}", read()), with));
}

fn an_unused_mac_is_unused(host: &dyn Host) {
    let mac = unused_mac(host.bridges()).expect("there is one");
    assert_eq!(mac.bytes()[..3], [0x52, 0x54, 0x00]);
    assert!(host.bridges().interfaces().expect("reading works").iter().all(|other| other.mac != Some(mac.into())));
}
