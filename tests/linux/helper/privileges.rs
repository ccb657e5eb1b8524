//! The helper installed setuid root, or with a file capability, and started by a user without privilege.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};

use super::{ACL, Answer, MTU, OURS, prepare_host, qemus, set_mode, start, write, write_acl};
use crate::support::{
    Guarded, Registry, Test, in_namespace, ip, link, links, run, snapshot, sysfs, tests, wait_until,
};
use crate::udev::Listener;

pub(super) fn register(registry: &Registry) {
    let registry = registry.run_by(where_root_installs);
    registry.needs("root").add(&tests![
        a_setuid_helper_makes_a_tap,
        a_tap_belongs_to_the_user_who_asked,
        a_helper_without_privilege_says_how_to_install_it,
        a_setuid_helper_has_none_left_when_it_sends,
        an_acl_that_the_user_may_not_read_is_refused,
        an_included_file_that_the_user_may_not_read_is_left_out,
        a_file_for_a_group_of_the_users_is_read,
        an_acl_of_another_user_is_refused,
    ]);
    registry.needs("root, setcap").add(&tests![a_helper_with_a_file_capability_makes_a_tap]);
    registry.needs("root, strace").add(&tests![a_setuid_helper_gives_up_privileges_before_it_reads]);
    registry.needs("root, strace, udev").add(&tests![waits_for_no_udevd_where_the_bridge_keeps_its_mac]);
    registry.needs("root, qemu-bridge-helper").add(&tests![qemus_setuid_helper_does_the_same]);
}

/// Runs a test on a host where root installs helpers in `/mnt`.
fn where_root_installs(_name: &str, test: Test) {
    in_namespace(|| {
        prepare_host();
        mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .expect("a tmpfs can be mounted");
        test();
    });
}

const INSTALLED: &str = "/mnt/helper";
const USER: u32 = 65534;
const GROUP: u32 = 4321;
const ARGS: [&str; 3] = ["--use-vnet", "--br=br0", "--fd=3"];

fn install(helper: &str, mode: u32) {
    // In a process of its own: a child of another thread would hold the file open for writing, and a file that is
    // cannot be executed.
    run("cp", [helper, INSTALLED]);
    set_mode(INSTALLED, mode);
}

/// Asks the installed helper as a user who is no more than in a group.
fn ask_as_user() -> Answer {
    let setpriv = format!("exec setpriv --reuid {USER} --regid {USER} --groups {GROUP} \"$@\"");
    start(&setpriv, &[&[INSTALLED], &ARGS[..]].concat()).end()
}

fn a_setuid_helper_makes_a_tap() {
    install(OURS, 0o4755);
    write_acl("allow br0\n");
    ask_as_user().must_be_a_tap();
}

/// Another user could give it an owner, or let it outlive its guest.
fn a_tap_belongs_to_the_user_who_asked() {
    install(OURS, 0o4755);
    write_acl("allow br0\n");
    let answer = ask_as_user();
    let tap = answer.name_of_tap();
    let user = link(&tap).expect("it is there")["linkinfo"]["info_data"]["user"].clone();
    // There is no /etc/passwd with its name.
    assert_eq!(user.to_string().trim_matches('"'), USER.to_string());
    assert_eq!(sysfs(&tap, "owner"), USER.to_string());
}

fn a_helper_with_a_file_capability_makes_a_tap() {
    install(OURS, 0o755);
    write_acl("allow br0\n");
    for capability in ["cap_net_admin+ep", "cap_net_admin+p", "cap_net_admin,cap_chown+ep"] {
        run("setcap", [capability, INSTALLED]);
        ask_as_user().must_be_a_tap();
    }
}

fn a_helper_without_privilege_says_how_to_install_it() {
    install(OURS, 0o755);
    write_acl("allow br0\n");
    let before = snapshot();
    let answer = ask_as_user();
    answer.must_be_refusal(&before);
    for hint in ["EPERM, Operation not permitted", "setcap cap_net_admin+ep /mnt/helper", "chmod u+s /mnt/helper"]
    {
        assert!(answer.errors().contains(hint), "{}", answer.errors());
    }
}

/// It waits to send, since the socket is full.
fn a_setuid_helper_has_none_left_when_it_sends() {
    install(OURS, 0o4755);
    write_acl("allow br0\n");
    let before = snapshot();
    let (_socket, theirs) = UnixStream::pair().expect("sockets can be made");
    theirs.set_nonblocking(true).expect("it can be set");
    while match (&theirs).write(&[0; 1024]) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    } {}
    theirs.set_nonblocking(false).expect("it can be set");
    let mut helper = Guarded(
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", INSTALLED, "--br=br0", "--fd=0"])
            .stdin(OwnedFd::from(theirs))
            .stderr(Stdio::inherit())
            .spawn()
            .expect("it can be started"),
    );
    let status = || fs::read_to_string(format!("/proc/{}/status", helper.0.id())).expect("it runs");
    let has = |line: &str| status().lines().any(|other| other == line);
    // The tap is there, and so the helper has had its privileges.
    wait_until("the tap is there", || links().iter().any(|link| link["master"] == "br0"));
    wait_until("they are gone", || has("CapPrm:\t0000000000000000"));
    for set in ["CapInh", "CapEff", "CapBnd", "CapAmb"] {
        assert!(has(&format!("{set}:\t0000000000000000")), "{}", status());
    }
    assert!(has("Uid:\t65534\t65534\t65534\t65534") && has("Gid:\t65534\t65534\t65534\t65534"), "{}", status());
    assert!(has("NoNewPrivs:\t1"), "{}", status());
    helper.0.kill().expect("it runs");
    helper.0.wait().expect("it ends");
    wait_until("the tap goes with it", || snapshot() == before);
}

