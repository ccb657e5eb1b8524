//! The ioctls that take one `struct ifreq` (`net/if.h`) without a pointer in it.
//!
//! Two types make them safe: an [`IfReq`] holds no pointer, and a [`Call`] is an ioctl that follows none.
//! The calls that do follow one (`SIOCSIFNAME`, `SIOCGIFDATA`, `SIOCIFCREATE2`) are not here.
//!
//! Read in `net/if.c`, `net/if_clone.c` and `net/if_tuntap.c`.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use libc::{c_char, c_int, c_short, ifreq, sockaddr};

use super::abi;
use crate::retry::retry;
use crate::{InterfaceIndex, InterfaceName, MacAddr};

nix::ioctl_readwrite_bad!(get_flags, abi::SIOCGIFFLAGS, ifreq);
nix::ioctl_readwrite_bad!(set_flags, abi::SIOCSIFFLAGS, ifreq);
nix::ioctl_readwrite_bad!(get_index, abi::SIOCGIFINDEX, ifreq);
nix::ioctl_readwrite_bad!(get_mtu, abi::SIOCGIFMTU, ifreq);
nix::ioctl_readwrite_bad!(set_mtu, abi::SIOCSIFMTU, ifreq);
nix::ioctl_readwrite_bad!(set_mac, abi::SIOCSIFLLADDR, ifreq);
nix::ioctl_readwrite_bad!(destroy, abi::SIOCIFDESTROY, ifreq);
nix::ioctl_readwrite_bad!(get_tap, abi::TAPGIFNAME, ifreq);

/// An ioctl that reads or writes one `ifreq` and follows no pointer in it. Only this file makes one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call(unsafe fn(c_int, *mut ifreq) -> nix::Result<c_int>);

impl Call {
    pub(super) const GET_FLAGS: Self = Self(get_flags);
    pub(super) const SET_FLAGS: Self = Self(set_flags);
    pub(super) const GET_INDEX: Self = Self(get_index);
    pub(super) const GET_MTU: Self = Self(get_mtu);
    pub(super) const SET_MTU: Self = Self(set_mtu);
    pub(super) const SET_MAC: Self = Self(set_mac);
    pub(super) const DESTROY: Self = Self(destroy);
    /// On the device of a tap.
    pub(super) const GET_TAP: Self = Self(get_tap);

    /// Makes the call and returns the answer.
    pub(super) fn on(self, fd: impl AsFd, request: IfReq) -> nix::Result<IfReq> {
        let IfReq(mut request) = request;
        // SAFETY: a Call reads and writes at most one ifreq, which outlives it, and follows no pointer.
        retry(|| unsafe { (self.0)(fd.as_fd().as_raw_fd(), &raw mut request) })?;
        Ok(IfReq(request))
    }
}

/// A `struct ifreq` without a pointer in it.
#[derive(Clone, Copy)]
pub(super) struct IfReq(ifreq);

impl IfReq {
    /// Returns a request without a name. Everything in it is zero.
    pub(super) fn empty() -> Self {
        // SAFETY: an ifreq is integers, pointers and arrays of them, for which zero is a value.
        Self(unsafe { std::mem::zeroed() })
    }

    /// Returns a request on the interface of this name. Everything else in it is zero.
    pub(super) fn on(name: InterfaceName) -> Self {
        let mut request = Self::empty();
        request.0.ifr_name = c_name(name);
        request
    }

    /// With `ifr_flags` and `ifr_flagshigh`, which are set together.
    pub(super) fn with_flags(mut self, flags: [c_short; 2]) -> Self {
        self.0.ifr_ifru.ifru_flags = flags;
        self
    }

    pub(super) fn with_mtu(mut self, mtu: c_int) -> Self {
        self.0.ifr_ifru.ifru_mtu = mtu;
        self
    }

    pub(super) fn with_mac(mut self, mac: MacAddr) -> Self {
        let mut data = [0; 14];
        data[..6].copy_from_slice(&mac.bytes().map(to_char));
        // Here the length is that of the MAC and not of the address; any other is EINVAL.
        self.0.ifr_ifru.ifru_addr = sockaddr { sa_len: 6, sa_family: abi::AF_LINK, sa_data: data };
        self
    }

    /// Points the request to data. Whoever passes it to the kernel must know what that call does there.
    pub(super) fn with_data(mut self, data: *mut c_char) -> ifreq {
        self.0.ifr_ifru.ifru_data = data;
        self.0
    }

    pub(super) fn name(&self) -> Option<InterfaceName> {
        from_c_name(&self.0.ifr_name)
    }

    /// `ifr_flags` and `ifr_flagshigh`.
    pub(super) fn flags(&self) -> [c_short; 2] {
        // SAFETY: all bytes of the union were set to zero first, and any bytes are integers.
        unsafe { self.0.ifr_ifru.ifru_flags }
    }

    pub(super) fn index(&self) -> Option<InterfaceIndex> {
        // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
        let index = unsafe { self.0.ifr_ifru.ifru_index };
        // An unsigned short in the kernel.
        InterfaceIndex::from_c(u16::from_ne_bytes(index.to_ne_bytes()))
    }

    pub(super) fn mtu(&self) -> c_int {
        // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
        unsafe { self.0.ifr_ifru.ifru_mtu }
    }
}

/// Returns the name with its NULs. A name of 15 bytes at most leaves room for one.
pub(super) fn c_name(name: InterfaceName) -> [c_char; libc::IFNAMSIZ] {
    let mut padded = [0; libc::IFNAMSIZ];
    padded[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    padded.map(to_char)
}

pub(super) fn from_c_name(padded: &[c_char; libc::IFNAMSIZ]) -> Option<InterfaceName> {
    InterfaceName::from_kernel(&padded.map(to_byte))
}

/// A `c_char` is signed on some architectures and unsigned on others.
fn to_byte(char: c_char) -> u8 {
    u8::from_ne_bytes(char.to_ne_bytes())
}

fn to_char(byte: u8) -> c_char {
    c_char::from_ne_bytes([byte])
}
