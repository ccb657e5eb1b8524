//! One bridge by a process of its own.

use super::contender::{MTU, ip_command, mac, name};
use super::namespace::Namespaces;
use super::report::{Limit, Peer, Report, Row};
use super::statistics::{Summary, Times};
use super::tools::{Tools, command, peak_memory, time};

pub(super) fn measure(namespaces: &Namespaces, tools: &Tools, report: &mut Report) {
    let create = |number| format!("create {} --mac {} --mtu {MTU} --up", name(number), mac(number));
    let ours = |number| command(&tools.vmbridge, &create(number));
    let ours_static = |number| command(&tools.fixed, &create(number));
    let ip = |number| command("ip", &ip_command(number));
    let brctl = |number| command("brctl", &format!("addbr {}", name(number)));
    let commands: [(&'static str, &dyn Fn(u32) -> std::process::Command); 4] = [
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
            for place in 0..commands.len() {
                // Every other time in reverse, as in a race.
                let place = if number % 2 == 0 { place } else { commands.len() - 1 - place };
                let (_, command) = commands[place];
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

    let (by_ip, peak) = (&times[2], memory.map(Summary::of));
    let peak_of_ip = peak[2].median;
    for (place, (what, _)) in commands.iter().enumerate().take(2) {
        let Summary { low, median, high } = peak[place];
        let ratio = Summary { low: low / peak_of_ip, median: median / peak_of_ip, high: high / peak_of_ip };
        let memory = [median, peak_of_ip].map(|kibibytes| format!("{kibibytes:.0} KiB"));
        report.rows.extend([
            Row::time(what, "`ip link add`", Limit::AtMost(1.2), &times[place], by_ip),
            Row::new(&format!("{what}, peak memory"), "`ip link add`", Limit::AtMost(2.0), ratio, memory),
        ]);
    }
    let peer = |((name, _), times): (&(&'static str, _), &Times)| Peer { name, time: times.summary(), cost: None };
    report.peers.extend(commands.iter().zip(&times).map(peer));
}
