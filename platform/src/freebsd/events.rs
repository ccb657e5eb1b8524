//! What route(4) tells of interfaces (`rt_ifmsg()` and `rt_ifannouncemsg()` in `net/rtsock.c`; seen
//! with `route monitor`):
//!
//! - `RTM_IFANNOUNCE` when one comes or goes. A new name is a departure and an arrival.
//! - `RTM_IFINFO` when it goes up or down, gets another MTU or a carrier, or joins or leaves a
//!   bridge: a port is promiscuous.
//! - Nothing of another MAC, be the bridge up or down (`if_setlladdr()` in `net/if.c` sets it down
//!   and up behind the back of route(4)), nor of any option of a bridge or a port, nor of
//!   descriptions. devd(8) is not told either.
//!
//! It tells of addresses and routes, too: whoever follows it is woken more often than necessary.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::error::{Attempt, CallResult};
use crate::{Events, Result};

/// Follows the interfaces of the calling process's jail.
pub(super) fn open(at: Attempt) -> Result<Events> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Route, SockType::Raw, flags, None).map(|socket| Events::new(socket, at)).at(at)
}
