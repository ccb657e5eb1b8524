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
    /// Another process has created its bridge again. It is as defined, except for the events that follow.
    Returned(InterfaceName),
    /// Something else has its bridge's name, or its anchor's; what had drifted is forgotten.
    Occupied(Occupied),
    /// That is no longer so, and it is as it is defined but for what follows.
    Vacated(Occupied),
    /// It cannot be read.
    Unreadable(NetworkFailure),
    /// These points were repaired; it is as defined.
    Repaired(Vec<Drift>),
    /// Its bridge was created again; it is as defined. The former ports are not on it.
    Created(InterfaceName),
    /// It could not be repaired. A later check retries.
    NotRepaired(NetworkFailure),
    /// It was repaired too often. Repairs pause for this time.
    Paused(Duration),
}

impl fmt::Display for NetworkEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drifted(drift) => drift.fmt(f),
            Self::Restored(drift) => write!(f, "{} is {} again", drift.control(), drift.defined()),
            Self::Vanished(bridge) => write!(f, "bridge {bridge} is gone"),
            Self::Returned(bridge) => write!(f, "bridge {bridge} is back"),
            Self::Occupied(occupied) => occupied.fmt(f),
            Self::Vacated(Occupied { name, by }) => write!(f, "the name {name} is no longer in use by {by}"),
            Self::Unreadable(failure) => write!(f, "it cannot be read: {}", failure.report()),
            Self::Repaired(drifts) => {
                let controls: Vec<_> = drifts.iter().map(|drift| drift.control()).collect();
                write!(f, "repaired: {}", controls.join(", "))
            }
            Self::Created(bridge) => write!(f, "repaired: bridge {bridge} created again"),
            Self::NotRepaired(failure) => write!(f, "it cannot be repaired: {}", failure.report()),
            Self::Paused(left) => {
                let seconds = left.as_millis().div_ceil(1000);
                write!(f, "repaired too often, paused for {seconds} s")
            }
        }
    }
}
