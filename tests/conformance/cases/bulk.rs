//! Many at once: all or nothing, or as much as possible.

use std::time::Duration;

use vmbridge::{
    BridgeChange, BridgeOptions, BridgeSpec, Bridges, Bulk, BulkError, BulkResult, Capability, Error, ErrorKind,
    InterfaceName, LinkState, MacAddr, Rollback, StaticEntry, UnicastMac,
};

use super::{BRIDGE_MAC, Group, HIGH, LOW, create};
use crate::host::{Host, mac, name};
use crate::support::{bridge_changes, creations, deletions, fdb_additions, joins, tests, vlan_additions};

pub(super) const CASES: &[Group] = &[(
    None,
    &tests![
        of_nothing_is_done,
        creates_changes_and_deletes,
        creates_none_or_the_others,
        deletes_none_or_the_others,
        changes_none_or_the_others,
        changes_one_twice,
        fails_for_each_where_there_is_no_bridge,
        needs_privilege
    ],
)];

pub(super) const BULKS: [Bulk; 2] = [Bulk::AllOrNothing, Bulk::AsMuchAsPossible];

/// Something that is done to many items.
pub(super) type Act<'a> = &'a dyn Fn(Bulk) -> BulkResult;

fn failures(error: &BulkError) -> Vec<(usize, ErrorKind)> {
    error.failures().iter().map(|(item, error)| (*item, error.kind())).collect()
}

/// Checks what comes of so many items of which one is bad: the host is as it was, by this state of
/// its, or all the others are done.
pub(super) fn fails_for_one(count: usize, bad: (usize, ErrorKind), state: &dyn Fn() -> String, act: Act<'_>) {
    let before = state();
    let error = act(Bulk::AllOrNothing).expect_err("one is bad");
    assert_eq!((failures(&error), error.done()), (vec![bad], &[][..]), "{error}");
    assert_eq!(state(), before, "after: {error}");
    let error = act(Bulk::AsMuchAsPossible).expect_err("one is bad");
    let others: Vec<_> = (0..count).filter(|&item| item != bad.0).collect();
    assert_eq!((failures(&error), error.done()), (vec![bad], &*others), "{error}");
}

/// Checks that each of so many items fails with this kind, and that nothing is done.
pub(super) fn fails_for_each(count: usize, kind: ErrorKind, state: &dyn Fn() -> String, act: Act<'_>) {
    let before = state();
    let error = act(Bulk::AllOrNothing).expect_err("it is refused");
    assert!(failures(&error).iter().all(|&(_, other)| other == kind), "{error}");
    nothing_is_said_to_be_left(&error);
    assert!(error.done().is_empty(), "{error}");
    assert_eq!(state(), before, "after: {error}");
    let error = act(Bulk::AsMuchAsPossible).expect_err("it is refused");
    assert_eq!(failures(&error), (0..count).map(|item| (item, kind)).collect::<Vec<_>>(), "{error}");
    nothing_is_said_to_be_left(&error);
    assert!(error.done().is_empty(), "{error}");
    assert_eq!(state(), before, "after: {error}");
}

fn nothing_is_said_to_be_left(error: &BulkError) {
    let is_failed = |(_, error): &(usize, Error)| matches!(error.rollback(), Rollback::Failed { .. });
    assert!(!error.failures().iter().any(is_failed), "{}", error.report());
}

fn spec(bridge: &str) -> BridgeSpec {
    BridgeSpec::new(name(bridge)).mac(mac(BRIDGE_MAC)).mtu(1400).link(LinkState::Up)
}

fn is_there(host: &dyn Host, bridge: &str) -> bool {
    host.look(name(bridge)).is_some_and(|seen| seen.is_bridge)
}

pub(super) fn numbered(prefix: &str, numbers: std::ops::Range<u16>) -> Vec<InterfaceName> {
    numbers.map(|number| name(&format!("{prefix}{number}"))).collect()
}

pub(super) fn guest(number: u16) -> UnicastMac {
    let [high, low] = number.to_be_bytes();
    UnicastMac::new(MacAddr::new([0x52, 0x54, 0, 2, high, low])).expect("of one station")
}

fn of_nothing_is_done(host: &dyn Host) {
    create(host, "virbr0");
    let before = host.snapshot();
    let bridges = host.bridges();
    host.without_privilege(&|| {
        for bulk in BULKS {
            bridges.apply(&creations(&[]), bulk).expect("nothing is always possible");
            bridges.apply(&deletions(&[]), bulk).expect("nothing is always possible");
            bridges.apply(&bridge_changes(&[]), bulk).expect("nothing is always possible");
            bridges.apply(&joins(name("virbr0"), &[]), bulk).expect("nothing is always possible");
            bridges.apply(&fdb_additions(name("virbr0"), &[]), bulk).expect("nothing is always possible");
            bridges.apply(&vlan_additions(name("virbr0"), &[]), bulk).expect("nothing is always possible");
        }
    });
    assert_eq!(host.snapshot(), before);
}

