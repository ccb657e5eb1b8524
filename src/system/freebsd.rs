//! FreeBSD.

use crate::{Capability, ErrorKind, Operation};

#[cfg(feature = "store")]
pub(crate) const CONFIG_DIR: &str = "/usr/local/etc/vmbridge/networks";
#[cfg(feature = "store")]
pub(crate) const STATE_DIR: &str = "/var/run/vmbridge/networks";
#[cfg(feature = "store")]
pub(crate) const LIBVIRT_CONFIG_DIR: &str = "/usr/local/etc/libvirt/qemu/networks";
#[cfg(feature = "store")]
pub(crate) const LIBVIRT_STATE_DIR: &str = "/var/run/libvirt/network";

pub(super) const fn hint(operation: Operation, kind: ErrorKind, _: Option<Capability>) -> Option<&'static str> {
    match kind {
        ErrorKind::PermissionDenied => Some("it needs root, of the host or of a VNET jail"),
        ErrorKind::NoDriver if matches!(operation, Operation::CreateTap) => {
            Some("load the kernel module first, outside of any jail: kldload if_tuntap")
        }
        ErrorKind::NoDriver => Some("load the kernel module first, outside of any jail: kldload if_bridge"),
        _ => None,
    }
}
