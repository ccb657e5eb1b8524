//! Many steps in one call: those of one kind that follow one another are carried out together.

use std::mem::discriminant;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::execute::conclude;
use super::record::Record;
use super::rollback::roll_back;
use crate::{Backend, Bulk, BulkError, BulkResult, Error, ErrorKind, MacAddr, Made, Outcome, Seen, Step, VlanId};

/// Steps of one kind on different interfaces or addresses, which were carried out together.
pub(super) struct Wave<'s> {
    /// The place of each in the caller's list.
    places: Vec<usize>,
    steps: Vec<(&'s Step, Seen)>,
    /// What came of each; `None` for a step that failed, or that is not done since another one failed.
    made: Vec<Option<Made>>,
    /// Those that are done in part, since another one failed.
    begun: Vec<usize>,
}

impl<'s> Wave<'s> {
    fn with_capacity(room: usize) -> Self {
        Self {
            places: Vec::with_capacity(room),
            steps: Vec::with_capacity(room),
            made: Vec::new(),
            begun: Vec::new(),
        }
    }

    fn push(&mut self, place: usize, step: &'s Step, seen: Seen) {
        self.places.push(place);
        self.steps.push((step, seen));
    }

    /// Returns the records of what is done, with their places.
    pub(super) fn into_records(self) -> impl Iterator<Item = (usize, Record)> {
        let done = self.places.into_iter().zip(self.steps).zip(self.made);
        done.filter_map(|((place, (step, seen)), made)| Some((place, Record::new(step.clone(), seen, made?))))
    }

    /// Returns the records of what is to be taken back, with their places: of what is done, or done in part.
    fn into_undoable(self) -> impl Iterator<Item = (usize, Record)> {
        let Self { places, steps, made, begun } = self;
        let all = places.into_iter().zip(steps).zip(made).enumerate();
        all.filter_map(move |(at, ((place, (step, seen)), made))| {
            let record = match made {
                Some(made) => Record::new(step.clone(), seen, made),
                None if begun.contains(&at) => Record::unclear(step.clone(), seen, None),
                None => return None,
            };
            Some((place, record))
        })
    }

    /// Carries its steps out, and returns the failures.
    fn carry_out<B: Backend + ?Sized>(&mut self, backend: &B, bulk: Bulk) -> Vec<(usize, Error)> {
        let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
        let (made, begun) = (&mut self.made, &mut self.begun);
        made.resize_with(self.steps.len(), || None);
        backend.run_all(&self.steps, bulk, &mut |at, outcome| match outcome {
            Outcome::Done(done) => made[at] = Some(done),
            Outcome::Begun => begun.push(at),
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
            let outcome = match backend.run(step, seen) {
                // A part of it was done before.
                Outcome::Refused(error) if self.begun.contains(&at) => Outcome::unclear(error),
                outcome => outcome,
            };
            self.begun.retain(|&begun| begun != at);
            outcomes.push((at, outcome));
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
    let (waves, mut failures) = carry_out(backend, (0..steps.len()).collect(), steps.iter().collect(), bulk);
    let done = if bulk == Bulk::AllOrNothing && !failures.is_empty() {
        taken_back(backend, waves, &mut failures)
    } else {
        waves.iter().flat_map(Wave::places).collect()
    };
    BulkError::result(failures, done)
}

/// Carries out steps, each at its place in the caller's list, in waves of steps of one kind that follow one another. A
/// wave ends before a step on an interface or an address that it already has. Returns what is done, and the failures.
pub(super) fn carry_out<'s, B: Backend + ?Sized>(
    backend: &B,
    mut places: Vec<usize>,
    mut steps: Vec<&'s Step>,
    bulk: Bulk,
) -> (Vec<Wave<'s>>, Vec<(usize, Error)>) {
    let (mut waves, mut failures) = (Vec::new(), Vec::new());
    let is_over = |failures: &[_]| bulk == Bulk::AllOrNothing && !failures.is_empty();
    let capabilities = backend.implemented();
    let mut refused = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Err(error) = step.check(backend.name(), capabilities) {
            failures.push((places[at], error));
            refused.push(at);
        }
    }
    for at in refused.into_iter().rev() {
        places.remove(at);
        steps.remove(at);
    }
    let mut begin = 0;
    // Even if a step was refused, the first look tells what else is wrong.
    while begin < steps.len() && (waves.is_empty() || !is_over(&failures)) {
        let (places, rest) = (&places[begin..], &steps[begin..]);
        let alike = &rest[..alike(rest, bulk)];
        let mut wave = Wave::with_capacity(alike.len());
        let concerns_interface = !matches!(alike[0], Step::Create(_)) && address(alike[0]).is_none();
        let mut interfaces = room_for(if concerns_interface { alike.len() } else { 0 });
        let (mut taken, mut is_cut) = (0, false);
        backend.look_all(alike, &mut |mut seen| {
            let (place, step) = (places[taken], alike[taken]);
            if concerns_interface {
                let interface = seen.as_ref().ok().and_then(|seen| seen.port().or(seen.interface()));
                // An interface may have several names.
                if interface.is_some_and(|one| !interfaces.insert(one.index().get().into())) {
                    is_cut |= !is_known_to_be_gone(step, bulk);
                    seen = Err(step.attempt(backend.name()).error(ErrorKind::NotFound));
                }
            }
            if is_cut {
                return;
            }
            taken += 1;
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
            wave.into_undoable().partition(|(_, record)| record.step.is_irreversible());
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
    let first = steps[0];
    let alike = steps.iter().take_while(|step| discriminant(**step) == discriminant(first));
    let count = alike.clone().count();
    match (first, address(first)) {
        // The kernel itself refuses the second of two that create one name.
        (Step::Create(_), _) => count,
        // Taps are opened one by one.
        (Step::CreateTap(_), _) => 1,
        _ if is_known_to_be_gone(first, bulk) => count,
        (_, Some((_, vlan))) => {
            let mut keys = room_for(count);
            let mut is_other =
                |mac, other: Option<VlanId>| other.is_some() == vlan.is_some() && keys.insert(key_of(mac, other));
            alike.map_while(|step| address(step)).take_while(|&(mac, other)| is_other(mac, other)).count()
        }
        (_, None) => {
            let mut names = room_for(count);
            let name =
                |step: &Step| step.port().or(step.interface()).map_or(0, |target| key(target.name().as_bytes()));
            alike.take_while(|step| names.insert(name(step))).count()
        }
    }
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

/// Names, addresses and indices as numbers, which are cheap to compare.
type Keys = FxHashSet<u128>;

fn room_for(count: usize) -> Keys {
    FxHashSet::with_capacity_and_hasher(count, FxBuildHasher)
}

fn key(bytes: &[u8]) -> u128 {
    let mut key = [0; 16];
    key[..bytes.len()].copy_from_slice(bytes);
    u128::from_ne_bytes(key)
}

fn key_of(mac: MacAddr, vlan: Option<VlanId>) -> u128 {
    let mut key = [0; 16];
    key[..6].copy_from_slice(&mac.bytes());
    key[8..10].copy_from_slice(&vlan.map_or(0, VlanId::get).to_ne_bytes());
    u128::from_ne_bytes(key)
}
