//! What was tried: an operation, by a backend, on an interface.

use std::{fmt, io};

use nix::errno::Errno;

use super::{Error, ErrorKind, Inner, Undo};
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

/// An operation that is under way, from which its errors are made; for those who implement
/// [`BridgeBackend`](crate::BridgeBackend).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub(super) backend: &'static str,
    pub(super) operation: Operation,
    pub(super) interface: Option<InterfaceName>,
    pub(super) port: Option<InterfaceName>,
    pub(super) capability: Option<Capability>,
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
