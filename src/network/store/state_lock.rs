//! The lock on the state directory, and the records that its holder keeps there.

use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::{StoreError, directory, file};
use crate::network::{Document, NetworkName, ResolvedNetwork};

/// Exclusive access to the state directory. Only its holder starts and stops networks.
///
/// To start a network, record it first and then create its bridge. To stop it, delete its bridge first and
/// then remove the record. A process that is killed then leaves no bridge without a record.
#[derive(Debug)]
pub struct StateLock<'s> {
    directory: &'s Path,
    _lock: Lock,
}

impl<'s> StateLock<'s> {
    pub(super) const fn new(directory: &'s Path, lock: Lock) -> Self {
        Self { directory, _lock: lock }
    }

    /// Returns the active networks as they were started, in the order of their file names. A file that
    /// cannot be used is an error in its place.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn networks(&self) -> Result<Vec<Result<ResolvedNetwork, StoreError>>, StoreError> {
        let network = |document: Document| {
            let network = ResolvedNetwork::from_document(&document);
            network.map_err(StoreError::at(&self.path_of(document.parsed().name())))
        };
        Ok(directory::read_all(self.directory)?.into_values().map(|document| document.and_then(network)).collect())
    }

    /// Records the definition that a network is started with.
    ///
    /// # Errors
    /// [`StoreReason::NotDurable`](crate::network::StoreReason::NotDurable),
    /// [`StoreReason::Io`](crate::network::StoreReason::Io).
    pub fn insert(&self, document: &Document) -> Result<(), StoreError> {
        file::replace(&self.path_of(document.parsed().name()), document.text())
    }

    /// Removes the record of a network. A network without a record is not an error.
    ///
    /// # Errors
    /// [`StoreReason::NotDurable`](crate::network::StoreReason::NotDurable),
    /// [`StoreReason::Io`](crate::network::StoreReason::Io).
    pub fn remove(&self, name: &NetworkName) -> Result<(), StoreError> {
        let path = self.path_of(name);
        match file::remove(&path) {
            Err(_) if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) => {
                Ok(())
            }
            removed => removed,
        }
    }

    fn path_of(&self, name: &NetworkName) -> PathBuf {
        directory::path_of(self.directory, name)
    }
}
