//! The options of bridges and ports: those of a bridge's STP through ioctls, the others through sysfs.

use std::ffi::CStr;
use std::time::Duration;

use nix::errno::Errno;

use super::IoctlBackend;
use super::bridge_ioctl::{BridgeValue, PortValue};
use super::staging::Claim;
use super::sysfs::Directory;
use crate::error::{Attempt, CallResult, Meanings};
use crate::linux::carrier::Carrier;
use crate::{
    BridgeOption, BridgeOptions, Capability, ErrorKind, Identity, InterfaceIndex, InterfaceName, Outcome,
    PortOption, PortOptions, PortStpState, Result, SeenPort, VlanId,
};

/// The bits of `port_id` that are the port's number (`BR_PORT_BITS`); the rest is its priority.
const PORT_BITS: u32 = 10;

type Flag = fn(bool) -> PortOption;

/// The flags of a port, each a file of sysfs with 0 or 1.
const PORT_FLAGS: [(&CStr, Flag); 10] = [
    (c"brport/isolated", PortOption::Isolated),
    (c"brport/learning", PortOption::Learning),
    (c"brport/unicast_flood", PortOption::UnicastFlood),
    (c"brport/multicast_flood", PortOption::MulticastFlood),
    (c"brport/broadcast_flood", PortOption::BroadcastFlood),
    (c"brport/bpdu_guard", PortOption::BpduGuard),
    (c"brport/root_block", PortOption::RootBlock),
    (c"brport/multicast_fast_leave", PortOption::FastLeave),
    (c"brport/hairpin_mode", PortOption::Hairpin),
    (c"brport/neigh_suppress", PortOption::NeighborSuppression),
];

/// How an option is set: by a call, or by writing a number to a file of sysfs.
#[derive(Debug)]
enum Way<V> {
    Call(V),
    File(&'static CStr, u64),
}

/// `None` for a value that the kernel's call has no room for.
fn bridge_way(option: BridgeOption) -> Option<Way<BridgeValue>> {
    Some(match option {
        BridgeOption::ForwardDelay(time) => Way::Call(BridgeValue::ForwardDelay(hundredths(time)?)),
        BridgeOption::HelloTime(time) => Way::Call(BridgeValue::HelloTime(hundredths(time)?)),
        BridgeOption::MaxAge(time) => Way::Call(BridgeValue::MaxAge(hundredths(time)?)),
        BridgeOption::AgeingTime(time) => Way::Call(BridgeValue::AgeingTime(hundredths(time)?)),
        BridgeOption::Stp(on) => Way::Call(BridgeValue::Stp(on)),
        BridgeOption::Priority(priority) => Way::Call(BridgeValue::Priority(priority)),
        BridgeOption::MulticastSnooping(on) => Way::File(c"bridge/multicast_snooping", on.into()),
        BridgeOption::GroupForwardMask(mask) => Way::File(c"bridge/group_fwd_mask", mask.into()),
        BridgeOption::VlanFiltering(on) => Way::File(c"bridge/vlan_filtering", on.into()),
        BridgeOption::DefaultPvid(vlan) => {
            Way::File(c"bridge/default_pvid", vlan.map_or(0, |vlan| vlan.get().into()))
        }
        // It has a way of its own, and `implemented()` has no others.
        BridgeOption::HostIpv6(_) | BridgeOption::StpProtocol(_) | BridgeOption::MaxAddresses(_) => return None,
    })
}

/// `None` for an option that the kernel has no file for; `implemented()` has none of these.
fn port_way(option: PortOption) -> Option<Way<PortValue>> {
    match option {
        PortOption::PathCost(cost) => Some(Way::Call(PortValue::PathCost(cost))),
        PortOption::Priority(priority) => Some(Way::Call(PortValue::Priority(priority))),
        _ => PORT_FLAGS.iter().find_map(|&(path, flag)| {
            let on = [false, true].into_iter().find(|&on| flag(on) == option)?;
            Some(Way::File(path, on.into()))
        }),
    }
}

/// A time as the kernel has it, if it can have it.
fn hundredths(time: Duration) -> Option<u32> {
    let is_whole = time.subsec_nanos() % 10_000_000 == 0;
    u32::try_from(time.as_millis() / 10).ok().filter(|_| is_whole)
}

fn time(hundredths: u32) -> Duration {
    Duration::from_millis(u64::from(hundredths) * 10)
}

/// What the kernel means when it refuses a value.
pub(super) const REFUSED: &Meanings = &[
    (Errno::EINVAL, ErrorKind::InvalidOption),
    (Errno::ERANGE, ErrorKind::InvalidOption),
    (Errno::ENOENT, ErrorKind::Unsupported),
];

impl IoctlBackend {
    /// The options of a bridge, those that can be read.
    pub(super) fn bridge_options(&self, name: InterfaceName, index: InterfaceIndex) -> nix::Result<BridgeOptions> {
        let info = self.control.bridge_info(name)?;
        // `struct bridge_id`: two bytes of priority, and the MAC.
        let [high, low, ..] = info.bridge_id.to_ne_bytes();
        // The kernel tells the times in force (another bridge's while that is the root) and the bridge's own.
        // Only these are in 1/100 s; the others are in jiffies, of unknown length.
        let mut options = BridgeOptions::default()
            .forward_delay(time(info.bridge_forward_delay))
            .hello_time(time(info.hello_time))
            .max_age(time(info.max_age))
            .priority(u16::from_be_bytes([high, low]))
            .stp(info.stp_enabled != 0);
        // During a change of topology the kernel tells twice the forward delay (`__br_set_topology_change()`).
        if info.topology_change == 0 || info.stp_enabled == 0 {
            options.ageing_time = Some(time(info.ageing_time));
        }
        options.host_ipv6 = self.host_ipv6.get(&self.namespace, name)?;
        let bridge = self.sysfs()?.directory(name, index).unless(Errno::ENOSYS)?;
        let Some(bridge) = bridge else { return Ok(options) };
        options.multicast_snooping = bridge.optional(c"bridge/multicast_snooping")?.map(|on| on != 0);
        options.group_forward_mask =
            bridge.optional(c"bridge/group_fwd_mask")?.and_then(|mask| mask.try_into().ok());
        options.vlan_filtering = bridge.optional(c"bridge/vlan_filtering")?.map(|on| on != 0);
        options.default_pvid = bridge
            .optional(c"bridge/default_pvid")?
            .map(|vlan| u16::try_from(vlan).ok().and_then(|vlan| VlanId::new(vlan).ok()));
        Ok(options)
    }

