//! The lock on the state directory, and the records that its holder keeps there.

use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::{StoreError, directory, file};
use crate::network::{Document, NetworkName, ResolvedNetwork};

/// The right to start and to stop networks, which one has at a time.
///
/// Whoever starts a network says so first and makes its bridge then, and whoever stops it deletes its
/// bridge first: so no bridge is left of which nobody knows, wherever a process is killed.
#[derive(Debug)]
pub struct StateLock<'s> {
    directory: &'s Path,
    _lock: Lock,
}

impl<'s> StateLock<'s> {
    pub(super) const fn new(directory: &'s Path, lock: Lock) -> Self {
        Self { directory, _lock: lock }
    }

    /// The networks that are active, as they were started, in the order of their files' names. A
    /// file that cannot be used is an error in its place.
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

    /// Notes with which definition a network is started.
    ///
    /// # Errors
    /// [`StoreReason::NotDurable`], [`StoreReason::Io`].
    pub fn insert(&self, document: &Document) -> Result<(), StoreError> {
        file::replace(&self.path_of(document.parsed().name()), document.text())
    }

    /// Notes that a network is stopped; it is no error if it was not started.
    ///
    /// # Errors
    /// [`StoreReason::NotDurable`], [`StoreReason::Io`].
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
