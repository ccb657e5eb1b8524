//! The FDB of a bridge: `RTM_…NEIGH` with `AF_BRIDGE`.
//!
//! The kernel's side is `rtnl_fdb_dump()` and its neighbours (`net/core/rtnetlink.c`), and
//! `net/bridge/br_fdb.c`. What one would not expect there: an entry that is added to a port without
//! a VLAN is added in each of the port's VLANs, too, and removed likewise, so that it is the same
//! whether the bridge tells VLANs apart or not.

use std::collections::HashMap;

use nix::errno::Errno;

use super::NetlinkBackend;
use super::look::{interface_of, port_of};
use super::neighbour::{self, Neighbour};
use super::options::time;
use super::outcome::{Cause, Found, as_bridge, conclude, conclude_partial};
use super::requests::{self, Filter};
use super::socket::DUMP_TRIES;
use super::socket::Failure;
use crate::error::Attempt;
use crate::{
    Capability, ErrorKind, FdbEntry, InterfaceIndex, MacAddr, Operation, Outcome, Result, Seen, StaticEntry, Step,
    Target, VlanId,
};

impl NetlinkBackend {
    pub(super) fn read_fdb(&self, bridge: Target) -> Result<Vec<FdbEntry>> {
        let at = Self::at(Operation::Fdb).on(bridge);
        let found = self.look_for(bridge);
        let bridge = as_bridge(at, &found)?;
        let failed = |failure| self.failure_on(at, bridge.index, failure);
        for _ in 0..DUMP_TRIES {
            let members = self
                .socket
                .dump(|| requests::dump(Filter::PortsOf(bridge.index)), |link| link.master == Some(bridge.index))
                .map_err(failed)?;
            let ports: HashMap<_, _> =
                members.iter().chain([bridge]).map(|link| (link.index, link.identity())).collect();
            let entries = self.neighbours(bridge.index).map_err(failed)?;
            let found = entries.iter().map(|entry| {
                let entry_of = FdbEntry::new(entry.mac, *ports.get(&entry.port)?, entry.vlan, entry.origin);
                Some(FdbEntry { age: entry.age.map(time), ..entry_of })
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
    pub(super) fn neighbours(&self, bridge: InterfaceIndex) -> std::result::Result<Vec<Neighbour>, Failure> {
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
    pub(super) fn neighbour(
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

    /// The outcome of an entry that was added behind a port. The kernel adds the entry to whatever bridge the
    /// port is then a port of.
    pub(super) fn conclude_port_of_entry(step: &Step, seen: &Seen, port: &Found) -> Outcome {
        let failed = |kind| Outcome::unclear(step.attempt(Self::NAME).error(kind));
        match port {
            Ok(Some(port)) if port.master == Some(interface_of(seen).index()) => Outcome::DONE,
            Ok(Some(_)) => failed(ErrorKind::NotAPort),
            Ok(None) => failed(ErrorKind::PortNotFound),
            // The kernel's answer to the step itself is all there is.
            Err(_) => Outcome::DONE,
        }
    }

    /// Takes the answer to the message that removes an entry. Without a VLAN, the kernel goes through the VLANs of
    /// the port one by one.
    pub(super) fn conclude_removal(
        &self,
        at: Attempt,
        seen: &Seen,
        vlan: Option<VlanId>,
        answer: std::result::Result<(), Failure>,
    ) -> Outcome {
        let Seen::Entries(seen) = seen else { return Outcome::DONE };
        let bridge = seen.bridge.index();
        let of_port = seen.entries.iter().find(|entry| entry.vlan == vlan && entry.port != seen.bridge);
        conclude_partial(at, answer, |errno, _| match errno {
            _ if self.is_gone(bridge) => ErrorKind::NotFound,
            Errno::ENOENT | Errno::ENODEV => ErrorKind::EntryNotFound,
            errno => match of_port.map(|entry| self.port_refusal(bridge, entry.port.index(), errno)) {
                // The entries of a port go when it leaves the bridge.
                Some(ErrorKind::NotAPort | ErrorKind::PortNotFound) => ErrorKind::EntryNotFound,
                kind => kind.unwrap_or(ErrorKind::of(errno)),
            },
        })
    }

    /// Takes the answer to the message that adds or replaces an entry.
    pub(super) fn conclude_entry(
        &self,
        at: Attempt,
        seen: &Seen,
        entry: &StaticEntry,
        answer: std::result::Result<(), Failure>,
    ) -> Outcome {
        let (bridge, port) = (interface_of(seen).index(), port_of(seen).index());
        let Seen::Entries(entries) = seen else { return Outcome::DONE };
        let refusal = |errno: Errno, _: Option<&str>| match self.port_refusal(bridge, port, errno) {
            _ if errno == Errno::EEXIST => ErrorKind::EntryExists.into(),
            ErrorKind::NotAPort => ErrorKind::NotAPort.into(),
            // The port does not let this VLAN through; without 802.1Q none lets any.
            _ if errno == Errno::EINVAL && entry.vlan.is_some() => Cause {
                kind: if entries.has_vlans { ErrorKind::InvalidOption } else { ErrorKind::Unsupported },
                option: Some(Capability::FdbVlan),
            },
            kind => kind.into(),
        };
        // Without a VLAN, the kernel goes through the VLANs of the port one by one.
        if entries.has_vlans && entry.vlan.is_none() {
            conclude_partial::<Cause>(at, answer, refusal)
        } else {
            conclude::<Cause>(at, answer, refusal)
        }
    }
}
