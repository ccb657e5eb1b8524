//! Networks: what is written down of a bridge, so that it bears the same MAC each time it is made.
//!
//! The words, the defaults and the rules are those of libvirt's network definitions
//! (<https://libvirt.org/formatnetwork.html>, `src/conf/network_conf.c`), since those are what the
//! hosts have.

mod anchor;
#[cfg(feature = "store")]
mod control;
mod drift;
mod failure;
mod inspect;
mod invalid;
mod lifecycle;
mod name;
#[expect(clippy::module_inception, reason = "a type lives in the file of its name")]
mod network;
#[cfg(feature = "xml")]
mod network_files;
mod resolved;
#[cfg(feature = "store")]
mod store;
#[cfg(test)]
mod tests;
mod watch;
#[cfg(feature = "xml")]
mod xml;

#[cfg(feature = "store")]
pub use control::{NetworkController, NetworkInfo, NetworkState};
pub use drift::{AnchorState, Drift, DriftStatus};
pub use failure::{NetworkError, NetworkFailure, Occupant, Occupied};
pub use inspect::status;
pub use invalid::{InvalidNetwork, NetworkReason};
pub use lifecycle::{EnsureOutcome, check_host, ensure, start, stop};
pub use name::{BridgeName, BridgeTemplate, NetworkName};
pub use network::{Anchor, ForwardMode, MacTableManager, Network, PortIsolation};
#[cfg(feature = "xml")]
pub use network_files::{InvalidFiles, Migration, NetworkFiles};
pub use resolved::ResolvedNetwork;
#[cfg(feature = "store")]
pub use store::{
    DefineOutcome, MacSource, MigratedFile, MigrationMode, MigrationOutcome, StateLock, Store, StoreError,
    StoreReason, derived_mac,
};
#[cfg(feature = "store")]
pub use watch::NetworkWatcher;
pub use watch::{DriftTracker, NetworkEvent, NetworkEventKind, RepairLimit, RepairPolicy};
#[cfg(feature = "xml")]
pub use xml::{Document, DocumentReason, ForeignMode, ForeignNetwork, InvalidDocument, ParsedNetwork};
