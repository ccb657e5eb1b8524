//! The options of bridges and ports as attributes, and back. Pure functions.
//!
//! The kernel's side is `br_changelink()`, `br_fill_info()`, `br_setport()` and
//! `br_port_fill_attrs()` (`net/bridge/br_netlink.c`). `br_changelink()` goes through the
//! attributes in an order of its own, whatever theirs: the forward delay before STP.

use std::time::Duration;

use super::attribute::{Malformed, attributes, u8_at, u16_at, u32_at};
use super::request::Request;
use crate::error::Attempt;
#[allow(clippy::wildcard_imports, reason = "the kernel's numbers, which bear the kernel's prefixes")]
use crate::linux::abi::netlink::*;
use crate::{BridgeOption, BridgeOptions, ErrorKind, PortOption, PortOptions, PortStpState, Result, VlanId};

/// A bridge's `IFLA_INFO_KIND`.
pub(super) const KIND: &str = "bridge";

/// The kernel's unit for times (`USER_HZ`), in milliseconds.
const TICK: u64 = 10;

/// A time in the kernel's unit.
fn ticks(time: Duration) -> Option<u32> {
    let ticks = u32::try_from(time.as_millis() / u128::from(TICK)).ok()?;
    (self::time(ticks) == time).then_some(ticks)
}

/// A time from the kernel's unit.
pub(super) fn time(ticks: u32) -> Duration {
    Duration::from_millis(u64::from(ticks) * TICK)
}

/// Refuses the times that the kernel's unit cannot say.
pub(super) fn check(at: Attempt, options: &BridgeOptions) -> Result<()> {
    let times = [options.forward_delay, options.hello_time, options.max_age, options.ageing_time];
    if times == [None; 4] {
        return Ok(());
    }
    let unsayable = |option: &BridgeOption| match *option {
        BridgeOption::ForwardDelay(time)
        | BridgeOption::HelloTime(time)
        | BridgeOption::MaxAge(time)
        | BridgeOption::AgeingTime(time) => ticks(time).is_none(),
        _ => false,
    };
    match options.iter().find(unsayable) {
        Some(option) => Err(at.with(option.capability()).error(ErrorKind::InvalidOption)),
        None => Ok(()),
    }
}

/// Those options that are in messages: all but [`BridgeOption::HostIpv6`], which is set in files.
pub(super) fn of_messages(options: &BridgeOptions) -> impl Iterator<Item = BridgeOption> + use<> {
    options.iter().filter(|option| !matches!(option, BridgeOption::HostIpv6(_)))
}

/// Returns whether there are any of these. Cheaper than the iterator.
pub(super) fn any_of_messages(options: &BridgeOptions) -> bool {
    BridgeOptions { host_ipv6: None, ..*options } != BridgeOptions::default()
}

/// Adds an option to a bridge's `IFLA_INFO_DATA`; one that [`check`] lets through.
pub(super) fn encode(data: Request, option: BridgeOption) -> Request {
    let time = |data: Request, kind, time| data.attribute(kind, &ticks(time).unwrap_or(u32::MAX).to_ne_bytes());
    match option {
        BridgeOption::ForwardDelay(delay) => time(data, IFLA_BR_FORWARD_DELAY, delay),
        BridgeOption::HelloTime(hello) => time(data, IFLA_BR_HELLO_TIME, hello),
        BridgeOption::MaxAge(age) => time(data, IFLA_BR_MAX_AGE, age),
        BridgeOption::AgeingTime(ageing) => time(data, IFLA_BR_AGEING_TIME, ageing),
        BridgeOption::Priority(priority) => data.attribute(IFLA_BR_PRIORITY, &priority.to_ne_bytes()),
        BridgeOption::Stp(on) => data.attribute(IFLA_BR_STP_STATE, &u32::from(on).to_ne_bytes()),
        BridgeOption::MulticastSnooping(on) => data.attribute(IFLA_BR_MCAST_SNOOPING, &[on.into()]),
        BridgeOption::GroupForwardMask(mask) => data.attribute(IFLA_BR_GROUP_FWD_MASK, &mask.to_ne_bytes()),
        BridgeOption::VlanFiltering(on) => data.attribute(IFLA_BR_VLAN_FILTERING, &[on.into()]),
        BridgeOption::DefaultPvid(vlan) => {
            data.attribute(IFLA_BR_VLAN_DEFAULT_PVID, &vlan.map_or(0, VlanId::get).to_ne_bytes())
        }
        // Not in a message, and not among the backend's capabilities.
        BridgeOption::HostIpv6(_) | BridgeOption::StpProtocol(_) | BridgeOption::MaxAddresses(_) => data,
    }
}

