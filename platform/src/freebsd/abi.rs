//! The numbers and layouts of the kernel's interface and bridge ioctls, checked at compile time.
//!
//! They have the names of `sys/sockio.h`, `net/if.h`, `net/if_types.h` and `net/if_bridgevar.h`, so
//! that they can be compared with these by a check that does not know this code.

use libc::{IFNAMSIZ, c_char, c_int, c_short, c_ulong, ifconf, ifdrv, ifreq};
use nix::{request_code_readwrite, request_code_write};

pub(super) const SIOCSIFFLAGS: c_ulong = request_code_write!(b'i', 16, size_of::<ifreq>());
pub(super) const SIOCGIFFLAGS: c_ulong = request_code_readwrite!(b'i', 17, size_of::<ifreq>());
pub(super) const SIOCGIFINDEX: c_ulong = request_code_readwrite!(b'i', 32, size_of::<ifreq>());
pub(super) const SIOCGIFCONF: c_ulong = request_code_readwrite!(b'i', 36, size_of::<ifconf>());
pub(super) const SIOCSIFNAME: c_ulong = request_code_write!(b'i', 40, size_of::<ifreq>());
pub(super) const SIOCGIFDATA: c_ulong = request_code_write!(b'i', 44, size_of::<ifreq>());
pub(super) const SIOCGIFMTU: c_ulong = request_code_readwrite!(b'i', 51, size_of::<ifreq>());
pub(super) const SIOCSIFMTU: c_ulong = request_code_write!(b'i', 52, size_of::<ifreq>());
pub(super) const SIOCSIFLLADDR: c_ulong = request_code_write!(b'i', 60, size_of::<ifreq>());
pub(super) const SIOCIFGCLONERS: c_ulong = request_code_readwrite!(b'i', 120, size_of::<if_clonereq>());
pub(super) const SIOCIFDESTROY: c_ulong = request_code_write!(b'i', 121, size_of::<ifreq>());
pub(super) const SIOCSDRVSPEC: c_ulong = request_code_write!(b'i', 123, size_of::<ifdrv>());
pub(super) const SIOCGDRVSPEC: c_ulong = request_code_readwrite!(b'i', 123, size_of::<ifdrv>());
pub(super) const SIOCIFCREATE2: c_ulong = request_code_readwrite!(b'i', 124, size_of::<ifreq>());

// net/if_bridgevar.h: what SIOCSDRVSPEC and SIOCGDRVSPEC do on a bridge.
pub(super) const BRDGADD: c_ulong = 0;
pub(super) const BRDGDEL: c_ulong = 1;
pub(super) const BRDGGIFS: c_ulong = 6;
/// Not a member, but an interface that gets a copy of every frame; the kernel lists both together.
pub(super) const IFBIF_SPAN: u32 = 8;

// net/if_types.h
pub(super) const IFT_BRIDGE: u8 = 0xd1;
/// The type that an Ethernet interface has while it is a port of a lagg(4).
pub(super) const IFT_IEEE8023ADLAG: u8 = 0xa1;

// net/if.h
pub(super) const IFF_UP: c_short = 1;
pub(super) const IF_MAXUNIT: u16 = 0x7fff;

/// As `sa_family` has it.
pub(super) const AF_LINK: u8 = 18;

/// A member of a bridge.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbreq {
    pub(super) ifbr_ifsname: [c_char; IFNAMSIZ],
    pub(super) ifbr_ifsflags: u32,
    _rest: [u32; 15],
}

impl ifbreq {
    pub(super) const fn new(name: [c_char; IFNAMSIZ]) -> Self {
        Self { ifbr_ifsname: name, ifbr_ifsflags: 0, _rest: [0; 15] }
    }
}

/// Room for members, and after the call the bytes that are taken of it.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ifbifconf {
    pub(super) ifbic_len: u32,
    pub(super) ifbic_req: *mut ifbreq,
}

/// Room for names of drivers, and after the call how many there are.
#[repr(C)]
#[allow(non_camel_case_types, clippy::struct_field_names, reason = "the kernel's names")]
pub(super) struct if_clonereq {
    pub(super) ifcr_total: c_int,
    pub(super) ifcr_count: c_int,
    pub(super) ifcr_buffer: *mut [u8; IFNAMSIZ],
}

const _: () = {
    assert!(BRDGADD == 0 && BRDGDEL == 1 && BRDGGIFS == 6 && IFBIF_SPAN == 8);
    assert!(IFT_BRIDGE == 0xd1 && IFT_IEEE8023ADLAG == 0xa1);
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

    assert!(size_of::<ifreq>() == 32 && offset_of!(ifreq, ifr_ifru) == 16);
    assert!(size_of::<sockaddr>() == 16 && offset_of!(sockaddr, sa_data) == 2);
    assert!(size_of::<if_data>() == 152 && offset_of!(if_data, ifi_type) == 0);
    assert!(size_of::<ifconf>() == 16 && offset_of!(ifconf, ifc_ifcu) == 8);
    assert!(size_of::<ifdrv>() == 40 && offset_of!(ifdrv, ifd_cmd) == 16);
    assert!(offset_of!(ifdrv, ifd_len) == 24 && offset_of!(ifdrv, ifd_data) == 32);
    assert!(size_of::<ifbreq>() == 80 && offset_of!(ifbreq, ifbr_ifsname) == 0);
    assert!(offset_of!(ifbreq, ifbr_ifsflags) == 16);
    assert!(size_of::<ifbifconf>() == 16 && offset_of!(ifbifconf, ifbic_len) == 0);
    assert!(offset_of!(ifbifconf, ifbic_req) == 8);
    assert!(size_of::<if_clonereq>() == 16 && offset_of!(if_clonereq, ifcr_total) == 0);
    assert!(offset_of!(if_clonereq, ifcr_count) == 4 && offset_of!(if_clonereq, ifcr_buffer) == 8);
};
