//! Creating a bridge: under a name of its own, complete, and then by its final name.

use nix::errno::Errno;

use super::staging::{self, Claim};
use super::{IoctlBackend, MTU};
use crate::error::{Attempt, CallResult};
use crate::linux::capabilities::other_mtu;
use crate::linux::convert::errno;
use crate::linux::ioctl::control::Driver;
use crate::linux::udev::Watch;
use crate::{
    BridgeOptions, BridgeSpec, ErrorKind, Identity, InterfaceName, LinkState, Made, Outcome, Result, UnicastMac,
};

/// The MTU of a new bridge (`ETH_DATA_LEN`).
const FIRST_MTU: u32 = 1500;

/// How many random names are tried before a bridge cannot be created.
const STAGING_TRIES: usize = 4;

impl IoctlBackend {
    pub(super) fn create(&self, at: Attempt, spec: &BridgeSpec) -> Result<Outcome> {
        if !self.control.is_free(spec.name).at(at)? {
            return Err(at.means(self.kind_of_taken(spec.name), Errno::EEXIST));
        }
        // The watch and the claim are held until the bridge is complete.
        let watch = match spec.mac {
            Some(_) => self.udev.watch().at(at)?,
            None => None,
        };
        let claim = spec.mac.and_then(|_| Claim::for_bridge(&self.namespace, spec.name));
        let name = self.add(at, spec, claim.as_ref())?;
        let bridge = self.created(name).map_err(|errno| match errno {
            Errno::ENODEV => at.errno(errno),
            // Without its identity nobody can delete it safely.
            errno => at.errno(errno).rolled_back(Err(at.errno(errno)), format_args!("bridge {name}")),
        })?;
        Ok(match self.complete(at, bridge, spec, watch.as_ref()) {
            Ok(bridge) => Outcome::Done(Made::Bridge(bridge)),
            // What it has left goes with the bridge.
            Err(error) => Outcome::unclear_after(error.take_left().0, bridge),
        })
    }

    /// The kind of an error about a name that is taken.
    fn kind_of_taken(&self, name: InterfaceName) -> ErrorKind {
        match self.control.driver(name) {
            Ok(Driver::Tap | Driver::Other) => ErrorKind::NameInUse,
            // Also an interface that has vanished since: another process probably created a bridge.
            _ => ErrorKind::BridgeExists,
        }
    }

    /// Creates a bare bridge and returns its name. Without a MAC in the spec this is the final name, since
    /// udevd may give the bridge a MAC that depends on its name.
    fn add(&self, at: Attempt, spec: &BridgeSpec, claim: Option<&Claim>) -> Result<InterfaceName> {
        let added = match spec.mac {
            Some(_) => self.add_staged(claim),
            None => self.control.add_bridge(spec.name).map(|()| spec.name),
        };
        added.map_err(|errno| match errno {
            Errno::EEXIST if spec.mac.is_none() => at.means(self.kind_of_taken(spec.name), errno),
            // "Package not installed": the kernel has no bridge driver and cannot load it.
            Errno::ENOPKG => at.means(ErrorKind::NoDriver, errno),
            errno => at.errno(errno),
        })
    }

    /// Creates a bare bridge with the claimed name or a random one.
    pub(super) fn add_staged(&self, claim: Option<&Claim>) -> nix::Result<InterfaceName> {
        let is_added = |name| Ok(self.control.add_bridge(name).unless(Errno::EEXIST)?.is_some());
        if let Some(claimed) = claim.map(Claim::name) {
            if is_added(claimed)? {
                return Ok(claimed);
            }
            // If the leftover cannot be deleted, its name is passed over.
            let _ = self.remove_leftover(claimed);
            if is_added(claimed)? {
                return Ok(claimed);
            }
        }
        for _ in 0..STAGING_TRIES {
            let name = staging::by_chance().map_err(|error| errno(&error))?;
            if is_added(name)? {
                return Ok(name);
            }
        }
        Err(Errno::EEXIST)
    }

    /// The identity of a bridge that this process has just created with this name. Nobody else knows a staged
    /// name. A bridge that was created with its final name can be replaced between these two calls.
    pub(super) fn created(&self, name: InterfaceName) -> nix::Result<Identity> {
        // A second look, since without an index the bridge could only be left behind.
        let index = self.control.index(name).or_else(|_| self.control.index(name))?;
        Ok(Identity::new(name, index))
    }

    /// Deletes the bridge that another process left behind when it died. Only the holder of the claim creates
    /// bridges with this name. A bridge that is up or has ports is in use, whatever its name.
    fn remove_leftover(&self, name: InterfaceName) -> nix::Result<()> {
        let bridge = Identity::new(name, self.control.index(name)?);
        let is_leftover = self.control.read(bridge, |name| {
            Ok(self.control.driver(name)? == Driver::Bridge
                && self.control.link(name)? == LinkState::Down
                && self.control.numbered_ports(name)?.is_empty())
        })?;
        if is_leftover { self.control.delete_bridge(bridge) } else { Ok(()) }
    }

    /// Gives a new bridge everything that its spec says: its name last but for the link.
    fn complete(
        &self,
        at: Attempt,
        bridge: Identity,
        spec: &BridgeSpec,
        watch: Option<&Watch<'_>>,
    ) -> Result<Identity> {
        if let Some(mac) = spec.mac {
            self.fix_mac(at, bridge, mac, watch)?;
        }
        if let Some(mtu) = spec.mtu {
            if mtu == FIRST_MTU {
                self.control.set_mtu(bridge, other_mtu(mtu)).meaning(at, MTU)?;
            }
            self.control.set_mtu(bridge, mtu).meaning(at, MTU)?;
        }
        self.create_options(at, bridge, &BridgeOptions { host_ipv6: spec.host_ipv6(), ..spec.options })?;
        let named = Identity::new(spec.name, bridge.index());
        if spec.mac.is_some() {
            self.control.rename(bridge, spec.name).map_err(|errno| match errno {
                Errno::EEXIST => at.means(self.kind_of_taken(spec.name), errno),
                errno => at.errno(errno),
            })?;
            if watch.is_some() {
                self.announce(named);
            }
        }
        if spec.link == LinkState::Up {
            self.control.set_link(named, LinkState::Up).at(at)?;
        }
        Ok(named)
    }

    /// Sets the MAC of a new bridge so that it stays, whatever udevd does.
    fn fix_mac(&self, at: Attempt, bridge: Identity, mac: UnicastMac, watch: Option<&Watch<'_>>) -> Result<()> {
        let set = || self.control.set_mac(bridge, mac.into()).at(at);
        let has_it = || {
            let now = self.control.read(bridge, |name| self.control.mac(name)).at(at)?;
            Ok(now == Some(mac.into()))
        };
        set()?;
        if let Some(watch) = watch {
            watch.wait_for(bridge.index()).at(at)?;
            if !has_it()? {
                // udevd had decided before the first call, and will not decide again.
                set()?;
            }
        }
        if has_it()? { Ok(()) } else { Err(at.error(ErrorKind::MacNotKept)) }
    }

    /// Makes udevd handle a bridge under its final name: it applies settings by name (`/etc/sysctl.d`, link
    /// files) only to an interface that is added. It leaves the MAC alone, which is set by then. Without a
    /// sysfs these settings are not applied.
    fn announce(&self, bridge: Identity) {
        let _ = self.in_sysfs(bridge, |bridge| bridge.write(c"uevent", "add"));
    }
}
