//! Drift: the points in which a host's bridge differs from the definition of its network.

use std::fmt;

use super::Occupied;
use crate::{BridgeOption, LinkState, MacAddr, OptionText, UnicastMac};

/// What a host has of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriftStatus {
    /// Nothing: it is not active.
    Absent,
    /// Its bridge, as it is defined.
    AsDefined,
    /// A bridge of its name that is not what is defined, in these points;
    /// [`ensure`](super::ensure) puts them right.
    Drifted(Vec<Drift>),
    /// Something that is no bridge, or no tap, has a name of the network's.
    Occupied(Occupied),
}

/// A point in which a bridge is not what its network's definition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drift {
    /// Its MAC.
    #[non_exhaustive]
    Mac {
        /// The one that it is to have.
        defined: UnicastMac,
        /// The one that it has.
        actual: MacAddr,
    },
    /// Its MTU, in bytes.
    #[non_exhaustive]
    Mtu {
        /// The one that it is to have.
        defined: u32,
        /// The one that it has.
        actual: u32,
    },
    /// An option.
    #[non_exhaustive]
    Option {
        /// The value that it is to have.
        defined: BridgeOption,
        /// The value that it has.
        actual: BridgeOption,
    },
    /// Whether it is up.
    #[non_exhaustive]
    Link {
        /// What it is to be.
        defined: LinkState,
        /// What it is.
        actual: LinkState,
    },
    /// Its anchor.
    #[non_exhaustive]
    Anchor {
        /// What it is to be.
        defined: AnchorState,
        /// What it is.
        actual: AnchorState,
    },
}

/// An anchor, as it is defined or as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnchorState {
    /// There is none.
    Absent,
    /// It is a port of the network's bridge.
    #[non_exhaustive]
    Port {
        /// Its MAC.
        mac: MacAddr,
        /// Its MTU, in bytes.
        mtu: u32,
        /// Whether it is up.
        link: LinkState,
        /// The user to whom it belongs. On Linux every user may open one that belongs to nobody.
        owner: Option<u32>,
    },
    /// It is there, and a port of no bridge.
    Detached,
}

impl fmt::Display for AnchorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("none"),
            Self::Port { mac, mtu, link, owner } => {
                write!(f, "{mac}, MTU {mtu}, {link}")?;
                owner.map_or(Ok(()), |owner| write!(f, ", owner {owner}"))
            }
            Self::Detached => f.write_str("no port"),
        }
    }
}

impl Drift {
    /// What has drifted: `mac`, `mtu`, `link`, `anchor`, or the option's name
    /// ([`Capability::name`](crate::Capability::name)).
    #[must_use]
    pub const fn control(self) -> &'static str {
        match self {
            Self::Mac { .. } => "mac",
            Self::Mtu { .. } => "mtu",
            Self::Option { defined, .. } => defined.capability().name(),
            Self::Link { .. } => "link",
            Self::Anchor { .. } => "anchor",
        }
    }

    /// The text of what is defined.
    #[must_use]
    pub fn defined(self) -> String {
        let [defined, _] = self.texts();
        defined
    }

    /// The text of what is there.
    #[must_use]
    pub fn actual(self) -> String {
        let [_, actual] = self.texts();
        actual
    }

    /// The texts of what is defined and of what is there.
    fn texts(self) -> [String; 2] {
        match self {
            Self::Mac { defined, actual } => [defined.to_string(), actual.to_string()],
            Self::Mtu { defined, actual } => [defined, actual].map(|mtu| mtu.to_string()),
            Self::Option { defined, actual } => [defined, actual].map(OptionText::text),
            Self::Link { defined, actual } => [defined, actual].map(|link| link.to_string()),
            Self::Anchor { defined, actual } => [defined, actual].map(|anchor| anchor.to_string()),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, defined as {}", self.control(), self.actual(), self.defined())
    }
}
