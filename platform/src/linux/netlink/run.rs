//! Carrying out steps: the messages of many in one send.

use nix::errno::Errno;

use super::look::{interface_of, port_of};
use super::outcome::{Cause, conclude, conclude_partial, error};
use super::request::Request;
use super::socket::{Failure, Reply};
use super::{NetlinkBackend, requests};
use crate::linux::tap as taps;
use crate::{Bulk, ErrorKind, Outcome, Seen, Step, Target};

/// An answer to a message of a step.
type Answer = std::result::Result<Reply, Failure>;

impl NetlinkBackend {
    /// Carries out one step.
    pub(super) fn run_one(&self, step: &Step, seen: &Seen) -> Outcome {
        match step {
            Step::Create(spec) => self.create(spec),
            Step::Delete(_) => self.delete_one(step.attempt(Self::NAME), interface_of(seen)),
            Step::CreateTap(_) | Step::ChangeTap { .. } | Step::DeleteTap(_) => taps::run(self, step, seen),
            Step::AddPort { .. } | Step::ChangePort { .. } => match Self::port_messages(step, seen) {
                None => Outcome::DONE,
                Some(messages) => {
                    let mut answers = self.socket.exchange_some(messages.into_iter()).into_iter();
                    self.conclude_port(step, seen, answers.next(), answers.next())
                }
            },
            Step::Change { .. } => self.change_one(step, seen),
            _ => match self.conclude(step, seen, self.socket.execute(message(step, seen)).map(|()| Reply::Done)) {
                Outcome::Done(_) if adds_entry(step) => {
                    let port = self.look_for(port_of(seen).into());
                    Self::conclude_port_of_entry(step, seen, &port)
                }
                outcome => outcome,
            },
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
                Kind::CreationWithFiles => self.create_with_files(block, &mut report),
                Kind::Bridge => self.change_all(block, &mut report),
                Kind::Port => self.change_ports(block, &mut report),
                Kind::Messages => self.send_all(block, &mut report),
            }
            begin += count;
        }
    }

    /// Sends the messages of steps, one for each. All that were sent are reported, those that add entries last.
    fn send_all(&self, steps: &[(&Step, Seen)], report: &mut dyn FnMut(usize, Outcome) -> bool) {
        let mut entries = Vec::new();
        let mut begun = 0;
        let mut is_over = false;
        while begun < steps.len() && !is_over {
            let messages = steps[begun..].iter().map(|(step, seen)| message(step, seen));
            for answer in self.socket.exchange_some::<Reply>(messages) {
                let (step, seen) = &steps[begun];
                match self.conclude(step, seen, answer) {
                    Outcome::Done(_) if adds_entry(step) => entries.push(begun),
                    outcome => is_over |= report(begun, outcome),
                }
                begun += 1;
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

    /// Takes the answer to the message of a step.
    fn conclude(&self, step: &Step, seen: &Seen, answer: Answer) -> Outcome {
        if answer.is_ok() {
            return Outcome::DONE;
        }
        let at = step.attempt(Self::NAME);
        let answer = answer.map(drop);
        match step {
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
        }
    }
}

/// Whether a step adds an entry behind a port.
const fn adds_entry(step: &Step) -> bool {
    matches!(step, Step::AddFdbEntry { .. } | Step::ReplaceFdbEntry { .. })
}

/// The message of a step that is one message.
fn message(step: &Step, seen: &Seen) -> Request {
    use super::{neighbour, vlan_info};
    use crate::linux::abi::netlink::{NLM_F_EXCL, NLM_F_REPLACE};

    let port = || port_of(seen).index();
    match step {
        Step::RemovePort { .. } => requests::set_master(port(), None),
        Step::AddFdbEntry { entry, .. } => neighbour::add(NLM_F_EXCL, port(), entry.mac.into(), entry.vlan),
        Step::ReplaceFdbEntry { entry, .. } => neighbour::add(NLM_F_REPLACE, port(), entry.mac.into(), entry.vlan),
        Step::RemoveFdbEntry { mac, vlan, .. } => {
            let bridge = interface_of(seen);
            let entry = match seen {
                Seen::Entries(seen) => seen.entries.iter().find(|entry| entry.vlan == *vlan),
                _ => None,
            };
            let port = entry.map_or(bridge, |entry| entry.port);
            neighbour::remove(bridge.index(), port.index(), (*mac).into(), *vlan)
        }
        Step::AddVlans { vlans, .. } => vlan_info::add(port(), *vlans),
        Step::RemoveVlans { vlans, .. } => vlan_info::remove(port(), *vlans),
        Step::FlushFdb(_) => requests::flush_fdb(interface_of(seen).index()),
        _ => unreachable!("a step of another kind is not one message"),
    }
}

/// How steps are carried out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Creation,
    /// Bridges that go up when files are written.
    CreationWithFiles,
    Deletion,
    Tap,
    /// A change of a bridge, which is a message for each setting.
    Bridge,
    /// A port that joins, or a change of its options, which are two messages.
    Port,
    Messages,
}

impl Kind {
    fn of(step: &Step) -> Self {
        match step {
            Step::Create(spec) if spec.host_ipv6().is_some() => Self::CreationWithFiles,
            Step::Create(_) => Self::Creation,
            Step::Delete(_) => Self::Deletion,
            Step::CreateTap(_) | Step::ChangeTap { .. } | Step::DeleteTap(_) => Self::Tap,
            Step::Change { .. } => Self::Bridge,
            Step::AddPort { .. } | Step::ChangePort { .. } => Self::Port,
            Step::RemovePort { .. }
            | Step::AddFdbEntry { .. }
            | Step::ReplaceFdbEntry { .. }
            | Step::RemoveFdbEntry { .. }
            | Step::FlushFdb(_)
            | Step::AddVlans { .. }
            | Step::RemoveVlans { .. } => Self::Messages,
        }
    }
}
