//! The options of a port.
//!
//! Read in `net/if_bridge.c` (`bridge_ioctl_gifflags`, `bridge_ioctl_sifflags`) and
//! `net/bridgestp.c`. The flags are set all at once, those of STP that are none of ours too:
//! a port that STP has found to be an edge is then one that was set to be one, as with ifconfig(8).

use libc::c_ulong;
use nix::errno::Errno;

use super::abi::{self, ifbreq};
use super::bridge::FreeBsdBackend;
use super::bridge_ioctl::new_member;
use super::options::{STP, set_cost};
use crate::error::Attempt;
use crate::{Capability, ErrorKind, InterfaceName, PortOption, PortOptions, PortStpState, Result};

/// `ifbr_priority` is kept in steps of this.
const PRIORITY_STEP: u8 = 16;
/// The highest path cost that STP has a place for; a higher one becomes this.
const MAX_STP_COST: u32 = 0xffff;

/// One call that changes a port, what it is for, and what undoes it.
struct Step {
    command: c_ulong,
    of: Capability,
    now: ifbreq,
    before: ifbreq,
}

impl FreeBsdBackend {
    /// Changes options of a port of a bridge, both of which were checked to be that.
    pub(super) fn set_port_options(
        &self,
        at: Attempt,
        bridge: InterfaceName,
        port: InterfaceName,
        options: &PortOptions,
    ) -> Result<()> {
        let before = self.member(at, bridge, port)?;
        let steps = steps(at, port, &before, options)?;
        for (number, step) in steps.iter().enumerate() {
            self.control.set_member(bridge, step.command, step.now).map_err(|errno| {
                let at = at.with(step.of);
                let error = match errno {
                    Errno::EINVAL => at.means(ErrorKind::InvalidOption, errno),
                    Errno::ENOENT => at.means(ErrorKind::NotAPort, errno),
                    errno => at.errno(errno),
                };
                let back = steps[..number].iter().rev().map(|step| self.undo_step(at, bridge, step));
                error.undone(back.fold(Ok(()), Result::and), format_args!("a changed port {port}"))
            })?;
        }
        Ok(())
    }

    fn undo_step(&self, at: Attempt, bridge: InterfaceName, step: &Step) -> Result<()> {
        match self.control.set_member(bridge, step.command, step.before) {
            // Nothing is left of a port that has left, or of a bridge that has vanished.
            Ok(()) | Err(Errno::ENOENT | Errno::ENXIO) => Ok(()),
            Err(errno) => Err(at.with(step.of).errno(errno)),
        }
    }

    /// What there is to know of a port of a bridge that was checked to be one.
    pub(super) fn member(&self, at: Attempt, bridge: InterfaceName, port: InterfaceName) -> Result<ifbreq> {
        self.check_port(at, port)?;
        self.control.port(bridge, port).map_err(|errno| match errno {
            Errno::ENOENT => at.means(ErrorKind::NotAPort, errno),
            errno => at.errno(errno),
        })
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
fn steps(at: Attempt, port: InterfaceName, before: &ifbreq, options: &PortOptions) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut flags = before.ifbr_ifsflags;
    let mut flags_of = None;
    for option in options.iter() {
        let of = option.capability();
        let refused = || Err(at.with(of).error(ErrorKind::InvalidOption));
        let (flag, on) = match option {
            PortOption::PathCost(cost) => {
                if before.ifbr_proto == STP && cost > MAX_STP_COST {
                    return refused();
                }
                let now = ifbreq { ifbr_path_cost: cost, ..new_member(port) };
                let before = ifbreq { ifbr_path_cost: set_cost(before), ..new_member(port) };
                steps.push(Step { command: abi::BRDGSIFCOST, of, now, before });
                continue;
            }
            PortOption::Priority(priority) => {
                if priority % PRIORITY_STEP != 0 {
                    return refused();
                }
                let now = ifbreq { ifbr_priority: priority, ..new_member(port) };
                let before = ifbreq { ifbr_priority: before.ifbr_priority, ..new_member(port) };
                steps.push(Step { command: abi::BRDGSIFPRIO, of, now, before });
                continue;
            }
            PortOption::Isolated(on) => (abi::IFBIF_PRIVATE, on),
            PortOption::Learning(on) => (abi::IFBIF_LEARNING, on),
            PortOption::UnicastFlood(on) => (abi::IFBIF_DISCOVER, on),
            PortOption::Stp(on) => (abi::IFBIF_STP, on),
            PortOption::Sticky(on) => (abi::IFBIF_STICKY, on),
            _ => return Err(at.with(of).error(ErrorKind::Unsupported)),
        };
        flags = if on { flags | flag } else { flags & !flag };
        // STP is the one that the kernel may refuse: a gif(4) has none. It comes after the others
        // but for stickiness.
        flags_of = if flags_of == Some(Capability::PortStp) { flags_of } else { Some(of) };
    }
    if let Some(of) = flags_of.filter(|_| flags != before.ifbr_ifsflags) {
        let now = ifbreq { ifbr_ifsflags: flags, ..new_member(port) };
        let before = ifbreq { ifbr_ifsflags: before.ifbr_ifsflags, ..new_member(port) };
        steps.push(Step { command: abi::BRDGSIFFLGS, of, now, before });
    }
    Ok(steps)
}
