//! Taps, in what only Linux has: namespaces, alternative names, owners, frames.

use std::fs;
use std::io::{Read, Write};
use std::num::NonZeroU16;

use nix::mount::{MsFlags, mount};
use vmbridge::{Available, Bridges, ErrorKind, LinkState, Tap, TapChange, TapSpec, UnicastMac, VnetHeader};

use crate::support::{
    Registry, enter_namespace, exists, ip, lacks_users, link, name, open, run, snapshot, sysfs, tests, wait_until,
};

pub(crate) fn register(registry: &Registry) {
    registry.add_on_each_backend(&tests![
        are_of_the_namespace_of_the_handle,
        have_alternative_names,
        carry_frames,
        need_their_driver,
        wait_for_a_program_that_is_being_started,
        leave_nothing,
    ]);
    registry.needs(lacks_users()).add_on_each_backend(&tests![belong_to_their_owner]);
}

fn mac() -> UnicastMac {
    "fe:54:00:01:02:03".parse().expect("a MAC")
}

fn vnet0() -> TapSpec {
    TapSpec::new().name(name("vnet0"))
}

fn queues(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not zero")
}

/// A handle that was opened here works here, also when another thread in another namespace uses it.
fn are_of_the_namespace_of_the_handle(backend: &Available) {
    let bridges = open(backend);
    let tap = std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            enter_namespace();
            let before = fs::read_link("/proc/thread-self/ns/net").expect("it is there");
            let tap = bridges.create_tap(&vnet0().mac(mac()).mtu(1400).queues(queues(2))).expect("it can be made");
            bridges.persist_tap(&tap).expect("it can be kept");
            assert!(!exists("vnet0"), "it is not here");
            assert_eq!(fs::read_link("/proc/thread-self/ns/net").expect("it is there"), before);
            assert_eq!(bridges.taps().expect("it lists").len(), 1);
            bridges.change_tap(name("vnet0"), &TapChange::default().mtu(1300)).expect("it can be changed");
            drop(tap);
            let adopt = vnet0().adopt_existing().queues(queues(2));
            let tap = bridges.create_tap(&adopt).expect("it can be adopted");
            assert_eq!(open(backend).taps().expect("it lists"), []);
            tap
        });
        elsewhere.join().expect("no panic")
    });
    let seen = link("vnet0").expect("it was created here");
    assert_eq!((&seen["address"], &seen["mtu"]), (&mac().to_string().into(), &1300.into()));
    drop(tap);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            enter_namespace();
            // One that is not to be hit.
            ip("tuntap add dev vnet0 mode tap multi_queue");
            bridges.delete_tap(name("vnet0")).expect("nobody has it open");
            assert!(exists("vnet0"));
        });
    });
    assert!(!exists("vnet0"));
}

fn have_alternative_names(backend: &Available) {
    let bridges = open(backend);
    let tap = bridges.create_tap(&vnet0().mac(mac())).expect("it can be made");
    bridges.persist_tap(&tap).expect("it can be kept");
    drop(tap);
    ip("link property add dev vnet0 altname the-first-guest");
    let alternative = name("the-first-guest");
    let taken = bridges.create_tap(&TapSpec::new().name(alternative)).map(drop);
    assert_eq!(taken.map_err(|error| error.kind()), Err(ErrorKind::TapExists));
    let adopt = TapSpec::new().name(alternative).adopt_existing().mtu(1400);
    let tap = bridges.create_tap(&adopt).expect("it can be adopted");
    assert_eq!(tap.name(), name("vnet0"), "its own name");
    drop(tap);
    bridges.change_tap(alternative, &TapChange::default().link(LinkState::Up)).expect("it can be changed");
    assert_eq!(link("vnet0").expect("it is there")["mtu"], 1400);
    bridges.delete_tap(alternative).expect("nobody has it open");
    assert!(!exists("vnet0"));
}

/// An Ethernet frame to everyone, of an experimental type (IEEE 802).
fn frame(text: &[u8]) -> Vec<u8> {
    [&[0xff; 6][..], &[0x52, 0x54, 0, 1, 2, 3], &[0x88, 0xb5], text, &[0; 46]].concat()
}

fn stream(tap: &Tap) -> fs::File {
    fs::File::from(tap.queues()[0].try_clone().expect("it is open"))
}

/// What is written to one tap arrives at another through a bridge.
fn carry_frames(backend: &Available) {
    let bridges = open(backend);
    let bridge = name("virbr0");
    bridges.create(&vmbridge::BridgeSpec::new(bridge).mac(mac()).link(LinkState::Up)).expect("the name is free");
    let plug = |spec: TapSpec| {
        let tap = bridges.create_tap(&spec).expect("it can be made");
        bridges.add_port(bridge, tap.name()).expect("it can be a port");
        bridges.change_tap(tap.name(), &TapChange::default().link(LinkState::Up)).expect("it can be changed");
        tap
    };
    let (bare, with_header) = (plug(TapSpec::new()), plug(TapSpec::new().vnet_hdr(VnetHeader::Legacy)));
    wait_until("both ports forward", || {
        let forwards = |tap: &Tap| sysfs(&tap.name().to_string(), "brport/state") == "3";
        forwards(&bare) && forwards(&with_header)
    });
    // The kernel has frames of its own for whoever is there, such as those of IPv6.
    let receive = |tap: &Tap, wanted: &[u8]| {
        let mut buffer = [0; 2048];
        loop {
            let len = stream(tap).read(&mut buffer).expect("a frame");
            if buffer[..len].ends_with(wanted) {
                return len - wanted.len();
            }
        }
    };
    stream(&bare).write_all(&frame(b"there")).expect("it is up");
    assert_eq!(receive(&with_header, &frame(b"there")), 10, "behind a virtio_net_hdr");
    let header = [0; 10];
    stream(&with_header).write_all(&[&header[..], &frame(b"and back")].concat()).expect("it is up");
    assert_eq!(receive(&bare, &frame(b"and back")), 0);
}

