//! The `struct ifreq` of the ioctls on interfaces (`linux/if.h`).
#![allow(unsafe_code)]

use libc::{c_char, ifreq};
use nix::errno::Errno;

use crate::{InterfaceName, MacAddr};

pub(super) fn empty_request() -> ifreq {
    // SAFETY: an ifreq is integers, pointers and arrays of them, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// A request on the interface of this name.
pub(super) fn request(name: InterfaceName) -> ifreq {
    let mut request = empty_request();
    request.ifr_name = c_name(name).map(to_char);
    request
}

/// The name in an answer.
pub(super) fn name(answer: &ifreq) -> Option<InterfaceName> {
    InterfaceName::from_kernel(&answer.ifr_name.map(to_byte))
}

/// The name with its NULs. A name of 15 bytes at most leaves room for one.
pub(super) fn c_name(name: InterfaceName) -> [u8; libc::IFNAMSIZ] {
    let mut padded = [0; libc::IFNAMSIZ];
    padded[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    padded
}

/// A MAC as `SIOCSIFHWADDR` takes it.
pub(super) fn hardware_address(mac: MacAddr) -> libc::sockaddr {
    let mut data = [0; 14];
    data[..6].copy_from_slice(&mac.bytes().map(to_char));
    // Any other family is EINVAL.
    libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data }
}

/// The MAC that `SIOCGIFHWADDR` gives, or `None` if the address is of another kind.
pub(super) fn mac(address: &libc::sockaddr) -> Option<MacAddr> {
    let has_mac = matches!(address.sa_family, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
    address.sa_data.map(to_byte).first_chunk().copied().map(MacAddr::new).filter(|_| has_mac)
}

/// A `c_char` is signed on some architectures and unsigned on others.
fn to_byte(char: c_char) -> u8 {
    u8::from_ne_bytes(char.to_ne_bytes())
}

pub(super) fn to_char(byte: u8) -> c_char {
    c_char::from_ne_bytes([byte])
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            outcome => return outcome,
        }
    }
}
