//! Compares the bridge and the anchor that a host has with the definition of their network.

use super::anchor;
use super::{Drift, DriftStatus, NetworkError, NetworkFailure, Occupant, Occupied, ResolvedNetwork};
use crate::{
    Backend, BridgeChange, BridgeOption, BridgeSpec, BridgeState, Bridges, Capability, ErrorKind, HostIpv6, Result,
};

/// What a host has of a network.
///
/// Compared are the MAC, up or down, the MTU if one is defined, the options that are defined or
/// libvirt's defaults ([`ResolvedNetwork::spec`]) and that the backend can read, and the anchor. A
/// time that the kernel has rounded has not drifted
/// ([`BridgeOptions::unrounded`](crate::BridgeOptions::unrounded)). Nor has the ageing time while STP
/// replaces it ([`BridgeOptions::ageing_time`](crate::BridgeOptions::ageing_time)), nor a host that does less in
/// IPv6 than it may ([`HostIpv6`](crate::HostIpv6)).
///
/// # Errors
/// [`NetworkFailure::Backend`] where the host cannot be read.
pub fn status(backend: &dyn Backend, network: &ResolvedNetwork) -> std::result::Result<DriftStatus, NetworkError> {
    let status = || -> std::result::Result<DriftStatus, NetworkFailure> {
        let bridge = match bridge(backend, network)? {
            Bridge::Absent => return Ok(DriftStatus::Absent),
            Bridge::Occupied(occupied) => return Ok(DriftStatus::Occupied(occupied)),
            Bridge::There(bridge) => bridge,
        };
        anchor::check(backend, network)?;
        anchor::check_name(backend, network, Some(&bridge))?;
        let anchor = anchor::find(backend, network)?;
        let drifts = drifts(backend, network, &bridge, anchor.as_ref());
        Ok(if drifts.is_empty() { DriftStatus::AsDefined } else { DriftStatus::Drifted(drifts) })
    };
    match status() {
        Err(NetworkFailure::Occupied(occupied)) => Ok(DriftStatus::Occupied(occupied)),
        outcome => outcome.map_err(NetworkError::of(network.name())),
    }
}

/// What has the name of a network's bridge.
pub(super) enum Bridge {
    Absent,
    There(BridgeState),
    Occupied(Occupied),
}

pub(super) fn bridge(backend: &dyn Backend, network: &ResolvedNetwork) -> Result<Bridge> {
    let name = network.bridge();
    let by = match backend.find(name) {
        Ok(None) => return Ok(Bridge::Absent),
        Ok(Some(bridge)) if bridge.name == name => return Ok(Bridge::There(bridge)),
        Ok(Some(bridge)) => Occupant::AlsoCalled(bridge.name),
        Err(error) if error.kind() == ErrorKind::NotABridge => {
            if anchor::tap(backend, name)?.is_some() {
                Occupant::Tap
            } else {
                Occupant::Interface
            }
        }
        Err(error) => return Err(error),
    };
    Ok(Bridge::Occupied(Occupied { name, by }))
}

/// Where a bridge and its anchor are not what is defined.
pub(super) fn drifts(
    backend: &dyn Backend,
    network: &ResolvedNetwork,
    bridge: &BridgeState,
    anchor: Option<&anchor::Found>,
) -> Vec<Drift> {
    let mut spec = network.spec(backend.implemented());
    // On an existing bridge the default takes no address away.
    if network.network().options().host_ipv6.is_none() && spec.options.host_ipv6.is_some() {
        spec.options.host_ipv6 = Some(HostIpv6::Manual);
    }
    let mut drifts = drifts_of_bridge(&spec, bridge);
    drifts.extend(anchor::drift(backend, network, bridge, anchor));
    drifts
}

fn drifts_of_bridge(spec: &BridgeSpec, bridge: &BridgeState) -> Vec<Drift> {
    let mac = spec.mac.filter(|&mac| bridge.mac != mac);
    let mac = mac.map(|defined| Drift::Mac { defined, actual: bridge.mac });
    let mtu = spec.mtu.filter(|&mtu| bridge.mtu != mtu);
    let mtu = mtu.map(|defined| Drift::Mtu { defined, actual: bridge.mtu });
    let now = bridge.options.unrounded(&spec.options);
    let options = spec.options.iter().filter_map(|defined| {
        let actual = now.iter().find(|option| option.capability() == defined.capability())?;
        let is_as_defined = match (defined, actual) {
            // The host does no more than it is allowed to.
            (BridgeOption::HostIpv6(defined), BridgeOption::HostIpv6(actual)) => actual >= defined,
            _ => actual == defined,
        };
        (!is_as_defined).then_some(Drift::Option { defined, actual })
    });
    let link = (spec.link != bridge.link).then_some(Drift::Link { defined: spec.link, actual: bridge.link });
    mac.into_iter().chain(mtu).chain(options).chain(link).collect()
}

/// What takes a bridge from where it has drifted to where it is defined. Options that could not be
/// read are in it, too: whether they have drifted or cannot be set here, the backend finds out. An
/// ageing time is not: STP may be using another one for a while.
pub(super) fn repair(spec: &BridgeSpec, bridge: &BridgeState, drifts: &[Drift]) -> BridgeChange {
    let is_read =
        |option: &BridgeOption| bridge.options.iter().any(|actual| actual.capability() == option.capability());
    let is_ageing_time = |option: &BridgeOption| matches!(option, BridgeOption::AgeingTime(_));
    let unread = spec.options.iter().filter(|option| !is_read(option) && !is_ageing_time(option)).collect();
    drifts.iter().fold(BridgeChange::default().options(unread), |mut change, &drift| {
        match drift {
            Drift::Mac { defined, .. } => change.mac = Some(defined),
            Drift::Mtu { defined, .. } => change.mtu = Some(defined),
            Drift::Option { defined, .. } => change.options.extend([defined]),
            Drift::Link { defined, .. } => change.link = Some(defined),
            Drift::Anchor { .. } => {}
        }
        change
    })
}

/// Whether the bridge may have its MAC from a port, and lose it with that: it is to be set then.
pub(super) fn may_follow_a_port(backend: &dyn Backend, bridge: &BridgeState) -> Result<bool> {
    Ok(backend.implemented().contains(Capability::MacFollowsPorts)
        && backend.ports(bridge)?.iter().any(|port| port.mac == bridge.mac))
}
