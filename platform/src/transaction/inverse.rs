//! What takes a step back: a comparison of what was there before it with what is there now.
//!
//! What equals the request now, and did not before, is taken back. That covers steps that were done in part, and
//! steps whose answer was lost; what others have changed meanwhile is left alone.

use super::record::Record;
use crate::step::{SeenEntries, SeenEntry, SeenPort, SeenVlans, settable};
use crate::{
    Backend, BridgeChange, BridgeOptions, BridgeSpec, BridgeState, Capability, ErrorKind, FdbOrigin, Identity,
    MacAddr, PortOptions, PortState, PortVlans, Result, Seen, StaticEntry, Step, TapChange, TapSpec, TapState,
    Target, UnicastMac, VlanId, VlanRange,
};

/// Whether nothing is left of an interface, or of its being a port, when a look says this.
pub(super) const fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::PortNotFound
            | ErrorKind::NotAPort
            | ErrorKind::NotABridge
            | ErrorKind::NotATap
            | ErrorKind::EntryNotFound
    )
}

/// The step whose look shows what is left of a step; `None` for a step that leaves nothing to take back.
pub(super) fn probe(record: &Record) -> Option<Step> {
    match (&record.step, &record.before) {
        // Of a bridge, the state is wanted.
        (Step::Create(_), _) => Some(Step::change(record.created()?, BridgeChange::default())),
        (Step::CreateTap(_), Seen::Tap(before)) => Some(Step::change_tap(before, TapChange::default())),
        (Step::CreateTap(_), _) => Some(Step::change_tap(record.created()?, TapChange::default())),
        // A port that another process has moved to another bridge is not one that is left on this.
        (&Step::AddPort { bridge, port }, _) => Some(Step::RemovePort { bridge, port }),
        // What was added is to be seen whatever the kernel says of a second time.
        (&Step::AddFdbEntry { bridge, entry }, _) => Some(Step::ReplaceFdbEntry { bridge, entry }),
        (step, _) => Some(step.clone()),
    }
}

/// Whether a step that failed is done all the same.
pub(super) fn is_done(record: &Record, now: &Result<Seen>) -> bool {
    let now = match (&record.step, now) {
        (Step::Delete(_) | Step::DeleteTap(_), Err(error)) => return error.kind() == ErrorKind::NotFound,
        (_, Err(_)) => return false,
        (_, Ok(now)) => now,
    };
    match (&record.step, now) {
        (Step::Create(spec), Seen::Bridge { bridge, .. }) => {
            // Without a MAC, any bridge of this name may be as the spec says.
            let is_known = record.made.is_some() || spec.mac.is_some();
            is_known && is_as_specified(bridge, spec)
        }
        (Step::Change { change, .. }, Seen::Bridge { bridge, .. }) => is_changed(bridge, change),
        (Step::AddPort { .. }, Seen::Port(now)) => now.is_port,
        (Step::RemovePort { .. }, Seen::Port(now)) => !now.is_port,
        (Step::ChangePort { options, .. }, Seen::Port(now)) => {
            now.is_port && options.unlike(&now.options).next().is_none()
        }
        (Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. }, Seen::Entries(now)) => {
            now.entries.iter().any(|now_there| now_there.vlan == entry.vlan && is_ours(now_there, now))
        }
        (Step::RemoveFdbEntry { vlan, .. }, Seen::Entries(now)) => !now.has(*vlan),
        (Step::AddVlans { vlans, .. }, Seen::Vlans(now)) => now.vlans.iter().any(|has| has.contains(*vlans)),
        (Step::RemoveVlans { vlans, .. }, Seen::Vlans(now)) => !now.has_any(*vlans),
        (Step::ChangeTap { change, .. }, Seen::Tap(now)) => is_tap_changed(now, change),
        _ => false,
    }
}

