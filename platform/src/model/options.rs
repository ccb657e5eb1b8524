//! The options of bridges and ports: what they are at first, and what the kernel takes
//! (`br_dev_setup()`, `br_changelink()`, `br_setport()`, `net/bridge/br_stp.c`).

use std::ops::RangeInclusive;
use std::time::Duration;

use nix::errno::Errno;

use super::host::{Bridge, Host};
use crate::error::Attempt;
use crate::{
    BridgeOption, BridgeOptions, ErrorKind, HostIpv6, InterfaceIndex, PortOption, PortOptions, Result, VlanId,
};

const FORWARD_DELAY: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(30);
const HELLO_TIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
const MAX_AGE: RangeInclusive<Duration> = Duration::from_secs(6)..=Duration::from_secs(40);
const PATH_COST: RangeInclusive<u32> = 1..=65535;
const PORT_PRIORITY: RangeInclusive<u8> = 0..=63;
/// STP, pause frames and LACP, which are never forwarded (`BR_GROUPFWD_RESTRICTED`).
const NEVER_FORWARDED: u16 = 0b111;
/// `USER_HZ` is 100: what is no whole number of these cannot be told to the kernel.
const UNIT: Duration = Duration::from_millis(10);

pub(super) fn of_a_new_bridge(has_vlans: bool) -> BridgeOptions {
    let options = BridgeOptions::default()
        .forward_delay(Duration::from_secs(15))
        .hello_time(Duration::from_secs(2))
        .max_age(Duration::from_secs(20))
        .priority(0x8000)
        .stp(false)
        .ageing_time(Duration::from_secs(300))
        .multicast_snooping(true)
        .group_forward_mask(0)
        .host_ipv6(HostIpv6::Kernel);
    if has_vlans { options.vlan_filtering(false).default_pvid(Some(VlanId::MIN)) } else { options }
}

pub(super) fn of_a_new_port() -> PortOptions {
    PortOptions::default()
        .isolated(false)
        .learning(true)
        .unicast_flood(true)
        .multicast_flood(true)
        .broadcast_flood(true)
        .bpdu_guard(false)
        .root_block(false)
        .fast_leave(false)
        .hairpin(false)
        .neighbor_suppression(false)
        .locked(false)
        // Of an interface of 10 Gbit/s, as a veth says that it is (`port_cost()`).
        .path_cost(2)
        .priority(32)
}

impl Bridge {
    /// Sets an option of the bridge alone.
    pub(super) fn set(&mut self, at: Attempt, option: BridgeOption) -> Result<()> {
        let at = at.with(option.capability());
        let in_range = match option {
            // While STP is off it does not matter.
            BridgeOption::ForwardDelay(delay) => self.options.stp == Some(false) || FORWARD_DELAY.contains(&delay),
            BridgeOption::HelloTime(time) => HELLO_TIME.contains(&time),
            BridgeOption::MaxAge(age) => MAX_AGE.contains(&age),
            BridgeOption::GroupForwardMask(mask) => mask & NEVER_FORWARDED == 0,
            BridgeOption::VlanFiltering(_) | BridgeOption::DefaultPvid(_)
                if self.options.vlan_filtering.is_none() =>
            {
                return Err(at.errno(Errno::EOPNOTSUPP));
            }
            // A bridge without IPv6 has nothing to set.
            BridgeOption::HostIpv6(_) if self.options.host_ipv6.is_none() => return Ok(()),
            _ => true,
        };
        let sayable = match option {
            BridgeOption::ForwardDelay(time)
            | BridgeOption::HelloTime(time)
            | BridgeOption::MaxAge(time)
            | BridgeOption::AgeingTime(time) => time.as_nanos() % UNIT.as_nanos() == 0,
            _ => true,
        };
        if !in_range || !sayable {
            return Err(at.means(ErrorKind::InvalidOption, Errno::ERANGE));
        }
        self.options.extend([option]);
        if let (BridgeOption::Stp(true), Some(delay)) = (option, self.options.forward_delay) {
            self.options.forward_delay = Some(delay.clamp(*FORWARD_DELAY.start(), *FORWARD_DELAY.end()));
        }
        Ok(())
    }
}

impl Host {
    /// Sets an option of a bridge, and what follows from it for its ports.
    pub(super) fn set_option(&mut self, at: Attempt, index: InterfaceIndex, option: BridgeOption) -> Result<()> {
        let in_sysfs = self.sets_in_sysfs;
        let Some(bridge) = self.bridge_mut(index) else { return Ok(()) };
        let former_pvid = bridge.options.default_pvid;
        // Netlink does not mind, sysfs does (`br_vlan_set_default_pvid()`).
        if in_sysfs
            && matches!(option, BridgeOption::DefaultPvid(_))
            && bridge.options.vlan_filtering == Some(true)
        {
            return Err(at.with(option.capability()).means(ErrorKind::InvalidOption, Errno::EPERM));
        }
        bridge.set(at, option)?;
        if let BridgeOption::DefaultPvid(pvid) = option {
            self.move_default_pvid(index, former_pvid.flatten(), pvid);
        }
        Ok(())
    }

    pub(super) fn change_port(&mut self, at: Attempt, index: InterfaceIndex, options: &PortOptions) -> Result<()> {
        let privileged = self.check_privilege(at);
        let Some(port) = self.port_mut(index) else { return Ok(()) };
        let changes: Vec<_> = options.unlike(&port.options).collect();
        if changes.is_empty() {
            return Ok(());
        }
        privileged?;
        for option in changes {
            let in_range = match option {
                PortOption::PathCost(cost) => PATH_COST.contains(&cost),
                PortOption::Priority(priority) => PORT_PRIORITY.contains(&priority),
                _ => true,
            };
            if !in_range {
                return Err(at.with(option.capability()).means(ErrorKind::InvalidOption, Errno::ERANGE));
            }
            port.options.extend([option]);
        }
        Ok(())
    }
}
