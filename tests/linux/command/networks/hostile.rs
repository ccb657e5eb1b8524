//! What files say that someone wrote who means harm: on a terminal it does none.

use std::fmt::Write;
use std::fs;

use super::{Store, network};
use crate::command::vmbridge;
use crate::support::{Registry, tests};

/// Characters that steer a terminal (of which XML has those from 0x7f on), turn the direction of writing, or take
/// no room.
const HOSTILE: &str = "\u{7f}\u{9b}31m\u{90}\u{202e}\u{2066}\u{200b}\u{2028}\u{feff}\u{e0041}";

pub(super) fn register(registry: &Registry) {
    registry.add(&tests![errors_are_short_and_plain, a_dry_run_is_bounded_and_plain]);
}

fn is_plain(text: &str) -> bool {
    text.split('\n').all(|line| !line.contains(|c: char| c.is_control() || HOSTILE.contains(c) && !c.is_ascii()))
}

/// Documents that are refused, each for what stands in another place.
fn refused_documents() -> Vec<String> {
    let long = HOSTILE.repeat(2_000);
    let in_network = |body: &str| network("lan", body);
    vec![
        "\u{1b}]0;title\u{7}".to_owned(),
        format!("<{}/>", "n".repeat(900_000)),
        format!("<é{long}/>"),
        format!("<?xml version='{long}'?><network/>"),
        format!("<?xml version='1.0' encoding='{long}'?><network/>"),
        network(&format!("a/{long}"), ""),
        network(&"n".repeat(1_000_000), ""),
        in_network(&format!("<a></{}>", "é".repeat(20_000))),
        in_network(&format!("<{}></b>", "é".repeat(20_000))),
        in_network(&format!("&{long};")),
        in_network(&format!("<a b='&{long};'/>")),
        in_network(&format!("<uuid>{long}</uuid>")),
        in_network(&format!("<forward mode='{long}'/>")),
        in_network(&format!("<bridge name='{long}'/>")),
        in_network(&format!("<bridge macTableManager='{long}'/>")),
        in_network(&format!("<mac address='{long}'/>")),
        in_network(&format!("<mtu size='{long}'/>")),
        in_network(&format!("<port isolated='{long}'/>")),
        in_network(&format!("<forward mode='bridge'/><mac address='{long}'/>")),
        in_network(&own(&format!("anchor='{long}'"))),
        in_network(&own(&format!("default-pvid='{long}'"))),
        in_network(&own(&format!("ageing-time='{long}'"))),
        in_network(&own(&format!("{}='1'", "é".repeat(20_000)))),
    ]
}

fn own(attributes: &str) -> String {
    format!("<metadata><bridge xmlns='https://vmbridge.org/network/1' {attributes}/></metadata>")
}

fn errors_are_short_and_plain() {
    let store = Store::new();
    let check = |args: &str, is_error: bool| {
        let (status, out, errors) = vmbridge(&store.args(args));
        assert_eq!(status != 0, is_error, "{args}: {out}{errors}");
        let said = out + &errors;
        assert!(is_plain(&said), "{args}: {}", said.escape_debug());
        let longest = said.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_none_or(|longest| longest < 500), "{args}: {longest:?}");
        said
    };
    store.write("run/README", "");
    for text in refused_documents() {
        let file = store.write("new.xml", &text);
        let said = check(&format!("define {file}"), true);
        assert!(said.starts_with(&format!("vmbridge: {file}: ")) || said.contains("/etc/lan.xml: "), "{said}");
        store.write("etc/lan.xml", &text);
        for (args, is_error) in
            [("list", false), ("list --json", false), ("show lan", true), ("ensure --all", true)]
        {
            // A network of the host's is neither an error nor started.
            check(args, is_error && !text.contains("mode='bridge'"));
        }
        check("migrate", !text.contains("mode='bridge'"));
    }
    // Names of files.
    fs::remove_file(store.path("etc/lan.xml")).expect("it is there");
    store.write(&format!("etc/\u{1b}[31m{HOSTILE}.xml"), "");
    for (args, is_error) in [("list", false), ("ensure --all", true), ("migrate", true)] {
        let said = check(args, is_error);
        assert!(said.contains(r"\u{1b}[31m\u{7f}\u{9b}31m\u{90}\u{202e}"), "{said}");
    }
    check(&format!("define nosuch/\u{1b}{HOSTILE}"), true);
}

fn a_dry_run_is_bounded_and_plain() {
    let store = Store::new();
    let plain = "  <!-- Grüße, 'नमस्ते', C:\\ \"x\" -->\n";
    let mut body = format!("  <title>\r{}</title>\n", "x".repeat(900_000));
    write!(body, "  <bridge name='virbr0'/>\n{plain}  <b>{HOSTILE}</b>\n").expect("memory takes it");
    store.write("etc/lan.xml", &network("lan", &body));
    store.write("run/lan.xml", &network("lan", "  <mac address='52:54:00:00:00:01'/>\n"));
    let patch = store.done("migrate --dry-run");
    assert!(is_plain(&patch), "{}", patch.escape_debug());
    assert!(patch.chars().count() < 10_000);
    assert!(patch.contains("\n   <b>\\u{7f}\\u{9b}31m\\u{90}\\u{202e}\\u{2066}\\u{200b}\\u{2028}"), "{patch}");
    assert!(
        patch.contains(&format!("\n {plain}")) && patch.contains("\n+  <mac address='52:54:00:00:00:01'"),
        "{patch}"
    );
    assert!(patch.contains("\n   <title>\\rxxxx"), "{patch}");
}
