//! Watching on the model, whose time is what the tests say.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::tests::{Meddling, host, meddle, meddling, networks, plain};
use super::*;
use crate::faults::Fault;
use crate::network::{Drift, DriftStatus, Occupied, ResolvedNetwork, start, status};
use crate::testing::{Host, mac, name};
use crate::{
    BridgeChange, BridgeOptions, Bridges, InterfaceName, TapSpec, UnicastMac, restrict_to_mac, restricted_ports,
};

const SECOND: Duration = Duration::from_secs(1);

fn limited(at_once: u32, interval: Duration) -> RepairPolicy {
    RepairPolicy::Limited(RepairLimit::new(NonZeroU32::new(at_once).expect("not zero"), interval))
}

fn read(host: &Host, network: &ResolvedNetwork) -> DriftStatus {
    status(host, network).expect("it can be read")
}

/// A host with a network that is started, and what a watch says of it at a second.
struct Watching {
    host: Host,
    network: ResolvedNetwork,
    watch: DriftTracker,
    start: Instant,
}

impl Watching {
    fn new(repair: RepairPolicy) -> Self {
        let (host, network) = (host(), plain());
        start(&host, &network).expect("it can be started");
        Self { host, network, watch: DriftTracker::new(repair), start: Instant::now() }
    }

    fn change(&self, change: &BridgeChange) {
        self.host.inner().change(name("virbr0"), change).expect("it can be changed");
    }

    fn check(&mut self, second: u32) -> Vec<String> {
        let events = self.watch.check(&self.host, [&self.network], self.start + second * SECOND);
        let text = |event: NetworkEvent| {
            event.to_string().strip_prefix("network default: ").expect("its name").to_owned()
        };
        events.into_iter().map(text).collect()
    }
}

#[test]
fn says_each_change_once() {
    let mut watching = Watching::new(RepairPolicy::Never);
    let nothing: [&str; 0] = [];
    assert_eq!(watching.check(0), nothing);

    watching.change(&BridgeChange::default().mtu(1300).options(BridgeOptions::default().stp(false)));
    assert_eq!(watching.check(0), ["mtu is 1300, defined as 1400", "stp is off, defined as on"]);
    assert_eq!(watching.check(0), nothing);
    watching.change(&BridgeChange::default().mtu(1290));
    assert_eq!(watching.check(0), ["mtu is 1290, defined as 1400"]);
    watching.change(&BridgeChange::default().mtu(1400).mac(mac(9)));
    let moved = ["mtu is 1400 again", "mac is 52:54:00:00:00:09, defined as 52:54:00:00:00:01"];
    assert_eq!(watching.check(0), moved);

    watching.host.inner().delete(name("virbr0")).expect("it is there");
    assert_eq!(watching.check(0), ["bridge virbr0 is gone"]);
    assert_eq!(watching.check(0), nothing);
    watching.host.inner().add_interface(name("virbr0"), mac(7)).expect("the name is free");
    let occupied = "the name virbr0 is in use, by an interface that is no bridge";
    assert_eq!(watching.check(0), [occupied]);
    assert_eq!(watching.check(0), nothing);
    watching.host.inner().remove_interface(name("virbr0")).expect("it is there");
    let vacated = "the name virbr0 is no longer in use by an interface that is no bridge";
    assert_eq!(watching.check(0), [vacated, "bridge virbr0 is gone"]);
    start(&watching.host, &watching.network).expect("it can be started");
    assert_eq!(watching.check(0), ["bridge virbr0 is back"]);
    assert_eq!(watching.check(0), nothing);
}

#[test]
fn puts_right_and_says_so() {
    let mut watching = Watching::new(limited(5, 10 * SECOND));
    watching.change(&BridgeChange::default().mtu(1300).options(BridgeOptions::default().stp(false)));
    let repaired = ["mtu is 1300, defined as 1400", "stp is off, defined as on", "repaired: mtu, stp"];
    assert_eq!(watching.check(0), repaired);
    assert_eq!(read(&watching.host, &watching.network), DriftStatus::AsDefined);
    watching.host.inner().delete(name("virbr0")).expect("it is there");
    assert_eq!(watching.check(0), ["bridge virbr0 is gone", "repaired: bridge virbr0 created again"]);
    assert_eq!(read(&watching.host, &watching.network), DriftStatus::AsDefined);
    assert_eq!(watching.check(0).len(), 0);
}

