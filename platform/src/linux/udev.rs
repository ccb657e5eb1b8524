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
//! The monitor is connected to the kernel, which refuses other senders, but not those to a group. So a
//! process with `CAP_NET_ADMIN` in the namespace can pose as udevd. It could as well change the MAC.
//!
//! Who listens to uevents may be a udevd. But any user may listen, and the kernel does not tell whose a netlink socket
//! is: its port number is the listener's choice, and `sock_diag(7)` has no user of it. `/run/udev` may belong to a udevd
//! of another namespace. So there is no proof of a udevd but its word, and a wait without one is no failure. The limit
//! bounds only the time between udevd's decision and its writing, which no queue of events makes longer: whatever
//! udevd has not handled by then, it will find with a MAC that was set.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, NetlinkAddr, SockProtocol, bind, getsockname, recv};

use super::listener;
use super::proc::NetlinkSockets;
use crate::InterfaceIndex;
use crate::waiting::Deadline;

/// The group that udevd sends to, as a bit of the mask (`MONITOR_GROUP_UDEV`).
const UDEV_GROUP: u32 = 2;
/// How long an interface waits after another has waited in vain.
const DOUBT: Duration = Duration::from_millis(100);
/// How often is looked whether another thread has received what this one waits for, and at
/// udevd's database when its messages may have been lost.
const GLANCE: Duration = Duration::from_millis(20);

/// Where udevd's events of one network namespace can be seen.
#[derive(Debug)]
pub(super) struct Udev {
    /// Not there where a policy forbids netlink; udevd's database is looked at instead.
    monitor: nix::Result<OwnedFd>,
    /// Not there without /proc.
    listeners: io::Result<NetlinkSockets>,
    seen: Mutex<Seen>,
    /// How long an interface waits for udevd.
    limit: Duration,
}

/// What all watches have received together.
#[derive(Debug, Default)]
struct Seen {
    /// The monitor is in its group while there is a watch.
    watches: usize,
    arrivals: BTreeSet<InterfaceIndex>,
    /// Messages were lost since the first of the watches.
    lost: bool,
    /// An interface has waited in vain, and udevd has said nothing since.
    is_silent: bool,
}

/// From before an interface is created until udevd has handled it.
#[derive(Debug)]
pub(super) struct Watch<'a>(&'a Udev);

impl Udev {
    /// Opens a socket in the calling thread's namespace; it receives nothing yet.
    pub(super) fn open(limit: Duration) -> Self {
        let monitor = listener::open(SockProtocol::NetlinkKObjectUEvent, 0);
        Self { monitor, listeners: NetlinkSockets::open(), seen: Mutex::default(), limit }
    }

