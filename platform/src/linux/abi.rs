//! The numbers and layouts of Linux's interface, bridge and netlink calls that libc lacks or has
//! in another type, under the names of the kernel's headers and checked at compile time.

use libc::{c_int, c_ulong};

// linux/sockios.h
pub(super) const SIOCBRADDBR: c_int = 0x89a0;
pub(super) const SIOCBRDELBR: c_int = 0x89a1;
pub(crate) const SIOCBRADDIF: c_int = 0x89a2;
pub(crate) const SIOCBRDELIF: c_int = 0x89a3;
/// The older calls, on all bridges of a namespace...
pub(super) const SIOCGIFBR: c_int = 0x8940;
/// ... and on one.
pub(super) const SIOCDEVPRIVATE: c_int = 0x89f0;

// linux/if_bridge.h: what the older calls do.
pub(super) const BRCTL_GET_BRIDGES: c_ulong = 1;
pub(super) const BRCTL_GET_BRIDGE_INFO: c_ulong = 6;
pub(super) const BRCTL_GET_PORT_LIST: c_ulong = 7;
pub(super) const BRCTL_SET_BRIDGE_FORWARD_DELAY: c_ulong = 8;
pub(super) const BRCTL_SET_BRIDGE_HELLO_TIME: c_ulong = 9;
pub(super) const BRCTL_SET_BRIDGE_MAX_AGE: c_ulong = 10;
pub(super) const BRCTL_SET_AGEING_TIME: c_ulong = 11;
pub(super) const BRCTL_GET_PORT_INFO: c_ulong = 13;
pub(super) const BRCTL_SET_BRIDGE_STP_STATE: c_ulong = 14;
pub(super) const BRCTL_SET_BRIDGE_PRIORITY: c_ulong = 15;
pub(super) const BRCTL_SET_PORT_PRIORITY: c_ulong = 16;
pub(super) const BRCTL_SET_PATH_COST: c_ulong = 17;
pub(super) const BRCTL_GET_FDB_ENTRIES: c_ulong = 18;

/// What `BRCTL_GET_BRIDGE_INFO` tells; times in 1/100 s.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct __bridge_info {
    pub(super) designated_root: u64,
    pub(super) bridge_id: u64,
    pub(super) root_path_cost: u32,
    pub(super) max_age: u32,
    pub(super) hello_time: u32,
    pub(super) forward_delay: u32,
    pub(super) bridge_max_age: u32,
    pub(super) bridge_hello_time: u32,
    pub(super) bridge_forward_delay: u32,
    pub(super) topology_change: u8,
    pub(super) topology_change_detected: u8,
    pub(super) root_port: u8,
    pub(super) stp_enabled: u8,
    pub(super) ageing_time: u32,
    pub(super) gc_interval: u32,
    pub(super) hello_timer_value: u32,
    pub(super) tcn_timer_value: u32,
    pub(super) topology_change_timer_value: u32,
    pub(super) gc_timer_value: u32,
}

/// What `BRCTL_GET_PORT_INFO` tells.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct __port_info {
    pub(super) designated_root: u64,
    pub(super) designated_bridge: u64,
    pub(super) port_id: u16,
    pub(super) designated_port: u16,
    pub(super) path_cost: u32,
    pub(super) designated_cost: u32,
    pub(super) state: u8,
    pub(super) top_change_ack: u8,
    pub(super) config_pending: u8,
    pub(super) unused0: u8,
    pub(super) message_age_timer_value: u32,
    pub(super) forward_delay_timer_value: u32,
    pub(super) hold_timer_value: u32,
}

/// What `BRCTL_GET_FDB_ENTRIES` tells of each entry; the age in 1/100 s.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[allow(non_camel_case_types, reason = "the kernel's name")]
pub(super) struct __fdb_entry {
    pub(super) mac_addr: [u8; 6],
    pub(super) port_no: u8,
    pub(super) is_local: u8,
    pub(super) ageing_timer_value: u32,
    pub(super) port_hi: u8,
    pub(super) pad0: u8,
    pub(super) unused: u16,
}

// linux/mount.h
pub(super) const FSOPEN_CLOEXEC: c_ulong = 1;
pub(super) const FSMOUNT_CLOEXEC: c_ulong = 1;
pub(super) const FSCONFIG_CMD_CREATE: c_ulong = 6;

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
    pub(super) version: [u8; 32],
    pub(super) fw_version: [u8; 32],
    pub(super) bus_info: [u8; 32],
    pub(super) _rest: [u8; 64],
}

