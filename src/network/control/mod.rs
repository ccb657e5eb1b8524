//! The networks of a host: what is defined of them, and what the host has, kept together.
//!
//! That a network is active is noted before its bridge is made, and the note is removed when the
//! bridge is deleted: wherever a process dies, no bridge is left of which nobody knows, and a note
//! without a bridge is only what the next start replaces.

mod controller;
mod info;
mod start_stop;
#[cfg(test)]
mod tests;

pub use self::controller::NetworkController;
pub use self::info::{NetworkInfo, NetworkState};
