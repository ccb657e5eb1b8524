//! Networks on the real kernel: started, drifted and repaired, stopped, and each of these made to
//! fail or to die at every call to the kernel (strace does it for real).

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use vmbridge::network::{self, Anchor, DriftStatus, EnsureOutcome, Network, NetworkFailure, ResolvedNetwork};
use vmbridge::{Available, Backend, BridgeOptions, HostIpv6};

use crate::support::{
    Registry, exists, host_ipv6, in_namespace, ip, is_up, lacks_users, link, links, open, opens, run, snapshot,
    sysfs, tests, wait_until, with_fault,
};

const MAC: &str = "52:54:00:01:02:03";

type Case = fn(&dyn Backend);

const CASES: [(&str, Case); 10] = tests![
    starts_as_defined,
    puts_right_what_has_drifted,
    puts_right_what_the_host_does_in_ipv6,
    a_rounded_time_has_not_drifted,
    adopts_no_other_interface,
    an_adopted_bridge_keeps_its_mac,
    an_anchor_ends_duplicate_address_detection,
    an_anchor_waits_for_a_carrier_of_its_own,
    an_anchor_holds_the_mtu,
    stops_what_an_old_libvirt_left,
];

type FaultTest = fn(&Available, &str, &Work);

const ON_STRACE: [(&str, FaultTest); 2] = tests![is_killed, fails_once];

pub(crate) fn register(registry: &Registry) {
    registry.needs(lacks_users()).add_on_each_backend(&tests![an_anchor_belongs_to_root]);
    for backend in vmbridge::AVAILABLE {
        for (path, case) in CASES {
            registry.add_with(path, &[backend.name], move || case(&*open(backend)));
        }
        for call in calls(backend.name) {
            for work in &WORKS {
                for (path, test) in ON_STRACE {
                    let values = [backend.name, call, work.name];
                    let run = move || test(backend, call, work);
                    registry.needs("strace").on_host().add_with(path, &values, run);
                }
            }
        }
    }
}

fn base() -> Network {
    let network = Network::new("default".parse().expect("a name"));
    network.with_bridge("virbr0".parse().expect("a name")).with_mac(MAC.parse().expect("a MAC"))
}

fn resolved(network: Network) -> ResolvedNetwork {
    network.resolve([]).expect("it is whole")
}

/// With an option that the ioctl backend sets in sysfs.
fn plain() -> ResolvedNetwork {
    let options = BridgeOptions::default().multicast_snooping(false);
    resolved(base().with_mtu(1400).expect("an MTU").with_options(options).expect("whole seconds"))
}

/// Without STP, which would keep the anchor's carrier back for two forward delays.
fn anchored() -> ResolvedNetwork {
    let options = BridgeOptions::default().stp(false).multicast_snooping(false);
    let network = base().with_mtu(1400).expect("an MTU").with_options(options).expect("whole seconds");
    resolved(network.with_anchor(Anchor::Tap))
}

/// With IPv6 addresses of the host, and STP, which makes the anchor wait.
fn anchored_with_ipv6() -> ResolvedNetwork {
    resolved(with_ipv6(base()).with_anchor(Anchor::Tap))
}

fn with_ipv6(network: Network) -> Network {
    network.with_options(BridgeOptions::default().host_ipv6(HostIpv6::Manual)).expect("they are valid")
}

fn defined(backend: &dyn Backend, network: &ResolvedNetwork) -> bool {
    network::status(backend, network).expect("it can be read") == DriftStatus::AsDefined
}

fn starts_as_defined(backend: &dyn Backend) {
    let network = plain();
    network::start(backend, &network).expect("it can be started");
    let bridge = link("virbr0").expect("it is there");
    assert_eq!((&bridge["address"], &bridge["mtu"]), (&MAC.into(), &1400.into()));
    assert_eq!(sysfs("virbr0", "addr_assign_type"), "3");
    assert!(is_up(&bridge));
    let data = &bridge["linkinfo"]["info_data"];
    // The forward delay of 0 that libvirt has by default is 2 s with STP.
    assert_eq!((&data["stp_state"], &data["forward_delay"]), (&1.into(), &200.into()));
    assert!(defined(backend, &network));

    let before = snapshot();
    assert_eq!(network::ensure(backend, &network).expect("it can be read"), EnsureOutcome::AsDefined);
    let failure = network::start(backend, &network).expect_err("it is active").into_failure();
    assert!(matches!(failure, NetworkFailure::Active(_)), "{failure}");
    assert_eq!(snapshot(), before);
    network::stop(backend, &network).expect("it can be stopped");
    assert!(!exists("virbr0"));
    let failure = network::stop(backend, &network).expect_err("it is not active").into_failure();
    assert!(matches!(failure, NetworkFailure::NotActive(_)), "{failure}");
}

