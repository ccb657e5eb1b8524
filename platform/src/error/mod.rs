//! The error of every backend: the operation, the interface, the backend, the cause, and the outcome of rollback.

mod attempt;
mod call;
mod kind;
mod operation;

use std::{fmt, io};

use nix::errno::Errno;

pub use self::attempt::Attempt;
pub(crate) use self::call::{CallResult, Meanings, unless};
pub use self::kind::ErrorKind;
pub use self::operation::Operation;
use crate::{Capabilities, Capability, InterfaceName, Target};

/// The result of a backend's operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a backend. It displays what failed and why:
///
/// ```text
/// cannot create bridge br0: a bridge of this name exists (netlink)
/// ```
///
/// [`source`](std::error::Error::source) is the failed system call, if one failed. [`report`](Self::report)
/// displays both in one sentence, for programs that do not print the chain of sources.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    attempt: Attempt,
    kind: ErrorKind,
    source: Option<io::Error>,
    kernel_message: Option<String>,
    rollback: Rollback,
}

/// The outcome of rollback after a step failed.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Rollback {
    /// Nothing had changed.
    #[default]
    NotNeeded,
    /// All changes are rolled back.
    Done,
    /// Rollback failed, too.
    #[non_exhaustive]
    Failed {
        /// What is left on the host.
        left: String,
        /// Why it could not be rolled back.
        error: Error,
    },
}

/// The errors of an operation that is under way.
impl Attempt {
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

    /// Refuses the operation on a backend that lacks this capability.
    pub(crate) fn need(self, capability: Capability, capabilities: Capabilities) -> Result<()> {
        if capabilities.contains(capability) {
            return Ok(());
        }
        Err(self.with(capability).error(ErrorKind::Unsupported))
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

impl Error {
    /// Returns the operation that failed.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.0.attempt.operation
    }

    /// Returns the name of the backend.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        self.0.attempt.backend
    }

    /// Returns the bridge or tap of the operation.
    #[must_use]
    pub fn interface(&self) -> Option<InterfaceName> {
        self.0.attempt.interface.map(Target::name)
    }

    /// Returns the port of the operation.
    #[must_use]
    pub fn port(&self) -> Option<InterfaceName> {
        self.0.attempt.port.map(Target::name)
    }

    /// Returns the option that could not be set, or the missing capability.
    #[must_use]
    pub const fn capability(&self) -> Option<Capability> {
        self.0.attempt.capability
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the system's error number, if a system call failed.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.source.as_ref()?.raw_os_error()
    }

    /// Returns the kernel's own message (netlink's extended acknowledgement), if it gave one.
    #[must_use]
    pub fn kernel_message(&self) -> Option<&str> {
        self.0.kernel_message.as_deref()
    }

    /// Returns whether the changes before the failure are rolled back, and otherwise what is left.
    #[must_use]
    pub const fn rollback(&self) -> &Rollback {
        &self.0.rollback
    }

    /// Displays the whole error in one sentence, the failed system call included:
    ///
    /// ```text
    /// cannot create bridge br0: a bridge of this name exists (netlink: EEXIST, File exists)
    /// ```
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        Report(self)
    }

    /// Adds the outcome of rollback. `left` names what is left on the host if `outcome` is an error.
    #[must_use]
    pub fn rolled_back(mut self, outcome: Result<()>, left: impl fmt::Display) -> Self {
        self.0.rollback = match outcome {
            Ok(()) => Rollback::Done,
            Err(error) => Rollback::Failed { left: left.to_string(), error },
        };
        self
    }

    /// Splits off what a failed rollback has left, and why.
    pub(crate) fn take_left(mut self) -> (Self, Option<(String, Self)>) {
        match std::mem::take(&mut self.0.rollback) {
            Rollback::Failed { left, error } => (self, Some((left, error))),
            other => {
                self.0.rollback = other;
                (self, None)
            }
        }
    }

    /// Adds the kernel's own message.
    #[must_use]
    pub fn with_kernel_message(mut self, message: impl Into<String>) -> Self {
        self.0.kernel_message = Some(message.into());
        self
    }
}

impl Error {
    /// Writes what failed and why; `call` writes what is known of the system call.
    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        call: fn(&io::Error, &mut fmt::Formatter<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let Inner { attempt, kind, source, kernel_message, rollback } = &*self.0;
        write!(f, "{attempt}: {kind} ({}", attempt.backend)?;
        source.as_ref().map_or(Ok(()), |source| call(source, f))?;
        if let Some(message) = kernel_message {
            write!(f, "; the kernel says: {message}")?;
        }
        f.write_str(")")?;
        if let Rollback::Failed { left, error } = rollback {
            // No source leads to the failure of the rollback, so that it is displayed whole.
            write!(f, "; rollback failed, {left} is left: {}", Report(error))?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, |_, _| Ok(()))
    }
}

/// An error with its source.
struct Report<'e>(&'e Error);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call =
            |source: &io::Error, f: &mut fmt::Formatter<'_>| match source.raw_os_error().map(Errno::from_raw) {
                Some(errno) if errno != Errno::UnknownErrno => write!(f, ": {errno:?}, {}", errno.desc()),
                _ => write!(f, ": {source}"),
            };
        self.0.write(f, call)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

impl From<Error> for io::Error {
    /// Keeps the kind; the error itself is the inner one.
    fn from(error: Error) -> Self {
        Self::new(error.kind().io(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn attempt() -> Attempt {
        Attempt::new("netlink", Operation::Create).on("br0".parse::<InterfaceName>().expect("a name"))
    }

    #[test]
    fn says_what_where_and_why() {
        let error = attempt().means(ErrorKind::BridgeExists, Errno::EEXIST);
        let text = "cannot create bridge br0: a bridge of this name exists (netlink";
        assert_eq!(error.to_string(), format!("{text})"));
        assert_eq!(error.report().to_string(), format!("{text}: EEXIST, File exists)"));
        assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
        assert!(!error.to_string().contains(&error.source().expect("a call failed").to_string()));
    }

    #[test]
    fn carries_both_failures_when_rollback_fails() {
        let second = attempt().errno(Errno::EBUSY);
        let error = attempt()
            .errno(Errno::EINVAL)
            .with_kernel_message("mtu greater than device maximum")
            .rolled_back(Err(second), "interface br0");
        let text = error.report().to_string();
        assert!(text.contains("EINVAL") && text.contains("mtu greater") && text.contains("EBUSY"), "{text}");
        assert!(text.contains("rollback failed, interface br0 is left"), "{text}");
    }

    #[test]
    fn becomes_an_io_error_without_loss() {
        let text = attempt().errno(Errno::EPERM).to_string();
        let error = io::Error::from(attempt().errno(Errno::EPERM));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn tells_an_identity_from_a_name() {
        let bridge =
            crate::Identity::new("br0".parse().expect("a name"), crate::InterfaceIndex::new(7).expect("one"));
        let error = Attempt::new("netlink", Operation::Delete).on(bridge).error(ErrorKind::NotFound);
        assert_eq!(error.to_string(), "cannot delete bridge br0 (index 7): no such interface (netlink)");
    }
}
