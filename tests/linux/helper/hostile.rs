//! What whoever starts the helper can do to it: arguments, descriptors, limits, environment, faults.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use super::{OURS, ask, prepare_host, qemus, start, write, write_acl};
use crate::support::{Registry, Test, in_namespace, ip, output, snapshot, tests};

pub(super) fn register(registry: &Registry) {
    let registry = registry.run_by(on_prepared_host);
    registry.add(&tests![
        answers_what_people_ask,
        refuses_arguments,
        refuses_descriptors,
        takes_any_connected_unix_socket,
        does_without_its_first_descriptors,
        refuses_a_closed_descriptor_that_it_would_open_itself,
        fails_where_nobody_receives,
        fails_where_errors_cannot_be_written,
        takes_nothing_from_the_environment,
        no_limit_leaves_anything,
        no_limit_hides_a_deny,
    ]);
    registry.needs("strace").add(&tests![no_failing_call_leaves_anything]);
    registry.needs("qemu-bridge-helper").add(&tests![a_limit_hides_a_deny_from_qemus]);
}

fn on_prepared_host(_name: &str, test: Test) {
    in_namespace(|| {
        prepare_host();
        test();
    });
}

const ASK: [&str; 4] = [OURS, "--use-vnet", "--br=br0", "--fd=3"];

fn answers_what_people_ask() {
    let said = |arg| String::from_utf8(output(OURS, [arg]).stdout).expect("UTF-8");
    assert!(
        said("--help").contains("[--use-vnet] --br=BRIDGE --fd=UNIX_SOCKET\nThe ACL is /etc/qemu/bridge.conf.")
    );
    assert_eq!(said("--version"), concat!("vmbridge-helper ", env!("CARGO_PKG_VERSION"), "\n"));
}

fn refuses_arguments() {
    write_acl("allow all\n");
    let before = snapshot();
    let long = "b".repeat(100_000);
    let many = vec!["--use-vnet"; 10_000];
    let wrong: [&[&str]; 14] = [
        &[],
        &["--br=br0"],
        &["--fd=3"],
        &["--br", "br0", "--fd", "3"],
        &["--br=br0", "--br=br1", "--fd=3"],
        &["--br=br0", "--fd=3", "--fd=3"],
        &["--br=br0", "--fd=3x"],
        &["--br=br0", "--fd= 3"],
        &["--br=br0", "--fd=-1"],
        &["--br=br%d", "--fd=3"],
        &["--br=br0", "--fd=3", "-"],
        &["--br=br0", "--fd=3", &long],
        &[&format!("--br={long}"), "--fd=3"],
        &many,
    ];
    for args in wrong {
        let answer = start("exec \"$@\"", &[&[OURS], args].concat()).end();
        answer.must_be_refusal(&before);
        assert!(answer.errors().len() < 300, "{}", answer.errors());
    }
    // The shell writes the byte 0xff.
    start("exec \"$1\" --fd=3 --br=br$(printf '\\377')", &[OURS]).end().must_be_refusal(&before);
}

fn refuses_descriptors() {
    write_acl("allow br0\n");
    ip("link set dev lo up");
    let before = snapshot();
    let listener = TcpListener::bind("127.0.0.1:0").expect("it can be bound");
    let connected = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    let directory = tempfile::tempdir().expect("a directory can be made");
    let wrong: [(OwnedFd, &str); 7] = [
        (fs::File::open("/dev/null").expect("it is there").into(), "is no socket"),
        (fs::File::open("/proc/self/ns/net").expect("it is there").into(), "is no socket"),
        (connected.into(), "is no UNIX socket"),
        (listener.into(), "is not connected"),
        (UdpSocket::bind("127.0.0.1:0").expect("it can be bound").into(), "is not connected"),
        (UnixDatagram::unbound().expect("it can be made").into(), "is not connected"),
        (UnixListener::bind(directory.path().join("socket")).expect("it can be bound").into(), "is not connected"),
    ];
    for (descriptor, why) in wrong {
        let output = Command::new(OURS)
            .args(["--use-vnet", "--br=br0", "--fd=0"])
            .stdin(descriptor)
            .output()
            .expect("it can be started");
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("descriptor 0, which is to take the tap, ") && errors.contains(why), "{errors}");
        assert_eq!(snapshot(), before);
    }
}

/// Also as the standard input, which QEMU's helper takes too.
fn takes_any_connected_unix_socket() {
    write_acl("allow br0\n");
    for number in [0, 1, 2, 7] {
        let setup = format!("exec \"$@\" --fd={number} {number}<&3");
        start(&setup, &[OURS, "--use-vnet", "--br=br0"]).end().must_be_a_tap();
    }
}

/// The standard library opens /dev/null in the place of those that are closed.
fn does_without_its_first_descriptors() {
    write_acl("allow br0\n");
    start("exec \"$@\" 0<&- 1>&- 2>&-", &ASK).end().must_be_a_tap();
    write_acl("deny br0\n");
    let before = snapshot();
    let refused = start("exec \"$@\" 0<&- 1>&- 2>&-", &ASK).end();
    assert_eq!((refused.output.status.code(), refused.tap.is_none()), (Some(1), true));
    assert_eq!(snapshot(), before);
}