    /// Gives a new bridge its options. The kernel changes the default PVID only while VLANs are
    /// not told apart.
    pub(super) fn create_options(&self, at: Attempt, on: Identity, options: &BridgeOptions) -> Result<()> {
        let is_filtering = |option: &BridgeOption| matches!(option, BridgeOption::VlanFiltering(_));
        let first = options.iter().filter(|option| !is_filtering(option));
        let mut all = first.chain(options.iter().filter(is_filtering));
        all.try_for_each(|option| self.set_bridge_option(at, on, option))
    }

    /// Refuses, before anything is changed, what cannot be set here.
    pub(super) fn check_bridge_options(&self, at: Attempt, options: &BridgeOptions) -> Result<()> {
        for option in options.iter() {
            let at = at.with(option.capability());
            match bridge_way(option) {
                None if matches!(option, BridgeOption::HostIpv6(_)) => {}
                None => return Err(at.error(ErrorKind::InvalidOption)),
                Some(Way::File(..)) => self.check_sysfs(at)?,
                Some(Way::Call(_)) => {}
            }
        }
        Ok(())
    }

    /// Sets one option of a bridge.
    pub(super) fn set_bridge_option(&self, at: Attempt, on: Identity, option: BridgeOption) -> Result<()> {
        let at = at.with(option.capability());
        if let BridgeOption::HostIpv6(wanted) = option {
            return self.host_ipv6.set(at, &self.namespace, on, wanted);
        }
        let set = match bridge_way(option).ok_or_else(|| at.error(ErrorKind::InvalidOption))? {
            Way::Call(value) => self.control.set_value(on, value),
            Way::File(path, value) => self.set_file(on, path, value),
        };
        set.map_err(|errno| match (option, errno) {
            (BridgeOption::DefaultPvid(_), Errno::EPERM) if self.filters_vlans(on) => {
                at.means(ErrorKind::InvalidOption, errno)
            }
            _ => at.meaning(errno, REFUSED),
        })
    }

    fn filters_vlans(&self, on: Identity) -> bool {
        self.in_sysfs(on, |bridge| bridge.number(c"bridge/vlan_filtering")).is_ok_and(|on| on != 0)
    }

    /// Writes a number to a file of an interface's directory, which is this interface's whatever its name.
    fn set_file(&self, on: Identity, path: &CStr, value: u64) -> nix::Result<()> {
        self.in_sysfs(on, |interface| {
            interface.write(path, &value.to_string())?;
            if interface.number(path)? == value { Ok(()) } else { Err(Errno::EINVAL) }
        })
    }

    /// The options of a port, and where it stands in STP. Reads only the sysfs options in `asked`.
    /// `ENODEV` if the port has left its bridge.
    pub(super) fn port_options(
        &self,
        bridge: Identity,
        port: Identity,
        number: u16,
        asked: Option<&PortOptions>,
    ) -> nix::Result<(PortOptions, Option<PortStpState>)> {
        let is_asked = |flag: Flag| {
            let is_it = |option: PortOption| option.capability() == flag(true).capability();
            asked.is_none_or(|asked| asked.iter().any(is_it))
        };
        let flags: Vec<_> = PORT_FLAGS.into_iter().filter(|&(_, flag)| is_asked(flag)).collect();
        let mut options = PortOptions::default();
        if !flags.is_empty() {
            let read = |port: &Directory| {
                let mut options = Vec::with_capacity(flags.len());
                for (path, flag) in &flags {
                    options.extend(port.optional(path)?.map(|on| flag(on != 0)));
                }
                Ok(options)
            };
            options.extend(self.in_sysfs(port, read).unless(Errno::ENOSYS)?.unwrap_or_default());
        }
        // The files of a port that leaves just vanish, so this comes after them.
        let info = self.control.read(bridge, |name| self.control.port_info(name, number));
        let info = info.unless(Errno::EINVAL)?.ok_or(Errno::ENODEV)?;
        options.path_cost = Some(info.path_cost);
        options.priority = u8::try_from(info.port_id >> PORT_BITS).ok();
        let state = match info.state {
            0 => Some(PortStpState::Disabled),
            1 => Some(PortStpState::Listening),
            2 => Some(PortStpState::Learning),
            3 => Some(PortStpState::Forwarding),
            4 => Some(PortStpState::Blocking),
            _ => None,
        };
        Ok((options, state))
    }

