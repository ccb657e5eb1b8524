//! Backends among namespaces, many interfaces and odd names.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, socket};
use vmbridge::{Available, BridgeSpec, Bridges, UnicastMac, Wake};

use crate::support::{Registry, batch, enter_namespace, exists, ip, link, name, open, run, sysfs, tests};

/// Longer than any kernel needs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn register(registry: &Registry) {
    registry.add_on_each_backend(&tests![
        a_handle_stays_in_its_namespace,
        a_mac_is_set_and_not_only_assigned,
        takes_an_interface_by_a_name_that_is_no_utf8,
        events_are_those_of_the_handles_namespace,
        events_that_were_lost_are_told,
        lists_while_others_come_and_go,
        no_process_can_send_to_its_sockets,
    ]);
    registry.add(&tests![lists_more_bridges_than_one_call_tells]);
}

fn mac() -> UnicastMac {
    "52:54:00:01:02:03".parse().expect("a MAC")
}

/// A handle that was opened here works here, also when another thread in another namespace uses it.
fn a_handle_stays_in_its_namespace(backend: &Available) {
    ip("link add name tap0 type veth peer name tap1");
    let bridges = open(backend);
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            enter_namespace();
            bridges.create(&BridgeSpec::new(name("virbr0")).mac(mac())).expect("the name is free");
            bridges.add_port(name("virbr0"), name("tap0")).expect("it can be a port");
            assert_eq!(bridges.list().expect("it lists").len(), 1);
            assert_eq!(bridges.interfaces().expect("it lists").len(), 4);
            assert!(!exists("virbr0"));
            assert_eq!(open(backend).list().expect("it lists"), []);
        });
        elsewhere.join().expect("no panic");
    });
    assert_eq!(link("virbr0").expect("it was created here")["address"], mac().to_string());
    assert_eq!(link("tap0").expect("it is there")["master"], "virbr0");
}

/// 3 is `NET_ADDR_SET`: the bridge does not follow its ports, and udev leaves it alone.
fn a_mac_is_set_and_not_only_assigned(backend: &Available) {
    let bridges = open(backend);
    bridges.create(&BridgeSpec::new(name("virbr0")).mac(mac())).expect("the name is free");
    bridges.create(&BridgeSpec::new(name("virbr1"))).expect("the name is free");
    assert_eq!(sysfs("virbr0", "addr_assign_type"), "3");
    assert_eq!(sysfs("virbr1", "addr_assign_type"), "1");
}

/// They are followed from another thread in another namespace, too.
fn events_are_those_of_the_handles_namespace(backend: &Available) {
    ip("link add name tap0 type veth peer name tap1");
    let bridges = open(backend);
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            enter_namespace();
            let events = bridges.events().expect("it can be followed");
            ip("link add name tap0 type veth peer name tap1");
            assert_eq!(events.wait(Duration::ZERO).expect("no error"), Wake::TimedOut);
            events
        });
        let events = elsewhere.join().expect("no panic");
        ip("link set dev tap0 mtu 1400");
        assert_eq!(events.wait(PATIENCE).expect("no error"), Wake::Changed);
    });
}

/// More than the socket holds (`ENOBUFS`).
fn events_that_were_lost_are_told(backend: &Available) {
    let bridges = open(backend);
    let events = bridges.events().expect("it can be followed");
    let rest = || while events.wait(Duration::from_millis(1)).expect("no error") == Wake::Changed {};
    let socket = File::from(events.as_fd().try_clone_to_owned().expect("a descriptor is left"));
    let inode = socket.metadata().expect("it is open").ino().to_string();
    // `Inode` is the last column, and `Drops` the one before the last (net/netlink/af_netlink.c).
    let lost = || {
        let sockets = fs::read_to_string("/proc/thread-self/net/netlink").expect("it is there for everyone");
        let mut columns = sockets.lines().map(|line| line.split_whitespace().rev());
        let mut own = columns.find(|columns| columns.clone().next() == Some(&*inode)).expect("it is in the list");
        own.nth(1).expect("a column").parse::<u64>().expect("a number")
    };
    assert_eq!(lost(), 0);
    let many = (0..500).map(|number| format!("link add name many{number} type veth peer name more{number}"));
    batch("ip", &many.collect::<Vec<_>>().join("\n"));
    assert!(lost() > 0);
    assert_eq!(events.wait(Duration::ZERO).expect("no error"), Wake::Changed);
    rest();
    ip("link set dev many7 mtu 1400");
    assert_eq!(events.wait(PATIENCE).expect("no error"), Wake::Changed);
    rest();
}

