//! Several threads at once, and interfaces that vanish.

use std::sync::Barrier;
use std::thread;

use vmbridge::{BridgeSpec, Bridges, ErrorKind, LinkState, MacAddr, UnicastMac};

use super::{Group, LOW, create, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[(
    None,
    &tests![one_of_many_creates_of_a_name_wins, many_bridges_at_once, an_interface_that_vanished_is_not_found],
)];

fn numbered_mac(number: u8) -> UnicastMac {
    UnicastMac::new(MacAddr::new([0x52, 0x54, 0, 0, 0, number])).expect("of one station")
}

fn one_of_many_creates_of_a_name_wins(host: &dyn Host) {
    let bridges = host.bridges();
    let barrier = Barrier::new(8);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let create = |number| {
            let barrier = &barrier;
            scope.spawn(move || {
                let spec = BridgeSpec::new(name("virbr0")).mac(numbered_mac(number)).link(LinkState::Up);
                barrier.wait();
                (number, bridges.create(&spec))
            })
        };
        let threads: Vec<_> = (0..8).map(create).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    assert_eq!(won.len(), 1, "{lost:?}");
    for (_, outcome) in lost {
        assert_eq!(outcome.expect_err("it lost").kind(), ErrorKind::BridgeExists);
    }
    let left = bridges.list().expect("reading works");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(host.look(name("virbr0")).expect("one has won").mac, numbered_mac(won[0].0));
}

fn many_bridges_at_once(host: &dyn Host) {
    let bridges = host.bridges();
    thread::scope(|scope| {
        for thread in 0..4_u8 {
            scope.spawn(move || {
                for number in (0..32).map(|number| 32 * thread + number) {
                    let bridge = name(&format!("virbr{number}"));
                    bridges.create(&BridgeSpec::new(bridge).mac(numbered_mac(number))).expect("the name is free");
                }
            });
        }
    });
    let list = bridges.list().expect("reading works");
    assert_eq!(list.len(), 128);
    for number in 0..128 {
        let seen = host.look(name(&format!("virbr{number}"))).expect("it was created");
        assert_eq!(seen.mac, numbered_mac(number));
    }
}

fn an_interface_that_vanished_is_not_found(host: &dyn Host) {
    create(host, "virbr0");
    create(host, "virbr1");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr1"), name("tap0")).expect("it can be a port");
    host.remove_interface(name("tap0"));
    host.remove_interface(name("virbr0"));
    assert_eq!(host.bridges().ports(name("virbr1")).expect("reading works"), []);
    refused(
        host,
        &[
            (ErrorKind::NotFound, &|| host.bridges().delete(name("virbr0"))),
            (ErrorKind::PortNotFound, &|| host.bridges().remove_port(name("virbr1"), name("tap0"))),
        ],
    );
}
