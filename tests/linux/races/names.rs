//! A bridge is deleted or renamed, and a veth takes its name.

use super::host::{Fate, GONE, Kind, MAC, NO_BRIDGE, OTHER, is_as_asked, is_untouched, shape, take_name};
use super::{BOTH, Race, at_every_stop};
use crate::support::{exists, host_ipv6, ip, path_of};

const BEFORE: &str = "52:54:00:00:00:01";

fn make_bridge() {
    ip(&format!("link add name br0 address {BEFORE} type bridge"));
}

/// The ioctl backend has to set the bridge down first.
fn delete_leaves_a_veth_that_took_the_name(backend: &str, fate: Fate) {
    let prepare = || {
        make_bridge();
        ip("link set dev br0 up");
    };
    let act = || take_name("br0", fate, Kind::Veth);
    at_every_stop(backend, "delete br0", prepare, act, |ended, foreign| {
        is_untouched(&foreign);
        ended.is_done_or_says(&[GONE, NO_BRIDGE]);
        // The command may have deleted it first.
        if let Some(renamed) = shape(OTHER) {
            assert!(!ended.is_done(), "the bridge is not deleted");
            assert_eq!(renamed["up"], true, "the bridge is left down");
        }
    });
}

fn set_leaves_a_veth_that_took_the_name(backend: &str, fate: Fate) {
    let args = format!("set br0 --mac {MAC} --mtu 1400 --up");
    let act = || {
        let was_changed = is_as_asked("br0");
        (was_changed, take_name("br0", fate, Kind::Veth))
    };
    at_every_stop(backend, &args, make_bridge, act, |ended, (was_changed, foreign)| {
        is_untouched(&foreign);
        ended.is_done_or_says(&[GONE, NO_BRIDGE]);
        match shape(OTHER) {
            None => assert!(was_changed || !ended.is_done(), "the bridge was not changed"),
            Some(_) if ended.is_done() => assert!(is_as_asked(OTHER), "the bridge is not changed"),
            Some(now) => {
                assert_eq!(
                    (&now["mac"], &now["mtu"], &now["up"]),
                    (&BEFORE.into(), &1500.into(), &false.into()),
                    "the bridge is left half changed"
                );
            }
        }
    });
}

/// The settings are files, which are found by the name of the bridge.
fn set_leaves_the_ipv6_of_a_bridge_that_took_the_name(backend: &str, fate: Fate) {
    const BEFORE: [i32; 3] = [1, 1, 0];
    const ASKED: [i32; 3] = [0, 0, 1];
    let act = || {
        let was_set = host_ipv6("br0") == ASKED;
        (was_set, take_name("br0", fate, Kind::Bridge))
    };
    at_every_stop(backend, "set br0 --host-ipv6 disabled", make_bridge, act, |ended, (was_set, foreign)| {
        let is_asked = || ended.is_done() && host_ipv6("br0") == ASKED;
        // The command may have looked for the name after it was taken.
        assert!(host_ipv6("br0") == BEFORE || is_asked(), "another bridge is set: {:?}", host_ipv6("br0"));
        assert_eq!(shape("br0"), Some(foreign));
        ended.is_done_or_says(&[GONE]);
        let is_set = exists(OTHER).then(|| host_ipv6(OTHER));
        match is_set {
            Some(now) if ended.is_done() => {
                assert!((now == ASKED) != (host_ipv6("br0") == ASKED), "both or none are set");
            }
            Some(now) => assert_eq!(now, BEFORE, "settings are left"),
            None => assert!(was_set || is_asked() || !ended.is_done(), "it was not set"),
        }
    });
}

pub(super) const RACES: &[Race] = &[
    Race::of_each_fate(
        path_of!(delete_leaves_a_veth_that_took_the_name),
        BOTH,
        delete_leaves_a_veth_that_took_the_name,
    ),
    Race::of_each_fate(
        path_of!(set_leaves_the_ipv6_of_a_bridge_that_took_the_name),
        BOTH,
        set_leaves_the_ipv6_of_a_bridge_that_took_the_name,
    ),
    Race::of_each_fate(path_of!(set_leaves_a_veth_that_took_the_name), BOTH, set_leaves_a_veth_that_took_the_name),
];
