//! Bridges through rtnetlink: one `RTM_NEWLINK` makes a bridge complete.
//!
//! The kernel's side is `net/core/rtnetlink.c` and `net/bridge/br_netlink.c`.

mod decode;
mod encode;
mod socket;

use nix::errno::Errno;

use self::decode::Link;
use self::encode::{Filter, Request};
use self::socket::{Failure, Socket};
use super::BRIDGE_MTU;
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::{
    BridgeBackend, BridgeChange, BridgeOptions, BridgeSpec, BridgeState, Capabilities, Capability, Error,
    ErrorKind, InterfaceIndex, InterfaceName, InterfaceState, MacAddr, Operation, PortOptions, PortState, Result,
    UnicastMac,
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
            Some(errno @ (Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT)) => {
                at.means(ErrorKind::Unsupported, errno)
            }
            Some(errno) => at.errno(errno),
            None => at.io(ErrorKind::Os, source),
        })?;
        Ok(Self { socket })
    }

    fn at(operation: Operation) -> Attempt {
        Attempt::new(Self::NAME, operation)
    }

    /// Adds a veth, one end with this name and MAC: an Ethernet interface for a [`Sandbox`](super::Sandbox).
    pub(super) fn add_veth(&self, name: InterfaceName, mac: UnicastMac) -> std::io::Result<()> {
        self.socket.execute(encode::create_veth(name, mac)).map_err(|failure| match failure {
            Failure::Refused(errno, _) => errno.into(),
            Failure::Io(source) => source,
            Failure::Malformed | Failure::Cut | Failure::ListChanged => std::io::ErrorKind::InvalidData.into(),
        })
    }

    /// The interface of this name, of whatever kind.
    fn interface(&self, at: Attempt, name: InterfaceName) -> Result<Option<Link>> {
        match self.socket.get(|| encode::get_by_name(name)) {
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
            None => Err(at.means(ErrorKind::NotFound, Errno::ENODEV)),
        }
    }

    /// The bridge and the interface that is to be, or no longer to be, its port.
    fn bridge_and_port(&self, at: Attempt, bridge: InterfaceName, port: InterfaceName) -> Result<(Link, Link)> {
        let bridge = self.bridge(at, bridge)?;
        let port = self.interface(at, port)?.ok_or_else(|| at.means(ErrorKind::PortNotFound, Errno::ENODEV))?;
        Ok((bridge, port))
    }

    /// Has the kernel do something. Where its answer is lost, `is_done` finds out what it did.
    fn execute(
        &self,
        at: Attempt,
        request: Request,
        is_done: impl FnOnce() -> std::result::Result<bool, Failure>,
        refusal: impl FnOnce(Errno) -> ErrorKind,
    ) -> Result<()> {
        let failure = match self.socket.execute(request) {
            Ok(()) => return Ok(()),
            Err(Failure::Refused(errno, text)) => return Err(with_text(at.means(refusal(errno), errno), text)),
            Err(failure) => failure,
        };
        match is_done() {
            Ok(true) => Ok(()),
            Ok(false) => Err(error(at, failure)),
            Err(second) => {
                Err(error(at, failure)
                    .undone(Err(error(at, second)), "what was asked, if it was done before that,"))
            }
        }
    }

    /// The interface of this index.
    fn indexed(&self, index: InterfaceIndex) -> std::result::Result<Link, Failure> {
        self.socket.get(|| encode::get_by_index(index))
    }

    fn is_gone(&self, index: InterfaceIndex) -> bool {
        matches!(self.indexed(index), Err(Failure::Refused(Errno::ENODEV, _)))
    }

    /// Makes an interface the port of a bridge, or of none.
    fn set_master(
        &self,
        at: Attempt,
        port: InterfaceIndex,
        bridge: Option<InterfaceIndex>,
        refusal: impl FnOnce(Errno) -> ErrorKind,
    ) -> Result<()> {
        let is_done = || Ok(self.indexed(port)?.master == bridge);
        self.execute(at, encode::set_master(port, bridge), is_done, refusal)
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
        spec.options.check(at, self.capabilities())?;
        // Who has the name, if anyone, matters more than what else is wrong, as on the other backends.
        let name_taken = |errno| match self.interface(at, spec.name) {
            Ok(Some(link)) if !link.is_bridge => Some(ErrorKind::NameInUse),
            Ok(Some(_)) => Some(ErrorKind::BridgeExists),
            // It has vanished since: whoever wants this name wants a bridge.
            _ => (errno == Errno::EEXIST).then_some(ErrorKind::BridgeExists),
        };
        let refusal = |errno| match errno {
            Errno::EEXIST | Errno::EPERM => name_taken(errno).unwrap_or(ErrorKind::of(errno)),
            Errno::EINVAL if spec.mtu.is_some_and(|mtu| !BRIDGE_MTU.contains(&mtu)) => ErrorKind::InvalidMtu,
            // "Unknown device type": no driver of this kind, nor could one be loaded.
            Errno::EOPNOTSUPP => ErrorKind::NoDriver,
            errno => ErrorKind::of(errno),
        };
        let is_done = || match self.socket.get(|| encode::get_by_name(spec.name)) {
            Ok(link) => Ok(is_as_specified(&link, spec)),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(false),
            Err(failure) => Err(failure),
        };
        self.execute(at, encode::create(spec), is_done, refusal)
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::Delete).on(bridge);
        let index = self.bridge(at, bridge)?.index;
        let is_done = || match self.indexed(index) {
            Ok(_) => Ok(false),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(true),
            Err(failure) => Err(failure),
        };
        self.execute(at, encode::delete(index), is_done, ErrorKind::of)
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
        change.options.check(at, self.capabilities())?;
        let before = bridge_state(&self.bridge(at, bridge)?);
        let set = |step| {
            let is_done = || {
                let now = bridge_state(&self.indexed(before.index)?);
                Ok(match step {
                    Step::Mtu(mtu) => now.mtu == mtu,
                    Step::Mac(mac) => now.mac == mac,
                    Step::Link(link) => now.link == link,
                    Step::Option(_) => false,
                })
            };
            let refusal = |errno| match (step, errno) {
                (Step::Mtu(_), Errno::EINVAL | Errno::ERANGE) => ErrorKind::InvalidMtu,
                (_, errno) => ErrorKind::of(errno),
            };
            self.execute(at, encode::set(before.index, step), is_done, refusal)
        };
        let read = || {
            let link = self.indexed(before.index).map_err(|failure| error(at, failure))?;
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
            // One in a VRF, say.
            Some(_) if port.is_bridge => return Err(at.error(ErrorKind::PortIsBridge)),
            Some(_) => return Err(at.error(ErrorKind::PortBusy)),
            None => {}
        }
        self.set_master(at, port.index, Some(bridge.index), |errno| match errno {
            Errno::ELOOP => ErrorKind::PortIsBridge,
            Errno::EBUSY => ErrorKind::PortBusy,
            Errno::EXFULL => ErrorKind::TooManyPorts,
            // Also what the kernel says of a bridge that is no longer there.
            Errno::EINVAL if self.is_gone(bridge.index) => ErrorKind::NotFound,
            Errno::EINVAL | Errno::EOPNOTSUPP => ErrorKind::PortUnsuitable,
            Errno::ENODEV => ErrorKind::PortNotFound,
            errno => ErrorKind::of(errno),
        })
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::RemovePort).on(bridge).port(port);
        let (bridge, port) = self.bridge_and_port(at, bridge, port)?;
        if port.master != Some(bridge.index) {
            return Err(at.error(ErrorKind::NotAPort));
        }
        // The kernel releases a port from whichever bridge it is with by now.
        self.set_master(at, port.index, None, |errno| match errno {
            Errno::ENODEV => ErrorKind::PortNotFound,
            errno => ErrorKind::of(errno),
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
            // For who has which name or MAC a moment more or less does not matter.
            .dump_roughly(|| encode::dump(Filter::All))
            .map_err(|failure| error(Self::at(Operation::Interfaces), failure))?;
        Ok(links.iter().map(|link| InterfaceState { name: link.name, index: link.index, mac: link.mac }).collect())
    }
}

