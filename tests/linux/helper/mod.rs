//! `vmbridge-helper` next to QEMU's own: the same ACL files, the same arguments, a look at the kernel.

mod acl;
mod hostile;
mod privileges;

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};

use nix::cmsg_space;
use nix::mount::{MsFlags, mount};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::support::{Registry, exists, ip, is_up, link, snapshot, wait_until};

pub(crate) fn register(registry: &Registry) {
    acl::register(registry);
    hostile::register(registry);
    privileges::register(registry);
}

pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_vmbridge-helper");
/// Debian's; Fedora has it in /usr/libexec.
const QEMUS: [&str; 2] = ["/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper"];
const ACL: &str = "/etc/qemu/bridge.conf";
const MTU: u64 = 1400;

fn qemus() -> &'static str {
    QEMUS.into_iter().find(|path| fs::exists(path).is_ok_and(|there| there)).expect("QEMU's helper is installed")
}

/// An /etc of the test's own, for ACLs.
pub(crate) fn own_etc() {
    mount(Some("tmpfs"), "/etc", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .expect("a tmpfs can be mounted");
    fs::create_dir("/etc/qemu").expect("it can be made");
}

/// An /etc of the test's own, and the bridges `br0` and `br1`, which do not follow their ports.
fn prepare_host() {
    own_etc();
    for number in 0..2 {
        ip(&format!("link add name br{number} address 52:54:00:00:00:0{number} type bridge"));
        ip(&format!("link set dev br{number} mtu {MTU}"));
    }
}

/// Writes a file of root's that others may read.
fn write(path: &str, contents: impl AsRef<[u8]>) {
    fs::write(path, contents).expect(path);
    set_mode(path, 0o644);
}

pub(crate) fn write_acl(contents: impl AsRef<[u8]>) {
    write(ACL, contents);
}

fn set_mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect(path);
}

/// A helper that runs, and the socket that it is to answer through.
struct Running {
    child: Child,
    socket: UnixStream,
}

/// What a helper answered.
struct Answer {
    output: Output,
    tap: Option<Received>,
}

/// A descriptor that was received.
struct Received(RawFd);

impl Drop for Received {
    fn drop(&mut self) {
        let _ = nix::unistd::close(self.0);
    }
}

/// Starts `setup` in a shell, with the socket as descriptor 3 like QEMU; `"$@"` is the command in it.
fn start(setup: &str, command: &[&str]) -> Running {
    let (socket, theirs) = UnixStream::pair().expect("sockets can be made");
    let script = format!("exec 3<&0 </dev/null; {setup}");
    // The other way, an inherited descriptor, could be inherited by what other tests start.
    let child = Command::new("sh")
        .args(["-c", &script, "sh"])
        .args(command)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    Running { child, socket }
}

/// Asks a helper for a tap, as QEMU does. The limit is what a file that includes itself exhausts
/// first: without it QEMU's helper exhausts its stack.
fn ask(helper: &str, bridge: &str) -> Answer {
    start("ulimit -n 256; exec \"$@\"", &[helper, "--use-vnet", "--fd=3", &format!("--br={bridge}")]).end()
}

impl Running {
    fn end(self) -> Answer {
        let output = self.child.wait_with_output().expect("it ends");
        Answer { output, tap: receive(&self.socket) }
    }
}

/// The descriptor that was sent, with a byte; `None` at the end.
fn receive(socket: &UnixStream) -> Option<Received> {
    let mut byte = [0xff];
    let mut rights = cmsg_space!([RawFd; 4]);
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut rights), MsgFlags::MSG_CMSG_CLOEXEC)
        .expect("it can be received from");
    let messages: Vec<_> = message.cmsgs().expect("they are whole").collect();
    match (message.bytes, &messages[..]) {
        (0, []) => None,
        (1, [ControlMessageOwned::ScmRights(descriptors)]) => {
            let [tap] = descriptors[..] else { panic!("one descriptor, not {descriptors:?}") };
            assert_eq!(byte, [0]);
            Some(Received(tap))
        }
        (bytes, messages) => panic!("{bytes} bytes and {messages:?}"),
    }
}

impl Answer {
    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// It is a refusal, and the host is what it was.
    fn must_be_refusal(&self, before: &str) {
        assert_eq!(self.output.status.code(), Some(1), "{}", self.errors());
        assert!(self.tap.is_none(), "{}", self.errors());
        assert!(!self.errors().is_empty());
        assert_eq!(snapshot(), before, "{}", self.errors());
    }

    /// What the kernel says of the descriptor itself (`tun_chr_show_fdinfo()`).
    fn name_of_tap(&self) -> String {
        let received = self.tap.as_ref().expect("a descriptor");
        let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", received.0)).expect("it is open");
        info.lines().find_map(|line| line.strip_prefix("iff:\t")).expect("it is a tap").to_owned()
    }

    /// It is a tap on `br0`, as QEMU's own helper makes one; it goes with its descriptor.
    fn must_be_a_tap(mut self) {
        assert_eq!(self.output.status.code(), Some(0), "{}", self.errors());
        let name = self.name_of_tap();
        let received = self.tap.take().expect("a descriptor");
        assert!(name.starts_with("tap"), "{name}");
        let tap = link(&name).expect("it is there");
        assert_eq!((&tap["master"], tap["mtu"].as_u64()), (&"br0".into(), Some(MTU)), "{tap}");
        assert!(is_up(&tap) && tap["address"].as_str().is_some_and(|mac| mac.starts_with("fe:")), "{tap}");
        let data = &tap["linkinfo"]["info_data"];
        assert_eq!(data["type"], "tap", "{tap}");
        for (flag, is_set) in [("pi", false), ("vnet_hdr", true), ("multi_queue", false), ("persist", false)] {
            assert_eq!(data[flag], is_set, "{flag} of {tap}");
        }
        drop(received);
        wait_until("the tap goes", || !exists(&name));
    }
}
