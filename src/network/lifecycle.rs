//! Starting and stopping networks, and keeping them as they are defined.
//!
//! One is many of one: first each is looked at and refused or planned, then what is planned is done
//! with the bridges of all together, and with the anchors.

use super::anchor::{self, Found};
use super::inspect::{self, Bridge};
use super::{Drift, NetworkError, NetworkFailure, Occupant, Occupied, ResolvedNetwork};
#[cfg(feature = "store")]
use crate::MacAddr;
use crate::{
    Attempt, Backend, BridgeChange, BridgeSpec, BridgeState, Bridges, Bulk, ErrorKind, InterfaceName, Operation,
    Result, Step, Target, Transaction, run_each,
};

/// How many anchors are open at the same time: each is a descriptor until its bridge has a carrier, or is deleted.
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

/// What stopping a network has done with its bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopOutcome {
    /// It was deleted.
    Deleted,
    /// This bridge was left, since no record says that vmbridge created it.
    Left(InterfaceName),
}

/// What stopping a network does with its bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "store"), expect(dead_code, reason = "only a store has records"))]
pub(super) enum Disposal {
    /// Deletes it and its anchor.
    Delete,
    /// Leaves it, and deletes the anchor that it was given.
    Release,
    /// Leaves it and its anchor. Where there is no bridge, deletes what else is left.
    Leave,
}

pub(super) type Outcome<T> = std::result::Result<T, NetworkFailure>;

/// Says, when a network is defined, whether the host uses the name of its bridge for something
/// else; its own bridge, by the MAC, is none.
///
/// # Errors
/// [`NetworkFailure::Occupied`], [`NetworkFailure::Backend`].
pub fn check_host(backend: &dyn Backend, network: &ResolvedNetwork) -> std::result::Result<(), NetworkError> {
    let check = |bridge: Option<BridgeState>| anchor::check_name(backend, network, bridge.as_ref());
    own_bridge(backend, network).and_then(check).map_err(NetworkError::of(network.name()))
}

/// Starts a network: makes its bridge, complete and up, and its anchor if it has one.
///
/// With an anchor it returns when the bridge has its carrier: at once, or with STP on after two
/// forward delays.
///
/// # Errors
/// Before anything is made: [`NetworkFailure::Active`]; [`NetworkFailure::Occupied`], also by a bridge
/// with another MAC, which [`ensure`] makes the network's; `Unsupported` for what the definition asks
/// for and the backend cannot do. Then those of [`create`](Bridges::create) and of the calls for
/// taps. Whatever fails, nothing is left; an anchor that was left over and did not belong to root is gone, too.
pub fn start(backend: &dyn Backend, network: &ResolvedNetwork) -> std::result::Result<(), NetworkError> {
    carry_out_one(backend, network, check_start(backend, network)).map(drop)
}

