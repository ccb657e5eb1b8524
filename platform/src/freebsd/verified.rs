//! Which interface a name means, compared directly before each call that changes one.
//!
//! The kernel's calls take names, and a name may be another interface's by now. So an operation knows its
//! interfaces by their identities, and a call that changes one takes a [`Verified`] name: one that had the
//! identity a moment ago.
//!
//! Two things are left:
//! - A rename between the comparison and the call is not seen. Of a bridge and its port, the port is compared
//!   first: there the bridge's comparison, two calls, is between as well.
//! - The kernel gives a new interface the lowest free index, and tells the time of its attachment in seconds.
//!   Within one second, an interface may go and another may come with its index, and so with its identity. As a
//!   bridge, only another bridge is taken for it.

use nix::errno::Errno;

use super::bridge::FreeBsdBackend;
use super::flags::Flags;
use super::ifreq::IfReq;
use super::interface::Interface;
use crate::error::Attempt;
use crate::{ErrorKind, Identity, InterfaceName, LinkState, Result, Target};

/// How often interfaces are read, or looked for, that others rename meanwhile.
const READINGS: usize = 16;

/// The name of an interface, compared with its identity directly before. A call that changes the interface
/// takes it away, so that there is a comparison for each call.
#[derive(Debug)]
pub(super) struct Verified(InterfaceName);

impl Verified {
    pub(super) const fn name(&self) -> InterfaceName {
        self.0
    }

    pub(super) const fn into_name(self) -> InterfaceName {
        self.0
    }

    pub(super) fn into_request(self) -> IfReq {
        IfReq::on(self.0)
    }
}

impl FreeBsdBackend {
    /// Returns the interface that is meant, with its current name; `None` if there is none.
    pub(super) fn find_interface(&self, at: Attempt, target: Target) -> Result<Option<Interface>> {
        let of_name = |name| match self.control.interface(name) {
            Ok(interface) => Ok(Some(interface).filter(|interface| target.is(interface.identity))),
            Err(Errno::ENXIO) => Ok(None),
            Err(errno) => Err(at.errno(errno)),
        };
        let found = of_name(target.name())?;
        if found.is_some() || target.identity().is_none() {
            return Ok(found);
        }
        // It may have been renamed. The kernel tells indices by name only.
        let mut all = self.macs(at)?;
        for _ in 0..READINGS {
            for name in all.keys() {
                if let Some(found) = of_name(*name)? {
                    return Ok(Some(found));
                }
            }
            let now = self.macs(at)?;
            if now == all {
                return Ok(None);
            }
            // Someone may have renamed it once more, between the list and the look at its name.
            all = now;
        }
        Err(at.error(ErrorKind::ListChanged))
    }

    /// Returns the interface that is meant, or `NotFound`.
    pub(super) fn interface(&self, at: Attempt, target: Target) -> Result<Interface> {
        self.find_interface(at, target)?.ok_or_else(|| at.errno(Errno::ENXIO))
    }

    /// Returns the bridge that is meant, or `NotFound` or `NotABridge`.
    pub(super) fn bridge(&self, at: Attempt, bridge: Target) -> Result<Identity> {
        let interface = self.interface(at, bridge)?;
        if interface.is_bridge() { Ok(interface.identity) } else { Err(at.error(ErrorKind::NotABridge)) }
    }

    /// Returns the interface that is meant as a port, whether it is one or not, or `PortNotFound`.
    pub(super) fn interface_of_port(&self, at: Attempt, port: Target) -> Result<Identity> {
        let interface = self.find_interface(at, port)?;
        interface
            .map(|interface| interface.identity)
            .ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENXIO))
    }

    /// Returns the bridge and the interface that is meant as its port.
    pub(super) fn bridge_and_port(&self, at: Attempt, bridge: Target, port: Target) -> Result<[Identity; 2]> {
        Ok([self.bridge(at, bridge)?, self.interface_of_port(at, port)?])
    }

    /// Reads something of interfaces by the names that they have, and again if one of them was renamed meanwhile.
    pub(super) fn read<const N: usize, T>(
        &self,
        at: Attempt,
        find: impl Fn() -> Result<[Identity; N]>,
        read: impl Fn([Identity; N]) -> Result<T>,
    ) -> Result<T> {
        for _ in 0..READINGS {
            let interfaces = find()?;
            let outcome = read(interfaces);
            let is_same = |interface: &Identity| self.control.identity(interface.name()) == Ok(*interface);
            if interfaces.iter().all(is_same) {
                return outcome;
            }
        }
        Err(at.error(ErrorKind::ListChanged))
    }

    /// Returns the name that an interface has now, for one call that changes it, or `NotFound`.
    pub(super) fn verified(&self, at: Attempt, interface: Identity) -> Result<Verified> {
        Ok(Verified(self.interface(at, interface.into())?.identity.name()))
    }

    /// The same for a bridge.
    pub(super) fn verified_bridge(&self, at: Attempt, bridge: Identity) -> Result<Verified> {
        let interface = self.interface(at, bridge.into())?;
        // It was one, so that this is another interface, of the same second.
        if interface.is_bridge() { Ok(Verified(interface.identity.name())) } else { Err(at.errno(Errno::ENXIO)) }
    }

    /// The same for an interface that is or becomes a port, or `PortNotFound`.
    pub(super) fn verified_port(&self, at: Attempt, port: Identity) -> Result<Verified> {
        Ok(Verified(self.interface_of_port(at, port.into())?.name()))
    }

    /// Sets an interface up or down, unless it is.
    pub(super) fn set_link(&self, at: Attempt, interface: Identity, link: LinkState) -> Result<()> {
        self.set_flags(at, interface, |flags| flags.with_link(link))
    }

    pub(super) fn set_flags(
        &self,
        at: Attempt,
        interface: Identity,
        change: impl Fn(Flags) -> Flags,
    ) -> Result<()> {
        let mut name = interface.name();
        for _ in 0..READINGS {
            // All flags are set at once. They are read first, so that nothing is between comparison and call.
            let flags = self.control.flags(name);
            let verified = self.verified(at, interface)?;
            if verified.name() == name {
                let flags = flags.map_err(|errno| at.errno(errno))?;
                if change(flags) == flags {
                    return Ok(());
                }
                return self.control.set_flags(verified, change(flags)).map_err(|errno| at.errno(errno));
            }
            name = verified.name();
        }
        Err(at.error(ErrorKind::ListChanged))
    }
}
