//! Against a real systemd-udevd, which gives new interfaces MACs of its own: no bridge loses the
//! MAC that it was created with.
//!
//! udevd decides about a MAC and writes it at two moments. The ioctl backend's calls are spread
//! by delays (strace injects them), so that they fall before, between and after.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vmbridge::{Backend, BridgeSpec, Bridges, InterfaceName, TapSpec, UnicastMac};

use crate::support::{Guarded, Registry, in_namespace, ip, lacks_users, link, run, sysfs, tests, wait_until};

/// How many bridges each backend creates.
const BRIDGES: usize = 1000;
/// The delays after each ioctl, in microseconds; a share of the bridges is created with each.
const DELAYS: [usize; 5] = [0, 100, 200, 350, 500];

type Case = fn(&str);

const ON_EACH_BACKEND: [(&str, Case); 6] = tests![
    keeps_every_mac,
    keeps_every_mac_from_a_udevd_of_elsewhere,
    creates_although_another_listens,
    applies_settings_by_name,
    keeps_every_mac_of_a_tap,
    keeps_every_mac_from_a_udevd_that_was_stuck,
];

/// With a second user.
const BESIDE_A_USER: [(&str, Case); 2] =
    tests![a_users_listener_does_not_pass_for_the_udevd_of_elsewhere, a_users_listener_is_waited_for_once,];

pub(crate) fn register(registry: &Registry) {
    let registry = registry.needs("udev, strace");
    registry.add(&tests![a_bridge_without_a_mac_gets_one_of_udevd, many_threads_outlast_a_stuck_udevd]);
    let with_users = lacks_users().map_or(registry.clone(), |_| registry.needs("udev, strace, root"));
    for backend in vmbridge::AVAILABLE {
        for (path, test) in BESIDE_A_USER {
            with_users.add_with(path, &[backend.name], move || test(backend.name));
        }
        for (path, test) in ON_EACH_BACKEND {
            registry.add_with(path, &[backend.name], move || test(backend.name));
        }
    }
}

/// Does the work of the process that strace delays, and returns whether this is that process.
pub(crate) fn ran_as_child() -> bool {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, backend, first, last] = &args[..] else { return false };
    if mode != "--create" && mode != "--create-taps" {
        return false;
    }
    let numbers = first.parse().expect("a number")..last.parse().expect("a number");
    if mode == "--create" {
        create(backend, numbers);
    } else {
        create_taps(backend, numbers);
    }
    true
}

fn open(backend: &str) -> Box<dyn Backend> {
    let backend = vmbridge::AVAILABLE.iter().find(|other| other.name == backend).expect("it is compiled in");
    (backend.open)().expect("it opens")
}

fn create(backend: &str, numbers: Range<usize>) {
    let bridges = open(backend);
    for number in numbers {
        bridges.create(&BridgeSpec::new(name(number)).mac(mac(number))).expect("the name is free");
    }
}

/// Persistent ones: udevd has its turn also when they are closed.
fn create_taps(backend: &str, numbers: Range<usize>) {
    let bridges = open(backend);
    for number in numbers {
        let tap = bridges.create_tap(&TapSpec::new().name(name(number)).mac(mac(number)));
        bridges.persist_tap(&tap.expect("the name is free")).expect("it can be kept");
    }
}

fn name(number: usize) -> InterfaceName {
    format!("virbr{number}").parse().expect("a name")
}

fn mac(number: usize) -> UnicastMac {
    format!("52:54:00:00:{:x}:{:x}", number / 256, number % 256).parse().expect("a MAC")
}

/// A systemd-udevd that sees the network namespace of the calling thread only.
struct Udevd(Guarded);

impl Udevd {
    fn start() -> Self {
        empty_run();
        let program = ["/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("systemd-udevd is installed");
        let udevd = Self(Guarded(Command::new(program).spawn().expect("systemd-udevd starts")));
        wait_until("udevd listens", || {
            Path::new("/run/udev/control").exists() && run("udevadm", ["control", "--ping"]).is_empty()
        });
        udevd
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.0.id().try_into().expect("a process id"))
    }

