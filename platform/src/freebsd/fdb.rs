//! The forwarding database (FDB) of a bridge.
//!
//! Read in `net/if_bridge.c` (`bridge_rtupdate`, `bridge_rtdaddr`, `bridge_ioctl_rts`). Before
//! FreeBSD 15 frames without a tag are those of VLAN 1 there, so 1 is how the kernel says that there
//! is none; from 15 on it is 0, and 1 is a VLAN like any other. Either takes 0 for none when an entry
//! is set, and for any VLAN when entries are deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::errno::Errno;

use super::abi::{self, ifbareq};
use super::backend::FreeBsdBackend;
use super::port::NOT_A_PORT;
use crate::error::{Attempt, CallResult};
use crate::{
    Error, ErrorKind, FdbEntry, FdbOrigin, Identity, InterfaceName, MacAddr, Outcome, Result, SeenEntries,
    SeenEntry, StaticEntry, Target, UnicastMac, VlanId,
};

/// How the kernel says that an entry has no VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Untagged {
    /// As 0.
    Null,
    /// As VLAN 1, before FreeBSD 15.
    One,
}

/// How often an entry is set: the kernel sets nothing, without a word, if it learns the address at
/// that moment.
const ATTEMPTS: u8 = 4;

impl FreeBsdBackend {
    /// The FDB of a bridge.
    pub(super) fn entries(&self, at: Attempt, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let timeout = self.control.parameter(bridge, abi::BRDGGTO).at(at)?;
        let untagged = self.untagged(at, bridge)?;
        let mut ports = BTreeMap::new();
        let mut entries = Vec::new();
        for (name, entry) in self.control.addresses(bridge).at(at)? {
            let port = ports.entry(name).or_insert_with(|| self.control.identity(name));
            match *port {
                Ok(port) => entries.push(decode(port, &entry, timeout.ifbrp_ifbrpu, untagged)),
                // With the port its entries are gone.
                Err(Errno::ENXIO) => {}
                Err(errno) => return Err(at.errno(errno)),
            }
        }
        entries.sort_unstable_by_key(|entry| (entry.port_identity.map(Identity::index), entry.vlan, entry.mac));
        Ok(entries)
    }

    /// What setting an entry is about: the entry of its address and VLAN.
    pub(super) fn seen_entry(&self, at: Attempt, bridge: Target, entry: &StaticEntry) -> Result<SeenEntries> {
        let find = || self.bridge_and_port(at, bridge, entry.port);
        self.read(at, find, |[bridge, port]| {
            let mut seen = SeenEntries::new(bridge);
            (seen.port, seen.has_vlans) = (Some(port), true);
            seen.is_port = self.member(at, bridge, port)?.is_some();
            seen.entries.extend(self.entry(at, bridge, entry)?);
            Ok(seen)
        })
    }

