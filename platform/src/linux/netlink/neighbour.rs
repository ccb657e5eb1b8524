//! Entries of an FDB in messages of rtnetlink: `RTM_…NEIGH` with `AF_BRIDGE`.
//!
//! The kernel's side is `rtnl_fdb_dump()` and its neighbours (`net/core/rtnetlink.c`), and
//! `net/bridge/br_fdb.c`. The functions are pure.

use super::attribute::{Malformed, attributes, u8_at, u16_at, u32_at};
use super::request::Request;
use crate::linux::abi::netlink::{
    NDA_CACHEINFO, NDA_LLADDR, NDA_MASTER, NDA_VLAN, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NTF_MASTER, NTF_SELF,
    NTF_STICKY, NUD_NOARP, NUD_PERMANENT, ndmsg,
};
use crate::linux::convert::c_index;
use crate::{FdbOrigin, InterfaceIndex, MacAddr, VlanId};

/// An entry of a bridge's FDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) bridge: InterfaceIndex,
    /// The port, or the bridge itself.
    pub(super) port: InterfaceIndex,
    pub(super) vlan: Option<VlanId>,
    pub(super) mac: MacAddr,
    pub(super) origin: FdbOrigin,
    /// The ticks since the last frame from its address.
    pub(super) age: Option<u32>,
}

impl Neighbour {
    /// Returns all but the age, which time alone changes.
    pub(super) const fn key(&self) -> (InterfaceIndex, Option<VlanId>, MacAddr, FdbOrigin) {
        (self.port, self.vlan, self.mac, self.origin)
    }

    /// Reads the payload of an `RTM_NEWNEIGH`. Returns `None` for an entry outside of a bridge's FDB,
    /// such as an interface's own.
    pub(super) fn decode(payload: &[u8]) -> Result<Option<Self>, Malformed> {
        let port = u32_at(payload, 4).and_then(InterfaceIndex::new).ok_or(Malformed)?;
        let state = u16_at(payload, 8).ok_or(Malformed)?;
        let flags = u8_at(payload, 10).ok_or(Malformed)?;
        let (mut bridge, mut mac, mut vlan, mut age) = (None, None, None, None);
        for attribute in attributes(payload.get(size_of::<ndmsg>()..).ok_or(Malformed)?) {
            let (kind, payload) = attribute?;
            match kind {
                NDA_MASTER => bridge = u32_at(payload, 0).and_then(InterfaceIndex::new),
                NDA_LLADDR => mac = payload.try_into().ok().map(MacAddr::new),
                NDA_VLAN => vlan = u16_at(payload, 0).and_then(|vlan| VlanId::new(vlan).ok()),
                // `ndm_updated`
                NDA_CACHEINFO => age = u32_at(payload, 8),
                _ => {}
            }
        }
        let origin = match state {
            NUD_PERMANENT => FdbOrigin::Local,
            NUD_NOARP => FdbOrigin::Static,
            _ => FdbOrigin::Learned,
        };
        let age = age.filter(|_| origin == FdbOrigin::Learned);
        Ok(match (bridge, mac) {
            (Some(bridge), Some(mac)) if flags & NTF_SELF == 0 => {
                Some(Self { bridge, port, vlan, mac, origin, age })
            }
            _ => None,
        })
    }
}

