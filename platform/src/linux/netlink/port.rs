//! Changing a port: one message, and back if the kernel has taken only part of it.
//!
//! `br_setport()` takes the flags first, then the path cost, then the priority: what it has taken
//! when it comes upon one that it refuses stays.

use nix::errno::Errno;

use super::request::Request;
use super::{Cause, Failure, NetlinkBackend, error, options};
use crate::linux::abi::netlink::{NLA_F_NESTED, NLM_F_ACK};
use crate::{ErrorKind, InterfaceIndex, InterfaceName, Operation, PortOption, PortOptions, Result};

/// A change of a port's options.
fn set(port: InterfaceIndex, asked: &PortOptions) -> Request {
    Request::bridge_link(libc::RTM_SETLINK, NLM_F_ACK, Some(port))
        // Without this flag it is the number of an STP state.
        .nested(libc::IFLA_PROTINFO | NLA_F_NESTED, |data| asked.iter().fold(data, options::encode_port))
}

impl NetlinkBackend {
    /// What it means that the kernel refuses to do something with a port that was one of a bridge.
    pub(super) fn port_refusal(&self, bridge: InterfaceIndex, port: InterfaceIndex, errno: Errno) -> ErrorKind {
        match errno {
            Errno::ENODEV => ErrorKind::PortNotFound,
            Errno::EOPNOTSUPP | Errno::EINVAL
                if self.indexed(port).is_ok_and(|port| port.master != Some(bridge)) =>
            {
                ErrorKind::NotAPort
            }
            errno => ErrorKind::of(errno),
        }
    }

    pub(super) fn set_port_options(
        &self,
        bridge: InterfaceName,
        port: InterfaceName,
        asked: &PortOptions,
    ) -> Result<()> {
        use crate::BridgeBackend as _;

        let at = Self::at(Operation::ChangePort).on(bridge).port(port);
        asked.check(at, self.capabilities())?;
        let (bridge, before) = self.port_of(at, bridge, port)?;
        let known = before.port_options;
        // An older kernel skips what it does not know without a word, and does not report it.
        let unknown = |option: &PortOption| !known.iter().any(|other| other.capability() == option.capability());
        if let Some(option) = asked.iter().find(unknown) {
            return Err(at.with(option.capability()).error(ErrorKind::Unsupported));
        }
        let asked: PortOptions = asked.unlike(&known).collect();
        if asked == PortOptions::default() {
            return Ok(());
        }
        let read = || self.indexed(before.index).map(|port| port.port_options);
        let is_done = || Ok(asked.unlike(&read()?).next().is_none());
        let refusal = |errno| match self.port_refusal(bridge.index, before.index, errno) {
            ErrorKind::NotAPort => ErrorKind::NotAPort.into(),
            kind => Cause::of_options(errno, asked.iter().map(PortOption::capability)).unwrap_or(kind.into()),
        };
        self.execute::<Cause>(at, set(before.index, &asked), is_done, |errno, _| refusal(errno)).map_err(
            |failed| {
                let outcome = match self.indexed(before.index) {
                    Ok(now) if now.master == Some(bridge.index) => {
                        let taken = asked.iter().filter_map(|option| known.former(&now.port_options, option));
                        let back: PortOptions = taken.collect();
                        if back == PortOptions::default() {
                            return failed;
                        }
                        self.socket.execute(set(before.index, &back))
                    }
                    // Its options are gone with its membership.
                    Ok(_) | Err(Failure::Refused(Errno::ENODEV, _)) => return failed,
                    Err(failure) => Err(failure),
                };
                failed.undone(outcome.map_err(|failure| error(at, failure)), format_args!("a changed port {port}"))
            },
        )
    }
}
