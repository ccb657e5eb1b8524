//! A network of the process's own, to try bridges in without a trace.
//!
//! It is a VNET jail, which vanishes with the process, and whatever interfaces are in it too.
//! Unlike Linux's user namespaces it needs root. If a process in it had an Internet socket, as
//! `ifconfig` has, the kernel keeps a remainder of it that `jls -d` shows as dying (seen).

use std::{env, io};

use nix::unistd::geteuid;

use super::control::Control;
use super::{jail, module};
use crate::{InterfaceName, UnicastMac};

/// A network without any interface but loopback, which the process alone is in.
#[derive(Debug)]
pub struct Sandbox {
    control: Control,
}

impl Sandbox {
    /// Moves the process there, with all its threads. Backends that are open stay outside.
    ///
    /// # Errors
    /// `PermissionDenied` without root, or in a jail that may have no jails in it; any other
    /// where a driver cannot be loaded or the kernel has no VNET.
    pub fn enter() -> io::Result<Self> {
        if !geteuid().is_root() {
            let text = "a sandbox needs root on FreeBSD: it is a VNET jail";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        // In a jail no module may be loaded.
        let outside = Control::open()?;
        for (driver, module) in [("bridge", c"if_bridge"), ("epair", c"if_epair")] {
            if !outside.has_driver(driver)? {
                module::load(module).map_err(|errno| {
                    let text = format!("cannot load the driver of {driver} interfaces: {errno}");
                    io::Error::new(io::Error::from(errno).kind(), text)
                })?;
            }
        }
        // The kernel changes to the jail's root directory, which is the one there was.
        let directory = env::current_dir()?;
        jail::enter()?;
        env::set_current_dir(directory)?;
        // A socket stays in the network that it was made in.
        Ok(Self { control: Control::open()? })
    }

    /// Adds an Ethernet interface with this MAC that can be a port: one end of an epair(4). The
    /// other end, `epair0b` or the like, is there too.
    pub fn add_interface(&self, name: InterfaceName, mac: UnicastMac) -> io::Result<()> {
        let end = self.control.create("epair".parse().map_err(io::Error::other)?)?;
        let completed = self.control.set_mac(end, mac.into()).and_then(|()| self.control.rename(end, name));
        completed.or_else(|errno| {
            // Both ends go.
            self.control.destroy(end)?;
            Err(errno.into())
        })
    }
}