/// The next step that leads back from what is there `now`; `None` when nothing is left of the step.
pub(super) fn next<B: Backend + ?Sized>(backend: &B, record: &Record, now: Result<Seen>) -> Result<Option<Step>> {
    let now = match now {
        Ok(now) => now,
        // The port may be one of another bridge by now, and have got its options there.
        Err(error) if is_gone(error.kind()) => return moved(backend, record),
        Err(error) => return Err(error),
    };
    Ok(match (&record.step, &record.before, &now) {
        // A bridge is deleted if it is the one that was created. Without its identity, it is known by its MAC.
        (Step::Create(spec), _, Seen::Bridge { bridge, .. }) => {
            match is_created(record, bridge.identity(), spec.mac, bridge.mac) {
                Some(is_it) => is_it.then(|| Step::delete(bridge)),
                None => return Err(record.step.attempt(backend.name()).error(ErrorKind::BridgeExists)),
            }
        }
        (
            Step::Change { bridge, change },
            Seen::Bridge { bridge: before, ports },
            Seen::Bridge { bridge: now, ports: now_ports },
        ) => {
            let back = of_change(before, change, now).map(|change| Step::change(*bridge, change));
            let back = back.or_else(|| of_ports(*bridge, ports, now_ports));
            if back.is_none() && keeps_a_first_mac(before, change, now) {
                return Err(record.step.attempt(backend.name()).error(ErrorKind::InvalidMac));
            }
            if back.is_none() && change.options.ageing_time.is_some() && before.options.ageing_time.is_none() {
                let at = record.step.attempt(backend.name()).with(Capability::AgeingTime);
                return Err(at.error(ErrorKind::Unsupported));
            }
            back
        }
        (&Step::AddPort { bridge, port }, Seen::Port(before), Seen::Port(now)) => {
            of_joining(bridge, port, before, now)
        }
        (&Step::ChangePort { bridge, port, options }, Seen::Port(before), Seen::Port(now)) => {
            if now.is_port {
                of_options(bridge, port, &before.options, &now.options, &options)
            } else {
                moved(backend, record)?
            }
        }
        (
            Step::AddFdbEntry { bridge, entry } | Step::ReplaceFdbEntry { bridge, entry },
            Seen::Entries(before),
            Seen::Entries(now),
        ) => {
            let before = &possible(backend, before)?;
            let back =
                of_entry(*bridge, entry, before, now).or_else(|| surplus_entry(*bridge, entry.mac, before, now));
            // FreeBSD removes a static entry before it sets another in its place.
            let may_miss = record.is_unclear || !now.is_port;
            let missing = || may_miss.then(|| missing_entry(*bridge, entry.mac, before, now)).flatten();
            match back.or_else(missing) {
                None if !now.is_port => moved(backend, record)?,
                back => back,
            }
        }
        (&Step::RemoveFdbEntry { bridge, mac, .. }, Seen::Entries(before), Seen::Entries(now)) => {
            missing_entry(bridge, mac, &possible(backend, before)?, now)
                .or_else(|| surplus_entry(bridge, mac, before, now))
        }
        (
            &Step::AddVlans { bridge, port, vlans: PortVlans { vlans, .. } }
            | &Step::RemoveVlans { bridge, port, vlans },
            Seen::Vlans(before),
            Seen::Vlans(now),
        ) => {
            // A port loses its VLANs with its place.
            if now.is_port { of_vlans(bridge, port, vlans, before, now) } else { None }
        }
        (Step::CreateTap(spec), Seen::Tap(before), Seen::Tap(now)) => of_adoption(spec, before, now),
        (Step::CreateTap(spec), _, Seen::Tap(now)) => {
            let is_it = is_created(record, now.identity(), spec.mac, now.mac) == Some(true);
            is_it.then(|| Step::delete_tap(now))
        }
        (&Step::ChangeTap { tap, change }, Seen::Tap(before), Seen::Tap(now)) => {
            of_tap(tap, former_of_tap(before, &change, now))
        }
        _ => None,
    })
}

/// Whether an interface is the one that a step created: by its identity, or else by the MAC that was asked for.
/// `None` if neither is known.
fn is_created(record: &Record, now: Identity, asked: Option<UnicastMac>, mac: MacAddr) -> Option<bool> {
    record.made.map(|made| made == now).or(asked.map(|asked| asked == mac))
}

/// What a setting was before, if it is now as it was asked for, and was not.
fn former<T: Copy + PartialEq>(before: T, asked: Option<impl PartialEq<T>>, now: T) -> Option<T> {
    asked.filter(|asked| *asked == now && *asked != before).map(|_| before)
}

