//! Taps, as both backends make them: through the tun device (`drivers/net/tun.c`).
//!
//! A tap is made in several calls, but until it is made persistent, which is the last of them, it
//! goes when its descriptors are closed, also when the process dies: that undoes everything.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::abi::tun::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_ONE_QUEUE, IFF_TAP, IFF_TUN_EXCL, IFF_VNET_HDR};
use super::namespace::Namespace;
use super::tun;
use super::udev::{Udev, Watch};
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::{
    BridgeBackend, Capability, Error, ErrorKind, ExistingTap, InterfaceIndex, InterfaceName, Operation, Result,
    Tap, TapChange, TapSpec, TapState, UnicastMac,
};

/// The flags of a tap that change with who opens it (`TUN_FEATURES`), of those that matter here.
const FEATURES: u16 = IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE;

/// How often a tap is tried that others make, delete or rename at the same moment.
const TRIES: usize = 8;

/// How long a tap that is open is waited for: another thread of the process may just be starting a
/// program, and the new process has every descriptor, close-on-exec or not, until it executes that.
const PATIENCE: Duration = Duration::from_millis(100);
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
    let queues = open(on, at, spec.queues.get())?;
    let flags = flags(spec);
    match tun::attach(queues[0].as_fd(), spec.name, flags | IFF_TUN_EXCL) {
        Ok(()) => {}
        Err(Errno::EBUSY) => return Ok(None),
        Err(errno) => return Err(at.errno(errno)),
    }
    let complete = |(name, index)| {
        complete(on, at, queues[0].as_fd(), index, spec, watch.as_ref())?;
        // udevd may have given it another name.
        Ok((tun::interface(queues[0].as_fd()).map_or(name, |(name, _)| name), index))
    };
    let completed = join(at, &queues, flags)
        .and_then(|joined| if joined { identify(on, at, queues[0].as_fd()) } else { Ok(None) })
        .and_then(|found| found.map(complete).transpose());
    match completed {
        Ok(found) => Ok(found.map(|(name, index)| Tap::new(name, index, queues))),
        Err(error) => {
            let name = tun::interface(queues[0].as_fd()).map(|(name, _)| name);
            drop(queues);
            // Without a name it has gone already.
            let outcome = name.map_or(Ok(()), |name| is_gone(at, || on.named(at, name)));
            Err(error.undone(outcome, name.map_or_else(|_| "a tap".to_owned(), |name| format!("tap {name}"))))
        }
    }
}

/// A tap that is there; `None` when it is there no longer.
fn adopt(on: &impl Interfaces, at: Attempt, spec: &TapSpec, before: &Known) -> Result<Option<Tap>> {
    let (name, index) = (before.state.name, before.state.index);
    let queues = open(on, at, spec.queues.get())?;
    let flags = flags(spec);
    let several = at.with(Capability::TapQueues);
    tun::attach(queues[0].as_fd(), Some(name), flags).map_err(|errno| match errno {
        Errno::EBUSY => at.means(ErrorKind::TapBusy, errno),
        // It has one queue where several are asked for, or the other way round.
        Errno::EINVAL | Errno::E2BIG => several.means(ErrorKind::InvalidOption, errno),
        errno => at.errno(errno),
    })?;
    let finish = || {
        if tun::interface(queues[0].as_fd()).map_err(|errno| gone(at, errno))?.1 & FEATURES != flags & FEATURES {
            // Of a tap with several queues, these are set by who opens the first.
            return Err(at.with(Capability::TapVnetHdr).error(ErrorKind::TapBusy));
        }
        let spec = TapSpec { mtu: spec.mtu.filter(|&mtu| mtu != before.state.mtu), ..spec.clone() };
        complete(on, at, queues[0].as_fd(), index, &spec, None)
    };
    // One that was made by the call, since the other had gone, goes with its descriptors.
    match identify(on, at, queues[0].as_fd()) {
        Ok(Some((_, found))) if found == index => {}
        Ok(_) => return Ok(None),
        Err(error) => return Err(error),
    }
    match join(at, &queues, flags).and_then(|joined| if joined { finish().map(Some) } else { Ok(None) }) {
        Ok(Some(())) => Ok(Some(Tap::new(name, index, queues))),
        Ok(None) => Ok(None),
        Err(error) => {
            let outcome = restore(on, at, queues, spec, before);
            Err(error.undone(outcome, format_args!("a changed tap {name}")))
        }
    }
}

