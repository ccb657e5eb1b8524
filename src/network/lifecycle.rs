//! Starting and stopping networks, and keeping them as they are defined.
//!
//! One is many of one: first each is looked at and refused or planned, then what is planned is done
//! with the bridges of all together, and with the anchors.

use super::anchor::{self, Found, Raising, Taps};
use super::inspect::{self, Bridge};
use super::{Drift, NetworkError, NetworkFailure, Occupant, Occupied, ResolvedNetwork};
use crate::bulk::{and_all, outcomes};
use crate::port::unless_gone;
use crate::{
    Attempt, BridgeBackend, BridgeChange, BridgeSpec, BridgeState, Bulk, Error, ErrorKind, InterfaceName,
    Operation, Result,
};

/// How many anchors are raised at the same time: each is an open descriptor until its bridge has a
/// carrier.
const ANCHORS_AT_ONCE: usize = 64;

/// What [`ensure`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnsureOutcome {
    /// Its bridge was there, as it is defined.
    AsDefined,
    /// Its bridge was not there, and was made.
    Created,
    /// Its bridge was there, and these were put right.
    Repaired(Vec<Drift>),
}

pub(super) type Outcome<T> = std::result::Result<T, NetworkFailure>;

fn named<T>(network: &ResolvedNetwork, outcome: Outcome<T>) -> std::result::Result<T, NetworkError> {
    outcome.map_err(|failure| NetworkError::new(network.name().clone(), failure))
}

/// Says, when a network is defined, whether the host uses the name of its bridge for something
/// else; its own bridge, by the MAC, is none.
///
/// # Errors
/// [`NetworkFailure::Occupied`], [`NetworkFailure::Backend`].
pub fn check_host(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
) -> std::result::Result<(), NetworkError> {
    named(network, own_bridge(backend, network).and_then(|_| anchor::check_name(backend, network)))
}

/// Starts a network: makes its bridge, complete and up, and its anchor if it has one.
///
/// With an anchor it returns when the bridge has its carrier: at once, or with STP on after two
/// forward delays.
///
/// # Errors
/// Before anything is made: [`NetworkFailure::Active`]; [`NetworkFailure::Occupied`], also by a bridge
/// with another MAC, which [`ensure`] makes the network's; `Unsupported` for what the definition asks
/// for and the backend cannot do. Then those of [`create`](BridgeBackend::create) and of the calls for
/// taps. Whatever fails, nothing is left.
pub fn start(backend: &dyn BridgeBackend, network: &ResolvedNetwork) -> std::result::Result<(), NetworkError> {
    let start = || {
        let plan = check_start(backend, network, &Taps::of(backend))?;
        only(carry_out(backend, &[(network, &plan)])).map(drop)
    };
    named(network, start())
}

/// Stops a network: deletes its bridge, up or down, and its anchor or the one that libvirt left; a
/// tap of that name that is a port of another bridge stays. The guests' taps stay, without it.
///
/// # Errors
/// Before anything is done: [`NetworkFailure::Occupied`] where the bridge has another MAC than the
/// network's, since it may be another's ([`ensure`] makes it the network's); `TapBusy` where another
/// process has the anchor open. [`NetworkFailure::NotActive`] where there is no bridge; what else was
/// left over is removed.
pub fn stop(backend: &dyn BridgeBackend, network: &ResolvedNetwork) -> std::result::Result<(), NetworkError> {
    named(network, stop_one(backend, network))
}

/// Makes a network active and as it is defined, whatever is there of it: a bridge of its name is
/// adopted, changed where it is not what is defined ([`status`](super::status)) and nowhere else; a
/// missing one is made.
///
/// The options of ports are left alone: those of a guest are given when it is plugged in
/// ([`Network::port_options`](super::Network::port_options)), and a port may well have others on
/// purpose.
///
/// # Errors
/// Before anything is done: [`NetworkFailure::Occupied`] by what is no bridge; `Unsupported`. Then
/// those of [`create`](BridgeBackend::create), of [`change`](BridgeBackend::change) and of the calls
/// for taps. Whatever fails, all is as it was before.
pub fn ensure(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
) -> std::result::Result<EnsureOutcome, NetworkError> {
    let ensure = || {
        let plan = check_ensure(backend, network, &Taps::of(backend))?;
        only(carry_out(backend, &[(network, &plan)]))
    };
    named(network, ensure())
}

/// What came of one.
fn only<T>(mut outcomes: Vec<Outcome<T>>) -> Outcome<T> {
    outcomes.pop().expect("there is one for each network")
}

/// What is to be done for a network to be active and as it is defined.
#[derive(Debug)]
pub(super) struct Plan {
    spec: BridgeSpec,
    /// Its bridge, where it is there.
    adopted: Option<Adopted>,
    /// What is there of its anchor.
    anchor: Option<Found>,
}

/// A bridge that is there, and what is to be put right.
#[derive(Debug)]
struct Adopted {
    bridge: BridgeState,
    drifts: Vec<Drift>,
    change: BridgeChange,
}

