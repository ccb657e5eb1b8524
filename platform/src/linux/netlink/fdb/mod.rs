//! The FDB of a bridge: `RTM_…NEIGH` with `AF_BRIDGE`.
//!
//! The kernel's side is `rtnl_fdb_dump()` and its neighbours (`net/core/rtnetlink.c`), and
//! `net/bridge/br_fdb.c`. What one would not expect there: an entry that is added to a port without
//! a VLAN is added in each of the port's VLANs, too, and removed likewise, so that it is the same
//! whether the bridge tells VLANs apart or not.

mod add;

use std::collections::HashMap;

use nix::errno::Errno;

use super::neighbour::{self, Neighbour};
use super::options::time;
use super::requests::{self, Filter};
use super::socket::DUMP_TRIES;
use super::{Failure, NetlinkBackend, error};
use crate::error::Attempt;
use crate::{
    ErrorKind, FdbEntry, FdbOrigin, InterfaceIndex, InterfaceName, MacAddr, Operation, Result, UnicastMac, VlanId,
};

impl NetlinkBackend {
    pub(super) fn read_fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let at = Self::at(Operation::Fdb).on(bridge);
        let bridge = self.bridge(at, bridge)?;
        for _ in 0..DUMP_TRIES {
            let ports = self
                .socket
                .dump(|| requests::dump(Filter::PortsOf(bridge.index)), |link| link.master == Some(bridge.index))
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
            let (mut entries, outcome) = self.socket.read(
                || neighbour::dump(bridge),
                |payload| Ok(Neighbour::decode(payload)?.filter(|entry| entry.bridge == bridge)),
            );
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
        match self.socket.get(|| neighbour::get(bridge, mac, vlan), Neighbour::decode) {
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
        self.conclude_removing(at, &entry, self.socket.execute(neighbour::remove(&entry)))
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
        self.execute(at, requests::flush_fdb(bridge), is_done, |errno, _| ErrorKind::of(errno))
    }
}
