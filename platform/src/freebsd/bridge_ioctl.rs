//! The requests to the bridge driver (`SIOCGDRVSPEC`, `SIOCSDRVSPEC`), each as a safe function.
//!
//! Read in `net/if_bridge.c` (`bridge_control_table`). A request has the number of a command and
//! an argument of exactly the length that the command wants; what reads needs no privilege. A
//! command that the kernel does not have is `EINVAL`.
//!
//! The interface must be known to be a bridge: other drivers take these calls for something else. What changes
//! a bridge takes a [`Verified`] name for that.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_ulong, ifdrv};
use nix::errno::Errno;

use super::abi::{self, ifbaconf, ifbareq, ifbifconf, ifbreq, ifbropreq, ifbrparam};
use super::abi15::{self, VlanBits, ifbif_vlan_req};
use super::verified::{Verified, VerifiedPort};
use super::whole_list::whole_list;
use crate::InterfaceName;
use crate::error::CallResult;
use crate::ifreq::{Control, c_name, from_c_name};
use crate::retry::retry;

nix::ioctl_write_ptr_bad!(set_driver, abi::SIOCSDRVSPEC, ifdrv);
nix::ioctl_readwrite_bad!(get_driver, abi::SIOCGDRVSPEC, ifdrv);

pub(super) const NO_VLANS: VlanBits = [0; size_of::<VlanBits>() / size_of::<c_ulong>()];

/// An argument that the kernel may fill with any bytes, and that it follows nowhere.
///
/// # Safety
/// It has neither pointers nor values that are not allowed.
unsafe trait Plain {}

// SAFETY: a name, integers and padding.
unsafe impl Plain for ifbreq {}
// SAFETY: a name, integers and padding.
unsafe impl Plain for ifbareq {}
// SAFETY: an integer.
unsafe impl Plain for ifbrparam {}
// SAFETY: integers and padding.
unsafe impl Plain for ifbropreq {}
// SAFETY: a name, integers and padding.
unsafe impl Plain for abi15::ifbreq {}
// SAFETY: a name, integers and padding.
unsafe impl Plain for ifbif_vlan_req {}
// SAFETY: nothing.
unsafe impl Plain for () {}

impl Control {
    /// `ENOENT` for a port that is not there, `EEXIST` for one that is a port already, `EBUSY` for
    /// one of another bridge, `EINVAL` for an interface that cannot be a port.
    pub(super) fn add_port(&self, to: VerifiedPort) -> nix::Result<()> {
        self.set_member(to, abi::BRDGADD, ifbreq::default())
    }

    /// `ENOENT` for an interface that is no port of this bridge, here and in what follows.
    pub(super) fn remove_port(&self, on: VerifiedPort) -> nix::Result<()> {
        self.set_member(on, abi::BRDGDEL, ifbreq::default())
    }

    /// The ports of a bridge, by name.
    pub(super) fn ports(&self, bridge: InterfaceName) -> nix::Result<Vec<(InterfaceName, ifbreq)>> {
        // What does not fit is left out without a word.
        let members = whole_list(ifbreq::default(), 1, |members| {
            let bytes = u32::try_from(size_of_val(members)).map_err(|_| Errno::ENOBUFS)?;
            let mut list = ifbifconf { ifbic_len: bytes, ifbic_req: members.as_mut_ptr() };
            let mut request = request(bridge, abi::BRDGGIFS, &mut list);
            // SAFETY: BRDGGIFS reads and writes one ifbifconf, which `request` points to with its
            // exact length, and at most `bytes` bytes of whole members, as many as there are.
            retry(|| unsafe { get_driver(self.as_fd().as_raw_fd(), &raw mut request) })?;
            Ok(list.ifbic_len as usize / size_of::<ifbreq>())
        })?;
        let ports = members.into_iter().filter(|member| member.ifbr_ifsflags & abi::IFBIF_SPAN == 0);
        Ok(ports.filter_map(|port| Some((from_c_name(&port.ifbr_ifsname)?, port))).collect())
    }

