//! The numbers that interfaces have while they are made: [`Driver::staging_name`].
//!
//! They follow from the final name. So a process that makes an interface finds what another process
//! left that died over the same one, and takes it away. It must not take away what another process is
//! just making: who makes one holds the lock of [`claim`](super::claim).
//!
//! Who cannot get the lock has other numbers, which also follow from the final name, and takes
//! nothing away. There the number is the lock: the kernel gives it to one interface only, and a name
//! to two, if both are renamed at the same time (`SIOCSIFNAME` in `net/if.c` looks whether the name
//! is free and takes it later; seen).

use std::ops::Range;
use std::thread;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::backend::FreeBsdBackend;
use super::claim::{Claim, PAUSE};
use super::driver::Driver;
use crate::error::{Attempt, CallResult};
use crate::waiting::Deadline;
use crate::{Error, Identity, InterfaceName, LinkState, Result};

/// The numbers that are tried by who has the lock; each is taken with odds of the number of bridges
/// to 16384.
const LOCKED: Range<u8> = 0..4;
/// Those of who has not.
const UNLOCKED: Range<u8> = 4..8;

/// How often the uptime is read until its second has passed.
const LOOKS: usize = 50;

/// The name of an interface that was just made, and what is to be held until it has its final one.
pub(super) type Staged = (InterfaceName, Option<Claim>);

impl FreeBsdBackend {
    /// Makes an interface that is to be renamed to `name`, and gives the name that it has until then,
    /// with what is to be held so long. `None` where all its numbers are taken.
    pub(super) fn stage(&self, at: Attempt, driver: Driver, name: InterfaceName) -> Result<Option<Staged>> {
        let Some(claim) = Claim::take(self.limits.staging) else {
            return Ok(self.stage_unlocked(at, driver, name)?.map(|made| (made, None)));
        };
        // Who had the lock may have made this one.
        self.check_free(at, driver, name)?;
        for staging in LOCKED.map(|number| driver.staging_name(name, number)) {
            let mut made = self.create(at, driver, staging);
            if made.as_ref().is_err_and(is_taken) && self.clear_away(at, driver, staging) {
                made = self.create(at, driver, staging);
            }
            match made {
                Err(error) if is_taken(&error) => {}
                made => return Ok(Some((made?, Some(claim)))),
            }
        }
        Ok(None)
    }

    fn stage_unlocked(&self, at: Attempt, driver: Driver, name: InterfaceName) -> Result<Option<InterfaceName>> {
        for staging in UNLOCKED.map(|number| driver.staging_name(name, number)) {
            let deadline = Deadline::after(self.limits.staging);
            loop {
                match self.create(at, driver, staging) {
                    Err(error) if is_taken(&error) => {}
                    made => return made.map(Some),
                }
                if deadline.has_passed() {
                    break;
                }
                thread::sleep(PAUSE);
                self.check_free(at, driver, name)?;
                if self.control.index(staging) == Err(Errno::ENXIO) {
                    // It is not under way: the number is that of an interface that has its name.
                    break;
                }
            }
        }
        Ok(None)
    }

    /// Destroys what a process has left that died over it: what has its number for a name yet, is
    /// down, and no port nor has any. Whether it is gone.
    fn clear_away(&self, at: Attempt, driver: Driver, staging: InterfaceName) -> bool {
        let Ok(left) = self.control.interface(staging) else { return false };
        let cleared = match driver {
            Driver::Bridge => self.clear_bridge_away(at, left.identity),
            Driver::Tap => self.clear_tap_away(at, left.identity),
        };
        let is_gone = matches!(cleared, Ok(true));
        if is_gone {
            outlast_second(left.identity);
        }
        is_gone
    }

    fn clear_bridge_away(&self, at: Attempt, bridge: Identity) -> Result<bool> {
        let name = self.bridge(at, bridge.into())?.name();
        let is_idle =
            || Ok(self.control.flags(name)?.link() == LinkState::Down && self.control.ports(name)?.is_empty());
        if !is_idle().at(at)? {
            return Ok(false);
        }
        self.control.destroy(self.verified_bridge(at, bridge)?).at(at)?;
        Ok(true)
    }

    fn clear_tap_away(&self, at: Attempt, tap: Identity) -> Result<bool> {
        let tap = self.tap_without_mac(at, tap.into())?;
        let is_idle = tap.link == LinkState::Down && self.bridge_of(at, tap.name)?.is_none();
        Ok(is_idle && self.remove_tap(at, &tap).is_ok())
    }
}

/// Waits until an interface that is made now has another identity than one that was just destroyed. Who made that
/// one may live and take it back at this moment.
fn outlast_second(gone: Identity) {
    // As the kernel counts: `time_uptime` is of the last tick, too.
    let uptime = || clock_gettime(ClockId::CLOCK_UPTIME_FAST).map_or(u64::MAX, |now| now.tv_sec().unsigned_abs());
    for _ in 0..LOOKS {
        if uptime() > gone.incarnation() {
            break;
        }
        thread::sleep(PAUSE);
    }
}

/// Returns whether a creation failed because the name or its number is taken.
pub(super) fn is_taken(error: &Error) -> bool {
    error.raw_os_error() == Some(libc::EEXIST)
}
