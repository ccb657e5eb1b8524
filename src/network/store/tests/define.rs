//! What becomes of a definition.

use super::*;
use crate::network::NetworkReason;
use crate::{BridgeSpec, Bridges, ErrorKind, HostIdentity};

#[test]
fn a_network_gets_a_bridge_and_a_mac() {
    let fixture = Fixture::new();
    fixture.host.create(&BridgeSpec::new(interface("virbr1"))).expect("it can be made");
    let one = fixture.define(&network("one", "")).expect("it is valid");
    let two = fixture.define(&network("two", "  <bridge name='virbr%d' stp='off'/>\n")).expect("it is valid");
    assert_eq!((bridge_of(&one.document), bridge_of(&two.document)), ("virbr0".to_owned(), "virbr2".to_owned()));
    assert_ne!(mac_of(&one.document), mac_of(&two.document));
    assert!(one.existing.is_none());
    assert_eq!(
        fs::read_to_string(fixture.config("two.xml")).expect("it is there"),
        network(
            "two",
            &format!("  <bridge name='virbr2' stp='off'/>\n  <mac address='{}'/>\n", mac_of(&two.document))
        )
    );
    assert_eq!(fixture.files(), ["one.xml", "two.xml"]);
}

#[test]
fn what_is_given_is_kept_byte_for_byte() {
    let fixture = Fixture::new();
    let text = network("lan", "<!-- ours -->\n<bridge  name=\"br0\" />\r\n<mac address='02:0:0:0:0:A'/>\n");
    assert_eq!(fixture.define(&text).expect("it is valid").document.text(), text);
    assert_eq!(fixture.store.load(&name("lan")).expect("it is there").text(), text);
}

#[test]
fn a_network_keeps_what_its_new_definition_leaves_open() {
    let fixture = Fixture::new();
    let uuid = "  <uuid>6035da58-8d0e-4d0c-9c0a-5b3f32112e01</uuid>\n";
    fixture.define(&network("other", "")).expect("it is valid");
    let before = fixture.define(&network("lan", uuid)).expect("it is valid").document;
    fixture.store.undefine(&name("other")).expect("it is there");

    let after = fixture.define(&network("lan", "  <mtu size='1400'/>\n")).expect("it is valid").document;
    assert_eq!((mac_of(&after), bridge_of(&after)), (mac_of(&before), "virbr1".to_owned()));
    assert_eq!(after.uuid(), before.uuid());
    assert_eq!(after.network().expect("it has a bridge").mtu(), Some(1400));

    let renamed = fixture.define(&network("lan", "  <bridge name='br%d'/>\n")).expect("it is valid").document;
    assert_eq!((mac_of(&renamed), bridge_of(&renamed)), (mac_of(&before), "br0".to_owned()));
    let given = fixture.define(&network("lan", "  <mac address='02:00:00:00:00:01'/>\n")).expect("it is valid");
    assert_eq!(mac_of(&given.document), mac(1));

    let other = network("lan", &uuid.replace("01<", "02<"));
    let error = fixture.define(&other).expect_err("it is another network");
    assert!(error.to_string().ends_with("UUID 6035da58-8d0e-4d0c-9c0a-5b3f32112e01"), "{error}");
    assert_eq!(mac_of(&fixture.store.load(&name("lan")).expect("it is there")), mac(1));
    let same = network("lan", "  <uuid>6035DA588D0E4D0C9C0A5B3F32112E01</uuid>\n");
    fixture.define(&same).expect("it is the same UUID");
}

#[test]
fn an_active_network_stays_as_it_was_started() {
    let fixture = Fixture::new();
    let started = fixture.define(&network("lan", "")).expect("it is valid").document;
    fixture.start(&started);
    fixture.host.create(&BridgeSpec::new(interface("virbr0"))).expect("it can be made");

    let edited = network("lan", "  <bridge name='br7'/>\n");
    assert_eq!(bridge_of(&fixture.define(&edited).expect("it is valid").document), "br7");
    let active = fixture.store.active(&name("lan")).expect("it can be read").expect("it is active");
    assert_eq!(active.text(), started.text());
    // Its present bridge is its own still, and nobody else's.
    let back = fixture.define(&network("lan", "  <bridge name='virbr0'/>\n")).expect("it is valid");
    assert!(back.existing.is_none());
    fixture.define(&edited).expect("it is valid");
    let error = fixture.define(&network("two", "  <bridge name='virbr0'/>\n")).expect_err("it is in use");
    assert!(matches!(error.reason(), StoreReason::BridgeInUse(..)), "{error}");

    // And what is known of it outlasts its definition.
    fixture.store.undefine(&name("lan")).expect("it is there");
    assert_eq!(mac_of(&fixture.define(&network("lan", "")).expect("it is valid").document), mac_of(&started));
    fixture.store.lock_state().expect("nobody has it").remove(&name("lan")).expect("it is there");
    assert!(fixture.store.active(&name("lan")).expect("it can be read").is_none());
    fixture.store.lock_state().expect("nobody has it").remove(&name("lan")).expect("it is no error");
}

#[test]
fn what_another_network_has_is_refused_and_nothing_written() {
    let fixture = Fixture::new();
    let one = fixture.define(&network("one", "  <mac address='02:00:00:00:00:01'/>\n")).expect("it is valid");
    let error = fixture.define(&network("two", "  <bridge name='virbr0'/>\n")).expect_err("it is in use");
    assert_eq!(error.path(), fixture.config("two.xml"));
    assert!(error.to_string().ends_with("two.xml: its bridge virbr0 is that of network one"), "{error}");
    let error = fixture.define(&network("two", "  <mac address='2::1'/>\n".replace("::", ":0:0:0:0:").as_str()));
    let error = error.expect_err("it is in use");
    assert!(error.to_string().ends_with("its MAC 02:00:00:00:00:01 is that of network one"), "{error}");
    assert_eq!(fixture.files(), ["one.xml"]);
    assert_eq!(fixture.store.load(&name("one")).expect("it is there").text(), one.document.text());
}

