//! The command killed at each of its calls that write a file or speak to the kernel (strace does it
//! for real): a fresh `network ensure --all` ends in what is defined, with nothing left over. And
//! each of those that write failing: then a start has done nothing.

use std::fs;

use serde_json::{Value, json};

use super::{Store, network, text};
use crate::support::{Registry, in_namespace, link, links, path_of, with_fault};

/// The calls by which the command writes, locks and speaks to the kernel; with those that open, which
/// may make a file.
const CALLS: &str = "openat,?mkdir,mkdirat,flock,write,fchmod,fsync,?rename,?renameat,renameat2,?unlink,unlinkat,\
                     socket,bind,sendto,ioctl,pread64";

/// STP would keep the anchor's carrier back for two forward delays.
pub(super) const BODY: &str = "  <metadata>\n    <v:bridge xmlns:v='https://vmbridge.org/network/1' anchor='tap'/>\n  \
                    </metadata>\n  <bridge name='virbr0' stp='off'/>\n  <mtu size='1400'/>\n";

/// The networks of a work, each on its bridge.
type Defined = &'static [(&'static str, &'static str)];
const ONE: Defined = &[("lan", "virbr0")];
/// The first has an anchor.
const THREE: Defined = &[("lan", "virbr0"), ("one", "virbr1"), ("two", "virbr2")];

/// What the network on this bridge has in it.
fn body(bridge: &str) -> String {
    let plain = format!("  <bridge name='{bridge}' stp='off'/>\n  <mtu size='1400'/>\n");
    if bridge == "virbr0" { BODY.to_owned() } else { plain }
}

#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    args: &'static str,
    networks: Defined,
    prepare: fn(&Store),
    /// What ends it before `ensure` can: nothing has a MAC until it is migrated.
    again: Option<&'static str>,
}

const WORKS: [Work; 7] = [
    Work { name: "define", args: "define NEW", networks: ONE, prepare: |_| {}, again: None },
    Work { name: "redefine_and_ensure", args: "ensure lan", networks: ONE, prepare: redefined, again: None },
    Work { name: "start", args: "start lan", networks: ONE, prepare: defined, again: None },
    Work { name: "start_all", args: "start --all", networks: THREE, prepare: three_defined, again: None },
    Work { name: "stop", args: "stop lan", networks: ONE, prepare: started, again: None },
    Work { name: "stop_all", args: "stop --all", networks: THREE, prepare: three_started, again: None },
    Work { name: "migrate", args: "migrate", networks: ONE, prepare: without_mac, again: Some("migrate") },
];

fn defined(store: &Store) {
    store.define("lan", BODY);
}

fn started(store: &Store) {
    defined(store);
    store.done("start lan");
}

fn three_defined(store: &Store) {
    for (name, bridge) in THREE {
        store.define(name, &body(bridge));
    }
}

fn three_started(store: &Store) {
    three_defined(store);
    store.done("start --all");
}

fn redefined(store: &Store) {
    store.define("lan", "  <bridge name='virbr0' stp='off'/>\n");
    store.done("start lan");
    defined(store);
}

fn without_mac(store: &Store) {
    store.write("etc/lan.xml", &network("lan", BODY));
    store.write("run/lan.xml", &network("lan", BODY));
}

pub(super) fn register(registry: &Registry) {
    let registry = registry.needs("strace").on_host();
    for backend in vmbridge::AVAILABLE {
        for work in WORKS {
            let values = [backend.name, work.name];
            registry.add_with(path_of!(is_killed), &values, move || is_killed(backend.name, work));
        }
        registry.add_with(path_of!(start_fails), &[backend.name], || start_fails(backend.name));
        registry.add_with(path_of!(start_all_fails), &[backend.name], || start_all_fails(backend.name));
    }
}

/// Repeats a check for the first call, the second, and so on, each on a host of its own.
fn for_each_call(check: impl Fn(usize) -> bool + Sync) {
    let mut calls = 0;
    while in_namespace(|| check(calls + 1)) {
        calls += 1;
    }
    assert!(calls > 0, "the fault never had its turn");
}

