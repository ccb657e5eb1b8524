//! An interface as the kernel tells it from others.

use super::abi;
use crate::Identity;

/// An interface and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) identity: Identity,
    /// One of `IFT_*`.
    pub(super) kind: u8,
}

impl Interface {
    pub(super) const fn is_bridge(self) -> bool {
        self.kind == abi::IFT_BRIDGE
    }

    /// Whether it is a port of a lagg(4).
    pub(super) const fn is_lagg_port(self) -> bool {
        self.kind == abi::IFT_IEEE8023ADLAG
    }
}
