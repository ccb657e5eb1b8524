//! Of any network and any document.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::any::{any_bridge_name, any_mac, any_network};
use super::*;
use crate::network::BridgeName;

/// The MAC that a document has before it is given another.
const OLD: &str = "02:00:00:00:00:99";

/// White space, comments and instructions, some of which look like what they are not.
fn any_space() -> impl Strategy<Value = String> {
    let space = prop_oneof![
        8 => "[ \t\n]{0,4}",
        2 => Just("\n  ".to_owned()),
        1 => "<!-- ?[a-z<>&'\"\n]{0,8} -->",
        1 => Just("<!-- <mac address='52:54:00:00:00:01'/> <bridge name='x'/> -->".to_owned()),
        1 => Just("<?mac address='52:54:00:00:00:01'?>".to_owned()),
    ];
    proptest::collection::vec(space, 0..4).prop_map(|pieces| pieces.concat())
}

/// Elements of a network, each at most once, in any order and any of its forms.
fn any_elements() -> impl Strategy<Value = Vec<String>> {
    let elements: Vec<Vec<String>> = [
        &["<name>n</name>", "<name\n>n&lt;<![CDATA[&]]></name >", "<name><!-- a -->n</name>"][..],
        &["<uuid>9a05da11-e96b-47f3-8253-a3a482e445f5</uuid>"],
        &["<title>T &amp; t</title>", "<title/>"],
        &["<description><![CDATA[<mac address='52:54:00:00:00:01'/>]]> &#x1F600; é</description>"],
        &[
            "<metadata><a:bridge xmlns:a='urn:a'><mac address='52:54:00:00:00:01'/></a:bridge></metadata>",
            "<metadata>\n<bridge xmlns=\"https://vmbridge.org/network/1\" anchor=\"tap\"/></metadata>",
        ],
        &["<forward mode='nat'/>", "<forward>\n<nat><port start='1' end='2'/></nat></forward>"],
        &[
            "<bridge name='virbr0'/>",
            "<bridge\n\tname = \"virbr0\"\n\tstp='on' delay='0'\n>\n</bridge>",
            "<bridge zone='>' name='br%d' />",
            "<bridge/>",
        ],
        &["<mtu size='1400'/>", "<mtu size=\"9000\"></mtu>"],
        &["<mac/>", "<mac address=''/>", "<mac a='b' address = \"02:00:00:00:00:99\" ></mac>"],
        &["<port isolated='yes'/>"],
        &["<ip address='192.0.2.1'><dhcp><host mac='52:54:00:00:00:01'/></dhcp></ip>"],
        &["<x:mac xmlns:x='urn:x' address='52:54:00:00:00:01'/>"],
        &["<dns><txt value=\"&quot;'\"/></dns>", "text &gt;", "<![CDATA[<bridge>]]>"],
    ]
    .map(|forms| forms.iter().map(|&form| form.to_owned()).collect())
    .to_vec();
    let count = elements.len();
    let named = |elements: &Vec<Vec<String>>| elements.iter().any(|forms| forms[0].starts_with("<name>"));
    subsequence(elements, 1..=count)
        .prop_filter("a network has a name", named)
        .prop_shuffle()
        .prop_flat_map(|elements| elements.into_iter().map(select).collect::<Vec<_>>())
}

