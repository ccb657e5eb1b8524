//! Requests to rtnetlink, as bytes. Pure functions.
//!
//! The attributes are those of `linux/if_link.h`; what the kernel reads of them is in
//! `rtnl_newlink()`, `rtnl_getlink()` and `rtnl_dump_ifinfo()` (`net/core/rtnetlink.c`).
//!
//! neli's builders are not used here: each of them allocates, and they know none of the bridge's
//! own attributes.

use std::ffi::c_int;

use super::{KIND, options, tap};
use crate::change::Step;
use crate::linux::abi::netlink::{
    IFLA_GROUP, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, RTEXT_FILTER_SKIP_STATS,
};
use crate::linux::{abi, c_index};
use crate::{BridgeSpec, InterfaceIndex, InterfaceName, LinkState, UnicastMac};

/// `ifi_flags` is wider than an ioctl's flags.
const IFF_UP: u32 = abi::IFF_UP as u32;

/// A request but for its sequence number.
#[derive(Debug)]
pub(super) struct Request {
    flags: u16,
    bytes: Vec<u8>,
}

/// The bridge with everything that its spec says, in one message.
pub(super) fn create(spec: &BridgeSpec) -> Request {
    let mut request = link(libc::RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, None, Some(spec.link))
        .attribute(libc::IFLA_IFNAME, spec.name.as_bytes());
    if let Some(mac) = spec.mac {
        request = request.attribute(libc::IFLA_ADDRESS, &mac.bytes());
    }
    if let Some(mtu) = spec.mtu {
        request = request.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
    }
    bridge(request, |data| spec.options.iter().fold(data, options::encode))
}

/// A veth, one end with this name and MAC; the kernel names the other.
pub(super) fn create_veth(name: InterfaceName, mac: UnicastMac) -> Request {
    link(libc::RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, None, None)
        .attribute(libc::IFLA_IFNAME, name.as_bytes())
        .attribute(libc::IFLA_ADDRESS, &mac.bytes())
        .nested(libc::IFLA_LINKINFO, |info| info.text(libc::IFLA_INFO_KIND, b"veth"))
}

/// The deletion of an interface, of whatever kind.
pub(super) fn delete(index: InterfaceIndex) -> Request {
    link(libc::RTM_DELLINK, NLM_F_ACK, Some(index), None)
}

/// The deletion of all interfaces of a group, of whatever kinds.
pub(super) fn delete_group(group: u32) -> Request {
    link(libc::RTM_DELLINK, NLM_F_ACK, None, None).attribute(IFLA_GROUP, &group.to_ne_bytes())
}

/// The group that an interface is to be in.
pub(super) fn set_group(index: InterfaceIndex, group: u32) -> Request {
    link(libc::RTM_SETLINK, NLM_F_ACK, Some(index), None).attribute(IFLA_GROUP, &group.to_ne_bytes())
}

/// One change of an interface.
pub(super) fn set(index: InterfaceIndex, step: Step) -> Request {
    let set = |link_state| link(libc::RTM_SETLINK, NLM_F_ACK, Some(index), link_state);
    match step {
        Step::Mtu(mtu) => set(None).attribute(libc::IFLA_MTU, &mtu.to_ne_bytes()),
        Step::Mac(mac) => set(None).attribute(libc::IFLA_ADDRESS, &mac.bytes()),
        Step::Link(link) => set(Some(link)),
        Step::Option(option) => set_bridge(index, |data| options::encode(data, option)),
    }
}

/// A change of a bridge's own attributes.
pub(super) fn set_bridge(index: InterfaceIndex, data: impl FnOnce(Request) -> Request) -> Request {
    // RTM_SETLINK skips them without a word.
    bridge(link(libc::RTM_NEWLINK, NLM_F_ACK, Some(index), None), data)
}

/// The bridge that an interface is a port of, or none.
pub(super) fn set_master(index: InterfaceIndex, bridge: Option<InterfaceIndex>) -> Request {
    let master = bridge.map_or(0, InterfaceIndex::get);
    link(libc::RTM_SETLINK, NLM_F_ACK, Some(index), None).attribute(libc::IFLA_MASTER, &master.to_ne_bytes())
}

/// The interface of this name.
pub(super) fn get_by_name(name: InterfaceName) -> Request {
    without_statistics(link(libc::RTM_GETLINK, 0, None, None).attribute(libc::IFLA_IFNAME, name.as_bytes()))
}

/// The interface of this index.
pub(super) fn get_by_index(index: InterfaceIndex) -> Request {
    without_statistics(link(libc::RTM_GETLINK, 0, Some(index), None))
}

/// Which interfaces a dump is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filter {
    All,
    /// Bridges. The kernel passes every interface if its bridge driver is not loaded (it then
    /// does not know the kind), or before 4.6: whoever reads the answer looks again.
    Bridges,
    /// Taps and tuns; every interface as with bridges.
    Tuns,
    /// The ports of one bridge; before 4.6 every interface.
    PortsOf(InterfaceIndex),
}

