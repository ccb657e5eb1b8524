//! Taps (`drivers/net/tun.c`).
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::abi::tun::{IFF_NO_PI, IFF_TAP};
use super::ioctl::request;
use crate::InterfaceName;

nix::ioctl_write_ptr_bad!(set_interface, libc::TUNSETIFF, libc::ifreq);

/// Creates a tap, which vanishes with its descriptor, in the calling thread's network namespace.
pub(super) fn create(name: InterfaceName) -> io::Result<OwnedFd> {
    let device = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = request(name);
    // Bare Ethernet frames, without the four bytes before each that a tap has by default.
    request.ifr_ifru.ifru_flags = IFF_TAP | IFF_NO_PI;
    // SAFETY: TUNSETIFF reads one ifreq, and `device` is the tun device, which it is meant for.
    unsafe { set_interface(device.as_raw_fd(), &raw const request) }?;
    Ok(device.into())
}
