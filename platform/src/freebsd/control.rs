//! The ioctls of FreeBSD's interfaces, each as a safe function. Those on bridges alone are in
//! [`bridge_ioctl`](super::bridge_ioctl).
//!
//! Read in `net/if.c` and `net/if_clone.c`. All of them work in the VNET that the socket was made in,
//! also when the process has entered a jail since. getifaddrs(3), a sysctl, would follow the process:
//! interfaces of one VNET must not decide what is destroyed in another.
//!
//! These calls take the name of an interface, not its index. They return `ENXIO` for a name that no
//! interface has. Those that change an interface take a [`Verified`] name.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, if_data, ifconf, ifreq};
use nix::errno::Errno;

use super::abi::{self, if_clonereq, ifgroupreq};
use super::flags::Flags;
use super::interface::Interface;
use super::list::MAX_RECORD;
use super::verified::Verified;
use super::whole_list::whole_list;
use crate::error::CallResult;
use crate::ifreq::{Call, Control, IfReq, c_name, from_c_name};
use crate::retry::retry;
use crate::{Identity, InterfaceIndex, InterfaceName, MacAddr};

nix::ioctl_readwrite_bad!(create, abi::SIOCIFCREATE2, ifreq);
nix::ioctl_write_ptr_bad!(set_name, abi::SIOCSIFNAME, ifreq);
nix::ioctl_write_ptr_bad!(get_data, abi::SIOCGIFDATA, ifreq);
nix::ioctl_readwrite_bad!(get_interfaces, abi::SIOCGIFCONF, ifconf);
nix::ioctl_readwrite_bad!(get_cloners, abi::SIOCIFGCLONERS, if_clonereq);
nix::ioctl_readwrite_bad!(get_group, abi::SIOCGIFGMEMB, ifgroupreq);

/// How often the members of a group are read while it grows.
const GROUP_READINGS: usize = 16;

impl Control {
    /// Returns the index of the interface of this name.
    pub(super) fn index(&self, name: InterfaceName) -> nix::Result<InterfaceIndex> {
        self.call(Call::GET_INDEX, IfReq::on(name))?.index().ok_or(Errno::ENXIO)
    }

    /// Returns the interface of this name.
    ///
    /// Its incarnation is `ifi_epoch`, the second of the uptime at which it was attached
    /// (`if_attach_internal()`). The kernel gives a new interface the lowest free index.
    pub(super) fn interface(&self, name: InterfaceName) -> nix::Result<Interface> {
        let data = self.data(name)?;
        // The index comes last: of interfaces that exist at one time, it alone tells one from another.
        let index = self.index(name)?;
        // The link address would not do for the kind: its `sdl_type` is that of an Ethernet interface for a
        // bridge, too.
        let kind = data[offset_of!(if_data, ifi_type)];
        let mut epoch = [0; size_of::<u64>()];
        epoch.copy_from_slice(&data[offset_of!(if_data, __ifi_epoch)..][..size_of::<u64>()]);
        Ok(Interface { identity: Identity::new(name, index).with_incarnation(u64::from_ne_bytes(epoch)), kind })
    }

    pub(super) fn identity(&self, name: InterfaceName) -> nix::Result<Identity> {
        self.interface(name).map(|interface| interface.identity)
    }

