//! The system calls of every operation made to fail in turn (strace does it for real): the host
//! is then as it was, or the operation is done; never in between. And the process made to die at
//! each: then nothing is in the way of the next try.

use std::process::{Command, Output};
mod taps;

use serde_json::Value;

use crate::support::{
    Registry, batch, exists, has_vlans, host_ipv6, in_namespace, ip, is_up, link, links, output, path_of, run,
    sysfs, wait_until, with_fault,
};

const MAC: &str = "52:54:00:01:02:03";
const GUEST: &str = "52:54:00:aa:00:01";
const STRANGER: &str = "52:54:00:aa:00:02";

const ALL: &[&str] = &["netlink", "ioctl"];

/// An operation, on a host with the bridges `virbr0` (down) and `virbr1` (up, `tap1` its port)
/// and the interface `tap0`. `virbr1` has another port, `tap2`, and knows [`GUEST`] to be behind
/// `tap1`, and has learned of [`STRANGER`] there.
struct Operation {
    name: &'static str,
    /// Those that can do it.
    backends: &'static [&'static str],
    args: &'static str,
    is_done: fn() -> bool,
    /// What it says when it was done before; `None` where it just does it again.
    done_before: Option<&'static str>,
}

const OPERATIONS: [Operation; 18] = [
    Operation {
        name: "create",
        backends: ALL,
        args: "create virbr2 --mac 52:54:00:01:02:03 --mtu 1400 --up",
        is_done: || {
            link("virbr2").is_some_and(|link| has_mac_and_mtu(&link) && is_up(&link)) && keeps_its_mtu("virbr2")
        },
        done_before: Some("a bridge of this name exists"),
    },
    Operation {
        name: "delete",
        backends: ALL,
        args: "delete virbr0",
        is_done: || !exists("virbr0"),
        done_before: Some("no such interface"),
    },
    Operation {
        name: "delete_up",
        backends: ALL,
        args: "delete virbr1",
        is_done: || !exists("virbr1"),
        done_before: Some("no such interface"),
    },
    Operation {
        name: "change",
        backends: ALL,
        args: "set virbr0 --mac 52:54:00:01:02:03 --mtu 1400 --up",
        is_done: || link("virbr0").is_some_and(|link| has_mac_and_mtu(&link) && is_up(&link)),
        done_before: None,
    },
    Operation {
        name: "change_down",
        backends: ALL,
        args: "set virbr1 --mac 52:54:00:01:02:03 --mtu 1400 --down",
        is_done: || link("virbr1").is_some_and(|link| has_mac_and_mtu(&link) && !is_up(&link)),
        done_before: None,
    },
    Operation {
        name: "add_port",
        backends: ALL,
        args: "attach virbr0 tap0",
        is_done: || link("tap0").is_some_and(|link| link["master"] == "virbr0"),
        done_before: Some("it is a port of this bridge already"),
    },
    Operation {
        name: "attach_options",
        backends: ALL,
        args: "attach virbr0 tap0 --isolated on --path-cost 77",
        is_done: || port_on("virbr0", "tap0").is_some_and(|port| port["isolated"] == true && port["cost"] == 77),
        done_before: None,
    },
    Operation {
        name: "attach_restricted",
        backends: &["netlink"],
        args: "attach virbr0 tap0 --only-mac 52:54:00:01:02:03",
        is_done: || port_on("virbr0", "tap0").is_some_and(|port| port["locked"] == true) && is_behind(MAC, "tap0"),
        done_before: None,
    },
    Operation {
        name: "remove_port",
        backends: ALL,
        args: "detach virbr1 tap1",
        is_done: || link("tap1").is_some_and(|link| link.get("master").is_none()),
        done_before: Some("it is no port of this bridge"),
    },
    Operation {
        name: "change_options",
        backends: ALL,
        args: "set virbr1 --forward-delay 7 --priority 4096 --ageing-time 60 --multicast-snooping off",
        is_done: || {
            let seen = ["forward_delay", "priority", "ageing_time", "multicast_snooping"]
                .map(|option| sysfs("virbr1", &format!("bridge/{option}")));
            seen == ["700", "4096", "6000", "0"]
        },
        done_before: None,
    },
    Operation {
        name: "change_host_ipv6",
        backends: ALL,
        args: "set virbr1 --host-ipv6 disabled --down",
        is_done: || host_ipv6("virbr1") == [0, 0, 1] && link("virbr1").is_some_and(|link| !is_up(&link)),
        done_before: None,
    },
    Operation {
        name: "change_port",
        backends: ALL,
        args: "port set virbr1 tap1 --isolated on --learning off --path-cost 77",
        is_done: || {
            let seen = ["isolated", "learning", "path_cost"];
            seen.map(|option| sysfs("tap1", &format!("brport/{option}"))) == ["1", "0", "77"]
        },
        done_before: None,
    },
    Operation {
        name: "add_fdb_entry",
        backends: &["netlink"],
        args: "fdb add virbr1 tap2 52:54:00:01:02:03",
        is_done: || is_behind(MAC, "tap2"),
        done_before: Some("such an entry exists"),
    },
    Operation {
        name: "replace_fdb_entry",
        backends: &["netlink"],
        args: "fdb add virbr1 tap2 52:54:00:aa:00:01 --replace",
        is_done: || is_behind(GUEST, "tap2"),
        done_before: None,
    },
    Operation {
        name: "remove_fdb_entry",
        backends: &["netlink"],
        args: "fdb remove virbr1 52:54:00:aa:00:01",
        is_done: || !fdb().iter().any(|entry| entry["mac"] == GUEST),
        done_before: Some("no such entry"),
    },
    Operation {
        name: "flush_fdb",
        backends: ALL,
        args: "fdb flush virbr1",
        is_done: || !fdb().iter().any(|entry| entry["mac"] == STRANGER),
        done_before: None,
    },
    Operation {
        name: "restrict",
        backends: &["netlink"],
        args: "port restrict virbr1 tap1 52:54:00:01:02:03",
        is_done: || is_behind(MAC, "tap1") && sysfs("tap1", "brport/learning") == "0",
        done_before: None,
    },
    Operation {
        name: "unrestrict",
        backends: &["netlink"],
        args: "port unrestrict virbr1 tap1 52:54:00:aa:00:01",
        is_done: || !is_behind(GUEST, "tap1") && sysfs("tap1", "brport/learning") == "1",
        done_before: Some("no such entry"),
    },
];

