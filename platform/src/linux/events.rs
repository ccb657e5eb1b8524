//! The kernel's news of interfaces (rtnetlink(7)). They need no neli: nobody reads the messages.

use nix::sys::socket::SockProtocol;

use super::listener;
use super::namespace::Namespace;
use crate::error::{Attempt, CallResult};
use crate::{Events, Result};

const _: () = assert!(libc::RTMGRP_LINK == 1);

/// Follows the interfaces of a network namespace.
pub(super) fn open(namespace: &Namespace, at: Attempt) -> Result<Events> {
    let open = || listener::open(SockProtocol::NetlinkRoute, libc::RTMGRP_LINK.unsigned_abs());
    let socket = namespace.run(open).and_then(|socket| socket);
    socket.map(|socket| Events::new(socket, at)).at(at)
}
