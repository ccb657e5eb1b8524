//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::network::{DocumentReason, InvalidDocument, InvalidFiles, InvalidNetwork, NetworkName};
use crate::{Error, InterfaceName, UnicastMac};

/// What went wrong with a file of a store, and which.
///
/// ```text
/// /etc/vmbridge/networks/lan.xml: its bridge virbr0 is that of network default
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", .path.to_string_lossy().escape_debug())]
pub struct StoreError {
    path: PathBuf,
    reason: StoreReason,
}

impl StoreError {
    pub(super) fn new(path: &Path, reason: impl Into<StoreReason>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }

    /// For `map_err`: what could not be done to the file.
    pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(path, StoreReason::Io { doing, error })
    }

    /// For `map_err`, with the reason that the error is.
    pub(super) fn at<R: Into<StoreReason>>(path: &Path) -> impl FnOnce(R) -> Self {
        move |reason| Self::new(path, reason)
    }

    /// It was read, and is no network's; not so a file that may be one and could not be read.
    pub(super) fn is_no_definition(&self) -> bool {
        match &self.reason {
            // A link that leads nowhere.
            StoreReason::Io { error, .. } => error.kind() == io::ErrorKind::NotFound,
            StoreReason::Document(document) => !matches!(document.reason(), DocumentReason::Io(_)),
            _ => true,
        }
    }

    /// What may help, where the cause is known ([`Error::hint`]).
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match &self.reason {
            StoreReason::Host(error) => error.hint(),
            _ => None,
        }
    }

    /// The file or the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn reason(&self) -> &StoreReason {
        &self.reason
    }
}

/// Why a file of a store could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreReason {
    /// A system call failed.
    #[error("cannot {doing} it: {error}")]
    #[non_exhaustive]
    Io {
        /// What was tried: a verb.
        doing: &'static str,
        /// Why it failed.
        error: io::Error,
    },
    /// The new content is there, but a loss of power may bring the old one back.
    #[error("it is written, but whether it outlasts a loss of power is not known: {0}")]
    NotDurable(io::Error),
    /// The directories for definitions and for live state are one: stopping a network would remove
    /// its definition.
    #[error("it is also the directory for what is active; that must be another")]
    OneDirectory,
    /// Another process holds the lock.
    #[error("another process has it locked, and had for {} s", .0.as_secs())]
    Locked(Duration),
    /// A directory, a device or the like.
    #[error("it is no file")]
    NotAFile,
    /// Its name is none that a network can have.
    #[error("no network can be called so")]
    FileName,
    /// The name in it is another than that of the file.
    #[error("the network in it is called {:?}", .0.as_str())]
    OtherName(NetworkName),
    /// No definition of a network.
    #[error("{0}")]
    Document(#[from] InvalidDocument),
    /// A value that a network cannot have.
    #[error("{0}")]
    Network(#[from] InvalidNetwork),
    /// The two files of a network do not agree.
    #[error("{0}")]
    Files(#[from] InvalidFiles),
    /// No network of this name is defined.
    #[error("there is no such network")]
    NotDefined,
    /// Another network has the bridge's name.
    #[error("its bridge {0} is that of network {by}", by = .1.as_str())]
    BridgeInUse(InterfaceName, NetworkName),
    /// Another network has the MAC.
    #[error("its MAC {0} is that of network {by}", by = .1.as_str())]
    MacInUse(UnicastMac, NetworkName),
    /// An interface of the host has the MAC that was derived.
    #[error("the MAC {0} that is derived for it is that of interface {1}")]
    MacOnHost(UnicastMac, InterfaceName),
    /// The network has another UUID.
    #[error("the network is there already, with UUID {0}")]
    OtherUuid(String),
    /// The host could not be asked, or has an interface of the bridge's name that is no bridge.
    #[error("{0}")]
    Host(#[from] Error),
}
