//! Real guests on a bridge: QEMU without KVM, with the kernel and the busybox of Debian.

mod machine;

use std::ffi::OsStr;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;
use tempfile::TempDir;
use vmbridge::{
    Available, Backend, BridgeSpec, Bridges, Capability, ErrorKind, Guest, LinkState, Plugged, PortOptions,
    TapSpec, VnetHeader, plug,
};

use self::machine::{Image, Machine, Netdev};
use crate::helper::{OURS, own_etc, write_acl};
use crate::support::{
    Guarded, Registry, exists, in_namespace, ip, is_up, link, links, name, output, run, snapshot, sysfs, tests,
    wait_until,
};

const BRIDGE_MAC: &str = "52:54:00:00:00:99";
const HOST: &str = "192.0.2.1";

/// A guest's MAC, and the address that it gets for it.
struct Identity {
    mac: &'static str,
    address: &'static str,
}

const A: Identity = Identity { mac: "52:54:00:00:00:0a", address: "192.0.2.10" };
const B: Identity = Identity { mac: "52:54:00:00:00:0b", address: "192.0.2.11" };

type Case = fn(&Available, &Image);

const CASES: [(&str, Case); 2] = tests![two_on_a_bridge, on_a_persistent_tap];

pub(crate) fn register(registry: &Registry) {
    // It goes with the last of them.
    let image = Arc::new(OnceLock::new());
    let with_qemu = registry.needs("QEMU, Debian's kernel, busybox, cpio, setcap").on_host();
    for backend in vmbridge::AVAILABLE {
        for (path, case) in CASES {
            let image = Arc::clone(&image);
            with_qemu.add_with(path, &[backend.name], move || {
                let _turn = turn();
                let image = image.get_or_init(Image::build);
                in_namespace(|| case(backend, image));
            });
        }
    }
    registry.needs("the example arp, built").add(&tests![the_example_answers_arp]);
}

/// Not more than two guests at a time: each is worth a processor.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that does not outlive the thread that starts it, even when that is killed.
fn mortal(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// The bridge `br0` of a host that has an address on it and gives guests theirs.
struct Host {
    bridges: Box<dyn Backend>,
    dhcp: Guarded,
    _leases: TempDir,
}

impl Host {
    fn new(backend: &Available) -> Self {
        let bridges = (backend.open)().expect("it opens");
        let spec = BridgeSpec::new(name("br0")).mac(BRIDGE_MAC.parse().expect("a MAC")).link(LinkState::Up);
        bridges.create(&spec).expect("the name is free");
        ip(&format!("address add {HOST}/24 dev br0"));
        let leases = TempDir::new().expect("a directory can be made");
        let directory = leases.path().display();
        let guests = [A, B].map(|guest| format!("static_lease {} {}\n", guest.mac, guest.address)).concat();
        let text = format!(
            "interface br0\nlease_file {directory}/leases\npidfile {directory}/pid\noption subnet 255.255.255.0\n{guests}"
        );
        let configuration = leases.path().join("udhcpd.conf");
        fs::write(&configuration, text).expect("it can be written");
        fs::write(leases.path().join("leases"), "").expect("it can be written");
        let mut dhcp = mortal("/bin/busybox");
        dhcp.args(["udhcpd", "-f"]).arg(&configuration).stderr(Stdio::null());
        Self { bridges, dhcp: Guarded(dhcp.spawn().expect("setpriv is installed")), _leases: leases }
    }

    fn set_isolated(&self, port: &str, isolated: bool) {
        let options = PortOptions::default().isolated(isolated);
        self.bridges.change_port(name("br0"), name(port), &options).expect("it is a port");
    }

    /// Nothing is left of the guests.
    fn close(self, before: &str) {
        drop(self.dhcp);
        assert_eq!(ports("br0"), [""; 0]);
        self.bridges.delete(name("br0")).expect("it is a bridge");
        assert_eq!(snapshot(), before);
    }
}

/// The ports of a bridge, as `ip` has them.
fn ports(bridge: &str) -> Vec<String> {
    let mut ports: Vec<_> = links().into_iter().filter(|link| link["master"] == bridge).collect();
    ports.sort_by_key(|link| link["ifindex"].as_u64());
    ports.iter().map(|link| link["ifname"].as_str().expect("a name").to_owned()).collect()
}

/// Installs the helper for callers without a capability, and allows them `br0`.
fn install_helper() -> &'static Path {
    own_etc();
    write_acl("allow br0\n");
    // The host's directories for what is temporary may be mounted so that a file's capabilities do not count.
    let helper = Path::new("/etc/qemu/vmbridge-helper");
    // In a process of its own: a child of another thread would hold the file open for writing.
    run("cp", [OURS.as_ref(), helper.as_os_str()]);
    run("setcap", [Path::new("cap_net_admin=ep"), helper]);
    helper
}

