//! A port is moved, or its bridge replaced, while its options are set. Another port then has its number.

use super::host::{Fate, GONE, Kind, NO_PORT, Options, options, take_name};
use super::{BOTH, Race, at_every_stop};
use crate::support::{batch, ip, path_of};

const ARGS: &str = "port set br0 tap0 --isolated on --learning off --path-cost 77 --priority 5";

fn has_all(now: &Options) -> bool {
    now.isolated == true && now.learning == false && now.cost == 77 && now.priority == 5
}

fn prepare() {
    let host = "\
link add name br0 type bridge
link add name br2 type bridge
link add name tap0 master br0 type veth peer name peer0
link add name tap9 type veth peer name peer9";
    batch("ip", host);
}

/// Adds another port to `br0`, which gets the number that `tap0` had. Returns its options.
fn attach_another() -> Options {
    ip("link set dev tap9 master br0");
    options("tap9").expect("it is a port")
}

fn had_all() -> bool {
    options("tap0").as_ref().is_some_and(has_all)
}

fn port_set_leaves_no_options_on_a_port_that_was_moved(backend: &str) {
    let act = || {
        let had_all = had_all();
        ip("link set dev tap0 master br2");
        (had_all, attach_another())
    };
    at_every_stop(backend, ARGS, prepare, act, |ended, (had_all, fresh)| {
        ended.is_done_or_says(&[GONE, NO_PORT]);
        assert_eq!(options("tap9"), Some(fresh.clone()), "another port is changed");
        assert_eq!(options("tap0"), Some(fresh), "options are left");
        assert!(had_all || !ended.is_done(), "they were not set on a port of br0");
    });
}

fn port_set_leaves_a_port_of_a_bridge_that_took_the_name(backend: &str, fate: Fate) {
    let act = || {
        let had_all = had_all();
        take_name("br0", fate, Kind::Bridge);
        (had_all, attach_another())
    };
    at_every_stop(backend, ARGS, prepare, act, |ended, (had_all, fresh)| {
        ended.is_done_or_says(&[GONE, NO_PORT]);
        assert_eq!(options("tap9"), Some(fresh.clone()), "another port is changed");
        match options("tap0") {
            None => assert!(had_all || !ended.is_done(), "they were not set"),
            Some(now) if ended.is_done() => assert!(has_all(&now), "not all is set: {now:?}"),
            Some(now) => assert_eq!(now, fresh, "options are left"),
        }
    });
}

pub(super) const RACES: &[Race] = &[
    Race::new(
        path_of!(port_set_leaves_no_options_on_a_port_that_was_moved),
        BOTH,
        port_set_leaves_no_options_on_a_port_that_was_moved,
    ),
    Race::of_each_fate(
        path_of!(port_set_leaves_a_port_of_a_bridge_that_took_the_name),
        BOTH,
        port_set_leaves_a_port_of_a_bridge_that_took_the_name,
    ),
];
