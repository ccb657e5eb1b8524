//! Many operations in one call of the netlink backend, where they are not done one by one.

pub(crate) mod faults;

use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use vmbridge::{
    Backend, BridgeChange, BridgeOptions, BridgeSpec, Bridges, Bulk, BulkError, BulkResult, ErrorKind,
    InterfaceName, LinkState, PortVlans, StaticEntry, UnicastMac, VlanId, VlanTagging,
};

use crate::support::{
    Guarded, Registry, batch, bridge_changes, creations, deletions, exists, fdb_additions, has_vlans,
    in_namespace, ip, joins, link, links, name, run, snapshot, tests, vlan_additions, wait_until,
};

pub(crate) fn register(registry: &Registry) {
    if !vmbridge::AVAILABLE.iter().any(|backend| backend.name == "netlink") {
        return;
    }
    registry.add(&tests![
        creates_a_thousand_bridges,
        creates_all_or_none_or_those_it_can,
        deletes_all_or_none_or_those_it_can,
        deletes_more_than_in_one_go,
        attaches_as_many_ports_as_the_kernel_has_numbers_for,
        attaches_all_or_none_or_those_it_can,
        adds_ten_thousand_entries,
        adds_all_entries_or_none_or_those_it_can,
        changes_all_or_none_or_those_it_can,
        a_bridge_that_is_changed_twice_is_as_the_second_says,
    ]);
    if in_namespace(has_vlans) {
        registry
            .add(&tests![lets_all_vlans_through_or_none_or_those_it_can, adds_entries_in_each_vlan_of_a_port,]);
    }
    registry.needs("strace").add(&tests![
        deletes_nothing_that_has_joined_the_group,
        deletes_what_has_left_the_group,
        deletes_what_is_all_in_another_group,
    ]);
    faults::register(registry);
}

fn open() -> Box<dyn Backend> {
    let netlink = vmbridge::AVAILABLE.iter().find(|backend| backend.name == "netlink").expect("it is compiled in");
    (netlink.open)().expect("it opens")
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
    open().apply(&creations(&specs), Bulk::AllOrNothing).expect("the names are free");
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
    let unsayable = BridgeOptions::default().max_age(Duration::from_secs(1));
    let with_options = BridgeOptions::default().priority(4096);
    // Far enough behind the others to be sent after them.
    let mut specs: Vec<_> = (0..100).map(|number| spec(&format!("virbr{number}"), number)).collect();
    specs[3] = spec("virbr3", 3).options(with_options);
    let create = |specs: &[BridgeSpec], bulk| bridges.apply(&creations(specs), bulk);

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
    let delete = |texts: &[&str], bulk| bridges.apply(&deletions(&names(texts)), bulk);
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
    bridges.apply(&deletions(&all[1..]), Bulk::AsMuchAsPossible).expect("they are bridges");
    assert_eq!(links().len(), 2);
    bridges.apply(&deletions(&all[..1]), Bulk::AsMuchAsPossible).expect("it is a bridge");
    assert_eq!(links().len(), 1);
}

/// With the bridge `virbr0`, whose MAC does not follow its ports, and this many interfaces, called `tap0` and so on, that can be its ports.
fn with_interfaces(count: usize) -> Vec<InterfaceName> {
    let bridge = format!("link add name virbr0 address {} type bridge", mac(0xffff));
    let add = (0..count).map(|number| format!("link add name tap{number} type veth peer name peer{number}"));
    batch("ip", &add.chain([bridge]).collect::<Vec<_>>().join("\n"));
    (0..count).map(|number| name(&format!("tap{number}"))).collect()
}

fn ports_of(bridge: &str) -> HashSet<String> {
    let links = links();
    let ports = links.iter().filter(|link| link["master"] == bridge);
    ports.map(|link| link["ifname"].as_str().expect("a name").to_owned()).collect()
}

