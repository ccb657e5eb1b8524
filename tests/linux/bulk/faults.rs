//! The system calls of many operations made to fail in turn, as in [`crate::faults`], and the process
//! made to die at each.

use std::process::{Command, Output};

use vmbridge::{Backend, BridgeChange, BridgeOptions, Bridges, Bulk, BulkResult};

use super::{entry, mac, names, open, spec, static_entries, with_bridges, with_interfaces};
use crate::faults::state;
use crate::support::{
    Registry, bridge_changes, creations, deletions, fdb_additions, in_namespace, ip, joins, link, name, path_of,
    with_fault,
};

/// Three operations in one call.
struct Work {
    name: &'static str,
    prepare: fn(),
    act: fn(&dyn Backend, Bulk) -> BulkResult,
    is_done: fn(usize) -> bool,
}

const ITEMS: [usize; 3] = [0, 1, 2];

const WORKS: [Work; 5] = [
    Work {
        name: "create",
        prepare: || {},
        act: |bridges, bulk| {
            let options = BridgeOptions::default().priority(4096);
            let spec = |number| spec(&bridge(number), number).options(options);
            bridges.apply(&creations(&ITEMS.map(spec)), bulk)
        },
        is_done: |number| {
            let link = link(&bridge(number));
            link.is_some_and(|link| link["address"] == mac(number).to_string() && link["mtu"] == 1400)
        },
    },
    Work {
        name: "delete",
        prepare: || {
            with_bridges(4);
            ip("link set dev virbr1 group 77");
        },
        act: |bridges, bulk| bridges.apply(&deletions(&names(&["virbr0", "virbr1", "virbr2"])), bulk),
        is_done: |number| link(&bridge(number)).is_none(),
    },
    Work {
        name: "add_ports",
        prepare: || {
            with_interfaces(3);
        },
        act: |bridges, bulk| bridges.apply(&joins(name("virbr0"), &names(&["tap0", "tap1", "tap2"])), bulk),
        is_done: |number| link(&tap(number)).is_some_and(|link| link["master"] == "virbr0"),
    },
    Work {
        name: "add_fdb_entries",
        prepare: || {
            with_interfaces(1);
            ip("link set dev tap0 master virbr0");
        },
        act: |bridges, bulk| {
            bridges.apply(&fdb_additions(name("virbr0"), &ITEMS.map(|number| entry(number, "tap0"))), bulk)
        },
        is_done: |number| static_entries().iter().any(|entry| entry.starts_with(&mac(number).to_string())),
    },
    Work {
        name: "change",
        prepare: || {
            for number in ITEMS {
                ip(&format!("link add name {} address 52:54:00:00:00:07 type bridge", bridge(number)));
            }
        },
        act: |bridges, bulk| {
            // Of one step, two and three.
            let change = |number| match number {
                0 => BridgeChange::default().mac(mac(number)),
                1 => BridgeChange::default().mac(mac(number)).mtu(1400),
                _ => BridgeChange::default().mac(mac(number)).mtu(1400).link(vmbridge::LinkState::Up),
            };
            bridges.apply(&bridge_changes(&ITEMS.map(|number| (name(&bridge(number)), change(number)))), bulk)
        },
        is_done: |number| {
            let link = link(&bridge(number)).expect("it is there");
            link["address"] == mac(number).to_string() && (link["mtu"] == 1400 || number == 0)
        },
    },
];

fn bridge(number: usize) -> String {
    format!("virbr{number}")
}

fn tap(number: usize) -> String {
    format!("tap{number}")
}

const FAULTS: [(&str, &str); 2] = [
    ("sendto", "ENOMEM"),
    // The kernel has done what was asked.
    ("recvfrom", "ENOBUFS"),
];

type Times = fn(usize) -> String;

/// Which calls fail, from the one of this number on.
const TIMES: [(&str, Times); 3] = [
    ("once", |number| number.to_string()),
    // Of several answers the first is lost, and with the second all that are left.
    ("twice", |number| format!("{number}..{}", number + 1)),
    ("from_then_on", |number| format!("{number}+")),
];

pub(super) fn register(registry: &Registry) {
    let registry = registry.needs("strace").on_host();
    for work in &WORKS {
        for (how, bulk) in [("all", Bulk::AllOrNothing), ("some", Bulk::AsMuchAsPossible)] {
            for (call, errno) in FAULTS {
                for (which, times) in TIMES {
                    registry.add_with(path_of!(fails), &[call, work.name, how, which], move || {
                        fails(work, how, bulk, call, &|number| format!("error={errno}:when={}", times(number)));
                    });
                }
                registry
                    .add_with(path_of!(is_killed), &[call, work.name, how], move || is_killed(work, how, call));
            }
        }
    }
}