fn puts_right_what_has_drifted(backend: &dyn Backend) {
    let network = plain();
    network::start(backend, &network).expect("it can be started");
    let before = snapshot();
    for (drift, said) in [
        ("address 52:54:00:00:00:99", "mac is 52:54:00:00:00:99, defined as 52:54:00:01:02:03"),
        ("mtu 1300", "mtu is 1300, defined as 1400"),
        ("down", "link is down, defined as up"),
        ("type bridge forward_delay 700", "forward-delay is 7, defined as 2"),
        ("type bridge mcast_snooping 1", "multicast-snooping is on, defined as off"),
        ("type bridge stp_state 0", "stp is off, defined as on"),
    ] {
        ip(&format!("link set dev virbr0 {drift}"));
        let DriftStatus::Drifted(found) = network::status(backend, &network).expect("it can be read") else {
            panic!("{drift}")
        };
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [said]);
        let done = network::ensure(backend, &network).expect("it can be repaired");
        assert_eq!(done, EnsureOutcome::Repaired(found));
        assert_eq!(snapshot(), before, "{drift}");
        assert!(defined(backend, &network), "{drift}");
    }
    // What is not defined is nobody's business.
    ip("link set dev virbr0 type bridge ageing_time 700 group_fwd_mask 8");
    let before = snapshot();
    assert_eq!(network::ensure(backend, &network).expect("it can be read"), EnsureOutcome::AsDefined);
    assert_eq!(snapshot(), before);
    ip("link delete dev virbr0");
    assert_eq!(network::ensure(backend, &network).expect("it can be made"), EnsureOutcome::Created);
    assert!(defined(backend, &network));
}

/// With `CONFIG_HZ=250`, 70 ms are 17½ jiffies.
fn a_rounded_time_has_not_drifted(backend: &dyn Backend) {
    for ms in [10, 70, 90, 1230] {
        let options = BridgeOptions::default().ageing_time(Duration::from_millis(ms));
        let network = resolved(base().with_options(options).expect("whole seconds"));
        assert_ne!(network::ensure(backend, &network).expect("it can be made"), EnsureOutcome::AsDefined);
        assert!(defined(backend, &network), "{ms} ms");
    }
}

fn adopts_no_other_interface(backend: &dyn Backend) {
    ip("link add name virbr0 type veth peer name peer0");
    let network = plain();
    let before = snapshot();
    for outcome in [
        network::check_host(backend, &network),
        network::start(backend, &network),
        network::stop(backend, &network),
        network::ensure(backend, &network).map(drop),
    ] {
        let error = outcome.expect_err("it is no bridge");
        assert_eq!(
            error.to_string(),
            "network default: the name virbr0 is in use, by an interface that is no bridge"
        );
    }
    assert_eq!(snapshot(), before);
}

/// A bridge that has its MAC from a port.
fn an_adopted_bridge_keeps_its_mac(backend: &dyn Backend) {
    ip("link add name virbr0 type bridge");
    ip(&format!("link add name tap0 address {MAC} type veth peer name peer0"));
    ip("link set dev tap0 master virbr0");
    assert_eq!(link("virbr0").expect("it is there")["address"], MAC);
    network::ensure(backend, &plain()).expect("it can be adopted");
    ip("link delete dev tap0");
    assert_eq!(link("virbr0").expect("it is there")["address"], MAC);
}

