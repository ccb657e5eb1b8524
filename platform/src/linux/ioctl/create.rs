//! Making a bridge: under a name of its own, complete, and then by its name.

use nix::errno::Errno;

use super::staging::{self, Claim};
use super::{IoctlBackend, mtu_error};
use crate::error::Attempt;
use crate::linux::convert::errno;
use crate::linux::udev::Watch;
use crate::{
    BridgeBackend, BridgeSpec, ErrorKind, InterfaceIndex, InterfaceName, LinkState, Operation, Result, UnicastMac,
};

/// How many names by chance are tried before a bridge cannot be made.
const STAGING_TRIES: usize = 4;

impl IoctlBackend {
    pub(super) fn create_bridge(&self, spec: &BridgeSpec) -> Result<()> {
        let at = Self::at(Operation::Create).on(spec.name);
        spec.check(at, self.capabilities())?;
        self.check_bridge_options(at, &spec.options)?;
        self.check_free(at, spec.name)?;
        let watch = match spec.mac {
            Some(_) => self.udev.watch().map_err(|errno| at.errno(errno))?,
            None => None,
        };
        let claim = spec.mac.and_then(|_| Claim::for_bridge(&self.namespace, spec.name));
        let made = self.make(at, spec, claim.as_ref())?;
        // Without its index, the bridge could be neither watched nor, safely, deleted again.
        let index = self.control.index(made).map_err(|errno| {
            let outcome = self.control.delete_bridge(made).map_err(|errno| at.errno(errno));
            at.errno(errno).undone(outcome, format_args!("bridge {made}"))
        })?;
        self.complete(at, made, index, spec, watch.as_ref()).map_err(|error| {
            let name = self.control.name(index).unwrap_or(made);
            error.undone(self.unmake(at, index), format_args!("bridge {name}"))
        })
    }

    /// Checks that no interface has a name.
    fn check_free(&self, at: Attempt, name: InterfaceName) -> Result<()> {
        match self.control.is_free(name) {
            Ok(true) => Ok(()),
            Ok(false) => Err(at.means(self.who_has(name), Errno::EEXIST)),
            Err(errno) => Err(at.errno(errno)),
        }
    }

    /// The kind of an error about a name that is taken.
    fn who_has(&self, name: InterfaceName) -> ErrorKind {
        match self.control.is_bridge(name) {
            Ok(false) => ErrorKind::NameInUse,
            // Also one that has vanished since: whoever wants this name wants a bridge.
            _ => ErrorKind::BridgeExists,
        }
    }

    /// Makes a bridge without anything and gives its name: the final one where no MAC is to be
    /// set before it may show, since udevd may give it one that depends on its name.
    fn make(&self, at: Attempt, spec: &BridgeSpec, claim: Option<&Claim>) -> Result<InterfaceName> {
        let made = match spec.mac {
            Some(_) => self.add_staged(claim),
            None => self.control.add_bridge(spec.name).map(|()| spec.name),
        };
        made.map_err(|errno| match errno {
            Errno::EEXIST if spec.mac.is_none() => at.means(self.who_has(spec.name), errno),
            // "Package not installed": the kernel has no bridge driver, nor could one be loaded.
            Errno::ENOPKG => at.means(ErrorKind::NoDriver, errno),
            errno => at.errno(errno),
        })
    }

    /// Makes a bridge without anything, by the claimed name or one that nobody has by chance.
    pub(super) fn add_staged(&self, claim: Option<&Claim>) -> nix::Result<InterfaceName> {
        let add = |name| match self.control.add_bridge(name) {
            Ok(()) => Ok(Some(name)),
            Err(Errno::EEXIST) => Ok(None),
            Err(errno) => Err(errno),
        };
        if let Some(claimed) = claim.map(Claim::name) {
            if let Some(made) = add(claimed)? {
                return Ok(made);
            }
            self.remove_left_over(claimed);
            if let Some(made) = add(claimed)? {
                return Ok(made);
            }
        }
        for _ in 0..STAGING_TRIES {
            let name = staging::by_chance().map_err(|error| errno(&error))?;
            if let Some(made) = add(name)? {
                return Ok(made);
            }
        }
        Err(Errno::EEXIST)
    }

