//! Taps: what rtnetlink tells of them, and the steps that it takes on them.

use nix::errno::Errno;

use super::link::Link;
use super::requests::{self, Filter};
use super::socket::Failure;
use super::tun_data::TunData;
use super::{NetlinkBackend, error};
use crate::change::Step;
use crate::error::Attempt;
use crate::linux::namespace::Namespace;
use crate::linux::tap::{Interface, Interfaces, Kind, Known};
use crate::linux::udev::Udev;
use crate::{ErrorKind, InterfaceIndex, InterfaceName, MacAddr, Operation, Result, TapState};

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
    Interface { index: link.index, kind }
}

impl Interfaces for NetlinkBackend {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn udev(&self) -> nix::Result<&Udev> {
        if let Some(udev) = self.udev.get() {
            return Ok(udev);
        }
        let opened = self.namespace.run(Udev::open)?;
        Ok(self.udev.get_or_init(|| opened))
    }

    fn named(&self, at: Attempt, name: InterfaceName) -> Result<Option<Interface>> {
        Ok(self.interface(at, name)?.as_ref().map(interface))
    }

    fn indexed(&self, at: Attempt, index: InterfaceIndex) -> Result<Option<Interface>> {
        match NetlinkBackend::indexed(self, index) {
            Ok(link) => Ok(Some(interface(&link))),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(None),
            Err(failure) => Err(error(at, failure)),
        }
    }

    fn set(&self, at: Attempt, index: InterfaceIndex, step: Step) -> Result<()> {
        let is_done = || Ok(step.is_taken(&NetlinkBackend::indexed(self, index)?));
        let refusal = |errno, _: Option<&str>| match (step, errno) {
            (Step::Mtu(_), Errno::EINVAL | Errno::ERANGE) => ErrorKind::InvalidMtu,
            (_, errno) => ErrorKind::of(errno),
        };
        self.execute(at, requests::set(index, step), is_done, refusal)
    }
}

impl Step {
    /// Whether an interface is as this step makes it, but for options.
    pub(super) fn is_taken(self, now: &Link) -> bool {
        match self {
            Self::Mtu(mtu) => now.mtu == mtu,
            Self::Mac(mac) => now.mac == Some(mac),
            Self::Link(link) => now.state == link,
            Self::Option(_) => false,
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
