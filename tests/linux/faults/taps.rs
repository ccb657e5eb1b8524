//! The same of taps and of guests on them.

use serde_json::Value;

use super::{Case, Operation, is_behind};
use crate::support::{Registry, batch, exists, is_up, link, sysfs};

/// The host's side of the guest 52:54:00:01:02:09.
const HOST_SIDE: &str = "fe:54:00:01:02:09";

/// On a host with the bridge `virbr1` (up, MTU 1400) and the persistent tap `vnet1`, down and root's, that
/// has been up and has had its MAC set: the kernel has no way back from either.
const OPERATIONS: [Operation; 5] = [
    Operation {
        name: "tap_create_restricted",
        backends: &["netlink"],
        args: "tap create vnet0 --bridge virbr1 --guest-mac 52:54:00:01:02:09 --isolated on --restrict",
        is_done: || is_plugged("vnet0") && is_restricted("vnet0"),
        done_before: Some("a tap of this name exists"),
    },
    Operation {
        name: "tap_create",
        backends: &["ioctl"],
        args: "tap create vnet0 --bridge virbr1 --guest-mac 52:54:00:01:02:09 --isolated on",
        is_done: || is_plugged("vnet0"),
        done_before: Some("a tap of this name exists"),
    },
    Operation {
        name: "tap_adopt_restricted",
        backends: &["netlink"],
        args: "tap create vnet1 --adopt --bridge virbr1 --guest-mac 52:54:00:01:02:09 --isolated on --restrict",
        is_done: || is_plugged("vnet1") && is_restricted("vnet1"),
        done_before: None,
    },
    Operation {
        name: "tap_adopt",
        backends: &["ioctl"],
        args: "tap create vnet1 --adopt --bridge virbr1 --guest-mac 52:54:00:01:02:09 --isolated on",
        is_done: || is_plugged("vnet1"),
        done_before: None,
    },
    Operation {
        name: "tap_delete",
        backends: super::ALL,
        args: "tap delete vnet1",
        is_done: || !exists("vnet1"),
        done_before: Some("no such interface"),
    },
];

/// Their system calls. The dynamic loader opens its libraries with the same call.
const FAULTS: [(&str, &str, &str); 16] = [
    ("netlink", "socket", "EMFILE"),
    ("netlink", "bind", "ENOMEM"),
    ("netlink", "setsockopt", "ENOPROTOOPT"),
    ("netlink", "sendto", "ENOMEM"),
    ("netlink", "recvfrom", "ENOBUFS"),
    ("netlink", "ioctl", "EIO"),
    ("netlink", "openat", "EMFILE"),
    ("netlink", "pread64", "EIO"),
    ("ioctl", "socket", "EMFILE"),
    ("ioctl", "bind", "ENOMEM"),
    ("ioctl", "setsockopt", "EPERM"),
    ("ioctl", "ioctl", "EIO"),
    ("ioctl", "ioctl", "EPERM"),
    ("ioctl", "openat", "EMFILE"),
    ("ioctl", "pread64", "EIO"),
    ("ioctl", "write", "EIO"),
];

pub(super) fn register(registry: &Registry, backend: &'static str) {
    for &(_, call, errno) in FAULTS.iter().filter(|&&(name, ..)| name == backend) {
        for operation in &OPERATIONS {
            // Nothing is written to sysfs to delete a tap, nor is its name tried.
            let never = matches!(
                (backend, call, operation.name),
                (_, "write", "tap_delete") | ("ioctl", "setsockopt", "tap_delete")
            );
            if operation.backends.contains(&backend) && !never {
                Case { backend, call, errno, operation, prepare }.register(registry);
            }
        }
    }
}

fn prepare() {
    // An MTU that comes with the creating message is the bridge's only until a port has left.
    batch(
        "ip",
        "link add name virbr1 address 52:54:00:00:00:01 type bridge\n\
         link set dev virbr1 mtu 1400 up\n\
         tuntap add dev vnet1 mode tap user 0\n\
         link set dev vnet1 address fe:54:00:00:00:77\n\
         link set dev vnet1 up\n\
         link set dev vnet1 down",
    );
}

/// All that the guest sequence makes of a tap.
fn is_plugged(tap: &str) -> bool {
    link(tap).is_some_and(|link| {
        let of_port = &link["linkinfo"]["info_slave_data"];
        let of_tap = &link["linkinfo"]["info_data"];
        link["address"] == HOST_SIDE
            && link["mtu"] == 1400
            && link["master"] == "virbr1"
            && is_up(&link)
            && of_port["isolated"] == Value::Bool(true)
            && of_tap["persist"] == Value::Bool(true)
            && sysfs(tap, "owner") == "0"
    })
}

fn is_restricted(tap: &str) -> bool {
    is_behind("52:54:00:01:02:09", tap) && sysfs(tap, "brport/learning") == "0"
}
