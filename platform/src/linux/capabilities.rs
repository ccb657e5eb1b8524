//! What Linux can do with bridges and taps, whichever backend asks.

use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::{
    Backend, BridgeOption, BridgeOptions, BridgeSpec, Bridges, Capabilities, Capability, InterfaceName,
    PortOption, PortOptions, Result, TapSpec,
};

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
pub(super) const CAPABILITIES: [Capability; 36] = [
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
    Capability::HostIpv6,
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

/// What the backend implements, without the options that the running kernel does not know.
///
/// The kernel reports the options that it knows of each bridge and each port. The first choice is a bridge and a port
/// in a network namespace of their own, which leave no trace. That takes `CAP_SYS_ADMIN`. The second choice is any
/// bridge of the backend's own namespace. Without one, the kernel is taken to know all options.
pub(super) fn of_kernel<B: Backend>(backend: &B, open: fn() -> Result<B>) -> Capabilities {
    let known = Known::in_new_namespace(open).unwrap_or_else(|| Known::of(backend));
    backend.implemented().iter().filter(|&capability| known.may_have(capability)).collect()
}

/// The options that the kernel reports of a bridge and of a port.
#[derive(Debug)]
struct Known {
    bridge: Option<BridgeOptions>,
    port: Option<PortOptions>,
}

impl Known {
    fn in_new_namespace<B: Backend>(open: fn() -> Result<B>) -> Option<Self> {
        let try_kernel = || {
            unshare(CloneFlags::CLONE_NEWNET).ok()?;
            let host = open().ok()?;
            let bridge = host.create(&BridgeSpec::new(InterfaceName::new("br0").ok()?)).ok()?;
            // Open until its options are read. Without /dev/net/tun, the options of ports stay unknown.
            let tap = host.create_tap(&TapSpec::new()).ok();
            if let Some(tap) = &tap {
                host.add_port(bridge, tap).ok()?;
            }
            Some(Self::of(&host))
        };
        // No other thread may change its network namespace.
        thread::scope(|scope| thread::Builder::new().spawn_scoped(scope, try_kernel).ok()?.join().ok()?)
    }

    /// Without sysfs, the ioctl backend reads few options. Every kernel has the ones that show whether it reads them.
    fn of(host: &impl Backend) -> Self {
        let bridges = host.list().unwrap_or_default();
        let ports = bridges.iter().flat_map(|bridge| host.ports(bridge).unwrap_or_default());
        Self {
            bridge: bridges
                .first()
                .map(|bridge| bridge.options)
                .filter(|known| known.group_forward_mask.is_some()),
            port: ports.map(|port| port.options).find(|known| known.learning.is_some()),
        }
    }

    fn may_have(&self, capability: Capability) -> bool {
        // A bridge may report these or not: they depend on STP and on its MTU.
        if matches!(capability, Capability::AgeingTime | Capability::HostIpv6) {
            return true;
        }
        let capability = if capability.needs_vlans() { Capability::VlanFiltering } else { capability };
        let of_bridge = |known: &BridgeOptions| known.iter().any(|option| option.capability() == capability);
        let of_port = |known: &PortOptions| known.iter().any(|option| option.capability() == capability);
        if BridgeOption::CAPABILITIES.contains(&capability) {
            self.bridge.as_ref().is_none_or(of_bridge)
        } else if PortOption::CAPABILITIES.contains(&capability) {
            self.port.as_ref().is_none_or(of_port)
        } else {
            true
        }
    }
}
