//! Creating bridges one by one and many at once, deleting them, and what creating costs as there are more.

use std::time::Instant;

use vmbridge_platform::{Bridges, Bulk, Step};

use super::contender::{Contender, creations, interface, name, open_netlink};
use super::counts;
use super::namespace::Namespaces;
use super::race::{Race, add, of};
use super::report::{Limit, Peer, Report, Row};
use super::statistics::{Summary, Times};
use super::tools::{Tools, batch};

const EACH: [Contender; 7] = [
    Contender::PlainNetlink,
    Contender::Netlink,
    Contender::Rtnetlink,
    Contender::Neli,
    Contender::PlainIoctl,
    Contender::PlainStaged,
    Contender::Ioctl,
];

/// One after the other, each in turn ten bridges.
pub(super) fn one(namespaces: &Namespaces, tools: &Tools, report: &mut Report) {
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut race = Race::apart(namespaces, tools, &EACH);
        race.warm_up(5);
        for _ in 0..10 {
            race.lap(10);
        }
        add(&mut times, race.times());
    }
    let row =
        |what, against, limit, one, other| Row::time(what, against, limit, of(&times, one), of(&times, other));
    let (netlink, ioctl) = ("one create, netlink", "one create, ioctl");
    report.rows.extend([
        row(netlink, "plain C", Limit::AtMost(1.05), Contender::Netlink, Contender::PlainNetlink),
        row(ioctl, "plain C, the same calls", Limit::AtMost(1.05), Contender::Ioctl, Contender::PlainStaged),
        row(ioctl, "plain C, the fewest calls", Limit::None, Contender::Ioctl, Contender::PlainIoctl).because(
            "no bridge has its final name without its MAC, so it is renamed once it has the MAC; \
             SIOCSIFNAME alone takes as long as SIOCBRADDBR (`strace -T`)",
        ),
    ]);
    let peer = |(contender, times): &(Contender, Times)| {
        let cost = match contender {
            Contender::PlainNetlink => Some(counts::plain(namespaces, &tools.plain)),
            contender => counts::of_create(namespaces, *contender),
        };
        Peer { name: contender.name(), time: times.summary(), cost }
    };
    report.peers.extend(times.iter().map(peer));
}

const MANY: [Contender; 4] =
    [Contender::PlainPipelined, Contender::Bulk, Contender::Rtnetlink, Contender::IpBatch];
const THOUSAND: u32 = 1000;

/// A thousand in one call, and their deletion.
pub(super) fn thousand(namespaces: &Namespaces, tools: &Tools, report: &mut Report) {
    let mut created = Vec::new();
    let (mut bulk, mut ip) = (Times::default(), Times::default());
    for round in 0..3 {
        let mut race = Race::apart(namespaces, tools, &MANY).at_lap(round);
        race.warm_up(1);
        race.lap(THOUSAND);
        add(&mut created, race.times());
        // Deleting takes long, and about as long each time.
        if round < 2 {
            let deletions: Vec<_> = race.visit(Contender::Bulk).map(interface).map(Step::delete).collect();
            let backend = open_netlink();
            let start = Instant::now();
            backend.apply(&deletions, Bulk::AllOrNothing).expect("they can be deleted");
            bulk.push(start.elapsed(), THOUSAND);
            let commands = race.visit(Contender::IpBatch).map(|number| format!("link delete {}", name(number)));
            ip.push(batch("ip", commands), THOUSAND);
        }
    }
    let row = |against, limit, other| {
        Row::time("1,000 creates, bulk; each", against, limit, of(&created, Contender::Bulk), of(&created, other))
    };
    report.rows.extend([
        row("`ip -batch`", Limit::AtMost(1.0), Contender::IpBatch),
        row("rtnetlink, each awaited", Limit::AtMost(1.0), Contender::Rtnetlink),
        row("plain C, pipelined", Limit::AtMost(1.05), Contender::PlainPipelined),
        Row::time("1,000 deletes, bulk; each", "`ip -batch`", Limit::AtMost(0.6), &bulk, &ip),
    ]);
}

/// Numbers of bridges, and what one more costs each contender.
pub(super) type Growth = Vec<(u32, Vec<(Contender, Times)>)>;

const CURVES: [Contender; 8] = [
    Contender::PlainNetlink,
    Contender::Netlink,
    Contender::Bulk,
    Contender::Rtnetlink,
    Contender::IpBatch,
    Contender::PlainIoctl,
    Contender::PlainStaged,
    Contender::Ioctl,
];

/// One more bridge among ever more, all of them in one namespace.
pub(super) fn growth(namespaces: &Namespaces, tools: &Tools, report: &mut Report) {
    let mut race = Race::together(namespaces, tools, &CURVES);
    let backend = open_netlink();
    race.warm_up(1);
    let mut filled = 0;
    let measure = |present: u32| {
        let missing = present.saturating_sub(race.created() + filled);
        let fillers = creations(FILLERS + filled, missing);
        backend.apply(&fillers, Bulk::AllOrNothing).expect("they can be made");
        filled += missing;
        for _ in 0..12 {
            race.lap(3);
        }
        (present, race.times())
    };
    let growth: Growth = [10, 500, 1000, 2000, 3000, 4000].into_iter().map(measure).collect();
    let (few, many) = (&growth[0].1, &growth[growth.len() - 1].1);
    let grown =
        |contender| format!("× {:.2}", of(many, contender).summary().median / of(few, contender).summary().median);
    let row = |ours, theirs, against, limit| {
        let before = of(few, ours).over(of(few, theirs)).median;
        let now = of(many, ours).over(of(many, theirs));
        let reached = Summary { low: now.low / before, median: now.median / before, high: now.high / before };
        let what = if ours == Contender::Ioctl { "ioctl" } else { "netlink" };
        let what = format!("growth of a create's cost from 10 to 4,000 bridges, {what}");
        Row::new(&what, against, limit, reached, [grown(ours), grown(theirs)])
    };
    report.rows.extend([
        row(Contender::Netlink, Contender::PlainNetlink, "plain C's growth", Limit::NoWorse),
        row(Contender::Ioctl, Contender::PlainStaged, "that of plain C, the same calls", Limit::NoWorse),
        row(Contender::Ioctl, Contender::PlainIoctl, "that of plain C, the fewest calls", Limit::None).because(
            "SIOCSIFNAME, which the fewest calls do without, takes five times as long with 4,000 bridges (`strace -T`)",
        ),
    ]);
    report.growth = growth;
}

/// The numbers of bridges that are there to be many begin here.
const FILLERS: u32 = 1 << 20;
