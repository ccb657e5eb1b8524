//! The tun device, `/dev/net/tun`, each of its ioctls as a safe function (`drivers/net/tun.c`).
//!
//! A descriptor belongs to the network namespace of the thread that opened it, also when another
//! thread uses it later. All but [`attach`] need the descriptor alone, and no privilege.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;
use nix::errno::Errno;

use crate::ifreq::{Call, IfReq};
use crate::retry::retry;
use crate::{InterfaceName, MacAddr, TapOffload, TapOffloads, VnetHeader};

nix::ioctl_write_int_bad!(set_persistence, libc::TUNSETPERSIST);
nix::ioctl_write_int_bad!(set_user, libc::TUNSETOWNER);
nix::ioctl_write_int_bad!(set_users_group, libc::TUNSETGROUP);
nix::ioctl_write_int_bad!(set_offload, libc::TUNSETOFFLOAD);
nix::ioctl_write_ptr_bad!(set_header_size, libc::TUNSETVNETHDRSZ, c_int);
nix::ioctl_none_bad!(get_namespace, libc::TUNGETDEVNETNS);

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

/// Returns the network namespace that the tap of this descriptor is in.
///
/// `EPERM` without `CAP_NET_ADMIN` there; `EINVAL` of a kernel without this call.
pub(super) fn namespace(fd: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    // SAFETY: TUNGETDEVNETNS takes no argument.
    let namespace = retry(|| unsafe { get_namespace(fd.as_raw_fd()) })?;
    // SAFETY: the call has just succeeded and returned a new descriptor, so nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(namespace) })
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

/// Sets the size of the header before each frame. A persistent tap keeps it when it is closed.
pub(super) fn set_vnet_header_size(fd: BorrowedFd<'_>, header: VnetHeader) -> nix::Result<()> {
    let size = c_int::try_from(header.size()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads one int from `size`, which outlives the call.
    retry(|| unsafe { set_header_size(fd.as_raw_fd(), &raw const size) }).map(drop)
}

/// Replaces the offloads. `EINVAL` for a set that the kernel does not know or that is not complete.
pub(super) fn set_offloads(fd: BorrowedFd<'_>, offloads: TapOffloads) -> nix::Result<()> {
    let flags = offloads.iter().map(|offload| match offload {
        TapOffload::Checksum => libc::TUN_F_CSUM,
        TapOffload::Tso4 => libc::TUN_F_TSO4,
        TapOffload::Tso6 => libc::TUN_F_TSO6,
        TapOffload::TsoEcn => libc::TUN_F_TSO_ECN,
        TapOffload::Ufo => libc::TUN_F_UFO,
        TapOffload::Uso => libc::TUN_F_USO4 | libc::TUN_F_USO6,
    });
    let flags = number(flags.fold(0, |all, flag| all | flag));
    // SAFETY: TUNSETOFFLOAD takes a number.
    retry(|| unsafe { set_offload(fd.as_raw_fd(), flags) }).map(drop)
}

fn number(id: u32) -> c_int {
    c_int::from_ne_bytes(id.to_ne_bytes())
}