/// Also one of a network that was started by a version that left IPv6 to the kernel.
fn puts_right_what_the_host_does_in_ipv6(backend: &dyn Backend) {
    let kernel = host_ipv6("default");
    assert_eq!(kernel, [1, 1, 0]);
    let of = |options: BridgeOptions| resolved(base().with_options(options).expect("they are valid"));
    let [by_default, disabled, by_kernel] =
        [None, Some(HostIpv6::Disabled), Some(HostIpv6::Kernel)].map(|given| {
            let mut options = BridgeOptions::default();
            options.host_ipv6 = given;
            of(options)
        });
    ip(&format!("link add name virbr0 address {MAC} up type bridge stp_state 1 forward_delay 200"));
    assert!(defined(backend, &by_kernel));
    for (network, settings, said) in [
        (&by_default, [0, 0, 0], "host-ipv6 is kernel, defined as manual"),
        (&disabled, [0, 0, 1], "host-ipv6 is manual, defined as disabled"),
    ] {
        let DriftStatus::Drifted(found) = network::status(backend, network).expect("it can be read") else {
            panic!("{said}")
        };
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [said]);
        let done = network::ensure(backend, network).expect("it can be repaired");
        assert_eq!(done, EnsureOutcome::Repaired(found));
        assert_eq!(host_ipv6("virbr0"), settings);
        assert!(defined(backend, network), "{said}");
    }
    // The host does less than it may.
    assert!(defined(backend, &by_default) && defined(backend, &by_kernel));
    assert_eq!(host_ipv6("default"), kernel);
}

/// The addresses of an interface, and whether duplicate address detection of each has ended.
fn addresses(interface: &str) -> Vec<(String, bool)> {
    let shown: Value = serde_json::from_str(&ip(&format!("-j -6 address show dev {interface}"))).expect("JSON");
    let addresses = shown.as_array().into_iter().flatten().filter_map(|link| link["addr_info"].as_array());
    let address = |address: &Value| {
        let local = address["local"].as_str().expect("an address").to_owned();
        (local, address.get("tentative").is_none())
    };
    addresses.flatten().map(address).collect()
}

fn has_settled(interface: &str, address: &str) -> bool {
    addresses(interface).contains(&(address.to_owned(), true))
}

/// Of two bridges without guests, the one that was made first, without an anchor, does not come to
/// the end of it.
fn an_anchor_ends_duplicate_address_detection(backend: &dyn Backend) {
    assert_eq!(run("sysctl", ["-n", "net.ipv6.conf.default.disable_ipv6"]), "0\n");
    let without = with_ipv6(base()).with_bridge("virbr1".parse().expect("a name"));
    let without = without.with_mac("52:54:00:01:02:04".parse().expect("a MAC"));
    network::start(backend, &resolved(without)).expect("it can be started");
    ip("-6 address add fd00:1::1/64 dev virbr1");
    network::start(backend, &anchored_with_ipv6()).expect("it can be started");
    ip("-6 address add fd00::1/64 dev virbr0");
    wait_until("the link-local address is checked", || has_settled("virbr0", "fe80::5054:ff:fe01:203"));
    wait_until("an address that was added later is checked", || has_settled("virbr0", "fd00::1"));
    assert_eq!(addresses("virbr1"), [("fd00:1::1".to_owned(), false)]);

    // Setting it down makes the kernel forget.
    ip("link set dev virbr0 down");
    let done = network::ensure(backend, &anchored_with_ipv6()).expect("it can be repaired");
    assert!(matches!(done, EnsureOutcome::Repaired(_)), "{done:?}");
    wait_until("the link-local address is checked again", || has_settled("virbr0", "fe80::5054:ff:fe01:203"));
}

/// When the bridge has just lost its carrier, the kernel still says that it has one.
fn an_anchor_waits_for_a_carrier_of_its_own(backend: &dyn Backend) {
    let network = anchored_with_ipv6();
    network::start(backend, &network).expect("it can be started");
    ip("link set dev virbr0 down");
    network::ensure(backend, &network).expect("it can be repaired");
    wait_until("the link-local address is checked", || has_settled("virbr0", "fe80::5054:ff:fe01:203"));
}

fn an_anchor_holds_the_mtu(backend: &dyn Backend) {
    network::start(backend, &anchored()).expect("it can be started");
    let anchor = link("virbr0-nic").expect("it is there");
    assert_eq!(
        (&anchor["address"], &anchor["mtu"], &anchor["master"]),
        (&MAC.into(), &1400.into(), &"virbr0".into())
    );
    assert_eq!(anchor["linkinfo"]["info_data"]["persist"], true);
    ip("link add name tap0 type veth peer name peer0");
    ip("link set dev tap0 master virbr0");
    assert_eq!(link("virbr0").expect("it is there")["mtu"], 1400);
    assert!(defined(backend, &anchored()));
    network::stop(backend, &anchored()).expect("it can be stopped");
    assert!(!exists("virbr0") && !exists("virbr0-nic"));
}

