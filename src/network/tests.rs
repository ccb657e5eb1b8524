//! The life of networks on the model, where each step is made to fail and others act in between.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::faults::Fault;
use crate::model::Model;
pub(super) use crate::testing::host;
use crate::testing::{Host, Moment, assert_all_or_nothing, host_without, is_rolled_back, mac, name, snapshot};
use crate::{
    BridgeChange, BridgeOption, BridgeOptions, BridgeSpec, Bridges, Capability, ErrorKind, LinkState, TapChange,
    TapSpec,
};

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

/// A tap of root's that stays.
fn add_tap(host: &Host, bridge: Option<&str>) {
    add_tap_of(host, bridge, Some(0));
}

/// A tap that stays. One of nobody's is as an old libvirt left it behind.
fn add_tap_of(host: &Host, bridge: Option<&str>, owner: Option<u32>) {
    let mut spec = TapSpec::new().name(name("virbr0-nic")).mac(mac(1));
    spec.owner = owner;
    let tap = crate::testing::add_tap(host.inner(), &spec);
    if let Some(bridge) = bridge {
        host.inner().add_port(name(bridge), &tap).expect("it can join");
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
        let host = host_without(lacking);
        for outcome in [start(&host, &network), ensure(&host, &network).map(drop)] {
            let NetworkFailure::Backend(error) = failure(outcome) else { panic!("the backend cannot") };
            assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)));
        }
        assert!(host.take_log().is_empty());
    }
}

#[test]
fn says_who_has_its_name_and_touches_nothing() {
    type Occupy = fn(&Host);
    let bridge: Occupy = |host| add_foreign_bridge(host.inner());
    let interface: Occupy = |host| host.inner().add_interface(name("virbr0"), mac(9)).expect("made");
    let nic: Occupy = |host| host.inner().add_interface(name("virbr0-nic"), mac(9)).expect("made");
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
        add_tap_of(&host, on_bridge.then_some("virbr0"), None);
        let stopped = stop(&host, &plain());
        assert_eq!(stopped.is_ok(), on_bridge);
        assert_eq!(snapshot(&host), before);
    }
}

/// The bridge would never have a carrier. Nothing is left of the start.
#[test]
fn a_start_ends_when_its_bridge_is_set_down() {
    let host = host();
    let before = snapshot(&host);
    // After the bridge is created, and the anchor is created, has joined, and is up.
    host.act_after(3, |host| {
        let down = BridgeChange::default().link(LinkState::Down);
        host.change(name("virbr0"), &down).expect("it is there");
    });
    let network = anchored().with_carrier_limit(Duration::from_secs(1));
    let NetworkFailure::Backend(error) = failure(start(&host, &network)) else { panic!("the backend tells") };
    assert_eq!(error.kind(), ErrorKind::LinkDown, "{error}");
    assert_eq!(snapshot(&host), before);
}

#[test]
fn an_anchor_in_the_hands_of_another_keeps_the_network_up() {
    let host = host();
    start(&host, &anchored()).expect("it can be started");
    let running = snapshot(&host);
    let held = TapSpec::new().name(name("virbr0-nic")).adopt_existing();
    let held = host.inner().create_tap(&held).expect("it can be opened");
    let NetworkFailure::Backend(error) = failure(stop(&host, &anchored())) else { panic!("the backend refuses") };
    assert_eq!(error.kind(), ErrorKind::TapBusy);
    drop(held);
    assert_eq!(snapshot(&host), running);
}

/// Whatever fails, at most the old one is missing, and everything else is as it was.
#[test]
fn an_anchor_that_does_not_belong_to_root_is_made_again() {
    for owner in [None, Some(7)] {
        let drifted = || {
            let host = host();
            start(&host, &plain()).expect("it can be started");
            add_tap_of(&host, Some("virbr0"), owner);
            host.inner()
                .change_tap(name("virbr0-nic"), &TapChange::default().mtu(1400).link(LinkState::Up))
                .expect("it can be changed");
            drop(host.take_log());
            host
        };
        let host = drifted();
        let old = host.tap(name("virbr0-nic")).expect("it can be read").expect("it is there");
        let ensured = ensure(&host, &anchored()).expect("it can be made again");
        assert!(matches!(&ensured, EnsureOutcome::Repaired(drifts) if drifts.len() == 1), "{ensured:?}");
        assert_eq!(status(&host, &anchored()).expect("it can be read"), DriftStatus::AsDefined);
        let new = host.tap(name("virbr0-nic")).expect("it can be read").expect("it is there");
        assert_eq!((new.owner, new.persistent), (Some(0), Some(true)));
        assert_ne!(new.identity(), old.identity());
        let steps = host.take_log().len();
        for after in 0..steps {
            let host = drifted();
            let with_old = snapshot(&host);
            host.inner().delete_tap(name("virbr0-nic")).expect("it is closed");
            let without = snapshot(&host);
            let host = drifted();
            host.fail(after, Fault::Refused);
            let error = of_backend(ensure(&host, &anchored())).expect_err("a step fails");
            assert!(is_rolled_back(&error), "{error}");
            let left = snapshot(&host);
            assert!(left == with_old || left == without, "after {after}: {left:#?}");
            ensure(&host, &anchored()).expect("it can be made again");
            assert_eq!(status(&host, &anchored()).expect("it can be read"), DriftStatus::AsDefined);
        }
    }
}

