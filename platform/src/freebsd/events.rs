//! What route(4) tells of interfaces: `RTM_IFANNOUNCE` when one comes or goes, `RTM_IFINFO` when it goes up or down or gets another MTU (`rt_ifmsg()` in `sys/net/rtsock.c`).

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::error::Attempt;
use crate::{Events, Result};

/// Follows the interfaces of the calling process's jail.
pub(super) fn open(at: Attempt) -> Result<Events> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Route, SockType::Raw, flags, None)
        .map(|socket| Events::new(socket, at))
        .map_err(|errno| at.errno(errno))
}
