//! What is new of a watched network.

use std::fmt;
use std::time::Duration;

use super::super::{Drift, NetworkFailure, NetworkName, Occupied};
use crate::InterfaceName;

/// What is new of a watched network, in one line:
///
/// ```text
/// network default: mtu is 1300, defined as 1400
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct NetworkEvent {
    /// The network.
    pub network: NetworkName,
    /// What is new.
    pub kind: NetworkEventKind,
}

impl fmt::Display for NetworkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network {}: {}", self.network, self.kind)
    }
}

/// What is new of a network since the last check. A network begins as defined; all events together give
/// its state.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetworkEventKind {
    /// A value has drifted from the definition, or from an earlier drift.
    Drifted(Drift),
    /// Another process has set a value back to the definition.
    Restored(Drift),
    /// Its bridge is gone. Former drifts no longer count.
    Vanished(InterfaceName),
    /// Another process has created its bridge again. It is as defined, except for the events that follow.
    Returned(InterfaceName),
    /// Something else has the name of its bridge or its anchor. Former drifts no longer count.
    Occupied(Occupied),
    /// The name is free again. The network is as defined, except for the events that follow.
    Vacated(Occupied),
    /// It cannot be read.
    Unreadable(NetworkFailure),
    /// These drifts were repaired; it is as defined.
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