    /// What the removal of an entry is about: those of its address that the kernel removes with it.
    pub(super) fn seen_entries(
        &self,
        at: Attempt,
        bridge: Target,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<SeenEntries> {
        let find = || Ok([self.bridge(at, bridge)?]);
        self.read(at, find, |[bridge]| {
            let mut seen = SeenEntries::new(bridge);
            seen.has_vlans = true;
            let untagged = self.untagged(at, bridge.name())?;
            let number = number_of(vlan, untagged);
            for (port, there) in self.control.addresses(bridge.name()).at(at)? {
                if MacAddr::new(there.ifba_dst) != mac || number != 0 && there.ifba_vlan != number {
                    continue;
                }
                let of = if there.ifba_vlan == number { vlan } else { vlan_of(there.ifba_vlan, untagged) };
                seen.entries.extend(self.seen(at, port, of, &there)?);
            }
            Ok(seen)
        })
    }

    /// Makes an address static behind a port, wherever it was before.
    pub(super) fn move_entry(&self, at: Attempt, seen: &SeenEntries, entry: &StaticEntry) -> Result<Outcome> {
        let port = seen.port.ok_or_else(|| at.error(ErrorKind::PortNotFound))?;
        // Setting moves an entry that was learned, but no other.
        let in_the_way = seen.entries.iter().find(|there| there.origin == FdbOrigin::Static);
        match in_the_way {
            Some(there) if there.port == port => return Ok(Outcome::DONE),
            Some(_) => match self.delete(at, seen.bridge, entry.mac, entry.vlan) {
                Ok(Outcome::Done(_)) => {}
                // Someone else has removed it.
                Err(error) if error.kind() == ErrorKind::EntryNotFound => {}
                failed => return failed,
            },
            None => {}
        }
        let set = self.set_entry(at, seen, entry);
        set.or_else(|error| if in_the_way.is_some() { Ok(Outcome::unclear(error)) } else { Err(error) })
    }

    /// Sets a static entry.
    ///
    /// The kernel would make a learned entry static and leave a static one, both without a word. It sets none,
    /// without a word, where another static one is.
    pub(super) fn set_entry(&self, at: Attempt, seen: &SeenEntries, entry: &StaticEntry) -> Result<Outcome> {
        let bridge = seen.bridge;
        let port = seen.port.ok_or_else(|| at.error(ErrorKind::PortNotFound))?;
        let values = ifbareq {
            ifba_dst: MacAddr::from(entry.mac).bytes(),
            ifba_vlan: entry.vlan.map_or(0, VlanId::get),
            ifba_flags: abi::IFBAF_STATIC,
            ..ifbareq::default()
        };
        let find = || self.bridge_and_port(at, bridge.into(), port.into());
        for attempt in 0..ATTEMPTS {
            match self.set_address(at, bridge, port, values) {
                Ok(()) => {}
                Err(error) if attempt == 0 => return Err(error),
                Err(error) => return Ok(Outcome::unclear(error)),
            }
            match self.read(at, find, |[bridge, _]| self.entry(at, bridge, entry)) {
                Ok(Some(there)) if there.origin == FdbOrigin::Learned => {}
                Ok(Some(there)) if there.port == port => return Ok(Outcome::DONE),
                Ok(Some(_)) => return Ok(Outcome::unclear(at.error(ErrorKind::EntryExists))),
                Ok(None) => {}
                Err(error) => return Ok(Outcome::unclear(error)),
            }
        }
        Ok(Outcome::unclear(at.error(ErrorKind::ListChanged)))
    }

    fn set_address(&self, at: Attempt, bridge: Identity, port: Identity, values: ifbareq) -> Result<()> {
        self.control.set_address(self.verified_port(at, bridge, port)?, values).meaning(at, NOT_A_PORT)
    }

    /// Deletes the entry of an address: in the VLAN that the kernel says, since without one it deletes
    /// those of all. From FreeBSD 15 on it has no other word for an entry without one, and static ones
    /// that go with it are set again.
    pub(super) fn delete(
        &self,
        at: Attempt,
        bridge: Identity,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<Outcome> {
        let name = self.bridge(at, bridge.into())?.name();
        let number = number_of(vlan, self.untagged(at, name)?);
        let dst = MacAddr::from(mac).bytes();
        let goes_with_it =
            |other: &ifbareq| other.ifba_dst == dst && other.ifba_vlan != number && !is_learned(other);
        let mut others = Vec::new();
        if number == 0 {
            for (port, other) in self.control.addresses(name).at(at)? {
                if goes_with_it(&other) {
                    // With the port its entries are gone.
                    others.extend(self.identity_of(at, port)?.map(|port| (port, other)));
                }
            }
        }
        let values = ifbareq { ifba_dst: dst, ifba_vlan: number, ..ifbareq::default() };
        let deleted = self.control.delete_address(self.verified_bridge(at, bridge)?, values);
        deleted.meaning(at, &[(Errno::ENOENT, ErrorKind::EntryNotFound)])?;
        let set_again = |(port, other): (Identity, ifbareq)| {
            let values = ifbareq { ifba_expire: 0, ..other };
            let set = || self.set_address(at, bridge, port, values);
            // Rollback knows only the entry that the step is about.
            let tried = (1..ATTEMPTS).fold(set(), |tried, _| match tried {
                Err(error) if !is_gone(&error) => set(),
                tried => tried,
            });
            tried.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
        };
        // One that fails does not keep the others from being tried.
        let all_set = others.into_iter().map(set_again).fold(Ok(()), Result::and);
        Ok(all_set.map_or_else(Outcome::unclear, |()| Outcome::DONE))
    }

    fn untagged(&self, at: Attempt, bridge: InterfaceName) -> Result<Untagged> {
        let flags = self.control.bridge_flags(bridge).at(at)?;
        Ok(if flags.is_some() { Untagged::Null } else { Untagged::One })
    }

    /// The entry of an address; the kernel tells only all of them.
    fn entry(&self, at: Attempt, bridge: Identity, of: &StaticEntry) -> Result<Option<SeenEntry>> {
        let number = number_of(of.vlan, self.untagged(at, bridge.name())?);
        let wanted = |entry: &ifbareq| MacAddr::new(entry.ifba_dst) == of.mac && entry.ifba_vlan == number;
        match self.control.find_address(bridge.name(), wanted).at(at)? {
            Some((port, there)) => self.seen(at, port, of.vlan, &there),
            None => Ok(None),
        }
    }

    /// An entry as it was seen; `None` if its port has gone, and the entry with it.
    fn seen(
        &self,
        at: Attempt,
        port: InterfaceName,
        vlan: Option<VlanId>,
        entry: &ifbareq,
    ) -> Result<Option<SeenEntry>> {
        let port = self.identity_of(at, port)?;
        Ok(port.map(|port| SeenEntry::new(vlan, port, origin_of(entry))))
    }

    fn identity_of(&self, at: Attempt, name: InterfaceName) -> Result<Option<Identity>> {
        Ok(self.find_interface(at, name.into())?.map(|interface| interface.identity))
    }
}

/// Whether a port or a bridge has left, and its entries with it.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PortNotFound | ErrorKind::NotAPort)
}

fn decode(port: Identity, entry: &ifbareq, timeout: u32, untagged: Untagged) -> FdbEntry {
    let origin = origin_of(entry);
    // More than the timeout is left where that was longer when the last frame came.
    let age = || u64::from(timeout).checked_sub(entry.ifba_expire).map(Duration::from_secs);
    FdbEntry {
        mac: MacAddr::new(entry.ifba_dst),
        port: port.name(),
        port_identity: Some(port),
        vlan: vlan_of(entry.ifba_vlan, untagged),
        origin,
        age: if origin == FdbOrigin::Learned { age() } else { None },
    }
}

/// The VLAN of an entry; 0 is none on every kernel, and not all, where it is listed.
fn vlan_of(vlan: u16, untagged: Untagged) -> Option<VlanId> {
    VlanId::new(vlan).ok().filter(|&vlan| untagged == Untagged::Null || vlan != VlanId::MIN)
}

/// The VLAN of an entry as the kernel lists it.
fn number_of(vlan: Option<VlanId>, untagged: Untagged) -> u16 {
    let none = match untagged {
        Untagged::Null => 0,
        Untagged::One => 1,
    };
    vlan.map_or(none, VlanId::get)
}

const fn origin_of(entry: &ifbareq) -> FdbOrigin {
    if is_learned(entry) { FdbOrigin::Learned } else { FdbOrigin::Static }
}

/// Whether an entry ages. What a sticky port has learned does not: the kernel treats it as static.
const fn is_learned(entry: &ifbareq) -> bool {
    entry.ifba_flags & abi::IFBAF_TYPEMASK == abi::IFBAF_DYNAMIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_vlan_origin_and_age() {
        let port =
            Identity::new("vnet0".parse().expect("a name"), crate::InterfaceIndex::new(7).expect("not zero"));
        let read = |ifba_expire, ifba_flags, ifba_vlan| {
            let dst = [2, 0, 0, 0, 0, 1];
            decode(
                port,
                &ifbareq { ifba_ifsname: [0; 16], ifba_expire, ifba_flags, ifba_dst: dst, ifba_vlan },
                300,
                Untagged::One,
            )
        };
        let learned = read(290, 0, 1);
        assert_eq!(learned.origin, FdbOrigin::Learned);
        assert_eq!((learned.vlan, learned.age), (None, Some(Duration::from_secs(10))));
        assert_eq!(read(1200, 0, 1).age, None);
        assert_eq!(vlan_of(1, Untagged::Null), Some(VlanId::MIN));
        assert_eq!((vlan_of(0, Untagged::Null), vlan_of(0, Untagged::One)), (None, None));
        for flags in [1, 2] {
            let stays = read(0, flags, 7);
            assert_eq!((stays.origin, stays.age), (FdbOrigin::Static, None));
            assert_eq!(stays.vlan, VlanId::new(7).ok());
        }
    }
}