#[test]
fn the_host_is_asked() {
    let fixture = Fixture::new();
    fixture.host.add_interface(interface("eth0"), mac(1)).expect("it can be made");
    fixture.host.create(&BridgeSpec::new(interface("br0")).mac(mac(2))).expect("it can be made");
    let error = fixture.define(&network("lan", "  <bridge name='eth0'/>\n")).expect_err("it is no bridge");
    let StoreReason::Host(host) = error.reason() else { panic!("{error}") };
    assert_eq!(host.kind(), ErrorKind::NotABridge);
    assert!(fixture.files().is_empty());
    // A bridge may be there to be adopted.
    let defined = fixture.define(&network("lan", "  <bridge name='br0'/>\n")).expect("it is valid");
    assert_eq!(defined.existing.expect("it is there").name, interface("br0"));
}

#[test]
fn networks_without_a_bridge_of_their_own_are_not_taken() {
    let fixture = Fixture::new();
    let error = fixture.define(&network("lan", "  <forward mode='bridge'/>\n")).expect_err("it has none");
    let StoreReason::Network(invalid) = error.reason() else { panic!("{error}") };
    assert_eq!(invalid.reason(), &NetworkReason::NoOwnBridge);
    assert!(!fixture.config("").exists());
}

#[test]
fn a_derived_mac_is_the_networks_own_or_refused() {
    let fixture = Fixture::new();
    let identity = HostIdentity::new([7; 16]);
    let source = MacSource::Derived(identity.clone());
    let derived = |text: &str| derived_mac(&identity, &name(text));
    let define = |text: &str| fixture.store.define(&fixture.host, &document(&network(text, "")), &source);

    // Its own bridge, of a time before the store was lost.
    fixture.host.create(&BridgeSpec::new(interface("br0")).mac(derived("lan"))).expect("it can be made");
    let error = define("lan").expect_err("virbr0 it would be");
    assert!(matches!(error.reason(), StoreReason::MacOnHost(..)), "{error}");
    let text = network("lan", "  <bridge name='br0'/>\n");
    let defined = fixture.store.define(&fixture.host, &document(&text), &source).expect("it is the same");
    assert_eq!(mac_of(&defined.document), derived("lan"));

    let taken = network("one", &format!("  <mac address='{}'/>\n", derived("two")));
    fixture.define(&taken).expect("it is valid");
    let error = define("two").expect_err("it is taken");
    assert!(error.to_string().ends_with("is that of network one"), "{error}");
}

#[test]
fn libvirts_networks_keep_the_names_of_their_bridges() {
    let mut fixture = Fixture::new();
    let libvirt = fixture.directory.path().join("libvirt");
    fixture.store = fixture.store.with_libvirt(&libvirt);
    assert_eq!(bridge_of(&fixture.define(&network("lan", "")).expect("it has none").document), "virbr0");
    put(libvirt.join("default.xml"), &network("default", "  <bridge name='virbr0'/>\n"));
    put(libvirt.join("lan.xml"), &network("lan", "  <bridge name='virbr1'/>\n"));
    put(libvirt.join("broken.xml"), "<network>");
    put(libvirt.join("hosts.xml"), &network("hosts", "  <forward mode='bridge'/>\n  <bridge name='virbr2'/>\n"));
    let defined = fixture.define(&network("new", "")).expect("it is valid");
    assert_eq!((bridge_of(&defined.document), defined.libvirt), ("virbr2".to_owned(), None));
    // What it has is kept, and what is given is meant.
    let kept = fixture.define(&network("lan", "")).expect("it is valid");
    assert_eq!((bridge_of(&kept.document), kept.libvirt), ("virbr0".to_owned(), Some(name("default"))));
    let given = fixture.define(&network("given", "  <bridge name='virbr1'/>\n")).expect("it is valid");
    assert_eq!(given.libvirt, Some(name("lan")));
    // In libvirt's own directory there are no others.
    fixture.store = Store::new(&libvirt, fixture.state("")).with_libvirt(&libvirt);
    assert_eq!(fixture.define(&network("default", "")).expect("it is valid").libvirt, None);
}

/// What cannot be read may have a MAC and a bridge.
#[test]
fn a_broken_definition_is_not_replaced_but_can_be_removed() {
    let fixture = Fixture::new();
    put(fixture.config("lan.xml"), "<network><name>lan</name>");
    let error = fixture.define(&network("lan", "")).expect_err("what has it been?");
    assert!(matches!(error.reason(), StoreReason::Document(_)), "{error}");
    assert!(fixture.store.load(&name("lan")).is_err());
    // Others are not kept from being defined.
    fixture.define(&network("other", "")).expect("it is valid");
    fixture.store.undefine(&name("lan")).expect("it is there");
    fixture.define(&network("lan", "")).expect("it is valid");
}

#[test]
fn undefining_what_is_not_there_is_an_error_and_makes_nothing() {
    let fixture = Fixture::new();
    for error in [
        fixture.store.undefine(&name("lan")).expect_err("it is not there"),
        fixture.store.load(&name("lan")).expect_err("it is not there"),
    ] {
        assert!(matches!(error.reason(), StoreReason::NotDefined), "{error}");
    }
    assert!(!fixture.config("").exists());
}
