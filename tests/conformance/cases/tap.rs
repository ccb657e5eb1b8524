//! Taps: creating, adopting, changing, deleting, listing.

use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use vmbridge::{
    Bridges, Capability, Error, ErrorKind, LinkState, MacAddr, Tap, TapChange, TapSpec, TapState, VnetHeader,
};

use super::{BRIDGE_MAC, Group, HIGH, LOW, create, refused};
use crate::host::{Host, SeenTap, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[
    (
        Some(Capability::Tap),
        &tests![
            has_what_its_spec_says,
            leaves_to_the_kernel_what_its_spec_leaves,
            is_closed_on_exec,
            stays_when_it_is_persisted,
            refuses_a_name_that_is_taken,
            refuses_an_mtu_that_the_kernel_refuses,
            is_refused_by_name_where_the_backend_cannot,
            is_adopted_where_that_was_asked_for,
            is_not_adopted_where_it_cannot_be,
            is_as_before_when_adopting_fails,
            is_changed,
            is_not_changed_when_one_part_is_refused,
            is_deleted_when_nobody_has_it_open,
            is_listed_and_nothing_else,
            needs_privilege
        ],
    ),
    (Some(Capability::TapTransient), &tests![goes_with_its_descriptors]),
    (Some(Capability::TapQueues), &tests![has_several_queues]),
    (Some(Capability::TapVnetHdr), &tests![has_headers]),
    (Some(Capability::TapOwner), &tests![has_an_owner]),
];

const OTHER_MAC: &str = "fe:54:00:00:00:99";

fn vnet0() -> TapSpec {
    TapSpec::new().name(name("vnet0"))
}

fn several() -> TapSpec {
    vnet0().queues(NonZeroU16::new(3).expect("not zero"))
}

fn open(host: &dyn Host, spec: &TapSpec) -> Tap {
    host.bridges().create_tap(spec).expect("it can be opened")
}

/// Creates a tap that nobody has open.
fn leave(host: &dyn Host, spec: &TapSpec) {
    host.bridges().persist_tap(&open(host, spec)).expect("it can be kept");
}

fn attempt(host: &dyn Host, spec: &TapSpec) -> Result<(), Error> {
    host.bridges().create_tap(spec).map(drop)
}

fn change(host: &dyn Host, tap: &str, change: TapChange) -> Result<(), Error> {
    host.bridges().change_tap(name(tap), &change)
}

fn delete(host: &dyn Host, tap: &str) -> Result<(), Error> {
    host.bridges().delete_tap(name(tap))
}

fn seen(host: &dyn Host, tap: &str) -> (String, u32, bool) {
    let seen = host.look(name(tap)).expect(tap);
    assert!(!seen.is_bridge);
    (seen.mac.to_string(), seen.mtu, seen.up)
}

/// What the backend says of the only tap.
fn state(host: &dyn Host) -> TapState {
    let taps = host.bridges().taps().expect("it lists");
    let [tap] = &taps[..] else { panic!("one tap: {taps:?}") };
    tap.clone()
}

fn has_what_its_spec_says(host: &dyn Host) {
    let tap = open(host, &vnet0().mac(mac(HIGH)).mtu(9000));
    assert_eq!((tap.name(), tap.queues().len()), (name("vnet0"), 1));
    assert_eq!(seen(host, "vnet0"), (HIGH.to_owned(), 9000, false));
    let state = state(host);
    assert_eq!((state.name, state.index), (tap.name(), tap.index()));
    assert_eq!((state.mac, state.mtu, state.link), (mac(HIGH).into(), 9000, LinkState::Down));
    assert!(matches!(state.multi_queue, None | Some(false)) && matches!(state.vnet_hdr, None | Some(false)));
    assert_eq!((state.owner, state.group), (None, None));
}

fn leaves_to_the_kernel_what_its_spec_leaves(host: &dyn Host) {
    let taps = [open(host, &TapSpec::new()), open(host, &TapSpec::new().mac(mac(HIGH)))];
    assert_ne!(taps[0].name(), taps[1].name());
    for tap in &taps {
        assert!(tap.name().to_string().starts_with("tap"), "{}", tap.name());
        assert_eq!(host.look(tap.name()).expect("it was created").mtu, 1500);
    }
    let mac_of = |tap: &Tap| host.look(tap.name()).expect("it was created").mac;
    assert_eq!(mac_of(&taps[1]), mac(HIGH));
    assert!(!mac_of(&taps[0]).is_zero() && !mac_of(&taps[0]).is_multicast());
}

fn is_closed_on_exec(host: &dyn Host) {
    for queue in open(host, &vnet0()).queues() {
        let flags = fcntl(queue.as_fd(), FcntlArg::F_GETFD).expect("it is open");
        assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
    }
}

fn goes_with_its_descriptors(host: &dyn Host) {
    let before = host.snapshot();
    drop(open(host, &vnet0().mac(mac(HIGH)).mtu(1400)));
    // Another test may just be starting a program: the new process has every descriptor at first.
    let deadline = Instant::now() + Duration::from_secs(20);
    while host.look(name("vnet0")).is_some() {
        assert!(Instant::now() < deadline, "it stays");
        std::thread::yield_now();
    }
    assert_eq!(host.snapshot(), before);
}

fn stays_when_it_is_persisted(host: &dyn Host) {
    let before = host.snapshot();
    leave(host, &vnet0().mac(mac(HIGH)).mtu(1400));
    assert_eq!(seen(host, "vnet0"), (HIGH.to_owned(), 1400, false));
    assert!(matches!(state(host).persistent, None | Some(true)));
    delete(host, "vnet0").expect("nobody has it open");
    assert_eq!(host.snapshot(), before);
}

fn refuses_a_name_that_is_taken(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("eth7"), mac(LOW));
    let tap = open(host, &vnet0());
    let with_mac = |tap: &str| TapSpec::new().name(name(tap)).mac(mac(HIGH)).mtu(1400);
    let all = || {
        refused(
            host,
            &[
                (ErrorKind::TapExists, &|| attempt(host, &vnet0())),
                (ErrorKind::TapExists, &|| attempt(host, &with_mac("vnet0"))),
                (ErrorKind::BridgeExists, &|| attempt(host, &with_mac("virbr0"))),
                (ErrorKind::NameInUse, &|| attempt(host, &with_mac("eth7"))),
                (ErrorKind::NameInUse, &|| attempt(host, &TapSpec::new().name(host.loopback()))),
            ],
        );
    };
    all();
    host.without_privilege(&all);
    drop(tap);
}

