//! Networks of a store on the model, where each step is made to fail.

mod bulk;

use tempfile::TempDir;

use super::*;
use crate::faults::Fault;
use crate::network::{
    Drift, DriftStatus, EnsureOutcome, ForeignMode, MacSource, NetworkError, NetworkFailure, NetworkName,
    StopOutcome, Store, StoreError,
};
use crate::testing::{Host, host, mac, name, snapshot};
use crate::{BridgeChange, BridgeSpec, Bridges, TapSpec};

const LAN: &str = "<network><name>lan</name><bridge name='virbr0'/>\
                   <mac address='52:54:00:00:00:01'/><mtu size='1400'/></network>";
const ANCHORED: &str = "<network><name>lan</name><metadata>\
                        <v:bridge xmlns:v='https://vmbridge.org/network/1' anchor='tap'/></metadata>\
                        <bridge name='virbr0'/><mac address='52:54:00:00:00:01'/></network>";

struct Fixture {
    directory: TempDir,
    host: Host,
    store: Store,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let store = Store::new(directory.path().join("etc"), directory.path().join("run"));
        let fixture = Self { directory, host: host(), store };
        fixture.define(text);
        fixture
    }

    fn define(&self, text: &str) {
        let document = text.parse().expect("a definition");
        self.store.define(&self.host, &document, &MacSource::Random).expect("it can be defined");
    }

    fn networks(&self) -> NetworkController<'_> {
        NetworkController::new(&self.host, &self.store)
    }

    fn snapshot(&self) -> String {
        self.snapshot_of(&[lan()])
    }

    /// What is noted of these networks, and all that is on the host.
    fn snapshot_of(&self, names: &[NetworkName]) -> String {
        let noted = |name| self.store.active(name).expect("it can be read").map(|document| document.to_string());
        let noted: Vec<_> = names.iter().map(noted).collect();
        format!("{noted:?}\n{}", snapshot(&self.host))
    }

    fn state(&self) -> NetworkState {
        self.networks().find(&lan()).expect("it is known").state.expect("it can be told")
    }
}

fn lan() -> NetworkName {
    "lan".parse().expect("a name")
}

fn failure<T: std::fmt::Debug>(outcome: Result<T, NetworkError>) -> NetworkFailure {
    outcome.expect_err("it is refused").into_failure()
}

#[test]
fn what_is_started_is_noted_until_it_is_stopped() {
    let fixture = Fixture::new(LAN);
    let (networks, before) = (fixture.networks(), fixture.snapshot());
    assert_eq!(fixture.state(), NetworkState::Own(DriftStatus::Absent));
    networks.start(&lan()).expect("it can be started");
    assert_eq!(fixture.state(), NetworkState::Own(DriftStatus::AsDefined));
    let noted = fixture.store.active(&lan()).expect("it can be read").expect("it is active");
    assert_eq!(noted.text(), LAN);

    let started = fixture.snapshot();
    assert!(matches!(failure(networks.start(&lan())), NetworkFailure::Active(bridge) if bridge == name("virbr0")));
    assert_eq!(networks.ensure(&lan()).expect("it is active"), EnsureOutcome::AsDefined);
    assert_eq!(fixture.snapshot(), started);

    networks.stop(&lan()).expect("it is active");
    assert_eq!(fixture.snapshot(), before);
    assert!(matches!(failure(networks.stop(&lan())), NetworkFailure::NotActive(_)));
    assert_eq!(networks.ensure(&lan()).expect("it can be made"), EnsureOutcome::Created);
    assert_eq!(fixture.snapshot(), started);
}

