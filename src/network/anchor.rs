//! The anchor: a tap of the network's own, `<bridge>-nic`, as libvirt had from 2011 to 2020.
//!
//! There it held the MAC that the bridge took from its ports. The bridges of every backend have
//! theirs without it; what is left for it to do is to give the bridge its first MTU, which Linux
//! takes from the ports (`br_mtu_auto_adjust()`), and, where a bridge without ports has no carrier,
//! to give it one: without it the kernel keeps the bridge's IPv6 addresses tentative (`addrconf.c`:
//! duplicate address detection begins when the interface is ready).
//!
//! Seen on Linux 6.18: a tap has a carrier only while it is open, also if it is persistent or was
//! told to have one (`TUNSETCARRIER`). But the kernel marks an interface ready when it gets its
//! first carrier, and it stays so until it is set down: detection then runs to its end without a
//! carrier, that of addresses that are added later, too. So the tap is open for as long as it takes
//! to get the bridge a carrier: nothing with STP off, two forward delays with STP on. Nobody has to
//! keep it open.
//!
//! FreeBSD's duplicate address detection asks whether the interface is up and running, not whether
//! it has a carrier (`nd6_dad_timer()` in `netinet6/nd6_nbr.c`): on a bridge without ports it comes to
//! its end without an anchor (seen on 14.0), and so nothing is waited for.
//!
//! Its MAC is the bridge's, as libvirt had it: a bridge that was made without a MAC of its own
//! then has the right one as well.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::{AnchorState, Drift, NetworkFailure, Occupant, Occupied, ResolvedNetwork};
use crate::port::unless_gone;
use crate::{
    Attempt, BridgeBackend, BridgeState, Capability, Error, ErrorKind, InterfaceName, LinkState, Operation,
    Result, Tap, TapChange, TapSpec, TapState, bridges_of_ports, unplug,
};

/// How long the kernel may take beyond two forward delays; it notes a carrier once a second
/// (`net/core/link_watch.c`), and on a host that makes and deletes many interfaces at the same time
/// that work waits its turn (more than 5 s were seen).
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two looks for the carrier.
const GLANCE: Duration = Duration::from_millis(20);

/// A tap that has the name of an anchor, and the bridge that it is a port of.
#[derive(Debug)]
pub(super) struct Found {
    state: TapState,
    bridge: Option<InterfaceName>,
}

/// The tap of this name.
pub(super) fn tap(backend: &dyn BridgeBackend, name: InterfaceName) -> Result<Option<TapState>> {
    if !backend.capabilities().contains(Capability::Tap) {
        return Ok(None);
    }
    Ok(backend.taps()?.into_iter().find(|tap| tap.name == name))
}

/// The taps of a host and the bridges of its ports, each read once, when it is first asked for: for many
/// networks the lists would be read as often.
#[derive(Debug)]
pub(super) struct Taps<'h> {
    backend: &'h dyn BridgeBackend,
    listed: OnceCell<Vec<TapState>>,
    bridges: OnceCell<BTreeMap<InterfaceName, InterfaceName>>,
}

impl<'h> Taps<'h> {
    pub(super) const fn of(backend: &'h dyn BridgeBackend) -> Self {
        Self { backend, listed: OnceCell::new(), bridges: OnceCell::new() }
    }

    /// The tap that has the name of a network's anchor.
    pub(super) fn find(&self, network: &ResolvedNetwork) -> Result<Option<Found>> {
        if !self.backend.capabilities().contains(Capability::Tap) {
            return Ok(None);
        }
        let taps = once(&self.listed, || self.backend.taps())?;
        let Some(state) = taps.iter().find(|tap| tap.name == network.anchor()) else { return Ok(None) };
        let bridge = once(&self.bridges, || bridges_of_ports(self.backend))?.get(&state.name).copied();
        Ok(Some(Found { state: state.clone(), bridge }))
    }