fn creates_changes_and_deletes(host: &dyn Host) {
    let before = host.snapshot();
    for bulk in BULKS {
        // More than the answers to which fit into one buffer.
        let bridges = numbered("virbr", 0..100);
        let macs: Vec<_> = (0..100).map(guest).collect();
        let specs: Vec<_> =
            bridges.iter().zip(&macs).map(|(&bridge, &mac)| BridgeSpec::new(bridge).mac(mac).mtu(1400)).collect();
        host.bridges().apply(&creations(&specs), bulk).expect("the names are free");
        let seen = |bridge: &InterfaceName| {
            let seen = host.look(*bridge).expect("it is there");
            assert!(seen.is_bridge);
            (seen.mac, seen.mtu, seen.up)
        };
        assert!(bridges.iter().map(seen).eq(macs.iter().map(|&mac| (mac.into(), 1400, false))));

        // To each its own.
        let mtu = |number: usize| 1300 + u32::try_from(number).expect("few");
        let change = |number| BridgeChange::default().mtu(mtu(number)).link(LinkState::Up);
        let changes: Vec<_> =
            bridges.iter().enumerate().map(|(number, &bridge)| (bridge, change(number))).collect();
        host.bridges().apply(&bridge_changes(&changes), bulk).expect("they can be changed");
        let expected = macs.iter().enumerate().map(|(number, &mac)| (mac.into(), mtu(number), true));
        assert!(bridges.iter().map(seen).eq(expected));

        host.bridges().apply(&deletions(&bridges), bulk).expect("they are bridges");
        assert_eq!(host.snapshot(), before);
    }
}

fn creates_none_or_the_others(host: &dyn Host) {
    create(host, "virbr7");
    host.add_interface(name("tap0"), mac(LOW));
    for (bad, kind) in [
        (spec("virbr7"), ErrorKind::BridgeExists),
        (spec("tap0"), ErrorKind::NameInUse),
        (spec("virbr1").mtu(70_000), ErrorKind::InvalidMtu),
        (spec("virbr0"), ErrorKind::BridgeExists),
    ] {
        let specs = [spec("virbr0"), bad, spec("virbr2"), spec("virbr3")];
        fails_for_one(4, (1, kind), &|| host.snapshot(), &|bulk| host.bridges().apply(&creations(&specs), bulk));
        assert!(["virbr0", "virbr2", "virbr3", "virbr7"].iter().all(|bridge| is_there(host, bridge)));
        assert!(!is_there(host, "virbr1"));
        for bridge in ["virbr0", "virbr2", "virbr3"] {
            let seen = host.look(name(bridge)).expect("it is there");
            assert_eq!((seen.mac.to_string(), seen.mtu, seen.up), (BRIDGE_MAC.to_owned(), 1400, true));
            host.bridges().delete(name(bridge)).expect("it is a bridge");
        }
    }
}

fn deletes_none_or_the_others(host: &dyn Host) {
    host.add_interface(name("tap0"), mac(LOW));
    host.add_interface(name("tap1"), mac(HIGH));
    for (bad, kind) in [
        (name("virbr9"), ErrorKind::NotFound),
        (name("tap0"), ErrorKind::NotABridge),
        (host.loopback(), ErrorKind::NotABridge),
        (name("virbr0"), ErrorKind::NotFound),
    ] {
        create(host, "virbr8");
        let before = host.snapshot();
        host.bridges()
            .apply(&creations(&["virbr0", "virbr2", "virbr3"].map(spec)), Bulk::AllOrNothing)
            .expect("free");
        host.bridges().add_port(name("virbr2"), name("tap1")).expect("it can be a port");
        let bridges = [name("virbr0"), bad, name("virbr2"), name("virbr3")];
        fails_for_one(4, (1, kind), &|| host.snapshot(), &|bulk| host.bridges().apply(&deletions(&bridges), bulk));
        assert_eq!(host.snapshot(), before);
        host.bridges().delete(name("virbr8")).expect("it was left alone");
    }
}

