//! Random sequences of definitions, against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Define { network: &'static str, bridge: Option<u8>, mac: Option<u8> },
    Undefine(&'static str),
    Start(&'static str),
    Stop(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || select(vec!["a", "b", "c"]);
    prop_oneof![
        4 => (name(), proptest::option::of(0..3_u8), proptest::option::of(0..3_u8))
            .prop_map(|(network, bridge, mac)| Step::Define { network, bridge, mac }),
        1 => name().prop_map(Step::Undefine),
        1 => name().prop_map(Step::Start),
        1 => name().prop_map(Step::Stop),
    ]
}

/// The bridge and the MAC of each network.
type Networks = BTreeMap<&'static str, (String, UnicastMac)>;

#[derive(Debug, Default)]
struct Expected {
    defined: Networks,
    active: Networks,
}

impl Expected {
    fn others(&self, network: &'static str) -> impl Iterator<Item = &(String, UnicastMac)> {
        let all = self.defined.iter().chain(&self.active);
        all.filter(move |(name, _)| **name != network).map(|(_, has)| has)
    }

    fn before(&self, network: &str) -> Option<&(String, UnicastMac)> {
        self.defined.get(network).or(self.active.get(network))
    }

    /// The bridge that it is to have.
    fn bridge(&self, network: &'static str, given: Option<u8>) -> String {
        let is_free = |name: &String| self.others(network).all(|(bridge, _)| bridge != name);
        match (given, self.before(network)) {
            (Some(number), _) => format!("virbr{number}"),
            (None, Some((bridge, _))) => bridge.clone(),
            (None, None) => {
                (0..9).map(|number| format!("virbr{number}")).find(is_free).expect("there are three networks")
            }
        }
    }
}

fn check(fixture: &Fixture, expected: &mut Expected, step: &Step) -> Result<(), TestCaseError> {
    match *step {
        Step::Define { network: name, bridge, mac: given } => {
            let given = given.map(mac);
            let mut body = bridge.map(|number| format!("<bridge name='virbr{number}'/>")).unwrap_or_default();
            body.extend(given.map(|mac| format!("<mac address='{mac}'/>")));
            let bridge = expected.bridge(name, bridge);
            let known = given.or(expected.before(name).map(|(_, mac)| *mac));
            let is_taken = expected.others(name).any(|(other, mac)| *other == bridge || Some(*mac) == known);
            match fixture.define(&network(name, &body)) {
                Ok(defined) => {
                    prop_assert!(!is_taken);
                    let new = mac_of(&defined.document);
                    prop_assert!(known.is_none_or(|known| known == new));
                    prop_assert!(expected.others(name).all(|(_, mac)| *mac != new));
                    expected.defined.insert(name, (bridge, new));
                }
                Err(error) => prop_assert!(is_taken, "{}", error),
            }
        }
        Step::Undefine(network) => {
            let is_defined = expected.defined.remove(network).is_some();
            prop_assert_eq!(fixture.store.undefine(&name(network)).is_ok(), is_defined);
        }
        Step::Start(network) => {
            if let Ok(document) = fixture.store.load(&name(network)) {
                fixture.start(&document);
                expected.active.insert(network, expected.defined[network].clone());
            }
        }
        Step::Stop(network) => {
            fixture.store.lock_state().expect("nobody has it").remove(&name(network)).expect("it can be");
            expected.active.remove(network);
        }
    }
    Ok(())
}

fn compare(listed: Vec<Result<Document, StoreError>>, expected: &Networks) -> Result<(), TestCaseError> {
    let listed: Vec<_> = listed.into_iter().map(|document| document.expect("it is valid")).collect();
    let listed: BTreeMap<_, _> = listed
        .iter()
        .map(|document| (document.parsed().name().as_str(), (bridge_of(document), mac_of(document))))
        .collect();
    prop_assert_eq!(&listed, expected);
    Ok(())
}

proptest! {
    // Each step waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_is_a_map(steps in proptest::collection::vec(step(), 1..20)) {
        let fixture = Fixture::new();
        let mut expected = Expected::default();
        for step in steps {
            check(&fixture, &mut expected, &step)?;
            compare(fixture.store.list().expect("it can be read"), &expected.defined)?;
            compare(fixture.store.list_active().expect("it can be read"), &expected.active)?;
        }
        prop_assert_eq!(fixture.files().len(), expected.defined.len());
    }
}
