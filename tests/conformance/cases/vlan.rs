use vmbridge::{BridgeOptions, BridgeSpec, Capability, ErrorKind, PortVlans, VlanRange, VlanTagging};

use super::{LOW, refused};
use crate::host::{Host, mac, name};

fn range(text: &str) -> VlanRange {
    text.parse().expect("a range")
}

fn vlans(text: &str, tagging: VlanTagging) -> PortVlans {
    PortVlans::new(range(text), tagging)
}

/// A bridge that filters where it can, and its port; whether VLANs work here.
fn with_a_port(host: &dyn Host) -> bool {
    let works = host.has_vlans() && host.bridges().capabilities().contains(Capability::PortVlans);
    let options = BridgeOptions::default();
    let options = if works { options.vlan_filtering(true) } else { options };
    host.bridges().create(&BridgeSpec::new(name("virbr0")).options(options)).expect("the name is free");
    host.add_interface(name("tap0"), mac(LOW));
    host.bridges().add_port(name("virbr0"), name("tap0")).expect("it can be a port");
    works
}

pub(crate) fn passes_as_it_is_told_or_is_unsupported_by_name(host: &dyn Host) {
    let works = with_a_port(host);
    let add = |vlans| host.bridges().add_vlans(name("virbr0"), name("tap0"), vlans);
    let remove = |text| host.bridges().remove_vlans(name("virbr0"), name("tap0"), range(text));
    if !works {
        let tagged = vlans("10", VlanTagging::Tagged);
        refused(host, &[(ErrorKind::Unsupported, &|| add(tagged)), (ErrorKind::Unsupported, &|| remove("10"))]);
        return;
    }
    let listed = || host.bridges().vlans(name("virbr0"), name("tap0")).expect("it is a port");
    assert_eq!(listed(), [vlans("1", VlanTagging::Pvid)]);
    add(vlans("10-20", VlanTagging::Tagged)).expect("it takes them");
    add(vlans("7", VlanTagging::Pvid)).expect("it takes it");
    assert_eq!(
        listed(),
        [vlans("1", VlanTagging::Untagged), vlans("7", VlanTagging::Pvid), vlans("10-20", VlanTagging::Tagged),]
    );
    remove("12-13").expect("they are there");
    remove("1").expect("it is there");
    assert_eq!(
        listed(),
        [vlans("7", VlanTagging::Pvid), vlans("10-11", VlanTagging::Tagged), vlans("14-20", VlanTagging::Tagged),]
    );
    let several = vlans("30-31", VlanTagging::Pvid);
    refused(
        host,
        &[
            (ErrorKind::EntryNotFound, &|| remove("12-13")),
            (ErrorKind::InvalidOption, &|| add(several)),
            (ErrorKind::NotAPort, &|| {
                host.bridges().add_vlans(name("virbr0"), name("virbr0"), vlans("7", VlanTagging::Tagged))
            }),
        ],
    );
    for number in (2..=4094).step_by(2) {
        add(vlans(&number.to_string(), VlanTagging::Tagged)).expect("it takes them");
    }
    assert!(listed().len() > 2000);
    add(vlans("2-4094", VlanTagging::Untagged)).expect("it takes them");
    assert_eq!(listed(), [vlans("2-4094", VlanTagging::Untagged)]);
}