    /// Refuses, before anything is changed, what cannot be set here.
    pub(super) fn check_port_options(&self, at: Attempt, options: &PortOptions) -> Result<()> {
        let mut files = options.iter().filter(|&option| matches!(port_way(option), Some(Way::File(..))));
        files.try_for_each(|option| self.check_sysfs(at.with(option.capability())))
    }

    /// Sets options of a port.
    pub(super) fn set_port_options(&self, at: Attempt, seen: &SeenPort, options: &PortOptions) -> Outcome {
        let (bridge, port) = (seen.bridge, seen.port);
        let mut any = false;
        for option in options.unlike(&seen.options) {
            any = true;
            let set = match port_way(option) {
                Some(Way::Call(value)) => self.set_port_value(bridge, port, value),
                Some(Way::File(path, value)) => self.set_file(port, path, value),
                None => Err(Errno::EOPNOTSUPP),
            };
            if let Err(errno) = set {
                return Outcome::unclear(self.port_failure(at.with(option.capability()), bridge, port, errno));
            }
        }
        if !any {
            return Outcome::DONE;
        }
        // Another process may have moved the port meanwhile: then it has the options on another bridge.
        match self.lost(bridge, port) {
            Ok(None) => Outcome::DONE,
            Ok(Some(kind)) => Outcome::unclear(at.error(kind)),
            Err(errno) => Outcome::unclear(at.errno(errno)),
        }
    }

    /// Sets a value of a port through sysfs, whose files are those of this port. The call takes the port's number,
    /// which another port may have by now, so it is only for where sysfs is missing or read-only.
    fn set_port_value(&self, bridge: Identity, port: Identity, value: PortValue) -> nix::Result<()> {
        let set = match value {
            PortValue::PathCost(cost) => self.set_file(port, c"brport/path_cost", cost.into()),
            PortValue::Priority(priority) => self.set_file(port, c"brport/priority", priority.into()),
        };
        match set {
            Err(Errno::ENOSYS | Errno::EACCES | Errno::EROFS) => {
                self.control.set_port_value(bridge, port.index(), value)
            }
            set => set,
        }
    }

    /// Makes the bridge forget what it has learned.
    pub(super) fn flush(&self, at: Attempt, bridge: Identity) -> Result<()> {
        self.in_sysfs(bridge, |bridge| bridge.write(c"bridge/flush", "1")).meaning(at, REFUSED)
    }

    /// What sysfs says of a bridge's carrier. `IFF_RUNNING` would not do: the kernel also shows it until it has
    /// looked (`netif_oper_up()`).
    pub(super) fn carrier(&self, at: Attempt, bridge: Identity) -> Result<Carrier> {
        self.check_sysfs(at.with(Capability::Carrier))?;
        let read = |bridge: &Directory| {
            let is_on = match bridge.text(c"carrier") {
                Ok(text) => text == "1",
                // It is down (`carrier_show()`), or gone, as the next reading says.
                Err(Errno::ENODEV) => false,
                Err(errno) => return Err(errno),
            };
            Ok(Carrier { is_on, is_operational: bridge.text(c"operstate")? == "up" })
        };
        self.in_sysfs(bridge, read).at(at)
    }

    /// Refuses what only sysfs can do where the sysfs of this namespace is not available.
    pub(super) fn check_sysfs(&self, at: Attempt) -> Result<()> {
        let sysfs = self.sysfs().at(at)?;
        let is_usable = sysfs.is_usable(|is_there| {
            let claim = Claim::for_trial(&self.namespace);
            let trial = self.created(self.add_staged(claim.as_ref())?)?;
            let is_right = is_there(trial.name(), trial.index());
            self.control.delete_bridge(trial).map(|()| is_right)
        });
        if is_usable.at(at)? { Ok(()) } else { Err(at.io(ErrorKind::Unsupported, sysfs.reason())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_of_hundredths() {
        assert_eq!(hundredths(Duration::from_millis(2_010)), Some(201));
        assert_eq!(hundredths(Duration::from_millis(2_005)), None);
        assert_eq!(hundredths(Duration::from_nanos(10_000_001)), None);
        assert_eq!(hundredths(Duration::MAX), None);
    }
}
