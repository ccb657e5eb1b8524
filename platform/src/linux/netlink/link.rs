//! Answers of rtnetlink, from bytes. Pure functions that copy next to nothing.
//!
//! neli's own readers are not used here: they subtract lengths that the sender chose without a
//! check (`NlPayload::from_bytes_with_input`), and copy every attribute. What is unknown is
//! skipped, so that a newer kernel's attributes do no harm; what does not fit is [`Malformed`].

use nix::errno::Errno;

use super::tap::{self, TunData};
use super::{KIND, options};
use crate::linux::abi::netlink::{
    IFLA_GROUP, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_MULTI,
    NLMSG_DONE, NLMSG_ERROR, NLMSGERR_ATTR_MSG,
};
use crate::linux::carrier::Carrier;
use crate::{BridgeOptions, InterfaceIndex, InterfaceName, LinkState, MacAddr, PortOptions, PortStpState};

/// Bytes that are no netlink message, or no message of the kind that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

const MESSAGE_HEADER: usize = size_of::<libc::nlmsghdr>();
const ATTRIBUTE_HEADER: usize = size_of::<libc::nlattr>();
const LINK_HEADER: usize = size_of::<libc::ifinfomsg>();

/// One message of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    kind: u16,
    flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

impl Message<'_> {
    /// Whether it ends an answer, and says how things went.
    pub(super) const fn is_verdict(&self) -> bool {
        matches!(self.kind, NLMSG_ERROR | NLMSG_DONE)
    }

    /// Whether more messages of the same answer follow.
    pub(super) const fn is_one_of_many(&self) -> bool {
        self.flags & NLM_F_MULTI != 0
    }

    /// Whether the answer is not of one moment.
    pub(super) const fn was_interrupted(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }
}

/// The messages of one datagram.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = (|| {
            let len = u32_at(rest, 0)? as usize;
            let payload = rest.get(MESSAGE_HEADER..len)?;
            let message =
                Message { kind: u16_at(rest, 4)?, flags: u16_at(rest, 6)?, sequence: u32_at(rest, 8)?, payload };
            rest = rest.get(aligned(len)..).unwrap_or_default();
            Some(message)
        })();
        if message.is_none() {
            rest = &[];
        }
        Some(message.ok_or(Malformed))
    })
}

/// The attributes of a message, nested or not: type and payload.
///
/// The flags `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are not part of the type.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let attribute = (|| {
            let len = usize::from(u16_at(rest, 0)?);
            let payload = rest.get(ATTRIBUTE_HEADER..len)?;
            let kind = u16_at(rest, 2)? & !(NLA_F_NESTED | NLA_F_NET_BYTEORDER);
            rest = rest.get(aligned(len)..).unwrap_or_default();
            Some((kind, payload))
        })();
        if attribute.is_none() {
            rest = &[];
        }
        Some(attribute.ok_or(Malformed))
    })
}

/// What an `NLMSG_ERROR` or an `NLMSG_DONE` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `None` is success.
    pub(super) errno: Option<Errno>,
    /// The text of the extended acknowledgement.
    pub(super) text: Option<String>,
}

/// Reads an `NLMSG_ERROR` (`struct nlmsgerr`) or an `NLMSG_DONE` (an `int`).
pub(super) fn verdict(message: Message<'_>) -> Result<Verdict, Malformed> {
    let code = i32_at(message.payload, 0);
    let code = match (code, message.kind) {
        (Some(code), _) => code,
        // Kernels before 4.13 end a dump without a code.
        (None, NLMSG_DONE) => 0,
        (None, _) => return Err(Malformed),
    };
    let text = if message.flags & NLM_F_ACK_TLVS == 0 { None } else { extended_ack(message)? };
    let errno = match code {
        0 => None,
        // Negative in the kernel. One that nix has no name for must not pass for success.
        code => Some(Errno::from_raw(code.checked_neg().ok_or(Malformed)?)),
    };
    Ok(Verdict { errno, text })
}

/// The text among the attributes behind a verdict.
fn extended_ack(message: Message<'_>) -> Result<Option<String>, Malformed> {
    // An error repeats the request: only its header if NLM_F_CAPPED is set, else all of it.
    let start = match message.kind {
        NLMSG_DONE => 4,
        _ if message.flags & NLM_F_CAPPED != 0 => 4 + MESSAGE_HEADER,
        _ => 4 + aligned(u32_at(message.payload, 4).ok_or(Malformed)? as usize),
    };
    for attribute in attributes(message.payload.get(start..).ok_or(Malformed)?) {
        let (kind, payload) = attribute?;
        if kind == NLMSGERR_ATTR_MSG {
            return Ok(Some(String::from_utf8_lossy(until_nul(payload)).into_owned()));
        }
    }
    Ok(None)
}

