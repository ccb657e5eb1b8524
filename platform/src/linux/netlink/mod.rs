//! Bridges through rtnetlink: one `RTM_NEWLINK` makes a bridge complete.
//!
//! The kernel's side is `net/core/rtnetlink.c` and `net/bridge/br_netlink.c`.

mod decode;
mod encode;
mod socket;

use nix::errno::Errno;

use self::decode::Link;
use self::encode::Filter;
use self::socket::{Failure, Socket};
use super::BRIDGE_MTU;
use crate::change;
use crate::error::Attempt;
use crate::{
    BridgeBackend, BridgeChange, BridgeSpec, BridgeState, Capabilities, Capability, Error, ErrorKind,
    InterfaceIndex, InterfaceName, InterfaceState, MacAddr, Operation, PortState, Result, UnicastMac,
};

/// A bridge's `IFLA_INFO_KIND`.
const KIND: &str = "bridge";

/// Bridges through rtnetlink, in the network namespace that it was opened in.
#[derive(Debug)]
pub struct NetlinkBackend {
    socket: Socket,
}

impl NetlinkBackend {
    /// [`BridgeBackend::name`] of this backend.
    pub const NAME: &str = "netlink";

    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `Unsupported` or `Os`: this kernel or policy has no rtnetlink.
    pub fn open() -> Result<Self> {
        let at = Attempt::new(Self::NAME, Operation::Open);
        let socket = Socket::open().map_err(|source| match source.raw_os_error().map(Errno::from_raw) {
            Some(errno @ (Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT)) => at.os(ErrorKind::Unsupported, errno),
            Some(errno) => at.errno(errno),
            None => at.io(ErrorKind::Os, source),
        })?;
        Ok(Self { socket })
    }

    fn at(operation: Operation) -> Attempt {
        Attempt::new(Self::NAME, operation)
    }

    /// Adds a veth, one end with this name and MAC: an Ethernet interface for a [`Sandbox`](super::Sandbox).
    pub(super) fn add_veth(&self, name: InterfaceName, mac: UnicastMac) -> Result<()> {
        let at = Self::at(Operation::AddPort).port(name);
        self.socket.execute(encode::create_veth(name, mac)).map_err(|failure| error(at, failure))
    }

    /// The interface of this name, of whatever kind.
    fn interface(&self, at: Attempt, name: InterfaceName) -> Result<Option<Link>> {
        match self.socket.get(encode::get_by_name(name)) {
            Ok(link) => Ok(Some(link)),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(None),
            Err(failure) => Err(error(at, failure)),
        }
    }

    /// The bridge of this name.
    fn bridge(&self, at: Attempt, name: InterfaceName) -> Result<Link> {
        match self.interface(at, name)? {
            Some(link) if link.is_bridge => Ok(link),
            Some(_) => Err(at.error(ErrorKind::NotABridge)),
            None => Err(at.os(ErrorKind::NotFound, Errno::ENODEV)),
        }
    }

    /// The bridge and the interface that is to be, or no longer to be, its port.
    fn bridge_and_port(&self, at: Attempt, bridge: InterfaceName, port: InterfaceName) -> Result<(Link, Link)> {
        let bridge = self.bridge(at, bridge)?;
        let port = self.interface(at, port)?.ok_or_else(|| at.os(ErrorKind::PortNotFound, Errno::ENODEV))?;
        Ok((bridge, port))
    }

    /// Sets the master of a port. Where the answer was lost, the kernel's state tells the outcome.
    fn set_master(
        &self,
        port: InterfaceIndex,
        bridge: Option<InterfaceIndex>,
    ) -> std::result::Result<(), Failure> {
        self.socket.execute(encode::set_master(port, bridge)).or_else(|failure| {
            let settled = failure.is_lost_answer()
                && self.socket.get(encode::get_by_index(port)).is_ok_and(|link| link.master == bridge);
            if settled { Ok(()) } else { Err(failure) }
        })
    }
}

