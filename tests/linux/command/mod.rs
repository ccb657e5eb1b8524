//! The command, as its users see it: output, errors, exit status.

mod bulk;
mod controls;
mod networks;
mod taps;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use nix::fcntl::OFlag;
use serde_json::{Value, json};

use crate::support::{Registry, ip, link, output, snapshot, tests};

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        creates_shows_and_deletes,
        prints_the_mac_that_it_generates,
        attaches_and_detaches,
        sets,
        says_json,
        every_backend_is_named,
        refuses_bad_names_and_macs_as_usage,
        says_what_where_and_why,
        hints_at_what_is_missing,
        the_demo_shows_the_main_job,
        the_demo_leaves_no_trace,
        stops_without_a_word_when_its_reader_has,
        says_that_the_output_cannot_be_written,
        says_that_a_bridge_was_created_where_its_mac_cannot_be_printed,
        fails_where_errors_cannot_be_written,
    ]);
    registry.needs("strace").add(&tests![the_demo_says_in_a_line_what_it_lacks]);
    bulk::register(registry);
    controls::register(registry);
    taps::register(registry);
    networks::register(registry);
}

const MAC: &str = "52:54:00:01:02:03";

/// Runs `vmbridge` with these arguments, separated by blanks: exit status, output, errors.
fn vmbridge(args: &str) -> (i32, String, String) {
    let output = output(env!("CARGO_BIN_EXE_vmbridge"), args.split(' '));
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("it exits"), text(output.stdout), text(output.stderr))
}

fn done(args: &str) -> String {
    let (status, out, errors) = vmbridge(args);
    assert_eq!((status, errors.as_str()), (0, ""), "{args}");
    out
}

