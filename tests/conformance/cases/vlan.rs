//! The VLANs of a port.

use vmbridge::{
    BridgeOptions, BridgeSpec, Bridges, Capability, ErrorKind, PortVlans, VlanId, VlanRange, VlanTagging,
};

use super::{Group, LOW, refused};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[
    (None, &tests![passes_as_it_is_told_or_is_unsupported_by_name]),
    (
        Some(Capability::PortVlans),
        &tests![is_left_without_a_tag_or_that_is_unsupported_by_name, passes_in_as_many_ranges_as_there_can_be],
    ),
];

fn range(text: &str) -> VlanRange {
    text.parse().expect("a range")
}

fn vlans(text: &str, tagging: VlanTagging) -> PortVlans {
    PortVlans::new(range(text), tagging)
}

/// A bridge that filters where it can, with 5 as its default PVID, and its port; whether VLANs work
/// here.
fn with_a_port(host: &dyn Host) -> bool {
    let works = host.bridges().capabilities().contains(Capability::PortVlans);
    let options = BridgeOptions::default();
    let options = if works { options.vlan_filtering(true).default_pvid(VlanId::new(5).ok()) } else { options };
    host.bridges().create(&BridgeSpec::new(name("virbr0")).options(options)).expect("the name is free");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    works
}

/// What the backend lists, which must be what the oracle sees.
fn listed(host: &dyn Host) -> Vec<PortVlans> {
    let listed = host.bridges().vlans(name("virbr0"), name("tap0")).expect("it is a port");
    let each = listed.iter().flat_map(|one| one.vlans.iter().map(|id| (id, one.tagging)));
    assert_eq!(each.collect::<Vec<_>>(), host.vlans(name("virbr0"), name("tap0")));
    listed
}

fn passes_as_it_is_told_or_is_unsupported_by_name(host: &dyn Host) {
    let works = with_a_port(host);
    let add = |vlans| host.bridges().add_vlans(name("virbr0"), name("tap0"), vlans);
    let remove = |text| host.bridges().remove_vlans(name("virbr0"), name("tap0"), range(text));
    if !works {
        let tagged = vlans("10", VlanTagging::Tagged);
        refused(host, &[(ErrorKind::Unsupported, &|| add(tagged)), (ErrorKind::Unsupported, &|| remove("10"))]);
        return;
    }
    assert_eq!(listed(host), [vlans("5", VlanTagging::Pvid)]);
    add(vlans("10-20", VlanTagging::Tagged)).expect("it takes them");
    assert_eq!(listed(host), [vlans("5", VlanTagging::Pvid), vlans("10-20", VlanTagging::Tagged)]);
    add(vlans("5", VlanTagging::Tagged)).expect("it takes it");
    add(vlans("11", VlanTagging::Pvid)).expect("it takes it");
    assert_eq!(
        listed(host),
        [
            vlans("5", VlanTagging::Tagged),
            vlans("10", VlanTagging::Tagged),
            vlans("11", VlanTagging::Pvid),
            vlans("12-20", VlanTagging::Tagged),
        ]
    );
    remove("12-13").expect("they are there");
    remove("1-11").expect("some are there");
    assert_eq!(listed(host), [vlans("14-20", VlanTagging::Tagged)]);
    let several = vlans("30-31", VlanTagging::Pvid);
    let no_port = || host.bridges().add_vlans(name("virbr0"), name("virbr0"), vlans("7", VlanTagging::Tagged));
    refused(
        host,
        &[
            (ErrorKind::EntryNotFound, &|| remove("12-13")),
            (ErrorKind::InvalidOption, &|| add(several)),
            (ErrorKind::NotAPort, &no_port),
        ],
    );
    host.without_privilege(&|| {
        refused(
            host,
            &[
                (ErrorKind::PermissionDenied, &|| add(vlans("7", VlanTagging::Tagged))),
                (ErrorKind::PermissionDenied, &|| remove("14")),
            ],
        );
    });
    assert_eq!(listed(host), [vlans("14-20", VlanTagging::Tagged)]);
}

fn is_left_without_a_tag_or_that_is_unsupported_by_name(host: &dyn Host) {
    if !with_a_port(host) {
        return;
    }
    let add = |text, tagging| host.bridges().add_vlans(name("virbr0"), name("tap0"), vlans(text, tagging));
    let untagged = host.bridges().capabilities().contains(Capability::UntaggedVlans);
    add("7", VlanTagging::Pvid).expect("it takes it");
    if !untagged {
        assert_eq!(listed(host), [vlans("7", VlanTagging::Pvid)]);
        for tagging in [VlanTagging::Untagged, VlanTagging::PvidTagged] {
            refused(host, &[(ErrorKind::Unsupported, &|| add("8", tagging))]);
        }
        return;
    }
    assert_eq!(listed(host), [vlans("5", VlanTagging::Untagged), vlans("7", VlanTagging::Pvid)]);
    add("9", VlanTagging::PvidTagged).expect("it takes it");
    assert_eq!(
        listed(host),
        [
            vlans("5", VlanTagging::Untagged),
            vlans("7", VlanTagging::Untagged),
            vlans("9", VlanTagging::PvidTagged)
        ]
    );
}

fn passes_in_as_many_ranges_as_there_can_be(host: &dyn Host) {
    if !with_a_port(host) {
        return;
    }
    let add = |text: &str| {
        let tagged = vlans(text, VlanTagging::Tagged);
        host.bridges().add_vlans(name("virbr0"), name("tap0"), tagged).expect("it takes them");
    };
    for number in (2..=4094).step_by(2) {
        add(&number.to_string());
    }
    assert!(listed(host).len() > 2000);
    add("1-4094");
    assert_eq!(listed(host), [vlans("1-4094", VlanTagging::Tagged)]);
}