fn an_acl_that_the_user_may_not_read_is_refused() {
    install(OURS, 0o4755);
    write_acl("allow br0\n");
    set_mode(ACL, 0o600);
    let before = snapshot();
    let answer = ask_as_user();
    answer.must_be_refusal(&before);
    assert!(answer.errors().contains("bridge.conf: it cannot be read: Permission denied"), "{}", answer.errors());
}

/// How QEMU's helper tells users apart; root reads them all.
fn write_rules_for_users() {
    write_acl("include /etc/qemu/alice.conf\ninclude /etc/qemu/all.conf\n");
    write("/etc/qemu/alice.conf", "deny br0\n");
    set_mode("/etc/qemu/alice.conf", 0o600);
    write("/etc/qemu/all.conf", "allow br0\n");
}

fn an_included_file_that_the_user_may_not_read_is_left_out() {
    install(OURS, 0o4755);
    write_rules_for_users();
    ask_as_user().must_be_a_tap();
    write("/etc/qemu/all.conf", "allow br1\n");
    let answer = ask_as_user();
    let left_out = "nothing allows bridge br0 (left out, since you may not read it: /etc/qemu/alice.conf)";
    assert!(answer.errors().contains(left_out), "{}", answer.errors());
}

fn a_file_for_a_group_of_the_users_is_read() {
    install(OURS, 0o4755);
    write_acl("include /etc/qemu/group.conf\n");
    write("/etc/qemu/group.conf", "allow br0\n");
    set_mode("/etc/qemu/group.conf", 0o640);
    chown("/etc/qemu/group.conf", None, Some(GROUP)).expect("root may");
    ask_as_user().must_be_a_tap();
}

fn an_acl_of_another_user_is_refused() {
    install(OURS, 0o4755);
    write_acl("allow br0\n");
    chown(ACL, Some(USER), None).expect("root may");
    let before = snapshot();
    let answer = ask_as_user();
    answer.must_be_refusal(&before);
    assert!(
        answer.errors().contains("it belongs to UID 65534, which is not trusted; chown it to root"),
        "{}",
        answer.errors()
    );
}

fn qemus_setuid_helper_does_the_same() {
    install(qemus(), 0o4755);
    write_rules_for_users();
    ask_as_user().must_be_a_tap();
    write_acl("allow br0\n");
    // Here ours is stricter.
    chown(ACL, Some(USER), None).expect("root may");
    ask_as_user().must_be_a_tap();
    chown(ACL, Some(0), None).expect("root may");
    set_mode(ACL, 0o600);
    assert_eq!(ask_as_user().output.status.code(), Some(1));
}

/// As strace sees a program that is setuid for real: it starts it as another user.
fn a_setuid_helper_gives_up_privileges_before_it_reads() {
    install(OURS, 0o4755);
    write_acl("allow br0\n");
    write("/etc/passwd", format!("nobody:x:{USER}:{USER}::/:/bin/sh\n"));
    let log = tempfile::NamedTempFile::new().expect("a file can be made");
    let path = log.path().to_str().expect("UTF-8");
    let calls = "trace=prctl,setresuid,setresgid,capset,openat,getpeername,sendmsg";
    let command = ["-qq", "-o", path, "-u", "nobody", "-e", calls, INSTALLED];
    start("exec strace \"$@\"", &[&command, &ARGS[..]].concat()).end().must_be_a_tap();
    let trace = fs::read_to_string(path).expect("strace has written it");
    let found = |what: &str| trace.lines().position(|line| line.contains(what)).expect(what);
    let order = [
        "prctl(PR_SET_NO_NEW_PRIVS, 1",
        "PR_CAPBSET_DROP, CAP_CHOWN",
        "setresgid(65534, 65534, 65534)",
        "setresuid(65534, 65534, 65534)",
        "effective=1<<CAP_NET_ADMIN, permitted=1<<CAP_NET_ADMIN, inheritable=0",
        "getpeername(3",
        ACL,
        "/dev/net/tun",
        "effective=0, permitted=0, inheritable=0",
        "sendmsg(3",
    ]
    .map(found);
    assert!(order.is_sorted(), "{order:?}: {trace}");
}

/// A user's listener to uevents, which may be a udevd for all that the helper knows.
fn waits_for_no_udevd_where_the_bridge_keeps_its_mac() {
    write_acl("allow br0\nallow br2\n");
    let _listener = Listener::of_a_user();
    ip(&format!("link add name br2 mtu {MTU} type bridge"));
    let log = tempfile::NamedTempFile::new().expect("a file can be made");
    let path = log.path().to_str().expect("UTF-8");
    let pauses = |bridge: &str| {
        let command = ["-qq", "-o", path, "-e", "trace=poll", OURS, "--use-vnet", "--fd=3"];
        let answer = start("exec strace \"$@\"", &[&command[..], &[&format!("--br={bridge}")]].concat()).end();
        assert!(sysfs(&answer.name_of_tap(), "address").starts_with("fe:"), "{}", answer.errors());
        let trace = fs::read_to_string(path).expect("strace has written it");
        trace.lines().filter(|line| line.contains("POLLIN")).count()
    };
    assert_eq!(pauses("br0"), 0);
    assert_ne!(pauses("br2"), 0, "it has the lowest MAC of its ports");
}
