//! The ioctls that take one `struct ifreq` (`linux/if.h`) without a pointer in it.
//!
//! Two types make them safe: an [`IfReq`] holds no pointer, and a [`Call`] is an ioctl that follows none.
//! The calls that do follow one (`SIOCETHTOOL`, `SIOCDEVPRIVATE`) are not here.
//!
//! Read in `net/core/dev_ioctl.c`, `net/bridge/br_ioctl.c` and `drivers/net/tun.c`.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_char, c_int, ifreq};

use super::abi::{SIOCBRADDIF, SIOCBRDELIF};
use super::convert::c_index;
use crate::retry::retry;
use crate::{InterfaceIndex, InterfaceName, MacAddr};

nix::ioctl_readwrite_bad!(get_index, libc::SIOCGIFINDEX, ifreq);
nix::ioctl_readwrite_bad!(get_name, libc::SIOCGIFNAME, ifreq);
nix::ioctl_readwrite_bad!(get_flags, libc::SIOCGIFFLAGS, ifreq);
nix::ioctl_readwrite_bad!(set_flags, libc::SIOCSIFFLAGS, ifreq);
nix::ioctl_readwrite_bad!(get_mtu, libc::SIOCGIFMTU, ifreq);
nix::ioctl_readwrite_bad!(set_mtu, libc::SIOCSIFMTU, ifreq);
nix::ioctl_readwrite_bad!(get_mac, libc::SIOCGIFHWADDR, ifreq);
nix::ioctl_readwrite_bad!(set_mac, libc::SIOCSIFHWADDR, ifreq);
nix::ioctl_readwrite_bad!(set_name, libc::SIOCSIFNAME, ifreq);
nix::ioctl_readwrite_bad!(add_port, SIOCBRADDIF, ifreq);
nix::ioctl_readwrite_bad!(remove_port, SIOCBRDELIF, ifreq);
nix::ioctl_readwrite_bad!(get_tap, libc::TUNGETIFF, ifreq);
nix::ioctl_readwrite_bad!(set_tap, libc::TUNSETIFF, ifreq);

/// An ioctl that reads and writes one `ifreq` and follows no pointer in it. Only this file makes one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call(unsafe fn(c_int, *mut ifreq) -> nix::Result<c_int>);

impl Call {
    pub(super) const GET_INDEX: Self = Self(get_index);
    pub(super) const GET_NAME: Self = Self(get_name);
    pub(super) const GET_FLAGS: Self = Self(get_flags);
    pub(super) const SET_FLAGS: Self = Self(set_flags);
    pub(super) const GET_MTU: Self = Self(get_mtu);
    pub(super) const SET_MTU: Self = Self(set_mtu);
    pub(super) const GET_MAC: Self = Self(get_mac);
    pub(super) const SET_MAC: Self = Self(set_mac);
    pub(super) const SET_NAME: Self = Self(set_name);
    pub(super) const ADD_PORT: Self = Self(add_port);
    pub(super) const REMOVE_PORT: Self = Self(remove_port);
    pub(super) const GET_TAP: Self = Self(get_tap);
    pub(super) const SET_TAP: Self = Self(set_tap);

    /// Makes the call and returns the answer.
    pub(super) fn on(self, fd: impl AsFd, request: IfReq) -> nix::Result<IfReq> {
        let IfReq(mut request) = request;
        // SAFETY: a Call reads and writes one ifreq, which outlives it, and follows no pointer.
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
        request.0.ifr_name = c_name(name).map(to_char);
        request
    }

    pub(super) fn with_index(mut self, index: InterfaceIndex) -> Self {
        self.0.ifr_ifru.ifru_ifindex = c_index(index);
        self
    }

    pub(super) fn with_flags(mut self, flags: u16) -> Self {
        self.0.ifr_ifru.ifru_flags = i16::from_ne_bytes(flags.to_ne_bytes());
        self
    }

    pub(super) fn with_mtu(mut self, mtu: c_int) -> Self {
        self.0.ifr_ifru.ifru_mtu = mtu;
        self
    }

    pub(super) fn with_mac(mut self, mac: MacAddr) -> Self {
        let mut data = [0; 14];
        data[..6].copy_from_slice(&mac.bytes().map(to_char));
        // Any other family is EINVAL.
        self.0.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
        self
    }

    pub(super) fn with_new_name(mut self, name: InterfaceName) -> Self {
        self.0.ifr_ifru.ifru_newname = c_name(name).map(to_char);
        self
    }

    /// Points the request to data. Whoever passes it to the kernel must know what that call does there.
    pub(super) fn with_data(mut self, data: *mut c_void) -> ifreq {
        self.0.ifr_ifru.ifru_data = data.cast();
        self.0
    }

    pub(super) fn name(&self) -> Option<InterfaceName> {
        InterfaceName::from_kernel(&self.0.ifr_name.map(to_byte))
    }

    pub(super) fn index(&self) -> Option<InterfaceIndex> {
        // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
        InterfaceIndex::from_c(unsafe { self.0.ifr_ifru.ifru_ifindex })
    }

    pub(super) fn flags(&self) -> u16 {
        // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
        u16::from_ne_bytes(unsafe { self.0.ifr_ifru.ifru_flags }.to_ne_bytes())
    }

    pub(super) fn mtu(&self) -> c_int {
        // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
        unsafe { self.0.ifr_ifru.ifru_mtu }
    }

    /// Returns the MAC, or `None` if the address is of another kind.
    pub(super) fn mac(&self) -> Option<MacAddr> {
        // SAFETY: all bytes of the union were set to zero first, and any bytes are integers.
        let address = unsafe { self.0.ifr_ifru.ifru_hwaddr };
        let has_mac = matches!(address.sa_family, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
        address.sa_data.map(to_byte).first_chunk().copied().map(MacAddr::new).filter(|_| has_mac)
    }
}

/// Returns the name with its NULs. A name of 15 bytes at most leaves room for one.
pub(super) fn c_name(name: InterfaceName) -> [u8; libc::IFNAMSIZ] {
    let mut padded = [0; libc::IFNAMSIZ];
    padded[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    padded
}

/// A `c_char` is signed on some architectures and unsigned on others.
fn to_byte(char: c_char) -> u8 {
    u8::from_ne_bytes(char.to_ne_bytes())
}

fn to_char(byte: u8) -> c_char {
    c_char::from_ne_bytes([byte])
}
