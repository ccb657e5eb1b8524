//! Bridges through ioctls, for a kernel or a policy that has no netlink bridge creation.
//!
//! The kernel's side is `net/bridge/br_ioctl.c` and `net/core/dev_ioctl.c`. Creating a bridge takes several
//! calls. So the bridge is created under a name of its own ([`staging`]) and gets its final name when it has
//! its MAC. If the process dies before that, the bridge stays under that name, down and without ports. The
//! next `create` with the same final name deletes it.

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
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use nix::errno::Errno;

use self::control::{Driver, TRIES};
use self::sysfs::{Directory, Sysfs};
use crate::error::{Attempt, CallResult, Meanings, unless};
use crate::ifreq::Control;
use crate::linux::capabilities::{self, CAPABILITIES};
use crate::linux::carrier;
use crate::linux::convert::errno;
use crate::linux::events;
use crate::linux::host_ipv6::HostIpv6Files;
use crate::linux::namespace::Namespace;
use crate::linux::proc;
use crate::linux::tap as taps;
use crate::linux::udev::Udev;
use crate::setting::{self, Setting};
use crate::waiting::Limits;
use crate::{
    Backend, BridgeState, Capabilities, Capability, ErrorKind, Events, FdbEntry, Identity, InterfaceIndex,
    InterfaceName, InterfaceState, LinkState, MacAddr, Operation, Outcome, PortState, Result, Seen, Step, Tap,
    TapState, Target,
};

/// What setting an MTU fails with.
const MTU: &Meanings = &[(Errno::EINVAL, ErrorKind::InvalidMtu), (Errno::ERANGE, ErrorKind::InvalidMtu)];

/// Bridges through ioctls, in the network namespace that it was opened in.
#[derive(Debug)]
pub struct IoctlBackend {
    control: Control,
    udev: Udev,
    /// Mounted when it is first needed: removing a mount takes the kernel as long as creating a bridge
    /// (`namespace_unlock()` waits for RCU).
    sysfs: OnceLock<Sysfs>,
    /// Missing without /proc; few calls need it.
    interfaces: io::Result<proc::Interfaces>,
    namespace: Namespace,
    host_ipv6: HostIpv6Files,
    limits: Limits,
    /// Those of the kernel, when they were asked for.
    capabilities: OnceLock<Capabilities>,
}

impl IoctlBackend {
    /// [`Backend::name`] of this backend.
    pub const NAME: &str = "ioctl";

    /// Opens its sockets in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `Os`: out of descriptors.
    pub fn open() -> Result<Self> {
        Self::open_with(Limits::default())
    }

    /// Opens it as [`open`](Self::open) does, with limits for its calls that wait.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(limits: Limits) -> Result<Self> {
        let at = Self::at(Operation::Open);
        let control = Control::open().at(at)?;
        let namespace = Namespace::open();
        // Where it could not be found again, now is the time.
        let sysfs = if namespace.is_known() { OnceLock::new() } else { Sysfs::open().into() };
        let udev = Udev::open(limits.udev);
        let host_ipv6 = HostIpv6Files::new(&namespace);
        Ok(Self {
            control,
            udev,
            sysfs,
            interfaces: proc::Interfaces::open(),
            namespace,
            host_ipv6,
            limits,
            capabilities: OnceLock::new(),
        })
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

    /// Does something with the directory of an interface in it ([`Sysfs::directory`]).
    fn in_sysfs<T>(&self, on: Identity, act: impl Fn(&Directory) -> nix::Result<T>) -> nix::Result<T> {
        self.control.on(on, |name| act(&self.sysfs()?.directory(name, on.index())?))
    }

    /// The interface of a target, by its own name: the target may have an alternative one. `ENODEV` if it
    /// does not exist.
    fn resolve(&self, target: Target) -> nix::Result<Identity> {
        self.current(match target {
            Target::Identity(identity) => identity.index(),
            Target::Name(name) => self.index(name)?,
        })
    }

    /// The index of an interface; `ENODEV` for a name that is free.
    fn index(&self, name: InterfaceName) -> nix::Result<InterfaceIndex> {
        if self.control.is_free(name)? { Err(Errno::ENODEV) } else { self.control.index(name) }
    }

    /// The interface of an index, by the name that it has now.
    fn current(&self, index: InterfaceIndex) -> nix::Result<Identity> {
        Ok(Identity::new(self.control.name(index)?, index))
    }

    fn driver(&self, interface: Identity) -> nix::Result<Driver> {
        self.control.read(interface, |name| self.control.driver(name))
    }

