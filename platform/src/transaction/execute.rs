//! Carrying out one step.

use super::inverse;
use super::record::Record;
use super::rollback::{joined, roll_back};
use crate::{Backend, ErrorKind, Made, Outcome, Result, Seen, Step};

/// Carries out one step, all or nothing.
pub(crate) fn once<B: Backend + ?Sized>(backend: &B, step: Step) -> Result<Made> {
    let seen = look(backend, &step)?;
    match backend.run(&step, &seen) {
        Outcome::Done(made) => Ok(made),
        outcome => conclude(backend, step, seen, outcome).map(Record::into_made),
    }
}

/// Checks a step and looks at what it is about.
pub(super) fn look<B: Backend + ?Sized>(backend: &B, step: &Step) -> Result<Seen> {
    step.check(backend.name(), backend.implemented())?;
    let seen = backend.look(step)?;
    seen.check(step, backend.name())?;
    Ok(seen)
}

/// Makes a record of a step that is done, and an error of one that is not, after it was taken back.
pub(super) fn conclude<B: Backend + ?Sized>(
    backend: &B,
    step: Step,
    before: Seen,
    outcome: Outcome,
) -> Result<Record> {
    let (error, made) = match outcome {
        Outcome::Done(made) => return Ok(Record::new(step, before, made)),
        Outcome::Refused(error) => return Err(error),
        Outcome::Unclear { error, made } => (error, made),
        // It is one of many then, and the others are concluded first.
        Outcome::Begun => (step.attempt(backend.name()).error(ErrorKind::Os), None),
    };
    let record = Record::unclear(step, before, made);
    let is_lost = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::MalformedReply | ErrorKind::Os);
    // The answer to a step that was done may be lost. What cannot be taken back is done, whatever the answer says.
    let record = if is_lost || record.step.is_irreversible() { settled(backend, record) } else { record };
    if !record.is_unclear {
        return Ok(record);
    }
    let failed = roll_back(backend, vec![(0, record)]).pop().map(|(_, left)| left);
    Err(joined(error, failed))
}

/// Looks whether a step that failed is done nevertheless; then its record is no longer unclear.
fn settled<B: Backend + ?Sized>(backend: &B, mut record: Record) -> Record {
    let Some(probe) = inverse::probe(&record) else { return record };
    let now = backend.look(&probe);
    if inverse::is_done(&record, &now) {
        if let (Step::Create(_), Ok(Seen::Bridge { bridge, .. })) = (&record.step, now) {
            record.made.get_or_insert(bridge.identity());
        }
        record.is_unclear = false;
    }
    record
}
