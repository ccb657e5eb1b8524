//! Creating bridges: a message for each, several in one send.
//!
//! A bridge with an MTU takes a second message, which pins the MTU ([`requests::create_with_mtu`]). Both are in one
//! send, so the second cannot wait for the index that the kernel chooses, and the kernel carries it out even if it
//! refuses the first. By name, the second would then change the bridge that has the name. So the bridge is created
//! with a random index ([`chosen_index`]), and the second message names this index.

use std::hash::{BuildHasher, RandomState};

use nix::errno::Errno;

use super::options::of_messages;
use super::outcome::{Cause, Found, error};
use super::request::Request;
use super::socket::{Failure, Reply};
use super::{NetlinkBackend, options, requests};
use crate::error::Attempt;
use crate::linux::capabilities::BRIDGE_MTU;
use crate::setting::Setting;
use crate::{
    BridgeOption, BridgeSpec, BridgeState, Error, ErrorKind, Identity, InterfaceIndex, LinkState, Made, Operation,
    Outcome, Seen, Step, Target,
};

/// The lowest of the indices that are chosen at random. The kernel itself counts up from 1. All are below 2³⁰, since
/// sFlow has no room for higher ones.
const LOWEST_CHOSEN: u32 = 1 << 29;

fn at(spec: &BridgeSpec) -> Attempt {
    NetlinkBackend::at(Operation::Create).on(spec.name)
}

impl NetlinkBackend {
    /// Creates a bridge. The kernel tells its index in an echo of the message (`NLM_F_ECHO`, since 6.2).
    pub(super) fn create(&self, spec: &BridgeSpec) -> Outcome {
        let chosen = spec.mtu.map(|_| chosen_index(chance(), 0));
        let answer = match chosen {
            None => self.socket.execute_echoed(requests::create(spec)),
            Some(_) => self.socket.execute(request(spec, chosen)).map(|()| None),
        };
        let created = self.conclude_creation(spec, chosen, answer, |index| {
            // Without options, nothing else of it is wanted.
            if has_options(spec) { Some(self.look_for(self::identity(spec, index).into())) } else { None }
        });
        if spec.host_ipv6().is_none() {
            return created;
        }
        let mut created = [created];
        self.finish(&[spec], &mut created);
        let [outcome] = created;
        outcome
    }

    /// Creates many bridges whose files are to be written before they go up.
    pub(super) fn create_with_files(
        &self,
        steps: &[(&Step, Seen)],
        report: &mut dyn FnMut(usize, Outcome) -> bool,
    ) {
        let mut created = Vec::with_capacity(steps.len());
        self.create_all(steps, &mut |_, outcome| {
            created.push(outcome);
            false
        });
        self.finish(&specs(steps), &mut created);
        for (place, outcome) in created.into_iter().enumerate() {
            report(place, outcome);
        }
    }

    /// Writes the files of bridges that were created down for that, and sets the bridges up. If the process dies
    /// before, they stay down.
    fn finish(&self, specs: &[&BridgeSpec], created: &mut [Outcome]) {
        let mut ready = Vec::new();
        for (place, (spec, outcome)) in specs.iter().zip(created.iter_mut()).enumerate() {
            let (Some(to), &Outcome::Done(Made::Bridge(bridge))) = (spec.host_ipv6(), &*outcome) else { continue };
            match self.host_ipv6.set(at(spec), &self.namespace, bridge, to) {
                // What it has left goes with the bridge.
                Err(error) => *outcome = Outcome::unclear_after(error.take_left().0, bridge),
                Ok(()) if spec.link == LinkState::Up => ready.push((place, bridge)),
                Ok(()) => {}
            }
        }
        let set_up = |(_, bridge): &(_, Identity)| requests::set(bridge.index(), Setting::Link(LinkState::Up));
        for (&(place, bridge), answer) in ready.iter().zip(self.execute_all(&ready, set_up)) {
            if let Err(failure) = answer {
                created[place] = Outcome::unclear_after(error(at(specs[place]), failure), bridge);
            }
        }
    }

