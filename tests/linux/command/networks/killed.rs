//! The command killed at each of its calls that write a file or speak to the kernel (strace does it
//! for real): a fresh `network ensure --all` ends in what is defined, with nothing left over. And
//! each of those that write failing: then a start has done nothing.

use std::fs;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{Store, network, text};
use crate::support::{in_namespace, link, links, needs, with_fault};

/// The calls by which the command writes, locks and speaks to the kernel; with those that open, which
/// may make a file.
const CALLS: &str = "openat,?mkdir,mkdirat,flock,write,fchmod,fsync,?rename,?renameat,renameat2,?unlink,unlinkat,\
                     socket,bind,sendto,ioctl,pread64";

/// STP would keep the anchor's carrier back for two forward delays.
pub(super) const BODY: &str = "  <metadata>\n    <v:bridge xmlns:v='https://vmbridge.org/network/1' anchor='tap'/>\n  \
                    </metadata>\n  <bridge name='virbr0' stp='off'/>\n  <mtu size='1400'/>\n";

#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    args: &'static str,
    prepare: fn(&Store),
    /// What ends it before `ensure` can: nothing has a MAC until it is migrated.
    again: Option<&'static str>,
}

const WORKS: [Work; 5] = [
    Work { name: "define", args: "define NEW", prepare: |_| {}, again: None },
    Work { name: "redefine_and_ensure", args: "ensure lan", prepare: redefined, again: None },
    Work { name: "start", args: "start lan", prepare: defined, again: None },
    Work { name: "stop", args: "stop lan", prepare: started, again: None },
    Work { name: "migrate", args: "migrate", prepare: without_mac, again: Some("migrate") },
];

fn defined(store: &Store) {
    store.define("lan", BODY);
}

fn started(store: &Store) {
    defined(store);
    store.done("start lan");
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

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for backend in vmbridge::AVAILABLE {
        for work in WORKS {
            let name = format!("command::networks::{}::{}::is_killed", backend.name, work.name);
            trials.push(Trial::test(name, move || {
                is_killed(backend.name, work);
                Ok(())
            }));
        }
        let name = format!("command::networks::{}::start::fails", backend.name);
        trials.push(Trial::test(name, || {
            start_fails(backend.name);
            Ok(())
        }));
    }
    trials.into_iter().map(|trial| needs("strace", trial)).collect()
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

        let is_defined = store.files("etc") == ["lan.xml"];
        // Only what was never defined may not be.
        assert!(is_defined || (work.name == "define" && store.files("etc").is_empty()), "{what}");
        if !is_defined {
            assert_eq!((names(), store.files("run")), (vec!["lo".to_owned()], vec![]), "{what}");
            return true;
        }
        assert_eq!(names(), ["lo", "virbr0", "virbr0-nic"], "{what}");
        assert_eq!(store.files("run"), ["lan.xml"], "{what}");
        let read = |file: &str| fs::read_to_string(store.path(file)).expect("it is there");
        assert_eq!(read("etc/lan.xml"), read("run/lan.xml"), "{what}");
        let listed: Value = serde_json::from_str(&store.done(&on("list --json"))).expect("JSON");
        assert_eq!(listed[0]["state"], "active", "{what}: {listed}");
        let bridge = link("virbr0").expect("it is there");
        assert_eq!((&bridge["address"], &bridge["mtu"]), (&listed[0]["mac"], &json!(1400)), "{what}");
        assert!(read("etc/lan.xml").contains(bridge["address"].as_str().expect("a MAC")), "{what}");
        true
    });
}

fn start_fails(backend: &str) {
    for (calls, errno) in [
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("?rename,?renameat,renameat2", "EIO"),
        ("flock", "ENOLCK"),
        ("fchmod", "EPERM"),
        ("ioctl", "EIO"),
    ] {
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
