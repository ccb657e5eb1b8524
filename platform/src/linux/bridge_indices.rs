//! The bridges of a network namespace, by a call that looks at nothing else of an interface than
//! whether it is one (`get_bridge_ifindices()`, `net/bridge/br_ioctl.c`).
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_ulong};
use nix::errno::Errno;

use super::abi::{BRCTL_GET_BRIDGES, SIOCGIFBR};
use super::ifreq::retry;
use crate::InterfaceIndex;

/// What `old_deviceless()` has room for; it says nothing of bridges beyond.
pub(super) const MAX_BRIDGES: usize = 2047;

nix::ioctl_readwrite_bad!(get_bridges, SIOCGIFBR, [c_ulong; 3]);

/// The indices of all bridges of the namespace that a socket, of whatever family, was made in; `None`
/// where there are as many as there is `room` for, at most [`MAX_BRIDGES`], or more. It makes the
/// kernel load its bridge driver.
pub(super) fn indices(socket: BorrowedFd<'_>, room: usize) -> nix::Result<Option<Vec<InterfaceIndex>>> {
    let room = room.min(MAX_BRIDGES);
    let mut indices: Vec<c_int> = vec![0; room];
    let mut arguments = [BRCTL_GET_BRIDGES, indices.as_mut_ptr().expose_provenance() as c_ulong, room as c_ulong];
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

/// Those that there are: 0 stands for none.
pub(super) fn as_indices(indices: &[c_int]) -> Vec<InterfaceIndex> {
    indices.iter().filter_map(|&index| InterfaceIndex::from_c(index)).collect()
}
