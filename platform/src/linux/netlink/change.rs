//! Changing bridges.

use nix::errno::Errno;

use super::{Cause, NetlinkBackend, bridge_state, encode, error, options};
use crate::change::{self, Step};
use crate::{
    BridgeBackend, BridgeChange, BridgeOption, BridgeOptions, ErrorKind, InterfaceName, Operation, Result,
};

impl NetlinkBackend {
    pub(super) fn change_bridge(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        let at = Self::at(Operation::Change).on(bridge);
        change.options.check(at, self.capabilities())?;
        options::check(at, &change.options)?;
        let before = bridge_state(&self.bridge(at, bridge)?);
        let set = |step| {
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
            self.execute::<Cause>(at, encode::set(before.index, step), is_done, refusal)
        };
        let set = |step| {
            set(step)?;
            match step {
                Step::Option(option) if !before.options.iter().any(|known| is_same(known, option)) => {
                    Err(at.with(option.capability()).error(ErrorKind::Unsupported))
                }
                // Undone: what it had made of the forward delay is not.
                Step::Option(BridgeOption::Stp(false)) if before.options.stp == Some(false) => {
                    let delay = before.options.forward_delay.map(BridgeOption::ForwardDelay);
                    delay.map_or(Ok(()), |delay| set(Step::Option(delay)))
                }
                _ => Ok(()),
            }
        };
        let read = || {
            let link = self.indexed(before.index).map_err(|failure| error(at, failure))?;
            let mut now = bridge_state(&link);
            now.options = now.options.unrounded(&change.options);
            Ok(now)
        };
        change::apply(&before, change, set, read)
    }
}

/// Whether these are values of the same option.
pub(super) fn is_same(one: BridgeOption, other: BridgeOption) -> bool {
    one.capability() == other.capability()
}
