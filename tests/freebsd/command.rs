//! The command, as its users see it: output, errors, exit status.

use std::env;

use nix::net::if_::if_nametoindex;
use serde_json::{Value, json};
use vmbridge::ErrorKind;

use crate::support::{Registry, add_interface, bridge_of, ifconfig, interface, output, snapshot, tests};

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        creates_shows_and_deletes,
        prints_the_mac_that_it_generates,
        attaches_and_detaches,
        sets,
        says_json,
        refuses_what_is_wrong_as_usage,
        says_what_where_and_why,
        the_demo_shows_the_main_job,
        the_demo_leaves_no_trace,
        a_reader_that_stops_reading_is_no_error,
    ]);
}

const MAC: &str = "52:54:00:01:02:03";

/// The path of the command; where cargo has built it, unless the environment says another.
pub(crate) fn program() -> String {
    env::var("CARGO_BIN_EXE_vmbridge").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vmbridge").to_owned())
}

/// Runs `vmbridge` with these arguments, separated by blanks: exit status, output, errors.
pub(crate) fn vmbridge(args: &str) -> (i32, String, String) {
    let output = output(&program(), args.split(' '));
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("it exits"), text(output.stdout), text(output.stderr))
}

pub(crate) fn done(args: &str) -> String {
    let (status, out, errors) = vmbridge(args);
    assert_eq!((status, errors.as_str()), (0, ""), "{args}");
    out
}

fn index(interface: &str) -> u32 {
    if_nametoindex(interface).expect("it is there")
}

fn creates_shows_and_deletes() {
    for bridge in ["virbr0", "bridge3"] {
        assert_eq!(done(&format!("create {bridge} --mac {MAC} --mtu 1400 --up")), format!("{MAC}\n"));
        let seen = interface(bridge).expect("it was created");
        assert_eq!((seen.mac.as_deref(), seen.mtu, seen.is_up), (Some(MAC), 1400, true));
        let index = index(bridge);
        let shown = done(&format!("show {bridge}"));
        let first = format!("bridge  {bridge}\nindex   {index}\nmac     {MAC}\nmtu     1400\nlink    up\n");
        assert!(shown.starts_with(&first) && shown.contains("\nstp-protocol          rstp\n"), "{shown}");
        assert_eq!(
            done("list --backend freebsd"),
            format!("BRIDGE           MAC                  MTU  LINK\n{bridge:<15}  {MAC}   1400  up\n")
        );
        assert_eq!(done(&format!("delete {bridge}")), "");
        assert_eq!(interface(bridge), None);
    }
}

fn prints_the_mac_that_it_generates() {
    for (number, mac) in ["", " --mac auto"].into_iter().enumerate() {
        let mac = done(&format!("create virbr{number}{mac}"));
        assert!(mac.starts_with("52:54:00:") && mac.len() == 18, "{mac}");
        let seen = interface(&format!("virbr{number}")).expect("it was created");
        assert_eq!(seen.mac.as_deref(), Some(mac.trim_end()));
    }
}

fn attaches_and_detaches() {
    add_interface("tap0");
    done("create virbr0");
    done("attach virbr0 tap0");
    assert_eq!(bridge_of("tap0").as_deref(), Some("virbr0"));
    assert!(done("show virbr0").lines().any(|line| line.starts_with("port    tap0 ")));
    done("detach virbr0 tap0");
    assert_eq!(bridge_of("tap0"), None);
}

fn sets() {
    done("create virbr0");
    done(&format!("set virbr0 --mac {MAC} --mtu 9000 --up"));
    let seen = interface("virbr0").expect("it is there");
    assert_eq!((seen.mac.as_deref(), seen.mtu, seen.is_up), (Some(MAC), 9000, true));
    done("set virbr0 --mac 52:54:00:0:0:9 --mtu 1500 --down");
    let seen = interface("virbr0").expect("it is there");
    assert_eq!((seen.mac.as_deref(), seen.mtu, seen.is_up), (Some("52:54:00:00:00:09"), 1500, false));
}