fn attaches_as_many_ports_as_the_kernel_has_numbers_for() {
    const MOST: usize = 1023;
    let all = with_interfaces(MOST + 2);
    let bridges = open();
    let (failures, done) = outcome(bridges.apply(&joins(name("virbr0"), &all), Bulk::AllOrNothing));
    assert_eq!(failures[0], (MOST, ErrorKind::TooManyPorts));
    assert_eq!((done, ports_of("virbr0").len()), (Vec::new(), 0));
    let (failures, done) = outcome(bridges.apply(&joins(name("virbr0"), &all), Bulk::AsMuchAsPossible));
    assert_eq!(failures, [(MOST, ErrorKind::TooManyPorts), (MOST + 1, ErrorKind::TooManyPorts)]);
    assert_eq!((done.len(), ports_of("virbr0").len()), (MOST, MOST));
}

fn attaches_all_or_none_or_those_it_can() {
    with_interfaces(3);
    ip("link add name virbr1 type bridge");
    ip("link set dev tap2 master virbr1");
    let bridges = open();
    let attach = |texts: &[&str], bulk| bridges.apply(&joins(name("virbr0"), &names(texts)), bulk);
    let refused = |texts: &[&str]| all_or_nothing(|bulk| attach(texts, bulk));
    assert_eq!(refused(&["tap0", "lo", "tap1"]), [(1, ErrorKind::PortUnsuitable)]);
    assert_eq!(refused(&["tap0", "none", "tap2"]), [(1, ErrorKind::PortNotFound), (2, ErrorKind::PortBusy)]);
    assert_eq!(refused(&["tap0", "tap0"]), [(1, ErrorKind::AlreadyPort)]);
    let missing = all_or_nothing(|bulk| bridges.apply(&joins(name("none"), &names(&["tap0"])), bulk));
    assert_eq!(missing, [(0, ErrorKind::NotFound)]);

    let (failures, done) = outcome(attach(&["lo", "tap1", "virbr1", "tap0", "tap1"], Bulk::AsMuchAsPossible));
    let kinds = [(0, ErrorKind::PortUnsuitable), (2, ErrorKind::PortIsBridge), (4, ErrorKind::AlreadyPort)];
    assert_eq!((failures, done), (kinds.to_vec(), vec![1, 3]));
    assert_eq!(ports_of("virbr0"), HashSet::from(["tap0", "tap1"].map(str::to_owned)));
}

/// The static entries that `bridge` sees: MAC, port and VLAN.
fn static_entries() -> HashSet<String> {
    let all: Vec<Value> = serde_json::from_str(&run("bridge", ["-j", "fdb"])).expect("JSON");
    let of_bridges = all.iter().filter(|entry| entry["state"] == "static" && entry["master"] != Value::Null);
    let text =
        |entry: &Value| [&entry["mac"], &entry["ifname"]].map(|value| value.as_str().expect("text")).join(" ");
    of_bridges.map(|entry| format!("{} {}", text(entry), entry["vlan"])).collect()
}

fn entry(number: usize, port: &str) -> StaticEntry {
    StaticEntry::new(mac(number), name(port))
}

fn seen(number: usize, port: &str, vlan: Option<u16>) -> String {
    format!("{} {port} {}", mac(number), Value::from(vlan))
}

fn adds_ten_thousand_entries() {
    with_interfaces(2);
    ip("link set dev tap0 master virbr0");
    ip("link set dev tap1 master virbr0");
    let port = |number| if number % 2 == 0 { "tap0" } else { "tap1" };
    let mut entries: Vec<_> = (0..10_000).map(|number| entry(number, port(number))).collect();
    let bridges = open();
    // The last one is there already.
    entries.push(entry(5000, "tap1"));
    let (failures, done) = outcome(bridges.apply(&fdb_additions(name("virbr0"), &entries), Bulk::AllOrNothing));
    assert_eq!((failures, done), (vec![(10_000, ErrorKind::EntryExists)], Vec::new()));
    assert_eq!(static_entries(), HashSet::new());
    entries.pop();
    bridges.apply(&fdb_additions(name("virbr0"), &entries), Bulk::AllOrNothing).expect("there are none yet");
    let found: HashSet<String> = static_entries().iter().map(|text| text.chars().take(22).collect()).collect();
    let expected: HashSet<String> =
        (0..10_000).map(|number| seen(number, port(number), None).chars().take(22).collect()).collect();
    assert!(found == expected, "it is not what was added");
}