    /// Returns the bytes of the `struct if_data` of an interface.
    fn data(&self, name: InterfaceName) -> nix::Result<[u8; size_of::<if_data>()]> {
        let mut data = [0_u8; size_of::<if_data>()];
        let request = IfReq::on(name).with_data(data.as_mut_ptr());
        // SAFETY: SIOCGIFDATA reads one ifreq, and writes one if_data to where that points, as many
        // bytes as `data` has.
        match retry(|| unsafe { get_data(self.as_fd().as_raw_fd(), &raw const request) }) {
            Ok(_) => Ok(data),
            // FreeBSD 12 has no such call.
            Err(Errno::EINVAL) => Err(Errno::EOPNOTSUPP),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn flags(&self, name: InterfaceName) -> nix::Result<Flags> {
        Ok(Flags(self.call(Call::GET_FLAGS, IfReq::on(name))?.flags()))
    }

    pub(super) fn set_flags(&self, interface: Verified, Flags(flags): Flags) -> nix::Result<()> {
        self.call(Call::SET_FLAGS, interface.into_request().with_flags(flags)).map(drop)
    }

    /// `EINVAL` for an MTU that the interface, or a member of the bridge, cannot have.
    pub(super) fn set_mtu(&self, interface: Verified, mtu: u32) -> nix::Result<()> {
        self.call(Call::SET_MTU, interface.into_request().with_mtu(mtu)?).map(drop)
    }

    pub(super) fn set_mac(&self, interface: Verified, mac: MacAddr) -> nix::Result<()> {
        self.call(Call::SET_MAC, interface.into_request().with_mac(mac)).map(drop)
    }

    /// `EEXIST` for a name that is taken. Unlike on Linux the interface may be up.
    pub(super) fn rename(&self, interface: Verified, to: InterfaceName) -> nix::Result<()> {
        let mut to = c_name(to);
        let request = interface.into_request().with_data(to.as_mut_ptr());
        // SAFETY: SIOCSIFNAME reads one ifreq, and at most IFNAMSIZ bytes from where that points, as
        // many as `to` has.
        retry(|| unsafe { set_name(self.as_fd().as_raw_fd(), &raw const request) }).map(drop)
    }

    /// Creates an interface and gives its name: the name of a driver gets its lowest free unit
    /// after it. `EINVAL` where no driver knows the name, `EEXIST` where it or its unit is taken.
    ///
    /// Any driver that knows a name may take it (`em0.5` is a VLAN, `tap3` a tap): no name of a
    /// user's may come here.
    pub(super) fn create(&self, name: InterfaceName) -> nix::Result<InterfaceName> {
        // Without parameters for the driver.
        let mut request = IfReq::on(name).with_data(std::ptr::null_mut::<u8>());
        // SAFETY: SIOCIFCREATE2 reads and writes one ifreq, and reads nothing from where that points,
        // which is nowhere.
        retry(|| unsafe { create(self.as_fd().as_raw_fd(), &raw mut request) })?;
        from_c_name(&request.ifr_name).ok_or(Errno::ENXIO)
    }

    /// Destroys an interface of any driver that can create some: look at its kind first.
    pub(super) fn destroy(&self, interface: Verified) -> nix::Result<()> {
        self.call(Call::DESTROY, interface.into_request()).map(drop)
    }

    /// Returns the names of the interfaces of a group. Root may put interfaces into it, and take some from it.
    pub(super) fn group(&self, group: InterfaceName) -> nix::Result<Vec<InterfaceName>> {
        for _ in 0..GROUP_READINGS {
            let Some(room) = self.read_group(group, &mut []).unless(Errno::ENOENT)? else { return Ok(Vec::new()) };
            let mut members = vec![[0; libc::IFNAMSIZ]; room];
            match self.read_group(group, &mut members) {
                Ok(_) => {
                    return Ok(members.iter().filter_map(|name| InterfaceName::from_kernel(name)).collect());
                }
                // It has grown, or is gone.
                Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EINVAL)
    }

    /// Reads the members of a group. Without any room, it returns how many there are; with too little, `EINVAL`.
    fn read_group(&self, group: InterfaceName, members: &mut [[u8; libc::IFNAMSIZ]]) -> nix::Result<usize> {
        let bytes = u32::try_from(size_of_val(members)).map_err(|_| Errno::ENOBUFS)?;
        let mut list =
            ifgroupreq { ifgr_name: c_name(group), ifgr_len: bytes, ifgr_groups: members.as_mut_ptr(), _rest: 0 };
        // SAFETY: SIOCGIFGMEMB reads and writes one ifgroupreq, and writes at most `bytes` bytes to `members`.
        retry(|| unsafe { get_group(self.as_fd().as_raw_fd(), &raw mut list) })?;
        Ok(list.ifgr_len as usize / libc::IFNAMSIZ)
    }

    /// Whether the kernel has a driver that creates interfaces of this name.
    pub(super) fn has_driver(&self, name: &str) -> nix::Result<bool> {
        let names = whole_list([0; libc::IFNAMSIZ], 1, |names| {
            let room = c_int::try_from(names.len()).map_err(|_| Errno::ENOBUFS)?;
            let mut list = if_clonereq { ifcr_total: 0, ifcr_count: room, ifcr_buffer: names.as_mut_ptr() };
            // SAFETY: the kernel writes at most `room` names of IFNAMSIZ bytes to `names`.
            retry(|| unsafe { get_cloners(self.as_fd().as_raw_fd(), &raw mut list) })?;
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
            retry(|| unsafe { get_interfaces(self.as_fd().as_raw_fd(), &raw mut list) })?;
            usize::try_from(list.ifc_len).map_err(|_| Errno::EINVAL)
        })
    }
}