fn refused(args: &str) -> String {
    let before = snapshot();
    let (status, out, errors) = vmbridge(args);
    assert_eq!((status, out.as_str()), (1, ""), "{args}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert_eq!(snapshot(), before);
    errors
}

/// Runs a case on each backend.
fn on_each(case: impl Fn(&str)) {
    for backend in vmbridge::AVAILABLE {
        case(backend.name);
    }
}

fn creates_shows_and_deletes() {
    on_each(|backend| {
        assert_eq!(
            done(&format!("--backend {backend} create virbr0 --mac {MAC} --mtu 1400 --up")),
            format!("{MAC}\n")
        );
        let seen = link("virbr0").expect("it was created");
        assert_eq!((&seen["address"], &seen["mtu"]), (&json!(MAC), &json!(1400)));
        let shown = done(&format!("show virbr0 --backend {backend}"));
        let index = &seen["ifindex"];
        let expected = format!("bridge  virbr0\nindex   {index}\nmac     {MAC}\nmtu     1400\nlink    up\n");
        assert!(shown.starts_with(&expected), "{shown}");
        let listed = done(&format!("list --backend {backend}"));
        assert_eq!(
            listed,
            "BRIDGE           MAC                  MTU  LINK\n\
             virbr0           52:54:00:01:02:03   1400  up\n"
        );
        assert_eq!(done(&format!("delete virbr0 --backend {backend}")), "");
        assert_eq!(link("virbr0"), None);
    });
}

fn prints_the_mac_that_it_generates() {
    on_each(|backend| {
        for mac in ["", " --mac auto"] {
            let mac = done(&format!("--backend {backend} create virbr0{mac}"));
            assert!(mac.starts_with("52:54:00:") && mac.len() == 18, "{mac}");
            assert_eq!(link("virbr0").expect("it was created")["address"], mac.trim_end());
            done("delete virbr0");
        }
    });
}

fn attaches_and_detaches() {
    ip("link add name tap0 type veth peer name tap1");
    on_each(|backend| {
        done(&format!("--backend {backend} create virbr0"));
        done(&format!("--backend {backend} attach virbr0 tap0"));
        assert_eq!(link("tap0").expect("it is there")["master"], "virbr0");
        assert!(done("show virbr0").lines().any(|line| line.starts_with("port    tap0 ")));
        done(&format!("--backend {backend} detach virbr0 tap0"));
        assert_eq!(link("tap0").expect("it is there").get("master"), None);
        done(&format!("--backend {backend} delete virbr0"));
    });
}

fn sets() {
    done("create virbr0");
    on_each(|backend| {
        done(&format!("--backend {backend} set virbr0 --mac {MAC} --mtu 9000 --up"));
        let seen = link("virbr0").expect("it is there");
        assert_eq!((&seen["address"], &seen["mtu"]), (&json!(MAC), &json!(9000)));
        done(&format!("--backend {backend} set virbr0 --mac 52:54:00:0:0:9 --mtu 1500 --down"));
    });
    let (status, _, errors) = vmbridge("set virbr0");
    assert!(status == 2 && errors.contains("--mtu"), "{errors}");
    assert_eq!(vmbridge("set virbr0 --up --down").0, 2);
}

fn says_json() {
    assert_eq!(parse(&done("list --json")), json!([]));
    ip("link add name tap0 address 02:00:00:00:00:01 type veth peer name tap1");
    done(&format!("create virbr0 --mac {MAC} --up"));
    done("attach virbr0 tap0");
    let mut bridge = json!({
        "name": "virbr0",
        "index": link("virbr0").expect("it is there")["ifindex"],
        "mac": MAC,
        "mtu": 1500,
        "link": "up",
    });
    assert_eq!(json!([plain(&parse(&done("list --json"))[0])]), json!([bridge]));
    bridge["ports"] = json!([{
        "name": "tap0",
        "index": link("tap0").expect("it is there")["ifindex"],
        "mac": "02:00:00:00:00:01",
        "mtu": 1500,
        "link": "down",
    }]);
    on_each(|backend| {
        let mut shown = plain(&parse(&done(&format!("show virbr0 --json --backend {backend}"))));
        shown["ports"][0] = plain(&shown["ports"][0]);
        assert_eq!(shown, bridge);
    });
}

/// A bridge or port without its options, which differ with the kernel.
fn plain(state: &Value) -> Value {
    let mut state = state.clone();
    let fields = state.as_object_mut().expect("an object");
    assert!(fields.remove("options").is_some_and(|options| options.is_object()), "{fields:?}");
    fields.remove("stp-state");
    state
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn every_backend_is_named() {
    let (status, _, errors) = vmbridge("list --backend bsd");
    assert_eq!(status, 2);
    on_each(|backend| assert!(errors.contains(backend), "{errors}"));
}

fn refuses_bad_names_and_macs_as_usage() {
    let before = snapshot();
    for args in [
        "create sixteen-bytes-xx",
        "create a/b",
        "create br%d",
        "create eth0:1",
        "create .",
        "create ..",
        "create ",
    ] {
        let (status, out, errors) = vmbridge(args);
        assert_eq!((status, out.as_str()), (2, ""), "{args}");
        assert!(
            errors.contains("is no interface name") || errors.contains("value is required"),
            "{args}: {errors}"
        );
    }
    for name in ["a b", "a\tb", "a\nb", "br\u{e0}", ""] {
        let output = output(env!("CARGO_BIN_EXE_vmbridge"), ["create", name]);
        assert_eq!(output.status.code(), Some(2), "{name:?}");
    }
    for mac in [
        "52:54:00:01:02",
        "52:54:00:01:02:03x",
        "52:54:00:01:02:03:",
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        "random",
    ] {
        assert_eq!(vmbridge(&format!("create virbr0 --mac {mac}")).0, 2, "{mac}");
    }
    for mtu in ["-1", "x", "4294967296", "1500.0"] {
        assert_eq!(vmbridge(&format!("create virbr0 --mtu={mtu}")).0, 2, "{mtu}");
    }
    for args in ["", "create", "attach virbr0", "nonsense", "create virbr0 --json"] {
        assert_eq!(vmbridge(args).0, 2, "{args}");
    }
    assert_eq!(snapshot(), before);
}

fn says_what_where_and_why() {
    done("create virbr0");
    done("create virbr1");
    ip("link add name tap0 type veth peer name tap1");
    done("attach virbr0 tap0");
    on_each(|backend| {
        let says = |args: &str, expected: &str| {
            let errors = refused(&format!("--backend {backend} {args}"));
            let expected = format!("vmbridge: {expected} ({backend}");
            assert!(errors.starts_with(&expected), "{errors} is not {expected}");
        };
        says("create virbr0", "cannot create bridge virbr0: a bridge of this name exists");
        says("create tap0", "cannot create bridge tap0: the name is in use, and not by a bridge");
        says("create x --mtu 1", "cannot create bridge x: the kernel refuses this MTU");
        says("delete x", "cannot delete bridge x: no such interface");
        says("delete tap0", "cannot delete bridge tap0: it is no bridge");
        says("show x", "cannot find bridge x: no such interface");
        says("show tap0", "cannot find bridge tap0: it is no bridge");
        says("set virbr0 --mtu 70000", "cannot change bridge virbr0: the kernel refuses this MTU");
        says("attach virbr0 x", "cannot add a port to bridge virbr0, port x: no such interface for a port");
        says(
            "attach virbr0 tap0",
            "cannot add a port to bridge virbr0, port tap0: it is a port of this bridge already",
        );
        says(
            "attach virbr1 tap0",
            "cannot add a port to bridge virbr1, port tap0: it is in use by another bridge, a bond or the like",
        );
        says("attach virbr0 virbr1", "cannot add a port to bridge virbr0, port virbr1: a bridge cannot be a port");
        says(
            "attach virbr0 lo",
            "cannot add a port to bridge virbr0, port lo: an interface of its kind cannot be a port",
        );
        says(
            "detach virbr1 tap0",
            "cannot remove a port from bridge virbr1, port tap0: it is no port of this bridge",
        );
    });
}

fn hints_at_what_is_missing() {
    let before = snapshot();
    on_each(|backend| {
        let args = [
            "--bounding-set=-net_admin",
            "--inh-caps=-net_admin",
            env!("CARGO_BIN_EXE_vmbridge"),
            "--backend",
            backend,
        ];
        let output = output("setpriv", args.into_iter().chain(["create", "virbr0"]));
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("cannot create bridge virbr0: permission denied"), "{errors}");
        assert!(errors.contains("CAP_NET_ADMIN"), "{errors}");
    });
    assert_eq!(snapshot(), before);
}

fn the_demo_shows_the_main_job() {
    let shown = done("demo");
    for table in shown.split("backend ").skip(1) {
        let rows: Vec<Vec<&str>> =
            table.lines().skip(1).take(5).map(|row| row.split_whitespace().rev().take(2).collect()).collect();
        assert_eq!(rows.len(), 5, "{shown}");
        assert!(rows.iter().all(|row| row[1] == rows[0][1] && row[1].starts_with("52:54:00:")), "{shown}");
        assert!(rows.windows(2).all(|rows| rows[0][0] != rows[1][0]), "{shown}");
    }
    on_each(|backend| assert!(shown.contains(&format!("backend {backend}")), "{shown}"));
}

fn the_demo_leaves_no_trace() {
    let before = snapshot();
    done("demo");
    assert_eq!(snapshot(), before);
}

/// Where there is no network of one's own to be had, as far as strace can make that so.
fn the_demo_says_in_a_line_what_it_lacks() {
    let makes_interfaces = if cfg!(feature = "netlink") { "sendto" } else { "ioctl" };
    for (call, lacks) in [("unshare", "a network of its own"), (makes_interfaces, "interfaces to play with")] {
        let injection = format!("inject={call}:error=EPERM");
        let command = ["-qq", "-o", "/dev/null", "-e", &injection, env!("CARGO_BIN_EXE_vmbridge"), "demo"];
        let output = output("strace", command);
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{errors}");
        assert!(errors.starts_with("vmbridge: the demo cannot ") && errors.contains(lacks), "{errors}");
        assert!(errors.contains("run it as root"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

/// Runs `vmbridge` with this as its output and as its errors: exit status, errors.
fn writing_to(out: impl Into<Stdio>, errors: impl Into<Stdio>, args: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmbridge"));
    let output =
        command.args(args.split(' ')).stdout(out).stderr(errors).spawn().and_then(Child::wait_with_output);
    let output = output.expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// The writing end of a pipe that nobody reads.
fn broken_pipe() -> OwnedFd {
    let (_, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe can be made");
    writer
}

/// Where nothing can be written.
fn full() -> File {
    File::options().write(true).open("/dev/full").expect("it is there")
}

fn stops_without_a_word_when_its_reader_has() {
    for args in ["list", "list --json", "demo"] {
        assert_eq!(writing_to(broken_pipe(), Stdio::piped(), args), (Some(1), String::new()), "{args}");
    }
}

fn says_that_the_output_cannot_be_written() {
    for args in ["list", "list --json", "demo"] {
        let (status, errors) = writing_to(full(), Stdio::piped(), args);
        assert_eq!(status, Some(1), "{args}");
        assert!(
            errors.starts_with("vmbridge: cannot write the output: ") && errors.lines().count() == 1,
            "{errors}"
        );
    }
}

/// Otherwise its user would think that there is none, and not know its MAC.
fn says_that_a_bridge_was_created_where_its_mac_cannot_be_printed() {
    for (bridge, out) in [("virbr0", full().into()), ("virbr1", broken_pipe())] {
        let (status, errors) = writing_to(out, Stdio::piped(), &format!("create {bridge}"));
        let created = link(bridge).expect("it was created");
        let mac = created["address"].as_str().expect("a MAC");
        let expected = format!(
            "vmbridge: bridge {bridge} was created with MAC {mac}, but that cannot be written to the output: "
        );
        assert!(errors.starts_with(&expected) && errors.lines().count() == 1, "{errors}");
        assert_eq!(status, Some(1));
    }
}

fn fails_where_errors_cannot_be_written() {
    assert_eq!(writing_to(Stdio::null(), full(), "delete virbr0").0, Some(1));
    assert_eq!(writing_to(Stdio::null(), broken_pipe(), "delete virbr0").0, Some(1));
    assert_eq!(writing_to(full(), full(), "create virbr0").0, Some(1));
    assert_eq!(writing_to(Stdio::null(), full(), "nonsense").0, Some(2));
}
