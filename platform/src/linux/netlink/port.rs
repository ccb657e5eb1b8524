//! Ports that join, and their options.
//!
//! `br_setport()` takes the flags of a port first, then the path cost, then the priority: what it has taken when it
//! comes upon one that it refuses stays.

use nix::errno::Errno;

use super::look::{interface_of, port_of};
use super::outcome::{Cause, conclude, conclude_partial, found};
use super::request::Request;
use super::socket::{Failure, Reply};
use super::{NetlinkBackend, options, requests};
use crate::linux::abi::netlink::{NLA_F_NESTED, NLM_F_ACK};
use crate::{ErrorKind, InterfaceIndex, Outcome, PortOption, PortOptions, Seen, Step};

/// An answer to a message of a step.
type Answer = std::result::Result<Reply, Failure>;

/// Changes a port's options.
fn set(port: InterfaceIndex, asked: &PortOptions) -> Request {
    Request::bridge_link(libc::RTM_SETLINK, NLM_F_ACK, Some(port))
        // Without this flag it is the number of an STP state.
        .nested(libc::IFLA_PROTINFO | NLA_F_NESTED, |data| asked.iter().fold(data, options::encode_port))
}

/// Makes an interface a port. The kernel says nothing of one that is a port of this bridge already, and takes one of
/// another bridge from that.
fn join(seen: &Seen) -> Request {
    requests::set_master(port_of(seen).index(), Some(interface_of(seen).index()))
}

impl NetlinkBackend {
    /// The messages of a step on a port, `None` if nothing changes: a look at an interface, and one that makes it a
    /// port; or one that changes a port's options, and a look whether it is a port of the bridge still. Both changes
    /// name the port alone.
    pub(super) fn port_messages(step: &Step, seen: &Seen) -> Option<[Request; 2]> {
        let Seen::Port(port) = seen else { return None };
        let index = port.port.index();
        match step {
            Step::AddPort { .. } => Some([requests::get_by_index(index), join(seen)]),
            Step::ChangePort { options, .. } => {
                let changes: PortOptions = options.unlike(&port.options).collect();
                (changes != PortOptions::default()).then(|| [set(index, &changes), requests::get_by_index(index)])
            }
            _ => None,
        }
    }

    /// Adds or changes many ports, several in one send. All that were sent are reported.
    pub(super) fn change_ports(&self, steps: &[(&Step, Seen)], report: &mut dyn FnMut(usize, Outcome) -> bool) {
        let messages = |(step, seen): &(&Step, Seen)| Self::port_messages(step, seen);
        let mut begun = 0;
        let mut is_over = false;
        while begun < steps.len() && !is_over {
            let rest = steps[begun..].iter().filter_map(messages).flatten();
            let mut answers = self.socket.exchange_some::<Reply>(rest).into_iter();
            while let Some(of @ (step, seen)) = steps.get(begun) {
                let outcome = if messages(of).is_none() {
                    Outcome::DONE
                } else if let Some(first) = answers.next() {
                    self.conclude_port(step, seen, Some(first), answers.next())
                } else {
                    break;
                };
                is_over |= report(begun, outcome);
                begun += 1;
            }
        }
    }

    /// Takes the answers to the messages of a step on a port.
    pub(super) fn conclude_port(
        &self,
        step: &Step,
        seen: &Seen,
        first: Option<Answer>,
        second: Option<Answer>,
    ) -> Outcome {
        match step {
            Step::AddPort { .. } => self.conclude_joining(step, seen, first, second),
            Step::ChangePort { options, .. } => self.conclude_change(step, options, seen, first, second),
            _ => Outcome::DONE,
        }
    }

    fn conclude_joining(
        &self,
        step: &Step,
        seen: &Seen,
        looked_at: Option<Answer>,
        joined: Option<Answer>,
    ) -> Outcome {
        let at = step.attempt(Self::NAME);
        let bridge = interface_of(seen).index();
        let joined = joined.unwrap_or_else(|| self.socket.execute(join(seen)).map(|()| Reply::Done));
        // Another process has made it a port since: a rollback must not release it.
        if matches!(looked_at, Some(Ok(Reply::Link(link))) if link.master == Some(bridge)) {
            return Outcome::Refused(at.error(ErrorKind::AlreadyPort));
        }
        conclude(at, joined.map(drop), |errno, _| match errno {
            Errno::ELOOP => ErrorKind::PortIsBridge,
            Errno::EBUSY => ErrorKind::PortBusy,
            Errno::EXFULL => ErrorKind::TooManyPorts,
            // The kernel says this of a bridge that has gone, too.
            Errno::EINVAL if self.is_gone(bridge) => ErrorKind::NotFound,
            Errno::EINVAL | Errno::EOPNOTSUPP => ErrorKind::PortUnsuitable,
            Errno::ENODEV => ErrorKind::PortNotFound,
            errno => ErrorKind::of(errno),
        })
    }

    fn conclude_change(
        &self,
        step: &Step,
        asked: &PortOptions,
        seen: &Seen,
        changed: Option<Answer>,
        looked_at: Option<Answer>,
    ) -> Outcome {
        let at = step.attempt(Self::NAME);
        let (bridge, port) = (interface_of(seen).index(), port_of(seen).index());
        let now = match looked_at {
            Some(Ok(Reply::Link(link))) => Some(link),
            _ => self.indexed(port).ok().map(Box::new),
        };
        let is_port = now.as_ref().is_some_and(|now| now.master == Some(bridge));
        let changed = changed.unwrap_or(Err(Failure::Malformed)).map(drop);
        let outcome = conclude_partial(at, changed, |errno, _| match errno {
            Errno::ENODEV => ErrorKind::PortNotFound.into(),
            _ if now.is_some() && !is_port => ErrorKind::NotAPort.into(),
            errno => Cause::of_options(errno, asked.iter().map(PortOption::capability))
                .unwrap_or(ErrorKind::of(errno).into()),
        });
        match outcome {
            // It may have got them as a port of another bridge.
            Outcome::Done(_) if now.is_some() && !is_port => Outcome::unclear(at.error(ErrorKind::NotAPort)),
            Outcome::Done(_) if now.is_none() => Outcome::unclear(at.error(ErrorKind::PortNotFound)),
            outcome => outcome,
        }
    }

    /// The kind of a refusal to do something with an interface that was a port of a bridge.
    pub(super) fn port_refusal(&self, bridge: InterfaceIndex, port: InterfaceIndex, errno: Errno) -> ErrorKind {
        match errno {
            Errno::ENODEV => ErrorKind::PortNotFound,
            Errno::EOPNOTSUPP | Errno::EINVAL => match found(self.indexed(port)) {
                Ok(None) => ErrorKind::PortNotFound,
                Ok(Some(port)) if port.master != Some(bridge) => ErrorKind::NotAPort,
                Ok(Some(_)) | Err(_) => ErrorKind::of(errno),
            },
            errno => ErrorKind::of(errno),
        }
    }
}