fn says_json() {
    let parsed = |args: &str| serde_json::from_str::<Value>(&done(args)).expect("JSON");
    assert_eq!(parsed("list --json"), json!([]));
    add_interface("tap0");
    ifconfig("tap0 ether 02:00:00:00:00:01");
    done(&format!("create virbr0 --mac {MAC} --up"));
    done("attach virbr0 tap0");
    let shown = parsed("show virbr0 --json");
    let fields =
        |object: &Value, names: &[&str]| names.iter().map(|name| object[name].clone()).collect::<Vec<_>>();
    let names = ["name", "index", "mac", "mtu", "link"];
    let bridge = [json!("virbr0"), json!(index("virbr0")), json!(MAC), json!(1500), json!("up")];
    assert_eq!(fields(&shown, &names), bridge);
    assert_eq!(fields(&parsed("list --json")[0], &names), bridge);
    assert_eq!(fields(&shown["options"], &["stp-protocol", "max-age"]), [json!("rstp"), json!(20.0)]);
    let port = [json!("tap0"), json!(index("tap0")), json!("02:00:00:00:00:01"), json!(1500), json!("down")];
    assert_eq!(fields(&shown["ports"][0], &names), port);
    assert_eq!(shown["ports"][0]["options"]["isolated"], json!(false));
}

fn refuses_what_is_wrong_as_usage() {
    let before = snapshot();
    for args in [
        "",
        "nonsense",
        "create",
        "create sixteen-bytes-xx",
        "create a/b",
        "create br%d",
        "create ..",
        "create virbr0 --mac 01:00:5e:00:00:01",
        "create virbr0 --mac 52:54:00:01:02",
        "create virbr0 --mtu=-1",
        "set virbr0",
        "set virbr0 --up --down",
        "list --backend netlink",
    ] {
        let (status, out, errors) = vmbridge(args);
        assert_eq!((status, out.as_str()), (2, ""), "{args}: {errors}");
    }
    assert_eq!(snapshot(), before);
}

fn says_what_where_and_why() {
    add_interface("tap0");
    done("create virbr0");
    done("create virbr1");
    done("attach virbr0 tap0");
    let before = snapshot();
    for (args, cannot, kind) in [
        ("create virbr0", "create bridge virbr0", ErrorKind::BridgeExists),
        ("create tap0", "create bridge tap0", ErrorKind::NameInUse),
        ("create x --mtu 1", "create bridge x", ErrorKind::InvalidMtu),
        ("delete x", "delete bridge x", ErrorKind::NotFound),
        ("delete tap0", "delete bridge tap0", ErrorKind::NotABridge),
        ("delete lo0", "delete bridge lo0", ErrorKind::NotABridge),
        ("show x", "find bridge x", ErrorKind::NotFound),
        ("show tap0", "find bridge tap0", ErrorKind::NotABridge),
        ("set virbr1 --mtu 70000", "change bridge virbr1", ErrorKind::InvalidMtu),
        ("attach virbr0 x", "add a port to bridge virbr0, port x", ErrorKind::PortNotFound),
        ("attach virbr0 tap0", "add a port to bridge virbr0, port tap0", ErrorKind::AlreadyPort),
        ("attach virbr1 tap0", "add a port to bridge virbr1, port tap0", ErrorKind::PortBusy),
        ("attach virbr0 virbr1", "add a port to bridge virbr0, port virbr1", ErrorKind::PortIsBridge),
        ("attach virbr0 lo0", "add a port to bridge virbr0, port lo0", ErrorKind::PortUnsuitable),
        ("detach virbr1 tap0", "remove a port from bridge virbr1, port tap0", ErrorKind::NotAPort),
    ] {
        let (status, out, errors) = vmbridge(args);
        assert_eq!((status, out.as_str(), errors.lines().count()), (1, "", 1), "{args}: {errors}");
        let expected = format!("vmbridge: cannot {cannot}: {kind} (freebsd");
        assert!(errors.starts_with(&expected), "{errors} is not {expected}");
        assert_eq!(snapshot(), before, "{args}");
    }
}

fn the_demo_shows_the_main_job() {
    let shown = done("demo");
    let rows: Vec<Vec<&str>> =
        shown.lines().skip(3).take(5).map(|row| row.split_whitespace().rev().take(2).collect()).collect();
    assert!(shown.contains("backend freebsd") && rows.len() == 5, "{shown}");
    assert!(rows.iter().all(|row| row[1] == rows[0][1] && row[1].starts_with("52:54:00:")), "{shown}");
}

fn the_demo_leaves_no_trace() {
    let before = snapshot();
    done("demo");
    assert_eq!(snapshot(), before);
}

fn a_reader_that_stops_reading_is_no_error() {
    let program = program();
    let script = format!("{program} list | true; exec 2>&1 >/dev/full; {program} list");
    let output = output("sh", ["-c", &script]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(errors.starts_with("vmbridge: cannot write the output:") && errors.lines().count() == 1, "{errors}");
}