/// Each step fails in turn, and the next after it works again.
#[test]
fn what_fails_leaves_all_as_it_was() {
    type Act = fn(&NetworkController<'_>) -> Result<(), NetworkError>;
    type Prepare = fn(&Fixture);
    let start: Act = |networks| networks.start(&lan());
    let ensure: Act = |networks| networks.ensure(&lan()).map(drop);
    let nothing: Prepare = |_| {};
    let redefined: Prepare = |fixture| {
        fixture.networks().start(&lan()).expect("it can be started");
        fixture.define(&ANCHORED.replace("00:01", "00:02"));
    };
    let adopted: Prepare = |fixture| {
        fixture.host.inner().create(&BridgeSpec::new(name("virbr0"))).expect("the name is free");
    };
    let prepared = |text, prepare: Prepare| {
        let fixture = Fixture::new(text);
        prepare(&fixture);
        fixture
    };
    for text in [LAN, ANCHORED] {
        for (act, prepare) in [(start, nothing), (ensure, nothing), (ensure, redefined), (ensure, adopted)] {
            let done = prepared(text, prepare);
            act(&done.networks()).expect("nothing fails");
            for &fault in Fault::ALL {
                for after in 0.. {
                    let fixture = prepared(text, prepare);
                    let before = fixture.snapshot();
                    fixture.host.fail(after, fault);
                    let outcome = act(&fixture.networks());
                    if fixture.host.cancel() {
                        outcome.expect("nothing failed");
                        assert!(after > 0);
                        break;
                    }
                    if outcome.is_ok() {
                        // The answer was lost, and a look says that the step is done.
                        assert_eq!(fault, Fault::AnswerLost, "after {after}");
                        assert_eq!(fixture.snapshot(), done.snapshot(), "after {after}");
                    } else {
                        assert_eq!(fixture.snapshot(), before, "{fault:?} after {after}");
                    }
                }
            }
        }
    }
}

/// As a process that was killed leaves it, or the bridge's deletion by others.
#[test]
fn a_note_without_a_bridge_is_in_nobodys_way() {
    let fixture = Fixture::new(LAN);
    let networks = fixture.networks();
    let die = || {
        networks.start(&lan()).expect("it can be started");
        fixture.host.delete(name("virbr0")).expect("it is there");
        assert_eq!(fixture.state(), NetworkState::Own(DriftStatus::Absent));
    };
    die();
    networks.start(&lan()).expect("it is not active");
    networks.stop(&lan()).expect("it is active");
    die();
    assert_eq!(networks.ensure(&lan()).expect("it can be made"), EnsureOutcome::Created);
    networks.stop(&lan()).expect("it is active");
    die();
    assert!(matches!(failure(networks.stop(&lan())), NetworkFailure::NotActive(_)));
    assert!(fixture.store.active(&lan()).expect("it can be read").is_none());
}

#[test]
fn one_that_is_defined_with_another_bridge_since_is_stopped_as_it_was_started() {
    let fixture = Fixture::new(ANCHORED);
    let networks = fixture.networks();
    networks.start(&lan()).expect("it can be started");
    fixture.define(&LAN.replace("virbr0", "virbr1"));
    let before = fixture.snapshot();
    for outcome in [networks.start(&lan()), networks.ensure(&lan()).map(drop)] {
        let error = outcome.expect_err("it is active");
        assert_eq!(
            error.to_string(),
            "network lan: it is running on bridge virbr0 but is now defined with virbr1; stop it first"
        );
    }
    assert_eq!(fixture.state(), NetworkState::Former(name("virbr0")));
    assert_eq!(fixture.snapshot(), before);
    networks.stop(&lan()).expect("it is active");
    assert!(fixture.host.find(name("virbr0")).expect("it can be read").is_none());
    networks.start(&lan()).expect("it is stopped");
    assert!(fixture.host.find(name("virbr1")).expect("it can be read").is_some());
}

/// The bridge that it was started with is gone, its anchor is not.
#[test]
fn nothing_is_left_of_what_it_was_started_with() {
    for ensured in [false, true] {
        let fixture = Fixture::new(ANCHORED);
        let networks = fixture.networks();
        networks.start(&lan()).expect("it can be started");
        fixture.define(&LAN.replace("virbr0", "virbr1"));
        fixture.host.delete(name("virbr0")).expect("it is there");
        assert!(!fixture.host.taps().expect("a list").is_empty());
        if ensured {
            assert_eq!(networks.ensure(&lan()).expect("it can be made"), EnsureOutcome::Created);
        } else {
            networks.start(&lan()).expect("it is not active");
        }
        assert!(fixture.host.taps().expect("a list").is_empty());
    }
}

/// `define` gives a network the MAC of a running bridge.
#[test]
fn a_bridge_that_was_not_started_here_is_to_be_adopted() {
    let fixture = Fixture::new(LAN);
    fixture.networks().start(&lan()).expect("it can be started");
    fixture.store.lock_state().and_then(|active| active.remove(&lan())).expect("it is noted");
    let before = fixture.snapshot();
    let failure = failure(fixture.networks().start(&lan()));
    assert!(matches!(failure, NetworkFailure::NotAdopted(bridge) if bridge == name("virbr0")), "{failure}");
    assert_eq!(fixture.snapshot(), before);
    assert_eq!(fixture.networks().ensure(&lan()).expect("it can be adopted"), EnsureOutcome::AsDefined);
}

#[test]
fn one_that_is_defined_with_another_mac_since_is_active() {
    let fixture = Fixture::new(LAN);
    let networks = fixture.networks();
    networks.start(&lan()).expect("it can be started");
    fixture.define(&LAN.replace("00:01", "00:02"));
    assert!(matches!(failure(networks.start(&lan())), NetworkFailure::Active(_)));
    let EnsureOutcome::Repaired(drifts) = networks.ensure(&lan()).expect("it can be changed") else {
        panic!("its MAC")
    };
    assert!(matches!(drifts[..], [Drift::Mac { .. }]), "{drifts:?}");
    networks.stop(&lan()).expect("its MAC is known");
}

/// What each network does with its bridge does not depend on the others.
#[test]
fn an_adopted_bridge_is_left_with_all_but_the_anchor() {
    let fixture = Fixture::new(LAN);
    fixture.define(&ANCHORED.replace("lan", "held").replace("virbr0", "br1").replace("00:01", "00:02"));
    fixture.define(&LAN.replace("lan", "own").replace("virbr0", "br2").replace("00:01", "00:03"));
    let names = ["lan", "held", "own"].map(|name| name.parse().expect("a name"));
    for bridge in ["virbr0", "br1"] {
        fixture.host.inner().create(&BridgeSpec::new(name(bridge))).expect("the name is free");
    }
    let networks = fixture.networks();
    let stopped = |networks: NetworkController<'_>| -> Vec<_> {
        let outcomes = networks.stop_many(&names).expect("nobody has the lock").into_iter();
        outcomes.map(|outcome| outcome.expect("it is active")).collect()
    };
    let left = |bridge| StopOutcome::Left(name(bridge));
    for _ in 0..2 {
        for outcome in networks.ensure_many(&names).expect("nobody has the lock") {
            outcome.expect("it can be made");
        }
        assert_eq!(fixture.host.taps().expect("a list").len(), 1);
        assert_eq!(stopped(networks), [left("virbr0"), left("br1"), StopOutcome::Deleted]);
        assert!(fixture.host.taps().expect("a list").is_empty());
        assert!(names.iter().all(|name| fixture.store.active(name).expect("it can be read").is_none()));
    }
    networks.ensure_many(&names).expect("nobody has the lock");
    assert_eq!(stopped(networks.with_adopted(AdoptedBridge::Delete)), [StopOutcome::Deleted; 3]);
}

