//! Small documents that libvirt's reader and ours may take for something else.

use std::fmt::Debug;

use vmbridge::network::Document;

use super::completed;
use super::daemon::{Libvirt, own_directories};
use crate::support::{Registry, tests};

/// Both take them for the same.
const SAME: &[&str] = &[
    // Namespaces, and prefixes that are bound to none.
    "<x:y/>",
    "<x:mac address='52:54:00:12:34:56'/>",
    "<mac xmlns='urn:x' address='52:54:00:12:34:56'/>",
    "<mac x:address='52:54:00:12:34:56'/>",
    "<mac xmlns:x='urn:x' x:address='52:54:00:12:34:56'/>",
    "<!-- <mac address='52:54:00:12:34:56'/> --><?mac address='52:54:00:12:34:56'?>",
    "<description><![CDATA[<mac address='52:54:00:12:34:56'/>]]></description>",
    // MACs.
    "<mac/>",
    "<mac address=''/>",
    "<mac address='2:0:0:a:B:1'/>",
    "<mac address='&#x32;:0:0:0:0:1'/>",
    "<mac address='52:54:00:12:34:56 &#9;&#10;'/>",
    "<mac address='52:54:00:12:34:56'>x<!-- a --></mac>",
    // UUIDs.
    "<uuid>9A05DA11E96B47F38253A3A482E445F5</uuid>",
    "<uuid>\n9a-05 da11--e96b47f38253-a3a482e445f5\t</uuid>",
    // Names of bridges, STP, forward delays.
    "<bridge/>",
    "<bridge name=''/>",
    "<bridge name='lan%d'/>",
    "<bridge name='a%db'/>",
    "<bridge name='0123456789abcd%d'/>",
    "<bridge name='0123456789abcde'/>",
    "<bridge name='é&lt;&amp;&quot;'/>",
    "<bridge stp=''/>",
    "<bridge stp='Off'/>",
    "<bridge stp='off '/>",
    "<bridge stp='off'/>",
    "<bridge delay=''/>",
    "<bridge delay='010'/>",
    "<bridge delay='&#9; +7'/>",
    "<bridge delay='9223372036854775807'/>",
    "<bridge macTableManager=''/>",
    "<bridge macTableManager='libvirt'/>",
    // MTUs.
    "<mtu/>",
    "<mtu size='0'/>",
    "<mtu size=''/>",
    "<mtu size=' 01400'/>",
    // Ports and forward modes.
    "<port/>",
    "<port isolated='no'/>",
    "<port isolated='yes'/>",
    "<forward mode='none'/>",
    "<forward/><ip address='192.0.2.1' prefix='24'/>",
    "<forward mode=''/><ip address='192.0.2.1' prefix='24'/>",
    "<forward mode='open'/><ip address='192.0.2.1' prefix='24'/>",
    "<forward mode='bridge'/><bridge name='br0'/>",
    // What is in metadata, wherever its prefix is bound.
    "<metadata><v:bridge xmlns:v='https://vmbridge.org/network/1' anchor='tap' ageing-time='0.5'><x/></v:bridge>\
     <w:a xmlns:w='urn:w'/></metadata>",
    "<metadata><bridge xmlns='https://vmbridge.org/network/1' anchor='tap'/></metadata>",
    "<metadata xmlns:v='https://vmbridge.org/network/1'><v:bridge anchor='tap'/></metadata>",
    "<metadata><v:bridge anchor='tap'/></metadata>",
];