const _: () = {
    use libc::{ifinfomsg, ifreq, nlattr, nlmsghdr};
    use std::mem::offset_of;

    assert!(SIOCBRADDBR == 0x89a0 && SIOCBRDELBR == 0x89a1);
    assert!(SIOCBRADDIF == 0x89a2 && SIOCBRDELIF == 0x89a3);
    assert!(SIOCGIFBR == 0x8940 && SIOCDEVPRIVATE == 0x89f0);
    assert!(BRCTL_GET_BRIDGES == 1 && BRCTL_GET_PORT_LIST == 7);
    assert!(BRCTL_GET_BRIDGE_INFO == 6 && BRCTL_GET_PORT_INFO == 13 && BRCTL_GET_FDB_ENTRIES == 18);
    assert!(BRCTL_SET_BRIDGE_FORWARD_DELAY == 8 && BRCTL_SET_BRIDGE_HELLO_TIME == 9);
    assert!(BRCTL_SET_BRIDGE_MAX_AGE == 10 && BRCTL_SET_AGEING_TIME == 11);
    assert!(BRCTL_SET_BRIDGE_STP_STATE == 14 && BRCTL_SET_BRIDGE_PRIORITY == 15);
    assert!(BRCTL_SET_PORT_PRIORITY == 16 && BRCTL_SET_PATH_COST == 17);
    assert!(size_of::<__bridge_info>() == 72);
    assert!(offset_of!(__bridge_info, designated_root) == 0 && offset_of!(__bridge_info, bridge_id) == 8);
    assert!(offset_of!(__bridge_info, root_path_cost) == 16 && offset_of!(__bridge_info, max_age) == 20);
    assert!(offset_of!(__bridge_info, hello_time) == 24 && offset_of!(__bridge_info, forward_delay) == 28);
    assert!(offset_of!(__bridge_info, bridge_max_age) == 32 && offset_of!(__bridge_info, bridge_hello_time) == 36);
    assert!(
        offset_of!(__bridge_info, bridge_forward_delay) == 40 && offset_of!(__bridge_info, topology_change) == 44
    );
    assert!(
        offset_of!(__bridge_info, topology_change_detected) == 45 && offset_of!(__bridge_info, root_port) == 46
    );
    assert!(offset_of!(__bridge_info, stp_enabled) == 47 && offset_of!(__bridge_info, ageing_time) == 48);
    assert!(offset_of!(__bridge_info, gc_interval) == 52 && offset_of!(__bridge_info, hello_timer_value) == 56);
    assert!(
        offset_of!(__bridge_info, tcn_timer_value) == 60
            && offset_of!(__bridge_info, topology_change_timer_value) == 64
    );
    assert!(offset_of!(__bridge_info, gc_timer_value) == 68);
    #[cfg(target_pointer_width = "64")]
    assert!(size_of::<__port_info>() == 48);
    assert!(offset_of!(__port_info, designated_root) == 0 && offset_of!(__port_info, designated_bridge) == 8);
    assert!(offset_of!(__port_info, port_id) == 16 && offset_of!(__port_info, designated_port) == 18);
    assert!(offset_of!(__port_info, path_cost) == 20 && offset_of!(__port_info, designated_cost) == 24);
    assert!(offset_of!(__port_info, state) == 28 && offset_of!(__port_info, top_change_ack) == 29);
    assert!(offset_of!(__port_info, config_pending) == 30 && offset_of!(__port_info, unused0) == 31);
    assert!(
        offset_of!(__port_info, message_age_timer_value) == 32
            && offset_of!(__port_info, forward_delay_timer_value) == 36
    );
    assert!(offset_of!(__port_info, hold_timer_value) == 40);
    assert!(size_of::<__fdb_entry>() == 16);
    assert!(offset_of!(__fdb_entry, mac_addr) == 0 && offset_of!(__fdb_entry, port_no) == 6);
    assert!(offset_of!(__fdb_entry, is_local) == 7 && offset_of!(__fdb_entry, ageing_timer_value) == 8);
    assert!(offset_of!(__fdb_entry, port_hi) == 12 && offset_of!(__fdb_entry, pad0) == 13);
    assert!(offset_of!(__fdb_entry, unused) == 14);
    assert!(FSOPEN_CLOEXEC == 1 && FSMOUNT_CLOEXEC == 1 && FSCONFIG_CMD_CREATE == 6);
    assert!(IFF_UP == 1 && ETHTOOL_GDRVINFO == 3);
    assert!(size_of::<ethtool_drvinfo>() == 196 && offset_of!(ethtool_drvinfo, cmd) == 0);
    assert!(offset_of!(ethtool_drvinfo, driver) == 4 && offset_of!(ethtool_drvinfo, version) == 36);
    assert!(offset_of!(ethtool_drvinfo, fw_version) == 68 && offset_of!(ethtool_drvinfo, bus_info) == 100);
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

    // linux/netlink.h: requests
    pub(in crate::linux) const NLM_F_REQUEST: u16 = 1;
    pub(in crate::linux) const NLM_F_ACK: u16 = 4;
    pub(in crate::linux) const NLM_F_ECHO: u16 = 8;
    pub(in crate::linux) const NLM_F_DUMP: u16 = 0x300;
    pub(in crate::linux) const NLM_F_REPLACE: u16 = 0x100;
    pub(in crate::linux) const NLM_F_EXCL: u16 = 0x200;
    pub(in crate::linux) const NLM_F_CREATE: u16 = 0x400;

    // linux/if_link.h: an interface
    pub(in crate::linux) const IFLA_GROUP: u16 = 27;
    /// In an `IFLA_AF_SPEC`.
    pub(in crate::linux) const AF_INET6: u16 = 10;
    pub(in crate::linux) const IFLA_INET6_CONF: u16 = 2;

    // linux/ipv6.h: the places of numbers in IFLA_INET6_CONF
    pub(in crate::linux) const DEVCONF_ACCEPT_RA: usize = 3;
    pub(in crate::linux) const DEVCONF_AUTOCONF: usize = 5;
    pub(in crate::linux) const DEVCONF_DISABLE_IPV6: usize = 26;

    // linux/if_link.h: a bridge
    pub(in crate::linux) const IFLA_BR_FORWARD_DELAY: u16 = 1;
    pub(in crate::linux) const IFLA_BR_HELLO_TIME: u16 = 2;
    pub(in crate::linux) const IFLA_BR_MAX_AGE: u16 = 3;
    pub(in crate::linux) const IFLA_BR_AGEING_TIME: u16 = 4;
    pub(in crate::linux) const IFLA_BR_STP_STATE: u16 = 5;
    pub(in crate::linux) const IFLA_BR_PRIORITY: u16 = 6;
    pub(in crate::linux) const IFLA_BR_VLAN_FILTERING: u16 = 7;
    pub(in crate::linux) const IFLA_BR_GROUP_FWD_MASK: u16 = 9;
    pub(in crate::linux) const IFLA_BR_TOPOLOGY_CHANGE: u16 = 14;
    pub(in crate::linux) const IFLA_BR_FDB_FLUSH: u16 = 21;
    pub(in crate::linux) const IFLA_BR_MCAST_SNOOPING: u16 = 23;
    pub(in crate::linux) const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;

    // linux/if_link.h: a tap
    pub(in crate::linux) const IFLA_TUN_OWNER: u16 = 1;
    pub(in crate::linux) const IFLA_TUN_GROUP: u16 = 2;
    pub(in crate::linux) const IFLA_TUN_TYPE: u16 = 3;
    pub(in crate::linux) const IFLA_TUN_PI: u16 = 4;
    pub(in crate::linux) const IFLA_TUN_VNET_HDR: u16 = 5;
    pub(in crate::linux) const IFLA_TUN_PERSIST: u16 = 6;
    pub(in crate::linux) const IFLA_TUN_MULTI_QUEUE: u16 = 7;

    // linux/if_link.h: a port
    pub(in crate::linux) const IFLA_BRPORT_STATE: u16 = 1;
    pub(in crate::linux) const IFLA_BRPORT_PRIORITY: u16 = 2;
    pub(in crate::linux) const IFLA_BRPORT_COST: u16 = 3;
    pub(in crate::linux) const IFLA_BRPORT_MODE: u16 = 4;
    pub(in crate::linux) const IFLA_BRPORT_GUARD: u16 = 5;
    pub(in crate::linux) const IFLA_BRPORT_PROTECT: u16 = 6;
    pub(in crate::linux) const IFLA_BRPORT_FAST_LEAVE: u16 = 7;
    pub(in crate::linux) const IFLA_BRPORT_LEARNING: u16 = 8;
    pub(in crate::linux) const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
    pub(in crate::linux) const IFLA_BRPORT_MCAST_FLOOD: u16 = 27;
    pub(in crate::linux) const IFLA_BRPORT_BCAST_FLOOD: u16 = 30;
    pub(in crate::linux) const IFLA_BRPORT_NEIGH_SUPPRESS: u16 = 32;
    pub(in crate::linux) const IFLA_BRPORT_ISOLATED: u16 = 33;
    pub(in crate::linux) const IFLA_BRPORT_LOCKED: u16 = 39;

    // linux/if_bridge.h: the states of a port, and its VLANs
    pub(in crate::linux) const BR_STATE_DISABLED: u8 = 0;
    pub(in crate::linux) const BR_STATE_LISTENING: u8 = 1;
    pub(in crate::linux) const BR_STATE_LEARNING: u8 = 2;
    pub(in crate::linux) const BR_STATE_FORWARDING: u8 = 3;
    pub(in crate::linux) const BR_STATE_BLOCKING: u8 = 4;
    pub(in crate::linux) const IFLA_BRIDGE_FLAGS: u16 = 0;
    pub(in crate::linux) const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
    pub(in crate::linux) const BRIDGE_FLAGS_SELF: u16 = 2;
    pub(in crate::linux) const BRIDGE_VLAN_INFO_PVID: u16 = 2;
    pub(in crate::linux) const BRIDGE_VLAN_INFO_UNTAGGED: u16 = 4;
    pub(in crate::linux) const BRIDGE_VLAN_INFO_RANGE_BEGIN: u16 = 8;
    pub(in crate::linux) const BRIDGE_VLAN_INFO_RANGE_END: u16 = 16;
    pub(in crate::linux) const RTEXT_FILTER_BRVLAN_COMPRESSED: u32 = 4;

    // linux/neighbour.h
    pub(in crate::linux) const NDA_LLADDR: u16 = 2;
    pub(in crate::linux) const NDA_CACHEINFO: u16 = 3;
    pub(in crate::linux) const NDA_VLAN: u16 = 5;
    pub(in crate::linux) const NDA_MASTER: u16 = 9;
    pub(in crate::linux) const NTF_SELF: u8 = 2;
    pub(in crate::linux) const NTF_MASTER: u8 = 4;
    pub(in crate::linux) const NTF_STICKY: u8 = 0x40;
    pub(in crate::linux) const NUD_NOARP: u16 = 0x40;
    pub(in crate::linux) const NUD_PERMANENT: u16 = 0x80;

    /// What `RTM_…NEIGH` is about.
    #[repr(C)]
    #[allow(non_camel_case_types, reason = "the kernel's name")]
    pub(in crate::linux) struct ndmsg {
        pub(in crate::linux) ndm_family: u8,
        _pad: [u8; 3],
        pub(in crate::linux) ndm_ifindex: i32,
        pub(in crate::linux) ndm_state: u16,
        pub(in crate::linux) ndm_flags: u8,
        pub(in crate::linux) ndm_type: u8,
    }

    const _: () = {
        use std::mem::offset_of;

        assert!(NLMSG_ERROR == 2 && NLMSG_DONE == 3);
        assert!(NLM_F_MULTI == 2 && NLM_F_DUMP_INTR == 0x10);
        assert!(NLM_F_CAPPED == 0x100 && NLM_F_ACK_TLVS == 0x200);
        assert!(NLA_F_NESTED == 0x8000 && NLA_F_NET_BYTEORDER == 0x4000);
        assert!(NLMSGERR_ATTR_MSG == 1);
        assert!(RTEXT_FILTER_SKIP_STATS == 8);

        assert!(NLM_F_REQUEST == 1 && NLM_F_ACK == 4 && NLM_F_ECHO == 8 && NLM_F_DUMP == 0x300);
        assert!(NLM_F_REPLACE == 0x100 && NLM_F_EXCL == 0x200 && NLM_F_CREATE == 0x400);

        assert!(IFLA_GROUP == 27 && AF_INET6 == 10 && IFLA_INET6_CONF == 2);
        assert!(DEVCONF_ACCEPT_RA == 3 && DEVCONF_AUTOCONF == 5 && DEVCONF_DISABLE_IPV6 == 26);
        assert!(IFLA_BR_FORWARD_DELAY == 1 && IFLA_BR_HELLO_TIME == 2 && IFLA_BR_MAX_AGE == 3);
        assert!(IFLA_BR_AGEING_TIME == 4 && IFLA_BR_STP_STATE == 5 && IFLA_BR_PRIORITY == 6);
        assert!(IFLA_BR_VLAN_FILTERING == 7 && IFLA_BR_GROUP_FWD_MASK == 9 && IFLA_BR_FDB_FLUSH == 21);
        assert!(IFLA_BR_TOPOLOGY_CHANGE == 14);
        assert!(IFLA_BR_MCAST_SNOOPING == 23 && IFLA_BR_VLAN_DEFAULT_PVID == 39);

        assert!(IFLA_TUN_OWNER == 1 && IFLA_TUN_GROUP == 2 && IFLA_TUN_TYPE == 3 && IFLA_TUN_PI == 4);
        assert!(IFLA_TUN_VNET_HDR == 5 && IFLA_TUN_PERSIST == 6 && IFLA_TUN_MULTI_QUEUE == 7);

        assert!(IFLA_BRPORT_STATE == 1 && IFLA_BRPORT_PRIORITY == 2 && IFLA_BRPORT_COST == 3);
        assert!(IFLA_BRPORT_MODE == 4 && IFLA_BRPORT_GUARD == 5 && IFLA_BRPORT_PROTECT == 6);
        assert!(IFLA_BRPORT_FAST_LEAVE == 7 && IFLA_BRPORT_LEARNING == 8 && IFLA_BRPORT_UNICAST_FLOOD == 9);
        assert!(
            IFLA_BRPORT_MCAST_FLOOD == 27 && IFLA_BRPORT_BCAST_FLOOD == 30 && IFLA_BRPORT_NEIGH_SUPPRESS == 32
        );
        assert!(IFLA_BRPORT_ISOLATED == 33 && IFLA_BRPORT_LOCKED == 39);

        assert!(BR_STATE_DISABLED == 0 && BR_STATE_LISTENING == 1 && BR_STATE_LEARNING == 2);
        assert!(BR_STATE_FORWARDING == 3 && BR_STATE_BLOCKING == 4 && IFLA_BRIDGE_FLAGS == 0);
        assert!(IFLA_BRIDGE_VLAN_INFO == 2 && BRIDGE_FLAGS_SELF == 2 && BRIDGE_VLAN_INFO_PVID == 2);
        assert!(
            BRIDGE_VLAN_INFO_UNTAGGED == 4
                && BRIDGE_VLAN_INFO_RANGE_BEGIN == 8
                && BRIDGE_VLAN_INFO_RANGE_END == 16
        );
        assert!(RTEXT_FILTER_BRVLAN_COMPRESSED == 4);

        assert!(NDA_LLADDR == 2 && NDA_CACHEINFO == 3 && NDA_VLAN == 5);
        assert!(NDA_MASTER == 9 && NTF_SELF == 2 && NTF_MASTER == 4 && NTF_STICKY == 0x40);
        assert!(NUD_NOARP == 0x40 && NUD_PERMANENT == 0x80);

        assert!(size_of::<ndmsg>() == 12 && offset_of!(ndmsg, ndm_family) == 0);
        assert!(offset_of!(ndmsg, ndm_ifindex) == 4 && offset_of!(ndmsg, ndm_state) == 8);
        assert!(offset_of!(ndmsg, ndm_flags) == 10 && offset_of!(ndmsg, ndm_type) == 11);
    };
}

/// tun(4), for taps.
pub(super) mod tun {
    // linux/if_tun.h
    pub(in crate::linux) const IFF_TAP: u16 = 2;
    pub(in crate::linux) const IFF_MULTI_QUEUE: u16 = 0x100;
    pub(in crate::linux) const IFF_NO_PI: u16 = 0x1000;
    pub(in crate::linux) const IFF_ONE_QUEUE: u16 = 0x2000;
    pub(in crate::linux) const IFF_VNET_HDR: u16 = 0x4000;
    pub(in crate::linux) const IFF_TUN_EXCL: u16 = 0x8000;
    pub(in crate::linux) const IFF_PERSIST: u16 = 0x800;

    const _: () = {
        assert!(IFF_TAP == 2 && IFF_MULTI_QUEUE == 0x100 && IFF_PERSIST == 0x800);
        assert!(IFF_NO_PI == 0x1000 && IFF_ONE_QUEUE == 0x2000);
        assert!(IFF_VNET_HDR == 0x4000 && IFF_TUN_EXCL == 0x8000);
    };
}