    /// What there is to know of a port.
    pub(super) fn port(&self, bridge: InterfaceName, port: InterfaceName) -> nix::Result<ifbreq> {
        let member = ifbreq { ifbr_ifsname: c_name(port), ..ifbreq::default() };
        self.get_spec(bridge, abi::BRDGGIFFLGS, member)
    }

    /// One of the commands that set something of a member, whatever name `values` has.
    pub(super) fn set_member(&self, on: VerifiedPort, command: c_ulong, values: ifbreq) -> nix::Result<()> {
        self.set_spec(on.bridge, command, ifbreq { ifbr_ifsname: c_name(on.port.into_name()), ..values })
    }

    /// The entries of a bridge's FDB, each with its port.
    pub(super) fn addresses(&self, bridge: InterfaceName) -> nix::Result<Vec<(InterfaceName, ifbareq)>> {
        let entries = whole_list(ifbareq::default(), 1, |entries| self.read_addresses(bridge, entries))?;
        Ok(entries.into_iter().filter_map(|entry| Some((from_c_name(&entry.ifba_ifsname)?, entry))).collect())
    }

    /// The first entry of a bridge's FDB that is wanted, and its port. The kernel tells of those
    /// made last first, so that these are found soon.
    pub(super) fn find_address(
        &self,
        bridge: InterfaceName,
        wanted: impl Fn(&ifbareq) -> bool,
    ) -> nix::Result<Option<(InterfaceName, ifbareq)>> {
        let found = Cell::new(None);
        whole_list(ifbareq::default(), 1, |entries| {
            let len = self.read_addresses(bridge, entries)?;
            found.set(entries[..len].iter().find(|entry| wanted(entry)).copied());
            // Then nothing more need be read.
            Ok(if found.get().is_some() { 0 } else { len })
        })?;
        Ok(found.get().and_then(|entry| Some((from_c_name(&entry.ifba_ifsname)?, entry))))
    }

    /// Reads as many entries as there is room for, which it says nothing of, and says how many.
    fn read_addresses(&self, bridge: InterfaceName, entries: &mut [ifbareq]) -> nix::Result<usize> {
        let bytes = u32::try_from(size_of_val(entries)).map_err(|_| Errno::ENOBUFS)?;
        let mut list = ifbaconf { ifbac_len: bytes, ifbac_req: entries.as_mut_ptr() };
        let mut request = request(bridge, abi::BRDGRTS, &mut list);
        // SAFETY: BRDGRTS reads and writes one ifbaconf, which `request` points to with its exact
        // length, and at most `bytes` bytes of whole entries, as many as there are.
        retry(|| unsafe { get_driver(self.as_fd().as_raw_fd(), &raw mut request) })?;
        Ok(entries.len().min(list.ifbac_len as usize / size_of::<ifbareq>()))
    }

    /// Sets an entry of the FDB, of the MAC, the VLAN (0 is none) and the flags of `values`, which are
    /// how it comes to be.
    ///
    /// `ENOSPC` where the FDB has as many as it may. It is no error, and nothing is moved, where
    /// the address is static behind another port already.
    pub(super) fn set_address(&self, behind: VerifiedPort, values: ifbareq) -> nix::Result<()> {
        let entry = ifbareq { ifba_ifsname: c_name(behind.port.into_name()), ..values };
        self.set_spec(behind.bridge, abi::BRDGSADDR, entry)
    }

    /// Deletes an entry of the FDB, of the MAC and the VLAN of `values`; `ENOENT` if there is none.
    pub(super) fn delete_address(&self, bridge: Verified, values: ifbareq) -> nix::Result<()> {
        self.set_spec(bridge, abi::BRDGDADDR, values)
    }

    /// Deletes the learned entries of the FDB.
    pub(super) fn flush_addresses(&self, bridge: Verified) -> nix::Result<()> {
        let all = ifbreq { ifbr_ifsflags: abi::IFBF_FLUSHDYN, ..ifbreq::default() };
        self.set_spec(bridge, abi::BRDGFLUSH, all)
    }

    /// One of the commands that get a number of a bridge.
    pub(super) fn parameter(&self, bridge: InterfaceName, command: c_ulong) -> nix::Result<ifbrparam> {
        self.get_spec(bridge, command, ifbrparam { ifbrp_ifbrpu: 0 })
    }