    /// Creates many bridges.
    pub(super) fn create_all(&self, steps: &[(&Step, Seen)], report: &mut dyn FnMut(usize, Outcome) -> bool) {
        let specs = specs(steps);
        let chance = chance();
        let chosen = |place: usize| specs[place].mtu.map(|_| chosen_index(chance, place));
        let mut begun = 0;
        let mut is_over = false;
        while begun < specs.len() && !is_over {
            let requests = (begun..specs.len()).map(|place| request(specs[place], chosen(place)));
            let answers = self.socket.exchange_some::<Reply>(requests);
            let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(Reply::echo)).collect();
            let with_options: Vec<Target> = (begun..)
                .zip(&answers)
                .filter(|&(place, _)| has_options(specs[place]))
                .filter_map(|(place, answer)| {
                    let index = chosen(place).or(*answer.as_ref().ok()?)?;
                    Some(self::identity(specs[place], index).into())
                })
                .collect();
            let mut looked_at = self.find_all(&with_options).into_iter();
            for answer in answers {
                let spec = specs[begun];
                let look = |_| if looked_at.len() > 0 && has_options(spec) { looked_at.next() } else { None };
                is_over |= report(begun, self.conclude_creation(spec, chosen(begun), answer, look));
                begun += 1;
            }
        }
    }

    /// Takes the answer to the request that creates a bridge. `chosen` is the index that the request asks for. `look`
    /// looks at the bridge, for its options.
    fn conclude_creation(
        &self,
        spec: &BridgeSpec,
        chosen: Option<InterfaceIndex>,
        answer: Result<Option<InterfaceIndex>, Failure>,
        look: impl FnOnce(InterfaceIndex) -> Option<Found>,
    ) -> Outcome {
        let failed = |error: Error| match chosen {
            Some(index) => Outcome::unclear_after(error, identity(spec, index)),
            None => Outcome::unclear(error),
        };
        match answer {
            Ok(echoed) => match chosen.or(echoed) {
                Some(index) => {
                    let identity = identity(spec, index);
                    match look(index) {
                        None => Outcome::Done(Made::Bridge(identity)),
                        Some(found) => check_options(spec, identity, found),
                    }
                }
                None => self.identify(spec),
            },
            Err(Failure::Refused(errno, text)) => {
                let cause = self.cause_of_refusal(spec, errno, text.as_deref());
                let error = cause.error(at(spec), errno, text);
                match chosen {
                    // The second message was refused, not the first.
                    Some(index) if !self.is_gone(index) => failed(error),
                    _ => Outcome::Refused(error),
                }
            }
            Err(failure) => failed(error(at(spec), failure)),
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
                name_taken().unwrap_or(ErrorKind::InvalidMtu).into()
            }
            // The kernel has no driver of this kind, and could load none.
            Errno::EOPNOTSUPP if text == Some("Unknown device type") => ErrorKind::NoDriver.into(),
            _ => match Cause::of_options(errno, of_messages(&spec.options).map(BridgeOption::capability)) {
                // Kernels before 4.12 have no text for it.
                None if errno == Errno::EOPNOTSUPP => ErrorKind::NoDriver.into(),
                cause => cause.unwrap_or(ErrorKind::of(errno).into()),
            },
        }
    }
}

fn specs<'s>(steps: &[(&'s Step, Seen)]) -> Vec<&'s BridgeSpec> {
    let spec = |&(step, _): &(&'s Step, Seen)| if let Step::Create(spec) = step { Some(spec) } else { None };
    steps.iter().filter_map(spec).collect()
}

/// The messages that create a bridge, with the index that was chosen for one with an MTU.
fn request(spec: &BridgeSpec, chosen: Option<InterfaceIndex>) -> Request {
    match (spec.mtu, chosen) {
        (Some(mtu), Some(index)) => requests::create_with_mtu(spec, mtu, index),
        _ => requests::create(spec),
    }
}

/// A number to choose indices by.
fn chance() -> u64 {
    RandomState::new().hash_one(())
}

/// The index for the bridge at this place of many, one of 2²⁹.
///
/// If another bridge has the index, the kernel refuses to create this one, and the second message gives the other
/// bridge its MTU. Only bridges that were created here with an MTU have such indices: among 1,000 of them, this
/// happens to one creation in 500,000.
fn chosen_index(chance: u64, place: usize) -> InterfaceIndex {
    let [.., a, b, c, d] = chance.wrapping_add(place as u64).to_be_bytes();
    let low = u32::from_be_bytes([a, b, c, d]) % LOWEST_CHOSEN;
    InterfaceIndex::new(LOWEST_CHOSEN | low).expect("it is not 0")
}

const fn identity(spec: &BridgeSpec, index: InterfaceIndex) -> Identity {
    Identity::new(spec.name, index)
}

fn has_options(spec: &BridgeSpec) -> bool {
    options::any_of_messages(&spec.options)
}

/// Refuses a bridge whose kernel has ignored an option: it does not report an option that it does not know, or was
/// built without, such as multicast snooping.
fn check_options(spec: &BridgeSpec, bridge: Identity, found: Found) -> Outcome {
    let failed = |error: Error| Outcome::unclear_after(error, bridge);
    match found {
        Err(failure) => failed(error(at(spec), failure)),
        Ok(None) => Outcome::Refused(at(spec).means(ErrorKind::NotFound, Errno::ENODEV)),
        Ok(Some(link)) => {
            match of_messages(&spec.options).find(|&option| !options::knows(&link.options, option)) {
                None => Outcome::Done(Made::Bridge(bridge)),
                Some(option) => failed(at(spec).with(option.capability()).error(ErrorKind::Unsupported)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer that the second message of a creation was refused, with the index of an interface that is there,
    /// and with one that is not.
    #[test]
    fn a_refused_mtu_leaves_a_bridge_to_delete() {
        let backend = NetlinkBackend::open().expect("every Linux has netlink");
        let spec = BridgeSpec::new("br0".parse().expect("a name")).mtu(1400);
        let conclude = |index| {
            let refused = Err(Failure::Refused(Errno::ENOMEM, None));
            backend.conclude_creation(&spec, Some(index), refused, |_| None)
        };
        let loopback = InterfaceIndex::new(1).expect("not 0");
        let Outcome::Unclear { made, .. } = conclude(loopback) else { panic!("it is there") };
        assert_eq!(made, Some(identity(&spec, loopback)));
        assert!(matches!(conclude(chosen_index(chance(), 0)), Outcome::Refused(_)));
    }

    #[test]
    fn no_two_of_many_have_one_index() {
        for chance in [0, u64::from(LOWEST_CHOSEN) - 2, u64::MAX - 1] {
            let indices: Vec<u32> = (0..4).map(|place| chosen_index(chance, place).get()).collect();
            let (first, last) = indices.split_first().expect("four");
            assert!(indices.iter().all(|index| (LOWEST_CHOSEN..2 * LOWEST_CHOSEN).contains(index)));
            assert!(!last.contains(first) && indices.is_sorted_by(|a, b| a != b), "{indices:?}");
        }
    }
}
