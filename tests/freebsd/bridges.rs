//! The backend, where FreeBSD's kernel has rules of its own.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use vmbridge::{BridgeChange, BridgeOptions, BridgeSpec, Bridges, ErrorKind, HostIpv6, LinkState, NativeBackend};

use crate::command::program;
use crate::support::{
    Registry, add_interface, bridges, ifconfig, interface, mac, name, output, run, snapshot, tests,
};

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        leaves_low_numbers_to_the_host,
        makes_a_numbered_bridge_by_its_number,
        takes_away_what_was_left_and_nobody_uses,
        keeps_its_mac_where_bridges_inherit_one,
        gives_all_ports_one_mtu,
        changes_the_mtu_of_all_ports_or_of_none,
        reads_long_lists_whole,
        finds_what_was_renamed,
        lists_a_bridge_that_left_its_group,
        tells_no_span_as_a_port,
        leaves_descriptions_alone,
        accepts_no_router_advertisements,
        a_handle_stays_in_its_network,
        a_jail_without_a_network_may_only_look,
    ]);
}

const MAC: &str = "52:54:00:01:02:03";

fn open() -> NativeBackend {
    NativeBackend::open().expect("it opens")
}

fn spec(bridge: &str) -> BridgeSpec {
    BridgeSpec::new(name(bridge)).mac(mac(MAC))
}

fn mac_of(bridge: &str) -> Option<String> {
    interface(bridge).expect("it is there").mac
}

fn mtu_of(interface: &str) -> u32 {
    crate::support::interface(interface).expect("it is there").mtu
}

/// A host's rc.conf may have settings for `bridge0`, which devd(8) applies to whatever gets this
/// name.
fn leaves_low_numbers_to_the_host() {
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    host.create(&spec("bridge5")).expect("the name is free");
    assert_eq!(ifconfig("bridge create"), "bridge0");
    host.delete(name("virbr0")).expect("it is a bridge");
    assert_eq!(ifconfig("bridge create"), "bridge1");
}

/// A renamed bridge keeps its number: the kernel makes no other of it.
/// The numbers are those of `virbr0`, for who has the lock.
fn takes_away_what_was_left_and_nobody_uses() {
    let [up, with_port, idle, other] = [19483, 30092, 19765, 19622].map(|number| format!("bridge{number}"));
    for bridge in [&up, &with_port, &idle] {
        ifconfig(&format!("{bridge} create"));
    }
    ifconfig(&format!("{up} up"));
    add_interface("tap0");
    ifconfig(&format!("{with_port} addm tap0"));
    ifconfig(&format!("{other} create"));
    ifconfig(&format!("{other} name br0"));
    open().create(&spec("virbr0")).expect("a number is free");
    assert!(interface("virbr0").is_some() && interface(&idle).is_none(), "{}", snapshot());
    assert!([&up, &with_port, &"br0".to_owned()].iter().all(|name| interface(name).is_some()), "{}", snapshot());
}

fn makes_a_numbered_bridge_by_its_number() {
    let host = open();
    host.create(&spec("bridge7")).expect("the name is free");
    assert_eq!(mac_of("bridge7").as_deref(), Some(MAC));
    ifconfig("bridge7 name other0");
    let before = snapshot();
    let error = host.create(&spec("bridge7")).expect_err("its number is taken");
    assert_eq!(error.kind(), ErrorKind::NameInUse, "{error}");
    assert_eq!(snapshot(), before);
    host.delete(name("other0")).expect("it is a bridge");
    host.create(&spec("bridge7")).expect("its number is free");
}

fn keeps_its_mac_where_bridges_inherit_one() {
    run("sysctl", ["net.link.bridge.inherit_mac=1"]);
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    host.create(&spec("bridge0")).expect("the name is free");
    host.create(&BridgeSpec::new(name("plain0"))).expect("the name is free");
    for (port, bridge) in
        [("port0", "virbr0"), ("port1", "virbr0"), ("port2", "bridge0"), ("port3", "bridge0"), ("port4", "plain0")]
    {
        add_interface(port);
        host.add_port(name(bridge), name(port)).expect("it can be a port");
        assert_eq!(mac_of("virbr0").as_deref(), Some(MAC), "as {port} joins");
        assert_eq!(mac_of("bridge0").as_deref(), Some(MAC), "as {port} joins");
    }
    assert_eq!(mac_of("plain0"), mac_of("port4"), "they inherit here");
    for (port, bridge) in [("port0", "virbr0"), ("port1", "virbr0"), ("port3", "bridge0"), ("port2", "bridge0")] {
        host.remove_port(name(bridge), name(port)).expect("it is a port");
        assert_eq!(mac_of("virbr0").as_deref(), Some(MAC), "as {port} leaves");
        assert_eq!(mac_of("bridge0").as_deref(), Some(MAC), "as {port} leaves");
    }
}

