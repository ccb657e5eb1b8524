//! Why a network could not be started, stopped or looked at.

use std::{fmt, io};

use super::getters::getters;
use super::report::{self, place_and_reason};
#[cfg(feature = "store")]
use super::{InvalidNetwork, StoreError};
use super::{NetworkName, Occupied};
use crate::{Error, InterfaceName};

/// A network, and what went wrong with it on its host.
///
/// `Display` leaves out the source, for callers that print a chain of errors.
/// [`report`](Self::report) displays all causes in one sentence:
///
/// ```text
/// network default: cannot create bridge virbr0: permission denied (netlink: EPERM, Operation not permitted)
/// ```
#[derive(Debug)]
pub struct NetworkError {
    network: NetworkName,
    failure: NetworkFailure,
}

impl NetworkError {
    /// Creates the error of this network.
    #[must_use]
    pub const fn new(network: NetworkName, failure: NetworkFailure) -> Self {
        Self { network, failure }
    }

    /// For `map_err`: what went wrong with this network.
    pub(super) fn of(network: &NetworkName) -> impl FnOnce(NetworkFailure) -> Self {
        move |failure| Self::new(network.clone(), failure)
    }

    getters! {
        /// Returns the network.
        network: &NetworkName;
        /// Returns what went wrong.
        failure: &NetworkFailure;
    }

    /// Returns what went wrong, without the network.
    #[must_use]
    pub fn into_failure(self) -> NetworkFailure {
        self.failure
    }
}

place_and_reason!(NetworkError, failure, |error| format_args!("network {}", error.network));

/// What can go wrong with a network on its host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFailure {
    /// It was to be started, and its bridge exists.
    #[error("it is active: its bridge {0} exists")]
    Active(InterfaceName),
    /// It was to be started, and its bridge exists, which no record says that vmbridge started.
    #[cfg(feature = "store")]
    #[error("its bridge {0} exists and was not started as this network; `network ensure` adopts it")]
    NotAdopted(InterfaceName),
    /// It was to be stopped, and its bridge does not exist. Leftovers of the network are removed.
    #[error("it is not active: bridge {0} does not exist")]
    NotActive(InterfaceName),
    /// Something that is not the network's has the name of its bridge or of its anchor.
    #[error("{0}")]
    Occupied(Occupied),
    /// The backend failed.
    #[error("the backend failed")]
    Backend(#[from] Error),
    /// It was started with another bridge than it is defined with now, and that bridge exists.
    #[cfg(feature = "store")]
    #[error("it is running on bridge {active} but is now defined with {defined}; stop it first")]
    #[non_exhaustive]
    ActiveAs {
        /// The bridge that it was started with.
        active: InterfaceName,
        /// The bridge that it is defined with.
        defined: InterfaceName,
    },
    /// Its definition lacks something, or it has no bridge of its own.
    #[cfg(feature = "store")]
    #[error(transparent)]
    Invalid(#[from] InvalidNetwork),
    /// Its definition cannot be used, or its start cannot be recorded.
    #[cfg(feature = "store")]
    #[error(transparent)]
    Store(Box<StoreError>),
    /// It failed, and its record in the state directory could not be rolled back.
    #[cfg(feature = "store")]
    #[error("rollback failed, its record is left: {}", rollback.report())]
    #[non_exhaustive]
    RollbackFailed {
        /// What failed first.
        #[source]
        failure: Box<NetworkFailure>,
        /// Why the rollback failed.
        rollback: Box<StoreError>,
    },
}

#[cfg(feature = "store")]
impl From<StoreError> for NetworkFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl NetworkFailure {
    /// Returns the backend's error, if that is the cause.
    #[must_use]
    pub fn backend_error(&self) -> Option<&Error> {
        report::backend_error(self)
    }

    /// Displays the whole failure in one sentence, all causes included.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        report::from_fn(move |f| self.write_report(f))
    }

    fn write_report(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(error) => write!(f, "{}", error.report()),
            #[cfg(feature = "store")]
            Self::Store(error) => write!(f, "{}", error.report()),
            #[cfg(feature = "store")]
            Self::RollbackFailed { failure, .. } => {
                failure.write_report(f)?;
                write!(f, "; {self}")
            }
            other => write!(f, "{other}"),
        }
    }

    fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Active(_) | Self::Occupied(_) => io::ErrorKind::AlreadyExists,
            #[cfg(feature = "store")]
            Self::NotAdopted(_) => io::ErrorKind::AlreadyExists,
            Self::NotActive(_) => io::ErrorKind::NotFound,
            Self::Backend(error) => error.kind().into(),
            #[cfg(feature = "store")]
            Self::ActiveAs { .. } => io::ErrorKind::ResourceBusy,
            #[cfg(feature = "store")]
            Self::Invalid(_) => io::ErrorKind::InvalidInput,
            #[cfg(feature = "store")]
            Self::Store(error) => error.io_kind(),
            #[cfg(feature = "store")]
            Self::RollbackFailed { failure, .. } => failure.io_kind(),
        }
    }
}

impl From<NetworkFailure> for io::Error {
    /// Keeps the kind; the failure itself is the inner error.
    fn from(failure: NetworkFailure) -> Self {
        Self::new(failure.io_kind(), failure)
    }
}
