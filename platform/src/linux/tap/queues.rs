//! The descriptors of a tap.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{GONE, Interfaces, TRIES, known};
use crate::error::{Attempt, CallResult};
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_ONE_QUEUE, IFF_TAP, IFF_VNET_HDR};
use crate::linux::convert::errno;
use crate::linux::tun;
use crate::{Capability, ErrorKind, Identity, Result, TapSpec};

/// The flags of a tap that change with the process that opens it (`TUN_FEATURES`), of those that matter here.
pub(super) const FEATURES: u16 = IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE;

pub(super) const fn flags(spec: &TapSpec) -> u16 {
    // Bare Ethernet frames, without the four bytes before each that a tap has by default.
    let mut flags = IFF_TAP | IFF_NO_PI;
    if spec.vnet_hdr.is_some() {
        flags |= IFF_VNET_HDR;
    }
    if spec.is_multi_queue() {
        flags |= IFF_MULTI_QUEUE;
    }
    flags
}

/// Opens descriptors of the tun device, of no tap yet.
pub(super) fn open(on: &impl Interfaces, at: Attempt, count: u16) -> Result<Vec<OwnedFd>> {
    let opened = on.namespace().run(|| (0..count).map(|_| tun::open()).collect::<std::io::Result<Vec<_>>>());
    opened.at(at)?.map_err(|source| match errno(&source) {
        // No such file, or a file without a driver, which could not be loaded.
        errno @ (Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => at.means(ErrorKind::NoDriver, errno),
        errno => at.errno(errno),
    })
}

/// Makes the other descriptors queues of the first one's tap; `false` when it was renamed meanwhile.
pub(super) fn join(at: Attempt, queues: &[OwnedFd], flags: u16) -> Result<bool> {
    let interface = |fd: &OwnedFd| tun::interface(fd.as_fd()).meaning(at, GONE);
    let [first, others @ ..] = queues else { return Ok(false) };
    let (name, _) = interface(first)?;
    for queue in others {
        tun::attach(queue.as_fd(), Some(name), flags).map_err(|errno| match errno {
            Errno::E2BIG => at.with(Capability::TapQueues).means(ErrorKind::InvalidOption, errno),
            errno => at.errno(errno),
        })?;
    }
    // A tap with the former name of a renamed one is a tap of its own.
    let names: Result<Vec<_>> = queues.iter().map(interface).collect();
    Ok(names?.iter().all(|&(other, _)| other == name))
}

/// Returns the tap of a descriptor; `None` when it is renamed all the time.
pub(super) fn identify(on: &impl Interfaces, at: Attempt, queue: BorrowedFd<'_>) -> Result<Option<Identity>> {
    let name = || Ok(tun::interface(queue).meaning(at, GONE)?.0);
    for _ in 0..TRIES {
        let before = name()?;
        let found = on.named(at, before)?;
        if let (Some(found), true) = (found, name()? == before) {
            return Ok(Some(found.identity));
        }
    }
    Ok(None)
}

/// Opens a tap that nobody has open, with its own flags as `changed` by the caller. Returns the flags that the
/// call asked for.
pub(super) fn reopen(
    on: &impl Interfaces,
    at: Attempt,
    tap: Identity,
    changed: impl Fn(u16) -> u16,
) -> Result<(OwnedFd, u16)> {
    for _ in 0..TRIES {
        let queue = open(on, at, 1)?.remove(0);
        let now = known(on, at, tap)?;
        // Without its flags, only trying tells whether it has several queues.
        let own = now.flags.map_or(vec![IFF_NO_PI, IFF_NO_PI | IFF_MULTI_QUEUE], |flags| vec![flags & FEATURES]);
        for flags in own.into_iter().map(&changed) {
            match tun::attach(queue.as_fd(), Some(now.state.name), flags | IFF_TAP) {
                Ok(()) if identify(on, at, queue.as_fd())? == Some(tap) => return Ok((queue, flags)),
                // Another tap has the name by now.
                Ok(()) => break,
                // Another interface has it, or the tap has another number of queues.
                Err(Errno::EINVAL) => {}
                Err(errno @ (Errno::EBUSY | Errno::E2BIG)) => return Err(at.means(ErrorKind::TapBusy, errno)),
                Err(errno) => return Err(at.errno(errno)),
            }
        }
    }
    Err(at.errno(Errno::EBUSY))
}