fn adds_all_entries_or_none_or_those_it_can() {
    with_interfaces(2);
    ip("link set dev tap0 master virbr0");
    let bridges = open();
    let add = |entries: &[StaticEntry], bulk| bridges.apply(&fdb_additions(name("virbr0"), entries), bulk);
    add(&[entry(7, "tap0")], Bulk::AllOrNothing).expect("there is none yet");
    let before = static_entries();
    let not_port = [entry(1, "tap0"), entry(2, "tap1"), entry(3, "none")];
    let kinds = [(1, ErrorKind::NotAPort), (2, ErrorKind::PortNotFound)];
    assert_eq!(all_or_nothing(|bulk| add(&not_port, bulk)), kinds);
    let there = [entry(1, "tap0"), entry(7, "tap0"), entry(2, "tap0")];
    assert_eq!(all_or_nothing(|bulk| add(&there, bulk)), [(1, ErrorKind::EntryExists)]);
    assert_eq!(static_entries(), before);
    let (failures, done) =
        outcome(add(&[&there[..], &not_port[..], &[entry(4, "tap0")]].concat(), Bulk::AsMuchAsPossible));
    let kinds = [
        (1, ErrorKind::EntryExists),
        (3, ErrorKind::EntryExists),
        (4, ErrorKind::NotAPort),
        (5, ErrorKind::PortNotFound),
    ];
    assert_eq!((failures, done), (kinds.to_vec(), vec![0, 2, 6]));
    let macs: HashSet<String> = static_entries().iter().map(|text| text.chars().take(17).collect()).collect();
    assert_eq!(macs, [1, 2, 4, 7].map(|number| mac(number).to_string()).into());
}

/// Without a VLAN it is added in those of the port, and not in part.
fn adds_entries_in_each_vlan_of_a_port() {
    with_interfaces(2);
    for port in ["tap0", "tap1"] {
        ip(&format!("link set dev {port} master virbr0"));
        run("bridge", format!("vlan add dev {port} vid 7").split(' '));
    }
    let bridges = open();
    let add = |entries: &[StaticEntry], bulk| bridges.apply(&fdb_additions(name("virbr0"), entries), bulk);
    let seven = VlanId::new(7).expect("a VLAN");
    add(&[entry(1, "tap0"), entry(2, "tap1").vlan(seven)], Bulk::AllOrNothing).expect("there are none yet");
    let before =
        [seen(1, "tap0", None), seen(1, "tap0", Some(1)), seen(1, "tap0", Some(7)), seen(2, "tap1", Some(7))];
    assert_eq!(static_entries(), before.clone().into());
    // One of another VLAN, one that is there in one of the port's, and one that an earlier one has.
    let new = [entry(3, "tap0").vlan(seven), entry(4, "tap0"), entry(2, "tap0"), entry(3, "tap1")];
    let kinds = [(2, ErrorKind::EntryExists), (3, ErrorKind::EntryExists)];
    assert_eq!(all_or_nothing(|bulk| add(&new, bulk)), kinds);
    let unknown = entry(5, "tap0").vlan(VlanId::new(99).expect("a VLAN"));
    assert_eq!(all_or_nothing(|bulk| add(&[new[1], new[0], unknown], bulk)), [(2, ErrorKind::InvalidOption)]);
    assert_eq!(static_entries(), before.into());
    let (failures, done) = outcome(add(&new, Bulk::AsMuchAsPossible));
    assert_eq!((failures, done), (kinds.to_vec(), vec![0, 1]));
    assert_eq!(static_entries().len(), 4 + 1 + 3);
}

