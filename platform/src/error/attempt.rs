//! What was tried: an operation, by a backend, on an interface.

use std::fmt;

use super::operation::Operation;
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