#[test]
fn puts_nothing_in_the_place_of_what_is_no_bridge() {
    let mut watching = Watching::new(limited(1, 10 * SECOND));
    watching.host.inner().delete(name("virbr0")).expect("it is there");
    watching.host.inner().add_interface(name("virbr0"), mac(7)).expect("the name is free");
    assert_eq!(watching.check(0), ["the name virbr0 is in use, by an interface that is no bridge"]);
    assert_eq!(watching.check(0).len(), 0);
    watching.host.inner().remove_interface(name("virbr0")).expect("it is there");
    assert_eq!(watching.check(0).last().expect("news"), "repaired: bridge virbr0 created again");
}

#[test]
fn pauses_when_that_was_too_often_and_goes_on() {
    let mut watching = Watching::new(limited(2, 10 * SECOND));
    let meddle = |watching: &Watching| watching.change(&BridgeChange::default().mtu(1300));
    let (drifted, repaired) = ("mtu is 1300, defined as 1400", "repaired: mtu");
    for _ in 0..2 {
        meddle(&watching);
        assert_eq!(watching.check(1), [drifted, repaired]);
        assert_eq!(watching.watch.pause(watching.start + SECOND), None);
    }
    meddle(&watching);
    assert_eq!(watching.check(1), [drifted, "repaired too often, paused for 10 s"]);
    assert_eq!(watching.check(4).len(), 0);
    assert_eq!(watching.watch.pause(watching.start + 5 * SECOND), Some(6 * SECOND));
    assert_eq!(watching.watch.pause(watching.start + 50 * SECOND), Some(Duration::ZERO));
    assert_eq!(watching.check(11), [repaired]);
    assert_eq!(watching.watch.pause(watching.start + 11 * SECOND), None);

    // It need not come to that.
    meddle(&watching);
    assert_eq!(watching.check(12), [drifted, "repaired too often, paused for 9 s"]);
    watching.change(&BridgeChange::default().mtu(1400));
    assert_eq!(watching.check(13), ["mtu is 1400 again"]);
    assert_eq!(watching.watch.pause(watching.start + 13 * SECOND), None);
}

/// A thousand changes, ten a second, against ten repairs and then one in 5 s.
#[test]
fn a_fight_is_limited() {
    let mut watching = Watching::new(limited(10, 5 * SECOND));
    let mut repairs = Vec::new();
    for tenth in 0..1000_u32 {
        watching.change(&BridgeChange::default().mac(mac(9)));
        let now = watching.start + tenth * SECOND / 10;
        watching.watch.check(&watching.host, [&watching.network], now);
        if read(&watching.host, &watching.network) == DriftStatus::AsDefined {
            repairs.push(tenth);
        }
    }
    assert!(repairs.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 50, 100]), "{repairs:?}");
    assert_eq!(repairs.len(), 10 + 99 / 5);
}

#[test]
fn says_once_what_it_cannot_do_and_tries_again() {
    let watching = Watching::new(limited(5, SECOND));
    watching.change(&BridgeChange::default().mtu(1300));
    let fails = || watching.host.fail(0, Fault::Refused);
    fails();
    let mut watch = DriftTracker::new(limited(5, SECOND));
    let mut look = || {
        let events = watch.check(&watching.host, [&watching.network], watching.start);
        events.iter().map(|event| event.kind.to_string()).collect::<Vec<_>>()
    };
    let said = look();
    assert_eq!(said[0], "mtu is 1300, defined as 1400");
    assert!(said[1].starts_with("it cannot be repaired: "), "{said:?}");
    assert_eq!(said.len(), 2);
    fails();
    assert_eq!(look().len(), 0);
    assert_eq!(look(), ["repaired: mtu"]);
}

#[test]
fn forgets_what_is_not_watched_any_longer() {
    let mut watching = Watching::new(RepairPolicy::Never);
    watching.host.inner().delete(name("virbr0")).expect("it is there");
    assert_eq!(watching.check(0).len(), 1);
    assert_eq!(watching.watch.check(&watching.host, [], watching.start).len(), 0);
    start(&watching.host, &watching.network).expect("it can be started");
    assert_eq!(watching.check(0).len(), 0);
}

