//! Taps: what `IFLA_INFO_DATA` of the driver `tun` tells of them (`tun_fill_info()`, since 4.17).

use nix::errno::Errno;

use super::decode::{Link, Malformed, attributes, u8_at, u32_at};
use super::encode::{self, Filter};
use super::socket::Failure;
use super::{NetlinkBackend, error};
use crate::change::Step;
use crate::error::Attempt;
use crate::linux::abi::netlink::{
    IFLA_TUN_GROUP, IFLA_TUN_MULTI_QUEUE, IFLA_TUN_OWNER, IFLA_TUN_PERSIST, IFLA_TUN_PI, IFLA_TUN_TYPE,
    IFLA_TUN_VNET_HDR,
};
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_PERSIST, IFF_TAP, IFF_VNET_HDR};
use crate::linux::namespace::Namespace;
use crate::linux::tap::{Interface, Interfaces, Kind, Known};
use crate::linux::udev::Udev;
use crate::{ErrorKind, InterfaceIndex, InterfaceName, MacAddr, Operation, Result, TapState};

/// The `IFLA_INFO_KIND` of taps, and of tuns.
pub(super) const KIND: &str = "tun";

/// What an older kernel does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TunData {
    is_tap: Option<bool>,
    owner: Option<u32>,
    group: Option<u32>,
    packet_information: Option<bool>,
    vnet_hdr: Option<bool>,
    persistent: Option<bool>,
    multi_queue: Option<bool>,
}

/// Reads the driver's own attributes of an interface whose addresses are of this kind; `None` for
/// a tun.
pub(super) fn decode(data: &[u8], hardware: u16) -> std::result::Result<Option<TunData>, Malformed> {
    let mut tun = TunData::default();
    for attribute in attributes(data) {
        let (kind, payload) = attribute?;
        let flag = u8_at(payload, 0).map(|value| value != 0);
        match kind {
            IFLA_TUN_TYPE => tun.is_tap = u8_at(payload, 0).map(|value| u16::from(value) == IFF_TAP),
            IFLA_TUN_OWNER => tun.owner = u32_at(payload, 0),
            IFLA_TUN_GROUP => tun.group = u32_at(payload, 0),
            IFLA_TUN_PI => tun.packet_information = flag,
            IFLA_TUN_VNET_HDR => tun.vnet_hdr = flag,
            IFLA_TUN_PERSIST => tun.persistent = flag,
            IFLA_TUN_MULTI_QUEUE => tun.multi_queue = flag,
            _ => {}
        }
    }
    Ok(tun.is_tap.unwrap_or(hardware == libc::ARPHRD_ETHER).then_some(tun))
}

impl TunData {
    /// Those of `TUNGETIFF`, as far as they are told.
    fn flags(self) -> Option<u16> {
        let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
        Some(
            IFF_TAP
                | flag(!self.packet_information?, IFF_NO_PI)
                | flag(self.vnet_hdr?, IFF_VNET_HDR)
                | flag(self.persistent?, IFF_PERSIST)
                | flag(self.multi_queue?, IFF_MULTI_QUEUE),
        )
    }
}

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
        self.execute(at, encode::set(index, step), is_done, refusal)
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
        let dump = self.socket.dump(|| encode::dump(Filter::Tuns), |link| link.tap.is_some());
        let links = dump.map_err(|failure| error(Self::at(Operation::Taps), failure))?;
        Ok(links.iter().filter_map(|link| Some(state(link, link.tap.as_ref()?))).collect())
    }
}
