//! Ports: making interfaces ports of a bridge, many in one send, and releasing them.

use std::collections::HashSet;

use nix::errno::Errno;

use super::batch::Batch;
use super::link::Link;
use super::request::Request;
use super::{Failure, Found, NetlinkBackend, error, requests};
use crate::error::Attempt;
use crate::{Bulk, BulkResult, Error, ErrorKind, InterfaceIndex, InterfaceName, Operation, Result};

/// An interface that joins a bridge, and what for.
#[derive(Clone, Copy)]
struct Joining {
    at: Attempt,
    port: InterfaceIndex,
    bridge: InterfaceIndex,
}

impl Joining {
    /// What may join, of what was found by the name of a port.
    fn new(at: Attempt, bridge: InterfaceIndex, found: Found) -> Result<Self> {
        let port = as_interface(at, found)?;
        // The kernel would move a port of another bridge here without a word.
        match port.master {
            Some(master) if master == bridge => Err(at.error(ErrorKind::AlreadyPort)),
            // One in a VRF, say.
            Some(_) if port.is_bridge => Err(at.error(ErrorKind::PortIsBridge)),
            Some(_) => Err(at.error(ErrorKind::PortBusy)),
            None => Ok(Self { at, port: port.index, bridge }),
        }
    }

    fn request(&self) -> Request {
        requests::set_master(self.port, Some(self.bridge))
    }
}

impl NetlinkBackend {
    pub(super) fn attach(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::AddPort).on(bridge).port(port);
        let joining = Joining::new(at, self.bridge(at, bridge)?.index, self.look(port))?;
        self.conclude_joining(&joining, self.socket.execute(joining.request()))
    }

    pub(super) fn attach_many(&self, bridge: InterfaceName, ports: &[InterfaceName], bulk: Bulk) -> BulkResult {
        let at = |port: &InterfaceName| Self::at(Operation::AddPort).on(bridge).port(*port);
        let Some(bridge) = self.bridge_of_each(bridge, ports, at)? else { return Ok(()) };
        let mut found = self.look_for(ports.iter().copied(), |&port| requests::get_by_name(port));
        let mut seen = HashSet::new();
        let checked = Batch::new(bulk, ports).each(|port| {
            let joining = Joining::new(at(port), bridge.index, found.next().unwrap_or(Ok(None)))?;
            // The second time it is one already, of which the kernel would not say a word.
            if seen.insert(joining.port) { Ok(joining) } else { Err(at(port).error(ErrorKind::AlreadyPort)) }
        });
        let conclude = |joining: Joining, outcome| self.conclude_joining(&joining, outcome).map(|()| joining);
        let (joined, _) = self.act(checked.ready()?, Joining::request, conclude);
        joined.finish(|joined| self.release(joined))
    }

    fn conclude_joining(&self, joining: &Joining, outcome: std::result::Result<(), Failure>) -> Result<()> {
        let &Joining { at, port, bridge } = joining;
        let is_done = || Ok(self.indexed(port)?.master == Some(bridge));
        Self::conclude(at, outcome, is_done, |errno, _| match errno {
            Errno::ELOOP => ErrorKind::PortIsBridge,
            Errno::EBUSY => ErrorKind::PortBusy,
            Errno::EXFULL => ErrorKind::TooManyPorts,
            // Also what the kernel says of a bridge that is no longer there.
            Errno::EINVAL if self.is_gone(bridge) => ErrorKind::NotFound,
            Errno::EINVAL | Errno::EOPNOTSUPP => ErrorKind::PortUnsuitable,
            Errno::ENODEV => ErrorKind::PortNotFound,
            errno => ErrorKind::of(errno),
        })
    }

    pub(super) fn detach(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::RemovePort).on(bridge).port(port);
        let (_, port) = self.port_of(at, bridge, port)?;
        self.conclude_leaving(at, port.index, self.socket.execute(requests::set_master(port.index, None)))
    }

    /// The kernel releases a port from whichever bridge it is with by now.
    fn conclude_leaving(
        &self,
        at: Attempt,
        port: InterfaceIndex,
        outcome: std::result::Result<(), Failure>,
    ) -> Result<()> {
        let is_done = || Ok(self.indexed(port)?.master.is_none());
        Self::conclude(at, outcome, is_done, |errno, _| match errno {
            Errno::ENODEV => ErrorKind::PortNotFound,
            errno => ErrorKind::of(errno),
        })
    }

    /// Releases ports that have just joined, and gives those that could not be.
    fn release(&self, joined: Vec<(usize, Joining)>) -> Vec<(usize, Error)> {
        let found = self.look_for(joined.iter().map(|(_, one)| one.port), |&port| requests::get_by_index(port));
        let mut looked_at = joined.into_iter().zip(found).collect::<Vec<_>>();
        looked_at.retain(|((_, one), found)| match found {
            Ok(Some(port)) => port.master == Some(one.bridge),
            // It has vanished.
            Ok(None) => false,
            Err(_) => true,
        });
        let ports = looked_at.into_iter().map(|((number, one), found)| (number, (one, found)));
        let ports = Batch::numbered(Bulk::AsMuchAsPossible, ports)
            .each(|(one, found)| found.map(|_| one).map_err(|failure| error(one.at, failure)));
        let conclude = |one: Joining, outcome| self.conclude_leaving(one.at, one.port, outcome);
        let (released, _) = self.act(ports, |one| requests::set_master(one.port, None), conclude);
        let mut failures = released.into_failures();
        failures.retain(|(_, error)| error.kind() != ErrorKind::PortNotFound);
        failures
    }

    /// A bridge and a port of it.
    pub(super) fn port_of(&self, at: Attempt, bridge: InterfaceName, port: InterfaceName) -> Result<(Link, Link)> {
        let bridge = self.bridge(at, bridge)?;
        let port = as_port(at, bridge.index, self.look(port))?;
        Ok((bridge, port))
    }
}

/// What was found by the name of a port.
fn as_interface(at: Attempt, found: Found) -> Result<Link> {
    let port = found.map_err(|failure| error(at, failure))?;
    port.ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENODEV))
}

/// The same, if it is a port of this bridge.
pub(super) fn as_port(at: Attempt, bridge: InterfaceIndex, found: Found) -> Result<Link> {
    let port = as_interface(at, found)?;
    if port.master == Some(bridge) { Ok(port) } else { Err(at.error(ErrorKind::NotAPort)) }
}
