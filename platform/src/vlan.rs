//! VLANs, so that 0, 4095 and a range from high to low cannot be said (IEEE 802.1Q).

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::words::words;

/// The number of a VLAN, 1 to 4094: 0 is no VLAN, and 4095 is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u16", into = "u16"))]
pub struct VlanId(NonZeroU16);

impl VlanId {
    /// The lowest.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The highest.
    pub const MAX: Self = Self(NonZeroU16::new(4094).unwrap());

    /// The VLAN of this number.
    ///
    /// # Errors
    /// [`InvalidVlan`] for 0 and from 4095 on.
    pub fn new(number: u16) -> Result<Self, InvalidVlan> {
        let id = NonZeroU16::new(number).map(Self).filter(|&id| id <= Self::MAX);
        id.ok_or_else(|| InvalidVlan { text: number.to_string() })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u16> for VlanId {
    type Error = InvalidVlan;

    fn try_from(number: u16) -> Result<Self, InvalidVlan> {
        Self::new(number)
    }
}

impl From<VlanId> for u16 {
    fn from(id: VlanId) -> Self {
        id.get()
    }
}

impl FromStr for VlanId {
    type Err = InvalidVlan;

    fn from_str(text: &str) -> Result<Self, InvalidVlan> {
        let invalid = || InvalidVlan { text: text.to_owned() };
        // `parse` alone would take a sign.
        if !text.bytes().all(|c| c.is_ascii_digit()) {
            return Err(invalid());
        }
        text.parse().ok().and_then(|number| Self::new(number).ok()).ok_or_else(invalid)
    }
}

/// One VLAN or several in a row; as text `7` or `10-20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanRange {
    first: VlanId,
    last: VlanId,
}

impl VlanRange {
    /// From the first to the last, both included.
    ///
    /// # Errors
    /// [`InvalidVlan`] if the last is before the first.
    pub fn new(first: VlanId, last: VlanId) -> Result<Self, InvalidVlan> {
        if first <= last { Ok(Self { first, last }) } else { Err(InvalidVlan { text: format!("{first}-{last}") }) }
    }

    /// The first.
    #[must_use]
    pub const fn first(self) -> VlanId {
        self.first
    }

    /// The last.
    #[must_use]
    pub const fn last(self) -> VlanId {
        self.last
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(self, id: VlanId) -> bool {
        self.first <= id && id <= self.last
    }

    /// Returns those that both ranges have.
    pub(crate) fn common(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last)).ok()
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = VlanId> {
        (self.first.get()..=self.last.get()).filter_map(|number| VlanId::new(number).ok())
    }
}

impl From<VlanId> for VlanRange {
    fn from(id: VlanId) -> Self {
        Self { first: id, last: id }
    }
}

impl fmt::Display for VlanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        f.pad(&format!("{}-{}", self.first, self.last))
    }
}

impl FromStr for VlanRange {
    type Err = InvalidVlan;

    fn from_str(text: &str) -> Result<Self, InvalidVlan> {
        let invalid = |_| InvalidVlan { text: text.to_owned() };
        match text.split_once('-') {
            None => text.parse::<VlanId>().map(Self::from),
            Some((first, last)) => {
                Self::new(first.parse().map_err(invalid)?, last.parse().map_err(invalid)?).map_err(invalid)
            }
        }
    }
}

#[cfg(feature = "serde")]
crate::serde_forms::serde_as_text!(VlanRange);

/// A text or a number that is no VLAN, or no range of VLANs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no VLAN: a number from 1 to 4094 is wanted, or two with a '-' between them, the lower one first"
)]
pub struct InvalidVlan {
    text: String,
}

/// VLANs that a port lets through, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PortVlans {
    /// Which.
    pub vlans: VlanRange,
    /// Whether frames leave through the port with their VLAN's tag or without.
    pub tagging: VlanTagging,
}

impl PortVlans {
    /// These VLANs, with that tagging.
    #[must_use]
    pub const fn new(vlans: VlanRange, tagging: VlanTagging) -> Self {
        Self { vlans, tagging }
    }

    /// Whether all of these are among them, with the same tagging.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.tagging == other.tagging && self.vlans.common(other.vlans) == Some(other.vlans)
    }
}

/// How the frames of a VLAN pass a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum VlanTagging {
    /// They leave with a tag.
    Tagged,
    /// They leave without a tag. Not on FreeBSD, where that is the PVID alone
    /// ([`UntaggedVlans`](crate::Capability::UntaggedVlans)).
    Untagged,
    /// They leave without a tag, and what arrives without one belongs to this VLAN (PVID). A
    /// range cannot be that: of several VLANs given, the kernel refuses.
    Pvid,
    /// What arrives without a tag belongs to this VLAN, but its frames leave with one. Not on
    /// FreeBSD either.
    PvidTagged,
}

words! { VlanTagging: Tagged = "tagged", Untagged = "untagged", Pvid = "pvid", PvidTagged = "pvid-tagged" }
impl VlanTagging {
    /// Whether what arrives without a tag belongs to the VLAN.
    pub(crate) const fn is_pvid(self) -> bool {
        matches!(self, Self::Pvid | Self::PvidTagged)
    }
}

/// In order, those in a row with the same tagging as one.
pub(crate) fn merged(mut vlans: Vec<PortVlans>) -> Vec<PortVlans> {
    vlans.sort_unstable();
    let mut merged: Vec<PortVlans> = Vec::with_capacity(vlans.len());
    for next in vlans {
        match merged.last_mut() {
            Some(last)
                if last.tagging == next.tagging && last.vlans.last().get() + 1 == next.vlans.first().get() =>
            {
                // In order, since both are.
                last.vlans = VlanRange::new(last.vlans.first(), next.vlans.last()).unwrap_or(last.vlans);
            }
            _ => merged.push(next),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_vlan_cannot_be_said() {
        for text in
            ["", "0", "4095", "65536", "-1", "+7", " 7", "7 ", "1-", "-4094", "0-7", "7-4095", "20-10", "1-2-3"]
        {
            assert!(text.parse::<VlanRange>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn printed_ranges_parse_to_the_same(a in 1_u16..=4094, b in 1_u16..=4094) {
            let id = |number| VlanId::new(number).expect("in range");
            let range = VlanRange::new(id(a.min(b)), id(a.max(b))).expect("in order");
            prop_assert_eq!(range.to_string().parse(), Ok(range));
            prop_assert_eq!(range.iter().count(), usize::from(a.max(b) - a.min(b)) + 1);
        }

        #[test]
        fn merging_changes_no_vlan(ranges in proptest::collection::vec((1_u16..60, 0_u16..4, any::<bool>()), 0..8)) {
            let mut next = 0;
            let mut list = Vec::new();
            for (skip, more, tagged) in ranges {
                let first = next + skip;
                next = first + more;
                let id = |number| VlanId::new(number).expect("in range");
                let tagging = if tagged { VlanTagging::Tagged } else { VlanTagging::Untagged };
                list.push(PortVlans::new(VlanRange::new(id(first), id(next)).expect("in order"), tagging));
            }
            let each = |list: &[PortVlans]| -> Vec<_> {
                list.iter().flat_map(|one| one.vlans.iter().map(|id| (id, one.tagging))).collect()
            };
            let merged = merged(list.clone());
            prop_assert_eq!(each(&merged), each(&list));
            let can_merge = |pair: &[PortVlans]| {
                pair[0].tagging == pair[1].tagging && pair[0].vlans.last().get() + 1 == pair[1].vlans.first().get()
            };
            prop_assert!(!merged.windows(2).any(can_merge));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<VlanRange>();
        }
    }
}