/// The failure of a call to the backend.
fn of_backend<T: std::fmt::Debug>(outcome: Result<T, NetworkError>) -> crate::Result<T> {
    outcome.map_err(|error| match error.into_failure() {
        NetworkFailure::Backend(error) => error,
        failure => panic!("a step failed, but {failure}"),
    })
}

/// A host with a network that is started, but was given an anchor by others.
fn with_unwanted_tap() -> Host {
    let host = host();
    start(&host, &plain()).expect("it can be started");
    add_tap(&host, Some("virbr0"));
    host
}

fn started() -> Host {
    let host = host();
    start(&host, &anchored()).expect("it can be started");
    host
}

#[test]
fn is_all_or_nothing_whatever_fails() {
    let start = |host: &Host| of_backend(start(host, &anchored()));
    let ensure = |host: &Host| of_backend(ensure(host, &anchored()));
    let left_over = || {
        let host = host();
        add_tap(&host, None);
        host
    };
    let drifted = || {
        let host = with_unwanted_tap();
        let change = BridgeChange::default().mtu(1300).link(LinkState::Down).mac(mac(7));
        host.inner().change(name("virbr0"), &change).expect("it can be changed");
        host
    };
    assert_eq!(assert_all_or_nothing(host, start), 5);
    assert_eq!(assert_all_or_nothing(left_over, start), 6);
    assert_eq!(assert_all_or_nothing(host, ensure), 5);
    assert_eq!(assert_all_or_nothing(drifted, ensure), 5);
    let ensure = |host: &Host| of_backend(super::ensure(host, &plain()));
    assert_eq!(assert_all_or_nothing(with_unwanted_tap, ensure), 2);
}

/// The bridge goes before its anchor. An anchor that stays is tried again.
#[test]
fn stopping_is_all_or_nothing() {
    let before = snapshot(&host());
    for (prepare, network) in [(started as fn() -> Host, anchored()), (with_unwanted_tap, plain())] {
        for &fault in Fault::ALL {
            for after in 0..3 {
                let host = prepare();
                let running = snapshot(&host);
                host.fail(after, fault);
                let stopped = of_backend(stop(&host, &network));
                assert!(!host.cancel());
                match stopped {
                    // What is deleted is deleted, whatever the answer says.
                    Ok(()) => {
                        assert!(after == 2 || after > 0 && fault != Fault::Refused, "{fault:?} after {after}");
                        assert_eq!(snapshot(&host), before, "{fault:?} after {after}");
                    }
                    Err(error) => {
                        assert!(is_rolled_back(&error), "{fault:?} after {after}: {error}");
                        assert_eq!(snapshot(&host), running, "{fault:?} after {after}: {error}");
                    }
                }
            }
        }
    }
}

/// Nothing brings the bridge back. The next stop deletes the anchor.
#[test]
fn an_anchor_that_stays_is_reported() {
    let before = snapshot(&host());
    for (prepare, network) in [(started as fn() -> Host, anchored()), (with_unwanted_tap, plain())] {
        let host = prepare();
        host.fail(2, Fault::Refused);
        host.fail(3, Fault::Refused);
        assert!(matches!(failure(stop(&host, &network)), NetworkFailure::Backend(_)));
        assert!(!host.cancel());
        assert!(host.find(name("virbr0")).expect("it can be read").is_none());
        assert_eq!(host.taps().expect("a list").len(), 1);
        assert!(matches!(failure(stop(&host, &network)), NetworkFailure::NotActive(_)));
        assert_eq!(snapshot(&host), before);
    }
}

/// Another process's, of the same name as the network's.
fn add_foreign_bridge(host: &Model) {
    host.create(&BridgeSpec::new(name("virbr0")).mac(mac(9))).expect("the name is free");
}

fn replace_bridge(host: &Model) {
    host.remove_interface(name("virbr0")).expect("it is there");
    add_foreign_bridge(host);
}

#[test]
fn stopping_leaves_a_bridge_alone_that_took_the_name_meanwhile() {
    let expected = host();
    add_foreign_bridge(expected.inner());
    // The anchor is opened, then the bridge deleted, then the anchor.
    let steps = [Moment::Before(0), Moment::After(0), Moment::Before(1), Moment::After(1), Moment::Before(2)];
    for (network, at) in [(plain(), Moment::Before(0))].into_iter().chain(steps.map(|at| (anchored(), at))) {
        let host = host();
        start(&host, &network).expect("it can be started");
        at.act(&host, |host| {
            if host.find(name("virbr0")).expect("it can be read").is_some() {
                host.remove_interface(name("virbr0")).expect("it is there");
            }
            add_foreign_bridge(host);
        });
        stop(&host, &network).expect("its own bridge is gone");
        assert!(!host.cancel());
        assert_eq!(snapshot(&host), snapshot(&expected), "{at:?}");
    }
}

