//! What a document defines.

use super::ForeignNetwork;
use crate::network::{Network, NetworkName};

/// What a document defines.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParsedNetwork {
    /// A network with a bridge of its own.
    Own(Network),
    /// A network that uses a bridge or a device of the host. vmbridge leaves it alone.
    Foreign(ForeignNetwork),
}

impl ParsedNetwork {
    /// Returns the name of the network.
    #[must_use]
    pub const fn name(&self) -> &NetworkName {
        match self {
            Self::Own(network) => network.name(),
            Self::Foreign(network) => &network.name,
        }
    }

    /// Returns the network if it has a bridge of its own.
    #[must_use]
    pub const fn own(&self) -> Option<&Network> {
        match self {
            Self::Own(network) => Some(network),
            Self::Foreign(_) => None,
        }
    }
}