fn former_of_tap(before: &TapState, asked: &TapChange, now: &TapState) -> TapChange {
    TapChange {
        mac: former(before.mac, asked.mac, now.mac),
        mtu: former(before.mtu, asked.mtu, now.mtu),
        link: former(before.link, asked.link, now.link),
        vnet_hdr: None,
    }
}

/// An adopted tap is what it was before. A closed one is down on FreeBSD.
fn of_adoption(spec: &TapSpec, before: &TapState, now: &TapState) -> Option<Step> {
    let asked = TapChange { mac: spec.mac.map(Into::into), mtu: spec.mtu, ..TapChange::default() };
    let mut back = former_of_tap(before, &asked, now);
    back.link = (now.link != before.link).then_some(before.link);
    back.vnet_hdr = before.vnet_hdr.filter(|&had| now.vnet_hdr.is_some_and(|has| has != had));
    of_tap(before.into(), back)
}

fn of_tap(tap: Target, back: TapChange) -> Option<Step> {
    (back != TapChange::default()).then_some(Step::ChangeTap { tap, change: back })
}

/// Whether a step sets nothing but an ageing time. Linux does not tell the ageing time during a change of topology
/// (STP), so that a look cannot confirm the step.
pub(super) fn is_of_ageing_time(step: &Step) -> bool {
    let Step::Change { change, .. } = step else { return false };
    let options = BridgeOptions { ageing_time: change.options.ageing_time, ..BridgeOptions::default() };
    *change == BridgeChange::default().options(options)
}

/// What takes a bridge back.
fn of_change(before: &BridgeState, change: &BridgeChange, now: &BridgeState) -> Option<BridgeChange> {
    let mut asked = now.options.unrounded(&change.options);
    // One that the kernel does not tell now may be the one that was asked for.
    asked.ageing_time = asked.ageing_time.or(change.options.ageing_time);
    let mut options: BridgeOptions =
        change.options.iter().filter_map(|option| before.options.former(&asked, option)).collect();
    // Turning STP on changes the forward delay, too, if STP could not do with it (Linux, `br_stp_start()`).
    if change.options.stp == Some(true) && before.options.forward_delay != asked.forward_delay {
        options.forward_delay = before.options.forward_delay;
    }
    // Setting the protocol resets the hello time (FreeBSD, `bstp_set_protocol()`).
    if change.options.stp_protocol.is_some() && before.options.hello_time != asked.hello_time {
        options.hello_time = before.options.hello_time;
    }
    // A bridge without an MTU for IPv6 has lost this (Linux, `addrconf_notify()`).
    if before.options.host_ipv6.is_some() && now.options.host_ipv6.is_none() {
        options.host_ipv6 = before.options.host_ipv6;
    }
    let back = BridgeChange {
        mac: former(before.mac, change.mac, now.mac).and_then(settable),
        mtu: former(before.mtu, change.mtu, now.mtu),
        link: former(before.link, change.link, now.link),
        options,
    };
    (back != BridgeChange::default()).then_some(back)
}

/// Whether a bridge that had no MAC has one now: it cannot be given none again.
fn keeps_a_first_mac(before: &BridgeState, change: &BridgeChange, now: &BridgeState) -> bool {
    let is_kept = change.mac.is_some_and(|mac| now.mac == mac) && settable(before.mac).is_none();
    is_kept && now.mac != MacAddr::ZERO
}

/// The path costs of ports, which a new STP protocol changes (FreeBSD).
fn of_ports(bridge: Target, before: &[PortState], now: &[PortState]) -> Option<Step> {
    before.iter().find_map(|before| {
        let now = now.iter().find(|now| now.identity() == before.identity())?;
        let cost = before.options.path_cost.filter(|_| before.options.path_cost != now.options.path_cost)?;
        let options = PortOptions::default().path_cost(cost);
        Some(Step::ChangePort { bridge, port: before.into(), options })
    })
}

