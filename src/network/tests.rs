//! The life of networks on the model, each of its calls made to fail in turn.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fake::{Fake, mac, name};
use crate::model::Model;
use crate::{
    BridgeBackend, BridgeChange, BridgeOption, BridgeOptions, BridgeSpec, Capability, ErrorKind, LinkState,
    TapChange, TapSpec, Undo, bridges_of_ports,
};

pub(super) fn host() -> Fake {
    Fake::new(Model::new().capabilities().iter())
}

fn network() -> Network {
    let network = Network::new("default".parse().expect("a name"));
    network.with_bridge("virbr0".parse().expect("a name")).with_mac(mac(1)).with_mtu(1400).expect("an MTU")
}

pub(super) fn plain() -> ResolvedNetwork {
    network().resolve([]).expect("it is whole")
}

fn anchored() -> ResolvedNetwork {
    network().with_anchor(Anchor::Tap).resolve([]).expect("it is whole")
}

/// All that is on the host, but for indices, which nothing gets back.
fn snapshot(host: &Fake) -> String {
    let bridges = host.list().expect("a list");
    let bridges: Vec<_> =
        bridges.iter().map(|state| (state.name, state.mac, state.mtu, state.link, state.options)).collect();
    let taps = host.taps().expect("a list");
    let taps: Vec<_> = taps.iter().map(|tap| (tap.name, tap.mac, tap.mtu, tap.link, tap.persistent)).collect();
    let mut names: Vec<_> = host.interfaces().expect("a list").iter().map(|state| state.name).collect();
    names.sort_unstable();
    format!("{bridges:?} {taps:?} {names:?} {:?}", bridges_of_ports(host).expect("a list"))
}

fn log(host: &Fake) -> Vec<&'static str> {
    std::mem::take(&mut host.log.lock().expect("one thread"))
}

/// A tap that stays, as the one that an old libvirt left behind.
fn add_tap(host: &Fake, bridge: Option<&str>) {
    let tap = host.model.create_tap(&TapSpec::new().name(name("virbr0-nic")).mac(mac(1))).expect("it can be made");
    host.model.persist_tap(&tap).expect("it can be kept");
    if let Some(bridge) = bridge {
        host.model.add_port(name(bridge), tap.name()).expect("it can join");
    }
}

fn failure<T: std::fmt::Debug>(outcome: Result<T, NetworkError>) -> NetworkFailure {
    outcome.expect_err("it is refused").into_failure()
}

#[test]
fn starts_once_and_stops_once() {
    for network in [plain(), anchored()] {
        let host = host();
        let before = snapshot(&host);
        assert_eq!(status(&host, &network).expect("it can be read"), DriftStatus::Absent);
        start(&host, &network).expect("it can be started");
        assert_eq!(status(&host, &network).expect("it can be read"), DriftStatus::AsDefined);
        check_host(&host, &network).expect("its name is its own");
        let running = snapshot(&host);
        log(&host);
        let error = start(&host, &network).expect_err("it is active");
        assert_eq!(error.to_string(), "network default: it is active: its bridge virbr0 exists");
        assert_eq!(ensure(&host, &network).expect("it can be read"), EnsureOutcome::AsDefined);
        assert_eq!(snapshot(&host), running);
        stop(&host, &network).expect("it can be stopped");
        assert_eq!(snapshot(&host), before);
        let error = stop(&host, &network).expect_err("it is not active");
        assert_eq!(error.to_string(), "network default: it is not active: bridge virbr0 does not exist");
    }
}

#[test]
fn refuses_before_anything_is_made_what_a_backend_cannot_do() {
    let isolated = network().with_isolation(PortIsolation::Isolated);
    let options = BridgeOptions::default().ageing_time(Duration::from_secs(7));
    for (network, lacking) in [
        (network().with_anchor(Anchor::Tap), Capability::Tap),
        (isolated, Capability::Isolated),
        (network().with_mac_table_manager(MacTableManager::Libvirt), Capability::UnicastFlood),
        (network().with_options(options).expect("whole seconds"), Capability::AgeingTime),
    ] {
        let network = network.resolve([]).expect("it is whole");
        let all = Model::new().capabilities();
        let host = Fake::new(all.iter().filter(|&capability| capability != lacking));
        for outcome in [start(&host, &network), ensure(&host, &network).map(drop)] {
            let NetworkFailure::Backend(error) = failure(outcome) else { panic!("the backend cannot") };
            assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)));
        }
        assert!(log(&host).is_empty());
    }
}