impl BridgeBackend for NetlinkBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::from_iter([Capability::AtomicCreate, Capability::MacFollowsPorts])
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        let at = Self::at(Operation::Create).on(spec.name);
        let failure = match self.socket.execute(encode::create(spec)) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let lost_answer = failure.is_lost_answer();
        let there = self.interface(at, spec.name);
        match (&failure, &there) {
            // Who has the name matters more than what else is wrong, as on the other backends.
            (Failure::Refused(errno @ (Errno::EEXIST | Errno::EPERM), _), Ok(Some(link))) => {
                Err(at.os(if link.is_bridge { ErrorKind::BridgeExists } else { ErrorKind::NameInUse }, *errno))
            }
            (Failure::Refused(errno @ Errno::EEXIST, _), _) => Err(at.os(ErrorKind::NameInUse, *errno)),
            // "Unknown device type": no driver of this kind, nor could one be loaded.
            (Failure::Refused(errno @ Errno::EOPNOTSUPP, Some(text)), _) if text.contains("device type") => {
                Err(at.os(ErrorKind::NoDriver, *errno).with_kernel_message(text.as_str()))
            }
            (Failure::Refused(errno @ Errno::EINVAL, text), _)
                if spec.mtu.is_some_and(|mtu| !BRIDGE_MTU.contains(&mtu)) =>
            {
                Err(with_text(at.os(ErrorKind::InvalidMtu, *errno), text.clone()))
            }
            // The answer was lost, but the bridge is there and it is the one that was asked for.
            (_, Ok(Some(link))) if lost_answer && is_as_specified(link, spec) => Ok(()),
            // It cannot be told whether the bridge is this call's or was there before.
            (_, Ok(Some(_))) if lost_answer && spec.mac.is_none() => {
                let unknown = at.error(ErrorKind::BridgeExists);
                Err(error(at, failure)
                    .undone(Err(unknown), format_args!("bridge {}, if this made it,", spec.name)))
            }
            (_, Err(_)) if lost_answer => {
                let left = format!("bridge {}, if it was made,", spec.name);
                Err(error(at, failure).undone(there.map(drop), left))
            }
            _ => Err(error(at, failure)),
        }
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::Delete).on(bridge);
        let index = self.bridge(at, bridge)?.index;
        self.socket.execute(encode::delete(index)).or_else(|failure| {
            let gone = || self.socket.get(encode::get_by_index(index));
            if failure.is_lost_answer() && matches!(gone(), Err(Failure::Refused(Errno::ENODEV, _))) {
                return Ok(());
            }
            Err(error(at, failure))
        })
    }

    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>> {
        let at = Self::at(Operation::Find).on(bridge);
        match self.interface(at, bridge)? {
            None => Ok(None),
            Some(link) if link.is_bridge => Ok(Some(bridge_state(&link))),
            Some(_) => Err(at.error(ErrorKind::NotABridge)),
        }
    }

    fn list(&self) -> Result<Vec<BridgeState>> {
        let links = self
            .socket
            .dump(|| encode::dump(Filter::Bridges), |link| link.is_bridge)
            .map_err(|failure| error(Self::at(Operation::List), failure))?;
        Ok(links.iter().map(bridge_state).collect())
    }

    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        let at = Self::at(Operation::Change).on(bridge);
        let before = bridge_state(&self.bridge(at, bridge)?);
        let set = |step| {
            self.socket.execute(encode::set(before.index, step)).map_err(|failure| match (step, failure) {
                (change::Step::Mtu(_), Failure::Refused(errno @ (Errno::EINVAL | Errno::ERANGE), text)) => {
                    with_text(at.os(ErrorKind::InvalidMtu, errno), text)
                }
                (_, failure) => error(at, failure),
            })
        };
        let read = || {
            let link =
                self.socket.get(encode::get_by_index(before.index)).map_err(|failure| error(at, failure))?;
            Ok(bridge_state(&link))
        };
        change::apply(&before, change, set, read)
    }

    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::AddPort).on(bridge).port(port);
        let (bridge, port) = self.bridge_and_port(at, bridge, port)?;
        // The kernel would move a port of another bridge here without a word.
        match port.master {
            Some(master) if master == bridge.index => return Err(at.error(ErrorKind::AlreadyPort)),
            Some(_) => return Err(at.error(ErrorKind::PortBusy)),
            None => {}
        }
        self.set_master(port.index, Some(bridge.index)).map_err(|failure| match failure {
            Failure::Refused(errno @ Errno::ELOOP, text) => with_text(at.os(ErrorKind::PortIsBridge, errno), text),
            Failure::Refused(errno @ Errno::EBUSY, text) => with_text(at.os(ErrorKind::PortBusy, errno), text),
            Failure::Refused(errno @ (Errno::EINVAL | Errno::EOPNOTSUPP), text) => {
                with_text(at.os(ErrorKind::PortUnsuitable, errno), text)
            }
            Failure::Refused(errno @ Errno::ENODEV, _) => at.os(ErrorKind::PortNotFound, errno),
            failure => error(at, failure),
        })
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::RemovePort).on(bridge).port(port);
        let (bridge, port) = self.bridge_and_port(at, bridge, port)?;
        if port.master != Some(bridge.index) {
            return Err(at.error(ErrorKind::NotAPort));
        }
        self.set_master(port.index, None).map_err(|failure| match failure {
            Failure::Refused(errno @ Errno::ENODEV, _) => at.os(ErrorKind::PortNotFound, errno),
            failure => error(at, failure),
        })
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        let at = Self::at(Operation::Ports).on(bridge);
        let bridge = self.bridge(at, bridge)?.index;
        let links = self
            .socket
            .dump(|| encode::dump(Filter::PortsOf(bridge)), |link| link.master == Some(bridge))
            .map_err(|failure| error(at, failure))?;
        Ok(links.iter().map(port_state).collect())
    }

    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        let links = self
            .socket
            .dump(|| encode::dump(Filter::All), |_| true)
            .map_err(|failure| error(Self::at(Operation::Interfaces), failure))?;
        Ok(links.iter().map(|link| InterfaceState { name: link.name, index: link.index, mac: link.mac }).collect())
    }
}

