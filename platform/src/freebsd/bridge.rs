//! Bridges through `SIOCIFCREATE2` and `SIOCSDRVSPEC`.

use nix::errno::Errno;

use super::abi::ifbreq;
use super::backend::{FreeBsdBackend, Macs, still_there};
use super::driver::Driver;
use super::interface::Interface;
use super::{options, port, sysctl};
use crate::error::{Attempt, CallResult, Meanings};
use crate::setting::Setting;
use crate::{
    BridgeChange, BridgeOptions, BridgeState, Error, ErrorKind, Identity, InterfaceName, MacAddr, Result, Seen,
    Target,
};

/// What setting an MTU fails with.
const MTU: &Meanings = &[(Errno::EINVAL, ErrorKind::InvalidMtu)];

impl FreeBsdBackend {
    /// Whether an interface is of this driver.
    pub(super) fn is_of(&self, driver: Driver, name: InterfaceName) -> nix::Result<bool> {
        match driver {
            Driver::Bridge => self.is_bridge(name),
            Driver::Tap => {
                let made = sysctl::driver_name(self.control.index(name)?)?;
                Ok(made.is_some_and(|made| Driver::Tap.is_name(made)))
            }
        }
    }

    pub(super) fn is_bridge(&self, name: InterfaceName) -> nix::Result<bool> {
        self.control.interface(name).map(Interface::is_bridge)
    }

    /// Checks that no interface has a name, which one of this driver is to have.
    pub(super) fn check_free(&self, at: Attempt, driver: Driver, name: InterfaceName) -> Result<()> {
        let taken = self.control.index(name).unless(Errno::ENXIO).at(at)?;
        taken.map_or(Ok(()), |_| Err(self.name_taken(at, driver, name)))
    }

    /// The error of a name that the kernel says is taken. If no interface has it, it is that of a
    /// `bridgeN` or `tapN` whose number is still that of one that was renamed.
    pub(super) fn name_taken(&self, at: Attempt, driver: Driver, name: InterfaceName) -> Error {
        let kind = match driver {
            _ if self.is_bridge(name) == Ok(true) => ErrorKind::BridgeExists,
            Driver::Tap if self.is_of(driver, name) == Ok(true) => ErrorKind::TapExists,
            Driver::Bridge | Driver::Tap => ErrorKind::NameInUse,
        };
        at.means(kind, Errno::EEXIST)
    }

    /// The state of a bridge.
    pub(super) fn state(&self, at: Attempt, bridge: Identity) -> Result<BridgeState> {
        let mac = self.mac(at, bridge.name())?;
        let state = self.bare_state(bridge, mac).at(at)?;
        let options = self.options(bridge.name()).at(at)?;
        Ok(BridgeState { options, ..state })
    }

    /// The state of a bridge without its options.
    pub(super) fn bare_state(&self, bridge: Identity, mac: Option<MacAddr>) -> nix::Result<BridgeState> {
        let name = bridge.name();
        let (mtu, link) = (self.control.mtu(name)?, self.control.flags(name)?.link());
        let state = BridgeState::new(name, bridge.index(), mac.unwrap_or(MacAddr::ZERO), mtu, link);
        Ok(BridgeState { incarnation: bridge.incarnation(), ..state })
    }

    /// What a change of a bridge is about. A MAC costs a list of all interfaces: where the change has none, it is
    /// all zero. A change of nothing looks at everything.
    pub(super) fn seen_bridge(&self, at: Attempt, bridge: Target, change: &BridgeChange) -> Result<Seen> {
        options::check(at, &change.options)?;
        let is_all = *change == BridgeChange::default();
        let find = || Ok([self.bridge(at, bridge)?]);
        self.read(at, find, |[bridge]| {
            let mac = if is_all || change.mac.is_some() { self.mac(at, bridge.name())? } else { None };
            let mut state = self.bare_state(bridge, mac).at(at)?;
            if is_all || change.options != BridgeOptions::default() {
                state.options = self.options(bridge.name()).at(at)?;
            }
            // A new protocol changes them.
            let ports = match change.options.stp_protocol {
                Some(_) => self.ports_of(at, bridge, port::settable)?,
                None => Vec::new(),
            };
            Ok(Seen::Bridge { bridge: state, ports })
        })
    }

    /// Changes one thing of a bridge or a tap. A tap has no [`Setting::Option`].
    pub(super) fn set(&self, at: Attempt, driver: Driver, on: Identity, setting: Setting) -> Result<()> {
        let name = || match driver {
            Driver::Bridge => self.verified_bridge(at, on),
            Driver::Tap => self.verified(at, on),
        };
        match setting {
            Setting::Mtu(mtu) => self.control.set_mtu(name()?, mtu).meaning(at, MTU),
            Setting::Mac(mac) => self.control.set_mac(name()?, mac).at(at),
            Setting::Link(link) => self.set_link(at, on, link),
            Setting::Option(option) => self.set_option(at, on, option),
        }
    }

    /// The MAC of an interface, if it has one.
    pub(super) fn mac(&self, at: Attempt, name: InterfaceName) -> Result<Option<MacAddr>> {
        self.macs(at)?.get(&name).copied().ok_or_else(|| at.errno(Errno::ENXIO))
    }

    /// All bridges, and their MACs.
    pub(super) fn bridges(&self, at: Attempt) -> Result<Macs> {
        // The group `bridge` would not do: anyone with root may add to it and take from it.
        let all = self.macs(at)?.into_iter();
        let kinds = still_there(at, all.map(|(name, mac)| Ok((self.is_bridge(name)?, name, mac))))?;
        Ok(kinds.into_iter().filter(|&(is_bridge, ..)| is_bridge).map(|(_, name, mac)| (name, mac)).collect())
    }

    /// The bridge that an interface is a port of, and what there is to know of it as a port.
    ///
    /// The kernel is asked of each bridge, first of those in the group `bridge`: there all are that nobody has
    /// taken from it.
    pub(super) fn bridge_of(&self, at: Attempt, port: InterfaceName) -> Result<Option<(Identity, ifbreq)>> {
        let as_port_of = |bridge: InterfaceName| {
            let interface = self.control.interface(bridge)?;
            if !interface.is_bridge() {
                return Ok(None);
            }
            let member = self.control.port(bridge, port).unless(Errno::ENOENT)?;
            Ok(member.map(|member| (interface.identity, member)))
        };
        let find = |bridges: &mut dyn Iterator<Item = InterfaceName>| {
            let found = bridges.map(as_port_of).find(|found| !matches!(found, Ok(None) | Err(Errno::ENXIO)));
            found.unwrap_or(Ok(None)).at(at)
        };
        let group = self.control.group(Driver::Bridge.group()).at(at)?;
        match find(&mut group.into_iter())? {
            None => find(&mut self.macs(at)?.into_keys()),
            found => Ok(found),
        }
    }

    /// Whether an interface is a port of a lagg(4).
    pub(super) fn is_lagg_port(&self, port: InterfaceName) -> bool {
        self.control.interface(port).is_ok_and(Interface::is_lagg_port)
    }
}
