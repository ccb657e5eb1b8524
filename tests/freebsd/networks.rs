//! Networks: started, drifted and repaired, stopped, and each of these made to fail or to die at
//! every ioctl.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::time::Duration;

use nix::errno::Errno;
use vmbridge::network::{self, Anchor, DriftStatus, EnsureOutcome, Network, NetworkFailure, ResolvedNetwork};
use vmbridge::{BridgeOptions, Capability, ErrorKind, NativeBackend};

use crate::faults::{ClearedHost, Faulty, clear_host};
use crate::support::{
    FAULTS, Registry, TAPS, TAPS_AND_FAULTS, add_interface, beside_other_faults, bridge_of, ifconfig, interface,
    path_of, snapshot, tests, wait_until,
};

const MAC: &str = "52:54:00:01:02:03";

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        starts_as_defined,
        puts_right_what_has_drifted,
        refuses_what_no_bridge_here_has,
        adopts_no_other_interface,
        duplicate_address_detection_ends_without_an_anchor,
    ]);
    registry.needs(TAPS).add(&tests![an_anchor_is_there_while_its_network_is, stops_what_an_old_libvirt_left]);
    for work in &WORKS {
        let needed = if work.name.ends_with("_anchored") { TAPS_AND_FAULTS } else { FAULTS };
        let registry = registry.needs(needed).run_by(beside_other_faults);
        registry.add_with(path_of!(is_killed), &[work.name], || is_killed(work));
        registry.add_with(path_of!(fails_once), &[work.name], || fails_once(work));
    }
}

fn open() -> NativeBackend {
    NativeBackend::open().expect("it opens")
}

fn base() -> Network {
    let network = Network::new("default".parse().expect("a name"));
    network.with_bridge("virbr0".parse().expect("a name")).with_mac(MAC.parse().expect("a MAC"))
}

fn with_options(options: BridgeOptions) -> Network {
    base().with_mtu(1400).expect("an MTU").with_options(options).expect("whole seconds")
}

fn resolved(network: Network) -> ResolvedNetwork {
    network.resolve([]).expect("it is whole")
}

fn options() -> BridgeOptions {
    BridgeOptions::default().forward_delay(Duration::from_secs(7)).priority(4096)
}

fn plain() -> ResolvedNetwork {
    resolved(with_options(options()))
}

fn anchored() -> ResolvedNetwork {
    resolved(with_options(options()).with_anchor(Anchor::Tap))
}

fn status(network: &ResolvedNetwork) -> DriftStatus {
    network::status(&open(), network).expect("it can be read")
}

/// Whether there are these interfaces and no others, besides `lo0`.
fn there(interfaces: &[&str]) -> bool {
    let mut names: Vec<_> = ifconfig("-l").split(' ').filter(|&name| name != "lo0").map(str::to_owned).collect();
    names.sort();
    names == interfaces
}

fn is_as_defined() -> bool {
    let text = ifconfig("virbr0");
    interface("virbr0")
        .is_some_and(|bridge| bridge.mac.as_deref() == Some(MAC) && bridge.mtu == 1400 && bridge.is_up)
        && text.contains(" priority 4096 ")
        && text.contains(" fwddelay 7")
}

fn starts_as_defined() {
    let (backend, network) = (open(), plain());
    network::check_host(&backend, &network).expect("the name is free");
    network::start(&backend, &network).expect("it can be started");
    assert!(is_as_defined() && there(&["virbr0"]), "{}", snapshot());
    assert_eq!(status(&network), DriftStatus::AsDefined);
    let before = snapshot();
    assert_eq!(network::ensure(&backend, &network).expect("it can be read"), EnsureOutcome::AsDefined);
    let failure = network::start(&backend, &network).expect_err("it is active").into_failure();
    assert!(matches!(failure, NetworkFailure::Active(_)), "{failure}");
    assert_eq!(snapshot(), before);
    network::stop(&backend, &network).expect("it can be stopped");
    assert!(there(&[]));
    let failure = network::stop(&backend, &network).expect_err("it is not active").into_failure();
    assert!(matches!(failure, NetworkFailure::NotActive(_)), "{failure}");
}

