//! An interface leaves while a command works on it: the error says so, and gives no other reason.

use super::host::{GONE, NO_ENTRY, NO_PORT, REFUSED, is_as_asked};
use super::{BOTH, NETLINK, Race, at_every_stop, at_every_two_stops};
use crate::support::{batch, exists, ip, path_of};

fn set(backend: &str, args: &str, reasons: &[&[&str]]) {
    let prepare = || drop(ip("link add name br0 type bridge"));
    let act = || {
        let was_changed = is_as_asked("br0");
        if exists("br0") {
            ip(BRIDGE_DELETED);
        }
        was_changed
    };
    at_every_stop(backend, args, prepare, act, |ended, was_changed| {
        ended.is_done_or_says(reasons);
        assert!(was_changed || !ended.is_done(), "the bridge was not changed");
    });
}

/// How a port leaves its bridge, as a command of `ip`.
const DETACHED: &str = "link set dev tap0 nomaster";
const DELETED: &str = "link delete dev tap0";
const BRIDGE_DELETED: &str = "link delete dev br0";

const PORT_SET: &str = "port set br0 tap0 --isolated on --learning on --path-cost 77";
const FDB_REMOVE: &str = "fdb remove br0 52:54:00:01:02:03";
const UNRESTRICT: &str = "port unrestrict br0 tap0 52:54:00:01:02:03";

/// Makes a bridge and a port that is restricted to a MAC.
fn prepare() {
    batch("ip", "link add name br0 type bridge\nlink add name tap0 master br0 type veth peer name peer0");
    let restriction = "\
link set dev tap0 learning off flood off locked on
fdb add 52:54:00:01:02:03 dev tap0 master static";
    batch("bridge", restriction);
}

fn port(backend: &str, args: &str, leaves: &str) {
    let act = || drop(ip(leaves));
    at_every_stop(backend, args, prepare, act, |ended, ()| ended.is_done_or_says(&[GONE, NO_PORT, NO_ENTRY]));
}

/// The port is detached. After some more calls, it is deleted.
fn port_by_steps(backend: &str, args: &str) {
    let acts: [&(dyn Fn() + Sync); 2] = [&|| drop(ip(DETACHED)), &|| drop(ip(DELETED))];
    at_every_two_stops(backend, args, prepare, acts, |ended, _| {
        ended.is_done_or_says(&[GONE, NO_PORT, NO_ENTRY]);
    });
}

fn tap_list(backend: &str, leaves: &str) {
    let prepare = || {
        let host = "\
link add name br0 type bridge
tuntap add dev tap0 mode tap
tuntap add dev tap1 mode tap
link set dev tap0 master br0";
        batch("ip", host);
    };
    at_every_stop(
        backend,
        "tap list",
        prepare,
        || drop(ip(leaves)),
        |ended, ()| {
            assert!(ended.is_done(), "the taps are not listed");
            assert!(ended.output.contains("tap1"), "a tap is missing: {}", ended.output);
        },
    );
}

fn set_of_a_deleted_bridge(backend: &str) {
    set(backend, "set br0 --mac 52:54:00:01:02:03 --mtu 1400 --up", &[GONE]);
}

/// The kernel refuses the MTU, and of the others the mask, which comes after them.
fn set_refused_of_a_deleted_bridge(backend: &str) {
    set(backend, "set br0 --mtu 70000 --up", &[GONE, REFUSED]);
}

fn set_undone_of_a_deleted_bridge(backend: &str) {
    set(backend, "set br0 --mtu 1400 --ageing-time 60 --group-forward-mask 7", &[GONE, REFUSED]);
}

fn set_undone_in_sysfs_of_a_deleted_bridge(backend: &str) {
    set(backend, "set br0 --mtu 1400 --multicast-snooping off --group-forward-mask 7", &[GONE, REFUSED]);
}

fn port_set_of_a_detached_port(backend: &str) {
    port(backend, PORT_SET, DETACHED);
}

fn port_set_of_a_deleted_port(backend: &str) {
    port(backend, PORT_SET, DELETED);
}

