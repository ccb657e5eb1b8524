//! The kernel side of [vmbridge](https://docs.rs/vmbridge): network bridges for virtual machines
//! whose MAC address never changes.
//!
//! [`BridgeBackend`] is what every kernel interface for bridges can do, and what it promises.
//! [`NativeBackend`] is this system's:
//!
//! | system | backend | kernel interface |
//! |---|---|---|
//! | Linux, feature `netlink` (default) | `linux::NetlinkBackend` | rtnetlink |
//! | Linux, without it | `linux::IoctlBackend` | `SIOCBRADDBR`, `BRCTL_*` |
//! | FreeBSD | `freebsd::FreeBsdBackend` | `SIOCIFCREATE2`, `SIOCSDRVSPEC` |
//!
//! [`model::Model`] is a kernel in memory, for the tests of those who build on this crate.
//!
//! This crate is mechanism. What a tool does with bridges is in the crate `vmbridge`.
//!
//! ```no_run
//! use vmbridge_platform::{BridgeBackend, BridgeSpec, LinkState, NativeBackend, UnicastMac};
//!
//! let bridges = NativeBackend::open()?;
//! let spec = BridgeSpec::new("virbr0".parse()?).mac(UnicastMac::generate()?).link(LinkState::Up);
//! bridges.create(&spec)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod bridge_change;
mod bridge_spec;
mod bulk;
mod capability;
mod change;
mod error;
mod events;
mod fdb;
mod identity;
mod index;
mod link_state;
mod mac;
pub mod model;
mod name;
mod options;
mod random;
mod retry;
#[cfg(feature = "serde")]
mod serde_forms;
mod state;
mod stp;
mod tap;
mod vlan;
mod words;

pub use backend::{Available, BridgeBackend};
pub use bridge_change::BridgeChange;
pub use bridge_spec::BridgeSpec;
pub use bulk::{Bulk, BulkError, BulkResult};
pub use capability::{Capabilities, Capability};
pub use error::{Attempt, Error, ErrorKind, Operation, Result, Undo};
pub use events::{Events, Wake};
pub use fdb::{FdbEntry, FdbOrigin, StaticEntry};
pub use identity::HostIdentity;
pub use index::{InterfaceIndex, InvalidIndex};
pub use link_state::LinkState;
pub use mac::{InvalidMac, MacAddr, MacReason, UnicastMac};
pub use name::{InterfaceName, InvalidName, NameReason};
pub use options::{BridgeOption, BridgeOptions, PortOption, PortOptions};
pub use state::{BridgeState, InterfaceState, PortState};
pub use stp::{PortStpState, StpProtocol};
pub use tap::{ExistingTap, Tap, TapChange, TapSpec, TapState};
pub use vlan::{InvalidVlan, PortVlans, VlanId, VlanRange, VlanTagging};
pub use words::InvalidWord;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        pub mod linux;
        pub use linux::{AVAILABLE, NativeBackend};
        #[cfg(feature = "privileges")]
        pub use linux::NetworkPrivileges;
        #[cfg(feature = "sandbox")]
        pub use linux::Sandbox;
        use linux::host_identity;
    } else if #[cfg(target_os = "freebsd")] {
        pub mod freebsd;
        pub use freebsd::{AVAILABLE, NativeBackend};
        #[cfg(feature = "privileges")]
        pub use freebsd::NetworkPrivileges;
        #[cfg(feature = "sandbox")]
        pub use freebsd::Sandbox;
        use freebsd::host_identity;
    } else {
        compile_error!("vmbridge-platform runs on Linux and FreeBSD");
    }
}