/// Nothing is repaired then, and the other bridge stays as it is.
#[test]
fn ensuring_does_not_claim_to_have_repaired_a_bridge_that_is_another_by_now() {
    let expected = host();
    add_foreign_bridge(expected.inner());
    let drifted = |network: &ResolvedNetwork| {
        let host = host();
        start(&host, network).expect("it can be started");
        if network.has_anchor() {
            host.inner().remove_interface(name("virbr0-nic")).expect("it is there");
        }
        host.inner().change(name("virbr0"), &BridgeChange::default().mtu(1300)).expect("it can be changed");
        host
    };
    let check = |host: &Host, outcome: crate::Result<EnsureOutcome>, at: &str| {
        let error = outcome.expect_err("its bridge is gone");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{at}: {error}");
        assert!(is_rolled_back(&error), "{at}: {error}");
        assert_eq!(snapshot(host), snapshot(&expected), "{at}");
    };
    // The bridge is changed; the anchor is created, and joins.
    let steps = Moment::of_steps(0..2).chain([Moment::Before(2)]).map(|at| (anchored(), at));
    for (network, at) in steps.chain([(plain(), Moment::Before(0))]) {
        let host = drifted(&network);
        at.act(&host, replace_bridge);
        check(&host, of_backend(ensure(&host, &network)), &format!("{at:?}"));
        assert!(!host.cancel());
    }
    for network in [plain(), anchored()] {
        let host = drifted(&network);
        let plan = lifecycle::check_ensure(&host, &network).expect("it is a bridge");
        replace_bridge(host.inner());
        let outcome = lifecycle::carry_out(&host, &[(&network, &plan)]).pop().expect("there is one");
        let failure = |failure| NetworkError::new(network.name().clone(), failure);
        check(&host, of_backend(outcome.map_err(failure)), "before the first step is looked at");
    }
}

/// The tap is a port of another bridge.
#[test]
fn a_tap_that_takes_the_name_of_the_anchor_meanwhile_is_left_alone() {
    type Act = fn(&Host) -> crate::Result<()>;
    let stop: Act = |host| of_backend(stop(host, &anchored()));
    let ensure: Act = |host| of_backend(ensure(host, &anchored()).map(drop));
    // The bridge is changed, since it may have the anchor's MAC; the anchor is opened, and goes up.
    let moments = [(stop, Moment::Before(0)), (ensure, Moment::Before(0)), (ensure, Moment::After(0))];
    for (act, at) in moments.into_iter().chain([(ensure, Moment::Before(1)), (ensure, Moment::After(1))]) {
        let host = started();
        host.inner().change_tap(name("virbr0-nic"), &TapChange::default().mtu(1200)).expect("it can be changed");
        at.act(&host, |host| {
            host.remove_interface(name("virbr0-nic")).expect("it is there");
            drop(crate::testing::add_tap(host, &TapSpec::new().name(name("virbr0-nic")).mac(mac(5))));
            host.add_port(name("br0"), name("virbr0-nic")).expect("it can join");
        });
        let error = act(&host).expect_err("its anchor is gone");
        assert!(!host.cancel());
        assert!(is_rolled_back(&error), "{at:?}: {error}");
        let tap = host.tap(name("virbr0-nic")).expect("it can be read").expect("it is there");
        assert_eq!((tap.mac, tap.mtu, tap.link), (mac(5).into(), 1500, LinkState::Down), "{at:?}");
        assert_eq!(host.port(&tap).expect("it is a port").bridge.expect("a bridge").name(), name("br0"));
        assert!(host.find(name("virbr0")).expect("it can be read").is_some());
    }
}

/// It may have had its MAC from a port, as libvirt's first bridges had.
#[test]
fn an_adopted_bridge_keeps_its_mac_when_ports_leave() {
    let host = host();
    host.inner().create(&BridgeSpec::new(name("virbr0"))).expect("it can be made");
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
    host.inner().change(name("virbr0"), &change).expect("it can be changed");
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
    // A bridge that follows a port below 1280 has the kernel's IPv6 again when the port leaves.
    let taps = (1_u8..4, 1280_u32..9000, links.clone())
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
pub(super) fn meddle(host: &Host, meddling: &Meddling) {
    let (bridge, tap) = (name("virbr0"), name("virbr0-nic"));
    let _ = match meddling {
        Meddling::Change(change) => host.inner().change(bridge, change),
        Meddling::Option(option) => {
            host.inner().change(bridge, &BridgeChange::default().options([*option].into_iter().collect()))
        }
        Meddling::Anchor(change) => host.inner().change_tap(tap, change),
        Meddling::AddTap { on_bridge } => {
            let is_there = host.interfaces().expect("a list").iter().any(|interface| interface.name == tap);
            if !is_there {
                add_tap(host, None);
            }
            if *on_bridge { host.inner().add_port(bridge, tap) } else { Ok(()) }
        }
        Meddling::DeleteTap => host.inner().delete_tap(tap),
        Meddling::DetachTap => host.inner().remove_port(bridge, tap),
        Meddling::Delete => host.inner().delete(bridge),
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
