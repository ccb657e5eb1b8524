//! A port is moved to another bridge while it is attached to the first.

use super::host::{GONE, MAC, NO_PORT, Options, TAKEN, bridge_of, has_entry, options};
use super::{BOTH, NETLINK, Race, at_every_stop};
use crate::support::{batch, ip, path_of};

fn attach(backend: &str, args: &str, has_all: fn(&Options) -> bool) {
    let prepare = || {
        let host = "\
link add name br0 type bridge
link add name br2 type bridge
link add name tap0 type veth peer name peer0
link add name tap9 master br2 type veth peer name peer9";
        batch("ip", host);
    };
    let act = || {
        let was_attached =
            bridge_of("tap0").as_deref() == Some("br0") && options("tap0").as_ref().is_some_and(has_all);
        ip("link set dev tap0 master br2");
        was_attached
    };
    at_every_stop(backend, args, prepare, act, |ended, was_attached| {
        ended.is_done_or_says(&[GONE, NO_PORT, TAKEN]);
        let now = options("tap0").expect("it is a port");
        if bridge_of("tap0").as_deref() == Some("br0") {
            // The port moved after the command's look at it, and the kernel moved it back.
            assert!(backend == "netlink" && ended.is_done(), "the port is taken from br2");
            assert!(has_all(&now), "it is a port of br0 without its options: {now:?}");
        } else {
            assert_eq!(Some(now), options("tap9"), "its options are not those of a new port of br2");
            assert!(!has_entry("tap0"), "br2 has an entry for it");
            assert!(was_attached || !ended.is_done(), "it was not attached to br0");
        }
    });
}

fn attach_restricted_leaves_a_port_that_was_moved(backend: &str) {
    attach(backend, &format!("attach br0 tap0 --only-mac {MAC}"), |now| now.locked == true && has_entry("tap0"));
}

fn attach_with_options_leaves_a_port_that_was_moved(backend: &str) {
    let args = "attach br0 tap0 --isolated on --learning off --path-cost 77";
    attach(backend, args, |now| now.isolated == true && now.learning == false && now.cost == 77);
}

pub(super) const RACES: &[Race] = &[
    Race::new(
        path_of!(attach_restricted_leaves_a_port_that_was_moved),
        NETLINK,
        attach_restricted_leaves_a_port_that_was_moved,
    ),
    Race::new(
        path_of!(attach_with_options_leaves_a_port_that_was_moved),
        BOTH,
        attach_with_options_leaves_a_port_that_was_moved,
    ),
];
