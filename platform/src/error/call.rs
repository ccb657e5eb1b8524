//! Errnos of system calls as errors of an operation.

use nix::errno::Errno;

use super::{Attempt, Error, ErrorKind, Result};

/// What some errnos mean for one call, where that is not what they mean everywhere.
pub(crate) type Meanings = [(Errno, ErrorKind)];

/// The result of a system call, whose errno becomes an error of an operation.
pub(crate) trait CallResult<T> {
    /// Returns an errno as the error that it means everywhere.
    fn at(self, at: Attempt) -> Result<T>;

    /// Returns an errno as the error that it means for this call.
    fn meaning(self, at: Attempt, meanings: &Meanings) -> Result<T>;

    /// Returns `None` instead of this errno.
    fn unless(self, errno: Errno) -> nix::Result<Option<T>>;
}

impl<T> CallResult<T> for nix::Result<T> {
    fn at(self, at: Attempt) -> Result<T> {
        self.meaning(at, &[])
    }

    fn meaning(self, at: Attempt, meanings: &Meanings) -> Result<T> {
        self.map_err(|errno| at.meaning(errno, meanings))
    }

    fn unless(self, errno: Errno) -> nix::Result<Option<T>> {
        match self {
            Err(other) if other == errno => Ok(None),
            outcome => outcome.map(Some),
        }
    }
}

impl Attempt {
    /// Returns the error of a failed call. Some errnos mean something of their own.
    pub(crate) fn meaning(self, errno: Errno, meanings: &Meanings) -> Error {
        let own = meanings.iter().find(|(known, _)| *known == errno);
        self.means(own.map_or_else(|| ErrorKind::of(errno), |&(_, kind)| kind), errno)
    }
}

/// Returns `None` instead of an error of this kind.
pub(crate) fn unless<T>(kind: ErrorKind, outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == kind => Ok(None),
        outcome => outcome.map(Some),
    }
}