/// The same where the kernel tells VLANs apart; `tap1` has its VLAN 1 from the start, as its PVID.
const WITH_VLANS: [Operation; 4] = [
    Operation {
        name: "vlan_add",
        backends: &["netlink"],
        args: "vlan add tap1 10-20",
        is_done: || vlans("tap1").len() == 12,
        done_before: None,
    },
    Operation {
        name: "vlan_pvid",
        backends: &["netlink"],
        args: "vlan add tap1 7 --pvid --untagged",
        is_done: || vlans("tap1").iter().any(|vlan| vlan["vlan"] == 7 && vlan["flags"][0] == "PVID"),
        done_before: None,
    },
    Operation {
        name: "vlan_remove",
        backends: &["netlink"],
        args: "vlan remove tap1 1-5",
        is_done: || vlans("tap1").is_empty(),
        done_before: Some("no such entry"),
    },
    Operation {
        name: "vlan_fdb_entry",
        backends: &["netlink"],
        args: "fdb add virbr1 tap2 52:54:00:01:02:03 --vlan 1",
        is_done: || is_behind(MAC, "tap2"),
        done_before: Some("such an entry exists"),
    },
];

fn vlans(port: &str) -> Vec<Value> {
    let ports: Vec<Value> = serde_json::from_str(&run("bridge", ["-j", "vlan"])).expect("JSON");
    let port = ports.into_iter().find(|other| other["ifname"] == port);
    port.and_then(|port| port["vlans"].as_array().cloned()).unwrap_or_default()
}

/// What bridges know of addresses.
fn fdb() -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(&run("bridge", ["-j", "fdb"])).expect("JSON");
    all.into_iter().filter(|entry| entry["master"] != Value::Null).collect()
}

/// What `bridge` says of a port, if it is one of this bridge.
fn port_on(bridge: &str, port: &str) -> Option<Value> {
    let ports: Vec<Value> = serde_json::from_str(&run("bridge", ["-j", "-d", "link"])).expect("JSON");
    ports.into_iter().find(|other| other["ifname"] == port && other["master"] == bridge)
}

fn is_behind(mac: &str, port: &str) -> bool {
    fdb().iter().any(|entry| entry["mac"] == mac && entry["ifname"] == port && entry["state"] == "static")
}

