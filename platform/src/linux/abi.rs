//! The numbers and layouts of Linux's interface, bridge and netlink calls that libc lacks or has
//! in another type, under the names of the kernel's headers and checked at compile time.

use libc::{c_int, c_ulong};

// linux/sockios.h
pub(super) const SIOCBRADDBR: c_int = 0x89a0;
pub(super) const SIOCBRDELBR: c_int = 0x89a1;
pub(super) const SIOCBRADDIF: c_int = 0x89a2;
pub(super) const SIOCBRDELIF: c_int = 0x89a3;
/// The older calls, on all bridges of a namespace...
pub(super) const SIOCGIFBR: c_int = 0x8940;
/// ... and on one.
pub(super) const SIOCDEVPRIVATE: c_int = 0x89f0;

// linux/if_bridge.h: what the older calls do.
pub(super) const BRCTL_GET_BRIDGES: c_ulong = 1;
pub(super) const BRCTL_GET_PORT_LIST: c_ulong = 7;

// linux/if.h
pub(super) const IFF_UP: u16 = 1;

// linux/ethtool.h
pub(super) const ETHTOOL_GDRVINFO: u32 = 3;

/// What `ETHTOOL_GDRVINFO` tells of an interface's driver.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct ethtool_drvinfo {
    pub(super) cmd: u32,
    pub(super) driver: [u8; 32],
    pub(super) version: [u8; 160],
}

const _: () = {
    use libc::{ifinfomsg, ifreq, nlattr, nlmsghdr};
    use std::mem::offset_of;

    assert!(SIOCBRADDBR == 0x89a0 && SIOCBRDELBR == 0x89a1);
    assert!(SIOCBRADDIF == 0x89a2 && SIOCBRDELIF == 0x89a3);
    assert!(SIOCGIFBR == 0x8940 && SIOCDEVPRIVATE == 0x89f0);
    assert!(BRCTL_GET_BRIDGES == 1 && BRCTL_GET_PORT_LIST == 7);
    assert!(IFF_UP == 1 && ETHTOOL_GDRVINFO == 3);
    assert!(size_of::<ethtool_drvinfo>() == 196 && offset_of!(ethtool_drvinfo, cmd) == 0);
    assert!(offset_of!(ethtool_drvinfo, driver) == 4 && offset_of!(ethtool_drvinfo, version) == 36);
    #[cfg(target_pointer_width = "64")]
    assert!(size_of::<ifreq>() == 40);
    assert!(offset_of!(ifreq, ifr_ifru) == 16);
    assert!(size_of::<nlmsghdr>() == 16 && size_of::<nlattr>() == 4);
    assert!(size_of::<ifinfomsg>() == 16);
};

/// netlink(7), for the backend that speaks it.
#[cfg(feature = "netlink")]
pub(super) mod netlink {
    // linux/netlink.h
    pub(in crate::linux) const NLMSG_ERROR: u16 = 2;
    pub(in crate::linux) const NLMSG_DONE: u16 = 3;
    pub(in crate::linux) const NLM_F_MULTI: u16 = 2;
    pub(in crate::linux) const NLM_F_DUMP_INTR: u16 = 0x10;
    pub(in crate::linux) const NLM_F_CAPPED: u16 = 0x100;
    pub(in crate::linux) const NLM_F_ACK_TLVS: u16 = 0x200;
    pub(in crate::linux) const NLA_F_NESTED: u16 = 0x8000;
    pub(in crate::linux) const NLA_F_NET_BYTEORDER: u16 = 0x4000;
    pub(in crate::linux) const NLMSGERR_ATTR_MSG: u16 = 1;

    // linux/rtnetlink.h
    pub(in crate::linux) const RTEXT_FILTER_SKIP_STATS: u32 = 8;

    const _: () = {
        assert!(NLMSG_ERROR == 2 && NLMSG_DONE == 3);
        assert!(NLM_F_MULTI == 2 && NLM_F_DUMP_INTR == 0x10);
        assert!(NLM_F_CAPPED == 0x100 && NLM_F_ACK_TLVS == 0x200);
        assert!(NLA_F_NESTED == 0x8000 && NLA_F_NET_BYTEORDER == 0x4000);
        assert!(NLMSGERR_ATTR_MSG == 1);
        assert!(RTEXT_FILTER_SKIP_STATS == 8);
    };
}

/// tun(4), for taps.
#[cfg(not(feature = "netlink"))]
pub(super) mod tun {
    // linux/if_tun.h
    pub(in crate::linux) const IFF_TAP: i16 = 2;
    pub(in crate::linux) const IFF_NO_PI: i16 = 0x1000;

    const _: () = assert!(IFF_TAP == 2 && IFF_NO_PI == 0x1000);
}
