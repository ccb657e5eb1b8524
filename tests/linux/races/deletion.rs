//! A bridge is set up while it is deleted: the kernel refuses to delete it by ioctl then.

use super::tracer::stopped_before;
use super::{IOCTL, Race, at_every_stop};
use crate::support::{exists, in_namespace, ip, is_up, link, path_of};

fn prepare() {
    ip("link add name br0 up type bridge");
}

/// Returns whether the bridge was down.
fn set_up() -> bool {
    let was_down = link("br0").is_some_and(|bridge| !is_up(&bridge));
    if was_down {
        ip("link set dev br0 up");
    }
    was_down
}

fn deletes_a_bridge_that_is_set_up_meanwhile(backend: &str) {
    at_every_stop(backend, "delete br0", prepare, set_up, |ended, _| {
        ended.leaves_nothing();
        assert!(ended.is_done() && !exists("br0"), "the bridge is left");
    });
}

/// More stops than the command makes.
const ALL: std::ops::Range<usize> = 0..1000;

fn gives_up_on_a_bridge_that_is_set_up_each_time(backend: &str) {
    in_namespace(|| {
        prepare();
        let stops: Vec<_> = ALL.collect();
        let args = ["--backend", backend, "delete", "br0"];
        let (ended, acted) = stopped_before(&stops, env!("CARGO_BIN_EXE_vmbridge"), &args, |_| set_up());
        assert!(acted.len() < stops.len(), "it does not give up: {ended}");
        assert!(!ended.is_done() && ended.errors.contains("EBUSY"), "{ended}");
        ended.leaves_nothing();
        assert!(link("br0").is_some_and(|bridge| is_up(&bridge)), "the bridge is not as it was");
        let tries = acted.into_iter().filter(|&was_down| was_down).count();
        assert!(tries > 1, "it was tried once: {ended}");
    });
}

pub(super) const RACES: &[Race] = &[
    Race::new(
        path_of!(deletes_a_bridge_that_is_set_up_meanwhile),
        IOCTL,
        deletes_a_bridge_that_is_set_up_meanwhile,
    ),
    Race::new(
        path_of!(gives_up_on_a_bridge_that_is_set_up_each_time),
        IOCTL,
        gives_up_on_a_bridge_that_is_set_up_each_time,
    ),
];
