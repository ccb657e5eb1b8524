//! The ports of a bridge.

use nix::errno::Errno;

use super::options::REFUSED;
use super::{IoctlBackend, still_there};
use crate::error::{Attempt, CallResult, Meanings};
use crate::{
    Error, ErrorKind, Identity, InterfaceIndex, MacAddr, Operation, PortOptions, PortState, Result, SeenPort,
    Target,
};

/// How often a port is looked for that moves from bridge to bridge.
const TRIES: usize = 8;

/// What a look at a port fails with.
const NO_PORT: &Meanings = &[(Errno::ENODEV, ErrorKind::PortNotFound)];

impl IoctlBackend {
    /// Looks at a bridge and an interface, and at those options that are `asked` for.
    pub(super) fn look_at_port(
        &self,
        at: Attempt,
        bridge: Target,
        port: Target,
        asked: Option<&PortOptions>,
    ) -> Result<SeenPort> {
        let bridge = self.bridge(at, bridge)?;
        let port = self.resolve(port).meaning(at, NO_PORT)?;
        let of_bridge = |name| Ok((self.control.mtu(name)?, self.control.port_number(name, port.index())?));
        let (bridge_mtu, number) = self.control.read(bridge, of_bridge).at(at)?;
        let port_mtu = self.control.read(port, |name| self.control.mtu(name)).meaning(at, NO_PORT)?;
        let mut seen = SeenPort::new(bridge, bridge_mtu, port, port_mtu);
        seen.is_port = number.is_some();
        if let (Some(asked), Some(number)) = (asked, number) {
            self.check_port_options(at, asked)?;
            let read = self.port_options(bridge, port, number, Some(asked));
            (seen.options, _) = read.map_err(|errno| self.port_failure(at, bridge, port, errno))?;
        }
        Ok(seen)
    }

    pub(super) fn attach(&self, at: Attempt, seen: &SeenPort) -> Result<()> {
        let (bridge, port) = (seen.bridge, seen.port.index());
        let Err(errno) = self.control.add_port(bridge, port) else { return Ok(()) };
        let is_port_of = |bridge| self.is_port_of(bridge, port) == Ok(true);
        let kind = match errno {
            // Another process has added it since.
            Errno::EBUSY if is_port_of(bridge) => ErrorKind::AlreadyPort,
            Errno::EBUSY => ErrorKind::PortBusy,
            Errno::EXFULL => ErrorKind::TooManyPorts,
            Errno::ELOOP => ErrorKind::PortIsBridge,
            // The kernel says the same of an index that no longer exists.
            Errno::EINVAL if self.has_left(port) => ErrorKind::PortNotFound,
            Errno::EINVAL | Errno::EOPNOTSUPP => ErrorKind::PortUnsuitable,
            // As on the other backends, the port's bridge matters more than the privilege.
            Errno::EPERM
                if self.bridges().into_iter().flatten().any(|other| other != bridge && is_port_of(other)) =>
            {
                ErrorKind::PortBusy
            }
            errno => ErrorKind::of(errno),
        };
        Err(at.means(kind, errno))
    }

    pub(super) fn release(&self, at: Attempt, seen: &SeenPort) -> Result<()> {
        let port = seen.port.index();
        self.control.remove_port(seen.bridge, port).map_err(|errno| match errno {
            Errno::EINVAL if self.has_left(port) => at.means(ErrorKind::PortNotFound, errno),
            errno => at.meaning(errno, &[(Errno::EINVAL, ErrorKind::NotAPort)]),
        })
    }

    pub(super) fn read_ports(&self, bridge: Target) -> Result<Vec<PortState>> {
        let at = Self::at(Operation::Ports).on(bridge);
        let bridge = self.bridge(at, bridge)?;
        let numbered = self.control.read(bridge, |name| self.control.numbered_ports(name));
        let mut numbered = numbered.at(at)?;
        numbered.sort_unstable_by_key(|&(_, index)| index);
        let state = |(number, index)| self.port_state(bridge, self.current(index)?, number);
        still_there(numbered.into_iter().map(state)).at(at)
    }

    pub(super) fn read_port(&self, port: Target) -> Result<Option<PortState>> {
        let at = Self::at(Operation::Ports).port(port);
        let find = || {
            let port = self.resolve(port)?;
            let Some(bridge) = self.bridge_of(port)? else { return Ok(None) };
            let number = self.control.read(bridge, |name| self.control.port_number(name, port.index()))?;
            let state = self.port_state(bridge, port, number.ok_or(Errno::ENODEV)?)?;
            Ok(Some(PortState { bridge: Some(bridge), ..state }))
        };
        for _ in 0..TRIES {
            match find() {
                Err(Errno::ENODEV) if self.resolve(port) == Err(Errno::ENODEV) => return Ok(None),
                // The bridge has left, or the port is one of another bridge by now.
                Err(Errno::ENODEV) => {}
                found => return found.at(at),
            }
        }
        Err(at.error(ErrorKind::ListChanged))
    }

    /// The bridge of a port. sysfs knows it; without one, each bridge is asked.
    fn bridge_of(&self, port: Identity) -> nix::Result<Option<Identity>> {
        match self.in_sysfs(port, |port| port.optional(c"brport/bridge/ifindex")) {
            Ok(None) => Ok(None),
            Ok(Some(index)) => self.current(InterfaceIndex::from_c(index).ok_or(Errno::EBADMSG)?).map(Some),
            Err(Errno::ENOSYS) => {
                let is_its = |&bridge: &Identity| self.is_port_of(bridge, port.index()) == Ok(true);
                Ok(self.bridges()?.into_iter().find(is_its))
            }
            Err(errno) => Err(errno),
        }
    }

    /// `ENODEV` if the interface has left, or the bridge.
    fn port_state(&self, bridge: Identity, port: Identity, number: u16) -> nix::Result<PortState> {
        let mut state = self.control.read(port, |name| {
            let mac = self.control.mac(name)?.unwrap_or(MacAddr::ZERO);
            Ok(PortState::new(name, port.index(), mac, self.control.mtu(name)?, self.control.link(name)?))
        })?;
        (state.options, state.stp_state) = self.port_options(bridge, port, number, None)?;
        Ok(state)
    }

    fn is_port_of(&self, bridge: Identity, port: InterfaceIndex) -> nix::Result<bool> {
        Ok(self.control.read(bridge, |name| self.control.port_number(name, port))?.is_some())
    }

    fn has_left(&self, interface: InterfaceIndex) -> bool {
        self.control.name(interface) == Err(Errno::ENODEV)
    }

    /// Why a port of a bridge cannot be one any longer; `None` if it is one.
    pub(super) fn lost(&self, bridge: Identity, port: Identity) -> nix::Result<Option<ErrorKind>> {
        Ok(match self.is_port_of(bridge, port.index()) {
            Ok(true) => None,
            Ok(false) if self.has_left(port.index()) => Some(ErrorKind::PortNotFound),
            Ok(false) => Some(ErrorKind::NotAPort),
            Err(Errno::ENODEV) => Some(ErrorKind::NotFound),
            Err(errno) => return Err(errno),
        })
    }

    /// The error of something on a port. A port that has left is the reason, whatever the call said.
    pub(super) fn port_failure(&self, at: Attempt, bridge: Identity, port: Identity, errno: Errno) -> Error {
        match self.lost(bridge, port) {
            Ok(Some(kind)) => at.means(kind, errno),
            Ok(None) | Err(_) => at.meaning(errno, REFUSED),
        }
    }
}
