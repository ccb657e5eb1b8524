//! What a watch says.

use std::fmt;
use std::time::Duration;

use super::super::{Drift, NetworkFailure, NetworkName, Occupied};
use crate::InterfaceName;

/// What a watch has to say of a network, in one line:
///
/// ```text
/// network default: mtu is 1300, defined as 1400
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct NetworkEvent {
    /// The network.
    pub network: NetworkName,
    /// What has become of it.
    pub kind: NetworkEventKind,
}

impl fmt::Display for NetworkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network {}: {}", self.network, self.kind)
    }
}

/// What has become of a network since the last look, when it was as it is defined, or as the last
/// news left it. Whoever reads them all knows how it stands.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetworkEventKind {
    /// A point of it, which was as it is defined or otherwise, is this now.
    Drifted(Drift),
    /// A point of it is as it is defined again, by somebody else's doing.
    Restored(Drift),
    /// Its bridge is gone; what had drifted is forgotten.
    Vanished(InterfaceName),
    /// Its bridge is there again, by somebody else's doing, and as it is defined but for what follows.
    Returned(InterfaceName),
    /// Something else has its bridge's name, or its anchor's; what had drifted is forgotten.
    Occupied(Occupied),
    /// That is no longer so, and it is as it is defined but for what follows.
    Vacated(Occupied),
    /// It cannot be looked at.
    Unreadable(NetworkFailure),
    /// These were put right, and it is as it is defined.
    Repaired(Vec<Drift>),
    /// Its bridge was made again, and it is as it is defined. The ports that it had are not on it.
    Created(InterfaceName),
    /// It could not be put right, which is tried again.
    NotRepaired(NetworkFailure),
    /// It was put right so often that it is left as it is for so long.
    Paused(Duration),
}

impl fmt::Display for NetworkEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drifted(drift) => drift.fmt(f),
            Self::Restored(drift) => write!(f, "{} is {} again", drift.control(), drift.defined()),
            Self::Vanished(bridge) => write!(f, "there is no bridge {bridge} any longer"),
            Self::Returned(bridge) => write!(f, "bridge {bridge} is there again"),
            Self::Occupied(occupied) => occupied.fmt(f),
            Self::Vacated(Occupied { name, by }) => write!(f, "the name {name} is no longer in use by {by}"),
            Self::Unreadable(failure) => write!(f, "it cannot be looked at: {failure}"),
            Self::Repaired(drifts) => {
                let controls: Vec<_> = drifts.iter().map(|drift| drift.control()).collect();
                write!(f, "put right: {}", controls.join(", "))
            }
            Self::Created(bridge) => write!(f, "put right: bridge {bridge} was made again"),
            Self::NotRepaired(failure) => write!(f, "it cannot be put right: {failure}"),
            Self::Paused(left) => {
                let seconds = left.as_millis().div_ceil(1000);
                write!(f, "put right too often, and left as it is for {seconds} s")
            }
        }
    }
}
