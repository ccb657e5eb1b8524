//! Outlasting systemd-udevd, which gives a new interface a MAC of its own.
//!
//! With `MACAddressPolicy=persistent`, the default of systemd's `99-default.link`, udevd decides
//! once for each interface, when it handles the event `add`: unless `addr_assign_type` is 3 (set)
//! by then, it writes a MAC. The decision and the writing lie apart, so that a MAC that is set in
//! between is lost. netlink has no such gap. Here the caller sets its MAC, waits until udevd has
//! handled the event, and looks again: `addr_assign_type` is 3 then, and udevd's turn is over.
//!
//! udevd tells when it has handled an event by sending it on to the group `udev` of the same
//! netlink protocol, in the namespace it runs in (`systemd/src/libsystemd/sd-device/device-monitor.c`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, socket,
};

use super::proc::ProcNet;
use crate::InterfaceIndex;

/// The group that udevd sends to, as a bit of the mask (`MONITOR_GROUP_UDEV`).
const UDEV_GROUP: u32 = 2;
/// udevd is there, but slow: it gives a program of its own 180 s, its own work takes milliseconds.
const PATIENCE_WITH_UDEV: Duration = Duration::from_secs(10);
/// Someone listens to uevents who may or may not be a udevd of another mount namespace.
const PATIENCE_WITH_UNKNOWN: Duration = Duration::from_secs(1);
/// How often udevd's database is looked at when its messages were lost.
const GLANCE: Duration = Duration::from_millis(20);

/// Where udevd's events of one network namespace can be seen.
#[derive(Debug)]
pub(super) struct Udev {
    /// Joins its group for the time of a [`Watch`] only.
    monitor: Mutex<OwnedFd>,
}

/// From before an interface is created until udevd has handled it.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    monitor: MutexGuard<'a, OwnedFd>,
}

impl Udev {
    /// Opens a socket in the calling thread's namespace; it receives nothing yet.
    pub(super) fn open() -> nix::Result<Self> {
        let monitor = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        bind(monitor.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { monitor: Mutex::new(monitor) })
    }

    /// Starts to watch, if anyone in this namespace may be a udevd.
    pub(super) fn watch(&self, namespace: &ProcNet) -> io::Result<Option<Watch<'_>>> {
        if !namespace.has_uevent_listener()? {
            return Ok(None);
        }
        let monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner);
        join(&monitor, UDEV_GROUP)?;
        let watch = Watch { monitor };
        watch.drain();
        Ok(Some(watch))
    }
}

impl Watch<'_> {
    /// Waits until udevd has handled the arrival of this interface.
    ///
    /// # Errors
    /// `ETIMEDOUT`: there is a udevd, and it has not.
    pub(super) fn wait_for(&self, index: InterfaceIndex) -> nix::Result<()> {
        let is_udev = Path::new("/run/udev/control").exists();
        let deadline = Instant::now() + if is_udev { PATIENCE_WITH_UDEV } else { PATIENCE_WITH_UNKNOWN };
        let mut lost_events = false;
        let mut buffer = [0; 8192];
        loop {
            match recv(self.monitor.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(len) if tells_arrival(&buffer[..len.min(buffer.len())], index) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => lost_events = true,
                Err(Errno::EAGAIN) => {}
                Err(errno) => return Err(errno),
            }
            // udevd writes this file when it is done with an interface.
            if lost_events && Path::new(&format!("/run/udev/data/n{index}")).exists() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return if is_udev { Err(Errno::ETIMEDOUT) } else { Ok(()) };
            }
            let pause = if lost_events { left.min(GLANCE) } else { left };
            // Rounded up, so that the last wait does not become a busy one.
            let pause = PollTimeout::try_from(pause + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)], pause) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Throws away what was received before.
    fn drain(&self) {
        let received = || recv(self.monitor.as_raw_fd(), &mut [], MsgFlags::empty());
        while matches!(received(), Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS)) {}
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // A socket that stays in the group only fills up and is drained the next time.
        let _ = join(&self.monitor, 0);
        self.drain();
    }
}

/// Makes the groups of a bound socket these: a second `bind` to the same address does that.
fn join(monitor: &OwnedFd, groups: u32) -> nix::Result<()> {
    let own: NetlinkAddr = getsockname(monitor.as_raw_fd())?;
    bind(monitor.as_raw_fd(), &NetlinkAddr::new(own.pid(), groups))
}

/// Whether a message is udevd's word that it has handled the arrival of an interface.
///
/// Its header is `struct monitor_netlink_header`: "libudev" and a NUL, a magic number, three
/// sizes of which the second (at 16) is where the properties begin, each `KEY=value` and a NUL.
fn tells_arrival(message: &[u8], index: InterfaceIndex) -> bool {
    let properties = || {
        let start = message.get(16..)?.first_chunk()?;
        message.strip_prefix(b"libudev\0")?;
        message.get(usize::try_from(u32::from_ne_bytes(*start)).ok()?..)
    };
    let index = format!("IFINDEX={index}");
    let wanted: [&[u8]; 3] = [b"ACTION=add", b"SUBSYSTEM=net", index.as_bytes()];
    properties().is_some_and(|properties| {
        wanted.iter().all(|wanted| properties.split(|&byte| byte == 0).any(|property| property == *wanted))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(properties: &[&str]) -> Vec<u8> {
        let mut message = b"libudev\0\xfe\xed\xca\xfe".to_vec();
        message.extend(40_u32.to_ne_bytes());
        message.extend(40_u32.to_ne_bytes());
        message.resize(40, 0);
        for property in properties {
            message.extend(property.as_bytes());
            message.push(0);
        }
        message
    }

    #[test]
    fn knows_the_arrival_of_one_interface() {
        let seven = InterfaceIndex::new(7).expect("not 0");
        let add = ["ACTION=add", "DEVPATH=/devices/virtual/net/br0", "SUBSYSTEM=net", "IFINDEX=7"];
        assert!(tells_arrival(&message(&add), seven));
        assert!(!tells_arrival(&message(&add), InterfaceIndex::new(77).expect("not 0")));
        assert!(!tells_arrival(&message(&["ACTION=move", "SUBSYSTEM=net", "IFINDEX=7"]), seven));
        assert!(!tells_arrival(b"add@/devices/virtual/net/br0\0ACTION=add\0SUBSYSTEM=net\0IFINDEX=7\0", seven));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, whole: bool) {
            let bytes = if whole { [b"libudev\0", &bytes[..]].concat() } else { bytes };
            tells_arrival(&bytes, InterfaceIndex::new(1).expect("not 0"));
        }
    }
}
