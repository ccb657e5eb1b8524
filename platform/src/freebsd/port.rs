//! Ports of a bridge and their options.
//!
//! Read in `net/if_bridge.c` (`bridge_ioctl_gifflags`, `bridge_ioctl_sifflags`) and
//! `net/bridgestp.c`. The flags are set all at once, those of STP that are none of ours too:
//! a port that STP has found to be an edge is then one that was set to be one, as with ifconfig(8).

use libc::c_ulong;
use nix::errno::Errno;

use super::abi::{self, ifbreq};
use super::backend::{FreeBsdBackend, in_order, still_there};
use super::options::STP;
use crate::error::{Attempt, CallResult, Meanings, unless};
use crate::{
    Capability, ErrorKind, Identity, InterfaceName, LinkState, MacAddr, Outcome, PortOption, PortOptions,
    PortState, PortStpState, Result, SeenPort, Target,
};

/// `ifbr_priority` is kept in steps of this.
const PRIORITY_STEP: u8 = 16;
/// The highest path cost that STP has a place for; a higher one becomes this.
const MAX_STP_COST: u32 = 0xffff;

/// One call that changes a port, and what it is for.
struct Call {
    command: c_ulong,
    of: Capability,
    values: ifbreq,
}

/// What a call on a port fails with where the bridge has no such port.
pub(super) const NOT_A_PORT: &Meanings = &[(Errno::ENOENT, ErrorKind::NotAPort)];

/// Reads the options of a port in one of two ways.
type Decode = fn(&ifbreq) -> PortOptions;

impl FreeBsdBackend {
    /// What a step on a bridge and a port is about. Options are read where the step changes some.
    pub(super) fn seen_port(
        &self,
        at: Attempt,
        bridge: Target,
        port: Target,
        options: Option<&PortOptions>,
    ) -> Result<SeenPort> {
        let find = || self.bridge_and_port(at, bridge, port);
        self.read(at, find, |[bridge, port]| {
            let mtu = |of: Identity| self.control.mtu(of.name()).at(at);
            let mut seen = SeenPort::new(bridge, mtu(bridge)?, port, mtu(port)?);
            let member = self.member(at, bridge, port)?;
            seen.is_port = member.is_some();
            if let (Some(member), Some(options)) = (member, options) {
                calls(at, &member, options)?;
                seen.options = settable(&member);
            }
            Ok(seen)
        })
    }

    pub(super) fn attach(&self, at: Attempt, seen: &SeenPort) -> Result<Outcome> {
        let attached = self.control.add_port(self.verified_port(at, seen.bridge, seen.port)?);
        let Err(errno) = attached else { return Ok(Outcome::DONE) };
        let name = seen.port.name();
        let kind = match errno {
            Errno::ENOENT => ErrorKind::PortNotFound,
            Errno::EEXIST => ErrorKind::AlreadyPort,
            Errno::EBUSY => ErrorKind::PortBusy,
            Errno::EINVAL if self.is_bridge(name) == Ok(true) => ErrorKind::PortIsBridge,
            Errno::EINVAL if self.is_lagg_port(name) => ErrorKind::PortBusy,
            Errno::EINVAL => ErrorKind::PortUnsuitable,
            // Whose port it is matters more than who asks, as on the other backends.
            Errno::EPERM if self.is_port_elsewhere(at, seen.bridge, name)? => ErrorKind::PortBusy,
            Errno::EPERM => ErrorKind::PermissionDenied,
            errno => ErrorKind::of(errno),
        };
        let error = at.means(kind, errno);
        // The kernel makes it a port, and releases it again, where a driver cannot do its part.
        if kind == ErrorKind::Os { Ok(Outcome::unclear(error)) } else { Err(error) }
    }

    pub(super) fn release(&self, at: Attempt, seen: &SeenPort) -> Result<()> {
        self.control.remove_port(self.verified_port(at, seen.bridge, seen.port)?).meaning(at, NOT_A_PORT)
    }

    /// Changes options of a port: first the numbers, which the kernel may well refuse.
    pub(super) fn set_port_options(&self, at: Attempt, seen: &SeenPort, options: &PortOptions) -> Result<Outcome> {
        // The flags are set all at once, so that what they are now counts.
        let [bridge, port] = self.bridge_and_port(at, seen.bridge.into(), seen.port.into())?;
        let member = self.member(at, bridge, port)?.ok_or_else(|| at.error(ErrorKind::NotAPort))?;
        let calls = calls(at, &member, options)?.into_iter();
        Ok(in_order(calls.map(|Call { command, of, values }| {
            let at = at.with(of);
            let set = self.control.set_member(self.verified_port(at, seen.bridge, seen.port)?, command, values);
            set.meaning(at, &[(Errno::EINVAL, ErrorKind::InvalidOption), (Errno::ENOENT, ErrorKind::NotAPort)])
        })))
    }

    /// What there is to know of a port of a bridge; `None` if it is no port of it.
    pub(super) fn member(&self, at: Attempt, bridge: Identity, port: Identity) -> Result<Option<ifbreq>> {
        self.control.port(bridge.name(), port.name()).unless(Errno::ENOENT).at(at)
    }

    /// The ports of a bridge, by index, with the options that `decode` tells.
    pub(super) fn ports_of(&self, at: Attempt, bridge: Identity, decode: Decode) -> Result<Vec<PortState>> {
        let members = self.control.ports(bridge.name()).at(at)?;
        let macs = self.macs(at)?;
        let ports = members.into_iter().map(|(name, member)| {
            let mac = *macs.get(&name).ok_or(Errno::ENXIO)?;
            self.port_state(self.control.identity(name)?, bridge, mac, &member, decode)
        });
        let mut ports = still_there(at, ports)?;
        ports.sort_unstable_by_key(|port| port.index);
        Ok(ports)
    }

