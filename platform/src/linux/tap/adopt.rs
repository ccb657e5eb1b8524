//! Taking a tap that is there, and giving it back as it was.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::queues::{self, FEATURES, identify, join, open};
use super::{Interfaces, Known, complete, gone, when_closed};
use crate::change::Step;
use crate::error::Attempt;
use crate::linux::abi::tun::IFF_TAP;
use crate::linux::tun;
use crate::{Capability, ErrorKind, Result, Tap, TapSpec, TapState};

/// A tap that is there; `None` when it is there no longer.
pub(super) fn adopt(on: &impl Interfaces, at: Attempt, spec: &TapSpec, before: &Known) -> Result<Option<Tap>> {
    let (name, index) = (before.state.name, before.state.index);
    check_owner(at, spec, &before.state)?;
    let opened = open(on, at, spec.queues.get())?;
    let flags = queues::flags(spec);
    let several = at.with(Capability::TapQueues);
    tun::attach(opened[0].as_fd(), Some(name), flags).map_err(|errno| match errno {
        Errno::EBUSY => at.means(ErrorKind::TapBusy, errno),
        // It has one queue where several are asked for, or the other way round.
        Errno::EINVAL | Errno::E2BIG => several.means(ErrorKind::InvalidOption, errno),
        errno => at.errno(errno),
    })?;
    let finish = || {
        match identify(on, at, opened[0].as_fd())? {
            Some((_, found)) if found == index && join(at, &opened, flags)? => {}
            // One that was made by the call, since the other had gone, goes with its descriptors.
            _ => return Ok(None),
        }
        if tun::interface(opened[0].as_fd()).map_err(|errno| gone(at, errno))?.1 & FEATURES != flags & FEATURES {
            // Of a tap with several queues, these are set by who opens the first.
            return Err(at.with(Capability::TapVnetHdr).error(ErrorKind::TapBusy));
        }
        let spec = TapSpec { mtu: spec.mtu.filter(|&mtu| mtu != before.state.mtu), ..spec.clone() };
        complete(on, at, opened[0].as_fd(), index, &spec, None).map(Some)
    };
    match finish() {
        Ok(Some(())) => Ok(Some(Tap::new(name, index, opened))),
        Ok(None) => Ok(None),
        Err(error) => {
            let outcome = restore(on, at, opened, spec, before);
            Err(error.undone(outcome, format_args!("a changed tap {name}")))
        }
    }
}

/// An adopted tap keeps its owner and its group, since the kernel has no way back from an owner to
/// none: others than it has cannot be asked for.
fn check_owner(at: Attempt, spec: &TapSpec, before: &TapState) -> Result<()> {
    let is_other = |asked: Option<u32>, has: Option<u32>| asked.is_some() && asked != has;
    if is_other(spec.owner, before.owner) || is_other(spec.group, before.group) {
        return Err(at.with(Capability::TapOwner).error(ErrorKind::InvalidOption));
    }
    Ok(())
}

/// Takes an adopted tap back to what it was.
fn restore(on: &impl Interfaces, at: Attempt, opened: Vec<OwnedFd>, spec: &TapSpec, before: &Known) -> Result<()> {
    let was = &before.state;
    let Some(now) = on.indexed(at, was.index)? else { return Ok(()) };
    let now = now.tap(at)?.state;
    let queue = opened[0].as_fd();
    let mut outcomes = Vec::new();
    if spec.mac.is_some_and(|mac| now.mac == mac && now.mac != was.mac) {
        outcomes.push(tun::set_mac(queue, was.mac).map_err(|errno| gone(at, errno)));
    }
    if spec.mtu.is_some_and(|mtu| now.mtu == mtu && now.mtu != was.mtu) {
        outcomes.push(on.set(at, was.index, Step::Mtu(was.mtu)));
    }
    drop(opened);
    if let Some(flags) = before.flags.filter(|flags| flags & FEATURES != queues::flags(spec) & FEATURES) {
        outcomes.push(restore_flags(on, at, was, flags));
    }
    // One that fails does not keep the others from being tried.
    outcomes.into_iter().fold(Ok(()), Result::and)
}

/// Gives a tap that nobody has open its former flags: they are those that it was last opened with.
pub(super) fn restore_flags(on: &impl Interfaces, at: Attempt, tap: &TapState, flags: u16) -> Result<()> {
    let reopened = when_closed(|| {
        let queue = open(on, at, 1)?;
        tun::attach(queue[0].as_fd(), Some(tap.name), flags & FEATURES | IFF_TAP).map_err(|errno| match errno {
            Errno::EBUSY => at.means(ErrorKind::TapBusy, errno),
            errno => at.errno(errno),
        })
    });
    match reopened {
        // Someone has opened it since, and it has their flags.
        Err(error) if error.kind() == ErrorKind::TapBusy => Ok(()),
        outcome => outcome,
    }
}
