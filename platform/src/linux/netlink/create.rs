//! Creating bridges: a message for each, several in one send.

use nix::errno::Errno;

use super::link::Link;
use super::outcome::{Cause, Found, error};
use super::socket::{Failure, Reply};
use super::{NetlinkBackend, requests};
use crate::error::Attempt;
use crate::linux::capabilities::BRIDGE_MTU;
use crate::{
    BridgeOption, BridgeOptions, BridgeSpec, BridgeState, Error, ErrorKind, Identity, InterfaceIndex, Made,
    Operation, Outcome, Seen, Step, Target,
};

fn at(spec: &BridgeSpec) -> Attempt {
    NetlinkBackend::at(Operation::Create).on(spec.name)
}

impl NetlinkBackend {
    /// Creates a bridge. The kernel tells its index in an echo of the message (`NLM_F_ECHO`, since 6.2).
    pub(super) fn create(&self, spec: &BridgeSpec) -> Outcome {
        let answer = self.socket.execute_echoed(requests::create(spec));
        self.conclude_creation(spec, answer, |index| {
            // Without options, nothing else of it is wanted.
            if has_options(spec) { Some(self.look_for(self::identity(spec, index).into())) } else { None }
        })
    }

    /// Creates many bridges.
    pub(super) fn create_all(&self, steps: &[(&Step, Seen)], report: &mut dyn FnMut(usize, Outcome) -> bool) {
        let specs: Vec<_> = steps
            .iter()
            .filter_map(|(step, _)| if let Step::Create(spec) = step { Some(spec) } else { None })
            .collect();
        let mut begun = 0;
        let mut is_over = false;
        while begun < specs.len() && !is_over {
            let answers =
                self.socket.exchange_some::<Reply>(specs[begun..].iter().map(|spec| requests::create(spec)));
            let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(Reply::echo)).collect();
            let with_options: Vec<Target> = specs[begun..]
                .iter()
                .zip(&answers)
                .filter(|(spec, _)| has_options(spec))
                .filter_map(|(spec, answer)| Some(self::identity(spec, (*answer.as_ref().ok()?)?).into()))
                .collect();
            let mut looked_at = self.find_all(&with_options).into_iter();
            for answer in answers {
                let spec = specs[begun];
                let look = |_| if looked_at.len() > 0 && has_options(spec) { looked_at.next() } else { None };
                is_over |= report(begun, self.conclude_creation(spec, answer, look));
                begun += 1;
            }
        }
    }

    /// Takes the answer to the message that creates a bridge. `look` looks at the bridge, for its options.
    fn conclude_creation(
        &self,
        spec: &BridgeSpec,
        answer: Result<Option<InterfaceIndex>, Failure>,
        look: impl FnOnce(InterfaceIndex) -> Option<Found>,
    ) -> Outcome {
        match answer {
            Ok(Some(index)) => {
                let identity = identity(spec, index);
                match look(index) {
                    None => Outcome::Done(Made::Bridge(identity)),
                    Some(found) => check_options(spec, identity, found),
                }
            }
            Ok(None) => self.identify(spec),
            Err(Failure::Refused(errno, text)) => {
                let cause = self.cause_of_refusal(spec, errno, text.as_deref());
                Outcome::Refused(cause.error(at(spec), errno, text))
            }
            Err(failure) => Outcome::unclear(error(at(spec), failure)),
        }
    }

    /// Finds a bridge that was just created, without an echo: by its name and the MAC of its spec. A bridge without
    /// a MAC that takes the name in between cannot be told from it.
    fn identify(&self, spec: &BridgeSpec) -> Outcome {
        match self.look_for(spec.name.into()) {
            Ok(Some(link)) if link.is_bridge && spec.mac.is_none_or(|mac| link.mac == Some(mac.into())) => {
                check_options(spec, link.identity(), Ok(Some(link)))
            }
            Ok(_) => Outcome::Refused(self.lost(spec)),
            Err(failure) => Outcome::unclear(error(at(spec), failure)),
        }
    }

    /// The error when another process has deleted or renamed the new bridge. Its MAC shows a renamed one, but is no
    /// proof: a bridge of another process may have the same MAC. So it is named, and not deleted.
    fn lost(&self, spec: &BridgeSpec) -> Error {
        let gone = || at(spec).means(ErrorKind::NotFound, Errno::ENODEV);
        let is_it = |state: &BridgeState| spec.mac.is_some_and(|mac| state.mac == mac);
        let renamed = self.read_bridges().ok().and_then(|all| all.into_iter().find(is_it));
        match renamed {
            Some(bridge) => gone().rolled_back(Err(gone()), format_args!("bridge {}", bridge.name)),
            None => gone(),
        }
    }

    fn cause_of_refusal(&self, spec: &BridgeSpec, errno: Errno, text: Option<&str>) -> Cause {
        // Which interface has the name matters more than what else is wrong, as on the other backends.
        let name_taken = || match self.look_for(spec.name.into()) {
            Ok(Some(link)) if !link.is_bridge => Some(ErrorKind::NameInUse),
            Ok(Some(_)) => Some(ErrorKind::BridgeExists),
            // It has vanished since. The caller wants a bridge of this name.
            _ => (errno == Errno::EEXIST).then_some(ErrorKind::BridgeExists),
        };
        match errno {
            Errno::EEXIST | Errno::EPERM => name_taken().unwrap_or(ErrorKind::of(errno)).into(),
            Errno::EINVAL if spec.mtu.is_some_and(|mtu| !BRIDGE_MTU.contains(&mtu)) => {
                ErrorKind::InvalidMtu.into()
            }
            // The kernel has no driver of this kind, and could load none.
            Errno::EOPNOTSUPP if text == Some("Unknown device type") => ErrorKind::NoDriver.into(),
            _ => match Cause::of_options(errno, spec.options.iter().map(BridgeOption::capability)) {
                // Kernels before 4.12 have no text for it.
                None if errno == Errno::EOPNOTSUPP => ErrorKind::NoDriver.into(),
                cause => cause.unwrap_or(ErrorKind::of(errno).into()),
            },
        }
    }
}

const fn identity(spec: &BridgeSpec, index: InterfaceIndex) -> Identity {
    Identity::new(spec.name, index)
}

fn has_options(spec: &BridgeSpec) -> bool {
    spec.options != BridgeOptions::default()
}

/// Refuses a bridge whose kernel has ignored an option: it does not report an option that it does not know, or was
/// built without, such as multicast snooping.
fn check_options(spec: &BridgeSpec, bridge: Identity, found: Found) -> Outcome {
    let failed = |error: Error| Outcome::unclear_after(error, bridge);
    match found {
        Err(failure) => failed(error(at(spec), failure)),
        Ok(None) => Outcome::Refused(at(spec).means(ErrorKind::NotFound, Errno::ENODEV)),
        Ok(Some(link)) => match spec.options.iter().find(|&option| !knows(&link, option)) {
            None => Outcome::Done(Made::Bridge(bridge)),
            Some(option) => failed(at(spec).with(option.capability()).error(ErrorKind::Unsupported)),
        },
    }
}

fn knows(link: &Link, option: BridgeOption) -> bool {
    link.options.iter().any(|known| known.capability() == option.capability())
}
