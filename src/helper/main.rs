//! `vmbridge-helper`, a drop-in for QEMU's `qemu-bridge-helper`: makes a tap, puts it on a bridge and
//! sends its descriptor to QEMU, for users who are allowed nothing else on the network.
//!
//! It may be installed setuid root or with the file capability `CAP_NET_ADMIN`, so whoever starts it
//! is not trusted: neither its arguments nor its environment, its descriptors, its limits or its
//! directory. The order of things is the point:
//!
//! 1. all privileges but one are given up, and the user is the one who started it;
//! 2. the arguments and the socket are checked;
//! 3. the ACL is read, as that user, and judged by;
//! 4. the tap is made, and put on the bridge;
//! 5. the last privilege is given up;
//! 6. the tap is sent. If that fails, or anything before, it vanishes with its descriptor.
#![forbid(unsafe_code)]

mod acl;
mod args;
mod file;
mod send;
mod tap;
#[expect(unreachable_pub, reason = "the library, whose file it is, exports it")]
#[path = "../network/store/trust.rs"]
mod trust;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::unistd::getuid;
use vmbridge::waiting::Limits;
use vmbridge::{ErrorKind, InterfaceName, NativeBackend, NetworkPrivileges, Tap};

use self::acl::Verdict;
use self::args::{Plug, Request};
use self::file::Acl;
use self::send::Receiver;

/// Exits with 0 when the tap was sent, and 1 when not, for whatever reason, like QEMU's helper.
fn main() -> ExitCode {
    // The standard library's own hook reads the environment, to say more.
    std::panic::set_hook(Box::new(|panic| fail(&panic.to_string())));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn fail(why: &str) -> ! {
    // Where this cannot be written, the exit status still tells.
    let _ = writeln!(io::stderr(), "vmbridge-helper: {why}");
    std::process::exit(1)
}

fn run() -> Result<(), String> {
    let privileges =
        NetworkPrivileges::keep_only().map_err(|error| format!("cannot give up privileges: {error}"))?;
    match args::parse(std::env::args_os().skip(1)).map_err(|usage| usage.to_string())? {
        Request::Help => print(&format!("{}\nThe ACL is {}.", args::USAGE, file::PATH)),
        Request::Version => print(concat!("vmbridge-helper ", env!("CARGO_PKG_VERSION"))),
        Request::Plug(plug) => {
            let receiver = Receiver::new(plug.socket)?;
            check_allowed(plug.bridge)?;
            let tap = make_tap(&plug)?;
            privileges.give_up().map_err(|error| format!("cannot give up privileges: {error}"))?;
            receiver.send(tap.queues()[0].as_fd()).map_err(|error| format!("cannot send the tap: {error}"))
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|error| format!("cannot write the output: {error}"))
}

fn check_allowed(bridge: InterfaceName) -> Result<(), String> {
    let acl = Acl::read(Path::new(file::PATH)).map_err(|error| error.to_string())?;
    match (acl.judge(bridge), acl.left_out()) {
        (Verdict::Allowed, _) => Ok(()),
        (Verdict::DeniedBy(place), _) => Err(format!("bridge {bridge} is denied by {place}")),
        (Verdict::NotAllowed, left_out) => {
            let left_out = left_out.map(|paths| format!(" (left out, since you may not read it: {paths})"));
            Err(format!(
                "nothing allows bridge {bridge}{}; to allow it, add the line \"allow {bridge}\" to {}",
                left_out.unwrap_or_default(),
                file::PATH
            ))
        }
    }
}

fn make_tap(plug: &Plug) -> Result<Tap, String> {
    let mut limits = Limits::default();
    if tap::keeps_its_mac(plug.bridge) {
        // The tap's own MAC does not matter then, and whoever listens to uevents would hold up the guest.
        limits = limits.udev(Duration::ZERO);
    }
    let bridges = NativeBackend::open_with(limits).map_err(|error| error.report().to_string())?;
    tap::tap_on(&bridges, plug.bridge, plug.frames, getuid().as_raw()).map_err(|error| match error {
        tap::Error::Backend(error) if error.kind() == ErrorKind::PermissionDenied => {
            format!("{}; {}", error.report(), how_to_install())
        }
        tap::Error::Backend(error) => error.report().to_string(),
        error => error.to_string(),
    })
}

/// What an administrator has not done, or what the caller has.
fn how_to_install() -> String {
    // By /proc and not by what the caller calls it.
    let path =
        std::env::current_exe().map_or_else(|_| "vmbridge-helper".into(), |path| path.display().to_string());
    format!(
        "it needs CAP_NET_ADMIN: `setcap cap_net_admin+ep {path}` or `chmod u+s {path}` as root. Where that was \
         done it has no effect on a filesystem mounted nosuid, or for a caller with no_new_privs (QEMU's -sandbox \
         on,elevateprivileges=deny)"
    )
}
