//! What a backend can do beyond what every backend must.

use std::fmt;

use crate::set::set;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $Variant:ident = $name:literal;)+) => {
        /// Something that one backend can do and another may not, or one kernel
        /// ([`Backend::capabilities`](crate::Backend::capabilities)).
        ///
        /// What is not listed here (create, delete, find, list, the MAC, the MTU, up and down,
        /// ports) every backend does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $Variant,)+
        }

        impl Capability {
            /// Every capability there is.
            pub const ALL: &[Self] = &[$(Self::$Variant),+];

            /// Its name, as errors and the command have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }
        }
    };
}

capabilities! {
    /// The kernel creates a bridge with its MAC, options and link state in one transaction: no moment, under any
    /// name, at which it exists without them. It sets an MTU directly afterwards, in the same call. With
    /// [`host_ipv6`](crate::BridgeOptions::host_ipv6), the bridge goes up in a second call.
    AtomicCreate = "atomic-create";
    /// A bridge that was never given a MAC takes the lowest of its ports', and changes with them.
    MacFollowsPorts = "mac-follows-ports";
    /// [`BridgeOptions::stp_protocol`](crate::BridgeOptions::stp_protocol).
    StpProtocol = "stp-protocol";
    /// [`BridgeOptions::forward_delay`](crate::BridgeOptions::forward_delay).
    ForwardDelay = "forward-delay";
    /// [`BridgeOptions::hello_time`](crate::BridgeOptions::hello_time).
    HelloTime = "hello-time";
    /// [`BridgeOptions::max_age`](crate::BridgeOptions::max_age).
    MaxAge = "max-age";
    /// [`BridgeOptions::priority`](crate::BridgeOptions::priority).
    Priority = "priority";
    /// [`BridgeOptions::stp`](crate::BridgeOptions::stp).
    Stp = "stp";
    /// [`BridgeOptions::ageing_time`](crate::BridgeOptions::ageing_time).
    AgeingTime = "ageing-time";
    /// [`BridgeOptions::max_addresses`](crate::BridgeOptions::max_addresses).
    MaxAddresses = "max-addresses";
    /// [`BridgeOptions::multicast_snooping`](crate::BridgeOptions::multicast_snooping).
    MulticastSnooping = "multicast-snooping";
    /// [`BridgeOptions::group_forward_mask`](crate::BridgeOptions::group_forward_mask).
    GroupForwardMask = "group-forward-mask";
    /// [`BridgeOptions::vlan_filtering`](crate::BridgeOptions::vlan_filtering).
    VlanFiltering = "vlan-filtering";
    /// [`BridgeOptions::default_pvid`](crate::BridgeOptions::default_pvid).
    DefaultPvid = "default-pvid";
    /// [`BridgeOptions::host_ipv6`](crate::BridgeOptions::host_ipv6).
    HostIpv6 = "host-ipv6";
    /// [`PortOptions::isolated`](crate::PortOptions::isolated).
    Isolated = "isolated";
    /// [`PortOptions::learning`](crate::PortOptions::learning).
    Learning = "learning";
    /// [`PortOptions::unicast_flood`](crate::PortOptions::unicast_flood).
    UnicastFlood = "unicast-flood";
    /// [`PortOptions::multicast_flood`](crate::PortOptions::multicast_flood).
    MulticastFlood = "multicast-flood";
    /// [`PortOptions::broadcast_flood`](crate::PortOptions::broadcast_flood).
    BroadcastFlood = "broadcast-flood";
    /// [`PortOptions::bpdu_guard`](crate::PortOptions::bpdu_guard).
    BpduGuard = "bpdu-guard";
    /// [`PortOptions::root_block`](crate::PortOptions::root_block).
    RootBlock = "root-block";
    /// [`PortOptions::fast_leave`](crate::PortOptions::fast_leave).
    FastLeave = "fast-leave";
    /// [`PortOptions::hairpin`](crate::PortOptions::hairpin).
    Hairpin = "hairpin";
    /// [`PortOptions::neighbor_suppression`](crate::PortOptions::neighbor_suppression).
    NeighborSuppression = "neighbor-suppression";
    /// [`PortOptions::locked`](crate::PortOptions::locked).
    Locked = "locked";
    /// [`PortOptions::path_cost`](crate::PortOptions::path_cost).
    PathCost = "path-cost";
    /// [`PortOptions::priority`](crate::PortOptions::priority).
    PortPriority = "port-priority";
    /// [`PortOptions::stp`](crate::PortOptions::stp).
    PortStp = "port-stp";
    /// [`PortOptions::sticky`](crate::PortOptions::sticky).
    Sticky = "sticky";
    /// [`PortState::stp_state`](crate::PortState::stp_state).
    PortStpState = "port-stp-state";
    /// [`Bridges::fdb`](crate::Bridges::fdb).
    FdbList = "fdb-list";
    /// [`add_fdb_entry`](crate::Bridges::add_fdb_entry), `replace_fdb_entry` and `remove_fdb_entry`.
    FdbStatic = "fdb-static";
    /// Static FDB entries of one VLAN.
    FdbVlan = "fdb-vlan";
    /// [`flush_fdb`](crate::Bridges::flush_fdb).
    FdbFlush = "fdb-flush";
    /// [`add_vlans`](crate::Bridges::add_vlans), `remove_vlans` and `vlans`.
    PortVlans = "port-vlans";
    /// [`create_tap`](crate::Bridges::create_tap), `change_tap`, `delete_tap` and `taps`.
    Tap = "tap";
    /// [`TapSpec::queues`](crate::TapSpec::queues) beyond one.
    TapQueues = "tap-queues";
    /// [`TapSpec::vnet_hdr`](crate::TapSpec::vnet_hdr).
    TapVnetHdr = "tap-vnet-hdr";
    /// [`TapSpec::offloads`](crate::TapSpec::offloads).
    TapOffloads = "tap-offloads";
    /// [`TapSpec::owner`](crate::TapSpec::owner) and [`TapSpec::group`](crate::TapSpec::group).
    TapOwner = "tap-owner";
    /// A tap that was not [persisted](crate::Backend::persist_tap) goes with its descriptors.
    TapTransient = "tap-transient";
    /// [`adopt_descriptors`](crate::Backend::adopt_descriptors).
    TapDescriptors = "tap-descriptors";
    /// [`events`](crate::Bridges::events).
    Events = "events";
    /// [`VlanTagging::Untagged`](crate::VlanTagging::Untagged) and
    /// [`PvidTagged`](crate::VlanTagging::PvidTagged): a VLAN without a tag is not just the PVID.
    UntaggedVlans = "untagged-vlans";
    /// [`has_carrier`](crate::Bridges::has_carrier).
    Carrier = "carrier";
}

impl Capability {
    /// Whether a kernel lacks this without VLAN filtering.
    pub(crate) const fn needs_vlans(self) -> bool {
        matches!(
            self,
            Self::VlanFiltering | Self::DefaultPvid | Self::PortVlans | Self::FdbVlan | Self::UntaggedVlans
        )
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
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

set!(Capabilities(u64) of Capability);

impl Capabilities {
    /// Those that are in both sets.
    pub(crate) const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
