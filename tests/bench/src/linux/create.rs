//! Creating bridges one by one and many at once, deleting them, and what creating costs as there are more.

use std::time::Instant;

use vmbridge_platform::{BridgeBackend, Bulk};

use super::contender::{Contender, interface, name, open_netlink};
use super::namespace::Namespaces;
use super::race::{Race, add, of};
use super::report::{Peer, Row, same_unit};
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
pub(super) fn one(namespaces: &Namespaces, tools: &Tools) -> (Vec<Row>, Vec<Peer>) {
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut race = Race::apart(namespaces, tools, &EACH);
        race.warm_up(5);
        for _ in 0..10 {
            race.lap(10);
        }
        add(&mut times, race.times());
    }
    let rows = vec![
        versus("one create, netlink, of plain C's", 1.05, &times, Contender::Netlink, Contender::PlainNetlink),
        versus(
            "one create, ioctl, of plain C's with the same calls",
            1.05,
            &times,
            Contender::Ioctl,
            Contender::PlainStaged,
        ),
        versus(
            "one create, ioctl, of plain C's with the fewest calls",
            f64::INFINITY,
            &times,
            Contender::Ioctl,
            Contender::PlainIoctl,
        )
        .because(
            "made under another name, so that a dead process leaves no bridge without its MAC, then renamed; \
                 name, listeners and MAC are looked at",
        ),
    ];
    let peers =
        times.iter().map(|(contender, times)| Peer { name: contender.name(), time: times.summary(), cost: None });
    (rows, peers.collect())
}

const MANY: [Contender; 4] =
    [Contender::PlainPipelined, Contender::Bulk, Contender::Rtnetlink, Contender::IpBatch];
const THOUSAND: u32 = 1000;

/// A thousand in one call, and their deletion.
pub(super) fn thousand(namespaces: &Namespaces, tools: &Tools) -> Vec<Row> {
    let mut created = Vec::new();
    let (mut bulk, mut ip) = (Times::default(), Times::default());
    for round in 0..3 {
        let mut race = Race::apart(namespaces, tools, &MANY);
        race.warm_up(1);
        race.lap(THOUSAND);
        add(&mut created, race.times());
        // Deleting takes long, and about as long each time.
        if round < 2 {
            let names: Vec<_> = race.visit(Contender::Bulk).map(interface).collect();
            let backend = open_netlink();
            let start = Instant::now();
            backend.delete_many(&names, Bulk::AllOrNothing).expect("they can be deleted");
            bulk.push(start.elapsed(), THOUSAND);
            let commands = race.visit(Contender::IpBatch).map(|number| format!("link delete {}", name(number)));
            ip.push(batch("ip", commands), THOUSAND);
        }
    }
    let versus = |what, limit, other| versus(what, limit, &created, Contender::Bulk, other);
    vec![
        versus("1,000 creates, bulk, of `ip -batch`'s", 1.0, Contender::IpBatch),
        versus("1,000 creates, bulk, of rtnetlink's, each awaited", 1.0, Contender::Rtnetlink),
        versus("1,000 creates, bulk, of plain C's, pipelined", 1.05, Contender::PlainPipelined),
        Row::ratio("1,000 deletes, bulk, of `ip -batch`'s", 0.6, bulk.over(&ip), same_unit(&bulk, &ip)),
    ]
}

/// Numbers of bridges, and what one more cost each contender.
pub(super) type Growth = Vec<(u32, Vec<(Contender, Times)>)>;

const CURVES: [Contender; 7] = [
    Contender::PlainNetlink,
    Contender::Netlink,
    Contender::Bulk,
    Contender::Rtnetlink,
    Contender::IpBatch,
    Contender::PlainIoctl,
    Contender::Ioctl,
];

/// One more bridge among ever more, all of them in one namespace.
pub(super) fn growth(namespaces: &Namespaces, tools: &Tools) -> (Vec<Row>, Growth) {
    let mut race = Race::together(namespaces, tools, &CURVES);
    let filler = open_netlink();
    race.warm_up(1);
    let mut next = 1 << 20;
    let measure = |present: u32| {
        let missing = present.saturating_sub(race.created() + next - (1 << 20));
        filler.create_many(&super::contender::specs(next, missing), Bulk::AllOrNothing).expect("they can be made");
        next += missing;
        for _ in 0..12 {
            race.lap(3);
        }
        (present, race.times())
    };
    let growth: Growth = [10, 500, 1000, 2000, 3000, 4000].into_iter().map(measure).collect();
    let (few, many) = (&growth[0].1, &growth[growth.len() - 1].1);
    let grown = |contender| of(many, contender).summary().median / of(few, contender).summary().median;
    let row = |what: &str, contender, plain| {
        let before = of(few, contender).over(of(few, plain)).median;
        let now = of(many, contender).over(of(many, plain));
        let quotient = Summary { low: now.low / before, median: now.median / before, high: now.high / before };
        let absolute = format!("× {:.2}; C × {:.2}", grown(contender), grown(plain));
        Row::no_worse(
            &format!("what a create costs with 4,000 bridges, of that with 10, {what}, of plain C's growth"),
            quotient,
            absolute,
        )
    };
    let rows = vec![
        row("netlink", Contender::Netlink, Contender::PlainNetlink),
        row("ioctl", Contender::Ioctl, Contender::PlainIoctl),
    ];
    (rows, growth)
}

fn versus(what: &str, limit: f64, times: &[(Contender, Times)], one: Contender, other: Contender) -> Row {
    let (one, other) = (of(times, one), of(times, other));
    Row::ratio(what, limit, one.over(other), same_unit(one, other))
}