fn changes_none_or_the_others(host: &dyn Host) {
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().apply(&creations(&["virbr0", "virbr1", "virbr2"].map(spec)), Bulk::AllOrNothing).expect("free");
    let minute = BridgeOptions::default().ageing_time(Duration::from_secs(60));
    let change = BridgeChange::default().mac(mac("52:54:00:00:00:99")).mtu(1300).link(LinkState::Down);
    let change = change.options(minute);
    let ageing = |bridge| host.bridge_option(name(bridge), minute.iter().next().expect("it has one"));
    let before = ageing("virbr1").expect("every kernel has it");
    let state = || format!("{:?}{}", ["virbr0", "virbr1", "virbr2"].map(ageing), host.snapshot());
    for (bridge, bad, kind) in [
        (name("virbr9"), change.clone(), ErrorKind::NotFound),
        (name("tap0"), change.clone(), ErrorKind::NotABridge),
        (name("virbr1"), change.clone().mtu(70_000), ErrorKind::InvalidMtu),
    ] {
        let changes = [(name("virbr0"), change.clone()), (bridge, bad), (name("virbr2"), change.clone())];
        fails_for_one(3, (1, kind), &state, &|bulk| host.bridges().apply(&bridge_changes(&changes), bulk));
        for (bridge, is_changed) in [("virbr0", true), ("virbr1", false), ("virbr2", true)] {
            let seen = host.look(name(bridge)).expect("it is there");
            assert_eq!((seen.mtu, seen.up), if is_changed { (1300, false) } else { (1400, true) }, "{bridge}");
            assert_eq!(ageing(bridge).as_deref(), Some(if is_changed { "6000" } else { before.as_str() }));
        }
        let back = BridgeChange::default().mac(mac(BRIDGE_MAC)).mtu(1400).link(LinkState::Up);
        let centiseconds: u64 = before.parse().expect("a number");
        let back = back.options(BridgeOptions::default().ageing_time(Duration::from_millis(10 * centiseconds)));
        let changes = ["virbr0", "virbr2"].map(|bridge| (name(bridge), back.clone()));
        host.bridges().apply(&bridge_changes(&changes), Bulk::AllOrNothing).expect("they can be changed");
    }
}

/// In the order in which they are given, and back to what was before the first.
fn changes_one_twice(host: &dyn Host) {
    create(host, "virbr0");
    let to = |bridge: &str, mtu| (name(bridge), BridgeChange::default().mtu(mtu));
    let changes = [to("virbr0", 1400), to("virbr0", 1300), to("virbr9", 1300)];
    let change = |bulk| host.bridges().apply(&bridge_changes(&changes), bulk);
    fails_for_one(3, (2, ErrorKind::NotFound), &|| host.snapshot(), &change);
    assert_eq!(host.look(name("virbr0")).expect("it is there").mtu, 1300);
    let changes = [to("virbr0", 1450), to("virbr0", 1350)];
    host.bridges().apply(&bridge_changes(&changes), Bulk::AllOrNothing).expect("it can be changed twice");
    assert_eq!(host.look(name("virbr0")).expect("it is there").mtu, 1350);
}

pub(super) fn add_interfaces(host: &dyn Host, numbers: std::ops::Range<u16>) -> Vec<InterfaceName> {
    let ports = numbered("tap", numbers.clone());
    numbers.zip(&ports).for_each(|(number, &port)| host.add_interface(port, guest(20_000 + number)));
    ports
}

fn fails_for_each_where_there_is_no_bridge(host: &dyn Host) {
    add_interfaces(host, 0..3);
    let ports = [name("tap0"), name("tap1")];
    for (bridge, kind) in [("virbr0", ErrorKind::NotFound), ("tap2", ErrorKind::NotABridge)] {
        let state = || host.snapshot();
        fails_for_each(2, kind, &state, &|bulk| host.bridges().apply(&joins(name(bridge), &ports), bulk));
        if host.bridges().capabilities().contains(Capability::FdbStatic) {
            let entries = ports.map(|port| StaticEntry::new(guest(7), port));
            fails_for_each(2, kind, &state, &|bulk| {
                host.bridges().apply(&fdb_additions(name(bridge), &entries), bulk)
            });
        }
    }
}

fn needs_privilege(host: &dyn Host) {
    host.bridges()
        .apply(&creations(&["virbr0", "virbr1"].map(spec)), Bulk::AllOrNothing)
        .expect("the names are free");
    add_interfaces(host, 0..3);
    host.bridges().add_port(name("virbr0"), name("tap2")).expect("it can be a port");
    let denied = |act: Act<'_>| fails_for_each(2, ErrorKind::PermissionDenied, &|| host.snapshot(), act);
    host.without_privilege(&|| {
        denied(&|bulk| host.bridges().apply(&creations(&["virbr2", "virbr3"].map(spec)), bulk));
        denied(&|bulk| host.bridges().apply(&deletions(&["virbr0", "virbr1"].map(name)), bulk));
        let change = |bridge: &str| (name(bridge), BridgeChange::default().mtu(1300));
        denied(&|bulk| host.bridges().apply(&bridge_changes(&["virbr0", "virbr1"].map(change)), bulk));
        denied(&|bulk| host.bridges().apply(&joins(name("virbr0"), &["tap0", "tap1"].map(name)), bulk));
        if host.bridges().capabilities().contains(Capability::FdbStatic) {
            let entries = [1, 2].map(|number| StaticEntry::new(guest(number), name("tap2")));
            denied(&|bulk| host.bridges().apply(&fdb_additions(name("virbr0"), &entries), bulk));
        }
    });
}