/// What an `RTM_NEWLINK` says of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: InterfaceIndex,
    pub(super) name: InterfaceName,
    pub(super) state: LinkState,
    pub(super) carrier: Carrier,
    /// `None` without an address of six bytes.
    pub(super) mac: Option<MacAddr>,
    pub(super) mtu: u32,
    pub(super) is_bridge: bool,
    /// What the driver tells of a tap.
    pub(super) tap: Option<TunData>,
    /// Those of a bridge.
    pub(super) options: BridgeOptions,
    /// The bridge, bond or the like that it belongs to.
    pub(super) master: Option<InterfaceIndex>,
    /// Those of a port of a bridge.
    pub(super) port_options: PortOptions,
    pub(super) stp_state: Option<PortStpState>,
    /// A number that anyone may give to interfaces (`ip link set … group`); 0 from the start.
    pub(super) group: u32,
}

/// Reads the payload of an `RTM_NEWLINK`.
pub(super) fn link(payload: &[u8]) -> Result<Link, Malformed> {
    let index = u32_at(payload, 4).and_then(InterfaceIndex::new).ok_or(Malformed)?;
    let flags = u32_at(payload, 8).ok_or(Malformed)?;
    let (mut name, mut mac, mut mtu, mut master) = (None, None, None, None);
    let (mut operational_state, mut has_carrier, mut group) = (None, false, None);
    let mut info = LinkInfo::default();
    for attribute in attributes(payload.get(LINK_HEADER..).ok_or(Malformed)?) {
        let (kind, payload) = attribute?;
        match kind {
            libc::IFLA_IFNAME => name = InterfaceName::from_kernel(payload),
            libc::IFLA_ADDRESS => mac = payload.try_into().ok().map(MacAddr::new),
            libc::IFLA_OPERSTATE => operational_state = payload.first().copied().map(Into::into),
            libc::IFLA_CARRIER => has_carrier = payload.first() == Some(&1),
            libc::IFLA_MTU => mtu = u32_at(payload, 0),
            libc::IFLA_MASTER => master = u32_at(payload, 0).and_then(InterfaceIndex::new),
            libc::IFLA_LINKINFO => info = link_info(payload)?,
            IFLA_GROUP => group = u32_at(payload, 0),
            _ => {}
        }
    }
    let (port_options, stp_state) = info.port_options()?;
    let hardware = u16_at(payload, 2).ok_or(Malformed)?;
    Ok(Link {
        index,
        name: name.ok_or(Malformed)?,
        state: LinkState::of_flags(flags),
        carrier: Carrier { is_on: has_carrier, is_operational: operational_state == Some(libc::IF_OPER_UP) },
        mac,
        mtu: mtu.ok_or(Malformed)?,
        is_bridge: info.kind == Some(KIND.as_bytes()),
        tap: info.tap(hardware)?,
        options: info.options()?,
        master,
        port_options,
        stp_state,
        group: group.unwrap_or(0),
    })
}

/// An `IFLA_LINKINFO`: what driver an interface has, and what that one and its master's say of it.
#[derive(Default)]
struct LinkInfo<'a> {
    kind: Option<&'a [u8]>,
    data: &'a [u8],
    port_kind: Option<&'a [u8]>,
    port_data: &'a [u8],
}

impl LinkInfo<'_> {
    fn options(&self) -> Result<BridgeOptions, Malformed> {
        if self.kind == Some(KIND.as_bytes()) { options::decode(self.data) } else { Ok(BridgeOptions::default()) }
    }

    fn tap(&self, hardware: u16) -> Result<Option<TunData>, Malformed> {
        if self.kind == Some(tap::KIND.as_bytes()) { tap::decode(self.data, hardware) } else { Ok(None) }
    }

    fn port_options(&self) -> Result<(PortOptions, Option<PortStpState>), Malformed> {
        if self.port_kind == Some(KIND.as_bytes()) {
            options::decode_port(self.port_data)
        } else {
            Ok((PortOptions::default(), None))
        }
    }
}

fn link_info(bytes: &[u8]) -> Result<LinkInfo<'_>, Malformed> {
    let mut info = LinkInfo::default();
    for attribute in attributes(bytes) {
        let (kind, payload) = attribute?;
        match kind {
            libc::IFLA_INFO_KIND => info.kind = Some(until_nul(payload)),
            libc::IFLA_INFO_DATA => info.data = payload,
            libc::IFLA_INFO_SLAVE_KIND => info.port_kind = Some(until_nul(payload)),
            libc::IFLA_INFO_SLAVE_DATA => info.port_data = payload,
            _ => {}
        }
    }
    Ok(info)
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// `NLMSG_ALIGN` and `NLA_ALIGN`: to a multiple of 4.
const fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}