/// Stops a network: deletes its bridge, up or down, and its anchor or the one that libvirt left; a
/// tap of that name that is a port of another bridge stays. The guests' taps stay, without it.
///
/// # Errors
/// Before anything is done: [`NetworkFailure::Occupied`] where the bridge has another MAC than the
/// network's, since it may be another's ([`ensure`] makes it the network's); `TapBusy` where another
/// process has the anchor open. [`NetworkFailure::NotActive`] where there is no bridge; what else was
/// left over is removed. The anchor is deleted last: if that fails, the bridge is gone, and stopping the
/// network again deletes the anchor.
pub fn stop(backend: &dyn Backend, network: &ResolvedNetwork) -> std::result::Result<(), NetworkError> {
    stop_one(backend, network).map(drop).map_err(NetworkError::of(network.name()))
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
/// those of [`create`](Bridges::create), of [`change`](Bridges::change) and of the calls
/// for taps. Whatever fails, all is as it was before, but for an anchor that did not belong to root: it is gone, and
/// ensuring the network again makes it.
pub fn ensure(
    backend: &dyn Backend,
    network: &ResolvedNetwork,
) -> std::result::Result<EnsureOutcome, NetworkError> {
    carry_out_one(backend, network, check_ensure(backend, network))
}

fn carry_out_one(
    backend: &dyn Backend,
    network: &ResolvedNetwork,
    plan: Outcome<Plan>,
) -> std::result::Result<EnsureOutcome, NetworkError> {
    let outcome = plan.and_then(|plan| only(carry_out(backend, &[(network, &plan)])));
    outcome.map_err(NetworkError::of(network.name()))
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
pub(super) fn check_start(backend: &dyn Backend, network: &ResolvedNetwork) -> Outcome<Plan> {
    let spec = supported(backend, network)?;
    match own_bridge(backend, network)? {
        None => to_create(backend, network, spec),
        Some(bridge) => Err(NetworkFailure::Active(bridge.name)),
    }
}

/// Refuses what [`ensure`] does before anything is done.
pub(super) fn check_ensure(backend: &dyn Backend, network: &ResolvedNetwork) -> Outcome<Plan> {
    let spec = supported(backend, network)?;
    match inspect::bridge(backend, network)? {
        Bridge::Absent => to_create(backend, network, spec),
        Bridge::There(bridge) => to_repair(backend, network, spec, bridge),
        Bridge::Occupied(occupied) => Err(NetworkFailure::Occupied(occupied)),
    }
}

fn to_create(backend: &dyn Backend, network: &ResolvedNetwork, spec: BridgeSpec) -> Outcome<Plan> {
    anchor::check_name(backend, network, None)?;
    let anchor = if network.has_anchor() { anchor::find(backend, network)? } else { None };
    Ok(Plan { spec, adopted: None, anchor })
}

fn to_repair(
    backend: &dyn Backend,
    network: &ResolvedNetwork,
    spec: BridgeSpec,
    bridge: BridgeState,
) -> Outcome<Plan> {
    anchor::check_name(backend, network, Some(&bridge))?;
    let anchor = anchor::find(backend, network)?;
    let drifts = inspect::drifts(backend, network, &bridge, anchor.as_ref());
    let mut change = inspect::repair(&spec, &bridge, &drifts);
    if change.mac.is_none() && inspect::may_follow_a_port(backend, &bridge)? {
        change.mac = Some(network.mac());
    }
    Ok(Plan { spec, adopted: Some(Adopted { bridge, drifts, change }), anchor })
}

/// The network's bridge as it is to be; refuses what the backend cannot do.
fn supported(backend: &dyn Backend, network: &ResolvedNetwork) -> Outcome<BridgeSpec> {
    let implemented = backend.implemented();
    let spec = network.spec(implemented);
    let at = Attempt::new(backend.name(), Operation::Create).on(spec.name);
    spec.options.check(at, implemented)?;
    network.network().port_options().check(at, implemented)?;
    anchor::check(backend, network)?;
    Ok(spec)
}

/// The bridge of the network's name if it has the network's MAC.
pub(super) fn own_bridge(backend: &dyn Backend, network: &ResolvedNetwork) -> Outcome<Option<BridgeState>> {
    match inspect::bridge(backend, network)? {
        Bridge::Absent => Ok(None),
        Bridge::There(bridge) if bridge.mac == network.mac() => Ok(Some(bridge)),
        Bridge::There(bridge) => {
            Err(NetworkFailure::Occupied(Occupied { name: bridge.name, by: Occupant::Bridge(bridge.mac) }))
        }
        Bridge::Occupied(occupied) => Err(NetworkFailure::Occupied(occupied)),
    }
}

/// Does what is planned for networks, with their bridges all together, and returns the result of each. A network
/// that fails is as it was before.
pub(super) fn carry_out(
    backend: &dyn Backend,
    planned: &[(&ResolvedNetwork, &Plan)],
) -> Vec<Outcome<EnsureOutcome>> {
    let mut transactions: Vec<_> = planned.iter().map(|_| Transaction::new(backend)).collect();
    let steps: Vec<_> = planned.iter().map(|(_, plan)| plan.step()).collect();
    let made = run_each(&mut transactions, &steps);
    let mut outcomes = Vec::with_capacity(planned.len());
    let mut rest = transactions.into_iter().zip(planned).zip(made);
    loop {
        let mut begun = Vec::with_capacity(ANCHORS_AT_ONCE);
        for ((mut steps, &(network, plan)), made) in rest.by_ref().take(ANCHORS_AT_ONCE) {
            let bridge = made.and_then(|made| {
                let bridge = made.map_or(plan.target(), |made| made.interface.into());
                begin_anchor(&mut steps, network, plan, bridge)
            });
            begun.push((steps, network, plan, bridge));
        }
        if begun.is_empty() {
            return outcomes;
        }
        for (steps, network, plan, bridge) in begun {
            let ended =
                bridge.and_then(|bridge| bridge.map_or(Ok(()), |bridge| anchor::end(&steps, network, &bridge)));
            outcomes.push(match ended.and_then(|()| remove_anchor(backend, network, plan)) {
                Ok(()) => {
                    steps.commit();
                    Ok(plan.outcome())
                }
                Err(error) => Err(steps.roll_back(error).into()),
            });
        }
    }
}

/// Begins to make the anchor of a network, whose bridge is returned then. One that is right is made again where the
/// bridge was down, which makes the kernel forget that it had a carrier.
fn begin_anchor(
    steps: &mut Transaction<'_, dyn Backend + '_>,
    network: &ResolvedNetwork,
    plan: &Plan,
    bridge: Target,
) -> Result<Option<BridgeState>> {
    if !network.has_anchor() || !plan.concerns_anchor() {
        return Ok(None);
    }
    let at = Attempt::new(steps.backend().name(), Operation::Find).on(bridge);
    let bridge = steps.backend().find(bridge)?.ok_or_else(|| at.error(ErrorKind::NotFound))?;
    anchor::begin(steps, network, plan.anchor.as_ref(), &bridge)?;
    Ok(Some(bridge))
}

/// Removes an anchor that the network has no longer. This cannot be rolled back, and is done last.
fn remove_anchor(backend: &dyn Backend, network: &ResolvedNetwork, plan: &Plan) -> Result<()> {
    let bridge = plan.adopted.as_ref().map(|adopted| &adopted.bridge);
    let is_unwanted = !network.has_anchor() && plan.concerns_anchor();
    let unwanted = plan.anchor.as_ref().filter(|found| is_unwanted && found.is_port_of(bridge));
    match unwanted.map(|found| backend.delete_tap(found.identity())) {
        Some(Err(error)) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Plan {
    /// The step that makes the bridge, or repairs it; `None` if there is nothing to do.
    fn step(&self) -> Option<Step> {
        match &self.adopted {
            None => Some(Step::Create(self.spec.clone())),
            Some(Adopted { change, .. }) if *change == BridgeChange::default() => None,
            Some(Adopted { bridge, change, .. }) => Some(Step::change(bridge, change.clone())),
        }
    }

    /// The bridge, if there is nothing to do for it.
    fn target(&self) -> Target {
        self.adopted.as_ref().map_or(self.spec.name.into(), |adopted| (&adopted.bridge).into())
    }

    /// Returns the MAC of the bridge, if it exists.
    #[cfg(feature = "store")]
    pub(super) fn found_mac(&self) -> Option<MacAddr> {
        self.adopted.as_ref().map(|adopted| adopted.bridge.mac)
    }

    fn concerns_anchor(&self) -> bool {
        let concerns = |drift: &Drift| matches!(drift, Drift::Anchor { .. } | Drift::Link { .. });
        self.adopted.as_ref().is_none_or(|adopted| adopted.drifts.iter().any(concerns))
    }

    /// What has been done when all is.
    fn outcome(&self) -> EnsureOutcome {
        match &self.adopted {
            None => EnsureOutcome::Created,
            Some(Adopted { drifts, .. }) if drifts.is_empty() => EnsureOutcome::AsDefined,
            Some(Adopted { drifts, .. }) => EnsureOutcome::Repaired(drifts.clone()),
        }
    }
}

pub(super) fn stop_one(backend: &dyn Backend, network: &ResolvedNetwork) -> Outcome<StopOutcome> {
    only(stop_all(backend, &[(network, Disposal::Delete)]))
}

/// Stops networks, their bridges all together, and returns the result of each.
///
/// The anchor is opened first, which proves it free; then the bridge is deleted, and the anchor last. Nothing brings
/// a deleted bridge back: should the anchor stay, stopping the network again deletes it.
pub(super) fn stop_all(
    backend: &dyn Backend,
    networks: &[(&ResolvedNetwork, Disposal)],
) -> Vec<Outcome<StopOutcome>> {
    networks.chunks(ANCHORS_AT_ONCE).flat_map(|some| stop_together(backend, some)).collect()
}

fn stop_together(backend: &dyn Backend, networks: &[(&ResolvedNetwork, Disposal)]) -> Vec<Outcome<StopOutcome>> {
    let mut transactions: Vec<_> = networks.iter().map(|_| Transaction::new(backend)).collect();
    let looked_at: Vec<Outcome<_>> = networks
        .iter()
        .zip(&mut transactions)
        .map(|(&(network, disposal), steps)| {
            let bridge = own_bridge(backend, network)?;
            let anchor = match disposal {
                Disposal::Leave if bridge.is_some() => None,
                Disposal::Release if bridge.is_some() && !network.has_anchor() => None,
                _ => anchor::left_over(backend, network, bridge.as_ref())?,
            };
            let held = anchor.map(|anchor| anchor::hold(steps, &anchor)).transpose()?;
            Ok((bridge, held.flatten()))
        })
        .collect();
    let delete = |(looked_at, &(_, disposal)): (&Outcome<(Option<BridgeState>, _)>, &_)| match looked_at {
        Ok((Some(bridge), _)) if disposal == Disposal::Delete => Some(Step::delete(bridge)),
        _ => None,
    };
    let deletions: Vec<_> = looked_at.iter().zip(networks).map(delete).collect();
    let deleted = run_each(&mut transactions, &deletions);
    let mut anchors = Vec::new();
    let mut outcomes: Vec<Outcome<StopOutcome>> = Vec::with_capacity(networks.len());
    for (place, ((looked_at, steps), deleted)) in looked_at.into_iter().zip(transactions).zip(deleted).enumerate()
    {
        let outcome = looked_at.and_then(|(bridge, held)| match (bridge, deleted) {
            // Someone else has deleted it.
            (_, Err(error)) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            (bridge, _) => Ok((bridge, held)),
        });
        outcomes.push(match outcome {
            Ok((bridge, held)) => {
                // Closes the anchor.
                drop(steps.commit());
                anchors.extend(held.map(|anchor| (place, Step::delete_tap(anchor))));
                match (bridge, networks[place]) {
                    (None, (network, _)) => Err(NetworkFailure::NotActive(network.bridge())),
                    (Some(_), (_, Disposal::Delete)) => Ok(StopOutcome::Deleted),
                    (Some(bridge), _) => Ok(StopOutcome::Left(bridge.name)),
                }
            }
            Err(NetworkFailure::Backend(error)) => Err(steps.roll_back(error).into()),
            Err(failure) => Err(failure),
        });
    }
    // The bridge is gone, and nothing brings it back: an anchor that stays is tried again.
    for is_last in [false, true] {
        let (places, steps): (Vec<_>, Vec<_>) = std::mem::take(&mut anchors).into_iter().unzip();
        let Err(error) = backend.apply(&steps, Bulk::AsMuchAsPossible) else { break };
        for (item, error) in error.into_failures() {
            match error.kind() {
                ErrorKind::NotFound => {}
                _ if is_last => outcomes[places[item]] = Err(error.into()),
                _ => anchors.push((places[item], steps[item].clone())),
            }
        }
    }
    outcomes
}
