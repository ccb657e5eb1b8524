//! Deleting a bridge.

use vmbridge::Bridges;
use vmbridge::ErrorKind;

use super::{Group, LOW, create, create_up, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[(
    None,
    &tests![
        takes_only_the_bridge,
        takes_a_bridge_that_is_up,
        refuses_what_is_no_bridge,
        refuses_what_is_not_there,
        needs_privilege
    ],
)];

fn takes_only_the_bridge(host: &dyn Host) {
    host.add_interface(name("tap0"), mac(LOW));
    let before = host.snapshot();
    create(host, "virbr0");
    host.bridges().delete(name("virbr0")).expect("it is a bridge");
    assert_eq!(host.snapshot(), before);
}

fn takes_a_bridge_that_is_up(host: &dyn Host) {
    create_up(host, "virbr0");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    host.bridges().delete(name("virbr0")).expect("it is a bridge");
    assert_eq!(host.look(name("virbr0")), None);
    assert_eq!(host.look(name("tap0")).expect("a port stays").bridge, None);
}

fn refuses_what_is_no_bridge(host: &dyn Host) {
    host.add_interface(name("vlan7"), mac(LOW));
    refused(
        host,
        &[
            (ErrorKind::NotABridge, &|| host.bridges().delete(name("vlan7"))),
            (ErrorKind::NotABridge, &|| host.bridges().delete(host.loopback())),
        ],
    );
}

fn refuses_what_is_not_there(host: &dyn Host) {
    refused(host, &[(ErrorKind::NotFound, &|| host.bridges().delete(name("virbr0")))]);
    create(host, "virbr0");
    host.bridges().delete(name("virbr0")).expect("it is a bridge");
    refused(host, &[(ErrorKind::NotFound, &|| host.bridges().delete(name("virbr0")))]);
}

fn needs_privilege(host: &dyn Host) {
    create(host, "down");
    create_up(host, "up");
    host.without_privilege(&|| {
        refused(
            host,
            &[
                (ErrorKind::PermissionDenied, &|| host.bridges().delete(name("down"))),
                (ErrorKind::PermissionDenied, &|| host.bridges().delete(name("up"))),
                (ErrorKind::NotFound, &|| host.bridges().delete(name("none"))),
            ],
        );
    });
}
