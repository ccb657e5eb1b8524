//! What the kernel tells by sysctl(3) alone.
//!
//! Unlike an ioctl this follows the process: it is answered for the jail, and the network, that the
//! process is in when it asks.
#![allow(unsafe_code)]

use libc::{c_int, c_uint};
use nix::errno::Errno;

use super::abi;
use crate::retry::retry;
use crate::{InterfaceIndex, InterfaceName};

/// The `__FreeBSD_version` of the kernel, or the one that its jail is told.
pub(super) fn version() -> nix::Result<c_int> {
    let (version, _) = read::<{ size_of::<c_int>() }>(&[libc::CTL_KERN, libc::KERN_OSRELDATE])?;
    Ok(c_int::from_ne_bytes(version))
}

/// The name that its driver made an interface by, whatever it is called by now.
///
/// `ENXIO` when there is no such interface.
pub(super) fn driver_name(interface: InterfaceIndex) -> nix::Result<Option<InterfaceName>> {
    let index = c_int::try_from(interface.get()).map_err(|_| Errno::ENXIO)?;
    let what =
        [libc::CTL_NET, libc::PF_LINK, abi::NETLINK_GENERIC, abi::IFMIB_IFDATA, index, abi::IFDATA_DRIVERNAME];
    // IFNAMSIZ bytes of a driver's name, and 20 of a number (`net/if_mib.c`).
    let (name, len) = read::<64>(&what).map_err(|errno| match errno {
        Errno::ENOENT => Errno::ENXIO,
        errno => errno,
    })?;
    Ok(InterfaceName::from_kernel(&name[..len]))
}

/// What is told, and its length; `ENOMEM` where there is no room for it.
fn read<const ROOM: usize>(what: &[c_int]) -> nix::Result<([u8; ROOM], usize)> {
    let names = c_uint::try_from(what.len()).map_err(|_| Errno::EINVAL)?;
    let mut told = [0; ROOM];
    let mut len = ROOM;
    retry(|| {
        let (old, new) = (told.as_mut_ptr().cast(), std::ptr::null());
        // SAFETY: the kernel reads `names` numbers of `what`, and writes at most `len` bytes to
        // `told`, as many as that has, and to `len` how many these are. Nothing is set.
        Errno::result(unsafe { libc::sysctl(what.as_ptr(), names, old, &raw mut len, new, 0) })
    })?;
    Ok((told, len.min(ROOM)))
}
