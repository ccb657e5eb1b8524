//! libvirt's daemon, in the namespaces of the calling thread, and virsh, which speaks to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use tempfile::TempDir;
use vmbridge::network::Document;

use crate::support::{Guarded, output, wait_until};

/// Where libvirt has the definitions, and those of the networks that are active.
pub(super) const CONFIG: &str = "/etc/libvirt/qemu/networks";
pub(super) const STATE: &str = "/run/libvirt/network";

/// Gives the calling thread's mount namespace empty directories where libvirt writes.
pub(super) fn own_directories() {
    for directory in ["/etc/libvirt", "/run", "/var/cache", "/var/lib", "/var/log"] {
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .expect("a tmpfs can be mounted");
    }
    for directory in [CONFIG, STATE] {
        fs::create_dir_all(directory).expect("it can be made");
    }
}

/// A daemon with no driver but that for networks: the others look at hardware. It is gone when this
/// is dropped; the networks that are active then stay so.
pub(super) struct Libvirt {
    _daemon: Guarded,
    _drivers: TempDir,
}

impl Libvirt {
    pub(super) fn start() -> Self {
        let drivers = tempfile::tempdir().expect("a directory can be made");
        let driver = "libvirt_driver_network.so";
        symlink(driver_directory().join(driver), drivers.path().join(driver)).expect("it can be made");
        // There is neither a group `libvirt` nor polkit.
        let settings = "unix_sock_group = \"root\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n";
        fs::write("/etc/libvirt/libvirtd.conf", settings).expect("it can be written");
        let daemon = Command::new("libvirtd")
            .args(["--config", "/etc/libvirt/libvirtd.conf"])
            .env("LIBVIRT_DRIVER_DIR", drivers.path())
            .stderr(Stdio::null())
            .spawn();
        let libvirt = Self { _daemon: Guarded(daemon.expect("libvirtd starts")), _drivers: drivers };
        wait_until("libvirtd listens", || libvirt.try_virsh(["net-list"]).is_ok());
        libvirt
    }

    /// What virsh says, or why it refuses.
    #[expect(clippy::unused_self, reason = "there must be a daemon to speak to")]
    pub(super) fn try_virsh<const N: usize>(&self, args: [&str; N]) -> Result<String, String> {
        let output = output("virsh", ["--quiet", "--connect", "network:///system"].into_iter().chain(args));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    pub(super) fn virsh<const N: usize>(&self, args: [&str; N]) -> String {
        self.try_virsh(args).unwrap_or_else(|error| panic!("virsh {args:?}: {error}"))
    }

    pub(super) fn define(&self, text: &str) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        fs::write(file.path(), text).expect("it can be written");
        self.try_virsh(["net-define", file.path().to_str().expect("UTF-8")]).map(drop)
    }

    /// The UUID of the only network that there is, whose name virsh may take for an option.
    pub(super) fn uuid(&self) -> String {
        self.virsh(["net-list", "--all", "--uuid"]).trim().to_owned()
    }

    /// The definition that it keeps of a network, by its name or its UUID.
    pub(super) fn defined(&self, network: &str) -> Document {
        self.virsh(["net-dumpxml", "--inactive", network]).parse().expect("it is libvirt's own")
    }

    /// The definition that a network was started by.
    pub(super) fn active(&self, network: &str) -> Document {
        self.virsh(["net-dumpxml", network]).parse().expect("it is libvirt's own")
    }
}

/// In that of the machine's architecture.
fn driver_directory() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").expect("it is there").map(|entry| entry.expect("it can be read"));
    let mut directories = libraries.map(|entry| entry.path().join("libvirt/connection-driver"));
    directories.find(|path| Path::exists(path)).expect("libvirt-daemon is installed")
}
