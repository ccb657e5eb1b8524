//! Finding few bridges among many interfaces.

use std::time::Instant;

use vmbridge_platform::Bridges;

use super::contender::{ip_command, name, open_netlink};
use super::namespace::Namespaces;
use super::report::{Limit, Report, Row};
use super::statistics::Times;
use super::tools::{Tools, batch, command, run, time};

const BRIDGES: u32 = 5;
/// Both ends of a veth, so that with loopback and the bridges there are 4,000 interfaces.
const PAIRS: u32 = 1997;

pub(super) fn measure(namespaces: &Namespaces, tools: &Tools, report: &mut Report) {
    let _namespace = namespaces.fresh();
    let veth = |number| format!("link add v{number} type veth peer name w{number}");
    batch("ip", (1..=PAIRS).map(veth).chain((1..=BRIDGES).map(ip_command)));

    let mut ours = command(&tools.vmbridge, "list --json");
    let mut ours_static = command(&tools.fixed, "list --json");
    let mut ip = command("ip", "-j -d link show type bridge");
    for command in [&mut ours, &mut ours_static, &mut ip] {
        let said = run(command);
        assert!((1..=BRIDGES).all(|number| said.contains(&name(number))), "{command:?} finds them");
    }

    let backend = open_netlink();
    let [mut of_ours, mut of_static, mut of_ip, mut of_library] = [const { Times(Vec::new()) }; 4];
    for round in 0..30 {
        let mut processes = [(&mut ours, &mut of_ours), (&mut ip, &mut of_ip), (&mut ours_static, &mut of_static)];
        processes.rotate_left(round % 3);
        for (command, times) in processes {
            times.push(time(command), 1);
        }
        let start = Instant::now();
        let bridges = backend.list().expect("they can be listed");
        of_library.push(start.elapsed(), 1);
        assert_eq!(bridges.len(), BRIDGES as usize);
    }
    let row = |who, limit, times: &Times| {
        let what = format!("5 bridges found among 4,000 interfaces, {who}");
        Row::time(&what, "`ip -j -d link show type bridge`", limit, times, &of_ip)
    };
    report.rows.extend([
        row("`vmbridge list --json`, static", Limit::AtMost(0.5), &of_static),
        row("the same, linked dynamically", Limit::None, &of_ours),
        row("`list()` in a program", Limit::None, &of_library),
    ]);
}
