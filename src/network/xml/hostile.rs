//! What someone writes who means harm, or whose editor does: an error, soon and in little memory.

use std::io::{self, Read};

use super::limits::{MAX_ATTRIBUTES, MAX_DEPTH};
use super::*;

#[track_caller]
fn reason(text: &str) -> DocumentReason {
    text.parse::<Document>().expect_err("it is no definition").reason
}

#[track_caller]
fn malformed(text: &str) {
    assert!(matches!(reason(text), DocumentReason::Malformed(_)), "{text}: {}", reason(text));
}

fn network(body: &str) -> String {
    format!("<network><name>n</name>{body}</network>")
}

#[test]
fn a_reader_without_end_is_left() {
    for byte in [b'<', b' ', b'x', 0, 0xff] {
        let error = Document::read(io::repeat(byte)).expect_err("it has no end");
        assert!(matches!(error.reason(), DocumentReason::TooLong), "{error}");
    }
    // A definition, and then no end.
    let text = network("");
    let endless = text.as_bytes().chain(io::repeat(b'\n'));
    let error = Document::read(endless).expect_err("it has no end");
    assert_eq!(error.to_string(), "a document has at most 1048576 bytes");
}

#[test]
fn no_more_is_read_than_can_be_taken() {
    let mut reader = io::repeat(b' ').take(100 << 20);
    Document::read(&mut reader).expect_err("it is too long");
    assert_eq!(reader.limit(), (100 << 20) - (Document::MAX_LEN as u64 + 1));
}

#[test]
fn the_longest_document_is_taken() {
    let longest = |len: usize| network("") + &" ".repeat(len - network("").len());
    assert!(Document::read(longest(Document::MAX_LEN).as_bytes()).is_ok());
    assert!(matches!(reason(&longest(Document::MAX_LEN + 1)), DocumentReason::TooLong));
    let document: Document = longest(Document::MAX_LEN).parse().expect("it is not too long");
    let error = document.with_mac("52:54:00:00:00:01".parse().expect("a MAC")).expect_err("no room");
    assert!(matches!(error.reason(), DocumentReason::TooLong));
}

#[test]
fn a_reader_that_fails_is_an_error() {
    struct Fails;

    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no such luck"))
        }
    }

    let error = Document::read(network("").as_bytes().chain(Fails)).expect_err("it fails");
    assert_eq!(error.report().to_string(), "cannot read it: no such luck");
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| network(&format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth)));
    assert!(nested(MAX_DEPTH - 1).parse::<Document>().is_ok());
    assert!(matches!(reason(&nested(MAX_DEPTH)), DocumentReason::TooDeep));
    assert!(matches!(reason(&"<network>".repeat(100_000)), DocumentReason::TooDeep));
}

#[test]
fn entities_cannot_be_defined() {
    let laughs = "<!DOCTYPE network [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]><network><name>&b;</name></network>";
    assert!(matches!(reason(laughs), DocumentReason::Doctype));
    assert!(matches!(reason(&format!("<!DOCTYPE network>{}", network(""))), DocumentReason::Doctype));
    assert!(matches!(reason(&network("<!DOCTYPE network>")), DocumentReason::Doctype));
    for undefined in ["&b;", "&;", "&", "& ", "&lt", "&#;", "&#x;", "&#99999999;", "&#xd800;", "&#-1;"] {
        malformed(&network(undefined));
        malformed(&network(&format!("<a b='{undefined}'/>")));
    }
    assert!(network("&lt;&gt;&amp;&apos;&quot;&#65;&#x1F600;").parse::<Document>().is_ok());
}

#[test]
fn what_is_no_text_of_xml_is_refused() {
    for c in ['\0', '\u{1}', '\u{b}', '\u{1f}', '\u{fffe}', '\u{ffff}'] {
        assert!(matches!(reason(&network(&c.to_string())), DocumentReason::Character(found) if found == c));
        let reference = format!("&#{};", u32::from(c));
        for body in [reference.clone(), format!("<a b='{reference}'/>")] {
            let reason = reason(&network(&body));
            assert!(matches!(reason, DocumentReason::Character(_) | DocumentReason::Malformed(_)), "{reason}");
        }
    }
    for bytes in [&b"<network>\xff</network>"[..], b"\xc3(", b"\xed\xa0\x80", b"\xff\xfe<\0n\0"] {
        let error = Document::read(bytes).expect_err("it is not in UTF-8");
        assert!(matches!(error.reason(), DocumentReason::NotUtf8));
    }
    let latin = format!("<?xml version='1.0' encoding='ISO-8859-1'?>{}", network(""));
    assert_eq!(reason(&latin).to_string(), "encoding \"ISO-8859-1\": UTF-8 is wanted");
    assert!(format!("\u{feff}<?xml version='1.0' encoding='UTF-8'?>{}", network("")).parse::<Document>().is_ok());
}

