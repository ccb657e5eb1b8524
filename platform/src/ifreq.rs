//! The ioctls that take one `struct ifreq` (`linux/if.h`, on FreeBSD `net/if.h`) without a pointer in it.
//!
//! Two types make them safe: an [`IfReq`] holds no pointer, and a [`Call`] is an ioctl that follows none.
//! The calls that do follow one (such as `SIOCETHTOOL`, and FreeBSD's `SIOCSIFNAME`) are not here.
//!
//! Read in `net/core/dev_ioctl.c`, `net/bridge/br_ioctl.c` and `drivers/net/tun.c`, and in FreeBSD's
//! `net/if.c`, `net/if_clone.c` and `net/if_tuntap.c`.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{c_char, c_int, ifreq, sockaddr};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::retry::retry;
use crate::{InterfaceIndex, InterfaceName, MacAddr};

/// An ioctl that reads or writes one `ifreq` and follows no pointer in it. Only this file makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call(unsafe fn(c_int, *mut ifreq) -> nix::Result<c_int>);

macro_rules! calls {
    ($($NAME:ident = $function:ident($number:expr);)*) => {
        $(nix::ioctl_readwrite_bad!($function, $number, ifreq);)*

        impl Call {
            $(pub(crate) const $NAME: Self = Self($function);)*
        }
    };
}

impl Call {
    /// Makes the call and returns the answer.
    pub(crate) fn on(self, fd: impl AsFd, request: IfReq) -> nix::Result<IfReq> {
        let IfReq(mut request) = request;
        // SAFETY: a Call reads and writes at most one ifreq, which outlives it, and follows no pointer.
        retry(|| unsafe { (self.0)(fd.as_fd().as_raw_fd(), &raw mut request) })?;
        Ok(IfReq(request))
    }
}

/// A socket of the network that it was opened in, for ioctls.
#[derive(Debug)]
pub(crate) struct Control(OwnedFd);

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Control {
    pub(crate) fn open() -> nix::Result<Self> {
        // The family does not matter for these calls, and AF_UNIX is always there, in every jail, too.
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map(Self)
    }

    pub(crate) fn call(&self, call: Call, request: IfReq) -> nix::Result<IfReq> {
        call.on(&self.0, request)
    }

    pub(crate) fn mtu(&self, name: InterfaceName) -> nix::Result<u32> {
        let answer = self.call(Call::GET_MTU, IfReq::on(name))?;
        // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
        u32::try_from(unsafe { answer.0.ifr_ifru.ifru_mtu }).map_err(|_| Errno::EINVAL)
    }
}

/// A `struct ifreq` without a pointer in it.
#[derive(Clone, Copy)]
pub(crate) struct IfReq(ifreq);

impl IfReq {
    /// Returns a request without a name. Everything in it is zero.
    pub(crate) fn empty() -> Self {
        // SAFETY: an ifreq is integers, pointers and arrays of them, for which zero is a value.
        Self(unsafe { std::mem::zeroed() })
    }

    /// Returns a request on the interface of this name. Everything else in it is zero.
    pub(crate) fn on(name: InterfaceName) -> Self {
        Self::empty().with_name(name)
    }

    pub(crate) fn with_name(mut self, name: InterfaceName) -> Self {
        self.0.ifr_name = c_name(name);
        self
    }

    pub(crate) fn with_mtu(mut self, mtu: u32) -> nix::Result<Self> {
        // The kernel has a C int here; a larger number must not turn into another one.
        self.0.ifr_ifru.ifru_mtu = c_int::try_from(mtu).map_err(|_| Errno::EINVAL)?;
        Ok(self)
    }

    /// Points the request to data. Whoever passes it to the kernel must know what that call does there.
    pub(crate) fn with_data<T>(mut self, data: *mut T) -> ifreq {
        self.0.ifr_ifru.ifru_data = data.cast();
        self.0
    }

    pub(crate) fn name(&self) -> Option<InterfaceName> {
        from_c_name(&self.0.ifr_name)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Call, IfReq, InterfaceIndex, InterfaceName, MacAddr, c_name, ifreq, sockaddr, to_byte, to_char};
    use crate::linux::abi::{SIOCBRADDIF, SIOCBRDELIF};
    use crate::linux::convert::c_index;

    calls! {
        GET_INDEX = get_index(libc::SIOCGIFINDEX);
        GET_NAME = get_name(libc::SIOCGIFNAME);
        GET_FLAGS = get_flags(libc::SIOCGIFFLAGS);
        SET_FLAGS = set_flags(libc::SIOCSIFFLAGS);
        GET_MTU = get_mtu(libc::SIOCGIFMTU);
        SET_MTU = set_mtu(libc::SIOCSIFMTU);
        GET_MAC = get_mac(libc::SIOCGIFHWADDR);
        SET_MAC = set_mac(libc::SIOCSIFHWADDR);
        SET_NAME = set_name(libc::SIOCSIFNAME);
        ADD_PORT = add_port(SIOCBRADDIF);
        REMOVE_PORT = remove_port(SIOCBRDELIF);
        GET_TAP = get_tap(libc::TUNGETIFF);
        SET_TAP = set_tap(libc::TUNSETIFF);
    }

