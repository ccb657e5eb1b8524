//! A sysfs of one's own, and its files.
//!
//! sysfs shows the network namespace of the thread that mounted it (`sysfs_init_fs_context()`),
//! whatever thread reads it. A mount made with `fsopen`(2) and `fsmount`(2) is at no path: nobody
//! else sees it, and it goes when its descriptor is closed. Linux 5.2, and `CAP_SYS_ADMIN` over
//! the owner of the network namespace and of the mount namespace.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_int, c_long};
use nix::errno::Errno;

use crate::linux::abi::{FSCONFIG_CMD_CREATE, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC};

/// Mounts a sysfs of the calling thread's network namespace.
pub(super) fn mount_sysfs() -> nix::Result<OwnedFd> {
    // SAFETY: the name is a string of C.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"sysfs".as_ptr(), FSOPEN_CLOEXEC) })?;
    let fd = context.as_raw_fd();
    let none = std::ptr::null::<u8>();
    // SAFETY: this command takes neither key nor value.
    Errno::result(unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, none, none, 0) })?;
    // SAFETY: no pointer is passed.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0) })
}

/// Opens a directory as a place for `open_file`; it stays the same when it is renamed.
pub(super) fn open_dir(parent: BorrowedFd<'_>, path: &CStr) -> nix::Result<OwnedFd> {
    open(parent, path, libc::O_PATH | libc::O_DIRECTORY)
}

/// Opens a file to read or to write it.
pub(super) fn open_file(parent: BorrowedFd<'_>, path: &CStr, flags: c_int) -> nix::Result<File> {
    open(parent, path, flags).map(File::from)
}

fn open(parent: BorrowedFd<'_>, path: &CStr, flags: c_int) -> nix::Result<OwnedFd> {
    // SAFETY: the path is a string of C.
    let fd = unsafe { libc::openat(parent.as_raw_fd(), path.as_ptr(), flags | libc::O_CLOEXEC) };
    owned(c_long::from(fd))
}

fn owned(fd: c_long) -> nix::Result<OwnedFd> {
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: a call just succeeded and gave this descriptor, so that nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
