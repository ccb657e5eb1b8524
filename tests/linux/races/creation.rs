//! A bridge is deleted or renamed while it is created, and something foreign takes its name.

use std::fs;

use serde_json::Value;

use super::host::{
    Fate, GONE, Kind, NO_BRIDGE, OTHER, TAKEN, bridges, dispose, is_as_asked, is_untouched, make_foreign, shape,
};
use super::networks::{define, network};
use super::{BOTH, IOCTL, NETLINK, Race, at_every_stop, at_every_two_stops};
use crate::support::{exists, path_of};

const CREATE: &str = "create br0 --mac 52:54:00:01:02:03 --mtu 1400 --forward-delay 7 --up";

fn create(backend: &str, fate: Fate, kind: Kind) {
    name_is_taken(backend, CREATE, || {}, fate, kind);
}

fn start(backend: &str, fate: Fate, kind: Kind) {
    name_is_taken(backend, &network("start"), define, fate, kind);
}

fn name_is_taken(backend: &str, args: &str, prepare: fn(), fate: Fate, kind: Kind) {
    let act = || {
        // The ioctl backend gives a bridge its name last.
        let so_far = bridges().pop().unwrap_or_else(|| "br0".to_owned());
        let was_made = is_as_asked(&so_far);
        dispose(&so_far, fate);
        let name = if kind == Kind::Bridge { "br0" } else { &so_far };
        (was_made, make_foreign(name, kind))
    };
    at_every_stop(backend, args, prepare, act, |ended, (was_made, foreign)| {
        is_untouched(&foreign);
        let own: Vec<_> = bridges().into_iter().filter(|bridge| foreign["name"] != **bridge).collect();
        if !tells_new_index() && ended.errors.contains("bridge other is left") {
            assert_eq!(own, [OTHER]);
            return;
        }
        ended.is_done_or_says(&[GONE, NO_BRIDGE, TAKEN]);
        if ended.is_done() {
            let is_made = own.len() == 1 && is_as_asked(&own[0]);
            let was_deleted = fate == Fate::Deleted && was_made && own.is_empty();
            assert!(is_made || was_deleted, "the bridge is not made: {own:?}");
        } else {
            assert!(own.is_empty(), "{own:?} is left");
        }
    });
}

/// Whether the kernel tells the index of a new interface (`NLM_F_ECHO`, since Linux 6.2). Before, a bridge that is renamed at
/// once cannot be told from one of another process, and the error names it.
fn tells_new_index() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("it can be read");
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}

/// One process deletes the bridge. After some more calls, another creates its own by the name.
fn name_is_taken_later(backend: &str, args: &str, prepare: fn()) {
    let delete = || -> Option<Value> {
        dispose("br0", Fate::Deleted);
        None
    };
    let make = || (!exists("br0")).then(|| make_foreign("br0", Kind::Bridge));
    at_every_two_stops(backend, args, prepare, [&delete, &make], |ended, [_, foreign]| {
        ended.is_done_or_says(&[GONE, NO_BRIDGE, TAKEN]);
        match foreign {
            Some(foreign) => is_untouched(&foreign),
            None => assert!(ended.is_done() && is_as_asked("br0"), "the bridge is not made: {:?}", shape("br0")),
        }
    });
}

fn create_leaves_a_bridge_that_took_the_name(backend: &str, fate: Fate) {
    create(backend, fate, Kind::Bridge);
}

fn create_leaves_a_veth_that_took_the_name(backend: &str, fate: Fate) {
    create(backend, fate, Kind::Veth);
}

fn network_start_leaves_a_bridge_that_took_the_name(backend: &str, fate: Fate) {
    start(backend, fate, Kind::Bridge);
}

fn network_start_leaves_a_veth_that_took_the_name(backend: &str, fate: Fate) {
    start(backend, fate, Kind::Veth);
}

fn create_leaves_a_bridge_that_took_the_name_later(backend: &str) {
    name_is_taken_later(backend, CREATE, || {});
}

fn network_start_leaves_a_bridge_that_took_the_name_later(backend: &str) {
    name_is_taken_later(backend, &network("start"), define);
}

pub(super) const RACES: &[Race] = &[
    Race::of_each_fate(
        path_of!(create_leaves_a_bridge_that_took_the_name),
        NETLINK,
        create_leaves_a_bridge_that_took_the_name,
    ),
    Race::of_each_fate(
        path_of!(create_leaves_a_veth_that_took_the_name),
        IOCTL,
        create_leaves_a_veth_that_took_the_name,
    ),
    Race::of_each_fate(
        path_of!(network_start_leaves_a_bridge_that_took_the_name),
        BOTH,
        network_start_leaves_a_bridge_that_took_the_name,
    ),
    Race::of_each_fate(
        path_of!(network_start_leaves_a_veth_that_took_the_name),
        IOCTL,
        network_start_leaves_a_veth_that_took_the_name,
    ),
    Race::new(
        path_of!(create_leaves_a_bridge_that_took_the_name_later),
        NETLINK,
        create_leaves_a_bridge_that_took_the_name_later,
    ),
    Race::new(
        path_of!(network_start_leaves_a_bridge_that_took_the_name_later),
        NETLINK,
        network_start_leaves_a_bridge_that_took_the_name_later,
    ),
];
