//! The tun device, `/dev/net/tun`, each of its ioctls as a safe function (`drivers/net/tun.c`).
//!
//! A descriptor belongs to the network namespace of the thread that opened it, whoever uses it
//! later. All but [`attach`] is the right of whoever has the descriptor, without privilege.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::{c_int, ifreq};
use nix::errno::Errno;

use super::ifreq::{empty_request, request, retry};
use crate::{InterfaceName, MacAddr};

nix::ioctl_readwrite_bad!(set_interface, libc::TUNSETIFF, ifreq);
nix::ioctl_readwrite_bad!(get_interface, libc::TUNGETIFF, ifreq);
nix::ioctl_readwrite_bad!(get_address, libc::SIOCGIFHWADDR, ifreq);
nix::ioctl_readwrite_bad!(set_address, libc::SIOCSIFHWADDR, ifreq);
nix::ioctl_write_int_bad!(set_persistence, libc::TUNSETPERSIST);
nix::ioctl_write_int_bad!(set_user, libc::TUNSETOWNER);
nix::ioctl_write_int_bad!(set_users_group, libc::TUNSETGROUP);

type InterfaceCall = unsafe fn(c_int, *mut ifreq) -> nix::Result<c_int>;
type NumberCall = unsafe fn(c_int, c_int) -> nix::Result<c_int>;

/// Opens the device; the descriptor is of no tap yet, and is closed on exec.
pub(super) fn open() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/net/tun")?.into())
}

/// Makes a descriptor a queue of a tap: of the one that has this name, or else of a new one. Without a
/// name, the kernel gives it the first of `tap0`, `tap1` … that is free.
///
/// `EBUSY`: there is one and [`IFF_TUN_EXCL`](super::abi::tun::IFF_TUN_EXCL) is set, or it has no
/// other queue to give. `EINVAL`: it is no tap, or is multi-queue and the flag is not, or the other
/// way round. `EPERM`: it has another owner. `E2BIG`: it has as many queues as a tap can.
pub(super) fn attach(fd: BorrowedFd<'_>, name: Option<InterfaceName>, flags: u16) -> nix::Result<()> {
    let mut request = name.map_or_else(empty_request, request);
    request.ifr_ifru.ifru_flags = i16::from_ne_bytes(flags.to_ne_bytes());
    call(fd, set_interface, request).map(drop)
}

/// The name that the tap of this descriptor has now, and its flags; `EBADFD` once it is gone.
pub(super) fn interface(fd: BorrowedFd<'_>) -> nix::Result<(InterfaceName, u16)> {
    let answer = call(fd, get_interface, empty_request())?;
    // SAFETY: TUNGETIFF succeeded and has written this member.
    let flags = unsafe { answer.ifr_ifru.ifru_flags };
    Ok((super::ifreq::name(&answer).ok_or(Errno::EBADFD)?, u16::from_ne_bytes(flags.to_ne_bytes())))
}

/// The MAC of the host's side.
pub(super) fn mac(fd: BorrowedFd<'_>) -> nix::Result<Option<MacAddr>> {
    let answer = call(fd, get_address, empty_request())?;
    // SAFETY: SIOCGIFHWADDR succeeded and has written this member.
    Ok(super::ifreq::mac(&unsafe { answer.ifr_ifru.ifru_hwaddr }))
}

/// `EADDRNOTAVAIL` for a MAC that no interface can bear.
pub(super) fn set_mac(fd: BorrowedFd<'_>, mac: MacAddr) -> nix::Result<()> {
    let mut request = empty_request();
    request.ifr_ifru.ifru_hwaddr = super::ifreq::hardware_address(mac);
    call(fd, set_address, request).map(drop)
}

/// Lets the tap outlive its descriptors.
pub(super) fn persist(fd: BorrowedFd<'_>) -> nix::Result<()> {
    set(fd, set_persistence, 1)
}

/// Lets the tap go with its descriptors.
pub(super) fn unpersist(fd: BorrowedFd<'_>) -> nix::Result<()> {
    set(fd, set_persistence, 0)
}

/// `EINVAL` for a user that is not in the user namespace, and for none (−1): an owner can be
/// replaced but not taken away.
pub(super) fn set_owner(fd: BorrowedFd<'_>, uid: u32) -> nix::Result<()> {
    set(fd, set_user, uid)
}

/// As with [`set_owner`].
pub(super) fn set_group(fd: BorrowedFd<'_>, gid: u32) -> nix::Result<()> {
    set(fd, set_users_group, gid)
}

fn call(fd: BorrowedFd<'_>, call: InterfaceCall, mut request: ifreq) -> nix::Result<ifreq> {
    // SAFETY: every call of type InterfaceCall above reads and writes one ifreq, without a pointer in it.
    retry(|| unsafe { call(fd.as_raw_fd(), &raw mut request) })?;
    Ok(request)
}

fn set(fd: BorrowedFd<'_>, call: NumberCall, number: u32) -> nix::Result<()> {
    // SAFETY: every call of type NumberCall above takes a number, and no pointer.
    retry(|| unsafe { call(fd.as_raw_fd(), c_int::from_ne_bytes(number.to_ne_bytes())) }).map(drop)
}
