//! One network, started and stopped by vmbridge and by libvirt.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::namespace::Namespaces;
use super::report::{Limit, Report, Row};
use super::statistics::Times;
use super::tools::{Tools, command, is_installed, run, time};

/// The directory of the system's own store.
const STATE_DIR: &str = "/run/vmbridge/networks";
const NETWORK: &str =
    "<network><name>lan</name><bridge name='virbr9'/><mac address='52:54:00:00:00:09'/></network>";

/// Nothing where libvirt is not installed. It is measured last: what libvirt writes to is hidden from then on.
pub(super) fn measure(namespaces: &Namespaces, tools: &Tools, report: &mut Report) {
    if !is_installed("virsh") || !is_installed("libvirtd") {
        eprintln!("libvirt is not installed: left out");
        return;
    }
    let (here, there) = (namespaces.fresh(), namespaces.fresh());
    there.enter();
    // Both note what is active in /run, which is in memory, as it is elsewhere.
    own_directories();
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("lan.xml");
    fs::write(&file, NETWORK).expect("it can be written");
    let _daemon = Daemon::start(directory.path());
    run(virsh("net-define").arg(&file));
    let vmbridge = |program: &Path, verb: &str| {
        let mut command = command(program, &format!("network {verb} --state-dir {STATE_DIR} --config-dir"));
        command.arg(directory.path().join("networks"));
        command
    };
    run(vmbridge(&tools.vmbridge, "define").arg(&file));

    for (program, kind) in [(&tools.vmbridge, ""), (&tools.fixed, ", static")] {
        let [mut start, mut stop, mut net_start, mut net_destroy] = [const { Times(Vec::new()) }; 4];
        for _ in 0..15 {
            let both = [
                ("start", &mut start, "net-start", &mut net_start),
                ("stop", &mut stop, "net-destroy", &mut net_destroy),
            ];
            for (ours, of_ours, theirs, of_theirs) in both {
                here.enter();
                of_ours.push(time(vmbridge(program, ours).arg("lan")), 1);
                there.enter();
                of_theirs.push(time(virsh(theirs).arg("lan")), 1);
            }
        }
        let row = |what: &str, against, limit, ours, theirs| {
            Row::speed(&format!("`vmbridge network {what}`{kind}: how much faster"), against, limit, ours, theirs)
        };
        let mut started = row("start", "`virsh net-start`", Limit::AtLeast(20.0), &start, &net_start);
        if kind.is_empty() {
            started = started.because("linked dynamically, 0.8 ms of it are the loader's");
        }
        report.rows.extend([started, row("stop", "`virsh net-destroy`", Limit::None, &stop, &net_destroy)]);
    }
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
