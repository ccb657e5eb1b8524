//! One network, started and stopped by vmbridge and by libvirt.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::namespace::Namespaces;
use super::report::{Row, same_unit};
use super::statistics::Times;
use super::tools::{Tools, command, is_installed, run, time};

const NETWORK: &str =
    "<network><name>lan</name><bridge name='virbr9'/><mac address='52:54:00:00:00:09'/></network>";

/// None where libvirt is not installed. It is measured last: what libvirt writes to is hidden from then on.
pub(super) fn rows(namespaces: &Namespaces, tools: &Tools) -> Vec<Row> {
    if !is_installed("virsh") || !is_installed("libvirtd") {
        eprintln!("libvirt is not installed: left out");
        return Vec::new();
    }
    let (here, there) = (namespaces.fresh(), namespaces.fresh());
    there.enter();
    // libvirt writes where there is nothing of the host's.
    own_directories();
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("lan.xml");
    fs::write(&file, NETWORK).expect("it can be written");
    let _daemon = Daemon::start(directory.path());
    run(virsh("net-define").arg(&file));
    let vmbridge = |verb: &str| {
        let mut command = command(&tools.vmbridge, &format!("network {verb}"));
        let [config, state] = ["config", "state"].map(|name| directory.path().join(name));
        command.arg("--config-dir").arg(config).arg("--state-dir").arg(state);
        command
    };
    run(vmbridge("define").arg(&file));

    let mut times = [const { [const { Times(Vec::new()) }; 2] }; 2];
    for _ in 0..15 {
        for (place, [ours, theirs]) in [["start", "net-start"], ["stop", "net-destroy"]].into_iter().enumerate() {
            here.enter();
            times[place][0].push(time(vmbridge(ours).arg("lan")), 1);
            there.enter();
            times[place][1].push(time(virsh(theirs).arg("lan")), 1);
        }
    }
    let [[start, net_start], [stop, net_destroy]] = times;
    vec![
        Row::at_least(
            "`virsh net-start` of `vmbridge network start`'s",
            20.0,
            net_start.over(&start),
            same_unit(&start, &net_start),
        ),
        Row::ratio(
            "`vmbridge network stop` of `virsh net-destroy`'s",
            f64::INFINITY,
            stop.over(&net_destroy),
            same_unit(&stop, &net_destroy),
        ),
    ]
}

fn virsh(verb: &str) -> Command {
    command("virsh", &format!("--quiet --connect network:///system {verb}"))
}

/// Gives the process a mount namespace with empty directories where libvirt writes.
fn own_directories() {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).expect("it may");
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("mounts can be made private");
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).expect("sysfs can be mounted");
    for directory in ["/etc/libvirt", "/run", "/var/cache", "/var/lib", "/var/log"] {
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), none).expect("a tmpfs can be mounted");
    }
    for directory in ["/etc/libvirt/qemu/networks", "/run/libvirt/network"] {
        fs::create_dir_all(directory).expect("it can be made");
    }
}

/// libvirt's daemon, with no driver but that for networks, in the calling thread's namespaces.
struct Daemon(Child);

impl Daemon {
    fn start(directory: &Path) -> Self {
        let driver = "libvirt_driver_network.so";
        symlink(drivers().join(driver), directory.join(driver)).expect("it can be made");
        // There is neither a group `libvirt` nor polkit.
        let settings = "unix_sock_group = \"root\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n";
        fs::write("/etc/libvirt/libvirtd.conf", settings).expect("it can be written");
        let mut libvirtd = command("libvirtd", "--config /etc/libvirt/libvirtd.conf");
        let daemon = libvirtd.env("LIBVIRT_DRIVER_DIR", directory).stderr(Stdio::null()).spawn();
        let daemon = Self(daemon.expect("libvirtd starts"));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !virsh("net-list").output().is_ok_and(|output| output.status.success()) {
            assert!(Instant::now() < deadline, "libvirtd does not listen");
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The directory of libvirt's drivers, in that of the machine's architecture.
fn drivers() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").expect("it is there").map(|entry| entry.expect("it can be read"));
    let mut directories = libraries.map(|entry| entry.path().join("libvirt/connection-driver"));
    directories.find(|path| path.exists()).expect("libvirt-daemon is installed")
}
