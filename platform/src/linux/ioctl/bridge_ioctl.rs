//! The ioctls on bridges, each as a safe function.
//!
//! Read in `net/bridge/br_ioctl.c`. The older ones are numbers of `SIOCDEVPRIVATE`, which takes four
//! longs, some of them pointers. Other drivers take that call for something else, so these functions
//! want an interface that was checked to be a bridge.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use libc::{c_char, c_int, c_ulong, ifreq};
use nix::errno::Errno;

use crate::ifreq::{Call, Control, IfReq, c_name};
use crate::linux::abi::{
    __bridge_info, __fdb_entry, __port_info, BRCTL_GET_BRIDGE_INFO, BRCTL_GET_FDB_ENTRIES, BRCTL_GET_PORT_INFO,
    BRCTL_GET_PORT_LIST, BRCTL_SET_AGEING_TIME, BRCTL_SET_BRIDGE_FORWARD_DELAY, BRCTL_SET_BRIDGE_HELLO_TIME,
    BRCTL_SET_BRIDGE_MAX_AGE, BRCTL_SET_BRIDGE_PRIORITY, BRCTL_SET_BRIDGE_STP_STATE, BRCTL_SET_PATH_COST,
    BRCTL_SET_PORT_PRIORITY, SIOCBRADDBR, SIOCBRDELBR, SIOCDEVPRIVATE,
};
use crate::linux::bridge_indices::{self, MAX_BRIDGES};
use crate::retry::retry;
use crate::{Identity, InterfaceIndex, InterfaceName};

/// `BR_MAX_PORTS` (`net/bridge/br_private.h`).
const MAX_PORTS: usize = 1024;
/// `get_fdb_entries()` gives no more at once: a page of 4096 bytes.
pub(super) const FDB_CHUNK: usize = 256;

nix::ioctl_readwrite_bad!(bridge_private, SIOCDEVPRIVATE, ifreq);
nix::ioctl_write_ptr_bad!(add_bridge, SIOCBRADDBR, [c_char; libc::IFNAMSIZ]);
nix::ioctl_write_ptr_bad!(delete_bridge, SIOCBRDELBR, [c_char; libc::IFNAMSIZ]);

/// A value of a bridge that the older calls set; times in 1/100 s.
#[derive(Debug, Clone, Copy)]
pub(super) enum BridgeValue {
    ForwardDelay(u32),
    HelloTime(u32),
    MaxAge(u32),
    AgeingTime(u32),
    Stp(bool),
    Priority(u16),
}

/// A value of a port that the older calls set.
#[derive(Debug, Clone, Copy)]
pub(super) enum PortValue {
    Priority(u8),
    PathCost(u32),
}

impl Control {
    /// `EEXIST` for a name that is taken, `ENOPKG` without a bridge driver.
    pub(super) fn add_bridge(&self, name: InterfaceName) -> nix::Result<()> {
        let name = c_name(name);
        // SAFETY: the kernel reads IFNAMSIZ bytes, as many as `name` has.
        retry(|| unsafe { add_bridge(self.as_fd().as_raw_fd(), &raw const name) }).map(drop)
    }

    /// `EBUSY` for a bridge that is up, `EPERM` for an interface that is not a bridge.
    pub(super) fn delete_bridge(&self, on: Identity) -> nix::Result<()> {
        self.on(on, |name| {
            let name = c_name(name);
            // SAFETY: the kernel reads IFNAMSIZ bytes, as many as `name` has.
            retry(|| unsafe { delete_bridge(self.as_fd().as_raw_fd(), &raw const name) }).map(drop)
        })
    }

    /// `EINVAL` for an interface that cannot be a port, `ELOOP` for a bridge, `EBUSY` for an interface
    /// that has a master.
    pub(super) fn add_port(&self, bridge: Identity, port: InterfaceIndex) -> nix::Result<()> {
        self.on(bridge, |name| self.call(Call::ADD_PORT, IfReq::on(name).with_index(port)).map(drop))
    }

    /// `EINVAL` for an interface that is not a port of this bridge.
    pub(super) fn remove_port(&self, bridge: Identity, port: InterfaceIndex) -> nix::Result<()> {
        self.on(bridge, |name| self.call(Call::REMOVE_PORT, IfReq::on(name).with_index(port)).map(drop))
    }

    /// Returns the indices of all bridges, or `None` if the kernel may have more than it can tell.
    pub(super) fn bridges(&self) -> nix::Result<Option<Vec<InterfaceIndex>>> {
        bridge_indices::indices(self.as_fd(), MAX_BRIDGES)
    }

