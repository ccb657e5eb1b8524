//! VLANs on ports, which bridges tell apart from FreeBSD 15 on.
//!
//! Read in `net/if_bridge.c` of FreeBSD 15 (`bridge_vfilter_in`, `bridge_vfilter_out`,
//! `bridge_enqueue`), and not tried on a running one. A port has one VLAN without a tag, its PVID,
//! and a set of those with one: their frames come in with their tag and leave with it. Frames of
//! the PVID always leave without one; if it is in the set as well, they may come in with one, too.

use std::collections::BTreeSet;

use libc::{c_int, c_ulong};
use nix::errno::Errno;

use super::abi15::{self, VlanBits};
use super::backend::{FreeBsdBackend, in_order};
use super::bridge_ioctl::NO_VLANS;
use super::port::NOT_A_PORT;
use crate::error::{Attempt, CallResult};
use crate::{
    Capability, ErrorKind, Identity, Operation, Outcome, PortVlans, Result, SeenVlans, Target, VlanId, VlanRange,
    VlanTagging, vlan,
};

/// What a kernel can do that tells VLANs apart.
pub(super) const CAPABILITIES: &[Capability] =
    &[Capability::VlanFiltering, Capability::DefaultPvid, Capability::PortVlans];

/// The first version (`__FreeBSD_version`) with all of these commands.
const SINCE: c_int = 1_500_057;

/// The VLANs of a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Vlans {
    pvid: Option<VlanId>,
    tagged: BTreeSet<VlanId>,
}

/// What the kernel changes in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Pvid(Option<VlanId>),
    Tag(BTreeSet<VlanId>),
    Untag(BTreeSet<VlanId>),
}

impl Vlans {
    /// In order, those in a row with the same tagging as one range.
    fn ranges(&self) -> Vec<PortVlans> {
        let tagged = self.tagged.iter().filter(|&&id| Some(id) != self.pvid);
        let tagged = tagged.map(|&id| PortVlans::new(id.into(), VlanTagging::Tagged));
        let pvid = self.pvid.map(|id| PortVlans::new(id.into(), VlanTagging::Pvid));
        vlan::merged(tagged.chain(pvid).collect())
    }

    /// What makes these pass with their tag, and no longer without.
    fn tag(&self, range: VlanRange) -> Vec<Step> {
        let tagged = Step::Tag(range.iter().filter(|id| !self.tagged.contains(id)).collect());
        let not_pvid = self.pvid.filter(|&pvid| range.contains(pvid)).map(|_| Step::Pvid(None));
        worthwhile([Some(tagged), not_pvid])
    }

    /// What makes this one the PVID, and its frames pass with a tag no longer.
    fn make_pvid(&self, id: VlanId) -> Vec<Step> {
        let pvid = (self.pvid != Some(id)).then_some(Step::Pvid(Some(id)));
        worthwhile([pvid, Some(self.untag(id.into()))])
    }

    fn remove(&self, range: VlanRange) -> Vec<Step> {
        let not_pvid = self.pvid.filter(|&pvid| range.contains(pvid)).map(|_| Step::Pvid(None));
        worthwhile([Some(self.untag(range)), not_pvid])
    }

    fn untag(&self, range: VlanRange) -> Step {
        Step::Untag(self.tagged.iter().copied().filter(|&id| range.contains(id)).collect())
    }
}

fn worthwhile(steps: [Option<Step>; 2]) -> Vec<Step> {
    let does_nothing = |step: &Step| matches!(step, Step::Tag(set) | Step::Untag(set) if set.is_empty());
    steps.into_iter().flatten().filter(|step| !does_nothing(step)).collect()
}

impl FreeBsdBackend {
    /// Whether the kernel tells VLANs apart.
    ///
    /// Only a bridge can be asked. While there is none, the version that the kernel tells has to do:
    /// that of a jail may be made up (`osreldate` in jail(8)). Where it claims too much, the bridge
    /// says so when there is one, and what was asked for is `Unsupported` all the same.
    pub(super) fn has_vlans(&self) -> bool {
        if let Some(&known) = self.has_vlans.get() {
            return known;
        }
        let bridges = self.bridges(Self::at(Operation::Find)).unwrap_or_default();
        match bridges.into_keys().find_map(|bridge| self.control.bridge_flags(bridge).ok()) {
            Some(flags) => *self.has_vlans.get_or_init(|| flags.is_some()),
            None => self.version >= SINCE,
        }
    }

