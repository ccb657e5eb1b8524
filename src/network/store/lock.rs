//! The lock that those hold who change a directory (`flock(2)`).

use std::ffi::OsStr;
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::directory::Directory;
use super::{StoreError, StoreReason};

/// In the directory that it is for; readers pass over what begins with a dot. The directory itself would
/// do, but whoever can read that could lock it, and NFS locks only what is open for writing.
const NAME: &str = ".lock";
/// Between two tries: the call itself waits without a bound, or not at all.
const PAUSE: Duration = Duration::from_millis(5);

/// Held until it is dropped, or its process has ended however that was.
#[derive(Debug)]
pub(in crate::network) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks a directory, or gives up when another process has it for so long.
    pub(super) fn take(directory: &Directory<'_>, patience: Duration) -> Result<Self, StoreError> {
        // To read, too: a FIFO is then opened, and refused as what it is.
        let (flags, mode) = (OFlags::RDWR | OFlags::CREATE, Mode::RUSR | Mode::WUSR);
        let (file, _) = directory.open_file(OsStr::new(NAME), flags, mode)?;
        Self::of(file, directory, patience)
    }

    /// Locks a directory that is read-only; `None` where nobody has locked it before.
    pub(super) fn take_existing(
        directory: &Directory<'_>,
        patience: Duration,
    ) -> Result<Option<Self>, StoreError> {
        match directory.open_file(OsStr::new(NAME), OFlags::RDONLY, Mode::empty()) {
            Err(error) if error.is_absent() => Ok(None),
            opened => Self::of(opened?.0, directory, patience).map(Some),
        }
    }

    fn of(file: File, directory: &Directory<'_>, patience: Duration) -> Result<Self, StoreError> {
        let path = &directory.path_of(OsStr::new(NAME));
        // Without a deadline where no clock reaches it.
        let deadline = Instant::now().checked_add(patience);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                    sleep(PAUSE);
                }
                Err(Errno::WOULDBLOCK) => return Err(StoreError::new(path, StoreReason::Locked(patience))),
                Err(errno) => return Err(StoreError::io(path, "lock")(errno.into())),
            }
        }
    }
}
