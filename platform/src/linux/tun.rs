//! The tun device, `/dev/net/tun`, each of its ioctls as a safe function (`drivers/net/tun.c`).
//!
//! A descriptor belongs to the network namespace of the thread that opened it, also when another
//! thread uses it later. All but [`attach`] need the descriptor alone, and no privilege.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;
use nix::errno::Errno;

use super::ifreq::{Call, IfReq};
use crate::retry::retry;
use crate::{InterfaceName, MacAddr};

nix::ioctl_write_int_bad!(set_persistence, libc::TUNSETPERSIST);
nix::ioctl_write_int_bad!(set_user, libc::TUNSETOWNER);
nix::ioctl_write_int_bad!(set_users_group, libc::TUNSETGROUP);

/// Opens the device. The descriptor has no tap yet, and is closed on exec.
pub(super) fn open() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/net/tun")?.into())
}

/// Makes a descriptor a queue of the tap of this name, or of a new tap. Without a name, the kernel
/// takes the first free one of `tap0`, `tap1` …
///
/// `EBUSY`: the tap exists and [`IFF_TUN_EXCL`](super::abi::tun::IFF_TUN_EXCL) is set, or it has no
/// other queue to give. `EINVAL`: the interface is not a tap, or it is multi-queue and the flag is
/// not, or the other way round. `EPERM`: it has another owner. `E2BIG`: it has as many queues as a
/// tap can.
pub(super) fn attach(fd: BorrowedFd<'_>, name: Option<InterfaceName>, flags: u16) -> nix::Result<()> {
    Call::SET_TAP.on(fd, name.map_or_else(IfReq::empty, IfReq::on).with_flags(flags)).map(drop)
}

/// Returns the name that the tap of this descriptor has now, and its flags; `EBADFD` once it is gone.
pub(super) fn interface(fd: BorrowedFd<'_>) -> nix::Result<(InterfaceName, u16)> {
    let answer = Call::GET_TAP.on(fd, IfReq::empty())?;
    Ok((answer.name().ok_or(Errno::EBADFD)?, answer.flags()))
}

/// Returns the MAC of the host's side.
pub(super) fn mac(fd: BorrowedFd<'_>) -> nix::Result<Option<MacAddr>> {
    Ok(Call::GET_MAC.on(fd, IfReq::empty())?.mac())
}

/// `EADDRNOTAVAIL` for a MAC that no interface can have.
pub(super) fn set_mac(fd: BorrowedFd<'_>, mac: MacAddr) -> nix::Result<()> {
    Call::SET_MAC.on(fd, IfReq::empty().with_mac(mac)).map(drop)
}

/// Lets the tap outlive its descriptors.
pub(super) fn persist(fd: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: TUNSETPERSIST takes a number.
    retry(|| unsafe { set_persistence(fd.as_raw_fd(), 1) }).map(drop)
}

/// Lets the tap go with its descriptors.
pub(super) fn unpersist(fd: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: TUNSETPERSIST takes a number.
    retry(|| unsafe { set_persistence(fd.as_raw_fd(), 0) }).map(drop)
}

/// `EINVAL` for a user outside of the user namespace, and for −1: an owner can be replaced but not
/// taken away.
pub(super) fn set_owner(fd: BorrowedFd<'_>, uid: u32) -> nix::Result<()> {
    // SAFETY: TUNSETOWNER takes a number.
    retry(|| unsafe { set_user(fd.as_raw_fd(), number(uid)) }).map(drop)
}

/// Sets the group, with the errors of [`set_owner`].
pub(super) fn set_group(fd: BorrowedFd<'_>, gid: u32) -> nix::Result<()> {
    // SAFETY: TUNSETGROUP takes a number.
    retry(|| unsafe { set_users_group(fd.as_raw_fd(), number(gid)) }).map(drop)
}

fn number(id: u32) -> c_int {
    c_int::from_ne_bytes(id.to_ne_bytes())
}
