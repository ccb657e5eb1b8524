//! The part of the host itself in the IPv6 of a bridge. What a guest does with it: one frame that says it is a router
//! gives a host that believes it an address and a default route.

use std::fs::File;
use std::io::Write;

use nix::mount::{MsFlags, mount};
use vmbridge::network::{self, Network};
use vmbridge::{
    Available, Backend, BridgeChange, BridgeOptions, BridgeSpec, Bridges, Bulk, Capability, ErrorKind, Guest,
    HostIpv6, LinkState, Step, plug,
};

use crate::support::{
    Registry, exists, host_ipv6, ip, is_up, link, mac, name, open, output, run, snapshot, sysfs, tests, wait_until,
};

const PREFIX: &str = "2001:db8:6:6:";
const GUEST: &str = "52:54:00:aa:00:01";

pub(crate) fn register(registry: &Registry) {
    registry.add_on_each_backend(&tests![
        advertisements_change_nothing_where_the_command_made_the_bridge,
        advertisements_change_nothing_where_a_network_has_the_bridge,
        is_set_of_many,
        is_refused_with_a_hint_where_it_cannot_be_set,
        needs_no_file_where_it_is_so_already,
        is_nothing_where_the_mtu_is_too_small,
        is_never_more_than_the_defaults,
    ]);
}

fn advertisements_change_nothing_where_the_command_made_the_bridge(backend: &Available) {
    run(env!("CARGO_BIN_EXE_vmbridge"), ["--backend", backend.name, "create", "virbr0", "--up"]);
    check(&*open(backend));
}

fn advertisements_change_nothing_where_a_network_has_the_bridge(backend: &Available) {
    let backend = open(backend);
    let network = Network::new("default".parse().expect("a name")).with_mac(mac("52:54:00:01:02:03"));
    // STP would keep the port from forwarding for two forward delays.
    let network = network.with_options(BridgeOptions::default().stp(false)).expect("they are valid");
    network::start(&*backend, &network.resolve([]).expect("it is whole")).expect("nothing is in the way");
    check(&*backend);
}

/// Has a guest of `virbr0` advertise, and a guest of a bridge that the kernel's defaults are in force on.
fn check(backend: &dyn Backend) {
    ip("link add name believer type bridge");
    ip("link set dev believer up");
    for (bridge, believes) in [("virbr0", false), ("believer", true)] {
        let plugged = plug(backend, name(bridge), &Guest::new(mac(GUEST))).expect("it can be plugged in");
        let port = plugged.tap.name().to_string();
        wait_until("the port forwards", || sysfs(&port, "brport/state") == "3");
        let mut card = plugged.tap.into_queues().into_iter().map(File::from).next().expect("a queue");
        // The kernel is done with the frame when it has taken it.
        card.write_all(&advertisement()).expect("the bridge takes it");
        let [addresses, routes] =
            ["-6 address show dev", "-6 route show dev"].map(|args| ip(&format!("{args} {bridge}")));
        assert_eq!(addresses.contains(PREFIX), believes, "{addresses}");
        assert_eq!(routes.contains("default"), believes, "{routes}");
    }
}

