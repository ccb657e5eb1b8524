//! Why a network could not be started, stopped or looked at.

#[cfg(feature = "store")]
use super::{InvalidNetwork, StoreError};
use super::{NetworkName, Occupied};
use crate::{Error, InterfaceName};

/// What went wrong with a network on its host, in one sentence:
///
/// ```text
/// network default: the name virbr0 is in use, by a tap
/// ```
#[derive(Debug, thiserror::Error)]
#[error("network {network}: {failure}")]
pub struct NetworkError {
    network: NetworkName,
    failure: NetworkFailure,
}

impl NetworkError {
    /// Of this network.
    #[must_use]
    pub const fn new(network: NetworkName, failure: NetworkFailure) -> Self {
        Self { network, failure }
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &NetworkName {
        &self.network
    }

    /// What went wrong.
    #[must_use]
    pub const fn failure(&self) -> &NetworkFailure {
        &self.failure
    }

    /// What went wrong, without the network.
    #[must_use]
    pub fn into_failure(self) -> NetworkFailure {
        self.failure
    }

    /// What may help, where the cause is known ([`Error::hint`]).
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.failure.hint()
    }
}

/// What can go wrong with a network on its host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFailure {
    /// It was to be started, and its bridge is there.
    #[error("it is active: its bridge {0} is there")]
    Active(InterfaceName),
    /// It was to be stopped, and its bridge is not there. What was left over of it is removed.
    #[error("it is not active: there is no bridge {0}")]
    NotActive(InterfaceName),
    /// Something that is not the network's has the name of its bridge or of its anchor.
    #[error("{0}")]
    Occupied(Occupied),
    /// The backend has failed.
    #[error(transparent)]
    Backend(#[from] Error),
    /// It was started with another bridge than it is defined with now, and that is there.
    #[cfg(feature = "store")]
    #[error("it is active with the bridge {active}, and defined with {defined} since: it is to be stopped first")]
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
    /// Its definition cannot be used, or what was started cannot be noted.
    #[cfg(feature = "store")]
    #[error(transparent)]
    Store(Box<StoreError>),
    /// It failed, and that it is active could not be taken back from the state directory.
    #[cfg(feature = "store")]
    #[error("{failure}; undoing failed too, its definition is left: {undo}")]
    #[non_exhaustive]
    Noted {
        /// What failed first.
        failure: Box<NetworkFailure>,
        /// Why it could not be undone.
        undo: Box<StoreError>,
    },
}

#[cfg(feature = "store")]
impl From<StoreError> for NetworkFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl NetworkFailure {
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Backend(error) => error.hint(),
            #[cfg(feature = "store")]
            Self::Store(error) => error.hint(),
            #[cfg(feature = "store")]
            Self::Noted { failure, .. } => failure.hint(),
            _ => None,
        }
    }
}
