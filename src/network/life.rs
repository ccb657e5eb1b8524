//! Starting and stopping a network, and keeping it as it is defined.

use super::drift::{self, Bridge};
use super::{DefinedNetwork, Drift, NetworkError, NetworkFailure, Occupant, Occupied, anchor};
use crate::port::unless_gone;
use crate::{Attempt, BridgeBackend, BridgeSpec, BridgeState, Error, ErrorKind, Operation, Result};

/// What [`ensure`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ensured {
    /// Its bridge was there, as it is defined.
    AsDefined,
    /// Its bridge was not there, and was made.
    Created,
    /// Its bridge was there, and these were put right.
    Repaired(Vec<Drift>),
}

pub(super) type Outcome<T> = std::result::Result<T, NetworkFailure>;

fn named<T>(network: &DefinedNetwork, outcome: Outcome<T>) -> std::result::Result<T, NetworkError> {
    outcome.map_err(|failure| NetworkError::new(network.name().clone(), failure))
}

/// Says, when a network is defined, whether the host uses the name of its bridge for something
/// else; its own bridge, by the MAC, is none.
///
/// # Errors
/// [`NetworkFailure::Occupied`], [`NetworkFailure::Backend`].
pub fn check_host(backend: &dyn BridgeBackend, network: &DefinedNetwork) -> std::result::Result<(), NetworkError> {
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
pub fn start(backend: &dyn BridgeBackend, network: &DefinedNetwork) -> std::result::Result<(), NetworkError> {
    let start = || {
        let spec = check_start(backend, network)?;
        create(backend, network, &spec)
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
pub fn stop(backend: &dyn BridgeBackend, network: &DefinedNetwork) -> std::result::Result<(), NetworkError> {
    let stop = || {
        let bridge = own_bridge(backend, network)?;
        let anchor = anchor::left_over(backend, network)?;
        anchor.iter().try_for_each(|anchor| anchor::remove(backend, anchor))?;
        let Some(bridge) = bridge else { return Err(NetworkFailure::NotActive(network.bridge())) };
        unless_gone(backend.delete(bridge.name)).map_err(|error| match anchor {
            None => error.into(),
            Some(anchor) => {
                let outcome = anchor.put_back(backend);
                error.undone(outcome, format_args!("bridge {} without its anchor", bridge.name)).into()
            }
        })
    };
    named(network, stop())
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
    network: &DefinedNetwork,
) -> std::result::Result<Ensured, NetworkError> {
    let ensure = || {
        let (spec, bridge) = check_ensure(backend, network)?;
        match bridge {
            None => create(backend, network, &spec).map(|()| Ensured::Created),
            Some(bridge) => repair(backend, network, &spec, &bridge),
        }
    };
    named(network, ensure())
}

/// What [`start`] refuses before anything is made.
pub(super) fn check_start(backend: &dyn BridgeBackend, network: &DefinedNetwork) -> Outcome<BridgeSpec> {
    let spec = supported(backend, network)?;
    match own_bridge(backend, network)? {
        None => Ok(spec),
        Some(bridge) => Err(NetworkFailure::Active(bridge.name)),
    }
}

/// What [`ensure`] refuses before anything is done; else the bridge as it is to be, and as it is.
pub(super) fn check_ensure(
    backend: &dyn BridgeBackend,
    network: &DefinedNetwork,
) -> Outcome<(BridgeSpec, Option<BridgeState>)> {
    let spec = supported(backend, network)?;
    match drift::bridge(backend, network)? {
        Bridge::Absent => Ok((spec, None)),
        Bridge::There(bridge) => Ok((spec, Some(bridge))),
        Bridge::Occupied(occupied) => Err(NetworkFailure::Occupied(occupied)),
    }
}

/// The network's bridge as it is to be; refuses what the backend cannot do.
fn supported(backend: &dyn BridgeBackend, network: &DefinedNetwork) -> Outcome<BridgeSpec> {
    let capabilities = backend.capabilities();
    let spec = network.spec(capabilities);
    let at = Attempt::new(backend.name(), Operation::Create).on(spec.name);
    spec.options.check(at, capabilities)?;
    network.network().port_options().check(at, capabilities)?;
    anchor::check(backend, network)?;
    Ok(spec)
}

/// The bridge of the network's name if it has the network's MAC.
pub(super) fn own_bridge(backend: &dyn BridgeBackend, network: &DefinedNetwork) -> Outcome<Option<BridgeState>> {
    match drift::bridge(backend, network)? {
        Bridge::Absent => Ok(None),
        Bridge::There(bridge) if bridge.mac == network.mac() => Ok(Some(bridge)),
        Bridge::There(bridge) => {
            Err(NetworkFailure::Occupied(Occupied { name: bridge.name, by: Occupant::Bridge(bridge.mac) }))
        }
        Bridge::Occupied(occupied) => Err(NetworkFailure::Occupied(occupied)),
    }
}

fn create(backend: &dyn BridgeBackend, network: &DefinedNetwork, spec: &BridgeSpec) -> Outcome<()> {
    let before = anchor::check(backend, network)?;
    backend.create(spec)?;
    if !network.has_anchor() {
        return Ok(());
    }
    let raised = made(backend, spec).and_then(|bridge| anchor::raise(backend, network, before.as_ref(), &bridge));
    Ok(raised.map_err(|error| {
        let outcome = unless_gone(backend.delete(spec.name));
        undone_too(error, outcome, format_args!("bridge {}", spec.name))
    })?)
}

fn made(backend: &dyn BridgeBackend, spec: &BridgeSpec) -> Result<BridgeState> {
    let at = Attempt::new(backend.name(), Operation::Find).on(spec.name);
    backend.find(spec.name)?.ok_or_else(|| at.error(ErrorKind::NotFound))
}

fn repair(
    backend: &dyn BridgeBackend,
    network: &DefinedNetwork,
    spec: &BridgeSpec,
    bridge: &BridgeState,
) -> Outcome<Ensured> {
    let drifts = drift::drifts(backend, network, bridge)?;
    let mut change = drift::repair(spec, bridge, &drifts);
    if change.mac.is_none() && drift::may_follow_a_port(backend, bridge)? {
        change.mac = Some(network.mac());
    }
    backend.change(bridge.name, &change)?;
    repair_anchor(backend, network, spec, &drifts).map_err(|error| {
        let outcome = take_back(backend, bridge, &drifts);
        undone_too(error, outcome, format_args!("a changed bridge {}", bridge.name))
    })?;
    Ok(if drifts.is_empty() { Ensured::AsDefined } else { Ensured::Repaired(drifts) })
}

/// Undoes what [`repair`] has done to a bridge.
fn take_back(backend: &dyn BridgeBackend, bridge: &BridgeState, drifts: &[Drift]) -> Result<()> {
    let mut change = drift::undo(drifts);
    // When its only port leaves, Linux gives a bridge 1500 (`br_mtu_auto_adjust()`).
    let Some(now) = backend.find(bridge.name)? else { return Ok(()) };
    change.mtu = change.mtu.or((now.mtu != bridge.mtu).then_some(bridge.mtu));
    unless_gone(backend.change(bridge.name, &change))
}

/// The anchor is raised again where the bridge was down, which makes the kernel forget that it had
/// a carrier.
fn repair_anchor(
    backend: &dyn BridgeBackend,
    network: &DefinedNetwork,
    spec: &BridgeSpec,
    drifts: &[Drift],
) -> Result<()> {
    let concerns_anchor = |drift: &Drift| matches!(drift, Drift::Anchor { .. } | Drift::Link { .. });
    if !drifts.iter().any(concerns_anchor) {
        return Ok(());
    }
    let before = anchor::find(backend, network)?;
    if network.has_anchor() {
        return anchor::raise(backend, network, before.as_ref(), &made(backend, spec)?);
    }
    match before.filter(|found| found.is_port_of(spec.name)) {
        Some(found) => anchor::remove(backend, &found),
        None => Ok(()),
    }
}

/// With the outcome of undoing the step before the one that failed, if that left nothing itself.
fn undone_too(error: Error, outcome: Result<()>, left: std::fmt::Arguments<'_>) -> Error {
    match (error.undo(), &outcome) {
        (crate::Undo::Failed { .. }, _) => error,
        _ => error.undone(outcome, left),
    }
}
