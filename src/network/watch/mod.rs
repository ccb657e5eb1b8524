//! Reports drift of networks' bridges, and repairs it within a limit: another program may insist on its
//! own values. The static entries of restricted ports are watched, too.
//!
//! [`DriftTracker`] checks the networks that its caller names, when its caller says. [`NetworkWatcher`]
//! checks the networks of a store when the kernel reports a change.

mod drift_tracker;
mod event;
mod repair_policy;
mod restrictions;
#[cfg(test)]
mod tests;
#[cfg(feature = "store")]
mod watcher;

pub use self::drift_tracker::DriftTracker;
pub use self::event::{NetworkEvent, NetworkEventKind};
pub use self::repair_policy::{RepairLimit, RepairPolicy};
#[cfg(feature = "store")]
pub use self::watcher::NetworkWatcher;
