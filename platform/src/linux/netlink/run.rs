//! Carrying out steps: the messages of many in one send.

use std::collections::VecDeque;

use nix::errno::Errno;

use super::look::{interface_of, port_of};
use super::outcome::{Cause, conclude, conclude_partial, error};
use super::request::Request;
use super::socket::{Failure, Reply};
use super::{NetlinkBackend, requests};
use crate::linux::tap as taps;
use crate::setting::{self, Setting};
use crate::{Bulk, ErrorKind, Outcome, Seen, Step, Target};

/// An answer to a message of a step.
type Answer = std::result::Result<Reply, Failure>;

/// A step on its way. Most are one message; a change of a bridge is one for each setting, since the kernel takes
/// some of a message that it then refuses.
struct Work<'s> {
    place: usize,
    step: &'s Step,
    seen: &'s Seen,
    settings: Vec<Setting>,
    taken: usize,
}

impl NetlinkBackend {
    /// Carries out one step.
    pub(super) fn run_one(&self, step: &Step, seen: &Seen) -> Outcome {
        match step {
            Step::Create(spec) => self.create(spec),
            Step::Delete(_) => self.delete_one(step.attempt(Self::NAME), interface_of(seen)),
            Step::CreateTap(_) | Step::ChangeTap { .. } | Step::DeleteTap(_) => taps::run(self, step, seen),
            Step::ChangePort { .. } => match Self::port_messages(step, seen) {
                None => Outcome::DONE,
                Some(messages) => {
                    let mut answers = self.socket.exchange_some(messages.into_iter()).into_iter();
                    self.conclude_port(step, seen, answers.next(), answers.next())
                }
            },
            _ => {
                let mut work = Work::new(0, step, seen);
                while let Some(message) = work.message() {
                    let answer = self.socket.execute(message).map(|()| Reply::Done);
                    match self.conclude(&mut work, answer) {
                        None => {}
                        Some(Outcome::Done(_)) if adds_entry(step) => {
                            let port = self.look_for(port_of(seen).into());
                            return Self::conclude_port_of_entry(step, seen, &port);
                        }
                        Some(outcome) => return outcome,
                    }
                }
                Outcome::DONE
            }
        }
    }

    /// Carries out many steps: deletions in a row by group, taps one by one, and the messages of all others in as
    /// few sends as possible.
    pub(super) fn run_many(&self, steps: &[(&Step, Seen)], bulk: Bulk, each: &mut dyn FnMut(usize, Outcome)) {
        let mut begin = 0;
        let mut is_over = false;
        while begin < steps.len() && !is_over {
            let kind = Kind::of(steps[begin].0);
            let count = steps[begin..].iter().take_while(|(step, _)| Kind::of(step) == kind).count();
            let block = &steps[begin..begin + count];
            let mut report = |place: usize, outcome: Outcome| {
                is_over |= bulk == Bulk::AllOrNothing && !matches!(outcome, Outcome::Done(_));
                each(begin + place, outcome);
                is_over
            };
            match kind {
                Kind::Deletion => self.delete_all(block, &mut report),
                Kind::Tap => {
                    for (place, (step, seen)) in block.iter().enumerate() {
                        if report(place, taps::run(self, step, seen)) {
                            break;
                        }
                    }
                }
                Kind::Creation => self.create_all(block, &mut report),
                Kind::Port => self.change_ports(block, &mut report),
                Kind::Messages => self.send_all(block, &mut report),
            }
            begin += count;
        }
    }

    /// Sends the messages of steps: the first of each, then the second of each that has one, and so on. When it is
    /// over, only those that have begun go on.
    fn send_all(&self, steps: &[(&Step, Seen)], report: &mut dyn FnMut(usize, Outcome) -> bool) {
        let works = steps.iter().enumerate().map(|(place, (step, seen))| Work::new(place, step, seen));
        let (done, waiting): (Vec<_>, Vec<_>) = works.partition(Work::is_done);
        for work in done {
            report(work.place, Outcome::DONE);
        }
        let mut waiting = VecDeque::from(waiting);
        let mut entries = Vec::new();
        let mut is_over = false;
        loop {
            if is_over {
                waiting.retain(|work| work.taken > 0);
            }
            if waiting.is_empty() {
                break;
            }
            let answers = self.socket.exchange_some::<Reply>(waiting.iter().filter_map(Work::message));
            for answer in answers {
                let Some(mut work) = waiting.pop_front() else { break };
                match self.conclude(&mut work, answer) {
                    None => waiting.push_back(work),
                    Some(Outcome::Done(_)) if adds_entry(work.step) => entries.push(work.place),
                    Some(outcome) => is_over |= report(work.place, outcome),
                }
            }
        }
        // Many entries of one port are one look.
        let port_at = |place: usize| port_of(&steps[place].1);
        let runs = entries.chunk_by(|&one, &next| port_at(one).index() == port_at(next).index());
        let runs: Vec<_> = runs.collect();
        let ports: Vec<Target> = runs.iter().map(|run| port_at(run[0]).into()).collect();
        for (run, port) in runs.into_iter().zip(self.find_all(&ports)) {
            for &place in run {
                let (step, seen) = &steps[place];
                report(place, Self::conclude_port_of_entry(step, seen, &port));
            }
        }
    }