#[test]
fn says_who_has_its_name_and_touches_nothing() {
    type Occupy = fn(&Fake);
    let bridge: Occupy = |host| host.model.create(&BridgeSpec::new(name("virbr0")).mac(mac(9))).expect("made");
    let interface: Occupy = |host| host.model.add_interface(name("virbr0"), mac(9)).expect("made");
    let nic: Occupy = |host| host.model.add_interface(name("virbr0-nic"), mac(9)).expect("made");
    let others_nic: Occupy = |host| add_tap(host, Some("br0"));
    for (occupy, text, can_be_adopted) in [
        (
            bridge,
            "the name virbr0 is in use, by a bridge with the MAC 52:54:00:00:00:09, which is not the network's",
            true,
        ),
        (interface, "the name virbr0 is in use, by an interface that is no bridge", false),
        (nic, "the name virbr0-nic is in use, by an interface that is no bridge", false),
        (others_nic, "the name virbr0-nic is in use, by a tap that is not the network's", false),
    ] {
        let host = host();
        occupy(&host);
        let before = snapshot(&host);
        let network = anchored();
        for outcome in [check_host(&host, &network), start(&host, &network)] {
            assert_eq!(failure(outcome).to_string(), text);
        }
        if can_be_adopted {
            assert_eq!(failure(stop(&host, &network)).to_string(), text);
            let changed = ensure(&host, &network).expect("it is a bridge");
            assert!(matches!(changed, EnsureOutcome::Repaired(_)), "{changed:?}");
            stop(&host, &network).expect("it is the network's now");
        } else {
            assert_eq!(failure(ensure(&host, &network)).to_string(), text);
            assert!(!matches!(stop(&host, &network), Ok(())), "{text}");
            assert_eq!(snapshot(&host), before);
        }
    }
}

#[test]
fn stopping_removes_what_an_old_libvirt_left() {
    let before = snapshot(&host());
    for on_bridge in [true, false] {
        let host = host();
        if on_bridge {
            start(&host, &plain()).expect("it can be started");
        }
        add_tap(&host, on_bridge.then_some("virbr0"));
        let stopped = stop(&host, &plain());
        assert_eq!(stopped.is_ok(), on_bridge);
        assert_eq!(snapshot(&host), before);
    }
}

#[test]
fn an_anchor_in_the_hands_of_another_keeps_the_network_up() {
    let host = host();
    start(&host, &anchored()).expect("it can be started");
    let running = snapshot(&host);
    let held = TapSpec::new().name(name("virbr0-nic")).adopt_existing();
    let held = host.model.create_tap(&held).expect("it can be opened");
    let NetworkFailure::Backend(error) = failure(stop(&host, &anchored())) else { panic!("the backend refuses") };
    assert_eq!(error.kind(), ErrorKind::TapBusy);
    drop(held);
    assert_eq!(snapshot(&host), running);
}

