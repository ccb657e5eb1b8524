//! Bridges through ioctls, for a kernel or a policy that has no netlink bridge creation.
//!
//! The kernel's side is `net/bridge/br_ioctl.c` and `net/core/dev_ioctl.c`. A bridge is made in
//! several calls, so it is made under a name of its own ([`staging`]) and gets its final name when it
//! has its MAC. If the process dies before that, the bridge stays under that name, down and without
//! ports, until the next bridge is made that is to have the same final name.

mod bridge_ioctl;
mod control;
mod create;
mod fdb;
mod mount;
mod options;
mod port;
mod staging;
mod sysfs;
mod tap;

use std::io;
use std::sync::OnceLock;

use nix::errno::Errno;

use self::control::Control;
use self::sysfs::{Interface, Sysfs};
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::linux::capabilities::CAPABILITIES;
use crate::linux::carrier;
use crate::linux::events;
use crate::linux::namespace::Namespace;
use crate::linux::proc;
use crate::linux::tap as taps;
use crate::linux::udev::Udev;
use crate::{
    BridgeBackend, BridgeChange, BridgeSpec, BridgeState, Capabilities, ErrorKind, Events, FdbEntry,
    InterfaceIndex, InterfaceName, InterfaceState, LinkState, MacAddr, Operation, PortOptions, PortState, Result,
    Tap, TapChange, TapSpec, TapState,
};

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
}

impl BridgeBackend for IoctlBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES.into_iter().collect()
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        self.create_bridge(spec)
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
        self.attach(bridge, port)
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        self.release(bridge, port)
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        self.read_ports(bridge)
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
