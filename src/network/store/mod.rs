//! Where the definitions of networks are kept: a file each, as libvirt has them.
//!
//! In the configuration directory is what is defined, in the state directory the definition that
//! each active network was started with. Nothing else is known of an active network: the kernel
//! has its bridge, and what it is called is in that definition, also when another one has been defined since.
//!
//! A file is replaced in one step that is durable when it is done ([`file`]); whoever changes a
//! directory has a lock on it ([`lock`]), and whoever reads needs none.

mod define;
mod directory;
mod error;
mod file;
mod lock;
mod mac_source;
mod migration;

#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::define::DefineOutcome;
pub use self::error::{StoreError, StoreReason};
use self::lock::Lock;
pub use self::mac_source::{MacSource, derived_mac};
pub use self::migration::{MigratedFile, MigrationMode, MigrationOutcome};
use super::{BridgeName, Document, InvalidNetwork, NetworkName, NetworkReason, ResolvedNetwork};
use crate::{CONFIG_DIR, STATE_DIR};

/// The definitions of a host's networks.
///
/// ```
/// use vmbridge::model::Model;
/// use vmbridge::network::{Document, MacSource, Network, Store};
///
/// # let directory = tempfile::tempdir()?;
/// # let (config, state) = (directory.path().join("config"), directory.path().join("state"));
/// let (host, store) = (Model::new(), Store::new(config, state));
/// let document = Document::of(&Network::new("default".parse()?))?;
/// let defined = store.define(&host, &document, &MacSource::Random)?.document;
/// assert_eq!(defined.network()?.bridge().to_string(), "virbr0");
/// assert!(defined.network()?.mac().is_some());
/// assert_eq!(store.load(&"default".parse()?)?.text(), defined.text());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Store {
    config: PathBuf,
    state: PathBuf,
    patience: Duration,
}

impl Store {
    /// A store in a configuration and a state directory, which need not be there yet: they are
    /// made when something is written to them.
    #[must_use]
    pub fn new(config: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { config: config.into(), state: state.into(), patience: Duration::from_secs(120) }
    }

    /// That waits so long for others who change it, and not 120 s: a start of a network with an anchor
    /// and STP takes up to two forward delays of 30 s, and some.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What is defined, in the order of the files' names. A file that cannot be used is an error in
    /// its place; files that are not called like a network's are passed over.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Result<Document, StoreError>>, StoreError> {
        Ok(directory::read_all(&self.config)?.into_values().collect())
    }

    /// What is defined as the network of this name.
    ///
    /// # Errors
    /// [`StoreReason::NotDefined`]; any other for a file that cannot be used.
    pub fn load(&self, name: &NetworkName) -> Result<Document, StoreError> {
        directory::find(&self.config, name)?.ok_or_else(|| self.not_defined(name))
    }

    /// Forgets a network. An active one stays so.
    ///
    /// A file that cannot be read is removed as well; of a symbolic link, the link.
    ///
    /// # Errors
    /// [`StoreReason::NotDefined`], [`StoreReason::Locked`], [`StoreReason::NotDurable`],
    /// [`StoreReason::Io`].
    pub fn undefine(&self, name: &NetworkName) -> Result<(), StoreError> {
        let path = directory::path_of(&self.config, name);
        // No lock in a directory that is not there.
        if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(self.not_defined(name));
        }
        let _lock = self.lock(&self.config)?;
        file::remove(&path)
    }

    /// The definitions that networks were started with, as [`list`](Self::list) has those that are
    /// defined.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn list_active(&self) -> Result<Vec<Result<Document, StoreError>>, StoreError> {
        Ok(directory::read_all(&self.state)?.into_values().collect())
    }

    /// The definition that the network of this name was started with, if it was started.
    ///
    /// # Errors
    /// Its file is there and cannot be used.
    pub fn active(&self, name: &NetworkName) -> Result<Option<Document>, StoreError> {
        directory::find(&self.state, name)
    }

    /// Keeps all others from starting and stopping networks while the guard is there.
    ///
    /// # Errors
    /// [`StoreReason::Locked`], [`StoreReason::NotDurable`], [`StoreReason::Io`].
    pub fn lock_state(&self) -> Result<StateLock<'_>, StoreError> {
        file::make_directory(&self.state)?;
        Ok(StateLock { store: self, _lock: self.lock(&self.state)? })
    }

    /// Locks one of the two directories, which must be two.
    fn lock(&self, directory: &Path) -> Result<Lock, StoreError> {
        self.check_directories()?;
        Lock::take(directory, self.patience)
    }

    /// Refuses one directory for both, whatever it is called.
    fn check_directories(&self) -> Result<(), StoreError> {
        let identity = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let are_one = match (identity(&self.config), identity(&self.state)) {
            (Ok(config), Ok(state)) => config == state,
            _ => self.config == self.state,
        };
        if are_one { Err(StoreError::new(&self.config, StoreReason::OneDirectory)) } else { Ok(()) }
    }

    /// Removes the temporary files of writers that were killed. What cannot be removed is in nobody's way,
    /// and left to the next writer.
    pub(super) fn tidy(&self) {
        for directory in [&self.config, &self.state] {
            if file::left_over(directory).is_ok_and(|files| !files.is_empty()) {
                let _ = Lock::take(directory, self.patience).and_then(|_lock| file::sweep(directory));
            }
        }
    }

    fn not_defined(&self, name: &NetworkName) -> StoreError {
        StoreError::new(&directory::path_of(&self.config, name), StoreReason::NotDefined)
    }
}

impl Default for Store {
    /// In the system's directories: on Linux `/etc/vmbridge/networks` and `/run/vmbridge/networks`,
    /// on FreeBSD `/usr/local/etc/vmbridge/networks` and `/var/run/vmbridge/networks`.
    fn default() -> Self {
        Self::new(CONFIG_DIR, STATE_DIR)
    }
}

/// The right to start and to stop networks, which one has at a time.
///
/// Whoever starts a network says so first and makes its bridge then, and whoever stops it deletes its
/// bridge first: so no bridge is left of which nobody knows, wherever a process is killed.
#[derive(Debug)]
pub struct StateLock<'s> {
    store: &'s Store,
    _lock: Lock,
}

impl StateLock<'_> {
    /// The networks that are active, as they were started, in the order of their files' names. A
    /// file that cannot be used is an error in its place.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn networks(&self) -> Result<Vec<Result<ResolvedNetwork, StoreError>>, StoreError> {
        let network = |document: Document| {
            let network = whole(&document);
            network.map_err(StoreError::at(&self.path_of(document.parsed().name())))
        };
        Ok(self.store.list_active()?.into_iter().map(|document| document.and_then(network)).collect())
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
        directory::path_of(&self.store.state, name)
    }
}

/// The network of a definition that has been completed, as [`Store::define`] does it.
pub(super) fn whole(document: &Document) -> Result<ResolvedNetwork, InvalidNetwork> {
    let network = document.network()?;
    // A name that is chosen now would be another one the next time.
    if let BridgeName::Template(template) = network.bridge() {
        return Err(InvalidNetwork::new("bridge@name", template.to_string(), NetworkReason::NoBridgeName));
    }
    network.clone().resolve([])
}

/// Locks a directory if it is there.
fn lock_if_there(directory: &Path, patience: Duration) -> Result<Option<Lock>, StoreError> {
    directory.is_dir().then(|| Lock::take(directory, patience)).transpose()
}
