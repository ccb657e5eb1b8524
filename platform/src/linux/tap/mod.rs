//! Taps, as both backends create them: through the tun device (`drivers/net/tun.c`).
//!
//! Creating a tap takes several calls. The last one makes it persistent; until then the kernel removes the tap
//! when its descriptors are closed, also when the process dies.
//!
//! The tun device takes a name, which another tap may have by now. So each function compares the name with the
//! index directly before the call, and again afterwards, by the descriptor.

mod adopt;
mod create;
mod delete;
mod queues;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;

pub(super) use self::adopt::adopt_descriptors;
use super::abi::tun::IFF_VNET_HDR;
use super::namespace::Namespace;
use super::tun;
use super::udev::{Udev, Watch};
use crate::error::{Attempt, CallResult, Meanings};
use crate::setting::{self, Setting};
use crate::waiting::{Deadline, Limits};
use crate::{
    Backend, Capability, ErrorKind, ExistingTap, Identity, InterfaceIndex, InterfaceName, Operation, Outcome,
    Result, Seen, Step, Tap, TapChange, TapSpec, TapState, Target, UnicastMac,
};

/// How often a tap is tried that others create, delete or rename at the same moment.
const TRIES: usize = 8;

/// The least time between two looks at a tap that is to be closed, and the greatest.
const GLANCE: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(50);

/// What a descriptor says whose tap is gone.
const GONE: &Meanings = &[(Errno::EBADFD, ErrorKind::NotFound)];

/// The same of a value that the kernel does not know.
const INVALID: &Meanings = &[(Errno::EBADFD, ErrorKind::NotFound), (Errno::EINVAL, ErrorKind::InvalidOption)];

/// What the tun device does not do: each backend has its own way.
pub(super) trait Interfaces: Backend {
    /// Returns the namespace of the taps.
    fn namespace(&self) -> &Namespace;

    /// Returns how long its calls may wait.
    fn limits(&self) -> Limits;

    /// Returns where the events of that namespace can be seen.
    fn udev(&self) -> nix::Result<&Udev>;

    /// Finds the interface of this name, of any kind.
    fn named(&self, at: Attempt, name: InterfaceName) -> Result<Option<Interface>>;

    /// Finds the interface of this index, of any kind.
    fn indexed(&self, at: Attempt, index: InterfaceIndex) -> Result<Option<Interface>>;

    /// Changes one thing of this tap and of no other interface. A tap has no [`Setting::Option`].
    fn set_on_tap(&self, at: Attempt, tap: Identity, setting: Setting) -> Result<()>;
}

/// An interface, as far as that matters here.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) identity: Identity,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Tap(Known),
    Bridge,
    Other,
}

/// What a backend knows of a tap.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) state: TapState,
    /// The flags that `TUNGETIFF` returns, if the backend can read them without a descriptor.
    pub(super) flags: Option<u16>,
}

impl Interface {
    fn tap(self, at: Attempt) -> Result<Known> {
        match self.kind {
            Kind::Tap(known) => Ok(known),
            Kind::Bridge | Kind::Other => Err(at.error(ErrorKind::NotATap)),
        }
    }

    const fn kind_of_taken(&self) -> ErrorKind {
        match self.kind {
            Kind::Tap(_) => ErrorKind::TapExists,
            Kind::Bridge => ErrorKind::BridgeExists,
            Kind::Other => ErrorKind::NameInUse,
        }
    }
}

/// Looks at what a step on taps is about ([`Backend::look`]).
pub(super) fn look(on: &impl Interfaces, step: &Step) -> Result<Seen> {
    let at = step.attempt(on.name());
    match step {
        Step::CreateTap(TapSpec { name: None, .. }) => Ok(Seen::Nothing),
        Step::CreateTap(TapSpec { name: Some(name), existing, .. }) => match (on.named(at, *name)?, existing) {
            (None, _) => Ok(Seen::Nothing),
            (Some(found), ExistingTap::Refuse) => Err(at.error(found.kind_of_taken())),
            (Some(found), ExistingTap::Adopt) => Ok(Seen::Tap(found.tap(at)?.state)),
        },
        &Step::ChangeTap { tap, .. } | &Step::DeleteTap(tap) => Ok(Seen::Tap(known(on, at, tap)?.state)),
        _ => Err(at.error(ErrorKind::Unsupported)),
    }
}

/// Carries out a step on taps ([`Backend::run`]).
pub(super) fn run(on: &impl Interfaces, step: &Step, seen: &Seen) -> Outcome {
    let at = step.attempt(on.name());
    match (step, seen) {
        (Step::CreateTap(spec), Seen::Nothing) => create::create(on, at, spec),
        (Step::CreateTap(spec), Seen::Tap(before)) => adopt::adopt(on, at, spec, before),
        (Step::ChangeTap { change, .. }, Seen::Tap(before)) => run_change(on, at, before, change),
        (Step::DeleteTap(_), Seen::Tap(before)) => delete::delete(on, at, before.identity()),
        _ => Outcome::Refused(at.error(ErrorKind::Unsupported)),
    }
}

/// Finds a tap ([`Backend::find_tap`]).
pub(super) fn find(on: &impl Interfaces, tap: Target) -> Result<Option<TapState>> {
    let at = Attempt::new(on.name(), Operation::Taps).on(tap);
    interface(on, at, tap)?.map(|found| Ok(found.tap(at)?.state)).transpose()
}

