//! Many steps in one call: those that do not depend on one another are carried out together.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::execute::conclude;
use super::record::Record;
use super::rollback::roll_back;
use crate::{
    Backend, Bulk, BulkError, BulkResult, Error, ErrorKind, Identity, InterfaceIndex, InterfaceName, MacAddr,
    Made, Outcome, Result, Seen, Step, Target,
};

/// Steps that do not depend on one another, and were carried out together.
pub(super) struct Wave<'s> {
    /// The place of each in the caller's list.
    places: Vec<usize>,
    steps: Vec<(&'s Step, Seen)>,
    /// What came of each; `None` for those that were not begun, since another had failed, or failed themselves.
    made: Vec<Option<Made>>,
}

impl Wave<'_> {
    /// Returns the records of what is done, with their places.
    pub(super) fn into_records(self) -> impl Iterator<Item = (usize, Record)> {
        let done = self.places.into_iter().zip(self.steps).zip(self.made);
        done.filter_map(|((place, (step, seen)), made)| Some((place, Record::new(step.clone(), seen, made?))))
    }

    /// Carries its steps out, and returns the failures.
    fn carry_out<B: Backend + ?Sized>(&mut self, backend: &B, bulk: Bulk) -> Vec<(usize, Error)> {
        let Self { places, steps, made } = self;
        let (mut failures, mut unclear) = (Vec::new(), Vec::new());
        backend.run_all(steps, bulk, &mut |at, outcome| match outcome {
            Outcome::Done(done) => made[at] = Some(done),
            outcome => unclear.push((at, outcome)),
        });
        for (at, outcome) in unclear {
            let (step, seen) = &steps[at];
            match conclude(backend, (*step).clone(), seen.clone(), outcome) {
                Ok(record) => made[at] = Some(record.into_made()),
                Err(error) => failures.push((places[at], error)),
            }
        }
        failures
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        let done = self.places.iter().zip(&self.made);
        done.filter_map(|(&place, made)| made.is_some().then_some(place))
    }
}

/// Carries out steps, each all or nothing, and says what came of them.
pub(crate) fn apply<B: Backend + ?Sized>(backend: &B, steps: &[Step], bulk: Bulk) -> BulkResult {
    let (waves, mut failures) = carry_out(backend, steps.iter().enumerate(), bulk);
    let done = if bulk == Bulk::AllOrNothing && !failures.is_empty() {
        taken_back(backend, waves, &mut failures)
    } else {
        waves.iter().flat_map(Wave::places).collect()
    };
    BulkError::result(failures, done)
}

/// Carries out steps in waves, each with its place in the caller's list: a step that depends on another comes in a
/// later wave. Returns what is done, and the failures.
pub(super) fn carry_out<'s, B: Backend + ?Sized>(
    backend: &B,
    steps: impl Iterator<Item = (usize, &'s Step)>,
    bulk: Bulk,
) -> (Vec<Wave<'s>>, Vec<(usize, Error)>) {
    let (mut waves, mut failures) = (Vec::new(), Vec::new());
    let is_over = |failures: &[_]| bulk == Bulk::AllOrNothing && !failures.is_empty();
    let capabilities = backend.capabilities();
    let (mut places, mut rest) =
        (Vec::with_capacity(steps.size_hint().0), Vec::with_capacity(steps.size_hint().0));
    for (place, step) in steps {
        match step.check(backend.name(), capabilities) {
            Ok(()) => {
                places.push(place);
                rest.push(step);
            }
            Err(error) => failures.push((place, error)),
        }
    }
    // Even if a step was refused, the first look tells what else is wrong.
    while !rest.is_empty() && (waves.is_empty() || !is_over(&failures)) {
        let mut split = Split::of(backend.name(), &rest);
        let mut next = places.iter().zip(&rest);
        backend.look_all(&rest, &mut |seen| {
            let (&place, &step) = next.next().expect("there is a result for each step");
            split.take(place, step, seen);
        });
        failures.extend(split.refused);
        let mut wave = split.now;
        (places, rest) = (split.later_places, split.later);
        if !is_over(&failures) {
            failures.extend(wave.carry_out(backend, bulk));
        }
        waves.push(wave);
    }
    (waves, failures)
}

/// Takes every wave back, the last one first, and returns the places of what stays.
fn taken_back<B: Backend + ?Sized>(
    backend: &B,
    waves: Vec<Wave<'_>>,
    failures: &mut Vec<(usize, Error)>,
) -> Vec<usize> {
    let mut kept = Vec::new();
    for wave in waves.into_iter().rev() {
        let (gone, records): (Vec<_>, Vec<_>) =
            wave.into_records().partition(|(_, record)| record.step.is_irreversible());
        kept.extend(gone.into_iter().map(|(place, _)| place));
        for (place, left) in roll_back(backend, records) {
            kept.push(place);
            failures.push((place, left.error));
        }
    }
    kept
}

/// What a step changes, or what it is about besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Name(InterfaceName),
    Index(InterfaceIndex),
    Entry(InterfaceIndex, MacAddr),
}

