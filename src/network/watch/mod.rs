//! Watching networks: saying, once, where their bridges are no longer what is defined, and putting
//! that right, but not without a limit: another program may want it otherwise, and as stubbornly.
//!
//! [`DriftTracker`] is told when to look, and the time; [`NetworkWatcher`] looks at a store's networks when the
//! kernel says that something has changed.

mod drift_tracker;
mod event;
mod repair_policy;
#[cfg(test)]
mod tests;
#[cfg(feature = "store")]
mod watcher;

pub use self::drift_tracker::DriftTracker;
pub use self::event::{NetworkEvent, NetworkEventKind};
pub use self::repair_policy::{RepairLimit, RepairPolicy};
#[cfg(feature = "store")]
pub use self::watcher::NetworkWatcher;