    /// Starts to watch, if anyone in this namespace may be a udevd.
    pub(super) fn watch(&self) -> nix::Result<Option<Watch<'_>>> {
        let is_listening = match self.listeners.as_ref().map(NetlinkSockets::has_uevent_listener) {
            Ok(Ok(is_listening)) => is_listening,
            // Without /proc it is all that can be known.
            Ok(Err(_)) | Err(_) => Path::new("/run/udev/control").exists(),
        };
        if !is_listening {
            return Ok(None);
        }
        let mut seen = self.seen();
        if let (0, Ok(monitor)) = (seen.watches, &self.monitor) {
            drain(monitor);
            join(monitor, UDEV_GROUP)?;
        }
        seen.watches += 1;
        Ok(Some(Watch(self)))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch<'_> {
    /// Waits until udevd has handled the arrival of this interface, or as long as it may take for that.
    pub(super) fn wait_for(&self, index: InterfaceIndex) -> nix::Result<()> {
        let is_silent = self.0.seen().is_silent;
        let deadline = Deadline::after(if is_silent { self.0.limit.min(DOUBT) } else { self.0.limit });
        loop {
            if self.has_arrived(index)? {
                return Ok(());
            }
            if deadline.has_passed() {
                self.0.seen().is_silent = true;
                return Ok(());
            }
            let mut monitor: Vec<_> =
                self.0.monitor.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
            // It counts whole milliseconds: cut to none, the last would be spent without a pause.
            let pause = deadline.left_within(GLANCE) + Duration::from_millis(1);
            let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
            match poll(&mut monitor, pause) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn has_arrived(&self, index: InterfaceIndex) -> nix::Result<bool> {
        let mut seen = self.0.seen();
        match &self.0.monitor {
            Ok(monitor) => seen.receive(monitor)?,
            Err(_) => seen.lost = true,
        }
        // udevd writes this file when it is done with an interface.
        Ok(seen.arrivals.remove(&index) || seen.lost && Path::new(&format!("/run/udev/data/n{index}")).exists())
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut seen = self.0.seen();
        seen.watches -= 1;
        if seen.watches == 0 {
            *seen = Seen { is_silent: seen.is_silent, ..Seen::default() };
            if let Ok(monitor) = &self.0.monitor {
                // A socket that stays in the group fills up, and is drained the next time.
                let _ = join(monitor, 0);
            }
        }
    }
}

impl Seen {
    /// Receives all that is there by now.
    fn receive(&mut self, monitor: &OwnedFd) -> nix::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match recv(monitor.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(len) => {
                    let arrival = arrival(&buffer[..len.min(buffer.len())]);
                    self.is_silent &= arrival.is_none();
                    self.arrivals.extend(arrival);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => self.lost = true,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Throws away what was received before.
fn drain(monitor: &OwnedFd) {
    let received = || recv(monitor.as_raw_fd(), &mut [], MsgFlags::empty());
    while matches!(received(), Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS)) {}
}

/// Makes the groups of a bound socket these: a second `bind` to the same address does that.
fn join(monitor: &OwnedFd, groups: u32) -> nix::Result<()> {
    let own: NetlinkAddr = getsockname(monitor.as_raw_fd())?;
    bind(monitor.as_raw_fd(), &NetlinkAddr::new(own.pid(), groups))
}

/// The interface that a message says has arrived, if it is udevd's word that it has handled that.
///
/// Its header is `struct monitor_netlink_header`: "libudev" and a NUL, a magic number, three
/// sizes of which the second (at 16) is where the properties begin, each `KEY=value` and a NUL.
fn arrival(message: &[u8]) -> Option<InterfaceIndex> {
    message.strip_prefix(b"libudev\0")?;
    let start = u32::from_ne_bytes(*message.get(16..)?.first_chunk()?);
    let properties = || message.get(usize::try_from(start).ok()?..).map(|rest| rest.split(|&byte| byte == 0));
    let has = |wanted: &[u8]| properties().is_some_and(|mut all| all.any(|property| property == wanted));
    if !has(b"ACTION=add") || !has(b"SUBSYSTEM=net") {
        return None;
    }
    let index = properties()?.find_map(|property| property.strip_prefix(b"IFINDEX="))?;
    InterfaceIndex::new(std::str::from_utf8(index).ok()?.parse().ok()?)
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
        let add = ["ACTION=add", "DEVPATH=/devices/virtual/net/br0", "SUBSYSTEM=net", "IFINDEX=7"];
        assert_eq!(arrival(&message(&add)), InterfaceIndex::new(7));
        assert_eq!(arrival(&message(&["ACTION=move", "SUBSYSTEM=net", "IFINDEX=7"])), None);
        assert_eq!(arrival(b"add@/devices/virtual/net/br0\0ACTION=add\0SUBSYSTEM=net\0IFINDEX=7\0"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, whole: bool) {
            let bytes = if whole { [b"libudev\0", &bytes[..]].concat() } else { bytes };
            let _ = arrival(&bytes);
        }

        #[test]
        fn no_place_of_the_properties_panics(start in prop_oneof![0_u32..80, u32::MAX - 80..=u32::MAX]) {
            let mut bytes = message(&["ACTION=add", "SUBSYSTEM=net", "IFINDEX=7"]);
            bytes[16..20].copy_from_slice(&start.to_ne_bytes());
            let _ = arrival(&bytes);
        }
    }
}
