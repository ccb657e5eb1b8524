//! A running libvirt, whose files nobody else must change.
//!
//! It keeps what it has read in memory, and writes that to its files again. Its driver for networks has a lock on
//! `driver.pid` in the state directory for as long as it runs (`networkStateInitialize()`,
//! `src/network/bridge_driver.c`; `virFileLock()`, `src/util/virfile.c`).

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::directory::Directory;
use super::{Store, StoreError, StoreReason};

/// Refuses the directories of a libvirt that is running. One that starts afterwards is not seen.
pub(super) fn check_stopped(store: &Store) -> Result<(), StoreError> {
    check_state(&store.state)?;
    // Whatever state directory was given with it.
    match (store.config.canonicalize(), Path::new(Store::LIBVIRT_CONFIG_DIR).canonicalize()) {
        (Ok(config), Ok(libvirts)) if config == libvirts => check_state(Store::LIBVIRT_STATE_DIR.as_ref()),
        _ => Ok(()),
    }
}

fn check_state(state: &Path) -> Result<(), StoreError> {
    let (name, path) = ("driver.pid".as_ref(), state.join("driver.pid"));
    let Some(state) = Directory::open(state)? else { return Ok(()) };
    let file = match state.open_file(name, OFlags::RDONLY, Mode::empty()) {
        Err(error) if error.is_absent() => return Ok(()),
        opened => opened?.0,
    };
    // libvirt's is a lock to write. Any user may have one to read.
    match fcntl_getlk(&file, &Flock::from(FlockType::ReadLock)) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(StoreError::new(&path, StoreReason::LibvirtRunning)),
        Err(errno) => Err(StoreError::io(&path, "look for a lock on")(errno.into())),
    }
}
