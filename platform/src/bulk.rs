//! Many steps in one call: the caller's choice, and the errors.

use std::{error, fmt, io};

use crate::Error;

/// What happens to the other steps when one of many fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bulk {
    /// All are done, or none: steps that are done are rolled back, and no other step begins.
    AllOrNothing,
    /// Each step is tried. A step that fails leaves the others alone.
    AsMuchAsPossible,
}

/// The failures of many steps.
///
/// A step is identified by its place in the caller's slice, from 0. The error displays the number of failures, and
/// [`source`](error::Error::source) is the first of them.
#[derive(Debug)]
pub struct BulkError {
    failures: Vec<(usize, Error)>,
    done: Vec<usize>,
}

impl BulkError {
    /// Returns the result of steps of which these have failed and these are done. `Ok` if none has failed.
    pub(crate) fn result(mut failures: Vec<(usize, Error)>, mut done: Vec<usize>) -> BulkResult {
        if failures.is_empty() {
            return Ok(());
        }
        failures.sort_by_key(|&(place, _)| place);
        done.sort_unstable();
        Err(Self { failures, done })
    }

    /// Returns the failures with the places of their steps, in order; at least one. A step that could not be rolled
    /// back is listed with the failure of its rollback.
    #[must_use]
    pub fn failures(&self) -> &[(usize, Error)] {
        &self.failures
    }

    /// Returns the failures, and consumes the error.
    #[must_use]
    pub fn into_failures(self) -> Vec<(usize, Error)> {
        self.failures
    }

    /// Returns the places of the steps that stay done, in order. With [`Bulk::AsMuchAsPossible`] these are all that did
    /// not fail; with [`Bulk::AllOrNothing`] those that could not be rolled back, usually none.
    #[must_use]
    pub fn done(&self) -> &[usize] {
        &self.done
    }

    /// Displays the whole error in one sentence, the failed system call included.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        let others = match self.failures.len() - 1 {
            0 => String::new(),
            others => format!("; and {others} more failed"),
        };
        format!("{}{others}", self.failures[0].1.report())
    }
}

impl fmt::Display for BulkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.len() {
            1 => f.write_str("a step failed"),
            count => write!(f, "{count} steps failed"),
        }
    }
}

impl error::Error for BulkError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.failures[0].1)
    }
}

impl From<BulkError> for io::Error {
    /// Keeps the kind of the first failure; the error itself is the inner one.
    fn from(error: BulkError) -> Self {
        Self::new(error.failures[0].1.kind().io(), error)
    }
}

/// The result of many steps.
pub type BulkResult = std::result::Result<(), BulkError>;
