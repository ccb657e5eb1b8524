//! The options of a bridge.
//!
//! Read in `net/if_bridge.c` and `net/bridgestp.c`: the times are bytes of seconds, but for that of
//! the FDB; what does not fit would be cut, and what is no step of a priority is rounded down.

use std::time::Duration;

use libc::c_ulong;
use nix::errno::Errno;

use super::abi::{self, ifbrparam};
use super::abi15;
use super::backend::FreeBsdBackend;
use crate::error::{Attempt, CallResult};
use crate::{BridgeOption, BridgeOptions, ErrorKind, Identity, InterfaceName, Result, StpProtocol, VlanId};

/// `ifbrp_proto` and `ifbop_protocol` (`BSTP_PROTO_*` in `net/bridgestp.h`).
pub(super) const STP: u8 = 0;
const RSTP: u8 = 2;

/// The time between two hellos of RSTP, and of STP until it is set.
const HELLO_TIME: Duration = Duration::from_secs(2);
const PRIORITY_STEP: u16 = 4096;

impl FreeBsdBackend {
    /// The options of a bridge that was checked to be one.
    pub(super) fn options(&self, bridge: InterfaceName) -> nix::Result<BridgeOptions> {
        let stp = self.control.stp_parameters(bridge)?;
        let ageing_time = self.control.parameter(bridge, abi::BRDGGTO)?.ifbrp_ifbrpu;
        let max_addresses = self.control.parameter(bridge, abi::BRDGGCACHE)?.ifbrp_ifbrpu;
        let flags = self.control.bridge_flags(bridge)?;
        let default_pvid = match flags {
            Some(_) => Some(VlanId::new(self.control.parameter(bridge, abi15::BRDGGDEFPVID)?.into()).ok()),
            None => None,
        };
        let seconds = |seconds: u8| Some(Duration::from_secs(seconds.into()));
        Ok(BridgeOptions {
            stp_protocol: match stp.ifbop_protocol {
                STP => Some(StpProtocol::Stp),
                RSTP => Some(StpProtocol::Rstp),
                _ => None,
            },
            forward_delay: seconds(stp.ifbop_fwddelay),
            hello_time: seconds(stp.ifbop_hellotime),
            max_age: seconds(stp.ifbop_maxage),
            priority: Some(stp.ifbop_priority),
            ageing_time: Some(Duration::from_secs(ageing_time.into())),
            max_addresses: Some(max_addresses),
            vlan_filtering: flags.map(|flags| flags & abi15::IFBRF_VLANFILTER != 0),
            default_pvid,
            host_ipv6: self.inet6.get(bridge)?,
            ..BridgeOptions::default()
        })
    }

    pub(super) fn set_option(&self, at: Attempt, bridge: Identity, option: BridgeOption) -> Result<()> {
        if let BridgeOption::HostIpv6(to) = option {
            return self.set_host_ipv6(at, bridge, to);
        }
        let at = at.with(option.capability());
        let (command, mut value) = encode(option).map_err(|kind| at.error(kind))?;
        if let BridgeOption::VlanFiltering(_) | BridgeOption::DefaultPvid(_) = option {
            // They know no value to refuse, but a kernel before 15 does not know them.
            let name = self.bridge(at, bridge.into())?.name();
            let flags = self.control.bridge_flags(name).at(at)?;
            let flags = flags.ok_or_else(|| at.error(ErrorKind::Unsupported))?;
            if command == abi15::BRDGSFLAGS {
                // All flags are set at once.
                value.ifbrp_ifbrpu |= flags & !abi15::IFBRF_VLANFILTER;
            }
        }
        match self.control.set_parameter(self.verified_bridge(at, bridge)?, command, value) {
            Err(errno @ Errno::EINVAL) => Err(at.means(ErrorKind::InvalidOption, errno)),
            // So says the kernel of RSTP's hello time, too, which nobody may set.
            Err(errno @ Errno::EPERM)
                if matches!(option, BridgeOption::HelloTime(_))
                    && self.control.may_change(self.verified_bridge(at, bridge)?) =>
            {
                let name = self.bridge(at, bridge.into())?.name();
                let now = self.options(name).at(at)?;
                if now.hello_time.map(BridgeOption::HelloTime) == Some(option) {
                    return Ok(());
                }
                Err(at.means(ErrorKind::InvalidOption, errno))
            }
            outcome => outcome.at(at),
        }
    }
}

/// Refuses, before anything is done, what no bridge would keep.
pub(super) fn check(at: Attempt, options: &BridgeOptions) -> Result<()> {
    for option in options.iter().filter(|option| !matches!(option, BridgeOption::HostIpv6(_))) {
        encode(option).map_err(|kind| at.with(option.capability()).error(kind))?;
    }
    match (options.stp_protocol, options.hello_time) {
        // Setting the protocol resets the hello time, and RSTP's cannot be set.
        (Some(StpProtocol::Rstp), Some(time)) if time != HELLO_TIME => {
            Err(at.with(BridgeOption::HelloTime(time).capability()).error(ErrorKind::InvalidOption))
        }
        _ => Ok(()),
    }
}

