//! Taps: what rtnetlink tells of them, and the steps that it takes on them.

use nix::errno::Errno;

use super::NetlinkBackend;
use super::link::Link;
use super::outcome::{conclude, error};
use super::requests::{self, Filter};
use super::socket::Failure;
use super::tun_data::TunData;
use crate::error::Attempt;
use crate::linux::namespace::Namespace;
use crate::linux::tap::{Interface, Interfaces, Kind, Known};
use crate::linux::udev::Udev;
use crate::setting::Setting;
use crate::waiting::Limits;
use crate::{ErrorKind, Identity, InterfaceIndex, InterfaceName, MacAddr, Operation, Outcome, Result, TapState};

fn state(link: &Link, tun: &TunData) -> TapState {
    let mac = link.mac.unwrap_or(MacAddr::ZERO);
    let mut state = TapState::new(link.name, link.index, mac, link.mtu, link.state);
    (state.persistent, state.multi_queue, state.vnet_hdr) = (tun.persistent, tun.multi_queue, tun.vnet_hdr);
    (state.owner, state.group) = (tun.owner, tun.group);
    state
}

fn interface(link: &Link) -> Interface {
    let kind = match &link.tap {
        Some(tun) => Kind::Tap(Known { state: state(link, tun), flags: tun.flags() }),
        None if link.is_bridge => Kind::Bridge,
        None => Kind::Other,
    };
    Interface { identity: link.identity(), kind }
}

impl Interfaces for NetlinkBackend {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn udev(&self) -> nix::Result<&Udev> {
        if let Some(udev) = self.udev.get() {
            return Ok(udev);
        }
        let opened = self.namespace.run(|| Udev::open(self.limits.udev))?;
        Ok(self.udev.get_or_init(|| opened))
    }

    fn named(&self, at: Attempt, name: InterfaceName) -> Result<Option<Interface>> {
        let found = self.look_for(name.into()).map_err(|failure| error(at, failure))?;
        Ok(found.as_ref().map(interface))
    }

    fn indexed(&self, at: Attempt, index: InterfaceIndex) -> Result<Option<Interface>> {
        match NetlinkBackend::indexed(self, index) {
            Ok(link) => Ok(Some(interface(&link))),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(None),
            Err(failure) => Err(error(at, failure)),
        }
    }

    fn set_on_tap(&self, at: Attempt, tap: Identity, setting: Setting) -> Result<()> {
        let answer = self.socket.execute(requests::set(tap.index(), setting));
        let refusal = |errno, _: Option<&str>| match (setting, errno) {
            (Setting::Mtu(_), Errno::EINVAL | Errno::ERANGE) => ErrorKind::InvalidMtu,
            (_, errno) => ErrorKind::of(errno),
        };
        match conclude(at, answer, refusal) {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused(error) | Outcome::Unclear { error, .. } => Err(error),
            Outcome::Begun => Err(at.error(ErrorKind::Os)),
        }
    }
}

impl NetlinkBackend {
    pub(super) fn read_taps(&self) -> Result<Vec<TapState>> {
        let dump = self.socket.dump(|| requests::dump(Filter::Tuns), |link| link.tap.is_some());
        let links = dump.map_err(|failure| error(Self::at(Operation::Taps), failure))?;
        Ok(links.iter().filter_map(|link| Some(state(link, link.tap.as_ref()?))).collect())
    }
}
