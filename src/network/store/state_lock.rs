//! The lock on the state directory, and the records that its holder keeps there.

use super::StoreError;
use super::directory::{Directory, file_of};
use super::lock::Lock;
use crate::network::{Document, NetworkName, ResolvedNetwork};

/// Exclusive access to the state directory. Only its holder starts and stops networks.
///
/// To start a network, record it first and then create its bridge. To stop it, delete its bridge first and
/// then remove the record. A process that is killed then leaves no bridge without a record.
#[derive(Debug)]
pub struct StateLock<'s> {
    directory: Directory<'s>,
    _lock: Lock,
}

impl<'s> StateLock<'s> {
    pub(super) const fn new(directory: Directory<'s>, lock: Lock) -> Self {
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
            let file = file_of(document.parsed().name());
            network.map_err(StoreError::at(&self.directory.path_of(&file)))
        };
        let files = self.directory.read_all()?.into_values();
        Ok(files.map(|file| file.and_then(|file| network(file.document))).collect())
    }

    /// Records the definition that a network is started with.
    ///
    /// # Errors
    /// [`StoreReason::NotDurable`](crate::network::StoreReason::NotDurable),
    /// [`StoreReason::Io`](crate::network::StoreReason::Io).
    pub fn insert(&self, document: &Document) -> Result<(), StoreError> {
        let file = file_of(document.parsed().name());
        let old = self.directory.metadata(&file)?;
        self.directory.replace(&file, document.text(), old.as_ref())
    }

    /// Removes the record of a network. A network without a record is not an error.
    ///
    /// # Errors
    /// [`StoreReason::NotDurable`](crate::network::StoreReason::NotDurable),
    /// [`StoreReason::Io`](crate::network::StoreReason::Io).
    pub fn remove(&self, name: &NetworkName) -> Result<(), StoreError> {
        match self.directory.remove(&file_of(name)) {
            Err(error) if error.is_absent() => Ok(()),
            removed => removed,
        }
    }
}