/// Refuses what [`start`] does before anything is made.
pub(super) fn check_start(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
    taps: &Taps<'_>,
) -> Outcome<Plan> {
    let spec = supported(backend, network)?;
    match own_bridge(backend, network)? {
        None => to_create(network, spec, taps),
        Some(bridge) => Err(NetworkFailure::Active(bridge.name)),
    }
}

/// Refuses what [`ensure`] does before anything is done.
pub(super) fn check_ensure(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
    taps: &Taps<'_>,
) -> Outcome<Plan> {
    let spec = supported(backend, network)?;
    match inspect::bridge(backend, network)? {
        Bridge::Absent => to_create(network, spec, taps),
        Bridge::There(bridge) => to_repair(backend, network, spec, bridge, taps),
        Bridge::Occupied(occupied) => Err(NetworkFailure::Occupied(occupied)),
    }
}

fn to_create(network: &ResolvedNetwork, spec: BridgeSpec, taps: &Taps<'_>) -> Outcome<Plan> {
    let anchor = if network.has_anchor() { taps.find(network)? } else { None };
    Ok(Plan { spec, adopted: None, anchor })
}

fn to_repair(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
    spec: BridgeSpec,
    bridge: BridgeState,
    taps: &Taps<'_>,
) -> Outcome<Plan> {
    let anchor = taps.find(network)?;
    let drifts = inspect::drifts(backend, network, &bridge, anchor.as_ref());
    let mut change = inspect::repair(&spec, &bridge, &drifts);
    if change.mac.is_none() && inspect::may_follow_a_port(backend, &bridge)? {
        change.mac = Some(network.mac());
    }
    Ok(Plan { spec, adopted: Some(Adopted { bridge, drifts, change }), anchor })
}

/// The network's bridge as it is to be; refuses what the backend cannot do.
fn supported(backend: &dyn BridgeBackend, network: &ResolvedNetwork) -> Outcome<BridgeSpec> {
    let capabilities = backend.capabilities();
    let spec = network.spec(capabilities);
    let at = Attempt::new(backend.name(), Operation::Create).on(spec.name);
    spec.options.check(at, capabilities)?;
    network.network().port_options().check(at, capabilities)?;
    anchor::check(backend, network)?;
    Ok(spec)
}

/// The bridge of the network's name if it has the network's MAC.
pub(super) fn own_bridge(backend: &dyn BridgeBackend, network: &ResolvedNetwork) -> Outcome<Option<BridgeState>> {
    match inspect::bridge(backend, network)? {
        Bridge::Absent => Ok(None),
        Bridge::There(bridge) if bridge.mac == network.mac() => Ok(Some(bridge)),
        Bridge::There(bridge) => {
            Err(NetworkFailure::Occupied(Occupied { name: bridge.name, by: Occupant::Bridge(bridge.mac) }))
        }
        Bridge::Occupied(occupied) => Err(NetworkFailure::Occupied(occupied)),
    }
}

/// Does what is planned for networks, with their bridges all together, and gives what came of each.
/// Whatever fails of one, it is as it was before.
pub(super) fn carry_out(
    backend: &dyn BridgeBackend,
    planned: &[(&ResolvedNetwork, &Plan)],
) -> Vec<Outcome<EnsureOutcome>> {
    let mut bridges = planned.iter().copied().zip(make_bridges(backend, planned));
    let mut outcomes = Vec::with_capacity(planned.len());
    while bridges.len() > 0 {
        let raise = |((network, plan), made): (_, Result<()>)| {
            let raising =
                made.and_then(|()| begin_anchor(backend, network, plan).map_err(undone(backend, plan)))?;
            Ok((plan, raising))
        };
        let raising: Vec<Outcome<_>> = bridges.by_ref().take(ANCHORS_AT_ONCE).map(raise).collect();
        let end = |(plan, raising): (&Plan, Option<Raising<'_>>)| {
            raising.map_or(Ok(()), |raising| raising.end(backend)).map_err(undone(backend, plan))?;
            Ok(plan.outcome())
        };
        outcomes.extend(raising.into_iter().map(|raising| raising.and_then(end)));
    }
    outcomes
}

/// Creates the bridges that are not there, and changes those that are.
fn make_bridges(backend: &dyn BridgeBackend, planned: &[(&ResolvedNetwork, &Plan)]) -> Vec<Result<()>> {
    let (mut specs, mut repairs) = (Vec::new(), Vec::new());
    for (_, plan) in planned {
        match &plan.adopted {
            None => specs.push(plan.spec.clone()),
            Some(adopted) => repairs.push((adopted.bridge.name, adopted.change.clone())),
        }
    }
    let created = outcomes(backend.create_many(&specs, Bulk::AsMuchAsPossible), specs.len());
    let repaired = outcomes(backend.change_many(&repairs, Bulk::AsMuchAsPossible), repairs.len());
    let (mut created, mut repaired) = (created.into_iter(), repaired.into_iter());
    let outcome = |(_, plan): &(_, &Plan)| {
        let outcome = if plan.adopted.is_none() { created.next() } else { repaired.next() };
        outcome.expect("each plan is in one of the two")
    };
    planned.iter().map(outcome).collect()
}

