//! The bridges of a network namespace, by a call that looks at nothing else of an interface than
//! whether it is one (`get_bridge_ifindices()`, `net/bridge/br_ioctl.c`).
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_ulong};
use nix::errno::Errno;

use super::abi::{BRCTL_GET_BRIDGES, SIOCGIFBR};
use crate::InterfaceIndex;
use crate::retry::retry;

/// The room of `old_deviceless()`, which does not tell of more bridges.
pub(super) const MAX_BRIDGES: usize = 2047;

nix::ioctl_readwrite_bad!(get_bridges, SIOCGIFBR, [c_ulong; 3]);

/// Returns the indices of all bridges of a socket's network namespace. Returns `None` if they fill the
/// `room`, which is at most [`MAX_BRIDGES`]: there may be more.
///
/// The socket may be of any family. The call makes the kernel load its bridge driver.
pub(super) fn indices(socket: BorrowedFd<'_>, room: usize) -> nix::Result<Option<Vec<InterfaceIndex>>> {
    let room = room.min(MAX_BRIDGES);
    let mut indices: Vec<c_int> = vec![0; room];
    let to = indices.as_mut_ptr().expose_provenance() as c_ulong;
    let mut arguments = [BRCTL_GET_BRIDGES, to, room as c_ulong];
    // SAFETY: the kernel reads three longs, and writes at most `room` ints to `indices`, which has as many.
    let count = match retry(|| unsafe { get_bridges(socket.as_raw_fd(), &raw mut arguments) }) {
        // No bridge driver, no bridges.
        Err(Errno::ENOPKG) => 0,
        outcome => outcome?,
    };
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    indices.truncate(count);
    Ok((count < room).then(|| as_indices(&indices)))
}

/// Returns the indices without the zeros, which stand for none.
pub(super) fn as_indices(indices: &[c_int]) -> Vec<InterfaceIndex> {
    indices.iter().filter_map(|&index| InterfaceIndex::from_c(index)).collect()
}
