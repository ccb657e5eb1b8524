//! Taps, as both backends make them: through the tun device (`drivers/net/tun.c`).
//!
//! A tap is made in several calls, but until it is made persistent, which is the last of them, it
//! goes when its descriptors are closed, also when the process dies: that undoes everything.

mod adopt;
mod delete;
mod queues;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use self::adopt::adopt;
pub(super) use self::delete::delete;
use self::queues::{identify, join, open};
use super::abi::tun::IFF_TUN_EXCL;
use super::namespace::Namespace;
use super::tun;
use super::udev::{Udev, Watch};
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::{
    BridgeBackend, Capability, Error, ErrorKind, ExistingTap, InterfaceIndex, InterfaceName, Operation, Result,
    Tap, TapChange, TapSpec, TapState, UnicastMac,
};

/// How often a tap is tried that others make, delete or rename at the same moment.
const TRIES: usize = 8;

/// How long a tap that is open is waited for: another thread of the process may just be starting a
/// program, and the new process has every descriptor, close-on-exec or not, until it executes that.
/// On a busy host that takes its time.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same where this process has closed its own descriptors. Closing 256 queues takes seconds.
const CLOSING: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(1);

/// What the tun device does not do: each backend has its own way.
pub(super) trait Interfaces: BridgeBackend {
    /// The namespace that the taps are in.
    fn namespace(&self) -> &Namespace;

    /// Where the events of that namespace can be seen.
    fn udev(&self) -> nix::Result<&Udev>;

    /// The interface of this name, of whatever kind.
    fn named(&self, at: Attempt, name: InterfaceName) -> Result<Option<Interface>>;

    /// The interface of this index.
    fn indexed(&self, at: Attempt, index: InterfaceIndex) -> Result<Option<Interface>>;

    /// Takes a step on an interface.
    fn set(&self, at: Attempt, index: InterfaceIndex, step: Step) -> Result<()>;
}

/// An interface, as far as that matters here.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) index: InterfaceIndex,
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
    /// Those of `TUNGETIFF`, if they can be read.
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

pub(super) fn create(on: &impl Interfaces, spec: &TapSpec) -> Result<Tap> {
    let at = attempt(on, Operation::CreateTap, spec.name);
    spec.check(at, on.capabilities())?;
    for _ in 0..TRIES {
        let found = spec.name.map_or(Ok(None), |name| on.named(at, name))?;
        let tap = match (found, spec.existing) {
            (None, _) => make(on, at, spec)?,
            (Some(found), ExistingTap::Refuse) => return Err(at.error(found.kind_of_taken())),
            (Some(found), ExistingTap::Adopt) => {
                let before = found.tap(at)?;
                when_closed(|| adopt(on, at, spec, &before))?
            }
        };
        if let Some(tap) = tap {
            return Ok(tap);
        }
    }
    Err(at.errno(Errno::EBUSY))
}

/// A new tap; `None` when others have taken its name, or renamed it, meanwhile.
fn make(on: &impl Interfaces, at: Attempt, spec: &TapSpec) -> Result<Option<Tap>> {
    // From before the tap is there.
    let watch = match spec.mac {
        Some(_) => on.udev().and_then(Udev::watch).map_err(|errno| at.errno(errno))?,
        None => None,
    };
    let opened = open(on, at, spec.queues.get())?;
    let flags = queues::flags(spec);
    match tun::attach(opened[0].as_fd(), spec.name, flags | IFF_TUN_EXCL) {
        Ok(()) => {}
        Err(Errno::EBUSY) => return Ok(None),
        Err(errno) => return Err(at.errno(errno)),
    }
    let complete = |(name, index)| {
        complete(on, at, opened[0].as_fd(), index, spec, watch.as_ref())?;
        set_owner(at, opened[0].as_fd(), spec)?;
        // udevd may have given it another name.
        Ok((tun::interface(opened[0].as_fd()).map_or(name, |(name, _)| name), index))
    };
    let completed = join(at, &opened, flags)
        .and_then(|joined| if joined { identify(on, at, opened[0].as_fd()) } else { Ok(None) })
        .and_then(|found| found.map(complete).transpose());
    match completed {
        Ok(found) => Ok(found.map(|(name, index)| Tap::new(name, index, opened))),
        Err(error) => {
            let name = tun::interface(opened[0].as_fd()).map(|(name, _)| name);
            drop(opened);
            // Without a name it has gone already.
            let outcome = name.map_or(Ok(()), |name| is_gone(at, || on.named(at, name)));
            Err(error.undone(outcome, name.map_or_else(|_| "a tap".to_owned(), |name| format!("tap {name}"))))
        }
    }
}

