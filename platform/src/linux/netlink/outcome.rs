//! What an exchange with the kernel means: what was found, or why not.

use nix::errno::Errno;

use super::link::Link;
use super::socket::Failure;
use crate::error::Attempt;
use crate::{Capability, Error, ErrorKind, Result};

/// An interface that was looked for.
pub(super) type Found = std::result::Result<Option<Link>, Failure>;

pub(super) fn found(answer: std::result::Result<Link, Failure>) -> Found {
    match answer {
        Ok(link) => Ok(Some(link)),
        Err(Failure::Refused(Errno::ENODEV, _)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The same, for another who asks.
pub(super) fn again(found: &Found) -> Found {
    match found {
        Ok(link) => Ok(link.clone()),
        Err(failure) => Err(failure.again()),
    }
}

/// What was found by the name of a bridge.
pub(super) fn as_bridge(at: Attempt, found: Found) -> Result<Link> {
    match found.map_err(|failure| error(at, failure))? {
        Some(link) if link.is_bridge => Ok(link),
        Some(_) => Err(at.error(ErrorKind::NotABridge)),
        None => Err(at.means(ErrorKind::NotFound, Errno::ENODEV)),
    }
}

/// What a refusal means: its kind, and the option that it is about if that is known.
pub(super) struct Cause {
    pub(super) kind: ErrorKind,
    pub(super) option: Option<Capability>,
}

impl From<ErrorKind> for Cause {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, option: None }
    }
}

impl Cause {
    /// The kernel refuses a message with these options; which of several, it does not tell.
    pub(super) fn of_options(errno: Errno, options: impl IntoIterator<Item = Capability>) -> Option<Self> {
        let kind = match errno {
            Errno::EINVAL | Errno::ERANGE => ErrorKind::InvalidOption,
            Errno::EOPNOTSUPP => ErrorKind::Unsupported,
            _ => return None,
        };
        let mut options = options.into_iter();
        let first = options.next()?;
        Some(Self { kind, option: options.next().is_none().then_some(first) })
    }
}

pub(super) fn error(at: Attempt, failure: Failure) -> Error {
    match failure {
        Failure::Refused(errno, text) => with_text(at.errno(errno), text),
        Failure::Io(source) => match source.raw_os_error().map(Errno::from_raw) {
            Some(errno) => at.errno(errno),
            None => at.io(ErrorKind::Os, source),
        },
        Failure::TimedOut => at.means(ErrorKind::TimedOut, Errno::EAGAIN),
        Failure::Malformed | Failure::Cut => at.error(ErrorKind::MalformedReply),
        Failure::ListChanged => at.error(ErrorKind::ListChanged),
    }
}

pub(super) fn with_text(error: Error, text: Option<String>) -> Error {
    match text {
        Some(text) => error.with_kernel_message(text),
        None => error,
    }
}
