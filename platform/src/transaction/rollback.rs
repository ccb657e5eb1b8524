//! Taking steps back.

use super::inverse;
use super::record::Record;
use crate::{Backend, Bulk, Error, ErrorKind, Outcome, Result, Seen, Step};

/// How often a step is looked at again, until nothing of it is left. One may have an effect on each VLAN of a port, and
/// each may take a step to remove and a step to restore; other effects are few.
const ROUNDS: usize = 2 * 4094 + 64;

/// How many looks may fail in a row.
const FAILURES: usize = 3;

/// What is left of a step, and why it could not be taken back.
#[derive(Debug)]
pub(super) struct Left {
    what: String,
    pub(super) error: Error,
}

impl Left {
    /// What is left of two steps, with the first failure.
    pub(super) fn and(self, other: &Self) -> Self {
        Self { what: format!("{} and {}", self.what, other.what), error: self.error }
    }
}

/// An error, with the outcome of the rollback after it. What an earlier rollback has left is still there.
pub(super) fn joined(cause: Error, failed: Option<Left>) -> Error {
    let (cause, before) = cause.take_left();
    let before = before.map(|(what, error)| Left { what, error });
    let left = match (before, failed) {
        (Some(before), Some(failed)) => Some(before.and(&failed)),
        (before, failed) => before.or(failed),
    };
    match left {
        None => cause.rolled_back(Ok(()), ""),
        Some(Left { what, error }) => cause.rolled_back(Err(error), what),
    }
}

/// One record on its way back.
struct Returning {
    place: usize,
    record: Record,
    /// How many looks have failed in a row.
    failures: usize,
    /// How often the last step was tried in vain.
    refusals: usize,
    last: Option<Step>,
    /// Whether the last step succeeded.
    is_done: bool,
}

/// Takes back steps that do not depend on one another, and returns what could not be taken back.
///
/// Each round looks at what is there now, and carries out the next step that leads back. It is over when
/// nothing of the steps is left, or when what is left does not go.
pub(super) fn roll_back<B: Backend + ?Sized>(backend: &B, records: Vec<(usize, Record)>) -> Vec<(usize, Left)> {
    let mut left = Vec::new();
    let mut returning: Vec<_> = records
        .into_iter()
        .map(|(place, mut record)| {
            record.close();
            Returning { place, record, failures: 0, refusals: 0, last: None, is_done: false }
        })
        .collect();
    for _ in 0..ROUNDS {
        if returning.is_empty() {
            break;
        }
        let mut next = Vec::new();
        for (mut one, step) in steps_back(backend, std::mem::take(&mut returning)) {
            match step {
                Ok(None) => {}
                // It was released. Another process has made it a port since.
                Ok(Some(step @ Step::RemovePort { .. })) if one.is_done && one.last.as_ref() == Some(&step) => {}
                // It was set. The kernel does not tell it now.
                Ok(Some(step))
                    if one.is_done && one.last.as_ref() == Some(&step) && inverse::is_of_ageing_time(&step) => {}
                Ok(Some(step)) => {
                    one.failures = 0;
                    next.push((one, step));
                }
                // Look again.
                Err(_) if one.failures < FAILURES => {
                    one.failures += 1;
                    returning.push(one);
                }
                Err(error) => left.push((one.place, Left { what: one.record.left(), error })),
            }
        }
        let (ones, steps): (Vec<_>, Vec<_>) = next.into_iter().unzip();
        let outcomes = carry_out(backend, &steps);
        for ((mut one, step), outcome) in ones.into_iter().zip(steps).zip(outcomes) {
            let is_again = one.last.as_ref() == Some(&step);
            let hopeless = match outcome {
                // It was done before, and looks as if it were not: it has no effect.
                Ok(()) if is_again && one.is_done => {
                    Some(step.attempt(backend.name()).error(ErrorKind::ListChanged))
                }
                Err(error) if is_again && !one.is_done && !inverse::is_gone(error.kind()) => Some(error),
                // Each look says that it is there, and each try that it is gone.
                Err(error) if is_again && one.refusals >= FAILURES => Some(error),
                outcome => {
                    one.refusals = if is_again && outcome.is_err() { one.refusals + 1 } else { 0 };
                    one.is_done = outcome.is_ok();
                    None
                }
            };
            if let Some(error) = hopeless {
                left.push((one.place, Left { what: one.record.left(), error }));
            } else {
                // Another look says whether something is left.
                one.last = Some(step);
                returning.push(one);
            }
        }
    }
    left.extend(returning.into_iter().map(|one| {
        let error = one.record.step.attempt(backend.name()).error(ErrorKind::ListChanged);
        (one.place, Left { what: one.record.left(), error })
    }));
    left
}

/// The next step back of each; `None` when nothing is left of it.
fn steps_back<B: Backend + ?Sized>(
    backend: &B,
    returning: Vec<Returning>,
) -> Vec<(Returning, Result<Option<Step>>)> {
    // What leaves nothing to look for is done with.
    let with_probes = returning.into_iter().filter_map(|one| Some((inverse::probe(&one.record)?, one)));
    let (probes, looked): (Vec<_>, Vec<_>) = with_probes.unzip();
    let mut seen = Vec::with_capacity(probes.len());
    backend.look_all(&probes.iter().collect::<Vec<_>>(), &mut |now| seen.push(now));
    let next = |(one, now): (Returning, Result<Seen>)| {
        let step = inverse::next(backend, &one.record, now);
        (one, step)
    };
    looked.into_iter().zip(seen).map(next).collect()
}

/// Carries out steps of a rollback.
fn carry_out<B: Backend + ?Sized>(backend: &B, steps: &[Step]) -> Vec<Result<()>> {
    let mut results = Vec::with_capacity(steps.len());
    let mut ready = Vec::with_capacity(steps.len());
    let mut iter = steps.iter();
    backend.look_all(&steps.iter().collect::<Vec<_>>(), &mut |seen| {
        let step = iter.next().expect("there is a result for each step");
        // Another process may have moved the port since the inverse was chosen. An entry that exists in one VLAN may be
        // missing in others.
        let is_gone = |error: &Error| inverse::is_gone(error.kind());
        let checked = seen.and_then(|seen| match seen.check(step, backend.name()) {
            Err(error) if is_gone(&error) => Err(error),
            _ => Ok(seen),
        });
        results.push(checked.map(|seen| ready.push((step, seen))));
    });
    let mut outcomes: Vec<_> = ready.iter().map(|_| Ok(())).collect();
    backend.run_all(&ready, Bulk::AsMuchAsPossible, &mut |place, outcome| {
        outcomes[place] = match outcome {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused(error) | Outcome::Unclear { error, .. } => Err(error),
            Outcome::Begun => return,
        };
    });
    let mut outcomes = outcomes.into_iter();
    let outcome = |result: Result<()>| result.and_then(|()| outcomes.next().expect("each that was ready has one"));
    results.into_iter().map(outcome).collect()
}
