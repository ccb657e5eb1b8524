//! Taps (`drivers/net/tun.c`).
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::ioctl::request;
use crate::InterfaceName;

/// `IFF_TAP | IFF_NO_PI`: bare Ethernet frames.
const TAP_WITHOUT_HEADER: i16 = 0x1002;
const _: () = assert!(TAP_WITHOUT_HEADER as i32 == libc::IFF_TAP | libc::IFF_NO_PI);

nix::ioctl_write_ptr_bad!(set_interface, libc::TUNSETIFF, libc::ifreq);

/// Creates a tap, which vanishes with its descriptor, in the calling thread's network namespace.
pub(super) fn create(name: InterfaceName) -> io::Result<OwnedFd> {
    let device = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = TAP_WITHOUT_HEADER;
    // SAFETY: TUNSETIFF reads one ifreq, and `device` is the tun device, which it is meant for.
    unsafe { set_interface(device.as_raw_fd(), &raw const request) }?;
    Ok(device.into())
}