/// Gives an open tap what its spec says: first what a kernel may well refuse, last what it has no
/// way back from, which is an owner where there was none.
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
    if let Some(gid) = spec.group {
        tun::set_group(queue, gid).map_err(|errno| owner_error(at, errno))?;
    }
    if let Some(uid) = spec.owner {
        tun::set_owner(queue, uid).map_err(|errno| owner_error(at, errno))?;
    }
    Ok(())
}

/// Takes an adopted tap back to what it was.
fn restore(on: &impl Interfaces, at: Attempt, queues: Vec<OwnedFd>, spec: &TapSpec, before: &Known) -> Result<()> {
    let was = &before.state;
    let Some(now) = on.indexed(at, was.index)? else { return Ok(()) };
    let now = now.tap(at)?.state;
    let queue = queues[0].as_fd();
    let mut outcomes = Vec::new();
    if spec.mac.is_some_and(|mac| now.mac == mac && now.mac != was.mac) {
        outcomes.push(tun::set_mac(queue, was.mac).map_err(|errno| gone(at, errno)));
    }
    if spec.mtu.is_some_and(|mtu| now.mtu == mtu && now.mtu != was.mtu) {
        outcomes.push(on.set(at, was.index, Step::Mtu(was.mtu)));
    }
    // The kernel has no way back from an owner to none.
    let back = |id: Option<u32>, set: fn(BorrowedFd<'_>, u32) -> nix::Result<()>| {
        id.map_or(Err(Errno::EINVAL), |id| set(queue, id)).map_err(|errno| owner_error(at, errno))
    };
    if now.owner == spec.owner && now.owner != was.owner {
        outcomes.push(back(was.owner, tun::set_owner));
    }
    if now.group == spec.group && now.group != was.group {
        outcomes.push(back(was.group, tun::set_group));
    }
    drop(queues);
    if let Some(flags) = before.flags.filter(|flags| flags & FEATURES != self::flags(spec) & FEATURES) {
        outcomes.push(restore_flags(on, at, was, flags));
    }
    // One that fails does not keep the others from being tried.
    outcomes.into_iter().fold(Ok(()), Result::and)
}

/// Gives a tap that nobody has open its former flags: they are those that it was last opened with.
fn restore_flags(on: &impl Interfaces, at: Attempt, tap: &TapState, flags: u16) -> Result<()> {
    let queue = open(on, at, 1)?;
    match tun::attach(queue[0].as_fd(), Some(tap.name), flags & FEATURES | IFF_TAP) {
        // Someone has opened it since, and it has their flags.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(at.errno(errno)),
    }
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

/// Opens a tap and closes it, no longer persistent: so no other can be hit than the one that was
/// opened.
pub(super) fn delete(on: &impl Interfaces, tap: InterfaceName) -> Result<()> {
    let at = attempt(on, Operation::DeleteTap, Some(tap));
    let before = find(on, at, tap)?;
    when_closed(|| delete_closed(on, at, &before))
}

fn delete_closed(on: &impl Interfaces, at: Attempt, before: &Known) -> Result<()> {
    let (queue, asked) = open_again(on, at, before)?;
    let (name, flags) = tun::interface(queue.as_fd()).map_err(|errno| gone(at, errno))?;
    let index = identify(on, at, queue.as_fd())?.map(|(_, index)| index);
    if index != Some(before.state.index) {
        return Err(at.errno(Errno::ENODEV));
    }
    // Who opens the first queue of several sets the flags: if they are not what was asked for,
    // someone else has it open.
    if flags & IFF_MULTI_QUEUE != 0 && flags & FEATURES != asked & FEATURES {
        return Err(at.error(ErrorKind::TapBusy));
    }
    if let Err(errno) = tun::unpersist(queue.as_fd()) {
        let persisted = tun::persist(queue.as_fd()).map_err(|errno| gone(at, errno));
        drop(queue);
        let restored = before.flags.map_or(Ok(()), |flags| restore_flags(on, at, &before.state, flags));
        return Err(gone(at, errno).undone(persisted.and(restored), format_args!("tap {name}")));
    }
    drop(queue);
    is_gone(at, || on.indexed(at, before.state.index))
}

/// Opens a tap with its own flags, but for the one without a meaning that tells whether nobody else
/// has it open, where it has several queues.
fn open_again(on: &impl Interfaces, at: Attempt, tap: &Known) -> Result<(OwnedFd, u16)> {
    let known = tap.flags.map(|flags| flags & FEATURES);
    let single = known.unwrap_or(IFF_NO_PI);
    let several = known.unwrap_or(IFF_NO_PI | IFF_MULTI_QUEUE) ^ IFF_ONE_QUEUE;
    let candidates = match known {
        Some(flags) if flags & IFF_MULTI_QUEUE == 0 => vec![single],
        Some(_) => vec![several],
        None => vec![single, several],
    };
    let mut outcome = Err(at.error(ErrorKind::NotATap));
    for flags in candidates {
        let queue = open(on, at, 1)?.remove(0);
        outcome = match tun::attach(queue.as_fd(), Some(tap.state.name), flags | IFF_TAP) {
            Ok(()) => return Ok((queue, flags)),
            Err(Errno::EINVAL) => continue,
            Err(errno @ (Errno::EBUSY | Errno::E2BIG)) => Err(at.means(ErrorKind::TapBusy, errno)),
            Err(errno) => Err(at.errno(errno)),
        };
        break;
    }
    outcome
}

/// Does again what failed since someone has a tap open, who may not for long.
fn when_closed<T>(act: impl Fn() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::TapBusy && Instant::now() < deadline => {}
            outcome => return outcome,
        }
        std::thread::sleep(GLANCE);
    }
}

