//! What an operation costs in user space, counted: instructions by callgrind, allocations by memcheck. No noise
//! moves either, so that they can be held to limits everywhere.

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use vmbridge_platform::{Bridges, Bulk, InterfaceName, Step};

use super::contender::{Contender, interface, ip_command, open_netlink};
use super::fdb;
use super::namespace::Namespaces;
use super::tools::batch;

/// What one operation costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) instructions: f64,
    pub(super) allocations: f64,
}

/// An operation, and what it may cost at most.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) limit: Cost,
    /// It is done so often, and twice as often: the difference is what it costs.
    times: u32,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Create(Contender),
    Delete,
    DeleteMany,
    Find,
    List,
    AddFdbEntries,
}

/// That of the first is what was set out for. The others are a fifth above what was counted, and rounded up.
pub(super) const OPERATIONS: [Operation; 8] = [
    operation("create, netlink", limit(2500.0, 2.0), 16, What::Create(Contender::Netlink)),
    operation("create, netlink, one of many", limit(2500.0, 2.0), 100, What::Create(Contender::Bulk)),
    operation("create, ioctl", limit(19000.0, 6.0), 16, What::Create(Contender::Ioctl)),
    operation("delete, netlink", limit(5900.0, 4.0), 8, What::Delete),
    operation("delete, netlink, one of many", limit(7900.0, 4.0), 32, What::DeleteMany),
    operation("find, netlink", limit(5100.0, 3.0), 16, What::Find),
    operation("list of 10 bridges, netlink", limit(53000.0, 20.0), 16, What::List),
    operation("FDB entry, netlink, one of many", limit(1700.0, 2.0), 500, What::AddFdbEntries),
];

const fn operation(name: &'static str, limit: Cost, times: u32, what: What) -> Operation {
    Operation { name, limit, times, what }
}

const fn limit(instructions: f64, allocations: f64) -> Cost {
    Cost { instructions, allocations }
}

/// How many bridges there are for `find` and `list`.
const PRESENT: u32 = 10;

/// Others that create bridges, to compare with.
pub(super) const PEERS: [Operation; 2] = [
    operation("create, rtnetlink", NONE, 16, What::Create(Contender::Rtnetlink)),
    operation("create, neli's NlRouter", NONE, 16, What::Create(Contender::Neli)),
];

/// Nobody sets limits to others.
const NONE: Cost = limit(f64::INFINITY, f64::INFINITY);

impl Operation {
    /// Counts what it costs, in network namespaces of its own.
    pub(super) fn count(&self, namespaces: &Namespaces) -> Cost {
        let program = env::current_exe().expect("/proc is there");
        cost(self.times, |valgrind, times| {
            let _namespace = namespaces.fresh();
            self.what.set_the_stage(2 * self.times);
            said(valgrind.arg(&program).args(["perform", self.name, &times.to_string()]), "")
        })
    }
}

/// What plain.c's creation of a bridge costs.
pub(super) fn plain(namespaces: &Namespaces, plain: &Path) -> Cost {
    cost(16, |valgrind, times| {
        let _namespace = namespaces.fresh();
        said(valgrind.arg(plain).arg("netlink"), &format!("1 {times}\n"))
    })
}

/// What a contender's creation of a bridge costs, if that is counted.
pub(super) fn of_create(namespaces: &Namespaces, contender: Contender) -> Option<Cost> {
    let operation = OPERATIONS.iter().chain(&PEERS).find(|operation| operation.what == What::Create(contender));
    operation.map(|operation| operation.count(namespaces))
}

/// Does an operation so often, for `count`, under valgrind.
pub(super) fn perform(name: &str, times: usize) {
    let operation = OPERATIONS.iter().chain(&PEERS).find(|operation| operation.name == name);
    let operation = operation.expect("there is one of this name");
    operation.what.perform(2 * operation.times, times);
}

/// The gate: whether each operation is within its limits.
pub(super) fn are_within_limits(namespaces: &Namespaces) -> bool {
    println!("| operation | instructions | at most | allocations | at most |\n|---|--:|--:|--:|--:|");
    let within = OPERATIONS.each_ref().map(|operation| {
        let (cost, limit) = (operation.count(namespaces), operation.limit);
        let is_within = cost.instructions <= limit.instructions && cost.allocations <= limit.allocations;
        println!(
            "| {} | {:.0} | {} | {:.1} | {} |{}",
            operation.name,
            cost.instructions,
            limit.instructions,
            cost.allocations,
            limit.allocations,
            if is_within { "" } else { " **over**" },
        );
        is_within
    });
    within.iter().all(|&is_within| is_within)
}

/// What one of several costs, of which valgrind counts so many and twice as many.
fn cost(times: u32, run: impl Fn(&mut Command, u32) -> String) -> Cost {
    let one = |options: &[&str], before: &str| {
        let count = |times| {
            let said = run(Command::new("valgrind").args(options), times);
            number_after(&said, before)
        };
        (count(2 * times) - count(times)) / f64::from(times)
    };
    Cost {
        instructions: one(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], "Collected : "),
        allocations: one(&["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"], "total heap usage: "),
    }
}

/// What valgrind says when a program has ended that has got this input.
fn said(valgrind: &mut Command, input: &str) -> String {
    let child = valgrind.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("valgrind is installed");
    child.stdin.take().expect("it is a pipe").write_all(input.as_bytes()).expect("it fits into a pipe");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{valgrind:?}: {said}");
    said
}

/// The number, its thousands separated by commas, that a text has after these words.
fn number_after(text: &str, words: &str) -> f64 {
    let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text}"));
    let digits: String =
        rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
    digits.parse().expect("digits")
}

impl What {
    /// Makes what must be there before: the same, however often it is then done.
    fn set_the_stage(self, most: u32) {
        match self {
            Self::Create(_) => {}
            Self::Delete | Self::DeleteMany => drop(batch("ip", (1..=most).map(ip_command))),
            Self::Find | Self::List => drop(batch("ip", (1..=PRESENT).map(ip_command))),
            Self::AddFdbEntries => fdb::add_bridge(),
        }
    }

    /// Does it so often, and all that is not to be counted as if it were done as often as can be.
    fn perform(self, most: u32, times: usize) {
        let names: Vec<InterfaceName> = (1..=most).map(interface).collect();
        let deletions: Vec<Step> = names.iter().copied().map(Step::delete).collect();
        let additions = fdb::additions(most);
        match self {
            Self::Create(contender) => {
                let mut creator = contender.open(Path::new(""));
                creator.prepare(1, most);
                creator.create(times);
            }
            Self::Delete => {
                let backend = open_netlink();
                for &name in &names[..times] {
                    backend.delete(name).expect("it can be deleted");
                }
            }
            Self::DeleteMany => {
                open_netlink().apply(&deletions[..times], Bulk::AllOrNothing).expect("they can be deleted");
            }
            Self::Find => {
                let backend = open_netlink();
                for _ in 0..times {
                    assert!(backend.find(names[0]).expect("it can be read").is_some());
                }
            }
            Self::List => {
                let backend = open_netlink();
                for _ in 0..times {
                    assert_eq!(backend.list().expect("they can be read").len(), PRESENT as usize);
                }
            }
            Self::AddFdbEntries => {
                open_netlink().apply(&additions[..times], Bulk::AllOrNothing).expect("they can be added");
            }
        }
    }
}
