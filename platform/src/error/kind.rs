//! Why an operation failed, in the same words on every backend.

use std::io;

use nix::errno::Errno;

use crate::words::texts;

texts! {
    /// The kind of an [`Error`](crate::Error): the same for the same situation on every backend.
    pub enum ErrorKind {
        /// No interface has the bridge's name.
        NotFound = "no such interface",
        /// No interface has the port's name.
        PortNotFound = "no such interface for a port",
        /// A bridge has this name already.
        BridgeExists = "a bridge of this name exists",
        /// Something else has this name already: an interface that is no bridge, or on FreeBSD a
        /// bridge that was created by this name and renamed since.
        NameInUse = "the name is in use, and not by a bridge",
        /// The interface is no bridge, and was not touched.
        NotABridge = "it is no bridge",
        /// A tap has this name already.
        TapExists = "a tap of this name exists",
        /// The interface is no tap, and was not touched.
        NotATap = "it is no tap",
        /// Another process has the tap open.
        TapBusy = "another process has the tap open",
        /// The interface is a port of this bridge already.
        AlreadyPort = "it is a port of this bridge already",
        /// The interface is a port of another bridge, or in the use of a bond, a macvlan or the like.
        PortBusy = "it is in use by another bridge, a bond or the like",
        /// The interface is no port of this bridge.
        NotAPort = "it is no port of this bridge",
        /// The interface is a bridge, which cannot be a port of one.
        PortIsBridge = "a bridge cannot be a port",
        /// The interface is of a kind that cannot be a port, such as the loopback interface.
        PortUnsuitable = "an interface of its kind cannot be a port",
        /// The bridge has as many ports as its kernel gives numbers to (1023 on Linux).
        TooManyPorts = "the bridge has no room for another port",
        /// The process may not do this.
        PermissionDenied = "permission denied",
        /// A new interface cannot have this name ([`InterfaceName::check`](crate::InterfaceName::check)).
        InvalidName = "a new interface cannot have this name",
        /// The kernel refuses the MAC.
        InvalidMac = "the kernel refuses this MAC",
        /// The kernel refuses the value of an option.
        InvalidOption = "the kernel refuses this value",
        /// The entry is in the FDB already.
        EntryExists = "such an entry exists",
        /// No such entry is in the FDB, or no such VLAN on the port.
        EntryNotFound = "no such entry",
        /// The kernel refuses the MTU.
        InvalidMtu = "the kernel refuses this MTU",
        /// The MAC that was set is not the one that the kernel has afterwards.
        MacNotKept = "the MAC did not stay",
        /// The backend or its kernel cannot do this.
        Unsupported = "not supported",
        /// The kernel has no driver for bridges, or for taps, and it could not be loaded.
        NoDriver = "the kernel has no driver for it",
        /// The interface has to be up for what was waited for, and another process set it down.
        LinkDown = "it was set down meanwhile",
        /// What was waited for did not come in time.
        TimedOut = "timed out",
        /// The kernel's list changed each time while it was read.
        ListChanged = "the interfaces changed while they were listed",
        /// The kernel's answer makes no sense.
        MalformedReply = "malformed answer from the kernel",
        /// Any other failure of a system call; see [`Error::raw_os_error`](crate::Error::raw_os_error).
        Os = "system call failed",
    }
}

impl std::error::Error for ErrorKind {}

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
            Self::MacNotKept | Self::LinkDown | Self::ListChanged | Self::Os => io::ErrorKind::Other,
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
