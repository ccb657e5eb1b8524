//! What came of many things that were tried together, each in its place.

use crate::{BulkError, BulkResult};

/// What came of each of so many items that were done [as much as
/// possible](crate::Bulk::AsMuchAsPossible).
pub(crate) fn outcomes(result: BulkResult, count: usize) -> Vec<crate::Result<()>> {
    let mut outcomes: Vec<_> = (0..count).map(|_| Ok(())).collect();
    for (item, error) in result.err().map(BulkError::into_failures).into_iter().flatten() {
        outcomes[item] = Err(error);
    }
    outcomes
}

/// Goes on with those that have come so far, all in one call, which gives an outcome for each of them.
pub(crate) fn and_all<T, U, E>(
    so_far: Vec<Result<T, E>>,
    act: impl FnOnce(Vec<T>) -> Vec<Result<U, E>>,
) -> Vec<Result<U, E>> {
    let mut ready = Vec::with_capacity(so_far.len());
    let failed: Vec<_> = so_far.into_iter().map(|outcome| outcome.map(|item| ready.push(item)).err()).collect();
    let mut outcomes = act(ready).into_iter();
    let outcome = |failed: Option<E>| match failed {
        Some(error) => Err(error),
        None => outcomes.next().expect("there is one for each that has come so far"),
    };
    failed.into_iter().map(outcome).collect()
}
