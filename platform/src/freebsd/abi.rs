//! The numbers and layouts of the kernel's interface and bridge ioctls, checked at compile time.
//!
//! They have the names of `sys/sockio.h`, `net/if.h`, `net/if_mib.h`, `net/if_types.h`,
//! `net/if_bridgevar.h`, `net/if_tap.h` and `net/if_tun.h`, so that they can be compared with these by a
//! check that does not know this code.

use libc::{IFNAMSIZ, c_char, c_int, c_short, c_ulong, ifconf, ifdrv, ifreq, time_t};
use nix::{request_code_read, request_code_readwrite, request_code_write};

pub(crate) const SIOCSIFFLAGS: c_ulong = request_code_write!(b'i', 16, size_of::<ifreq>());
pub(crate) const SIOCGIFFLAGS: c_ulong = request_code_readwrite!(b'i', 17, size_of::<ifreq>());
pub(crate) const SIOCGIFINDEX: c_ulong = request_code_readwrite!(b'i', 32, size_of::<ifreq>());
pub(super) const SIOCGIFCONF: c_ulong = request_code_readwrite!(b'i', 36, size_of::<ifconf>());
pub(super) const SIOCSIFNAME: c_ulong = request_code_write!(b'i', 40, size_of::<ifreq>());
pub(super) const SIOCGIFDATA: c_ulong = request_code_write!(b'i', 44, size_of::<ifreq>());
pub(crate) const SIOCGIFMTU: c_ulong = request_code_readwrite!(b'i', 51, size_of::<ifreq>());
pub(crate) const SIOCSIFMTU: c_ulong = request_code_write!(b'i', 52, size_of::<ifreq>());
pub(crate) const SIOCSIFLLADDR: c_ulong = request_code_write!(b'i', 60, size_of::<ifreq>());
pub(super) const SIOCIFGCLONERS: c_ulong = request_code_readwrite!(b'i', 120, size_of::<if_clonereq>());
pub(crate) const SIOCIFDESTROY: c_ulong = request_code_write!(b'i', 121, size_of::<ifreq>());
pub(super) const SIOCSDRVSPEC: c_ulong = request_code_write!(b'i', 123, size_of::<ifdrv>());
pub(super) const SIOCGDRVSPEC: c_ulong = request_code_readwrite!(b'i', 123, size_of::<ifdrv>());
pub(super) const SIOCIFCREATE2: c_ulong = request_code_readwrite!(b'i', 124, size_of::<ifreq>());
pub(super) const SIOCGIFGMEMB: c_ulong = request_code_readwrite!(b'i', 138, size_of::<ifgroupreq>());

// netinet6/in6_var.h, netinet6/nd6.h: the host's own IPv6 on an interface.
pub(super) const SIOCSIFINFO_FLAGS: c_ulong = request_code_readwrite!(b'i', 87, size_of::<in6_ndireq>());
pub(super) const SIOCGIFINFO_IN6: c_ulong = request_code_readwrite!(b'i', 108, size_of::<in6_ndireq>());
pub(super) const ND6_IFF_ACCEPT_RTADV: u32 = 0x2;
pub(super) const ND6_IFF_IFDISABLED: u32 = 0x8;

// net/if_tap.h, net/if_tun.h
pub(crate) const TAPGIFNAME: c_ulong = request_code_read!(b't', 93, size_of::<ifreq>());
/// From 13.0 on.
pub(super) const TAPSVNETHDR: c_ulong = request_code_write!(b't', 91, size_of::<c_int>());

// net/if_mib.h: what sysctl(3) tells of interfaces.
pub(super) const NETLINK_GENERIC: c_int = 0;
pub(super) const IFMIB_IFDATA: c_int = 2;
pub(super) const IFDATA_DRIVERNAME: c_int = 3;

