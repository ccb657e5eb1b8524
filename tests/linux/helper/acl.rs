//! One ACL after another, for QEMU's helper and for ours: both answer alike, or ours refuses and says
//! why. The README has the differences in a table.

use std::fs;
use std::os::unix::fs::symlink;

use super::{ACL, OURS, ask, prepare_host, qemus, set_mode, write, write_acl};
use crate::support::{Registry, ip, path_of, snapshot};

#[derive(Clone, Copy)]
enum Answers {
    /// Both make a tap.
    Taps,
    /// Both refuse; ours with these words.
    Refusals(&'static str),
    /// QEMU's makes a tap, and ours refuses with these words.
    OursIsStricter(&'static str),
}

use Answers::{OursIsStricter, Refusals, Taps};

const NOT_ALLOWED: &str =
    "nothing allows bridge br0; to allow it, add the line \"allow br0\" to /etc/qemu/bridge.conf\n";

/// What bridge.conf has in it, and what both helpers say to a tap on `br0`.
const TEXTS: [(&str, &[u8], Answers); 38] = [
    ("allow", b"allow br0\n", Taps),
    ("allow_all", b"allow all\n", Taps),
    ("deny_of_another", b"deny br1\nallow all\n", Taps),
    ("comments", b"# mine\n\n \t# more\nallow br0\n#deny br0\n", Taps),
    ("odd_blanks", b"\t\x0c allow  \t\x0c br0 \t\r\n", Taps),
    ("tab", b"allow\t\tbr0\n", Taps),
    ("crlf", b"# mine\r\n\r\nallow br0\r\n", Taps),
    ("no_newline_at_the_end", b"allow br0", Taps),
    ("empty", b"", Refusals(NOT_ALLOWED)),
    ("allow_of_another", b"allow br1\n", Refusals(NOT_ALLOWED)),
    ("allow_of_similar_names", b"allow br00\nallow br\nallow BR0\nallow *\n", Refusals(NOT_ALLOWED)),
    ("deny", b"deny br0\n", Refusals("bridge br0 is denied by /etc/qemu/bridge.conf:1\n")),
    ("deny_after_allow", b"allow br0\nallow all\ndeny br0\n", Refusals("denied by /etc/qemu/bridge.conf:3")),
    ("deny_before_allow", b"# mine\ndeny br0\nallow br0\n", Refusals("denied by /etc/qemu/bridge.conf:2")),
    ("deny_all", b"allow br0\ndeny all\n", Refusals("denied by /etc/qemu/bridge.conf:2")),
    (
        "garbage",
        b"allow br0\n\x7fELF\x02\x01\xff\0\n",
        Refusals("conf:2: \"\\x7fELF\\x02\\x01\\xff\\x00\" is none of"),
    ),
    ("keyword_of_another_case", b"allow br0\nAllow br0\n", Refusals("conf:2: \"Allow\" is none of")),
    ("keyword_alone", b"allow br0\nallow\n", Refusals("conf:2: \"allow\" is none of")),
    ("byte_order_mark", b"\xef\xbb\xbfallow br0\n", Refusals("conf:1: \"\\xef\\xbb\\xbfallow\" is none of")),
    ("vertical_tab", b"\x0ballow br0\n", Refusals("conf:1: \"\\x0ballow\" is none of")),
    ("space_after_a_tab", b"allow\tbr0 \n", Refusals("conf:1: \"allow\\tbr0\" is none of")),
    ("long_name", b"allow all\ndeny 0123456789abcdef\n", Refusals("it is longer than 15 bytes")),
    ("comment_after_an_allow", b"allow br0 # mine\n", Refusals("conf:1: \"br0 # mine\" is no interface name")),
    // A deny that QEMU's helper does not see, or not as one.
    ("comment_after_a_deny", b"allow br0\ndeny br0 # mine\n", OursIsStricter("conf:2: \"br0 # mine\" is no")),
    ("two_names", b"allow all\ndeny br0 br1\n", OursIsStricter("conf:2: \"br0 br1\" is no interface name")),
    ("no_name", b"allow br0\ndeny \n", OursIsStricter("conf:2: \"\" is no interface name")),
    ("name_in_latin_1", b"allow br0\ndeny br\xff\n", OursIsStricter("conf:2: \"br\\xff\" is no interface name")),
    ("nul_before_a_deny", b"allow all\n\0deny br0\n", OursIsStricter("conf:2: \"\\x00deny\" is none of")),
    ("nul_after_a_name", b"allow br0\0\n", OursIsStricter("conf:1: \"br0\\0\" is no interface name")),
    // Included files that QEMU's helper does without.
    (
        "include_of_none",
        b"allow br0\ninclude /etc/no\n",
        OursIsStricter("conf:2: there is no such file to include"),
    ),
    (
        "include_of_a_directory",
        b"allow br0\ninclude /etc/qemu\n",
        OursIsStricter("/etc/qemu: it is no regular file"),
    ),
    ("include_without_a_path", b"allow br0\ninclude \n", OursIsStricter("conf:2: the path of an included file")),
    (
        "include_of_a_relative_path",
        b"include ../etc/qemu/bridge.conf\nallow br0\n",
        OursIsStricter("must begin with /"),
    ),
    (
        "include_of_itself",
        b"allow br0\ninclude /etc/qemu/bridge.conf\n",
        OursIsStricter("one of more than 64 files"),
    ),
    ("include_of_what_no_path_can_be", b"allow br0\ninclude /\0\n", OursIsStricter("it cannot be read")),
    // What has no rule in it, but is no ACL either.
    ("deny_of_no_name_there_can_be", b"allow br0\ndeny br/0\n", OursIsStricter("\"br/0\" is no interface name")),
    ("deny_of_a_reserved_name", b"allow br0\ndeny default\n", OursIsStricter("\"default\" is no interface name")),
    ("deny_of_all_in_another_case", b"allow br0\ndeny ALL\n", Taps),
];

/// What is asked of both helpers where there is more to prepare, or another bridge.
struct Case {
    name: &'static str,
    prepare: fn(),
    bridge: &'static str,
    answers: Answers,
}

const fn case(name: &'static str, prepare: fn(), answers: Answers) -> Case {
    Case { name, prepare, bridge: "br0", answers }
}

const fn asking_for(bridge: &'static str, name: &'static str, prepare: fn(), answers: Answers) -> Case {
    Case { name, prepare, bridge, answers }
}

const OTHER: &str = "/etc/qemu/other.conf";
const MISSING: Answers = Refusals("there is no /etc/qemu/bridge.conf; create it as root");

const CASES: [Case; 25] = [
    case("missing", || {}, MISSING),
    case("missing_directory", || fs::remove_dir("/etc/qemu").expect("it is empty"), MISSING),
    case("directory", || fs::create_dir(ACL).expect("it is free"), Refusals("it is no regular file")),
    case("group_may_read", || allow_with_mode(0o640), Taps),
    case(
        "group_may_write",
        || allow_with_mode(0o664),
        OursIsStricter("may write to it (mode 0664); chmod go-w it"),
    ),
    case(
        "others_may_write",
        || allow_with_mode(0o646),
        OursIsStricter("may write to it (mode 0646); chmod go-w it"),
    ),
    case("symbolic_link", link_to_other, OursIsStricter("bridge.conf: it is a symbolic link")),
    case("longest_line", || write_acl(comment_and_allow(4095, "\n")), Taps),
    case(
        "too_long_a_line",
        || write_acl(comment_and_allow(4096, "\n")),
        OursIsStricter("conf:1: it is longer than"),
    ),
    case(
        "rule_after_4095_bytes",
        || write_acl(comment_and_allow(4095, "")),
        OursIsStricter("conf:1: it is longer"),
    ),
    case("line_of_1_mib", || write_acl("a".repeat(1 << 20)), Refusals("it is larger than 262144 bytes")),
    case("line_of_200_kib", || write_acl("a".repeat(200 << 10)), Refusals("conf:1: it is longer than 4095 bytes")),
    case("comment_of_1_mib", || write_acl(comment_and_allow(1 << 20, "\n")), OursIsStricter("it is larger than")),
    case("include", || include("# mine\nallow br0\n"), Taps),
    case("include_of_a_deny", || include("\nallow br0\ndeny br0\n"), Refusals("denied by /etc/qemu/other.conf:3")),
    case(
        "include_of_garbage",
        || include("allow br0\nden br0\n"),
        OursIsStricter("other.conf:2: \"den\" is none of"),
    ),
    case(
        "include_of_what_others_may_write",
        include_of_others,
        OursIsStricter("other.conf: others than its owner"),
    ),
    case("include_of_63_files", || include_many(63), Taps),
    case("include_of_64_files", || include_many(64), OursIsStricter("one of more than 64 files")),
    asking_for("br7", "no_bridge", allow_all, Refusals("there is no bridge br7")),
    asking_for("veth7", "no_bridge_of_that_name", add_another_kind, Refusals("veth7")),
    asking_for("lan", "another_name", add_other_name, OursIsStricter("lan is another name of bridge br0")),
    asking_for("all", "bridge_named_all", allow_all, Refusals("\"all\" is no interface name")),
    asking_for("", "bridge_without_a_name", allow_all, Refusals("\"\" is no interface name")),
    asking_for("0123456789abcdef", "bridge_with_a_long_name", allow_all, Refusals("longer than 15 bytes")),
];

fn allow_all() {
    write_acl("allow all\n");
}

fn allow_with_mode(mode: u32) {
    write_acl("allow br0\n");
    set_mode(ACL, mode);
}

fn link_to_other() {
    write(OTHER, "allow br0\n");
    symlink(OTHER, ACL).expect("it is free");
}

/// A comment of so many bytes with its end, which hides what follows or does not.
fn comment_and_allow(length: usize, end: &str) -> String {
    format!("#{}{end}allow br0\n", " ".repeat(length - 1))
}

fn include(contents: &str) {
    write_acl("include /etc/qemu/other.conf\n");
    write(OTHER, contents);
}

fn include_of_others() {
    include("allow br0\n");
    set_mode(OTHER, 0o666);
}

fn include_many(times: usize) {
    include("allow br0\n");
    write_acl("include /etc/qemu/other.conf\n".repeat(times));
}

fn add_another_kind() {
    allow_all();
    ip("link add name veth7 type veth peer name veth8");
}

fn add_other_name() {
    write_acl("allow all\ndeny br0\n");
    ip("link property add dev br0 altname lan");
}

pub(super) fn register(registry: &Registry) {
    for &(name, text, answers) in &TEXTS {
        add_for_both(registry, name, move || write_acl(text), "br0", answers);
    }
    for case in &CASES {
        add_for_both(registry, case.name, case.prepare, case.bridge, case.answers);
    }
}

/// Adds a test for our helper, and one for QEMU's.
fn add_for_both(
    registry: &Registry,
    name: &str,
    prepare: impl Fn() + Copy + Send + 'static,
    bridge: &'static str,
    answers: Answers,
) {
    let add = |whose, needs: Option<&'static str>, helper: fn() -> &'static str, expected: Expected| {
        registry.needs(needs).add_with(path_of!(answers_as_expected), &[whose, name], move || {
            prepare_host();
            prepare();
            answers_as_expected(helper(), bridge, &expected);
        });
    };
    let (ours, qemus_own) = match answers {
        Taps => (None, true),
        Refusals(why) => (Some(why), false),
        OursIsStricter(why) => (Some(why), true),
    };
    add("ours", None, || OURS, Expected { tap: ours.is_none(), words: ours.unwrap_or_default() });
    add("qemus", Some("qemu-bridge-helper"), qemus, Expected { tap: qemus_own, words: "" });
}

struct Expected {
    tap: bool,
    words: &'static str,
}

fn answers_as_expected(helper: &str, bridge: &str, expected: &Expected) {
    let before = snapshot();
    let answer = ask(helper, bridge);
    if expected.tap {
        assert!(helper != OURS || answer.errors().is_empty(), "{}", answer.errors());
        answer.must_be_a_tap();
    } else {
        answer.must_be_refusal(&before);
        assert!(answer.errors().contains(expected.words), "{}, not {}", answer.errors(), expected.words);
    }
}