/// Neither a forged answer nor a forged event: the kernel refuses them (`ECONNREFUSED`).
fn no_process_can_send_to_its_sockets(backend: &Available) {
    let bridges = open(backend);
    let events = bridges.events().expect("it can be followed");
    // Those of the kernel have the port 0.
    let sockets = fs::read_to_string("/proc/thread-self/net/netlink").expect("it is there for everyone");
    let sockets = sockets.lines().skip(1).map(|line| line.split_whitespace().skip(1));
    let sockets = sockets.map(|mut columns| [(); 2].map(|()| columns.next().expect("a column").parse::<u32>()));
    let [route, uevent] = [SockProtocol::NetlinkRoute, SockProtocol::NetlinkKObjectUEvent];
    let mut refused = Vec::new();
    for socket in sockets {
        let [protocol, port] = socket.map(|number| number.expect("a number"));
        let Some(protocol) = [route, uevent].into_iter().find(|&known| known as u32 == protocol) else { continue };
        if port != 0 {
            assert_eq!(send(protocol, port), Err(Errno::ECONNREFUSED), "{protocol:?}");
            refused.push(protocol);
        }
    }
    // Both backends follow the events of rtnetlink, and each has one more socket.
    refused.sort_by_key(|&protocol| protocol as u32);
    assert_eq!(refused, if backend.name == "netlink" { [route, route] } else { [route, uevent] });
    assert_eq!(events.wait(Duration::ZERO).expect("no error"), Wake::TimedOut);
    bridges.create(&BridgeSpec::new(name("virbr0")).mac(mac())).expect("the name is free");
    assert_eq!(events.wait(PATIENCE).expect("no error"), Wake::Changed);
}

/// Sends an acknowledgement, as the kernel does, to the socket of this port.
fn send(protocol: SockProtocol, port: u32) -> nix::Result<usize> {
    let socket = socket(AddressFamily::Netlink, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?;
    let mut message = [0; 36];
    (message[0], message[4], message[8]) = (36, 2, 1);
    sendto(socket.as_raw_fd(), &message, &NetlinkAddr::new(port, 0), MsgFlags::empty())
}

/// `BRCTL_GET_BRIDGES` tells of 2047 at most, without a word about the rest.
fn lists_more_bridges_than_one_call_tells() {
    const BRIDGES: usize = 2050;
    let create: Vec<String> = (0..BRIDGES).map(|number| format!("link add name br{number} type bridge")).collect();
    batch("ip", &create.join("\n"));
    ip("link add name tap0 type veth peer name tap1");
    let bridges = vmbridge::platform::linux::IoctlBackend::open().expect("it opens");
    let list = bridges.list().expect("it lists");
    assert_eq!(list.len(), BRIDGES);
    assert!(list.iter().enumerate().all(|(number, bridge)| bridge.name == name(&format!("br{number}"))));
}

/// Linux takes any bytes but a few; an interface of someone else's must not spoil a list.
fn takes_an_interface_by_a_name_that_is_no_utf8(backend: &Available) {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff\xfe");
    let add = ["link", "add", "name"].map(std::ffi::OsStr::new);
    run("ip", add.into_iter().chain([odd]).chain(["type", "bridge"].map(std::ffi::OsStr::new)));
    let bridges = open(backend);
    let list = bridges.list().expect("it lists");
    assert_eq!(list[0].name.as_bytes(), odd.as_bytes());
    bridges.delete(list[0].name).expect("it is a bridge");
    assert_eq!(bridges.list().expect("it lists"), []);
}

/// What comes, goes and changes its name while the list is read is in it or not; what stays is in it.
fn lists_while_others_come_and_go(backend: &Available) {
    ip("link add name virbr0 address 52:54:00:01:02:03 type bridge");
    // So many that the kernel tells of them in several parts, with changes in between.
    let many = (0..100).map(|number| format!("link add name many{number} type veth peer name more{number}"));
    batch("ip", &many.collect::<Vec<_>>().join("\n"));
    let come_and_go = (0..20).flat_map(|number| {
        [
            format!("link add name tap{number} type veth peer name peer{number}"),
            format!("link add name other{number} type bridge"),
            format!("link set dev peer{number} name reep{number}"),
            format!("link delete dev tap{number}"),
            format!("link delete dev other{number}"),
        ]
    });
    let come_and_go = come_and_go.collect::<Vec<_>>().join("\n");

    let stays = name("virbr0");
    let bridges = open(backend);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for round in 0..300 {
                let list = bridges.list().unwrap_or_else(|error| panic!("round {round}: {error}"));
                assert!(list.iter().any(|bridge| bridge.name == stays && bridge.mac == mac()), "{list:?}");
                let all = bridges.interfaces().unwrap_or_else(|error| panic!("round {round}: {error}"));
                assert!(all.iter().any(|other| other.name == stays && other.mac == Some(mac().into())), "{all:?}");
            }
        });
        while !reader.is_finished() {
            batch("ip", &come_and_go);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