fn names() -> Vec<String> {
    let mut names: Vec<_> =
        links().iter().map(|link| link["ifname"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

fn is_killed(backend: &str, work: Work) {
    for_each_call(|number| {
        let store = Store::new();
        (work.prepare)(&store);
        let args = work.args.replace("NEW", &store.write("new.xml", &network("lan", BODY)));
        let on = |args: &str| format!("{args} --backend {backend}");
        let fault = format!("signal=KILL:when={number}");
        if with_fault(CALLS, &fault, &store.command(&on(&args))).is_none() {
            return false;
        }
        let left = (names(), store.files("etc"), store.files("run"));
        if let Some(again) = work.again {
            store.done(&on(again));
        }
        store.done(&on("ensure --all"));
        let what = format!("killed at call {number}, it had left {left:?}");

        let files: Vec<_> = work.networks.iter().map(|(name, _)| format!("{name}.xml")).collect();
        let is_defined = store.files("etc") == files;
        // Only what was never defined may not be.
        assert!(is_defined || (work.name == "define" && store.files("etc").is_empty()), "{what}");
        if !is_defined {
            assert_eq!((names(), store.files("run")), (vec!["lo".to_owned()], vec![]), "{what}");
            return true;
        }
        let mut expected: Vec<_> = work.networks.iter().map(|&(_, bridge)| bridge).collect();
        expected.extend(["lo", "virbr0-nic"]);
        expected.sort_unstable();
        assert_eq!(
            (names(), store.files("run")),
            (expected.into_iter().map(str::to_owned).collect(), files),
            "{what}"
        );
        let listed: Value = serde_json::from_str(&store.done(&on("list --json"))).expect("JSON");
        for (number, (network, bridge)) in work.networks.iter().enumerate() {
            let read = |directory| {
                fs::read_to_string(store.path(&format!("{directory}/{network}.xml"))).expect("it is there")
            };
            assert_eq!(read("etc"), read("run"), "{what}");
            assert_eq!(listed[number]["state"], "active", "{what}: {listed}");
            let bridge = link(bridge).expect("it is there");
            assert_eq!((&bridge["address"], &bridge["mtu"]), (&listed[number]["mac"], &json!(1400)), "{what}");
            assert!(read("etc").contains(bridge["address"].as_str().expect("a MAC")), "{what}");
        }
        true
    });
}

/// Calls that a start makes, and how each fails.
const FAULTS: [(&str, &str); 6] = [
    ("write", "ENOSPC"),
    ("fsync", "EIO"),
    ("?rename,?renameat,renameat2", "EIO"),
    ("flock", "ENOLCK"),
    ("fchmod", "EPERM"),
    ("ioctl", "EIO"),
];

fn start_fails(backend: &str) {
    for (calls, errno) in FAULTS {
        for_each_call(|number| {
            let store = Store::new();
            defined(&store);
            let before = names();
            let command = store.command(&format!("start lan --backend {backend}"));
            let fault = format!("error={errno}:when={number}");
            let Some(output) = with_fault(calls, &fault, &command) else { return false };
            let errors = text(&output.stderr);
            let what = format!("{calls} {errno} at call {number}: {errors}");
            if output.status.success() {
                assert_eq!(names(), ["lo", "virbr0", "virbr0-nic"], "{what}");
                assert_eq!(store.files("run"), ["lan.xml"], "{what}");
            } else {
                assert_eq!(names(), before, "{what}");
                assert!(store.files("run").is_empty(), "{what}");
                assert!(errors.starts_with("vmbridge: ") && errors.lines().count() == 1, "{what}");
            }
            true
        });
    }
}

/// Each network is started and noted, or neither; as many are said to have failed as are not, or all by
/// one reason.
fn start_all_fails(backend: &str) {
    for (calls, errno) in FAULTS {
        for_each_call(|number| {
            let store = Store::new();
            three_defined(&store);
            let command = store.command(&format!("start --all --backend {backend}"));
            let fault = format!("error={errno}:when={number}");
            let Some(output) = with_fault(calls, &fault, &command) else { return false };
            let errors = text(&output.stderr);
            let what = format!("{calls} {errno} at call {number}: {errors}");
            let noted = store.files("run");
            let is_noted = |name: &str| noted.contains(&format!("{name}.xml"));
            let started = THREE.iter().filter(|(name, _)| is_noted(name));
            let mut expected: Vec<_> = started.clone().map(|&(_, bridge)| bridge).collect();
            let failed = THREE.len() - expected.len();
            expected.extend(is_noted("lan").then_some("virbr0-nic").into_iter().chain(["lo"]));
            expected.sort_unstable();
            assert_eq!(names(), expected, "{what}");
            assert_eq!(output.status.success(), failed == 0, "{what}");
            let lines = errors.lines().count();
            assert!(lines == failed || (failed == THREE.len() && lines == 1), "{what}");
            true
        });
    }
}
