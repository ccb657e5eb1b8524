//! Guests that come and go, through the library.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::num::NonZeroU16;
use std::path::PathBuf;

use nix::sched::{CloneFlags, unshare};
use vmbridge::{
    Available, Backend, BridgeSpec, Bridges, Capability, ErrorKind, Guest, InterfaceName, LinkState, PortOptions,
    TapSpec, VnetHeader,
};
use vmbridge::{plug, unplug};

use crate::support::{Registry, exists, ip, link, name, snapshot, sysfs, tests, wait_until};

pub(crate) fn register(registry: &Registry) {
    registry.add_on_each_backend(&tests![
        a_thousand_guests_leave_nothing,
        a_tap_that_others_could_open_is_roots,
        an_adopted_tap_is_given_back,
        a_renamed_tap_is_unplugged,
    ]);
}

fn bridge() -> InterfaceName {
    "virbr0".parse().expect("a name")
}

fn create_bridge(backend: &dyn Backend) {
    let spec = BridgeSpec::new(bridge()).mac("52:54:00:01:02:03".parse().expect("a MAC")).link(LinkState::Up);
    backend.create(&spec).expect("the name is free");
}

/// What this thread has open, once it shares its descriptors with no other.
fn descriptors() -> BTreeMap<OsString, PathBuf> {
    let open = fs::read_dir("/proc/thread-self/fd").expect("it can be read");
    let of = |entry: fs::DirEntry| Some((entry.file_name(), fs::read_link(entry.path()).ok()?));
    // But for the one that it is read by.
    let all = open.filter_map(|entry| of(entry.expect("an entry")));
    all.filter(|(_, path)| !path.starts_with("/proc") || path.file_name() != Some("fd".as_ref())).collect()
}

/// Some by closing their descriptors, some persistent, some of several queues.
fn guest(backend: &dyn Backend, number: u16) -> Guest {
    let [high, low] = number.to_be_bytes();
    let mac = vmbridge::MacAddr::new([0x52, 0x54, 0, 2, high, low]);
    let mut tap = TapSpec::new().queues(NonZeroU16::new(1 + number % 3).expect("not zero"));
    if number % 2 == 0 {
        tap = tap.name(format!("vnet{number}").parse().expect("a name")).vnet_hdr(VnetHeader::Legacy);
    }
    let mut guest = Guest::new(mac.try_into().expect("of one station")).tap(tap);
    guest = guest.options(PortOptions::default().isolated(true));
    if backend.capabilities().contains(Capability::FdbStatic) {
        guest = guest.restricted();
    }
    if number % 5 == 0 { guest.persistent() } else { guest }
}

fn a_thousand_guests_leave_nothing(backend: &Available) {
    unshare(CloneFlags::CLONE_FILES).expect("a thread can have descriptors of its own");
    let backend = (backend.open)().expect("it opens");
    create_bridge(&*backend);
    // The first tap opens what the backend keeps open.
    drop(plug(&*backend, bridge(), &guest(&*backend, 1)).expect("it can be plugged in"));

    // The kernel notes a little later that the last port has gone.
    let at_rest = || {
        wait_until("it has no carrier", || sysfs("virbr0", "operstate") == "down");
        (snapshot(), descriptors())
    };
    let before = at_rest();
    let mut there = Vec::new();
    for number in 0..1000 {
        there.push(plug(&*backend, bridge(), &guest(&*backend, number)).expect("it can be plugged in").tap);
        // Ten at a time, the first to come the first to go.
        if there.len() == 10 {
            unplug(&*backend, there.remove(0)).expect("it can be unplugged");
        }
    }
    assert_eq!(backend.ports(bridge()).expect("it is there").len(), 9);
    for tap in there {
        unplug(&*backend, tap).expect("it can be unplugged");
    }
    assert_eq!(at_rest(), before);
}

/// What is nobody's is everyone's.
fn a_tap_that_others_could_open_is_roots(backend: &Available) {
    let backend = (backend.open)().expect("it opens");
    create_bridge(&*backend);
    let guest = Guest::new("52:54:00:00:00:08".parse().expect("a MAC"));
    let of = |queues| TapSpec::new().queues(NonZeroU16::new(queues).expect("not zero"));
    let owner = |guest: Guest| {
        let plugged = plug(&*backend, bridge(), &guest).expect("it can be plugged in");
        let owner = sysfs(&plugged.tap.name().to_string(), "owner");
        unplug(&*backend, plugged.tap).expect("it can be unplugged");
        owner
    };
    assert_eq!(owner(guest.clone().tap(of(2))), "0", "another queue could be opened");
    assert_eq!(owner(guest.clone().persistent()), "0", "it could be opened when it is closed");
    assert_eq!(owner(guest.tap(of(1))), "-1", "nobody else can open it");
}

/// Also one that is asked for by its alternative name.
fn an_adopted_tap_is_given_back(backend: &Available) {
    let backend = (backend.open)().expect("it opens");
    create_bridge(&*backend);
    ip("link add name br1 address 52:54:00:01:02:04 type bridge");
    ip("tuntap add dev vnet0 mode tap vnet_hdr user 0");
    ip("link set dev vnet0 address 02:00:00:00:00:07 mtu 1300 master br1");
    ip("link property add dev vnet0 altname the-first-guest");
    let look = || (snapshot(), link("vnet0"));
    let before = look();
    for tap in ["vnet0", "the-first-guest"] {
        let guest = Guest::new("52:54:00:00:00:08".parse().expect("a MAC"));
        let guest = guest.tap(TapSpec::new().name(name(tap)).adopt_existing()).persistent();
        let error = plug(&*backend, bridge(), &guest).expect_err("it is a port of another bridge");
        assert_eq!(error.kind(), ErrorKind::PortBusy, "{error}");
        assert_eq!(look(), before, "{tap}");
    }
}

/// And another that has its name now is not.
fn a_renamed_tap_is_unplugged(backend: &Available) {
    let backend = (backend.open)().expect("it opens");
    create_bridge(&*backend);
    let guest = Guest::new("52:54:00:00:00:08".parse().expect("a MAC"));
    let guest = guest.tap(TapSpec::new().name(name("vnet0"))).persistent();
    let plugged = plug(&*backend, bridge(), &guest).expect("it can be plugged in");
    ip("link set dev vnet0 down");
    ip("link set dev vnet0 name vnet1");
    ip("tuntap add dev vnet0 mode tap");
    unplug(&*backend, plugged.tap).expect("it can be unplugged");
    assert!(exists("vnet0") && !exists("vnet1"));
}
