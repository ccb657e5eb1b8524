//! One bridge by a process of its own.

use super::contender::{MTU, ip_command, mac, name};
use super::namespace::Namespaces;
use super::report::{Peer, Row, same_unit};
use super::statistics::{Summary, Times};
use super::tools::{Tools, command, peak_memory, time};

pub(super) fn rows(namespaces: &Namespaces, tools: &Tools) -> (Vec<Row>, Vec<Peer>) {
    let create = |number| format!("create {} --mac {} --mtu {MTU} --up", name(number), mac(number));
    let ours = |number| command(&tools.vmbridge, &create(number));
    let ours_static = |number| command(&tools.fixed, &create(number));
    let ip = |number| command("ip", &ip_command(number));
    let brctl = |number| command("brctl", &format!("addbr {}", name(number)));
    let commands: [(&str, &dyn Fn(u32) -> std::process::Command); 4] = [
        ("`vmbridge create`", &ours),
        ("`vmbridge create`, static", &ours_static),
        ("`ip link add`", &ip),
        ("`brctl addbr`: neither MAC nor MTU, and down", &brctl),
    ];

    let mut times = [const { Times(Vec::new()) }; 4];
    let mut memory = [const { Vec::new() }; 4];
    for _ in 0..2 {
        let namespaces = commands.map(|_| namespaces.fresh());
        for number in 1..=25 {
            for (place, (_, command)) in commands.iter().enumerate() {
                namespaces[place].enter();
                times[place].push(time(&mut command(number)), 1);
            }
        }
        for number in 26..=30 {
            for (place, (_, command)) in commands.iter().enumerate() {
                namespaces[place].enter();
                memory[place].push(peak_memory(&command(number)));
            }
        }
    }

    let peak = memory.map(Summary::of);
    let by_ip = (&times[2], peak[2].median);
    let of = |place: usize| {
        let (what, ours) = (commands[place].0, &times[place]);
        let more = peak[place].median;
        let ratio =
            Summary { low: peak[place].low / by_ip.1, median: more / by_ip.1, high: peak[place].high / by_ip.1 };
        [
            Row::ratio(
                &format!("{what} of `ip link add`'s, time"),
                1.2,
                ours.over(by_ip.0),
                same_unit(ours, by_ip.0),
            ),
            Row::ratio(
                &format!("{what} of `ip link add`'s, peak memory"),
                2.0,
                ratio,
                format!("{more:.0} KiB; {:.0} KiB", by_ip.1),
            ),
        ]
    };
    let rows = [of(0), of(1)].into_iter().flatten().collect();
    let peers =
        commands.iter().zip(&times).map(|((name, _), times)| Peer { name, time: times.summary(), cost: None });
    (rows, peers.collect())
}