fn lets_all_vlans_through_or_none_or_those_it_can() {
    use VlanTagging::{Pvid, Tagged, Untagged};
    with_interfaces(3);
    ip("link set dev tap0 master virbr0");
    ip("link set dev tap1 master virbr0");
    let bridges = open();
    let vlans =
        |port: &str, range: &str, tagging| (name(port), PortVlans::new(range.parse().expect("VLANs"), tagging));
    let state = || run("bridge", ["-j", "vlan"]);
    let before = state();
    let add =
        |items: &[(InterfaceName, PortVlans)], bulk| bridges.apply(&vlan_additions(name("virbr0"), items), bulk);
    let good = [vlans("tap0", "10-20", Tagged), vlans("tap1", "7", Pvid), vlans("tap0", "15-17", Untagged)];
    let range = vlans("tap1", "30-40", Pvid);
    let no_port = vlans("tap2", "7", Tagged);
    let refused = |items: &[(InterfaceName, PortVlans)]| {
        let failures = all_or_nothing(|bulk| add(items, bulk));
        assert_eq!(state(), before);
        failures
    };
    assert_eq!(refused(&[good[0], range, no_port]), [(1, ErrorKind::InvalidOption), (2, ErrorKind::NotAPort)]);
    let (failures, done) = outcome(add(&[&good[..], &[no_port]].concat(), Bulk::AsMuchAsPossible));
    assert_eq!((failures, done), (vec![(3, ErrorKind::NotAPort)], vec![0, 1, 2]));
    let of = |port| bridges.vlans(name("virbr0"), name(port)).expect("it is a port");
    let expected = |items: &[(&str, VlanTagging)]| -> Vec<PortVlans> {
        items.iter().map(|&(range, tagging)| vlans("tap0", range, tagging).1).collect()
    };
    assert_eq!(of("tap0"), expected(&[("1", Pvid), ("10-14", Tagged), ("15-17", Untagged), ("18-20", Tagged)]));
    assert_eq!(of("tap1"), expected(&[("1", Untagged), ("7", Pvid)]));
}

fn changes_all_or_none_or_those_it_can() {
    with_bridges(60);
    ip("link add name tap0 type veth peer name peer0");
    let bridges = open();
    let good = |number: usize| {
        let options =
            BridgeOptions::default().priority(4096).max_age(Duration::from_secs(10 + number as u64 % 10));
        BridgeChange::default().mac(mac(number)).mtu(1400).options(options)
    };
    let mut changes: Vec<_> = (0..60).map(|number| (name(&format!("virbr{number}")), good(number))).collect();
    let change = |changes: &[(InterfaceName, BridgeChange)], bulk| bridges.apply(&bridge_changes(changes), bulk);
    let state = || (snapshot(), link("virbr0").expect("it is there")["linkinfo"]["info_data"]["priority"].clone());
    let before = state();
    // Its first step succeeds, and its second does not.
    let bad = BridgeOptions::default().max_age(Duration::from_secs(1));
    changes[55].1 = BridgeChange::default().mtu(1300).options(bad);
    assert_eq!(all_or_nothing(|bulk| change(&changes, bulk)), [(55, ErrorKind::InvalidOption)]);
    changes[56].0 = name("tap0");
    changes[57].0 = name("none");
    let kinds = [(56, ErrorKind::NotABridge), (57, ErrorKind::NotFound)];
    assert_eq!(all_or_nothing(|bulk| change(&changes, bulk)), kinds);
    assert_eq!(state(), before);

    let (failures, done) = outcome(change(&changes, Bulk::AsMuchAsPossible));
    assert_eq!(failures, [&[(55, ErrorKind::InvalidOption)], &kinds[..]].concat());
    assert_eq!(done.len(), 57);
    for number in 0..60 {
        let link = link(&format!("virbr{number}")).expect("it is there");
        let data = &link["linkinfo"]["info_data"];
        let is_changed =
            link["address"] == mac(number).to_string() && link["mtu"] == 1400 && data["priority"] == 4096;
        let is_as_before = link["mtu"] == 1500 && data["priority"] == 0x8000 && data["max_age"] == 2000;
        assert!(if done.contains(&number) { is_changed } else { is_as_before }, "{number}: {link}");
    }
}