fn puts_right_what_has_drifted() {
    let (backend, network) = (open(), plain());
    network::start(&backend, &network).expect("it can be started");
    let before = snapshot();
    for (drift, said) in [
        ("ether 52:54:00:00:00:99", "mac is 52:54:00:00:00:99, defined as 52:54:00:01:02:03"),
        ("mtu 1300", "mtu is 1300, defined as 1400"),
        ("down", "link is down, defined as up"),
        ("fwddelay 9", "forward-delay is 9, defined as 7"),
        ("priority 8192", "priority is 8192, defined as 4096"),
    ] {
        ifconfig(&format!("virbr0 {drift}"));
        let DriftStatus::Drifted(found) = status(&network) else { panic!("{drift}") };
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [said]);
        let done = network::ensure(&backend, &network).expect("it can be repaired");
        assert_eq!(done, EnsureOutcome::Repaired(found));
        assert_eq!(snapshot(), before, "{drift}");
    }
    // What is not defined is nobody's business.
    ifconfig("virbr0 timeout 70 maxage 30 descr mine");
    let before = snapshot();
    assert_eq!(network::ensure(&backend, &network).expect("it can be read"), EnsureOutcome::AsDefined);
    assert_eq!(snapshot(), before);
    ifconfig("virbr0 destroy");
    assert_eq!(network::ensure(&backend, &network).expect("it can be made"), EnsureOutcome::Created);
    assert!(is_as_defined(), "{}", snapshot());
}

/// STP is a matter of each port here, and a bridge waits at least 4 s before it forwards: libvirt's
/// own `<bridge stp='on' delay='0'/>` can be no bridge of FreeBSD's.
fn refuses_what_no_bridge_here_has() {
    let backend = open();
    let before = snapshot();
    let delay = BridgeOptions::default().forward_delay(Duration::ZERO);
    for (options, kind, lacking) in [
        (BridgeOptions::default().stp(true), ErrorKind::Unsupported, Capability::Stp),
        (BridgeOptions::default().stp(false), ErrorKind::Unsupported, Capability::Stp),
        (delay.stp(true), ErrorKind::Unsupported, Capability::Stp),
        (delay, ErrorKind::InvalidOption, Capability::ForwardDelay),
        (BridgeOptions::default().multicast_snooping(true), ErrorKind::Unsupported, Capability::MulticastSnooping),
    ] {
        let network = resolved(with_options(options));
        for outcome in [network::start(&backend, &network), network::ensure(&backend, &network).map(drop)] {
            let NetworkFailure::Backend(error) = outcome.expect_err("it cannot be").into_failure() else {
                panic!("{options:?}")
            };
            assert_eq!((error.kind(), error.capability()), (kind, Some(lacking)), "{error}");
            assert!(error.to_string().contains(lacking.name()), "{error}");
            assert_eq!(snapshot(), before, "{error}");
        }
    }
}

fn adopts_no_other_interface() {
    add_interface("virbr0");
    let (backend, network) = (open(), plain());
    let before = snapshot();
    for outcome in [
        network::check_host(&backend, &network),
        network::start(&backend, &network),
        network::stop(&backend, &network),
        network::ensure(&backend, &network).map(drop),
    ] {
        let error = outcome.expect_err("it is no bridge");
        assert_eq!(
            error.to_string(),
            "network default: the name virbr0 is in use, by an interface that is no bridge"
        );
    }
    assert_eq!(snapshot(), before);
}

/// The kernel asks whether the bridge is up, not whether it has a carrier.
fn duplicate_address_detection_ends_without_an_anchor() {
    network::start(&open(), &plain()).expect("it can be started");
    ifconfig("virbr0 inet6 fd00::1/64");
    let shown = || ifconfig("virbr0");
    assert!(shown().contains("inet6 fd00::1 prefixlen 64"), "{}", shown());
    wait_until("the address is checked", || !shown().contains("tentative"));
    assert!(!shown().contains("duplicated") && !shown().contains("member:"), "{}", shown());
}

fn an_anchor_is_there_while_its_network_is() {
    let (backend, network) = (open(), anchored());
    network::start(&backend, &network).expect("it can be started");
    assert!(is_as_defined() && has_anchor() && there(&["virbr0", "virbr0-nic"]), "{}", snapshot());
    assert_eq!(status(&network), DriftStatus::AsDefined);
    // It is the same to a bridge that someone sets down and up.
    ifconfig("virbr0 down");
    assert!(matches!(network::ensure(&backend, &network), Ok(EnsureOutcome::Repaired(_))));
    ifconfig("virbr0 deletem virbr0-nic");
    assert!(matches!(network::ensure(&backend, &network), Ok(EnsureOutcome::Repaired(_))));
    assert!(is_as_defined() && has_anchor() && there(&["virbr0", "virbr0-nic"]), "{}", snapshot());
    network::stop(&backend, &network).expect("it can be stopped");
    assert!(there(&[]), "{}", snapshot());
}

fn has_anchor() -> bool {
    interface("virbr0-nic").is_some_and(|tap| tap.mac.as_deref() == Some(MAC) && tap.mtu == 1400 && tap.is_up)
        && bridge_of("virbr0-nic").as_deref() == Some("virbr0")
}

fn stops_what_an_old_libvirt_left() {
    let backend = open();
    network::start(&backend, &plain()).expect("it can be started");
    let made = ifconfig("tap create");
    ifconfig(&format!("{made} name virbr0-nic"));
    ifconfig("virbr0 addm virbr0-nic");
    network::stop(&backend, &plain()).expect("it can be stopped");
    assert!(there(&[]), "{}", snapshot());
}