/// The record is of a bridge that is gone.
#[test]
fn a_bridge_that_took_the_place_of_its_own_is_adopted() {
    let fixture = Fixture::new(LAN);
    let (networks, host) = (fixture.networks(), fixture.host.inner());
    networks.start(&lan()).expect("it can be started");
    host.delete(name("virbr0")).expect("it is there");
    host.create(&BridgeSpec::new(name("virbr0")).mac(mac(9))).expect("the name is free");
    networks.ensure(&lan()).expect("it can be adopted");
    assert_eq!(networks.stop(&lan()).expect("it is active"), StopOutcome::Left(name("virbr0")));
}

#[test]
fn refuses_before_anything_is_noted() {
    let fixture = Fixture::new(LAN);
    let tap = fixture.host.inner().create_tap(&TapSpec::new().name(name("virbr0"))).expect("it can be made");
    let before = fixture.snapshot();
    for outcome in [fixture.networks().start(&lan()), fixture.networks().ensure(&lan()).map(drop)] {
        assert!(matches!(failure(outcome), NetworkFailure::Occupied(_)));
    }
    assert_eq!(fixture.snapshot(), before);
    assert!(matches!(fixture.state(), NetworkState::Own(DriftStatus::Occupied(_))));
    drop(tap);
}

#[test]
fn a_file_that_was_put_there_needs_a_name_and_a_mac() {
    let fixture = Fixture::new(LAN);
    for (body, says) in [
        ("<mac address='52:54:00:00:00:01'/>", "a bridge gets its name when the network is defined"),
        ("<bridge name='virbr0'/>", "a network gets its MAC when it is defined"),
        ("<forward mode='bridge'/>", "such a network has no bridge of its own"),
    ] {
        let text = format!("<network><name>lan</name>{body}</network>");
        std::fs::write(fixture.directory.path().join("etc/lan.xml"), text).expect("it can be written");
        let networks = fixture.networks();
        for outcome in [networks.start(&lan()), networks.ensure(&lan()).map(drop), networks.stop(&lan()).map(drop)]
        {
            let error = outcome.expect_err("it is not whole").to_string();
            assert!(error.starts_with("network lan: ") && error.ends_with(says), "{error}");
        }
    }
    assert_eq!(fixture.state(), NetworkState::Foreign(ForeignMode::Bridge));
}