fn a_bridge_that_is_changed_twice_is_as_the_second_says() {
    with_bridges(2);
    let bridges = open();
    let change = |mtu, number| BridgeChange::default().mtu(mtu).mac(mac(number));
    let (one, other) = (name("virbr0"), name("virbr1"));
    let changes = [(one, change(1400, 1)), (other, change(1400, 2)), (one, change(1300, 3))];
    bridges.apply(&bridge_changes(&changes), Bulk::AllOrNothing).expect("they are bridges");
    let is = |bridge, mtu, number| {
        let link = link(bridge).expect("it is there");
        assert_eq!((&link["mtu"], &link["address"]), (&Value::from(mtu), &Value::from(mac(number).to_string())));
    };
    is("virbr0", 1300, 3);
    is("virbr1", 1400, 2);
    let changes = [(one, change(1400, 4)), (one, change(1200, 5)), (one, change(9, 6))];
    let (failures, _) = outcome(bridges.apply(&bridge_changes(&changes), Bulk::AllOrNothing));
    assert_eq!(failures, [(2, ErrorKind::InvalidMtu)]);
    is("virbr0", 1300, 3);
}

/// A deletion of `virbr0` to `virbr2` that is stopped when it has sent so much: who has these names, whether the
/// group is unused, join it, who is in it.
struct Stopped {
    strace: Guarded,
    group: String,
}

impl Stopped {
    fn after(sends: usize) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a file can be made");
        let mut strace = Command::new("strace");
        strace.arg("-o").arg(log.path()).args(["-e", "trace=sendto"]);
        strace.args(["-e", &format!("inject=sendto:signal=STOP:when={sends}")]);
        strace.arg(std::env::current_exe().expect("it is known")).args(["--bulk", "delete", "all"]);
        let strace = Guarded(strace.spawn().expect("strace can be run"));
        wait_until("it is stopped", || {
            fs::read_to_string(log.path()).is_ok_and(|log| log.contains("stopped by SIGSTOP"))
        });
        let group = link("virbr0").expect("it is not deleted yet")["group"].as_str().expect("text").to_owned();
        assert_ne!(group, "default");
        Self { strace, group }
    }

    /// Lets it go on to its end.
    fn go_on(mut self) {
        let tracer = self.strace.0.id();
        let children = fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).expect("it runs");
        let pid = children.trim().parse().expect("one child");
        kill(Pid::from_raw(pid), Signal::SIGCONT).expect("it is ours");
        assert!(self.strace.0.wait().expect("it ends").success());
        assert!(!exists("virbr0") && !exists("virbr1") && !exists("virbr2"));
    }
}

/// Somebody puts an interface into the group, after it was seen to be unused.
fn deletes_nothing_that_has_joined_the_group() {
    with_bridges(4);
    ip("link add name tap0 type veth peer name peer0");
    let stopped = Stopped::after(3);
    let group = stopped.group.clone();
    ip(&format!("link set dev tap0 group {group}"));
    ip(&format!("link set dev virbr3 group {group}"));
    stopped.go_on();
    for other in ["tap0", "virbr3"] {
        assert_eq!(link(other).expect("it is still there")["group"], Value::from(&*group));
    }
}

/// Somebody puts a bridge into another group, after it was seen in its.
fn deletes_what_has_left_the_group() {
    with_bridges(3);
    let stopped = Stopped::after(4);
    ip("link set dev virbr1 group 5");
    stopped.go_on();
}

/// Somebody else deletes a bridge in the same way, or has put all of them into another group.
fn deletes_what_is_all_in_another_group() {
    with_bridges(3);
    let stopped = Stopped::after(4);
    for bridge in ["virbr0", "virbr1", "virbr2"] {
        ip(&format!("link set dev {bridge} group 5"));
    }
    stopped.go_on();
}
