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

use super::batch::Batch;
use super::link::Link;
use super::requests::{self, Filter};
use super::socket::Failure;
use super::{NetlinkBackend, as_bridge, error, found};
use crate::bulk;
use crate::error::Attempt;
use crate::{Bulk, BulkResult, Error, ErrorKind, InterfaceIndex, InterfaceName, Operation, Result, random};

/// How many bridges the kernel is told to delete in one go, unless it has to be all or nothing: no
/// other change of its network configuration gets its turn meanwhile.
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
pub(super) struct Doomed {
    at: Attempt,
    name: InterfaceName,
    index: InterfaceIndex,
    /// The group that it was in when it was looked at.
    group: u32,
}

impl Doomed {
    pub(super) fn new(at: Attempt, link: &Link) -> Self {
        Self { at, name: link.name, index: link.index, group: link.group }
    }

    /// What is left of it where it cannot be given its group back.
    fn left(&self) -> String {
        format!("bridge {}, in another group than {},", self.name, self.group)
    }

    fn vanished(&self) -> Error {
        self.at.means(ErrorKind::NotFound, Errno::ENODEV)
    }
}

impl NetlinkBackend {
    pub(super) fn delete_bridge(&self, bridge: InterfaceName) -> Result<()> {
        let at = Self::at(Operation::Delete).on(bridge);
        self.delete_one(Doomed::new(at, &self.bridge(at, bridge)?))
    }

    pub(super) fn delete_bridges(&self, bridges: &[InterfaceName], bulk: Bulk) -> BulkResult {
        let mut found = self.look_for(bridges.iter().copied(), |&name| requests::get_by_name(name));
        let mut seen = std::collections::HashSet::new();
        let looked_at = Batch::new(bulk, bridges).each(|&name| {
            let at = Self::at(Operation::Delete).on(name);
            let link = as_bridge(at, found.next().unwrap_or(Ok(None)))?;
            let doomed = Doomed::new(at, &link);
            // The second time it is no longer there.
            if seen.insert(link.index) { Ok(doomed) } else { Err(doomed.vanished()) }
        });
        // The kernel gives none back: those that are gone are done.
        self.delete_all(looked_at.ready()?).for_good().finish(bulk::no_undo)
    }

    /// Deletes bridges, in one go if it has to be all or nothing.
    pub(super) fn delete_all(&self, mut doomed: Batch<Doomed>) -> Batch<()> {
        let mut gone = Batch::numbered(doomed.bulk(), []);
        let at_once = match doomed.bulk() {
            Bulk::AllOrNothing => usize::MAX,
            Bulk::AsMuchAsPossible => AT_ONCE,
        };
        while doomed.items().len() > 0 {
            gone = gone.join(self.delete_together(doomed.split(at_once)));
        }
        gone.join(doomed.each(|_| Ok(())))
    }

    fn delete_one(&self, one: Doomed) -> Result<()> {
        let refusal = |errno, _: Option<&str>| ErrorKind::of(errno);
        self.execute(one.at, requests::delete(one.index), || self.is_deleted(one.index), refusal)
    }

    fn is_deleted(&self, index: InterfaceIndex) -> std::result::Result<bool, Failure> {
        Ok(found(self.indexed(index))?.is_none())
    }

    fn delete_together(&self, mut doomed: Batch<Doomed>) -> Batch<()> {
        if doomed.items().len() == 1 {
            return doomed.each(|one| self.delete_one(one));
        }
        for _ in 0..GROUP_TRIES {
            let group = match self.unused_group() {
                Ok(group) => group,
                Err(failure) => return doomed.each(|one| Err(error(one.at, failure.again()))),
            };
            let join = |one: &Doomed| requests::set_group(one.index, group);
            let conclude = |one: Doomed, outcome| self.conclude_grouping(&one, group, outcome).map(|()| one);
            let (joined, _) = self.act(doomed, join, conclude);
            if joined.is_over() || joined.items().len() == 0 {
                return self.leave(joined, group).without_items();
            }
            match self.is_of_these_alone(group, joined.items()) {
                Ok(true) => return self.delete_group(joined, group),
                Ok(false) => doomed = self.leave(joined, group),
                Err(failure) => {
                    return self.leave(joined, group).each(|one| Err(error(one.at, failure.again())));
                }
            }
        }
        doomed.each(|one| self.delete_one(one))
    }

    /// A group that no interface is in.
    fn unused_group(&self) -> std::result::Result<u32, Failure> {
        loop {
            // The kernel keeps it as an int, and `ip` takes no negative one.
            let group = u32::from_ne_bytes(random::bytes().map_err(Failure::Io)?) >> 1;
            // All are in group 0 from the start.
            if group != 0 && self.members(group)?.is_empty() {
                return Ok(group);
            }
        }
    }

    /// The interfaces in a group, by index.
    fn members(&self, group: u32) -> std::result::Result<Vec<Link>, Failure> {
        self.socket.dump(|| requests::dump(Filter::All), |link| link.group == group)
    }