/// Lets a tap outlive its descriptors ([`Backend::persist_tap`]).
pub(super) fn persist(on: &impl Interfaces, tap: &Tap) -> Result<()> {
    let at = Attempt::new(on.name(), Operation::PersistTap).on(tap);
    let queue = tap.queues().first().ok_or_else(|| at.error(ErrorKind::NotFound))?;
    tun::persist(queue.as_fd()).meaning(at, GONE)
}

/// The interface of a target.
fn interface(on: &impl Interfaces, at: Attempt, target: Target) -> Result<Option<Interface>> {
    match target {
        Target::Name(name) => on.named(at, name),
        Target::Identity(identity) => on.indexed(at, identity.index()),
    }
}

/// What is known of the tap of a target.
fn known(on: &impl Interfaces, at: Attempt, tap: impl Into<Target>) -> Result<Known> {
    interface(on, at, tap.into())?.ok_or_else(|| at.errno(Errno::ENODEV))?.tap(at)
}

fn run_change(on: &impl Interfaces, at: Attempt, before: &TapState, change: &TapChange) -> Outcome {
    let tap = before.identity();
    let outcome = setting::set_all(&setting::of_tap(before, change), |setting| on.set_on_tap(at, tap, setting));
    let vnet_hdr = change.vnet_hdr.filter(|&vnet_hdr| before.vnet_hdr != Some(vnet_hdr));
    let (Outcome::Done(_), Some(vnet_hdr)) = (&outcome, vnet_hdr) else { return outcome };
    let changed = |flags: u16| if vnet_hdr { flags | IFF_VNET_HDR } else { flags & !IFF_VNET_HDR };
    match when_closed(on, || queues::reopen(on, at, tap, changed).map_err(Outcome::Refused)) {
        Ok(_) => Outcome::DONE,
        // Another process has it open, with its own flags.
        Err(outcome) if is_busy(&outcome) => Outcome::DONE,
        Err(Outcome::Refused(error)) => Outcome::unclear(error),
        Err(outcome) => outcome,
    }
}

/// Gives an open tap the MTU, the MAC, the offloads and the size of the header of its spec.
fn complete(
    on: &impl Interfaces,
    at: Attempt,
    queue: BorrowedFd<'_>,
    tap: Identity,
    spec: &TapSpec,
    watch: Option<&Watch<'_>>,
) -> Result<()> {
    if let Some(mtu) = spec.mtu {
        on.set_on_tap(at, tap, Setting::Mtu(mtu))?;
    }
    if let Some(mac) = spec.mac {
        set_mac(at, queue, tap.index(), mac, watch)?;
    }
    if let Some(offloads) = spec.offloads {
        let at = at.with(Capability::TapOffloads);
        tun::set_offloads(queue, offloads).meaning(at, INVALID)?;
    }
    if let Some(header) = spec.vnet_hdr {
        // An adopted tap has the size that another process set.
        tun::set_vnet_header_size(queue, header).meaning(at.with(Capability::TapVnetHdr), GONE)?;
    }
    Ok(())
}

/// Whether a step was refused because someone has the tap open.
fn is_busy(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(error) if error.kind() == ErrorKind::TapBusy)
}

/// Repeats what is refused because another process has a tap open.
///
/// Another thread of this process may just be starting a program: the new process has every descriptor,
/// close-on-exec or not, until it executes the program. On a busy host this takes its time.
fn when_closed<T>(
    on: &impl Interfaces,
    act: impl Fn() -> std::result::Result<T, Outcome>,
) -> std::result::Result<T, Outcome> {
    let deadline = Deadline::after(on.limits().busy_tap);
    let mut pause = GLANCE;
    loop {
        match act() {
            Err(outcome) if is_busy(&outcome) && !deadline.has_passed() => {}
            outcome => return outcome,
        }
        // Less and less often: each try opens another queue of a tap that others have open.
        std::thread::sleep(pause);
        pause = (2 * pause).min(PAUSE);
    }
}

/// Waits until a tap whose descriptors were closed has gone. A look that fails is repeated, since there is no
/// way back.
fn is_gone(on: &impl Interfaces, at: Attempt, find: impl Fn() -> Result<Option<Interface>>) -> Result<()> {
    let deadline = Deadline::after(on.limits().closed_tap);
    let mut failures = 0;
    loop {
        match find() {
            Ok(None) => return Ok(()),
            Ok(Some(_)) if deadline.has_passed() => return Err(at.error(ErrorKind::TapBusy)),
            Ok(Some(_)) => {}
            Err(error) if failures == TRIES => return Err(error),
            Err(_) => failures += 1,
        }
        std::thread::sleep(GLANCE);
    }
}

/// Sets the MAC through the descriptor, so that no other interface can be hit. The MAC of a new tap stays,
/// whatever udevd does.
fn set_mac(
    at: Attempt,
    queue: BorrowedFd<'_>,
    index: InterfaceIndex,
    mac: UnicastMac,
    watch: Option<&Watch<'_>>,
) -> Result<()> {
    let set = || tun::set_mac(queue, mac.into()).meaning(at, GONE);
    let has_it = || Ok(tun::mac(queue).meaning(at, GONE)? == Some(mac.into()));
    set()?;
    if let Some(watch) = watch {
        watch.wait_for(index).at(at)?;
        if !has_it()? {
            // udevd had decided before the first call, and will not decide again.
            set()?;
        }
    }
    if has_it()? { Ok(()) } else { Err(at.error(ErrorKind::MacNotKept)) }
}
