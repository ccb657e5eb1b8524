//! The requests on interfaces: `RTM_…LINK`.
//!
//! The attributes are those of `linux/if_link.h`; what the kernel reads of them is in
//! `rtnl_newlink()`, `rtnl_getlink()` and `rtnl_dump_ifinfo()` (`net/core/rtnetlink.c`). The functions
//! are pure.

use super::request::Request;
use super::{options, tun_data};
use crate::linux::abi::netlink::{
    IFLA_BR_FDB_FLUSH, IFLA_GROUP, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL,
    RTEXT_FILTER_SKIP_STATS,
};
use crate::linux::capabilities::other_mtu;
use crate::setting::Setting;
use crate::{BridgeSpec, InterfaceIndex, InterfaceName, LinkState, Target};

/// Creates a bridge without an MTU of its own, in one message. A kernel from 6.2 on sends the new interface back.
pub(super) fn create(spec: &BridgeSpec) -> Request {
    new_bridge(spec, NLM_F_ACK | NLM_F_ECHO, None, None)
}

/// Creates a bridge with this index and then sets its MTU, in two messages of one call. The kernel forgets an MTU that
/// the first one gives when ports join or leave ([`other_mtu`]).
pub(super) fn create_with_mtu(spec: &BridgeSpec, mtu: u32, index: InterfaceIndex) -> Request {
    new_bridge(spec, 0, Some(index), Some(other_mtu(mtu)))
        .then_link(libc::RTM_SETLINK, NLM_F_ACK, index)
        .number(libc::IFLA_MTU, mtu)
}

/// Creates a bridge as its spec says, but for the MTU; down if files are to be written before it goes up.
fn new_bridge(spec: &BridgeSpec, flags: u16, index: Option<InterfaceIndex>, mtu: Option<u32>) -> Request {
    let flags = flags | NLM_F_CREATE | NLM_F_EXCL;
    let link = if spec.host_ipv6().is_some() { LinkState::Down } else { spec.link };
    let mut request = Request::link(libc::RTM_NEWLINK, flags, index, Some(link))
        .attribute(libc::IFLA_IFNAME, spec.name.as_bytes());
    if let Some(mac) = spec.mac {
        request = request.attribute(libc::IFLA_ADDRESS, &mac.bytes());
    }
    if let Some(mtu) = mtu {
        request = request.number(libc::IFLA_MTU, mtu);
    }
    bridge(request, |data| {
        if options::any_of_messages(&spec.options) {
            options::of_messages(&spec.options).fold(data, options::encode)
        } else {
            data
        }
    })
}

/// Creates a veth, one end with this name and MAC; the kernel names the other.
#[cfg(feature = "sandbox")]
pub(super) fn create_veth(name: InterfaceName, mac: crate::UnicastMac) -> Request {
    Request::link(libc::RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, None, None)
        .attribute(libc::IFLA_IFNAME, name.as_bytes())
        .attribute(libc::IFLA_ADDRESS, &mac.bytes())
        .nested(libc::IFLA_LINKINFO, |info| info.text(libc::IFLA_INFO_KIND, b"veth"))
}

/// Deletes an interface of any kind.
pub(super) fn delete(index: InterfaceIndex) -> Request {
    Request::link(libc::RTM_DELLINK, NLM_F_ACK, Some(index), None)
}

/// Deletes all interfaces of a group, of any kind.
pub(super) fn delete_group(group: u32) -> Request {
    Request::link(libc::RTM_DELLINK, NLM_F_ACK, None, None).number(IFLA_GROUP, group)
}

/// Puts an interface into a group.
pub(super) fn set_group(index: InterfaceIndex, group: u32) -> Request {
    Request::link(libc::RTM_SETLINK, NLM_F_ACK, Some(index), None).number(IFLA_GROUP, group)
}

/// Changes one setting of an interface.
pub(super) fn set(index: InterfaceIndex, setting: Setting) -> Request {
    let set = |link_state| Request::link(libc::RTM_SETLINK, NLM_F_ACK, Some(index), link_state);
    match setting {
        Setting::Mtu(mtu) => set(None).number(libc::IFLA_MTU, mtu),
        Setting::Mac(mac) => set(None).attribute(libc::IFLA_ADDRESS, &mac.bytes()),
        Setting::Link(link) => set(Some(link)),
        Setting::Option(option) => set_bridge(index, |data| options::encode(data, option)),
    }
}

/// Changes a bridge's own attributes.
fn set_bridge(index: InterfaceIndex, data: impl FnOnce(Request) -> Request) -> Request {
    // RTM_SETLINK ignores them.
    bridge(Request::link(libc::RTM_NEWLINK, NLM_F_ACK, Some(index), None), data)
}

/// Removes all learned entries from a bridge's FDB.
pub(super) fn flush_fdb(bridge: InterfaceIndex) -> Request {
    set_bridge(bridge, |data| data.attribute(IFLA_BR_FDB_FLUSH, &[]))
}

/// Makes an interface a port of a bridge, or of none.
pub(super) fn set_master(index: InterfaceIndex, bridge: Option<InterfaceIndex>) -> Request {
    let master = bridge.map_or(0, InterfaceIndex::get);
    Request::link(libc::RTM_SETLINK, NLM_F_ACK, Some(index), None).number(libc::IFLA_MASTER, master)
}

/// Gets an interface.
pub(super) fn get(target: Target) -> Request {
    match target {
        Target::Name(name) => get_by_name(name),
        Target::Identity(identity) => get_by_index(identity.index()),
    }
}

