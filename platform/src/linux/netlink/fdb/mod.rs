//! The FDB of a bridge: `RTM_…NEIGH` with `AF_BRIDGE`.
//!
//! The kernel's side is `rtnl_fdb_dump()` and its neighbours (`net/core/rtnetlink.c`), and
//! `net/bridge/br_fdb.c`. What one would not expect there: an entry that is added to a port without
//! a VLAN is added in each of the port's VLANs, too, and removed likewise, so that it is the same
//! whether the bridge tells VLANs apart or not.

mod add;

use std::collections::HashMap;

use nix::errno::Errno;

use super::decode::{Malformed, attributes, u8_at, u16_at, u32_at};
use super::encode::{self, Filter, Request};
use super::options::time;
use super::socket::DUMP_TRIES;
use super::{Failure, NetlinkBackend, error};
use crate::error::Attempt;
use crate::linux::abi::netlink::{
    IFLA_BR_FDB_FLUSH, NDA_CACHEINFO, NDA_LLADDR, NDA_MASTER, NDA_VLAN, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP,
    NTF_MASTER, NTF_SELF, NTF_STICKY, NUD_NOARP, NUD_PERMANENT, ndmsg,
};
use crate::linux::c_index;
use crate::{
    ErrorKind, FdbEntry, FdbOrigin, InterfaceIndex, InterfaceName, MacAddr, Operation, Result, UnicastMac, VlanId,
};

/// An entry as a message has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Neighbour {
    bridge: InterfaceIndex,
    /// The port, or the bridge itself.
    port: InterfaceIndex,
    vlan: Option<VlanId>,
    mac: MacAddr,
    origin: FdbOrigin,
    /// The time since the last frame from it, in ticks.
    age: Option<u32>,
}

impl Neighbour {
    /// Without what time alone changes.
    const fn key(&self) -> (InterfaceIndex, Option<VlanId>, MacAddr, FdbOrigin) {
        (self.port, self.vlan, self.mac, self.origin)
    }
}

/// Reads the payload of an `RTM_NEWNEIGH`; `None` if it is about no entry of a bridge's FDB but,
/// say, about one of the interface's own.
fn neighbour(payload: &[u8]) -> std::result::Result<Option<Neighbour>, Malformed> {
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
            Some(Neighbour { bridge, port, vlan, mac, origin, age })
        }
        _ => None,
    })
}

