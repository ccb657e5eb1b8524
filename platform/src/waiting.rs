//! Which calls can wait, and how long.
//!
//! No call waits without a limit, unless its caller asks for that, and no thread outlives a call. A backend is
//! opened with [`Limits`] by `open_with`, as [`NativeBackend::open_with`](crate::NativeBackend::open_with); `open`
//! takes the defaults.
//!
//! # Backends
//!
//! | call | system | waits for | limit | then |
//! |---|---|---|---|---|
//! | every call on netlink | Linux netlink | the kernel's answer, which is there when the request is sent | [`Limits::answer`], for each message | `TimedOut` |
//! | [`create`] with a MAC | Linux ioctl | systemd-udevd, which may set a MAC of its own, if any process listens to uevents | [`Limits::udev`]; at most 100 ms after a wait in vain, until udevd reports an interface | goes on, if the interface has the MAC |
//! | [`create_tap`] with a MAC, for a new tap | Linux | the same | the same | the same |
//! | [`create_tap`] that adopts; [`delete_tap`]; [`change_tap`] of `vnet_hdr` | Linux | another process that has the tap open | [`Limits::busy_tap`] | `TapBusy`; `change_tap` succeeds |
//! | [`delete_tap`], and [`create_tap`] that fails | Linux | the kernel, which removes a closed tap with its queues | [`Limits::closed_tap`] | `TapBusy`, or what is left in [`Error::rollback`] |
//! | [`has_carrier`] | Linux | the kernel's link watch, if the bridge's carrier has just changed | [`Limits::carrier`] | the carrier that the protocols were told of |
//! | [`fdb`] | Linux ioctl | the age of a learned entry, which tells it from a static one | 32 readings, 30 ms apart | `ListChanged` |
//! | [`create`] and [`create_tap`] with a name that the kernel does not choose | FreeBSD | another process that creates an interface | [`Limits::staging`] for the lock; without the lock, for each of four numbers | goes on without the lock; `Os` with `EEXIST` |
//! | the same, after a leftover interface was destroyed | FreeBSD | the next second of uptime, so that the new interface has another identity | 1 s, fixed | goes on |
//! | [`create`] and [`change`] with `host_ipv6` | Linux | the files of a bridge that is being renamed | 200 ms, fixed | `Os` with `EBUSY` |
//! | [`Events::wait`] | all | an event | its parameter | [`Wake::TimedOut`](crate::Wake::TimedOut) |
//!
//! One operation has several of these calls. [`apply`] and [`Transaction`] wait as long as their steps, one after
//! another. Rollback waits likewise: it takes a round for each effect that is left of a step, at most 8,252 rounds: two
//! for each VLAN that a port can have, and 64 more.
//!
//! All other calls repeat without a pause. A list that changes while it is read, or an interface that is renamed
//! meanwhile, is read again at most 16 times (8 times on Linux ioctl). Then the call fails, with `ListChanged` for a
//! list. [`delete`] on Linux ioctl sets a bridge down again that another process sets up, at most 8 times. Then it fails,
//! with `Os` and `EBUSY`. A system call that a signal interrupts is called again.
//!
//! # Networks, in the crate `vmbridge`
//!
//! | call | waits for | limit | then |
//! |---|---|---|---|
//! | `network::start`, `network::ensure` of a network with an anchor | the bridge's carrier, on Linux | two forward delays with STP on, and `ResolvedNetwork::with_carrier_limit`, 30 s by default | `TimedOut`, rolled back |
//! | `Store::define`, `undefine`, `migrate`, `lock_state`; every call of `NetworkController` that changes something | the lock of the store, which another process holds | `Store::with_patience`, 120 s by default, for each of at most two locks | `StoreReason::Locked` |
//! | `NetworkWatcher::check` | the lock of the store, and the repairs | as above | an error among the events |
//! | `NetworkWatcher::due_within` | the time of the next check | its parameter | `false` |
//!
//! `vmbridge-helper` waits for QEMU to receive the descriptor, while the buffer of the socket is full. It waits for
//! udevd only if the bridge's MAC may follow its ports.
//!
//! On Linux any user may listen to uevents, and nothing tells such a process from udevd. It makes the first creation of
//! each handle wait for [`Limits::udev`], but no creation fail.
//!
//! # What no limit covers
//!
//! A system call takes as long as the kernel does. Linux has one lock for all changes of interfaces (`rtnl_lock()`,
//! `net/core/rtnetlink.c`). Deleting a bridge takes about 34 ms; [`apply`] deletes 64 in a call of about a second.
//! FreeBSD destroys one interface at a time. Threads that share a backend take turns with its socket.
//!
//! FreeBSD destroys a tap only when no process has it open, and waits without end. [`delete_tap`] opens the tap first,
//! which fails if another process has it open. A process that opens the tap between these two calls makes
//! [`delete_tap`] wait.
//!
//! [`change`]: crate::Bridges::change
//! [`create`]: crate::Bridges::create
//! [`create_tap`]: crate::Bridges::create_tap
//! [`delete`]: crate::Bridges::delete
//! [`delete_tap`]: crate::Bridges::delete_tap
//! [`change_tap`]: crate::Bridges::change_tap
//! [`has_carrier`]: crate::Bridges::has_carrier
//! [`fdb`]: crate::Bridges::fdb
//! [`apply`]: crate::Bridges::apply
//! [`Transaction`]: crate::Transaction
//! [`Events::wait`]: crate::Events::wait
//! [`Error::rollback`]: crate::Error::rollback