#[test]
fn lists_what_is_defined_or_active() {
    let fixture = Fixture::new(LAN);
    let networks = fixture.networks();
    for other in ["a", "z"] {
        fixture.define(&format!("<network><name>{other}</name></network>"));
    }
    std::fs::write(fixture.directory.path().join("etc/broken.xml"), "<network>").expect("it can be written");
    let foreign = "<network><name>foreign</name><forward mode='bridge'/></network>";
    std::fs::write(fixture.directory.path().join("etc/foreign.xml"), foreign).expect("it can be written");
    for started in ["a", "lan"] {
        networks.start(&started.parse().expect("a name")).expect("it can be started");
    }
    fixture.store.undefine(&"a".parse().expect("a name")).expect("it is defined");
    fixture.host.change(name("virbr0"), &BridgeChange::default().mtu(1300)).expect("it can be changed");

    let listed = networks.list().expect("it can be read");
    let seen: Vec<_> = listed
        .iter()
        .map(|network| match network {
            Err(error) => format!("{}", error.path().file_name().expect("a file").display()),
            Ok(NetworkInfo { document, is_defined, state }) => {
                let name = document.parsed().name();
                format!("{name} {is_defined} {:?}", state.as_ref().expect("it can be told"))
            }
        })
        .collect();
    assert_eq!(seen[0], "broken.xml");
    assert_eq!(seen[1], "foreign true Foreign(Bridge)");
    assert!(seen[2].starts_with("lan true Own(Drifted([Mtu"), "{seen:?}");
    assert_eq!(seen[3..], ["z true Own(Absent)", "a false Own(AsDefined)"]);

    let names = |names: Vec<Result<NetworkName, StoreError>>| -> Vec<_> {
        names.into_iter().map(|name| name.map_or_else(|_| "?".to_owned(), |name| name.to_string())).collect()
    };
    assert_eq!(names(networks.defined().expect("it can be read")), ["?", "lan", "z"]);
    assert_eq!(names(networks.defined_or_active().expect("it can be read")), ["?", "lan", "z", "a"]);
    assert!(!networks.find(&"a".parse().expect("a name")).expect("it is active").is_defined);
    let error = networks.find(&"b".parse().expect("a name")).expect_err("it is neither");
    assert!(error.to_string().ends_with("b.xml: the network is not defined"), "{error}");
}
