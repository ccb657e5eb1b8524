//! Where the definitions of networks are kept: a file each, as libvirt has them.
//!
//! In the configuration directory is what is defined, in the state directory the definition that
//! each active network was started with. Nothing else is known of an active network: the kernel
//! has its bridge, and what it is called is in that definition, also when another one has been defined since.
//!
//! A file is replaced in one step that is durable when it is done ([`directory`]); whoever changes a
//! directory has a lock on it ([`lock`]), and whoever reads needs none.

mod define;
mod directory;
mod error;
mod libvirt;
mod lock;
mod mac_source;
mod migration;
mod record;
mod state_lock;
#[expect(clippy::module_inception, reason = "a type lives in the file of its name")]
mod store;
mod taken;
mod trust;

#[cfg(test)]
mod tests;

pub use self::define::DefineOutcome;
pub use self::error::{StoreError, StoreReason};
pub use self::mac_source::{MacSource, derived_mac};
pub use self::migration::{MigratedFile, MigrationMode, MigrationOutcome};
pub(super) use self::record::BridgeOrigin;
pub use self::state_lock::StateLock;
pub use self::store::Store;
pub use self::trust::Distrust;
