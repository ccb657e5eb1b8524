//! Why an exchange with the kernel failed.

use std::io;

use nix::errno::Errno;

use crate::linux::netlink::attribute::Malformed;

/// The failure of an exchange.
#[derive(Debug)]
pub(in crate::linux::netlink) enum Failure {
    /// The kernel refused the request and did nothing.
    Refused(Errno, Option<String>),
    /// A call on the socket failed. Whether the kernel did what the request asks is unknown.
    Io(io::Error),
    /// No answer came in time. Whether the kernel did what the request asks is unknown.
    TimedOut,
    /// The answer makes no sense. Whether the kernel did what the request asks is unknown.
    Malformed,
    /// The answer was longer than the buffer, which has grown now.
    Cut,
    /// The interfaces changed during each of several dumps.
    ListChanged,
}

impl Failure {
    /// Makes the failure of a request that could not be sent: the kernel did nothing.
    pub(super) fn unsent(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Refused(Errno::from_raw(errno), None),
            None => Self::Io(error),
        }
    }

    /// Makes the failure of a call that receives.
    pub(super) fn unreceived(error: io::Error) -> Self {
        match error.kind() {
            // SO_RCVTIMEO
            io::ErrorKind::WouldBlock => Self::TimedOut,
            _ => Self::Io(error),
        }
    }

    /// Returns the same failure, for another request that failed with this one.
    pub(in crate::linux::netlink) fn again(&self) -> Self {
        match self {
            Self::Refused(errno, text) => Self::Refused(*errno, text.clone()),
            Self::Io(error) => {
                Self::Io(error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error))
            }
            Self::TimedOut => Self::TimedOut,
            Self::Malformed => Self::Malformed,
            Self::Cut => Self::Cut,
            Self::ListChanged => Self::ListChanged,
        }
    }
}

impl From<Malformed> for Failure {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}
