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
use super::bridge::FreeBsdBackend;
use crate::error::Attempt;
use crate::{
    ErrorKind, FdbEntry, FdbOrigin, InterfaceName, MacAddr, Result, StaticEntry, Undo, UnicastMac, VlanId,
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
    /// The FDB of a bridge that was checked to be one.
    pub(super) fn entries(&self, at: Attempt, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let timeout = self.control.parameter(bridge, abi::BRDGGTO).map_err(|errno| at.errno(errno))?;
        let untagged = self.untagged(at, bridge)?;
        let mut indices = BTreeMap::new();
        let mut entries = Vec::new();
        for (port, entry) in self.control.addresses(bridge).map_err(|errno| at.errno(errno))? {
            let index = indices.entry(port).or_insert_with(|| self.control.index(port));
            match *index {
                Ok(index) => entries.push((index, decode(port, &entry, timeout.ifbrp_ifbrpu, untagged))),
                // With the port its entries are gone.
                Err(Errno::ENXIO) => {}
                Err(errno) => return Err(at.errno(errno)),
            }
        }
        entries.sort_unstable_by_key(|(index, entry)| (*index, entry.vlan, entry.mac));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Adds a static entry to the FDB of a bridge that was checked to be one.
    ///
    /// The kernel would make a learned entry static and leave a static one, both without a word.
    pub(super) fn add_entry(&self, at: Attempt, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        self.member(at, bridge, entry.port)?;
        if self.entry(at, bridge, entry.mac, entry.vlan)?.is_some() || !self.set_entry(at, bridge, entry)? {
            return Err(at.error(ErrorKind::EntryExists));
        }
        Ok(())
    }

    /// Makes an address static behind a port, wherever it was before.
    pub(super) fn move_entry(&self, at: Attempt, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        self.member(at, bridge, entry.port)?;
        // Setting moves one that was learned, but no other.
        let in_the_way = self.entry(at, bridge, entry.mac, entry.vlan)?.filter(|(_, there)| !is_learned(there));
        if in_the_way.is_some_and(|(port, _)| port == entry.port) {
            return Ok(());
        }
        if let Some((_, there)) = &in_the_way {
            self.delete(at, bridge, there)?;
        }
        let outcome = match self.set_entry(at, bridge, entry) {
            Ok(true) => return Ok(()),
            Ok(false) => at.error(ErrorKind::ListChanged),
            Err(error) => error,
        };
        // The kernel would not move back what could not be taken back.
        let in_the_way = in_the_way.filter(|_| !matches!(outcome.undo(), Undo::Failed { .. }));
        let Some((port, there)) = in_the_way else { return Err(outcome) };
        let back = self.control.set_address(bridge, port, (there.ifba_dst, there.ifba_vlan), there.ifba_flags);
        Err(outcome.undone(
            match back {
                // Nothing is left of a port that has left, or of a bridge that has vanished.
                Ok(()) | Err(Errno::ENOENT | Errno::ENXIO) => Ok(()),
                Err(errno) => Err(at.errno(errno)),
            },
            format_args!("bridge {bridge} without {}", entry.mac),
        ))
    }

    /// Removes the entry of an address from the FDB of a bridge that was checked to be one.
    pub(super) fn remove_entry(
        &self,
        at: Attempt,
        bridge: InterfaceName,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<()> {
        match self.entry(at, bridge, mac, vlan)? {
            Some((_, there)) => self.delete(at, bridge, &there),
            None => Err(at.error(ErrorKind::EntryNotFound)),
        }
    }

    /// Sets a static entry, and whether it is there afterwards: it is not where another static one
    /// was already.
    fn set_entry(&self, at: Attempt, bridge: InterfaceName, entry: &StaticEntry) -> Result<bool> {
        let address = (MacAddr::from(entry.mac).bytes(), entry.vlan.map_or(0, VlanId::get));
        for _ in 0..ATTEMPTS {
            let set = self.control.set_address(bridge, entry.port, address, abi::IFBAF_STATIC);
            set.map_err(|errno| match errno {
                Errno::ENOENT => at.means(ErrorKind::NotAPort, errno),
                errno => at.errno(errno),
            })?;
            let now = self.entry(at, bridge, entry.mac, entry.vlan).map_err(|error| {
                let outcome = self.take_back(at, bridge, entry);
                error.undone(outcome, format_args!("a static entry for {}", entry.mac))
            });
            match now? {
                Some((_, there)) if is_learned(&there) => {}
                Some((port, _)) => return Ok(port == entry.port),
                None => {}
            }
        }
        Err(at.error(ErrorKind::ListChanged))
    }

    /// Deletes a static entry that was set, if it is where it was set.
    fn take_back(&self, at: Attempt, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        match self.entry(at, bridge, entry.mac, entry.vlan)? {
            Some((port, there)) if port == entry.port && !is_learned(&there) => self.delete(at, bridge, &there),
            _ => Ok(()),
        }
    }

    /// Deletes one entry: in the VLAN that the kernel says, since without one it deletes those of
    /// all. From FreeBSD 15 on it has no other word for an entry without one, and static ones that
    /// go with it are set again.
    fn delete(&self, at: Attempt, bridge: InterfaceName, entry: &ifbareq) -> Result<()> {
        let (dst, vlan) = (entry.ifba_dst, entry.ifba_vlan);
        let goes_with_it =
            |other: &ifbareq| other.ifba_dst == dst && other.ifba_vlan != vlan && !is_learned(other);
        let others = if vlan == 0 { self.control.addresses(bridge) } else { Ok(Vec::new()) };
        let others = others.map_err(|errno| at.errno(errno))?.into_iter().filter(|(_, other)| goes_with_it(other));
        let others: Vec<_> = others.collect();
        self.control.delete_address(bridge, (dst, vlan)).map_err(|errno| match errno {
            Errno::ENOENT => at.means(ErrorKind::EntryNotFound, errno),
            errno => at.errno(errno),
        })?;
        let set = others.into_iter().map(|(port, other)| {
            match self.control.set_address(bridge, port, (dst, other.ifba_vlan), other.ifba_flags) {
                // With the port its entries are gone.
                Ok(()) | Err(Errno::ENOENT | Errno::ENXIO) => Ok(()),
                Err(errno) => Err(at.errno(errno)),
            }
        });
        // One that fails does not keep the others from being tried.
        set.fold(Ok(()), Result::and).map_err(|error| {
            let left = format!("bridge {bridge} without some entries of {}", MacAddr::new(dst));
            at.error(ErrorKind::ListChanged).undone(Err(error), left)
        })
    }

    fn untagged(&self, at: Attempt, bridge: InterfaceName) -> Result<Untagged> {
        let flags = self.control.bridge_flags(bridge).map_err(|errno| at.errno(errno))?;
        Ok(if flags.is_some() { Untagged::Null } else { Untagged::One })
    }

    /// The entry of an address; the kernel tells only all of them.
    fn entry(
        &self,
        at: Attempt,
        bridge: InterfaceName,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<Option<(InterfaceName, ifbareq)>> {
        let untagged = self.untagged(at, bridge)?;
        let vlan = vlan_of(vlan.map_or(0, VlanId::get), untagged);
        let is_there = |entry: &ifbareq| vlan_of(entry.ifba_vlan, untagged) == vlan;
        let wanted = |entry: &ifbareq| MacAddr::new(entry.ifba_dst) == mac && is_there(entry);
        self.control.find_address(bridge, wanted).map_err(|errno| at.errno(errno))
    }
}

fn decode(port: InterfaceName, entry: &ifbareq, timeout: u32, untagged: Untagged) -> FdbEntry {
    let learned = is_learned(entry);
    // More than the timeout is left where that was longer when the last frame came.
    let age = || u64::from(timeout).checked_sub(entry.ifba_expire).map(Duration::from_secs);
    FdbEntry {
        mac: MacAddr::new(entry.ifba_dst),
        port,
        vlan: vlan_of(entry.ifba_vlan, untagged),
        origin: if learned { FdbOrigin::Learned } else { FdbOrigin::Static },
        age: if learned { age() } else { None },
    }
}

/// The VLAN of an entry; 0 is none on every kernel, and not all, where it is listed.
fn vlan_of(vlan: u16, untagged: Untagged) -> Option<VlanId> {
    VlanId::new(vlan).ok().filter(|&vlan| untagged == Untagged::Null || vlan != VlanId::MIN)
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
        let port = "vnet0".parse().expect("a name");
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
