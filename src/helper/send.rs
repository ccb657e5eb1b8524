//! The way back to QEMU: its `recv_fd()` (`net/tap.c`) takes a descriptor with one byte.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, getpeername, sendmsg};

/// A connected UNIX socket that was there when the helper started.
#[derive(Debug)]
pub(crate) struct Receiver(RawFd);

impl Receiver {
    /// Checks that a descriptor is such a socket. To be called before the helper opens anything,
    /// which could get the same number.
    pub(crate) fn new(descriptor: RawFd) -> Result<Self, String> {
        let why = match getpeername::<UnixAddr>(descriptor) {
            Ok(_) => return Ok(Self(descriptor)),
            Err(Errno::EBADF) => "is not open",
            Err(Errno::ENOTCONN) => "is not connected",
            Err(Errno::ENOTSOCK) => "is no socket",
            // nix's word for an address of another family.
            Err(Errno::EINVAL) => "is no UNIX socket",
            Err(errno) => errno.desc(),
        };
        Err(format!("descriptor {descriptor}, which is to take the tap, {why}"))
    }

    /// Sends a descriptor.
    pub(crate) fn send(&self, descriptor: BorrowedFd) -> io::Result<()> {
        let descriptors = [descriptor.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&descriptors)];
        loop {
            match sendmsg::<()>(self.0, &[IoSlice::new(&[0])], &rights, MsgFlags::MSG_NOSIGNAL, None) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => return Ok(()),
            }
        }
    }
}
