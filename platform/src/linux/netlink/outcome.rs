//! The meaning of an exchange with the kernel: an interface that was found, or an error.

use nix::errno::Errno;

use super::link::Link;
use super::socket::Failure;
use crate::error::Attempt;
use crate::{Capability, Error, ErrorKind, Identity, Outcome, Result};

/// An interface that was looked for.
pub(super) type Found = std::result::Result<Option<Link>, Failure>;

pub(super) fn found(answer: std::result::Result<Link, Failure>) -> Found {
    match answer {
        Ok(link) => Ok(Some(link)),
        Err(Failure::Refused(Errno::ENODEV, _)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Returns the bridge that was looked for.
pub(super) fn as_bridge(at: Attempt, found: &Found) -> Result<&Link> {
    match found {
        Ok(Some(link)) if link.is_bridge => Ok(link),
        Ok(Some(_)) => Err(at.error(ErrorKind::NotABridge)),
        Ok(None) => Err(at.means(ErrorKind::NotFound, Errno::ENODEV)),
        Err(failure) => Err(error(at, failure.again())),
    }
}

/// Returns the interface that was looked for as a port.
pub(super) fn as_interface(at: Attempt, found: &Found) -> Result<&Link> {
    match found {
        Ok(Some(link)) => Ok(link),
        Ok(None) => Err(at.means(ErrorKind::PortNotFound, Errno::ENODEV)),
        Err(failure) => Err(error(at, failure.again())),
    }
}

impl Link {
    pub(super) const fn identity(&self) -> Identity {
        Identity::new(self.name, self.index)
    }
}

/// The meaning of a refusal: its kind, and the option that it is about, if that is known.
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
    /// The kernel refuses a message with these options. It does not tell which of several. VLAN filtering is the only
    /// option of a bridge that it may lack and does not ignore then (`br_vlan_filter_toggle()`, `net/bridge/br_private.h`).
    pub(super) fn of_options(errno: Errno, options: impl IntoIterator<Item = Capability>) -> Option<Self> {
        let kind = match errno {
            Errno::EINVAL | Errno::ERANGE => ErrorKind::InvalidOption,
            Errno::EOPNOTSUPP => ErrorKind::Unsupported,
            _ => return None,
        };
        let mut options = options.into_iter();
        let first = options.next()?;
        let option = match options.next() {
            None => Some(first),
            Some(second) => [first, second]
                .into_iter()
                .chain(options)
                .find(|&option| kind == ErrorKind::Unsupported && option == Capability::VlanFiltering),
        };
        Some(Self { kind, option })
    }

    /// Returns the error of a refusal that has this meaning.
    pub(super) fn error(self, at: Attempt, errno: Errno, text: Option<String>) -> Error {
        let at = self.option.map_or(at, |option| at.with(option));
        with_text(at.means(self.kind, errno), text)
    }
}

/// Returns the error of a failure without a special meaning.
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

/// Returns the outcome of a message that the kernel carries out as a whole or not at all.
pub(super) fn conclude<C: Into<Cause>>(
    at: Attempt,
    answer: std::result::Result<(), Failure>,
    refusal: impl FnOnce(Errno, Option<&str>) -> C,
) -> Outcome {
    match answer {
        Ok(()) => Outcome::DONE,
        Err(Failure::Refused(errno, text)) => {
            let cause = refusal(errno, text.as_deref()).into();
            Outcome::Refused(cause.error(at, errno, text))
        }
        Err(failure) => Outcome::unclear(error(at, failure)),
    }
}

/// The same for a message that the kernel may carry out in part before it refuses the rest. Without privilege, it
/// does not begin.
pub(super) fn conclude_partial<C: Into<Cause>>(
    at: Attempt,
    answer: std::result::Result<(), Failure>,
    refusal: impl FnOnce(Errno, Option<&str>) -> C,
) -> Outcome {
    match conclude(at, answer, refusal) {
        Outcome::Refused(error) if error.kind() != ErrorKind::PermissionDenied => Outcome::unclear(error),
        outcome => outcome,
    }
}

fn with_text(error: Error, text: Option<String>) -> Error {
    match text {
        Some(text) => error.with_kernel_message(text),
        None => error,
    }
}
