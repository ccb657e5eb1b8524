//! What [`Backend`] promises, call by call. How it is done is in the modules beside this one.

use std::os::fd::OwnedFd;

use super::backend::{FreeBsdBackend, still_there};
use super::driver::Driver;
use super::{events, options, port, vlan};
use crate::error::{CallResult, unless};
use crate::setting;
use crate::{
    Backend, BridgeState, Capabilities, Capability, ErrorKind, Events, FdbEntry, InterfaceState, Operation,
    Outcome, PortState, PortVlans, Result, Seen, Step, Tap, TapState, Target,
};

/// What it can do beyond what every backend must, whatever the kernel.
const CAPABILITIES: &[Capability] = &[
    Capability::StpProtocol,
    Capability::ForwardDelay,
    Capability::HelloTime,
    Capability::MaxAge,
    Capability::Priority,
    Capability::AgeingTime,
    Capability::MaxAddresses,
    Capability::HostIpv6,
    Capability::Isolated,
    Capability::Learning,
    Capability::UnicastFlood,
    Capability::PathCost,
    Capability::PortPriority,
    Capability::PortStp,
    Capability::Sticky,
    Capability::PortStpState,
    Capability::FdbList,
    Capability::FdbStatic,
    Capability::FdbVlan,
    Capability::FdbFlush,
    Capability::Events,
    Capability::Tap,
    Capability::TapVnetHdr,
    Capability::TapDescriptors,
];

impl Backend for FreeBsdBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        let with_vlans = if self.has_vlans() { vlan::CAPABILITIES } else { &[] };
        let transient = self.has_transient_taps().then_some(Capability::TapTransient);
        CAPABILITIES.iter().chain(with_vlans).copied().chain(transient).collect()
    }

    fn look(&self, step: &Step) -> Result<Seen> {
        let at = step.attempt(Self::NAME);
        match step {
            Step::Create(spec) => options::check(at, &spec.options).map(|()| Seen::Nothing),
            &Step::Delete(bridge) | &Step::FlushFdb(bridge) => self.bridge(at, bridge).map(Seen::Interface),
            Step::Change { bridge, change } => self.seen_bridge(at, *bridge, change),
            &Step::AddPort { bridge, port } | &Step::RemovePort { bridge, port } => {
                self.seen_port(at, bridge, port, None).map(Seen::Port)
            }
            Step::ChangePort { bridge, port, options } => {
                self.seen_port(at, *bridge, *port, Some(options)).map(Seen::Port)
            }
            Step::AddFdbEntry { bridge, entry } | Step::ReplaceFdbEntry { bridge, entry } => {
                self.seen_entry(at, *bridge, entry).map(Seen::Entries)
            }
            &Step::RemoveFdbEntry { bridge, mac, vlan } => {
                self.seen_entries(at, bridge, mac, vlan).map(Seen::Entries)
            }
            &Step::AddVlans { bridge, port, .. } | &Step::RemoveVlans { bridge, port, .. } => {
                self.seen_vlans(at, bridge, port).map(Seen::Vlans)
            }
            Step::CreateTap(spec) => self.seen_for_tap(at, spec),
            Step::ChangeTap { tap, change } => self.seen_tap(at, *tap, change).map(Seen::Tap),
            &Step::DeleteTap(tap) => self.tap_without_mac(at, tap).map(Seen::Tap),
        }
    }

    fn run(&self, step: &Step, seen: &Seen) -> Outcome {
        self.carry_out(step, seen).unwrap_or_else(Outcome::Refused)
    }

    fn find_bridge(&self, bridge: Target) -> Result<Option<BridgeState>> {
        let at = Self::at(Operation::Find).on(bridge);
        let found = self.read(at, || Ok([self.bridge(at, bridge)?]), |[bridge]| self.state(at, bridge));
        unless(ErrorKind::NotFound, found)
    }

    fn list_bridges(&self) -> Result<Vec<BridgeState>> {
        let at = Self::at(Operation::List);
        let states = self.bridges(at)?.into_iter().map(|(name, mac)| {
            let state = self.bare_state(self.control.identity(name)?, mac)?;
            Ok(BridgeState { options: self.options(name)?, ..state })
        });
        let mut states = still_there(at, states)?;
        states.sort_unstable_by_key(|state| state.index);
        Ok(states)
    }

    fn list_ports(&self, bridge: Target) -> Result<Vec<PortState>> {
        let at = Self::at(Operation::Ports).on(bridge);
        self.read(at, || Ok([self.bridge(at, bridge)?]), |[bridge]| self.ports_of(at, bridge, port::decode))
    }

    fn find_port(&self, port: Target) -> Result<Option<PortState>> {
        self.port_of_any(Self::at(Operation::Ports).port(port), port)
    }

    fn list_interfaces(&self) -> Result<Vec<InterfaceState>> {
        let at = Self::at(Operation::Interfaces);
        let interfaces = self.macs(at)?.into_iter().map(|(name, mac)| {
            let identity = self.control.identity(name)?;
            let state = InterfaceState::new(name, identity.index(), mac);
            Ok(InterfaceState { incarnation: identity.incarnation(), ..state })
        });
        let mut interfaces = still_there(at, interfaces)?;
        interfaces.sort_unstable_by_key(|interface| interface.index);
        Ok(interfaces)
    }

    fn list_fdb(&self, bridge: Target) -> Result<Vec<FdbEntry>> {
        let at = Self::at(Operation::Fdb).on(bridge);
        self.read(at, || Ok([self.bridge(at, bridge)?]), |[bridge]| self.entries(at, bridge.name()))
    }

    fn list_vlans(&self, bridge: Target, port: Target) -> Result<Vec<PortVlans>> {
        self.port_vlans(Self::at(Operation::Vlans).on(bridge).port(port), bridge, port)
    }

    fn find_tap(&self, tap: Target) -> Result<Option<TapState>> {
        unless(ErrorKind::NotFound, self.tap(Self::at(Operation::Taps).on(tap), tap))
    }

    fn list_taps(&self) -> Result<Vec<TapState>> {
        self.all_taps(Self::at(Operation::Taps))
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        self.keep_tap(Self::at(Operation::PersistTap).on(tap), tap)
    }

    fn adopt_descriptors(&self, queues: Vec<OwnedFd>) -> Result<Tap> {
        self.adopt_device(Self::at(Operation::AdoptTap), queues)
    }

    fn open_events(&self) -> Result<Events> {
        events::open(Self::at(Operation::Events))
    }
}

