//! The VLANs of a port: `RTM_…LINK` with `AF_BRIDGE` and `IFLA_AF_SPEC`.
//!
//! The kernel's side is `br_afspec()` and `br_fill_ifinfo()` (`net/bridge/br_netlink.c`). What one
//! would not expect there: removing VLANs succeeds whether the port has them or not, and on a kernel
//! without 802.1Q, too; only adding is refused there.

mod add;

use std::collections::HashMap;

use super::decode::{Malformed, attributes, u16_at, u32_at};
use super::encode::{self, Request};
use super::{Failure, Link, NetlinkBackend, error};
use crate::error::Attempt;
use crate::linux::abi::netlink::{
    BRIDGE_FLAGS_SELF, BRIDGE_VLAN_INFO_PVID, BRIDGE_VLAN_INFO_RANGE_BEGIN, BRIDGE_VLAN_INFO_RANGE_END,
    BRIDGE_VLAN_INFO_UNTAGGED, IFLA_BRIDGE_FLAGS, IFLA_BRIDGE_VLAN_INFO, NLM_F_ACK, NLM_F_DUMP,
    RTEXT_FILTER_BRVLAN_COMPRESSED,
};
use crate::{
    Capability, ErrorKind, InterfaceIndex, InterfaceName, Operation, PortVlans, Result, VlanId, VlanRange,
    VlanTagging, vlan::merged,
};

/// What a message says of the VLANs of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    port: InterfaceIndex,
    bridge: Option<InterfaceIndex>,
    vlans: Vec<PortVlans>,
}

/// Reads the payload of an `RTM_NEWLINK` of `AF_BRIDGE`; `None` if it is the interface, and not the
/// bridge that it is a port of, that tells of its VLANs.
fn member(payload: &[u8]) -> std::result::Result<Option<Member>, Malformed> {
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
    Ok(Some(Member { port, bridge, vlans: merged(vlans) }))
}

const fn tagging(flags: u16) -> VlanTagging {
    match (flags & BRIDGE_VLAN_INFO_PVID != 0, flags & BRIDGE_VLAN_INFO_UNTAGGED != 0) {
        (false, false) => VlanTagging::Tagged,
        (false, true) => VlanTagging::Untagged,
        (true, true) => VlanTagging::Pvid,
        (true, false) => VlanTagging::PvidTagged,
    }
}

const fn flags(tagging: VlanTagging) -> u16 {
    match tagging {
        VlanTagging::Tagged => 0,
        VlanTagging::Untagged => BRIDGE_VLAN_INFO_UNTAGGED,
        VlanTagging::Pvid => BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED,
        VlanTagging::PvidTagged => BRIDGE_VLAN_INFO_PVID,
    }
}

/// The ports of all bridges with their VLANs: the kernel has no filter here.
fn dump() -> Request {
    encode::bridge_link(libc::RTM_GETLINK, NLM_F_DUMP, None)
        .attribute(libc::IFLA_EXT_MASK, &RTEXT_FILTER_BRVLAN_COMPRESSED.to_ne_bytes())
}

/// VLANs, to be added (`RTM_SETLINK`) or removed (`RTM_DELLINK`).
fn set(kind: u16, port: InterfaceIndex, vlans: VlanRange, flags: u16) -> Request {
    let info = |spec: Request, flags: u16, id: VlanId| {
        let payload = [flags.to_ne_bytes(), id.get().to_ne_bytes()].concat();
        spec.attribute(IFLA_BRIDGE_VLAN_INFO, &payload)
    };
    encode::bridge_link(kind, NLM_F_ACK, Some(port)).nested(libc::IFLA_AF_SPEC, |spec| {
        if vlans.first() == vlans.last() {
            return info(spec, flags, vlans.first());
        }
        let spec = info(spec, flags | BRIDGE_VLAN_INFO_RANGE_BEGIN, vlans.first());
        info(spec, flags | BRIDGE_VLAN_INFO_RANGE_END, vlans.last())
    })
}

fn add(port: InterfaceIndex, vlans: PortVlans) -> Request {
    set(libc::RTM_SETLINK, port, vlans.vlans, flags(vlans.tagging))
}

fn remove(port: InterfaceIndex, vlans: VlanRange) -> Request {
    set(libc::RTM_DELLINK, port, vlans, 0)
}

