//! Names of a network that something else has on the host.

use std::fmt;

use crate::{InterfaceName, MacAddr};

/// A name of a network that something else has on the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name {name} is in use, by {by}")]
#[non_exhaustive]
pub struct Occupied {
    /// The name of the network's bridge or of its anchor.
    pub name: InterfaceName,
    /// What has it.
    pub by: Occupant,
}

/// What has the name of a network's bridge or anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occupant {
    /// A bridge with another MAC than the network's.
    Bridge(MacAddr),
    /// A tap. If the name is the anchor's, a tap that is a port of another bridge.
    Tap,
    /// An interface of another kind.
    Interface,
    /// An interface of another name, which has this one as an alternative name (Linux's `altname`).
    AlsoCalled(InterfaceName),
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge(mac) => write!(f, "a bridge with the MAC {mac}, which is not the network's"),
            Self::Tap => f.write_str("a tap that is not the network's"),
            Self::Interface => f.write_str("an interface that is no bridge"),
            Self::AlsoCalled(name) => write!(f, "{name}, which is also called so"),
        }
    }
}