/// The first port's is the bridge's; later ones get that. Up to 13.1 the kernel refuses one that
/// has another.
fn gives_all_ports_one_mtu() {
    let version: u32 = run("sysctl", ["-n", "kern.osreldate"]).trim_end().parse().expect("a number");
    for port in ["port0", "port1"] {
        add_interface(port);
    }
    ifconfig("port0 mtu 1400");
    let host = open();
    host.create(&spec("virbr0").mtu(9000)).expect("the name is free");
    assert_eq!(mtu_of("virbr0"), 9000);
    host.add_port(name("virbr0"), name("port0")).expect("it can be a port");
    assert_eq!([mtu_of("virbr0"), mtu_of("port0")], [1400, 1400]);
    match host.add_port(name("virbr0"), name("port1")) {
        Ok(()) => assert_eq!([mtu_of("virbr0"), mtu_of("port1")], [1400, 1400]),
        Err(error) => {
            assert!(version < 1_400_000 && error.kind() == ErrorKind::PortUnsuitable, "{error}");
            assert_eq!([mtu_of("virbr0"), mtu_of("port1")], [1400, 1500]);
        }
    }
}

fn changes_the_mtu_of_all_ports_or_of_none() {
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    for port in ["port0", "port1"] {
        add_interface(port);
        host.add_port(name("virbr0"), name(port)).expect("it can be a port");
    }
    let mtus = || ["virbr0", "port0", "port1"].map(mtu_of);
    let change = |mtu| {
        let mut change = BridgeChange::default();
        change.mtu = Some(mtu);
        host.change(name("virbr0"), &change)
    };
    change(9000).expect("each of them can have that");
    assert_eq!(mtus(), [9000; 3]);
    let error = change(70_000).expect_err("none of them can have that");
    assert_eq!(error.kind(), ErrorKind::InvalidMtu, "{error}");
    assert_eq!(mtus(), [9000; 3]);
    host.delete(name("virbr0")).expect("it is a bridge");
    assert_eq!(["port0", "port1"].map(mtu_of), [9000; 2]);
}

/// A list that does not fit is cut without a word, and 64 members are what is asked for first.
fn reads_long_lists_whole() {
    const PAIRS: usize = 60;
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    let mut members = Vec::new();
    for number in 0..PAIRS {
        let port = format!("port{number}");
        members.push(add_interface(&port));
        members.push(port);
    }
    let added = members.iter().flat_map(|member| ["addm", member]);
    run("ifconfig", ["virbr0"].into_iter().chain(added));
    let mut ports: Vec<_> =
        host.ports(name("virbr0")).expect("it lists").into_iter().map(|port| port.name.to_string()).collect();
    ports.sort_unstable();
    members.sort_unstable();
    assert_eq!(ports, members);
    // And the bridge and lo0.
    assert_eq!(host.interfaces().expect("it lists").len(), 2 * PAIRS + 2);
    host.delete(name("virbr0")).expect("it is a bridge");
}

fn finds_what_was_renamed() {
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    host.create(&BridgeSpec::new(name("bridge0"))).expect("the name is free");
    let index = host.find(name("virbr0")).expect("it reads").expect("it is there").index;
    ifconfig("virbr0 name other0");
    ifconfig("bridge0 name virbr0");
    let found = host.find(name("other0")).expect("it reads").expect("it is there");
    assert_eq!((found.index, found.mac.to_string().as_str()), (index, MAC));
    let mut listed: Vec<_> =
        host.list().expect("it lists").into_iter().map(|bridge| bridge.name.to_string()).collect();
    let mut seen = bridges();
    listed.sort_unstable();
    seen.sort_unstable();
    assert_eq!(listed, ["other0", "virbr0"]);
    assert_eq!(listed, seen);
    assert_eq!(host.find(name("bridge0")).expect("it reads"), None);
}

fn lists_a_bridge_that_left_its_group() {
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    ifconfig("virbr0 -group bridge");
    add_interface("port0");
    ifconfig("port0 group bridge");
    let listed = host.list().expect("it lists");
    assert_eq!(listed.iter().map(|bridge| bridge.name).collect::<Vec<_>>(), [name("virbr0")]);
}

/// A span gets a copy of every frame, and the kernel lists it with the members.
fn tells_no_span_as_a_port() {
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    add_interface("port0");
    add_interface("span0");
    ifconfig("virbr0 addm port0 span span0");
    let ports = host.ports(name("virbr0")).expect("it lists");
    assert_eq!(ports.iter().map(|port| port.name).collect::<Vec<_>>(), [name("port0")]);
}