/// What is done to a network that is there or not.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    act: &'static str,
    network: fn() -> ResolvedNetwork,
    /// What is there before: a network that is started, if any, and then these arguments of
    /// `ifconfig virbr0`.
    started: Option<fn() -> ResolvedNetwork>,
    drifts: &'static [&'static str],
}

const DRIFTS: &[&str] = &["ether 52:54:00:00:00:99", "mtu 1300", "fwddelay 9", "down"];

const WORKS: [Work; 6] = [
    Work { name: "start", act: "start", network: plain, started: None, drifts: &[] },
    Work { name: "start_anchored", act: "start", network: anchored, started: None, drifts: &[] },
    Work { name: "stop", act: "stop", network: plain, started: Some(plain), drifts: &[] },
    Work { name: "stop_anchored", act: "stop", network: anchored, started: Some(anchored), drifts: &[] },
    Work { name: "ensure", act: "ensure", network: plain, started: Some(plain), drifts: DRIFTS },
    Work { name: "ensure_anchored", act: "ensure", network: anchored, started: Some(plain), drifts: DRIFTS },
];

/// Does the work of the process that a test makes fail, and returns whether this is that process.
pub(crate) fn ran_as_child() -> bool {
    let args: Vec<String> = env::args().collect();
    let [_, mode, work] = &args[..] else { return false };
    if mode != "--network" {
        return false;
    }
    let work = WORKS.iter().find(|other| other.name == work).expect("it is one of them");
    let done = NativeBackend::open().map_err(|error| error.to_string()).and_then(|backend| {
        let network = (work.network)();
        let done = match work.act {
            "start" => network::start(&backend, &network),
            "stop" => network::stop(&backend, &network),
            _ => network::ensure(&backend, &network).map(drop),
        };
        done.map_err(|error| error.to_string())
    });
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(1);
    }
    true
}

/// Repeats a check for the first ioctl of the work, the second, and so on, each on a host without
/// anything else.
fn for_each_call(work: &Work, fault: &[(&str, &str)], check: impl Fn(usize, &Output, &[String])) {
    let _cleared = ClearedHost;
    for call in 1.. {
        clear_host();
        if let Some(started) = work.started {
            network::start(&open(), &started()).expect("it can be started");
        }
        work.drifts.iter().for_each(|drift| drop(ifconfig(&format!("virbr0 {drift}"))));
        let before = state();
        let mut command = Command::new(env::current_exe().expect("it has a path"));
        command.args(["--network", work.name]);
        let (output, was_hit) = Faulty::start(command, call, fault).finish();
        if !was_hit {
            assert!(call > 1 && output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            break;
        }
        check(call, &output, &before);
    }
}

/// Whenever it dies, a fresh `ensure` ends in the defined state, with nothing left over.
fn is_killed(work: &Work) {
    for_each_call(work, &[("FAULT_RUN", "kill -9 $PPID")], |call, output, _| {
        assert_eq!(output.status.signal(), Some(9), "call {call}");
        let (network, left) = ((work.network)(), snapshot());
        network::ensure(&open(), &network).unwrap_or_else(|error| panic!("call {call}: {error}: {left}"));
        assert_eq!(status(&network), DriftStatus::AsDefined, "killed at call {call}");
        let (names, has_its_anchor): (&[_], _) = if network.network().anchor() == Anchor::Tap {
            (&["virbr0", "virbr0-nic"], has_anchor())
        } else {
            (&["virbr0"], true)
        };
        let now = snapshot();
        assert!(is_as_defined() && has_its_anchor && there(names), "killed at call {call}: {left}{now}");
    });
}

/// All that a network has; an anchor that was put back is a new interface.
fn state() -> Vec<String> {
    let names = ifconfig("-l");
    let mut state: Vec<_> = names.split(' ').map(|name| format!("{name}: {:?}", interface(name))).collect();
    state.sort();
    if interface("virbr0").is_some() {
        let text = ifconfig("virbr0");
        let times = text
            .lines()
            .map(str::trim_start)
            .filter(|line| line.starts_with("id ") || line.starts_with("maxage "));
        // The first of them begins with the number of the bridge in STP, its lowest port's MAC.
        state.extend(times.map(|line| line.split_once(" priority").map_or(line, |(_, rest)| rest).to_owned()));
    }
    state
}

fn fails_once(work: &Work) {
    let errno = (Errno::EIO as i32).to_string();
    for_each_call(work, &[("FAULT_ERRNO", &errno)], |call, output, before| {
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            let expected = if work.act == "stop" { DriftStatus::Absent } else { DriftStatus::AsDefined };
            assert_eq!(status(&(work.network)()), expected, "call {call}: it says that it is done");
        } else {
            assert_eq!(state(), before, "call {call}: {errors}");
        }
    });
}