/// Begins a request with a `struct ndmsg`.
fn request(kind: u16, message_flags: u16, port: Option<InterfaceIndex>, state: u16, flags: u8) -> Request {
    let mut header = [0; size_of::<ndmsg>()];
    header[0] = u8::try_from(libc::AF_BRIDGE).expect("a family is a byte");
    header[4..8].copy_from_slice(&port.map_or(0, c_index).to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    Request::new(kind, message_flags, &header)
}

/// Adds the address and the VLAN of an entry.
fn with_entry(request: Request, mac: MacAddr, vlan: Option<VlanId>) -> Request {
    let request = request.attribute(NDA_LLADDR, &mac.bytes());
    match vlan {
        Some(vlan) => request.attribute(NDA_VLAN, &vlan.get().to_ne_bytes()),
        None => request,
    }
}

/// Lists the entries of a bridge; before 4.20 those of every bridge.
pub(super) fn dump(bridge: InterfaceIndex) -> Request {
    request(libc::RTM_GETNEIGH, NLM_F_DUMP, None, 0, 0).attribute(NDA_MASTER, &bridge.get().to_ne_bytes())
}

/// Gets one entry (since 5.0).
pub(super) fn get(bridge: InterfaceIndex, mac: MacAddr, vlan: Option<VlanId>) -> Request {
    with_entry(request(libc::RTM_GETNEIGH, 0, None, 0, 0), mac, vlan)
        .attribute(NDA_MASTER, &bridge.get().to_ne_bytes())
}

/// Adds (`NLM_F_EXCL`) or replaces (`NLM_F_REPLACE`) a static entry.
pub(super) fn add(how: u16, port: InterfaceIndex, mac: MacAddr, vlan: Option<VlanId>) -> Request {
    let flags = NLM_F_ACK | NLM_F_CREATE | how;
    // An entry that is not sticky (since 4.20) moves to any learning port that receives a frame from
    // its address.
    let kind = NTF_MASTER | NTF_STICKY;
    with_entry(request(libc::RTM_NEWNEIGH, flags, Some(port), NUD_NOARP, kind), mac, vlan)
}

/// Removes an entry.
pub(super) fn remove(bridge: InterfaceIndex, port: InterfaceIndex, mac: MacAddr, vlan: Option<VlanId>) -> Request {
    // An entry behind the bridge itself is the bridge's own.
    let whose = if port == bridge { NTF_SELF } else { NTF_MASTER };
    with_entry(request(libc::RTM_DELNEIGH, NLM_F_ACK, Some(port), 0, whose), mac, vlan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::abi::netlink::NLM_F_EXCL;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

    fn index(number: u32) -> InterfaceIndex {
        InterfaceIndex::new(number).expect("not 0")
    }

    fn entry(state: u16, flags: u8) -> Vec<u8> {
        with_entry(request(0, 0, Some(index(7)), state, flags), MacAddr::new(MAC), VlanId::new(5).ok())
            .attribute(NDA_MASTER, &3_u32.to_ne_bytes())
            .attribute(NDA_CACHEINFO, &[0_u32, 1, 250, 0].map(u32::to_ne_bytes).concat())
            .into_bytes(0)
            .split_off(16)
    }

    #[test]
    fn reads_an_entry() {
        let learned = Neighbour {
            bridge: index(3),
            port: index(7),
            vlan: VlanId::new(5).ok(),
            mac: MacAddr::new(MAC),
            origin: FdbOrigin::Learned,
            age: Some(250),
        };
        assert_eq!(Neighbour::decode(&entry(2, 0)), Ok(Some(learned)));
        let fixed = Neighbour { origin: FdbOrigin::Static, age: None, ..learned };
        assert_eq!(Neighbour::decode(&entry(NUD_NOARP, 0)), Ok(Some(fixed)));
        let local = Neighbour { origin: FdbOrigin::Local, ..fixed };
        assert_eq!(Neighbour::decode(&entry(NUD_PERMANENT, 0)), Ok(Some(local)));
    }

    #[test]
    fn an_interfaces_own_entry_is_none_of_the_bridge() {
        assert_eq!(Neighbour::decode(&entry(NUD_PERMANENT, NTF_SELF)), Ok(None));
    }

    /// Expects the bytes of `bridge fdb add 52:54:00:01:02:03 dev <7> master static sticky vlan 5`.
    #[test]
    fn an_entry_is_added_as_others_do() {
        #[rustfmt::skip]
        let expected: &[&[u8]] = &[
            &48_u32.to_ne_bytes(), &28_u16.to_ne_bytes(), &0x605_u16.to_ne_bytes(), &1_u32.to_ne_bytes(), &[0; 4],
            &[7, 0, 0, 0], &7_u32.to_ne_bytes(), &0x40_u16.to_ne_bytes(), &[0x44, 0],
            &10_u16.to_ne_bytes(), &2_u16.to_ne_bytes(), &MAC, &[0; 2],
            &6_u16.to_ne_bytes(), &5_u16.to_ne_bytes(), &5_u16.to_ne_bytes(), &[0; 2],
        ];
        let bytes = add(NLM_F_EXCL, index(7), MacAddr::new(MAC), VlanId::new(5).ok()).into_bytes(1);
        assert_eq!(bytes, expected.concat());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Neighbour::decode(&bytes);
        }

        #[test]
        fn no_damage_to_an_entry_panics(at in 0_usize..64, byte: u8) {
            let mut payload = entry(2, 0);
            let at = at % payload.len();
            payload[at] = byte;
            let _ = Neighbour::decode(&payload);
        }
    }
}
