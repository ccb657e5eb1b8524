//! Network namespaces for the tests, and the eyes of others on them.
//!
//! Every test runs on a thread that has a network and a mount namespace of its own, as root or,
//! by a user namespace around the whole test program, as anyone.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::ffi::OsStr;
use std::fs;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use vmbridge::Available;

/// Gives a test program that was not started by root the capabilities of a user namespace. To be
/// called before there is a second thread: the kernel moves no others.
pub(crate) fn prepare() {
    if !nix::unistd::geteuid().is_root() {
        vmbridge::Sandbox::enter().expect("user namespaces are there for everyone");
    }
}

/// A trial in namespaces of its own.
pub(crate) fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, || {
        in_namespace(test);
        Ok(())
    })
}

/// Whether there are other users than the one who runs the tests: a user namespace has but one.
pub(crate) fn has_users() -> bool {
    nix::unistd::geteuid().is_root()
        && fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_ascii_whitespace().nth(2) == Some("4294967295"))
}

/// What is tried on each backend that is compiled in.
pub(crate) type Case = fn(&Available);

/// A trial of each case on each backend, called `group::backend::case`.
pub(crate) fn on_each_backend(group: &str, cases: &[(&str, Case)]) -> Vec<Trial> {
    let of = |backend: &'static Available| {
        cases
            .iter()
            .map(move |&(name, case)| trial(format!("{group}::{}::{name}", backend.name), move || case(backend)))
    };
    vmbridge::AVAILABLE.iter().flat_map(of).collect()
}

/// A trial that needs what not every machine has; it runs only when it is asked for.
pub(crate) fn needs(what: &str, trial: Trial) -> Trial {
    trial.with_kind(format!("needs {what}")).with_ignored_flag(true)
}

/// Runs a test in namespaces of its own; they vanish with it.
pub(crate) fn in_namespace<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter_namespace();
            test()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Moves the calling thread into a new network namespace, with a sysfs that shows it.
pub(crate) fn enter_namespace() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("namespaces are there for root");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("mounts can be made private");
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).expect("sysfs can be mounted");
}

/// Runs a program that must succeed, and gives its standard output.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = output(program, args);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a program to its end.
pub(crate) fn output<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(program);
    command.args(args);
    command.output().unwrap_or_else(|error| panic!("{program} cannot be run: {error}"))
}

/// Runs a command with a fault that strace injects into these system calls of its (`strace(1)`,
/// `inject=`); `None` when it ended before the fault's turn.
pub(crate) fn with_fault(calls: &str, fault: &str, command: &Command) -> Option<Output> {
    let log = tempfile::NamedTempFile::new().expect("a file can be made");
    let (trace, injection) = (format!("trace={calls}"), format!("inject={calls}:{fault}"));
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", &trace, "-e", &injection, "-o"]).arg(log.path());
    strace.arg(command.get_program()).args(command.get_args());
    let output = strace.output().expect("strace can be run");
    let trace = fs::read_to_string(log.path()).expect("strace has written it");
    (trace.contains("(INJECTED)") || trace.contains("SIGKILL")).then_some(output)
}

/// `ip` with these arguments, separated by blanks.
pub(crate) fn ip(args: &str) -> String {
    run("ip", args.split(' '))
}

/// `ip` or `bridge` with many commands, one a line.
pub(crate) fn batch(program: &str, commands: &str) {
    let batch = tempfile::NamedTempFile::new().expect("a file can be made");
    fs::write(batch.path(), commands).expect("it can be written");
    run(program, [OsStr::new("-batch"), batch.path().as_os_str()]);
}

/// A process that ends with the test that started it, also when that panics.
pub(crate) struct Guarded(pub(crate) Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that `ip` says of all interfaces, and whether their MACs were set, once that no longer
/// changes by itself: the kernel notes only some time after an interface went up whether it has a
/// carrier (`net/core/link_watch.c`).
pub(crate) fn snapshot() -> String {
    let mut links = Vec::new();
    wait_until("every carrier is known", || {
        links = self::links();
        links.iter().all(|link| !is_up(link) || link["link_type"] == "loopback" || link["operstate"] != "UNKNOWN")
    });
    for link in &mut links {
        // A bridge follows its ports until its MAC is set, be it to the one that it has.
        link["addr_assign_type"] = sysfs(link["ifname"].as_str().expect("a name"), "addr_assign_type").into();
    }
    Value::from(links).to_string()
}

/// What `ip` says of all interfaces.
pub(crate) fn links() -> Vec<Value> {
    serde_json::from_str(&ip("-j link")).expect("JSON")
}

/// Whether an interface is up, by what `ip` says of it.
pub(crate) fn is_up(link: &Value) -> bool {
    link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"))
}

/// Waits until a condition holds, and panics when it does not within two minutes: the kernel clears
/// thousands of interfaces of other trials away at the same time, under the lock of all interfaces.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited for nothing: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What `ip` says of one interface, if there is one.
pub(crate) fn link(name: &str) -> Option<Value> {
    let output = output("ip", ["-j", "-d", "link", "show", "dev", name]);
    let links: Value = serde_json::from_slice(&output.stdout).ok()?;
    links.get(0).cloned()
}

/// What sysfs says of an interface, without the newline.
pub(crate) fn sysfs(interface: &str, attribute: &str) -> String {
    let path = format!("/sys/class/net/{interface}/{attribute}");
    fs::read_to_string(&path).expect(&path).trim_end().to_owned()
}

/// Whether an interface is there, as sysfs has it.
pub(crate) fn exists(interface: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(interface).exists()
}

/// Whether the kernel tells VLANs apart.
pub(crate) fn has_vlans() -> bool {
    let made = output("ip", "link add name probe type bridge vlan_filtering 1".split(' ')).status.success();
    if exists("probe") {
        ip("link delete dev probe");
    }
    made
}