/// What two ranges have in common.
fn common(one: VlanRange, other: VlanRange) -> Option<VlanRange> {
    VlanRange::new(one.first().max(other.first()), one.last().min(other.last())).ok()
}

impl NetlinkBackend {
    /// The VLANs of a port, in order.
    pub(super) fn port_vlans(
        &self,
        bridge: InterfaceIndex,
        port: InterfaceIndex,
    ) -> std::result::Result<Vec<PortVlans>, Failure> {
        Ok(self.vlans_of_ports(bridge)?.remove(&port).unwrap_or_default())
    }

    /// Those of every port of a bridge.
    pub(super) fn vlans_of_ports(
        &self,
        bridge: InterfaceIndex,
    ) -> std::result::Result<HashMap<InterfaceIndex, Vec<PortVlans>>, Failure> {
        let wanted = |member: &Member| member.bridge == Some(bridge);
        let (members, outcome) = self.socket.read(dump, |payload| Ok(member(payload)?.filter(wanted)));
        match outcome {
            // The changes were elsewhere: what is told of one port is of one moment.
            Ok(()) | Err(Failure::ListChanged) => {}
            Err(failure) => return Err(failure),
        }
        Ok(members.into_iter().map(|member| (member.port, member.vlans)).collect())
    }

    /// A bridge and a port of it, if the kernel knows VLANs at all.
    fn vlan_port_of(&self, at: Attempt, bridge: InterfaceName, port: InterfaceName) -> Result<(Link, Link)> {
        let (bridge, port) = self.port_of(at, bridge, port)?;
        // It has no words for that: it reports no VLANs, and removes any.
        match bridge.options.default_pvid {
            Some(_) => Ok((bridge, port)),
            None => Err(at.with(Capability::PortVlans).error(ErrorKind::Unsupported)),
        }
    }

    pub(super) fn read_vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Result<Vec<PortVlans>> {
        let at = Self::at(Operation::Vlans).on(bridge).port(port);
        let (bridge, port) = self.vlan_port_of(at, bridge, port)?;
        self.port_vlans(bridge.index, port.index).map_err(|failure| error(at, failure))
    }

    pub(super) fn let_no_longer_through(
        &self,
        bridge: InterfaceName,
        port: InterfaceName,
        vlans: VlanRange,
    ) -> Result<()> {
        let at = Self::at(Operation::RemoveVlans).on(bridge).port(port);
        let (bridge, port) = self.vlan_port_of(at, bridge, port)?;
        let has_none = || {
            let now = self.port_vlans(bridge.index, port.index)?;
            Ok(now.iter().all(|now| common(now.vlans, vlans).is_none()))
        };
        if has_none().map_err(|failure| error(at, failure))? {
            return Err(at.error(ErrorKind::EntryNotFound));
        }
        let refusal = |errno| self.port_refusal(bridge.index, port.index, errno);
        self.execute(at, remove(port.index, vlans), has_none, |errno, _| refusal(errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(number: u32) -> InterfaceIndex {
        InterfaceIndex::new(number).expect("not 0")
    }

    fn payload(vlans: &[PortVlans], self_flags: Option<u16>) -> Vec<u8> {
        let request = encode::bridge_link(0, 0, Some(index(7))).attribute(libc::IFLA_MASTER, &3_u32.to_ne_bytes());
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
        let read = member(&payload(&told, None)).expect("well formed").expect("a port");
        assert_eq!((read.port, read.bridge), (index(7), Some(index(3))));
        assert_eq!(read.vlans, [vlans("1", Pvid), vlans("30-41", Tagged), vlans("42-50", Untagged)]);
    }

    #[test]
    fn what_an_interface_tells_of_itself_is_none_of_the_bridge() {
        assert_eq!(member(&payload(&[], Some(BRIDGE_FLAGS_SELF))), Ok(None));
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
            let _ = member(&bytes);
        }

        #[test]
        fn no_damage_to_a_port_panics(at in 0_usize..64, byte: u8) {
            let mut payload = payload(&[vlans("1-9", VlanTagging::Tagged)], None);
            let at = at % payload.len();
            payload[at] = byte;
            let _ = member(&payload);
        }
    }
}