fn refuses_an_mtu_that_the_kernel_refuses(host: &dyn Host) {
    for mtu in [0, 1, 65536, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let spec = vnet0().mac(mac(HIGH)).mtu(mtu);
        let unnamed = TapSpec::new().mtu(mtu);
        refused(
            host,
            &[
                (ErrorKind::InvalidMtu, &|| attempt(host, &spec)),
                (ErrorKind::InvalidMtu, &|| attempt(host, &unnamed)),
            ],
        );
    }
}

fn is_refused_by_name_where_the_backend_cannot(host: &dyn Host) {
    let specs = [
        (Capability::TapQueues, several()),
        (Capability::TapVnetHdr, vnet0().vnet_hdr(VnetHeader::Legacy)),
        (Capability::TapOwner, vnet0().owner(0)),
        (Capability::TapOwner, vnet0().group(0)),
    ];
    for (capability, spec) in specs {
        if host.bridges().capabilities().contains(capability) {
            open(host, &spec);
        } else {
            refused(host, &[(ErrorKind::Unsupported, &|| attempt(host, &spec))]);
            assert_eq!(attempt(host, &spec).expect_err("it is refused").capability(), Some(capability));
        }
        if host.look(name("vnet0")).is_some() {
            delete(host, "vnet0").expect("nobody has it open");
        }
    }
}

fn is_adopted_where_that_was_asked_for(host: &dyn Host) {
    leave(host, &vnet0().mac(mac(HIGH)).mtu(1400));
    let before = state(host);
    let adopted = open(host, &vnet0().adopt_existing());
    assert_eq!((adopted.name(), adopted.index()), (before.name, before.index));
    assert_eq!(state(host), before);
    drop(adopted);
    let adopted = open(host, &vnet0().adopt_existing().mac(mac(LOW)).mtu(1300));
    assert_eq!((adopted.name(), adopted.index()), (before.name, before.index));
    assert_eq!(seen(host, "vnet0"), (LOW.to_owned(), 1300, false));
    drop(adopted);
    assert_eq!(seen(host, "vnet0"), (LOW.to_owned(), 1300, false));

    let new = open(host, &TapSpec::new().name(name("vnet1")).adopt_existing().mac(mac(HIGH)));
    assert_eq!(seen(host, "vnet1"), (HIGH.to_owned(), 1500, false));
    drop(new);
}

fn is_not_adopted_where_it_cannot_be(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("eth7"), mac(LOW));
    let tap = open(host, &vnet0());
    let adopt = |tap: &str| attempt(host, &TapSpec::new().name(name(tap)).adopt_existing().mac(mac(HIGH)));
    refused(
        host,
        &[
            (ErrorKind::TapBusy, &|| adopt("vnet0")),
            (ErrorKind::NotATap, &|| adopt("virbr0")),
            (ErrorKind::NotATap, &|| adopt("eth7")),
            (ErrorKind::NotATap, &|| {
                attempt(host, &TapSpec::new().name(host.loopback()).adopt_existing().mac(mac(HIGH)))
            }),
        ],
    );
    drop(tap);
}