prop_compose! {
    /// A document as libvirt, or someone by hand, could have written it.
    fn any_document()(
        bom in select(vec!["", "\u{feff}"]),
        declaration in select(vec!["", "<?xml version='1.0'?>", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"]),
        root in select(vec!["<network>", "<network\n xmlns:q='urn:q' connections=\"1\">", "<network ipv6='yes' >"]),
        wrapped in select(vec![("", ""), ("<networkstatus><floor sum='0'/>\n", "\n</networkstatus>")]),
        elements in any_elements(),
        spaces in proptest::collection::vec(any_space(), 16),
        ending in select(vec!["\n", "\r\n"]),
    ) -> String {
        let body: String = elements.iter().zip(&spaces[3..]).flat_map(|(e, s)| [e.as_str(), s]).collect();
        let text = [
            declaration, &spaces[0], wrapped.0, root, &spaces[1], &body, "</network>", wrapped.1, &spaces[2],
        ];
        format!("{bom}{}", text.concat().replace('\n', ending))
    }
}

/// Whether one text is another with something put in at one place.
fn is_insertion(before: &str, after: &str) -> bool {
    let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    after.as_bytes().ends_with(&before.as_bytes()[same..])
}

proptest! {
    #[test]
    fn any_network_survives_being_written_and_read(network in any_network()) {
        let document = Document::of(&network).expect("it can be written");
        prop_assert_eq!(document.network(), Ok(&network));
        let read = Document::read(document.text().as_bytes()).expect("what was written");
        prop_assert_eq!(read.network(), Ok(&network));
    }

    #[test]
    fn a_mac_is_put_in_and_no_other_byte_changes(text in any_document(), mac in any_mac()) {
        let before: Document = text.parse().map_err(|error| TestCaseError::fail(format!("{error}")))?;
        prop_assert_eq!(before.text(), &text);
        let after = before.with_mac(mac).expect("it has a bridge of its own");
        if text.contains(OLD) {
            prop_assert_eq!(after.text(), text.replace(OLD, &mac.to_string()));
        } else {
            prop_assert!(is_insertion(&text, after.text()));
            prop_assert!(after.text().matches(&mac.to_string()).count() > text.matches(&mac.to_string()).count());
        }
        let network = before.network().expect("it has a bridge of its own").clone().with_mac(mac);
        prop_assert_eq!(after.network(), Ok(&network));
        let again = after.with_mac(mac).expect("it has a bridge of its own");
        prop_assert_eq!(again.text(), after.text());
    }

    #[test]
    fn a_name_is_put_in_and_nothing_else_is_read_otherwise(
        text in any_document(),
        name in any_bridge_name().prop_filter_map("a template", |name| match name {
            BridgeName::Fixed(name) => Some(name),
            BridgeName::Template(_) => None,
        }),
    ) {
        let before: Document = text.parse().map_err(|error| TestCaseError::fail(format!("{error}")))?;
        let after = before.with_bridge(name).expect("it has a bridge of its own");
        let network = before.network().expect("it has a bridge of its own").clone();
        prop_assert_eq!(after.network(), Ok(&network.with_bridge(BridgeName::Fixed(name))));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Document::read(&bytes[..]);
    }

    /// Either the document is refused, or its name is what stands in it and it can be changed.
    #[test]
    fn byte_order_marks_move_nothing(
        text in any_document(),
        places in proptest::collection::vec((any::<prop::sample::Index>(), 1..3_usize), 0..4),
        first in 0..3_usize,
        mac in any_mac(),
    ) {
        let mut text = text;
        for (place, count) in places {
            let places: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
            text.insert_str(places[place.index(places.len())], &"\u{feff}".repeat(count));
        }
        text.insert_str(0, &"\u{feff}".repeat(first));
        let Ok(document) = text.parse::<Document>() else { return Ok(()) };
        let plain = |text: &str| text.replace('\u{feff}', "");
        prop_assert!(["n", "n<&"].contains(&&*plain(document.parsed().name().as_str())));
        let edited = document.with_mac(mac).expect("it has a bridge of its own");
        prop_assert_eq!(edited.network().expect("it has a bridge of its own").mac(), Some(mac));
        prop_assert_eq!(edited.parsed().name(), document.parsed().name());
    }

    #[test]
    fn no_torn_document_panics(
        text in any_document(),
        at in any::<prop::sample::Index>(),
        cut in 0..8_usize,
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), select(b"<>/&;'\"=!?-[] \n".to_vec())], 0..8),
        mac in any_mac(),
    ) {
        let mut torn = text.into_bytes();
        let at = at.index(torn.len());
        torn.splice(at..torn.len().min(at + cut), bytes);
        if let Ok(document) = Document::read(&torn[..]) {
            if let Ok(edited) = document.with_mac(mac) {
                prop_assert_eq!(edited.network().expect("it has a bridge of its own").mac(), Some(mac));
            }
        }
    }
}
