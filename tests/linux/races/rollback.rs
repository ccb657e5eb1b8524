//! A port is renamed while it is attached, and a later step fails: the port leaves the bridge nevertheless.

use super::host::{GONE, MAC, NO_PORT, OTHER, REFUSED, TAKEN, bridge_of, options, rename};
use super::{BOTH, NETLINK, Race, at_every_stop};
use crate::support::{batch, exists, ip, path_of, run};

fn prepare() {
    let host = "\
link add name br0 type bridge
link add name tap0 type veth peer name peer0
link add name tap1 master br0 type veth peer name peer1";
    batch("ip", host);
}

/// Adds a static entry for the guest's MAC behind another port.
fn take_mac() {
    run("bridge", format!("fdb replace {MAC} dev tap1 master static").split(' '));
}

fn rename_port() {
    if exists("tap0") {
        rename("tap0");
    }
}

fn a_renamed_port_leaves_when_an_option_is_refused(backend: &str) {
    // The kernel takes a cost of at most 65535.
    let args = "attach br0 tap0 --isolated on --path-cost 70000";
    at_every_stop(backend, args, prepare, rename_port, |ended, ()| {
        ended.is_done_or_says(&[GONE, REFUSED]);
        assert!(!ended.is_done(), "the cost is not refused");
        assert_eq!(bridge_of(OTHER), None, "the port is left on the bridge");
    });
}

fn a_renamed_port_leaves_when_its_mac_is_taken(backend: &str) {
    let prepare = || {
        prepare();
        take_mac();
    };
    let args = format!("attach br0 tap0 --only-mac {MAC}");
    at_every_stop(backend, &args, prepare, rename_port, |ended, ()| {
        ended.is_done_or_says(&[GONE, TAKEN]);
        assert!(!ended.is_done(), "the MAC is not taken");
        assert_eq!(bridge_of(OTHER), None, "the port is left on the bridge");
    });
}

fn a_renamed_port_leaves_when_its_mac_is_taken_meanwhile(backend: &str) {
    let args = format!("attach br0 tap0 --only-mac {MAC}");
    let act = || {
        rename_port();
        take_mac();
    };
    at_every_stop(backend, &args, prepare, act, |ended, ()| {
        ended.is_done_or_says(&[GONE, NO_PORT, TAKEN]);
        if ended.is_done() {
            let now = options(OTHER).expect("it is a port");
            assert!(now.locked == true && now.learning == false, "the port is not restricted: {now:?}");
        } else {
            assert_eq!(bridge_of(OTHER), None, "the port is left on the bridge");
        }
    });
}

/// The kernel does not tell who of two has made an interface a port of the same bridge.
fn an_attach_that_fails_leaves_a_port_that_another_attached(backend: &str) {
    let args = "attach br0 tap0 --isolated on --path-cost 70000";
    let act = || {
        let was_attached = bridge_of("tap0").is_some();
        ip("link set dev tap0 master br0");
        was_attached
    };
    at_every_stop(backend, args, prepare, act, |ended, was_attached| {
        ended.is_done_or_says(&[REFUSED]);
        assert!(!ended.is_done(), "the cost is not refused");
        // Once it is a port, the other process changes nothing.
        assert!(was_attached || bridge_of("tap0").as_deref() == Some("br0"), "the other's port is released");
        assert!(bridge_of("tap0").is_none() || options("tap0") == options("tap1"), "options are left");
    });
}

pub(super) const RACES: &[Race] = &[
    Race::new(
        path_of!(an_attach_that_fails_leaves_a_port_that_another_attached),
        BOTH,
        an_attach_that_fails_leaves_a_port_that_another_attached,
    ),
    Race::new(
        path_of!(a_renamed_port_leaves_when_an_option_is_refused),
        BOTH,
        a_renamed_port_leaves_when_an_option_is_refused,
    ),
    Race::new(
        path_of!(a_renamed_port_leaves_when_its_mac_is_taken),
        NETLINK,
        a_renamed_port_leaves_when_its_mac_is_taken,
    ),
    Race::new(
        path_of!(a_renamed_port_leaves_when_its_mac_is_taken_meanwhile),
        NETLINK,
        a_renamed_port_leaves_when_its_mac_is_taken_meanwhile,
    ),
];
