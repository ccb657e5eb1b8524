//! Bridges through ioctls, for a kernel or a policy that has no netlink bridge creation.
//!
//! The kernel's side is `net/bridge/br_ioctl.c` and `net/core/dev_ioctl.c`. A bridge is made in
//! several calls, so it is made under a name of its own ([`staging`]) and gets its final name when it
//! has its MAC. If the process dies before that, the bridge stays under that name, down and without
//! ports, until the next bridge is made that is to have the same final name.

mod fdb;
mod mount;
mod options;
mod staging;
mod sys;
mod sysfs;
mod tap;

use std::io;
use std::sync::OnceLock;

use nix::errno::Errno;

use self::staging::Claim;
use self::sys::Control;
use self::sysfs::{Interface, Sysfs};
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::linux::carrier;
use crate::linux::events;
use crate::linux::namespace::Namespace;
use crate::linux::proc;
use crate::linux::tap as taps;
use crate::linux::udev::{Udev, Watch};
use crate::{
    BridgeBackend, BridgeChange, BridgeSpec, BridgeState, Capabilities, ErrorKind, Events, FdbEntry,
    InterfaceIndex, InterfaceName, InterfaceState, LinkState, MacAddr, Operation, PortOptions, PortState, Result,
    Tap, TapChange, TapSpec, TapState, UnicastMac,
};

/// How many names by chance are tried before a bridge cannot be made.
const STAGING_TRIES: usize = 4;

/// Bridges through ioctls, in the network namespace that it was opened in.
#[derive(Debug)]
pub struct IoctlBackend {
    control: Control,
    udev: Udev,
    /// Mounted when it is first asked for: to be rid of a mount takes the kernel as long as to make a
    /// bridge (`namespace_unlock()` waits for RCU).
    sysfs: OnceLock<Sysfs>,
    /// Not there without /proc; most calls do without.
    interfaces: io::Result<proc::Interfaces>,
    namespace: Namespace,
}

impl IoctlBackend {
    /// [`BridgeBackend::name`] of this backend.
    pub const NAME: &str = "ioctl";

    /// Opens its sockets in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `Os`: out of descriptors.
    pub fn open() -> Result<Self> {
        let at = Self::at(Operation::Open);
        let control = Control::open().map_err(|errno| at.errno(errno))?;
        let namespace = Namespace::open();
        // Where it could not be found again, now is the time.
        let sysfs = if namespace.is_known() { OnceLock::new() } else { Sysfs::open().into() };
        Ok(Self { control, udev: Udev::open(), sysfs, interfaces: proc::Interfaces::open(), namespace })
    }

    fn at(operation: Operation) -> Attempt {
        Attempt::new(Self::NAME, operation)
    }

    /// The sysfs of the namespace that this was opened in.
    fn sysfs(&self) -> nix::Result<&Sysfs> {
        if let Some(sysfs) = self.sysfs.get() {
            return Ok(sysfs);
        }
        let sysfs = self.namespace.run(Sysfs::open).unwrap_or_else(Sysfs::found);
        // What will pass is no reason to do without for good.
        sysfs.lacks().map_or_else(|| Ok(self.sysfs.get_or_init(|| sysfs)), Err)
    }

    /// An interface in it ([`Sysfs::interface`]).
    fn sysfs_interface(&self, name: InterfaceName, index: InterfaceIndex) -> nix::Result<Interface> {
        self.sysfs()?.interface(name, index)
    }

    /// The names of all interfaces.
    fn interface_names(&self, at: Attempt) -> Result<Vec<InterfaceName>> {
        let names = match &self.interfaces {
            Ok(interfaces) => interfaces.names(),
            Err(error) => Err(error.kind().into()),
        };
        names.map_err(|source| at.io(ErrorKind::Os, source))
    }

