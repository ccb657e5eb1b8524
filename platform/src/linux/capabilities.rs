//! What Linux can do with bridges and taps, whichever backend asks.

use crate::Capability;

/// The MTUs that Linux takes for a bridge (`br_dev_setup()`: `ETH_MIN_MTU` to `ETH_MAX_MTU`).
#[cfg(feature = "netlink")]
pub(super) const BRIDGE_MTU: std::ops::RangeInclusive<u32> = 68..=65535;

/// Another MTU, which Linux takes for a bridge if it takes this one.
///
/// A bridge keeps an MTU that is set after its creation (`br_change_mtu()`), unless the bridge has it already:
/// `netif_set_mtu_ext()` then does nothing. So a new bridge has another one first.
pub(super) const fn other_mtu(mtu: u32) -> u32 {
    // The limits are even and odd.
    mtu ^ 1
}

/// The capabilities of both backends.
pub(super) const CAPABILITIES: [Capability; 35] = [
    Capability::MacFollowsPorts,
    Capability::ForwardDelay,
    Capability::HelloTime,
    Capability::MaxAge,
    Capability::Priority,
    Capability::Stp,
    Capability::AgeingTime,
    Capability::MulticastSnooping,
    Capability::GroupForwardMask,
    Capability::VlanFiltering,
    Capability::DefaultPvid,
    Capability::Isolated,
    Capability::Learning,
    Capability::UnicastFlood,
    Capability::MulticastFlood,
    Capability::BroadcastFlood,
    Capability::BpduGuard,
    Capability::RootBlock,
    Capability::FastLeave,
    Capability::Hairpin,
    Capability::NeighborSuppression,
    Capability::PathCost,
    Capability::PortPriority,
    Capability::PortStpState,
    Capability::FdbList,
    Capability::FdbFlush,
    Capability::Events,
    Capability::Tap,
    Capability::TapQueues,
    Capability::TapVnetHdr,
    Capability::TapOffloads,
    Capability::TapOwner,
    Capability::TapTransient,
    Capability::TapDescriptors,
    Capability::Carrier,
];
