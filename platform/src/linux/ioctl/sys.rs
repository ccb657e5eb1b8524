//! The ioctls of Linux's interfaces and bridges, each as a safe function.
//!
//! Read in `net/core/dev_ioctl.c` and `net/bridge/br_ioctl.c`. All of them work in the network
//! namespace that the socket was made in, whatever thread makes the call.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use libc::{c_int, c_ulong, ifreq};
use nix::errno::Errno;
use nix::sys::socket::sockopt::BindToDevice;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket};

use crate::linux::abi::{
    __bridge_info, __fdb_entry, __port_info, BRCTL_GET_BRIDGE_INFO, BRCTL_GET_FDB_ENTRIES, BRCTL_GET_PORT_INFO,
    BRCTL_GET_PORT_LIST, BRCTL_SET_AGEING_TIME, BRCTL_SET_BRIDGE_FORWARD_DELAY, BRCTL_SET_BRIDGE_HELLO_TIME,
    BRCTL_SET_BRIDGE_MAX_AGE, BRCTL_SET_BRIDGE_PRIORITY, BRCTL_SET_BRIDGE_STP_STATE, BRCTL_SET_PATH_COST,
    BRCTL_SET_PORT_PRIORITY, ETHTOOL_GDRVINFO, IFF_UP, SIOCBRADDBR, SIOCBRADDIF, SIOCBRDELBR, SIOCBRDELIF,
    SIOCDEVPRIVATE, ethtool_drvinfo,
};
use crate::linux::bridge_indices;
use crate::linux::convert::c_index;
use crate::linux::ifreq::{c_name, empty_request, request, retry, to_char};
use crate::{InterfaceIndex, InterfaceName, LinkState, MacAddr};

/// `BR_MAX_PORTS` (`net/bridge/br_private.h`).
const MAX_PORTS: usize = 1024;
/// `get_fdb_entries()` gives no more at once: a page of 4096 bytes.
pub(super) const FDB_CHUNK: usize = 256;

/// A value that the older calls set; times in 1/100 s, ports by their number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Setting {
    ForwardDelay(u32),
    HelloTime(u32),
    MaxAge(u32),
    AgeingTime(u32),
    Stp(bool),
    Priority(u16),
    PortPriority(u16, u8),
    PathCost(u16, u32),
}

/// What kind of interface a driver makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Bridge,
    Tap,
    Other,
}

nix::ioctl_readwrite_bad!(get_index, libc::SIOCGIFINDEX, ifreq);
nix::ioctl_readwrite_bad!(get_name, libc::SIOCGIFNAME, ifreq);
nix::ioctl_readwrite_bad!(get_flags, libc::SIOCGIFFLAGS, ifreq);
nix::ioctl_readwrite_bad!(set_flags, libc::SIOCSIFFLAGS, ifreq);
nix::ioctl_readwrite_bad!(get_mtu, libc::SIOCGIFMTU, ifreq);
nix::ioctl_readwrite_bad!(set_mtu, libc::SIOCSIFMTU, ifreq);
nix::ioctl_readwrite_bad!(get_mac, libc::SIOCGIFHWADDR, ifreq);
nix::ioctl_readwrite_bad!(set_mac, libc::SIOCSIFHWADDR, ifreq);
nix::ioctl_readwrite_bad!(set_name, libc::SIOCSIFNAME, ifreq);
nix::ioctl_readwrite_bad!(ethtool, libc::SIOCETHTOOL, ifreq);
nix::ioctl_readwrite_bad!(add_port, SIOCBRADDIF, ifreq);
nix::ioctl_readwrite_bad!(remove_port, SIOCBRDELIF, ifreq);
nix::ioctl_readwrite_bad!(bridge_private, SIOCDEVPRIVATE, ifreq);
nix::ioctl_write_ptr_bad!(add_bridge, SIOCBRADDBR, [u8; libc::IFNAMSIZ]);
nix::ioctl_write_ptr_bad!(delete_bridge, SIOCBRDELBR, [u8; libc::IFNAMSIZ]);

type InterfaceCall = unsafe fn(c_int, *mut ifreq) -> nix::Result<c_int>;

/// A socket of the network namespace that it was opened in, for ioctls.
#[derive(Debug)]
pub(super) struct Control(OwnedFd);

impl Control {
    pub(super) fn open() -> nix::Result<Self> {
        // The family does not matter for these calls, and AF_UNIX is always there.
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map(Self)
    }