    /// The bridge of a target.
    fn bridge(&self, at: Attempt, target: Target) -> Result<Identity> {
        let found = self.resolve(target).and_then(|bridge| Ok((bridge, self.driver(bridge)?)));
        match found.at(at)? {
            (bridge, Driver::Bridge) => Ok(bridge),
            (_, Driver::Tap | Driver::Other) => Err(at.error(ErrorKind::NotABridge)),
        }
    }

    fn state(&self, bridge: Identity) -> nix::Result<BridgeState> {
        self.control.read(bridge, |name| {
            let mac = self.control.mac(name)?.unwrap_or(MacAddr::ZERO);
            let (mtu, link) = (self.control.mtu(name)?, self.control.link(name)?);
            let mut state = BridgeState::new(name, bridge.index(), mac, mtu, link);
            state.options = self.bridge_options(name, bridge.index())?;
            Ok(state)
        })
    }

    /// All bridges.
    fn bridges(&self) -> nix::Result<Vec<Identity>> {
        if let Some(indices) = self.control.bridges()? {
            return still_there(indices.into_iter().map(|index| self.current(index)));
        }
        // More than the kernel tells in one call: ask each interface.
        let mut bridges = self.all()?;
        bridges.retain(|&interface| self.driver(interface) == Ok(Driver::Bridge));
        Ok(bridges)
    }

    /// All interfaces, by index.
    fn all(&self) -> nix::Result<Vec<Identity>> {
        let names = self.interfaces.as_ref().map_err(errno)?.names().map_err(|error| errno(&error))?;
        let interfaces = names.into_iter().map(|name| Ok(Identity::new(name, self.control.index(name)?)));
        let mut interfaces = still_there(interfaces)?;
        interfaces.sort_unstable_by_key(|interface| interface.index());
        // A list that was read during a rename may have an interface twice.
        interfaces.dedup();
        Ok(interfaces)
    }

    /// Changes one thing of an interface that every interface has.
    fn set(&self, at: Attempt, on: Identity, setting: Setting) -> Result<()> {
        match setting {
            Setting::Mtu(mtu) => self.control.set_mtu(on, mtu).meaning(at, MTU),
            Setting::Mac(mac) => self.control.set_mac(on, mac).at(at),
            Setting::Link(link) => self.control.set_link(on, link).at(at),
            Setting::Option(option) => self.set_bridge_option(at, on, option),
        }
    }

    /// Deletes a bridge. The kernel refuses that while it is up, so it goes down first, again if another process sets
    /// it up meanwhile.
    fn delete(&self, at: Attempt, bridge: Identity) -> Result<()> {
        let mut deleted = self.control.delete_bridge(bridge);
        if deleted != Err(Errno::EBUSY) {
            return deleted.at(at);
        }
        for _ in 0..TRIES {
            self.control.set_link(bridge, LinkState::Down).at(at)?;
            deleted = self.control.delete_bridge(bridge);
            if deleted != Err(Errno::EBUSY) {
                break;
            }
        }
        deleted.at(at).map_err(|error| {
            // Nobody else takes a part of this step back, since the step as a whole is irreversible.
            let restored = self.control.set_link(bridge, LinkState::Up).unless(Errno::ENODEV).at(at);
            error.rolled_back(restored.map(drop), format_args!("bridge {}, down,", bridge.name()))
        })
    }

    /// Carries out a step. An error means that the step was refused.
    fn carry_out(&self, step: &Step, seen: &Seen) -> Result<Outcome> {
        let at = step.attempt(Self::NAME);
        let done = |outcome: Result<()>| outcome.map(|()| Outcome::DONE);
        match (step, seen) {
            (Step::Create(spec), _) => self.create(at, spec),
            (Step::Delete(_), &Seen::Interface(bridge)) => done(self.delete(at, bridge)),
            (Step::FlushFdb(_), &Seen::Interface(bridge)) => done(self.flush(at, bridge)),
            (Step::Change { change, .. }, Seen::Bridge { bridge: before, .. }) => {
                let set = |setting| self.set(at, before.identity(), setting);
                Ok(setting::set_all(&setting::of_bridge(before, change), set))
            }
            (Step::AddPort { .. }, Seen::Port(seen)) => done(self.attach(at, seen)),
            (Step::RemovePort { .. }, Seen::Port(seen)) => done(self.release(at, seen)),
            (Step::ChangePort { options, .. }, Seen::Port(seen)) => Ok(self.set_port_options(at, seen, options)),
            _ => Ok(taps::run(self, step, seen)),
        }
    }
}

