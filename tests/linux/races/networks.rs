//! The bridge of a network is deleted, renamed or set down, and another process' bridge or network takes its name.

use std::fs;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use serde_json::Value;
use vmbridge::model::Model;
use vmbridge::network::{MacSource, NetworkName, Store};

use super::host::{
    FOREIGN, Fate, GONE, Kind, MAC, NOT_ACTIVE, OTHER, TAKEN, dispose, is_as_asked, is_untouched, make_foreign,
    shape, take_name,
};
use super::{BOTH, Race, at_every_stop};
use crate::support::{exists, ip, path_of, run};

/// The directory of the networks. Each run mounts its own.
const DIRECTORY: &str = "/mnt";

const ANCHOR: &str = "<metadata><v:bridge xmlns:v='https://vmbridge.org/network/1' anchor='tap'/></metadata>";

/// Defines a network.
pub(super) fn define() {
    define_with("");
}

fn define_with(metadata: &str) {
    mount(Some("tmpfs"), DIRECTORY, Some("tmpfs"), MsFlags::empty(), None::<&str>)
        .expect("a tmpfs can be mounted");
    let definition = format!(
        "<network><name>lan</name>{metadata}<bridge name='br0' stp='off'/><mac address='{MAC}'/><mtu size='1400'/></network>"
    );
    let file = format!("{DIRECTORY}/lan.xml");
    fs::write(&file, definition).expect("it can be written");
    vmbridge(&format!("network define {file} {}", directories()));
}

/// Returns the arguments of a command on the network.
pub(super) fn network(command: &str) -> String {
    format!("network {command} lan {}", directories())
}

fn directories() -> String {
    format!("--config-dir {DIRECTORY}/etc --state-dir {DIRECTORY}/run")
}

fn vmbridge(args: &str) {
    run(env!("CARGO_BIN_EXE_vmbridge"), args.split(' '));
}

fn start() {
    define();
    vmbridge(&network("start"));
}

fn network_stop_leaves_a_bridge_that_took_the_name(backend: &str, fate: Fate) {
    let act = || take_name("br0", fate, Kind::Bridge);
    at_every_stop(backend, &network("stop"), start, act, |ended, foreign| {
        is_untouched(&foreign);
        ended.is_done_or_says(&[GONE, NOT_ACTIVE, TAKEN]);
        if shape(OTHER).is_some() {
            assert!(!ended.is_done(), "the bridge is not deleted");
            assert!(is_as_asked(OTHER), "the bridge is left changed");
        }
    });
}

/// Another process deletes both, and makes a bridge and a tap of these names.
fn network_stop_leaves_an_anchor_that_took_the_name(backend: &str) {
    let prepare = || {
        define_with(ANCHOR);
        vmbridge(&network("start"));
    };
    let act = || {
        for name in ["br0", "br0-nic"] {
            dispose(name, Fate::Deleted);
        }
        make_foreign("br0", Kind::Bridge);
        make_foreign("br0-nic", Kind::Tap);
        ip("link set dev br0-nic master br0");
        ["br0", "br0-nic"].map(|name| shape(name).expect("it was made"))
    };
    at_every_stop(backend, &network("stop"), prepare, act, |ended, foreign| {
        foreign.iter().for_each(is_untouched);
        ended.is_done_or_says(&[GONE, NOT_ACTIVE, TAKEN]);
    });
}

/// The foreign bridge has another MAC, so it needs another repair.
fn network_ensure_claims_what_it_repaired(backend: &str, fate: Fate) {
    let prepare = || {
        start();
        ip("link set dev br0 mtu 1300 down");
    };
    let act = || {
        let was_repaired = is_as_asked("br0");
        (was_repaired, take_name("br0", fate, Kind::Bridge))
    };
    at_every_stop(backend, &network("ensure"), prepare, act, |ended, (was_repaired, foreign): (_, Value)| {
        ended.is_done_or_says(&[GONE, TAKEN]);
        let now = shape("br0").expect("it is there");
        if now == foreign {
            assert!(was_repaired || is_as_asked(OTHER) || !ended.is_done(), "nothing is repaired");
            if let Some(renamed) = shape(OTHER).filter(|_| !ended.is_done()) {
                let is_as_before = renamed["mtu"] == 1300 && renamed["up"] == false;
                assert!(is_as_before, "the bridge is left changed: {renamed}");
            }
        } else {
            // As if the foreign bridge had been there from the start: `ensure` adopts it.
            assert_eq!(now["index"], foreign["index"], "the foreign bridge is deleted");
            assert!(is_as_asked("br0"), "the foreign bridge is repaired by half: {now}");
            assert!(ended.is_done(), "the foreign bridge is left changed");
            let claims = &ended.output;
            assert!(claims.contains(FOREIGN), "a wrong repair is claimed: {claims}");
        }
    });
}

/// Without a bridge that is up, the anchor never has a carrier.
fn network_start_ends_when_its_bridge_is_set_down(backend: &str) {
    let act = || {
        if exists("br0") {
            ip("link set dev br0 down");
        }
    };
    at_every_stop(
        backend,
        &network("start"),
        || define_with(ANCHOR),
        act,
        |ended, ()| {
            ended.is_done_or_says(&[&["it was set down meanwhile"]]);
            assert_eq!(exists("br0"), ended.is_done());
        },
    );
}

/// Another process forgets the network, and defines another one with its bridge. Unless it has to wait, one of the two
/// is refused.
fn network_start_shares_its_bridge_with_no_other_network(backend: &str) {
    let store =
        || Store::new(format!("{DIRECTORY}/etc"), format!("{DIRECTORY}/run")).with_patience(Duration::ZERO);
    let name = |text: &str| text.parse::<NetworkName>().expect("a name");
    let act = || {
        let other = "<network><name>other</name><bridge name='br0'/></network>".parse().expect("a definition");
        let store = store();
        if store.undefine(&name("lan")).is_ok() {
            let _ = store.define(&Model::new(), &other, &MacSource::Random);
        }
    };
    at_every_stop(backend, &network("start"), define, act, |ended, ()| {
        ended.is_done_or_says(&[&["not defined"]]);
        let is_active = store().active(&name("lan")).expect("it can be read").is_some();
        assert_eq!((is_active, exists("br0")), (ended.is_done(), ended.is_done()));
        assert!(!is_active || store().load(&name("other")).is_err(), "two networks have one bridge");
    });
}

pub(super) const RACES: &[Race] = &[
    Race::of_each_fate(
        path_of!(network_stop_leaves_a_bridge_that_took_the_name),
        BOTH,
        network_stop_leaves_a_bridge_that_took_the_name,
    ),
    Race::new(
        path_of!(network_stop_leaves_an_anchor_that_took_the_name),
        BOTH,
        network_stop_leaves_an_anchor_that_took_the_name,
    ),
    Race::of_each_fate(
        path_of!(network_ensure_claims_what_it_repaired),
        BOTH,
        network_ensure_claims_what_it_repaired,
    ),
    Race::new(
        path_of!(network_start_ends_when_its_bridge_is_set_down),
        BOTH,
        network_start_ends_when_its_bridge_is_set_down,
    ),
    Race::new(
        path_of!(network_start_shares_its_bridge_with_no_other_network),
        BOTH,
        network_start_shares_its_bridge_with_no_other_network,
    ),
];