/// One write: the hasher's cost is by the write.
impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Name(name) => state.write(name.as_bytes()),
            Self::Index(index) => state.write_u32(index.get()),
            Self::Entry(bridge, mac) => {
                let mut key = [0; 8];
                key[..6].copy_from_slice(&mac.bytes());
                key[6..].copy_from_slice(&bridge.get().to_le_bytes()[..2]);
                state.write_u64(u64::from_ne_bytes(key));
            }
        }
    }
}

/// Splits off those steps that neither change what an earlier one is about, nor the other way round.
struct Split<'s> {
    backend: &'static str,
    /// Whether none can depend on another.
    are_apart: bool,
    now: Wave<'s>,
    later_places: Vec<usize>,
    later: Vec<&'s Step>,
    refused: Vec<(usize, Error)>,
    changed: FxHashSet<Subject>,
    involved: FxHashSet<Subject>,
    deleted: FxHashSet<InterfaceIndex>,
    /// The bridge and the port of the last step, if that was on an FDB entry.
    last: Option<(InterfaceIndex, InterfaceIndex)>,
}

impl<'s> Split<'s> {
    fn of(backend: &'static str, steps: &[&Step]) -> Self {
        let room = steps.len();
        let now = Wave {
            places: Vec::with_capacity(room),
            steps: Vec::with_capacity(room),
            made: std::iter::repeat_with(|| None).take(room).collect(),
        };
        // The kernel itself refuses the second of two that create one name.
        let are_apart = room == 1 || steps.iter().all(|step| matches!(step, Step::Create(_)));
        let changed = FxHashSet::with_capacity_and_hasher(if are_apart { 0 } else { room }, FxBuildHasher);
        let (involved, deleted) = (FxHashSet::default(), FxHashSet::default());
        let (later_places, later, refused) = (Vec::new(), Vec::new(), Vec::new());
        Self { backend, are_apart, now, later_places, later, refused, changed, involved, deleted, last: None }
    }

    /// Takes the next step.
    fn take(&mut self, place: usize, step: &'s Step, mut seen: Result<Seen>) {
        if let Err(error) = seen.as_ref().map_or(Ok(()), |seen| seen.check(step, self.backend)) {
            seen = Err(error);
        }
        let is_second = match (step, seen.as_ref().map(Seen::interface)) {
            (Step::Delete(_) | Step::DeleteTap(_), Ok(Some(interface))) if !self.are_apart => {
                !self.deleted.insert(interface.index())
            }
            _ => false,
        };
        if is_second {
            // It will not be there any longer, by whatever name.
            self.refused.push((place, step.attempt(self.backend).error(ErrorKind::NotFound)));
        } else if !self.are_apart && self.waits(step, seen.as_ref().ok()) {
            self.later_places.push(place);
            self.later.push(step);
        } else {
            match seen {
                Ok(seen) => {
                    self.now.places.push(place);
                    self.now.steps.push((step, seen));
                }
                Err(error) => self.refused.push((place, error)),
            }
        }
    }

    /// Whether a step has to wait for an earlier one.
    fn waits(&mut self, step: &Step, seen: Option<&Seen>) -> bool {
        // Of many entries behind one port, only the address differs.
        let last = self.last.take();
        if let Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. } = step {
            if let Some((Some(bridge), Some(port))) = seen.map(|seen| (seen.interface(), seen.port())) {
                self.last = Some((bridge.index(), port.index()));
                if self.last == last {
                    return !self.changed.insert(Subject::Entry(bridge.index(), entry.mac.into()));
                }
            }
        }
        let (targets, about) = subjects(step, seen);
        let mut waits = targets.iter().flatten().any(|it| self.involved.contains(it));
        for target in targets.into_iter().flatten() {
            waits |= !self.changed.insert(target);
        }
        waits |= about.iter().flatten().any(|it| self.changed.contains(it));
        self.involved.extend(about.into_iter().flatten());
        waits
    }
}

/// What a step changes, and what it is about besides, by name and by index: a name may be an alternative one.
fn subjects(step: &Step, seen: Option<&Seen>) -> ([Option<Subject>; 2], [Option<Subject>; 4]) {
    let (interface, port) = (seen.and_then(Seen::interface), seen.and_then(Seen::port));
    let both = |target: Option<Target>, seen: Option<Identity>| {
        let index = seen.or(target.and_then(Target::identity)).map(|identity| Subject::Index(identity.index()));
        [target.map(|target| Subject::Name(target.name())), index]
    };
    let of_interface = both(step.interface(), interface);
    let of_port = both(step.port(), port);
    let entry = |mac: MacAddr| [interface.map(|bridge| Subject::Entry(bridge.index(), mac)), None];
    let [a, b] = of_interface;
    let [c, d] = of_port;
    match step {
        Step::Create(spec) => ([Some(Subject::Name(spec.name)), None], [None; 4]),
        Step::CreateTap(spec) => (both(spec.name.map(Target::Name), interface), [None; 4]),
        Step::AddFdbEntry { entry: of, .. } | Step::ReplaceFdbEntry { entry: of, .. } => {
            (entry(of.mac.into()), [a, b, c, d])
        }
        Step::RemoveFdbEntry { mac, .. } => (entry((*mac).into()), [a, b, None, None]),
        _ if step.port().is_some() => (of_port, [a, b, None, None]),
        _ => (of_interface, [None; 4]),
    }
}