impl Backend for IoctlBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        *self.capabilities.get_or_init(|| capabilities::of_kernel(self, Self::open))
    }

    fn implemented(&self) -> Capabilities {
        CAPABILITIES.into_iter().collect()
    }

    fn look(&self, step: &Step) -> Result<Seen> {
        let at = step.attempt(Self::NAME);
        match step {
            Step::Create(spec) => {
                self.check_bridge_options(at, &spec.options)?;
                Ok(Seen::Nothing)
            }
            &Step::Delete(bridge) => Ok(Seen::Interface(self.bridge(at, bridge)?)),
            &Step::FlushFdb(bridge) => {
                let bridge = self.bridge(at, bridge)?;
                self.check_sysfs(at.with(Capability::FdbFlush))?;
                Ok(Seen::Interface(bridge))
            }
            Step::Change { bridge, change } => {
                let bridge = self.bridge(at, *bridge)?;
                self.check_bridge_options(at, &change.options)?;
                self.state(bridge).map(Seen::bridge).at(at)
            }
            &Step::AddPort { bridge, port } | &Step::RemovePort { bridge, port } => {
                self.look_at_port(at, bridge, port, None).map(Seen::Port)
            }
            Step::ChangePort { bridge, port, options } => {
                self.look_at_port(at, *bridge, *port, Some(options)).map(Seen::Port)
            }
            Step::CreateTap(_) | Step::ChangeTap { .. } | Step::DeleteTap(_) => taps::look(self, step),
            // `implemented()` has none of these.
            Step::AddFdbEntry { .. }
            | Step::ReplaceFdbEntry { .. }
            | Step::RemoveFdbEntry { .. }
            | Step::AddVlans { .. }
            | Step::RemoveVlans { .. } => Err(at.error(ErrorKind::Unsupported)),
        }
    }

    fn run(&self, step: &Step, seen: &Seen) -> Outcome {
        self.carry_out(step, seen).unwrap_or_else(Outcome::Refused)
    }

    fn find_bridge(&self, bridge: Target) -> Result<Option<BridgeState>> {
        let at = Self::at(Operation::Find).on(bridge);
        let state = |bridge| self.state(bridge).at(at);
        unless(ErrorKind::NotFound, self.bridge(at, bridge).and_then(state))
    }

    fn list_bridges(&self) -> Result<Vec<BridgeState>> {
        let list = || still_there(self.bridges()?.into_iter().map(|bridge| self.state(bridge)));
        let mut states = list().map_err(|errno| Self::at(Operation::List).errno(errno))?;
        states.sort_unstable_by_key(|state| state.index);
        Ok(states)
    }

    fn list_ports(&self, bridge: Target) -> Result<Vec<PortState>> {
        self.read_ports(bridge)
    }

    fn find_port(&self, port: Target) -> Result<Option<PortState>> {
        self.read_port(port)
    }

    fn list_interfaces(&self) -> Result<Vec<InterfaceState>> {
        let state = |interface: Identity| {
            let state = |name| Ok(InterfaceState::new(name, interface.index(), self.control.mac(name)?));
            self.control.read(interface, state)
        };
        let list = || still_there(self.all()?.into_iter().map(state));
        list().map_err(|errno| Self::at(Operation::Interfaces).errno(errno))
    }

    fn find_tap(&self, tap: Target) -> Result<Option<TapState>> {
        taps::find(self, tap)
    }

    fn list_taps(&self) -> Result<Vec<TapState>> {
        self.read_taps()
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        taps::persist(self, tap)
    }

    fn adopt_descriptors(&self, queues: Vec<OwnedFd>) -> Result<Tap> {
        taps::adopt_descriptors(self, queues)
    }

    fn list_fdb(&self, bridge: Target) -> Result<Vec<FdbEntry>> {
        let at = Self::at(Operation::Fdb).on(bridge);
        let bridge = self.bridge(at, bridge)?;
        self.read_fdb(at, bridge)
    }

    fn bridge_has_carrier(&self, bridge: Target) -> Result<bool> {
        let at = Self::at(Operation::Find).on(bridge);
        let bridge = self.bridge(at, bridge)?;
        carrier::settled(self.limits.carrier, || self.carrier(at, bridge))
    }

    fn open_events(&self) -> Result<Events> {
        events::open(&self.namespace, Self::at(Operation::Events))
    }
}

/// What was read of interfaces one by one, without those that vanished while they were read.
fn still_there<T>(read: impl Iterator<Item = nix::Result<T>>) -> nix::Result<Vec<T>> {
    read.filter(|outcome| !matches!(outcome, Err(Errno::ENODEV))).collect()
}