impl FreeBsdBackend {
    /// Carries out a step. An error means that the step was refused.
    fn carry_out(&self, step: &Step, seen: &Seen) -> Result<Outcome> {
        let at = step.attempt(Self::NAME);
        let done = |outcome: Result<()>| outcome.map(|()| Outcome::DONE);
        match (step, seen) {
            (Step::Create(spec), _) => self.make_bridge(at, spec),
            (Step::Delete(_), &Seen::Interface(bridge)) => {
                done(self.control.destroy(self.verified_bridge(at, bridge)?).at(at))
            }
            (Step::FlushFdb(_), &Seen::Interface(bridge)) => {
                done(self.control.flush_addresses(self.verified_bridge(at, bridge)?).at(at))
            }
            (Step::Change { change, .. }, Seen::Bridge { bridge: before, .. }) => {
                let set = |setting| self.set(at, Driver::Bridge, before.identity(), setting);
                Ok(setting::set_all(&setting::of_bridge(before, change), set))
            }
            (Step::AddPort { .. }, Seen::Port(seen)) => self.attach(at, seen),
            (Step::RemovePort { .. }, Seen::Port(seen)) => done(self.release(at, seen)),
            (Step::ChangePort { options, .. }, Seen::Port(seen)) => self.set_port_options(at, seen, options),
            (Step::AddFdbEntry { entry, .. }, Seen::Entries(seen)) => self.set_entry(at, seen, entry),
            (Step::ReplaceFdbEntry { entry, .. }, Seen::Entries(seen)) => self.move_entry(at, seen, entry),
            (&Step::RemoveFdbEntry { mac, vlan, .. }, Seen::Entries(seen)) => {
                self.delete(at, seen.bridge, mac, vlan)
            }
            (&Step::AddVlans { vlans, .. }, Seen::Vlans(seen)) => self.let_through(at, seen, vlans),
            (&Step::RemoveVlans { vlans, .. }, Seen::Vlans(seen)) => self.let_no_longer_through(at, seen, vlans),
            (Step::CreateTap(spec), Seen::Tap(before)) => self.adopt(at, before, spec),
            (Step::CreateTap(spec), _) => self.make_tap(at, spec),
            // The header of a tap is that of who has it open: a closed one has none.
            (Step::ChangeTap { change, .. }, Seen::Tap(before)) => {
                let set = |setting| self.set(at, Driver::Tap, before.identity(), setting);
                Ok(setting::set_all(&setting::of_tap(before, change), set))
            }
            (Step::DeleteTap(_), Seen::Tap(tap)) => done(self.remove_tap(at, tap)),
            // What was seen is not what belongs to the step.
            _ => Err(at.error(ErrorKind::NotFound)),
        }
    }
}
