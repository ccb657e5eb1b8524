//! Attaching and detaching ports.

use vmbridge::Bridges;
use vmbridge::ErrorKind;

use super::{Group, HIGH, LOW, create, create_up, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[(
    None,
    &tests![
        joins_and_leaves,
        refuses_what_cannot_be_a_port,
        refuses_a_port_of_this_or_another_bridge,
        refuses_to_release_what_is_no_port,
        refuses_a_bridge_that_is_none,
        tells_who_has_a_port_without_privilege,
        needs_privilege
    ],
)];

fn joins_and_leaves(host: &dyn Host) {
    create_up(host, "virbr0");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    assert_eq!(host.look(name("tap0")).expect("it is there").bridge.as_deref(), Some("virbr0"));
    host.bridges().remove_port(name("virbr0"), name("tap0")).expect("it is a port");
    assert_eq!(host.look(name("tap0")).expect("it is there").bridge, None);
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port again");
}

fn refuses_what_cannot_be_a_port(host: &dyn Host) {
    create(host, "virbr0");
    create(host, "virbr1");
    let add = |port: &str| host.bridges().add_port(name("virbr0"), name(port));
    refused(
        host,
        &[
            (ErrorKind::PortNotFound, &|| add("tap0")),
            (ErrorKind::PortIsBridge, &|| add("virbr1")),
            (ErrorKind::PortIsBridge, &|| add("virbr0")),
            (ErrorKind::PortUnsuitable, &|| host.bridges().add_port(name("virbr0"), host.loopback())),
        ],
    );
}

fn refuses_a_port_of_this_or_another_bridge(host: &dyn Host) {
    create(host, "virbr0");
    create(host, "virbr1");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    refused(
        host,
        &[
            (ErrorKind::AlreadyPort, &|| host.bridges().add_port(name("virbr0"), name("tap0"))),
            (ErrorKind::PortBusy, &|| host.bridges().add_port(name("virbr1"), name("tap0"))),
        ],
    );
}

fn refuses_to_release_what_is_no_port(host: &dyn Host) {
    create(host, "virbr0");
    create(host, "virbr1");
    host.add_interface(name("tap0"), mac(LOW));
    host.add_interface(name("tap1"), mac(HIGH));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    refused(
        host,
        &[
            (ErrorKind::NotAPort, &|| host.bridges().remove_port(name("virbr1"), name("tap0"))),
            (ErrorKind::NotAPort, &|| host.bridges().remove_port(name("virbr0"), name("tap1"))),
            (ErrorKind::NotAPort, &|| host.bridges().remove_port(name("virbr0"), name("virbr1"))),
            (ErrorKind::NotAPort, &|| host.bridges().remove_port(name("virbr0"), host.loopback())),
            (ErrorKind::PortNotFound, &|| host.bridges().remove_port(name("virbr0"), name("tap2"))),
        ],
    );
}

fn refuses_a_bridge_that_is_none(host: &dyn Host) {
    host.add_interface(name("tap0"), mac(LOW));
    host.add_interface(name("tap1"), mac(HIGH));
    refused(
        host,
        &[
            (ErrorKind::NotFound, &|| host.bridges().add_port(name("virbr0"), name("tap0"))),
            (ErrorKind::NotFound, &|| host.bridges().remove_port(name("virbr0"), name("tap0"))),
            (ErrorKind::NotFound, &|| host.bridges().ports(name("virbr0")).map(drop)),
            (ErrorKind::NotABridge, &|| host.bridges().add_port(name("tap1"), name("tap0"))),
            (ErrorKind::NotABridge, &|| host.bridges().remove_port(name("tap1"), name("tap0"))),
            (ErrorKind::NotABridge, &|| host.bridges().ports(name("tap1")).map(drop)),
            (ErrorKind::NotABridge, &|| host.bridges().ports(host.loopback()).map(drop)),
        ],
    );
}

fn tells_who_has_a_port_without_privilege(host: &dyn Host) {
    create(host, "virbr0");
    create(host, "virbr1");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    host.without_privilege(&|| {
        refused(
            host,
            &[
                (ErrorKind::AlreadyPort, &|| host.bridges().add_port(name("virbr0"), name("tap0"))),
                (ErrorKind::PortBusy, &|| host.bridges().add_port(name("virbr1"), name("tap0"))),
                (ErrorKind::NotAPort, &|| host.bridges().remove_port(name("virbr1"), name("tap0"))),
                (ErrorKind::PortNotFound, &|| host.bridges().add_port(name("virbr1"), name("tap1"))),
            ],
        );
    });
}

fn needs_privilege(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("tap0"), mac(LOW));
    host.add_interface(name("tap1"), mac(HIGH));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    host.without_privilege(&|| {
        refused(
            host,
            &[
                (ErrorKind::PermissionDenied, &|| host.bridges().add_port(name("virbr0"), name("tap1"))),
                (ErrorKind::PermissionDenied, &|| host.bridges().remove_port(name("virbr0"), name("tap0"))),
            ],
        );
    });
}
