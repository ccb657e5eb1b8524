//! Two processes restrict one port, each to a MAC of its own: the port may speak with one of them.

use serde_json::Value;

use super::host::options;
use super::{NETLINK, Race, at_every_stop};
use crate::support::{batch, path_of, run};

const LOWER: &str = "52:54:00:01:02:03";
const HIGHER: &str = "52:54:00:01:02:04";

fn prepare() {
    batch("ip", "link add name br0 type bridge\nlink add name tap0 master br0 type veth peer name peer0");
}

/// The MACs that a port may speak with, except its own.
fn allowed() -> Vec<String> {
    let entries: Vec<Value> =
        serde_json::from_str(&run("bridge", ["-j", "fdb", "show", "dev", "tap0"])).expect("JSON");
    let entries = entries.iter().filter(|entry| entry["master"] == "br0" && entry["state"] == "static");
    entries.filter_map(|entry| entry["mac"].as_str()).map(str::to_owned).collect()
}

fn restrict(backend: &str, first: &str, second: &str) {
    let act = || {
        let args = ["--backend", backend, "port", "restrict", "br0", "tap0", second];
        run(env!("CARGO_BIN_EXE_vmbridge"), args);
    };
    at_every_stop(backend, &format!("port restrict br0 tap0 {first}"), prepare, act, |ended, ()| {
        ended.leaves_nothing();
        assert!(ended.is_done(), "the port is not restricted");
        let now = options("tap0").expect("it is a port");
        assert!(now.locked == true && now.learning == false, "the port is not restricted: {now:?}");
        assert_eq!(allowed().len(), 1, "it may speak with {:?}", allowed());
    });
}

fn one_of_two_restrictions_holds(backend: &str) {
    restrict(backend, LOWER, HIGHER);
    restrict(backend, HIGHER, LOWER);
}

pub(super) const RACES: &[Race] =
    &[Race::new(path_of!(one_of_two_restrictions_holds), NETLINK, one_of_two_restrictions_holds)];
