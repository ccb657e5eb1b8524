//! A network of the process's own, to try bridges in without a trace.
//!
//! It is a VNET jail, which vanishes with the process, and whatever interfaces are in it too.
//! Unlike Linux's user namespaces it needs root. If a process in it had an Internet socket, as
//! `ifconfig` has, the kernel keeps a remainder of it that `jls -d` shows as dying (seen).

use std::{env, io};

use nix::unistd::geteuid;

use super::backend::FreeBsdBackend;
use super::{jail, module};
use crate::ifreq::Control;
use crate::{InterfaceName, Operation, UnicastMac};

/// A network without any interface but loopback, which the process alone is in.
#[derive(Debug)]
pub struct Sandbox {
    backend: FreeBsdBackend,
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
        Ok(Self { backend: FreeBsdBackend::open()? })
    }

    /// Adds an Ethernet interface with this MAC that can be a port: one end of an epair(4). The
    /// other end, `epair0b` or the like, is there too.
    pub fn add_interface(&self, name: InterfaceName, mac: UnicastMac) -> io::Result<()> {
        let control = &self.backend.control;
        let end = control.identity(control.create("epair".parse().map_err(io::Error::other)?)?)?;
        let verified = || self.backend.verified(FreeBsdBackend::at(Operation::Interfaces), end);
        let complete = || {
            control.set_mac(verified()?, mac.into())?;
            control.rename(verified()?, name)?;
            Ok(())
        };
        complete().or_else(|error: io::Error| {
            // Both ends go.
            control.destroy(verified()?)?;
            Err(error)
        })
    }
}
