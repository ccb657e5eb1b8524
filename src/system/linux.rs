//! Linux.

use crate::{Capability, ErrorKind, Operation};

#[cfg(feature = "store")]
pub(crate) const CONFIG_DIR: &str = "/etc/vmbridge/networks";
#[cfg(feature = "store")]
pub(crate) const STATE_DIR: &str = "/run/vmbridge/networks";
#[cfg(feature = "store")]
pub(crate) const LIBVIRT_CONFIG_DIR: &str = "/etc/libvirt/qemu/networks";
#[cfg(feature = "store")]
pub(crate) const LIBVIRT_STATE_DIR: &str = "/run/libvirt/network";

pub(super) const fn hint(
    operation: Operation,
    kind: ErrorKind,
    capability: Option<Capability>,
) -> Option<&'static str> {
    match kind {
        ErrorKind::Unsupported
            if matches!(capability, Some(Capability::VlanFiltering | Capability::DefaultPvid)) =>
        {
            Some(
                "the kernel is built without CONFIG_BRIDGE_VLAN_FILTERING; a network with macTableManager='libvirt' needs it",
            )
        }
        ErrorKind::LinkDown => Some("another process set the bridge down; try again"),
        ErrorKind::PermissionDenied => Some("it needs CAP_NET_ADMIN in this network namespace; run it as root"),
        ErrorKind::NoDriver if matches!(operation, Operation::CreateTap | Operation::DeleteTap) => {
            Some("load the kernel module first: modprobe tun")
        }
        ErrorKind::NoDriver => Some("load the kernel module first: modprobe bridge"),
        ErrorKind::TimedOut => Some("something on this host is stuck"),
        ErrorKind::Unsupported if matches!(capability, Some(Capability::HostIpv6)) => Some(
            "make /proc/sys writable in this container, or use host-ipv6 kernel, with which guests may configure the host",
        ),
        _ => None,
    }
}
