//! The ioctls on interfaces, each as a safe function. Those on bridges alone are in
//! [`bridge_ioctl`](super::bridge_ioctl).
//!
//! Read in `net/core/dev_ioctl.c`. All of them work in the network namespace of the socket, in every thread.
//!
//! The kernel takes a name, which another interface may have by now. So a function that changes an interface takes
//! its identity, and compares the name with the index directly before the call.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use libc::ifreq;
use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::BindToDevice;

use crate::error::CallResult;
use crate::ifreq::{Call, Control, IfReq};
use crate::linux::abi::{ETHTOOL_GDRVINFO, IFF_UP, ethtool_drvinfo};
use crate::retry::retry;
use crate::{Identity, InterfaceIndex, InterfaceName, LinkState, MacAddr};

nix::ioctl_readwrite_bad!(ethtool, libc::SIOCETHTOOL, ifreq);

/// How often a call is repeated for an interface that is renamed each time, or a bridge that is set up each time.
pub(super) const TRIES: usize = 8;

/// The kinds of interfaces, by their drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Bridge,
    Tap,
    Other,
}

impl Control {
    /// Reads something by the name of an interface, compares the name with the index, and makes a call
    /// directly after that. It starts over if the interface is renamed meanwhile.
    ///
    /// `ENODEV` if the interface has left, whatever the calls said; `EBUSY` if it is renamed all the time.
    pub(super) fn compared<R, T>(
        &self,
        interface: Identity,
        read: impl Fn(InterfaceName) -> nix::Result<R>,
        call: impl Fn(InterfaceName, R) -> nix::Result<T>,
    ) -> nix::Result<T> {
        let mut name = interface.name();
        for _ in 0..TRIES {
            let seen = read(name);
            let now = self.name(interface.index())?;
            if now != name {
                name = now;
                continue;
            }
            let errno = match seen.and_then(|seen| call(name, seen)) {
                Ok(value) => return Ok(value),
                Err(errno) => errno,
            };
            match self.name(interface.index()) {
                Ok(now) if now != name => name = now,
                Err(Errno::ENODEV) => return Err(Errno::ENODEV),
                Ok(_) | Err(_) => return Err(errno),
            }
        }
        Err(Errno::EBUSY)
    }

    /// Reads something of an interface by its name.
    pub(super) fn read<T>(&self, on: Identity, read: impl Fn(InterfaceName) -> nix::Result<T>) -> nix::Result<T> {
        self.compared(on, read, |_, value| Ok(value))
    }

    /// Makes a call on an interface by its name.
    pub(super) fn on<T>(&self, on: Identity, call: impl Fn(InterfaceName) -> nix::Result<T>) -> nix::Result<T> {
        self.compared(on, |_| Ok(()), |name, ()| call(name))
    }

    /// Returns whether no interface has this name, not as an alternative one either.
    ///
    /// The ioctls say so, too, but before that, where root asks, they have the kernel run `modprobe`
    /// for a module that is called so, twice (`dev_load()`). `SO_BINDTODEVICE` only looks. It needs
    /// `CAP_NET_RAW` before 5.7, and later where the socket is bound. Without that capability,
    /// the ioctl asks, as `ifconfig` does.
    pub(super) fn is_free(&self, name: InterfaceName) -> nix::Result<bool> {
        let bind = |name: &[u8]| setsockopt(self, BindToDevice, &OsStr::from_bytes(name).to_owned());
        match bind(name.as_bytes()) {
            Err(Errno::ENODEV) => return Ok(true),
            Err(_) => {}
            Ok(()) => {
                // Where a socket for ioctls is bound means nothing, should it stay so.
                let _ = bind(b"");
                return Ok(false);
            }
        }
        Ok(self.index(name).unless(Errno::ENODEV)?.is_none())
    }

    /// Returns the index of the interface of this name, which may be an alternative one; `ENODEV`
    /// without an interface. See [`is_free`](Self::is_free) for names that may be free.
    pub(super) fn index(&self, name: InterfaceName) -> nix::Result<InterfaceIndex> {
        self.call(Call::GET_INDEX, IfReq::on(name))?.index().ok_or(Errno::ENODEV)
    }

