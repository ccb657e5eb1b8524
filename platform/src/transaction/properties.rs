//! Random lists of steps on the model: together they do what they do one after another, and a failure leaves the host
//! as it was.

use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::faults::{Fault, FaultyBackend};
use crate::model::Model;
use crate::{
    Backend, BridgeChange, BridgeOptions, BridgeSpec, Bridges, Bulk, ErrorKind, FdbOrigin, InterfaceName,
    LinkState, PortOptions, PortVlans, Result, StaticEntry, Step, Target, Transaction, UnicastMac, VlanId,
    VlanRange, VlanTagging,
};

fn name(prefix: char, number: u8) -> InterfaceName {
    format!("{prefix}{number}").parse().expect("a name")
}

fn mac(prefix: u8, number: u8) -> UnicastMac {
    UnicastMac::new([0x52, 0x54, 0, 0, prefix, number].into()).expect("of one station")
}

/// A host with the bridges `b0` and `b1`, and the interfaces `e0` to `e2`.
fn host() -> Model {
    let host = Model::new();
    for number in 0..3 {
        host.add_interface(name('e', number), mac(0, number)).expect("the name is free");
    }
    for number in 0..2 {
        host.create(&BridgeSpec::new(name('b', number)).mac(mac(1, number))).expect("the name is free");
    }
    host
}

fn bridge() -> impl Strategy<Value = InterfaceName> {
    (0..3_u8).prop_map(|number| name('b', number))
}

fn port() -> impl Strategy<Value = InterfaceName> {
    (0..3_u8).prop_map(|number| name('e', number))
}

fn vlan() -> impl Strategy<Value = VlanId> {
    (1..6_u16).prop_map(|number| VlanId::new(number).expect("a VLAN"))
}

fn range() -> impl Strategy<Value = VlanRange> {
    (vlan(), vlan()).prop_map(|(one, other)| VlanRange::new(one.min(other), one.max(other)).expect("in order"))
}

fn entry() -> impl Strategy<Value = StaticEntry> {
    (0..3_u8, port(), proptest::option::of(vlan())).prop_map(|(number, port, vlan)| {
        let entry = StaticEntry::new(mac(2, number), port);
        StaticEntry { vlan, ..entry }
    })
}

fn bridge_change() -> impl Strategy<Value = BridgeChange> {
    let change = BridgeChange::default;
    prop_oneof![
        (0..2_u8).prop_map(move |number| change().mac(mac(3, number))),
        Just(change().link(LinkState::Up)),
        (0..3_u16).prop_map(move |number| change().options(BridgeOptions::default().priority(number * 4096))),
    ]
}

fn port_options() -> impl Strategy<Value = PortOptions> {
    (any::<bool>(), any::<bool>(), 0..3_u32).prop_map(|(isolated, learning, cost)| {
        // The kernel refuses 0, after it has taken the flags.
        PortOptions::default().isolated(isolated).learning(learning).path_cost(cost)
    })
}

fn vlans() -> impl Strategy<Value = PortVlans> {
    prop_oneof![
        range().prop_map(|range| PortVlans::new(range, VlanTagging::Tagged)),
        range().prop_map(|range| PortVlans::new(range, VlanTagging::Untagged)),
        vlan().prop_map(|vlan| PortVlans::new(vlan.into(), VlanTagging::Pvid)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..3_u8).prop_map(|number| Step::Create(BridgeSpec::new(name('b', number)).mac(mac(1, number)))),
        1 => bridge().prop_map(Step::delete),
        2 => (bridge(), bridge_change()).prop_map(|(bridge, change)| Step::change(bridge, change)),
        4 => (bridge(), port()).prop_map(|(bridge, port)| Step::add_port(bridge, port)),
        1 => (bridge(), port()).prop_map(|(bridge, port)| Step::remove_port(bridge, port)),
        2 => (bridge(), port(), port_options()).prop_map(|(bridge, port, options)| Step::change_port(bridge, port, options)),
        3 => (bridge(), entry()).prop_map(|(bridge, entry)| Step::add_fdb_entry(bridge, entry)),
        2 => (bridge(), entry()).prop_map(|(bridge, entry)| Step::replace_fdb_entry(bridge, entry)),
        2 => (bridge(), entry()).prop_map(|(bridge, entry)| Step::remove_fdb_entry(bridge, entry.mac, entry.vlan)),
        3 => (bridge(), port(), vlans()).prop_map(|(bridge, port, vlans)| Step::add_vlans(bridge, port, vlans)),
        2 => (bridge(), port(), range()).prop_map(|(bridge, port, range)| Step::remove_vlans(bridge, port, range)),
    ]
}