// net/if_bridgevar.h: what SIOCSDRVSPEC and SIOCGDRVSPEC do on a bridge.
pub(super) const BRDGADD: c_ulong = 0;
pub(super) const BRDGDEL: c_ulong = 1;
pub(super) const BRDGGIFFLGS: c_ulong = 2;
pub(super) const BRDGSIFFLGS: c_ulong = 3;
pub(super) const BRDGSCACHE: c_ulong = 4;
pub(super) const BRDGGCACHE: c_ulong = 5;
pub(super) const BRDGGIFS: c_ulong = 6;
pub(super) const BRDGRTS: c_ulong = 7;
pub(super) const BRDGSADDR: c_ulong = 8;
pub(super) const BRDGSTO: c_ulong = 9;
pub(super) const BRDGGTO: c_ulong = 10;
pub(super) const BRDGDADDR: c_ulong = 11;
pub(super) const BRDGFLUSH: c_ulong = 12;
pub(super) const BRDGSPRI: c_ulong = 14;
pub(super) const BRDGSHT: c_ulong = 16;
pub(super) const BRDGSFD: c_ulong = 18;
pub(super) const BRDGSMA: c_ulong = 20;
pub(super) const BRDGSIFPRIO: c_ulong = 21;
pub(super) const BRDGSIFCOST: c_ulong = 22;
pub(super) const BRDGPARAM: c_ulong = 25;
pub(super) const BRDGSPROTO: c_ulong = 28;
pub(super) const IFBIF_LEARNING: u32 = 0x1;
pub(super) const IFBIF_DISCOVER: u32 = 0x2;
pub(super) const IFBIF_STP: u32 = 0x4;
/// Not a member, but an interface that gets a copy of every frame; the kernel lists both together.
pub(super) const IFBIF_SPAN: u32 = 0x8;
pub(super) const IFBIF_STICKY: u32 = 0x10;
/// The path cost was set; else it follows the speed of the link.
pub(super) const IFBIF_BSTP_ADMCOST: u32 = 0x400;
pub(super) const IFBIF_PRIVATE: u32 = 0x800;
pub(super) const IFBF_FLUSHDYN: u32 = 0;
pub(super) const IFBAF_TYPEMASK: u8 = 3;
pub(super) const IFBAF_DYNAMIC: u8 = 0;
pub(super) const IFBAF_STATIC: u8 = 1;

// net/if_types.h
pub(super) const IFT_BRIDGE: u8 = 0xd1;
/// The type that an Ethernet interface has while it is a port of a lagg(4).
pub(super) const IFT_IEEE8023ADLAG: u8 = 0xa1;

// net/if.h
pub(super) const IFF_UP: c_short = 1;
/// A tap has it from its first opening on, and until it is closed, if not longer.
pub(super) const IFF_DRV_RUNNING: c_short = 0x40;
/// On a tap: its link and its addresses stay as they are when it is closed (tap(4)).
pub(super) const IFF_LINK0: c_short = 0x1000;
pub(super) const IF_MAXUNIT: u16 = 0x7fff;

/// As `sa_family` has it.
pub(crate) const AF_LINK: u8 = 18;

/// A member of a bridge.
#[repr(C)]
#[derive(Clone, Copy, Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbreq {
    pub(super) ifbr_ifsname: [c_char; IFNAMSIZ],
    pub(super) ifbr_ifsflags: u32,
    pub(super) _stpflags: u32,
    pub(super) ifbr_path_cost: u32,
    pub(super) _portno: u8,
    pub(super) ifbr_priority: u8,
    pub(super) ifbr_proto: u8,
    pub(super) _role: u8,
    pub(super) ifbr_state: u8,
    pub(super) _rest: [u32; 11],
}

/// An entry of a bridge's forwarding database.
#[repr(C)]
#[derive(Clone, Copy, Default)]
#[allow(non_camel_case_types, clippy::struct_field_names, reason = "the kernel's names")]
pub(super) struct ifbareq {
    pub(super) ifba_ifsname: [c_char; IFNAMSIZ],
    /// In how many seconds a learned entry is to be forgotten.
    pub(super) ifba_expire: c_ulong,
    pub(super) ifba_flags: u8,
    pub(super) ifba_dst: [u8; 6],
    pub(super) ifba_vlan: u16,
}

/// A number of a bridge: a union of integers of one, two and four bytes.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbrparam {
    pub(super) ifbrp_ifbrpu: u32,
}

impl From<u8> for ifbrparam {
    fn from(value: u8) -> Self {
        Self { ifbrp_ifbrpu: u32::from_ne_bytes([value, 0, 0, 0]) }
    }
}

impl From<u16> for ifbrparam {
    fn from(value: u16) -> Self {
        let [a, b] = value.to_ne_bytes();
        Self { ifbrp_ifbrpu: u32::from_ne_bytes([a, b, 0, 0]) }
    }
}

impl From<ifbrparam> for u16 {
    fn from(parameter: ifbrparam) -> Self {
        let [a, b, _, _] = parameter.ifbrp_ifbrpu.to_ne_bytes();
        Self::from_ne_bytes([a, b])
    }
}

impl From<u32> for ifbrparam {
    fn from(value: u32) -> Self {
        Self { ifbrp_ifbrpu: value }
    }
}