    /// The VLANs of a port of a bridge, in order.
    pub(super) fn port_vlans(&self, at: Attempt, bridge: Target, port: Target) -> Result<Vec<PortVlans>> {
        let seen = self.seen_vlans(at, bridge, port)?;
        if seen.is_port { Ok(seen.vlans) } else { Err(at.error(ErrorKind::NotAPort)) }
    }

    /// What a step on VLANs is about.
    pub(super) fn seen_vlans(&self, at: Attempt, bridge: Target, port: Target) -> Result<SeenVlans> {
        let find = || self.bridge_and_port(at, bridge, port);
        self.read(at, find, |[bridge, port]| {
            let vlans = self.vlans_of(at, bridge, port)?;
            let mut seen = SeenVlans::new(bridge, port, Vec::new());
            seen.is_port = vlans.is_some();
            seen.vlans = vlans.unwrap_or_default().ranges();
            Ok(seen)
        })
    }

    pub(super) fn let_through(&self, at: Attempt, seen: &SeenVlans, asked: PortVlans) -> Result<Outcome> {
        match asked.tagging {
            VlanTagging::Tagged => self.change_vlans(at, seen, |before| before.tag(asked.vlans)),
            VlanTagging::Pvid => self.change_vlans(at, seen, |before| before.make_pvid(asked.vlans.first())),
            VlanTagging::Untagged | VlanTagging::PvidTagged => {
                Err(at.with(Capability::UntaggedVlans).error(ErrorKind::Unsupported))
            }
        }
    }

    pub(super) fn let_no_longer_through(
        &self,
        at: Attempt,
        seen: &SeenVlans,
        vlans: VlanRange,
    ) -> Result<Outcome> {
        self.change_vlans(at, seen, |before| before.remove(vlans))
    }

    /// The VLANs of an interface; `None` if it is no port of the bridge.
    fn vlans_of(&self, at: Attempt, bridge: Identity, port: Identity) -> Result<Option<Vlans>> {
        let (bridge, port) = (bridge.name(), port.name());
        if self.control.bridge_flags(bridge).at(at)?.is_none() {
            return Err(at.with(Capability::PortVlans).error(ErrorKind::Unsupported));
        }
        let read = || {
            let pvid = self.control.pvid(bridge, port)?;
            let tagged = self.control.tagged_vlans(bridge, port)?;
            Ok(Vlans { pvid: VlanId::new(pvid).ok(), tagged: decode(&tagged) })
        };
        read().unless(Errno::ENOENT).at(at)
    }

    /// Takes steps from the VLANs that a port has. What was seen would not do for them: a VLAN that is the PVID
    /// and has a tag, too, is the PVID there.
    fn change_vlans(
        &self,
        at: Attempt,
        seen: &SeenVlans,
        steps: impl FnOnce(&Vlans) -> Vec<Step>,
    ) -> Result<Outcome> {
        let [bridge, port] = self.bridge_and_port(at, seen.bridge.into(), seen.port.into())?;
        let before = self.vlans_of(at, bridge, port)?.ok_or_else(|| at.error(ErrorKind::NotAPort))?;
        Ok(in_order(steps(&before).iter().map(|step| {
            let on = self.verified_port(at, seen.bridge, seen.port)?;
            let taken = match step {
                Step::Pvid(pvid) => self.control.set_pvid(on, pvid.map_or(0, VlanId::get)),
                Step::Tag(set) => self.control.change_vlans(on, abi15::BRDG_VLAN_OP_ADD, &encode(set)),
                Step::Untag(set) => self.control.change_vlans(on, abi15::BRDG_VLAN_OP_DEL, &encode(set)),
            };
            taken.meaning(at, NOT_A_PORT)
        })))
    }
}

/// The bit of a VLAN: its word, and its place in that.
fn bit(id: VlanId) -> (usize, c_ulong) {
    let (bits, id) = (c_ulong::BITS as usize, usize::from(id.get()));
    (id / bits, 1 << (id % bits))
}

fn encode(set: &BTreeSet<VlanId>) -> VlanBits {
    let mut words = NO_VLANS;
    for (word, bit) in set.iter().copied().map(bit) {
        words[word] |= bit;
    }
    words
}