fn need_their_driver(backend: &Available) {
    let bridges = open(backend);
    let before = snapshot();
    mount(Some("tmpfs"), "/dev/net", Some("tmpfs"), MsFlags::empty(), None::<&str>)
        .expect("a tmpfs can be mounted");
    let error = bridges.create_tap(&vnet0().mac(mac())).map(drop).expect_err("there is no device");
    assert_eq!(error.kind(), ErrorKind::NoDriver, "{error}");
    assert_eq!(vmbridge::hint(&error), Some("load the kernel module first: modprobe tun"));
    assert_eq!(snapshot(), before);
}

/// A process has every descriptor of its parent until it executes another program: a tap that was
/// just closed may be open for a moment.
fn wait_for_a_program_that_is_being_started(backend: &Available) {
    let bridges = open(backend);
    std::thread::scope(|scope| {
        let starts = scope.spawn(|| {
            for _ in 0..300 {
                run("true", [""; 0]);
            }
        });
        while !starts.is_finished() {
            let tap = bridges.create_tap(&vnet0().queues(queues(2))).expect("it can be made");
            bridges.persist_tap(&tap).expect("it can be kept");
            drop(tap);
            bridges.delete_tap(name("vnet0")).expect("nobody has it open for long");
            assert_eq!(link("vnet0"), None);
            let refused = bridges.create_tap(&vnet0().queues(queues(2)).mtu(1)).expect_err("it is refused");
            assert_eq!(refused.kind(), ErrorKind::InvalidMtu, "{refused}");
            assert_eq!(link("vnet0"), None);
        }
    });
}

/// In a process of its own: the other tests open descriptors, too.
fn leave_nothing(backend: &Available) {
    let before = snapshot();
    let program = std::env::current_exe().expect("it has a path");
    run(program.to_str().expect("UTF-8"), ["--leave-nothing", backend.name, ""]);
    assert_eq!(snapshot(), before);
}

/// Does the work of the process that [`leave_nothing`] starts, and returns whether this is that process.
pub(crate) fn ran_as_child() -> bool {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, backend, _] = &args[..] else { return false };
    if mode != "--leave-nothing" {
        return false;
    }
    let backend = vmbridge::AVAILABLE.iter().find(|other| other.name == backend).expect("it is compiled in");
    let bridges = open(backend);
    let descriptors = || fs::read_dir("/proc/self/fd").expect("it is there").count();
    // What is opened once and for all.
    drop(bridges.create_tap(&vnet0().mac(mac())).expect("it can be made"));
    let before = (descriptors(), snapshot());
    for number in 0..1000 {
        let several = if number % 100 == 0 { 4 } else { 1 };
        let spec = vnet0().mac(mac()).mtu(1400).queues(queues(several));
        drop(bridges.create_tap(&spec).expect("it can be made"));
        drop(bridges.create_tap(&spec.mtu(1)).expect_err("it is refused"));
    }
    assert_eq!((descriptors(), snapshot()), before);
    let threads = fs::read_dir("/proc/self/task").expect("it is there").count();
    assert_eq!(threads, 1);
    true
}

/// Without privilege, a tap can be opened, and deleted, by its owner, by its group, and if it has
/// neither by everyone: that is the kernel's rule (`tun_not_capable()`).
fn belong_to_their_owner(backend: &Available) {
    use caps::{CapSet, Capability};

    let bridges = open(backend);
    let leave = |spec: &TapSpec| {
        bridges.persist_tap(&bridges.create_tap(spec).expect("it can be made")).expect("it can be kept");
    };
    leave(&vnet0().owner(12345).mac(mac()));
    leave(&TapSpec::new().name(name("vnet1")).owner(0).group(12345));
    leave(&TapSpec::new().name(name("vnet2")));
    leave(&TapSpec::new().name(name("vnet3")).owner(0).queues(queues(2)).mac(mac()));
    caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN).expect("a capability can be dropped");
    let before = snapshot();
    for foreign in [vnet0(), TapSpec::new().name(name("vnet1"))] {
        let tap = foreign.name.expect("it has a name");
        let opened = bridges.create_tap(&foreign.adopt_existing().mac(mac()).mtu(1400)).map(drop);
        assert_eq!(opened.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied), "{tap}");
        let deleted = bridges.delete_tap(tap);
        assert_eq!(deleted.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied), "{tap}");
    }
    let own = TapSpec::new().name(name("vnet3")).adopt_existing().queues(queues(2));
    let higher = bridges.create_tap(&own.clone().mtu(1600)).map(drop);
    assert_eq!(
        higher.map_err(|error| error.kind()),
        Err(ErrorKind::PermissionDenied),
        "the MTU is not the owner's"
    );
    assert_eq!(snapshot(), before);
    // The MAC is.
    let tap = bridges.create_tap(&own.mac("fe:54:00:00:00:09".parse().expect("a MAC")).mtu(1500));
    drop(tap.expect("it is one's own"));
    for tap in ["vnet2", "vnet3"] {
        bridges.delete_tap(name(tap)).expect("it is one's own, or everyone's");
        assert!(!exists(tap));
    }
    caps::raise(None, CapSet::Effective, Capability::CAP_NET_ADMIN).expect("it is still permitted");
}