/// A watch of a network whose bridge has the port `tap0`, restricted to MAC 7.
fn watching_a_restricted_port(repair: RepairPolicy) -> Watching {
    let watching = Watching::new(repair);
    let host = watching.host.inner();
    host.remove_port(name("br0"), name("tap0")).expect("it is a port");
    host.add_port(name("virbr0"), name("tap0")).expect("it can join");
    restrict_to_mac(host, name("virbr0"), name("tap0"), mac(7)).expect("it can be done");
    watching.change(&BridgeChange::default().mtu(1400));
    watching
}

fn rob(watching: &Watching) {
    watching.host.inner().remove_fdb_entry(name("virbr0"), mac(7), None).expect("it is there");
}

fn macs_of_tap0(watching: &Watching) -> Vec<UnicastMac> {
    let ports = restricted_ports(&watching.host, name("virbr0")).expect("it can be read");
    ports.iter().find(|port| port.port.name() == name("tap0")).expect("it is restricted").macs.clone()
}

const LOST: &str = "port tap0 is restricted, but has lost its static entry of 52:54:00:00:00:07";
const RESTORED: &str = "repaired: static entry of 52:54:00:00:00:07 behind port tap0";

#[test]
fn says_that_a_restricted_port_has_lost_its_entry() {
    let mut watching = watching_a_restricted_port(RepairPolicy::Never);
    assert_eq!(watching.check(0).len(), 0);
    rob(&watching);
    assert_eq!(watching.check(1), [LOST]);
    assert_eq!(watching.check(2).len(), 0);
    restrict_to_mac(watching.host.inner(), name("virbr0"), name("tap0"), mac(8)).expect("it can be done");
    assert_eq!(watching.check(3), ["port tap0 has a static entry again"]);
    // What it was before the watch began, nobody knows.
    let mut watching = watching_a_restricted_port(limited(5, SECOND));
    rob(&watching);
    assert_eq!(watching.check(0), ["port tap0 is restricted, but has lost its static entry"]);
    assert_eq!(watching.check(1).len(), 0);
    assert!(macs_of_tap0(&watching).is_empty());
}

#[test]
fn restores_the_entry_of_a_restricted_port() {
    let mut watching = watching_a_restricted_port(limited(2, 10 * SECOND));
    assert_eq!(watching.check(0).len(), 0);
    for second in [1, 3] {
        rob(&watching);
        assert_eq!(watching.check(second), [LOST]);
        let now = watching.start + second * SECOND;
        assert_eq!(watching.watch.pause(now), Some(SECOND / 10));
        assert_eq!(watching.check(second + 1), [RESTORED]);
        assert_eq!(macs_of_tap0(&watching), [mac(7)]);
        assert_eq!(watching.watch.pause(now), None);
    }
    rob(&watching);
    assert_eq!(watching.check(5), [LOST]);
    assert_eq!(watching.check(6), ["repaired too often, paused for 6 s"]);
    assert_eq!(watching.check(7).len(), 0);
    assert_eq!(watching.check(12), [RESTORED]);
}

/// A pause that has passed would wake the watch without end.
#[test]
fn a_bridge_that_is_gone_has_no_pause_for_its_ports() {
    let mut watching = watching_a_restricted_port(limited(5, SECOND));
    assert_eq!(watching.check(0).len(), 0);
    rob(&watching);
    assert_eq!(watching.check(1), [LOST]);
    assert!(watching.watch.pause(watching.start + SECOND).is_some());
    watching.host.inner().delete(name("virbr0")).expect("it is there");
    let _tap = watching.host.inner().create_tap(&TapSpec::new().name(name("virbr0"))).expect("the name is free");
    assert_eq!(watching.check(2), ["the name virbr0 is in use, by a tap that is not the network's"]);
    assert_eq!(watching.watch.pause(watching.start + 2 * SECOND), None);
}

