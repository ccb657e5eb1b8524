//! VNET jails for the tests, with `ifconfig` as the oracle.
//!
//! A jail holds a process, not a thread: `jail` starts this program again in a new jail, with the name
//! of the test.

use std::env;
use std::process::Command;
use std::sync::{Once, PoisonError, RwLock};

use super::{Test, output, run};

/// Set in the environment of a process in its jail.
const JAILED: &str = "VMBRIDGE_JAILED";

/// The modules that interfaces of the tests need; no jail may load any.
const MODULES: [&str; 2] = ["if_bridge", "if_epair"];

/// What tests need that not every machine has. `ci/freebsd/run` looks for the name of the module.
pub(crate) const TAPS: &str = "if_tuntap in the kernel";
pub(crate) const FAULTS: &str = "the library of ci/freebsd/faults.c as VMBRIDGE_FAULTS";
pub(crate) const TAPS_AND_FAULTS: &str =
    "if_tuntap in the kernel, and the library of ci/freebsd/faults.c as VMBRIDGE_FAULTS";

/// Nothing: the first jail loads the modules.
pub(crate) const fn prepare() {}

/// Runs a test in a jail of its own.
pub(crate) fn isolated(name: &str, test: Test) {
    in_jail(name, test);
}

/// Jails share the numbers of taps, and the lock that a process holds while it makes an interface. So
/// some tests of faults run alone.
static FAULTS_LOCK: RwLock<()> = RwLock::new(());

/// Runs a test of faults in a jail of its own, beside others.
pub(crate) fn beside_other_faults(name: &str, test: Test) {
    let _read = FAULTS_LOCK.read().unwrap_or_else(PoisonError::into_inner);
    in_jail(name, test);
}

/// Runs a test of faults in a jail of its own, with no other test of faults at the same time.
pub(crate) fn without_other_faults(name: &str, test: Test) {
    let _write = FAULTS_LOCK.write().unwrap_or_else(PoisonError::into_inner);
    in_jail(name, test);
}

/// Runs a test in a jail where bridges and interfaces can be created.
fn in_jail(name: &str, test: impl FnOnce()) {
    static LOADED: Once = Once::new();
    if !is_jailed() {
        LOADED.call_once(|| MODULES.into_iter().for_each(|module| drop(run("kldload", ["-n", module]))));
    }
    in_bare_jail(name, test);
}

/// Runs a test in a jail, with the modules that happen to be loaded.
pub(crate) fn in_bare_jail(name: &str, test: impl FnOnce()) {
    if is_jailed() {
        return test();
    }
    let program = env::current_exe().expect("it has a path");
    let command = format!("command={}", program.display());
    // It may have a jail in it: the demo makes one.
    let jail = ["-c", "vnet", "path=/", "children.max=1", &command];
    let output = Command::new("jail")
        .args(jail)
        .args(["--include-ignored", "--exact", name])
        .env(JAILED, "")
        .output()
        .expect("jail can be run");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "in the jail: {out}{errors}");
    assert!(out.contains(" 1 passed"), "it did not run: {out}{errors}");
}

fn is_jailed() -> bool {
    env::var_os(JAILED).is_some()
}

/// `ifconfig` with these arguments, separated by blanks; what it prints, without the newline.
pub(crate) fn ifconfig(args: &str) -> String {
    run("ifconfig", args.split(' ')).trim_end().to_owned()
}

/// All that `ifconfig` says of all interfaces.
pub(crate) fn snapshot() -> String {
    ifconfig("-a")
}

/// Adds an Ethernet interface of this name: one end of an epair(4). Gives the name of the other.
pub(crate) fn add_interface(name: &str) -> String {
    let end = ifconfig("epair create");
    ifconfig(&format!("{end} name {name}"));
    format!("{}b", end.strip_suffix('a').expect("one end's name"))
}

/// What `ifconfig` says of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) mac: Option<String>,
    pub(crate) mtu: u32,
    pub(crate) is_up: bool,
    /// The ports of a bridge; other interfaces have none.
    pub(crate) members: Vec<String>,
}

/// What `ifconfig` says of one interface, if there is one.
pub(crate) fn interface(name: &str) -> Option<Interface> {
    let output = output("ifconfig", [name]);
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let after = |word: &str| text.split_whitespace().skip_while(|&other| other != word).nth(1);
    let flags = text.split('<').nth(1)?.split('>').next()?;
    let members = text.lines().filter_map(|line| line.trim_start().strip_prefix("member: ")?.split(' ').next());
    Some(Interface {
        mac: after("ether").map(str::to_owned),
        mtu: after("mtu").expect("mtu").parse().expect("a number"),
        is_up: flags.split(',').any(|flag| flag == "UP"),
        members: members.map(str::to_owned).collect(),
    })
}

/// The names of all bridges, by the group that the kernel puts them in.
pub(crate) fn bridges() -> Vec<String> {
    run("ifconfig", ["-g", "bridge"]).lines().map(str::to_owned).collect()
}

/// The bridge that an interface is a port of.
pub(crate) fn bridge_of(port: &str) -> Option<String> {
    let bridges = bridges();
    // No bridge is a member of another.
    let is_bridge = bridges.iter().any(|bridge| bridge == port);
    let has_it = |bridge: &String| {
        interface(bridge).is_some_and(|bridge| bridge.members.iter().any(|member| member == port))
    };
    bridges.into_iter().find(|bridge| !is_bridge && has_it(bridge))
}
