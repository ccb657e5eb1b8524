//! A network of a store, and its state on the host.

use crate::InterfaceName;
use crate::network::{Document, DriftStatus, ForeignMode, NetworkError};

/// A network that is defined or active.
#[derive(Debug)]
#[non_exhaustive]
pub struct NetworkInfo {
    /// Its definition. For a network that is active but no longer defined, the one it was started with.
    pub document: Document,
    /// Whether it is defined.
    pub is_defined: bool,
    /// Its state on the host. An error if its definition lacks a MAC or the name of its bridge, or if
    /// the host cannot be read.
    pub state: Result<NetworkState, NetworkError>,
}

/// The state of a network on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkState {
    /// The status of its bridge.
    Own(DriftStatus),
    /// It is running on this bridge but is now defined with another.
    Former(InterfaceName),
    /// It has no bridge of its own, and vmbridge leaves it alone.
    Foreign(ForeignMode),
}