use std::time::{Duration, Instant};

use crate::setters::setters;

/// How long the calls of a backend may wait.
///
/// A limit of zero means one try without a wait; [`Duration::MAX`] means no limit. A backend ignores the limits of
/// other systems.
///
/// ```no_run
/// use std::time::Duration;
/// use vmbridge_platform::NativeBackend;
/// use vmbridge_platform::waiting::Limits;
///
/// let host = NativeBackend::open_with(Limits::default().udev(Duration::from_secs(60)))?;
/// # Ok::<(), vmbridge_platform::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For an answer of the kernel on netlink, by default 5 s. The kernel answers within the call that sends a
    /// request, so that only a fault in the kernel can reach this limit. Zero is the shortest time that the kernel
    /// knows.
    pub answer: Duration,
    /// For systemd-udevd to handle a new interface, by default 1 s. udevd takes milliseconds for one interface. If it
    /// has many to handle, it may be later: it leaves an interface alone that has its MAC by then.
    pub udev: Duration,
    /// For the kernel to tell a bridge's protocols of its carrier, by default 2 s. Linux does so within 1 s on an
    /// idle machine (`linkwatch_schedule_work()`, `net/core/link_watch.c`).
    pub carrier: Duration,
    /// For another process to close a tap, by default 500 ms. A process that is just starting a program has its
    /// descriptors twice for a moment.
    pub busy_tap: Duration,
    /// For the kernel to remove a tap that this process has closed, by default 10 s. 256 queues take seconds.
    pub closed_tap: Duration,
    /// For another process that is creating an interface on FreeBSD, by default 1 s. A creation takes about a
    /// millisecond.
    pub staging: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(5),
            udev: Duration::from_secs(1),
            carrier: Duration::from_secs(2),
            busy_tap: Duration::from_millis(500),
            closed_tap: Duration::from_secs(10),
            staging: Duration::from_secs(1),
        }
    }
}

impl Limits {
    setters! {
        /// Sets [`answer`](field@Self::answer).
        answer: Duration;
        /// Sets [`udev`](field@Self::udev).
        udev: Duration;
        /// Sets [`carrier`](field@Self::carrier).
        carrier: Duration;
        /// Sets [`busy_tap`](field@Self::busy_tap).
        busy_tap: Duration;
        /// Sets [`closed_tap`](field@Self::closed_tap).
        closed_tap: Duration;
        /// Sets [`staging`](field@Self::staging).
        staging: Duration;
    }
}

/// When a limit has passed. Never, for one that no clock reaches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Begins to wait.
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now().checked_add(limit))
    }

    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Returns the time that is left, or `pause` if more is.
    #[cfg(target_os = "linux")]
    pub(crate) fn left_within(self, pause: Duration) -> Duration {
        self.0.map_or(pause, |deadline| deadline.saturating_duration_since(Instant::now()).min(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_may_be_zero_or_without_end() {
        assert!(Deadline::after(Duration::ZERO).has_passed());
        assert!(!Deadline::after(Duration::MAX).has_passed());
        assert!(!Deadline::after(Duration::from_secs(60)).has_passed());
    }

    #[test]
    fn each_limit_is_set_alone() {
        let limits = Limits::default().busy_tap(Duration::ZERO);
        assert_eq!(limits, Limits { busy_tap: Duration::ZERO, ..Limits::default() });
    }
}
