//! Making and changing a bridge.

use nix::errno::Errno;

use super::decode::Link;
use super::socket::Failure;
use super::{Cause, NetlinkBackend, bridge_state, encode, error, options};
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::linux::BRIDGE_MTU;
use crate::{
    BridgeBackend, BridgeChange, BridgeOption, BridgeOptions, BridgeSpec, ErrorKind, InterfaceName, Operation,
    Result,
};

impl NetlinkBackend {
    pub(super) fn create_bridge(&self, spec: &BridgeSpec) -> Result<()> {
        let at = Self::at(Operation::Create).on(spec.name);
        spec.options.check(at, self.capabilities())?;
        options::check(at, &spec.options)?;
        // Who has the name, if anyone, matters more than what else is wrong, as on the other backends.
        let name_taken = |errno| match self.interface(at, spec.name) {
            Ok(Some(link)) if !link.is_bridge => Some(ErrorKind::NameInUse),
            Ok(Some(_)) => Some(ErrorKind::BridgeExists),
            // It has vanished since: whoever wants this name wants a bridge.
            _ => (errno == Errno::EEXIST).then_some(ErrorKind::BridgeExists),
        };
        let refusal = |errno, text: Option<&str>| match errno {
            Errno::EEXIST | Errno::EPERM => name_taken(errno).unwrap_or(ErrorKind::of(errno)).into(),
            Errno::EINVAL if spec.mtu.is_some_and(|mtu| !BRIDGE_MTU.contains(&mtu)) => {
                ErrorKind::InvalidMtu.into()
            }
            // No driver of this kind, nor could one be loaded.
            Errno::EOPNOTSUPP if text == Some("Unknown device type") => ErrorKind::NoDriver.into(),
            _ => match Cause::of_options(errno, spec.options.iter().map(BridgeOption::capability)) {
                // Kernels before 4.12 have no words for it.
                None if errno == Errno::EOPNOTSUPP => ErrorKind::NoDriver.into(),
                cause => cause.unwrap_or(ErrorKind::of(errno).into()),
            },
        };
        let is_done = || match self.socket.get_link(|| encode::get_by_name(spec.name)) {
            Ok(link) => Ok(is_as_specified(&link, spec)),
            Err(Failure::Refused(Errno::ENODEV, _)) => Ok(false),
            Err(failure) => Err(failure),
        };
        self.execute(at, encode::create(spec), is_done, refusal)?;
        if spec.options == BridgeOptions::default() { Ok(()) } else { self.check_created(at, spec) }
    }

    /// Takes a bridge back whose kernel has ignored an option: it does not report what it does not
    /// know, or was built without, such as multicast snooping.
    fn check_created(&self, at: Attempt, spec: &BridgeSpec) -> Result<()> {
        let link = self.bridge(at, spec.name).map_err(|error| {
            // Without its index it is known by its name alone.
            let outcome = match self.delete(spec.name) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            };
            error.undone(outcome, format_args!("bridge {}", spec.name))
        })?;
        let ignored = |option: &BridgeOption| !link.options.iter().any(|known| is_same(known, *option));
        match spec.options.iter().find(ignored) {
            None => Ok(()),
            Some(option) => {
                let outcome =
                    self.socket.execute(encode::delete(link.index)).map_err(|failure| error(at, failure));
                let error = at.with(option.capability()).error(ErrorKind::Unsupported);
                Err(error.undone(outcome, format_args!("bridge {}", spec.name)))
            }
        }
    }

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

/// Whether a bridge is what `spec` asks for. One that was like that before cannot be told from one
/// that was made by a call whose answer was lost.
fn is_as_specified(link: &Link, spec: &BridgeSpec) -> bool {
    link.is_bridge
        && spec.mac.is_none_or(|mac| link.mac == Some(mac.into()))
        && spec.mtu.is_none_or(|mtu| mtu == link.mtu)
        && link.state == spec.link
}

/// Whether these are values of the same option.
fn is_same(one: BridgeOption, other: BridgeOption) -> bool {
    one.capability() == other.capability()
}
