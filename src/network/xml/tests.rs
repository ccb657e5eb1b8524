//! What is read of libvirt's documents, and where a change puts what.

use std::time::Duration;

use super::limits::NAMESPACE;
use super::*;
use crate::network::{Anchor, BridgeName, ForwardMode, MacTableManager, Network, NetworkReason, PortIsolation};
use crate::{BridgeOptions, HostIpv6, MacReason, UnicastMac};

/// As libvirt 9 writes its state: the definition in what else it knows.
const STATE: &str = "<!--
WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
OVERWRITTEN AND LOST. Changes to this xml configuration should be made using:
  virsh net-edit default
or other application using the libvirt API.
-->

<networkstatus>
  <class_id bitmap='0-2'/>
  <floor sum='0'/>
  <taint flag='hook-script'/>
  <network>
    <name>default</name>
    <uuid>9a05da11-e96b-47f3-8253-a3a482e445f5</uuid>
    <forward mode='nat'>
      <nat>
        <port start='1024' end='65535'/>
      </nat>
    </forward>
    <bridge name='virbr0' stp='on' delay='0'/>
    <mac address='52:54:00:0a:cd:21'/>
    <ip address='192.168.122.1' netmask='255.255.255.0'>
      <dhcp>
        <range start='192.168.122.2' end='192.168.122.254'/>
        <host mac='52:54:00:00:00:01' name='a' ip='192.168.122.10'/>
      </dhcp>
    </ip>
  </network>
</networkstatus>
";

/// A definition with all that is understood.
const ALL: &str = "<?xml version=\"1.0\" encoding='utf-8'?>
<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0' connections='1'>
  <name>a &amp; <![CDATA[<b>]]>&#x21;</name>
  <forward mode='route' dev='eth0'/>
  <bridge zone='lab' name='br%d' stp='off' delay=' 7' macTableManager='libvirt'/>
  <mtu size='9000'/>
  <mac address='2:0:0:A:b:1 '/>
  <port isolated='yes'/>
  <metadata xmlns:x='https://vmbridge.org/network/1'>
    <other:bridge xmlns:other='urn:other' anchor='maybe'/>
    <x:bridge anchor='tap' ageing-time='0.5' vlan-filtering='on' default-pvid='none' other:note='?'/>
  </metadata>
  <dnsmasq:options><dnsmasq:option value='log-queries'/></dnsmasq:options>
</network>";

fn own(body: &str) -> Network {
    let document = document(body);
    document.network().expect("it has a bridge of its own").clone()
}