    /// Whether these bridges, and nothing else, are in a group.
    fn is_of_these_alone<'a>(
        &self,
        group: u32,
        bridges: impl Iterator<Item = &'a Doomed>,
    ) -> std::result::Result<bool, Failure> {
        Ok(are_the_same(bridges.map(|one| one.index).collect(), &self.members(group)?))
    }

    /// Deletes the bridges that a group consists of, and alone those that have left it since that was seen.
    fn delete_group(&self, joined: Batch<Doomed>, group: u32) -> Batch<()> {
        let outcome = self.socket.execute(requests::delete_group(group));
        let indices: Vec<_> = joined.items().map(|one| one.index).collect();
        let mut left = self.look_for(indices, |&index| requests::get_by_index(index));
        joined.each(|one| {
            let outcome = match (&outcome, left.next().unwrap_or(Ok(None))) {
                // Where it cannot be looked at, the kernel's word for the group is taken for it.
                (Ok(()), Ok(None) | Err(_)) => Ok(()),
                // Someone has put it, or all of them (ENODEV), elsewhere; kernels before 4.1 delete no
                // groups (EINVAL, `rtnl_dellink()`).
                (Ok(()) | Err(Failure::Refused(Errno::EINVAL | Errno::ENODEV, _)), _) => {
                    self.socket.execute(requests::delete(one.index))
                }
                (Err(failure), _) => Err(failure.again()),
            };
            let refusal = |errno, _: Option<&str>| ErrorKind::of(errno);
            Self::conclude(one.at, outcome, || self.is_deleted(one.index), refusal).map_err(|failed| {
                match self.give_group_back(&one, group) {
                    Err(error) if error.kind() == ErrorKind::NotFound => failed,
                    outcome => failed.undone(outcome, one.left()),
                }
            })
        })
    }

    /// Takes bridges out of the group, and leaves those that cannot be with why.
    fn leave(&self, joined: Batch<Doomed>, group: u32) -> Batch<Doomed> {
        joined.each(|one| match self.give_group_back(&one, group) {
            Err(second) if second.kind() != ErrorKind::NotFound => {
                Err(one.at.error(ErrorKind::ListChanged).undone(Err(second), one.left()))
            }
            outcome => outcome.map(|()| one),
        })
    }

    /// Puts a bridge back into its former group, unless someone else has put it elsewhere.
    fn give_group_back(&self, one: &Doomed, group: u32) -> Result<()> {
        let now = self.indexed(one.index).map_err(|failure| error(one.at, failure))?;
        if now.group != group {
            return Ok(());
        }
        let outcome = self.socket.execute(requests::set_group(one.index, one.group));
        self.conclude_grouping(one, one.group, outcome)
    }

    fn conclude_grouping(
        &self,
        one: &Doomed,
        group: u32,
        outcome: std::result::Result<(), Failure>,
    ) -> Result<()> {
        let is_done = || Ok(self.indexed(one.index)?.group == group);
        Self::conclude(one.at, outcome, is_done, |errno, _| ErrorKind::of(errno))
    }
}

/// Whether the members of a group, which are in order, are bridges and have these indices.
fn are_the_same(mut bridges: Vec<InterfaceIndex>, members: &[Link]) -> bool {
    bridges.sort_unstable();
    members.iter().all(|link| link.is_bridge) && members.iter().map(|link| link.index).eq(bridges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::request::Request;

    /// An `RTM_NEWLINK` of an interface of this index and kind.
    fn member(number: u32, kind: &[u8]) -> Link {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&number.to_ne_bytes());
        let message = Request::new(0, 0, &header)
            .attribute(libc::IFLA_IFNAME, format!("br{number}\0").as_bytes())
            .attribute(libc::IFLA_MTU, &1500_u32.to_ne_bytes())
            .nested(libc::IFLA_LINKINFO, |info| info.attribute(libc::IFLA_INFO_KIND, kind));
        Link::decode(&message.into_bytes(0)[16..]).expect("well formed")
    }

    #[test]
    fn a_group_is_deleted_only_if_it_is_exactly_the_bridges() {
        let index = |number| InterfaceIndex::new(number).expect("not 0");
        let bridges = || vec![index(9), index(7)];
        let (one, other, more) = (member(7, b"bridge\0"), member(9, b"bridge\0"), member(11, b"bridge\0"));
        assert!(are_the_same(bridges(), &[one.clone(), other.clone()]));
        assert!(!are_the_same(bridges(), std::slice::from_ref(&one)));
        assert!(!are_the_same(bridges(), &[]));
        assert!(!are_the_same(bridges(), &[one.clone(), other, more.clone()]));
        assert!(!are_the_same(bridges(), &[one.clone(), more]));
        // Another interface has got the index of one that was deleted.
        assert!(!are_the_same(bridges(), &[one, member(9, b"veth\0")]));
    }
}
