//! Changing bridges: a message for each setting, since the kernel takes some of a message that it then refuses.

use std::collections::VecDeque;

use nix::errno::Errno;

use super::look::interface_of;
use super::outcome::{Cause, conclude};
use super::socket::{Failure, Reply};
use super::{NetlinkBackend, options, requests};
use crate::error::Attempt;
use crate::setting::{self, Setting};
use crate::{BridgeOption, ErrorKind, Outcome, Seen, Step};

/// A change on its way.
struct Change<'s> {
    place: usize,
    step: &'s Step,
    seen: &'s Seen,
    settings: Vec<Setting>,
    taken: usize,
}

impl NetlinkBackend {
    /// Changes one bridge.
    pub(super) fn change_one(&self, step: &Step, seen: &Seen) -> Outcome {
        let mut change = Change::new(0, step, seen);
        loop {
            if let Some(outcome) = self.write_files(&mut change) {
                return outcome;
            }
            let answer = self.socket.execute(requests::set(interface_of(seen).index(), change.next()));
            if let Some(outcome) = change.take(answer) {
                return outcome;
            }
        }
    }

    /// Carries out the next settings as long as they are files; the outcome of the change if no other follows.
    fn write_files(&self, change: &mut Change<'_>) -> Option<Outcome> {
        while let Some(&setting) = change.settings.get(change.taken) {
            let Setting::Option(BridgeOption::HostIpv6(to)) = setting else { return None };
            let at = change.step.attempt(Self::NAME);
            if let Err(error) = self.host_ipv6.set(at, &self.namespace, interface_of(change.seen), to) {
                return Some(if change.taken == 0 { Outcome::Refused(error) } else { Outcome::unclear(error) });
            }
            change.taken += 1;
        }
        Some(Outcome::DONE)
    }

    /// Changes many bridges: the first setting of each, then the second of each that has one, and so on. After a
    /// failure of an all-or-nothing batch, no other setting is sent: a MAC comes last, and setting one cannot be taken
    /// back in full.
    pub(super) fn change_all(&self, steps: &[(&Step, Seen)], report: &mut dyn FnMut(usize, Outcome) -> bool) {
        let mut waiting = VecDeque::with_capacity(steps.len());
        let mut is_over = false;
        for (place, (step, seen)) in steps.iter().enumerate() {
            let mut change = Change::new(place, step, seen);
            match self.write_files(&mut change) {
                None => waiting.push_back(change),
                Some(outcome) => is_over |= report(place, outcome),
            }
            if is_over {
                break;
            }
        }
        while !waiting.is_empty() && !is_over {
            let messages = waiting.iter().map(|one| requests::set(interface_of(one.seen).index(), one.next()));
            for answer in self.socket.exchange_some::<Reply>(messages) {
                let Some(mut change) = waiting.pop_front() else { break };
                let outcome = change.take(answer.map(drop));
                match outcome.or_else(|| if is_over { None } else { self.write_files(&mut change) }) {
                    None => waiting.push_back(change),
                    Some(outcome) => is_over |= report(change.place, outcome),
                }
            }
        }
        for change in waiting.into_iter().filter(|change| change.taken > 0) {
            report(change.place, Outcome::Begun);
        }
    }
}

impl<'s> Change<'s> {
    fn new(place: usize, step: &'s Step, seen: &'s Seen) -> Self {
        let settings = match (step, seen) {
            (Step::Change { change, .. }, Seen::Bridge { bridge, .. }) => setting::of_bridge(bridge, change),
            _ => Vec::new(),
        };
        Self { place, step, seen, settings, taken: 0 }
    }

    fn next(&self) -> Setting {
        self.settings[self.taken]
    }

    /// Takes the answer to the next setting; `None` if another one follows.
    fn take(&mut self, answer: std::result::Result<(), Failure>) -> Option<Outcome> {
        let at = self.step.attempt(NetlinkBackend::NAME);
        match conclude_setting(at, self.seen, self.next(), answer) {
            Outcome::Done(_) => {
                self.taken += 1;
                (self.taken == self.settings.len()).then_some(Outcome::DONE)
            }
            Outcome::Refused(error) if self.taken > 0 => Some(Outcome::unclear(error)),
            outcome => Some(outcome),
        }
    }
}

/// Takes the answer to the message of a setting.
fn conclude_setting(
    at: Attempt,
    seen: &Seen,
    setting: Setting,
    answer: std::result::Result<(), Failure>,
) -> Outcome {
    let outcome = conclude(at, answer, |errno, _| match (setting, errno) {
        (Setting::Mtu(_), Errno::EINVAL | Errno::ERANGE) => ErrorKind::InvalidMtu.into(),
        (Setting::Option(option), errno) => {
            Cause::of_options(errno, [option.capability()]).unwrap_or(ErrorKind::of(errno).into())
        }
        (_, errno) => ErrorKind::of(errno).into(),
    });
    match (outcome, setting, seen) {
        // The kernel ignores an option that it does not know.
        (Outcome::Done(_), Setting::Option(option), Seen::Bridge { bridge, .. })
            if !options::knows(&bridge.options, option) =>
        {
            Outcome::unclear(at.with(option.capability()).error(ErrorKind::Unsupported))
        }
        (outcome, ..) => outcome,
    }
}