/// What STP on a bridge works with.
#[repr(C)]
#[derive(Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbropreq {
    _holdcount: u8,
    pub(super) ifbop_maxage: u8,
    pub(super) ifbop_hellotime: u8,
    pub(super) ifbop_fwddelay: u8,
    pub(super) ifbop_protocol: u8,
    pub(super) ifbop_priority: u16,
    _root: [u16; 3],
    _ids: [u64; 3],
    /// A `struct timeval`; seconds have at least the width and the alignment of its other half.
    _last_tc_time: [time_t; 2],
}

/// Room for members, and after the call the bytes that are taken of it.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbifconf {
    pub(super) ifbic_len: u32,
    pub(super) ifbic_req: *mut ifbreq,
}

/// Room for entries of a forwarding database, and after the call the bytes that are taken of it.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbaconf {
    pub(super) ifbac_len: u32,
    pub(super) ifbac_req: *mut ifbareq,
}

/// Room for names of drivers, and after the call how many there are.
#[repr(C)]
#[allow(non_camel_case_types, clippy::struct_field_names, reason = "the kernel's names")]
pub(super) struct if_clonereq {
    pub(super) ifcr_total: c_int,
    pub(super) ifcr_count: c_int,
    pub(super) ifcr_buffer: *mut [u8; IFNAMSIZ],
}

/// What neighbour discovery has of an interface.
#[repr(C)]
#[derive(Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct in6_ndireq {
    pub(super) ifname: [c_char; IFNAMSIZ],
    pub(super) ndi: nd_ifinfo,
}

#[repr(C)]
#[derive(Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct nd_ifinfo {
    _times: [u32; 5],
    pub(super) flags: u32,
    _recalctm: c_int,
    _rest: [u8; 26],
}

/// A group, and room for the names of its members.
#[repr(C)]
#[allow(non_camel_case_types, clippy::struct_field_names, reason = "the kernel's names")]
pub(super) struct ifgroupreq {
    pub(super) ifgr_name: [c_char; IFNAMSIZ],
    pub(super) ifgr_len: u32,
    pub(super) ifgr_groups: *mut [u8; IFNAMSIZ],
    pub(super) _rest: u64,
}

const _: () = {
    assert!(SIOCSIFINFO_FLAGS == 0xc048_6957 && SIOCGIFINFO_IN6 == 0xc048_696c);
    assert!(size_of::<in6_ndireq>() == 72 && size_of::<nd_ifinfo>() == 56);
    assert!(std::mem::offset_of!(in6_ndireq, ifname) == 0 && std::mem::offset_of!(in6_ndireq, ndi) == 16);
    assert!(std::mem::offset_of!(nd_ifinfo, flags) == 20);
    assert!(ND6_IFF_ACCEPT_RTADV == 0x2 && ND6_IFF_IFDISABLED == 0x8);
    assert!(BRDGADD == 0 && BRDGDEL == 1 && BRDGGIFFLGS == 2 && BRDGSIFFLGS == 3);
    assert!(BRDGSCACHE == 4 && BRDGGCACHE == 5 && BRDGGIFS == 6 && BRDGRTS == 7);
    assert!(BRDGSADDR == 8 && BRDGSTO == 9 && BRDGGTO == 10 && BRDGDADDR == 11 && BRDGFLUSH == 12);
    assert!(BRDGSPRI == 14 && BRDGSHT == 16 && BRDGSFD == 18 && BRDGSMA == 20);
    assert!(BRDGSIFPRIO == 21 && BRDGSIFCOST == 22 && BRDGPARAM == 25 && BRDGSPROTO == 28);
    assert!(IFBIF_LEARNING == 0x1 && IFBIF_DISCOVER == 0x2 && IFBIF_STP == 0x4 && IFBIF_SPAN == 0x8);
    assert!(IFBIF_STICKY == 0x10 && IFBIF_BSTP_ADMCOST == 0x400 && IFBIF_PRIVATE == 0x800);
    assert!(IFBF_FLUSHDYN == 0 && IFBAF_TYPEMASK == 3 && IFBAF_DYNAMIC == 0 && IFBAF_STATIC == 1);
    assert!(IFT_BRIDGE == 0xd1 && IFT_IEEE8023ADLAG == 0xa1);
    assert!(NETLINK_GENERIC == 0 && IFMIB_IFDATA == 2 && IFDATA_DRIVERNAME == 3);
    assert!(TAPSVNETHDR == 0x8004_745b);
    assert!(IFF_LINK0 == 0x1000 && IFF_DRV_RUNNING == 0x40);
    assert!(IFF_UP == 1 && IF_MAXUNIT == 0x7fff && AF_LINK == 18);
};

