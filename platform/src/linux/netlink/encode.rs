//! Requests to rtnetlink, as bytes. Pure functions.
//!
//! The attributes are those of `linux/if_link.h`; what the kernel reads of them is in
//! `rtnl_newlink()`, `rtnl_getlink()` and `rtnl_dump_ifinfo()` (`net/core/rtnetlink.c`).

use std::io::Cursor;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Iff, Ifla, IflaInfo, RtAddrFamily, RtaType, Rtm};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::rtnl::{Ifinfomsg, IfinfomsgBuilder, Rtattr, RtattrBuilder};
use neli::types::{Buffer, RtBuffer};
use neli::{Size, ToBytes};

use super::KIND;
use crate::change::Step;
use crate::linux::abi::netlink::RTEXT_FILTER_SKIP_STATS;
use crate::linux::c_index;
use crate::{BridgeSpec, InterfaceIndex, InterfaceName, LinkState, UnicastMac};

/// A request but for its sequence number.
#[derive(Debug)]
pub(super) struct Request {
    kind: Rtm,
    flags: NlmF,
    message: Ifinfomsg,
}

/// The bridge with everything that its spec says, in one message.
pub(super) fn create(spec: &BridgeSpec) -> Request {
    let mut attributes = vec![attribute(Ifla::Ifname, spec.name.as_bytes())];
    if let Some(mac) = spec.mac {
        attributes.push(attribute(Ifla::Address, mac.bytes()));
    }
    if let Some(mtu) = spec.mtu {
        attributes.push(attribute(Ifla::Mtu, mtu));
    }
    attributes.push(link_kind(KIND));
    let message = link_state(IfinfomsgBuilder::default(), spec.link);
    request(Rtm::Newlink, NlmF::ACK | NlmF::CREATE | NlmF::EXCL, message, attributes)
}

/// A veth, one end with this name and MAC; the kernel names the other.
pub(super) fn create_veth(name: InterfaceName, mac: UnicastMac) -> Request {
    let attributes =
        vec![attribute(Ifla::Ifname, name.as_bytes()), attribute(Ifla::Address, mac.bytes()), link_kind("veth")];
    request(Rtm::Newlink, NlmF::ACK | NlmF::CREATE | NlmF::EXCL, IfinfomsgBuilder::default(), attributes)
}

/// The deletion of an interface, of whatever kind.
pub(super) fn delete(index: InterfaceIndex) -> Request {
    request(Rtm::Dellink, NlmF::ACK, on(index), vec![])
}

/// One change of an interface.
pub(super) fn set(index: InterfaceIndex, step: Step) -> Request {
    let (message, attributes) = match step {
        Step::Mtu(mtu) => (on(index), vec![attribute(Ifla::Mtu, mtu)]),
        Step::Mac(mac) => (on(index), vec![attribute(Ifla::Address, mac.bytes())]),
        Step::Link(link) => (link_state(on(index), link), vec![]),
        Step::Option(_) => (on(index), vec![]),
    };
    request(Rtm::Setlink, NlmF::ACK, message, attributes)
}

/// The bridge that an interface is a port of, or none.
pub(super) fn set_master(index: InterfaceIndex, bridge: Option<InterfaceIndex>) -> Request {
    let master = attribute(Ifla::Master, bridge.map_or(0, InterfaceIndex::get));
    request(Rtm::Setlink, NlmF::ACK, on(index), vec![master])
}

/// The interface of this name.
pub(super) fn get_by_name(name: InterfaceName) -> Request {
    let attributes = vec![attribute(Ifla::Ifname, name.as_bytes()), without_statistics()];
    request(Rtm::Getlink, NlmF::empty(), IfinfomsgBuilder::default(), attributes)
}

/// The interface of this index.
pub(super) fn get_by_index(index: InterfaceIndex) -> Request {
    request(Rtm::Getlink, NlmF::empty(), on(index), vec![without_statistics()])
}

/// Which interfaces a dump is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filter {
    All,
    /// Bridges. The kernel passes every interface if its bridge driver is not loaded (it then
    /// does not know the kind), or before 4.6: whoever reads the answer looks again.
    Bridges,
    /// The ports of one bridge; before 4.6 every interface.
    PortsOf(InterfaceIndex),
}

/// All interfaces that the filter lets through.
pub(super) fn dump(filter: Filter) -> Request {
    let mut attributes = vec![without_statistics()];
    match filter {
        Filter::All => {}
        Filter::Bridges => attributes.push(link_kind(KIND)),
        Filter::PortsOf(bridge) => attributes.push(attribute(Ifla::Master, bridge.get())),
    }
    request(Rtm::Getlink, NlmF::DUMP, IfinfomsgBuilder::default(), attributes)
}

impl Request {
    /// The message as the kernel takes it.
    pub(super) fn into_bytes(self, sequence: u32) -> Vec<u8> {
        let message = NlmsghdrBuilder::default()
            .nl_type(self.kind)
            .nl_flags(self.flags | NlmF::REQUEST)
            .nl_seq(sequence)
            .nl_payload(NlPayload::Payload(self.message))
            .build()
            .expect("every field without a default is set");
        let mut bytes = Cursor::new(Vec::with_capacity(message.padded_size()));
        message.to_bytes(&mut bytes).expect("a vector takes any number of bytes");
        bytes.into_inner()
    }

    /// Whether the answer is a list.
    pub(super) fn is_dump(&self) -> bool {
        self.flags.contains(NlmF::DUMP)
    }

    /// Whether the answer ends with an acknowledgement, and not with the first message.
    pub(super) fn wants_ack(&self) -> bool {
        self.flags.contains(NlmF::ACK)
    }
}

fn on(index: InterfaceIndex) -> IfinfomsgBuilder {
    IfinfomsgBuilder::default().ifi_index(c_index(index))
}

fn link_state(message: IfinfomsgBuilder, link: LinkState) -> IfinfomsgBuilder {
    let flags = match link {
        LinkState::Up => Iff::UP,
        LinkState::Down => Iff::empty(),
    };
    message.ifi_flags(flags).ifi_change(Iff::UP)
}

fn link_kind(kind: &str) -> Rtattr<Ifla, Buffer> {
    attribute(Ifla::Linkinfo, ())
        .nest(&attribute(IflaInfo::Kind, kind))
        .expect("a vector takes any number of bytes")
}

/// Leaves the statistics, most of a link's message, out of answers (since 4.4).
fn without_statistics() -> Rtattr<Ifla, Buffer> {
    attribute(Ifla::ExtMask, RTEXT_FILTER_SKIP_STATS)
}

fn attribute<T: RtaType + Size, P: Size + ToBytes>(kind: T, payload: P) -> Rtattr<T, Buffer> {
    RtattrBuilder::default().rta_type(kind).rta_payload(payload).build().expect("type and payload are set")
}

fn request(kind: Rtm, flags: NlmF, message: IfinfomsgBuilder, attributes: Vec<Rtattr<Ifla, Buffer>>) -> Request {
    let message = message
        .ifi_family(RtAddrFamily::Unspecified)
        .rtattrs(RtBuffer::from_iter(attributes))
        .build()
        .expect("every field without a default is set");
    Request { kind, flags, message }
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