/// Waits until a tap whose descriptors were closed has gone.
fn is_gone(at: Attempt, find: impl Fn() -> Result<Option<Interface>>) -> Result<()> {
    let deadline = Instant::now() + CLOSING;
    while find()?.is_some() {
        if Instant::now() >= deadline {
            return Err(at.error(ErrorKind::TapBusy));
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

fn attempt(on: &impl Interfaces, operation: Operation, tap: Option<InterfaceName>) -> Attempt {
    Attempt::new(on.name(), operation).maybe_on(tap)
}

/// The tap of this name.
fn find(on: &impl Interfaces, at: Attempt, name: InterfaceName) -> Result<Known> {
    on.named(at, name)?.ok_or_else(|| at.errno(Errno::ENODEV))?.tap(at)
}

const fn flags(spec: &TapSpec) -> u16 {
    // Bare Ethernet frames, without the four bytes before each that a tap has by default.
    let mut flags = IFF_TAP | IFF_NO_PI;
    if spec.vnet_hdr {
        flags |= IFF_VNET_HDR;
    }
    if spec.is_multi_queue() {
        flags |= IFF_MULTI_QUEUE;
    }
    flags
}

/// Descriptors of the tun device, of no tap yet.
fn open(on: &impl Interfaces, at: Attempt, count: u16) -> Result<Vec<OwnedFd>> {
    let opened = on.namespace().run(|| (0..count).map(|_| tun::open()).collect::<std::io::Result<Vec<_>>>());
    opened.map_err(|errno| at.errno(errno))?.map_err(|source| match super::errno(&source) {
        // No such file; one whose driver is not there, nor could be loaded.
        errno @ (Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => at.means(ErrorKind::NoDriver, errno),
        errno => at.errno(errno),
    })
}

/// Makes the other descriptors queues of the tap that the first is of; `false` when it was renamed
/// meanwhile.
fn join(at: Attempt, queues: &[OwnedFd], flags: u16) -> Result<bool> {
    let interface = |fd: &OwnedFd| tun::interface(fd.as_fd()).map_err(|errno| gone(at, errno));
    let [first, others @ ..] = queues else { return Ok(false) };
    let (name, _) = interface(first)?;
    for queue in others {
        tun::attach(queue.as_fd(), Some(name), flags).map_err(|errno| match errno {
            Errno::E2BIG => at.with(Capability::TapQueues).means(ErrorKind::InvalidOption, errno),
            errno => at.errno(errno),
        })?;
    }
    // One that bears the former name of a renamed tap is a tap of its own.
    let names: Result<Vec<_>> = queues.iter().map(interface).collect();
    Ok(names?.iter().all(|&(other, _)| other == name))
}

/// The name and the index of the tap of a descriptor; `None` when it is renamed all the time.
fn identify(
    on: &impl Interfaces,
    at: Attempt,
    queue: BorrowedFd<'_>,
) -> Result<Option<(InterfaceName, InterfaceIndex)>> {
    let name = || Ok(tun::interface(queue).map_err(|errno| gone(at, errno))?.0);
    for _ in 0..TRIES {
        let before = name()?;
        let found = on.named(at, before)?;
        if let (Some(found), true) = (found, name()? == before) {
            return Ok(Some((before, found.index)));
        }
    }
    Ok(None)
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
