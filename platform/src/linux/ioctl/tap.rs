//! Taps: ethtool tells them from other interfaces, and sysfs what the tun device has of them.

use nix::errno::Errno;

use super::{IoctlBackend, mtu_error, still_there, sysfs};
use crate::change::Step;
use crate::error::Attempt;
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_PERSIST, IFF_VNET_HDR};
use crate::linux::ioctl::control::Driver;
use crate::linux::namespace::Namespace;
use crate::linux::tap::{Interface, Interfaces, Kind, Known};
use crate::linux::udev::Udev;
use crate::{ErrorKind, InterfaceIndex, InterfaceName, MacAddr, Operation, Result, TapState};

impl Interfaces for IoctlBackend {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn udev(&self) -> nix::Result<&Udev> {
        Ok(&self.udev)
    }

    fn named(&self, at: Attempt, name: InterfaceName) -> Result<Option<Interface>> {
        found(at, self.control.index(name).and_then(|index| self.interface(index)))
    }

    fn indexed(&self, at: Attempt, index: InterfaceIndex) -> Result<Option<Interface>> {
        found(at, self.interface(index))
    }

    fn set(&self, at: Attempt, index: InterfaceIndex, step: Step) -> Result<()> {
        let name = self.control.name(index).map_err(|errno| at.errno(errno))?;
        match step {
            Step::Mtu(mtu) => self.control.set_mtu(name, mtu).map_err(|errno| mtu_error(at, errno)),
            Step::Mac(mac) => self.control.set_mac(name, mac).map_err(|errno| at.errno(errno)),
            Step::Link(link) => self.control.set_link(name, link).map_err(|errno| at.errno(errno)),
            Step::Option(option) => Err(at.with(option.capability()).error(ErrorKind::Unsupported)),
        }
    }
}

impl IoctlBackend {
    /// The interface of this index, by the name that it has now: it may have been asked for by an
    /// alternative one.
    fn interface(&self, index: InterfaceIndex) -> nix::Result<Interface> {
        let name = self.control.name(index)?;
        let kind = match self.control.driver(name)? {
            Driver::Bridge => Kind::Bridge,
            Driver::Tap => Kind::Tap(self.known(name, index)?),
            Driver::Other => Kind::Other,
        };
        Ok(Interface { index, kind })
    }

    fn known(&self, name: InterfaceName, index: InterfaceIndex) -> nix::Result<Known> {
        let mac = self.control.mac(name)?.unwrap_or(MacAddr::ZERO);
        let mut state = TapState::new(name, index, mac, self.control.mtu(name)?, self.control.link(name)?);
        let files = match self.sysfs_interface(name, index) {
            Err(Errno::ENOSYS) => return Ok(Known { state, flags: None }),
            files => files?,
        };
        let flags = u16::try_from(files.number(c"tun_flags")?).map_err(|_| Errno::EBADMSG)?;
        let has = |flag| Some(flags & flag != 0);
        (state.persistent, state.multi_queue, state.vnet_hdr) =
            (has(IFF_PERSIST), has(IFF_MULTI_QUEUE), has(IFF_VNET_HDR));
        (state.owner, state.group) = (id(&files, c"owner")?, id(&files, c"group")?);
        Ok(Known { state, flags: Some(flags) })
    }

    pub(super) fn read_taps(&self) -> Result<Vec<TapState>> {
        let at = Self::at(Operation::Taps);
        let interfaces = self.interface_names(at)?.into_iter();
        let interfaces = interfaces.map(|name| self.control.index(name).and_then(|index| self.interface(index)));
        let taps = still_there(at, interfaces)?.into_iter().filter_map(|interface| match interface.kind {
            Kind::Tap(known) => Some(known.state),
            Kind::Bridge | Kind::Other => None,
        });
        let mut taps: Vec<_> = taps.collect();
        taps.sort_unstable_by_key(|tap| tap.index);
        Ok(taps)
    }
}

fn found(at: Attempt, interface: nix::Result<Interface>) -> Result<Option<Interface>> {
    match interface {
        Ok(interface) => Ok(Some(interface)),
        Err(Errno::ENODEV) => Ok(None),
        Err(errno) => Err(at.errno(errno)),
    }
}

/// A user or a group; −1 where there is none.
fn id(files: &sysfs::Interface, path: &std::ffi::CStr) -> nix::Result<Option<u32>> {
    match files.number(path) {
        Ok(id) => Ok(id.try_into().ok()),
        Err(Errno::EBADMSG) => Ok(None),
        Err(errno) => Err(errno),
    }
}