/// Begins to raise the anchor of a network whose bridge is as it is to be, or removes one that it is
/// not to have. One that is right is raised again where the bridge was down, which makes the kernel forget
/// that it had a carrier.
fn begin_anchor<'p>(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
    plan: &'p Plan,
) -> Result<Option<Raising<'p>>> {
    let concerns_anchor = |drift: &Drift| matches!(drift, Drift::Anchor { .. } | Drift::Link { .. });
    if plan.adopted.as_ref().is_some_and(|adopted| !adopted.drifts.iter().any(concerns_anchor)) {
        return Ok(None);
    }
    if network.has_anchor() {
        return Raising::begin(backend, network, plan.anchor.as_ref(), made(backend, &plan.spec)?).map(Some);
    }
    let left_over = plan.anchor.as_ref().filter(|found| found.is_port_of(plan.spec.name));
    left_over.map_or(Ok(()), |found| anchor::remove(backend, found)).map(|()| None)
}

impl Plan {
    /// What has been done when all is.
    fn outcome(&self) -> EnsureOutcome {
        match &self.adopted {
            None => EnsureOutcome::Created,
            Some(Adopted { drifts, .. }) if drifts.is_empty() => EnsureOutcome::AsDefined,
            Some(Adopted { drifts, .. }) => EnsureOutcome::Repaired(drifts.clone()),
        }
    }
}

/// The error of an anchor, after which what was done to its bridge is undone.
fn undone<'p>(backend: &'p dyn BridgeBackend, plan: &'p Plan) -> impl FnOnce(Error) -> Error + 'p {
    let bridge = plan.spec.name;
    move |error| match &plan.adopted {
        None => undone_too(error, unless_gone(backend.delete(bridge)), format_args!("bridge {bridge}")),
        Some(adopted) => undone_too(error, take_back(backend, adopted), format_args!("a changed bridge {bridge}")),
    }
}

fn made(backend: &dyn BridgeBackend, spec: &BridgeSpec) -> Result<BridgeState> {
    let at = Attempt::new(backend.name(), Operation::Find).on(spec.name);
    backend.find(spec.name)?.ok_or_else(|| at.error(ErrorKind::NotFound))
}

/// Undoes what was put right of a bridge.
fn take_back(backend: &dyn BridgeBackend, Adopted { bridge, drifts, .. }: &Adopted) -> Result<()> {
    let mut change = inspect::undo(drifts);
    // When its only port leaves, Linux gives a bridge 1500 (`br_mtu_auto_adjust()`).
    let Some(now) = backend.find(bridge.name)? else { return Ok(()) };
    change.mtu = change.mtu.or((now.mtu != bridge.mtu).then_some(bridge.mtu));
    unless_gone(backend.change(bridge.name, &change))
}

/// With the outcome of undoing the step before the one that failed, if that left nothing itself.
fn undone_too(error: Error, outcome: Result<()>, left: std::fmt::Arguments<'_>) -> Error {
    match (error.undo(), &outcome) {
        (crate::Undo::Failed { .. }, _) => error,
        _ => error.undone(outcome, left),
    }
}

pub(super) fn stop_one(backend: &dyn BridgeBackend, network: &ResolvedNetwork) -> Outcome<()> {
    only(stop_all(backend, &[network]))
}

/// Stops networks, their bridges all together, and gives what came of each.
pub(super) fn stop_all(backend: &dyn BridgeBackend, networks: &[&ResolvedNetwork]) -> Vec<Outcome<()>> {
    let taps = Taps::of(backend);
    let cleared = networks.iter().map(|network| without_anchor(backend, network, &taps)).collect();
    and_all(cleared, |cleared: Vec<(_, Option<Found>)>| {
        let bridges: Vec<_> = cleared.iter().map(|&(bridge, _)| bridge).collect();
        let deleted = outcomes(backend.delete_many(&bridges, Bulk::AsMuchAsPossible), bridges.len());
        let outcome = |((bridge, anchor), deleted): ((_, Option<Found>), _)| {
            unless_gone(deleted).map_err(|error| match anchor {
                None => error.into(),
                Some(anchor) => error
                    .undone(anchor.put_back(backend), format_args!("bridge {bridge} without its anchor"))
                    .into(),
            })
        };
        cleared.into_iter().zip(deleted).map(outcome).collect()
    })
}

/// Removes the anchor of a network, and gives the bridge that is to be deleted and the anchor that it had.
fn without_anchor(
    backend: &dyn BridgeBackend,
    network: &ResolvedNetwork,
    taps: &Taps<'_>,
) -> Outcome<(InterfaceName, Option<Found>)> {
    let bridge = own_bridge(backend, network)?;
    let anchor = taps.left_over(network)?;
    anchor.iter().try_for_each(|anchor| anchor::remove(backend, anchor))?;
    match bridge {
        Some(bridge) => Ok((bridge.name, anchor)),
        None => Err(NetworkFailure::NotActive(network.bridge())),
    }
}