    /// What [`stop`](super::stop) is to remove: the tap on the network's bridge, and one on no bridge
    /// that nobody has open.
    pub(super) fn left_over(&self, network: &ResolvedNetwork) -> Result<Option<Found>> {
        Ok(self.find(network)?.filter(|found| found.is_detached() || found.is_port_of(network.bridge())))
    }
}

/// What is read when it is first asked for (`OnceCell::get_or_try_init`, which is not stable).
fn once<T>(cell: &OnceCell<T>, read: impl FnOnce() -> Result<T>) -> Result<&T> {
    match cell.get() {
        Some(value) => Ok(value),
        None => read().map(|value| cell.get_or_init(|| value)),
    }
}

/// Refuses, before anything is done, what the backend cannot do, and a name that is taken.
pub(super) fn check(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
) -> std::result::Result<(), NetworkFailure> {
    if network.has_anchor() && !backend.capabilities().contains(Capability::Tap) {
        let at = Attempt::new(backend.name(), Operation::CreateTap).on(network.anchor());
        return Err(at.with(Capability::Tap).error(ErrorKind::Unsupported).into());
    }
    check_name(backend, network)
}

/// Refuses the name of the anchor, if the network has one, where it is that of what is no tap or
/// is a port of another bridge.
pub(super) fn check_name(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
) -> std::result::Result<(), NetworkFailure> {
    let name = network.anchor();
    if !network.has_anchor() || !backend.interfaces()?.iter().any(|interface| interface.name == name) {
        return Ok(());
    }
    let by = match Taps::of(backend).find(network)? {
        Some(found) if found.is_detached() || found.is_port_of(network.bridge()) => return Ok(()),
        Some(_) => Occupant::Tap,
        None => Occupant::Interface,
    };
    Err(NetworkFailure::Occupied(Occupied { name, by }))
}

/// Where an anchor, as it was [found](Taps::find), is not what is defined.
pub(super) fn drift(network: &ResolvedNetwork, found: Option<&Found>) -> Option<Drift> {
    let (actual, mtu) = match found {
        None => (AnchorState::Absent, None),
        // Whoever has it, it is not the network's.
        Some(found) if !network.has_anchor() && !found.is_port_of(network.bridge()) => return None,
        Some(Found { bridge: None, .. }) => (AnchorState::Detached, None),
        Some(&Found { state: TapState { mac, mtu, link, .. }, .. }) => {
            (AnchorState::Port { mac, mtu, link }, Some(mtu))
        }
    };
    let mtu = network.network().mtu().or(mtu);
    let defined = if network.has_anchor() {
        let mtu = mtu.unwrap_or(DEFAULT_MTU);
        AnchorState::Port { mac: network.mac().into(), mtu, link: LinkState::Up }
    } else {
        AnchorState::Absent
    };
    (actual != defined).then_some(Drift::Anchor { defined, actual })
}

/// Of a tap that is given none.
const DEFAULT_MTU: u32 = 1500;

/// The anchor of a network whose bridge is there, while it is made or what is there of it is made right.
///
/// It begins and ends in two steps, so that the bridges of many networks get their carriers at the
/// same time. It is persisted last: nothing is left if the process dies before.
#[derive(Debug)]
pub(super) struct Raising<'a> {
    tap: Tap,
    before: Option<&'a Found>,
    bridge: BridgeState,
}

impl<'a> Raising<'a> {
    /// Makes it a port of the bridge, and up; whatever fails, it is as it was before.
    pub(super) fn begin(
        backend: &dyn BridgeBackend,
        network: &ResolvedNetwork,
        before: Option<&'a Found>,
        bridge: BridgeState,
    ) -> Result<Self> {
        let mut spec = TapSpec::new().name(network.anchor()).mac(network.mac()).adopt_existing();
        spec.mtu = network.network().mtu();
        if before.is_none() {
            spec.mtu = spec.mtu.or(Some(bridge.mtu));
        }
        if backend.capabilities().contains(Capability::Carrier) {
            // It may still be told of a carrier that the bridge had before, which is not the anchor's.
            backend.has_carrier(bridge.name)?;
        }
        let raising = Self { tap: backend.create_tap(&spec)?, before, bridge };
        match raising.join(backend) {
            Ok(()) => Ok(raising),
            Err(error) => Err(raising.lower(backend, error)),
        }
    }

