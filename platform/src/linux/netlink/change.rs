//! Changing bridges: step by step, since the kernel takes some of a message that it then refuses; the
//! same step of many bridges in one send.

use std::collections::HashSet;

use nix::errno::Errno;

use super::batch::Batch;
use super::{Cause, Failure, NetlinkBackend, as_bridge, bridge_state, error, options, requests};
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::{
    BridgeBackend, BridgeChange, BridgeOption, BridgeOptions, BridgeState, Bulk, BulkResult, ErrorKind,
    InterfaceName, Operation, Result,
};

/// A bridge on its way through a change.
struct Changing<'a> {
    at: Attempt,
    change: &'a BridgeChange,
    before: BridgeState,
    steps: Vec<Step>,
    taken: usize,
}

impl<'a> Changing<'a> {
    fn new(at: Attempt, change: &'a BridgeChange, before: BridgeState) -> Self {
        Self { at, change, steps: change::steps(&before, change), before, taken: 0 }
    }

    fn next(&self) -> Option<Step> {
        self.steps.get(self.taken).copied()
    }
}

impl NetlinkBackend {
    pub(super) fn change_bridge(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        let at = Self::at(Operation::Change).on(bridge);
        self.check_change(at, change)?;
        let before = bridge_state(&self.bridge(at, bridge)?);
        let set = |step| self.take_step(at, &before, step);
        change::apply(&before, change, set, || self.read_changed(at, &before, change))
    }

    pub(super) fn change_bridges(&self, changes: &[(InterfaceName, BridgeChange)], bulk: Bulk) -> BulkResult {
        let at = |bridge: InterfaceName| Self::at(Operation::Change).on(bridge);
        let mut found =
            self.look_for(changes.iter().map(|&(bridge, _)| bridge), |&name| requests::get_by_name(name));
        let checked = Batch::new(bulk, changes).each(|(bridge, change)| {
            let (at, found) = (at(*bridge), found.next().unwrap_or(Ok(None)));
            self.check_change(at, change)?;
            Ok(Changing::new(at, change, bridge_state(&as_bridge(at, found)?)))
        });
        let mut rest = checked.ready()?;
        let mut done = rest.take(|_| false);
        let mut is_first = true;
        while rest.items().len() > 0 && !done.is_over() {
            // A second change of a bridge begins when the first is done, and where that has led.
            let mut seen = HashSet::new();
            let mut next = rest.take(|one| seen.insert(one.before.index));
            if !is_first {
                next = self.looked_at_again(next);
            }
            is_first = false;
            done = done.join(self.change_each(next));
        }
        done.join(rest.without_items()).finish(|done| {
            let back = |one: &Changing<'_>| self.take_back(one, one.taken).err();
            done.iter().filter_map(|(number, one)| Some((*number, back(one)?))).collect()
        })
    }

    fn looked_at_again<'a>(&self, changing: Batch<Changing<'a>>) -> Batch<Changing<'a>> {
        let indices: Vec<_> = changing.items().map(|one| one.before.index).collect();
        let mut found = self.look_for(indices, |&index| requests::get_by_index(index));
        changing.each(|one| {
            let link = as_bridge(one.at, found.next().unwrap_or(Ok(None)))?;
            Ok(Changing::new(one.at, one.change, bridge_state(&link)))
        })
    }

    /// Takes each through its steps: the first of all, the second of all, and so on. What is half done
    /// when another one fails is among what is done.
    fn change_each<'a>(&self, mut changing: Batch<Changing<'a>>) -> Batch<Changing<'a>> {
        let bulk = changing.bulk();
        loop {
            let next = changing.take(|one| one.next().is_some());
            if next.items().len() == 0 || changing.is_over() {
                return changing.join(next);
            }
            let request = |one: &Changing<'_>| requests::set(one.before.index, one.steps[one.taken]);
            let (acted, waiting) = self.act(next, request, |one, outcome| self.conclude_changing(one, outcome));
            changing = changing.join(acted).join(Batch::numbered(bulk, waiting));
        }
    }

    fn conclude_changing<'a>(
        &self,
        mut one: Changing<'a>,
        outcome: std::result::Result<(), Failure>,
    ) -> Result<Changing<'a>> {
        match self.conclude_step(one.at, &one.before, one.steps[one.taken], outcome) {
            Ok(()) => {
                one.taken += 1;
                Ok(one)
            }
            Err(error) => Err(error.undone(self.take_back(&one, one.taken + 1), change::left(&one.before))),
        }
    }

    fn take_back(&self, one: &Changing<'_>, tried: usize) -> Result<()> {
        let set = |step| self.take_step(one.at, &one.before, step);
        let read = || self.read_changed(one.at, &one.before, one.change);
        change::take_back(&one.before, &one.steps[..tried], set, read)
    }

    fn check_change(&self, at: Attempt, change: &BridgeChange) -> Result<()> {
        change.options.check(at, self.capabilities())?;
        options::check(at, &change.options)
    }

    /// Takes a step with a bridge that was in the state `before`, forth or back.
    fn take_step(&self, at: Attempt, before: &BridgeState, step: Step) -> Result<()> {
        let set =
            |step| self.conclude_step(at, before, step, self.socket.execute(requests::set(before.index, step)));
        set(step)?;
        match step {
            // Undone: what it had made of the forward delay is not.
            Step::Option(BridgeOption::Stp(false)) if before.options.stp == Some(false) => {
                let delay = before.options.forward_delay.map(BridgeOption::ForwardDelay);
                delay.map_or(Ok(()), |delay| set(Step::Option(delay)))
            }
            _ => Ok(()),
        }
    }

    /// What came of the message of a step.
    fn conclude_step(
        &self,
        at: Attempt,
        before: &BridgeState,
        step: Step,
        outcome: std::result::Result<(), Failure>,
    ) -> Result<()> {
        let is_done = || {
            let now = self.indexed(before.index)?;
            Ok(match step {
                Step::Option(option) => {
                    let asked = BridgeOptions::from_iter([option]);
                    asked.unlike(&now.options.unrounded(&asked)).next().is_none()
                }
                step => step.is_taken(&now),
            })
        };
        let refusal = |errno, _: Option<&str>| match (step, errno) {
            (Step::Mtu(_), Errno::EINVAL | Errno::ERANGE) => ErrorKind::InvalidMtu.into(),
            (Step::Option(option), errno) => {
                Cause::of_options(errno, [option.capability()]).unwrap_or(ErrorKind::of(errno).into())
            }
            (_, errno) => ErrorKind::of(errno).into(),
        };
        Self::conclude::<Cause>(at, outcome, is_done, refusal)?;
        match step {
            // The kernel has skipped it without a word.
            Step::Option(option) if !before.options.iter().any(|known| is_same(known, option)) => {
                Err(at.with(option.capability()).error(ErrorKind::Unsupported))
            }
            _ => Ok(()),
        }
    }

    /// The state of a bridge that is being changed.
    fn read_changed(&self, at: Attempt, before: &BridgeState, change: &BridgeChange) -> Result<BridgeState> {
        let link = self.indexed(before.index).map_err(|failure| error(at, failure))?;
        let mut now = bridge_state(&link);
        now.options = now.options.unrounded(&change.options);
        Ok(now)
    }
}

/// Whether these are values of the same option.
pub(super) fn is_same(one: BridgeOption, other: BridgeOption) -> bool {
    one.capability() == other.capability()
}
