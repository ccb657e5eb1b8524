//! What is known of a network of a store, and what the host has of it.

use crate::InterfaceName;
use crate::network::{Document, DriftStatus, ForeignMode, NetworkError};

/// A network that is defined or active.
#[derive(Debug)]
#[non_exhaustive]
pub struct NetworkInfo {
    /// How it is defined; of one that is active and no longer defined, how it was started.
    pub document: Document,
    /// Whether it is defined.
    pub is_defined: bool,
    /// What the host has of it. An error where its definition lacks a MAC or the name of its
    /// bridge, or the host cannot be asked.
    pub state: Result<NetworkState, NetworkError>,
}

/// What a host has of a network that is defined or active.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkState {
    /// What it has of its own bridge.
    Own(DriftStatus),
    /// The bridge that it was started with: it is defined with another one since.
    Former(InterfaceName),
    /// The network has no bridge of its own, and is left alone.
    Foreign(ForeignMode),
}
