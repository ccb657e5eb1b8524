//! The operating system, as far as policy depends on it: directories, and hints for people.
//!
//! No other module of this crate names an operating system in its code.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as native;
    } else if #[cfg(target_os = "freebsd")] {
        mod freebsd;
        use freebsd as native;
    } else {
        compile_error!("vmbridge runs on Linux and FreeBSD");
    }
}

#[cfg(feature = "store")]
pub(crate) use self::native::{CONFIG_DIR, LIBVIRT_CONFIG_DIR, LIBVIRT_STATE_DIR, STATE_DIR};
use crate::{Error, Operation};

/// Returns what a person can do about an error on this system, where the cause is known.
///
/// ```
/// use vmbridge::{Attempt, ErrorKind, Operation};
///
/// let attempt = Attempt::new("netlink", Operation::Create);
/// assert!(vmbridge::hint(&attempt.error(ErrorKind::PermissionDenied)).is_some());
/// assert_eq!(vmbridge::hint(&attempt.error(ErrorKind::BridgeExists)), None);
/// ```
#[must_use]
pub const fn hint(error: &Error) -> Option<&'static str> {
    match error.operation() {
        // A backend's socket needs none of the privileges that the hints name.
        Operation::Open => None,
        operation => native::hint(operation, error.kind(), error.capability()),
    }
}
