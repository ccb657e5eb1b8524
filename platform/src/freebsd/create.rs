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
use super::bridge::mtu_error;
use super::claim::Claim;
use super::driver::Driver;
use super::module;
use super::staging::is_taken;
use crate::error::{Attempt, CallResult};
use crate::{BridgeSpec, ErrorKind, Identity, InterfaceName, LinkState, Made, Outcome, Result, UnicastMac};

/// An interface that was just made, and may have to be renamed.
#[derive(Debug)]
pub(super) struct Bare {
    pub(super) identity: Identity,
    /// Held until it has its final name, or creating it has failed.
    _claim: Option<Claim>,
}

impl FreeBsdBackend {
    /// Makes a bridge.
    pub(super) fn make(&self, at: Attempt, spec: &BridgeSpec) -> Outcome {
        let bare = match self.make_bare(at, Driver::Bridge, Some(spec.name)) {
            Ok(bare) => bare,
            Err(outcome) => return outcome,
        };
        match self.complete(at, bare.identity, spec) {
            Ok(bridge) => Outcome::Done(Made::Bridge(bridge)),
            Err(error) => Outcome::unclear_after(error, bare.identity),
        }
    }

    /// Makes an interface without anything. Its name is the final one where the kernel can create
    /// that, or may choose it.
    pub(super) fn make_bare(
        &self,
        at: Attempt,
        driver: Driver,
        name: Option<InterfaceName>,
    ) -> std::result::Result<Bare, Outcome> {
        let made = match name {
            Some(name) => self.check_free(at, driver, name).and_then(|()| self.make_for(at, driver, name)),
            None => self.make_first_free(at, driver).map(|name| (name, None)),
        };
        let (name, claim) = made.map_err(Outcome::Refused)?;
        // Without its identity, rollback could not find it.
        let read = || self.control.interface(name);
        match read().or_else(|_| read()).or_else(|_| read()) {
            Ok(interface) => Ok(Bare { identity: interface.identity, _claim: claim }),
            // Someone else has renamed or destroyed it since: nothing is left of it by that name.
            Err(Errno::ENXIO) => Err(Outcome::Refused(at.errno(Errno::ENXIO))),
            // Nobody else can tell what it is by then.
            Err(errno) => {
                let left = Err(at.errno(errno));
                Err(Outcome::Refused(at.errno(errno).rolled_back(left, format_args!("{} {name}", driver.name()))))
            }
        }
    }

    fn make_for(
        &self,
        at: Attempt,
        driver: Driver,
        name: InterfaceName,
    ) -> Result<(InterfaceName, Option<Claim>)> {
        if driver.is_name(name) {
            let made = self.create_with_driver(at, driver, name);
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
                match self.create_with_driver(at, driver, name) {
                    Err(error) if is_taken(&error) => {}
                    outcome => return outcome,
                }
            }
        }
        Err(at.errno(Errno::ENOSPC))
    }

    /// Creates an interface of a driver; loads the driver if it is not there.
    pub(super) fn create_with_driver(
        &self,
        at: Attempt,
        driver: Driver,
        name: InterfaceName,
    ) -> Result<InterfaceName> {
        match self.control.create(name) {
            // So says the kernel of a name that no driver knows.
            Err(Errno::EINVAL) => {}
            outcome => return outcome.at(at),
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
            self.control.set_mtu(self.verified_bridge(at, made)?, mtu).map_err(|errno| mtu_error(at, errno))?;
        }
        for option in spec.options.iter() {
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
        interface: Identity,
        to: InterfaceName,
    ) -> Result<Identity> {
        if interface.name() != to {
            self.control.rename(self.verified(at, interface)?, to).map_err(|errno| match errno {
                Errno::EEXIST => self.name_taken(at, driver, to),
                errno => at.errno(errno),
            })?;
        }
        Ok(Identity::new(to, interface.index()).with_incarnation(interface.incarnation()))
    }

    /// Sets the MAC of what is new. A bridge keeps it then: the kernel gives a port's MAC only to one
    /// that still has its first one.
    pub(super) fn fix_mac(&self, at: Attempt, interface: Identity, mac: UnicastMac) -> Result<()> {
        self.control.set_mac(self.verified(at, interface)?, mac.into()).at(at)?;
        self.read(
            at,
            || Ok([self.interface(at, interface.into())?.identity]),
            |[interface]| match self.mac(at, interface.name())? {
                Some(now) if now == mac => Ok(()),
                _ => Err(at.error(ErrorKind::MacNotKept)),
            },
        )
    }
}
