//! Control of a host's networks: compares a store with the host, and starts, stops and repairs networks.
//!
//! A record in the state directory precedes each bridge and outlives it. A process that dies therefore
//! leaves no bridge without a record. The next start replaces a record without a bridge.
//!
//! The record says whether the bridge was adopted. A bridge without a record is one that vmbridge may not have created,
//! whatever its MAC: `define` takes over the MAC of a running bridge.

mod adopted_bridge;
mod controller;
mod info;
mod start_stop;
#[cfg(test)]
mod tests;

pub use self::adopted_bridge::AdoptedBridge;
pub use self::controller::NetworkController;
pub use self::info::{NetworkInfo, NetworkState};
