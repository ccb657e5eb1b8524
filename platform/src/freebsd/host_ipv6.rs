//! What the host itself does in IPv6 on a bridge: the flags of neighbour discovery (ifconfig(8), ndp(8)).
//!
//! Read in `netinet6/nd6.c` of 14.0 and 15.1: a new bridge has `IFDISABLED`, and neither `ACCEPT_RTADV` nor
//! `AUTO_LINKLOCAL`, whatever the sysctls `net.inet6.ip6.accept_rtadv` and `auto_linklocal` are (`nd6_ifattach()`).
//! ifconfig(8) takes `IFDISABLED` away when it gives the bridge an IPv6 address.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::abi::{self, in6_ndireq};
use super::backend::FreeBsdBackend;
use super::resolve::READINGS;
use super::verified::Verified;
use crate::error::{Attempt, CallResult};
use crate::ifreq::c_name;
use crate::retry::retry;
use crate::{Capability, ErrorKind, HostIpv6, Identity, InterfaceName, Result};

nix::ioctl_readwrite_bad!(get_info, abi::SIOCGIFINFO_IN6, in6_ndireq);
nix::ioctl_readwrite_bad!(set_flags, abi::SIOCSIFINFO_FLAGS, in6_ndireq);

/// A socket of IPv6, which its calls need; `None` where the kernel or the jail has no IPv6.
#[derive(Debug)]
pub(super) struct Inet6(Option<OwnedFd>);

impl Inet6 {
    pub(super) fn open() -> nix::Result<Self> {
        match socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None) {
            Ok(socket) => Ok(Self(Some(socket))),
            Err(Errno::EAFNOSUPPORT | Errno::EPFNOSUPPORT | Errno::EPROTONOSUPPORT) => Ok(Self(None)),
            Err(errno) => Err(errno),
        }
    }

    /// Returns what the host does on an interface; `None` where there is no IPv6.
    pub(super) fn get(&self, name: InterfaceName) -> nix::Result<Option<HostIpv6>> {
        Ok(self.flags(name)?.map(meaning))
    }

    fn flags(&self, name: InterfaceName) -> nix::Result<Option<u32>> {
        let Self(Some(socket)) = self else { return Ok(None) };
        let mut request = in6_ndireq { ifname: c_name(name), ..in6_ndireq::default() };
        // SAFETY: SIOCGIFINFO_IN6 reads and writes one in6_ndireq, which has no pointer.
        let answer = retry(|| unsafe { get_info(socket.as_raw_fd(), &raw mut request) });
        Ok(answer.unless(Errno::EPFNOSUPPORT)?.map(|_| request.ndi.flags))
    }

    fn set_flags(&self, interface: Verified, flags: u32) -> nix::Result<()> {
        let Self(Some(socket)) = self else { return Ok(()) };
        let mut request = in6_ndireq { ifname: c_name(interface.into_name()), ..in6_ndireq::default() };
        request.ndi.flags = flags;
        // SAFETY: SIOCSIFINFO_FLAGS reads and writes one in6_ndireq, which has no pointer.
        retry(|| unsafe { set_flags(socket.as_raw_fd(), &raw mut request) }).map(drop)
    }
}

impl FreeBsdBackend {
    pub(super) fn set_host_ipv6(&self, at: Attempt, bridge: Identity, to: HostIpv6) -> Result<()> {
        let at = at.with(Capability::HostIpv6);
        let mut name = bridge.name();
        for _ in 0..READINGS {
            // All flags are set at once. They are read first, so that nothing is between comparison and call.
            let flags = self.inet6.flags(name);
            let verified = self.verified_bridge(at, bridge)?;
            if verified.name() == name {
                let Some(flags) = flags.at(at)?.filter(|&flags| with(flags, to) != flags) else { return Ok(()) };
                return self.inet6.set_flags(verified, with(flags, to)).at(at);
            }
            name = verified.name();
        }
        Err(at.error(ErrorKind::ListChanged))
    }
}

const fn with(flags: u32, wanted: HostIpv6) -> u32 {
    let (accepting, disabled) = (abi::ND6_IFF_ACCEPT_RTADV, abi::ND6_IFF_IFDISABLED);
    match wanted {
        HostIpv6::Kernel => (flags | accepting) & !disabled,
        HostIpv6::Manual => flags & !(accepting | disabled),
        HostIpv6::Disabled => flags | disabled,
    }
}

const fn meaning(flags: u32) -> HostIpv6 {
    if flags & abi::ND6_IFF_IFDISABLED != 0 {
        HostIpv6::Disabled
    } else if flags & abi::ND6_IFF_ACCEPT_RTADV != 0 {
        HostIpv6::Kernel
    } else {
        HostIpv6::Manual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_set_back_as_it_was() {
        let all = [
            0,
            abi::ND6_IFF_ACCEPT_RTADV,
            abi::ND6_IFF_IFDISABLED,
            abi::ND6_IFF_ACCEPT_RTADV | abi::ND6_IFF_IFDISABLED,
        ];
        for flags in all {
            assert_eq!(with(flags, meaning(flags)), flags);
            for to in [HostIpv6::Kernel, HostIpv6::Manual, HostIpv6::Disabled] {
                assert_eq!(meaning(with(flags, to)), to);
            }
        }
    }
}
