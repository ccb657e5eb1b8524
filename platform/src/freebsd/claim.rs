//! The lock of processes that make interfaces under temporary names ([`staging`](super::staging)).
//!
//! It is a lock on a file (`flock(2)`), which the kernel frees when the process ends, however it does.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::waiting::Deadline;

/// One file serves all names: making an interface takes about a millisecond. Only root can open it.
/// Jails that share their files share it, too, and wait for one another.
const LOCK: &str = "/var/run/vmbridge/making";

/// The time between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: Flock<File>,
}

impl Claim {
    /// Takes the lock. Returns `None` if the file cannot be created, or if another process holds it until the limit.
    pub(super) fn take(limit: Duration) -> Option<Self> {
        Self::on(Path::new(LOCK), limit)
    }

    fn on(path: &Path, limit: Duration) -> Option<Self> {
        let mut file = open(path).ok()?;
        let deadline = Deadline::after(limit);
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Some(Self { _lock: lock }),
                Err((same, Errno::EWOULDBLOCK | Errno::EINTR)) => file = same,
                Err(_) => return None,
            }
            if deadline.has_passed() {
                return None;
            }
            thread::sleep(PAUSE);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_at_a_time() {
        let directory = std::env::temp_dir().join(format!("vmbridge-claim-{}", std::process::id()));
        let path = directory.join("making");
        let claim = Claim::on(&path, Duration::ZERO).expect("nobody has it");
        assert!(Claim::on(&path, Duration::ZERO).is_none());
        drop(claim);
        assert!(Claim::on(&path, Duration::ZERO).is_some());
        assert!(Claim::on(&directory.join("making/x"), Duration::ZERO).is_none(), "no such directory can be made");
        fs::remove_dir_all(directory).expect("it is there");
    }
}
