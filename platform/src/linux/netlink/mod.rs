//! Bridges through rtnetlink: one `RTM_NEWLINK` makes a bridge complete.
//!
//! The kernel's side is `net/core/rtnetlink.c` and `net/bridge/br_netlink.c`.

mod decode;
mod encode;
mod fdb;
mod options;
mod port;
mod socket;
mod vlan;

use nix::errno::Errno;

use self::decode::Link;
use self::encode::{Filter, Request};
use self::socket::{Failure, Socket};
use super::BRIDGE_MTU;
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::{
    BridgeBackend, BridgeChange, BridgeOption, BridgeOptions, BridgeSpec, BridgeState, Capabilities, Capability,
    Error, ErrorKind, FdbEntry, InterfaceIndex, InterfaceName, InterfaceState, MacAddr, Operation, PortOptions,
    PortState, PortVlans, Result, StaticEntry, UnicastMac, VlanId, VlanRange,
};

/// A bridge's `IFLA_INFO_KIND`.
const KIND: &str = "bridge";

const CAPABILITIES: &[Capability] = &[
    Capability::AtomicCreate,
    Capability::MacFollowsPorts,
    Capability::ForwardDelay,
    Capability::HelloTime,
    Capability::MaxAge,
    Capability::Priority,
    Capability::Stp,
    Capability::AgeingTime,
    Capability::MulticastSnooping,
    Capability::GroupForwardMask,
    Capability::VlanFiltering,
    Capability::DefaultPvid,
    Capability::Isolated,
    Capability::Learning,
    Capability::UnicastFlood,
    Capability::MulticastFlood,
    Capability::BroadcastFlood,
    Capability::BpduGuard,
    Capability::RootBlock,
    Capability::FastLeave,
    Capability::Hairpin,
    Capability::NeighborSuppression,
    Capability::Locked,
    Capability::PathCost,
    Capability::PortPriority,
    Capability::PortStpState,
    Capability::FdbList,
    Capability::FdbStatic,
    Capability::FdbVlan,
    Capability::FdbFlush,
    Capability::PortVlans,
];

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
        match self.socket.get_link(|| encode::get_by_name(name)) {
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
    fn execute<C: Into<Cause>>(
        &self,
        at: Attempt,
        request: Request,
        is_done: impl FnOnce() -> std::result::Result<bool, Failure>,
        refusal: impl FnOnce(Errno, Option<&str>) -> C,
    ) -> Result<()> {
        let failure = match self.socket.execute(request) {
            Ok(()) => return Ok(()),
            Err(Failure::Refused(errno, text)) => {
                let cause = refusal(errno, text.as_deref()).into();
                let at = cause.option.map_or(at, |option| at.with(option));
                return Err(with_text(at.means(cause.kind, errno), text));
            }
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

    /// Takes a bridge back whose kernel has ignored an option: it does not report what it does not
    /// know, or was built without, such as multicast snooping.
    fn check_created(&self, at: Attempt, spec: &BridgeSpec) -> Result<()> {
        let link = self.bridge(at, spec.name)?;
        let ignored = |option: &BridgeOption| !link.options.iter().any(|known| is_same(known, *option));
        match spec.options.iter().find(ignored) {
            None => Ok(()),
            Some(option) => {
                let outcome =
                    self.socket.execute(encode::delete(link.index)).map_err(|failure| error(at, failure));
                let error = at.with(option.capability()).error(ErrorKind::Unsupported);
                Err(error.undone(outcome, format_args!("bridge {}", spec.name)))
            }
        }
    }

    /// The interface of this index.
    fn indexed(&self, index: InterfaceIndex) -> std::result::Result<Link, Failure> {
        self.socket.get_link(|| encode::get_by_index(index))
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
        self.execute(at, encode::set_master(port, bridge), is_done, |errno, _| refusal(errno))
    }
}

impl BridgeBackend for NetlinkBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES.iter().copied().collect()
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        let at = Self::at(Operation::Create).on(spec.name);
        spec.options.check(at, self.capabilities())?;
        options::check(at, &spec.options)?;
        // Who has the name, if anyone, matters more than what else is wrong, as on the other backends.
        let name_taken = |errno| match self.interface(at, spec.name) {
            Ok(Some(link)) if !link.is_bridge => Some(ErrorKind::NameInUse),
            Ok(Some(_)) => Some(ErrorKind::BridgeExists),
            // It has vanished since: whoever wants this name wants a bridge.
            _ => (errno == Errno::EEXIST).then_some(ErrorKind::BridgeExists),
        };
        let refusal = |errno, text: Option<&str>| match errno {
            Errno::EEXIST | Errno::EPERM => name_taken(errno).unwrap_or(ErrorKind::of(errno)).into(),
            Errno::EINVAL if spec.mtu.is_some_and(|mtu| !BRIDGE_MTU.contains(&mtu)) => {
                ErrorKind::InvalidMtu.into()
            }
            // No driver of this kind, nor could one be loaded.
            Errno::EOPNOTSUPP if text == Some("Unknown device type") => ErrorKind::NoDriver.into(),
            _ => match Cause::of_options(errno, spec.options.iter().map(BridgeOption::capability)) {
                // Kernels before 4.12 have no words for it.
                None if errno == Errno::EOPNOTSUPP => ErrorKind::NoDriver.into(),
                cause => cause.unwrap_or(ErrorKind::of(errno).into()),
            },
        };
        let is_done = || match self.socket.get_link(|| encode::get_by_name(spec.name)) {
            Ok(link) => Ok(is_as_specified(&link, spec)),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(false),
            Err(failure) => Err(failure),
        };
        self.execute(at, encode::create(spec), is_done, refusal)?;
        if spec.options == BridgeOptions::default() { Ok(()) } else { self.check_created(at, spec) }
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::Delete).on(bridge);
        let index = self.bridge(at, bridge)?.index;
        let is_done = || match self.indexed(index) {
            Ok(_) => Ok(false),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(true),
            Err(failure) => Err(failure),
        };
        self.execute(at, encode::delete(index), is_done, |errno, _| ErrorKind::of(errno))
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
        options::check(at, &change.options)?;
        let before = bridge_state(&self.bridge(at, bridge)?);
        let set = |step| {
            let is_done = || {
                let now = self.indexed(before.index)?;
                Ok(match step {
                    Step::Mtu(mtu) => now.mtu == mtu,
                    Step::Mac(mac) => now.mac == Some(mac),
                    Step::Link(link) => now.state == link,
                    Step::Option(option) => {
                        let asked = BridgeOptions::from_iter([option]);
                        asked.unlike(&options::unrounded(now.options, &asked)).next().is_none()
                    }
                })
            };
            let refusal = |errno, _: Option<&str>| match (step, errno) {
                (Step::Mtu(_), Errno::EINVAL | Errno::ERANGE) => ErrorKind::InvalidMtu.into(),
                (Step::Option(option), errno) => {
                    Cause::of_options(errno, [option.capability()]).unwrap_or(ErrorKind::of(errno).into())
                }
                (_, errno) => ErrorKind::of(errno).into(),
            };
            self.execute::<Cause>(at, encode::set(before.index, step), is_done, refusal)
        };
        let set = |step| {
            set(step)?;
            match step {
                Step::Option(option) if !before.options.iter().any(|known| is_same(known, option)) => {
                    Err(at.with(option.capability()).error(ErrorKind::Unsupported))
                }
                // Undone: what it had made of the forward delay is not.
                Step::Option(BridgeOption::Stp(false)) if before.options.stp == Some(false) => {
                    let delay = before.options.forward_delay.map(BridgeOption::ForwardDelay);
                    delay.map_or(Ok(()), |delay| set(Step::Option(delay)))
                }
                _ => Ok(()),
            }
        };
        let read = || {
            let link = self.indexed(before.index).map_err(|failure| error(at, failure))?;
            let mut now = bridge_state(&link);
            now.options = options::unrounded(now.options, &change.options);
            Ok(now)
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

    fn change_port(&self, bridge: InterfaceName, port: InterfaceName, options: &PortOptions) -> Result<()> {
        self.set_port_options(bridge, port, options)
    }

    fn fdb(&self, bridge: InterfaceName) -> Result<Vec<FdbEntry>> {
        self.read_fdb(bridge)
    }

    fn add_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        self.add_neighbour(bridge, entry)
    }

    fn replace_fdb_entry(&self, bridge: InterfaceName, entry: &StaticEntry) -> Result<()> {
        self.replace_neighbour(bridge, entry)
    }

    fn remove_fdb_entry(&self, bridge: InterfaceName, mac: UnicastMac, vlan: Option<VlanId>) -> Result<()> {
        self.remove_neighbour(bridge, mac, vlan)
    }

    fn flush_fdb(&self, bridge: InterfaceName) -> Result<()> {
        self.forget(bridge)
    }

    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Result<Vec<PortVlans>> {
        self.read_vlans(bridge, port)
    }

    fn add_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: PortVlans) -> Result<()> {
        self.let_through(bridge, port, vlans)
    }

    fn remove_vlans(&self, bridge: InterfaceName, port: InterfaceName, vlans: VlanRange) -> Result<()> {
        self.let_no_longer_through(bridge, port, vlans)
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

/// What a refusal means: its kind, and the option that it is about if that is known.
struct Cause {
    kind: ErrorKind,
    option: Option<Capability>,
}

impl From<ErrorKind> for Cause {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, option: None }
    }
}

impl Cause {
    /// The kernel refuses a message with these options; which of several, it does not tell.
    fn of_options(errno: Errno, options: impl IntoIterator<Item = Capability>) -> Option<Self> {
        let kind = match errno {
            Errno::EINVAL | Errno::ERANGE => ErrorKind::InvalidOption,
            Errno::EOPNOTSUPP => ErrorKind::Unsupported,
            _ => return None,
        };
        let mut options = options.into_iter();
        let first = options.next()?;
        Some(Self { kind, option: options.next().is_none().then_some(first) })
    }
}

/// Whether these are values of the same option.
fn is_same(one: BridgeOption, other: BridgeOption) -> bool {
    one.capability() == other.capability()
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
        options: link.options,
    }
}

fn port_state(link: &Link) -> PortState {
    PortState {
        name: link.name,
        index: link.index,
        mac: link.mac.unwrap_or(MacAddr::ZERO),
        mtu: link.mtu,
        link: link.state,
        options: link.port_options,
        stp_state: link.stp_state,
    }
}
