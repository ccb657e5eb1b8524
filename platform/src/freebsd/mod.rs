//! FreeBSD: bridges through `SIOCIFCREATE2` and `SIOCSDRVSPEC`, taps through `SIOCIFCREATE2` and
//! `/dev/tapN` ([`FreeBsdBackend`]).
//!
//! Facts not marked otherwise were seen on FreeBSD 14.0 or read in its `sys/net/if.c`,
//! `if_clone.c`, `if_bridge.c` and `if_tuntap.c`; what is of FreeBSD 15 was read and compiled, not
//! seen. 13.0 is the oldest that will do: it brought `SIOCGIFDATA`.

pub(crate) mod abi;
mod abi15;
mod backend;
mod bridge;
mod bridge_ioctl;
mod calls;
mod claim;
mod control;
mod create;
mod driver;
mod events;
mod fdb;
mod flags;
mod host_identity;
mod host_ipv6;
mod interface;
#[cfg(feature = "sandbox")]
mod jail;
mod list;
mod module;
mod options;
mod port;
#[cfg(feature = "privileges")]
mod privileges;
mod resolve;
#[cfg(feature = "sandbox")]
mod sandbox;
mod staging;
mod sysctl;
mod tap;
mod tuntap;
mod verified;
mod vlan;
mod whole_list;

pub use backend::FreeBsdBackend;
pub(crate) use host_identity::host_identity;
#[cfg(feature = "privileges")]
pub use privileges::NetworkPrivileges;
#[cfg(feature = "sandbox")]
pub use sandbox::Sandbox;

use crate::backend::Available;

pub(crate) type Native = FreeBsdBackend;

/// The backends that are compiled in, the native one first.
pub const AVAILABLE: &[Available] =
    &[Available { name: FreeBsdBackend::NAME, open: || Ok(Box::new(FreeBsdBackend::open()?)) }];
