//! The trait of a kernel's interface for bridges, and its promises.

use std::fmt;
use std::os::fd::OwnedFd;

use crate::error::Attempt;
use crate::{
    BridgeState, Bulk, Capabilities, Capability, ErrorKind, Events, FdbEntry, Identity, InterfaceState, Operation,
    PortState, PortVlans, Result, Seen, Step, Tap, TapState, Target,
};

/// A kernel's interface for bridges.
///
/// A backend reads state and carries out [steps](Step). Users call [`Bridges`](crate::Bridges), which every
/// backend has. Its operations check a step, look at the interfaces of the step, carry it out, and roll it back
/// when it fails. So a backend implements no rollback.
///
/// The operations promise on every backend:
///
/// 1. **All or nothing.** When a call returns an error, the host is as it was before. If rollback fails, too,
///    [`Error::rollback`](crate::Error::rollback) names what is left.
///    *Exceptions:* [`Step::Delete`], [`Step::RemovePort`], [`Step::FlushFdb`] and [`Step::DeleteTap`] cannot be
///    rolled back. A bridge whose MAC or MTU was set back no longer follows its ports. A
///    [`HostIpv6`](crate::HostIpv6) that was set back to `Kernel` has the kernel's defaults, and addresses that
///    `Disabled` has removed do not come back. The header and the offloads of
///    an adopted tap stay as they were set.
/// 2. **The MAC is part of creation.** No bridge has its final name before it has the MAC of its spec. With
///    [`AtomicCreate`](Capability::AtomicCreate), the kernel takes the MAC in the call that creates the bridge.
///    Elsewhere the backend sets the MAC before `create` returns, waits for udev, and reads the MAC back.
///    A given MTU is part of creation, too, and stays when ports join and leave.
///    *Exceptions:* FreeBSD fixes the name `bridgeN` at creation, and gives a bridge the MTU of its first port. On
///    netlink a bridge with an MTU gets a random index from 2²⁹ to 2³⁰, since one call creates it and sets the MTU.
/// 3. **Only what was meant.** An operation changes bridges, ports of that bridge, and taps; only the interface
///    that its [`Target`] had when the operation began.
///    *Exception:* where the kernel's call takes a name (Linux ioctl, FreeBSD), the backend compares the name with
///    the index directly before the call. It does not see a rename between these two calls.
///    On netlink a message about a port names no bridge. If another process moves the port to another bridge
///    meanwhile, [`Step::RemovePort`] releases it from there, the steps on VLANs change those that it has there, and
///    [`Step::RemoveFdbEntry`] removes an equal entry there. Bridges that are deleted together are a temporary group:
///    an interface that another process puts into it before the call is deleted, too. If another bridge has the random
///    index of a new bridge with an MTU, `create` fails, and the other bridge gets the MTU: only bridges that were created
///    with an MTU have such indices, and there are 2²⁹ of them.
///    Linux ioctl, and netlink before Linux 6.2, do not tell which bridge they have created: it is found by its name,
///    and on netlink by its MAC. FreeBSD cannot tell two interfaces that had one index within the same second.
/// 4. **Names and MACs are validated before the kernel sees them**, by their types. Too long is an error.
/// 5. **An existing interface is an error on `create`** ([`BridgeExists`](ErrorKind::BridgeExists),
///    [`NameInUse`](ErrorKind::NameInUse)).
/// 6. **Unsupported is reported, never ignored.** [`capabilities`](Self::capabilities) lists what a backend can
///    do with the running kernel; a call outside of it is [`Unsupported`](ErrorKind::Unsupported), and the error names
///    the missing [`Capability`].
/// 7. **Errors say what, where, why**, and the same situation has the same [`ErrorKind`] on every backend.
/// 8. **Bounded waiting.** Each call that can wait has a [limit](crate::waiting), which the caller sets when the backend
///    is opened. No call loses an `EINTR`, or leaves a thread behind. A handle works in the network namespace
///    (Linux) or VNET jail (FreeBSD) that it was opened in, whichever thread calls it.
///    *Exceptions:* the limits of two waits are fixed at 1 s: listing the FDB on Linux ioctl, and creating an
///    interface on FreeBSD after a leftover was destroyed.
/// 9. **Tolerant reader.** Attributes of newer kernels are skipped; a malformed reply is
///    [`MalformedReply`](ErrorKind::MalformedReply), never a panic.
/// 10. **Linearizable.** Two operations at once end as some order of the two would.
///     *Exceptions:* on netlink, two processes that attach one port at once may both succeed, to two bridges or to the
///     same: `RTM_SETLINK` cannot say "only if it has no master". The port is on the bridge of the last one.
///     No kernel tells who attached a port. When a process attaches a port and fails later, rollback releases the port,
///     even if another process attached it to the same bridge meanwhile, which changed nothing.
///
/// On Linux a name may also be an alternative name (`ip link property add altname`). A state that is read has the
/// interface's own name.
///
/// The trait is object-safe and open: others may implement it. [`model::Model`](crate::model::Model) is an
/// implementation to learn from.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Returns the backend's name, as errors and the command show it.
    fn name(&self) -> &'static str;

    /// Returns what this backend can do with the running kernel, beyond what every backend must.
    ///
    /// On Linux the first call tries the kernel, which takes milliseconds and `CAP_SYS_ADMIN`: the backend creates a bridge
    /// with a tap as its port in a network namespace of its own. Without that capability, it reads the options of a bridge
    /// that exists, if any. What it cannot find out, it reports as [`implemented`](Self::implemented).
    fn capabilities(&self) -> Capabilities;

    /// Returns what this backend can do with a kernel that has everything. Costs nothing. By default these are its
    /// [`capabilities`](Self::capabilities).
    ///
    /// The operations refuse other steps. A step that only the running kernel lacks is refused by the kernel, and fails
    /// with `Unsupported`, too.
    fn implemented(&self) -> Capabilities {
        self.capabilities()
    }

    /// Looks at the interfaces of a step: resolves its [targets](Target), and reads the state that
    /// [`run`](Self::run) and rollback need.
    ///
    /// Returns the variant of [`Seen`] that belongs to the step. The caller has checked the step against what is
    /// [implemented](Self::implemented). Nothing on the host changes.
    ///
    /// # Errors
    /// `NotFound`, `PortNotFound`; `NotABridge`, `NotATap`; `Unsupported` and `InvalidOption` for values that the
    /// backend knows the kernel to refuse.
    fn look(&self, step: &Step) -> Result<Seen>;

    /// Carries out a step on the interfaces of `seen`, and on no others.
    ///
    /// If a later part of the step fails, the backend does not roll back the earlier parts: it returns
    /// [`Outcome::Unclear`], and the caller rolls back.
    fn run(&self, step: &Step, seen: &Seen) -> Outcome;

    /// Finds a bridge; `None` when no interface has the name, or the identity.
    ///
    /// # Errors
    /// `NotABridge` when the interface is of another kind.
    fn find_bridge(&self, bridge: Target) -> Result<Option<BridgeState>>;

    /// Lists all bridges, by index.
    ///
    /// # Errors
    /// `ListChanged` when no two readings agree, since other processes change bridges all the time.
    fn list_bridges(&self) -> Result<Vec<BridgeState>>;

    /// Lists the ports of a bridge, by index.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`; `ListChanged` as with [`list_bridges`](Self::list_bridges).
    fn list_ports(&self, bridge: Target) -> Result<Vec<PortState>>;

    /// Lists all interfaces of the host, by index. While others create and delete interfaces, the list need not
    /// be of one moment.
    ///
    /// # Errors
    /// `Os`.
    fn list_interfaces(&self) -> Result<Vec<InterfaceState>>;

    /// Looks at the interfaces of many steps, as [`look`](Self::look) does for one, and hands each result to `each`,
    /// in the order of the steps. By default it looks at one after another.
    fn look_all(&self, steps: &[&Step], each: &mut dyn FnMut(Result<Seen>)) {
        for step in steps {
            each(self.look(step));
        }
    }

    /// Carries out independent steps, as [`run`](Self::run) does for one, and hands each outcome to `each` with the
    /// place of its step, from 0. The outcomes may come in any order. By default it carries out one after another.
    ///
    /// With [`Bulk::AllOrNothing`] no step begins after a failure: steps without an outcome were not begun, and a step
    /// that was done in part by then is [`Outcome::Begun`].
    fn run_all(&self, steps: &[(&Step, Seen)], bulk: Bulk, each: &mut dyn FnMut(usize, Outcome)) {
        for (place, (step, seen)) in steps.iter().enumerate() {
            let outcome = self.run(step, seen);
            let is_last = bulk == Bulk::AllOrNothing && !matches!(outcome, Outcome::Done(_));
            each(place, outcome);
            if is_last {
                break;
            }
        }
    }

    /// Finds a port of any bridge, and its bridge ([`PortState::bridge`]). Returns `None` when no interface has the
    /// name or the identity, or when the interface is not a port.
    ///
    /// By default it lists the ports of all bridges.
    ///
    /// # Errors
    /// `ListChanged` as with [`list_bridges`](Self::list_bridges).
    fn find_port(&self, port: Target) -> Result<Option<PortState>> {
        for bridge in self.list_bridges()? {
            let bridge = bridge.identity();
            let ports = match self.list_ports(bridge.into()) {
                // Another process has deleted it since.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                ports => ports?,
            };
            if let Some(found) = ports.into_iter().find(|state| port.is(state.identity())) {
                return Ok(Some(PortState { bridge: Some(bridge), ..found }));
            }
        }
        Ok(None)
    }

    /// Finds a tap; `None` when no interface has the name, or the identity. By default it lists all taps.
    ///
    /// # Errors
    /// `Unsupported`; `NotATap` when the interface is of another kind.
    fn find_tap(&self, tap: Target) -> Result<Option<TapState>> {
        if let Some(found) = self.list_taps()?.into_iter().find(|state| tap.is(state.identity())) {
            return Ok(Some(found));
        }
        if self.list_interfaces()?.iter().any(|interface| tap.is(interface.identity())) {
            return Err(Attempt::new(self.name(), Operation::Taps).on(tap).error(ErrorKind::NotATap));
        }
        Ok(None)
    }

    /// Lists all taps, by index.
    ///
    /// # Errors
    /// `Unsupported`; `ListChanged` as with [`list_bridges`](Self::list_bridges).
    fn list_taps(&self) -> Result<Vec<TapState>> {
        Err(Attempt::new(self.name(), Operation::Taps).with(Capability::Tap).error(ErrorKind::Unsupported))
    }

    /// Lets a tap outlive its descriptors. Do this last when you set up a tap: until then nothing is left when the
    /// process dies. Backends without [`TapTransient`](Capability::TapTransient) keep every tap.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `PermissionDenied`.
    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        let at = Attempt::new(self.name(), Operation::PersistTap).on(tap);
        Err(at.with(Capability::Tap).error(ErrorKind::Unsupported))
    }

    /// Takes over a tap whose descriptors another process has opened and passed on; each descriptor is a queue. They
    /// are closed on exec from then on. Nothing else changes.
    ///
    /// # Errors
    /// `Unsupported`; `NotATap` for a descriptor of anything else; `NotFound` if the tap is gone, or is
    /// in another network namespace than the backend; `InvalidOption` without descriptors, or for those of several
    /// taps.
    fn adopt_descriptors(&self, queues: Vec<OwnedFd>) -> Result<Tap> {
        drop(queues);
        let at = Attempt::new(self.name(), Operation::AdoptTap);
        Err(at.with(Capability::TapDescriptors).error(ErrorKind::Unsupported))
    }

    /// Lists the forwarding database of a bridge, by port index, VLAN and MAC.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`; `ListChanged` as with [`list_bridges`](Self::list_bridges).
    fn list_fdb(&self, bridge: Target) -> Result<Vec<FdbEntry>> {
        let at = Attempt::new(self.name(), Operation::Fdb).on(bridge);
        Err(at.with(Capability::FdbList).error(ErrorKind::Unsupported))
    }

    /// Lists the VLANs of a port, in order; VLANs in a row with the same tagging are one range.
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`.
    fn list_vlans(&self, bridge: Target, port: Target) -> Result<Vec<PortVlans>> {
        let at = Attempt::new(self.name(), Operation::Vlans).on(bridge).port(port);
        Err(at.with(Capability::PortVlans).error(ErrorKind::Unsupported))
    }

    /// Returns whether a bridge is up and has a carrier, and the kernel has told its protocols so.
    ///
    /// On Linux a bridge gets its carrier when a port begins to forward (`br_port_state_selection()`,
    /// `net/bridge/br_stp.c`). The protocols learn of a change up to 1 s later (`net/core/link_watch.c`). The call
    /// waits for that, at most [`Limits::carrier`](crate::waiting::Limits::carrier).
    ///
    /// # Errors
    /// `Unsupported`, `NotFound`, `NotABridge`.
    fn bridge_has_carrier(&self, bridge: Target) -> Result<bool> {
        let at = Attempt::new(self.name(), Operation::Find).on(bridge);
        Err(at.with(Capability::Carrier).error(ErrorKind::Unsupported))
    }

    /// Follows the changes on the host from now on.
    ///
    /// Linux reports every change of a bridge. FreeBSD reports bridges and ports that come and go, links that go up or
    /// down, and MTUs, but neither MACs nor options. There, also read the state at intervals.
    ///
    /// # Errors
    /// `Unsupported`; `Os`: out of descriptors, or a policy forbids such a socket.
    fn open_events(&self) -> Result<Events> {
        let at = Attempt::new(self.name(), Operation::Events);
        Err(at.with(Capability::Events).error(ErrorKind::Unsupported))
    }
}

/// The outcome of a step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done.
    Done(Made),
    /// It is not done, and nothing has changed.
    Refused(crate::Error),
    /// It is done in part, and was stopped since another step failed. Only of [`run_all`](Backend::run_all), with
    /// [`Bulk::AllOrNothing`].
    Begun,
    /// It failed, and may be done in part or as a whole. The caller looks at what is there, and takes back what
    /// the step changed.
    #[non_exhaustive]
    Unclear {
        /// Why it failed.
        error: crate::Error,
        /// What it had created by then, if that is known.
        made: Option<Identity>,
    },
}

impl Outcome {
    /// A step that creates nothing is done.
    pub const DONE: Self = Self::Done(Made::Nothing);

    /// The step failed, and may be done in part or as a whole.
    #[must_use]
    pub const fn unclear(error: crate::Error) -> Self {
        Self::Unclear { error, made: None }
    }

    /// The step failed after it had created this.
    #[must_use]
    pub const fn unclear_after(error: crate::Error, made: Identity) -> Self {
        Self::Unclear { error, made: Some(made) }
    }
}

/// What a step has created.
#[derive(Debug)]
#[non_exhaustive]
pub enum Made {
    /// Nothing.
    Nothing,
    /// This bridge.
    Bridge(Identity),
    /// This tap, open.
    Tap(Tap),
}

impl Made {
    /// Returns the identity of what was created.
    #[must_use]
    pub const fn identity(&self) -> Option<Identity> {
        match self {
            Self::Nothing => None,
            Self::Bridge(identity) => Some(*identity),
            Self::Tap(tap) => Some(tap.identity()),
        }
    }
}

/// A backend that is compiled in.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Available {
    /// Its name, as [`Backend::name`] returns it.
    pub name: &'static str,
    /// Opens it in the network namespace or jail of the calling thread.
    pub open: fn() -> Result<Box<dyn Backend>>,
}