pub(super) fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(ATTRIBUTE_HEADER + payload.len()).expect("short");
        let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(payload);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn link_payload(attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = vec![0; LINK_HEADER];
        payload[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        payload[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        payload.extend(attributes.concat());
        payload
    }

    fn bridge() -> Vec<Vec<u8>> {
        vec![
            attribute(libc::IFLA_IFNAME, b"br0\0"),
            attribute(libc::IFLA_MTU, &1500_u32.to_ne_bytes()),
            attribute(libc::IFLA_ADDRESS, &[0x52, 0x54, 0, 1, 2, 3]),
            attribute(libc::IFLA_LINKINFO | NLA_F_NESTED, &attribute(libc::IFLA_INFO_KIND, b"bridge\0")),
        ]
    }

    #[test]
    fn reads_a_bridge() {
        let link = link(&link_payload(&bridge())).expect("well formed");
        assert_eq!(link.name.as_bytes(), b"br0");
        assert!(link.is_bridge);
        assert_eq!(link.mac.expect("six bytes").to_string(), "52:54:00:01:02:03");
        assert_eq!((link.index.get(), link.mtu, link.state, link.master), (7, 1500, LinkState::Up, None));
    }

    #[test]
    fn skips_what_a_newer_kernel_adds() {
        let mut attributes = bridge();
        attributes.insert(0, attribute(0x3f00, b"news"));
        attributes.push(attribute(libc::IFLA_LINKINFO, &attribute(77, b"what")));
        assert!(link(&link_payload(&attributes[..5])).expect("well formed").is_bridge);
    }

    #[test]
    fn an_attribute_that_ends_behind_the_message_is_malformed() {
        let mut payload = link_payload(&bridge());
        payload.truncate(payload.len() - 3);
        assert_eq!(link(&payload), Err(Malformed));
        assert_eq!(link(&payload[..10]), Err(Malformed));
    }

    #[test]
    fn a_bridge_inside_another_attribute_is_no_bridge() {
        let mut attributes = bridge();
        attributes[3] = attribute(libc::IFLA_LINKINFO, &attribute(libc::IFLA_INFO_SLAVE_KIND, b"bridge\0"));
        assert!(!link(&link_payload(&attributes)).expect("well formed").is_bridge);
    }

    fn error(flags: u16, code: i32, request_len: u32, rest: &[u8]) -> Vec<u8> {
        let request: [&[u8]; 3] = [&request_len.to_ne_bytes(), &[0; 12], rest];
        let payload = [&code.to_ne_bytes()[..], &request.concat()].concat();
        let header: [&[u8]; 5] = [
            &u32::try_from(MESSAGE_HEADER + payload.len()).expect("short").to_ne_bytes(),
            &NLMSG_ERROR.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &1_u32.to_ne_bytes(),
            &[0; 4],
        ];
        [header.concat(), payload].concat()
    }

    fn verdict_of(bytes: &[u8]) -> Result<Verdict, Malformed> {
        verdict(messages(bytes).next().expect("one message")?)
    }

    #[test]
    fn reads_the_kernels_words_behind_a_whole_or_a_capped_request() {
        let text = attribute(1, b"mtu greater than device maximum\0");
        let words =
            Verdict { errno: Some(Errno::EINVAL), text: Some("mtu greater than device maximum".to_owned()) };
        let capped = error(NLM_F_ACK_TLVS | NLM_F_CAPPED, -libc::EINVAL, 1000, &text);
        assert_eq!(verdict_of(&capped), Ok(words.clone()));
        let whole = error(NLM_F_ACK_TLVS, -libc::EINVAL, 20, &[&[0; 4][..], &text].concat());
        assert_eq!(verdict_of(&whole), Ok(words));
        let beyond = error(NLM_F_ACK_TLVS, -libc::EINVAL, 1000, &text);
        assert_eq!(verdict_of(&beyond), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            for message in messages(&bytes).flatten() {
                let _ = (verdict(message), link(message.payload));
            }
            let _ = link(&bytes);
        }

        #[test]
        fn no_damage_to_a_link_panics(at in 0_usize..72, byte: u8) {
            let mut payload = link_payload(&bridge());
            let at = at % payload.len();
            payload[at] = byte;
            let _ = link(&payload);
        }

        #[test]
        fn no_damage_to_an_error_panics(at in 0_usize..60, byte: u8) {
            let mut bytes = error(NLM_F_ACK_TLVS, -libc::EINVAL, 20, &attribute(1, b"text\0"));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = messages(&bytes).flatten().map(verdict).count();
        }
    }
}
