//! Deleting a tap.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::adopt::restore_flags;
use super::queues::{FEATURES, identify, open};
use super::{Interfaces, Known, attempt, find, gone, is_gone, when_closed};
use crate::error::Attempt;
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_ONE_QUEUE, IFF_TAP};
use crate::linux::tun;
use crate::{ErrorKind, InterfaceName, Operation, Result};

/// Opens a tap and closes it, no longer persistent: so no other can be hit than the one that was
/// opened.
pub(in crate::linux) fn delete(on: &impl Interfaces, tap: InterfaceName) -> Result<()> {
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
    is_gone(at, || on.indexed(at, before.state.index)).map_err(|error| match error.kind() {
        ErrorKind::TapBusy => error,
        kind => at.error(kind).undone(Err(error), format_args!("tap {name}, if another process has it open,")),
    })
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