/// The command that sets an option, and its argument.
fn encode(option: BridgeOption) -> std::result::Result<(c_ulong, ifbrparam), ErrorKind> {
    Ok(match option {
        BridgeOption::StpProtocol(StpProtocol::Stp) => (abi::BRDGSPROTO, STP.into()),
        BridgeOption::StpProtocol(StpProtocol::Rstp) => (abi::BRDGSPROTO, RSTP.into()),
        BridgeOption::ForwardDelay(time) => (abi::BRDGSFD, seconds::<u8>(time)?.into()),
        BridgeOption::HelloTime(time) => (abi::BRDGSHT, seconds::<u8>(time)?.into()),
        BridgeOption::MaxAge(time) => (abi::BRDGSMA, seconds::<u8>(time)?.into()),
        BridgeOption::Priority(priority) if priority % PRIORITY_STEP == 0 => (abi::BRDGSPRI, priority.into()),
        // ifconfig(8) says of a time of 0 that nothing is forgotten, but all is, at the next look.
        BridgeOption::Priority(_) | BridgeOption::AgeingTime(Duration::ZERO) => {
            return Err(ErrorKind::InvalidOption);
        }
        BridgeOption::AgeingTime(time) => (abi::BRDGSTO, seconds::<u32>(time)?.into()),
        BridgeOption::MaxAddresses(count) => (abi::BRDGSCACHE, count.into()),
        BridgeOption::VlanFiltering(on) => {
            (abi15::BRDGSFLAGS, if on { abi15::IFBRF_VLANFILTER } else { 0 }.into())
        }
        BridgeOption::DefaultPvid(pvid) => (abi15::BRDGSDEFPVID, pvid.map_or(0, VlanId::get).into()),
        // The last one is no parameter of the bridge.
        BridgeOption::Stp(_)
        | BridgeOption::MulticastSnooping(_)
        | BridgeOption::GroupForwardMask(_)
        | BridgeOption::HostIpv6(_) => return Err(ErrorKind::Unsupported),
    })
}

/// A whole number of seconds that fits.
fn seconds<T: TryFrom<u64>>(time: Duration) -> std::result::Result<T, ErrorKind> {
    let whole = time.subsec_nanos() == 0;
    T::try_from(time.as_secs()).ok().filter(|_| whole).ok_or(ErrorKind::InvalidOption)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(option: BridgeOption) -> Option<[u8; 4]> {
        encode(option).ok().map(|(_, value)| value.ifbrp_ifbrpu.to_ne_bytes())
    }

    #[test]
    fn encodes_each_number_in_its_width() {
        assert_eq!(bytes(BridgeOption::MaxAge(Duration::from_secs(40))), Some([40, 0, 0, 0]));
        let [a, b] = 0xf000_u16.to_ne_bytes();
        assert_eq!(bytes(BridgeOption::Priority(0xf000)), Some([a, b, 0, 0]));
        let [a, b] = 4094_u16.to_ne_bytes();
        assert_eq!(bytes(BridgeOption::DefaultPvid(Some(VlanId::MAX))), Some([a, b, 0, 0]));
        assert_eq!(bytes(BridgeOption::DefaultPvid(None)), Some([0; 4]));
        assert_eq!(bytes(BridgeOption::VlanFiltering(true)), Some(1_u32.to_ne_bytes()));
        assert_eq!(bytes(BridgeOption::MaxAddresses(70_000)), Some(70_000_u32.to_ne_bytes()));
    }

    #[test]
    fn refuses_what_would_not_be_kept() {
        for option in [
            BridgeOption::Priority(5000),
            BridgeOption::ForwardDelay(Duration::from_millis(4500)),
            BridgeOption::ForwardDelay(Duration::from_secs(256 + 15)),
            BridgeOption::AgeingTime(Duration::ZERO),
            BridgeOption::AgeingTime(Duration::from_secs(1 << 32)),
        ] {
            assert_eq!(encode(option).err(), Some(ErrorKind::InvalidOption), "{option:?}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_kept_or_refused(seconds: u64, nanos in 0_u32..1_000_000_000) {
            let time = Duration::new(seconds, nanos);
            let kept = encode(BridgeOption::AgeingTime(time)).ok();
            let kept = kept.map(|(_, value)| Duration::from_secs(value.ifbrp_ifbrpu.into()));
            prop_assert!(kept.is_none_or(|kept| kept == time));
        }
    }
}
