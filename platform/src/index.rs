//! The index of an interface.

use std::fmt;
use std::num::NonZeroU32;

/// The number that a kernel gives an interface for its lifetime (`ifindex`): it stays when the
/// interface is renamed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct InterfaceIndex(NonZeroU32);

impl InterfaceIndex {
    /// The index of this number. No interface has the index 0, nor one beyond `i32::MAX`.
    #[must_use]
    pub fn new(index: u32) -> Option<Self> {
        NonZeroU32::new(index).filter(|&index| i32::try_from(index.get()).is_ok()).map(Self)
    }

    /// From a kernel's structure, in which it is a C int (or an unsigned short, on FreeBSD).
    pub(crate) fn from_c(index: impl TryInto<u32>) -> Option<Self> {
        index.try_into().ok().and_then(Self::new)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl From<InterfaceIndex> for u32 {
    fn from(index: InterfaceIndex) -> Self {
        index.get()
    }
}

impl TryFrom<u32> for InterfaceIndex {
    type Error = InvalidIndex;

    fn try_from(index: u32) -> Result<Self, InvalidIndex> {
        Self::new(index).ok_or(InvalidIndex)
    }
}

/// A number that no interface can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an interface's index is from 1 to 2147483647")]
#[non_exhaustive]
pub struct InvalidIndex;

impl fmt::Display for InterfaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for InterfaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterfaceIndex({self})")
    }
}
