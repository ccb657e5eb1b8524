//! Networks' documents, with another reader of XML (Python's, which is expat) as the witness.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use vmbridge::UnicastMac;
use vmbridge::network::{Document, DocumentReason};

use crate::support::{Registry, tests};

/// Reads a list of texts from its standard input. Of each it writes the MACs of the network and all
/// else that it says, white space aside; or null if it is not well-formed.
const WITNESS: &str = r"
import json, sys
from xml.parsers import expat

def read(text):
    path, macs, said = [], [], []
    is_mac = lambda: path[-2:] == ['network', 'mac'] and len(path) <= 3 and path[0] in ['network', 'networkstatus']

    def start(name, attributes):
        path.append(name)
        if is_mac():
            macs.append(attributes.pop('address', ''))
        if not is_mac() or attributes:
            said.append(repr((name, attributes)))

    def end(name):
        if not is_mac():
            said.append('/')
        path.pop()

    # Without a separator it knows no namespaces, as libxml2 takes a prefix that is bound to none.
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = parser.CommentHandler = said.append
    parser.ProcessingInstructionHandler = lambda target, data: said.extend([target, data])
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, LookupError, ValueError):
        return None
    # But what is reserved nobody may declare.
    try:
        expat.ParserCreate(namespace_separator=' ').Parse(text.encode(), True)
    except expat.ExpatError as error:
        if 'reserved' in str(error):
            return None
    return [macs, ''.join(''.join(said).split())]

json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
";

const DOCUMENTS: [&str; 4] = [
    "<network><name>n</name><bridge name='virbr0' stp='on'/><mac address='52:54:00:00:00:01'/></network>",
    "<?xml version='1.0' encoding='UTF-8'?>\n<!-- a -->\n<network xmlns:q='urn:q'>\n  <name>n&amp;&#x41;</name>\n  \
     <forward mode='nat'/>\n  <bridge name=\"virbr%d\"\n\tdelay='0'></bridge> <!-- <mac/> -->\n  <mtu size='1400'/>\n  \
     <q:o a='1' q:a='2'>t</q:o>\n</network>\n",
    "<networkstatus>\r\n\t<floor sum='0'/>\r\n\t<network>\r\n\t\t<name><![CDATA[n]]></name>\r\n\t\t<ip><dhcp>\
     <host mac='52:54:00:00:00:01'/></dhcp></ip>\r\n\t</network>\r\n</networkstatus>",
    "<network><description>&lt; ]] &gt; é</description><metadata><a xmlns='urn:a'><mac/></a></metadata>\
     <mac/><name>n</name><?p i?></network>",
];

pub(crate) fn register(registry: &Registry) {
    registry
        .on_host()
        .add(&tests![malformed_is_what_is_not_well_formed, another_reader_finds_the_mac_and_the_rest_as_before,]);
}

fn witness(texts: &[String]) -> Vec<Value> {
    let mut input = tempfile::tempfile().expect("a file can be made");
    write!(input, "{}", json!(texts)).expect("it can be written");
    let input = rewound(input);
    let output = Command::new("python3").args(["-c", WITNESS]).stdin(Stdio::from(input)).output();
    let output = output.expect("python3 can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a list")
}

fn rewound(mut file: File) -> File {
    std::io::Seek::rewind(&mut file).expect("it is a file");
    file
}

/// A document with some pieces put in or taken out.
fn torn() -> impl Strategy<Value = String> {
    let pieces = [
        "<",
        ">",
        "/",
        "&",
        ";",
        "'",
        "\"",
        "=",
        "!",
        "?",
        "-",
        "[",
        "]",
        " ",
        "\n",
        "a",
        ":",
        "1",
        "<!--",
        "-->",
        "]]>",
        "<![CDATA[",
        "<?",
        "?>",
        "&#",
        "&lt;",
        "&a;",
        " a='b'",
        "<a>",
        "</a>",
        "<a/>",
        "<x:a/>",
        "xmlns",
        "é",
        "\u{1}",
        "<?xml version='1.0'?>",
        "\u{fffe}",
        "&#0;",
        "&#xA;",
    ];
    let change = (any::<Index>(), 0..3_usize, select(pieces.to_vec()));
    (select(DOCUMENTS.to_vec()), proptest::collection::vec(change, 1..4)).prop_map(|(document, changes)| {
        changes.into_iter().fold(document.to_owned(), |text, (at, taken, put)| {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            chars.splice(at..chars.len().min(at + taken), put.chars());
            chars.into_iter().collect()
        })
    })
}

fn texts(count: usize) -> Vec<String> {
    let mut runner = TestRunner::default();
    (0..count).map(|_| torn().new_tree(&mut runner).expect("no text is filtered").current()).collect()
}

fn malformed_is_what_is_not_well_formed() {
    let texts = texts(5_000);
    let mut taken = 0;
    for (text, said) in texts.iter().zip(witness(&texts)) {
        match text.parse::<Document>() {
            Ok(_) => {
                assert!(!said.is_null(), "{text:?}");
                taken += 1;
            }
            Err(error) => {
                let malformed =
                    matches!(error.reason(), DocumentReason::Malformed(_) | DocumentReason::Character(_));
                // expat takes any version.
                let is_version = error.to_string().contains(": version");
                assert!(!malformed || is_version || said.is_null(), "{error}: {text:?}");
            }
        }
    }
    assert!(taken > 200, "{taken} are hardly enough");
}

fn another_reader_finds_the_mac_and_the_rest_as_before() {
    let mac: UnicastMac = "52:54:00:12:34:56".parse().expect("a MAC");
    let mut texts = texts(5_000);
    texts.extend(DOCUMENTS.map(str::to_owned));
    let edited = texts.into_iter().filter_map(|text| {
        let document: Document = text.parse().ok()?;
        Some((text, document.with_mac(mac).expect("it has a bridge of its own").to_string()))
    });
    let (before, after): (Vec<_>, Vec<_>) = edited.unzip();
    for ((text, before), after) in before.iter().zip(witness(&before)).zip(witness(&after)) {
        assert_eq!(after[0], json!([mac.to_string()]), "{text}");
        assert_eq!(before[1], after[1], "{text}");
    }
}