    /// A port by itself, with its bridge; `None` if it is not there, or a port of no bridge.
    pub(super) fn port_of_any(&self, at: Attempt, port: Target) -> Result<Option<PortState>> {
        let read = |[port]: [Identity; 1]| {
            let Some((bridge, member)) = self.bridge_of(at, port.name())? else { return Ok(None) };
            let state = self.port_state(port, bridge, self.mac(at, port.name())?, &member, decode);
            state.map(Some).at(at)
        };
        let found = self.read(at, || Ok([self.interface_of_port(at, port)?]), read);
        Ok(unless(ErrorKind::PortNotFound, found)?.flatten())
    }

    fn port_state(
        &self,
        port: Identity,
        bridge: Identity,
        mac: Option<MacAddr>,
        member: &ifbreq,
        decode: Decode,
    ) -> nix::Result<PortState> {
        let name = port.name();
        let (mtu, link): (_, LinkState) = (self.control.mtu(name)?, self.control.flags(name)?.link());
        Ok(PortState {
            incarnation: port.incarnation(),
            bridge: Some(bridge),
            options: decode(member),
            stp_state: stp_state(member),
            ..PortState::new(name, port.index(), mac.unwrap_or(MacAddr::ZERO), mtu, link)
        })
    }

    /// Whether an interface is a port of any bridge but this one, or of a lagg(4).
    fn is_port_elsewhere(&self, at: Attempt, bridge: Identity, port: InterfaceName) -> Result<bool> {
        Ok(self.is_lagg_port(port) || self.bridge_of(at, port)?.is_some_and(|(other, _)| other != bridge))
    }
}

/// The options that a port has.
pub(super) fn decode(port: &ifbreq) -> PortOptions {
    let flag = |flag| Some(port.ifbr_ifsflags & flag != 0);
    PortOptions {
        isolated: flag(abi::IFBIF_PRIVATE),
        learning: flag(abi::IFBIF_LEARNING),
        unicast_flood: flag(abi::IFBIF_DISCOVER),
        path_cost: Some(port.ifbr_path_cost),
        priority: Some(port.ifbr_priority),
        stp: flag(abi::IFBIF_STP),
        sticky: flag(abi::IFBIF_STICKY),
        ..PortOptions::default()
    }
}

/// The same as they can be set, so that it has them: a path cost that follows the link is 0.
pub(super) fn settable(port: &ifbreq) -> PortOptions {
    let follows_link = port.ifbr_ifsflags & abi::IFBIF_BSTP_ADMCOST == 0;
    decode(port).path_cost(if follows_link { 0 } else { port.ifbr_path_cost })
}

/// Where a port stands in STP (`BSTP_IFSTATE_*` in `net/bridgestp.h`), if it speaks that: the
/// kernel says of any other that it discards, and forwards nevertheless.
pub(super) const fn stp_state(port: &ifbreq) -> Option<PortStpState> {
    if port.ifbr_ifsflags & abi::IFBIF_STP == 0 {
        return None;
    }
    Some(match port.ifbr_state {
        0 => PortStpState::Disabled,
        1 => PortStpState::Listening,
        2 => PortStpState::Learning,
        3 => PortStpState::Forwarding,
        4 | 5 => PortStpState::Blocking,
        _ => return None,
    })
}

/// What there is to do: first the numbers, which the kernel may well refuse.
fn calls(at: Attempt, before: &ifbreq, options: &PortOptions) -> Result<Vec<Call>> {
    let none = ifbreq::default();
    let mut calls = Vec::new();
    let mut flags = before.ifbr_ifsflags;
    let mut flags_of = None;
    for option in options.iter() {
        let of = option.capability();
        let refused = |kind| Err(at.with(of).error(kind));
        let (flag, on) = match option {
            PortOption::PathCost(cost) if before.ifbr_proto == STP && cost > MAX_STP_COST => {
                return refused(ErrorKind::InvalidOption);
            }
            PortOption::Priority(priority) if priority % PRIORITY_STEP != 0 => {
                return refused(ErrorKind::InvalidOption);
            }
            PortOption::PathCost(ifbr_path_cost) => {
                calls.push(Call { command: abi::BRDGSIFCOST, of, values: ifbreq { ifbr_path_cost, ..none } });
                continue;
            }
            PortOption::Priority(ifbr_priority) => {
                calls.push(Call { command: abi::BRDGSIFPRIO, of, values: ifbreq { ifbr_priority, ..none } });
                continue;
            }
            PortOption::Isolated(on) => (abi::IFBIF_PRIVATE, on),
            PortOption::Learning(on) => (abi::IFBIF_LEARNING, on),
            PortOption::UnicastFlood(on) => (abi::IFBIF_DISCOVER, on),
            PortOption::Stp(on) => (abi::IFBIF_STP, on),
            PortOption::Sticky(on) => (abi::IFBIF_STICKY, on),
            _ => return refused(ErrorKind::Unsupported),
        };
        flags = if on { flags | flag } else { flags & !flag };
        // STP is the one that the kernel may refuse: a gif(4) has none. It comes after the others
        // but for stickiness.
        flags_of = if flags_of == Some(Capability::PortStp) { flags_of } else { Some(of) };
    }
    if let Some(of) = flags_of.filter(|_| flags != before.ifbr_ifsflags) {
        let values = ifbreq { ifbr_ifsflags: flags, ..none };
        calls.push(Call { command: abi::BRDGSIFFLGS, of, values });
    }
    Ok(calls)
}
