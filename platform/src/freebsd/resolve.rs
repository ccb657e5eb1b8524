//! Finding the interface that is meant, and comparing its name with its identity directly before a call.

use nix::errno::Errno;

use super::backend::FreeBsdBackend;
use super::flags::Flags;
use super::interface::Interface;
use super::verified::{Verified, VerifiedPort};
use crate::error::{Attempt, CallResult};
use crate::{ErrorKind, Identity, LinkState, Result, Target};

/// How often interfaces are read, or looked for, that others rename meanwhile.
pub(super) const READINGS: usize = 16;

impl FreeBsdBackend {
    /// Returns the interface that is meant, with its current name; `None` if there is none.
    pub(super) fn find_interface(&self, at: Attempt, target: Target) -> Result<Option<Interface>> {
        let of_name = |name| {
            let found = self.control.interface(name).unless(Errno::ENXIO).at(at)?;
            Ok(found.filter(|interface| target.is(interface.identity)))
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
        let found = self.find_interface(at, port)?.map(|interface| interface.identity);
        found.ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENXIO))
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
        let now = self.interface(at, interface.into())?;
        Verified::compare(interface, now.identity).ok_or_else(|| at.errno(Errno::ENXIO))
    }

    /// The same for a bridge. An interface of another kind is another one, of the same second.
    pub(super) fn verified_bridge(&self, at: Attempt, bridge: Identity) -> Result<Verified> {
        let now = Some(self.interface(at, bridge.into())?).filter(|now| now.is_bridge());
        let verified = now.and_then(|now| Verified::compare(bridge, now.identity));
        verified.ok_or_else(|| at.errno(Errno::ENXIO))
    }

    /// The same for a bridge and an interface that is or becomes its port, or `PortNotFound`.
    pub(super) fn verified_port(&self, at: Attempt, bridge: Identity, port: Identity) -> Result<VerifiedPort> {
        let now = self.interface_of_port(at, port.into())?;
        let verified = Verified::compare(port, now);
        let port = verified.ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENXIO))?;
        Ok(VerifiedPort { bridge: self.verified_bridge(at, bridge)?, port })
    }

    /// Sets an interface up or down, unless it is.
    pub(super) fn set_link(&self, at: Attempt, interface: Identity, link: LinkState) -> Result<()> {
        self.set_flags(at, interface, |flags| flags.with_link(link))
    }

    pub(super) fn set_flags(&self, at: Attempt, on: Identity, change: impl Fn(Flags) -> Flags) -> Result<()> {
        let mut name = on.name();
        for _ in 0..READINGS {
            // All flags are set at once. They are read first, so that nothing is between comparison and call.
            let flags = self.control.flags(name);
            let verified = self.verified(at, on)?;
            if verified.name() == name {
                let flags = flags.at(at)?;
                if change(flags) == flags {
                    return Ok(());
                }
                return self.control.set_flags(verified, change(flags)).at(at);
            }
            name = verified.name();
        }
        Err(at.error(ErrorKind::ListChanged))
    }
}
