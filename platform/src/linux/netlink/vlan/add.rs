//! Letting VLANs through, those of one port or of many in one send.

use std::collections::HashSet;

use nix::errno::Errno;

use super::common;
use crate::error::Attempt;
use crate::linux::abi::netlink::BRIDGE_VLAN_INFO_PVID;
use crate::linux::netlink::attach::as_port;
use crate::linux::netlink::batch::Batch;
use crate::linux::netlink::request::Request;
use crate::linux::netlink::requests;
use crate::linux::netlink::vlan_info::{add, flags, remove};
use crate::linux::netlink::{Cause, Failure, NetlinkBackend, error};
use crate::{
    Bulk, BulkResult, Capability, Error, ErrorKind, InterfaceIndex, InterfaceName, Operation, PortVlans, Result,
    VlanRange,
};

const fn has_pvid(vlans: PortVlans) -> bool {
    flags(vlans.tagging) & BRIDGE_VLAN_INFO_PVID != 0
}

/// Refuses a range as a PVID.
fn check(at: Attempt, vlans: PortVlans) -> Result<()> {
    if has_pvid(vlans) && vlans.vlans.first() != vlans.vlans.last() {
        return Err(at.with(Capability::PortVlans).error(ErrorKind::InvalidOption));
    }
    Ok(())
}

/// VLANs that are to be let through a port.
struct New {
    at: Attempt,
    bridge: InterfaceIndex,
    port: InterfaceIndex,
    vlans: PortVlans,
    /// Those that the port has already.
    before: Vec<PortVlans>,
}

impl New {
    fn request(&self) -> Request {
        add(self.port, self.vlans)
    }
}

impl NetlinkBackend {
    pub(in crate::linux::netlink) fn let_through(
        &self,
        bridge: InterfaceName,
        port: InterfaceName,
        vlans: PortVlans,
    ) -> Result<()> {
        let at = Self::at(Operation::AddVlans).on(bridge).port(port);
        check(at, vlans)?;
        // Without 802.1Q the kernel has its own words for that.
        let (bridge, port) = self.port_of(at, bridge, port)?;
        let before = self.port_vlans(bridge.index, port.index).map_err(|failure| error(at, failure))?;
        let new = New { at, bridge: bridge.index, port: port.index, vlans, before };
        self.conclude_adding_vlans(&new, self.socket.execute(new.request()))
    }

    /// VLANs of many ports; those of one and the same port one after the other, since what undoes each
    /// is what there was before it.
    pub(in crate::linux::netlink) fn let_many_through(
        &self,
        bridge: InterfaceName,
        vlans: &[(InterfaceName, PortVlans)],
        bulk: Bulk,
    ) -> BulkResult {
        let at = |&(port, _): &(InterfaceName, PortVlans)| Self::at(Operation::AddVlans).on(bridge).port(port);
        let Some(bridge) = self.bridge_of_each(bridge, vlans, at)? else { return Ok(()) };
        let mut found = self.look_for(vlans.iter().map(|&(port, _)| port), |&port| requests::get_by_name(port));
        let checked = Batch::new(bulk, vlans).each(|item| {
            let (at, vlans, found) = (at(item), item.1, found.next().unwrap_or(Ok(None)));
            check(at, vlans)?;
            let port = as_port(at, bridge.index, found)?.index;
            Ok(New { at, bridge: bridge.index, port, vlans, before: Vec::new() })
        });
        let mut rest = checked.ready()?;
        let mut added = rest.take(|_| false);
        while rest.items().len() > 0 && !added.is_over() {
            let mut seen = HashSet::new();
            let next = self.with_vlans_before(bridge.index, rest.take(|new| seen.insert(new.port)));
            let conclude = |new: New, outcome| self.conclude_adding_vlans(&new, outcome).map(|()| new);
            added = added.join(self.act(next, New::request, conclude).0);
        }
        added.join(rest.without_items()).finish(|added| self.take_vlans_back(&added))
    }

    fn with_vlans_before(&self, bridge: InterfaceIndex, new: Batch<New>) -> Batch<New> {
        match self.vlans_of_ports(bridge) {
            Ok(before) => new.each(|new| {
                let before = before.get(&new.port).cloned().unwrap_or_default();
                Ok(New { before, ..new })
            }),
            Err(failure) => new.each(|new| Err(error(new.at, failure.again()))),
        }
    }

    /// What came of the message that adds VLANs.
    fn conclude_adding_vlans(&self, new: &New, outcome: std::result::Result<(), Failure>) -> Result<()> {
        let &New { at, bridge, port, vlans, ref before } = new;
        let read = || self.port_vlans(bridge, port);
        let is_done = || Ok(is_within(vlans, &read()?));
        let refusal = |errno| match self.port_refusal(bridge, port, errno) {
            ErrorKind::NotAPort => ErrorKind::NotAPort.into(),
            kind => Cause::of_options(errno, [Capability::PortVlans]).unwrap_or(kind.into()),
        };
        Self::conclude::<Cause>(at, outcome, is_done, |errno, _| refusal(errno)).map_err(|failed| {
            // The kernel goes through a range one by one, and leaves what it has added before it fails.
            match read() {
                Ok(now) if now == *before => failed,
                Ok(_) => {
                    let outcome = self.restore(port, vlans.vlans, before);
                    let outcome = outcome.map_err(|failure| error(at, failure));
                    failed.undone(outcome, format_args!("some of the VLANs {}", vlans.vlans))
                }
                Err(Failure::Refused(Errno::ENODEV, _)) => failed,
                Err(failure) => failed.undone(Err(error(at, failure)), "some of the VLANs, perhaps,"),
            }
        })
    }

    /// Takes back VLANs that were just added, and gives those that could not be.
    fn take_vlans_back(&self, added: &[(usize, New)]) -> Vec<(usize, Error)> {
        let back = |new: &New| match self.restore(new.port, new.vlans.vlans, &new.before) {
            Ok(()) => None,
            Err(Failure::Refused(errno, _))
                if matches!(
                    self.port_refusal(new.bridge, new.port, errno),
                    ErrorKind::PortNotFound | ErrorKind::NotAPort
                ) =>
            {
                None
            }
            Err(failure) => Some(error(new.at, failure)),
        };
        added.iter().filter_map(|(number, new)| Some((*number, back(new)?))).collect()
    }

    /// Takes the VLANs of a range back to what they were.
    fn restore(
        &self,
        port: InterfaceIndex,
        range: VlanRange,
        before: &[PortVlans],
    ) -> std::result::Result<(), Failure> {
        let mut outcome = self.socket.execute(remove(port, range));
        for vlans in before {
            // Another PVID has taken the place of the former one.
            let range = if has_pvid(*vlans) { Some(vlans.vlans) } else { common(vlans.vlans, range) };
            if let Some(range) = range {
                outcome = outcome.and(self.socket.execute(add(port, PortVlans { vlans: range, ..*vlans })));
            }
        }
        outcome
    }
}

/// Whether all of these are among what a port has.
fn is_within(vlans: PortVlans, now: &[PortVlans]) -> bool {
    now.iter().any(|now| now.tagging == vlans.tagging && common(now.vlans, vlans.vlans) == Some(vlans.vlans))
}
