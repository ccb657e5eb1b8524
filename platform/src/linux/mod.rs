//! Linux: bridges through rtnetlink ([`NetlinkBackend`]) and through ioctls ([`IoctlBackend`]).
//!
//! Facts not marked otherwise were seen on Linux 6.18 or read in `net/bridge`, `net/core/dev.c`
//! and `net/core/rtnetlink.c`.

mod abi;
mod bridges;
mod carrier;
mod events;
mod identity;
mod ioctl;
mod namespace;
#[cfg(feature = "netlink")]
mod netlink;
#[cfg(feature = "privileges")]
mod privileges;
mod proc;
mod request;
mod sandbox;
mod tap;
mod tun;
mod udev;

pub(crate) use identity::host_identity;
pub use ioctl::IoctlBackend;
#[cfg(feature = "netlink")]
pub use netlink::NetlinkBackend;
#[cfg(feature = "privileges")]
pub use privileges::NetworkPrivileges;
pub use sandbox::Sandbox;

use std::io;

use nix::errno::Errno;

use crate::backend::Available;
use crate::{Capability, ErrorKind, InterfaceIndex, Operation};

/// This system's backend.
#[cfg(feature = "netlink")]
pub type NativeBackend = NetlinkBackend;
/// This system's backend.
#[cfg(not(feature = "netlink"))]
pub type NativeBackend = IoctlBackend;

/// The backends that are compiled in, the native one first.
pub const AVAILABLE: &[Available] = &[
    #[cfg(feature = "netlink")]
    Available { name: NetlinkBackend::NAME, open: || Ok(Box::new(NetlinkBackend::open()?)) },
    Available { name: IoctlBackend::NAME, open: || Ok(Box::new(IoctlBackend::open()?)) },
];

/// Where definitions of networks are kept (`hier(7)`).
pub const CONFIG_DIR: &str = "/etc/vmbridge/networks";

/// Where it is kept, until the next boot, with which definitions networks were started.
pub const STATE_DIR: &str = "/run/vmbridge/networks";

/// The MTUs that Linux takes for a bridge (`br_dev_setup()`: `ETH_MIN_MTU` to `ETH_MAX_MTU`).
#[cfg(feature = "netlink")]
const BRIDGE_MTU: std::ops::RangeInclusive<u32> = 68..=65535;

/// What to do about an error of this kind.
pub(crate) const fn hint(operation: Operation, kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::PermissionDenied => Some("it needs CAP_NET_ADMIN in this network namespace; run it as root"),
        ErrorKind::NoDriver if matches!(operation, Operation::CreateTap | Operation::DeleteTap) => {
            Some("load the kernel module first: modprobe tun")
        }
        ErrorKind::NoDriver => Some("load the kernel module first: modprobe bridge"),
        ErrorKind::TimedOut => {
            Some("something on this host is stuck; if it is systemd-udevd, `udevadm settle` tells")
        }
        _ => None,
    }
}

/// What both of Linux's backends can do.
const CAPABILITIES: [Capability; 33] = [
    Capability::MacFollowsPorts,
    Capability::ForwardDelay,
    Capability::HelloTime,
    Capability::MaxAge,
    Capability::Priority,
    Capability::Stp,
    Capability::AgeingTime,
    Capability::MulticastSnooping,
    Capability::GroupForwardMask,
    Capability::VlanFiltering,
    Capability::DefaultPvid,
    Capability::Isolated,
    Capability::Learning,
    Capability::UnicastFlood,
    Capability::MulticastFlood,
    Capability::BroadcastFlood,
    Capability::BpduGuard,
    Capability::RootBlock,
    Capability::FastLeave,
    Capability::Hairpin,
    Capability::NeighborSuppression,
    Capability::PathCost,
    Capability::PortPriority,
    Capability::PortStpState,
    Capability::FdbList,
    Capability::FdbFlush,
    Capability::Events,
    Capability::Tap,
    Capability::TapQueues,
    Capability::TapVnetHdr,
    Capability::TapOwner,
    Capability::TapTransient,
    Capability::Carrier,
];

/// An index for a kernel's structure, in which it is a C int.
fn c_index(index: InterfaceIndex) -> std::ffi::c_int {
    index.get().try_into().expect("InterfaceIndex::new takes none beyond i32::MAX")
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
