//! Making a bridge, and what making a [tap](super::tap) has in common with it.
//!
//! A bridge is made in several calls. The kernel creates bridges by the name `bridgeN` alone, so
//! one of that name is there at once and gets the rest a moment later. Any other is made as
//! `bridgeN` with a high N, which no host has settings for that devd(8) would apply at its
//! arrival, and gets its final name when it is complete but for being up. Taps are `tapN`.
//!
//! That N follows from the final name ([`staging`](super::staging)). So those that are to have one
//! name are made one after the other, whichever process makes them, if it does so by this crate.

use nix::errno::Errno;

use super::backend::FreeBsdBackend;
use super::driver::Driver;
use super::module;
use super::staging::{Staged, is_taken};
use crate::error::{Attempt, CallResult};
use crate::setting::Setting;
use crate::{
    BridgeOption, BridgeSpec, ErrorKind, HostIpv6, Identity, InterfaceName, LinkState, Made, Outcome, Result,
    UnicastMac,
};

impl FreeBsdBackend {
    /// Makes a bridge.
    pub(super) fn make_bridge(&self, at: Attempt, spec: &BridgeSpec) -> Result<Outcome> {
        self.make(at, Driver::Bridge, Some(spec.name), |made| self.complete(at, made, spec).map(Made::Bridge))
    }

    /// Makes an interface, and then completes it. Until then its name is the final one where the kernel can
    /// create that, or may choose it.
    pub(super) fn make(
        &self,
        at: Attempt,
        driver: Driver,
        name: Option<InterfaceName>,
        complete: impl FnOnce(Identity) -> Result<Made>,
    ) -> Result<Outcome> {
        // The claim is held until the interface is complete, or that has failed.
        let (name, _claim) = match name {
            Some(name) => self.check_free(at, driver, name).and_then(|()| self.make_for(at, driver, name))?,
            None => (self.make_first_free(at, driver)?, None),
        };
        // Without its identity, rollback could not find it.
        let read = || self.control.identity(name);
        let made = read().or_else(|_| read()).or_else(|_| read()).map_err(|errno| match errno {
            // Someone else has renamed or destroyed it since: nothing is left of it by that name.
            Errno::ENXIO => at.errno(errno),
            // Nobody else can tell what it is by then.
            errno => at.errno(errno).rolled_back(Err(at.errno(errno)), format_args!("{} {name}", driver.name())),
        })?;
        Ok(match complete(made) {
            Ok(complete) => Outcome::Done(complete),
            Err(error) => Outcome::unclear_after(error, made),
        })
    }

    fn make_for(&self, at: Attempt, driver: Driver, name: InterfaceName) -> Result<Staged> {
        if driver.is_name(name) {
            let made = self.create(at, driver, name);
            let taken = |error| if is_taken(&error) { self.name_taken(at, driver, name) } else { error };
            return made.map(|made| (made, None)).map_err(taken);
        }
        match (self.stage(at, driver, name)?, driver) {
            (Some(staged), _) => Ok(staged),
            (None, Driver::Bridge) => Err(at.errno(Errno::EEXIST)),
            // The numbers of taps are those of the whole host: others may have those of this name in
            // as many jails.
            (None, Driver::Tap) => Ok((self.make_first_free(at, driver)?, None)),
        }
    }

    /// Makes the first interface of a driver whose name and number are free. The kernel, asked for that,
    /// looks for a number only, and then gives the name of a renamed interface a second time (seen).
    fn make_first_free(&self, at: Attempt, driver: Driver) -> Result<InterfaceName> {
        for name in driver.names() {
            if self.control.index(name) == Err(Errno::ENXIO) {
                match self.create(at, driver, name) {
                    Err(error) if is_taken(&error) => {}
                    outcome => return outcome,
                }
            }
        }
        Err(at.errno(Errno::ENOSPC))
    }

    /// Creates an interface of a driver; loads the driver if it is not there.
    pub(super) fn create(&self, at: Attempt, driver: Driver, name: InterfaceName) -> Result<InterfaceName> {
        // The kernel says `EINVAL` of a name that no driver knows.
        if let Some(made) = self.control.create(name).unless(Errno::EINVAL).at(at)? {
            return Ok(made);
        }
        if !self.control.has_driver(driver.name()).at(at)? {
            module::load(driver.module()).map_err(|errno| at.means(ErrorKind::NoDriver, errno))?;
        }
        self.control.create(name).meaning(at, &[(Errno::EINVAL, ErrorKind::NoDriver)])
    }

    /// Gives a bridge that was just made all that its spec says; its name last but for the link.
    fn complete(&self, at: Attempt, made: Identity, spec: &BridgeSpec) -> Result<Identity> {
        if let Some(mac) = spec.mac {
            self.fix_mac(at, made, mac)?;
        }
        if let Some(mtu) = spec.mtu {
            self.set(at, Driver::Bridge, made, Setting::Mtu(mtu))?;
        }
        // A new bridge has no IPv6 until it is given an address: less than `manual` allows.
        let is_so =
            |option: &BridgeOption| matches!(option, BridgeOption::HostIpv6(HostIpv6::Kernel | HostIpv6::Manual));
        for option in spec.options.iter().filter(|option| !is_so(option)) {
            self.set_option(at, made, option)?;
        }
        let bridge = self.rename(at, Driver::Bridge, made, spec.name)?;
        if spec.link == LinkState::Up {
            self.set_link(at, bridge, LinkState::Up)?;
        }
        Ok(bridge)
    }

    /// Gives an interface its final name, if it has another.
    pub(super) fn rename(
        &self,
        at: Attempt,
        driver: Driver,
        made: Identity,
        to: InterfaceName,
    ) -> Result<Identity> {
        if made.name() != to {
            self.control.rename(self.verified(at, made)?, to).map_err(|errno| match errno {
                Errno::EEXIST => self.name_taken(at, driver, to),
                errno => at.errno(errno),
            })?;
        }
        Ok(Identity::new(to, made.index()).with_incarnation(made.incarnation()))
    }

    /// Sets the MAC of what is new. A bridge keeps it then: the kernel gives a port's MAC only to one
    /// that still has its first one.
    pub(super) fn fix_mac(&self, at: Attempt, interface: Identity, mac: UnicastMac) -> Result<()> {
        self.control.set_mac(self.verified(at, interface)?, mac.into()).at(at)?;
        let find = || Ok([self.interface(at, interface.into())?.identity]);
        self.read(at, find, |[interface]| match self.mac(at, interface.name())? {
            Some(now) if now == mac => Ok(()),
            _ => Err(at.error(ErrorKind::MacNotKept)),
        })
    }
}
