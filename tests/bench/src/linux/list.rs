//! Finding few bridges among many interfaces.

use std::time::Instant;

use vmbridge_platform::BridgeBackend;

use super::contender::{ip_command, name, open_netlink};
use super::namespace::Namespaces;
use super::report::{Row, same_unit};
use super::statistics::Times;
use super::tools::{Tools, batch, command, run, time};

const BRIDGES: u32 = 5;
/// Both ends of a veth, so that with loopback and the bridges there are 4,000 interfaces.
const PAIRS: u32 = 1997;

pub(super) fn rows(namespaces: &Namespaces, tools: &Tools) -> Vec<Row> {
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
    for _ in 0..30 {
        of_ip.push(time(&mut ip), 1);
        of_ours.push(time(&mut ours), 1);
        of_static.push(time(&mut ours_static), 1);
        let start = Instant::now();
        let bridges = backend.list().expect("they can be listed");
        of_library.push(start.elapsed(), 1);
        assert_eq!(bridges.len(), 5);
    }
    let what = "5 bridges found among 4,000 interfaces";
    let row = |who, limit, times: &Times| {
        let what = format!("{what}, {who}, of `ip -j -d link show type bridge`'s");
        Row::ratio(&what, limit, times.over(&of_ip), same_unit(times, &of_ip))
    };
    vec![
        row("`vmbridge list --json`", 0.5, &of_ours),
        row("the same, static", 0.5, &of_static),
        row("`list()` in a program", f64::INFINITY, &of_library),
    ]
}