/// Whatever call fails, all is as it was before.
#[test]
fn is_all_or_nothing_whatever_fails() {
    type Act = fn(&dyn BridgeBackend, &ResolvedNetwork) -> Result<(), NetworkError>;
    type Prepare = fn(&Fake);
    let nothing: Prepare = |_| {};
    let running: Prepare = |host| start(host, &anchored()).expect("it can be started");
    let left_over: Prepare = |host| add_tap(host, None);
    let drifted: Prepare = |host| {
        start(host, &plain()).expect("it can be started");
        let change = BridgeChange::default().mtu(1300).link(LinkState::Down).mac(mac(7));
        host.model.change(name("virbr0"), &change).expect("it can be changed");
        add_tap(host, Some("virbr0"));
    };
    let unwanted: Prepare = |host| {
        start(host, &plain()).expect("it can be started");
        add_tap(host, Some("virbr0"));
    };
    let ensure: Act = |host, network| ensure(host, network).map(drop);
    for (prepare, act, network) in [
        (nothing, start as Act, anchored()),
        (left_over, start, anchored()),
        (nothing, ensure, anchored()),
        (drifted, ensure, anchored()),
        (unwanted, ensure, plain()),
        (running, stop, anchored()),
        (unwanted, stop, plain()),
    ] {
        for fails_after in 0.. {
            let host = host();
            prepare(&host);
            let before = snapshot(&host);
            *host.fails_after.lock().expect("one thread") = Some(fails_after);
            let outcome = act(&host, &network);
            if host.fails_after.lock().expect("one thread").is_some() {
                outcome.expect("nothing failed");
                assert!(fails_after > 1, "few calls were made");
                break;
            }
            let NetworkFailure::Backend(error) = failure(outcome) else { panic!("a call failed") };
            assert!(!matches!(error.undo(), Undo::Failed { .. }), "after {fails_after}: {error}");
            assert_eq!(snapshot(&host), before, "after {fails_after}: {error}");
        }
    }
}

/// It may have had its MAC from a port, as libvirt's first bridges had.
#[test]
fn an_adopted_bridge_keeps_its_mac_when_ports_leave() {
    let host = host();
    host.model.create(&BridgeSpec::new(name("virbr0"))).expect("it can be made");
    add_tap(&host, Some("virbr0"));
    assert_eq!(host.find(name("virbr0")).expect("reading works").expect("it is there").mac, mac(1));
    ensure(&host, &plain()).expect("it can be adopted");
    assert_eq!(host.find(name("virbr0")).expect("reading works").expect("it is there").mac, mac(1));
    assert!(host.taps().expect("a list").is_empty());
}

#[test]
fn says_what_has_drifted() {
    let host = host();
    start(&host, &plain()).expect("it can be started");
    let options =
        BridgeOptions::default().forward_delay(Duration::from_secs(15)).ageing_time(Duration::from_secs(9));
    let change = BridgeChange::default().mac(mac(9)).mtu(1500).link(LinkState::Down).options(options);
    host.model.change(name("virbr0"), &change).expect("it can be changed");
    let DriftStatus::Drifted(drifts) = status(&host, &plain()).expect("it can be read") else { panic!("it has") };
    let texts: Vec<_> = drifts.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "mac is 52:54:00:00:00:09, defined as 52:54:00:00:00:01",
            "mtu is 1500, defined as 1400",
            "forward-delay is 15, defined as 2",
            "link is down, defined as up"
        ]
    );
}

