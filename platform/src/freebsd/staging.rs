//! The numbers that interfaces have while they are made: [`Driver::staging_name`].
//!
//! They follow from the final name, so that who makes an interface that another process has died
//! over finds what that one has left, and takes it away. What another process is just making must
//! not be taken for that. So who makes one holds a lock on a file (`flock(2)`), which the kernel
//! frees when the process ends, however it does.
//!
//! Who cannot get the lock has other numbers, which also follow from the final name, and takes
//! nothing away. There the number is the lock: the kernel gives it to one interface only, and a name
//! to two, if both are renamed at the same time (`SIOCSIFNAME` in `net/if.c` looks whether the name
//! is free and takes it later; seen).

use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::bridge::FreeBsdBackend;
use super::create::is_taken;
use super::unit::Driver;
use crate::error::Attempt;
use crate::{InterfaceName, LinkState, Result};

/// One file is enough for all names: making an interface takes a millisecond or so. Only root can
/// open it. Jails that have their files in common have this one in common, too, and wait for one
/// another.
const LOCK: &str = "/var/run/vmbridge/making";

/// The numbers that are tried by who has the lock; each is taken with odds of the number of bridges
/// to 16384.
const LOCKED: Range<u8> = 0..4;
/// Those of who has not.
const UNLOCKED: Range<u8> = 4..8;
/// How often it is looked whether another process is done.
const LOOKS: usize = 50;
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What no other process has, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: Flock<File>,
}

impl Claim {
    /// `None` where there is no such file, or another process has it for long.
    fn take() -> Option<Self> {
        Self::on(Path::new(LOCK))
    }

    fn on(path: &Path) -> Option<Self> {
        let mut file = open(path).ok()?;
        for _ in 0..LOOKS {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Some(Self { _lock: lock }),
                Err((same, Errno::EWOULDBLOCK | Errno::EINTR)) => file = same,
                Err(_) => return None,
            }
            thread::sleep(PAUSE);
        }
        None
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        match DirBuilder::new().mode(0o755).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

impl FreeBsdBackend {
    /// Makes an interface that is to be renamed to `name`, and gives the name that it has until then,
    /// with what is to be held so long. `None` where all its numbers are taken.
    pub(super) fn stage(
        &self,
        at: Attempt,
        driver: Driver,
        name: InterfaceName,
    ) -> Result<Option<(InterfaceName, Option<Claim>)>> {
        let Some(claim) = Claim::take() else {
            return Ok(self.stage_unlocked(at, driver, name)?.map(|made| (made, None)));
        };
        // Who had the lock may have made this one.
        self.check_free(at, driver, name)?;
        for staging in LOCKED.map(|number| driver.staging_name(name, number)) {
            let mut made = self.create_with_driver(at, driver, staging);
            if made.as_ref().is_err_and(is_taken) && self.clear_away(at, driver, staging) {
                made = self.create_with_driver(at, driver, staging);
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
            for _ in 0..LOOKS {
                match self.create_with_driver(at, driver, staging) {
                    Err(error) if is_taken(&error) => {}
                    made => return made.map(Some),
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
        let cleared = match driver {
            Driver::Bridge => self.is_idle_bridge(staging).and_then(|is_idle| {
                if is_idle { self.control.destroy(staging).map(|()| true) } else { Ok(false) }
            }),
            Driver::Tap => return self.is_idle_tap(at, staging) && self.remove_tap(at, staging).is_ok(),
        };
        cleared.unwrap_or(false)
    }

    fn is_idle_bridge(&self, name: InterfaceName) -> nix::Result<bool> {
        Ok(self.is_bridge(name)?
            && self.control.link(name)? == LinkState::Down
            && self.control.ports(name)?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_at_a_time() {
        let directory = std::env::temp_dir().join(format!("vmbridge-claim-{}", std::process::id()));
        let path = directory.join("making");
        let claim = Claim::on(&path).expect("nobody has it");
        assert!(Claim::on(&path).is_none());
        drop(claim);
        assert!(Claim::on(&path).is_some());
        assert!(Claim::on(&directory.join("making/x")).is_none(), "no such directory can be made");
        fs::remove_dir_all(directory).expect("it is there");
    }
}