/// Linux lets every user open a tap that belongs to nobody, and whoever has it open may change its owner.
fn an_anchor_belongs_to_root(backend: &Available) {
    let backend = &*open(backend);
    network::start(backend, &anchored()).expect("it can be started");
    assert!(!opens(12345, "virbr0-nic"), "it is root's");
    assert_eq!(sysfs("virbr0-nic", "owner"), "0");
    for owner in ["", " user 12345"] {
        ip("tuntap del dev virbr0-nic mode tap");
        ip(&format!("tuntap add dev virbr0-nic mode tap{owner}"));
        ip(&format!("link set dev virbr0-nic address {MAC} mtu 1400 up master virbr0"));
        let DriftStatus::Drifted(found) = network::status(backend, &anchored()).expect("it can be read") else {
            panic!("{owner}")
        };
        let said = if owner.is_empty() { "" } else { ", owner 12345" };
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("anchor is {MAC}, MTU 1400, up{said}, defined as {MAC}, MTU 1400, up, owner 0")]
        );
        let done = network::ensure(backend, &anchored()).expect("it can be repaired");
        assert_eq!(done, EnsureOutcome::Repaired(found));
        assert!(defined(backend, &anchored()));
        assert!(!opens(12345, "virbr0-nic"), "it is root's");
    }
    // One that is on no bridge is not taken as it is, either.
    network::stop(backend, &anchored()).expect("it can be stopped");
    ip("tuntap add dev virbr0-nic mode tap");
    network::start(backend, &anchored()).expect("it can be started");
    assert!(!opens(12345, "virbr0-nic"), "it is root's");
}

fn stops_what_an_old_libvirt_left(backend: &dyn Backend) {
    ip("tuntap add name virbr0-nic mode tap");
    network::stop(backend, &plain()).expect_err("it is not active");
    assert!(!exists("virbr0-nic"));

    network::start(backend, &plain()).expect("it can be started");
    ip("tuntap add name virbr0-nic mode tap");
    ip("link set dev virbr0-nic master virbr0");
    network::stop(backend, &plain()).expect("it can be stopped");
    assert!(!exists("virbr0-nic") && !exists("virbr0"));

    // One that is no tap, and one that is another bridge's.
    ip("link add name virbr0-nic type veth peer name peer0");
    network::stop(backend, &plain()).expect_err("it is not active");
    assert!(exists("virbr0-nic"));
    ip("link delete dev virbr0-nic");
    ip("link add name br0 type bridge");
    ip("tuntap add name virbr0-nic mode tap");
    ip("link set dev virbr0-nic master br0");
    network::stop(backend, &plain()).expect_err("it is not active");
    assert!(exists("virbr0-nic"));
}

/// What is done to a network that is there or not.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    act: &'static str,
    network: fn() -> ResolvedNetwork,
    /// What is there before: a network that is started, if any, and then these commands for `ip`.
    started: Option<fn() -> ResolvedNetwork>,
    drifts: &'static [&'static str],
}

const WORKS: [Work; 6] = [
    Work { name: "start", act: "start", network: plain, started: None, drifts: &[] },
    Work { name: "start_anchored", act: "start", network: anchored, started: None, drifts: &[] },
    Work { name: "stop", act: "stop", network: plain, started: Some(plain), drifts: &[] },
    Work { name: "stop_anchored", act: "stop", network: anchored, started: Some(anchored), drifts: &[] },
    Work {
        name: "ensure",
        act: "ensure",
        network: plain,
        started: Some(plain),
        drifts: &[
            "address 52:54:00:00:00:99",
            "mtu 1300",
            "down",
            "type bridge stp_state 0 forward_delay 900 mcast_snooping 1",
        ],
    },
    Work {
        name: "ensure_anchored",
        act: "ensure",
        network: anchored,
        started: Some(plain),
        drifts: &["mtu 1300", "down", "type bridge mcast_snooping 1"],
    },
];

