//! Many operations in one call of the netlink backend, where they are not done one by one.

use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use vmbridge::{
    BridgeBackend, BridgeOptions, BridgeSpec, Bulk, BulkError, BulkResult, ErrorKind, InterfaceName, LinkState,
    UnicastMac,
};

use crate::support::{Guarded, batch, exists, ip, link, links, needs, snapshot, trial, wait_until};

pub(crate) fn trials() -> Vec<Trial> {
    if !vmbridge::AVAILABLE.iter().any(|backend| backend.name == "netlink") {
        return Vec::new();
    }
    let trials: [(&str, fn()); 4] = [
        ("creates_a_thousand_bridges", creates_a_thousand_bridges),
        ("creates_all_or_none_or_those_it_can", creates_all_or_none_or_those_it_can),
        ("deletes_all_or_none_or_those_it_can", deletes_all_or_none_or_those_it_can),
        ("deletes_more_than_in_one_go", deletes_more_than_in_one_go),
    ];
    let trials = trials.map(|(name, test)| trial(format!("bulk::{name}"), test));
    let stranger = trial("bulk::deletes_nothing_that_has_joined_the_group", deletes_nothing_that_has_joined);
    trials.into_iter().chain([needs("strace", stranger)]).collect()
}

fn open() -> Box<dyn BridgeBackend> {
    let netlink = vmbridge::AVAILABLE.iter().find(|backend| backend.name == "netlink").expect("it is compiled in");
    (netlink.open)().expect("it opens")
}

fn name(text: &str) -> InterfaceName {
    text.parse().expect(text)
}

fn names(texts: &[&str]) -> Vec<InterfaceName> {
    texts.iter().map(|text| name(text)).collect()
}

fn mac(number: usize) -> UnicastMac {
    let [.., high, low] = number.to_be_bytes();
    UnicastMac::new([0x52, 0x54, 0, 1, high, low].into()).expect("of one station")
}

fn spec(bridge: &str, number: usize) -> BridgeSpec {
    BridgeSpec::new(name(bridge)).mac(mac(number)).mtu(1400).link(LinkState::Up)
}

/// What failed, by number, and what is done all the same.
fn outcome(result: BulkResult) -> (Vec<(usize, ErrorKind)>, Vec<usize>) {
    let error: BulkError = result.expect_err("some of it fails");
    (error.failures().iter().map(|(number, error)| (*number, error.kind())).collect(), error.done().to_vec())
}

/// What fails with all or nothing, and leaves the host as it was.
fn all_or_nothing(act: impl FnOnce(Bulk) -> BulkResult) -> Vec<(usize, ErrorKind)> {
    let before = snapshot();
    let (failures, done) = outcome(act(Bulk::AllOrNothing));
    assert_eq!((done, snapshot()), (Vec::new(), before), "after {failures:?}");
    failures
}

fn creates_a_thousand_bridges() {
    let specs: Vec<_> = (0..1000).map(|number| spec(&format!("virbr{number}"), number)).collect();
    open().create_many(&specs, Bulk::AllOrNothing).expect("the names are free");
    let seen: HashSet<String> =
        links().iter().map(|link| format!("{} {} {}", link["ifname"], link["address"], link["mtu"])).collect();
    for (number, spec) in specs.iter().enumerate() {
        let expected = format!("\"{}\" \"{}\" 1400", spec.name, mac(number));
        assert!(seen.contains(&expected), "{expected}");
    }
    assert_eq!(seen.len(), 1001);
}

fn creates_all_or_none_or_those_it_can() {
    let bridges = open();
    ip("link add name tap0 type veth peer name peer0");
    let unsayable = BridgeOptions::default().max_age(std::time::Duration::from_secs(1));
    let with_options = BridgeOptions::default().priority(4096);
    // Far enough behind the others to be sent after them.
    let mut specs: Vec<_> = (0..100).map(|number| spec(&format!("virbr{number}"), number)).collect();
    specs[3] = spec("virbr3", 3).options(with_options);
    let create = |specs: &[BridgeSpec], bulk| bridges.create_many(specs, bulk);

    specs[70] = spec("tap0", 70);
    assert_eq!(all_or_nothing(|bulk| create(&specs, bulk)), [(70, ErrorKind::NameInUse)]);
    specs[71] = spec("virbr71", 71).mtu(9);
    let refused = [(70, ErrorKind::NameInUse), (71, ErrorKind::InvalidMtu)];
    assert_eq!(all_or_nothing(|bulk| create(&specs, bulk)), refused);
    specs[72] = spec("virbr72", 72).options(unsayable);
    specs[99] = spec("virbr0", 99);
    let kinds = [
        (70, ErrorKind::NameInUse),
        (71, ErrorKind::InvalidMtu),
        (72, ErrorKind::InvalidOption),
        (99, ErrorKind::BridgeExists),
    ];
    let (failures, done) = outcome(create(&specs, Bulk::AsMuchAsPossible));
    assert_eq!(failures, kinds);
    assert_eq!(done, (0..99).filter(|number| !(70..=72).contains(number)).collect::<Vec<_>>());
    for (number, spec) in specs.iter().enumerate() {
        let is_made = link(&spec.name.to_string()).is_some_and(|link| link["address"] == mac(number).to_string());
        assert_eq!(is_made, done.contains(&number), "{}", spec.name);
    }
}