    /// Whether no interface has this name, not as an alternative one either.
    ///
    /// The ioctls say so, too, but before that, where root asks, they have the kernel run `modprobe`
    /// for a module that is called so, twice (`dev_load()`). `SO_BINDTODEVICE` only looks. It needs
    /// `CAP_NET_RAW` before 5.7, and later where the socket is bound; who lacks that asks as `ifconfig`
    /// does.
    pub(super) fn is_free(&self, name: InterfaceName) -> nix::Result<bool> {
        let bind = |name: &[u8]| setsockopt(&self.0, BindToDevice, &OsStr::from_bytes(name).to_owned());
        match bind(name.as_bytes()) {
            Err(Errno::ENODEV) => return Ok(true),
            Err(_) => {}
            Ok(()) => {
                // Where a socket for ioctls is bound means nothing, should it stay so.
                let _ = bind(b"");
                return Ok(false);
            }
        }
        match self.index(name) {
            Err(Errno::ENODEV) => Ok(true),
            found => found.map(|_| false),
        }
    }

    /// The index of the interface of this name; `ENODEV` without one. It may be an alternative
    /// name. See [`is_free`](Self::is_free) for a name that nobody may have.
    pub(super) fn index(&self, name: InterfaceName) -> nix::Result<InterfaceIndex> {
        let answer = self.call(get_index, request(name))?;
        // SAFETY: SIOCGIFINDEX succeeded and has written this member.
        let index = unsafe { answer.ifr_ifru.ifru_ifindex };
        InterfaceIndex::from_c(index).ok_or(Errno::ENODEV)
    }

    /// The name of the interface of this index; `ENODEV` without one.
    pub(super) fn name(&self, index: InterfaceIndex) -> nix::Result<InterfaceName> {
        let mut request = empty_request();
        request.ifr_ifru.ifru_ifindex = c_index(index);
        let answer = self.call(get_name, request)?;
        crate::linux::ifreq::name(&answer).ok_or(Errno::ENODEV)
    }

    /// Whether an interface is a bridge.
    pub(super) fn is_bridge(&self, name: InterfaceName) -> nix::Result<bool> {
        Ok(self.driver(name)? == Driver::Bridge)
    }

