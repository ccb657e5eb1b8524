//! Many static entries in a forwarding database.

use std::time::Instant;

use vmbridge_platform::{Bridges, Bulk, InterfaceName, StaticEntry, Step, UnicastMac};

use super::contender::open_netlink;
use super::namespace::Namespaces;
use super::report::{Limit, Report, Row};
use super::statistics::Times;
use super::tools::{Tools, batch};

/// A bridge with one port.
pub(super) const BRIDGE: &str = "br0";
pub(super) const PORT: &str = "p0";
const ENTRIES: u32 = 10_000;

pub(super) fn measure(namespaces: &Namespaces, _: &Tools, report: &mut Report) {
    let [mut ours, mut theirs] = [const { Times(Vec::new()) }; 2];
    let additions = additions(ENTRIES);
    let commands: Vec<String> =
        (1..=ENTRIES).map(|number| format!("fdb add {} dev {PORT} master static", mac(number))).collect();
    let count = || open_netlink().fdb(bridge()).expect("it can be read").len();
    for round in 0..14 {
        let _namespace = namespaces.fresh();
        add_bridge();
        let before = count();
        // Neither always comes after the other.
        if (round + round / 2) % 2 == 0 {
            theirs.push(batch("bridge", commands.iter().cloned()), ENTRIES);
        } else {
            let backend = open_netlink();
            let start = Instant::now();
            backend.apply(&additions, Bulk::AllOrNothing).expect("they can be added");
            ours.push(start.elapsed(), ENTRIES);
        }
        assert_eq!(count() - before, additions.len());
    }
    let what = "10,000 static FDB entries, bulk; each";
    report.rows.push(Row::time(what, "`bridge -batch`", Limit::AtMost(1.0), &ours, &theirs));
}

fn bridge() -> InterfaceName {
    BRIDGE.parse().expect("a name")
}

pub(super) fn add_bridge() {
    let commands = [
        format!("link add {BRIDGE} up type bridge"),
        format!("link add {PORT} master {BRIDGE} type veth peer name q0"),
    ];
    batch("ip", commands);
}

/// The steps that add so many entries.
pub(super) fn additions(count: u32) -> Vec<Step> {
    let port: InterfaceName = PORT.parse().expect("a name");
    (1..=count).map(|number| Step::add_fdb_entry(bridge(), StaticEntry::new(mac(number), port))).collect()
}

fn mac(number: u32) -> UnicastMac {
    let [_, a, b, c] = number.to_be_bytes();
    UnicastMac::new([2, 0, 0, a, b, c].into()).expect("no multicast address")
}