/// The reader would pass over a second one without counting it, and each place after it would be wrong.
#[test]
fn one_byte_order_mark_is_passed_over() {
    let bom = "\u{feff}";
    // 12 bytes.
    assert_eq!(reason(&format!("{bom}{bom}<éa/>")).to_string(), "a second byte-order mark");
    for text in [network(""), network("<mac/><!-- é -->"), "<?xml version='1.0'?>é".to_owned(), String::new()] {
        assert_eq!(reason(&format!("{bom}{bom}{text}")).to_string(), "a second byte-order mark");
    }
    let document: Document = format!("{bom}{}", network("<mac/><!-- é -->")).parse().expect("one is taken");
    assert_eq!(document.parsed().name().as_str(), "n");
    // Elsewhere it is a character.
    malformed(&format!(" {bom}{}", network("")));
    malformed(&format!("{}{bom}", network("")));
    let titled = network(&format!("<title>a{bom}{bom}b</title>"));
    let document: Document = titled.parse().expect("it is a title");
    assert_eq!(document.text(), titled);
}

#[test]
fn attributes_are_checked_everywhere() {
    for tag in [
        "<a b='1' b='2'/>",
        "<a b/>",
        "<a b=/>",
        "<a b=c/>",
        "<a b='1'c='2'/>",
        "<a b='<'/>",
        "<a 1='2'/>",
        "<a ='2'/>",
        "<a b='1' 'c'/>",
        "<a b='/>",
        "<a \"/>",
        "<a b==''/>",
        "<a/ b=''/>",
        "<a b='1'/ >",
    ] {
        malformed(&network(tag));
    }
    let soup = |count: usize| (0..count).map(|n| format!(" a{n}=''")).collect::<Vec<_>>().concat();
    assert!(network(&format!("<a{}/>", soup(MAX_ATTRIBUTES))).parse::<Document>().is_ok());
    let too_many = network(&format!("<a{}/>", soup(MAX_ATTRIBUTES + 1)));
    assert!(matches!(reason(&too_many), DocumentReason::TooManyAttributes));
    assert!(matches!(reason(&network(&format!("<a{}/>", soup(80_000)))), DocumentReason::TooManyAttributes));
}

#[test]
fn namespaces_in_scope_are_bounded() {
    let bind = |depth: usize| (0..60).map(|n| format!(" xmlns:a{depth}-{n}='u'")).collect::<Vec<_>>().concat();
    for depth in [1, 60] {
        let deep = (0..depth).map(|depth| format!("<a{}>", bind(depth))).collect::<Vec<_>>().concat();
        let many = "<x:y/>".repeat(50_000);
        let text = network(&format!("{deep}{many}{}", "</a>".repeat(depth)));
        assert!(text.parse::<Document>().is_ok());
    }
}

#[test]
fn there_is_one_root_and_it_ends() {
    for text in [
        "",
        " ",
        "<!-- -->",
        "<network>",
        "<network><name>n</name>",
        "<network><name>n</network>",
        "<network></networks>",
        "</network>",
        "<network",
        "<network a='",
        "<",
        "<!",
        "<!--",
        "<![CDATA[",
        "<?",
        "<?xml",
        "network",
        "<network><name>n</name></network><network/>",
        "<network><name>n</name></network>x",
        "x<network><name>n</name></network>",
        "<network><name>n</name></network>&amp;",
        "<network><name>n</name></network><![CDATA[]]>",
        " <?xml version='1.0'?><network><name>n</name></network>",
        "<network><?xml version='1.0'?><name>n</name></network>",
        "<network><name>n</name><!-- -- --></network>",
        "<network><name>n</name>]]></network>",
        "<network><name>n</name><1/></network>",
        "<network><name>n</name>< a/></network>",
        "<network><name>n</name><??></network>",
        "<network><name>n</name><?XML a?></network>",
        "<?xml?><network><name>n</name></network>",
        "<?xml encoding='UTF-8'?><network><name>n</name></network>",
        "<?xml version='2.0'?><network><name>n</name></network>",
        "<?xml version='1.0' encod='UTF-8'?><network><name>n</name></network>",
        "<?xml version='1.0' standalone='maybe'?><network><name>n</name></network>",
    ] {
        malformed(text);
    }
}

#[test]
fn what_defines_no_network_is_refused() {
    assert!(matches!(reason("<domain><name>n</name></domain>"), DocumentReason::Root(root) if root == "domain"));
    assert!(matches!(reason("<network xmlns='urn:x'/>"), DocumentReason::Root(_)));
    assert!(matches!(reason("<x:network xmlns:x='urn:x'/>"), DocumentReason::Root(_)));
    assert!(matches!(reason("<networkstatus/>"), DocumentReason::Missing("network")));
    let deeper = "<networkstatus><a><network><name>n</name></network></a></networkstatus>";
    assert!(matches!(reason(deeper), DocumentReason::Missing("network")));
    assert!(matches!(reason("<network/>"), DocumentReason::Missing("name")));
    assert!(matches!(reason("<network><ip><name>n</name></ip></network>"), DocumentReason::Missing("name")));
    assert!(matches!(reason("<network><name/></network>"), DocumentReason::Network(_)));
}
