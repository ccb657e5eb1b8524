//! The privileges of a program that is installed setuid root or with file capabilities
//! (`capabilities(7)`, `credentials(7)`).

use std::io;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::sys::prctl;
use nix::unistd::{getgid, getuid, setresgid, setresuid};

/// What is left of the privileges that a program was started with: those for networks, and only
/// if it had them.
///
/// The kernel keeps capabilities by thread: the program must have one thread only.
#[derive(Debug)]
pub struct NetworkPrivileges(());

impl NetworkPrivileges {
    /// Gives up all but `CAP_NET_ADMIN`, and becomes the user and the group that started the program.
    ///
    /// The supplementary groups stay: setuid does not change them, so they are that user's own.
    ///
    /// # Errors
    /// `EPERM` where the kernel refuses one of the steps. Do not go on then.
    pub fn keep_only() -> io::Result<Self> {
        // Nothing that is executed from here on gains anything.
        prctl::set_no_new_privs()?;
        if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(io)? {
            caps::clear(None, CapSet::Bounding).map_err(io)?;
        }
        // Without this, root takes its capabilities with it when it becomes someone else.
        prctl::set_keepcaps(true)?;
        let (user, group) = (getuid(), getgid());
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        retain(Capability::CAP_NET_ADMIN).map_err(io)?;
        Ok(Self(()))
    }

    /// Gives up the rest.
    ///
    /// # Errors
    /// None that is known: anyone may give up capabilities.
    pub fn give_up(self) -> io::Result<()> {
        caps::clear(None, CapSet::Effective).map_err(io)?;
        caps::clear(None, CapSet::Permitted).map_err(io)
    }
}

/// Keeps one capability, if it is there, to use and not to pass on.
fn retain(capability: Capability) -> Result<(), CapsError> {
    let mut kept = caps::read(None, CapSet::Permitted)?;
    kept.retain(|&permitted| permitted == capability);
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    // What is effective must be permitted all the while.
    caps::set(None, CapSet::Effective, &CapsHashSet::new())?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::set(None, CapSet::Effective, &kept)
}

fn io(error: CapsError) -> io::Error {
    io::Error::other(error)
}
