//! What can go wrong with a store.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use super::Distrust;
use crate::network::printable::{self, quoted};
use crate::network::report::{self, place_and_reason};
use crate::network::{DocumentReason, InvalidDocument, InvalidFiles, InvalidNetwork, NetworkName};
use crate::{Error, InterfaceName, UnicastMac};

/// A file of a store, and what went wrong with it.
///
/// `Display` leaves out the source, for callers that print a chain of errors.
/// [`report`](Self::report) displays all causes in one sentence:
///
/// ```text
/// /etc/vmbridge/networks/lan.xml: its bridge virbr0 is that of network default
/// ```
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    reason: StoreReason,
}

impl StoreError {
    pub(in crate::network) fn new(path: &Path, reason: impl Into<StoreReason>) -> Self {
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

    /// The file does not exist.
    pub(super) fn is_absent(&self) -> bool {
        matches!(&self.reason, StoreReason::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// It was read, and is no network's; not so a file that may be one and could not be read.
    pub(super) fn is_no_definition(&self) -> bool {
        match &self.reason {
            StoreReason::Io { .. } | StoreReason::Untrusted(_) => false,
            StoreReason::Document(document) => !matches!(document.reason(), DocumentReason::Io(_)),
            _ => true,
        }
    }

    pub(in crate::network) fn io_kind(&self) -> io::ErrorKind {
        self.reason.io_kind()
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

place_and_reason!(StoreError, reason, |error| printable::path(&error.path));

/// Why a file of a store could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreReason {
    /// A system call failed.
    #[error("cannot {doing} it")]
    #[non_exhaustive]
    Io {
        /// What was tried: a verb.
        doing: &'static str,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
    /// The file is changed or removed, but a loss of power may revert that.
    #[error("it is changed, but a loss of power may revert that")]
    NotDurable(#[source] io::Error),
    /// The directories for definitions and for live state are one: stopping a network would remove
    /// its definition.
    #[error("it is also the directory for live state; use two directories")]
    OneDirectory,
    /// Another process holds the lock.
    #[error("another process has it locked, and had for {} s", .0.as_secs())]
    Locked(Duration),
    /// libvirt runs with this state directory. It keeps definitions in memory, and would not see a change.
    #[error(
        "libvirt has it locked, so it is running and would not see the change; stop libvirtd or virtnetworkd first, \
         and its sockets"
    )]
    LibvirtRunning,
    /// A directory, a device or the like.
    #[error("it is not a regular file")]
    NotAFile,
    /// A symbolic link, which could lead anywhere.
    #[error("it is a symbolic link; put the file in its place")]
    SymbolicLink,
    /// Others than root and the effective user can have written to the directory.
    #[error(transparent)]
    Untrusted(#[from] Distrust),
    /// Another process, without the lock, has changed the file since it was read.
    #[error("another process has just changed it; try again")]
    Changed,
    /// Its name is not UTF-8.
    #[error("its name is not UTF-8")]
    FileName,
    /// The name in it is another than that of the file.
    #[error("it defines network {}, whose file has another name", quoted(.0.as_str()))]
    OtherName(NetworkName),
    /// No definition of a network.
    #[error(transparent)]
    Document(#[from] InvalidDocument),
    /// A value that a network cannot have.
    #[error(transparent)]
    Network(#[from] InvalidNetwork),
    /// The two files of a network do not agree.
    #[error(transparent)]
    Files(#[from] InvalidFiles),
    /// No network of this name is defined.
    #[error("the network is not defined")]
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
    #[error("the network exists with UUID {0}")]
    OtherUuid(String),
    /// The host could not be asked, or has an interface of the bridge's name that is no bridge.
    #[error("the backend failed")]
    Host(#[from] Error),
}

impl StoreReason {
    /// Displays the whole reason in one sentence, all causes included.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        report::from_fn(move |f| match self {
            Self::Io { error, .. } | Self::NotDurable(error) => write!(f, "{self}: {error}"),
            Self::Document(error) => write!(f, "{}", error.report()),
            Self::Files(error) => write!(f, "{}", error.report()),
            Self::Host(error) => write!(f, "{}", error.report()),
            other => write!(f, "{other}"),
        })
    }

    fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { error, .. } | Self::NotDurable(error) => error.kind(),
            Self::Locked(_) | Self::LibvirtRunning | Self::Changed => io::ErrorKind::ResourceBusy,
            Self::Untrusted(_) => io::ErrorKind::PermissionDenied,
            Self::OneDirectory | Self::NotAFile | Self::SymbolicLink | Self::FileName | Self::Network(_) => {
                io::ErrorKind::InvalidInput
            }
            Self::OtherName(_) => io::ErrorKind::InvalidData,
            Self::Document(error) => error.io_kind(),
            Self::Files(error) => error.io_kind(),
            Self::NotDefined => io::ErrorKind::NotFound,
            Self::BridgeInUse(..) | Self::MacInUse(..) | Self::MacOnHost(..) | Self::OtherUuid(_) => {
                io::ErrorKind::AlreadyExists
            }
            Self::Host(error) => error.kind().into(),
        }
    }
}