fn is_as_before_when_adopting_fails(host: &dyn Host) {
    leave(host, &vnet0().mac(mac(HIGH)).mtu(1400));
    let before = state(host);
    for mtu in [0, 65536, u32::MAX] {
        let spec = vnet0().adopt_existing().mac(mac(LOW)).mtu(mtu);
        refused(host, &[(ErrorKind::InvalidMtu, &|| attempt(host, &spec))]);
        assert_eq!(state(host), before);
    }
    if host.bridges().capabilities().contains(Capability::TapVnetHdr) {
        let spec = vnet0().adopt_existing().mac(mac(LOW)).mtu(0).vnet_hdr(VnetHeader::Legacy);
        refused(host, &[(ErrorKind::InvalidMtu, &|| attempt(host, &spec))]);
        assert_eq!(state(host), before);
    }
}

fn has_several_queues(host: &dyn Host) {
    let tap = open(host, &several());
    assert_eq!(tap.queues().len(), 3);
    for queue in tap.queues() {
        let flags = fcntl(queue.as_fd(), FcntlArg::F_GETFD).expect("it is open");
        assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
    }
    assert!(host.look_at_tap(name("vnet0")).expect("it was created").multi_queue);
    assert_eq!(state(host).multi_queue, Some(true));
    host.bridges().persist_tap(&tap).expect("it can be kept");
    refused(host, &[(ErrorKind::TapBusy, &|| delete(host, "vnet0"))]);
    drop(tap);

    let one = vnet0().adopt_existing();
    refused(host, &[(ErrorKind::InvalidOption, &|| attempt(host, &one))]);
    let error = attempt(host, &one).expect_err("it has several queues");
    assert_eq!(error.capability(), Some(Capability::TapQueues));
    assert_eq!(open(host, &several().adopt_existing()).queues().len(), 3);
    delete(host, "vnet0").expect("nobody has it open");

    leave(host, &vnet0());
    refused(host, &[(ErrorKind::InvalidOption, &|| attempt(host, &several().adopt_existing()))]);
    delete(host, "vnet0").expect("nobody has it open");

    let too_many = vnet0().queues(NonZeroU16::new(257).expect("not zero")).mac(mac(HIGH));
    refused(host, &[(ErrorKind::InvalidOption, &|| attempt(host, &too_many))]);
    let most = open(host, &vnet0().queues(NonZeroU16::new(256).expect("not zero")));
    assert_eq!(most.queues().len(), 256);
}

fn has_headers(host: &dyn Host) {
    // Who cannot read it from a tap that another has open tells nothing.
    let has = |expected: bool| {
        let told = state(host).vnet_hdr;
        assert_eq!(host.look_at_tap(name("vnet0")).map(|seen| seen.vnet_hdr), told);
        assert_eq!(told.unwrap_or(expected), expected);
    };
    leave(host, &vnet0().vnet_hdr(VnetHeader::Legacy));
    has(true);
    drop(open(host, &vnet0().adopt_existing()));
    // Who opens it says whether it has them.
    has(false);
    let refused_mtu = vnet0().adopt_existing().vnet_hdr(VnetHeader::Legacy).mtu(0);
    refused(host, &[(ErrorKind::InvalidMtu, &|| attempt(host, &refused_mtu))]);
    has(false);
}

/// Root is the only user that each user namespace has.
fn has_an_owner(host: &dyn Host) {
    leave(host, &vnet0().owner(0).group(0));
    let seen = host.look_at_tap(name("vnet0")).expect("it was created");
    let expected =
        SeenTap { persistent: true, multi_queue: false, vnet_hdr: false, owner: Some(0), group: Some(0) };
    assert_eq!(seen, expected);
    let told = state(host);
    assert_eq!((told.owner, told.group, told.persistent), (Some(0), Some(0), Some(true)));
    delete(host, "vnet0").expect("nobody has it open");

    let nobody = vnet0().mac(mac(HIGH)).owner(u32::MAX);
    refused(host, &[(ErrorKind::InvalidOption, &|| attempt(host, &nobody))]);
    // The kernel has no way back to a MAC that was never set.
    leave(host, &vnet0().mac(mac(LOW)));
    refused(host, &[(ErrorKind::InvalidOption, &|| attempt(host, &nobody.clone().adopt_existing()))]);
}

