//! The ports of a bridge.

use nix::errno::Errno;

use super::{IoctlBackend, still_there};
use crate::error::Attempt;
use crate::{ErrorKind, InterfaceIndex, InterfaceName, MacAddr, Operation, PortState, Result};

impl IoctlBackend {
    pub(super) fn attach(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
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

    pub(super) fn release(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
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

    pub(super) fn read_ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
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

    pub(super) fn port_index(&self, at: Attempt, port: InterfaceName) -> Result<InterfaceIndex> {
        self.control.index(port).map_err(|errno| match errno {
            Errno::ENODEV => at.means(ErrorKind::PortNotFound, errno),
            errno => at.errno(errno),
        })
    }

    /// The ports of a bridge that was checked to be one.
    fn port_indices(&self, at: Attempt, bridge: InterfaceName) -> Result<Vec<InterfaceIndex>> {
        self.control.ports(bridge).map_err(|errno| at.errno(errno))
    }

    /// Whether an interface is a port of any bridge but this one.
    fn is_port_elsewhere(&self, at: Attempt, bridge: InterfaceName, port: InterfaceIndex) -> bool {
        let mut others = self.bridge_names(at).into_iter().flatten().filter(|&other| other != bridge);
        others.any(|other| self.control.ports(other).is_ok_and(|ports| ports.contains(&port)))
    }
}