/// Else a guest who loses its entry again and again would keep another from getting its own back.
#[test]
fn each_restricted_port_has_a_budget_of_its_own() {
    let mut watching = watching_a_restricted_port(limited(1, 10 * SECOND));
    watching.host.inner().add_port(name("virbr0"), name("tap1")).expect("it can join");
    restrict_to_mac(watching.host.inner(), name("virbr0"), name("tap1"), mac(8)).expect("it can be done");
    assert_eq!(watching.check(0).len(), 0);
    for _ in 0..2 {
        rob(&watching);
        assert_eq!(watching.check(1), [LOST]);
        watching.check(2);
    }
    watching.host.inner().remove_fdb_entry(name("virbr0"), mac(8), None).expect("it is there");
    assert_eq!(watching.check(3).len(), 1);
    assert_eq!(watching.check(4), ["repaired: static entry of 52:54:00:00:00:08 behind port tap1"]);
}

/// It has none for a moment, and what it had before is not to come back.
#[test]
fn leaves_a_port_alone_that_is_being_restricted_to_another_mac() {
    let mut watching = watching_a_restricted_port(limited(5, SECOND));
    assert_eq!(watching.check(0).len(), 0);
    rob(&watching);
    assert_eq!(watching.check(1), [LOST]);
    let entry = crate::StaticEntry::new(mac(8), name("tap0"));
    watching.host.inner().add_fdb_entry(name("virbr0"), &entry).expect("nobody has it");
    assert_eq!(watching.check(2), ["port tap0 has a static entry again"]);
    assert_eq!(macs_of_tap0(&watching), [mac(8)]);
    crate::lift_restriction(watching.host.inner(), name("virbr0"), name("tap0"), mac(8))
        .expect("it is restricted");
    assert_eq!(watching.check(3).len(), 0);
}

#[test]
fn says_once_that_an_entry_cannot_be_restored() {
    let mut watching = watching_a_restricted_port(limited(5, SECOND));
    assert_eq!(watching.check(0).len(), 0);
    rob(&watching);
    assert_eq!(watching.check(1), [LOST]);
    watching.host.fail(0, Fault::Refused);
    let news = watching.check(2);
    assert!(news.len() == 1 && news[0].starts_with("it cannot be repaired: "), "{news:?}");
    watching.host.fail(0, Fault::Refused);
    assert_eq!(watching.check(4).len(), 0);
    assert_eq!(watching.check(6), [RESTORED]);
}

/// What a reader of the events takes a network for.
#[derive(Debug, Default, PartialEq)]
struct Picture {
    absent: Option<InterfaceName>,
    occupied: Option<Occupied>,
    drifts: BTreeMap<&'static str, Drift>,
}

impl Picture {
    fn of(status: DriftStatus, network: &ResolvedNetwork) -> Self {
        let mut picture = Self::default();
        match status {
            DriftStatus::Absent => picture.absent = Some(network.bridge()),
            DriftStatus::Occupied(occupied) => picture.occupied = Some(occupied),
            DriftStatus::AsDefined => {}
            DriftStatus::Drifted(drifts) => {
                picture.drifts = drifts.into_iter().map(|drift| (drift.control(), drift)).collect();
            }
        }
        picture
    }

    /// Takes in what is news to it, and panics at what is not.
    fn read(&mut self, news: &NetworkEventKind) {
        match news {
            NetworkEventKind::Drifted(drift) => {
                assert_ne!(self.drifts.insert(drift.control(), *drift), Some(*drift));
            }
            NetworkEventKind::Restored(drift) => assert_eq!(self.drifts.remove(drift.control()), Some(*drift)),
            NetworkEventKind::Vanished(bridge) => {
                assert_eq!(self.absent, None);
                *self = Self { absent: Some(*bridge), ..Self::default() };
            }
            NetworkEventKind::Returned(bridge) => assert_eq!(self.absent.take(), Some(*bridge)),
            NetworkEventKind::Occupied(occupied) => {
                assert_ne!(self.occupied.as_ref(), Some(occupied));
                *self = Self { occupied: Some(occupied.clone()), ..Self::default() };
            }
            NetworkEventKind::Vacated(occupied) => assert_eq!(self.occupied.take().as_ref(), Some(occupied)),
            NetworkEventKind::Repaired(drifts) => {
                assert_eq!(std::mem::take(self), Self::of(DriftStatus::Drifted(drifts.clone()), &plain()));
            }
            NetworkEventKind::Created(bridge) => {
                assert_eq!(std::mem::take(self), Self { absent: Some(*bridge), ..Self::default() });
            }
            NetworkEventKind::EntryLost { .. }
            | NetworkEventKind::EntryReturned(_)
            | NetworkEventKind::EntryRestored { .. }
            | NetworkEventKind::Unreadable(_)
            | NetworkEventKind::NotRepaired(_)
            | NetworkEventKind::Paused(_) => {}
        }
    }
}

