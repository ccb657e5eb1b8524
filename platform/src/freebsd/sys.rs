//! The ioctls of FreeBSD's interfaces, each as a safe function; those of bridges alone are in
//! [`bridge_ioctl`](super::bridge_ioctl).
//!
//! Read in `net/if.c` and `net/if_clone.c`. All of them work in the VNET that
//! the socket was made in, also when the process has entered a jail since. That is why
//! interfaces are read here and not by getifaddrs(3), a sysctl, which follows the process: what
//! one VNET says of a name must not decide what is destroyed in another.
//!
//! The interfaces have no numbers in these calls, only names. `ENXIO` is what all of them say of
//! a name that no interface has.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{c_char, c_int, c_short, if_data, ifconf, ifreq, sockaddr};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::abi::{self, if_clonereq};
use super::list::MAX_RECORD;
use crate::{InterfaceIndex, InterfaceName, LinkState, MacAddr};

nix::ioctl_readwrite_bad!(get_flags, abi::SIOCGIFFLAGS, ifreq);
nix::ioctl_readwrite_bad!(get_index, abi::SIOCGIFINDEX, ifreq);
nix::ioctl_readwrite_bad!(get_mtu, abi::SIOCGIFMTU, ifreq);
nix::ioctl_readwrite_bad!(create, abi::SIOCIFCREATE2, ifreq);
nix::ioctl_write_ptr_bad!(set_flags, abi::SIOCSIFFLAGS, ifreq);
nix::ioctl_write_ptr_bad!(set_mtu, abi::SIOCSIFMTU, ifreq);
nix::ioctl_write_ptr_bad!(set_mac, abi::SIOCSIFLLADDR, ifreq);
nix::ioctl_write_ptr_bad!(set_name, abi::SIOCSIFNAME, ifreq);
nix::ioctl_write_ptr_bad!(get_data, abi::SIOCGIFDATA, ifreq);
nix::ioctl_write_ptr_bad!(destroy, abi::SIOCIFDESTROY, ifreq);
nix::ioctl_readwrite_bad!(get_interfaces, abi::SIOCGIFCONF, ifconf);
nix::ioctl_readwrite_bad!(get_cloners, abi::SIOCIFGCLONERS, if_clonereq);

type Get = unsafe fn(c_int, *mut ifreq) -> nix::Result<c_int>;
type Set = unsafe fn(c_int, *const ifreq) -> nix::Result<c_int>;

/// A socket of the VNET that it was opened in, for ioctls.
#[derive(Debug)]
pub(super) struct Control(pub(super) OwnedFd);

impl Control {
    pub(super) fn open() -> nix::Result<Self> {
        // The family does not matter for these calls, and AF_LOCAL is there in every jail.
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map(Self)
    }

    /// The index of the interface of this name.
    pub(super) fn index(&self, name: InterfaceName) -> nix::Result<InterfaceIndex> {
        let answer = self.get(get_index, request(name))?;
        // SAFETY: SIOCGIFINDEX succeeded and has written this member.
        let index = unsafe { answer.ifr_ifru.ifru_index };
        // An unsigned short in the kernel.
        InterfaceIndex::from_c(u16::from_ne_bytes(index.to_ne_bytes())).ok_or(Errno::ENXIO)
    }

