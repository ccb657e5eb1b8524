//! Many networks at a time.

use super::*;
use crate::testing::mac;

/// A fixture with networks `n0` and so on, on bridges `br.0` and so on; those of odd numbers have an anchor.
fn with_many(count: usize) -> (Fixture, Vec<NetworkName>) {
    let fixture = Fixture::new(LAN);
    let names: Vec<NetworkName> = (0..count).map(|number| format!("n{number}").parse().expect("a name")).collect();
    for (number, name) in names.iter().enumerate() {
        let text = if number % 2 == 0 { LAN } else { ANCHORED };
        let text = text.replace("lan", &name.to_string()).replace("virbr0", &format!("br.{number}"));
        fixture.define(&text.replace("00:01", &format!("01:{number:02}")));
    }
    (fixture, names)
}

fn texts<T: std::fmt::Debug>(outcomes: Vec<Result<T, NetworkError>>) -> Vec<String> {
    let text = |outcome: Result<T, NetworkError>| match outcome {
        Ok(done) => format!("{done:?}"),
        Err(error) => error.to_string(),
    };
    outcomes.into_iter().map(text).collect()
}

/// What came of each is what comes of it when it is alone, in the order of the names.
#[test]
fn many_are_each_as_one_alone() {
    type Act = fn(&NetworkController<'_>, &[NetworkName]) -> Vec<String>;
    type Alone = fn(&NetworkController<'_>, &NetworkName) -> String;
    fn text<T: std::fmt::Debug>(outcome: Result<T, NetworkError>) -> String {
        texts(vec![outcome]).remove(0)
    }
    let acts: [(Act, Alone); 3] = [
        (
            |all, names| texts(all.start_many(names).expect("nobody has the lock")),
            |all, name| text(all.start(name)),
        ),
        (
            |all, names| texts(all.ensure_many(names).expect("nobody has the lock")),
            |all, name| text(all.ensure(name)),
        ),
        (|all, names| texts(all.stop_many(names).expect("nobody has the lock")), |all, name| text(all.stop(name))),
    ];
    for (act, alone) in acts {
        let prepared = || {
            let (fixture, mut names) = with_many(8);
            let networks = fixture.networks();
            for started in [0, 1, 4, 5, 6] {
                networks.start(&names[started]).expect("it can be started");
            }
            fixture.host.change(name("br.4"), &BridgeChange::default().mtu(1300)).expect("it can be changed");
            let tap = fixture.host.taps().expect("a list").pop().expect("there is one").name;
            fixture.host.delete_tap(tap).expect("nobody has it");
            // In its file there is another bridge than the one that it was started with.
            fixture.define(&LAN.replace("lan", "n6").replace("virbr0", "br.9").replace("00:01", "01:06"));
            fixture.host.inner().add_interface(name("br.7"), mac(0xaa)).expect("it can be made");
            names.insert(2, "none".parse().expect("a name"));
            names.push(names[0].clone());
            names.push(names[3].clone());
            (fixture, names)
        };
        let (one, names) = prepared();
        let expected: Vec<_> = names.iter().map(|name| alone(&one.networks(), name)).collect();
        let (many, names) = prepared();
        let seen = act(&many.networks(), &names);
        let within =
            |fixture: &Fixture, text: &str| text.replace(fixture.directory.path().to_str().expect("UTF-8"), "");
        let plain = |fixture: &Fixture, texts: &[String]| -> Vec<String> {
            texts.iter().map(|text| within(fixture, text)).collect()
        };
        assert_eq!(plain(&many, &seen), plain(&one, &expected));
        assert_eq!(many.snapshot_of(&names), one.snapshot_of(&names));
    }
}

/// Of many, each step fails in turn: a network that has failed is as it was, and the others are done.
#[test]
fn of_many_only_those_fail_that_a_failure_concerns() {
    type Act = fn(&NetworkController<'_>, &[NetworkName]) -> Vec<bool>;
    fn are_done<T>(outcomes: Result<Vec<Result<T, NetworkError>>, StoreError>) -> Vec<bool> {
        outcomes.expect("nobody has the lock").iter().map(Result::is_ok).collect()
    }
    let acts: [(Act, bool); 3] = [
        (|all, names| are_done(all.start_many(names)), false),
        (|all, names| are_done(all.ensure_many(names)), false),
        (|all, names| are_done(all.stop_many(names)), true),
    ];
    for (&fault, (act, is_active)) in Fault::ALL.iter().flat_map(|fault| acts.map(|act| (fault, act))) {
        for after in 0.. {
            let (fixture, names) = with_many(4);
            if is_active {
                assert!(are_done(fixture.networks().start_many(&names)).iter().all(|done| *done));
            }
            fixture.host.fail(after, fault);
            let done = act(&fixture.networks(), &names);
            if fixture.host.cancel() {
                assert_eq!(done, [true; 4]);
                assert!(after > 4);
                break;
            }
            let failed = done.iter().filter(|done| !**done).count();
            // An answer that is lost is made up for, what is deleted is deleted, and an anchor that stays is tried
            // again.
            let is_made_up_for = failed == 0 && (is_active || fault != Fault::Refused);
            assert!(failed == 1 || is_made_up_for, "{fault:?} after {after}");
            for (number, name) in names.iter().enumerate() {
                let found = fixture.networks().find(name).expect("it is known");
                let NetworkState::Own(found) = found.state.expect("it can be told") else { panic!("its own") };
                let is_noted = || fixture.store.active(name).expect("it can be read").is_some();
                assert_eq!(is_noted(), done[number] != is_active, "{fault:?} after {after}");
                if done[number] == is_active {
                    assert_eq!(found, DriftStatus::Absent, "{fault:?} after {after}");
                } else {
                    assert_eq!(found, DriftStatus::AsDefined, "{fault:?} after {after}");
                }
            }
        }
    }
}