fn error(at: Attempt, failure: Failure) -> Error {
    match failure {
        Failure::Refused(errno, text) => with_text(at.errno(errno), text),
        Failure::Io(source) => match source.raw_os_error().map(Errno::from_raw) {
            Some(errno) => at.errno(errno),
            None => at.io(ErrorKind::Os, source),
        },
        Failure::Malformed | Failure::Cut => at.error(ErrorKind::MalformedReply),
        Failure::ListChanged => at.error(ErrorKind::ListChanged),
    }
}

fn with_text(error: Error, text: Option<String>) -> Error {
    match text {
        Some(text) => error.with_kernel_message(text),
        None => error,
    }
}

/// Whether a bridge is what `spec` asks for. One that was like that before cannot be told from one
/// that was made by a call whose answer was lost.
fn is_as_specified(link: &Link, spec: &BridgeSpec) -> bool {
    link.is_bridge
        && spec.mac.is_none_or(|mac| link.mac == Some(mac.into()))
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
        options: BridgeOptions::default(),
    }
}

fn port_state(link: &Link) -> PortState {
    PortState {
        name: link.name,
        index: link.index,
        mac: link.mac.unwrap_or(MacAddr::ZERO),
        mtu: link.mtu,
        link: link.state,
        options: PortOptions::default(),
        stp_state: None,
    }
}