    /// Deletes the bridge that a process has died over, by a name that nobody but the caller may
    /// make bridges by now. What is up or has ports is someone's, whatever it is called.
    fn remove_left_over(&self, name: InterfaceName) {
        let is_left_over = self.control.is_bridge(name) == Ok(true)
            && self.control.link(name) == Ok(LinkState::Down)
            && self.control.ports(name).is_ok_and(|ports| ports.is_empty());
        if is_left_over {
            // If it cannot be deleted, its name is passed over.
            let _ = self.control.delete_bridge(name);
        }
    }

    /// Gives a bridge that was just made all that its spec says; its name last but for the link.
    fn complete(
        &self,
        at: Attempt,
        made: InterfaceName,
        index: InterfaceIndex,
        spec: &BridgeSpec,
        watch: Option<&Watch<'_>>,
    ) -> Result<()> {
        let made = match spec.mac {
            Some(mac) => self.fix_mac(at, made, index, mac, watch)?,
            None => made,
        };
        if let Some(mtu) = spec.mtu {
            self.control.set_mtu(made, mtu).map_err(|errno| mtu_error(at, errno))?;
        }
        self.create_options(at, made, index, &spec.options)?;
        if made != spec.name {
            self.control.rename(made, spec.name).map_err(|errno| match errno {
                Errno::EEXIST => at.means(self.who_has(spec.name), errno),
                errno => at.errno(errno),
            })?;
            if watch.is_some() {
                self.announce(spec.name, index);
            }
        }
        if spec.link == LinkState::Up {
            // By the name that it has now: someone may have renamed it, and another has the first.
            let up = |name| self.control.set_link(name, LinkState::Up);
            self.control.name(index).and_then(up).map_err(|errno| at.errno(errno))?;
        }
        Ok(())
    }

    /// Sets the MAC of a new bridge so that it stays, whatever udevd does, and gives its name,
    /// which udevd may have changed.
    fn fix_mac(
        &self,
        at: Attempt,
        made: InterfaceName,
        index: InterfaceIndex,
        mac: UnicastMac,
        watch: Option<&Watch<'_>>,
    ) -> Result<InterfaceName> {
        let set = |name| self.control.set_mac(name, mac.into()).map_err(|errno| at.errno(errno));
        let has_it = |name| {
            let now = self.control.mac(name).map_err(|errno| at.errno(errno))?;
            Ok(now == Some(mac.into()))
        };
        set(made)?;
        let name = match watch {
            None => made,
            Some(watch) => {
                watch.wait_for(index).map_err(|errno| at.errno(errno))?;
                let name = self.control.name(index).map_err(|errno| at.errno(errno))?;
                if !has_it(name)? {
                    // udevd had decided before the first call, and will not decide again.
                    set(name)?;
                }
                name
            }
        };
        if has_it(name)? { Ok(name) } else { Err(at.error(ErrorKind::MacNotKept)) }
    }

    /// Has udevd handle a bridge under the name that it has now: it applies settings by name
    /// (`/etc/sysctl.d`, link files) only to an interface that is added. The MAC is set by then,
    /// which udevd leaves alone. Without a sysfs, those settings are not applied.
    fn announce(&self, name: InterfaceName, index: InterfaceIndex) {
        let _ = self.sysfs_interface(name, index).and_then(|bridge| bridge.write(c"uevent", "add"));
    }

    /// Deletes what a failed `create` has made, under whichever name it has by now.
    fn unmake(&self, at: Attempt, made: InterfaceIndex) -> Result<()> {
        let name = match self.control.name(made) {
            Ok(name) => name,
            Err(Errno::ENODEV) => return Ok(()),
            Err(errno) => return Err(at.errno(errno)),
        };
        // The kernel deletes no bridge that is up.
        self.control.set_link(name, LinkState::Down).map_err(|errno| at.errno(errno))?;
        self.control.delete_bridge(name).map_err(|errno| at.errno(errno))
    }
}
