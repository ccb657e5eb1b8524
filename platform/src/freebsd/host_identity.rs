//! The host's identity: `kern.hostuuid` (`sys/kern/kern_mib.c`), which a jail can have of its own.
#![allow(unsafe_code)]

use std::{io, ptr};

use nix::errno::Errno;

use crate::HostIdentity;
use crate::retry::retry;

/// With room for a NUL; `HOSTUUIDLEN` in `sys/jail.h`.
const MAX_LEN: usize = 64;

pub(crate) fn host_identity() -> io::Result<HostIdentity> {
    let mut text = [0u8; MAX_LEN];
    let mut len = MAX_LEN;
    retry(|| {
        // SAFETY: the kernel writes at most `len` bytes to `text`, which are its own, and their
        // number to `len`; it reads the name up to its NUL.
        Errno::result(unsafe {
            libc::sysctlbyname(c"kern.hostuuid".as_ptr(), text.as_mut_ptr().cast(), &raw mut len, ptr::null(), 0)
        })
    })?;
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let identity = std::str::from_utf8(text).ok().and_then(HostIdentity::parse);
    identity.ok_or_else(|| {
        let text = "kern.hostuuid is no UUID of this host; service hostid start sets it";
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}