/// Gives an open tap the MTU and the MAC of its spec.
fn complete(
    on: &impl Interfaces,
    at: Attempt,
    queue: BorrowedFd<'_>,
    index: InterfaceIndex,
    spec: &TapSpec,
    watch: Option<&Watch<'_>>,
) -> Result<()> {
    if let Some(mtu) = spec.mtu {
        on.set(at, index, Step::Mtu(mtu))?;
    }
    if let Some(mac) = spec.mac {
        set_mac(at, queue, index, mac, watch)?;
    }
    Ok(())
}

fn set_owner(at: Attempt, queue: BorrowedFd<'_>, spec: &TapSpec) -> Result<()> {
    if let Some(gid) = spec.group {
        tun::set_group(queue, gid).map_err(|errno| owner_error(at, errno))?;
    }
    if let Some(uid) = spec.owner {
        tun::set_owner(queue, uid).map_err(|errno| owner_error(at, errno))?;
    }
    Ok(())
}

pub(super) fn persist(on: &impl Interfaces, tap: &Tap) -> Result<()> {
    let at = attempt(on, Operation::PersistTap, Some(tap.name()));
    let queue = tap.queues().first().ok_or_else(|| at.error(ErrorKind::NotFound))?;
    tun::persist(queue.as_fd()).map_err(|errno| gone(at, errno))
}

pub(super) fn change(on: &impl Interfaces, tap: InterfaceName, change: &TapChange) -> Result<()> {
    let at = attempt(on, Operation::ChangeTap, Some(tap));
    let before = find(on, at, tap)?.state;
    let read = || {
        let now = on.indexed(at, before.index)?.ok_or_else(|| at.errno(Errno::ENODEV))?;
        Ok(now.tap(at)?.state)
    };
    change::apply_to_tap(&before, change, |step| on.set(at, before.index, step), read)
}

/// Does again what failed since someone has a tap open, who may not for long.
fn when_closed<T>(act: impl Fn() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = GLANCE;
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::TapBusy && Instant::now() < deadline => {}
            outcome => return outcome,
        }
        // Less and less often: each try opens another queue of a tap that others have open.
        std::thread::sleep(pause);
        pause = (2 * pause).min(PATIENCE / 10);
    }
}

/// Waits until a tap whose descriptors were closed has gone. A look that fails is not the last one,
/// since there is no way back.
fn is_gone(at: Attempt, find: impl Fn() -> Result<Option<Interface>>) -> Result<()> {
    let deadline = Instant::now() + CLOSING;
    let mut failures = 0;
    loop {
        match find() {
            Ok(None) => return Ok(()),
            Ok(Some(_)) if Instant::now() >= deadline => return Err(at.error(ErrorKind::TapBusy)),
            Ok(Some(_)) => {}
            Err(error) if failures == TRIES => return Err(error),
            Err(_) => failures += 1,
        }
        std::thread::sleep(GLANCE);
    }
}

fn attempt(on: &impl Interfaces, operation: Operation, tap: Option<InterfaceName>) -> Attempt {
    Attempt::new(on.name(), operation).maybe_on(tap)
}

/// The tap of this name.
fn find(on: &impl Interfaces, at: Attempt, name: InterfaceName) -> Result<Known> {
    on.named(at, name)?.ok_or_else(|| at.errno(Errno::ENODEV))?.tap(at)
}

/// Sets the MAC through the descriptor, so that no other interface can be hit, and of a new tap so
/// that it stays, whatever udevd does.
fn set_mac(
    at: Attempt,
    queue: BorrowedFd<'_>,
    index: InterfaceIndex,
    mac: UnicastMac,
    watch: Option<&Watch<'_>>,
) -> Result<()> {
    let set = || tun::set_mac(queue, mac.into()).map_err(|errno| gone(at, errno));
    let has_it = || Ok(tun::mac(queue).map_err(|errno| gone(at, errno))? == Some(mac.into()));
    set()?;
    if let Some(watch) = watch {
        watch.wait_for(index).map_err(|errno| at.errno(errno))?;
        if !has_it()? {
            // udevd had decided before the first call, and will not decide again.
            set()?;
        }
    }
    if has_it()? { Ok(()) } else { Err(at.error(ErrorKind::MacNotKept)) }
}

fn owner_error(at: Attempt, errno: Errno) -> Error {
    match errno {
        // Nobody has this number in the user namespace.
        Errno::EINVAL => at.with(Capability::TapOwner).means(ErrorKind::InvalidOption, errno),
        errno => gone(at, errno),
    }
}

/// `EBADFD` is what a descriptor says whose tap is gone.
fn gone(at: Attempt, errno: Errno) -> Error {
    match errno {
        Errno::EBADFD => at.means(ErrorKind::NotFound, errno),
        errno => at.errno(errno),
    }
}
