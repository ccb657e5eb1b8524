//! The VLANs of ports in messages of rtnetlink: `RTM_…LINK` with `AF_BRIDGE` and
//! `IFLA_AF_SPEC`.
//!
//! The kernel's side is `br_afspec()` and `br_fill_ifinfo()` (`net/bridge/br_netlink.c`). The functions
//! are pure.

use super::attribute::{Malformed, attributes, u16_at, u32_at};
use super::request::Request;
use crate::linux::abi::netlink::{
    BRIDGE_FLAGS_SELF, BRIDGE_VLAN_INFO_PVID, BRIDGE_VLAN_INFO_RANGE_BEGIN, BRIDGE_VLAN_INFO_RANGE_END,
    BRIDGE_VLAN_INFO_UNTAGGED, IFLA_BRIDGE_FLAGS, IFLA_BRIDGE_VLAN_INFO, NLM_F_ACK, NLM_F_DUMP,
    RTEXT_FILTER_BRVLAN_COMPRESSED,
};
use crate::{InterfaceIndex, PortVlans, VlanId, VlanRange, VlanTagging, vlan::merged};

/// A port with its VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) port: InterfaceIndex,
    pub(super) bridge: Option<InterfaceIndex>,
    pub(super) vlans: Vec<PortVlans>,
}

impl Member {
    /// Reads the payload of an `RTM_NEWLINK` of `AF_BRIDGE`. Returns `None` if the VLANs are those of
    /// the interface itself, and not those that its bridge has for it.
    pub(super) fn decode(payload: &[u8]) -> Result<Option<Self>, Malformed> {
        let port = u32_at(payload, 4).and_then(InterfaceIndex::new).ok_or(Malformed)?;
        let (mut bridge, mut spec) = (None, &[][..]);
        for attribute in attributes(payload.get(size_of::<libc::ifinfomsg>()..).ok_or(Malformed)?) {
            let (kind, payload) = attribute?;
            match kind {
                libc::IFLA_MASTER => bridge = u32_at(payload, 0).and_then(InterfaceIndex::new),
                libc::IFLA_AF_SPEC => spec = payload,
                _ => {}
            }
        }
        let (mut vlans, mut first) = (Vec::new(), None);
        for attribute in attributes(spec) {
            let (kind, payload) = attribute?;
            match kind {
                IFLA_BRIDGE_FLAGS if u16_at(payload, 0).is_some_and(|flags| flags & BRIDGE_FLAGS_SELF != 0) => {
                    return Ok(None);
                }
                IFLA_BRIDGE_VLAN_INFO => {
                    let flags = u16_at(payload, 0).ok_or(Malformed)?;
                    let id = u16_at(payload, 2).and_then(|id| VlanId::new(id).ok()).ok_or(Malformed)?;
                    if flags & BRIDGE_VLAN_INFO_RANGE_BEGIN != 0 {
                        first = Some(id);
                        continue;
                    }
                    let first = match first.take() {
                        Some(first) if flags & BRIDGE_VLAN_INFO_RANGE_END != 0 => first,
                        _ => id,
                    };
                    vlans.push(PortVlans::new(VlanRange::new(first, id).map_err(|_| Malformed)?, tagging(flags)));
                }
                _ => {}
            }
        }
        Ok(Some(Self { port, bridge, vlans: merged(vlans) }))
    }
}

const fn tagging(flags: u16) -> VlanTagging {
    match (flags & BRIDGE_VLAN_INFO_PVID != 0, flags & BRIDGE_VLAN_INFO_UNTAGGED != 0) {
        (false, false) => VlanTagging::Tagged,
        (false, true) => VlanTagging::Untagged,
        (true, true) => VlanTagging::Pvid,
        (true, false) => VlanTagging::PvidTagged,
    }
}

pub(super) const fn flags(tagging: VlanTagging) -> u16 {
    match tagging {
        VlanTagging::Tagged => 0,
        VlanTagging::Untagged => BRIDGE_VLAN_INFO_UNTAGGED,
        VlanTagging::Pvid => BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED,
        VlanTagging::PvidTagged => BRIDGE_VLAN_INFO_PVID,
    }
}

/// Lists the ports of all bridges with their VLANs: the kernel has no filter here.
pub(super) fn dump() -> Request {
    Request::bridge_link(libc::RTM_GETLINK, NLM_F_DUMP, None)
        .attribute(libc::IFLA_EXT_MASK, &RTEXT_FILTER_BRVLAN_COMPRESSED.to_ne_bytes())
}