impl Machine {
    /// Gets the guest its address by DHCP.
    fn get_address(&mut self, identity: &Identity) {
        let script = "printf '#!/bin/sh\\n[ $1 = bound ] && ip address add $ip/$mask dev $interface\\n' > /dhcp";
        self.run(&format!("{script} && chmod +x /dhcp && udhcpc -i eth0 -n -q -t 20 -T 1 -s /dhcp"));
        let addresses = self.run("ip -4 address show dev eth0");
        assert!(addresses.contains(&format!("inet {}/24", identity.address)), "{addresses}");
    }

    /// The guest reaches an address.
    #[track_caller]
    fn reaches(&mut self, address: &str) {
        let reached = self.succeeds(&format!("ping -c 1 -W 20 {address}"));
        assert!(reached, "{address} is not reached{}", self.said());
    }

    /// The guest does not reach an address.
    #[track_caller]
    fn misses(&mut self, address: &str) {
        let reached = self.succeeds(&format!("ping -c 2 -W 1 {address}"));
        assert!(!reached, "{address} is reached{}", self.said());
    }

    /// The MAC of the host, as the guest learns it now.
    fn mac_of_host(&mut self) -> String {
        self.run("ip neigh flush dev eth0");
        self.reaches(HOST);
        let table = self.run("cat /proc/net/arp");
        let mut fields = table.lines().map(|line| line.split_ascii_whitespace());
        let entry = fields.find_map(|mut fields| (fields.next() == Some(HOST)).then(|| fields.nth(2)).flatten());
        entry.unwrap_or_else(|| panic!("no entry in {table}")).to_owned()
    }

    fn set_mac(&mut self, mac: &str) {
        self.run(&format!(
            "ip link set dev eth0 down && ip link set dev eth0 address {mac} && ip link set dev eth0 up"
        ));
    }

    /// Whether QEMU offers the guest a feature of virtio-net, by its bit.
    fn has_feature(&mut self, bit: usize) -> bool {
        self.run("cat /sys/bus/virtio/devices/virtio0/features").as_bytes()[bit] == b'1'
    }
}

/// The bits of `VIRTIO_NET_F_CSUM`, which takes a `virtio_net_hdr`, and `VIRTIO_NET_F_MQ`, which takes
/// queues (`include/uapi/linux/virtio_net.h`).
const CSUM: usize = 0;
const MQ: usize = 22;

/// One through the bridge helper, one through a descriptor.
fn two_on_a_bridge(backend: &Available, image: &Image) {
    let before = snapshot();
    let host = Host::new(backend);
    let a = Machine::start(image, A.mac, Netdev::Helper(install_helper()));
    let plugged = plug_b(&*host.bridges);
    let b_port = plugged.tap.name().to_string();
    let tap = plugged.tap.into_queues().pop().expect("a queue");
    let b = Machine::start(image, B.mac, Netdev::Descriptor(tap));
    let (mut a, mut b) = (a.ready(), b.ready());
    let a_port = ports("br0").into_iter().find(|port| *port != b_port).expect("the helper made one");

    a.get_address(&A);
    b.get_address(&B);
    assert_eq!((a.has_feature(CSUM), b.has_feature(CSUM)), (true, true));
    assert_eq!(a.mac_of_host(), BRIDGE_MAC);

    isolated(&host, (&a_port, &mut a), (&b_port, &mut b));
    with_another_mac(&host, &mut a, &mut b);

    drop(b);
    wait_until("the tap goes with its guest", || !exists(&b_port));
    assert_eq!(a.mac_of_host(), BRIDGE_MAC);
    on_a_bridge_without_a_mac(&a_port, &mut a);

    drop(a);
    wait_until("the tap goes with its guest", || !exists(&a_port));
    host.close(&before);
}

/// Isolated, and where the backend can do that, bound to its MAC.
fn plug_b(bridges: &dyn Backend) -> Plugged {
    let guest = Guest::new(B.mac.parse().expect("a MAC"))
        .tap(TapSpec::new().vnet_hdr(VnetHeader::Legacy))
        .options(PortOptions::default().isolated(true));
    let plugged = if bridges.capabilities().contains(Capability::Locked) {
        plug(bridges, name("br0"), &guest.restricted())
    } else {
        let error = plug(bridges, name("br0"), &guest.clone().restricted()).expect_err("it cannot");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        plug(bridges, name("br0"), &guest)
    };
    let plugged = plugged.expect("it can be plugged in");
    let tap = link(&plugged.tap.name().to_string()).expect("it is there");
    assert_eq!((&tap["address"], &tap["master"]), (&"fe:54:00:00:00:0b".into(), &"br0".into()), "{tap}");
    assert!(is_up(&tap), "{tap}");
    plugged
}

