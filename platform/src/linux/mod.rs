//! Linux: bridges through rtnetlink ([`NetlinkBackend`]) and through ioctls ([`IoctlBackend`]).
//!
//! Facts not marked otherwise were seen on Linux 6.18 or read in `net/bridge`, `net/core/dev.c`
//! and `net/core/rtnetlink.c`.

pub(crate) mod abi;
mod bridge_indices;
mod capabilities;
mod carrier;
pub(crate) mod convert;
mod events;
mod host_identity;
mod host_ipv6;
mod ioctl;
mod listener;
mod namespace;
#[cfg(feature = "netlink")]
mod netlink;
#[cfg(feature = "privileges")]
mod privileges;
mod proc;
#[cfg(feature = "sandbox")]
mod sandbox;
mod tap;
mod tun;
mod udev;

pub(crate) use host_identity::host_identity;
pub use ioctl::IoctlBackend;
#[cfg(feature = "netlink")]
pub use netlink::NetlinkBackend;
#[cfg(feature = "privileges")]
pub use privileges::NetworkPrivileges;
#[cfg(feature = "sandbox")]
pub use sandbox::Sandbox;

use crate::backend::Available;

#[cfg(feature = "netlink")]
pub(crate) type Native = NetlinkBackend;
#[cfg(not(feature = "netlink"))]
pub(crate) type Native = IoctlBackend;

/// The backends that are compiled in, the native one first.
pub const AVAILABLE: &[Available] = &[
    #[cfg(feature = "netlink")]
    Available { name: NetlinkBackend::NAME, open: || Ok(Box::new(NetlinkBackend::open()?)) },
    Available { name: IoctlBackend::NAME, open: || Ok(Box::new(IoctlBackend::open()?)) },
];