/// Neither takes them.
const REFUSED: &[&str] = &[
    "<mac address='  '/>",
    "<mac address=' 52:54:00:12:34:56'/>",
    "<mac address='52:54:00:12:34:56x'/>",
    "<mac address='52:54:00:12:34:56:77'/>",
    "<mac address='52-54-00-12-34-56'/>",
    "<mac address='002:0:0:a:B:1'/>",
    "<mac address='0x2:0:0:a:B:1'/>",
    "<mac address='2: 0:0:a:B:1'/>",
    "<mac address='2:0:0:a:B'/>",
    "<mac address='2:0:0:a:B:'/>",
    "<mac address='01:00:5e:00:00:01'/>",
    "<mac address='ff:ff:ff:ff:ff:ff'/>",
    "<mac address='52:54:00:00:00:01' address='52:54:00:00:00:01'/>",
    "<mac address='&a;'/>",
    "<uuid>x</uuid>",
    "<uuid>9a05da11-e96b-47f3-8253-a3a482e445f</uuid>",
    "<uuid>9-a05da11e96b47f38253a3a482e445f5</uuid>",
    "<bridge delay='7 '/>",
    "<bridge delay='-1'/>",
    "<bridge delay='1.5'/>",
    "<bridge delay='0x10'/>",
    "<bridge delay='1e1'/>",
    "<bridge delay='18446744073709551616'/>",
    "<bridge macTableManager='default'/>",
    "<bridge macTableManager='Kernel'/>",
    "<mtu size='1400 '/>",
    "<mtu size='0x578'/>",
    "<mtu size='4294967297'/>",
    "<port isolated=''/>",
    "<port isolated='on'/>",
    "<forward mode='NAT'/>",
    "<forward mode='magic'/>",
    "]]>",
    "&nbsp;",
    "<a b='<'/>",
    "<a>",
];

/// libvirt takes them, and they are refused here.
const STRICTER: &[&str] = &[
    // The first is its.
    "<name>m</name>",
    "<mac/><mac address='52:54:00:00:00:02'/>",
    "<bridge name='a'/><bridge name='b'/>",
    "<mtu size='1400'/><mtu size='1500'/>",
    "<port/><port isolated='yes'/>",
    "<metadata/><metadata/>",
    // None, for libvirt.
    "<uuid/>",
    "<mac address='00:00:00:00:00:00'/>",
    "<mac address='52:54:00:12:34:56 x'/>",
    // No interface has these names.
    "<bridge name=' '/>",
    "<bridge name='a/b'/>",
    "<bridge name='a:b'/>",
    "<bridge name='.'/>",
    "<bridge name='a%s'/>",
    "<bridge name='0123456789abcdef'/>",
    // `virbr%d`, for libvirt.
    "<bridge name='a%d%d'/>",
    // No bridge has these MTUs.
    "<mtu size='67'/>",
    "<mtu size='65536'/>",
    "<mtu size='-1'/>",
    // It writes it with a sign, and does not read that.
    "<bridge delay='9223372036854775808'/>",
];

/// They are no matter of the bridge's, and libvirt refuses them: a table in the documentation, with what it says.
const LAXER: &str = include_str!("../../../src/network/xml/refused-by-libvirt.md");

/// Names that both take for the same.
const NAMES: &[&str] =
    &[" n ", "a &amp; <![CDATA[<b>]]>&#x21;", "<!-- a -->n", "n<b>x</b>m", "a:b\\c\"d'", "--help", "é"];

/// Names that only libvirt takes: blank, of directories, of hidden files, with control characters.
const NAMES_STRICTER: &[&str] = &["  ", "\u{a0}", "..", ".a", "a\tb", "a\u{7f}", "a\u{85}b"];

const NAMES_REFUSED: &[&str] = &["", "n\n", "a/b", "&b;"];

/// Whole documents that only libvirt takes.
const DOCUMENTS_STRICTER: &[&str] = &[
    "<!DOCTYPE network><network><name>n</name></network>",
    "<!DOCTYPE network [<!ENTITY a 'n'>]><network><name>&a;</name></network>",
    "<?xml version='1.0' encoding='ISO-8859-1'?><network><name>n</name></network>",
];

const DOCUMENTS_SAME: &[&str] = &[
    "\u{feff}<?xml version='1.0' encoding='utf-8'?><network><name>n</name></network>",
    "<?xml version='1.1'?>\r\n<network\tx='y'><name>n</name></network>\r\n<!-- a -->",
    "<network xmlns:v='https://vmbridge.org/network/1'><name>n</name><metadata><v:bridge anchor='tap'/></metadata>\
     </network>",
];