    /// Returns a bridge's ports with their numbers.
    pub(super) fn numbered_ports(&self, bridge: InterfaceName) -> nix::Result<Vec<(u16, InterfaceIndex)>> {
        // By port number; 0 for a number that no port has.
        let mut indices: Vec<c_int> = vec![0; MAX_PORTS];
        let to = indices.as_mut_ptr().expose_provenance() as c_ulong;
        // SAFETY: the kernel writes at most MAX_PORTS ints to where the second long points.
        unsafe { self.bridge_call(bridge, [BRCTL_GET_PORT_LIST, to, MAX_PORTS as c_ulong, 0]) }?;
        let numbered =
            (0..).zip(indices).filter_map(|(number, index)| Some((number, InterfaceIndex::from_c(index)?)));
        Ok(numbered.collect())
    }

    /// Returns the number of a port, if it is a port of this bridge.
    pub(super) fn port_number(&self, bridge: InterfaceName, port: InterfaceIndex) -> nix::Result<Option<u16>> {
        let mut ports = self.numbered_ports(bridge)?.into_iter();
        Ok(ports.find_map(|(number, index)| (index == port).then_some(number)))
    }

    /// Returns STP's settings of a bridge.
    pub(super) fn bridge_info(&self, bridge: InterfaceName) -> nix::Result<__bridge_info> {
        let mut info = __bridge_info::default();
        let to = (&raw mut info).expose_provenance() as c_ulong;
        // SAFETY: the kernel writes one __bridge_info to where the second long points.
        unsafe { self.bridge_call(bridge, [BRCTL_GET_BRIDGE_INFO, to, 0, 0]) }?;
        Ok(info)
    }

    /// Returns STP's settings of a port, by its number.
    pub(super) fn port_info(&self, bridge: InterfaceName, number: u16) -> nix::Result<__port_info> {
        let mut info = __port_info::default();
        let to = (&raw mut info).expose_provenance() as c_ulong;
        // SAFETY: the kernel writes one __port_info to where the second long points.
        unsafe { self.bridge_call(bridge, [BRCTL_GET_PORT_INFO, to, c_ulong::from(number), 0]) }?;
        Ok(info)
    }

    /// Returns the entries of the FDB from this number on, as many as the kernel tells in one call.
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

    /// Sets one value of a bridge.
    pub(super) fn set_value(&self, on: Identity, value: BridgeValue) -> nix::Result<()> {
        let arguments = match value {
            BridgeValue::ForwardDelay(time) => [BRCTL_SET_BRIDGE_FORWARD_DELAY, time.into(), 0, 0],
            BridgeValue::HelloTime(time) => [BRCTL_SET_BRIDGE_HELLO_TIME, time.into(), 0, 0],
            BridgeValue::MaxAge(time) => [BRCTL_SET_BRIDGE_MAX_AGE, time.into(), 0, 0],
            BridgeValue::AgeingTime(time) => [BRCTL_SET_AGEING_TIME, time.into(), 0, 0],
            BridgeValue::Stp(on) => [BRCTL_SET_BRIDGE_STP_STATE, on.into(), 0, 0],
            BridgeValue::Priority(priority) => [BRCTL_SET_BRIDGE_PRIORITY, priority.into(), 0, 0],
        };
        // SAFETY: none of these has a pointer.
        self.on(on, |name| unsafe { self.bridge_call(name, arguments) }.map(drop))
    }

    /// Sets one value of a port of a bridge, by the number that the port has directly before the call.
    /// `EINVAL` for an interface that is not a port of this bridge.
    pub(super) fn set_port_value(
        &self,
        bridge: Identity,
        port: InterfaceIndex,
        value: PortValue,
    ) -> nix::Result<()> {
        let number = |name| self.port_number(name, port)?.ok_or(Errno::EINVAL);
        let set = |name, number: u16| {
            let arguments = match value {
                PortValue::Priority(priority) => [BRCTL_SET_PORT_PRIORITY, number.into(), priority.into(), 0],
                PortValue::PathCost(cost) => [BRCTL_SET_PATH_COST, number.into(), cost.into(), 0],
            };
            // SAFETY: none of these has a pointer.
            unsafe { self.bridge_call(name, arguments) }.map(drop)
        };
        self.compared(bridge, number, set)
    }

    /// Makes one of the older calls.
    ///
    /// # Safety
    /// A pointer among the arguments must point to what the kernel writes there.
    unsafe fn bridge_call(&self, bridge: InterfaceName, mut arguments: [c_ulong; 4]) -> nix::Result<c_int> {
        let mut request = IfReq::on(bridge).with_data(&raw mut arguments);
        // SAFETY: the kernel reads one ifreq, and the four longs that it points to. The caller vouches
        // for what these point to.
        retry(|| unsafe { bridge_private(self.as_fd().as_raw_fd(), &raw mut request) })
    }
}
