//! Making a bridge.
//!
//! A bridge is made in several calls. The kernel creates bridges by the name `bridgeN` alone, so
//! one of that name is there at once and gets the rest a moment later. Any other is made as
//! `bridgeN` with a high N, which no host has settings for that devd(8) would apply at its
//! arrival, and gets its final name when it is complete but for being up.
//!
//! That N follows from the final name, and is a lock: the kernel gives a number to one bridge
//! only, but a name to two, if both are renamed at the same time (`SIOCSIFNAME` in `net/if.c`
//! looks whether the name is free and takes it later; seen). So the bridges that are to have one
//! name are made one after the other, whichever process makes them, if it does so by this crate.

use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use super::bridge::{FreeBsdBackend, mtu_error};
use super::{module, unit};
use crate::error::Attempt;
use crate::{BridgeSpec, Error, ErrorKind, InterfaceIndex, InterfaceName, LinkState, Result, UnicastMac};

/// How many numbers are tried for a bridge under way; one is taken with odds of the number of
/// bridges to 16384.
const STAGING_NUMBERS: u8 = 8;
/// How often it is looked whether another bridge that is to have the same name is made by now.
const STAGING_LOOKS: usize = 50;
/// The time between two looks: making a bridge takes a millisecond or so.
const STAGING_PAUSE: Duration = Duration::from_millis(20);

impl FreeBsdBackend {
    /// Makes a bridge that is all that its spec says, or none.
    pub(super) fn make(&self, at: Attempt, spec: &BridgeSpec) -> Result<()> {
        let made = self.make_bare(at, spec.name)?;
        let index = self.control.index(made).map_err(|errno| {
            if errno == Errno::ENXIO {
                // Someone else has renamed or destroyed it since: there is nothing to undo.
                return at.errno(errno);
            }
            let outcome = self.control.destroy(made).map_err(|errno| at.errno(errno));
            at.errno(errno).undone(outcome, format_args!("bridge {made}"))
        })?;
        self.complete(at, made, spec).map_err(|error| {
            let name = self.name_of(at, index).ok().flatten().unwrap_or(made);
            error.undone(self.unmake(at, index), format_args!("bridge {name}"))
        })
    }

    /// Makes a bridge without anything and gives its name: the final one where the kernel can
    /// create that.
    fn make_bare(&self, at: Attempt, name: InterfaceName) -> Result<InterfaceName> {
        if unit::is_name(name) {
            let made = self.create_with_driver(at, name);
            return made.map_err(|error| if is_taken(&error) { self.name_taken(at, name) } else { error });
        }
        for number in 0..STAGING_NUMBERS {
            let staging = unit::staging_name(name, number);
            for _ in 0..STAGING_LOOKS {
                match self.create_with_driver(at, staging) {
                    Err(error) if is_taken(&error) => {}
                    outcome => return outcome,
                }
                thread::sleep(STAGING_PAUSE);
                self.check_free(at, name)?;
                if self.control.index(staging) == Err(Errno::ENXIO) {
                    // It is not under way: the number is that of a bridge that has its name.
                    break;
                }
            }
        }
        Err(at.errno(Errno::EEXIST))
    }

    /// Creates a `bridgeN`; loads the driver if it is not there.
    fn create_with_driver(&self, at: Attempt, name: InterfaceName) -> Result<InterfaceName> {
        match self.control.create(name) {
            // So says the kernel of a name that no driver knows.
            Err(Errno::EINVAL) => {}
            outcome => return outcome.map_err(|errno| at.errno(errno)),
        }
        if !self.control.has_driver(unit::DRIVER).map_err(|errno| at.errno(errno))? {
            module::load(c"if_bridge").map_err(|errno| at.means(ErrorKind::NoDriver, errno))?;
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
                Errno::EEXIST => self.name_taken(at, spec.name),
                errno => at.errno(errno),
            })?;
        }
        if spec.link == LinkState::Up {
            self.control.set_link(spec.name, LinkState::Up).map_err(|errno| at.errno(errno))?;
        }
        Ok(())
    }

    /// Sets the MAC of a new bridge, which keeps it then: the kernel gives a port's MAC only to a
    /// bridge that still has its first one.
    fn fix_mac(&self, at: Attempt, bridge: InterfaceName, mac: UnicastMac) -> Result<()> {
        self.control.set_mac(bridge, mac.into()).map_err(|errno| at.errno(errno))?;
        match self.macs(at)?.get(&bridge) {
            Some(&Some(now)) if now == mac => Ok(()),
            Some(_) => Err(at.error(ErrorKind::MacNotKept)),
            None => Err(at.errno(Errno::ENXIO)),
        }
    }

    /// Deletes what a failed `create` has made, under whichever name it has by now.
    fn unmake(&self, at: Attempt, made: InterfaceIndex) -> Result<()> {
        match self.name_of(at, made)? {
            Some(name) => self.control.destroy(name).map_err(|errno| at.errno(errno)),
            None => Ok(()),
        }
    }

    /// The name of the bridge of this index; the kernel tells indices by name only.
    fn name_of(&self, at: Attempt, bridge: InterfaceIndex) -> Result<Option<InterfaceName>> {
        let mut names = self.macs(at)?.into_keys();
        Ok(names.find(|&name| self.control.index(name) == Ok(bridge) && self.is_bridge(name) == Ok(true)))
    }
}

fn is_taken(error: &Error) -> bool {
    error.raw_os_error() == Some(libc::EEXIST)
}
