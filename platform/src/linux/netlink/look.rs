//! Looking at what steps are about: the interfaces of many in one send.

use std::collections::HashMap;

use nix::errno::Errno;

use super::link::Link;
use super::neighbour::Neighbour;
use super::outcome::{Found, as_bridge, as_interface};
use super::socket::Failure;
use super::{NetlinkBackend, bridge_state, options, requests};
use crate::error::Attempt;
use crate::linux::tap as taps;
use crate::{
    Capability, ErrorKind, Identity, InterfaceIndex, MacAddr, PortOption, PortVlans, Result, Seen, SeenEntries,
    SeenEntry, SeenPort, SeenVlans, Step, Target, VlanId,
};

/// From so many entries on, the whole FDB is read instead of one entry after another.
const MANY_ENTRIES: usize = 16;

/// What several steps on one bridge read once.
#[derive(Default)]
pub(super) struct Known {
    vlans: Option<(InterfaceIndex, HashMap<InterfaceIndex, Vec<PortVlans>>)>,
    fdb: Option<(InterfaceIndex, HashMap<MacAddr, Vec<Neighbour>>)>,
    /// Whether there are many steps.
    are_many: bool,
}

impl NetlinkBackend {
    /// Looks at what a step is about.
    pub(super) fn look_one(&self, step: &Step) -> Result<Seen> {
        let interface = if is_of_tap(step) { None } else { step.interface() };
        let known = &mut Known::default();
        match (interface, step.port()) {
            (None, _) => self.seen(step, None, None, known),
            (Some(interface), None) => self.seen(step, Some(&self.look_for(interface)), None, known),
            (Some(interface), Some(port)) => match &self.find_all(&[interface, port])[..] {
                [interface, port] => self.seen(step, Some(interface), Some(port), known),
                _ => unreachable!("one is found for each target"),
            },
        }
    }

    /// Looks at what each step is about.
    pub(super) fn look_at(&self, steps: &[&Step], each: &mut dyn FnMut(Result<Seen>)) {
        let (mut targets, mut places) = (Vec::with_capacity(2), Vec::with_capacity(steps.len()));
        let mut place_of = |target: Target| {
            targets.push(target);
            targets.len() - 1
        };
        // Many ports of one bridge, many entries of one port: each is looked for once.
        let (mut last_interface, mut last_port) = (None, None);
        for step in steps {
            let (interface, port) = if is_of_tap(step) { (None, None) } else { (step.interface(), step.port()) };
            let mut place = |target: Option<Target>, last: &mut Option<(Target, usize)>| match (target?, &last) {
                (target, Some((of, place))) if *of == target => Some(*place),
                (target, _) => Some(last.insert((target, place_of(target))).1),
            };
            places.push((place(interface, &mut last_interface), place(port, &mut last_port)));
        }
        let found = self.find_all(&targets);
        let mut known = Known { are_many: steps.len() > MANY_ENTRIES, ..Known::default() };
        for (step, (interface, port)) in steps.iter().zip(places) {
            let of = |place: Option<usize>| place.map(|place| &found[place]);
            each(self.seen(step, of(interface), of(port), &mut known));
        }
    }

    /// Finds the interfaces of targets, many in one send.
    pub(super) fn find_all(&self, targets: &[Target]) -> Vec<Found> {
        match targets {
            [] => Vec::new(),
            &[target] => vec![self.look_for(target)],
            targets => self.look_for_all(targets, |&target| requests::get(target)),
        }
    }

