//! A VNET jail as a host, with `ifconfig` as the oracle.
//!
//! A jail is a process's, not a thread's: each trial runs in a process of its own, which `jail`
//! starts there as this program with the trial's name.

use std::env;
use std::process::{Command, Output};

use nix::unistd::{Uid, seteuid};
use vmbridge::{Available, BridgeBackend, InterfaceName, MacAddr, UnicastMac};

use crate::host::{Case, Host, Seen, name};

/// Set in the environment of a process in its jail.
const JAILED: &str = "VMBRIDGE_JAILED";
/// `nobody`.
const UNPRIVILEGED: Uid = Uid::from_raw(65534);

pub(crate) fn prepare() {
    if env::var_os(JAILED).is_none() {
        // A jail may not load modules.
        for module in ["if_bridge", "if_epair"] {
            run("kldload", &["-n", module]);
        }
    }
}

pub(crate) fn run_trial(trial: &str, backend: &Available, case: Case) {
    if env::var_os(JAILED).is_some() {
        return case(&Jail { bridges: (backend.open)().expect("the backend opens") });
    }
    let program = env::current_exe().expect("it has a path");
    let command = format!("command={}", program.display());
    let output = Command::new("jail")
        .args(["-c", "vnet", "path=/", &command, "--exact", trial])
        .env(JAILED, "")
        .output()
        .expect("jail can be run");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "in the jail: {}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains(" 1 passed"), "it did not run: {}", text(&output.stdout));
}

#[derive(Debug)]
struct Jail {
    bridges: Box<dyn BridgeBackend>,
}

impl Host for Jail {
    fn bridges(&self) -> &dyn BridgeBackend {
        &*self.bridges
    }

    fn loopback(&self) -> InterfaceName {
        name("lo0")
    }

    fn add_interface(&self, name: InterfaceName, mac: UnicastMac) {
        // It prints the name of one end, and makes the other, too.
        let epair = run("ifconfig", &["epair", "create"]);
        run("ifconfig", &[epair.trim_end(), "ether", &mac.to_string(), "name", &name.to_string()]);
    }

    fn remove_interface(&self, name: InterfaceName) {
        run("ifconfig", &[&name.to_string(), "destroy"]);
    }

    fn look(&self, name: InterfaceName) -> Option<Seen> {
        let name = name.to_string();
        let output = output("ifconfig", &[&name]);
        if !output.status.success() {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let after = |word: &str| {
            let mut words = text.split([' ', '\t', '\n']).skip_while(|&other| other != word);
            words.nth(1).map(str::to_owned)
        };
        let flags = text.split('<').nth(1)?.split('>').next()?;
        let bridges = bridges();
        let is_bridge = bridges.contains(&name);
        Some(Seen {
            mac: after("ether").map_or(MacAddr::ZERO, |mac| mac.parse().expect("a MAC")),
            mtu: after("mtu").expect("mtu").parse().expect("a number"),
            up: flags.split(',').any(|flag| flag == "UP"),
            is_bridge,
            // No bridge is a member of another.
            bridge: bridges.into_iter().find(|bridge| !is_bridge && members(bridge).contains(&name)),
        })
    }

    fn snapshot(&self) -> String {
        run("ifconfig", &["-a"])
    }

    fn without_privilege(&self, act: &dyn Fn()) {
        seteuid(UNPRIVILEGED).expect("root may become anyone");
        act();
        seteuid(Uid::from_raw(0)).expect("the real user is root");
    }
}

/// The names of all bridges, by the group that the kernel puts them in.
fn bridges() -> Vec<String> {
    run("ifconfig", &["-g", "bridge"]).lines().map(str::to_owned).collect()
}

fn members(bridge: &str) -> Vec<String> {
    let text = run("ifconfig", &[bridge]);
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("member: ")?.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn run(program: &str, args: &[&str]) -> String {
    let output = output(program, args);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn output(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program} cannot be run: {error}"))
}
