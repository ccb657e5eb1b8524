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

use super::bridge::{FreeBsdBackend, mtu_error};
use super::claim::Claim;
use super::driver::Driver;
use super::module;
use super::staging::is_taken;
use crate::error::Attempt;
use crate::{BridgeSpec, Error, ErrorKind, InterfaceIndex, InterfaceName, LinkState, Result, UnicastMac};

/// An interface that was just made, and may have to be renamed.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: InterfaceName,
    pub(super) index: InterfaceIndex,
    /// Held until it has its final name.
    _claim: Option<Claim>,
}

impl FreeBsdBackend {
    /// Makes a bridge that is all that its spec says, or none.
    pub(super) fn make(&self, at: Attempt, spec: &BridgeSpec) -> Result<()> {
        let made = self.make_bare(at, Driver::Bridge, Some(spec.name))?;
        self.complete(at, made.name, spec).map_err(|error| self.unmade(at, Driver::Bridge, &made, error))
    }

    /// Makes an interface without anything. Its name is the final one where the kernel can create
    /// that, or may choose it.
    pub(super) fn make_bare(&self, at: Attempt, driver: Driver, name: Option<InterfaceName>) -> Result<Made> {
        let (name, claim) = match name {
            Some(name) => self.make_for(at, driver, name)?,
            None => (self.make_first_free(at, driver)?, None),
        };
        let index = self.control.index(name).map_err(|errno| {
            if errno == Errno::ENXIO {
                // Someone else has renamed or destroyed it since: there is nothing to undo.
                return at.errno(errno);
            }
            let outcome = self.control.destroy(name).map_err(|errno| at.errno(errno));
            at.errno(errno).undone(outcome, format_args!("{} {name}", driver.name()))
        })?;
        Ok(Made { name, index, _claim: claim })
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
            outcome => return outcome.map_err(|errno| at.errno(errno)),
        }
        if !self.control.has_driver(driver.name()).map_err(|errno| at.errno(errno))? {
            module::load(driver.module()).map_err(|errno| at.means(ErrorKind::NoDriver, errno))?;
        }
        self.control.create(name).map_err(|errno| match errno {
            Errno::EINVAL => at.means(ErrorKind::NoDriver, errno),
            errno => at.errno(errno),
        })
    }

    /// Gives a bridge that was just made all that its spec says; its name last but for the link.
    fn complete(&self, at: Attempt, made: InterfaceName, spec: &BridgeSpec) -> Result<()> {
        if let Some(mac) = spec.mac {
            self.fix_mac(at, made, mac)?;
        }
        if let Some(mtu) = spec.mtu {
            self.control.set_mtu(made, mtu).map_err(|errno| mtu_error(at, errno))?;
        }
        for option in spec.options.iter() {
            self.set_option(at, made, option)?;
        }
        if made != spec.name {
            self.control.rename(made, spec.name).map_err(|errno| match errno {
                Errno::EEXIST => self.name_taken(at, Driver::Bridge, spec.name),
                errno => at.errno(errno),
            })?;
        }
        if spec.link == LinkState::Up {
            self.control.set_link(spec.name, LinkState::Up).map_err(|errno| at.errno(errno))?;
        }
        Ok(())
    }

    /// Sets the MAC of what is new. A bridge keeps it then: the kernel gives a port's MAC only to one
    /// that still has its first one.
    pub(super) fn fix_mac(&self, at: Attempt, interface: InterfaceName, mac: UnicastMac) -> Result<()> {
        self.control.set_mac(interface, mac.into()).map_err(|errno| at.errno(errno))?;
        match self.macs(at)?.get(&interface) {
            Some(&Some(now)) if now == mac => Ok(()),
            Some(_) => Err(at.error(ErrorKind::MacNotKept)),
            None => Err(at.errno(Errno::ENXIO)),
        }
    }

    /// The error of a creation that failed, after what was made is destroyed, under whichever name
    /// it has by now.
    pub(super) fn unmade(&self, at: Attempt, driver: Driver, made: &Made, error: Error) -> Error {
        let (name, outcome) = match self.name_of(at, driver, made.index) {
            Ok(Some(name)) => (name, self.control.destroy(name).map_err(|errno| at.errno(errno))),
            Ok(None) => (made.name, Ok(())),
            Err(error) => (made.name, Err(error)),
        };
        error.undone(outcome, format_args!("{} {name}", driver.name()))
    }

    /// The name of the interface of this driver and index; the kernel tells indices by name only.
    fn name_of(&self, at: Attempt, driver: Driver, index: InterfaceIndex) -> Result<Option<InterfaceName>> {
        let mut names = self.macs(at)?.into_keys();
        Ok(names
            .find(|&name| self.control.index(name) == Ok(index) && self.control.kind(name) == Ok(driver.kind())))
    }
}