    impl IfReq {
        pub(crate) fn with_index(mut self, index: InterfaceIndex) -> Self {
            self.0.ifr_ifru.ifru_ifindex = c_index(index);
            self
        }

        pub(crate) fn with_flags(mut self, flags: u16) -> Self {
            self.0.ifr_ifru.ifru_flags = i16::from_ne_bytes(flags.to_ne_bytes());
            self
        }

        pub(crate) fn with_mac(mut self, mac: MacAddr) -> Self {
            let mut data = [0; 14];
            data[..6].copy_from_slice(&mac.bytes().map(to_char));
            // Any other family is EINVAL.
            self.0.ifr_ifru.ifru_hwaddr = sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
            self
        }

        pub(crate) fn with_new_name(mut self, name: InterfaceName) -> Self {
            self.0.ifr_ifru.ifru_newname = c_name(name);
            self
        }

        pub(crate) fn index(&self) -> Option<InterfaceIndex> {
            // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
            InterfaceIndex::from_c(unsafe { self.0.ifr_ifru.ifru_ifindex })
        }

        pub(crate) fn flags(&self) -> u16 {
            // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
            u16::from_ne_bytes(unsafe { self.0.ifr_ifru.ifru_flags }.to_ne_bytes())
        }

        /// Returns the MAC, or `None` if the address is of another kind.
        pub(crate) fn mac(&self) -> Option<MacAddr> {
            // SAFETY: all bytes of the union were set to zero first, and any bytes are integers.
            let address = unsafe { self.0.ifr_ifru.ifru_hwaddr };
            let has_mac = matches!(address.sa_family, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
            address.sa_data.map(to_byte).first_chunk().copied().map(MacAddr::new).filter(|_| has_mac)
        }
    }
}

#[cfg(target_os = "freebsd")]
mod freebsd {
    use super::{Call, IfReq, InterfaceIndex, MacAddr, ifreq, sockaddr, to_char};
    use crate::freebsd::abi;

    calls! {
        GET_FLAGS = get_flags(abi::SIOCGIFFLAGS);
        SET_FLAGS = set_flags(abi::SIOCSIFFLAGS);
        GET_INDEX = get_index(abi::SIOCGIFINDEX);
        GET_MTU = get_mtu(abi::SIOCGIFMTU);
        SET_MTU = set_mtu(abi::SIOCSIFMTU);
        SET_MAC = set_mac(abi::SIOCSIFLLADDR);
        DESTROY = destroy(abi::SIOCIFDESTROY);
        GET_TAP = get_tap(abi::TAPGIFNAME);
    }

    impl IfReq {
        /// With `ifr_flags` and `ifr_flagshigh`, which are set together.
        pub(crate) fn with_flags(mut self, flags: [libc::c_short; 2]) -> Self {
            self.0.ifr_ifru.ifru_flags = flags;
            self
        }

        pub(crate) fn with_mac(mut self, mac: MacAddr) -> Self {
            let mut data = [0; 14];
            data[..6].copy_from_slice(&mac.bytes().map(to_char));
            // Here the length is that of the MAC and not of the address; any other is EINVAL.
            self.0.ifr_ifru.ifru_addr = sockaddr { sa_len: 6, sa_family: abi::AF_LINK, sa_data: data };
            self
        }

        /// `ifr_flags` and `ifr_flagshigh`.
        pub(crate) fn flags(&self) -> [libc::c_short; 2] {
            // SAFETY: all bytes of the union were set to zero first, and any bytes are integers.
            unsafe { self.0.ifr_ifru.ifru_flags }
        }

        pub(crate) fn index(&self) -> Option<InterfaceIndex> {
            // SAFETY: all bytes of the union were set to zero first, and any bytes are an integer.
            let index = unsafe { self.0.ifr_ifru.ifru_index };
            // An unsigned short in the kernel.
            InterfaceIndex::from_c(u16::from_ne_bytes(index.to_ne_bytes()))
        }
    }
}

/// Returns the name with its NULs. A name of 15 bytes at most leaves room for one.
pub(crate) fn c_name(name: InterfaceName) -> [c_char; libc::IFNAMSIZ] {
    let mut padded = [0; libc::IFNAMSIZ];
    padded[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    padded.map(to_char)
}

pub(crate) fn from_c_name(padded: &[c_char; libc::IFNAMSIZ]) -> Option<InterfaceName> {
    InterfaceName::from_kernel(&padded.map(to_byte))
}

/// A `c_char` is signed on some architectures and unsigned on others.
fn to_byte(char: c_char) -> u8 {
    u8::from_ne_bytes(char.to_ne_bytes())
}

fn to_char(byte: u8) -> c_char {
    c_char::from_ne_bytes([byte])
}