// Where a pointer has eight bytes; elsewhere what has one in it is smaller, and so is its number.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use libc::{if_data, sockaddr};
    use std::mem::offset_of;

    assert!(SIOCSIFFLAGS == 0x8020_6910 && SIOCGIFFLAGS == 0xc020_6911);
    assert!(SIOCGIFINDEX == 0xc020_6920 && SIOCGIFCONF == 0xc010_6924);
    assert!(SIOCSIFNAME == 0x8020_6928 && SIOCGIFDATA == 0x8020_692c);
    assert!(SIOCGIFMTU == 0xc020_6933 && SIOCSIFMTU == 0x8020_6934);
    assert!(SIOCSIFLLADDR == 0x8020_693c && SIOCIFGCLONERS == 0xc010_6978);
    assert!(SIOCIFDESTROY == 0x8020_6979 && SIOCIFCREATE2 == 0xc020_697c);
    assert!(SIOCSDRVSPEC == 0x8028_697b && SIOCGDRVSPEC == 0xc028_697b);
    assert!(SIOCGIFGMEMB == 0xc028_698a);

    assert!(TAPGIFNAME == 0x4020_745d);

    assert!(size_of::<ifreq>() == 32 && offset_of!(ifreq, ifr_ifru) == 16);
    assert!(size_of::<sockaddr>() == 16 && offset_of!(sockaddr, sa_data) == 2);
    assert!(size_of::<if_data>() == 152 && offset_of!(if_data, ifi_type) == 0);
    assert!(offset_of!(if_data, __ifi_epoch) == 128);
    assert!(size_of::<ifconf>() == 16 && offset_of!(ifconf, ifc_ifcu) == 8);
    assert!(size_of::<ifdrv>() == 40 && offset_of!(ifdrv, ifd_cmd) == 16);
    assert!(offset_of!(ifdrv, ifd_len) == 24 && offset_of!(ifdrv, ifd_data) == 32);
    assert!(size_of::<ifbreq>() == 80 && offset_of!(ifbreq, ifbr_ifsname) == 0);
    assert!(offset_of!(ifbreq, ifbr_ifsflags) == 16 && offset_of!(ifbreq, ifbr_path_cost) == 24);
    assert!(offset_of!(ifbreq, ifbr_priority) == 29 && offset_of!(ifbreq, ifbr_proto) == 30);
    assert!(offset_of!(ifbreq, ifbr_state) == 32);
    assert!(size_of::<ifbareq>() == 40 && offset_of!(ifbareq, ifba_ifsname) == 0);
    assert!(offset_of!(ifbareq, ifba_expire) == 16 && offset_of!(ifbareq, ifba_flags) == 24);
    assert!(offset_of!(ifbareq, ifba_dst) == 25 && offset_of!(ifbareq, ifba_vlan) == 32);
    assert!(size_of::<ifbaconf>() == 16 && offset_of!(ifbaconf, ifbac_len) == 0);
    assert!(offset_of!(ifbaconf, ifbac_req) == 8);
    assert!(size_of::<ifbrparam>() == 4 && offset_of!(ifbrparam, ifbrp_ifbrpu) == 0);
    assert!(size_of::<ifbropreq>() == 56 && offset_of!(ifbropreq, ifbop_maxage) == 1);
    assert!(offset_of!(ifbropreq, ifbop_hellotime) == 2 && offset_of!(ifbropreq, ifbop_fwddelay) == 3);
    assert!(offset_of!(ifbropreq, ifbop_protocol) == 4 && offset_of!(ifbropreq, ifbop_priority) == 6);
    assert!(size_of::<ifbifconf>() == 16 && offset_of!(ifbifconf, ifbic_len) == 0);
    assert!(offset_of!(ifbifconf, ifbic_req) == 8);
    assert!(size_of::<ifgroupreq>() == 40 && offset_of!(ifgroupreq, ifgr_name) == 0);
    assert!(offset_of!(ifgroupreq, ifgr_len) == 16 && offset_of!(ifgroupreq, ifgr_groups) == 24);
    assert!(size_of::<if_clonereq>() == 16 && offset_of!(if_clonereq, ifcr_total) == 0);
    assert!(offset_of!(if_clonereq, ifcr_count) == 4 && offset_of!(if_clonereq, ifcr_buffer) == 8);
};