/// Does the work of the process that a test traces, and returns whether this is that process.
pub(crate) fn ran_as_child() -> bool {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, work, how] = &args[..] else { return false };
    if mode != "--bulk" {
        return false;
    }
    let work = WORKS.iter().find(|other| other.name == work).expect("it is one of them");
    let bulk = if how == "all" { Bulk::AllOrNothing } else { Bulk::AsMuchAsPossible };
    if let Err(error) = (work.act)(&*open(), bulk) {
        for (number, failure) in error.failures() {
            println!("{number} {failure}");
        }
        error.done().iter().for_each(|number| println!("{number} done"));
        std::process::exit(1);
    }
    true
}

fn command(work: &Work, how: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("it is known"));
    command.args(["--bulk", work.name, how]);
    command
}

/// Repeats a check for the first call, the second, and so on, each on a host of its own; with the
/// output of the work, unless it ended before the fault's turn.
fn for_each_call(
    work: &Work,
    how: &str,
    call: &str,
    fault: &(dyn Fn(usize) -> String + Sync),
    check: impl Fn(usize, &str, &Output) + Sync,
) {
    let mut calls = 0;
    while in_namespace(|| {
        (work.prepare)();
        let before = state();
        let output = with_fault(call, &fault(calls + 1), &command(work, how));
        output.inspect(|output| check(calls + 1, &before, output)).is_some()
    }) {
        calls += 1;
    }
    assert!(calls > 1, "the fault never had its turn");
}

/// What is said of each item is so, and an item that is not said to be half done is done or as before.
fn fails(work: &Work, how: &str, bulk: Bulk, call: &str, fault: &(dyn Fn(usize) -> String + Sync)) {
    for_each_call(work, how, call, fault, |number, before, output| {
        let told = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let context = || format!("call {number}: {told}{errors}");
        let of = |item: usize| {
            told.lines().filter_map(move |line| line.strip_prefix(&format!("{item} "))).collect::<Vec<_>>()
        };
        if output.status.success() {
            assert!(ITEMS.into_iter().all(work.is_done), "{}", context());
            return;
        }
        if told.is_empty() {
            // It could not be opened, or not even be loaded.
            assert!(state() == before, "{}", context());
            return;
        }
        let mut is_as_before = bulk == Bulk::AllOrNothing;
        for item in ITEMS {
            let told = of(item);
            if told.contains(&"done") {
                // With an error, that of undoing it, which may have had its effect.
                assert!(told.len() > 1 || (work.is_done)(item), "item {item}, {}", context());
                is_as_before = false;
            } else if told.iter().any(|line| line.contains("rollback failed")) {
                is_as_before = false;
            } else {
                assert!(!(work.is_done)(item), "item {item}, {}", context());
            }
        }
        let is_untouched = told.lines().all(|line| line.contains("cannot") && !line.contains("rollback failed"));
        if is_as_before || is_untouched {
            assert!(state() == before, "{}\n{before}\n{}", context(), state());
        }
    });
}

/// Each item is done or not, and the same call done again ends what was begun.
fn is_killed(work: &Work, how: &str, call: &str) {
    for_each_call(work, how, call, &|number| format!("signal=KILL:when={number}"), |number, _, _| {
        let done: Vec<_> = ITEMS.into_iter().filter(|&item| (work.is_done)(item)).collect();
        match work.name {
            // No bridge is there without its MAC.
            "create" => {
                let made: Vec<_> = ITEMS.into_iter().filter(|&item| link(&bridge(item)).is_some()).collect();
                assert_eq!(made, done, "killed at call {number}");
            }
            // All or none, and those that are left are in a group of their own at most.
            "delete" => {
                assert!(done.is_empty() || done.len() == 3, "killed at call {number}: {done:?}");
                assert_eq!(link("virbr3").expect("it was not to be deleted")["group"], "default");
            }
            _ => {}
        }
        let again = command(work, "some").output().expect("it can be run");
        let told = String::from_utf8_lossy(&again.stdout);
        assert!(ITEMS.into_iter().all(work.is_done), "killed at call {number}: {told}");
        for item in ITEMS {
            // Of change, what is done is just done again.
            let is_refused = told.lines().any(|line| line.starts_with(&format!("{item} cannot")));
            assert!(is_refused <= done.contains(&item), "killed at call {number}: {told}");
        }
    });
}