fn decode(words: &VlanBits) -> BTreeSet<VlanId> {
    let all = (VlanId::MIN.get()..=VlanId::MAX.get()).filter_map(|number| VlanId::new(number).ok());
    all.filter(|&id| {
        let (word, bit) = bit(id);
        words[word] & bit != 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u16) -> VlanId {
        VlanId::new(number).expect("a VLAN")
    }

    fn range(text: &str) -> VlanRange {
        text.parse().expect("VLANs")
    }

    fn vlans(pvid: Option<u16>, tagged: &[&str]) -> Vlans {
        Vlans { pvid: pvid.map(id), tagged: tagged.iter().flat_map(|text| range(text).iter()).collect() }
    }

    impl Vlans {
        /// What the kernel has after these steps (`bridge_ioctl_sifpvid`, `bridge_ioctl_sifvlanset`).
        fn after(&self, steps: &[Step]) -> Self {
            steps.iter().fold(self.clone(), |mut now, step| {
                match step {
                    Step::Pvid(pvid) => now.pvid = *pvid,
                    Step::Tag(set) => now.tagged.extend(set),
                    Step::Untag(set) => now.tagged.retain(|id| !set.contains(id)),
                }
                now
            })
        }
    }

    #[test]
    fn a_vlan_is_a_bit_of_a_word() {
        let words = encode(&[id(1), id(63), id(64), id(4094)].into());
        if c_ulong::BITS == 64 {
            assert_eq!((words[0], words[1], words[63]), (1 << 63 | 2, 1, 1 << 62));
        }
        // As bytes they are the same whatever the length of a word, where the lowest comes first.
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!((bytes[0], bytes[7], bytes[8], bytes[511]), (2, 0x80, 1, 0x40));
        assert_eq!(bytes.iter().filter(|&&byte| byte != 0).count(), 4);
    }

    #[test]
    fn what_no_vlan_has_is_skipped() {
        assert_eq!(decode(&NO_VLANS.map(|_| c_ulong::MAX)).len(), 4094);
    }

    #[test]
    fn lists_ranges_with_the_pvid_as_one_without_a_tag() {
        let tagged = |text| PortVlans::new(range(text), VlanTagging::Tagged);
        let pvid = PortVlans::new(range("12"), VlanTagging::Pvid);
        let expected = [tagged("2"), tagged("10-11"), pvid, tagged("13-20")];
        assert_eq!(vlans(Some(12), &["2", "10-20"]).ranges(), expected);
        assert_eq!(vlans(Some(12), &["2", "10-11", "13-20"]).ranges(), expected);
        assert_eq!(vlans(None, &[]).ranges(), []);
    }

    #[test]
    fn a_vlan_passes_with_a_tag_or_without() {
        let before = vlans(Some(7), &["10-12"]);
        let tagged = before.after(&before.tag(range("5-10")));
        assert_eq!(tagged, vlans(None, &["5-12"]));
        let access = before.after(&before.make_pvid(id(11)));
        assert_eq!(access, vlans(Some(11), &["10", "12"]));
        assert_eq!(before.after(&before.remove(range("1-10"))), vlans(None, &["11-12"]));
    }

    #[test]
    fn nothing_is_done_that_is_done() {
        let before = vlans(Some(7), &["10-12"]);
        assert_eq!(before.tag(range("10-11")), []);
        assert_eq!(before.make_pvid(id(7)), []);
        assert_eq!(before.remove(range("13-20")), []);
    }

    proptest! {
        #[test]
        fn bits_come_back(set in proptest::collection::btree_set(1_u16..=4094, 0..50)) {
            let set: BTreeSet<_> = set.into_iter().map(id).collect();
            prop_assert_eq!(decode(&encode(&set)), set);
        }

        /// Whatever was there, also what others than this crate make, and after any step.
        #[test]
        fn steps_lead_where_they_should(
            tagged in proptest::collection::btree_set(1_u16..40, 0..20),
            pvid in proptest::option::of(1_u16..40),
            first in 1_u16..40,
            more in 0_u16..10,
        ) {
            let before = Vlans { pvid: pvid.map(id), tagged: tagged.into_iter().map(id).collect() };
            let range = VlanRange::new(id(first), id(first + more)).expect("in order");
            let each = |vlans: &Vlans, id| {
                let of = vlans.ranges().into_iter().find(|one| one.vlans.contains(id));
                of.map(|one| one.tagging)
            };
            let plans = [
                (before.tag(range), range, Some(VlanTagging::Tagged)),
                (before.make_pvid(range.first()), range.first().into(), Some(VlanTagging::Pvid)),
                (before.remove(range), range, None),
            ];
            for (steps, range, tagging) in plans {
                let now = before.after(&steps);
                prop_assert!(range.iter().all(|id| each(&now, id) == tagging));
                let others = (1..60).map(id).filter(|&id| !range.contains(id));
                // There is one PVID: the former one is none any longer.
                let former = |id| tagging == Some(VlanTagging::Pvid) && before.pvid == Some(id);
                prop_assert!(others.filter(|&id| !former(id)).all(|id| each(&now, id) == each(&before, id)));
            }
        }
    }
}