    /// It does again what it has not done since it was [stopped](Self::stop).
    fn go_on(&self) {
        kill(self.pid(), Signal::SIGCONT).expect("it is there");
    }

    /// It listens on, but does nothing any more.
    fn stop(&self) {
        let pid = self.pid();
        kill(pid, Signal::SIGSTOP).expect("it is there");
        wait_until("udevd is stopped", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
            stat.rsplit(')').next().is_some_and(|state| state.trim_start().starts_with('T'))
        });
    }
}

/// Hides the host's /run from the calling thread; a udevd would write there.
fn empty_run() {
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs can be mounted");
}

/// Waits until udevd has handled every event.
fn settle() {
    run("udevadm", ["settle", "--timeout=120"]);
}

fn a_bridge_without_a_mac_gets_one_of_udevd() {
    let _udevd = Udevd::start();
    for backend in vmbridge::AVAILABLE {
        let bridge = format!("plain-{}", backend.name);
        let bridges = (backend.open)().expect("it opens");
        bridges.create(&BridgeSpec::new(bridge.parse().expect("a name"))).expect("the name is free");
        settle();
        // 3 is NET_ADDR_SET, and nobody else was there to set it.
        assert_eq!(sysfs(&bridge, "addr_assign_type"), "3", "{bridge}");
    }
}

fn keeps_every_mac(backend: &str) {
    let _udevd = Udevd::start();
    let share = BRIDGES / DELAYS.len();
    for (part, delay) in DELAYS.into_iter().enumerate() {
        create_with_delay("--create", backend, delay, part * share..(part + 1) * share);
    }
    settle();
    assert_eq!(lost(0..BRIDGES), [0; 0]);
}

/// On both backends, since a tap gets its MAC after it is there.
fn keeps_every_mac_of_a_tap(backend: &str) {
    let _udevd = Udevd::start();
    ip("tuntap add dev plain mode tap");
    settle();
    assert_eq!(sysfs("plain", "addr_assign_type"), "3", "udevd has given it one");
    let share = 300 / DELAYS.len();
    for (part, delay) in DELAYS.into_iter().enumerate() {
        create_with_delay("--create-taps", backend, delay, part * share..(part + 1) * share);
    }
    settle();
    assert_eq!(lost(0..300), [0; 0]);
}

/// It decides late, and leaves alone what has a MAC by then.
fn keeps_every_mac_from_a_udevd_that_was_stuck(backend: &str) {
    let udevd = Udevd::start();
    udevd.stop();
    create(backend, 0..3);
    create_taps(backend, 3..6);
    udevd.go_on();
    settle();
    assert_eq!(lost(0..6), [0; 0]);
}

/// One that shares the network, but whose `/run/udev` cannot be seen, as that of the host from a
/// container with the host's network.
fn keeps_every_mac_from_a_udevd_of_elsewhere(backend: &str) {
    let _udevd = Udevd::start();
    let share = 200 / DELAYS.len();
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("namespaces are there for root");
            empty_run();
            for (part, delay) in DELAYS.into_iter().enumerate() {
                create_with_delay("--create", backend, delay, part * share..(part + 1) * share);
            }
        });
        elsewhere.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    settle();
    assert_eq!(lost(0..200), [0; 0]);
}

/// Creates bridges, or taps, in a process whose ioctls take this much longer, in microseconds.
fn create_with_delay(mode: &str, backend: &str, delay: usize, numbers: Range<usize>) {
    let injection = format!("inject=ioctl:delay_exit={delay}");
    let program = std::env::current_exe().expect("it has a path");
    let program = program.to_str().expect("UTF-8");
    let traced = ["-qq", "-o", "/dev/null", "-e", "trace=ioctl", "-e", &injection, program];
    let (first, last) = (numbers.start.to_string(), numbers.end.to_string());
    run("strace", traced.into_iter().chain([mode, backend, &first, &last]));
}

/// Those whose MAC is not the one that they were created with.
fn lost(numbers: Range<usize>) -> Vec<usize> {
    let is_lost = |&number: &usize| {
        let bridge = name(number).to_string();
        sysfs(&bridge, "address") != mac(number).to_string() || sysfs(&bridge, "addr_assign_type") != "3"
    };
    numbers.filter(is_lost).collect()
}

