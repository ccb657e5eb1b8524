//! Guests that come and go, through the library.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::num::NonZeroU16;
use std::path::PathBuf;

use libtest_mimic::Trial;
use nix::sched::{CloneFlags, unshare};
use vmbridge::{
    Available, BridgeBackend, BridgeSpec, Capability, Guest, InterfaceName, LinkState, PortOptions, TapSpec,
};
use vmbridge::{plug, unplug};

use crate::support::{snapshot, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let of = |backend: &'static Available| {
        trial(format!("plugging::{}::a_thousand_guests_leave_nothing", backend.name), || {
            a_thousand_guests_leave_nothing(backend);
        })
    };
    vmbridge::AVAILABLE.iter().map(of).collect()
}

fn bridge() -> InterfaceName {
    "virbr0".parse().expect("a name")
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
fn guest(backend: &dyn BridgeBackend, number: u16) -> Guest {
    let [high, low] = number.to_be_bytes();
    let mac = vmbridge::MacAddr::new([0x52, 0x54, 0, 2, high, low]);
    let mut tap = TapSpec::new().queues(NonZeroU16::new(1 + number % 3).expect("not zero"));
    if number % 2 == 0 {
        tap = tap.name(format!("vnet{number}").parse().expect("a name")).vnet_hdr();
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
    let spec = BridgeSpec::new(bridge()).mac("52:54:00:01:02:03".parse().expect("a MAC")).link(LinkState::Up);
    backend.create(&spec).expect("the name is free");
    // The first tap opens what the backend keeps open.
    drop(plug(&*backend, bridge(), &guest(&*backend, 1)).expect("it can be plugged in"));

    let before = (snapshot(), descriptors());
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
    assert_eq!((snapshot(), descriptors()), before);
}