/// What others do between two looks.
#[derive(Debug, Clone)]
enum Act {
    Meddle(Meddling),
    Occupy(&'static str),
    Vacate(&'static str),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let names = prop_oneof![Just("virbr0"), Just("virbr0-nic")];
    let act = prop_oneof![
        6 => meddling().prop_map(Act::Meddle),
        1 => names.clone().prop_map(Act::Occupy),
        1 => names.prop_map(Act::Vacate),
    ];
    prop::collection::vec(act, 0..4)
}

/// What cannot be done has no effect.
fn act(host: &Host, act: &Act) {
    let _ = match act {
        Act::Meddle(meddling) => {
            meddle(host, meddling);
            Ok(())
        }
        Act::Occupy(text) => host.inner().add_interface(name(text), mac(7)),
        Act::Vacate(text) => host.inner().remove_interface(name(text)),
    };
}

/// Whether the bridge is missing and cannot be made, since something that is no tap has the name of
/// its anchor.
fn is_in_the_way(host: &Host, network: &ResolvedNetwork) -> bool {
    let has_name = host.interfaces().expect("a list").iter().any(|interface| interface.name == network.anchor());
    let is_tap = host.taps().expect("a list").iter().any(|tap| tap.name == network.anchor());
    read(host, network) == DriftStatus::Absent && network.has_anchor() && has_name && !is_tap
}

proptest! {
    #[test]
    fn a_reader_knows_how_it_stands(network in networks(), rounds in prop::collection::vec(acts(), 1..8)) {
        let host = host();
        start(&host, &network).expect("it can be started");
        let (mut watch, mut picture, now) = (DriftTracker::new(RepairPolicy::Never), Picture::default(), Instant::now());
        for acts in &rounds {
            for one in acts {
                act(&host, one);
            }
            for event in watch.check(&host, [&network], now) {
                picture.read(&event.kind);
            }
            prop_assert_eq!(&picture, &Picture::of(read(&host, &network), &network));
            prop_assert!(watch.check(&host, [&network], now).is_empty());
        }
    }

    #[test]
    fn it_is_repaired_within_the_limit(
        network in networks(),
        rounds in prop::collection::vec((acts(), 0_u32..8), 1..20),
        at_once in 1_u32..4,
        interval in 0_u32..6,
    ) {
        let host = host();
        start(&host, &network).expect("it can be started");
        let mut watch = DriftTracker::new(limited(at_once, interval * SECOND));
        let (mut picture, mut now) = (Picture::default(), Instant::now());
        let mut repairs = Vec::new();
        for (acts, seconds) in &rounds {
            for one in acts {
                act(&host, one);
            }
            now += *seconds * SECOND;
            for event in watch.check(&host, [&network], now) {
                picture.read(&event.kind);
                if matches!(event.kind, NetworkEventKind::Repaired(_) | NetworkEventKind::Created(_) | NetworkEventKind::NotRepaired(_)) {
                    repairs.push(now);
                }
            }
            let status = read(&host, &network);
            prop_assert_eq!(&picture, &Picture::of(status.clone(), &network));
            let is_wrong = matches!(status, DriftStatus::Absent | DriftStatus::Drifted(_));
            prop_assert_eq!(is_wrong, watch.pause(now).is_some() || is_in_the_way(&host, &network));
        }
        for (index, first) in repairs.iter().enumerate().filter(|_| interval > 0) {
            for (later, last) in repairs[index..].iter().enumerate() {
                let elapsed = last.duration_since(*first).as_secs();
                prop_assert!(later as u64 <= u64::from(at_once - 1) + elapsed / u64::from(interval));
            }
        }
        if let Some(pause) = watch.pause(now).filter(|_| !is_in_the_way(&host, &network)) {
            let events = watch.check(&host, [&network], now + pause);
            for event in &events {
                picture.read(&event.kind);
            }
            prop_assert_eq!(read(&host, &network), DriftStatus::AsDefined);
            prop_assert_eq!(picture, Picture::default());
        }
    }
}