/// All interfaces that the filter lets through.
pub(super) fn dump(filter: Filter) -> Request {
    let request = without_statistics(link(libc::RTM_GETLINK, NLM_F_DUMP, None, None));
    match filter {
        Filter::All => request,
        Filter::Bridges => bridge(request, |data| data),
        Filter::Tuns => {
            request.nested(libc::IFLA_LINKINFO, |info| info.text(libc::IFLA_INFO_KIND, tap::KIND.as_bytes()))
        }
        Filter::PortsOf(bridge) => request.attribute(libc::IFLA_MASTER, &bridge.get().to_ne_bytes()),
    }
}

impl Request {
    /// The longest request without options, rounded up.
    const CAPACITY: usize = 128;

    /// A request of this kind, with the header of its family.
    pub(super) fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(Self::CAPACITY);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(header);
        Self { flags, bytes }
    }

    /// With an attribute.
    pub(super) fn attribute(self, kind: u16, payload: &[u8]) -> Self {
        self.nested(kind, |mut request| {
            request.bytes.extend(payload);
            request
        })
    }

    /// With an attribute that is a string, which the kernel wants with a NUL at its end.
    fn text(self, kind: u16, text: &[u8]) -> Self {
        self.nested(kind, |mut request| {
            request.bytes.extend(text);
            request.bytes.push(0);
            request
        })
    }

    /// With an attribute that `fill` fills.
    pub(super) fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        self = fill(self);
        let len = u16::try_from(self.bytes.len() - start).expect("no request is that long");
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// The message as the kernel takes it.
    pub(super) fn into_bytes(mut self, sequence: u32) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).expect("no request is that long");
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    /// Whether the answer is a list.
    pub(super) const fn is_dump(&self) -> bool {
        self.flags & NLM_F_DUMP == NLM_F_DUMP
    }

    /// Whether the answer ends with an acknowledgement, and not with the first message.
    pub(super) const fn wants_ack(&self) -> bool {
        self.flags & NLM_F_ACK != 0
    }
}

/// A request on an interface, or on none in particular, that brings it up or down or leaves it.
fn link(kind: u16, flags: u16, index: Option<InterfaceIndex>, state: Option<LinkState>) -> Request {
    let up = match state {
        Some(LinkState::Up) => IFF_UP,
        Some(LinkState::Down) | None => 0,
    };
    let change = state.map_or(0, |_| IFF_UP);
    Request::new(kind, flags, &link_header(libc::AF_UNSPEC, index, up, change))
}

/// A request to the bridge that an interface is a port of, or to all bridges.
pub(super) fn bridge_link(kind: u16, flags: u16, index: Option<InterfaceIndex>) -> Request {
    Request::new(kind, flags, &link_header(libc::AF_BRIDGE, index, 0, 0))
}

/// A `struct ifinfomsg`.
fn link_header(family: c_int, index: Option<InterfaceIndex>, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = u8::try_from(family).expect("a family is a byte");
    header[4..8].copy_from_slice(&index.map_or(0, c_index).to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

/// Says that an interface is a bridge, and what else `data` says of it.
fn bridge(request: Request, data: impl FnOnce(Request) -> Request) -> Request {
    request.nested(libc::IFLA_LINKINFO, |info| {
        let mut info = info.text(libc::IFLA_INFO_KIND, KIND.as_bytes());
        let start = info.bytes.len();
        info = info.nested(libc::IFLA_INFO_DATA, data);
        if info.bytes.len() == start + 4 {
            info.bytes.truncate(start);
        }
        info
    })
}

/// Leaves the statistics, most of a link's message, out of answers (since 4.4).
fn without_statistics(request: Request) -> Request {
    request.attribute(libc::IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that `ip link add name br0 address 52:54:00:01:02:03 mtu 1400 up type bridge`
    /// sends, in the order in which this module puts the attributes.
    #[test]
    fn a_bridge_is_one_message() {
        let spec = BridgeSpec::new("br0".parse().expect("a name"))
            .mac("52:54:00:01:02:03".parse().expect("a MAC"))
            .mtu(1400)
            .link(LinkState::Up);
        #[rustfmt::skip]
        let expected: &[&[u8]] = &[
            &76_u32.to_ne_bytes(), &16_u16.to_ne_bytes(), &0x605_u16.to_ne_bytes(), &7_u32.to_ne_bytes(), &[0; 4],
            &[0; 8], &1_u32.to_ne_bytes(), &1_u32.to_ne_bytes(),
            &7_u16.to_ne_bytes(), &3_u16.to_ne_bytes(), b"br0\0",
            &10_u16.to_ne_bytes(), &1_u16.to_ne_bytes(), &[0x52, 0x54, 0, 1, 2, 3, 0, 0],
            &8_u16.to_ne_bytes(), &4_u16.to_ne_bytes(), &1400_u32.to_ne_bytes(),
            &16_u16.to_ne_bytes(), &18_u16.to_ne_bytes(),
            &11_u16.to_ne_bytes(), &1_u16.to_ne_bytes(), b"bridge\0\0",
        ];
        assert_eq!(create(&spec).into_bytes(7), expected.concat());
    }

    #[test]
    fn a_reading_request_is_strict() {
        let bytes = get_by_name("br0".parse().expect("a name")).into_bytes(1);
        // Strict checking wants every field of the header but the index to be 0.
        assert_eq!(bytes[16..32], [0; 16]);
    }
}
