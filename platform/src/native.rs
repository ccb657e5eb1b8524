//! The backend of the system that the crate is built for.

use crate::delegate::{delegate, delegate_reading};
use crate::waiting::Limits;
use crate::{Backend, Bulk, Capabilities, Outcome, Result, Seen, Step, Tap, system};

/// This system's backend: `netlink` on Linux, or `ioctl` without the feature `netlink`, and `freebsd` on FreeBSD.
///
/// It is one type whatever the features, and its [`name`](Backend::name) says which backend it is.
#[derive(Debug)]
pub struct NativeBackend(system::Native);

impl NativeBackend {
    /// Opens it in the network namespace (Linux) or jail (FreeBSD) of the calling thread.
    ///
    /// # Errors
    /// `Os`: out of descriptors, or a policy forbids such a socket.
    pub fn open() -> Result<Self> {
        Self::open_with(Limits::default())
    }

    /// Opens it as [`open`](Self::open) does, with limits for its calls that wait.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(limits: Limits) -> Result<Self> {
        system::Native::open_with(limits).map(Self)
    }
}

impl Backend for NativeBackend {
    delegate_reading!(0);
    delegate! { 0:
        fn capabilities() -> Capabilities;
        fn implemented() -> Capabilities;
        fn look(step: &Step) -> Result<Seen>;
        fn look_all(steps: &[&Step], each: &mut dyn FnMut(Result<Seen>));
        fn run(step: &Step, seen: &Seen) -> Outcome;
        fn run_all(steps: &[(&Step, Seen)], bulk: Bulk, each: &mut dyn FnMut(usize, Outcome));
        fn persist_tap(tap: &Tap) -> Result<()>;
    }
}