fn leaves_descriptions_alone() {
    let host = open();
    host.create(&spec("virbr0")).expect("the name is free");
    run("ifconfig", ["virbr0", "description", "of the host"]);
    let mut change = BridgeChange::default();
    (change.mac, change.mtu, change.link) = (Some(mac("52:54:00:01:02:09")), Some(1400), Some(LinkState::Up));
    host.change(name("virbr0"), &change).expect("it is a bridge");
    assert!(ifconfig("virbr0").contains("description: of the host"));
}

/// A handle that was opened outside of a jail works outside.
fn a_handle_stays_in_its_network() {
    let host = open();
    add_interface("port0");
    // Who will look outside, once this process is inside.
    let mut outside = Command::new("sh")
        .args(["-c", "read go && ifconfig virbr0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh can be run");
    let sandbox = vmbridge::Sandbox::enter().expect("this jail may have one in it");
    sandbox.add_interface(name("inside0"), mac("02:00:00:00:00:01")).expect("the name is free");
    host.create(&spec("virbr0")).expect("the name is free");
    host.add_port(name("virbr0"), name("port0")).expect("it can be a port");
    host.add_port(name("virbr0"), name("inside0")).expect_err("it is not there");
    assert_eq!(host.list().expect("it lists").len(), 1);
    assert!(host.interfaces().expect("it lists").iter().all(|interface| interface.name != name("inside0")));
    assert_eq!(interface("virbr0"), None);
    assert_eq!(open().list().expect("it lists"), []);
    outside.stdin.take().expect("a pipe").write_all(b"go\n").expect("it reads");
    let seen = io::read_to_string(outside.stdout.take().expect("a pipe")).expect("it reads");
    // ECHILD: the kernel lets nobody in a jail wait for a child outside.
    let _ = outside.wait();
    assert!(seen.contains(MAC) && seen.contains("member: port0"), "{seen}");
}

/// Root in such a jail is no root for networks, and is told no MAC.
fn a_jail_without_a_network_may_only_look() {
    open().create(&spec("virbr0")).expect("the name is free");
    let command = format!("command={}", program());
    let jailed = |args: &str| {
        output(
            "jail",
            ["-c", "path=/", &command].map(str::to_owned).into_iter().chain(args.split(' ').map(str::to_owned)),
        )
    };
    let before = snapshot();
    let refused = jailed("create virbr1");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot create bridge virbr1: permission denied"), "{errors}");
    assert!(errors.contains("it needs root, of the host or of a VNET jail"), "{errors}");
    assert_eq!(snapshot(), before);
    let shown = jailed("show virbr0");
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("bridge  virbr0\n") && shown.contains("mac     00:00:00:00:00:00\n"), "{shown}");
}

/// What neighbour discovery has of an interface, in `ifconfig`'s words.
fn nd6(interface: &str) -> String {
    let text = ifconfig(interface);
    text.lines().find(|line| line.contains("nd6 options=")).expect("it has IPv6").to_owned()
}

/// Of a new bridge the kernel sees to that, whatever the sysctls say.
fn accepts_no_router_advertisements() {
    run("sysctl", ["net.inet6.ip6.accept_rtadv=1", "net.inet6.ip6.auto_linklocal=1"]);
    let host = open();
    let set = |host_ipv6| BridgeOptions::default().host_ipv6(host_ipv6);
    let found = || host.find(name("virbr0")).expect("it is a bridge").expect("it is there").options.host_ipv6;
    for given in [HostIpv6::Kernel, HostIpv6::Manual, HostIpv6::Disabled] {
        host.create(&spec("virbr0").options(set(given)).link(LinkState::Up)).expect("the name is free");
        let flags = nd6("virbr0");
        assert!(
            flags.contains("IFDISABLED") && !flags.contains("RTADV") && !flags.contains("LINKLOCAL"),
            "{flags}"
        );
        assert_eq!(found(), Some(HostIpv6::Disabled));
        host.delete(name("virbr0")).expect("it is a bridge");
    }
    host.create(&spec("virbr0")).expect("the name is free");
    ifconfig("virbr0 inet6 -ifdisabled accept_rtadv");
    assert_eq!(found(), Some(HostIpv6::Kernel));
    for (to, is_disabled, accepts) in [
        (HostIpv6::Manual, false, false),
        (HostIpv6::Disabled, true, false),
        (HostIpv6::Kernel, false, true),
        (HostIpv6::Manual, false, false),
    ] {
        host.change(name("virbr0"), &BridgeChange::default().options(set(to))).expect("it can be changed");
        let flags = nd6("virbr0");
        assert_eq!(
            (flags.contains("IFDISABLED"), flags.contains("RTADV")),
            (is_disabled, accepts),
            "{to}: {flags}"
        );
        assert_eq!(found(), Some(to));
    }
}
