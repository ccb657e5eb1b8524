//! Netlink sockets that listen to multicast groups.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, socket};

/// Opens a socket in the calling thread's network namespace that receives what is sent to these groups.
/// It does not block.
///
/// It is connected to the kernel, so that no process can send to it alone. Messages to a group come from
/// any process that may send to it: with `CAP_NET_ADMIN` in the namespace, for uevents and rtnetlink.
pub(super) fn open(protocol: SockProtocol, groups: u32) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(socket)
}
