//! The options of bridges and ports: STP's through ioctls, the others through sysfs.

use std::ffi::CStr;
use std::time::Duration;

use nix::errno::Errno;

use super::IoctlBackend;
use super::bridge_ioctl::Setting;
use super::staging::Claim;
use super::sysfs::Interface;
use crate::error::Attempt;
use crate::linux::carrier::Carrier;
use crate::{
    BridgeOption, BridgeOptions, Capability, ErrorKind, InterfaceIndex, InterfaceName, PortOption, PortOptions,
    PortStpState, Result, VlanId,
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

/// How an option is set.
#[derive(Debug)]
enum Way {
    Call(Setting),
    File(&'static CStr, u64),
}

/// `None` for a value that the kernel's call has no room for.
fn bridge_way(option: BridgeOption) -> Option<Way> {
    Some(match option {
        BridgeOption::ForwardDelay(time) => Way::Call(Setting::ForwardDelay(hundredths(time)?)),
        BridgeOption::HelloTime(time) => Way::Call(Setting::HelloTime(hundredths(time)?)),
        BridgeOption::MaxAge(time) => Way::Call(Setting::MaxAge(hundredths(time)?)),
        BridgeOption::AgeingTime(time) => Way::Call(Setting::AgeingTime(hundredths(time)?)),
        BridgeOption::Stp(on) => Way::Call(Setting::Stp(on)),
        BridgeOption::Priority(priority) => Way::Call(Setting::Priority(priority)),
        BridgeOption::MulticastSnooping(on) => Way::File(c"bridge/multicast_snooping", on.into()),
        BridgeOption::GroupForwardMask(mask) => Way::File(c"bridge/group_fwd_mask", mask.into()),
        BridgeOption::VlanFiltering(on) => Way::File(c"bridge/vlan_filtering", on.into()),
        BridgeOption::DefaultPvid(vlan) => {
            Way::File(c"bridge/default_pvid", vlan.map_or(0, |vlan| vlan.get().into()))
        }
        // `capabilities()` has no others.
        BridgeOption::StpProtocol(_) | BridgeOption::MaxAddresses(_) => return None,
    })
}

fn port_way(option: PortOption, number: u16) -> Option<Way> {
    let (flag, on): (Flag, bool) = match option {
        PortOption::PathCost(cost) => return Some(Way::Call(Setting::PathCost(number, cost))),
        PortOption::Priority(priority) => return Some(Way::Call(Setting::PortPriority(number, priority))),
        PortOption::Isolated(on) => (PortOption::Isolated, on),
        PortOption::Learning(on) => (PortOption::Learning, on),
        PortOption::UnicastFlood(on) => (PortOption::UnicastFlood, on),
        PortOption::MulticastFlood(on) => (PortOption::MulticastFlood, on),
        PortOption::BroadcastFlood(on) => (PortOption::BroadcastFlood, on),
        PortOption::BpduGuard(on) => (PortOption::BpduGuard, on),
        PortOption::RootBlock(on) => (PortOption::RootBlock, on),
        PortOption::FastLeave(on) => (PortOption::FastLeave, on),
        PortOption::Hairpin(on) => (PortOption::Hairpin, on),
        PortOption::NeighborSuppression(on) => (PortOption::NeighborSuppression, on),
        // `capabilities()` has no others.
        PortOption::Locked(_) | PortOption::Stp(_) | PortOption::Sticky(_) => return None,
    };
    let (path, _) = PORT_FLAGS.iter().find(|(_, other)| other(on) == flag(on))?;
    Some(Way::File(path, on.into()))
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
fn refused(at: Attempt, errno: Errno) -> crate::Error {
    match errno {
        Errno::EINVAL | Errno::ERANGE => at.means(ErrorKind::InvalidOption, errno),
        Errno::ENOENT => at.means(ErrorKind::Unsupported, errno),
        errno => at.errno(errno),
    }
}

/// A number, or nothing where the kernel has no such file.
fn optional(number: nix::Result<u64>) -> nix::Result<Option<u64>> {
    match number {
        Ok(number) => Ok(Some(number)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

impl IoctlBackend {
    /// The options of a bridge, those that can be read.
    pub(super) fn bridge_options(&self, name: InterfaceName, index: InterfaceIndex) -> nix::Result<BridgeOptions> {
        let info = self.control.bridge_info(name)?;
        // `struct bridge_id`: two bytes of priority, and the MAC.
        let [high, low, ..] = info.bridge_id.to_ne_bytes();
        // Of those in force (another bridge's while that is the root) and the bridge's own, only
        // these are told in 1/100 s; the others are in jiffies, of unknown length.
        let mut options = BridgeOptions::default()
            .forward_delay(time(info.bridge_forward_delay))
            .hello_time(time(info.hello_time))
            .max_age(time(info.max_age))
            .ageing_time(time(info.ageing_time))
            .priority(u16::from_be_bytes([high, low]))
            .stp(info.stp_enabled != 0);
        let bridge = match self.sysfs_interface(name, index) {
            Err(Errno::ENOSYS) => return Ok(options),
            bridge => bridge?,
        };
        let number = |path| optional(bridge.number(path));
        options.multicast_snooping = number(c"bridge/multicast_snooping")?.map(|on| on != 0);
        options.group_forward_mask = number(c"bridge/group_fwd_mask")?.and_then(|mask| mask.try_into().ok());
        options.vlan_filtering = number(c"bridge/vlan_filtering")?.map(|on| on != 0);
        options.default_pvid = number(c"bridge/default_pvid")?
            .map(|vlan| u16::try_from(vlan).ok().and_then(|vlan| VlanId::new(vlan).ok()));
        Ok(options)
    }

    /// Gives a new bridge its options. The kernel changes the default PVID only while VLANs are
    /// not told apart.
    pub(super) fn create_options(
        &self,
        at: Attempt,
        name: InterfaceName,
        index: InterfaceIndex,
        options: &BridgeOptions,
    ) -> Result<()> {
        let is_filtering = |option: &BridgeOption| matches!(option, BridgeOption::VlanFiltering(_));
        let first = options.iter().filter(|option| !is_filtering(option));
        let mut all = first.chain(options.iter().filter(is_filtering));
        all.try_for_each(|option| self.set_bridge_option(at, name, index, option))
    }

    /// Refuses, before anything is changed, what cannot be set here.
    pub(super) fn check_bridge_options(&self, at: Attempt, options: &BridgeOptions) -> Result<()> {
        for option in options.iter() {
            let at = at.with(option.capability());
            match bridge_way(option) {
                None => return Err(at.error(ErrorKind::InvalidOption)),
                Some(Way::File(..)) => self.check_sysfs(at)?,
                Some(Way::Call(_)) => {}
            }
        }
        Ok(())
    }

    /// Sets one option of a bridge.
    pub(super) fn set_bridge_option(
        &self,
        at: Attempt,
        name: InterfaceName,
        index: InterfaceIndex,
        option: BridgeOption,
    ) -> Result<()> {
        let at = at.with(option.capability());
        let way = bridge_way(option).ok_or_else(|| at.error(ErrorKind::InvalidOption))?;
        self.set(name, name, index, &way).map_err(|errno| match (option, errno) {
            (BridgeOption::DefaultPvid(_), Errno::EPERM) if self.filters_vlans(name, index) => {
                at.means(ErrorKind::InvalidOption, errno)
            }
            _ => refused(at, errno),
        })
    }

    fn filters_vlans(&self, name: InterfaceName, index: InterfaceIndex) -> bool {
        let filtering =
            self.sysfs_interface(name, index).and_then(|bridge| bridge.number(c"bridge/vlan_filtering"));
        filtering.is_ok_and(|on| on != 0)
    }

    fn set(
        &self,
        bridge: InterfaceName,
        name: InterfaceName,
        index: InterfaceIndex,
        way: &Way,
    ) -> nix::Result<()> {
        match *way {
            Way::Call(setting) => self.control.set_value(bridge, setting),
            Way::File(path, value) => {
                let interface = self.sysfs_interface(name, index)?;
                interface.write(path, &value.to_string())?;
                if interface.number(path)? == value { Ok(()) } else { Err(Errno::EINVAL) }
            }
        }
    }

    /// The options of a port, and where it stands in STP.
    pub(super) fn port_options(
        &self,
        bridge: InterfaceName,
        name: InterfaceName,
        index: InterfaceIndex,
        number: u16,
    ) -> nix::Result<(PortOptions, Option<PortStpState>)> {
        let info = match self.control.port_info(bridge, number) {
            // It is no port any longer.
            Err(Errno::EINVAL) => return Err(Errno::ENODEV),
            info => info?,
        };
        let mut options = PortOptions::default().path_cost(info.path_cost);
        options.priority = u8::try_from(info.port_id >> PORT_BITS).ok();
        match self.sysfs_interface(name, index) {
            Err(Errno::ENOSYS) => {}
            port => options.extend(flags(&port?)?),
        }
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

    /// Sets options of a port, all or none.
    pub(super) fn set_port_options(
        &self,
        at: Attempt,
        bridge: InterfaceName,
        port: InterfaceName,
        options: &PortOptions,
    ) -> Result<()> {
        let index = self.port_index(at, port)?;
        let name = self.control.name(index).map_err(|errno| at.means(ErrorKind::PortNotFound, errno))?;
        let ports = self.control.numbered_ports(bridge).map_err(|errno| at.errno(errno))?;
        let Some(&(number, _)) = ports.iter().find(|&&(_, other)| other == index) else {
            return Err(at.error(ErrorKind::NotAPort));
        };
        let gone = |at: Attempt, errno| match errno {
            Errno::ENODEV => at.means(ErrorKind::PortNotFound, errno),
            errno => refused(at, errno),
        };
        for option in options.iter() {
            let at = at.with(option.capability());
            if let Some(Way::File(..)) = port_way(option, number) {
                self.check_sysfs(at)?;
            }
        }
        let read = || self.port_options(bridge, name, index, number).map(|(options, _)| options);
        let set = |option: PortOption| {
            let at = at.with(option.capability());
            let way = port_way(option, number).ok_or_else(|| at.error(ErrorKind::Unsupported))?;
            self.set(bridge, name, index, &way).map_err(|errno| gone(at, errno))
        };
        let before = read().map_err(|errno| gone(at, errno))?;
        let mut tried = Vec::new();
        for option in options.unlike(&before) {
            tried.push(option);
            set(option).map_err(|error| {
                let now = match read() {
                    Err(Errno::ENODEV) => return error,
                    now => now.map_err(|errno| gone(at, errno)),
                };
                let back = now.and_then(|now| {
                    let back = tried.iter().rev().filter_map(|&option| before.former(&now, option));
                    back.map(set).fold(Ok(()), Result::and)
                });
                error.undone(back, format_args!("a changed port {port}"))
            })?;
        }
        Ok(())
    }

    /// Makes the bridge forget what it has learned.
    pub(super) fn flush(&self, at: Attempt, bridge: InterfaceName, index: InterfaceIndex) -> Result<()> {
        self.check_sysfs(at.with(Capability::FdbFlush))?;
        let flush = self.sysfs_interface(bridge, index).and_then(|bridge| bridge.write(c"bridge/flush", "1"));
        flush.map_err(|errno| refused(at, errno))
    }

    /// What sysfs says of a bridge's carrier. `IFF_RUNNING` would not do: it is also there as long as
    /// the kernel has not looked yet (`netif_oper_up()`).
    pub(super) fn carrier(&self, at: Attempt, bridge: InterfaceName, index: InterfaceIndex) -> Result<Carrier> {
        self.check_sysfs(at.with(Capability::Carrier))?;
        let read = || {
            let bridge = self.sysfs_interface(bridge, index)?;
            let is_on = match bridge.text(c"carrier") {
                Ok(text) => text == "1",
                // It is down (`carrier_show()`), or gone, as the next reading says.
                Err(Errno::ENODEV) => false,
                Err(errno) => return Err(errno),
            };
            Ok(Carrier { is_on, is_operational: bridge.text(c"operstate")? == "up" })
        };
        read().map_err(|errno| at.errno(errno))
    }

    /// Refuses what only sysfs can do where there is none of this namespace.
    fn check_sysfs(&self, at: Attempt) -> Result<()> {
        let sysfs = self.sysfs().map_err(|errno| at.errno(errno))?;
        let is_usable = sysfs.is_usable(|is_there| {
            let claim = Claim::for_trial(&self.namespace);
            let name = self.add_staged(claim.as_ref())?;
            let is_right = self.control.index(name).map(|index| is_there(name, index));
            let deleted = self.control.delete_bridge(name);
            is_right.and_then(|is_right| deleted.map(|()| is_right))
        });
        match is_usable {
            Ok(true) => Ok(()),
            Ok(false) => Err(at.io(ErrorKind::Unsupported, sysfs.reason())),
            Err(errno) => Err(at.errno(errno)),
        }
    }
}

fn flags(port: &Interface) -> nix::Result<Vec<PortOption>> {
    let mut flags = Vec::with_capacity(PORT_FLAGS.len());
    for (path, flag) in PORT_FLAGS {
        flags.extend(optional(port.number(path))?.map(|on| flag(on != 0)));
    }
    Ok(flags)
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
