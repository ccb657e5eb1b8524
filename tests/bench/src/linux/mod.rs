//! All of it, on Linux.

mod contender;
mod counts;
mod create;
mod fdb;
mod list;
mod namespace;
mod neli;
mod network;
mod plot;
mod process;
mod race;
mod report;
mod rtnetlink;
mod statistics;
mod tools;

use std::path::Path;
use std::process::exit;
use std::{env, fs};

use self::namespace::Namespaces;
use self::report::{Report, Row};
use self::tools::Tools;

/// What the command's static build may be long at most.
const STATIC_BYTES: u64 = 5 << 19;

pub(crate) fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["measure", vmbridge, fixed, readme, plot] => {
            measure(&Tools::new(vmbridge, fixed), Path::new(readme), Path::new(plot));
        }
        ["try", vmbridge, fixed, wanted] => {
            let (_, measure) = PARTS.into_iter().find(|(part, _)| *part == wanted).expect("there is such a part");
            let mut report = Report::default();
            measure(&Namespaces::enter(), &Tools::new(vmbridge, fixed), &mut report);
            print!("{}", report.markdown(wanted));
        }
        ["count", fixed] => {
            let size = size(Path::new(fixed));
            println!("static command: {size} bytes of at most {STATIC_BYTES}\n");
            if !counts::are_within_limits(&Namespaces::enter()) || size > STATIC_BYTES {
                exit(1);
            }
        }
        ["perform", operation, times] => counts::perform(operation, times.parse().expect("a number")),
        _ => {
            eprintln!(
                "usage: vmbridge-bench measure VMBRIDGE STATIC README PLOT | count STATIC; see ci/bench, ci/counts"
            );
            exit(2);
        }
    }
}

type Measure = fn(&Namespaces, &Tools, &mut Report);

/// What is measured; libvirt last.
const PARTS: [(&str, Measure); 8] = [
    ("create", create::one),
    ("counts", counted),
    ("thousand", create::thousand),
    ("list", list::measure),
    ("fdb", fdb::measure),
    ("process", process::measure),
    ("growth", create::growth),
    ("network", network::measure),
];

/// Measures everything, prints the tables, and puts them and the plot where the README has them.
fn measure(tools: &Tools, readme: &Path, plot: &Path) {
    let namespaces = Namespaces::enter();
    let mut report = Report::default();
    for (part, measure) in PARTS {
        eprintln!("{part} …");
        measure(&namespaces, tools, &mut report);
    }
    let of = format!("{}, Linux {}", tools::today(), tools::kernel());
    let text = report.markdown(&of);
    print!("{text}");
    let old = fs::read_to_string(readme).expect("it can be read");
    fs::write(readme, report::replace(&old, &text)).expect("it can be written");
    plot::draw(&report.growth, &format!("What one more bridge costs (MAC, MTU, up): {of}"), plot)
        .expect("it can be drawn");
}

/// What has limits and is no time.
#[expect(clippy::cast_precision_loss, reason = "no program is that large")]
fn counted(namespaces: &Namespaces, tools: &Tools, report: &mut Report) {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let create = &counts::OPERATIONS[0];
    let cost = create.count(namespaces);
    report.rows.extend([
        Row::count(
            "one create, netlink: instructions in user space",
            create.limit.instructions,
            cost.instructions,
        ),
        Row::count("one create, netlink: allocations", create.limit.allocations, cost.allocations),
        Row::count("the command, static: MiB", mebibytes(STATIC_BYTES), mebibytes(size(&tools.fixed))),
    ]);
}

fn size(program: &Path) -> u64 {
    fs::metadata(program).unwrap_or_else(|error| panic!("{}: {error}", program.display())).len()
}
