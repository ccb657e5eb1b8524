//! The descriptors of a tap.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Interfaces, TRIES, gone};
use crate::error::Attempt;
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_ONE_QUEUE, IFF_TAP, IFF_VNET_HDR};
use crate::linux::convert::errno;
use crate::linux::tun;
use crate::{Capability, ErrorKind, InterfaceIndex, InterfaceName, Result, TapSpec};

/// The flags of a tap that change with who opens it (`TUN_FEATURES`), of those that matter here.
pub(super) const FEATURES: u16 = IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE;

pub(super) const fn flags(spec: &TapSpec) -> u16 {
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
pub(super) fn open(on: &impl Interfaces, at: Attempt, count: u16) -> Result<Vec<OwnedFd>> {
    let opened = on.namespace().run(|| (0..count).map(|_| tun::open()).collect::<std::io::Result<Vec<_>>>());
    opened.map_err(|errno| at.errno(errno))?.map_err(|source| match errno(&source) {
        // No such file; one whose driver is not there, nor could be loaded.
        errno @ (Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => at.means(ErrorKind::NoDriver, errno),
        errno => at.errno(errno),
    })
}

/// Makes the other descriptors queues of the tap that the first is of; `false` when it was renamed
/// meanwhile.
pub(super) fn join(at: Attempt, queues: &[OwnedFd], flags: u16) -> Result<bool> {
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
pub(super) fn identify(
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