    /// Makes of the interfaces that were found what a step wants to know.
    fn seen(
        &self,
        step: &Step,
        interface: Option<&Found>,
        port: Option<&Found>,
        known: &mut Known,
    ) -> Result<Seen> {
        let at = || step.attempt(Self::NAME);
        let bridge = || match interface.expect("a step on a bridge has one") {
            Ok(Some(link)) if link.is_bridge => Ok(link),
            found => as_bridge(at(), found),
        };
        let port = || match port.expect("a step on a port has one") {
            Ok(Some(link)) => Ok(link),
            found => as_interface(at(), found),
        };
        Ok(match step {
            Step::Create(spec) => {
                options::check(at(), &spec.options)?;
                Seen::Nothing
            }
            Step::Delete(_) | Step::FlushFdb(_) => Seen::Interface(bridge()?.identity()),
            Step::Change { change, .. } => {
                options::check(at(), &change.options)?;
                Seen::bridge(bridge_state(bridge()?))
            }
            Step::AddPort { .. } => {
                let (bridge, port) = (bridge()?, port()?);
                // The kernel would move a port of another bridge here without a word.
                if port.master.is_some_and(|master| master != bridge.index) {
                    // A bridge in a VRF, say.
                    let kind = if port.is_bridge { ErrorKind::PortIsBridge } else { ErrorKind::PortBusy };
                    return Err(at().error(kind));
                }
                Seen::Port(seen_port(bridge, port))
            }
            Step::RemovePort { .. } => Seen::Port(seen_port(bridge()?, port()?)),
            Step::ChangePort { options, .. } => {
                let seen = seen_port(bridge()?, port()?);
                // An older kernel ignores an option that it does not know, and does not report it.
                let is_known = |option: &PortOption| {
                    seen.options.iter().any(|known| known.capability() == option.capability())
                };
                match options.iter().find(|option| !is_known(option)) {
                    Some(option) if seen.is_port => {
                        return Err(at().with(option.capability()).error(ErrorKind::Unsupported));
                    }
                    _ => Seen::Port(seen),
                }
            }
            Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. } => {
                let (bridge, port) = (bridge()?, port()?);
                let mut seen = SeenEntries::new(bridge.identity());
                seen.port = Some(port.identity());
                seen.is_port = port.master == Some(bridge.index);
                seen.has_vlans = bridge.options.default_pvid.is_some();
                let vlans = if entry.vlan.is_none() && seen.has_vlans && seen.is_port {
                    self.known_vlans(at(), bridge, port.index, known)?
                } else {
                    Vec::new()
                };
                // Without VLANs, the kernel refuses an entry that exists by itself.
                if matches!(step, Step::ReplaceFdbEntry { .. }) || !vlans.is_empty() {
                    let mac = MacAddr::from(entry.mac);
                    seen.entries = self.entries_of(at(), bridge, Some(port), mac, entry.vlan, &vlans, known)?;
                }
                Seen::Entries(seen)
            }
            &Step::RemoveFdbEntry { mac, vlan, .. } => {
                let bridge = bridge()?;
                let mut seen = SeenEntries::new(bridge.identity());
                seen.has_vlans = bridge.options.default_pvid.is_some();
                let mac = MacAddr::from(mac);
                seen.entries = self.entries_of(at(), bridge, None, mac, vlan, &[], known)?;
                // Without a VLAN, the kernel removes the entries in each VLAN of the port, too.
                if let (None, true, [entry]) = (vlan, seen.has_vlans, &seen.entries[..]) {
                    let vlans = self.known_vlans(at(), bridge, entry.port.index(), known)?;
                    seen.entries = self.entries_of(at(), bridge, None, mac, vlan, &vlans, known)?;
                }
                Seen::Entries(seen)
            }
            Step::AddVlans { .. } | Step::RemoveVlans { .. } => {
                let (bridge, port) = (bridge()?, port()?);
                // A kernel without 802.1Q reports no VLANs, and removes any; adding it refuses in its own words.
                let is_port = port.master == Some(bridge.index);
                if is_port && bridge.options.default_pvid.is_none() && matches!(step, Step::RemoveVlans { .. }) {
                    return Err(at().with(Capability::PortVlans).error(ErrorKind::Unsupported));
                }
                let vlans = self.known_vlans(at(), bridge, port.index, known)?;
                let mut seen = SeenVlans::new(bridge.identity(), port.identity(), vlans);
                seen.is_port = is_port;
                Seen::Vlans(seen)
            }
            Step::CreateTap(_) | Step::ChangeTap { .. } | Step::DeleteTap(_) => taps::look(self, step)?,
        })
    }

    /// The VLANs of a port, from one dump for all steps on its bridge.
    fn known_vlans(
        &self,
        at: Attempt,
        bridge: &Link,
        port: InterfaceIndex,
        known: &mut Known,
    ) -> Result<Vec<PortVlans>> {
        if known.vlans.as_ref().is_none_or(|(of, _)| *of != bridge.index) {
            let vlans =
                self.vlans_of_ports(bridge.index).map_err(|failure| self.failure_on(at, bridge.index, failure))?;
            known.vlans = Some((bridge.index, vlans));
        }
        Ok(known.vlans.as_ref().and_then(|(_, vlans)| vlans.get(&port)).cloned().unwrap_or_default())
    }

    /// The entries of an address in a VLAN, or without one, and in these VLANs.
    #[expect(clippy::too_many_arguments, reason = "each is about the one entry")]
    fn entries_of(
        &self,
        at: Attempt,
        bridge: &Link,
        port: Option<&Link>,
        mac: MacAddr,
        vlan: Option<VlanId>,
        vlans: &[PortVlans],
        known: &mut Known,
    ) -> Result<Vec<SeenEntry>> {
        let failed = |failure| self.failure_on(at, bridge.index, failure);
        let count: usize = vlans.iter().map(|one| one.vlans.iter().count()).sum();
        let is_wanted =
            |of: Option<VlanId>| of == vlan || of.is_some_and(|of| vlans.iter().any(|one| one.vlans.contains(of)));
        let there: Vec<Neighbour> = if count < MANY_ENTRIES && !known.are_many {
            let each = vlans.iter().flat_map(|one| one.vlans.iter()).map(Some);
            let each = [vlan].into_iter().chain(each).map(|vlan| self.neighbour(bridge.index, mac, vlan));
            each.filter_map(std::result::Result::transpose)
                .collect::<std::result::Result<_, _>>()
                .map_err(failed)?
        } else {
            if known.fdb.as_ref().is_none_or(|(of, _)| *of != bridge.index) {
                let mut fdb: HashMap<MacAddr, Vec<Neighbour>> = HashMap::new();
                for entry in self.neighbours(bridge.index).map_err(failed)? {
                    fdb.entry(entry.mac).or_default().push(entry);
                }
                known.fdb = Some((bridge.index, fdb));
            }
            let of_mac = known.fdb.as_ref().and_then(|(_, fdb)| fdb.get(&mac));
            of_mac.into_iter().flatten().copied().filter(|entry| is_wanted(entry.vlan)).collect()
        };
        let mut entries = Vec::with_capacity(there.len());
        for entry in there {
            let behind = match port.into_iter().chain([bridge]).find(|link| link.index == entry.port) {
                Some(link) => link.identity(),
                None => match self.indexed(entry.port) {
                    Ok(link) => link.identity(),
                    // With the port, its entries are gone.
                    Err(Failure::Refused(Errno::ENODEV, _)) => continue,
                    Err(failure) => return Err(failed(failure)),
                },
            };
            entries.push(SeenEntry::new(entry.vlan, behind, entry.origin));
        }
        Ok(entries)
    }
}

/// Whether a step is looked at by the code for taps.
const fn is_of_tap(step: &Step) -> bool {
    matches!(step, Step::CreateTap(_) | Step::ChangeTap { .. } | Step::DeleteTap(_))
}

fn seen_port(bridge: &Link, port: &Link) -> SeenPort {
    let mut seen = SeenPort::new(bridge.identity(), bridge.mtu, port.identity(), port.mtu);
    seen.is_port = port.master == Some(bridge.index);
    seen.options = port.port_options;
    seen
}

/// The identity of the interface that a step is about, which was seen.
pub(super) fn interface_of(seen: &Seen) -> Identity {
    seen.interface().expect("what was seen of a step on an interface has it")
}

/// The identity of the port that a step is about, which was seen.
pub(super) fn port_of(seen: &Seen) -> Identity {
    seen.port().expect("what was seen of a step on a port has it")
}
