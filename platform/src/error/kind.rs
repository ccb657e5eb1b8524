//! Why an operation failed, in the same words on every backend.

use std::io;

use nix::errno::Errno;

/// The kind of an [`Error`](crate::Error): the same for the same situation on every backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No interface has the bridge's name.
    #[error("no such interface")]
    NotFound,
    /// No interface has the port's name.
    #[error("no such interface for a port")]
    PortNotFound,
    /// A bridge has this name already.
    #[error("a bridge of this name exists")]
    BridgeExists,
    /// Something else has this name already: an interface that is no bridge, or on FreeBSD a
    /// bridge that was created by this name and renamed since.
    #[error("the name is in use, and not by a bridge")]
    NameInUse,
    /// The interface is no bridge, and was not touched.
    #[error("it is no bridge")]
    NotABridge,
    /// A tap has this name already.
    #[error("a tap of this name exists")]
    TapExists,
    /// The interface is no tap, and was not touched.
    #[error("it is no tap")]
    NotATap,
    /// Another process has the tap open.
    #[error("another process has the tap open")]
    TapBusy,
    /// The interface is a port of this bridge already.
    #[error("it is a port of this bridge already")]
    AlreadyPort,
    /// The interface is a port of another bridge, or in the use of a bond, a macvlan or the like.
    #[error("it is in use by another bridge, a bond or the like")]
    PortBusy,
    /// The interface is no port of this bridge.
    #[error("it is no port of this bridge")]
    NotAPort,
    /// The interface is a bridge, which cannot be a port of one.
    #[error("a bridge cannot be a port")]
    PortIsBridge,
    /// The interface is of a kind that cannot be a port, such as the loopback interface.
    #[error("an interface of its kind cannot be a port")]
    PortUnsuitable,
    /// The bridge has as many ports as its kernel gives numbers to (1023 on Linux).
    #[error("the bridge has no room for another port")]
    TooManyPorts,
    /// The process may not do this.
    #[error("permission denied")]
    PermissionDenied,
    /// A new interface cannot have this name ([`InterfaceName::check`](crate::InterfaceName::check)).
    #[error("a new interface cannot have this name")]
    InvalidName,
    /// The kernel refuses the MAC.
    #[error("the kernel refuses this MAC")]
    InvalidMac,
    /// The kernel refuses the value of an option.
    #[error("the kernel refuses this value")]
    InvalidOption,
    /// The entry is in the FDB already.
    #[error("such an entry exists")]
    EntryExists,
    /// No such entry is in the FDB, or no such VLAN on the port.
    #[error("no such entry")]
    EntryNotFound,
    /// The kernel refuses the MTU.
    #[error("the kernel refuses this MTU")]
    InvalidMtu,
    /// The MAC that was set is not the one that the kernel has afterwards.
    #[error("the MAC did not stay")]
    MacNotKept,
    /// The backend or its kernel cannot do this.
    #[error("not supported")]
    Unsupported,
    /// The kernel has no driver for bridges, or for taps, and it could not be loaded.
    #[error("the kernel has no driver for it")]
    NoDriver,
    /// What was waited for did not come in time.
    #[error("timed out")]
    TimedOut,
    /// The kernel's list changed each time while it was read.
    #[error("the interfaces changed while they were listed")]
    ListChanged,
    /// The kernel's answer makes no sense.
    #[error("malformed answer from the kernel")]
    MalformedReply,
    /// Any other failure of a system call; see [`Error::raw_os_error`](crate::Error::raw_os_error).
    #[error("system call failed")]
    Os,
}

impl ErrorKind {
    /// The kind of an errno for which the operation has no special meaning.
    pub(crate) const fn of(errno: Errno) -> Self {
        match errno {
            Errno::EPERM | Errno::EACCES => Self::PermissionDenied,
            // Netlink and SIOCGIF… say ENODEV, SIOCBR… and FreeBSD say ENXIO.
            Errno::ENODEV | Errno::ENXIO => Self::NotFound,
            Errno::EOPNOTSUPP => Self::Unsupported,
            Errno::EADDRNOTAVAIL => Self::InvalidMac,
            // EAGAIN is not: fork and ioctls mean a shortage. A call that waited says TimedOut itself.
            Errno::ETIMEDOUT => Self::TimedOut,
            _ => Self::Os,
        }
    }

    pub(crate) const fn io(self) -> io::ErrorKind {
        match self {
            Self::NotFound | Self::PortNotFound | Self::EntryNotFound => io::ErrorKind::NotFound,
            Self::BridgeExists | Self::NameInUse | Self::TapExists | Self::AlreadyPort | Self::EntryExists => {
                io::ErrorKind::AlreadyExists
            }
            Self::PermissionDenied => io::ErrorKind::PermissionDenied,
            Self::NotABridge
            | Self::NotATap
            | Self::NotAPort
            | Self::PortIsBridge
            | Self::PortUnsuitable
            | Self::InvalidName
            | Self::InvalidMac
            | Self::InvalidMtu
            | Self::InvalidOption => io::ErrorKind::InvalidInput,
            Self::PortBusy | Self::TapBusy => io::ErrorKind::ResourceBusy,
            Self::TooManyPorts => io::ErrorKind::QuotaExceeded,
            Self::Unsupported | Self::NoDriver => io::ErrorKind::Unsupported,
            Self::TimedOut => io::ErrorKind::TimedOut,
            Self::MalformedReply => io::ErrorKind::InvalidData,
            Self::MacNotKept | Self::ListChanged | Self::Os => io::ErrorKind::Other,
        }
    }
}

impl From<ErrorKind> for io::ErrorKind {
    /// The kind that an [`Error`](crate::Error) has as an `io::Error`.
    fn from(kind: ErrorKind) -> Self {
        kind.io()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waited_has_timed_out() {
        assert_eq!(ErrorKind::of(Errno::ETIMEDOUT), ErrorKind::TimedOut);
        assert_eq!(ErrorKind::of(Errno::EAGAIN), ErrorKind::Os);
    }
}
