//! The forwarding database (FDB) of a bridge.
//!
//! Read in `net/if_bridge.c` (`bridge_rtupdate`, `bridge_rtdaddr`, `bridge_ioctl_rts`). Frames
//! without a tag are those of VLAN 1 there, so 1 is how the kernel says that there is none.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::errno::Errno;

use super::abi::{self, ifbareq};
use super::bridge::FreeBsdBackend;
use crate::error::Attempt;
use crate::{ErrorKind, FdbEntry, FdbOrigin, InterfaceName, MacAddr, Result, StaticEntry, UnicastMac, VlanId};

/// The VLAN of frames without a tag.
const UNTAGGED: u16 = 1;

/// How often an entry is set: the kernel sets nothing, without a word, if it learns the address at
/// that moment.
const ATTEMPTS: u8 = 4;

impl FreeBsdBackend {
    /// The FDB of a bridge that was checked to be one.
    pub(super) fn entries(&self, at: Attempt, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let timeout = self.control.parameter(bridge, abi::BRDGGTO).map_err(|errno| at.errno(errno))?;
        let mut indices = BTreeMap::new();
        let mut entries = Vec::new();
        for (port, entry) in self.control.addresses(bridge).map_err(|errno| at.errno(errno))? {
            let index = indices.entry(port).or_insert_with(|| self.control.index(port));
            match *index {
                Ok(index) => entries.push((index, decode(port, &entry, timeout.ifbrp_ifbrpu))),
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
        let in_the_way = self
            .entry(at, bridge, entry.mac, entry.vlan)?
            .filter(|(port, there)| *port != entry.port && !is_learned(there));
        if let Some((_, there)) = &in_the_way {
            self.delete(at, bridge, there)?;
        }
        let outcome = match self.set_entry(at, bridge, entry) {
            Ok(true) => return Ok(()),
            Ok(false) => at.error(ErrorKind::ListChanged),
            Err(error) => error,
        };
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
            match self.entry(at, bridge, entry.mac, entry.vlan)? {
                Some((_, there)) if is_learned(&there) => {}
                Some((port, _)) => return Ok(port == entry.port),
                None => {}
            }
        }
        Err(at.error(ErrorKind::ListChanged))
    }

    fn delete(&self, at: Attempt, bridge: InterfaceName, entry: &ifbareq) -> Result<()> {
        // In the VLAN that the kernel says: without one it deletes the entries of all.
        self.control.delete_address(bridge, (entry.ifba_dst, entry.ifba_vlan)).map_err(|errno| match errno {
            Errno::ENOENT => at.means(ErrorKind::EntryNotFound, errno),
            errno => at.errno(errno),
        })
    }

    /// The entry of an address; the kernel tells only all of them.
    fn entry(
        &self,
        at: Attempt,
        bridge: InterfaceName,
        mac: UnicastMac,
        vlan: Option<VlanId>,
    ) -> Result<Option<(InterfaceName, ifbareq)>> {
        let vlan = vlan.filter(|vlan| vlan.get() != UNTAGGED);
        let wanted = |entry: &ifbareq| MacAddr::new(entry.ifba_dst) == mac && vlan_of(entry) == vlan;
        self.control.find_address(bridge, wanted).map_err(|errno| at.errno(errno))
    }
}

fn decode(port: InterfaceName, entry: &ifbareq, timeout: u32) -> FdbEntry {
    let learned = is_learned(entry);
    // More than the timeout is left where that was longer when the last frame came.
    let age = || u64::from(timeout).checked_sub(entry.ifba_expire).map(Duration::from_secs);
    FdbEntry {
        mac: MacAddr::new(entry.ifba_dst),
        port,
        vlan: vlan_of(entry),
        origin: if learned { FdbOrigin::Learned } else { FdbOrigin::Static },
        age: if learned { age() } else { None },
    }
}

/// The VLAN of an entry; 0 is none as well, and not all, where the kernel lists it.
fn vlan_of(entry: &ifbareq) -> Option<VlanId> {
    VlanId::new(entry.ifba_vlan).ok().filter(|vlan| vlan.get() != UNTAGGED)
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
            )
        };
        let learned = read(290, 0, 1);
        assert_eq!(learned.origin, FdbOrigin::Learned);
        assert_eq!((learned.vlan, learned.age), (None, Some(Duration::from_secs(10))));
        assert_eq!(read(1200, 0, 1).age, None);
        for flags in [1, 2] {
            let stays = read(0, flags, 7);
            assert_eq!((stays.origin, stays.age), (FdbOrigin::Static, None));
            assert_eq!(stays.vlan, VlanId::new(7).ok());
        }
    }
}
