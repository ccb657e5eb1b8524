//! The options of a port.

use vmbridge::{Bridges, Capability, ErrorKind, PortOption, PortOptions};

use super::{Group, LOW, create, refused};
use crate::host::{Host, mac, name, port_value};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[
    (
        None,
        &tests![
            is_set_and_read,
            is_set_with_others_or_not_at_all,
            is_refused_by_name_where_the_backend_has_none,
            is_refused_for_what_is_no_port,
            needs_privilege
        ],
    ),
    (Some(Capability::PortStpState), &tests![tells_where_a_port_stands_in_stp]),
];

/// A value for each option that no port has from the start, and that every system takes.
fn samples() -> [PortOption; 15] {
    [
        PortOption::Isolated(true),
        PortOption::Learning(false),
        PortOption::UnicastFlood(false),
        PortOption::MulticastFlood(false),
        PortOption::BroadcastFlood(false),
        PortOption::BpduGuard(true),
        PortOption::RootBlock(true),
        PortOption::FastLeave(true),
        PortOption::Hairpin(true),
        PortOption::NeighborSuppression(true),
        PortOption::Locked(true),
        PortOption::PathCost(777),
        PortOption::Priority(16),
        PortOption::Stp(true),
        PortOption::Sticky(true),
    ]
}

fn supported(host: &dyn Host) -> Vec<PortOption> {
    let capabilities = host.bridges().capabilities();
    samples().into_iter().filter(|option| capabilities.contains(option.capability())).collect()
}

fn with_a_port(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
}

fn found(host: &dyn Host) -> PortOptions {
    host.bridges().ports(name("virbr0")).expect("it is a bridge")[0].options
}

fn check(host: &dyn Host, options: &PortOptions) {
    let found = found(host);
    for option in options.iter() {
        assert!(found.iter().any(|other| other == option), "{option:?} is not in {found:?}");
        let seen =
            host.port_option(name("virbr0"), name("tap0"), option).expect("the oracle sees what is claimed");
        assert_eq!(seen, port_value(option), "{option:?}");
    }
}

fn is_set_and_read(host: &dyn Host) {
    with_a_port(host);
    let before = found(host);
    for option in supported(host) {
        let options = PortOptions::from_iter([option]);
        host.bridges().change_port(name("virbr0"), name("tap0"), &options).expect("the kernel takes it");
        check(host, &options);
        let back = before.iter().find(|other| other.capability() == option.capability()).expect("it can be read");
        let back = PortOptions::from_iter([back]);
        host.bridges().change_port(name("virbr0"), name("tap0"), &back).expect("it was so before");
        check(host, &back);
    }
    assert_eq!(found(host), before);
}

fn is_set_with_others_or_not_at_all(host: &dyn Host) {
    with_a_port(host);
    let before = found(host);
    let mut all: PortOptions = supported(host).into_iter().collect();
    let change = |options: &PortOptions| host.bridges().change_port(name("virbr0"), name("tap0"), options);
    let good = all;
    // More than any system takes.
    all.priority = all.priority.map(|_| 255);
    all.path_cost = all.path_cost.map(|_| u32::MAX);
    refused(host, &[(ErrorKind::InvalidOption, &|| change(&all))]);
    assert_eq!(found(host), before);
    change(&good).expect("the kernel takes them");
    check(host, &good);
    change(&PortOptions::default()).expect("nothing is always possible");
    check(host, &good);
}

fn is_refused_by_name_where_the_backend_has_none(host: &dyn Host) {
    with_a_port(host);
    let before = found(host);
    let capabilities = host.bridges().capabilities();
    for option in samples().into_iter().filter(|option| !capabilities.contains(option.capability())) {
        let options = PortOptions::from_iter([PortOption::Isolated(true), option]);
        let error = host.bridges().change_port(name("virbr0"), name("tap0"), &options).expect_err("it has none");
        assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(option.capability())));
    }
    assert_eq!(found(host), before);
}

fn is_refused_for_what_is_no_port(host: &dyn Host) {
    with_a_port(host);
    create(host, "virbr1");
    host.add_interface(name("tap1"), mac("02:00:00:00:00:02"));
    let isolated = PortOptions::default().isolated(true);
    let change = |bridge: &str, port: &str| host.bridges().change_port(name(bridge), name(port), &isolated);
    refused(
        host,
        &[
            (ErrorKind::NotFound, &|| change("virbr2", "tap0")),
            (ErrorKind::NotABridge, &|| change("tap1", "tap0")),
            (ErrorKind::PortNotFound, &|| change("virbr0", "tap2")),
            (ErrorKind::NotAPort, &|| change("virbr0", "tap1")),
            (ErrorKind::NotAPort, &|| change("virbr1", "tap0")),
        ],
    );
}

fn needs_privilege(host: &dyn Host) {
    with_a_port(host);
    let isolated = PortOptions::default().isolated(true);
    host.without_privilege(&|| {
        let change = || host.bridges().change_port(name("virbr0"), name("tap0"), &isolated);
        refused(host, &[(ErrorKind::PermissionDenied, &change)]);
    });
}

/// FreeBSD tells it of ports that speak STP only.
fn tells_where_a_port_stands_in_stp(host: &dyn Host) {
    with_a_port(host);
    let state = || {
        let ports = host.bridges().ports(name("virbr0")).expect("it is a bridge");
        let state = ports[0].stp_state;
        assert_eq!(state, host.stp_state(name("virbr0"), name("tap0")));
        state
    };
    if host.bridges().capabilities().contains(Capability::PortStp) {
        assert_eq!(state(), None);
        let speaks = PortOptions::default().stp(true);
        host.bridges().change_port(name("virbr0"), name("tap0"), &speaks).expect("it is a port");
    }
    assert!(state().is_some());
}
