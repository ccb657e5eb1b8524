//! The error of every backend: what was tried, on which interface, by which backend, why it
//! failed, and whether what was half made is undone.

mod attempt;
mod kind;
mod operation;

use std::{fmt, io};

use nix::errno::Errno;

pub use self::attempt::Attempt;
pub use self::kind::ErrorKind;
pub use self::operation::Operation;
use crate::{Capability, InterfaceName};

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