/// All that an operation could change, but what was learned, which is learned again, and carriers,
/// which the kernel notes in its own time.
pub(crate) fn state() -> String {
    let mut fixed: Vec<_> =
        fdb().into_iter().filter(|entry| entry["state"] != "").map(|entry| entry.to_string()).collect();
    fixed.sort_unstable();
    let bridges: Vec<Value> = serde_json::from_str(&ip("-j -d link show type bridge")).expect("JSON");
    let options = bridges.into_iter().map(|mut bridge| {
        let mut options = bridge["linkinfo"]["info_data"].take();
        options.as_object_mut().expect("options").retain(|key, _| !key.ends_with("_timer"));
        options.to_string()
    });
    let ports = run("bridge", ["-j", "-d", "link"]);
    let mut links = links();
    for link in &mut links {
        link["addr_assign_type"] = sysfs(link["ifname"].as_str().expect("a name"), "addr_assign_type").into();
        link["operstate"].take();
        let flags = link["flags"].as_array_mut().expect("flags");
        flags.retain(|flag| flag != "NO-CARRIER" && flag != "LOWER_UP");
    }
    let ipv6: Vec<_> = links.iter().map(|link| host_ipv6(link["ifname"].as_str().expect("a name"))).collect();
    let ipv6 = format!("{ipv6:?}");
    [
        Value::from(links).to_string(),
        ipv6,
        options.collect(),
        ports,
        run("bridge", ["-j", "vlan"]),
        fixed.join("\n"),
    ]
    .join("\n")
}

fn has_mac_and_mtu(link: &Value) -> bool {
    link["address"] == MAC && link["mtu"] == 1400
}

/// Whether a bridge has its MTU still when a port with another one has joined, and left.
fn keeps_its_mtu(bridge: &str) -> bool {
    let mtu = || link(bridge).expect("it is there")["mtu"].clone();
    let before = mtu();
    let after = [format!("master {bridge}"), "nomaster".to_owned()].map(|joins_or_leaves| {
        ip(&format!("link set dev tap0 {joins_or_leaves}"));
        mtu()
    });
    after.iter().all(|after| *after == before)
}

/// The system calls that each backend's operations consist of, and what to make them fail with.
const FAULTS: [(&str, &str, &str); 14] = [
    ("netlink", "socket", "EMFILE"),
    ("netlink", "bind", "ENOMEM"),
    ("netlink", "setsockopt", "ENOPROTOOPT"),
    ("netlink", "sendto", "ENOMEM"),
    // The kernel has done what was asked, but the answer is lost.
    ("netlink", "recvfrom", "ENOBUFS"),
    ("ioctl", "socket", "EMFILE"),
    ("ioctl", "bind", "ENOMEM"),
    ("ioctl", "setsockopt", "EPERM"),
    ("ioctl", "ioctl", "EIO"),
    ("ioctl", "ioctl", "EPERM"),
    ("ioctl", "pread64", "EIO"),
    ("ioctl", "write", "EIO"),
    ("netlink", "pwrite64", "EIO"),
    ("ioctl", "pwrite64", "EIO"),
];

pub(crate) fn register(registry: &Registry) {
    let registry = registry.needs("strace").on_host();
    let with_vlans: &'static [Operation] = if in_namespace(has_vlans) { &WITH_VLANS } else { &[] };
    for backend in vmbridge::AVAILABLE {
        taps::register(&registry, backend.name);
        for (_, call, errno) in FAULTS.into_iter().filter(|&(name, ..)| name == backend.name) {
            let operations = OPERATIONS.iter().chain(with_vlans).filter(|operation| {
                // What is written to sysfs.
                let writes = ["change_options", "change_port", "flush_fdb"].contains(&operation.name);
                // What is written to /proc/sys.
                let sets_ipv6 = ["create", "change_host_ipv6"].contains(&operation.name);
                (call != "write" || writes)
                    && (call != "pwrite64" || sets_ipv6)
                    && operation.backends.contains(&backend.name)
            });
            for operation in operations {
                Case { backend: backend.name, call, errno, operation, prepare: prepare_host }.register(&registry);
            }
        }
    }
}

/// An operation in which a system call fails.
#[derive(Clone, Copy)]
struct Case {
    backend: &'static str,
    call: &'static str,
    errno: &'static str,
    operation: &'static Operation,
    /// Makes the host that it is on.
    prepare: fn(),
}

impl Case {
    fn register(self, registry: &Registry) {
        let Self { backend, call, errno, operation, .. } = self;
        let add = |path, test: fn(&Self)| {
            registry.add_with(path, &[backend, call, errno, operation.name], move || test(&self));
        };
        add(path_of!(fails_once), fails_once);
        // What is left of a process depends on the calls that changed something, and not on the error
        // that others fail with.
        if ["sendto", "recvfrom", "ioctl", "write", "pwrite64"].contains(&call) && errno != "EPERM" {
            add(path_of!(is_killed), is_killed);
        }
        // An error is written by the same call, and could not be read.
        if call != "write" {
            add(path_of!(fails_from_then_on), fails_from_then_on);
        }
    }

    fn command<'a>(self) -> impl Iterator<Item = &'a str> {
        let command = [env!("CARGO_BIN_EXE_vmbridge"), "--backend", self.backend];
        command.into_iter().chain(self.operation.args.split(' '))
    }
}

