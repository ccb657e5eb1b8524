//! An adopted tap is renamed or replaced before a later step fails. It gets its MAC, MTU and link back, and
//! a tap that took its name keeps its own.

use super::host::{
    FOREIGN, Fate, GONE, Kind, NO_PORT, OTHER, REFUSED, TAKEN, is_untouched, rename, shape, take_name,
};
use super::{BOTH, Race, at_every_stop};
use crate::support::{batch, exists, path_of};

/// The kernel takes a cost of at most 65535.
const ARGS: &str = "tap create --adopt vnet0 --bridge br0 --guest-mac 52:54:00:01:02:03 --path-cost 70000";

fn prepare() {
    let host = "\
link add name br0 mtu 1400 type bridge
tuntap add dev vnet0 mode tap
link set dev vnet0 address 02:00:00:00:00:07";
    batch("ip", host);
}

fn is_as_before(name: &str) {
    let now = shape(name).expect("it is there");
    assert_eq!(
        (&now["mac"], &now["mtu"], &now["up"], now["bridge"].as_str(), &now["data"]["persist"]),
        (&"02:00:00:00:00:07".into(), &1500.into(), &false.into(), None, &true.into()),
        "the tap is left changed"
    );
}

fn a_renamed_tap_gets_its_mac_back(backend: &str) {
    let act = || rename("vnet0");
    at_every_stop(backend, ARGS, prepare, act, |ended, ()| {
        is_as_before(OTHER);
        ended.is_done_or_says(&[GONE, NO_PORT, REFUSED]);
        assert!(!ended.is_done(), "the cost is not refused");
        assert!(!exists("vnet0"), "a tap is left");
    });
}

fn a_tap_that_took_the_name_keeps_its_mac(backend: &str, fate: Fate) {
    let act = || take_name("vnet0", fate, Kind::Tap);
    at_every_stop(backend, ARGS, prepare, act, |ended, foreign| {
        assert_eq!(foreign["mac"], FOREIGN);
        is_untouched(&foreign);
        if fate == Fate::Renamed {
            is_as_before(OTHER);
        }
        ended.is_done_or_says(&[GONE, NO_PORT, REFUSED, TAKEN]);
        assert!(!ended.is_done(), "the cost is not refused");
    });
}

pub(super) const RACES: &[Race] = &[
    Race::new(path_of!(a_renamed_tap_gets_its_mac_back), BOTH, a_renamed_tap_gets_its_mac_back),
    Race::of_each_fate(
        path_of!(a_tap_that_took_the_name_keeps_its_mac),
        BOTH,
        a_tap_that_took_the_name_keeps_its_mac,
    ),
];
