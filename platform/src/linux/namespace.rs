//! The network namespace that a handle was opened in.

use std::fs::{self, File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::{io, thread};

use nix::sched::{CloneFlags, setns};

use super::convert::errno;

/// The calling thread's.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, held on to.
#[derive(Debug)]
pub(super) struct Namespace(nix::Result<File>);

impl Namespace {
    /// The calling thread's; without /proc it cannot be had.
    pub(super) fn open() -> Self {
        Self(File::open(OWN).map_err(|error| errno(&error)))
    }

    /// Whether it could be had.
    pub(super) const fn is_known(&self) -> bool {
        self.0.is_ok()
    }

    /// Whether a descriptor is of this namespace, as one that the kernel opens for it.
    pub(super) fn is(&self, other: OwnedFd) -> nix::Result<bool> {
        let own = self.0.as_ref().map_err(|&errno| errno)?;
        let is_same = || Ok(identity(&own.metadata()?) == identity(&File::from(other).metadata()?));
        is_same().map_err(|error: io::Error| errno(&error))
    }

    /// Does in this namespace what is done in the calling thread's, such as opening a device of
    /// it. Where that is another, a thread of its own does it, which has ended when this returns.
    pub(super) fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> nix::Result<T> {
        let namespace = self.0.as_ref().map_err(|&errno| errno)?;
        let is_here = || Ok(identity(&namespace.metadata()?) == identity(&fs::metadata(OWN)?));
        if is_here().map_err(|error: io::Error| errno(&error))? {
            return Ok(act());
        }
        let elsewhere = || setns(namespace, CloneFlags::CLONE_NEWNET).map(|()| act());
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, elsewhere);
            let thread = thread.map_err(|error| errno(&error))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// What tells one namespace from another (`namespaces(7)`).
fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
