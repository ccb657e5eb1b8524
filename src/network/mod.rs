//! Networks: what is written down of a bridge, so that it bears the same MAC each time it is made.
//!
//! The words, the defaults and the rules are those of libvirt's network definitions
//! (<https://libvirt.org/formatnetwork.html>, `src/conf/network_conf.c`), since those are what the
//! hosts have.

mod definition;
mod invalid;
#[cfg(feature = "xml")]
mod migrate;
mod name;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "xml")]
mod xml;

pub use definition::{Anchor, ForwardMode, MacTableManager, Network, PortIsolation};
pub use invalid::{InvalidNetwork, NetworkReason};
#[cfg(feature = "xml")]
pub use migrate::{InvalidFiles, Migration, NetworkFiles};
pub use name::{BridgeName, BridgeTemplate, NetworkName};
#[cfg(feature = "store")]
pub use store::{
    ActiveNetworks, Defined, MacSource, MigratedFile, MigrationMode, MigrationOutcome, Store, StoreError,
    StoreReason, derived_mac,
};
#[cfg(feature = "xml")]
pub use xml::{Definition, Document, DocumentReason, ForeignMode, ForeignNetwork, InvalidDocument};
