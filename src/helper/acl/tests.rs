use proptest::prelude::*;

use super::*;

fn name(text: &str) -> InterfaceName {
    text.parse().expect("a name")
}

fn allow(bridge: &str) -> Statement {
    Statement::Rule(Rule::Allow(Bridges::One(name(bridge))))
}

fn deny(bridge: &str) -> Statement {
    Statement::Rule(Rule::Deny(Bridges::One(name(bridge))))
}

/// The statements of a text, without their places.
fn statements(text: &[u8]) -> Vec<Statement> {
    parse(text).expect("it is well-formed").into_iter().map(|(_, statement)| statement).collect()
}

#[test]
fn reads_each_statement_and_its_line() {
    let text = b"# mine\n\nallow br0\ndeny br1\nallow all\ndeny all\n  # more\ninclude /etc/qemu/a b.conf\n";
    let expected = [
        (3, allow("br0")),
        (4, deny("br1")),
        (5, Statement::Rule(Rule::Allow(Bridges::All))),
        (6, Statement::Rule(Rule::Deny(Bridges::All))),
        (8, Statement::Include("/etc/qemu/a b.conf".into())),
    ];
    assert_eq!(parse(text).as_deref(), Ok(&expected[..]));
}

#[test]
fn takes_blanks_as_qemu_does() {
    let same = [
        "allow br0",
        "allow br0\n",
        "allow br0\r\n",
        "allow br0 \t \r\n",
        "\t allow br0\n",
        "\u{c}\rallow br0",
        "allow    br0",
        "allow \t br0",
        "allow\tbr0",
        "allow\t\tbr0\t",
        "allow \u{c}br0\u{c}",
    ];
    for text in same {
        assert_eq!(statements(text.as_bytes()), [allow("br0")], "{text:?}");
    }
    for nothing in ["", "\n", " \t\r\n\n", "#", " # allow br0", "#allow br0\n"] {
        assert_eq!(statements(nothing.as_bytes()), [], "{nothing:?}");
    }
}

#[test]
fn refuses_what_is_no_statement() {
    let wrong: [(&[u8], &str); 20] = [
        (b"br0", "\"br0\" is none of allow, deny and include, followed by a blank"),
        (b"allow", "\"allow\" is none of"),
        (b"allow\r\n", "\"allow\\r\" is none of"),
        (b"Allow br0", "\"Allow\" is none of"),
        (b"allowbr0 x", "\"allowbr0\" is none of"),
        // The space at the end is the separator, since it is one.
        (b"allow\tbr0 ", "\"allow\\tbr0\" is none of"),
        // As to GLib, a vertical tab is no blank to QEMU.
        (b"\x0ballow br0", "\"\\x0ballow\" is none of"),
        (b"allow br0\x0b", "is no interface name"),
        (b"\0", "\"\\x00\" is none of"),
        (b"\xef\xbb\xbfallow br0", "\"\\xef\\xbb\\xbfallow\" is none of"),
        (b"allow ", "it is empty"),
        (b"deny \t", "it is empty"),
        (b"allow br0 # mine", "\"br0 # mine\" is no interface name"),
        (b"deny br0 br1", "\"br0 br1\" is no interface name"),
        (b"deny br0\0", "is no interface name"),
        (b"deny 0123456789abcdef", "longer than 15 bytes"),
        (b"deny br\xff", "\"br\\xff\" is no interface name: it is no UTF-8"),
        (b"include other.conf", "must begin with /"),
        (b"include ", "must begin with /"),
        (b"include", "\"include\" is none of"),
    ];
    for (line, why) in wrong {
        let text = [b"allow br0\n", line, b"\nallow br1"].concat();
        let (number, bad) = parse(&text).expect_err("it is no statement");
        assert_eq!(number, 2, "{bad}");
        assert!(bad.to_string().contains(why), "{bad}, not {why}");
    }
}

#[test]
fn refuses_a_line_that_qemu_would_take_for_two() {
    let comment = |length| [b"#".repeat(length).as_slice(), b"\nallow br0"].concat();
    assert_eq!(statements(&comment(4095)), [allow("br0")]);
    assert_eq!(parse(&comment(4096)), Err((1, BadLine::TooLong)));
}

#[test]
fn says_by_which_rule() {
    let rules = |text: &str| -> Vec<(usize, Rule)> {
        let statements = parse(text.as_bytes()).expect("it is well-formed").into_iter();
        let rule = |(place, statement)| match statement {
            Statement::Rule(rule) => (place, rule),
            Statement::Include(_) => unreachable!("nothing is included"),
        };
        statements.map(rule).collect()
    };
    let verdict = |text| judge(name("br0"), rules(text));
    assert_eq!(verdict(""), Verdict::NotAllowed);
    assert_eq!(verdict("allow br1"), Verdict::NotAllowed);
    assert_eq!(verdict("allow br0\ndeny br1"), Verdict::Allowed);
    assert_eq!(verdict("allow all"), Verdict::Allowed);
    assert_eq!(verdict("allow br0\nallow all\ndeny br0"), Verdict::DeniedBy(3));
    assert_eq!(verdict("deny all\nallow br0"), Verdict::DeniedBy(1));
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let bridges = prop_oneof![
        Just(Bridges::All),
        prop::sample::select(vec!["br0", "br1", "br2"]).prop_map(|bridge| Bridges::One(name(bridge))),
    ];
    let rule = (bridges, any::<bool>())
        .prop_map(|(bridges, is_allowed)| if is_allowed { Rule::Allow(bridges) } else { Rule::Deny(bridges) });
    prop::collection::vec(rule, 0..8)
}

proptest! {
    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text);
    }

    /// The same with the bytes that mean something.
    #[test]
    fn never_panics_near_the_language(text in "(allow|deny|include|all|br0|/|#|[ \t\r\n\u{b}\0\u{e0}]){0,20}") {
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn a_deny_wins_in_any_order(
        (rules, shuffled) in rules().prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle()))
    ) {
        let judge = |rules: &[Rule]| judge(name("br0"), rules.iter().map(|&rule| ((), rule)));
        let meant = [Bridges::All, Bridges::One(name("br0"))];
        let is_denied = rules.iter().any(|rule| meant.iter().any(|&bridges| *rule == Rule::Deny(bridges)));
        let is_allowed = rules.iter().any(|rule| meant.iter().any(|&bridges| *rule == Rule::Allow(bridges)));
        let expected = match (is_denied, is_allowed) {
            (true, _) => Verdict::DeniedBy(()),
            (false, true) => Verdict::Allowed,
            (false, false) => Verdict::NotAllowed,
        };
        prop_assert_eq!(judge(&rules), judge(&shuffled));
        prop_assert_eq!(judge(&rules), expected);
    }
}