/// With this many bridges, called `virbr0` and so on, in group 0.
fn with_bridges(count: usize) -> Vec<InterfaceName> {
    let add: Vec<_> = (0..count).map(|number| format!("link add name virbr{number} type bridge")).collect();
    batch("ip", &add.join("\n"));
    (0..count).map(|number| name(&format!("virbr{number}"))).collect()
}

fn deletes_all_or_none_or_those_it_can() {
    let bridges = open();
    with_bridges(4);
    ip("link set dev virbr3 group 77");
    ip("link add name tap0 type veth peer name peer0");
    ip("link property add dev virbr1 altname other");
    let delete = |texts: &[&str], bulk| bridges.delete_many(&names(texts), bulk);
    let (not_found, not_a_bridge) = (ErrorKind::NotFound, ErrorKind::NotABridge);
    let refused = |texts: &[&str]| all_or_nothing(|bulk| delete(texts, bulk));
    assert_eq!(refused(&["virbr0", "tap0", "virbr1", "none"]), [(1, not_a_bridge), (3, not_found)]);
    assert_eq!(refused(&["virbr0", "virbr1", "other"]), [(2, not_found)]);

    let (failures, done) =
        outcome(delete(&["virbr0", "tap0", "virbr1", "none", "other", "virbr0"], Bulk::AsMuchAsPossible));
    assert_eq!(failures, [(1, not_a_bridge), (3, not_found), (4, not_found), (5, not_found)]);
    assert_eq!(done, [0, 2]);
    let left: Vec<_> = links().iter().map(|link| link["ifname"].as_str().expect("a name").to_owned()).collect();
    assert_eq!(left, ["lo", "virbr2", "virbr3", "peer0", "tap0"]);

    delete(&[], Bulk::AllOrNothing).expect("that is nothing");
    delete(&["virbr3", "virbr2"], Bulk::AllOrNothing).expect("they are bridges");
    assert!(!exists("virbr2") && !exists("virbr3") && exists("tap0"));
}

fn deletes_more_than_in_one_go() {
    let all = with_bridges(140);
    let bridges = open();
    bridges.delete_many(&all[1..], Bulk::AsMuchAsPossible).expect("they are bridges");
    assert_eq!(links().len(), 2);
    bridges.delete_many(&all[..1], Bulk::AsMuchAsPossible).expect("it is a bridge");
    assert_eq!(links().len(), 1);
}

/// Deletes `virbr0` and `virbr1` if that is what this process was started for.
pub(crate) fn is_the_work_to_be_stopped() -> bool {
    if !std::env::args().skip(1).eq(["--bulk-delete"]) {
        return false;
    }
    open().delete_many(&names(&["virbr0", "virbr1"]), Bulk::AllOrNothing).expect("they are bridges");
    true
}

/// Somebody puts an interface into the group, after it was seen to be unused.
fn deletes_nothing_that_has_joined() {
    with_bridges(3);
    ip("link add name tap0 type veth peer name peer0");
    // It sends: who has these names, whether the group is unused, and join it. That is done when the
    // signal arrives.
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", "inject=sendto:signal=STOP:when=3"]);
    strace.arg(std::env::current_exe().expect("it is known")).arg("--bulk-delete").stderr(Stdio::inherit());
    let mut strace = Guarded(strace.spawn().expect("strace can be run"));
    let group = |bridge| link(bridge).map(|link| link["group"].clone()).filter(|group| group != "default");
    wait_until("both are in a group", || group("virbr0").is_some() && group("virbr0") == group("virbr1"));
    let stopped = group("virbr0").expect("it is in one");
    let stopped = stopped.as_str().expect("text");
    ip(&format!("link set dev tap0 group {stopped}"));
    ip(&format!("link set dev virbr2 group {stopped}"));

    let tracer = strace.0.id();
    let children = fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).expect("it runs");
    let pid = children.trim().parse().expect("one child");
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("it is ours");
    assert!(strace.0.wait().expect("it ends").success());
    assert!(!exists("virbr0") && !exists("virbr1"));
    for other in ["tap0", "virbr2"] {
        assert_eq!(link(other).expect("it is still there")["group"], Value::from(stopped));
    }
}
