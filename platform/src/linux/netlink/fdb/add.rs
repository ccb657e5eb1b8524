//! Adding entries, one or many in one send.

use std::collections::HashMap;

use nix::errno::Errno;

use crate::error::Attempt;
use crate::linux::abi::netlink::{NLM_F_EXCL, NLM_F_REPLACE};
use crate::linux::netlink::attach::as_port;
use crate::linux::netlink::batch::Batch;
use crate::linux::netlink::link::Link;
use crate::linux::netlink::neighbour::{Neighbour, add, remove};
use crate::linux::netlink::request::Request;
use crate::linux::netlink::requests;
use crate::linux::netlink::{Cause, Failure, NetlinkBackend, again, error};
use crate::{
    Bulk, BulkResult, Capability, Error, ErrorKind, FdbOrigin, InterfaceIndex, InterfaceName, MacAddr, Operation,
    Result, StaticEntry,
};

/// A static entry that is to be added.
struct New<'a> {
    at: Attempt,
    bridge: &'a Link,
    port: InterfaceIndex,
    entry: &'a StaticEntry,
    /// Whether the kernel adds it in several VLANs.
    has_vlans: bool,
}

impl New<'_> {
    fn request(&self) -> Request {
        add(NLM_F_EXCL, self.port, self.entry.mac.into(), self.entry.vlan)
    }

    /// As it is in the FDB then.
    fn neighbour(&self) -> Neighbour {
        Neighbour {
            bridge: self.bridge.index,
            port: self.port,
            vlan: self.entry.vlan,
            mac: self.entry.mac.into(),
            origin: FdbOrigin::Static,
            age: None,
        }
    }
}

fn exists(at: Attempt) -> Error {
    at.means(ErrorKind::EntryExists, Errno::EEXIST)
}

impl NetlinkBackend {
    pub(in crate::linux::netlink) fn add_neighbour(
        &self,
        bridge: InterfaceName,
        entry: &StaticEntry,
    ) -> Result<()> {
        let at = Self::at(Operation::AddFdbEntry).on(bridge).port(entry.port);
        let (bridge, port) = self.port_of(at, bridge, entry.port)?;
        // Without a VLAN, the kernel goes through those of the port one by one, and leaves what it has
        // added when it comes upon an entry in one of them: that is looked for first.
        let mut has_vlans = false;
        if entry.vlan.is_none() && bridge.options.default_pvid.is_some() {
            let vlans = self.port_vlans(bridge.index, port.index).map_err(|failure| error(at, failure))?;
            has_vlans = !vlans.is_empty();
            let each = vlans.iter().flat_map(|vlans| vlans.vlans.iter()).map(Some);
            for vlan in each.chain(has_vlans.then_some(None)) {
                let there = self.neighbour(bridge.index, entry.mac.into(), vlan);
                if there.map_err(|failure| error(at, failure))?.is_some() {
                    return Err(exists(at));
                }
            }
        }
        let new = New { at, bridge: &bridge, port: port.index, entry, has_vlans };
        self.conclude_adding(&new, self.socket.execute(new.request()))
    }

    pub(in crate::linux::netlink) fn add_neighbours(
        &self,
        bridge: InterfaceName,
        entries: &[StaticEntry],
        bulk: Bulk,
    ) -> BulkResult {
        let at = |entry: &StaticEntry| Self::at(Operation::AddFdbEntry).on(bridge).port(entry.port);
        let Some(bridge) = self.bridge_of_each(bridge, entries, at)? else { return Ok(()) };
        let mut names: Vec<_> = entries.iter().map(|entry| entry.port).collect();
        names.sort_unstable();
        names.dedup();
        let ports = self.look_for(names.iter().copied(), |&port| requests::get_by_name(port));
        let ports: HashMap<_, _> = names.iter().zip(ports).collect();
        let checked = Batch::new(bulk, entries).each(|entry| {
            let found = ports.get(&entry.port).map_or(Ok(None), again);
            let port = as_port(at(entry), bridge.index, found)?.index;
            Ok(New { at: at(entry), bridge: &bridge, port, entry, has_vlans: false })
        });
        let checked = self.check_vlans(&bridge, checked.ready()?).ready()?;
        let (added, _) =
            self.act(checked, New::request, |new, outcome| self.conclude_adding(&new, outcome).map(|()| new));
        added.finish(|added| self.take_neighbours_back(added))
    }

