//! The options of a port.
//!
//! `br_setport()` takes the flags of a port first, then the path cost, then the priority: what it has taken when it
//! comes upon one that it refuses stays.

use nix::errno::Errno;

use super::look::{interface_of, port_of};
use super::outcome::{Cause, conclude_partial, found};
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

impl NetlinkBackend {
    /// The messages that change a port's options and look whether it is a port of the bridge still: the first names
    /// the port alone. `None` if nothing changes.
    pub(super) fn port_messages(step: &Step, seen: &Seen) -> Option<[Request; 2]> {
        let (Step::ChangePort { options, .. }, Seen::Port(port)) = (step, seen) else { return None };
        let changes: PortOptions = options.unlike(&port.options).collect();
        let index = port.port.index();
        (changes != PortOptions::default()).then(|| [set(index, &changes), requests::get_by_index(index)])
    }

    /// Changes the options of many ports, several in one send. All that were sent are reported.
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
                } else if let Some(changed) = answers.next() {
                    self.conclude_port(step, seen, Some(changed), answers.next())
                } else {
                    break;
                };
                is_over |= report(begun, outcome);
                begun += 1;
            }
        }
    }

    /// Takes the answers to the messages that change a port.
    pub(super) fn conclude_port(
        &self,
        step: &Step,
        seen: &Seen,
        changed: Option<Answer>,
        looked_at: Option<Answer>,
    ) -> Outcome {
        let at = step.attempt(Self::NAME);
        let Step::ChangePort { options: asked, .. } = step else { return Outcome::DONE };
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
