//! VNET jails for the tests, and the eyes of `ifconfig` on them.
//!
//! A jail is a process's, not a thread's: each trial runs in a process of its own, which `jail`
//! starts there as this program with the trial's name.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::env;
use std::ffi::OsStr;
use std::process::{Command, Output};
use std::sync::{Once, PoisonError, RwLock};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

/// Set in the environment of a process in its jail.
const JAILED: &str = "VMBRIDGE_JAILED";

/// The modules that interfaces of the tests need; no jail may load any.
const MODULES: [&str; 2] = ["if_bridge", "if_epair"];

/// A trial in a jail of its own.
pub(crate) fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    let name = name.into();
    Trial::test(name.clone(), move || {
        in_jail(&name, test);
        Ok(())
    })
}

/// Beside which of the trials of faults one may run: jails have the numbers of taps in common, and
/// the lock that who makes an interface holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Beside {
    Others,
    None,
}

/// A trial of faults, in a jail of its own.
pub(crate) fn fault_trial(name: String, beside: Beside, test: impl FnOnce() + Send + 'static) -> Trial {
    static FAULTS: RwLock<()> = RwLock::new(());
    Trial::test(name.clone(), move || {
        let (_read, _write) = match beside {
            Beside::Others => (Some(FAULTS.read().unwrap_or_else(PoisonError::into_inner)), None),
            Beside::None => (None, Some(FAULTS.write().unwrap_or_else(PoisonError::into_inner))),
        };
        in_jail(&name, test);
        Ok(())
    })
}

/// A trial that needs what not every machine has; it runs only when it is asked for.
pub(crate) fn needs(what: &str, trial: Trial) -> Trial {
    trial.with_kind(format!("needs {what}")).with_ignored_flag(true)
}

/// Runs the test of a trial in a jail, where the interfaces of bridges and ports can be made.
pub(crate) fn in_jail(trial: &str, test: impl FnOnce()) {
    static LOADED: Once = Once::new();
    if !is_jailed() {
        LOADED.call_once(|| MODULES.into_iter().for_each(|module| drop(run("kldload", ["-n", module]))));
    }
    in_bare_jail(trial, test);
}

/// Runs the test of a trial in a jail, with the modules that happen to be loaded.
pub(crate) fn in_bare_jail(trial: &str, test: impl FnOnce()) {
    if is_jailed() {
        return test();
    }
    let program = env::current_exe().expect("it has a path");
    let command = format!("command={}", program.display());
    // It may have a jail in it: the demo makes one.
    let jail = ["-c", "vnet", "path=/", "children.max=1", &command];
    let output = Command::new("jail")
        .args(jail)
        .args(["--include-ignored", "--exact", trial])
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

/// Runs a program that must succeed, and gives its standard output.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = output(program, args);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a program to its end.
pub(crate) fn output<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(program);
    command.args(args);
    command.output().unwrap_or_else(|error| panic!("{program} cannot be run: {error}"))
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

/// Waits until a condition holds, and panics when it does not within 20 s.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited for nothing: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
