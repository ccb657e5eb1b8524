//! Creating a tap.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::queues::{self, identify, join, open};
use super::{GONE, Interfaces, TRIES, complete, is_gone};
use crate::error::{Attempt, CallResult};
use crate::linux::abi::tun::IFF_TUN_EXCL;
use crate::linux::tun;
use crate::linux::udev::Udev;
use crate::{Capability, Error, ErrorKind, ExistingTap, Identity, Made, Outcome, Result, Tap, TapSpec};

/// Creates a tap, open and complete but not persistent.
pub(super) fn create(on: &impl Interfaces, at: Attempt, spec: &TapSpec) -> Outcome {
    for _ in 0..TRIES {
        match attempt(on, at, spec) {
            Ok(Some(tap)) => return Outcome::Done(Made::Tap(tap)),
            Ok(None) => {}
            Err(outcome) => return outcome,
        }
    }
    Outcome::Refused(at.errno(Errno::EBUSY))
}

/// `None` when others have taken its name for a moment, or renamed it meanwhile.
fn attempt(on: &impl Interfaces, at: Attempt, spec: &TapSpec) -> std::result::Result<Option<Tap>, Outcome> {
    // From before the tap exists.
    let watch = match spec.mac {
        Some(_) => on.udev().and_then(Udev::watch).at(at).map_err(Outcome::Refused)?,
        None => None,
    };
    let opened = open(on, at, spec.queues.get()).map_err(Outcome::Refused)?;
    let flags = queues::flags(spec);
    match tun::attach(opened[0].as_fd(), spec.name, flags | IFF_TUN_EXCL) {
        Ok(()) => {}
        Err(Errno::EBUSY) => return taken(on, at, spec).map_or(Ok(None), |error| Err(Outcome::Refused(error))),
        Err(errno) => return Err(Outcome::Refused(at.errno(errno))),
    }
    let identity = identify(on, at, opened[0].as_fd());
    let complete = |tap: Identity| {
        if !join(at, &opened, flags)? {
            return Ok(None);
        }
        complete(on, at, opened[0].as_fd(), tap, spec, watch.as_ref())?;
        set_owner(at, opened[0].as_fd(), spec)?;
        // udevd may have given it another name.
        let name = tun::interface(opened[0].as_fd()).map_or(tap.name(), |(name, _)| name);
        Ok(Some(Identity::new(name, tap.index())))
    };
    match identity {
        Ok(None) => Ok(None),
        Ok(Some(tap)) => match complete(tap) {
            Ok(completed) => Ok(completed.map(|tap| Tap::new(tap, opened))),
            Err(error) => Err(close(on, at, error, opened, Some(tap))),
        },
        Err(error) => Err(close(on, at, error, opened, None)),
    }
}

/// Closes the descriptors of a tap that is not complete. The kernel then removes it.
fn close(on: &impl Interfaces, at: Attempt, error: Error, opened: Vec<OwnedFd>, tap: Option<Identity>) -> Outcome {
    let name = tun::interface(opened[0].as_fd()).map(|(name, _)| name);
    drop(opened);
    // Without a name it has gone already.
    let Ok(name) = name else { return Outcome::Refused(error) };
    let find = || tap.map_or_else(|| on.named(at, name), |tap| on.indexed(at, tap.index()));
    match (is_gone(on, at, find), tap) {
        (Ok(()), _) => Outcome::Refused(error),
        (Err(_), Some(tap)) => Outcome::unclear_after(error, tap),
        (Err(left), None) => Outcome::Refused(error.rolled_back(Err(left), format_args!("tap {name}"))),
    }
}

/// The error about a name that another process has taken since it was free; `None` if it is free again.
fn taken(on: &impl Interfaces, at: Attempt, spec: &TapSpec) -> Option<Error> {
    let found = on.named(at, spec.name?);
    Some(match (found.transpose()?.map(|found| found.kind_of_taken()), spec.existing) {
        (Err(error), _) => error,
        // It is taken by its creator, who has it open.
        (Ok(ErrorKind::TapExists), ExistingTap::Adopt) => at.means(ErrorKind::TapBusy, Errno::EBUSY),
        (Ok(_), ExistingTap::Adopt) => at.means(ErrorKind::NotATap, Errno::EBUSY),
        (Ok(kind), ExistingTap::Refuse) => at.means(kind, Errno::EBUSY),
    })
}

fn set_owner(at: Attempt, queue: BorrowedFd<'_>, spec: &TapSpec) -> Result<()> {
    let error = |errno| match errno {
        // Nobody has this number in the user namespace.
        Errno::EINVAL => at.with(Capability::TapOwner).means(ErrorKind::InvalidOption, errno),
        errno => at.meaning(errno, GONE),
    };
    if let Some(gid) = spec.group {
        tun::set_group(queue, gid).map_err(error)?;
    }
    if let Some(uid) = spec.owner {
        tun::set_owner(queue, uid).map_err(error)?;
    }
    Ok(())
}
