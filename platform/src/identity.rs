//! The interface of an operation: a name, or the identity of one interface.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::{InterfaceIndex, InterfaceName};

/// One interface for its whole life, however it is renamed: its index and, where a kernel reuses
/// indices, its incarnation.
///
/// Linux counts indices up in each network namespace (`dev_index_reserve()`, `net/core/dev.c`). A caller with
/// privilege may also choose an index. FreeBSD reuses the lowest free index (`ifindex_alloc()`, `net/if.c`), so that a
/// new bridge can have the name *and* the index of a deleted one. There the incarnation is the time at which the
/// interface was attached, in seconds of uptime (`ifi_epoch`).
///
/// Two identities are equal if their indices and incarnations are. The name is the last known name and does not count.
#[derive(Clone, Copy)]
pub struct Identity {
    name: InterfaceName,
    index: InterfaceIndex,
    incarnation: u64,
}

impl Identity {
    /// Makes the identity of the interface of this index, last seen with this name. Its incarnation is 0.
    #[must_use]
    pub const fn new(name: InterfaceName, index: InterfaceIndex) -> Self {
        Self { name, index, incarnation: 0 }
    }

    /// Sets the incarnation, which distinguishes two interfaces that had the same index in turn; 0 on Linux.
    #[must_use]
    pub const fn with_incarnation(mut self, incarnation: u64) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// Returns the name that the interface had when it was last seen.
    #[must_use]
    pub const fn name(self) -> InterfaceName {
        self.name
    }

    /// Returns the index, which stays when the interface is renamed.
    #[must_use]
    pub const fn index(self) -> InterfaceIndex {
        self.index
    }

    /// Returns the incarnation: on FreeBSD the second of uptime at which the interface was attached, on Linux 0.
    #[must_use]
    pub const fn incarnation(self) -> u64 {
        self.incarnation
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.incarnation) == (other.index, other.incarnation)
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.index, self.incarnation).hash(state);
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (index {})", self.name, self.index)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self}, incarnation {})", self.incarnation)
    }
}

/// The interface of an operation.
///
/// A name is resolved once, when the operation begins. With an identity, an operation never acts on another interface
/// that has taken over the name. It fails with [`NotFound`](crate::ErrorKind::NotFound) or
/// [`PortNotFound`](crate::ErrorKind::PortNotFound).
///
/// ```
/// use vmbridge_platform::{BridgeSpec, Bridges, model::Model};
///
/// let host = Model::new();
/// let bridge = host.create(&BridgeSpec::new("br0".parse()?))?;
/// host.delete("br0".parse::<vmbridge_platform::InterfaceName>()?)?;
/// host.create(&BridgeSpec::new("br0".parse()?))?;
/// // The new bridge has the same name, but another identity.
/// assert!(host.delete(bridge).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The interface that has this name when the operation begins.
    Name(InterfaceName),
    /// This interface and no other.
    Identity(Identity),
}

impl Target {
    /// Returns the name: the given name, or the last known name of the identity.
    #[must_use]
    pub const fn name(self) -> InterfaceName {
        match self {
            Self::Name(name) => name,
            Self::Identity(identity) => identity.name,
        }
    }

    /// Returns the identity, or `None` for a name.
    #[must_use]
    pub const fn identity(self) -> Option<Identity> {
        match self {
            Self::Name(_) => None,
            Self::Identity(identity) => Some(identity),
        }
    }

    /// Returns whether the target is this interface. A name is compared with the name in `interface`.
    #[must_use]
    pub fn is(self, interface: Identity) -> bool {
        match self {
            Self::Name(name) => name == interface.name,
            Self::Identity(identity) => identity == interface,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Identity(identity) => identity.fmt(f),
        }
    }
}

impl From<InterfaceName> for Target {
    fn from(name: InterfaceName) -> Self {
        Self::Name(name)
    }
}

impl From<Identity> for Target {
    fn from(identity: Identity) -> Self {
        Self::Identity(identity)
    }
}

/// Lets operations take a reference to what has an identity.
macro_rules! targets {
    ($($Type:ty),+) => {$(
        impl From<&$Type> for crate::Target {
            fn from(it: &$Type) -> Self {
                Self::Identity(it.identity())
            }
        }
    )+};
}

/// Gives states with a name, an index and an incarnation their identity.
macro_rules! identities {
    ($($State:ty),+) => {
        $(impl $State {
            /// Returns its identity.
            #[must_use]
            pub const fn identity(&self) -> crate::Identity {
                crate::Identity::new(self.name, self.index).with_incarnation(self.incarnation)
            }
        })+

        crate::identity::targets!($($State),+);
    };
}

pub(crate) use {identities, targets};