impl Failure {
    /// The request was sent, and what the kernel did with it is not known.
    const fn is_lost_answer(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Malformed)
    }
}

fn error(at: Attempt, failure: Failure) -> Error {
    match failure {
        Failure::Refused(errno, text) => with_text(at.errno(errno), text),
        Failure::Io(source) => match source.raw_os_error().map(Errno::from_raw) {
            Some(errno) => at.errno(errno),
            None => at.io(ErrorKind::Os, source),
        },
        Failure::Malformed => at.error(ErrorKind::MalformedReply),
        Failure::ListChanged => at.error(ErrorKind::ListChanged),
    }
}

fn with_text(error: Error, text: Option<String>) -> Error {
    match text {
        Some(text) => error.with_kernel_message(text),
        None => error,
    }
}

/// Whether a bridge is the one that `spec` asks for, beyond doubt: with its MAC.
fn is_as_specified(link: &Link, spec: &BridgeSpec) -> bool {
    link.is_bridge
        && spec.mac.is_some_and(|mac| link.mac == Some(mac.into()))
        && spec.mtu.is_none_or(|mtu| mtu == link.mtu)
        && link.state == spec.link
}

fn bridge_state(link: &Link) -> BridgeState {
    BridgeState {
        name: link.name,
        index: link.index,
        mac: link.mac.unwrap_or(MacAddr::ZERO),
        mtu: link.mtu,
        link: link.state,
    }
}

fn port_state(link: &Link) -> PortState {
    PortState {
        name: link.name,
        index: link.index,
        mac: link.mac.unwrap_or(MacAddr::ZERO),
        mtu: link.mtu,
        link: link.state,
    }
}