fn is_changed(host: &dyn Host) {
    let tap = open(host, &vnet0().mac(mac(HIGH)));
    let changed = |to: TapChange| {
        change(host, "vnet0", to).expect("it can be changed");
        seen(host, "vnet0")
    };
    let to = |mac: &str, mtu, up| (mac.to_owned(), mtu, up);
    assert_eq!(changed(TapChange::default().mtu(1400)), to(HIGH, 1400, false));
    assert_eq!(changed(TapChange::default().link(LinkState::Up)), to(HIGH, 1400, true));
    assert_eq!(changed(TapChange::default().mac(mac(OTHER_MAC).into())), to(OTHER_MAC, 1400, true));
    assert_eq!(changed(TapChange::default()), to(OTHER_MAC, 1400, true));
    let all = TapChange::default().mac(mac(HIGH).into()).mtu(1500).link(LinkState::Down);
    assert_eq!(changed(all), to(HIGH, 1500, false));
    assert_eq!(changed(all), to(HIGH, 1500, false));
    drop(tap);
}

fn is_not_changed_when_one_part_is_refused(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("eth7"), mac(LOW));
    let tap = open(host, &vnet0().mac(mac(HIGH)));
    let group: MacAddr = "01:00:5e:00:00:01".parse().expect("a MAC");
    let up = TapChange::default().link(LinkState::Up);
    for mtu in [0, 65536, 0x8000_0000] {
        let to = up.mac(mac(OTHER_MAC).into()).mtu(mtu);
        refused(host, &[(ErrorKind::InvalidMtu, &|| change(host, "vnet0", to))]);
    }
    refused(
        host,
        &[
            (ErrorKind::InvalidMac, &|| change(host, "vnet0", up.mtu(1400).mac(group))),
            (ErrorKind::NotATap, &|| change(host, "virbr0", up)),
            (ErrorKind::NotATap, &|| change(host, "eth7", TapChange::default())),
            (ErrorKind::NotATap, &|| host.bridges().change_tap(host.loopback(), &up)),
            (ErrorKind::NotFound, &|| change(host, "vnet1", up)),
        ],
    );
    drop(tap);
}

fn is_deleted_when_nobody_has_it_open(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("eth7"), mac(LOW));
    let tap = open(host, &vnet0().mac(mac(HIGH)));
    refused(host, &[(ErrorKind::TapBusy, &|| delete(host, "vnet0"))]);
    host.bridges().persist_tap(&tap).expect("it can be kept");
    refused(
        host,
        &[
            (ErrorKind::TapBusy, &|| delete(host, "vnet0")),
            (ErrorKind::NotATap, &|| delete(host, "virbr0")),
            (ErrorKind::NotATap, &|| delete(host, "eth7")),
            (ErrorKind::NotATap, &|| host.bridges().delete_tap(host.loopback())),
            (ErrorKind::NotFound, &|| delete(host, "vnet1")),
        ],
    );
    host.bridges().add_port(name("virbr0"), name("vnet0")).expect("it can be a port");
    change(host, "vnet0", TapChange::default().link(LinkState::Up)).expect("it can be changed");
    drop(tap);
    delete(host, "vnet0").expect("nobody has it open");
    assert_eq!(host.look(name("vnet0")), None);
    assert_eq!(host.look(name("virbr0")).expect("it stays").mac, mac(BRIDGE_MAC));
    assert_eq!(host.bridges().taps().expect("it lists"), []);
}

fn is_listed_and_nothing_else(host: &dyn Host) {
    create(host, "virbr0");
    host.add_interface(name("eth7"), mac(LOW));
    assert_eq!(host.bridges().taps().expect("it lists"), []);
    let names = ["vnet1", "vnet0", "tap9"];
    let open: Vec<_> = names.iter().map(|tap| open(host, &TapSpec::new().name(name(tap)))).collect();
    let taps = host.bridges().taps().expect("it lists");
    // FreeBSD gives a new interface the lowest free index.
    let mut expected: Vec<_> = open.iter().zip(names).map(|(open, tap)| (open.index(), name(tap))).collect();
    expected.sort_unstable();
    assert_eq!(taps.iter().map(|tap| (tap.index, tap.name)).collect::<Vec<_>>(), expected);
}

fn needs_privilege(host: &dyn Host) {
    let tap = open(host, &vnet0().mac(mac(HIGH)));
    let new = TapSpec::new().name(name("vnet1"));
    host.without_privilege(&|| {
        let denied = |to: TapChange| {
            refused(host, &[(ErrorKind::PermissionDenied, &|| change(host, "vnet0", to))]);
        };
        refused(
            host,
            &[
                (ErrorKind::PermissionDenied, &|| attempt(host, &new)),
                (ErrorKind::PermissionDenied, &|| attempt(host, &TapSpec::new().mac(mac(LOW)).mtu(1))),
            ],
        );
        denied(TapChange::default().mtu(1400));
        denied(TapChange::default().mac(mac(OTHER_MAC).into()));
        denied(TapChange::default().link(LinkState::Up));
        denied(TapChange::default().mac(mac(OTHER_MAC).into()).mtu(1).link(LinkState::Up));
    });
    drop(tap);
}
