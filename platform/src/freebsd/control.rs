//! The ioctls of FreeBSD's interfaces, each as a safe function. Those on bridges alone are in
//! [`bridge_ioctl`](super::bridge_ioctl).
//!
//! Read in `net/if.c` and `net/if_clone.c`. All of them work in the VNET that the socket was made in,
//! also when the process has entered a jail since. getifaddrs(3), a sysctl, would follow the process:
//! interfaces of one VNET must not decide what is destroyed in another.
//!
//! These calls take names only, and no numbers. All of them answer `ENXIO` to a name that no interface
//! has.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{c_int, c_short, if_data, ifconf, ifreq};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::abi::{self, if_clonereq};
use super::ifreq::{Call, IfReq, c_name, from_c_name};
use super::list::MAX_RECORD;
use super::whole_list::whole_list;
use crate::retry::retry;
use crate::{InterfaceIndex, InterfaceName, LinkState, MacAddr};

nix::ioctl_readwrite_bad!(create, abi::SIOCIFCREATE2, ifreq);
nix::ioctl_write_ptr_bad!(set_name, abi::SIOCSIFNAME, ifreq);
nix::ioctl_write_ptr_bad!(get_data, abi::SIOCGIFDATA, ifreq);
nix::ioctl_readwrite_bad!(get_interfaces, abi::SIOCGIFCONF, ifconf);
nix::ioctl_readwrite_bad!(get_cloners, abi::SIOCIFGCLONERS, if_clonereq);

/// A socket of the VNET that it was opened in, for ioctls.
#[derive(Debug)]
pub(super) struct Control(OwnedFd);

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Control {
    pub(super) fn open() -> nix::Result<Self> {
        // The family does not matter for these calls, and AF_LOCAL is there in every jail.
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map(Self)
    }

    /// Returns the index of the interface of this name.
    pub(super) fn index(&self, name: InterfaceName) -> nix::Result<InterfaceIndex> {
        self.call(Call::GET_INDEX, IfReq::on(name))?.index().ok_or(Errno::ENXIO)
    }

    /// Returns the kind of interface, one of `IFT_*`. The link address would not do: its `sdl_type` is
    /// that of an Ethernet interface for a bridge too.
    pub(super) fn kind(&self, name: InterfaceName) -> nix::Result<u8> {
        let mut data = [0_u8; size_of::<if_data>()];
        let request = IfReq::on(name).with_data(data.as_mut_ptr().cast());
        // SAFETY: SIOCGIFDATA reads one ifreq, and writes one if_data to where that points, as many
        // bytes as `data` has.
        match retry(|| unsafe { get_data(self.0.as_raw_fd(), &raw const request) }) {
            Ok(_) => Ok(data[offset_of!(if_data, ifi_type)]),
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
        self.call(Call::SET_FLAGS, IfReq::on(name).with_flags([change(low), high])).map(drop)
    }

    /// `ifr_flags` and `ifr_flagshigh`, which are set together.
    fn flags(&self, name: InterfaceName) -> nix::Result<[c_short; 2]> {
        Ok(self.call(Call::GET_FLAGS, IfReq::on(name))?.flags())
    }

    pub(super) fn mtu(&self, name: InterfaceName) -> nix::Result<u32> {
        let mtu = self.call(Call::GET_MTU, IfReq::on(name))?.mtu();
        u32::try_from(mtu).map_err(|_| Errno::EINVAL)
    }

    /// `EINVAL` for an MTU that the interface, or a member of the bridge, cannot have.
    pub(super) fn set_mtu(&self, name: InterfaceName, mtu: u32) -> nix::Result<()> {
        // The kernel has a C int here; a larger number must not turn into another one.
        let mtu = c_int::try_from(mtu).map_err(|_| Errno::EINVAL)?;
        self.call(Call::SET_MTU, IfReq::on(name).with_mtu(mtu)).map(drop)
    }

    pub(super) fn set_mac(&self, name: InterfaceName, mac: MacAddr) -> nix::Result<()> {
        self.call(Call::SET_MAC, IfReq::on(name).with_mac(mac)).map(drop)
    }

    /// `EEXIST` for a name that is taken. Unlike on Linux the interface may be up.
    pub(super) fn rename(&self, name: InterfaceName, to: InterfaceName) -> nix::Result<()> {
        let mut to = c_name(to);
        let request = IfReq::on(name).with_data(to.as_mut_ptr());
        // SAFETY: SIOCSIFNAME reads one ifreq, and at most IFNAMSIZ bytes from where that points, as
        // many as `to` has.
        retry(|| unsafe { set_name(self.0.as_raw_fd(), &raw const request) }).map(drop)
    }

    /// Creates an interface and gives its name: the name of a driver gets its lowest free unit
    /// after it. `EINVAL` where no driver knows the name, `EEXIST` where it or its unit is taken.
    ///
    /// Any driver that knows a name may take it (`em0.5` is a VLAN, `tap3` a tap): no name of a
    /// user's may come here.
    pub(super) fn create(&self, name: InterfaceName) -> nix::Result<InterfaceName> {
        // Without parameters for the driver.
        let mut request = IfReq::on(name).with_data(std::ptr::null_mut());
        // SAFETY: SIOCIFCREATE2 reads and writes one ifreq, and reads nothing from where that points,
        // which is nowhere.
        retry(|| unsafe { create(self.0.as_raw_fd(), &raw mut request) })?;
        from_c_name(&request.ifr_name).ok_or(Errno::ENXIO)
    }

    /// Destroys an interface of any driver that can create some: look at its kind first.
    pub(super) fn destroy(&self, name: InterfaceName) -> nix::Result<()> {
        self.call(Call::DESTROY, IfReq::on(name)).map(drop)
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

    fn call(&self, call: Call, request: IfReq) -> nix::Result<IfReq> {
        call.on(&self.0, request)
    }
}