    /// Refuses what the kernel would add in part: without a VLAN it goes through those of the port, as
    /// above, of which another entry for the address may have one, or an earlier one of these.
    fn check_vlans<'a>(&self, bridge: &Link, new: Batch<New<'a>>) -> Batch<New<'a>> {
        if bridge.options.default_pvid.is_none() || new.items().all(|new| new.entry.vlan.is_some()) {
            return new;
        }
        let read = || Ok((self.vlans_of_ports(bridge.index)?, self.neighbours(bridge.index)?));
        let (vlans, there) = match read() {
            Ok(read) => read,
            Err(failure) => return new.each(|new| Err(error(new.at, Failure::again(&failure)))),
        };
        let mut known: HashMap<_, Vec<_>> = HashMap::new();
        for entry in there {
            known.entry(entry.mac).or_default().push(entry.vlan);
        }
        new.each(|mut new| {
            let of_port = vlans.get(&new.port).map_or(&[][..], Vec::as_slice);
            new.has_vlans = new.entry.vlan.is_none() && !of_port.is_empty();
            let known = known.entry(new.entry.mac.into()).or_default();
            let is_of_port = |vlan| of_port.iter().any(|range| range.vlans.contains(vlan));
            if new.has_vlans && known.iter().any(|vlan| vlan.is_none_or(is_of_port)) {
                return Err(exists(new.at));
            }
            known.push(new.entry.vlan);
            Ok(new)
        })
    }

    /// What came of the message that adds an entry.
    fn conclude_adding(&self, new: &New<'_>, outcome: std::result::Result<(), Failure>) -> Result<()> {
        let &New { at, bridge, port, entry, has_vlans } = new;
        self.conclude_put(at, bridge, port, entry, outcome).map_err(|failed| {
            // Since there was none before, one that is there now is either ours, or learned meanwhile.
            if !has_vlans || failed.kind() == ErrorKind::PermissionDenied {
                return failed;
            }
            let outcome = match self.neighbour(bridge.index, entry.mac.into(), None) {
                Ok(Some(made)) if made.port == port && made.origin == FdbOrigin::Static => {
                    self.socket.execute(remove(&made))
                }
                Ok(_) => return failed,
                Err(failure) => Err(failure),
            };
            let outcome = outcome.map_err(|failure| error(at, failure));
            failed.undone(outcome, format_args!("a static entry for {}", entry.mac))
        })
    }

    /// Removes entries that were just added, and gives those that could not be.
    fn take_neighbours_back(&self, added: Vec<(usize, New<'_>)>) -> Vec<(usize, Error)> {
        let conclude = |new: New<'_>, outcome| self.conclude_removing(new.at, &new.neighbour(), outcome);
        let added = Batch::numbered(Bulk::AsMuchAsPossible, added);
        let (removed, _) = self.act(added, |new| remove(&new.neighbour()), conclude);
        let mut failures = removed.into_failures();
        failures.retain(|(_, error)| error.kind() != ErrorKind::EntryNotFound);
        failures
    }

    pub(in crate::linux::netlink) fn replace_neighbour(
        &self,
        bridge: InterfaceName,
        entry: &StaticEntry,
    ) -> Result<()> {
        let at = Self::at(Operation::ReplaceFdbEntry).on(bridge).port(entry.port);
        let (bridge, port) = self.port_of(at, bridge, entry.port)?;
        let replace = add(NLM_F_REPLACE, port.index, entry.mac.into(), entry.vlan);
        self.conclude_put(at, &bridge, port.index, entry, self.socket.execute(replace))
    }

    fn conclude_put(
        &self,
        at: Attempt,
        bridge: &Link,
        port: InterfaceIndex,
        entry: &StaticEntry,
        outcome: std::result::Result<(), Failure>,
    ) -> Result<()> {
        let mac = MacAddr::from(entry.mac);
        let is_done = || {
            let now = self.neighbour(bridge.index, mac, entry.vlan)?;
            Ok(now.is_some_and(|now| now.port == port && now.origin == FdbOrigin::Static))
        };
        let refusal = |errno| match self.port_refusal(bridge.index, port, errno) {
            _ if errno == Errno::EEXIST => ErrorKind::EntryExists.into(),
            ErrorKind::NotAPort => ErrorKind::NotAPort.into(),
            // The port does not let this VLAN through; without 802.1Q none lets any.
            _ if errno == Errno::EINVAL && entry.vlan.is_some() => Cause {
                kind: match bridge.options.default_pvid {
                    Some(_) => ErrorKind::InvalidOption,
                    None => ErrorKind::Unsupported,
                },
                option: Some(Capability::FdbVlan),
            },
            kind => kind.into(),
        };
        Self::conclude::<Cause>(at, outcome, is_done, |errno, _| refusal(errno))
    }
}