fn prepare_host() {
    for (number, link) in [(0, "down"), (1, "up")] {
        ip(&format!("link add name virbr{number} address 52:54:00:00:00:0{number} type bridge"));
        ip(&format!("link add name tap{number} type veth peer name peer{number}"));
        ip(&format!("link set dev virbr{number} {link}"));
    }
    ip("link set dev tap1 master virbr1");
    ip("link add name tap2 master virbr1 type veth peer name peer2");
    // Only a port that could learn takes an entry as learned.
    ip("link set dev tap1 up");
    ip("link set dev peer1 up");
    wait_until("tap1 forwards", || sysfs("tap1", "brport/state") == "3");
    batch(
        "bridge",
        &format!("fdb add {GUEST} dev tap1 master static sticky\nfdb add {STRANGER} dev tap1 master dynamic"),
    );
}

/// Runs the operation with a fault; `None` when it ended before the fault's turn.
fn run_with(case: &Case, fault: &str) -> Option<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmbridge"));
    let args = case.operation.args.split(' ');
    with_fault(case.call, fault, command.args(["--backend", case.backend]).args(args))
}

/// Repeats a check for the first call, the second, and so on, each on a host of its own.
fn for_each_call(case: &Case, check: impl Fn(usize) -> bool + Sync) {
    let mut calls = 0;
    while in_namespace(|| {
        (case.prepare)();
        check(calls + 1)
    }) {
        calls += 1;
    }
    assert!(calls > 0, "the fault never had its turn");
}

fn fails_once(case: &Case) {
    let Case { errno, operation, .. } = *case;
    for_each_call(case, |number| {
        let before = state();
        let fault = format!("error={errno}:when={number}");
        let Some(output) = run_with(case, &fault) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            assert!((operation.is_done)(), "call {number}: it says that it is done");
        } else {
            assert_eq!(state(), before, "call {number}: {errors}");
            // The dynamic loader reads with the same call.
            let not_started = errors.contains("error while loading shared libraries");
            assert!(not_started || errors.starts_with("vmbridge: cannot"), "call {number}: {errors}");
        }
        true
    });
}

/// Undoing fails as well: then the error says what is left.
fn fails_from_then_on(case: &Case) {
    let Case { errno, operation, .. } = *case;
    for_each_call(case, |number| {
        let before = state();
        let fault = format!("error={errno}:when={number}+");
        let Some(output) = run_with(case, &fault) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            assert!((operation.is_done)(), "call {number}: it says that it is done");
        } else if state() != before {
            assert!(errors.contains("rollback failed") && errors.contains("is left"), "call {number}: {errors}");
        }
        true
    });
}

/// No interface is lost, none is too many but what a killed create leaves ([`interfaces`]), no bridge
/// bears its name without its MAC, and the same command done again ends what was begun.
fn is_killed(case: &Case) {
    let Case { operation, .. } = *case;
    for_each_call(case, |number| {
        let before = interfaces(operation);
        if run_with(case, &format!("signal=KILL:when={number}")).is_none() {
            return false;
        }
        let left = interfaces(operation);
        let made = link("virbr2");
        assert!(made.as_ref().is_none_or(has_mac_and_mtu), "killed at call {number}: {made:?}");

        let mut command = case.command();
        let again = output(command.next().expect("a program"), command);
        let errors = String::from_utf8_lossy(&again.stderr);
        if again.status.success() {
            assert!((operation.is_done)(), "killed at call {number}: it says that it is done");
        } else {
            let done_before = operation.done_before.is_some_and(|text| errors.contains(text));
            // A bridge that is made in several calls goes up in the last.
            let only_down = made.is_some();
            assert!(done_before && (only_down || (operation.is_done)()), "killed at call {number}: {errors}");
        }
        let is_left_over = |link: &Value| link["ifname"].as_str().is_some_and(|name| name.starts_with("vmb"));
        assert!(!links().iter().any(is_left_over), "killed at call {number}: {:?}", links());
        let done = interfaces(operation);
        assert!(left == before || left == done, "killed at call {number}: {left:?}");
        true
    });
}

/// The names of all interfaces, without the bridges that a create was killed over: their names
/// tell, and they are down and without ports.
fn interfaces(operation: &Operation) -> Vec<String> {
    let links = links();
    let name = |link: &Value| link["ifname"].as_str().expect("a name").to_owned();
    let is_left_over = |link: &Value| operation.name == "create" && name(link).starts_with("vmb");
    for left in links.iter().filter(|link| is_left_over(link)) {
        let has_ports = links.iter().any(|link| link["master"] == left["ifname"]);
        assert!(!is_up(left) && !has_ports, "{left}");
    }
    links.iter().filter(|link| !is_left_over(link)).map(name).collect()
}
