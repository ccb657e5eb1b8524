//! Opening an existing tap.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::queues::{self, FEATURES, identify, join, open};
use super::{GONE, Interfaces, TRIES, complete, known, when_closed};
use crate::error::{Attempt, CallResult};
use crate::linux::abi::tun::IFF_TAP;
use crate::linux::tun;
use crate::{Capability, ErrorKind, Identity, Made, Operation, Outcome, Result, Tap, TapSpec, TapState};

/// Opens a tap, and gives it what the spec says.
pub(super) fn adopt(on: &impl Interfaces, at: Attempt, spec: &TapSpec, before: &TapState) -> Outcome {
    if let Err(error) = check_owner(at, spec, before) {
        return Outcome::Refused(error);
    }
    let opened = match when_closed(on, || open_all(on, at, spec, before)) {
        Ok(opened) => opened,
        Err(outcome) => return outcome,
    };
    let tap = before.identity();
    let spec = TapSpec { mtu: spec.mtu.filter(|&mtu| mtu != before.mtu), ..spec.clone() };
    match complete(on, at, opened[0].as_fd(), tap, &spec, None) {
        Ok(()) => Outcome::Done(Made::Tap(Tap::new(tap, opened))),
        Err(error) => Outcome::unclear(error),
    }
}

/// Takes over a tap that is open ([`Backend::adopt_descriptors`](crate::Backend::adopt_descriptors)).
pub(in crate::linux) fn adopt_descriptors(on: &impl Interfaces, queues: Vec<OwnedFd>) -> Result<Tap> {
    let at = Attempt::new(on.name(), Operation::AdoptTap);
    let mut tap: Option<Identity> = None;
    for queue in &queues {
        let found = tap_of(on, at, queue.as_fd())?;
        if tap.is_some_and(|tap| tap != found) {
            return Err(at.on(found).with(Capability::TapQueues).error(ErrorKind::InvalidOption));
        }
        tap = Some(found);
        let closed = fcntl(queue.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        closed.at(at.on(found))?;
    }
    let tap = tap.ok_or_else(|| at.with(Capability::TapQueues).error(ErrorKind::InvalidOption))?;
    Ok(Tap::new(tap, queues))
}

/// Returns the tap of a descriptor that another process may have opened.
fn tap_of(on: &impl Interfaces, at: Attempt, queue: BorrowedFd<'_>) -> Result<Identity> {
    let (name, flags) = tun::interface(queue).map_err(|errno| match errno {
        // It is no descriptor of the tun device.
        Errno::ENOTTY | Errno::EINVAL | Errno::EOPNOTSUPP => at.means(ErrorKind::NotATap, errno),
        errno => at.meaning(errno, GONE),
    })?;
    let at = at.on(name);
    if flags & IFF_TAP == 0 {
        return Err(at.error(ErrorKind::NotATap));
    }
    if tun::namespace(queue).and_then(|namespace| on.namespace().is(namespace)) == Ok(false) {
        return Err(at.error(ErrorKind::NotFound));
    }
    let found = identify(on, at, queue)?.ok_or_else(|| at.errno(Errno::EBUSY))?;
    // Where the namespace is unknown, another tap may have the name here, but it has another MAC.
    let mac = tun::mac(queue).meaning(at, GONE)?;
    match known(on, at, found)?.state.mac {
        here if mac == Some(here) => Ok(found),
        _ => Err(at.error(ErrorKind::NotFound)),
    }
}

/// Opens the queues of a tap, all of this one.
fn open_all(
    on: &impl Interfaces,
    at: Attempt,
    spec: &TapSpec,
    before: &TapState,
) -> std::result::Result<Vec<OwnedFd>, Outcome> {
    let flags = queues::flags(spec);
    for _ in 0..TRIES {
        let opened = open(on, at, spec.queues.get()).map_err(Outcome::Refused)?;
        let name = known(on, at, before.identity()).map_err(Outcome::Refused)?.state.name;
        tun::attach(opened[0].as_fd(), Some(name), flags).map_err(|errno| {
            Outcome::Refused(match errno {
                Errno::EBUSY => at.means(ErrorKind::TapBusy, errno),
                // It has one queue where several are asked for, or the other way round.
                Errno::EINVAL | Errno::E2BIG => {
                    at.with(Capability::TapQueues).means(ErrorKind::InvalidOption, errno)
                }
                errno => at.errno(errno),
            })
        })?;
        // What the call has created, since the other had gone, goes with its descriptors.
        let is_it = identify(on, at, opened[0].as_fd()).map(|found| found == Some(before.identity()));
        if !is_it.map_err(Outcome::unclear)? || !join(at, &opened, flags).map_err(Outcome::unclear)? {
            continue;
        }
        let (_, now) = tun::interface(opened[0].as_fd()).meaning(at, GONE).map_err(Outcome::unclear)?;
        if now & FEATURES != flags & FEATURES {
            // The first process to open a tap with several queues sets its flags.
            return Err(Outcome::Refused(at.with(Capability::TapVnetHdr).error(ErrorKind::TapBusy)));
        }
        return Ok(opened);
    }
    Err(Outcome::Refused(at.errno(Errno::EBUSY)))
}

/// An adopted tap keeps its owner and its group, since the kernel has no way back from an owner to none.
fn check_owner(at: Attempt, spec: &TapSpec, before: &TapState) -> Result<()> {
    let is_other = |asked: Option<u32>, has: Option<u32>| asked.is_some() && asked != has;
    if is_other(spec.owner, before.owner) || is_other(spec.group, before.group) {
        return Err(at.with(Capability::TapOwner).error(ErrorKind::InvalidOption));
    }
    Ok(())
}