    /// Takes the answer to a message of a step; `None` if another message follows.
    fn conclude(&self, work: &mut Work<'_>, answer: Answer) -> Option<Outcome> {
        let (step, seen) = (work.step, work.seen);
        if answer.is_ok() && !matches!(step, Step::Change { .. }) {
            return Some(Outcome::DONE);
        }
        let at = step.attempt(Self::NAME);
        let answer = answer.map(drop);
        Some(match step {
            Step::Change { .. } => {
                let setting = work.settings[work.taken];
                let outcome = Self::conclude_setting(at, seen, setting, answer);
                return match outcome {
                    Outcome::Done(_) => {
                        work.taken += 1;
                        (work.taken == work.settings.len()).then_some(Outcome::DONE)
                    }
                    Outcome::Refused(error) if work.taken > 0 => Some(Outcome::unclear(error)),
                    outcome => Some(outcome),
                };
            }
            Step::AddPort { .. } => conclude(at, answer, |errno, _| match errno {
                Errno::ELOOP => ErrorKind::PortIsBridge,
                Errno::EBUSY => ErrorKind::PortBusy,
                Errno::EXFULL => ErrorKind::TooManyPorts,
                // The kernel says this of a bridge that has gone, too.
                Errno::EINVAL if self.is_gone(interface_of(seen).index()) => ErrorKind::NotFound,
                Errno::EINVAL | Errno::EOPNOTSUPP => ErrorKind::PortUnsuitable,
                Errno::ENODEV => ErrorKind::PortNotFound,
                errno => ErrorKind::of(errno),
            }),
            Step::RemovePort { .. } => conclude(at, answer, |errno, _| match errno {
                Errno::ENODEV => ErrorKind::PortNotFound,
                errno => ErrorKind::of(errno),
            }),
            Step::AddFdbEntry { entry, .. } | Step::ReplaceFdbEntry { entry, .. } => {
                self.conclude_entry(at, seen, entry, answer)
            }
            Step::RemoveFdbEntry { vlan, .. } => self.conclude_removal(at, seen, *vlan, answer),
            Step::FlushFdb(_) => conclude(at, answer, |errno, _| ErrorKind::of(errno)),
            Step::AddVlans { .. } | Step::RemoveVlans { .. } => {
                let (bridge, port) = (interface_of(seen).index(), port_of(seen).index());
                conclude_partial(at, answer, |errno, _| match self.port_refusal(bridge, port, errno) {
                    ErrorKind::NotAPort => ErrorKind::NotAPort.into(),
                    kind => Cause::of_options(errno, [crate::Capability::PortVlans]).unwrap_or(kind.into()),
                })
            }
            // They have ways of their own.
            _ => match answer {
                Ok(()) => Outcome::DONE,
                Err(failure) => Outcome::unclear(error(at, failure)),
            },
        })
    }
}

/// Whether a step adds an entry behind a port.
const fn adds_entry(step: &Step) -> bool {
    matches!(step, Step::AddFdbEntry { .. } | Step::ReplaceFdbEntry { .. })
}

impl<'s> Work<'s> {
    fn new(place: usize, step: &'s Step, seen: &'s Seen) -> Self {
        let settings = match (step, seen) {
            (Step::Change { change, .. }, Seen::Bridge { bridge, .. }) => setting::of_bridge(bridge, change),
            _ => Vec::new(),
        };
        Self { place, step, seen, settings, taken: 0 }
    }

    /// Whether there is nothing to do from the start.
    fn is_done(&self) -> bool {
        match (self.step, self.seen) {
            (Step::Change { .. }, _) => self.settings.is_empty(),
            (Step::RemoveFdbEntry { vlan, .. }, Seen::Entries(seen)) => {
                !seen.entries.iter().any(|entry| entry.vlan == *vlan)
            }
            _ => false,
        }
    }

    /// The next message.
    fn message(&self) -> Option<Request> {
        use super::{neighbour, vlan_info};
        use crate::linux::abi::netlink::{NLM_F_EXCL, NLM_F_REPLACE};

        let seen = self.seen;
        Some(match self.step {
            Step::Change { .. } => {
                let &setting = self.settings.get(self.taken)?;
                requests::set(interface_of(seen).index(), setting)
            }
            Step::AddPort { .. } => requests::set_master(port_of(seen).index(), Some(interface_of(seen).index())),
            Step::RemovePort { .. } => requests::set_master(port_of(seen).index(), None),
            Step::AddFdbEntry { entry, .. } => {
                neighbour::add(NLM_F_EXCL, port_of(seen).index(), entry.mac.into(), entry.vlan)
            }
            Step::ReplaceFdbEntry { entry, .. } => {
                neighbour::add(NLM_F_REPLACE, port_of(seen).index(), entry.mac.into(), entry.vlan)
            }
            Step::RemoveFdbEntry { mac, vlan, .. } => {
                let Seen::Entries(entries) = seen else { return None };
                let entry = entries.entries.iter().find(|entry| entry.vlan == *vlan)?;
                neighbour::remove(entries.bridge.index(), entry.port.index(), (*mac).into(), *vlan)
            }
            Step::FlushFdb(_) => requests::flush_fdb(interface_of(seen).index()),
            Step::AddVlans { vlans, .. } => vlan_info::add(port_of(seen).index(), *vlans),
            Step::RemoveVlans { vlans, .. } => vlan_info::remove(port_of(seen).index(), *vlans),
            _ => return None,
        })
    }
}

/// How steps are carried out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Creation,
    Deletion,
    Tap,
    /// A change of a port's options, which is two messages.
    Port,
    Messages,
}

impl Kind {
    const fn of(step: &Step) -> Self {
        match step {
            Step::Create(_) => Self::Creation,
            Step::Delete(_) => Self::Deletion,
            Step::CreateTap(_) | Step::ChangeTap { .. } | Step::DeleteTap(_) => Self::Tap,
            Step::ChangePort { .. } => Self::Port,
            _ => Self::Messages,
        }
    }
}