const DOCUMENTS_REFUSED: &[&str] = &[
    "\u{feff}\u{feff}<network><name>n</name></network>",
    "<network/>",
    "<network xmlns='urn:x'><name>n</name></network>",
    "<x:network xmlns:x='urn:x'><x:name>n</x:name></x:network>",
    "<x:network><name>n</name></x:network>",
    "<domain><name>n</name></domain>",
    "<network><name>n</name></network>x",
];

#[derive(Debug, PartialEq)]
enum Verdict {
    Same,
    Refused,
    Stricter,
    Laxer,
}

pub(super) fn register(registry: &Registry) {
    registry.add(&tests![agree_on_small_documents, refuses_each_document_of_the_list]);
}

fn agree_on_small_documents() {
    own_directories();
    let libvirt = Libvirt::start();
    let body = |body: &str| format!("<network><name>n</name>{body}</network>");
    let name = |name: &str| format!("<network><name>{name}</name></network>");
    let whole = |text: &str| text.to_owned();
    check(&libvirt, body, &[(SAME, Verdict::Same), (REFUSED, Verdict::Refused)]);
    check(&libvirt, body, &[(STRICTER, Verdict::Stricter)]);
    check(&libvirt, name, &[(NAMES, Verdict::Same), (NAMES_REFUSED, Verdict::Refused)]);
    check(&libvirt, name, &[(NAMES_STRICTER, Verdict::Stricter)]);
    check(&libvirt, whole, &[(DOCUMENTS_SAME, Verdict::Same), (DOCUMENTS_REFUSED, Verdict::Refused)]);
    check(&libvirt, whole, &[(DOCUMENTS_STRICTER, Verdict::Stricter)]);
}

fn refuses_each_document_of_the_list() {
    own_directories();
    let libvirt = Libvirt::start();
    let rows = LAXER.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `"));
    let mut wrong = Vec::new();
    let mut count = 0;
    for (body, says) in rows {
        count += 1;
        let body = body.replace("<ip …", "<ip address='192.0.2.1' prefix='24'");
        let text = match body.strip_prefix("<network ") {
            Some(root) => format!("<network {}<name>n</name></network>", root.replace("/>", ">")),
            None => format!("<network><name>n</name>{body}</network>"),
        };
        let ours = text.parse::<Document>().map(drop).map_err(|error| error.to_string());
        let theirs = libvirt.define(&text);
        if theirs.is_ok() {
            libvirt.virsh(["net-undefine", "n"]);
        }
        if ours.is_err() || !theirs.as_ref().is_err_and(|error| error.contains(says)) {
            wrong.push(format!("{body}: {says:?}, {ours:?}, {theirs:?}"));
        }
    }
    assert!(wrong.is_empty() && count > 100, "{count}: {wrong:#?}");
}

fn check(libvirt: &Libvirt, whole: impl Fn(&str) -> String, expected: &[(&[&str], Verdict)]) {
    for (texts, expected) in expected {
        for text in *texts {
            assert_eq!(verdict(libvirt, &whole(text)), *expected, "{text:?}");
        }
    }
}

fn verdict(libvirt: &Libvirt, text: &str) -> Verdict {
    let ours = text.parse::<Document>();
    let theirs = libvirt.define(text).map(|()| {
        let uuid = libvirt.uuid();
        let read = libvirt.virsh(["net-dumpxml", &uuid]);
        libvirt.virsh(["net-undefine", &uuid]);
        read
    });
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            let theirs: Document = theirs.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"));
            match (ours.network(), theirs.network()) {
                (Ok(ours), Ok(theirs)) => assert_eq!(completed(ours, theirs), *theirs, "{text:?}"),
                _ => assert_eq!(ours.parsed(), theirs.parsed(), "{text:?}"),
            }
            Verdict::Same
        }
        (Ok(_), Err(_)) => Verdict::Laxer,
        (Err(_), Ok(_)) => Verdict::Stricter,
        (Err(_), Err(_)) => Verdict::Refused,
    }
}
