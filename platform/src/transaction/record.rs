//! A step that was carried out.

use crate::{Identity, InterfaceName, Made, Seen, Step, Tap, Target};

/// A step that was carried out, with what there was before it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(super) step: Step,
    pub(super) before: Seen,
    pub(super) made: Option<Identity>,
    tap: Option<Tap>,
    /// It failed, and it is not known how far it got.
    pub(super) is_unclear: bool,
}

/// The interfaces that a step created or was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The bridge, or the tap.
    pub interface: Identity,
    /// The port.
    pub port: Option<Identity>,
}

impl Record {
    pub(super) fn new(step: Step, before: Seen, made: Made) -> Self {
        let identity = made.identity();
        let tap = if let Made::Tap(tap) = made { Some(tap) } else { None };
        Self { step: step.resolved(&before), before, made: identity, tap, is_unclear: false }
    }

    pub(super) fn unclear(step: Step, before: Seen, made: Option<Identity>) -> Self {
        Self { step: step.resolved(&before), before, made, tap: None, is_unclear: true }
    }

    /// The interfaces that the step created or was about.
    pub(super) fn resolved(&self) -> Option<Resolved> {
        let interface = self.made.or(self.before.interface())?;
        Some(Resolved { interface, port: self.before.port() })
    }

    pub(super) const fn tap(&self) -> Option<&Tap> {
        self.tap.as_ref()
    }

    pub(super) fn into_tap(self) -> Option<Tap> {
        self.tap
    }

    pub(super) fn into_made(self) -> Made {
        match (self.tap, self.made) {
            (Some(tap), _) => Made::Tap(tap),
            (None, Some(bridge)) => Made::Bridge(bridge),
            (None, None) => Made::Nothing,
        }
    }

    /// The bridge or the tap that the step created, by its identity if that is known.
    pub(super) fn created(&self) -> Option<Target> {
        let name = match &self.step {
            Step::Create(spec) => Some(spec.name),
            Step::CreateTap(spec) => spec.name,
            _ => None,
        };
        self.made.map(Target::from).or(name.map(Target::from))
    }

    /// Closes a tap that the step opened. Descriptors come before everything else: while they are open, a tap
    /// can neither be deleted nor reopened.
    pub(super) fn close(&mut self) {
        self.tap = None;
    }

    /// What is on the host if this cannot be taken back.
    pub(super) fn left(&self) -> String {
        let interface = self.made.map(Identity::name).or(self.step.interface().map(Target::name));
        let name = |name: Option<InterfaceName>| name.map_or_else(String::new, |name| format!(" {name}"));
        let port = || self.step.port().map_or_else(String::new, |port| port.name().to_string());
        match &self.step {
            Step::Create(spec) => format!("bridge {}", self.made.map_or(spec.name, Identity::name)),
            Step::Change { .. } => format!("a changed bridge{}", name(interface)),
            Step::AddPort { .. } => format!("port {} of bridge{}", port(), name(interface)),
            Step::ChangePort { .. } => format!("a changed port {}", port()),
            Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. } => {
                format!("a static entry for {}", entry.mac)
            }
            Step::RemoveFdbEntry { mac, .. } => format!("an FDB without an entry for {mac}"),
            Step::AddVlans { .. } | Step::RemoveVlans { .. } => {
                format!("a change of the VLANs of port {}", port())
            }
            Step::CreateTap(spec) if self.before == Seen::Nothing => {
                format!("tap{}", name(interface.or(spec.name)))
            }
            Step::CreateTap(spec) => format!("a changed tap{}", name(spec.name.or(interface))),
            Step::ChangeTap { .. } => format!("a changed tap{}", name(interface)),
            Step::Delete(_) | Step::RemovePort { .. } | Step::FlushFdb(_) | Step::DeleteTap(_) => {
                "what the step has removed is gone; nothing".to_owned()
            }
        }
    }
}
