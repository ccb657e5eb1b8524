//! The error of every backend: what was tried, on which interface, by which backend, why it
//! failed, and whether what was half made is undone.

use std::{fmt, io};

use nix::errno::Errno;

use crate::{Capability, InterfaceName};

/// What a backend was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Open the backend.
    Open,
    /// Create a bridge.
    Create,
    /// Delete a bridge.
    Delete,
    /// Find a bridge by its name.
    Find,
    /// List the bridges.
    List,
    /// Change a bridge.
    Change,
    /// Make an interface a port of a bridge.
    AddPort,
    /// Release a port from a bridge.
    RemovePort,
    /// List the ports of a bridge.
    Ports,
    /// List the interfaces of the host.
    Interfaces,
    /// Generate a MAC.
    GenerateMac,
    /// Change a port.
    ChangePort,
    /// List the FDB of a bridge.
    Fdb,
    /// Add an entry to the FDB of a bridge.
    AddFdbEntry,
    /// Replace an entry in the FDB of a bridge.
    ReplaceFdbEntry,
    /// Remove an entry from the FDB of a bridge.
    RemoveFdbEntry,
    /// Flush the FDB of a bridge.
    FlushFdb,
    /// List the VLANs of a port.
    Vlans,
    /// Add VLANs to a port.
    AddVlans,
    /// Remove VLANs from a port.
    RemoveVlans,
    /// Create a tap.
    CreateTap,
    /// Let a tap outlive its descriptors.
    PersistTap,
    /// Change a tap.
    ChangeTap,
    /// Delete a tap.
    DeleteTap,
    /// List the taps.
    Taps,
    /// Follow the kernel's events.
    Events,
}

/// The kind of an [`Error`]: the same for the same situation on every backend.
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
    /// Any other failure of a system call; see [`Error::raw_os_error`].
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
            Errno::EAGAIN | Errno::ETIMEDOUT => Self::TimedOut,
            _ => Self::Os,
        }
    }

    const fn io(self) -> io::ErrorKind {
        match self {
            Self::NotFound | Self::PortNotFound | Self::EntryNotFound => io::ErrorKind::NotFound,
            Self::BridgeExists | Self::NameInUse | Self::TapExists | Self::AlreadyPort | Self::EntryExists => {
                io::ErrorKind::AlreadyExists
            }
            Self::PermissionDenied => io::ErrorKind::PermissionDenied,
            Self::NotABridge | Self::NotATap | Self::NotAPort | Self::PortIsBridge | Self::PortUnsuitable => {
                io::ErrorKind::InvalidInput
            }
            Self::InvalidMac | Self::InvalidMtu | Self::InvalidOption => io::ErrorKind::InvalidInput,
            Self::PortBusy | Self::TapBusy => io::ErrorKind::ResourceBusy,
            Self::TooManyPorts => io::ErrorKind::QuotaExceeded,
            Self::Unsupported | Self::NoDriver => io::ErrorKind::Unsupported,
            Self::TimedOut => io::ErrorKind::TimedOut,
            Self::MalformedReply => io::ErrorKind::InvalidData,
            Self::MacNotKept | Self::ListChanged | Self::Os => io::ErrorKind::Other,
        }
    }
}

/// The result of a backend's operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong in a backend, in one sentence:
///
/// ```text
/// cannot create bridge br0: a bridge of this name exists (netlink: EEXIST, File exists)
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    attempt: Attempt,
    kind: ErrorKind,
    source: Option<io::Error>,
    kernel_message: Option<String>,
    undo: Undo,
}

/// What became of the steps that had been taken when a later one failed.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Undo {
    /// Nothing had been done.
    #[default]
    NotNeeded,
    /// Everything that had been done is undone.
    Done,
    /// Undoing failed too.
    #[non_exhaustive]
    Failed {
        /// What was left on the host.
        left: String,
        /// Why it could not be undone.
        error: Error,
    },
}