fn port_set_on_a_deleted_bridge(backend: &str) {
    port(backend, PORT_SET, BRIDGE_DELETED);
}

fn port_set_of_a_port_deleted_by_steps(backend: &str) {
    port_by_steps(backend, PORT_SET);
}

fn fdb_remove_of_a_detached_port(backend: &str) {
    port(backend, FDB_REMOVE, DETACHED);
}

fn fdb_remove_of_a_deleted_port(backend: &str) {
    port(backend, FDB_REMOVE, DELETED);
}

fn fdb_remove_on_a_deleted_bridge(backend: &str) {
    port(backend, FDB_REMOVE, BRIDGE_DELETED);
}

fn fdb_remove_of_a_port_deleted_by_steps(backend: &str) {
    port_by_steps(backend, FDB_REMOVE);
}

fn port_unrestrict_of_a_detached_port(backend: &str) {
    port(backend, UNRESTRICT, DETACHED);
}

fn port_unrestrict_of_a_deleted_port(backend: &str) {
    port(backend, UNRESTRICT, DELETED);
}

fn port_unrestrict_on_a_deleted_bridge(backend: &str) {
    port(backend, UNRESTRICT, BRIDGE_DELETED);
}

fn tap_list_beside_a_detached_tap(backend: &str) {
    tap_list(backend, DETACHED);
}

fn tap_list_beside_a_deleted_tap(backend: &str) {
    tap_list(backend, DELETED);
}

fn tap_list_beside_a_deleted_bridge(backend: &str) {
    tap_list(backend, BRIDGE_DELETED);
}

pub(super) const RACES: &[Race] = &[
    Race::new(path_of!(set_of_a_deleted_bridge), BOTH, set_of_a_deleted_bridge),
    Race::new(path_of!(set_refused_of_a_deleted_bridge), BOTH, set_refused_of_a_deleted_bridge),
    Race::new(path_of!(set_undone_of_a_deleted_bridge), BOTH, set_undone_of_a_deleted_bridge),
    Race::new(path_of!(set_undone_in_sysfs_of_a_deleted_bridge), BOTH, set_undone_in_sysfs_of_a_deleted_bridge),
    Race::new(path_of!(port_set_of_a_detached_port), BOTH, port_set_of_a_detached_port),
    Race::new(path_of!(port_set_of_a_deleted_port), BOTH, port_set_of_a_deleted_port),
    Race::new(path_of!(port_set_on_a_deleted_bridge), BOTH, port_set_on_a_deleted_bridge),
    Race::new(path_of!(port_set_of_a_port_deleted_by_steps), NETLINK, port_set_of_a_port_deleted_by_steps),
    Race::new(path_of!(fdb_remove_of_a_detached_port), NETLINK, fdb_remove_of_a_detached_port),
    Race::new(path_of!(fdb_remove_of_a_deleted_port), NETLINK, fdb_remove_of_a_deleted_port),
    Race::new(path_of!(fdb_remove_on_a_deleted_bridge), NETLINK, fdb_remove_on_a_deleted_bridge),
    Race::new(path_of!(fdb_remove_of_a_port_deleted_by_steps), NETLINK, fdb_remove_of_a_port_deleted_by_steps),
    Race::new(path_of!(port_unrestrict_of_a_detached_port), NETLINK, port_unrestrict_of_a_detached_port),
    Race::new(path_of!(port_unrestrict_of_a_deleted_port), NETLINK, port_unrestrict_of_a_deleted_port),
    Race::new(path_of!(port_unrestrict_on_a_deleted_bridge), NETLINK, port_unrestrict_on_a_deleted_bridge),
    Race::new(path_of!(tap_list_beside_a_detached_tap), BOTH, tap_list_beside_a_detached_tap),
    Race::new(path_of!(tap_list_beside_a_deleted_tap), BOTH, tap_list_beside_a_deleted_tap),
    Race::new(path_of!(tap_list_beside_a_deleted_bridge), BOTH, tap_list_beside_a_deleted_bridge),
];