fn document(body: &str) -> Document {
    text_of(body).parse().unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn text_of(body: &str) -> String {
    format!("<network><name>n</name>{body}</network>")
}

#[track_caller]
fn refused(text: &str) -> String {
    text.parse::<Document>().expect_err(text).to_string()
}

fn mac() -> UnicastMac {
    "52:54:00:12:34:56".parse().expect("a MAC")
}

#[test]
fn reads_what_libvirt_writes() {
    let document: Document = STATE.parse().expect("libvirt's own");
    let network = Network::new("default".parse().expect("a name"))
        .with_forward(ForwardMode::Nat)
        .with_bridge("virbr0".parse().expect("a name"))
        .with_mac("52:54:00:0a:cd:21".parse().expect("a MAC"))
        .with_options(BridgeOptions::default().stp(true).forward_delay(Duration::ZERO))
        .expect("whole seconds");
    assert_eq!(document.network(), Ok(&network));
    assert_eq!(document.uuid().as_deref(), Some("9a05da11-e96b-47f3-8253-a3a482e445f5"));
    assert_eq!(document.text(), STATE);
}

#[test]
fn the_host_has_ipv6_where_it_has_an_address() {
    let host_ipv6 = |body: &str| *document(body).network().expect("it has a bridge of its own").options();
    let metadata = |value| {
        let bridge = format!("<bridge xmlns='https://vmbridge.org/network/1' host-ipv6='{value}'/>");
        format!("<metadata>{bridge}</metadata><ip family='ipv6' address='fd00::1' prefix='64'/>")
    };
    for (body, expected) in [
        ("<ip address='192.0.2.1'/>".to_owned(), None),
        ("<ip family='ipv4' address='192.0.2.1'/>".to_owned(), None),
        ("<x:ip xmlns:x='urn:x' family='ipv6'/>".to_owned(), None),
        ("<dns><ip family='ipv6'/></dns>".to_owned(), None),
        ("<ip address='192.0.2.1'/><ip family='ipv6' address='fd00::1'/>".to_owned(), Some(HostIpv6::Manual)),
        (metadata("kernel"), Some(HostIpv6::Kernel)),
        (metadata("disabled"), Some(HostIpv6::Disabled)),
    ] {
        assert_eq!(host_ipv6(&body).host_ipv6, expected, "{body}");
    }
    assert!(refused(&text_of(&metadata("on"))).contains("expected kernel, manual or disabled"));
}

#[test]
fn reads_all_that_there_is() {
    let document: Document = ALL.parse().expect("it is well-formed");
    let network = document.network().expect("it has a bridge of its own");
    assert_eq!(network.name().as_str(), "a & <b>!");
    assert_eq!(network.forward(), ForwardMode::Route);
    assert_eq!(network.bridge().to_string(), "br%d");
    assert_eq!(network.mtu(), Some(9000));
    assert_eq!(network.mac(), Some("02:00:00:0a:0b:01".parse().expect("a MAC")));
    assert_eq!(network.mac_table_manager(), Some(MacTableManager::Libvirt));
    assert_eq!(network.isolation(), PortIsolation::Isolated);
    assert_eq!(network.anchor(), Anchor::Tap);
    let options = BridgeOptions::default()
        .stp(false)
        .forward_delay(Duration::from_secs(7))
        .ageing_time(Duration::from_millis(500))
        .vlan_filtering(true)
        .default_pvid(None);
    assert_eq!(network.options(), &options);
    assert_eq!(Document::of(network).expect("it can be written").network(), Ok(network));
}

#[test]
fn defaults_are_libvirts() {
    assert_eq!(own(""), Network::new("n".parse().expect("a name")));
    assert_eq!(own("<bridge name=''/><mac address=''/><mtu size='0'/><forward/>").forward(), ForwardMode::Nat);
    assert_eq!(own("<forward mode=''/><bridge/>").bridge(), &BridgeName::default());
    for on in ["on", "yes", "Off", "0"] {
        assert_eq!(own(&format!("<bridge stp='{on}'/>")).options().stp, Some(true));
    }
    assert_eq!(own("<bridge stp=''/>").options().stp, None);
    assert_eq!(own("<port isolated='no'/>"), own("<port/>"));
    assert_eq!(own("<forward mode='none'/>"), own(""));
    assert_eq!(own("<bridge delay='\t+7'/><mtu size=' 01400'/>"), own("<bridge delay='7'/><mtu size='1400'/>"));
}

#[test]
fn elements_of_others_are_not_taken_for_ours() {
    for body in [
        "<!-- <mac address='52:54:00:00:00:01'/> -->",
        "<ip><dhcp><host mac='52:54:00:00:00:01'/></dhcp><mac address='52:54:00:00:00:01'/></ip>",
        "<x:mac xmlns:x='urn:x' address='52:54:00:00:00:01'/>",
        "<mac xmlns='urn:x' address='52:54:00:00:00:01'/>",
        "<x:mac address='52:54:00:00:00:01'/>",
        "<description><![CDATA[<mac address='52:54:00:00:00:01'/>]]></description>",
        "<metadata><mac address='52:54:00:00:00:01'/></metadata>",
        "<?mac address='52:54:00:00:00:01'?>",
        "<mac x:address='52:54:00:00:00:01' xmlns:x='urn:x'/>",
    ] {
        assert_eq!(own(body), own(""), "{body}");
    }
    let elsewhere = "<ip><x:bridge xmlns:x='https://vmbridge.org/network/1' anchor='tap'/></ip>";
    assert_eq!(own(elsewhere), own(""));
}

#[test]
fn networks_without_a_bridge_of_their_own_are_recognized() {
    for mode in ForeignMode::ALL {
        let document = document(&format!("<forward mode='{mode}'><interface dev='eth0'/></forward>"));
        let ParsedNetwork::Foreign(network) = document.parsed() else { panic!("{mode} has no bridge") };
        assert_eq!((network.name.as_str(), network.mode, &network.mac), ("n", mode, &None));
        let error = document.network().expect_err("it has none");
        assert_eq!((error.value(), error.reason()), (mode.name(), &NetworkReason::NoOwnBridge));
        document.with_mac(mac()).expect_err("there is nothing to have it");
    }
    let with_mac = document("<forward mode='bridge'/><bridge name='br0'/><mac address='52:54:00:00:00:01'/>");
    assert_eq!(
        with_mac.network().expect_err("it has none").to_string(),
        r#"mac@address "52:54:00:00:00:01": a network of forward mode bridge has no bridge that could bear it"#
    );
}

#[test]
fn says_which_element_has_which_value_in_which_line() {
    for (body, element, value) in [
        ("<bridge name='a/b'/>", "bridge@name", "a/b"),
        ("<bridge name='%s'/>", "bridge@name", "%s"),
        ("<bridge delay='-1'/>", "bridge@delay", "-1"),
        ("<bridge delay='1.5'/>", "bridge@delay", "1.5"),
        ("<bridge delay='7 '/>", "bridge@delay", "7 "),
        ("<bridge delay='9223372036854775808'/>", "bridge@delay", "9223372036854775808"),
        ("<bridge delay='18446744073709551616'/>", "bridge@delay", "18446744073709551616"),
        ("<bridge macTableManager='default'/>", "bridge@macTableManager", "default"),
        ("<mtu size='4294967297'/>", "mtu@size", "4294967297"),
        ("<mtu size='67'/>", "mtu@size", "67"),
        ("<mtu size='1e3'/>", "mtu@size", "1e3"),
        ("<forward mode='magic'/>", "forward@mode", "magic"),
        ("<port isolated=''/>", "port@isolated", ""),
        ("<port isolated='on'/>", "port@isolated", "on"),
        ("<mac address='01:00:5e:00:00:01'/>", "mac@address", "01:00:5e:00:00:01"),
        ("<uuid/>", "uuid", ""),
        ("<uuid>9a05da11-e96b-47f3-8253-a3a482e445f</uuid>", "uuid", "9a05da11-e96b-47f3-8253-a3a482e445f"),
        ("<uuid>9-a05da11e96b47f38253a3a482e445f5</uuid>", "uuid", "9-a05da11e96b47f38253a3a482e445f5"),
    ] {
        let text = format!("<network>\n<name>n</name>\n{body}\n</network>");
        let error = text.parse::<Document>().expect_err(body);
        assert_eq!(error.line(), Some(3), "{body}");
        let DocumentReason::Network(error) = error.reason() else { panic!("{body}: {error}") };
        assert_eq!((error.element(), error.value()), (element, value));
    }
    assert_eq!(
        refused("<network>\n<name>a/b</name></network>"),
        "line 2: name \"a/b\": a network's name has 1 to 200 bytes, not all blank, no '/', no control character and no \
         '.' at its beginning"
    );
}

#[test]
fn a_mac_is_what_libvirt_takes_and_a_bridge_can_bear() {
    let read = |text: &str| text_of(&format!("<mac address='{text}'/>")).parse::<Document>();
    let reason = |text: &str| match read(text).expect_err(text).reason {
        DocumentReason::Network(error) => error.reason().clone(),
        other => panic!("{text}: {other}"),
    };
    for good in ["52:54:00:12:34:56", "52:54:0:12:34:56", "52:54:00:12:34:56  ", "52:54:00:12:34:56&#x20;&#9;"] {
        assert_eq!(read(good).expect(good).network().expect("its own").mac(), Some(mac()));
    }
    for bad in ["52-54-00-12-34-56", " 52:54:00:12:34:56", "52:54:00:12:34:56 x", "52:54:00:12:34", "x"] {
        assert_eq!(reason(bad), NetworkReason::Mac(MacReason::Malformed), "{bad}");
    }
    assert_eq!(reason("00:00:00:00:00:00"), NetworkReason::Mac(MacReason::Zero));
    assert_eq!(reason("53:54:00:12:34:56"), NetworkReason::Mac(MacReason::Multicast));
    assert_eq!(reason("ff:ff:ff:ff:ff:ff"), NetworkReason::Mac(MacReason::Broadcast));
}

#[test]
fn a_uuid_has_one_form() {
    for text in ["9A05DA11E96B47F38253A3A482E445F5", "\n9a-05 da11--e96b47f38253-a3a482e445f5\t"] {
        let uuid = document(&format!("<uuid>{text}</uuid>")).uuid();
        assert_eq!(uuid.as_deref(), Some("9a05da11-e96b-47f3-8253-a3a482e445f5"));
    }
    assert_eq!(document("").uuid(), None);
}

#[test]
fn an_own_element_has_options_of_its_own_only() {
    let with = |attributes: &str| {
        let body = format!("<metadata><v:bridge xmlns:v='{NAMESPACE}' {attributes}/></metadata>");
        text_of(&body).parse::<Document>().map(|document| document.network().expect("its own").clone())
    };
    assert_eq!(with("anchor='none'").expect("it is the default"), own(""));
    for (attributes, message) in [
        ("anchor='yes'", r#"line 1: vmbridge:bridge@anchor "yes": tap or none is wanted"#),
        ("stp='on'", r#"line 1: vmbridge:bridge "stp=on": there is no such option"#),
        ("forward-delay='1'", r#"line 1: vmbridge:bridge "forward-delay=1": there is no such option"#),
        ("warp='9'", r#"line 1: vmbridge:bridge "warp=9": there is no such option"#),
        ("stp-protocol='x'", r#"line 1: vmbridge:bridge "stp-protocol=x": expected stp or rstp"#),
    ] {
        assert_eq!(with(attributes).expect_err(attributes).to_string(), message);
    }
}

#[test]
fn what_is_there_twice_is_named() {
    for (body, name) in [
        ("<mac/>\n<mac address='52:54:00:12:34:56'/>", "mac"),
        ("<bridge/>\n<bridge/>", "bridge"),
        ("<forward/>\n<forward/>", "forward"),
        ("\n<name>m</name>", "name"),
        ("<metadata/>\n<metadata/>", "metadata"),
    ] {
        assert_eq!(refused(&text_of(body)), format!("line 2: a second <{name}>; the first is in line 1"));
    }
    let two = format!("<metadata><v:bridge xmlns:v='{NAMESPACE}'/>\n<bridge xmlns='{NAMESPACE}'/></metadata>");
    assert_eq!(refused(&text_of(&two)), "line 2: a second <vmbridge:bridge>; the first is in line 1");
    let two =
        "<networkstatus><network><name>n</name></network>\n<network><name>n</name></network></networkstatus>";
    assert_eq!(refused(two), "line 2: a second <network>; the first is in line 1");
}

#[test]
fn a_mac_is_put_where_libvirt_puts_it() {
    for (before, after) in [
        // In place of another, whatever is around it.
        ("<mac   address = \"2:0:0:0:0:1\" />", "<mac   address = \"52:54:00:12:34:56\" />"),
        ("<mac address=''/>", "<mac address='52:54:00:12:34:56'/>"),
        ("<mac/>", "<mac address='52:54:00:12:34:56'/>"),
        ("<mac\n a='1'></mac>", "<mac address='52:54:00:12:34:56'\n a='1'></mac>"),
        // All in one line.
        ("<bridge/><ip/>", "<bridge/><mac address='52:54:00:12:34:56'/><ip/>"),
        ("<bridge></bridge>\n", "<bridge></bridge><mac address='52:54:00:12:34:56'/>\n"),
        // In a line of its own, with its neighbour's indentation and line ending.
        ("\n\t<bridge/>\n\t<ip/>\n", "\n\t<bridge/>\n\t<mac address='52:54:00:12:34:56'/>\n\t<ip/>\n"),
        ("\r\n  <bridge/>\r\n", "\r\n  <bridge/>\r\n  <mac address='52:54:00:12:34:56'/>\r\n"),
        // After a bridge of several lines, and after the MTU, wherever that is.
        (
            "\n <bridge\n  name='a'\n >\n </bridge>\n",
            "\n <bridge\n  name='a'\n >\n </bridge>\n <mac address='52:54:00:12:34:56'/>\n",
        ),
        ("\n <mtu/>\n <bridge/>\n", "\n <mtu/>\n <mac address='52:54:00:12:34:56'/>\n <bridge/>\n"),
        // A comment stays with its line.
        (
            "\n <bridge/> <!-- a --><!-- b\n -->",
            "\n <bridge/> <!-- a -->\n <mac address='52:54:00:12:34:56'/><!-- b\n -->",
        ),
        ("\n <bridge/><ip/> <!-- a -->", "\n <bridge/>\n <mac address='52:54:00:12:34:56'/><ip/> <!-- a -->"),
        // The file's quotes.
        ("<bridge name=\"a\"/>", "<bridge name=\"a\"/><mac address=\"52:54:00:12:34:56\"/>"),
        // No bridge at all.
        ("<ip/>", "<mac address='52:54:00:12:34:56'/><ip/>"),
    ] {
        let edited = document(before).with_mac(mac()).expect(before);
        assert_eq!(edited.text(), text_of(after));
        assert_eq!(edited.network().expect("its own").mac(), Some(mac()));
    }
}

#[test]
fn a_template_is_replaced_by_the_name_that_it_made() {
    let name = "br<7".parse().expect("a name");
    for (before, after) in [
        ("<bridge stp='off' name='br%d'/>", "<bridge stp='off' name='br&lt;7'/>"),
        ("<bridge stp=\"off\"/>", "<bridge name=\"br&lt;7\" stp=\"off\"/>"),
        ("<forward/><ip/>", "<forward/><bridge name='br&lt;7'/><ip/>"),
    ] {
        let edited = document(before).with_bridge(name).expect(before);
        assert_eq!(edited.text(), text_of(after));
        assert_eq!(edited.network().expect("its own").bridge(), &BridgeName::Fixed(name));
    }
}

#[test]
fn a_state_file_is_changed_within() {
    let (before, after) = STATE.split_once("0a:cd:21").expect("its MAC");
    let edited = STATE.parse::<Document>().expect("libvirt's own").with_mac(mac()).expect("it has a bridge");
    assert_eq!(edited.text(), format!("{before}12:34:56{after}"));
}

#[test]
fn writes_what_is_given_only() {
    let network = Network::new("n".parse().expect("a name"));
    let text = |network| Document::of(&network).expect("it can be written").to_string();
    assert_eq!(text(network.clone()), "<network>\n  <name>n</name>\n  <bridge/>\n</network>\n");
    let template = network.with_bridge("lan%d".parse().expect("a template"));
    assert_eq!(text(template), "<network>\n  <name>n</name>\n  <bridge name='lan%d'/>\n</network>\n");
}

#[test]
fn writes_in_libvirts_order() {
    let network = Network::new("a<b".parse().expect("a name"))
        .with_forward(ForwardMode::Open)
        .with_bridge("virbr7".parse().expect("a name"))
        .with_mac(mac())
        .with_anchor(Anchor::Tap)
        .with_isolation(PortIsolation::Isolated)
        .with_mac_table_manager(MacTableManager::Kernel)
        .with_mtu(1400)
        .and_then(|network| {
            let options = BridgeOptions::default().stp(false).forward_delay(Duration::from_secs(2));
            network.with_options(options.group_forward_mask(0x4000))
        })
        .expect("it is valid");
    assert_eq!(
        Document::of(&network).expect("it can be written").text(),
        "<network>
  <name>a&lt;b</name>
  <metadata>
    <vmbridge:bridge xmlns:vmbridge='https://vmbridge.org/network/1' anchor='tap' group-forward-mask='16384'/>
  </metadata>
  <forward mode='open'/>
  <bridge name='virbr7' stp='off' delay='2' macTableManager='kernel'/>
  <mtu size='1400'/>
  <mac address='52:54:00:12:34:56'/>
  <port isolated='yes'/>
</network>
"
    );
}
