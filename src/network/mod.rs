//! Networks: saved definitions of bridges, which keep their MAC each time they are created.
//!
//! The words, the defaults and the rules are those of libvirt's network definitions
//! (<https://libvirt.org/formatnetwork.html>, `src/conf/network_conf.c`), which hosts have already.
//!
//! - [`Network`] is what a user defines. [`ResolvedNetwork`] has a name and a MAC for its bridge, and can be
//!   [started](start), [stopped](stop), [ensured](ensure) and [inspected](status) on any backend.
//! - With the feature `xml`, [`Document`] reads and writes libvirt's XML.
//! - With the feature `store`, [`Store`] keeps definitions in files, [`NetworkController`] starts and stops
//!   them, and [`NetworkWatcher`] reports and repairs drift.

mod anchor;
mod bridge_name;
#[cfg(feature = "store")]
mod control;
mod drift;
mod error;
mod getters;
mod inspect;
mod invalid;
mod lifecycle;
#[expect(clippy::module_inception, reason = "a type lives in the file of its name")]
mod network;
#[cfg(feature = "xml")]
mod network_files;
mod network_name;
mod occupied;
mod printable;
mod report;
mod resolved;
mod settings;
#[cfg(feature = "store")]
mod store;
#[cfg(test)]
mod tests;
mod watch;
#[cfg(feature = "xml")]
mod xml;

pub use bridge_name::{BridgeName, BridgeTemplate};
#[cfg(feature = "store")]
pub use control::{AdoptedBridge, NetworkController, NetworkInfo, NetworkState};
pub use drift::{AnchorState, Drift, DriftStatus};
pub use error::{NetworkError, NetworkFailure};
pub use inspect::status;
pub use invalid::{InvalidNetwork, NetworkReason};
pub use lifecycle::{EnsureOutcome, StopOutcome, check_host, ensure, start, stop};
pub use network::Network;
#[cfg(feature = "xml")]
pub use network_files::{InvalidFiles, Migration, NetworkFiles};
pub use network_name::NetworkName;
pub use occupied::{Occupant, Occupied};
pub use resolved::ResolvedNetwork;
pub use settings::{Anchor, ForwardMode, MacTableManager, PortIsolation};
#[cfg(feature = "store")]
pub use store::{
    DefineOutcome, Distrust, MacSource, MigratedFile, MigrationMode, MigrationOutcome, StateLock, Store,
    StoreError, StoreReason, derived_mac,
};
#[cfg(feature = "store")]
pub use watch::NetworkWatcher;
pub use watch::{DriftTracker, NetworkEvent, NetworkEventKind, RepairLimit, RepairPolicy};
#[cfg(feature = "xml")]
pub use xml::{Document, DocumentReason, ForeignMode, ForeignNetwork, InvalidDocument, ParsedNetwork};
