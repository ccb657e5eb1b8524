//! A jail with a network of its own (`jail(2)`, `sys/kern/kern_jail.c`, VNET).
#![allow(unsafe_code)]

use std::io;

use libc::iovec;
use nix::errno::Errno;

/// Makes such a jail and moves the process there, with all its threads. The jail has the same
/// files as before, and vanishes with the last process in it.
pub(super) fn enter() -> io::Result<()> {
    let mut name = *b"vnet\0";
    let mut value = libc::JAIL_SYS_NEW.to_ne_bytes();
    let mut message_name = *b"errmsg\0";
    let mut message = [0; 128];
    let mut parameters =
        [parameter(&mut name), parameter(&mut value), parameter(&mut message_name), parameter(&mut message)];
    // Without JAIL_ATTACH it would have to be `persist`, and would outlive the process.
    let flags = libc::JAIL_CREATE | libc::JAIL_ATTACH;
    // SAFETY: the kernel reads four iovecs and what they point to, and writes to `message` alone,
    // no more than its length; all of them live until it returns.
    let outcome = Errno::result(unsafe { libc::jail_set(parameters.as_mut_ptr(), 4, flags) });
    outcome.map(drop).map_err(|errno| {
        let text = match errno {
            Errno::EPERM => "no right to make a jail: it needs root, and inside of a jail children.max".into(),
            Errno::EINVAL => {
                let message = message.split(|&byte| byte == 0).next().unwrap_or_default();
                format!("the kernel makes no VNET jail: {}", String::from_utf8_lossy(message))
            }
            errno => format!("cannot make a jail: {errno}"),
        };
        io::Error::new(io::Error::from(errno).kind(), text)
    })
}

fn parameter(bytes: &mut [u8]) -> iovec {
    iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}
