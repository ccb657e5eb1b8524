//! Races between the command and another process.
//!
//! Each test stops the command before one of its calls that concern the network, lets another process act,
//! and then lets the command run to its end. It does so before every call, so a test stays valid when the
//! calls change. After each run, nothing foreign may be changed and nothing may be left over. Some order of
//! the two processes must give the same result.
//!
//! No program can win these races, and the tests leave them out:
//!
//! - Another interface takes a name after the comparison of name and index, and before a call by name. The
//!   tracer does not stop before a call that changes an interface by name, directly after `SIOCGIFNAME` or
//!   `SIOCGIFINDEX`.
//! - `SIOCBRADDBR` does not return the index of the new bridge. The tracer does not stop between that call
//!   and the call that reads the index.
//! - On netlink the kernel moves a port from one bridge to another without an error. A port that joins
//!   another bridge after the command's look at it is moved back. [`moved`] accepts that.
//!
//! The tests leave out some more stops, which would repeat others: the stop between a request to netlink and
//! its answer, unless the answer is a list, and the stops in a series of files of sysfs after the first ones.

mod call;
mod creation;
mod deletion;
mod errors;
mod host;
mod moved;
mod names;
mod networks;
mod options;
mod restriction;
mod rollback;
mod taps;
pub(crate) mod tracer;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use self::host::Fate;
use self::tracer::{Ended, stopped_before};
use crate::support::{Registry, in_namespace};

pub(crate) fn register(registry: &Registry) {
    // Each run has a network namespace of its own.
    let registry = registry.on_host();
    let groups = [
        creation::RACES,
        deletion::RACES,
        errors::RACES,
        moved::RACES,
        names::RACES,
        networks::RACES,
        options::RACES,
        restriction::RACES,
        rollback::RACES,
        taps::RACES,
    ];
    for race in groups.into_iter().flatten() {
        for backend in vmbridge::AVAILABLE.iter().map(|backend| backend.name) {
            if !race.backends.contains(&backend) {
                continue;
            }
            match race.run {
                Run::Once(run) => registry.add_with(race.path, &[backend], move || run(backend)),
                Run::OfEachFate(run) => {
                    for fate in Fate::ALL {
                        registry.add_with(race.path, &[backend, fate.name()], move || run(backend, fate));
                    }
                }
            }
        }
    }
}

const NETLINK: &[&str] = &["netlink"];
const IOCTL: &[&str] = &["ioctl"];
const BOTH: &[&str] = &["netlink", "ioctl"];

/// A test for some backends.
struct Race {
    path: &'static str,
    backends: &'static [&'static str],
    run: Run,
}

enum Run {
    Once(fn(&str)),
    OfEachFate(fn(&str, Fate)),
}

impl Race {
    const fn new(path: &'static str, backends: &'static [&'static str], run: fn(&str)) -> Self {
        Self { path, backends, run: Run::Once(run) }
    }

    const fn of_each_fate(path: &'static str, backends: &'static [&'static str], run: fn(&str, Fate)) -> Self {
        Self { path, backends, run: Run::OfEachFate(run) }
    }
}

/// Runs `vmbridge` with these arguments, stopped before its first call, before its second, and so on to its
/// last, each time in a network namespace of its own.
///
/// `prepare` makes the host, `act` acts at the stop, and `check` gets the value that `act` returned. All stops
/// are tried, also after a failure. The panic lists the failures.
fn at_every_stop<T: Send>(
    backend: &str,
    args: &str,
    prepare: impl Fn() + Sync,
    act: impl Fn() -> T + Sync,
    check: impl Fn(&Ended, T) + Sync,
) {
    let runs = Runs::new(backend, args);
    until_none(|number| {
        runs.run(
            &[number],
            &prepare,
            |_| act(),
            |ended, mut acted| check(ended, acted.pop().expect("it has acted")),
        )
    });
    runs.end();
}

/// Does the same with two other processes. The first acts at each stop, the second at the same or a later one.
fn at_every_two_stops<T: Send>(
    backend: &str,
    args: &str,
    prepare: impl Fn() + Sync,
    acts: [&(dyn Fn() -> T + Sync); 2],
    check: impl Fn(&Ended, [T; 2]) + Sync,
) {
    let runs = Runs::new(backend, args);
    until_none(|first| {
        // One run after the other: several values of `first` are tried at the same time.
        let later = (first..).take_while(|&second| {
            let checked = |ended: &_, acted: Vec<T>| {
                check(ended, acted.try_into().unwrap_or_else(|_| panic!("both have acted")));
            };
            runs.run(&[first, second], &prepare, |number| acts[number](), checked).is_some()
        });
        (later.count() > 0).then_some(())
    });
    runs.end();
}

/// How many runs take place at the same time. A run mostly waits for the kernel to delete interfaces.
const AT_ONCE: usize = 4;

/// The runs of one command. A failure is kept by the stops of its run.
struct Runs<'a> {
    args: Vec<&'a str>,
    count: AtomicUsize,
    failures: Mutex<BTreeMap<Vec<usize>, String>>,
}

impl<'a> Runs<'a> {
    fn new(backend: &'a str, args: &'a str) -> Self {
        let args = ["--backend", backend].into_iter().chain(args.split(' ')).collect();
        Self { args, count: AtomicUsize::new(0), failures: Mutex::default() }
    }

    /// Runs the command with these stops, and returns `None` if the command makes fewer calls.
    fn run<T: Send>(
        &self,
        stops: &[usize],
        prepare: &(impl Fn() + Sync),
        act: impl Fn(usize) -> T + Sync,
        check: impl Fn(&Ended, Vec<T>) + Sync,
    ) -> Option<()> {
        let args = &self.args;
        let outcome = in_namespace(|| {
            prepare();
            let (ended, acted) = stopped_before(stops, env!("CARGO_BIN_EXE_vmbridge"), args, &act);
            if acted.len() < stops.len() {
                return None;
            }
            let checked = catch_unwind(AssertUnwindSafe(|| check(&ended, acted)));
            Some(checked.map_err(|panic| format!("{}\n  {ended}", text(&*panic))))
        })?;
        self.count.fetch_add(1, Relaxed);
        if let Err(failure) = outcome {
            self.failures.lock().expect("no panic").insert(stops.to_owned(), failure);
        }
        Some(())
    }

    fn end(self) {
        let (count, failures) = (self.count.into_inner(), self.failures.into_inner().expect("no panic"));
        let command = self.args.join(" ");
        assert!(count > 0, "vmbridge {command} makes no call");
        let failures: Vec<_> = failures.into_values().collect();
        let failed = failures.len();
        assert!(failed == 0, "{failed} of {count} runs of vmbridge {command} fail:\n{}", failures.join("\n"));
    }
}

/// Calls `run` with 0, 1 and so on, some at the same time, until it returns `None`.
fn until_none(run: impl Fn(usize) -> Option<()> + Sync) {
    let mut next = 0;
    let mut is_over = false;
    while !is_over {
        is_over = thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> = (next..next + AT_ONCE).map(|number| scope.spawn(move || run(number))).collect();
            let outcomes: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect();
            outcomes.contains(&None)
        });
        next += AT_ONCE;
    }
}

/// Returns the message of a panic.
fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic")
}
