//! The kernel side of [vmbridge](https://docs.rs/vmbridge): network bridges for virtual machines
//! whose MAC address never changes.
//!
//! [`Bridges`] has the operations. A kernel's interface for bridges implements [`Backend`], which states the promises.
//! [`NativeBackend`] is this system's:
//!
//! | system | backend | kernel interface |
//! |---|---|---|
//! | Linux, feature `netlink` (default) | `netlink` | rtnetlink |
//! | Linux, without it | `ioctl` | `SIOCBRADDBR`, `BRCTL_*` |
//! | FreeBSD | `freebsd` | `SIOCIFCREATE2`, `SIOCSDRVSPEC` |
//!
//! [`AVAILABLE`] lists the backends that are compiled in. [`Transaction`] carries out several [steps](Step), all or
//! nothing. [`waiting`] lists every call that can wait. For tests, [`model::Model`] is a kernel in memory, and
//! [`faults::FaultyBackend`] makes steps fail.
//!
//! This crate is mechanism. The crate `vmbridge` is policy: guests, anti-spoofing, networks.
//!
//! ```no_run
//! use vmbridge_platform::{BridgeSpec, Bridges, LinkState, NativeBackend, UnicastMac};
//!
//! let host = NativeBackend::open()?;
//! let spec = BridgeSpec::new("virbr0".parse()?).mac(UnicastMac::generate()?).link(LinkState::Up);
//! let bridge = host.create(&spec)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod bridge_change;
mod bridge_spec;
mod bridges;
mod bulk;
mod capability;
mod delegate;
mod error;
mod events;
pub mod faults;
mod fdb;
mod host_identity;
mod host_ipv6;
mod identity;
mod ifreq;
mod index;
mod link_state;
mod mac;
pub mod model;
mod name;
mod native;
mod options;
mod random;
mod retry;
#[cfg(feature = "serde")]
mod serde_forms;
mod set;
mod setters;
mod setting;
mod state;
mod step;
mod stp;
mod tap;
mod tap_offload;
mod transaction;
mod vlan;
pub mod waiting;
mod words;

pub use backend::{Available, Backend, Made, Outcome};
pub use bridge_change::BridgeChange;
pub use bridge_spec::BridgeSpec;
pub use bridges::Bridges;
pub use bulk::{Bulk, BulkError, BulkResult};
pub use capability::{Capabilities, Capability};
pub use error::{Attempt, Error, ErrorKind, Operation, Result, Rollback};
pub use events::{Events, Wake};
pub use fdb::{FdbEntry, FdbOrigin, StaticEntry};
pub use host_identity::HostIdentity;
pub use host_ipv6::HostIpv6;
pub use identity::{Identity, Target};
pub use index::{InterfaceIndex, InvalidIndex};
pub use link_state::LinkState;
pub use mac::{InvalidMac, MacAddr, MacReason, UnicastMac};
pub use name::{InterfaceName, InvalidName, NameReason};
pub use native::NativeBackend;
pub use options::{BridgeOption, BridgeOptions, PortOption, PortOptions};
pub use state::{BridgeState, InterfaceState, PortState};
pub use step::{Seen, SeenEntries, SeenEntry, SeenPort, SeenVlans, Step};
pub use stp::{PortStpState, StpProtocol};
pub use tap::{ExistingTap, Tap, TapChange, TapSpec, TapState, VnetHeader};
pub use tap_offload::{TapOffload, TapOffloads};
pub use transaction::{Resolved, Transaction, run_each};
pub use vlan::{InvalidVlan, PortVlans, VlanId, VlanRange, VlanTagging};
pub use words::InvalidWord;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        pub mod linux;
        pub use linux::AVAILABLE;
        #[cfg(feature = "privileges")]
        pub use linux::NetworkPrivileges;
        #[cfg(feature = "sandbox")]
        pub use linux::Sandbox;
        use linux::host_identity;
        use linux as system;
    } else if #[cfg(target_os = "freebsd")] {
        pub mod freebsd;
        pub use freebsd::AVAILABLE;
        #[cfg(feature = "privileges")]
        pub use freebsd::NetworkPrivileges;
        #[cfg(feature = "sandbox")]
        pub use freebsd::Sandbox;
        use freebsd::host_identity;
        use freebsd as system;
    } else {
        compile_error!("vmbridge-platform runs on Linux and FreeBSD");
    }
}