fn refuses_a_closed_descriptor_that_it_would_open_itself() {
    write_acl("allow br0\n");
    let before = snapshot();
    for number in 3..10 {
        let answer = start("exec \"$@\" 3<&-", &[OURS, "--br=br0", &format!("--fd={number}")]).end();
        answer.must_be_refusal(&before);
        assert!(answer.errors().contains("is not open"), "{}", answer.errors());
    }
    for number in 0..3 {
        let closed = format!("exec \"$@\" {number}<&-");
        let answer = start(&closed, &[OURS, "--br=br0", &format!("--fd={number}")]).end();
        assert_eq!((answer.output.status.code(), answer.tap.is_none()), (Some(1), true));
    }
    assert_eq!(snapshot(), before);
}

fn fails_where_nobody_receives() {
    write_acl("allow br0\n");
    let before = snapshot();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("sockets can be made");
    drop(ours);
    let child = Command::new(OURS)
        .args(["--br=br0", "--fd=0"])
        .stdin(OwnedFd::from(theirs))
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{errors}");
    // The kernel tells a socket whose peer has gone from one that never had one only when it sends.
    assert!(errors.contains("cannot send the tap") || errors.contains("is not connected"), "{errors}");
    assert_eq!(snapshot(), before);
}

fn fails_where_errors_cannot_be_written() {
    let before = snapshot();
    let mut running = start("exec \"$@\"", &ASK);
    drop(running.child.stderr.take());
    let answer = running.end();
    assert_eq!((answer.output.status.code(), answer.tap.is_none()), (Some(1), true));
    let full = start("exec \"$@\" 2>/dev/full", &ASK).end();
    assert_eq!((full.output.status.code(), full.tap.is_none()), (Some(1), true));
    assert_eq!(snapshot(), before);
}

fn takes_nothing_from_the_environment() {
    write("/etc/qemu/own.conf", "allow br0\n");
    write_acl("allow br1\n");
    let before = snapshot();
    let setup = "export VMBRIDGE_ACL_FILE=/etc/qemu/own.conf RUST_BACKTRACE=full; cd /etc/qemu; exec \"$@\"";
    start(setup, &ASK).end().must_be_refusal(&before);
    write_acl("allow br0\n");
    start("exec env -i \"$@\"", &ASK).end().must_be_a_tap();
}

/// Either there is a tap, or nothing.
fn is_all_or_nothing(setup: &str) -> bool {
    let before = snapshot();
    let answer = start(setup, &ASK).end();
    let is_done = answer.output.status.success();
    if is_done {
        answer.must_be_a_tap();
    } else {
        assert!(answer.tap.is_none(), "{setup}: {}", answer.errors());
    }
    assert_eq!(snapshot(), before, "{setup}");
    is_done
}

fn no_limit_leaves_anything() {
    write_acl("allow br0\n");
    let done: Vec<bool> =
        (4..24).map(|descriptors| is_all_or_nothing(&format!("ulimit -n {descriptors}; exec \"$@\""))).collect();
    assert!(!done[0] && done[19], "{done:?}");
    for kibibytes in (0..16_384).step_by(512) {
        is_all_or_nothing(&format!("ulimit -v {kibibytes}; exec \"$@\""));
    }
    assert!(is_all_or_nothing("ulimit -f 0; exec \"$@\""));
    write_acl("allow br1\n");
    assert!(!is_all_or_nothing("ulimit -f 0; exec \"$@\" 2>/etc/errors"));
}

/// A deny so deep that what includes it takes as many descriptors as making a tap.
fn hide_a_deny() {
    write_acl("allow br0\ninclude /etc/qemu/1.conf\n");
    write("/etc/qemu/1.conf", "include /etc/qemu/2.conf\n");
    write("/etc/qemu/2.conf", "include /etc/qemu/3.conf\n");
    write("/etc/qemu/3.conf", "deny br0\n");
}

fn is_hidden_by_a_limit(helper: &str) -> bool {
    hide_a_deny();
    assert!(!ask(helper, "br0").output.status.success());
    (4..32).any(|descriptors| {
        let limited = format!("ulimit -n {descriptors}; exec \"$@\"");
        start(&limited, &[helper, "--use-vnet", "--br=br0", "--fd=3"]).end().output.status.success()
    })
}

fn no_limit_hides_a_deny() {
    assert!(!is_hidden_by_a_limit(OURS));
}

/// It leaves out what it has no descriptor for; the README says that ours is stricter.
fn a_limit_hides_a_deny_from_qemus() {
    assert!(is_hidden_by_a_limit(qemus()));
}

fn no_failing_call_leaves_anything() {
    write_acl("allow br0\n");
    let calls = [
        "prctl",
        "setresgid",
        "setresuid",
        "capset",
        "openat",
        "getpeername",
        "socket",
        "ioctl",
        "sendto",
        "sendmsg",
    ];
    for call in calls {
        let mut fails = 0;
        loop {
            let log = tempfile::NamedTempFile::new().expect("a file can be made");
            let path = log.path().to_str().expect("UTF-8");
            let number = fails + 1;
            let traced = format!(
                "exec strace -qq -o {path} -e trace={call} -e inject={call}:error=EPERM:when={number} \"$@\""
            );
            is_all_or_nothing(&traced);
            if !fs::read_to_string(path).expect("strace has written it").contains("(INJECTED)") {
                break;
            }
            fails = number;
        }
        // Which of these are used depends on the backend.
        assert!(fails > 0 || ["socket", "ioctl", "sendto"].contains(&call), "{call} never failed");
    }
}
