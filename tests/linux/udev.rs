//! Against a real systemd-udevd, which gives new interfaces MACs of its own: no bridge loses the
//! MAC that it was created with.
//!
//! udevd decides about a MAC and writes it at two moments. The ioctl backend's calls are spread
//! by delays (strace injects them), so that they fall before, between and after.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use libtest_mimic::Trial;
use nix::mount::{MsFlags, mount};
use vmbridge::{BridgeSpec, InterfaceName, UnicastMac};

use crate::support::{link, needs, run, sysfs, trial, wait_until};

/// How many bridges each backend creates.
const BRIDGES: usize = 1000;
/// The delays after each ioctl, in microseconds; a share of the bridges is created with each.
const DELAYS: [usize; 5] = [0, 100, 200, 350, 500];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials =
        vec![trial("udev::a_bridge_without_a_mac_gets_one_of_udevd", a_bridge_without_a_mac_gets_one_of_udevd)];
    for backend in vmbridge::AVAILABLE {
        trials.push(trial(format!("udev::{}::keeps_every_mac", backend.name), || keeps_every_mac(backend.name)));
        let name = format!("udev::{}::waits_for_no_one_else", backend.name);
        trials.push(trial(name, || waits_for_no_one_else(backend.name)));
    }
    trials.into_iter().map(|trial| needs("udev, strace", trial)).collect()
}

/// Whether this process is the one that strace delays. Its work is done then.
pub(crate) fn is_the_work_to_be_delayed() -> bool {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, backend, first, last] = &args[..] else { return false };
    if mode != "--create" {
        return false;
    }
    create(backend, first.parse().expect("a number")..last.parse().expect("a number"));
    true
}

fn create(backend: &str, numbers: std::ops::Range<usize>) {
    let backend = vmbridge::AVAILABLE.iter().find(|other| other.name == backend).expect("it is compiled in");
    let bridges = (backend.open)().expect("it opens");
    for number in numbers {
        bridges.create(&BridgeSpec::new(name(number)).mac(mac(number))).expect("the name is free");
    }
}

fn name(number: usize) -> InterfaceName {
    format!("virbr{number}").parse().expect("a name")
}

fn mac(number: usize) -> UnicastMac {
    format!("52:54:00:00:{:x}:{:x}", number / 256, number % 256).parse().expect("a MAC")
}

/// A systemd-udevd that sees the network namespace of the calling thread only.
struct Udevd(Child);

impl Udevd {
    fn start() -> Self {
        let none = None::<&str>;
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).expect("a tmpfs can be mounted");
        let program = ["/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("systemd-udevd is installed");
        let child = Command::new(program).spawn().expect("systemd-udevd starts");
        let udevd = Self(child);
        wait_until("udevd listens", || {
            Path::new("/run/udev/control").exists() && run("udevadm", ["control", "--ping"]).is_empty()
        });
        udevd
    }
}

/// Waits until udevd has handled every event.
fn settle() {
    run("udevadm", ["settle", "--timeout=120"]);
}

impl Drop for Udevd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
        let injection = format!("inject=ioctl:delay_exit={delay}");
        let (first, last) = ((part * share).to_string(), ((part + 1) * share).to_string());
        let program = std::env::current_exe().expect("it has a path");
        let program = program.to_str().expect("UTF-8");
        let traced = ["-qq", "-o", "/dev/null", "-e", "trace=ioctl", "-e", &injection, program];
        run("strace", traced.into_iter().chain(["--create", backend, &first, &last]));
    }
    settle();
    let lost: Vec<_> = (0..BRIDGES)
        .filter(|&number| {
            let bridge = name(number).to_string();
            let address = fs::read_to_string(format!("/sys/class/net/{bridge}/address")).expect("it is there");
            address.trim_end() != mac(number).to_string() || sysfs(&bridge, "addr_assign_type") != "3"
        })
        .collect();
    assert!(lost.is_empty(), "{} of {BRIDGES} MACs lost: {lost:?}", lost.len());
}

/// A listener to uevents that is no udevd keeps no bridge from being made.
fn waits_for_no_one_else(backend: &str) {
    // It would create /run/udev otherwise, or find the host's.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs can be mounted");
    let mut listener = Command::new("udevadm")
        .args(["monitor", "--kernel", "--subsystem-match=net"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("udevadm starts");
    wait_until("udevadm listens", || {
        let sockets = fs::read_to_string("/proc/thread-self/net/netlink").expect("it is there");
        sockets.lines().any(|line| line.split_ascii_whitespace().nth(1) == Some("15") && line.contains("00000001"))
    });
    create(backend, 0..1);
    let _ = listener.kill();
    let _ = listener.wait();
    assert_eq!(link("virbr0").expect("it was created")["address"], mac(0).to_string());
}
