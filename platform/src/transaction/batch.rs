//! Many steps in one call: those of one kind that follow one another are carried out together.

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::execute::conclude;
use super::record::Record;
use super::rollback::roll_back;
use crate::{
    Backend, Bulk, BulkError, BulkResult, Error, ErrorKind, MacAddr, Made, Outcome, Seen, Step, Target, VlanId,
};

/// Steps of one kind on different interfaces or addresses, which were carried out together.
pub(super) struct Wave<'s> {
    /// The place of each in the caller's list.
    places: Vec<usize>,
    steps: Vec<(&'s Step, Seen)>,
    /// What came of each; `None` for those that were not begun, since another had failed, or failed themselves.
    made: Vec<Option<Made>>,
}

impl<'s> Wave<'s> {
    fn with_capacity(room: usize) -> Self {
        Self { places: Vec::with_capacity(room), steps: Vec::with_capacity(room), made: Vec::with_capacity(room) }
    }

    fn push(&mut self, place: usize, step: &'s Step, seen: Seen) {
        self.places.push(place);
        self.steps.push((step, seen));
        self.made.push(None);
    }

    /// Returns the records of what is done, with their places.
    pub(super) fn into_records(self) -> impl Iterator<Item = (usize, Record)> {
        let done = self.places.into_iter().zip(self.steps).zip(self.made);
        done.filter_map(|((place, (step, seen)), made)| Some((place, Record::new(step.clone(), seen, made?))))
    }

    /// Carries its steps out, and returns the failures.
    fn carry_out<B: Backend + ?Sized>(&mut self, backend: &B, bulk: Bulk) -> Vec<(usize, Error)> {
        let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
        let made = &mut self.made;
        backend.run_all(&self.steps, bulk, &mut |at, outcome| match outcome {
            Outcome::Done(done) => made[at] = Some(done),
            outcome => outcomes.push((at, outcome)),
        });
        let mut failures = Vec::new();
        loop {
            let was_stopped = bulk == Bulk::AllOrNothing && !outcomes.is_empty();
            for (at, outcome) in outcomes.drain(..) {
                let (step, seen) = &self.steps[at];
                match conclude(backend, (*step).clone(), seen.clone(), outcome) {
                    Ok(record) => self.made[at] = Some(record.into_made()),
                    Err(error) => failures.push((self.places[at], error)),
                }
            }
            // What has stopped the others was done, and only its answer was lost.
            let next = self.made.iter().position(Option::is_none).filter(|_| was_stopped && failures.is_empty());
            let Some(at) = next else { return failures };
            let (step, seen) = &self.steps[at];
            outcomes.push((at, backend.run(step, seen)));
        }
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        let done = self.places.iter().zip(&self.made);
        done.filter_map(|(&place, made)| made.is_some().then_some(place))
    }
}

/// Carries out steps, each all or nothing, and says what came of them.
pub(crate) fn apply<B: Backend + ?Sized>(backend: &B, steps: &[Step], bulk: Bulk) -> BulkResult {
    // The descriptors of a new tap would be closed, and most taps vanish then.
    if let Some(place) = steps.iter().position(|step| matches!(step, Step::CreateTap(_))) {
        let at = steps[place].attempt(backend.name());
        return BulkError::result(vec![(place, at.error(ErrorKind::Unsupported))], Vec::new());
    }
    let (waves, mut failures) = carry_out(backend, steps.iter().enumerate(), bulk);
    let done = if bulk == Bulk::AllOrNothing && !failures.is_empty() {
        taken_back(backend, waves, &mut failures)
    } else {
        waves.iter().flat_map(Wave::places).collect()
    };
    BulkError::result(failures, done)
}

