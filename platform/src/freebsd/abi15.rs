//! What FreeBSD 15 has brought to the ioctls of bridges and taps, checked at compile time.
//!
//! The names are those of its `net/if_bridgevar.h` and `net/if_tun.h`, as in [`abi`](super::abi).

use libc::{IFNAMSIZ, c_char, c_int, c_ulong};
use nix::request_code_write;

/// `net/if_tap.h` has it as `TAPSTRANSIENT`.
pub(super) const TUNSTRANSIENT: c_ulong = request_code_write!(b't', 98, size_of::<c_int>());

pub(super) const BRDGSIFPVID: c_ulong = 31;
pub(super) const BRDGSIFVLANSET: c_ulong = 32;
pub(super) const BRDGGIFVLANSET: c_ulong = 33;
pub(super) const BRDGGFLAGS: c_ulong = 34;
pub(super) const BRDGSFLAGS: c_ulong = 35;
pub(super) const BRDGGDEFPVID: c_ulong = 36;
pub(super) const BRDGSDEFPVID: c_ulong = 37;
pub(super) const IFBRF_VLANFILTER: u32 = 0x1;
pub(super) const BRDG_VLAN_OP_ADD: u8 = 2;
pub(super) const BRDG_VLAN_OP_DEL: u8 = 3;
/// How many bits a set of VLANs has.
pub(super) const BRVLAN_SETSIZE: usize = 4096;

/// The bits of a set of VLANs, the lowest of a word first (`sys/_bitset.h`).
pub(super) type VlanBits = [c_ulong; BRVLAN_SETSIZE / c_ulong::BITS as usize];

/// A member of a bridge.
#[repr(C)]
#[derive(Clone, Copy, Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbreq {
    pub(super) ifbr_ifsname: [c_char; IFNAMSIZ],
    pub(super) _other: [u32; 8],
    /// The VLAN of frames without a tag, 0 for none.
    pub(super) ifbr_pvid: u16,
    pub(super) _vlanproto: u16,
    pub(super) _pad: [u32; 7],
}

/// The VLANs whose frames pass a member with their tag.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types, clippy::struct_field_names, reason = "the kernel's names")]
pub(super) struct ifbif_vlan_req {
    pub(super) bv_ifname: [c_char; IFNAMSIZ],
    /// What to do with them, one of `BRDG_VLAN_OP_*`.
    pub(super) bv_op: u8,
    pub(super) bv_set: VlanBits,
}

const _: () = {
    assert!(TUNSTRANSIENT == 0x8004_7462);
    assert!(BRDGSIFPVID == 31 && BRDGSIFVLANSET == 32 && BRDGGIFVLANSET == 33);
    assert!(BRDGGFLAGS == 34 && BRDGSFLAGS == 35 && BRDGGDEFPVID == 36 && BRDGSDEFPVID == 37);
    assert!(IFBRF_VLANFILTER == 0x1 && BRDG_VLAN_OP_ADD == 2 && BRDG_VLAN_OP_DEL == 3);
    assert!(BRVLAN_SETSIZE == 4096);
};

#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::offset_of;

    assert!(size_of::<ifbreq>() == 80 && offset_of!(ifbreq, ifbr_ifsname) == 0);
    assert!(offset_of!(ifbreq, ifbr_pvid) == 48);
    assert!(size_of::<ifbif_vlan_req>() == 536 && offset_of!(ifbif_vlan_req, bv_ifname) == 0);
    assert!(offset_of!(ifbif_vlan_req, bv_op) == 16 && offset_of!(ifbif_vlan_req, bv_set) == 24);
};