/// What the host's administrator has for an interface of this name (udevd's `99-systemd.rules` runs
/// systemd-sysctl for each that is added).
fn applies_settings_by_name(backend: &str) {
    let _udevd = Udevd::start();
    fs::create_dir("/run/sysctl.d").expect("/run is this test's own");
    fs::write("/run/sysctl.d/50-virbr0.conf", "net.ipv4.conf.virbr0.forwarding=1\n").expect("it can be written");
    create(backend, 0..1);
    settle();
    let forwarding = || fs::read_to_string("/proc/sys/net/ipv4/conf/virbr0/forwarding").expect("it is there");
    wait_until("the setting is applied", || forwarding() == "1\n");
    assert_eq!(sysfs("virbr0", "address"), mac(0).to_string());
}

/// A listener to uevents that is no udevd keeps no bridge from being made.
fn creates_although_another_listens(backend: &str) {
    // Without one of its own, udevadm would find the host's /run/udev or make it.
    empty_run();
    let _listener = Listener::start("udevadm");
    create(backend, 0..1);
    assert_eq!(link("virbr0").expect("it was created")["address"], mac(0).to_string());
}

/// A process that listens to uevents as udevd does.
pub(crate) struct Listener {
    _process: Guarded,
}

impl Listener {
    /// Starts `udevadm` by this command.
    fn start(command: &str) -> Self {
        let mut words = command.split(' ');
        let monitor = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["monitor", "--kernel", "--subsystem-match=net"])
            .stdout(std::process::Stdio::null())
            .spawn();
        let listener = Self { _process: Guarded(monitor.expect("udevadm starts")) };
        wait_until("udevadm listens", || {
            let sockets = fs::read_to_string("/proc/thread-self/net/netlink").expect("it is there");
            let is_it =
                |line: &str| line.split_ascii_whitespace().nth(1) == Some("15") && line.contains("00000001");
            sockets.lines().any(is_it)
        });
        listener
    }

    /// As a user without privilege.
    pub(crate) fn of_a_user() -> Self {
        Self::start("setpriv --reuid=12345 --clear-groups --inh-caps=-all --bounding-set=-all udevadm")
    }
}

/// The udevd of `/run/udev` is in another network namespace, as that of the host from `ip netns exec`.
fn a_users_listener_does_not_pass_for_the_udevd_of_elsewhere(backend: &str) {
    let _udevd = Udevd::start();
    in_namespace(|| {
        let _listener = Listener::of_a_user();
        create(backend, 0..2);
        create_taps(backend, 2..4);
        assert_eq!(lost(0..4), [0; 0]);
    });
}

/// The first interface waits for a second, in pauses of 20 ms; each of the others for 100 ms.
fn a_users_listener_is_waited_for_once(backend: &str) {
    empty_run();
    let _listener = Listener::of_a_user();
    let log = tempfile::NamedTempFile::new().expect("a file can be made");
    let path = log.path().to_str().expect("UTF-8");
    let program = std::env::current_exe().expect("it has a path");
    let program = program.to_str().expect("UTF-8");
    for (mode, numbers) in [("--create", ["0", "10"]), ("--create-taps", ["10", "20"])] {
        run("strace", ["-qq", "-o", path, "-e", "trace=poll", program, mode, backend].into_iter().chain(numbers));
        let trace = fs::read_to_string(path).expect("strace has written it");
        let pauses = trace.lines().filter(|line| line.contains("POLLIN")).count();
        assert!(pauses <= 50 + 9 * 5, "{mode}: {pauses} pauses");
    }
    assert_eq!(lost(0..20), [0; 0]);
}

/// All at once on one handle.
fn many_threads_outlast_a_stuck_udevd() {
    let udevd = Udevd::start();
    udevd.stop();
    let bridges = open("ioctl");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let bridges = &bridges;
            scope.spawn(move || {
                bridges.create(&BridgeSpec::new(name(number)).mac(mac(number))).expect("the name is free");
            });
        }
    });
    udevd.go_on();
    settle();
    assert_eq!(lost(0..4), [0; 0]);
}
