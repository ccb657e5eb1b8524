//! A network of the process's own, to try bridges in without privilege and without a trace.
//!
//! A user namespace gives the process every capability over the network namespace that it makes
//! with it (`user_namespaces(7)`). Both, and whatever is in them, vanish with the process.

use std::{fs, io};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid};

use crate::{InterfaceName, UnicastMac};

/// A network without any interface but loopback, which the process alone is in.
#[derive(Debug)]
pub struct Sandbox {
    #[cfg(not(feature = "netlink"))]
    taps: std::sync::Mutex<Vec<std::os::fd::OwnedFd>>,
}

impl Sandbox {
    /// Moves the process there. It must have one thread only: the kernel moves no others
    /// (`EINVAL`).
    ///
    /// # Errors
    /// `EPERM`, `ENOSPC` or `EACCES` where the host's policy forbids user namespaces.
    pub fn enter() -> io::Result<Self> {
        let (user, group) = (geteuid(), getegid());
        match unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET) {
            Ok(()) => Self::become_root(user, group)?,
            // Root may do without a user namespace where there is none to be had.
            Err(Errno::EPERM | Errno::ENOSPC) if user.is_root() => unshare(CloneFlags::CLONE_NEWNET)?,
            Err(errno) => return Err(errno.into()),
        }
        Ok(Self {
            #[cfg(not(feature = "netlink"))]
            taps: std::sync::Mutex::default(),
        })
    }

    /// Makes the user and the group root of the new user namespace.
    fn become_root(user: Uid, group: Gid) -> io::Result<()> {
        // Without this, a process without privilege may not map its group.
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("0 {group} 1"))
    }

    /// Adds an Ethernet interface with this MAC that can be a port.
    pub fn add_interface(&self, name: InterfaceName, mac: UnicastMac) -> io::Result<()> {
        cfg_if::cfg_if! {
            if #[cfg(feature = "netlink")] {
                // One end of a veth: it needs no device node.
                super::NetlinkBackend::open()?.add_veth(name, mac)?;
            } else {
                use std::os::fd::AsFd;

                use super::abi::tun::{IFF_NO_PI, IFF_TAP, IFF_TUN_EXCL};

                let tap = super::tun::open()?;
                super::tun::attach(tap.as_fd(), Some(name), IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL)?;
                super::tun::set_mac(tap.as_fd(), mac.into())?;
                self.taps.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(tap);
            }
        }
        Ok(())
    }
}
