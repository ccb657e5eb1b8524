//! Many operations of one kind on their way through what each consists of.

use super::link::Link;
use super::request::Request;
use super::{Failure, Found, NetlinkBackend, found};
use crate::bulk;
use crate::{Bulk, BulkError, BulkResult, Error, Result};

/// The items that are fine so far, with what is known of them, and those that failed, by number.
pub(super) struct Batch<T> {
    bulk: Bulk,
    fine: Vec<(usize, T)>,
    failed: Vec<(usize, Error)>,
}

impl<T> Batch<T> {
    pub(super) fn new(bulk: Bulk, items: impl IntoIterator<Item = T>) -> Self {
        Self::numbered(bulk, items.into_iter().enumerate())
    }

    pub(super) fn numbered(bulk: Bulk, items: impl IntoIterator<Item = (usize, T)>) -> Self {
        Self { bulk, fine: items.into_iter().collect(), failed: Vec::new() }
    }

    /// Those that are fine.
    pub(super) fn items(&self) -> impl ExactSizeIterator<Item = &T> {
        self.fine.iter().map(|(_, item)| item)
    }

    /// Takes each that is fine through a check.
    pub(super) fn each<U>(self, mut check: impl FnMut(T) -> Result<U>) -> Batch<U> {
        let mut batch = Batch { bulk: self.bulk, fine: Vec::with_capacity(self.fine.len()), failed: self.failed };
        for (number, item) in self.fine {
            batch.put(number, check(item));
        }
        batch
    }

    fn put(&mut self, number: usize, outcome: Result<T>) {
        match outcome {
            Ok(item) => self.fine.push((number, item)),
            Err(error) => self.failed.push((number, error)),
        }
    }

    /// Whether all is to be undone, or left: all or nothing is wanted, and something failed.
    pub(super) fn is_over(&self) -> bool {
        self.bulk == Bulk::AllOrNothing && !self.failed.is_empty()
    }

    /// Refuses all, before anything is done, if that is so.
    pub(super) fn ready(self) -> std::result::Result<Self, BulkError> {
        if self.is_over() { bulk::refuse(self.failed).map(|()| Self::new(self.bulk, [])) } else { Ok(self) }
    }

    /// Takes the first that are fine, so many, out.
    pub(super) fn split(&mut self, count: usize) -> Self {
        let rest = self.fine.split_off(count.min(self.fine.len()));
        Self::numbered(self.bulk, std::mem::replace(&mut self.fine, rest))
    }

    /// Takes those out of which `wants` holds.
    pub(super) fn take(&mut self, mut wants: impl FnMut(&T) -> bool) -> Self {
        let (wanted, rest): (Vec<_>, _) =
            std::mem::take(&mut self.fine).into_iter().partition(|(_, item)| wants(item));
        self.fine = rest;
        Self::numbered(self.bulk, wanted)
    }

    /// With those of another one.
    pub(super) fn join(mut self, other: Self) -> Self {
        self.fine.extend(other.fine);
        self.failed.extend(other.failed);
        self
    }

    pub(super) const fn bulk(&self) -> Bulk {
        self.bulk
    }

    /// Of what cannot be undone: what is done is done.
    pub(super) fn for_good(self) -> Self {
        Self { bulk: Bulk::AsMuchAsPossible, ..self }
    }

    /// With the failures alone: nothing is done to the others, or no longer.
    pub(super) fn without_items<U>(self) -> Batch<U> {
        Batch { bulk: self.bulk, fine: Vec::new(), failed: self.failed }
    }

    /// The failures, of which nothing is to be undone.
    pub(super) fn into_failures(self) -> Vec<(usize, Error)> {
        self.failed
    }

    /// Ends it; `undo` as [`bulk::settle`] has it.
    pub(super) fn finish(self, undo: impl FnOnce(Vec<(usize, T)>) -> Vec<(usize, Error)>) -> BulkResult {
        let fine = self.fine.into_iter().map(|(number, item)| (number, Ok(item)));
        let failed = self.failed.into_iter().map(|(number, error)| (number, Err(error)));
        let mut outcomes: Vec<_> = fine.chain(failed).collect();
        outcomes.sort_by_key(|&(number, _)| number);
        bulk::settle(self.bulk, outcomes, undo)
    }
}

impl NetlinkBackend {
    /// Has the kernel do something to each item, many in one send. Where all or nothing is wanted, no
    /// more is sent once one has failed, and what was not sent is given back.
    ///
    /// `conclude` finds out what came of an item whose answer was lost, too. It may use the socket.
    pub(super) fn act<T, U>(
        &self,
        batch: Batch<T>,
        request: impl Fn(&T) -> Request,
        conclude: impl Fn(T, std::result::Result<(), Failure>) -> Result<U>,
    ) -> (Batch<U>, Vec<(usize, T)>) {
        let Batch { bulk, fine, failed } = batch;
        let mut acted = Batch { bulk, fine: Vec::with_capacity(fine.len()), failed };
        let mut rest = fine.into_iter();
        while !rest.as_slice().is_empty() && !acted.is_over() {
            let requests = rest.as_slice().iter().map(|(_, item)| request(item));
            let answers = self.socket.exchange_some::<()>(requests);
            // Not the other way round, which would take one item too many.
            for (answer, (number, item)) in answers.into_iter().zip(rest.by_ref()) {
                acted.put(number, conclude(item, answer));
            }
        }
        (acted, rest.collect())
    }

    /// Looks for an interface of each item, many in one send.
    pub(super) fn look_for<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        request: impl Fn(&T) -> Request,
    ) -> std::vec::IntoIter<Found> {
        let items: Vec<T> = items.into_iter().collect();
        let mut all = Vec::with_capacity(items.len());
        while let rest @ [_, ..] = &items[all.len()..] {
            let answers = self.socket.exchange_some::<Link>(rest.iter().map(&request));
            all.extend(rest.iter().zip(answers).map(|(item, answer)| match answer {
                Ok(_) | Err(Failure::Refused(..)) => found(answer),
                // What was lost is asked for again, alone.
                Err(_) => found(self.socket.get_link(|| request(item))),
            }));
        }
        all.into_iter()
    }
}
