//! Network namespaces for the tests, with `ip`, `bridge` and sysfs as the oracle.
//!
//! Every test runs on a thread that has a network and a mount namespace of its own, as root or,
//! by a user namespace around the whole test program, as anyone.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Output};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use vmbridge::Bridges;

use super::{Test, output, run, wait_until};

/// Gives a test program that was not started by root the capabilities of a user namespace. Call it
/// before a second thread starts: the kernel moves only the calling thread.
pub(crate) fn prepare() {
    if !nix::unistd::geteuid().is_root() {
        vmbridge_platform::Sandbox::enter().expect("user namespaces are there for everyone");
    }
}

/// Runs a test in namespaces of its own.
pub(crate) fn isolated(_name: &str, test: Test) {
    in_namespace(test);
}

/// What the tests need that are of several users, unless this machine has it: a user namespace has only
/// one user.
pub(crate) fn lacks_users() -> Option<&'static str> {
    (!has_users()).then_some("root")
}

fn has_users() -> bool {
    nix::unistd::geteuid().is_root()
        && fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_ascii_whitespace().nth(2) == Some("4294967295"))
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

/// What the kernel has of `accept_ra`, `autoconf` and `disable_ipv6` of an interface.
pub(crate) fn host_ipv6(interface: &str) -> [i32; 3] {
    ["accept_ra", "autoconf", "disable_ipv6"].map(|file| {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/{file}");
        fs::read_to_string(&path).expect(&path).trim_end().parse().expect("a number")
    })
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

/// Whether a user without privilege can open a persistent tap, where everyone may open the tun device: `ip` does that
/// to delete the tap.
pub(crate) fn opens(uid: u32, tap: &str) -> bool {
    if !std::path::Path::new("/mnt/tun").exists() {
        let none = None::<&str>;
        mount(none, "/mnt", Some("tmpfs"), MsFlags::empty(), none).expect("it can be mounted");
        run("mknod", ["-m", "666", "/mnt/tun", "c", "10", "200"]);
        mount(Some("/mnt/tun"), "/dev/net/tun", none, MsFlags::MS_BIND, none).expect("it can be mounted");
    }
    // Without a shell: that of BusyBox has a setpriv of its own.
    let user = [&*format!("--reuid={uid}"), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    let output = output("setpriv", user.into_iter().chain("ip tuntap del mode tap dev".split(' ')).chain([tap]));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), !exists(tap), "{errors}");
    assert!(output.status.success() || errors.contains("Operation not permitted"), "{errors}");
    output.status.success()
}

/// A process without privilege that may open a tap on `virbr0`, as the hypervisor of a guest may.
pub(crate) struct Attacker(vmbridge::NativeBackend);

impl Attacker {
    /// The name of its tap.
    pub(crate) const TAP: &str = "vnet666";

    pub(crate) fn plug_in() -> Self {
        let backend = vmbridge::NativeBackend::open().expect("it opens");
        let guest = vmbridge::Guest::new("52:54:00:00:00:08".parse().expect("a MAC"));
        let guest = guest.tap(vmbridge::TapSpec::new().name(super::name(Self::TAP))).persistent();
        vmbridge::plug(&backend, super::name("virbr0"), &guest).expect("it can be plugged in");
        Self(backend)
    }

    /// Gives its tap this MAC, through the descriptor.
    pub(crate) fn take(&self, mac: &str) {
        use caps::{CapSet, Capability};

        let spec = vmbridge::TapSpec::new().name(super::name(Self::TAP)).adopt_existing();
        let spec = spec.mac(mac.parse().expect("a MAC"));
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN).expect("a capability can be dropped");
        let taken = self.0.create_tap(&spec);
        caps::raise(None, CapSet::Effective, Capability::CAP_NET_ADMIN).expect("it is still permitted");
        taken.expect("its descriptor is enough");
    }
}