/// A request with a `struct ndmsg`.
fn request(kind: u16, message_flags: u16, port: Option<InterfaceIndex>, state: u16, flags: u8) -> Request {
    let mut header = [0; size_of::<ndmsg>()];
    header[0] = u8::try_from(libc::AF_BRIDGE).expect("a family is a byte");
    header[4..8].copy_from_slice(&port.map_or(0, c_index).to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    Request::new(kind, message_flags, &header)
}

/// Which entry a request is about.
fn with_entry(request: Request, mac: MacAddr, vlan: Option<VlanId>) -> Request {
    let request = request.attribute(NDA_LLADDR, &mac.bytes());
    match vlan {
        Some(vlan) => request.attribute(NDA_VLAN, &vlan.get().to_ne_bytes()),
        None => request,
    }
}

/// The entries of a bridge; before 4.20 those of every bridge.
fn dump(bridge: InterfaceIndex) -> Request {
    request(libc::RTM_GETNEIGH, NLM_F_DUMP, None, 0, 0).attribute(NDA_MASTER, &bridge.get().to_ne_bytes())
}

/// One entry (since 5.0).
fn get(bridge: InterfaceIndex, mac: MacAddr, vlan: Option<VlanId>) -> Request {
    with_entry(request(libc::RTM_GETNEIGH, 0, None, 0, 0), mac, vlan)
        .attribute(NDA_MASTER, &bridge.get().to_ne_bytes())
}

/// A static entry, to be added (`NLM_F_EXCL`) or replaced (`NLM_F_REPLACE`).
fn add(how: u16, port: InterfaceIndex, mac: MacAddr, vlan: Option<VlanId>) -> Request {
    let flags = NLM_F_ACK | NLM_F_CREATE | how;
    // Without being sticky (since 4.20) it would move to any learning port that a frame with its
    // address comes in from.
    let kind = NTF_MASTER | NTF_STICKY;
    with_entry(request(libc::RTM_NEWNEIGH, flags, Some(port), NUD_NOARP, kind), mac, vlan)
}

/// The removal of an entry.
fn remove(entry: &Neighbour) -> Request {
    // What is behind the bridge itself is the bridge's own.
    let whose = if entry.port == entry.bridge { NTF_SELF } else { NTF_MASTER };
    with_entry(request(libc::RTM_DELNEIGH, NLM_F_ACK, Some(entry.port), 0, whose), entry.mac, entry.vlan)
}

/// The removal of all that was learned.
fn flush(bridge: InterfaceIndex) -> Request {
    encode::set_bridge(bridge, |data| data.attribute(IFLA_BR_FDB_FLUSH, &[]))
}

impl NetlinkBackend {
    pub(super) fn read_fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let at = Self::at(Operation::Fdb).on(bridge);
        let bridge = self.bridge(at, bridge)?;
        for _ in 0..DUMP_TRIES {
            let ports = self
                .socket
                .dump(|| encode::dump(Filter::PortsOf(bridge.index)), |link| link.master == Some(bridge.index))
                .map_err(|failure| error(at, failure))?;
            let names: HashMap<_, _> = ports.iter().chain([&bridge]).map(|link| (link.index, link.name)).collect();
            let entries = self.neighbours(bridge.index).map_err(|failure| error(at, failure))?;
            let found = entries.iter().map(|entry| {
                Some(FdbEntry {
                    mac: entry.mac,
                    port: *names.get(&entry.port)?,
                    vlan: entry.vlan,
                    origin: entry.origin,
                    age: entry.age.map(time),
                })
            });
            // A port may have joined since the names were read.
            if let Some(entries) = found.collect() {
                return Ok(entries);
            }
        }
        Err(at.error(ErrorKind::ListChanged))
    }

    /// The entries of a bridge, in order.
    ///
    /// The kernel goes on with a dump after so many entries as it has sent already, and does not say
    /// that others have come or gone meanwhile. So what does not fit in one go is read until two
    /// readings agree.
    fn neighbours(&self, bridge: InterfaceIndex) -> std::result::Result<Vec<Neighbour>, Failure> {
        /// The least size of an entry's message; the kernel sends 16 KiB in one go, if not more.
        const AT_ONCE: usize = 16 * 1024 / 128;
        let mut last: Option<Vec<Neighbour>> = None;
        for _ in 0..DUMP_TRIES {
            let (mut entries, outcome) = self
                .socket
                .read(|| dump(bridge), |payload| Ok(neighbour(payload)?.filter(|entry| entry.bridge == bridge)));
            match outcome {
                Ok(()) | Err(Failure::ListChanged) => {}
                Err(failure) => return Err(failure),
            }
            entries.sort_unstable_by_key(Neighbour::key);
            entries.dedup_by_key(|entry| (entry.port, entry.vlan, entry.mac));
            let is_same = |last: &Vec<_>| last.iter().map(Neighbour::key).eq(entries.iter().map(Neighbour::key));
            if (outcome.is_ok() && entries.len() <= AT_ONCE) || last.as_ref().is_some_and(is_same) {
                entries.sort_unstable_by_key(|entry| (entry.port, entry.vlan, entry.mac));
                return Ok(entries);
            }
            last = Some(entries);
        }
        Err(Failure::ListChanged)
    }

    /// The entry of this address in this VLAN, if there is one.
    fn neighbour(
        &self,
        bridge: InterfaceIndex,
        mac: MacAddr,
        vlan: Option<VlanId>,
    ) -> std::result::Result<Option<Neighbour>, Failure> {
        match self.socket.get(|| get(bridge, mac, vlan), neighbour) {
            Ok(entry) => Ok(entry),
            Err(Failure::Refused(Errno::ENOENT, _)) => Ok(None),
            // Before 5.0.
            Err(Failure::Refused(Errno::EOPNOTSUPP, _)) => {
                let entries = self.neighbours(bridge)?;
                Ok(entries.into_iter().find(|entry| entry.mac == mac && entry.vlan == vlan))
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn remove_neighbour(
        &self,
        bridge: InterfaceName,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<()> {
        let at = Self::at(Operation::RemoveFdbEntry).on(bridge);
        let bridge = self.bridge(at, bridge)?.index;
        let entry = self.neighbour(bridge, mac.into(), vlan).map_err(|failure| error(at, failure))?;
        let entry = entry.ok_or_else(|| at.means(ErrorKind::EntryNotFound, Errno::ENOENT))?;
        self.conclude_removing(at, &entry, self.socket.execute(remove(&entry)))
    }

    fn conclude_removing(
        &self,
        at: Attempt,
        entry: &Neighbour,
        outcome: std::result::Result<(), Failure>,
    ) -> Result<()> {
        let is_done = || Ok(self.neighbour(entry.bridge, entry.mac, entry.vlan)?.is_none());
        Self::conclude(at, outcome, is_done, |errno, _| match errno {
            // The port is gone, and its entries with it.
            Errno::ENOENT | Errno::ENODEV => ErrorKind::EntryNotFound,
            errno => ErrorKind::of(errno),
        })
    }

    pub(super) fn forget(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::FlushFdb).on(bridge);
        let bridge = self.bridge(at, bridge)?.index;
        let is_done = || Ok(self.neighbours(bridge)?.iter().all(|entry| entry.origin != FdbOrigin::Learned));
        self.execute(at, flush(bridge), is_done, |errno, _| ErrorKind::of(errno))
    }
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
        assert_eq!(neighbour(&entry(2, 0)), Ok(Some(learned)));
        let fixed = Neighbour { origin: FdbOrigin::Static, age: None, ..learned };
        assert_eq!(neighbour(&entry(NUD_NOARP, 0)), Ok(Some(fixed)));
        let local = Neighbour { origin: FdbOrigin::Local, ..fixed };
        assert_eq!(neighbour(&entry(NUD_PERMANENT, 0)), Ok(Some(local)));
    }

    #[test]
    fn an_interfaces_own_entry_is_none_of_the_bridge() {
        assert_eq!(neighbour(&entry(NUD_PERMANENT, NTF_SELF)), Ok(None));
    }

    /// What `bridge fdb add 52:54:00:01:02:03 dev <7> master static sticky vlan 5` sends.
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
            let _ = neighbour(&bytes);
        }

        #[test]
        fn no_damage_to_an_entry_panics(at in 0_usize..64, byte: u8) {
            let mut payload = entry(2, 0);
            let at = at % payload.len();
            payload[at] = byte;
            let _ = neighbour(&payload);
        }
    }
}