impl Error {
    /// What was tried.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.0.attempt.operation
    }

    /// The backend that tried it.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        self.0.attempt.backend
    }

    /// The interface that the operation was on; of a port operation, the bridge.
    #[must_use]
    pub const fn interface(&self) -> Option<InterfaceName> {
        self.0.attempt.interface
    }

    /// The port, of a port operation.
    #[must_use]
    pub const fn port(&self) -> Option<InterfaceName> {
        self.0.attempt.port
    }

    /// The option that could not be set, or what the backend is not capable of.
    #[must_use]
    pub const fn capability(&self) -> Option<Capability> {
        self.0.attempt.capability
    }

    /// Why it failed.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The system's error number, where a system call failed.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.source.as_ref()?.raw_os_error()
    }

    /// The kernel's own words (netlink's extended acknowledgement), where it gave any.
    #[must_use]
    pub fn kernel_message(&self) -> Option<&str> {
        self.0.kernel_message.as_deref()
    }

    /// Whether what had been done before the failure is undone.
    #[must_use]
    pub const fn undo(&self) -> &Undo {
        &self.0.undo
    }

    /// What to do about it on this system, where the cause is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self.0.attempt.operation {
            // No privilege of a network's is needed to open a socket.
            Operation::Open => None,
            operation => crate::hint(operation, self.0.kind),
        }
    }

    /// With the outcome of undoing; `left` names what is still there if `outcome` is an error.
    #[must_use]
    pub fn undone(mut self, outcome: Result<()>, left: impl fmt::Display) -> Self {
        self.0.undo = match outcome {
            Ok(()) => Undo::Done,
            Err(error) => Undo::Failed { left: left.to_string(), error },
        };
        self
    }

    /// With the kernel's own words.
    #[must_use]
    pub fn with_kernel_message(mut self, message: impl Into<String>) -> Self {
        self.0.kernel_message = Some(message.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { attempt, kind, source, kernel_message, undo } = &*self.0;
        write!(f, "{attempt}: {kind} ({}", attempt.backend)?;
        match (self.raw_os_error().map(Errno::from_raw), source) {
            (Some(errno), _) if errno != Errno::UnknownErrno => write!(f, ": {errno:?}, {}", errno.desc())?,
            (_, Some(source)) => write!(f, ": {source}")?,
            (_, None) => {}
        }
        if let Some(message) = kernel_message {
            write!(f, "; the kernel says: {message}")?;
        }
        f.write_str(")")?;
        if let Undo::Failed { left, error } = undo {
            write!(f, "; undoing failed too, {left} is left: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

impl From<Error> for io::Error {
    /// Keeps the kind and the whole text.
    fn from(error: Error) -> Self {
        Self::new(error.kind().io(), error)
    }
}

/// An operation that is under way, from which its errors are made; for those who implement
/// [`BridgeBackend`](crate::BridgeBackend).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    backend: &'static str,
    operation: Operation,
    interface: Option<InterfaceName>,
    port: Option<InterfaceName>,
    capability: Option<Capability>,
}

impl Attempt {
    /// An operation on no interface in particular.
    #[must_use]
    pub const fn new(backend: &'static str, operation: Operation) -> Self {
        Self { backend, operation, interface: None, port: None, capability: None }
    }

    /// On this interface.
    #[must_use]
    pub const fn on(mut self, interface: InterfaceName) -> Self {
        self.interface = Some(interface);
        self
    }

    /// On this interface, if its name is known.
    #[must_use]
    pub const fn maybe_on(mut self, interface: Option<InterfaceName>) -> Self {
        self.interface = interface;
        self
    }

    /// With this port.
    #[must_use]
    pub const fn port(mut self, port: InterfaceName) -> Self {
        self.port = Some(port);
        self
    }

    /// With this option, or this part of it.
    #[must_use]
    pub const fn with(mut self, capability: Capability) -> Self {
        self.capability = Some(capability);
        self
    }

    /// It failed with this kind.
    #[must_use]
    pub fn error(self, kind: ErrorKind) -> Error {
        Error(Box::new(Inner { attempt: self, kind, source: None, kernel_message: None, undo: Undo::NotNeeded }))
    }

    /// A system call failed with this error number, which here means `kind`.
    #[must_use]
    pub fn os(self, kind: ErrorKind, errno: i32) -> Error {
        self.io(kind, io::Error::from_raw_os_error(errno))
    }

    /// Something failed with `source`, which here means `kind`.
    #[must_use]
    pub fn io(self, kind: ErrorKind, source: io::Error) -> Error {
        let mut error = self.error(kind);
        error.0.source = Some(source);
        error
    }

    /// A system call failed with `errno`, which here means `kind`.
    pub(crate) fn means(self, kind: ErrorKind, errno: Errno) -> Error {
        self.os(kind, errno as i32)
    }

    /// A system call failed with an errno that means here what it means everywhere.
    pub(crate) fn errno(self, errno: Errno) -> Error {
        self.means(ErrorKind::of(errno), errno)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.operation {
            Operation::Open => "cannot open the backend",
            Operation::Create => "cannot create bridge",
            Operation::Delete => "cannot delete bridge",
            Operation::Find => "cannot find bridge",
            Operation::List => "cannot list the bridges",
            Operation::Change => "cannot change bridge",
            Operation::AddPort => "cannot add a port to bridge",
            Operation::RemovePort => "cannot remove a port from bridge",
            Operation::Ports => "cannot list the ports of bridge",
            Operation::Interfaces => "cannot list the interfaces",
            Operation::GenerateMac => "cannot generate a MAC",
            Operation::ChangePort => "cannot change a port of bridge",
            Operation::Fdb => "cannot list the FDB of bridge",
            Operation::AddFdbEntry => "cannot add to the FDB of bridge",
            Operation::ReplaceFdbEntry => "cannot replace in the FDB of bridge",
            Operation::RemoveFdbEntry => "cannot remove from the FDB of bridge",
            Operation::FlushFdb => "cannot flush the FDB of bridge",
            Operation::Vlans => "cannot list the VLANs of a port of bridge",
            Operation::AddVlans => "cannot add VLANs to a port of bridge",
            Operation::RemoveVlans => "cannot remove VLANs from a port of bridge",
            Operation::CreateTap => "cannot create tap",
            Operation::PersistTap => "cannot keep tap",
            Operation::ChangeTap => "cannot change tap",
            Operation::DeleteTap => "cannot delete tap",
            Operation::Taps => "cannot list the taps",
            Operation::Events => "cannot follow the kernel's events",
        })?;
        if let Some(interface) = self.interface {
            write!(f, " {interface}")?;
        }
        if let Some(port) = self.port {
            write!(f, ", port {port}")?;
        }
        if let Some(capability) = self.capability {
            write!(f, ", {capability}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn attempt() -> Attempt {
        Attempt::new("netlink", Operation::Create).on("br0".parse().expect("a name"))
    }

    #[test]
    fn says_what_where_and_why_in_one_sentence() {
        let error = attempt().means(ErrorKind::BridgeExists, Errno::EEXIST);
        assert_eq!(
            error.to_string(),
            "cannot create bridge br0: a bridge of this name exists (netlink: EEXIST, File exists)"
        );
        assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
        assert!(error.source().is_some());
    }

    #[test]
    fn carries_both_failures_when_undoing_fails() {
        let undo = attempt().errno(Errno::EBUSY);
        let error = attempt()
            .errno(Errno::EINVAL)
            .with_kernel_message("mtu greater than device maximum")
            .undone(Err(undo), "interface br0");
        let text = error.to_string();
        assert!(text.contains("EINVAL") && text.contains("mtu greater") && text.contains("EBUSY"), "{text}");
        assert!(text.contains("interface br0 is left"), "{text}");
    }

    #[test]
    fn becomes_an_io_error_without_loss() {
        let text = attempt().errno(Errno::EPERM).to_string();
        let error = io::Error::from(attempt().errno(Errno::EPERM));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), text);
    }
}
