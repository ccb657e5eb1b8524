//! Every system call of every operation made to fail in turn (strace does it for real): the
//! host is then as it was, or the operation is done; never in between.

use std::fs;
use std::process::Output;

use libtest_mimic::Trial;

use crate::support::{exists, in_namespace, ip, link, needs, output, snapshot};

const MAC: &str = "52:54:00:01:02:03";

/// An operation, on a host with the bridges `virbr0` (down) and `virbr1` (up, `tap1` its port)
/// and the interface `tap0`: its arguments, and whether it is done.
struct Operation {
    name: &'static str,
    args: &'static str,
    is_done: fn() -> bool,
}

const OPERATIONS: [Operation; 7] = [
    Operation {
        name: "create",
        args: "create virbr2 --mac 52:54:00:01:02:03 --mtu 1400 --up",
        is_done: || {
            link("virbr2").is_some_and(|link| {
                let is_up = link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
                link["address"] == MAC && link["mtu"] == 1400 && is_up
            })
        },
    },
    Operation { name: "delete", args: "delete virbr0", is_done: || !exists("virbr0") },
    Operation { name: "delete_up", args: "delete virbr1", is_done: || !exists("virbr1") },
    Operation {
        name: "change",
        args: "set virbr0 --mac 52:54:00:01:02:03 --mtu 1400 --up",
        is_done: || {
            link("virbr0")
                .is_some_and(|link| link["address"] == MAC && link["mtu"] == 1400 && link["operstate"] == "DOWN")
        },
    },
    Operation {
        name: "change_down",
        args: "set virbr1 --mac 52:54:00:01:02:03 --mtu 1400 --down",
        is_done: || link("virbr1").is_some_and(|link| link["address"] == MAC && link["mtu"] == 1400),
    },
    Operation {
        name: "add_port",
        args: "attach virbr0 tap0",
        is_done: || link("tap0").is_some_and(|link| link["master"] == "virbr0"),
    },
    Operation {
        name: "remove_port",
        args: "detach virbr1 tap1",
        is_done: || link("tap1").is_some_and(|link| link.get("master").is_none()),
    },
];

/// The system calls that each backend's operations consist of, and what to make them fail with.
const FAULTS: [(&str, &str, &str); 5] = [
    ("netlink", "sendto", "ENOMEM"),
    // The kernel has done what was asked, but the answer is lost.
    ("netlink", "recvfrom", "ENOBUFS"),
    ("ioctl", "ioctl", "EIO"),
    ("ioctl", "ioctl", "EPERM"),
    ("ioctl", "pread64", "EIO"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for backend in vmbridge::AVAILABLE {
        for (_, call, errno) in FAULTS.into_iter().filter(|&(name, ..)| name == backend.name) {
            for operation in &OPERATIONS {
                let mut trial = |what: &str, test: fn(&str, &str, &str, &Operation)| {
                    let name = format!("faults::{}::{call}::{errno}::{}::{what}", backend.name, operation.name);
                    let trial = Trial::test(name, move || {
                        test(backend.name, call, errno, operation);
                        Ok(())
                    });
                    trials.push(needs("strace", trial));
                };
                trial("fails_once", fails_once);
                trial("fails_from_then_on", fails_from_then_on);
                trial("is_killed", is_killed);
            }
        }
    }
    trials
}

fn prepare_host() {
    for (number, link) in [(0, "down"), (1, "up")] {
        ip(&format!("link add name virbr{number} address 52:54:00:00:00:0{number} type bridge"));
        ip(&format!("link add name tap{number} type veth peer name peer{number}"));
        ip(&format!("link set dev virbr{number} {link}"));
    }
    ip("link set dev tap1 master virbr1");
}

/// Runs the operation with a fault; `None` when it ended before the fault's turn.
fn run_with(backend: &str, operation: &Operation, call: &str, fault: &str) -> Option<Output> {
    let log = tempfile();
    let injection = format!("inject={call}:{fault}");
    let traced = ["-qq", "-o", &log, "-e", &format!("trace={call}"), "-e", &injection];
    let command = [env!("CARGO_BIN_EXE_vmbridge"), "--backend", backend];
    let output = output("strace", traced.into_iter().chain(command).chain(operation.args.split(' ')));
    let trace = fs::read_to_string(&log).expect("strace has written it");
    let _ = fs::remove_file(&log);
    (trace.contains("(INJECTED)") || trace.contains("SIGKILL")).then_some(output)
}

fn tempfile() -> String {
    let thread = format!("{:?}", std::thread::current().id());
    format!("{}/vmbridge-faults-{}-{thread}", std::env::temp_dir().display(), std::process::id())
}

/// Repeats a check for the first call, the second, and so on, each on a host of its own.
fn for_each_call(check: impl Fn(usize) -> bool + Sync) {
    let mut calls = 0;
    while in_namespace(|| {
        prepare_host();
        check(calls + 1)
    }) {
        calls += 1;
    }
    assert!(calls > 0, "the fault never had its turn");
}

fn fails_once(backend: &str, call: &str, errno: &str, operation: &Operation) {
    for_each_call(|number| {
        let before = snapshot();
        let fault = format!("error={errno}:when={number}");
        let Some(output) = run_with(backend, operation, call, &fault) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            assert!((operation.is_done)(), "call {number}: it says that it is done");
        } else {
            assert_eq!(snapshot(), before, "call {number}: {errors}");
            // The dynamic loader reads with the same call.
            let not_started = errors.contains("error while loading shared libraries");
            assert!(not_started || errors.starts_with("vmbridge: cannot"), "call {number}: {errors}");
        }
        true
    });
}

/// Undoing fails as well: then the error says what is left.
fn fails_from_then_on(backend: &str, call: &str, errno: &str, operation: &Operation) {
    for_each_call(|number| {
        let before = snapshot();
        let fault = format!("error={errno}:when={number}+");
        let Some(output) = run_with(backend, operation, call, &fault) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            assert!((operation.is_done)(), "call {number}: it says that it is done");
        } else if snapshot() != before {
            assert!(
                errors.contains("undoing failed too") && errors.contains("is left"),
                "call {number}: {errors}"
            );
        }
        true
    });
}

/// No bridge ever bears its name without its MAC, whenever the process dies.
fn is_killed(backend: &str, call: &str, _errno: &str, operation: &Operation) {
    for_each_call(|number| {
        let fault = format!("signal=KILL:when={number}");
        if run_with(backend, operation, call, &fault).is_none() {
            return false;
        }
        if let Some(bridge) = link("virbr2") {
            assert_eq!(bridge["address"], MAC, "killed at call {number}");
        }
        // The next try is not in the way of what the last one left.
        if operation.name == "create" && !exists("virbr2") {
            let again = output(env!("CARGO_BIN_EXE_vmbridge"), operation.args.split(' '));
            assert!(again.status.success() && (operation.is_done)(), "killed at call {number}");
        }
        true
    });
}
