//! The kernel side of [vmbridge](https://docs.rs/vmbridge): network bridges for virtual machines
//! whose MAC address never changes.
//!
//! [`BridgeBackend`] is what every kernel interface for bridges can do, and what it promises.
//! [`model::Model`] is a kernel in memory, for the tests of those who build on this crate.
//!
//! This crate is mechanism. What a tool does with bridges is in the crate `vmbridge`.

mod backend;
mod capability;
mod change;
mod error;
mod mac;
pub mod model;
mod name;
mod random;
mod spec;
mod state;
#[cfg(feature = "serde")]
mod text;

pub use backend::{Available, BridgeBackend};
pub use capability::{Capabilities, Capability};
pub use error::{Attempt, Error, ErrorKind, Operation, Result, Undo};
pub use mac::{InvalidMac, MacAddr, MacReason, UnicastMac};
pub use name::{InterfaceIndex, InterfaceName, InvalidName, NameReason};
pub use spec::{BridgeChange, BridgeSpec};
pub use state::{BridgeState, InterfaceState, LinkState, PortState};
