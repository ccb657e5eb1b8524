//! Networks: what is written down of a bridge, so that it bears the same MAC each time it is made.
//!
//! The words, the defaults and the rules are those of libvirt's network definitions
//! (<https://libvirt.org/formatnetwork.html>, `src/conf/network_conf.c`), since those are what the
//! hosts have.

mod anchor;
mod defined;
mod definition;
mod drift;
mod failure;
mod invalid;
mod life;
#[cfg(feature = "xml")]
mod migrate;
mod name;
#[cfg(feature = "store")]
mod networks;
#[cfg(feature = "store")]
mod store;
#[cfg(test)]
mod tests;
mod watch;
#[cfg(feature = "xml")]
mod xml;

pub use defined::DefinedNetwork;
pub use definition::{Anchor, ForwardMode, MacTableManager, Network, PortIsolation};
pub use drift::{AnchorState, Drift, Status, status};
pub use failure::{NetworkError, NetworkFailure, Occupant, Occupied};
pub use invalid::{InvalidNetwork, NetworkReason};
pub use life::{Ensured, check_host, ensure, start, stop};
#[cfg(feature = "xml")]
pub use migrate::{InvalidFiles, Migration, NetworkFiles};
pub use name::{BridgeName, BridgeTemplate, NetworkName};
#[cfg(feature = "store")]
pub use networks::{KnownNetwork, NetworkState, Networks};
#[cfg(feature = "store")]
pub use store::{
    ActiveNetworks, Defined, MacSource, MigratedFile, MigrationMode, MigrationOutcome, Store, StoreError,
    StoreReason, derived_mac,
};
#[cfg(feature = "store")]
pub use watch::Watcher;
pub use watch::{News, Repair, RepairLimit, Report, Watch};
#[cfg(feature = "xml")]
pub use xml::{Definition, Document, DocumentReason, ForeignMode, ForeignNetwork, InvalidDocument};
