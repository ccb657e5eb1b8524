//! Creating a bridge.

use vmbridge::{BridgeSpec, Bridges, Bulk, Capability, ErrorKind, InterfaceName, LinkState, Step, TapSpec};

use super::{BRIDGE_MAC, Group, HIGH, LOW, create, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[
    (Some(Capability::Tap), &tests![keeps_its_mtu_as_ports_come_and_go]),
    (
        None,
        &tests![
            has_what_its_spec_says,
            leaves_to_the_kernel_what_its_spec_leaves,
            takes_names_that_look_like_something_else,
            keeps_its_mac_as_ports_come_and_go,
            follows_its_ports_without_a_mac,
            refuses_a_name_that_a_bridge_has,
            refuses_a_name_that_another_interface_has,
            refuses_a_name_that_only_a_kernel_reports,
            refuses_an_mtu_that_the_kernel_refuses,
            needs_privilege
        ],
    ),
];

fn has_what_its_spec_says(host: &dyn Host) {
    let spec = BridgeSpec::new(name("virbr0")).mac(mac(BRIDGE_MAC)).mtu(1400).link(LinkState::Up);
    host.bridges().create(&spec).expect("the name is free");
    let seen = host.look(name("virbr0")).expect("it was created");
    assert_eq!((seen.mac, seen.mtu), (mac(BRIDGE_MAC).into(), 1400));
    assert!(seen.up && seen.is_bridge);
}

fn leaves_to_the_kernel_what_its_spec_leaves(host: &dyn Host) {
    host.bridges().create(&BridgeSpec::new(name("virbr0"))).expect("the name is free");
    let seen = host.look(name("virbr0")).expect("it was created");
    assert_eq!(seen.mtu, 1500);
    assert!(!seen.up && seen.is_bridge && !seen.mac.is_zero() && !seen.mac.is_multicast());
}

fn takes_names_that_look_like_something_else(host: &dyn Host) {
    // A driver's own names, a VLAN's, a template's beginning, an option's, and the longest.
    for bridge in ["bridge7", "bridge07", "tap3", "em0.5", "vmb00000000", "-", "...", "fifteen-bytes-x", "brücke"]
    {
        create(host, bridge);
        let seen = host.look(name(bridge)).expect(bridge);
        assert!(seen.is_bridge && seen.mac == mac(BRIDGE_MAC), "{bridge}: {seen:?}");
        host.bridges().delete(name(bridge)).expect(bridge);
        assert_eq!(host.look(name(bridge)), None, "{bridge}");
    }
}

fn keeps_its_mac_as_ports_come_and_go(host: &dyn Host) {
    create(host, "virbr0");
    let check = |step| {
        assert_eq!(host.look(name("virbr0")).expect("it is there").mac, mac(BRIDGE_MAC), "{step}");
    };
    for (port, port_mac) in [("high", HIGH), ("low", LOW)] {
        host.add_interface(name(port), mac(port_mac));
        host.bridges().add_port(name("virbr0"), name(port)).expect("it can be a port");
        check(port);
    }
    host.bridges().remove_port(name("virbr0"), name("low")).expect("it is a port");
    check("a port was released");
    host.remove_interface(name("high"));
    check("the last port vanished");
}

/// 1500 is what a bridge has that is given none. FreeBSD gives a bridge the MTU of its first port.
fn keeps_its_mtu_as_ports_come_and_go(host: &dyn Host) {
    let follows = host.bridges().name() == "freebsd";
    for mtu in [1400, 1500, 9000] {
        let spec = |bridge| BridgeSpec::new(name(bridge)).mac(mac(BRIDGE_MAC)).mtu(mtu);
        host.bridges().create(&spec("virbr0")).expect("the name is free");
        let many = ["virbr1", "virbr2"].map(|bridge| Step::Create(spec(bridge)));
        host.bridges().apply(&many, Bulk::AllOrNothing).expect("the names are free");
        for bridge in ["virbr0", "virbr1", "virbr2"].map(name) {
            let check = |of_port, step| {
                let seen = host.look(bridge).expect("it is there").mtu;
                assert_eq!(seen, if follows { of_port } else { mtu }, "{bridge}: {step}");
            };
            check(mtu, "it was created");
            let tap = host.bridges().create_tap(&TapSpec::new().mtu(1300)).expect("it can be made");
            host.bridges().add_port(bridge, &tap).expect("it can be a port");
            check(1300, "a port with another MTU has joined");
            host.bridges().remove_port(bridge, &tap).expect("it is a port");
            check(1300, "the last port has left");
            host.add_interface(name("eth7"), mac(LOW));
            host.bridges().add_port(bridge, name("eth7")).expect("it can be a port");
            host.remove_interface(name("eth7"));
            check(1500, "the last port has vanished");
            host.bridges().delete(bridge).expect("it is there");
        }
    }
}

fn follows_its_ports_without_a_mac(host: &dyn Host) {
    host.bridges().create(&BridgeSpec::new(name("virbr0"))).expect("the name is free");
    let own = host.look(name("virbr0")).expect("it was created").mac;
    let follows = host.bridges().capabilities().contains(Capability::MacFollowsPorts);
    let check = |expected: &str| {
        let seen = host.look(name("virbr0")).expect("it is there").mac;
        assert_eq!(seen, if follows { expected.parse().expect("a MAC") } else { own });
    };
    host.add_interface(name("high"), mac(HIGH));
    host.add_interface(name("low"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("high")).expect("it can be a port");
    check(HIGH);
    host.bridges().add_port(name("virbr0"), name("low")).expect("it can be a port");
    check(LOW);
    host.remove_interface(name("low"));
    check(HIGH);
    host.bridges().remove_port(name("virbr0"), name("high")).expect("it is a port");
    check("00:00:00:00:00:00");
}

fn refuses_a_name_that_a_bridge_has(host: &dyn Host) {
    create(host, "virbr0");
    let other = BridgeSpec::new(name("virbr0")).mac(mac("52:54:00:00:00:08")).mtu(1400).link(LinkState::Up);
    let without = BridgeSpec::new(name("virbr0"));
    refused(
        host,
        &[
            (ErrorKind::BridgeExists, &|| host.bridges().create(&other).map(drop)),
            (ErrorKind::BridgeExists, &|| host.bridges().create(&without).map(drop)),
        ],
    );
    host.without_privilege(&|| {
        refused(host, &[(ErrorKind::BridgeExists, &|| host.bridges().create(&other).map(drop))]);
    });
}

fn refuses_a_name_that_another_interface_has(host: &dyn Host) {
    host.add_interface(name("virbr0"), mac(LOW));
    let with_mac = BridgeSpec::new(name("virbr0")).mac(mac(BRIDGE_MAC));
    let without = BridgeSpec::new(name("virbr0"));
    let loopback = BridgeSpec::new(host.loopback()).mac(mac(BRIDGE_MAC));
    refused(
        host,
        &[
            (ErrorKind::NameInUse, &|| host.bridges().create(&with_mac).map(drop)),
            (ErrorKind::NameInUse, &|| host.bridges().create(&without).map(drop)),
            (ErrorKind::NameInUse, &|| host.bridges().create(&loopback).map(drop)),
        ],
    );
}

fn refuses_a_name_that_only_a_kernel_reports(host: &dyn Host) {
    for odd in [&b"br%d"[..], b"a b", b"a/b", b"a\x1b", b"\xff", b"default"] {
        let name = InterfaceName::from_bytes(odd).expect("1 to 15 bytes without NUL");
        let (spec, tap) = (BridgeSpec::new(name), TapSpec::new().name(name));
        refused(host, &[(ErrorKind::InvalidName, &|| host.bridges().create(&spec).map(drop))]);
        if host.bridges().capabilities().contains(Capability::Tap) {
            refused(host, &[(ErrorKind::InvalidName, &|| host.bridges().create_tap(&tap).map(drop))]);
        }
    }
}

fn refuses_an_mtu_that_the_kernel_refuses(host: &dyn Host) {
    for mtu in [0, 1, 67, 65536, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let with_mac = BridgeSpec::new(name("virbr0")).mac(mac(BRIDGE_MAC)).mtu(mtu).link(LinkState::Up);
        let without = BridgeSpec::new(name("virbr0")).mtu(mtu);
        refused(
            host,
            &[
                (ErrorKind::InvalidMtu, &|| host.bridges().create(&with_mac).map(drop)),
                (ErrorKind::InvalidMtu, &|| host.bridges().create(&without).map(drop)),
            ],
        );
    }
}

fn needs_privilege(host: &dyn Host) {
    let with_mac = BridgeSpec::new(name("virbr0")).mac(mac(BRIDGE_MAC)).link(LinkState::Up);
    let without = BridgeSpec::new(name("virbr0"));
    let refused_mtu = BridgeSpec::new(name("virbr0")).mtu(1);
    host.without_privilege(&|| {
        refused(
            host,
            &[
                (ErrorKind::PermissionDenied, &|| host.bridges().create(&with_mac).map(drop)),
                (ErrorKind::PermissionDenied, &|| host.bridges().create(&without).map(drop)),
                (ErrorKind::PermissionDenied, &|| host.bridges().create(&refused_mtu).map(drop)),
            ],
        );
    });
}