/// Gets the interface of this name.
fn get_by_name(name: InterfaceName) -> Request {
    without_statistics(
        Request::link(libc::RTM_GETLINK, 0, None, None).attribute(libc::IFLA_IFNAME, name.as_bytes()),
    )
}

/// Gets the interface of this index.
pub(super) fn get_by_index(index: InterfaceIndex) -> Request {
    without_statistics(Request::link(libc::RTM_GETLINK, 0, Some(index), None))
}

/// The interfaces that a dump lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filter {
    All,
    /// Bridges. A kernel before 4.6, or without its bridge driver, lists every interface: callers
    /// check the kind of each.
    Bridges,
    /// Taps and tuns; every interface in the same cases.
    Tuns,
    /// The ports of one bridge; before 4.6 every interface.
    PortsOf(InterfaceIndex),
}

/// Lists the interfaces that the filter lets through.
pub(super) fn dump(filter: Filter) -> Request {
    let request = without_statistics(Request::link(libc::RTM_GETLINK, NLM_F_DUMP, None, None));
    match filter {
        Filter::All => request,
        Filter::Bridges => bridge(request, |data| data),
        Filter::Tuns => {
            request.nested(libc::IFLA_LINKINFO, |info| info.text(libc::IFLA_INFO_KIND, tun_data::KIND.as_bytes()))
        }
        Filter::PortsOf(bridge) => request.number(libc::IFLA_MASTER, bridge.get()),
    }
}

/// Adds the kind of a bridge, with the bridge's own attributes.
fn bridge(request: Request, data: impl FnOnce(Request) -> Request) -> Request {
    request.nested(libc::IFLA_LINKINFO, |info| {
        info.text(libc::IFLA_INFO_KIND, options::KIND.as_bytes()).nested_unless_empty(libc::IFLA_INFO_DATA, data)
    })
}

/// Keeps the statistics, most of an interface's message, out of the answer (since 4.4).
fn without_statistics(request: Request) -> Request {
    request.number(libc::IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> BridgeSpec {
        let mac = "52:54:00:01:02:03".parse().expect("a MAC");
        BridgeSpec::new("br0".parse().expect("a name")).mac(mac).link(LinkState::Up)
    }

    /// Expects the bytes of `ip link add name br0 address 52:54:00:01:02:03 up type bridge`, with
    /// `NLM_F_ECHO` and in this module's order of attributes.
    #[test]
    fn a_bridge_is_one_message() {
        #[rustfmt::skip]
        let expected: &[&[u8]] = &[
            &68_u32.to_ne_bytes(), &16_u16.to_ne_bytes(), &0x60d_u16.to_ne_bytes(), &7_u32.to_ne_bytes(), &[0; 4],
            &[0; 8], &1_u32.to_ne_bytes(), &1_u32.to_ne_bytes(),
            &7_u16.to_ne_bytes(), &3_u16.to_ne_bytes(), b"br0\0",
            &10_u16.to_ne_bytes(), &1_u16.to_ne_bytes(), &[0x52, 0x54, 0, 1, 2, 3, 0, 0],
            &16_u16.to_ne_bytes(), &18_u16.to_ne_bytes(),
            &11_u16.to_ne_bytes(), &1_u16.to_ne_bytes(), b"bridge\0\0",
        ];
        assert_eq!(create(&spec()).into_bytes(7), expected.concat());
    }

    /// Expects the bytes of `ip link add name br0 index 9 address 52:54:00:01:02:03 mtu 1401 up type bridge`, without
    /// an acknowledgement, and of `ip link set dev br0 mtu 1400`.
    #[test]
    fn a_bridge_with_an_mtu_is_two_messages() {
        #[rustfmt::skip]
        let expected: &[&[u8]] = &[
            &76_u32.to_ne_bytes(), &16_u16.to_ne_bytes(), &0x601_u16.to_ne_bytes(), &7_u32.to_ne_bytes(), &[0; 4],
            &[0; 4], &9_u32.to_ne_bytes(), &1_u32.to_ne_bytes(), &1_u32.to_ne_bytes(),
            &7_u16.to_ne_bytes(), &3_u16.to_ne_bytes(), b"br0\0",
            &10_u16.to_ne_bytes(), &1_u16.to_ne_bytes(), &[0x52, 0x54, 0, 1, 2, 3, 0, 0],
            &8_u16.to_ne_bytes(), &4_u16.to_ne_bytes(), &1401_u32.to_ne_bytes(),
            &16_u16.to_ne_bytes(), &18_u16.to_ne_bytes(),
            &11_u16.to_ne_bytes(), &1_u16.to_ne_bytes(), b"bridge\0\0",

            &40_u32.to_ne_bytes(), &19_u16.to_ne_bytes(), &0x5_u16.to_ne_bytes(), &7_u32.to_ne_bytes(), &[0; 4],
            &[0; 4], &9_u32.to_ne_bytes(), &[0; 8],
            &8_u16.to_ne_bytes(), &4_u16.to_ne_bytes(), &1400_u32.to_ne_bytes(),
        ];
        let index = InterfaceIndex::new(9).expect("not 0");
        let request = create_with_mtu(&spec(), 1400, index);
        assert!(request.wants_ack());
        assert_eq!(request.into_bytes(7), expected.concat());
    }

    #[test]
    fn a_reading_request_is_strict() {
        let bytes = get_by_name("br0".parse().expect("a name")).into_bytes(1);
        // Strict checking wants every field of the header but the index to be 0.
        assert_eq!(bytes[16..32], [0; 16]);
    }
}
