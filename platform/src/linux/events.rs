//! What rtnetlink(7) tells of interfaces, to whoever listens. It needs no neli: nothing is read of it.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};

use super::namespace::Namespace;
use crate::error::Attempt;
use crate::{Events, Result};

const _: () = assert!(libc::RTMGRP_LINK == 1);

/// Follows the interfaces of a network namespace.
pub(super) fn open(namespace: &Namespace, at: Attempt) -> Result<Events> {
    let socket = namespace.run(open_here).and_then(|socket| socket);
    socket.map(|socket| Events::new(socket, at)).map_err(|errno| at.errno(errno))
}

fn open_here() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, libc::RTMGRP_LINK.unsigned_abs()))?;
    Ok(socket)
}
