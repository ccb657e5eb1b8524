//! Deleting bridges: one by its index, many by a group of their own.
//!
//! To delete an interface the kernel waits, under the lock of all its network configuration (RTNL),
//! until nobody can be using it any more. It deletes a group in one go, with most of that waiting
//! done once for all (`rtnl_group_dellink()` and `unregister_netdevice_many()`, `net/core`). A group
//! is a number that an interface bears, and that does nothing by itself; nor does it tell a bridge
//! from anything else. Therefore:
//!
//! 1. The bridges are put into a group of a random number that no interface bears.
//! 2. Who is in the group is read: it must be these bridges and nothing else. If anything else is, the
//!    bridges get their former groups back, and another number is tried.
//! 3. The group is deleted.
//!
//! 4. Each bridge is looked for: one that has left the group meanwhile is still there, and is deleted alone.
//!
//! What joins between 2 and 3 is deleted with the bridges, since the kernel can be told no more than
//! the number: whoever does that has guessed one of 2³¹, or has seen it in the moment between and
//! means it. If the process dies between 1 and 3, the bridges are left in the group, which does
//! nothing.

use nix::errno::Errno;

use super::link::Link;
use super::outcome::{conclude, error};
use super::requests::{self, Filter};
use super::socket::Failure;
use super::{NetlinkBackend, look};
use crate::error::Attempt;
use crate::{ErrorKind, Identity, InterfaceIndex, Outcome, Seen, Step, Target, random};

/// How many bridges the kernel is told to delete in one call: no other change of its network configuration happens
/// meanwhile.
///
/// Time for each bridge, as a part of what it takes to delete one alone (34 ms), and time for the
/// group; Linux 6.18 with two processors, 5 rounds, medians:
///
/// | bridges | 1 | 8 | 16 | 32 | 64 | 128 | 256 |
/// |---|---|---|---|---|---|---|---|
/// | part | 1.14 | 0.56 | 0.57 | 0.51 | 0.50 | 0.47 | 0.48 |
/// | seconds | 0.04 | 0.15 | 0.30 | 0.57 | 1.1 | 2.1 | 4.3 |
const AT_ONCE: usize = 64;

/// How many numbers are tried for a group that others join.
const GROUP_TRIES: usize = 4;

/// A bridge that is to be deleted.
#[derive(Debug, Clone, Copy)]
struct Doomed {
    place: usize,
    at: Attempt,
    bridge: Identity,
}

/// What groups need to know of an interface.
#[derive(Debug, Clone, Copy)]
struct Member {
    index: InterfaceIndex,
    group: u32,
    is_bridge: bool,
}

impl From<&Link> for Member {
    fn from(link: &Link) -> Self {
        Self { index: link.index, group: link.group, is_bridge: link.is_bridge }
    }
}

impl NetlinkBackend {
    /// Deletes bridges, as many in one call as the lock may be held for.
    pub(super) fn delete_all(&self, steps: &[(&Step, Seen)], report: &mut dyn FnMut(usize, Outcome) -> bool) {
        let doomed = steps.iter().enumerate().map(|(place, (step, seen))| Doomed {
            place,
            at: step.attempt(Self::NAME),
            bridge: look::interface_of(seen),
        });
        for group in doomed.collect::<Vec<_>>().chunks(AT_ONCE) {
            let mut is_over = false;
            for (one, outcome) in group.iter().zip(self.delete_together(group)) {
                is_over |= report(one.place, outcome);
            }
            if is_over {
                break;
            }
        }
    }

    /// Deletes one bridge.
    pub(super) fn delete_one(&self, at: Attempt, bridge: Identity) -> Outcome {
        conclude(at, self.socket.execute(requests::delete(bridge.index())), |errno, _| ErrorKind::of(errno))
    }

    fn delete_together(&self, doomed: &[Doomed]) -> Vec<Outcome> {
        if doomed.len() > 1 {
            for _ in 0..GROUP_TRIES {
                match self.delete_as_group(doomed) {
                    Ok(Some(outcomes)) => return outcomes,
                    // Others have joined the group: another number is tried.
                    Ok(None) => {}
                    Err(failure) => {
                        let failed = |one: &Doomed| Outcome::Refused(error(one.at, failure.again()));
                        return doomed.iter().map(failed).collect();
                    }
                }
            }
        }
        doomed.iter().map(|one| self.delete_one(one.at, one.bridge)).collect()
    }

