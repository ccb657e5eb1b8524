//! The options of a bridge.

use std::time::Duration;

use vmbridge::{
    BridgeChange, BridgeOption, BridgeOptions, BridgeSpec, Bridges, Capability, ErrorKind, HostIpv6, LinkState,
    StpProtocol, VlanId,
};

use super::{BRIDGE_MAC, Group, create, refused};
use crate::host::{Host, bridge_value, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[(
    None,
    &tests![
        of_a_new_bridge_is_set_when_it_is_there,
        is_changed_alone,
        is_changed_with_others_and_all_together,
        that_depends_on_another_comes_in_the_order_that_works,
        is_refused_where_the_kernel_refuses_it,
        is_refused_by_name_where_the_backend_has_none,
        needs_privilege
    ],
)];

/// A value for each option that no bridge has from the start, and that every system takes.
fn samples() -> [BridgeOption; 13] {
    [
        BridgeOption::StpProtocol(StpProtocol::Stp),
        BridgeOption::ForwardDelay(Duration::from_secs(7)),
        BridgeOption::HelloTime(Duration::from_secs(1)),
        BridgeOption::MaxAge(Duration::from_secs(13)),
        BridgeOption::Priority(0x1000),
        BridgeOption::Stp(true),
        BridgeOption::AgeingTime(Duration::from_secs(77)),
        BridgeOption::MaxAddresses(777),
        BridgeOption::MulticastSnooping(false),
        BridgeOption::GroupForwardMask(0x4008),
        BridgeOption::VlanFiltering(true),
        BridgeOption::DefaultPvid(Some(VlanId::MAX)),
        BridgeOption::HostIpv6(HostIpv6::Disabled),
    ]
}

/// The samples that this backend claims.
fn supported(host: &dyn Host) -> Vec<BridgeOption> {
    let capabilities = host.bridges().capabilities();
    samples().into_iter().filter(|option| capabilities.contains(option.capability())).collect()
}

/// The samples that FreeBSD's kernel takes only with others are given these.
fn with_its_needs(host: &dyn Host, option: BridgeOption) -> BridgeOptions {
    let mut options = BridgeOptions::from_iter([option]);
    let has_protocols = host.bridges().capabilities().contains(Capability::StpProtocol);
    if has_protocols && matches!(option, BridgeOption::HelloTime(_)) {
        options.stp_protocol = Some(StpProtocol::Stp);
    }
    options
}

fn check(host: &dyn Host, bridge: &str, options: &BridgeOptions) {
    let found = host.bridges().find(name(bridge)).expect("it is a bridge").expect("it is there").options;
    for option in options.iter() {
        assert!(found.iter().any(|other| other == option), "{option:?} is not in {found:?}");
        let seen = host.bridge_option(name(bridge), option).expect("the oracle can see what is claimed");
        assert_eq!(seen, bridge_value(option), "{option:?}");
    }
}

fn of_a_new_bridge_is_set_when_it_is_there(host: &dyn Host) {
    for option in supported(host) {
        let options = with_its_needs(host, option);
        let spec = BridgeSpec::new(name("virbr0")).mac(mac(BRIDGE_MAC)).options(options);
        host.bridges().create(&spec).expect("the kernel takes it");
        check(host, "virbr0", &options);
        host.bridges().delete(name("virbr0")).expect("it is a bridge");
    }
    let all: BridgeOptions = supported(host).into_iter().collect();
    let spec = BridgeSpec::new(name("virbr0")).mac(mac(BRIDGE_MAC)).mtu(1400).link(LinkState::Up).options(all);
    host.bridges().create(&spec).expect("the kernel takes them");
    check(host, "virbr0", &all);
    assert_eq!(host.look(name("virbr0")).expect("it is there").mac, mac(BRIDGE_MAC));
}

fn is_changed_alone(host: &dyn Host) {
    for option in supported(host) {
        create(host, "virbr0");
        let options = with_its_needs(host, option);
        let change = BridgeChange::default().options(options);
        host.bridges().change(name("virbr0"), &change).expect("the kernel takes it");
        check(host, "virbr0", &options);
        host.bridges().change(name("virbr0"), &change).expect("it is like that already");
        host.bridges().delete(name("virbr0")).expect("it is a bridge");
    }
}

fn is_changed_with_others_and_all_together(host: &dyn Host) {
    create(host, "virbr0");
    let all: BridgeOptions = supported(host).into_iter().collect();
    let change = BridgeChange::default().mtu(1400).link(LinkState::Up).options(all);
    host.bridges().change(name("virbr0"), &change).expect("the kernel takes them");
    check(host, "virbr0", &all);
    assert_eq!(host.look(name("virbr0")).expect("it is there").mtu, 1400);
}

/// With STP on a forward delay of 1 s is refused; set before, it becomes 2 s.
fn that_depends_on_another_comes_in_the_order_that_works(host: &dyn Host) {
    let delay = Duration::from_secs(4);
    let mut options = BridgeOptions::default().forward_delay(delay);
    if host.bridges().capabilities().contains(Capability::Stp) {
        options = options.stp(true);
    }
    host.bridges().create(&BridgeSpec::new(name("virbr0")).options(options)).expect("the kernel takes them");
    check(host, "virbr0", &options);
}

fn is_refused_where_the_kernel_refuses_it(host: &dyn Host) {
    create(host, "virbr0");
    let refused_by_all = [
        BridgeOption::HelloTime(Duration::from_secs(11)),
        BridgeOption::MaxAge(Duration::from_secs(41)),
        BridgeOption::MaxAge(Duration::from_secs(5)),
        // What cannot be told to a kernel at all.
        BridgeOption::AgeingTime(Duration::from_nanos(1)),
        BridgeOption::MaxAge(Duration::MAX),
        BridgeOption::GroupForwardMask(1),
    ];
    let capabilities = host.bridges().capabilities();
    for option in refused_by_all.into_iter().filter(|option| capabilities.contains(option.capability())) {
        // One that could be set alone comes with it, and must not stay.
        let options = BridgeOptions::from_iter([BridgeOption::Priority(0x2000), option]);
        let spec = BridgeSpec::new(name("virbr1")).mac(mac(BRIDGE_MAC)).options(options).link(LinkState::Up);
        let change = BridgeChange::default().options(options).mtu(1400).mac(mac("52:54:00:00:00:99"));
        let before = host.bridges().find(name("virbr0"));
        refused(
            host,
            &[
                (ErrorKind::InvalidOption, &|| host.bridges().create(&spec).map(drop)),
                (ErrorKind::InvalidOption, &|| host.bridges().change(name("virbr0"), &change)),
            ],
        );
        assert_eq!(format!("{:?}", host.bridges().find(name("virbr0"))), format!("{before:?}"), "{option:?}");
    }
}

fn is_refused_by_name_where_the_backend_has_none(host: &dyn Host) {
    create(host, "virbr0");
    let (capabilities, implemented) = (host.bridges().capabilities(), host.bridges().implemented());
    assert!(capabilities.iter().all(|capability| implemented.contains(capability)));
    let is_claimed = |option: &BridgeOption| capabilities.contains(option.capability());
    for option in samples().into_iter().filter(|option| !is_claimed(option)) {
        let options = BridgeOptions::from_iter([option]);
        let spec = BridgeSpec::new(name("virbr1")).mac(mac(BRIDGE_MAC)).options(options);
        let change = BridgeChange::default().options(options).mtu(1400);
        let by_name = |error: vmbridge::Error| {
            assert_eq!(error.capability(), Some(option.capability()), "{error}");
            error
        };
        refused(
            host,
            &[
                (ErrorKind::Unsupported, &|| host.bridges().create(&spec).map(drop).map_err(by_name)),
                (ErrorKind::Unsupported, &|| host.bridges().change(name("virbr0"), &change).map_err(by_name)),
            ],
        );
    }
}

fn needs_privilege(host: &dyn Host) {
    create(host, "virbr0");
    let options = BridgeOptions::default().ageing_time(Duration::from_secs(77));
    let change = BridgeChange::default().options(options);
    host.without_privilege(&|| {
        refused(host, &[(ErrorKind::PermissionDenied, &|| host.bridges().change(name("virbr0"), &change))]);
    });
}