/// A port leaves the bridge that it joined. The bridge gets the MTU back that it took from the port, or lost when the
/// port left (Linux, `br_mtu_auto_adjust()`).
fn of_joining(bridge: Target, port: Target, before: &SeenPort, now: &SeenPort) -> Option<Step> {
    if now.is_port && !before.is_port {
        return Some(Step::RemovePort { bridge, port });
    }
    let has_other = now.bridge_mtu != before.bridge_mtu;
    has_other.then(|| Step::Change { bridge, change: BridgeChange::default().mtu(before.bridge_mtu) })
}

/// What the step that was under way has done to a port that another process has moved to another bridge: it has
/// options or an entry there. What was done before it moved is gone with its being a port.
fn moved<B: Backend + ?Sized>(backend: &B, record: &Record) -> Result<Option<Step>> {
    let Some(port) = record.step.port().filter(|_| record.is_unclear) else { return Ok(None) };
    let Some(now) = backend.find_port(port)? else { return Ok(None) };
    let Some(bridge) = now.bridge.map(Target::from) else { return Ok(None) };
    Ok(match (&record.step, &record.before) {
        (Step::ChangePort { options, .. }, Seen::Port(before)) => {
            of_options(bridge, port, &before.options, &now.options, options)
        }
        (Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. }, _) => {
            let remove = Step::RemoveFdbEntry { bridge, mac: entry.mac, vlan: entry.vlan };
            let is_it = |there: &SeenEntry| {
                there.origin == FdbOrigin::Static && there.vlan == entry.vlan && there.port == now.identity()
            };
            match backend.look(&remove) {
                Ok(Seen::Entries(there)) if there.entries.iter().any(is_it) => Some(remove),
                Err(error) if !is_gone(error.kind()) => return Err(error),
                _ => None,
            }
        }
        _ => None,
    })
}

fn of_options(
    bridge: Target,
    port: Target,
    before: &PortOptions,
    now: &PortOptions,
    asked: &PortOptions,
) -> Option<Step> {
    let options: PortOptions = asked.iter().filter_map(|option| before.former(now, option)).collect();
    (options != PortOptions::default()).then_some(Step::ChangePort { bridge, port, options })
}

/// The former static entries that can be there again. An entry goes when its port leaves the bridge.
fn possible<B: Backend + ?Sized>(backend: &B, before: &SeenEntries) -> Result<SeenEntries> {
    let mut possible = SeenEntries { entries: Vec::with_capacity(before.entries.len()), ..before.clone() };
    for entry in before.entries.iter().filter(|entry| entry.origin == FdbOrigin::Static) {
        let is_there = entry.port == before.bridge
            || backend.find_port(entry.port.into())?.is_some_and(|port| port.bridge == Some(before.bridge));
        if is_there {
            possible.entries.push(*entry);
        }
    }
    Ok(possible)
}

/// Whether an entry is static and behind the port of the step.
fn is_ours(entry: &SeenEntry, now: &SeenEntries) -> bool {
    entry.origin == FdbOrigin::Static && now.port == Some(entry.port)
}

/// An entry that was not there is removed; one that was static elsewhere goes back there.
fn of_entry(bridge: Target, asked: &StaticEntry, before: &SeenEntries, now: &SeenEntries) -> Option<Step> {
    let was =
        |vlan| before.entries.iter().find(move |entry| entry.vlan == vlan && entry.origin == FdbOrigin::Static);
    let is_changed = |entry: &&SeenEntry| {
        is_ours(entry, now) && was(entry.vlan).is_none_or(|before| Some(before.port) != now.port)
    };
    let Some(changed) = now.entries.iter().find(is_changed) else {
        return of_swept(bridge, asked, before, now);
    };
    Some(match was(changed.vlan) {
        Some(before) => {
            let entry = StaticEntry { mac: asked.mac, port: before.port.into(), vlan: changed.vlan };
            Step::ReplaceFdbEntry { bridge, entry }
        }
        None => Step::RemoveFdbEntry { bridge, mac: asked.mac, vlan: changed.vlan },
    })
}

/// A static entry that was there, and is no longer, is added.
fn missing_entry(bridge: Target, mac: UnicastMac, before: &SeenEntries, now: &SeenEntries) -> Option<Step> {
    let is_missing = |entry: &&SeenEntry| entry.origin == FdbOrigin::Static && !now.has(entry.vlan);
    let SeenEntry { port, vlan, .. } = *before.entries.iter().find(is_missing)?;
    Some(Step::AddFdbEntry { bridge, entry: StaticEntry { mac, port: port.into(), vlan } })
}