    /// The driver of an interface, as ethtool tells it.
    pub(super) fn driver(&self, name: InterfaceName) -> nix::Result<Driver> {
        let mut info = ethtool_drvinfo {
            cmd: ETHTOOL_GDRVINFO,
            driver: [0; 32],
            version: [0; 32],
            fw_version: [0; 32],
            bus_info: [0; 32],
            _rest: [0; 64],
        };
        let mut request = request(name);
        request.ifr_ifru.ifru_data = (&raw mut info).cast();
        match self.call(ethtool, request) {
            Ok(_) if info.driver.starts_with(b"bridge\0") => Ok(Driver::Bridge),
            // `tun_get_drvinfo()`; that of a tun says "tun" twice.
            Ok(_) if info.driver.starts_with(b"tun\0") && info.bus_info.starts_with(b"tap\0") => Ok(Driver::Tap),
            // Its driver has nothing to tell, as that of the loopback interface.
            Ok(_) | Err(Errno::EOPNOTSUPP) => Ok(Driver::Other),
            // A network card that is asleep says so, too; no bridge and no tap ever sleeps.
            Err(Errno::ENODEV) => self.index(name).map(|_| Driver::Other),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn link(&self, name: InterfaceName) -> nix::Result<LinkState> {
        Ok(LinkState::of_flags(u32::from(self.flags(name)?)))
    }

    pub(super) fn set_link(&self, name: InterfaceName, link: LinkState) -> nix::Result<()> {
        let flags = self.flags(name)?;
        let mut request = request(name);
        let flags = match link {
            LinkState::Up => flags | IFF_UP,
            LinkState::Down => flags & !IFF_UP,
        };
        request.ifr_ifru.ifru_flags = i16::from_ne_bytes(flags.to_ne_bytes());
        self.call(set_flags, request).map(drop)
    }

    fn flags(&self, name: InterfaceName) -> nix::Result<u16> {
        let answer = self.call(get_flags, request(name))?;
        // SAFETY: SIOCGIFFLAGS succeeded and has written this member.
        let flags = unsafe { answer.ifr_ifru.ifru_flags };
        Ok(u16::from_ne_bytes(flags.to_ne_bytes()))
    }

    pub(super) fn mtu(&self, name: InterfaceName) -> nix::Result<u32> {
        let answer = self.call(get_mtu, request(name))?;
        // SAFETY: SIOCGIFMTU succeeded and has written this member.
        let mtu = unsafe { answer.ifr_ifru.ifru_mtu };
        u32::try_from(mtu).map_err(|_| Errno::EINVAL)
    }

    /// `EINVAL` for an MTU that the interface cannot have.
    pub(super) fn set_mtu(&self, name: InterfaceName, mtu: u32) -> nix::Result<()> {
        let mut request = request(name);
        // The kernel has a C int here; what does not fit must not turn into something else.
        request.ifr_ifru.ifru_mtu = c_int::try_from(mtu).map_err(|_| Errno::EINVAL)?;
        self.call(set_mtu, request).map(drop)
    }

    /// The MAC of an interface, or `None` if its addresses are of another kind.
    pub(super) fn mac(&self, name: InterfaceName) -> nix::Result<Option<MacAddr>> {
        let answer = self.call(get_mac, request(name))?;
        // SAFETY: SIOCGIFHWADDR succeeded and has written this member.
        Ok(crate::linux::ifreq::mac(&unsafe { answer.ifr_ifru.ifru_hwaddr }))
    }

    /// `EADDRNOTAVAIL` for a MAC that no interface can bear.
    pub(super) fn set_mac(&self, name: InterfaceName, mac: MacAddr) -> nix::Result<()> {
        let mut request = request(name);
        request.ifr_ifru.ifru_hwaddr = crate::linux::ifreq::hardware_address(mac);
        self.call(set_mac, request).map(drop)
    }

    /// `EEXIST` for a name that is taken; before 6.2 `EBUSY` for an interface that is up.
    pub(super) fn rename(&self, name: InterfaceName, to: InterfaceName) -> nix::Result<()> {
        let mut request = request(name);
        request.ifr_ifru.ifru_newname = c_name(to).map(to_char);
        self.call(set_name, request).map(drop)
    }

    /// `EEXIST` for a name that is taken, `ENOPKG` without a bridge driver.
    pub(super) fn add_bridge(&self, name: InterfaceName) -> nix::Result<()> {
        let name = c_name(name);
        // SAFETY: the kernel reads IFNAMSIZ bytes, as many as `name` has.
        retry(|| unsafe { add_bridge(self.0.as_raw_fd(), &raw const name) }).map(drop)
    }

    /// `ENXIO` for an unknown name, `EBUSY` for a bridge that is up, `EPERM` for what is no bridge.
    pub(super) fn delete_bridge(&self, name: InterfaceName) -> nix::Result<()> {
        let name = c_name(name);
        // SAFETY: the kernel reads IFNAMSIZ bytes, as many as `name` has.
        retry(|| unsafe { delete_bridge(self.0.as_raw_fd(), &raw const name) }).map(drop)
    }

    /// `EINVAL` for an interface that cannot be a port, `ELOOP` for a bridge, `EBUSY` for one that
    /// has a master.
    pub(super) fn add_port(&self, bridge: InterfaceName, port: InterfaceIndex) -> nix::Result<()> {
        let mut request = request(bridge);
        request.ifr_ifru.ifru_ifindex = c_index(port);
        self.call(add_port, request).map(drop)
    }

    /// `EINVAL` for an interface that is no port of this bridge.
    pub(super) fn remove_port(&self, bridge: InterfaceName, port: InterfaceIndex) -> nix::Result<()> {
        let mut request = request(bridge);
        request.ifr_ifru.ifru_ifindex = c_index(port);
        self.call(remove_port, request).map(drop)
    }

    /// The indices of all bridges; `None` when there may be more than the kernel can tell.
    pub(super) fn bridges(&self) -> nix::Result<Option<Vec<InterfaceIndex>>> {
        bridge_indices::indices(self.0.as_fd(), bridge_indices::MAX_BRIDGES)
    }

    /// The indices of the ports of an interface that is known to be a bridge: other drivers
    /// take this call for something else.
    pub(super) fn ports(&self, bridge: InterfaceName) -> nix::Result<Vec<InterfaceIndex>> {
        Ok(bridge_indices::as_indices(&self.port_slots(bridge)?))
    }

    fn port_slots(&self, bridge: InterfaceName) -> nix::Result<Vec<c_int>> {
        // By port number; 0 where none has the number.
        let mut indices = vec![0_i32; MAX_PORTS];
        let mut arguments: [c_ulong; 4] =
            [BRCTL_GET_PORT_LIST, indices.as_mut_ptr().expose_provenance() as c_ulong, MAX_PORTS as c_ulong, 0];
        let mut request = request(bridge);
        request.ifr_ifru.ifru_data = (&raw mut arguments).cast();
        self.call(bridge_private, request)?;
        Ok(indices)
    }

    /// The ports of an interface that is known to be a bridge, with their numbers.
    pub(super) fn numbered_ports(&self, bridge: InterfaceName) -> nix::Result<Vec<(u16, InterfaceIndex)>> {
        let indices = self.port_slots(bridge)?;
        let numbered =
            (0..).zip(indices).filter_map(|(number, index)| Some((number, InterfaceIndex::from_c(index)?)));
        Ok(numbered.collect())
    }

    /// STP's settings of an interface that is known to be a bridge.
    pub(super) fn bridge_info(&self, bridge: InterfaceName) -> nix::Result<__bridge_info> {
        let mut info = __bridge_info::default();
        let to = (&raw mut info).expose_provenance() as c_ulong;
        // SAFETY: the kernel writes one __bridge_info to where the second long points.
        unsafe { self.bridge_call(bridge, [BRCTL_GET_BRIDGE_INFO, to, 0, 0]) }?;
        Ok(info)
    }

    /// What STP has of a port, by its number.
    pub(super) fn port_info(&self, bridge: InterfaceName, number: u16) -> nix::Result<__port_info> {
        let mut info = __port_info::default();
        let to = (&raw mut info).expose_provenance() as c_ulong;
        // SAFETY: the kernel writes one __port_info to where the second long points.
        unsafe { self.bridge_call(bridge, [BRCTL_GET_PORT_INFO, to, c_ulong::from(number), 0]) }?;
        Ok(info)
    }

    /// As many entries of the FDB as the kernel tells in one call, from the one of this number on.
    pub(super) fn fdb_entries(&self, bridge: InterfaceName, from: usize) -> nix::Result<Vec<__fdb_entry>> {
        let mut entries = vec![__fdb_entry::default(); FDB_CHUNK];
        let to = entries.as_mut_ptr().expose_provenance() as c_ulong;
        // SAFETY: the kernel writes at most FDB_CHUNK entries to where the second long points.
        let count = unsafe {
            self.bridge_call(bridge, [BRCTL_GET_FDB_ENTRIES, to, FDB_CHUNK as c_ulong, from as c_ulong])
        }?;
        entries.truncate(usize::try_from(count).map_err(|_| Errno::EINVAL)?);
        Ok(entries)
    }

    /// Sets one value of an interface that is known to be a bridge.
    pub(super) fn set_value(&self, bridge: InterfaceName, setting: Setting) -> nix::Result<()> {
        let arguments = match setting {
            Setting::ForwardDelay(time) => [BRCTL_SET_BRIDGE_FORWARD_DELAY, time.into(), 0, 0],
            Setting::HelloTime(time) => [BRCTL_SET_BRIDGE_HELLO_TIME, time.into(), 0, 0],
            Setting::MaxAge(time) => [BRCTL_SET_BRIDGE_MAX_AGE, time.into(), 0, 0],
            Setting::AgeingTime(time) => [BRCTL_SET_AGEING_TIME, time.into(), 0, 0],
            Setting::Stp(on) => [BRCTL_SET_BRIDGE_STP_STATE, on.into(), 0, 0],
            Setting::Priority(priority) => [BRCTL_SET_BRIDGE_PRIORITY, priority.into(), 0, 0],
            Setting::PortPriority(number, priority) => {
                [BRCTL_SET_PORT_PRIORITY, number.into(), priority.into(), 0]
            }
            Setting::PathCost(number, cost) => [BRCTL_SET_PATH_COST, number.into(), cost.into(), 0],
        };
        // SAFETY: none of these has a pointer.
        unsafe { self.bridge_call(bridge, arguments) }.map(drop)
    }

    /// # Safety
    /// What the arguments point to must be what the call writes there.
    unsafe fn bridge_call(&self, bridge: InterfaceName, mut arguments: [c_ulong; 4]) -> nix::Result<c_int> {
        let mut request = request(bridge);
        request.ifr_ifru.ifru_data = (&raw mut arguments).cast();
        // SAFETY: the kernel reads four longs, which outlive the call; what they point to is the caller's care.
        retry(|| unsafe { bridge_private(self.0.as_raw_fd(), &raw mut request) })
    }

    fn call(&self, call: InterfaceCall, mut request: ifreq) -> nix::Result<ifreq> {
        // SAFETY: every call of type InterfaceCall above reads and writes one ifreq. Where that
        // has a pointer, the caller has pointed it to what the kernel expects, and owns it.
        retry(|| unsafe { call(self.0.as_raw_fd(), &raw mut request) })?;
        Ok(request)
    }
}
