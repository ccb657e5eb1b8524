//! Changing a bridge: MAC, MTU, link.

use vmbridge::{BridgeChange, BridgeSpec, Bridges, ErrorKind, LinkState};

use super::{BRIDGE_MAC, Group, HIGH, LOW, create, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[(
    None,
    &tests![
        sets_each_alone_and_all_together,
        fixes_a_mac_that_follows_its_ports,
        changes_nothing_when_one_part_is_refused,
        changes_nothing_when_nothing_is_asked,
        refuses_what_is_no_bridge,
        needs_privilege
    ],
)];

const OTHER_MAC: &str = "52:54:00:00:00:99";

fn sets_each_alone_and_all_together(host: &dyn Host) {
    create(host, "virbr0");
    let change = |change: BridgeChange| {
        host.bridges().change(name("virbr0"), &change).expect("it can be changed");
        let seen = host.look(name("virbr0")).expect("it is there");
        (seen.mac.to_string(), seen.mtu, seen.up)
    };
    let to = |mac: &str, mtu, up| (mac.to_owned(), mtu, up);
    assert_eq!(change(BridgeChange::default().mtu(1400)), to(BRIDGE_MAC, 1400, false));
    assert_eq!(change(BridgeChange::default().mac(mac(OTHER_MAC))), to(OTHER_MAC, 1400, false));
    assert_eq!(change(BridgeChange::default().link(LinkState::Up)), to(OTHER_MAC, 1400, true));
    assert_eq!(change(BridgeChange::default().link(LinkState::Up)), to(OTHER_MAC, 1400, true));
    assert_eq!(change(BridgeChange::default().mac(mac(BRIDGE_MAC))), to(BRIDGE_MAC, 1400, true));
    let all = BridgeChange::default().mac(mac(OTHER_MAC)).mtu(65535).link(LinkState::Down);
    assert_eq!(change(all), to(OTHER_MAC, 65535, false));
}

fn fixes_a_mac_that_follows_its_ports(host: &dyn Host) {
    host.bridges().create(&BridgeSpec::new(name("virbr0"))).expect("the name is free");
    host.add_interface(name("high"), mac(HIGH));
    host.bridges().add_port(name("virbr0"), name("high")).expect("it can be a port");
    // The MAC that it has already, which it would lose again without this.
    let own = host.look(name("virbr0")).expect("it is there").mac;
    let change = BridgeChange::default().mac(own.try_into().expect("of a port"));
    host.bridges().change(name("virbr0"), &change).expect("it can be changed");
    host.add_interface(name("low"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("low")).expect("it can be a port");
    assert_eq!(host.look(name("virbr0")).expect("it is there").mac, own);
}

fn changes_nothing_when_one_part_is_refused(host: &dyn Host) {
    create(host, "virbr0");
    for mtu in [0, 65536, 0x8000_0000] {
        let change = BridgeChange::default().mac(mac(OTHER_MAC)).mtu(mtu).link(LinkState::Up);
        refused(host, &[(ErrorKind::InvalidMtu, &|| host.bridges().change(name("virbr0"), &change))]);
    }
}

fn changes_nothing_when_nothing_is_asked(host: &dyn Host) {
    create(host, "virbr0");
    let before = host.snapshot();
    host.bridges().change(name("virbr0"), &BridgeChange::default()).expect("nothing is always possible");
    let as_it_is = BridgeChange::default().mac(mac(BRIDGE_MAC)).mtu(1500).link(LinkState::Down);
    host.bridges().change(name("virbr0"), &as_it_is).expect("it is like that already");
    assert_eq!(host.snapshot(), before);
}

fn refuses_what_is_no_bridge(host: &dyn Host) {
    host.add_interface(name("tap0"), mac(LOW));
    let up = BridgeChange::default().link(LinkState::Up);
    refused(
        host,
        &[
            (ErrorKind::NotABridge, &|| host.bridges().change(name("tap0"), &up)),
            (ErrorKind::NotABridge, &|| host.bridges().change(host.loopback(), &BridgeChange::default())),
            (ErrorKind::NotFound, &|| host.bridges().change(name("virbr0"), &up)),
        ],
    );
}

fn needs_privilege(host: &dyn Host) {
    create(host, "virbr0");
    host.without_privilege(&|| {
        let denied = |change: BridgeChange| {
            refused(host, &[(ErrorKind::PermissionDenied, &|| host.bridges().change(name("virbr0"), &change))]);
        };
        denied(BridgeChange::default().mtu(1400));
        denied(BridgeChange::default().mac(mac(OTHER_MAC)));
        denied(BridgeChange::default().link(LinkState::Up));
        denied(BridgeChange::default().mac(mac(OTHER_MAC)).mtu(1400).link(LinkState::Up));
    });
}