/// Carries out steps, each with its place in the caller's list, in waves: steps of one kind that follow one another,
/// until one concerns what an earlier one does. Returns what is done, and the failures.
pub(super) fn carry_out<'s, B: Backend + ?Sized>(
    backend: &B,
    steps: impl Iterator<Item = (usize, &'s Step)>,
    bulk: Bulk,
) -> (Vec<Wave<'s>>, Vec<(usize, Error)>) {
    let (mut waves, mut failures) = (Vec::new(), Vec::new());
    let is_over = |failures: &[_]| bulk == Bulk::AllOrNothing && !failures.is_empty();
    let capabilities = backend.capabilities();
    let room = steps.size_hint().0;
    let (mut places, mut checked) = (Vec::with_capacity(room), Vec::with_capacity(room));
    for (place, step) in steps {
        match step.check(backend.name(), capabilities) {
            Ok(()) => {
                places.push(place);
                checked.push(step);
            }
            Err(error) => failures.push((place, error)),
        }
    }
    let mut begin = 0;
    // Even if a step was refused, the first look tells what else is wrong.
    while begin < checked.len() && (waves.is_empty() || !is_over(&failures)) {
        let (places, rest) = (&places[begin..], &checked[begin..]);
        let alike = &rest[..alike(rest, bulk)];
        let mut wave = Wave::with_capacity(alike.len());
        let mut interfaces = room_for(if address(alike[0]).is_some() { 0 } else { alike.len() });
        let (mut taken, mut is_cut) = (0, false);
        backend.look_all(alike, &mut |seen| {
            let (place, step) = (places[taken], alike[taken]);
            let interface = seen.as_ref().ok().and_then(|seen| seen.port().or(seen.interface()));
            // An interface may have several names.
            let is_second =
                address(step).is_none() && interface.is_some_and(|one| !interfaces.insert(one.index()));
            is_cut |= is_second && !is_known_to_be_gone(step, bulk);
            if is_cut {
                return;
            }
            taken += 1;
            let gone = || Err(step.attempt(backend.name()).error(ErrorKind::NotFound));
            let seen = if is_second { gone() } else { seen };
            match seen.and_then(|seen| seen.check(step, backend.name()).map(|()| seen)) {
                Ok(seen) => wave.push(place, step, seen),
                Err(error) => failures.push((place, error)),
            }
        });
        begin += taken;
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

/// How many steps, from the first on, are of one kind and do not concern the same by its name.
fn alike(steps: &[&Step], bulk: Bulk) -> usize {
    let kind = |step: &Step| (step.operation(), address(step).map(|(_, vlan)| vlan.is_some()));
    let first = kind(steps[0]);
    let alike = steps.iter().take_while(|step| kind(step) == first);
    match steps[0] {
        // The kernel itself refuses the second of two that create one name.
        Step::Create(_) => alike.count(),
        first if is_known_to_be_gone(first, bulk) => alike.count(),
        // Taps are opened one by one.
        Step::CreateTap(_) => 1,
        first if address(first).is_some() => {
            let mut addresses = room_for(steps.len());
            alike.take_while(|step| addresses.insert(address(step).map(key))).count()
        }
        _ => {
            let mut names = room_for(steps.len());
            let name = |step: &Step| step.port().or(step.interface()).map(Target::name);
            alike.take_while(|step| names.insert(name(step))).count()
        }
    }
}

fn room_for<T>(count: usize) -> FxHashSet<T> {
    FxHashSet::with_capacity_and_hasher(count, FxBuildHasher)
}

/// Whether it is known before the first step is done that a second one on its interface cannot be done.
fn is_known_to_be_gone(step: &Step, bulk: Bulk) -> bool {
    bulk == Bulk::AllOrNothing && matches!(step, Step::Delete(_) | Step::DeleteTap(_))
}

/// The address and the VLAN of a step on an FDB entry. Of many entries behind one port, only these differ.
fn address(step: &Step) -> Option<(MacAddr, Option<VlanId>)> {
    match step {
        Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. } => {
            Some((entry.mac.into(), entry.vlan))
        }
        Step::RemoveFdbEntry { mac, vlan, .. } => Some(((*mac).into(), *vlan)),
        _ => None,
    }
}

/// The hasher's cost is by the write.
fn key((mac, vlan): (MacAddr, Option<VlanId>)) -> u64 {
    let mut key = [0; 8];
    key[..6].copy_from_slice(&mac.bytes());
    key[6..].copy_from_slice(&vlan.map_or(0, VlanId::get).to_ne_bytes());
    u64::from_ne_bytes(key)
}