    /// One of the commands that set a number of a bridge.
    pub(super) fn set_parameter(&self, bridge: Verified, command: c_ulong, value: ifbrparam) -> nix::Result<()> {
        self.set_spec(bridge, command, value)
    }

    pub(super) fn stp_parameters(&self, bridge: InterfaceName) -> nix::Result<ifbropreq> {
        self.get_spec(bridge, abi::BRDGPARAM, ifbropreq::default())
    }

    /// The flags of a bridge (`IFBRF_*`), if the kernel has any: from FreeBSD 15 on.
    pub(super) fn bridge_flags(&self, bridge: InterfaceName) -> nix::Result<Option<u32>> {
        let flags = self.parameter(bridge, abi15::BRDGGFLAGS).unless(Errno::EINVAL)?;
        Ok(flags.map(|flags| flags.ifbrp_ifbrpu))
    }

    /// The PVID of a port, 0 for none.
    pub(super) fn pvid(&self, bridge: InterfaceName, port: InterfaceName) -> nix::Result<u16> {
        let member = abi15::ifbreq { ifbr_ifsname: c_name(port), ..Default::default() };
        Ok(self.get_spec(bridge, abi::BRDGGIFFLGS, member)?.ifbr_pvid)
    }

    pub(super) fn set_pvid(&self, on: VerifiedPort, ifbr_pvid: u16) -> nix::Result<()> {
        let ifbr_ifsname = c_name(on.port.into_name());
        let member = abi15::ifbreq { ifbr_ifsname, ifbr_pvid, ..Default::default() };
        self.set_spec(on.bridge, abi15::BRDGSIFPVID, member)
    }

    /// The VLANs whose frames pass a port with their tag.
    pub(super) fn tagged_vlans(&self, bridge: InterfaceName, port: InterfaceName) -> nix::Result<VlanBits> {
        let vlans = ifbif_vlan_req { bv_ifname: c_name(port), bv_op: 0, bv_set: NO_VLANS };
        Ok(self.get_spec(bridge, abi15::BRDGGIFVLANSET, vlans)?.bv_set)
    }

    /// Adds to these VLANs or takes from them (`BRDG_VLAN_OP_*`).
    pub(super) fn change_vlans(&self, on: VerifiedPort, bv_op: u8, vlans: &VlanBits) -> nix::Result<()> {
        let change = ifbif_vlan_req { bv_ifname: c_name(on.port.into_name()), bv_op, bv_set: *vlans };
        self.set_spec(on.bridge, abi15::BRDGSIFVLANSET, change)
    }

    /// Whether the caller may change the bridge. The kernel looks at that before it looks at the
    /// length of the argument: one that cannot be right tells, and changes nothing.
    pub(super) fn may_change(&self, bridge: Verified) -> bool {
        self.set_spec(bridge, abi::BRDGSPROTO, ()) == Err(Errno::EINVAL)
    }

    /// Makes a call that fills in the argument, and returns that.
    fn get_spec<T: Plain>(&self, bridge: InterfaceName, command: c_ulong, mut argument: T) -> nix::Result<T> {
        let mut request = request(bridge, command, &mut argument);
        // SAFETY: a bridge reads and writes what `request` points to, and compares its length with
        // the one that it tells. Being Plain, the argument leads nowhere and may become anything.
        retry(|| unsafe { get_driver(self.as_fd().as_raw_fd(), &raw mut request) })?;
        Ok(argument)
    }

    fn set_spec(&self, bridge: Verified, command: c_ulong, mut argument: impl Plain) -> nix::Result<()> {
        let request = request(bridge.into_name(), command, &mut argument);
        // SAFETY: a bridge reads what `request` points to, and compares its length with the one
        // that it tells. Being Plain, the argument leads nowhere.
        retry(|| unsafe { set_driver(self.as_fd().as_raw_fd(), &raw const request) }).map(drop)
    }
}

fn request<T>(bridge: InterfaceName, command: c_ulong, argument: &mut T) -> ifdrv {
    ifdrv {
        ifd_name: c_name(bridge),
        ifd_cmd: command,
        ifd_len: size_of::<T>(),
        ifd_data: (&raw mut *argument).cast(),
    }
}
