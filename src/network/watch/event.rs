//! What is new of a watched network.

use std::fmt;
use std::time::Duration;

use super::super::{Drift, NetworkFailure, NetworkName, Occupied};
use crate::{InterfaceName, UnicastMac};

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
    /// A port that is restricted to a MAC has lost its static entry ([`RestrictedPort`](crate::RestrictedPort)).
    #[non_exhaustive]
    EntryLost {
        /// The port.
        port: InterfaceName,
        /// The MACs that it had; empty if that is not known.
        macs: Vec<UnicastMac>,
    },
    /// Another process has given a restricted port a static entry again.
    EntryReturned(InterfaceName),
    /// The static entry of a restricted port was restored.
    #[non_exhaustive]
    EntryRestored {
        /// The port.
        port: InterfaceName,
        /// The MACs that are behind it again.
        macs: Vec<UnicastMac>,
    },
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
            Self::EntryLost { port, macs } => {
                write!(f, "port {port} is restricted, but has lost its static entry")?;
                if macs.is_empty() { Ok(()) } else { write!(f, " of {}", texts(macs)) }
            }
            Self::EntryReturned(port) => write!(f, "port {port} has a static entry again"),
            Self::EntryRestored { port, macs } => {
                write!(f, "repaired: static entry of {} behind port {port}", texts(macs))
            }
            Self::NotRepaired(failure) => write!(f, "it cannot be repaired: {}", failure.report()),
            Self::Paused(left) => {
                let seconds = left.as_millis().div_ceil(1000);
                write!(f, "repaired too often, paused for {seconds} s")
            }
        }
    }
}

fn texts(macs: &[UnicastMac]) -> String {
    macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