/// Reads a bridge's `IFLA_INFO_DATA`.
pub(super) fn decode(data: &[u8]) -> std::result::Result<BridgeOptions, Malformed> {
    let mut options = BridgeOptions::default();
    let mut topology_changes = false;
    for attribute in attributes(data) {
        let (kind, payload) = attribute?;
        match kind {
            IFLA_BR_TOPOLOGY_CHANGE => topology_changes = on(payload) == Some(true),
            IFLA_BR_FORWARD_DELAY => options.forward_delay = u32_at(payload, 0).map(time),
            IFLA_BR_HELLO_TIME => options.hello_time = u32_at(payload, 0).map(time),
            IFLA_BR_MAX_AGE => options.max_age = u32_at(payload, 0).map(time),
            IFLA_BR_AGEING_TIME => options.ageing_time = u32_at(payload, 0).map(time),
            // 2 is STP by a program in user space.
            IFLA_BR_STP_STATE => options.stp = u32_at(payload, 0).map(|state| state != 0),
            IFLA_BR_PRIORITY => options.priority = u16_at(payload, 0),
            IFLA_BR_VLAN_FILTERING => options.vlan_filtering = on(payload),
            IFLA_BR_GROUP_FWD_MASK => options.group_forward_mask = u16_at(payload, 0),
            IFLA_BR_MCAST_SNOOPING => options.multicast_snooping = on(payload),
            IFLA_BR_VLAN_DEFAULT_PVID => {
                options.default_pvid = u16_at(payload, 0).map(|vlan| VlanId::new(vlan).ok());
            }
            _ => {}
        }
    }
    // Meanwhile the kernel reports twice the forward delay (`__br_set_topology_change()`).
    options.ageing_time = options.ageing_time.filter(|_| !(topology_changes && options.stp == Some(true)));
    // A kernel without 802.1Q reports VLAN filtering as off, and refuses even to turn it off.
    options.vlan_filtering = options.vlan_filtering.filter(|_| options.default_pvid.is_some());
    Ok(options)
}

/// Whether a kernel that reports these options knows this one.
pub(super) fn knows(reported: &BridgeOptions, option: BridgeOption) -> bool {
    // Every kernel knows the ageing time, and none reports it during a change of topology.
    matches!(option, BridgeOption::AgeingTime(_))
        || reported.iter().any(|known| known.capability() == option.capability())
}

/// Adds an option to a port's `IFLA_PROTINFO`.
pub(super) fn encode_port(data: Request, option: PortOption) -> Request {
    let (kind, on) = match option {
        PortOption::Isolated(on) => (IFLA_BRPORT_ISOLATED, on),
        PortOption::Learning(on) => (IFLA_BRPORT_LEARNING, on),
        PortOption::UnicastFlood(on) => (IFLA_BRPORT_UNICAST_FLOOD, on),
        PortOption::MulticastFlood(on) => (IFLA_BRPORT_MCAST_FLOOD, on),
        PortOption::BroadcastFlood(on) => (IFLA_BRPORT_BCAST_FLOOD, on),
        PortOption::BpduGuard(on) => (IFLA_BRPORT_GUARD, on),
        PortOption::RootBlock(on) => (IFLA_BRPORT_PROTECT, on),
        PortOption::FastLeave(on) => (IFLA_BRPORT_FAST_LEAVE, on),
        PortOption::Hairpin(on) => (IFLA_BRPORT_MODE, on),
        PortOption::NeighborSuppression(on) => (IFLA_BRPORT_NEIGH_SUPPRESS, on),
        PortOption::Locked(on) => (IFLA_BRPORT_LOCKED, on),
        PortOption::PathCost(cost) => return data.attribute(IFLA_BRPORT_COST, &cost.to_ne_bytes()),
        PortOption::Priority(priority) => {
            return data.attribute(IFLA_BRPORT_PRIORITY, &u16::from(priority).to_ne_bytes());
        }
        // Not among the backend's capabilities.
        PortOption::Stp(_) | PortOption::Sticky(_) => return data,
    };
    data.attribute(kind, &[on.into()])
}

/// Reads a port's `IFLA_INFO_SLAVE_DATA`.
pub(super) fn decode_port(data: &[u8]) -> std::result::Result<(PortOptions, Option<PortStpState>), Malformed> {
    let mut options = PortOptions::default();
    let mut stp_state = None;
    for attribute in attributes(data) {
        let (kind, payload) = attribute?;
        match kind {
            IFLA_BRPORT_STATE => stp_state = u8_at(payload, 0).and_then(port_stp_state),
            IFLA_BRPORT_ISOLATED => options.isolated = on(payload),
            IFLA_BRPORT_LEARNING => options.learning = on(payload),
            IFLA_BRPORT_UNICAST_FLOOD => options.unicast_flood = on(payload),
            IFLA_BRPORT_MCAST_FLOOD => options.multicast_flood = on(payload),
            IFLA_BRPORT_BCAST_FLOOD => options.broadcast_flood = on(payload),
            IFLA_BRPORT_GUARD => options.bpdu_guard = on(payload),
            IFLA_BRPORT_PROTECT => options.root_block = on(payload),
            IFLA_BRPORT_FAST_LEAVE => options.fast_leave = on(payload),
            IFLA_BRPORT_MODE => options.hairpin = on(payload),
            IFLA_BRPORT_NEIGH_SUPPRESS => options.neighbor_suppression = on(payload),
            IFLA_BRPORT_LOCKED => options.locked = on(payload),
            IFLA_BRPORT_COST => options.path_cost = u32_at(payload, 0),
            IFLA_BRPORT_PRIORITY => options.priority = u16_at(payload, 0).and_then(|p| p.try_into().ok()),
            _ => {}
        }
    }
    Ok((options, stp_state))
}