    /// Deletes bridges by a group of their own; `None` if others have joined it.
    fn delete_as_group(&self, doomed: &[Doomed]) -> std::result::Result<Option<Vec<Outcome>>, Failure> {
        // The groups that are in use, and the bridges' own.
        let all = self.members(|_| true)?;
        let group = unused_group(&all).map_err(Failure::Io)?;
        let answers = self.execute_all(doomed, |one| requests::set_group(one.bridge.index(), group));
        let refused = |(one, answer): (&Doomed, std::result::Result<(), Failure>)| match answer {
            Err(failure @ Failure::Refused(..)) => Some(Outcome::Refused(error(one.at, failure))),
            // Where the answer was lost, the list of members tells.
            Ok(()) | Err(_) => None,
        };
        let mut outcomes: Vec<Option<Outcome>> = doomed.iter().zip(answers).map(refused).collect();
        let joined = doomed.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_none());
        let joined: Vec<_> = joined.map(|(one, _)| one.bridge.index()).collect();
        let was_refused: Vec<bool> = outcomes.iter().map(Option::is_some).collect();
        let is_theirs = self.members(|member| member.group == group).map(|members| are_the_same(joined, &members));
        if let Ok(true) = is_theirs {
            self.delete_group(doomed, group, &mut outcomes);
        }
        // Whatever is left of those that have joined gets its former group.
        let is_left = |place: &usize| !was_refused[*place] && !matches!(outcomes[*place], Some(Outcome::Done(_)));
        let left: Vec<usize> = (0..doomed.len()).filter(is_left).collect();
        let former = |&place: &usize| {
            let index = doomed[place].bridge.index();
            let known = all.binary_search_by_key(&index, |member| member.index);
            requests::set_group(index, known.map_or(0, |known| all[known].group))
        };
        let mut stay = false;
        for (&place, answer) in left.iter().zip(self.execute_all(&left, former)) {
            let one = &doomed[place];
            let (outcome, cause): (fn(_) -> _, _) = match (outcomes[place].take(), &is_theirs) {
                (Some(Outcome::Unclear { error, .. }), _) => (Outcome::unclear, error),
                (Some(Outcome::Refused(error)), _) => (Outcome::Refused, error),
                (_, Err(failure)) => (Outcome::Refused, error(one.at, failure.again())),
                _ => (Outcome::Refused, one.at.error(ErrorKind::ListChanged)),
            };
            outcomes[place] = Some(outcome(match answer {
                // Nothing is left of one that has gone.
                Ok(()) | Err(Failure::Refused(Errno::ENODEV, _)) => cause,
                Err(failure) => {
                    stay = true;
                    cause.rolled_back(Err(error(one.at, failure)), format_args!("group {group} of {}", one.bridge))
                }
            }));
        }
        if matches!(is_theirs, Ok(false)) && !stay {
            return Ok(None);
        }
        Ok(Some(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::DONE)).collect()))
    }

    /// Deletes the bridges that a group consists of, and alone those that have left it since.
    fn delete_group(&self, doomed: &[Doomed], group: u32, outcomes: &mut [Option<Outcome>]) {
        let deleted = self.socket.execute(requests::delete_group(group));
        let joined: Vec<_> = (0..doomed.len()).filter(|&place| outcomes[place].is_none()).collect();
        let targets: Vec<Target> = joined.iter().map(|&place| doomed[place].bridge.into()).collect();
        for (place, left) in joined.into_iter().zip(self.find_all(&targets)) {
            let one = &doomed[place];
            outcomes[place] = Some(match (&deleted, left) {
                // Where it cannot be looked at, the kernel's word for the group is taken for it.
                (Ok(()), Ok(None) | Err(_)) => Outcome::DONE,
                // Someone has put it, or all of them (ENODEV), elsewhere; kernels before 4.1 delete no
                // groups (EINVAL, `rtnl_dellink()`).
                (Ok(()) | Err(Failure::Refused(Errno::EINVAL | Errno::ENODEV, _)), _) => {
                    self.delete_one(one.at, one.bridge)
                }
                (Err(failure), _) => conclude(one.at, Err(failure.again()), |errno, _| ErrorKind::of(errno)),
            });
        }
    }

    /// Reads what groups need to know of interfaces, by index.
    fn members(&self, keep: impl Fn(&Member) -> bool) -> std::result::Result<Vec<Member>, Failure> {
        let links = self.socket.dump(|| requests::dump(Filter::All), |link| keep(&link.into()))?;
        Ok(links.iter().map(Member::from).collect())
    }

    /// Has the kernel do something for each item, many in one send.
    pub(super) fn execute_all<T>(
        &self,
        items: &[T],
        request: impl Fn(&T) -> super::request::Request,
    ) -> Vec<std::result::Result<(), Failure>> {
        let mut answers = Vec::with_capacity(items.len());
        while answers.len() < items.len() {
            answers.extend(self.socket.exchange_some::<()>(items[answers.len()..].iter().map(&request)));
        }
        answers
    }
}

/// Returns a group that no interface is in.
fn unused_group(all: &[Member]) -> std::io::Result<u32> {
    loop {
        // The kernel keeps it as an int, and `ip` takes no negative one.
        let group = u32::from_ne_bytes(random::bytes()?) >> 1;
        // All are in group 0 from the start.
        if group != 0 && all.iter().all(|link| link.group != group) {
            return Ok(group);
        }
    }
}

/// Whether the members of a group, which are in order, are bridges and have these indices.
fn are_the_same(mut bridges: Vec<InterfaceIndex>, members: &[Member]) -> bool {
    bridges.sort_unstable();
    members.iter().all(|link| link.is_bridge) && members.iter().map(|link| link.index).eq(bridges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::request::Request;

    /// An `RTM_NEWLINK` of an interface of this index and kind.
    fn member(number: u32, kind: &[u8]) -> Member {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&number.to_ne_bytes());
        let message = Request::new(0, 0, &header)
            .attribute(libc::IFLA_IFNAME, format!("br{number}\0").as_bytes())
            .attribute(libc::IFLA_MTU, &1500_u32.to_ne_bytes())
            .nested(libc::IFLA_LINKINFO, |info| info.attribute(libc::IFLA_INFO_KIND, kind));
        Member::from(&Link::decode(&message.into_bytes(0)[16..]).expect("well formed"))
    }

    #[test]
    fn a_group_is_deleted_only_if_it_is_exactly_the_bridges() {
        let index = |number| InterfaceIndex::new(number).expect("not 0");
        let bridges = || vec![index(9), index(7)];
        let (one, other, more) = (member(7, b"bridge\0"), member(9, b"bridge\0"), member(11, b"bridge\0"));
        assert!(are_the_same(bridges(), &[one, other]));
        assert!(!are_the_same(bridges(), std::slice::from_ref(&one)));
        assert!(!are_the_same(bridges(), &[]));
        assert!(!are_the_same(bridges(), &[one, other, more]));
        assert!(!are_the_same(bridges(), &[one, more]));
        // Another interface has got the index of one that was deleted.
        assert!(!are_the_same(bridges(), &[one, member(9, b"veth\0")]));
    }
}