/// The system calls that each backend speaks to the kernel with; taps are ioctls on both.
fn calls(backend: &str) -> &'static [&'static str] {
    match backend {
        "netlink" => &["sendto", "recvfrom", "ioctl", "openat"],
        _ => &["ioctl", "pread64", "openat", "bind"],
    }
}

/// Does the work of the process that strace makes fail, and returns whether this is that process.
pub(crate) fn ran_as_child() -> bool {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, backend, work] = &args[..] else { return false };
    if mode != "--network" {
        return false;
    }
    let backend = vmbridge::AVAILABLE.iter().find(|other| other.name == backend).expect("it is compiled in");
    let work = WORKS.iter().find(|other| other.name == work).expect("it is one of them");
    let done = (backend.open)().map_err(|error| error.to_string()).and_then(|backend| {
        let network = (work.network)();
        let done = match work.act {
            "start" => network::start(&*backend, &network),
            "stop" => network::stop(&*backend, &network),
            _ => network::ensure(&*backend, &network).map(drop),
        };
        done.map_err(|error| error.to_string())
    });
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(1);
    }
    true
}

fn prepare(backend: &Available, work: &Work) {
    if let Some(started) = work.started {
        network::start(&*open(backend), &started()).expect("it can be started");
    }
    work.drifts.iter().for_each(|drift| drop(ip(&format!("link set dev virbr0 {drift}"))));
}

/// Runs the work with a fault; `None` when it ended before the fault's turn.
fn run_with(backend: &Available, call: &str, fault: &str, work: &Work) -> Option<Output> {
    let mut command = Command::new(std::env::current_exe().expect("it is known"));
    with_fault(call, fault, command.args(["--network", backend.name, work.name]))
}

/// Repeats a check for the first call, the second, and so on, each on a host of its own. Without
/// any such call there is nothing to check.
fn for_each_call(check: impl Fn(usize) -> bool + Sync) {
    let mut call = 1;
    while in_namespace(|| check(call)) {
        call += 1;
    }
}

/// Whenever it dies, a fresh `ensure` ends in the defined state, with nothing left over.
fn is_killed(backend: &Available, call: &str, work: &Work) {
    for_each_call(|number| {
        prepare(backend, work);
        if run_with(backend, call, &format!("signal=KILL:when={number}"), work).is_none() {
            return false;
        }
        let (backend, network) = (open(backend), (work.network)());
        let left = links();
        network::ensure(&*backend, &network).unwrap_or_else(|error| panic!("call {number}: {error}: {left:?}"));
        let status = network::status(&*backend, &network).expect("it can be read");
        assert_eq!(status, DriftStatus::AsDefined, "killed at call {number}");
        let mut there: Vec<_> =
            links().iter().map(|link| link["ifname"].as_str().expect("a name").to_owned()).collect();
        there.sort();
        let anchor = (network.network().anchor() == Anchor::Tap).then_some("virbr0-nic");
        let expected: Vec<_> = ["lo", "virbr0"].into_iter().chain(anchor).collect();
        assert_eq!(there, expected, "killed at call {number}; it had left {left:?}");
        let bridge = link("virbr0").expect("it is there");
        assert_eq!((&bridge["address"], &bridge["mtu"]), (&MAC.into(), &1400.into()), "killed at call {number}");
        true
    });
}

/// All that `ip` says but for indices and carriers: an anchor that was put back is a new interface.
fn state() -> Vec<String> {
    let bare = |link: &Value| {
        let name = link["ifname"].as_str().expect("a name");
        let kept = ["ifname", "address", "mtu", "master", "linkinfo"].map(|key| link[key].to_string());
        format!("{kept:?} {} {}", is_up(link), sysfs(name, "addr_assign_type"))
    };
    let mut state: Vec<_> = links().iter().map(bare).collect();
    state.sort();
    state
}

fn fails_once(backend: &Available, call: &str, work: &Work) {
    for_each_call(|number| {
        prepare(backend, work);
        let before = state();
        let fault = format!("error=EIO:when={number}");
        let Some(output) = run_with(backend, call, &fault, work) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            let there = network::status(&*open(backend), &(work.network)()).expect("it can be read");
            let expected = if work.act == "stop" { DriftStatus::Absent } else { DriftStatus::AsDefined };
            assert_eq!(there, expected, "call {number}: it says that it is done");
        } else {
            assert_eq!(state(), before, "call {number}: {errors}");
        }
        true
    });
}