/// An entry without a VLAN that is added again is added in each VLAN that its port has by then, too.
fn surplus_entry(bridge: Target, mac: UnicastMac, before: &SeenEntries, now: &SeenEntries) -> Option<Step> {
    let was = |vlan: Option<VlanId>, port| {
        before
            .entries
            .iter()
            .any(|entry| (entry.vlan, entry.port, entry.origin) == (vlan, port, FdbOrigin::Static))
    };
    let is_surplus = |entry: &&SeenEntry| {
        entry.origin == FdbOrigin::Static
            && entry.vlan.is_some()
            && !was(entry.vlan, entry.port)
            && was(None, entry.port)
    };
    let vlan = now.entries.iter().find(is_surplus)?.vlan;
    Some(Step::RemoveFdbEntry { bridge, mac, vlan })
}

/// Where the entry without a VLAN was removed again, those that the port already had in VLANs went with it.
fn of_swept(bridge: Target, asked: &StaticEntry, before: &SeenEntries, now: &SeenEntries) -> Option<Step> {
    if asked.vlan.is_some()
        || now.has(None)
        || before.entries.iter().any(|entry| entry.vlan.is_none() && is_ours(entry, before))
    {
        return None;
    }
    let missing = before.entries.iter().find(|entry| is_ours(entry, before) && !now.has(entry.vlan))?;
    Some(Step::AddFdbEntry { bridge, entry: StaticEntry { vlan: missing.vlan, ..*asked } })
}

/// VLANs of the range that a port has now and had not are removed; then those that it had come back, and its
/// former PVID, which another may have replaced.
fn of_vlans(bridge: Target, port: Target, range: VlanRange, before: &SeenVlans, now: &SeenVlans) -> Option<Step> {
    let had = |id: &VlanId| before.vlans.iter().any(|one| one.vlans.contains(*id));
    let common = now.vlans.iter().filter_map(|one| one.vlans.common(range));
    // As many in a row as are new.
    let mut new = common.filter_map(|one| {
        let first = one.iter().find(|id| !had(id))?;
        let last = one.iter().skip_while(|&id| id < first).take_while(|id| !had(id)).last()?;
        VlanRange::new(first, last).ok()
    });
    if let Some(vlans) = new.next() {
        return Some(Step::RemoveVlans { bridge, port, vlans });
    }
    let affected = |one: &PortVlans| {
        let vlans = if one.tagging.is_pvid() { Some(one.vlans) } else { one.vlans.common(range) };
        vlans.map(|vlans| PortVlans { vlans, ..*one })
    };
    let missing = |wanted: &PortVlans| !now.vlans.iter().any(|has| has.contains(*wanted));
    before.vlans.iter().filter_map(affected).find(missing).map(|vlans| Step::AddVlans { bridge, port, vlans })
}

/// Whether a bridge is what its spec says. One that was like that before cannot be told from one that was
/// created by a call whose answer was lost.
fn is_as_specified(bridge: &BridgeState, spec: &BridgeSpec) -> bool {
    let BridgeSpec { mac, mtu, .. } = *spec;
    let change = BridgeChange { mac, mtu, link: Some(spec.link), options: spec.options.settled() };
    bridge.name == spec.name && is_changed(bridge, &change)
}

fn is_changed(bridge: &BridgeState, change: &BridgeChange) -> bool {
    let has = bridge.options.unrounded(&change.options);
    change.mac.is_none_or(|mac| bridge.mac == mac)
        && change.mtu.is_none_or(|mtu| bridge.mtu == mtu)
        && change.link.is_none_or(|link| bridge.link == link)
        && change.options.unlike(&has).next().is_none()
}

fn is_tap_changed(tap: &TapState, change: &TapChange) -> bool {
    change.mac.is_none_or(|mac| tap.mac == mac)
        && change.mtu.is_none_or(|mtu| tap.mtu == mtu)
        && change.link.is_none_or(|link| tap.link == link)
        && change.vnet_hdr.is_none_or(|vnet_hdr| tap.vnet_hdr == Some(vnet_hdr))
}