/// Adds (`RTM_SETLINK`) or removes (`RTM_DELLINK`) VLANs.
fn set(kind: u16, port: InterfaceIndex, vlans: VlanRange, flags: u16) -> Request {
    let info = |spec: Request, flags: u16, id: VlanId| {
        let payload = [flags.to_ne_bytes(), id.get().to_ne_bytes()].concat();
        spec.attribute(IFLA_BRIDGE_VLAN_INFO, &payload)
    };
    Request::bridge_link(kind, NLM_F_ACK, Some(port)).nested(libc::IFLA_AF_SPEC, |spec| {
        if vlans.first() == vlans.last() {
            return info(spec, flags, vlans.first());
        }
        let spec = info(spec, flags | BRIDGE_VLAN_INFO_RANGE_BEGIN, vlans.first());
        info(spec, flags | BRIDGE_VLAN_INFO_RANGE_END, vlans.last())
    })
}

pub(super) fn add(port: InterfaceIndex, vlans: PortVlans) -> Request {
    set(libc::RTM_SETLINK, port, vlans.vlans, flags(vlans.tagging))
}

pub(super) fn remove(port: InterfaceIndex, vlans: VlanRange) -> Request {
    set(libc::RTM_DELLINK, port, vlans, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(number: u32) -> InterfaceIndex {
        InterfaceIndex::new(number).expect("not 0")
    }

    fn payload(vlans: &[PortVlans], self_flags: Option<u16>) -> Vec<u8> {
        let request =
            Request::bridge_link(0, 0, Some(index(7))).attribute(libc::IFLA_MASTER, &3_u32.to_ne_bytes());
        let own = |spec: Request| match self_flags {
            Some(flags) => spec.attribute(IFLA_BRIDGE_FLAGS, &flags.to_ne_bytes()),
            None => spec,
        };
        request
            .nested(libc::IFLA_AF_SPEC, |spec| {
                vlans.iter().fold(own(spec), |spec, one| {
                    let begin = flags(one.tagging) | BRIDGE_VLAN_INFO_RANGE_BEGIN;
                    let end = flags(one.tagging) | BRIDGE_VLAN_INFO_RANGE_END;
                    [(begin, one.vlans.first()), (end, one.vlans.last())].iter().fold(spec, |spec, (flags, id)| {
                        spec.attribute(
                            IFLA_BRIDGE_VLAN_INFO,
                            &[flags.to_ne_bytes(), id.get().to_ne_bytes()].concat(),
                        )
                    })
                })
            })
            .into_bytes(0)
            .split_off(16)
    }

    fn vlans(text: &str, tagging: VlanTagging) -> PortVlans {
        PortVlans::new(text.parse().expect("VLANs"), tagging)
    }

    #[test]
    fn reads_ranges_in_order_and_merges_them() {
        use VlanTagging::{Pvid, Tagged, Untagged};
        let told = [vlans("30-40", Tagged), vlans("1", Pvid), vlans("41", Tagged), vlans("42-50", Untagged)];
        let read = Member::decode(&payload(&told, None)).expect("well formed").expect("a port");
        assert_eq!((read.port, read.bridge), (index(7), Some(index(3))));
        assert_eq!(read.vlans, [vlans("1", Pvid), vlans("30-41", Tagged), vlans("42-50", Untagged)]);
    }

    #[test]
    fn what_an_interface_tells_of_itself_is_none_of_the_bridge() {
        assert_eq!(Member::decode(&payload(&[], Some(BRIDGE_FLAGS_SELF))), Ok(None));
    }

    /// What `bridge vlan add dev <7> vid 10-20 untagged` sends, but that it says `master` by default.
    #[test]
    fn a_range_has_a_begin_and_an_end() {
        #[rustfmt::skip]
        let expected: &[&[u8]] = &[
            &52_u32.to_ne_bytes(), &19_u16.to_ne_bytes(), &5_u16.to_ne_bytes(), &1_u32.to_ne_bytes(), &[0; 4],
            &[7, 0, 0, 0], &7_u32.to_ne_bytes(), &[0; 8],
            &20_u16.to_ne_bytes(), &26_u16.to_ne_bytes(),
            &8_u16.to_ne_bytes(), &2_u16.to_ne_bytes(), &0xc_u16.to_ne_bytes(), &10_u16.to_ne_bytes(),
            &8_u16.to_ne_bytes(), &2_u16.to_ne_bytes(), &0x14_u16.to_ne_bytes(), &20_u16.to_ne_bytes(),
        ];
        assert_eq!(add(index(7), vlans("10-20", VlanTagging::Untagged)).into_bytes(1), expected.concat());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Member::decode(&bytes);
        }

        #[test]
        fn no_damage_to_a_port_panics(at in 0_usize..64, byte: u8) {
            let mut payload = payload(&[vlans("1-9", VlanTagging::Tagged)], None);
            let at = at % payload.len();
            payload[at] = byte;
            let _ = Member::decode(&payload);
        }
    }
}