    /// What kind of interface it is, one of `IFT_*`. The link address would not do: its
    /// `sdl_type` is that of an Ethernet interface for a bridge too.
    pub(super) fn kind(&self, name: InterfaceName) -> nix::Result<u8> {
        let mut data = [0_u8; size_of::<if_data>()];
        let mut request = request(name);
        request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
        match self.set(get_data, request) {
            Ok(()) => Ok(data[offset_of!(if_data, ifi_type)]),
            // FreeBSD 12 has no such call.
            Err(Errno::EINVAL) => Err(Errno::EOPNOTSUPP),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn link(&self, name: InterfaceName) -> nix::Result<LinkState> {
        let [low, _] = self.flags(name)?;
        Ok(LinkState::of_flags(u32::from(u16::from_ne_bytes(low.to_ne_bytes()))))
    }

    pub(super) fn set_link(&self, name: InterfaceName, link: LinkState) -> nix::Result<()> {
        self.set_flags(name, |flags| match link {
            LinkState::Up => flags | abi::IFF_UP,
            LinkState::Down => flags & !abi::IFF_UP,
        })
    }

    /// Lets a tap stay as it is, up or down, when its device is closed.
    pub(super) fn keep_link_when_closed(&self, tap: InterfaceName) -> nix::Result<()> {
        self.set_flags(tap, |flags| flags | abi::IFF_LINK0)
    }

    fn set_flags(&self, name: InterfaceName, change: impl Fn(c_short) -> c_short) -> nix::Result<()> {
        let [low, high] = self.flags(name)?;
        let low = change(low);
        let mut request = request(name);
        request.ifr_ifru.ifru_flags = [low, high];
        self.set(set_flags, request)
    }

    /// `ifr_flags` and `ifr_flagshigh`, which are set together.
    fn flags(&self, name: InterfaceName) -> nix::Result<[c_short; 2]> {
        let answer = self.get(get_flags, request(name))?;
        // SAFETY: SIOCGIFFLAGS succeeded and has written this member.
        Ok(unsafe { answer.ifr_ifru.ifru_flags })
    }

    pub(super) fn mtu(&self, name: InterfaceName) -> nix::Result<u32> {
        let answer = self.get(get_mtu, request(name))?;
        // SAFETY: SIOCGIFMTU succeeded and has written this member.
        let mtu = unsafe { answer.ifr_ifru.ifru_mtu };
        u32::try_from(mtu).map_err(|_| Errno::EINVAL)
    }

    /// `EINVAL` for an MTU that the interface, or a member of the bridge, cannot have.
    pub(super) fn set_mtu(&self, name: InterfaceName, mtu: u32) -> nix::Result<()> {
        let mut request = request(name);
        // The kernel has a C int here; what does not fit must not turn into something else.
        request.ifr_ifru.ifru_mtu = c_int::try_from(mtu).map_err(|_| Errno::EINVAL)?;
        self.set(set_mtu, request)
    }

    pub(super) fn set_mac(&self, name: InterfaceName, mac: MacAddr) -> nix::Result<()> {
        let mut data = [0; 14];
        data[..6].copy_from_slice(&mac.bytes().map(to_char));
        let mut request = request(name);
        // Here the length is that of the MAC and not of the address; any other is EINVAL.
        request.ifr_ifru.ifru_addr = sockaddr { sa_len: 6, sa_family: abi::AF_LINK, sa_data: data };
        self.set(set_mac, request)
    }

    /// `EEXIST` for a name that is taken. Unlike on Linux the interface may be up.
    pub(super) fn rename(&self, name: InterfaceName, to: InterfaceName) -> nix::Result<()> {
        let mut to = c_name(to);
        let mut request = request(name);
        request.ifr_ifru.ifru_data = to.as_mut_ptr();
        self.set(set_name, request)
    }

    /// Creates an interface and gives its name: the name of a driver gets its lowest free unit
    /// after it. `EINVAL` where no driver knows the name, `EEXIST` where it or its unit is taken.
    ///
    /// Any driver that knows a name may take it (`em0.5` is a VLAN, `tap3` a tap): no name of a
    /// user's may come here.
    pub(super) fn create(&self, name: InterfaceName) -> nix::Result<InterfaceName> {
        let answer = self.get(create, request(name))?;
        InterfaceName::from_kernel(&answer.ifr_name.map(to_byte)).ok_or(Errno::ENXIO)
    }

    /// Destroys an interface of any driver that can create some: look at its kind first.
    pub(super) fn destroy(&self, name: InterfaceName) -> nix::Result<()> {
        self.set(destroy, request(name))
    }

    /// Whether the kernel has a driver that creates interfaces of this name.
    pub(super) fn has_driver(&self, name: &str) -> nix::Result<bool> {
        let names = whole_list([0; libc::IFNAMSIZ], 1, |names| {
            let room = c_int::try_from(names.len()).map_err(|_| Errno::ENOBUFS)?;
            let mut list = if_clonereq { ifcr_total: 0, ifcr_count: room, ifcr_buffer: names.as_mut_ptr() };
            // SAFETY: the kernel writes at most `room` names of IFNAMSIZ bytes to `names`.
            retry(|| unsafe { get_cloners(self.0.as_raw_fd(), &raw mut list) })?;
            Ok(usize::try_from(list.ifcr_total.min(room)).unwrap_or(0))
        })?;
        Ok(names.iter().any(|known| known.split(|&byte| byte == 0).next() == Some(name.as_bytes())))
    }

    /// All interfaces and their addresses, for [`decode`](super::list::decode).
    pub(super) fn interfaces(&self) -> nix::Result<Vec<u8>> {
        // What does not fit is left out without a word.
        whole_list(0, MAX_RECORD, |bytes| {
            let mut list = ifconf {
                ifc_len: c_int::try_from(bytes.len()).map_err(|_| Errno::ENOBUFS)?,
                ifc_ifcu: libc::__c_anonymous_ifc_ifcu { ifcu_buf: bytes.as_mut_ptr().cast() },
            };
            // SAFETY: the kernel writes at most `ifc_len` bytes, as many as `bytes` has.
            retry(|| unsafe { get_interfaces(self.0.as_raw_fd(), &raw mut list) })?;
            usize::try_from(list.ifc_len).map_err(|_| Errno::EINVAL)
        })
    }

    fn get(&self, call: Get, mut request: ifreq) -> nix::Result<ifreq> {
        // SAFETY: every call of type Get above reads and writes one ifreq.
        retry(|| unsafe { call(self.0.as_raw_fd(), &raw mut request) })?;
        Ok(request)
    }

    fn set(&self, call: Set, request: ifreq) -> nix::Result<()> {
        // SAFETY: every call of type Set above reads one ifreq. Where that has a pointer, the
        // caller has pointed it to what the kernel reads or writes there, and owns it.
        retry(|| unsafe { call(self.0.as_raw_fd(), &raw const request) }).map(drop)
    }
}

/// A request with everything but the name zero.
pub(super) fn request(name: impl Into<Option<InterfaceName>>) -> ifreq {
    let zero = sockaddr { sa_len: 0, sa_family: 0, sa_data: [0; 14] };
    let name = name.into().map_or([0; libc::IFNAMSIZ], c_name);
    ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_addr: zero } }
}

/// Reads a list into more and more room, until what came leaves some for another entry, whose
/// length is `entry` at the most: only then is it sure that none was left out.
pub(super) fn whole_list<T: Clone>(
    empty: T,
    entry: usize,
    read: impl Fn(&mut [T]) -> nix::Result<usize>,
) -> nix::Result<Vec<T>> {
    let mut list = vec![empty.clone(); 64 * entry];
    loop {
        let len = read(&mut list)?;
        if len.saturating_add(entry) <= list.len() {
            list.truncate(len);
            return Ok(list);
        }
        list.resize(4 * list.len(), empty.clone());
    }
}

/// The name with its NULs. A name of 15 bytes at most leaves room for one.
pub(super) fn c_name(name: InterfaceName) -> [c_char; libc::IFNAMSIZ] {
    let mut padded = [0; libc::IFNAMSIZ];
    padded[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    padded.map(to_char)
}

/// A `c_char` is signed on some architectures and unsigned on others.
pub(super) fn to_byte(char: c_char) -> u8 {
    u8::from_ne_bytes(char.to_ne_bytes())
}

fn to_char(byte: u8) -> c_char {
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