/// Lists what lasts of a host. New bridges may have other indices.
fn snapshot(host: &dyn Backend) -> String {
    let mut text = String::new();
    for bridge in host.list_bridges().expect("it lists") {
        let target = Target::from(&bridge);
        let (mac, link, options) = (bridge.mac, bridge.link, bridge.options);
        writeln!(text, "{} {mac} {link:?} {options:?}", bridge.name).expect("a String grows");
        for port in host.list_ports(target).expect("it is a bridge") {
            let vlans = host.list_vlans(target, (&port).into()).expect("it is a port");
            writeln!(text, "  {} {:?} {vlans:?}", port.name, port.options).expect("a String grows");
        }
        for entry in host.list_fdb(target).expect("it is a bridge") {
            if entry.origin == FdbOrigin::Static {
                writeln!(text, "  {} {} {:?}", entry.mac, entry.port, entry.vlan).expect("a String grows");
            }
        }
    }
    text
}

/// Keeps the steps that succeed one after another after `before`, and can be rolled back; and one that always does.
fn good(before: &[Step], steps: Vec<Step>) -> Vec<Step> {
    let host = prepared(before);
    // The model adds an entry without a VLAN in every VLAN of its port, or nowhere: unlike a kernel, it cannot bring
    // one back beside another port's entry in a VLAN.
    let is_everywhere = |step: &Step| matches!(step, Step::RemoveFdbEntry { vlan: None, .. });
    let succeeds = |step: &Step| !step.is_irreversible() && !is_everywhere(step) && one(&host, step).is_ok();
    let last = Step::Create(BridgeSpec::new(name('b', 9)).mac(mac(1, 9)));
    steps.into_iter().filter(succeeds).chain([last]).collect()
}

/// Returns a host on which these steps were carried out, as far as possible.
fn prepared(steps: &[Step]) -> Model {
    let host = host();
    for step in steps {
        drop(one(&host, step));
    }
    host
}

fn one<B: Backend>(host: &B, step: &Step) -> Result<()> {
    Transaction::of(host, |steps| steps.run(step.clone()).map(drop))
}

proptest! {
    #[test]
    fn together_is_as_one_after_another(before in vec(step(), 0..12), steps in vec(step(), 2..9)) {
        let (together, single) = (prepared(&before), prepared(&before));
        let failures: Vec<(usize, ErrorKind)> = match together.apply(&steps, Bulk::AsMuchAsPossible) {
            Ok(()) => Vec::new(),
            Err(error) => error.failures().iter().map(|(place, error)| (*place, error.kind())).collect(),
        };
        let results = steps.iter().enumerate().map(|(place, step)| (place, one(&single, step)));
        let expected: Vec<_> =
            results.filter_map(|(place, result)| Some((place, result.err()?.kind()))).collect();
        prop_assert_eq!(failures, expected);
        prop_assert_eq!(snapshot(&together), snapshot(&single));
    }

    #[test]
    fn a_failure_leaves_the_host_as_it_was(
        before in vec(step(), 0..12),
        steps in vec(step(), 2..16),
        at in any::<prop::sample::Index>(),
        second in 1..6_usize,
        faults in (prop::sample::select(&[Fault::Refused, Fault::FailedAfter]), prop::sample::select(Fault::ALL)),
    ) {
        let steps = good(&before, steps);
        let host = FaultyBackend::new(prepared(&before));
        let was = snapshot(&host);
        let at = at.index(steps.len());
        host.fail(at, faults.0);
        // Rollback tries again.
        host.fail(at + second, faults.1);
        let error = host.apply(&steps, Bulk::AllOrNothing).expect_err("a step fails");
        prop_assert_eq!(error.failures().len(), 1, "{}", error.report());
        prop_assert_eq!(snapshot(&host), was, "{}", error.report());
    }

    #[test]
    fn a_lost_answer_changes_nothing(
        before in vec(step(), 0..12),
        steps in vec(step(), 2..16),
        at in any::<prop::sample::Index>(),
    ) {
        let steps = good(&before, steps);
        let (host, expected) = (FaultyBackend::new(prepared(&before)), prepared(&before));
        host.fail(at.index(steps.len()), Fault::AnswerLost);
        host.apply(&steps, Bulk::AllOrNothing).expect("every step is done");
        expected.apply(&steps, Bulk::AllOrNothing).expect("every step is done");
        prop_assert_eq!(snapshot(&host), snapshot(&expected));
    }
}