    /// Checks that an interface is a bridge, and gives its index and its name: it may have been
    /// asked for by an alternative one.
    fn check_bridge(&self, at: Attempt, name: InterfaceName) -> Result<(InterfaceIndex, InterfaceName)> {
        let find = || {
            if self.control.is_free(name)? {
                return Err(Errno::ENODEV);
            }
            let index = self.control.index(name)?;
            Ok((index, self.control.name(index)?))
        };
        let (index, name) = find().map_err(|errno| at.errno(errno))?;
        match self.control.is_bridge(name) {
            Ok(true) => Ok((index, name)),
            Ok(false) => Err(at.error(ErrorKind::NotABridge)),
            Err(errno) => Err(at.errno(errno)),
        }
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

    fn state(&self, name: InterfaceName, index: InterfaceIndex) -> nix::Result<BridgeState> {
        Ok(BridgeState {
            name,
            index,
            mac: self.control.mac(name)?.unwrap_or(MacAddr::ZERO),
            mtu: self.control.mtu(name)?,
            link: self.control.link(name)?,
            options: self.bridge_options(name, index)?,
        })
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
    fn add_staged(&self, claim: Option<&Claim>) -> nix::Result<InterfaceName> {
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
            let name = staging::by_chance().map_err(|error| super::errno(&error))?;
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

    fn port_index(&self, at: Attempt, port: InterfaceName) -> Result<InterfaceIndex> {
        self.control.index(port).map_err(|errno| match errno {
            Errno::ENODEV => at.means(ErrorKind::PortNotFound, errno),
            errno => at.errno(errno),
        })
    }

    /// The ports of a bridge that was checked to be one.
    fn port_indices(&self, at: Attempt, bridge: InterfaceName) -> Result<Vec<InterfaceIndex>> {
        self.control.ports(bridge).map_err(|errno| at.errno(errno))
    }

    /// The names of all bridges.
    fn bridge_names(&self, at: Attempt) -> Result<Vec<InterfaceName>> {
        if let Some(indices) = self.control.bridges().map_err(|errno| at.errno(errno))? {
            return self.names(at, indices);
        }
        // More than the kernel tells in one call: ask each interface.
        let mut names = self.interface_names(at)?;
        names.retain(|&name| self.control.is_bridge(name) == Ok(true));
        Ok(names)
    }

    /// The names of interfaces, without those that vanished meanwhile.
    fn names(&self, at: Attempt, indices: Vec<InterfaceIndex>) -> Result<Vec<InterfaceName>> {
        still_there(at, indices.into_iter().map(|index| self.control.name(index)))
    }

    /// Whether an interface is a port of any bridge but this one.
    fn is_port_elsewhere(&self, at: Attempt, bridge: InterfaceName, port: InterfaceIndex) -> bool {
        let mut others = self.bridge_names(at).into_iter().flatten().filter(|&other| other != bridge);
        others.any(|other| self.control.ports(other).is_ok_and(|ports| ports.contains(&port)))
    }
}

impl BridgeBackend for IoctlBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        super::CAPABILITIES.into_iter().collect()
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        let at = Self::at(Operation::Create).on(spec.name);
        spec.options.check(at, self.capabilities())?;
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

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::Delete).on(bridge);
        let (_, bridge) = self.check_bridge(at, bridge)?;
        // The kernel deletes no bridge that is up, but knows best whether it is a bridge still.
        match self.control.delete_bridge(bridge) {
            Ok(()) => return Ok(()),
            Err(Errno::EBUSY) => {}
            Err(Errno::EPERM) if self.control.is_bridge(bridge) == Ok(false) => {
                return Err(at.means(ErrorKind::NotABridge, Errno::EPERM));
            }
            Err(errno) => return Err(at.errno(errno)),
        }
        self.control.set_link(bridge, LinkState::Down).map_err(|errno| at.errno(errno))?;
        self.control.delete_bridge(bridge).map_err(|errno| {
            let outcome = match self.control.set_link(bridge, LinkState::Up) {
                // Someone else has deleted it.
                Ok(()) | Err(Errno::ENODEV) => Ok(()),
                Err(errno) => Err(at.errno(errno)),
            };
            at.errno(errno).undone(outcome, format_args!("bridge {bridge}, down,"))
        })
    }

    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>> {
        let at = Self::at(Operation::Find).on(bridge);
        let state = |(index, name)| self.state(name, index).map_err(|errno| at.errno(errno));
        let found = self.check_bridge(at, bridge).and_then(state);
        match found {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    fn has_carrier(&self, bridge: InterfaceName) -> Result<bool> {
        let at = Self::at(Operation::Find).on(bridge);
        let (index, bridge) = self.check_bridge(at, bridge)?;
        carrier::settled(|| self.carrier(at, bridge, index))
    }

    fn list(&self) -> Result<Vec<BridgeState>> {
        let at = Self::at(Operation::List);
        let names = self.bridge_names(at)?;
        let states = names.into_iter().map(|name| self.state(name, self.control.index(name)?));
        let mut states = still_there(at, states)?;
        states.sort_unstable_by_key(|state| state.index);
        Ok(states)
    }

    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        let at = Self::at(Operation::Change).on(bridge);
        change.options.check(at, self.capabilities())?;
        let (index, bridge) = self.check_bridge(at, bridge)?;
        self.check_bridge_options(at, &change.options)?;
        let read = || self.state(bridge, index).map_err(|errno| at.errno(errno));
        let set = |step| match step {
            Step::Mtu(mtu) => self.control.set_mtu(bridge, mtu).map_err(|errno| mtu_error(at, errno)),
            Step::Mac(mac) => self.control.set_mac(bridge, mac).map_err(|errno| at.errno(errno)),
            Step::Link(link) => self.control.set_link(bridge, link).map_err(|errno| at.errno(errno)),
            Step::Option(option) => self.set_bridge_option(at, bridge, index, option),
        };
        change::apply(&read()?, change, set, read)
    }

    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::AddPort).on(bridge).port(port);
        let (_, bridge) = self.check_bridge(at, bridge)?;
        let index = self.port_index(at, port)?;
        if self.port_indices(at, bridge)?.contains(&index) {
            return Err(at.error(ErrorKind::AlreadyPort));
        }
        let Err(errno) = self.control.add_port(bridge, index) else { return Ok(()) };
        let kind = match errno {
            // Someone else has added it since.
            Errno::EBUSY if self.control.ports(bridge).is_ok_and(|ports| ports.contains(&index)) => {
                ErrorKind::AlreadyPort
            }
            Errno::EBUSY => ErrorKind::PortBusy,
            Errno::EXFULL => ErrorKind::TooManyPorts,
            Errno::ELOOP => ErrorKind::PortIsBridge,
            // Also what the kernel says of an index that is no longer there.
            Errno::EINVAL if self.control.name(index) == Err(Errno::ENODEV) => ErrorKind::PortNotFound,
            Errno::EINVAL | Errno::EOPNOTSUPP => ErrorKind::PortUnsuitable,
            // Whose port it is matters more than who asks, as on the other backends.
            Errno::EPERM if self.is_port_elsewhere(at, bridge, index) => ErrorKind::PortBusy,
            errno => ErrorKind::of(errno),
        };
        Err(at.means(kind, errno))
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::RemovePort).on(bridge).port(port);
        let (_, bridge) = self.check_bridge(at, bridge)?;
        let index = self.port_index(at, port)?;
        if !self.port_indices(at, bridge)?.contains(&index) {
            return Err(at.error(ErrorKind::NotAPort));
        }
        self.control.remove_port(bridge, index).map_err(|errno| match errno {
            Errno::EINVAL if self.control.name(index) == Err(Errno::ENODEV) => {
                at.means(ErrorKind::PortNotFound, errno)
            }
            Errno::EINVAL => at.means(ErrorKind::NotAPort, errno),
            errno => at.errno(errno),
        })
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        let at = Self::at(Operation::Ports).on(bridge);
        let (_, bridge) = self.check_bridge(at, bridge)?;
        let mut numbered = self.control.numbered_ports(bridge).map_err(|errno| at.errno(errno))?;
        numbered.sort_unstable_by_key(|&(_, index)| index);
        let ports = numbered.into_iter().map(|(number, index)| {
            let name = self.control.name(index)?;
            let (options, stp_state) = self.port_options(bridge, name, index, number)?;
            Ok(PortState {
                name,
                index,
                mac: self.control.mac(name)?.unwrap_or(MacAddr::ZERO),
                mtu: self.control.mtu(name)?,
                link: self.control.link(name)?,
                options,
                stp_state,
            })
        });
        still_there(at, ports)
    }

    fn change_port(&self, bridge: InterfaceName, port: InterfaceName, options: &PortOptions) -> Result<()> {
        let at = Self::at(Operation::ChangePort).on(bridge).port(port);
        options.check(at, self.capabilities())?;
        let (_, bridge) = self.check_bridge(at, bridge)?;
        self.set_port_options(at, bridge, port, options)
    }

    fn fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        let at = Self::at(Operation::Fdb).on(bridge);
        let (_, bridge) = self.check_bridge(at, bridge)?;
        self.read_fdb(at, bridge)
    }

    fn flush_fdb(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::FlushFdb).on(bridge);
        let (index, bridge) = self.check_bridge(at, bridge)?;
        self.flush(at, bridge, index)
    }

    fn events(&self) -> Result<Events> {
        events::open(&self.namespace, Self::at(Operation::Events))
    }

    fn create_tap(&self, spec: &TapSpec) -> Result<Tap> {
        taps::create(self, spec)
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        taps::persist(self, tap)
    }

    fn change_tap(&self, tap: InterfaceName, change: &TapChange) -> Result<()> {
        taps::change(self, tap, change)
    }

    fn delete_tap(&self, tap: InterfaceName) -> Result<()> {
        taps::delete(self, tap)
    }

    fn taps(&self) -> Result<Vec<TapState>> {
        self.read_taps()
    }

    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        let at = Self::at(Operation::Interfaces);
        let names = self.interface_names(at)?;
        let interfaces = names.into_iter().map(|name| {
            Ok(InterfaceState { name, index: self.control.index(name)?, mac: self.control.mac(name)? })
        });
        let mut interfaces = still_there(at, interfaces)?;
        interfaces.sort_unstable_by_key(|interface| interface.index);
        Ok(interfaces)
    }
}

/// What was read of interfaces one by one, without those that vanished while they were read.
fn still_there<T>(at: Attempt, read: impl Iterator<Item = nix::Result<T>>) -> Result<Vec<T>> {
    read.filter(|outcome| !matches!(outcome, Err(Errno::ENODEV)))
        .map(|outcome| outcome.map_err(|errno| at.errno(errno)))
        .collect()
}

fn mtu_error(at: Attempt, errno: Errno) -> crate::Error {
    match errno {
        Errno::EINVAL | Errno::ERANGE => at.means(ErrorKind::InvalidMtu, errno),
        errno => at.errno(errno),
    }
}
