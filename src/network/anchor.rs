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
//!
//! It belongs to root. Linux lets every user open a persistent tap that belongs to nobody, as those of libvirt do
//! (`tun_not_capable()`, `drivers/net/tun.c`): read and send frames, change its MAC, and remove it. The process that
//! opens such a tap may also give it an owner. So an anchor that is not root's is not adopted but made again.

use std::num::NonZeroU16;
use std::thread;
use std::time::{Duration, Instant};

use super::{AnchorState, Drift, NetworkFailure, Occupant, Occupied, ResolvedNetwork};
use crate::guest::ROOT;
use crate::port::join_unless_joined;
use crate::{
    Attempt, Backend, BridgeState, Bridges, Capability, ErrorKind, Identity, InterfaceName, LinkState, Operation,
    Result, Step, TapChange, TapSpec, TapState, Transaction, VnetHeader,
};

/// The time between two looks for the carrier.
const GLANCE: Duration = Duration::from_millis(20);

/// A tap that has the name of an anchor, and the bridge that it is a port of.
#[derive(Debug)]
pub(super) struct Found {
    state: TapState,
    bridge: Option<Identity>,
}

/// Returns the tap of this name.
pub(super) fn tap(backend: &dyn Backend, name: InterfaceName) -> Result<Option<TapState>> {
    if !backend.implemented().contains(Capability::Tap) {
        return Ok(None);
    }
    match backend.tap(name) {
        // On Linux a name may also be an alternative one.
        Ok(found) => Ok(found.filter(|tap| tap.name == name)),
        Err(error) if error.kind() == ErrorKind::NotATap => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the tap that has the name of a network's anchor.
pub(super) fn find(backend: &dyn Backend, network: &ResolvedNetwork) -> Result<Option<Found>> {
    let Some(state) = tap(backend, network.anchor())? else { return Ok(None) };
    let bridge = backend.find_port((&state).into())?.and_then(|port| port.bridge);
    Ok(Some(Found { state, bridge }))
}

/// Returns the tap that [`stop`](super::stop) deletes: the one on the network's bridge, or one on no bridge.
pub(super) fn left_over(
    backend: &dyn Backend,
    network: &ResolvedNetwork,
    bridge: Option<&BridgeState>,
) -> Result<Option<Found>> {
    Ok(find(backend, network)?.filter(|found| found.is_detached() || found.is_port_of(bridge)))
}

/// Refuses, before anything is done, what the backend cannot do.
pub(super) fn check(backend: &dyn Backend, network: &ResolvedNetwork) -> Result<()> {
    if network.has_anchor() && !backend.implemented().contains(Capability::Tap) {
        let at = Attempt::new(backend.name(), Operation::CreateTap).on(network.anchor());
        return Err(at.with(Capability::Tap).error(ErrorKind::Unsupported));
    }
    Ok(())
}

/// Refuses the name of the anchor, if the network has one, when an interface that is not a tap has it, or a port of
/// another bridge than the network's.
pub(super) fn check_name(
    backend: &dyn Backend,
    network: &ResolvedNetwork,
    bridge: Option<&BridgeState>,
) -> std::result::Result<(), NetworkFailure> {
    let name = network.anchor();
    if !network.has_anchor() || !backend.interfaces()?.iter().any(|interface| interface.name == name) {
        return Ok(());
    }
    let by = match find(backend, network)? {
        Some(found) if found.is_detached() || found.is_port_of(bridge) => return Ok(()),
        Some(_) => Occupant::Tap,
        None => Occupant::Interface,
    };
    Err(NetworkFailure::Occupied(Occupied { name, by }))
}

/// Returns the user to whom an anchor belongs, where taps have owners.
fn owner(backend: &dyn Backend) -> Option<u32> {
    backend.implemented().contains(Capability::TapOwner).then_some(ROOT)
}

/// Where an anchor, as it was [found](find), is not what is defined.
pub(super) fn drift(
    backend: &dyn Backend,
    network: &ResolvedNetwork,
    bridge: &BridgeState,
    found: Option<&Found>,
) -> Option<Drift> {
    let owner = owner(backend);
    let (actual, mtu) = match found {
        None => (AnchorState::Absent, None),
        // Whoever has it, it is not the network's.
        Some(found) if !network.has_anchor() && !found.is_port_of(Some(bridge)) => return None,
        Some(Found { bridge: None, .. }) => (AnchorState::Detached, None),
        Some(found) => {
            let TapState { mac, mtu, link, .. } = found.state;
            (AnchorState::Port { mac, mtu, link, owner: found.owner(owner) }, Some(mtu))
        }
    };
    let mtu = network.network().mtu().or(mtu);
    let defined = if network.has_anchor() {
        let mtu = mtu.unwrap_or(DEFAULT_MTU);
        AnchorState::Port { mac: network.mac().into(), mtu, link: LinkState::Up, owner }
    } else {
        AnchorState::Absent
    };
    (actual != defined).then_some(Drift::Anchor { defined, actual })
}

/// Of a tap that is given none.
const DEFAULT_MTU: u32 = 1500;

/// Opens the anchor of a network, makes it a port of the bridge, and up. An existing tap that is root's is adopted.
/// Another one is deleted first, which cannot be rolled back.
///
/// Together with [`end`], so that the bridges of many networks get their carriers at the same time. The tap is
/// persisted last: nothing is left if the process dies before.
pub(super) fn begin(
    steps: &mut Transaction<'_, dyn Backend + '_>,
    network: &ResolvedNetwork,
    before: Option<&Found>,
    bridge: &BridgeState,
) -> Result<()> {
    let backend = steps.backend();
    let (mtu, owner) = (network.network().mtu(), owner(backend));
    let (kept, foreign) = match before {
        Some(before) if before.owner(owner) != owner => (None, Some(before)),
        kept => (kept, None),
    };
    match foreign.map(|foreign| backend.delete_tap(foreign.identity())) {
        Some(Err(error)) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if backend.implemented().contains(Capability::Carrier) {
        // It may still be told of a carrier that the bridge had before, which is not the anchor's.
        backend.has_carrier(bridge)?;
    }
    let tap = if let Some(kept) = kept {
        let tap = open(steps, kept)?;
        let mut change = TapChange::default().mac(network.mac().into());
        change.mtu = mtu;
        steps.run(Step::change_tap(tap, change))?;
        tap
    } else {
        let mut spec = TapSpec::new().name(network.anchor()).mac(network.mac());
        spec.owner = owner;
        steps.open_tap(spec.mtu(mtu.unwrap_or(bridge.mtu)))?
    };
    join_unless_joined(steps, bridge.identity(), tap)?;
    steps.run(Step::change_tap(tap, TapChange::default().link(LinkState::Up))).map(drop)
}

/// Waits until the bridge has its carrier, and lets the anchor stay. A bridge that was set down would never have one, and
/// is an error at once.
pub(super) fn end(
    steps: &Transaction<'_, dyn Backend + '_>,
    network: &ResolvedNetwork,
    bridge: &BridgeState,
) -> Result<()> {
    await_carrier(steps.backend(), bridge, network.carrier_limit())?;
    steps.persist_taps()
}

/// Waits until the bridge has a carrier, where the backend can tell.
fn await_carrier(backend: &dyn Backend, bridge: &BridgeState, limit: Duration) -> Result<()> {
    if !backend.implemented().contains(Capability::Carrier) {
        return Ok(());
    }
    // A port listens for one delay and learns for another.
    let delay = bridge.options.forward_delay.filter(|_| bridge.options.stp == Some(true)).unwrap_or_default();
    let deadline = Instant::now().checked_add(delay.saturating_mul(2).saturating_add(limit));
    while !backend.has_carrier(bridge)? {
        let at = Attempt::new(backend.name(), Operation::CreateTap).on(bridge).with(Capability::Carrier);
        if backend.find(bridge)?.is_some_and(|now| now.link == LinkState::Down) {
            return Err(at.error(ErrorKind::LinkDown));
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(at.error(ErrorKind::TimedOut));
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// Opens a tap that is or was a network's anchor, which proves that nobody else has it open. Returns `None` for one
/// on no bridge that another process has open: it belongs to that process.
pub(super) fn hold(steps: &mut Transaction<'_, dyn Backend + '_>, found: &Found) -> Result<Option<Identity>> {
    match open(steps, found) {
        Err(error) if error.kind() == ErrorKind::TapBusy && found.is_detached() => Ok(None),
        opened => opened.map(Some),
    }
}

/// Opens an existing tap, and changes nothing of it.
fn open(steps: &mut Transaction<'_, dyn Backend + '_>, found: &Found) -> Result<Identity> {
    let mut spec = TapSpec::new().name(found.state.name).adopt_existing();
    if found.state.multi_queue == Some(true) {
        spec = spec.queues(NonZeroU16::MIN.saturating_add(1));
    }
    if found.state.vnet_hdr == Some(true) {
        spec = spec.vnet_hdr(VnetHeader::Legacy);
    }
    let opened = steps.open_tap(spec)?;
    if opened != found.identity() {
        // Another tap has its name by now.
        let at = Attempt::new(steps.backend().name(), Operation::CreateTap).on(found.identity());
        return Err(at.error(ErrorKind::NotFound));
    }
    Ok(opened)
}

impl Found {
    /// Returns its identity.
    pub(super) const fn identity(&self) -> Identity {
        self.state.identity()
    }

    /// Returns its owner. Where that cannot be read, nothing else of the tap can, and `expected` is returned.
    fn owner(&self, expected: Option<u32>) -> Option<u32> {
        if self.state.persistent.is_some() { self.state.owner } else { expected }
    }

    /// Whether it is a port of this bridge.
    pub(super) fn is_port_of(&self, bridge: Option<&BridgeState>) -> bool {
        self.bridge.is_some() && self.bridge == bridge.map(BridgeState::identity)
    }

    /// Whether it is a port of no bridge.
    pub(super) const fn is_detached(&self) -> bool {
        self.bridge.is_none()
    }
}