    fn join(&self, backend: &dyn BridgeBackend) -> Result<()> {
        let is_port = self.before.is_some_and(|before| before.bridge.is_some());
        if !is_port {
            backend.add_port(self.bridge.name, self.tap.name())?;
        }
        backend.change_tap(self.tap.name(), &TapChange::default().link(LinkState::Up))
    }

    /// Waits until the bridge has its carrier, and lets the anchor stay; whatever fails, it is as it was
    /// before it began.
    pub(super) fn end(self, backend: &dyn BridgeBackend) -> Result<()> {
        let ended = await_carrier(backend, &self.bridge).and_then(|()| backend.persist_tap(&self.tap));
        ended.map_err(|error| self.lower(backend, error))
    }

    /// Undoes what has been done.
    fn lower(self, backend: &dyn BridgeBackend, error: Error) -> Error {
        let name = self.tap.name();
        let Some(before) = self.before else {
            return error.undone(unplug(backend, self.tap), format_args!("tap {name}"));
        };
        let left = match before.bridge {
            Some(_) => Ok(()),
            None => unless_gone(backend.remove_port(self.bridge.name, name)),
        };
        let TapState { mac, mtu, link, .. } = before.state;
        let former = TapChange::default().mac(mac).mtu(mtu).link(link);
        let outcome = left.and(unless_gone(backend.change_tap(name, &former)));
        error.undone(outcome, format_args!("a changed tap {name}"))
    }
}

/// Waits until the bridge has a carrier, where the backend can tell.
fn await_carrier(backend: &dyn BridgeBackend, bridge: &BridgeState) -> Result<()> {
    if !backend.capabilities().contains(Capability::Carrier) {
        return Ok(());
    }
    // A port listens for one delay and learns for another.
    let delay = bridge.options.forward_delay.filter(|_| bridge.options.stp == Some(true)).unwrap_or_default();
    let deadline = Instant::now() + 2 * delay + PATIENCE;
    while !backend.has_carrier(bridge.name)? {
        if Instant::now() > deadline {
            let at = Attempt::new(backend.name(), Operation::CreateTap).on(bridge.name);
            return Err(at.with(Capability::Carrier).error(ErrorKind::TimedOut));
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// Removes a tap that is or was a network's anchor. One on no bridge that another process has open
/// is that one's, and stays.
pub(super) fn remove(backend: &dyn BridgeBackend, found: &Found) -> Result<()> {
    match backend.delete_tap(found.state.name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::TapBusy && found.is_detached() => Ok(()),
        outcome => outcome,
    }
}

impl Found {
    /// Whether it is a port of this bridge.
    pub(super) fn is_port_of(&self, bridge: InterfaceName) -> bool {
        self.bridge == Some(bridge)
    }

    /// Whether it is a port of no bridge.
    pub(super) const fn is_detached(&self) -> bool {
        self.bridge.is_none()
    }

    /// Makes again what [`remove`] has removed.
    pub(super) fn put_back(&self, backend: &dyn BridgeBackend) -> Result<()> {
        let TapState { name, mac, mtu, link, .. } = self.state;
        let tap = backend.create_tap(&TapSpec::new().name(name).mtu(mtu))?;
        let made = || {
            backend.change_tap(name, &TapChange::default().mac(mac))?;
            if let Some(bridge) = self.bridge {
                backend.add_port(bridge, name)?;
            }
            backend.change_tap(name, &TapChange::default().link(link))?;
            backend.persist_tap(&tap)
        };
        made()
    }
}
