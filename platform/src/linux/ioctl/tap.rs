//! Taps: ethtool tells them from other interfaces, and sysfs what the tun device knows of them.

use nix::errno::Errno;

use super::sysfs::Directory;
use super::{IoctlBackend, still_there};
use crate::error::{Attempt, CallResult};
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_PERSIST, IFF_VNET_HDR};
use crate::linux::ioctl::control::Driver;
use crate::linux::namespace::Namespace;
use crate::linux::tap::{Interface, Interfaces, Kind, Known};
use crate::linux::udev::Udev;
use crate::setting::Setting;
use crate::waiting::Limits;
use crate::{Identity, InterfaceIndex, InterfaceName, MacAddr, Operation, Result, TapState};

/// How often a name is looked up that goes from one interface to another.
const TRIES: usize = 8;

impl Interfaces for IoctlBackend {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn udev(&self) -> nix::Result<&Udev> {
        Ok(&self.udev)
    }

    fn named(&self, at: Attempt, name: InterfaceName) -> Result<Option<Interface>> {
        for _ in 0..TRIES {
            let Some(index) = self.index(name).unless(Errno::ENODEV).at(at)? else { return Ok(None) };
            // An interface that is gone may have left its name to another.
            if let Some(interface) = self.indexed(at, index)? {
                return Ok(Some(interface));
            }
        }
        Err(at.errno(Errno::EBUSY))
    }

    fn indexed(&self, at: Attempt, index: InterfaceIndex) -> Result<Option<Interface>> {
        let found = self.current(index).and_then(|interface| self.interface(interface));
        found.unless(Errno::ENODEV).at(at)
    }

    fn set_on_tap(&self, at: Attempt, tap: Identity, setting: Setting) -> Result<()> {
        self.set(at, tap, setting)
    }
}

impl IoctlBackend {
    fn interface(&self, interface: Identity) -> nix::Result<Interface> {
        let index = interface.index();
        self.control.read(interface, |name| {
            let kind = match self.control.driver(name)? {
                Driver::Bridge => Kind::Bridge,
                Driver::Tap => Kind::Tap(self.known(name, index)?),
                Driver::Other => Kind::Other,
            };
            Ok(Interface { identity: Identity::new(name, index), kind })
        })
    }

    fn known(&self, name: InterfaceName, index: InterfaceIndex) -> nix::Result<Known> {
        let mac = self.control.mac(name)?.unwrap_or(MacAddr::ZERO);
        let mut state = TapState::new(name, index, mac, self.control.mtu(name)?, self.control.link(name)?);
        let files = self.sysfs()?.directory(name, index).unless(Errno::ENOSYS)?;
        let Some(files) = files else { return Ok(Known { state, flags: None }) };
        let flags = u16::try_from(files.number(c"tun_flags")?).map_err(|_| Errno::EBADMSG)?;
        let has = |flag| Some(flags & flag != 0);
        (state.persistent, state.multi_queue, state.vnet_hdr) =
            (has(IFF_PERSIST), has(IFF_MULTI_QUEUE), has(IFF_VNET_HDR));
        (state.owner, state.group) = (id(&files, c"owner")?, id(&files, c"group")?);
        Ok(Known { state, flags: Some(flags) })
    }

    pub(super) fn read_taps(&self) -> Result<Vec<TapState>> {
        let list = || still_there(self.all()?.into_iter().map(|interface| self.interface(interface)));
        let interfaces = list().map_err(|errno| Self::at(Operation::Taps).errno(errno))?;
        let taps = interfaces.into_iter().filter_map(|interface| match interface.kind {
            Kind::Tap(known) => Some(known.state),
            Kind::Bridge | Kind::Other => None,
        });
        Ok(taps.collect())
    }
}

/// A user or a group; the file has −1 for none.
fn id(files: &Directory, path: &std::ffi::CStr) -> nix::Result<Option<u32>> {
    let id = files.number(path).unless(Errno::EBADMSG)?;
    Ok(id.and_then(|id| id.try_into().ok()))
}
