//! What a backend can do beyond what every backend must.

use std::fmt;

/// Something that one backend can do and another may not.
///
/// What is not listed here (create, delete, find, list, the MAC, the MTU, up and down, ports)
/// every backend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// The kernel creates a bridge with its MAC, MTU and link state in one transaction: no
    /// moment, under any name, at which it exists without them.
    AtomicCreate,
    /// A bridge that was never given a MAC takes the lowest of its ports', and changes with them.
    MacFollowsPorts,
}

impl Capability {
    /// Every capability there is.
    pub const ALL: &[Self] = &[Self::AtomicCreate, Self::MacFollowsPorts];

    const fn bit(self) -> u64 {
        1 << self as u32
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AtomicCreate => "atomic-create",
            Self::MacFollowsPorts => "mac-follows-ports",
        })
    }
}

/// A set of capabilities.
///
/// ```
/// use vmbridge_platform::{Capabilities, Capability};
///
/// let set = Capabilities::from_iter([Capability::AtomicCreate]);
/// assert!(set.contains(Capability::AtomicCreate));
/// assert!(!set.contains(Capability::MacFollowsPorts));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Whether this one is in the set.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |&capability| self.contains(capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().fold(0, |bits, capability| bits | capability.bit()))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
