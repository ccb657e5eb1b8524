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

use self::contender::Contender;
use self::namespace::Namespaces;
use self::report::{Peer, Row};
use self::tools::Tools;

/// What the command's static build may be long at most.
const STATIC_BYTES: u64 = 5 << 19;

pub(crate) fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["measure", vmbridge, fixed, readme, plot] => {
            let tools = Tools::new(vmbridge.into(), fixed.into());
            measure(&tools, Path::new(readme), Path::new(plot));
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

/// Measures everything, prints the tables, and puts them and the plot where the README has them.
fn measure(tools: &Tools, readme: &Path, plot: &Path) {
    let namespaces = Namespaces::enter();
    let said = |what: &str| eprintln!("{what} …");
    said("one create");
    let (mut rows, mut peers) = create::one(&namespaces, tools);
    said("counts");
    rows.extend(counted(&namespaces, tools, &mut peers));
    said("1,000 creates and deletes");
    rows.extend(create::thousand(&namespaces, tools));
    said("among 4,000 interfaces");
    rows.extend(list::rows(&namespaces, tools));
    said("10,000 FDB entries");
    rows.extend(fdb::rows(&namespaces));
    said("processes");
    let (of_processes, processes) = process::rows(&namespaces, tools);
    rows.extend(of_processes);
    peers.extend(processes);
    said("growth");
    let (grown, growth) = create::growth(&namespaces, tools);
    rows.extend(grown);
    said("networks");
    rows.extend(network::rows(&namespaces, tools));
    rows.push(static_size(tools));

    let kernel = tools::kernel();
    let date = tools::run(&mut tools::command("date", "-u +%F"));
    let text = report::markdown(&rows, &peers, date.trim(), &kernel);
    print!("{text}");
    let old = fs::read_to_string(readme).expect("it can be read");
    fs::write(readme, report::replace(&old, &text)).expect("it can be written");
    let caption = format!("What one more bridge costs (MAC, MTU, up), Linux {kernel}, {}", date.trim());
    plot::draw(&growth, &caption, plot).expect("it can be drawn");
}

/// What one create costs in user space, and what it costs others.
fn counted(namespaces: &Namespaces, tools: &Tools, peers: &mut [Peer]) -> Vec<Row> {
    let mut note = |contender: Contender, cost| {
        let peer = peers.iter_mut().find(|peer| peer.name == contender.name());
        peer.expect("it takes part").cost = Some(cost);
    };
    note(Contender::PlainNetlink, counts::count_plain(namespaces, &tools.plain));
    let [rtnetlink, neli] = counts::PEERS.map(|operation| operation.count(namespaces));
    note(Contender::Rtnetlink, rtnetlink);
    note(Contender::Neli, neli);
    let [create, _, ioctl, ..] = &counts::OPERATIONS;
    note(Contender::Ioctl, ioctl.count(namespaces));
    let (cost, limit) = (create.count(namespaces), create.limit);
    note(Contender::Netlink, cost);
    let row = |what: &str, limit: f64, reached: f64| {
        Row::count(
            &format!("one create, netlink, {what}"),
            format!("≤ {limit}"),
            format!("{reached:.0}"),
            reached <= limit,
        )
    };
    vec![
        row("user-space instructions", limit.instructions, cost.instructions),
        row("heap allocations", limit.allocations, cost.allocations),
    ]
}

fn static_size(tools: &Tools) -> Row {
    #[expect(clippy::cast_precision_loss, reason = "no program is that large")]
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let size = size(&tools.fixed);
    let limit = format!("≤ {} MiB", mebibytes(STATIC_BYTES));
    Row::count(
        "static release binary of the command",
        limit,
        format!("{:.2} MiB", mebibytes(size)),
        size <= STATIC_BYTES,
    )
}

fn size(program: &Path) -> u64 {
    fs::metadata(program).unwrap_or_else(|error| panic!("{}: {error}", program.display())).len()
}
