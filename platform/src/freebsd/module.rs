//! Loading of kernel modules (`kldload(2)`).
//!
//! The kernel loads no interface driver by itself; `ifconfig` does it, and so must whoever uses
//! the ioctls alone.
#![allow(unsafe_code)]

use std::ffi::CStr;

use libc::{c_char, c_int};
use nix::errno::Errno;

use crate::retry::retry;

// `sys/linker.h`; in libc.so, but not in the libc crate.
unsafe extern "C" {
    fn kldload(file: *const c_char) -> c_int;
}

/// Loads a module; it is no error if it is there already, or compiled into the kernel.
///
/// `EPERM` without root, in any jail and at a raised securelevel; `ENOENT` without such a module.
pub(super) fn load(module: &CStr) -> nix::Result<()> {
    // SAFETY: kldload() reads the string up to its NUL and keeps nothing of it.
    let outcome = retry(|| Errno::result(unsafe { kldload(module.as_ptr()) }));
    match outcome {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}