/// A router advertisement (RFC 4861, 4.2) of the guest's, with a prefix for addresses.
fn advertisement() -> Vec<u8> {
    let source = [&[0xfe, 0x80][..], &[0; 13], &[1]].concat();
    let all_nodes = [&[0xff, 2][..], &[0; 13], &[1]].concat();
    let prefix = [&[0x20, 1, 0x0d, 0xb8, 0, 6, 0, 6][..], &[0; 8]].concat();
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    // On the link, for addresses, for an hour each.
    message.extend([3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
    message.extend(prefix);
    let length = u8::try_from(message.len()).expect("short");
    let checksum = checksum(&[&source[..], &all_nodes, &[0, 0, 0, length, 0, 0, 0, 58], &message].concat());
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let ethernet = [0x33, 0x33, 0, 0, 0, 1, 0x52, 0x54, 0, 0xaa, 0, 1, 0x86, 0xdd];
    let header = [0x60, 0, 0, 0, 0, length, 58, 255];
    [&ethernet[..], &header, &source, &all_nodes, &message].concat()
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded twice")
}

fn set(host_ipv6: HostIpv6) -> BridgeOptions {
    BridgeOptions::default().host_ipv6(host_ipv6)
}

fn is_set_of_many(backend: &Available) {
    let backend = open(backend);
    let number = 50;
    let bridge = |number: usize| name(&format!("virbr{number}"));
    let each = [HostIpv6::Kernel, HostIpv6::Manual, HostIpv6::Disabled].into_iter().cycle();
    let expected = [[1, 1, 0], [0, 0, 0], [0, 0, 1]].into_iter().cycle();
    let spec = |(number, wanted)| BridgeSpec::new(bridge(number)).options(set(wanted)).link(LinkState::Up);
    let steps: Vec<_> = (0..number).zip(each.clone()).map(spec).map(Step::Create).collect();
    backend.apply(&steps, Bulk::AllOrNothing).expect("the names are free");
    for (number, settings) in (0..number).zip(expected.clone()) {
        assert_eq!(host_ipv6(bridge(number).as_str().expect("UTF-8")), settings, "{number}");
        assert!(is_up(&link(&format!("virbr{number}")).expect("it is there")), "{number}");
    }
    let change = |wanted| BridgeChange::default().options(set(wanted)).mtu(1400);
    let all = each.skip(1).zip(0..number);
    let mut steps: Vec<_> = all.map(|(wanted, number)| Step::change(bridge(number), change(wanted))).collect();
    backend.apply(&steps, Bulk::AllOrNothing).expect("they can be changed");
    for (number, settings) in (0..number).zip(expected.clone().skip(1)) {
        assert_eq!(host_ipv6(&format!("virbr{number}")), settings, "{number}");
    }
    // The last cannot be done: the others are as before.
    for step in &mut steps {
        *step = Step::change(step.interface().expect("a bridge"), change(HostIpv6::Kernel));
    }
    steps.push(Step::change(bridge(0), BridgeChange::default().mtu(70_000)));
    backend.apply(&steps, Bulk::AllOrNothing).expect_err("no bridge has that MTU");
    for (number, settings) in (0..number).zip(expected.skip(1)) {
        assert_eq!(host_ipv6(&format!("virbr{number}")), settings, "{number}");
    }
}

/// Makes /proc/sys what it is in many containers.
fn make_read_only() {
    let (none, path) = (None::<&str>, "/proc/sys");
    mount(Some(path), path, none, MsFlags::MS_BIND, none).expect("it can be mounted");
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, path, none, flags, none).expect("it can be mounted again");
}

fn is_refused_with_a_hint_where_it_cannot_be_set(backend: &Available) {
    ip("link add name virbr1 type bridge");
    let before = snapshot();
    make_read_only();
    for args in ["create virbr0 --up", "set virbr1 --host-ipv6 disabled --mtu 1400"] {
        let command = ["--backend", backend.name].into_iter().chain(args.split(' '));
        let output = output(env!("CARGO_BIN_EXE_vmbridge"), command);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains("host-ipv6") && errors.contains("/proc/sys"),
            "{errors}"
        );
        assert_eq!(snapshot(), before, "{args}");
    }
    let error = open(backend).change(name("virbr1"), &BridgeChange::default().options(set(HostIpv6::Manual)));
    let error = error.expect_err("it is read-only");
    assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(Capability::HostIpv6)));
    let kernel = ["--backend", backend.name, "create", "virbr0", "--up", "--host-ipv6", "kernel"];
    run(env!("CARGO_BIN_EXE_vmbridge"), kernel);
    assert!(exists("virbr0"));
}

fn needs_no_file_where_it_is_so_already(backend: &Available) {
    run("sysctl", ["-q", "net.ipv6.conf.default.accept_ra=0", "net.ipv6.conf.default.autoconf=0"]);
    make_read_only();
    run(env!("CARGO_BIN_EXE_vmbridge"), ["--backend", backend.name, "create", "virbr0", "--up"]);
    assert_eq!(host_ipv6("virbr0"), [0, 0, 0]);
}

/// The kernel has no settings for such a bridge, and new ones when its MTU rises.
fn is_nothing_where_the_mtu_is_too_small(backend: &Available) {
    let backend = open(backend);
    let spec = BridgeSpec::new(name("virbr0")).mtu(1000).link(LinkState::Up).options(set(HostIpv6::Disabled));
    backend.create(&spec).expect("there is nothing to set");
    let found = || backend.find(name("virbr0")).expect("it is a bridge").expect("it is there").options.host_ipv6;
    assert_eq!(found(), None);
    let change = BridgeChange::default().options(set(HostIpv6::Manual));
    backend.change(name("virbr0"), &change).expect("there is nothing to set");
    assert_eq!(found(), None);
    backend.change(name("virbr0"), &change.mtu(1280)).expect("the MTU comes first");
    assert_eq!((found(), host_ipv6("virbr0")), (Some(HostIpv6::Manual), [0, 0, 0]));
}

fn is_never_more_than_the_defaults(backend: &Available) {
    run("sysctl", ["-q", "net.ipv6.conf.default.disable_ipv6=1"]);
    run(env!("CARGO_BIN_EXE_vmbridge"), ["--backend", backend.name, "create", "virbr0", "--up"]);
    assert_eq!(host_ipv6("virbr0"), [0, 0, 1]);
}
