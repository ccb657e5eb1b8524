//! The privileges of a program that is installed setuid root.

use std::io;

/// What Linux's capabilities can do, and FreeBSD has nothing for: a process that is not root can
/// make no interface.
#[derive(Debug)]
pub struct NetworkPrivileges(());

impl NetworkPrivileges {
    /// # Errors
    /// Always `Unsupported`.
    pub fn keep_only() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "FreeBSD has no privilege for networks alone"))
    }

    /// # Errors
    /// None: there are none to give up.
    pub fn give_up(self) -> io::Result<()> {
        Ok(())
    }
}
