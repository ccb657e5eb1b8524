//! The definitions of a host's networks, in two directories.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::{Directory, file_of};
use super::lock::Lock;
use super::{BridgeOrigin, StateLock, StoreError, StoreReason, directory};
use crate::network::{Document, NetworkName};
use crate::system;

/// The definitions of a host's networks.
///
/// Both directories must belong to root or to the effective user, and nobody else may write to them
/// ([`StoreReason::Untrusted`]): whoever could, could have root define and start networks. Symbolic links in them are
/// not followed. Each of the directories itself may be reached by one.
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
    pub(super) config: PathBuf,
    pub(super) state: PathBuf,
    /// The directory of libvirt's definitions, if it is another than that of this store.
    pub(super) libvirt: Option<PathBuf>,
    pub(super) patience: Duration,
}

impl Store {
    /// The directory of the definitions in the system's own store: `/etc/vmbridge/networks`, and on
    /// FreeBSD `/usr/local/etc/vmbridge/networks` (`hier(7)`).
    pub const CONFIG_DIR: &str = system::CONFIG_DIR;

    /// The directory of the records of active networks in the system's own store, which a boot empties:
    /// `/run/vmbridge/networks`, and on FreeBSD `/var/run/vmbridge/networks` (`rc.d/cleanvar`).
    pub const STATE_DIR: &str = system::STATE_DIR;

    /// The directory of libvirt's own definitions: `/etc/libvirt/qemu/networks`, and on FreeBSD
    /// `/usr/local/etc/libvirt/qemu/networks`.
    pub const LIBVIRT_CONFIG_DIR: &str = system::LIBVIRT_CONFIG_DIR;

    /// The directory of libvirt's records of active networks: `/run/libvirt/network`, and on FreeBSD
    /// `/var/run/libvirt/network`. libvirt creates it when it starts; before 1.2.4 it was
    /// `/var/lib/libvirt/network`.
    pub const LIBVIRT_STATE_DIR: &str = system::LIBVIRT_STATE_DIR;

    /// A store in a configuration and a state directory, which need not be there yet: they are
    /// made when something is written to them.
    #[must_use]
    pub fn new(config: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { config: config.into(), state: state.into(), libvirt: None, patience: Duration::from_secs(120) }
    }

    /// Sets the directory of the definitions of a libvirt on this host, which need not exist. [`define`](Self::define)
    /// chooses no name of its networks' bridges.
    #[must_use]
    pub fn with_libvirt(mut self, directory: impl Into<PathBuf>) -> Self {
        self.libvirt = Some(directory.into());
        self
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
        let (config, file) = (Directory::open(&self.config)?, file_of(name));
        // No lock where nothing is to be removed.
        let config = config.filter(|config| config.has(&file)).ok_or_else(|| self.not_defined(name))?;
        let _lock = self.lock(&config)?;
        match config.remove(&file) {
            // Another process has been faster.
            Err(error) if error.is_absent() => Err(self.not_defined(name)),
            removed => removed,
        }
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

    /// Returns the record of a network that is started with this definition.
    pub(in crate::network) fn record(
        &self,
        definition: &Document,
        origin: BridgeOrigin,
    ) -> Result<Document, StoreError> {
        let path = directory::path_of(&self.state, definition.parsed().name());
        origin.record(definition).map_err(StoreError::at(&path))
    }

    /// Locks the state directory: until the guard is dropped, nobody else starts or stops networks.
    ///
    /// # Errors
    /// [`StoreReason::Locked`], [`StoreReason::NotDurable`], [`StoreReason::Io`].
    pub fn lock_state(&self) -> Result<StateLock<'_>, StoreError> {
        let state = Directory::make(&self.state)?;
        let lock = self.lock(&state)?;
        Ok(StateLock::new(state, lock))
    }

    /// Locks the definitions, so that what is read of one still holds when it is recorded. Who has the lock of the state
    /// directory, too, has taken that first.
    ///
    /// Nobody defines a network in a directory that is missing: there is nothing to lock. Nor in one that is read-only
    /// and has no lock. Where it is read-only for this process alone, others have made one.
    pub(in crate::network) fn lock_definitions(&self) -> Result<Option<Lock>, StoreError> {
        let Some(config) = Directory::open(&self.config)? else { return Ok(None) };
        match self.lock(&config) {
            Err(error) if error.io_kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Lock::take_existing(&config, self.patience)
            }
            lock => lock.map(Some),
        }
    }

    /// Locks one of the two directories, which must be two.
    pub(super) fn lock(&self, directory: &Directory<'_>) -> Result<Lock, StoreError> {
        self.check_directories()?;
        Lock::take(directory, self.patience)
    }

    /// Refuses one directory for both, whatever it is called.
    pub(super) fn check_directories(&self) -> Result<(), StoreError> {
        let identity = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let are_one = match (identity(&self.config), identity(&self.state)) {
            (Ok(config), Ok(state)) => config == state,
            _ => self.config == self.state,
        };
        if are_one { Err(StoreError::new(&self.config, StoreReason::OneDirectory)) } else { Ok(()) }
    }

    /// Removes the temporary files of writers that were killed. What cannot be removed is in nobody's way,
    /// and left to the next writer.
    pub(in crate::network) fn tidy(&self) {
        for path in [&self.config, &self.state] {
            let Ok(Some(directory)) = Directory::open(path) else { continue };
            if directory.left_over().is_ok_and(|files| !files.is_empty()) {
                let _ = Lock::take(&directory, self.patience).and_then(|_lock| directory.sweep());
            }
        }
    }

    fn not_defined(&self, name: &NetworkName) -> StoreError {
        StoreError::new(&directory::path_of(&self.config, name), StoreReason::NotDefined)
    }
}

impl Default for Store {
    /// Creates the system's own store, in [`CONFIG_DIR`](Self::CONFIG_DIR) and [`STATE_DIR`](Self::STATE_DIR), beside
    /// libvirt's in [`LIBVIRT_CONFIG_DIR`](Self::LIBVIRT_CONFIG_DIR).
    fn default() -> Self {
        Self::new(Self::CONFIG_DIR, Self::STATE_DIR).with_libvirt(Self::LIBVIRT_CONFIG_DIR)
    }
}