/// Two isolated guests reach the host and not each other; else they do.
fn isolated(host: &Host, a: (&str, &mut Machine), b: (&str, &mut Machine)) {
    let ((a_port, a), (b_port, b)) = (a, b);
    host.set_isolated(a_port, true);
    for (guest, other) in [(&mut *a, &B), (&mut *b, &A)] {
        guest.reaches(HOST);
        guest.misses(other.address);
        guest.reaches(HOST);
    }
    host.set_isolated(a_port, false);
    host.set_isolated(b_port, false);
    a.reaches(B.address);
    b.reaches(A.address);
}

/// A guest that takes another MAC is reached under that, unless its port is bound to its own.
fn with_another_mac(host: &Host, a: &mut Machine, b: &mut Machine) {
    for (guest, identity, other, is_bound) in
        [(&mut *a, &A, &B, false), (&mut *b, &B, &A, host.bridges.capabilities().contains(Capability::Locked))]
    {
        guest.set_mac("52:54:00:00:00:ee");
        if is_bound {
            guest.misses(HOST);
            guest.misses(other.address);
        } else {
            guest.reaches(HOST);
            guest.reaches(other.address);
        }
        guest.set_mac(identity.mac);
        guest.reaches(HOST);
        guest.reaches(other.address);
    }
}

/// What it is all about: such a bridge has another MAC for the guest as soon as a lower port joins.
fn on_a_bridge_without_a_mac(port: &str, guest: &mut Machine) {
    ip("link add name plain type bridge");
    ip("link add name low address 02:00:00:00:00:01 type veth peer name peer");
    ip(&format!("link set dev {port} master plain"));
    ip("link set dev plain up");
    ip(&format!("address delete {HOST}/24 dev br0"));
    ip(&format!("address add {HOST}/24 dev plain"));
    assert_eq!(guest.mac_of_host(), sysfs(port, "address"));
    ip("link set dev low master plain");
    assert_eq!(guest.mac_of_host(), "02:00:00:00:00:01");
    ip("link delete dev plain");
    ip("link delete dev low");
}

/// A tap that the command made is there for QEMU, and is there afterwards.
fn on_a_persistent_tap(backend: &Available, image: &Image) {
    let vmbridge = |args: &str| {
        let args = args.split(' ');
        run(env!("CARGO_BIN_EXE_vmbridge"), ["--backend", backend.name].into_iter().chain(args))
    };
    let before = snapshot();
    let host = Host::new(backend);
    let create = format!("--bridge br0 --owner {} --guest-mac", nix::unistd::geteuid());
    vmbridge(&format!("tap create vnet0 --queues 2 --vnet-hdr {create} {}", A.mac));
    vmbridge(&format!("tap create vnet1 {create} {}", B.mac));

    let a = Machine::start(image, A.mac, Netdev::Name("vnet0", 2));
    let b = Machine::start_stopped(image, B.mac, Netdev::Name("vnet1", 1));
    wait_until("QEMU has opened the tap", || sysfs("vnet1", "carrier") == "1");
    let mut a = a.ready();
    a.get_address(&A);
    a.reaches(HOST);
    assert_eq!((a.has_feature(CSUM), a.has_feature(MQ)), (true, true));
    assert_eq!(ports("br0"), ["vnet0", "vnet1"]);

    drop((a, b));
    for (tap, mac) in [("vnet0", "fe:54:00:00:00:0a"), ("vnet1", "fe:54:00:00:00:0b")] {
        wait_until("QEMU has closed the tap", || sysfs(tap, "carrier") == "0");
        let state = link(tap).expect("it is there");
        assert_eq!((&state["address"], &state["master"]), (&mac.into(), &"br0".into()), "{state}");
        vmbridge(&format!("tap delete {tap}"));
    }
    host.close(&before);
}

/// The host resolves the address that the example answers for.
fn the_example_answers_arp() {
    let built = std::env::current_exe().expect("it has a path");
    let example = built.ancestors().nth(2).expect("it is in deps").join("examples/arp");
    let before = snapshot();
    ip("link add name br0 address 52:54:00:00:00:99 type bridge");
    ip("link set dev br0 up");
    ip(&format!("address add {HOST}/24 dev br0"));
    assert!(example.exists(), "it is built by `cargo build --example arp`");
    let arp = mortal(example).args(["br0", A.mac, A.address]).stdout(Stdio::null()).spawn();
    let arp = Guarded(arp.expect("setpriv is installed"));
    wait_until("it is plugged in", || !ports("br0").is_empty());
    let socket = UdpSocket::bind((HOST, 0)).expect("the address is there");
    wait_until("the host knows its MAC", || {
        socket.send_to(b"", (A.address, 9)).expect("it can be sent");
        let neighbours = output("ip", ["-j", "neighbour", "show", A.address]);
        let neighbours: Value = serde_json::from_slice(&neighbours.stdout).expect("JSON");
        neighbours[0]["lladdr"] == A.mac
    });
    drop(arp);
    wait_until("the tap goes with its process", || ports("br0").is_empty());
    ip("link delete dev br0");
    assert_eq!(snapshot(), before);
}