const fn port_stp_state(state: u8) -> Option<PortStpState> {
    Some(match state {
        BR_STATE_DISABLED => PortStpState::Disabled,
        BR_STATE_LISTENING => PortStpState::Listening,
        BR_STATE_LEARNING => PortStpState::Learning,
        BR_STATE_FORWARDING => PortStpState::Forwarding,
        BR_STATE_BLOCKING => PortStpState::Blocking,
        _ => return None,
    })
}

fn on(payload: &[u8]) -> Option<bool> {
    u8_at(payload, 0).map(|value| value != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;
    use proptest::prelude::*;

    fn bytes_of(fill: impl FnOnce(Request) -> Request) -> Vec<u8> {
        fill(Request::new(0, 0, &[])).into_bytes(0).split_off(16)
    }

    prop_compose! {
        fn bridge_options()(
            (delay, hello, age, ageing) in any::<(Option<u32>, Option<u32>, Option<u32>, Option<u32>)>(),
            (priority, stp, snooping, mask) in
                any::<(Option<u16>, Option<bool>, Option<bool>, Option<u16>)>(),
            vlans in proptest::option::of((any::<bool>(), 0_u16..=4094)),
        ) -> BridgeOptions {
            BridgeOptions {
                forward_delay: delay.map(time),
                hello_time: hello.map(time),
                max_age: age.map(time),
                ageing_time: ageing.map(time),
                priority,
                stp,
                multicast_snooping: snooping,
                group_forward_mask: mask,
                vlan_filtering: vlans.map(|(filtering, _)| filtering),
                default_pvid: vlans.map(|(_, pvid)| VlanId::new(pvid).ok()),
                ..BridgeOptions::default()
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(options in bridge_options()) {
            prop_assert_eq!(decode(&bytes_of(|data| options.iter().fold(data, encode))), Ok(options));
        }

        #[test]
        fn what_is_written_of_a_port_is_read(
            flags: [Option<bool>; 11],
            path_cost: Option<u32>,
            priority: Option<u8>,
        ) {
            let mut options = PortOptions::default();
            [
                options.isolated, options.learning, options.unicast_flood, options.multicast_flood,
                options.broadcast_flood, options.bpdu_guard, options.root_block, options.fast_leave,
                options.hairpin, options.neighbor_suppression, options.locked,
            ] = flags;
            options.path_cost = path_cost;
            options.priority = priority;
            let bytes = bytes_of(|data| options.iter().fold(data, encode_port));
            prop_assert_eq!(decode_port(&bytes), Ok((options, None)));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = (decode(&bytes), decode_port(&bytes));
        }
    }

    #[test]
    fn only_whole_ticks_are_times() {
        assert_eq!(ticks(Duration::from_millis(20)), Some(2));
        assert_eq!(ticks(Duration::from_millis(25)), None);
        assert_eq!(ticks(Duration::from_nanos(10_000_001)), None);
        assert_eq!(ticks(time(u32::MAX)), Some(u32::MAX));
        assert_eq!(ticks(time(u32::MAX) + time(1)), None);
        assert_eq!(ticks(Duration::MAX), None);
        let at = Attempt::new("netlink", Operation::Change);
        let error = check(at, &BridgeOptions::default().max_age(Duration::MAX)).expect_err("too long");
        assert_eq!(
            (error.kind(), error.capability()),
            (ErrorKind::InvalidOption, Some(crate::Capability::MaxAge))
        );
    }

    #[test]
    fn numbers_and_widths_are_the_kernels() {
        let option = |option| bytes_of(|data| encode(data, option));
        let attribute =
            |len: u16, kind: u16, value: &[u8]| [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        let delay = BridgeOption::ForwardDelay(Duration::from_secs(2));
        assert_eq!(option(delay), attribute(8, 1, &200_u32.to_ne_bytes()));
        assert_eq!(option(BridgeOption::Stp(true)), attribute(8, 5, &1_u32.to_ne_bytes()));
        assert_eq!(option(BridgeOption::VlanFiltering(true)), attribute(5, 7, &[1, 0, 0, 0]));
        let pvid = [&7_u16.to_ne_bytes()[..], &[0; 2]].concat();
        assert_eq!(option(BridgeOption::DefaultPvid(VlanId::new(7).ok())), attribute(6, 39, &pvid));
    }
}
