//! What rtnetlink(7) tells of interfaces, to whoever listens. It needs no neli: nothing is read of it.

use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};

use crate::error::Attempt;
use crate::{Events, Result};

const _: () = assert!(libc::RTMGRP_LINK == 1);

/// Follows the interfaces of the calling thread's network namespace.
pub(super) fn open(at: Attempt) -> Result<Events> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let groups = libc::RTMGRP_LINK.unsigned_abs();
    socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkRoute)
        .and_then(|socket| bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).map(|()| socket))
        .map(|socket| Events::new(socket, at))
        .map_err(|errno| at.errno(errno))
}
