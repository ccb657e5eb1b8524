//! `/dev/tapN`, the other end of a tap (tap(4), `net/if_tuntap.c`).
//!
//! One process at a time may have it open. Opening one that is not there creates a tap
//! (`net.link.tap.devfs_cloning`), so no name may come here that was not just seen to be there.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use libc::c_int;

use super::{abi, abi15};
use crate::InterfaceName;
use crate::ifreq::{Call, IfReq};
use crate::retry::retry;

nix::ioctl_write_ptr_bad!(set_header, abi::TAPSVNETHDR, c_int);
nix::ioctl_write_ptr_bad!(set_transient, abi15::TUNSTRANSIENT, c_int);

/// What becomes of a tap whose device is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// It is destroyed.
    Goes,
    /// It stays. So it is from the beginning.
    Stays,
}

/// Opens a device. `EBUSY` while anyone has it open; `ENOENT` where the process's devfs does not
/// show it.
pub(super) fn open(device: &Path) -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open(device)?.into())
}

/// Returns the name that its interface has now.
pub(super) fn interface(device: impl AsFd) -> nix::Result<Option<InterfaceName>> {
    Ok(Call::GET_TAP.on(device, IfReq::empty())?.name())
}

/// Sets how long the `virtio_net_hdr` before each frame is, in bytes; 0, as it is after every
/// open, is none.
pub(super) fn set_vnet_hdr(device: impl AsFd, length: c_int) -> nix::Result<()> {
    // SAFETY: TAPSVNETHDR reads one int.
    retry(|| unsafe { set_header(device.as_fd().as_raw_fd(), &raw const length) }).map(drop)
}

/// `ENOTTY` from kernels without it (before 15).
pub(super) fn when_closed(device: impl AsFd, closed: Closed) -> nix::Result<()> {
    let transient = c_int::from(closed == Closed::Goes);
    // SAFETY: TUNSTRANSIENT reads one int.
    retry(|| unsafe { set_transient(device.as_fd().as_raw_fd(), &raw const transient) }).map(drop)
}