    /// Returns the name of the interface of this index; `ENODEV` without an interface.
    pub(super) fn name(&self, index: InterfaceIndex) -> nix::Result<InterfaceName> {
        self.call(Call::GET_NAME, IfReq::empty().with_index(index))?.name().ok_or(Errno::ENODEV)
    }

    /// Returns the driver of an interface, as ethtool tells it.
    pub(super) fn driver(&self, name: InterfaceName) -> nix::Result<Driver> {
        let mut info = ethtool_drvinfo {
            cmd: ETHTOOL_GDRVINFO,
            driver: [0; 32],
            version: [0; 32],
            fw_version: [0; 32],
            bus_info: [0; 32],
            _rest: [0; 64],
        };
        let mut request = IfReq::on(name).with_data(&raw mut info);
        // SAFETY: SIOCETHTOOL reads one ifreq. It reads the command that this points to, which is
        // ETHTOOL_GDRVINFO, and writes one ethtool_drvinfo there, which `info` is.
        match retry(|| unsafe { ethtool(self.as_fd().as_raw_fd(), &raw mut request) }) {
            Ok(_) if info.driver.starts_with(b"bridge\0") => Ok(Driver::Bridge),
            // `tun_get_drvinfo()`; that of a tun says "tun" twice.
            Ok(_) if info.driver.starts_with(b"tun\0") && info.bus_info.starts_with(b"tap\0") => Ok(Driver::Tap),
            // Its driver has nothing to tell, as that of the loopback interface.
            Ok(_) | Err(Errno::EOPNOTSUPP) => Ok(Driver::Other),
            // A network card that is asleep says so, too; no bridge and no tap ever sleeps.
            Err(Errno::ENODEV) => self.index(name).map(|_| Driver::Other),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn link(&self, name: InterfaceName) -> nix::Result<LinkState> {
        Ok(LinkState::of_flags(u32::from(self.flags(name)?)))
    }

    /// Sets an interface up or down. The name is compared between the two calls that this takes.
    pub(super) fn set_link(&self, on: Identity, link: LinkState) -> nix::Result<()> {
        let set = |name, flags: u16| {
            let flags = match link {
                LinkState::Up => flags | IFF_UP,
                LinkState::Down => flags & !IFF_UP,
            };
            self.call(Call::SET_FLAGS, IfReq::on(name).with_flags(flags)).map(drop)
        };
        self.compared(on, |name| self.flags(name), set)
    }

    fn flags(&self, name: InterfaceName) -> nix::Result<u16> {
        Ok(self.call(Call::GET_FLAGS, IfReq::on(name))?.flags())
    }

    /// `EINVAL` for an MTU that the interface cannot have.
    pub(super) fn set_mtu(&self, on: Identity, mtu: u32) -> nix::Result<()> {
        let request = IfReq::empty().with_mtu(mtu)?;
        self.on(on, |name| self.call(Call::SET_MTU, request.with_name(name)).map(drop))
    }

    /// Returns the MAC of an interface, or `None` if its addresses are of another kind.
    pub(super) fn mac(&self, name: InterfaceName) -> nix::Result<Option<MacAddr>> {
        Ok(self.call(Call::GET_MAC, IfReq::on(name))?.mac())
    }

    /// `EADDRNOTAVAIL` for a MAC that no interface can have.
    pub(super) fn set_mac(&self, on: Identity, mac: MacAddr) -> nix::Result<()> {
        self.on(on, |name| self.call(Call::SET_MAC, IfReq::on(name).with_mac(mac)).map(drop))
    }

    /// `EEXIST` for a name that is taken; before 6.2 `EBUSY` for an interface that is up.
    pub(super) fn rename(&self, on: Identity, to: InterfaceName) -> nix::Result<()> {
        self.on(on, |name| self.call(Call::SET_NAME, IfReq::on(name).with_new_name(to)).map(drop))
    }
}
