//! What was tried: an operation, by a backend, on an interface.

use std::{fmt, io};

use nix::errno::Errno;

use super::{Error, ErrorKind, Inner, Operation, Rollback};
use crate::{Capability, Target};

/// An operation that is under way, from which its errors are made; for those who implement
/// [`Backend`](crate::Backend).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub(super) backend: &'static str,
    pub(super) operation: Operation,
    pub(super) interface: Option<Target>,
    pub(super) port: Option<Target>,
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
    pub fn on(mut self, interface: impl Into<Target>) -> Self {
        self.interface = Some(interface.into());
        self
    }

    /// On this interface, if its name is known.
    #[must_use]
    pub fn maybe_on(mut self, interface: Option<impl Into<Target>>) -> Self {
        self.interface = interface.map(Into::into);
        self
    }

    /// With this port.
    #[must_use]
    pub fn port(mut self, port: impl Into<Target>) -> Self {
        self.port = Some(port.into());
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
        Error(Box::new(Inner {
            attempt: self,
            kind,
            source: None,
            kernel_message: None,
            rollback: Rollback::NotNeeded,
        }))
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
        write!(f, "cannot {}", self.operation)?;
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