fn seconds(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Option<Duration>> {
    prop::option::of(range.prop_map(Duration::from_secs))
}

prop_compose! {
    fn options()(
        stp in any::<Option<bool>>(),
        forward_delay in seconds(0..=40),
        hello_time in seconds(1..=10),
        max_age in seconds(6..=40),
        ageing_time in seconds(0..=1000),
        priority in any::<Option<u16>>(),
        multicast_snooping in any::<Option<bool>>(),
        vlan_filtering in any::<Option<bool>>(),
    ) -> BridgeOptions {
        let mut options = BridgeOptions::default();
        options.stp = stp;
        options.forward_delay = forward_delay;
        options.hello_time = hello_time;
        options.max_age = max_age;
        options.ageing_time = ageing_time;
        options.priority = priority;
        options.multicast_snooping = multicast_snooping;
        options.vlan_filtering = vlan_filtering;
        options
    }
}

prop_compose! {
    pub(super) fn networks()(
        options in options(),
        mtu in prop::option::of(68_u32..=9000),
        is_managed in any::<bool>(),
        has_anchor in any::<bool>(),
    ) -> ResolvedNetwork {
        let network = Network::new("default".parse().expect("a name"))
            .with_bridge("virbr0".parse().expect("a name"))
            .with_mac(mac(1))
            .with_options(options).expect("whole seconds")
            .with_anchor(if has_anchor { Anchor::Tap } else { Anchor::None });
        let network = if is_managed { network.with_mac_table_manager(MacTableManager::Libvirt) } else { network };
        let network = match mtu {
            Some(mtu) => network.with_mtu(mtu).expect("an MTU"),
            None => network,
        };
        network.resolve([]).expect("it is whole")
    }
}

#[derive(Debug, Clone)]
pub(super) enum Meddling {
    Change(BridgeChange),
    Option(BridgeOption),
    Anchor(TapChange),
    AddTap { on_bridge: bool },
    DeleteTap,
    DetachTap,
    Delete,
}

pub(super) fn meddling() -> impl Strategy<Value = Meddling> {
    let macs = (1_u8..4).prop_map(|last| Meddling::Change(BridgeChange::default().mac(mac(last))));
    let mtus = (68_u32..9000).prop_map(|mtu| Meddling::Change(BridgeChange::default().mtu(mtu)));
    let links = prop_oneof![Just(LinkState::Up), Just(LinkState::Down)];
    let taps = (1_u8..4, 68_u32..9000, links.clone())
        .prop_map(|(last, mtu, link)| TapChange::default().mac(mac(last).into()).mtu(mtu).link(link));
    prop_oneof![
        macs,
        mtus,
        links.prop_map(|link| Meddling::Change(BridgeChange::default().link(link))),
        options()
            .prop_filter("one is wanted", |options| options.iter().next().is_some())
            .prop_map(|options| Meddling::Option(options.iter().last().expect("one is there"))),
        taps.prop_map(Meddling::Anchor),
        any::<bool>().prop_map(|on_bridge| Meddling::AddTap { on_bridge }),
        Just(Meddling::DeleteTap),
        Just(Meddling::DetachTap),
        Just(Meddling::Delete),
    ]
}

/// What cannot be done has no effect.
pub(super) fn meddle(host: &Fake, meddling: &Meddling) {
    let (bridge, tap) = (name("virbr0"), name("virbr0-nic"));
    let _ = match meddling {
        Meddling::Change(change) => host.model.change(bridge, change),
        Meddling::Option(option) => {
            host.model.change(bridge, &BridgeChange::default().options([*option].into_iter().collect()))
        }
        Meddling::Anchor(change) => host.model.change_tap(tap, change),
        Meddling::AddTap { on_bridge } => {
            let is_there = host.interfaces().expect("a list").iter().any(|interface| interface.name == tap);
            if !is_there {
                add_tap(host, None);
            }
            if *on_bridge { host.model.add_port(bridge, tap) } else { Ok(()) }
        }
        Meddling::DeleteTap => host.model.delete_tap(tap),
        Meddling::DetachTap => host.model.remove_port(bridge, tap),
        Meddling::Delete => host.model.delete(bridge),
    };
}

proptest! {
    #[test]
    fn whatever_drifts_ensure_puts_right_and_nothing_else(
        network in networks(),
        is_started in any::<bool>(),
        meddlings in prop::collection::vec(meddling(), 0..8),
    ) {
        let host = host();
        if is_started {
            start(&host, &network).expect("it can be started");
            prop_assert_eq!(status(&host, &network).expect("it can be read"), DriftStatus::AsDefined);
        }
        for meddling in &meddlings {
            meddle(&host, meddling);
        }

        let found = status(&host, &network).expect("it can be read");
        let done = ensure(&host, &network).expect("it can be repaired");
        let expected = match found {
            DriftStatus::Absent => EnsureOutcome::Created,
            DriftStatus::AsDefined => EnsureOutcome::AsDefined,
            DriftStatus::Drifted(drifts) => EnsureOutcome::Repaired(drifts),
            DriftStatus::Occupied(occupied) => panic!("by {occupied}"),
        };
        prop_assert_eq!(done, expected);
        prop_assert_eq!(status(&host, &network).expect("it can be read"), DriftStatus::AsDefined);

        let running = snapshot(&host);
        prop_assert_eq!(ensure(&host, &network).expect("it can be read"), EnsureOutcome::AsDefined);
        prop_assert_eq!(snapshot(&host), running);

        stop(&host, &network).expect("it can be stopped");
        prop_assert_eq!(snapshot(&host), snapshot(&self::host()));
    }
}
