//! Interfaces as rtnetlink tells them: `RTM_NEWLINK`, from bytes.
//!
//! The kernel's side is `rtnl_fill_ifinfo()` (`net/core/rtnetlink.c`). The functions are pure.

use super::attribute::{Malformed, attributes, i32_at, u16_at, u32_at, until_nul};
use super::options;
use super::tun_data::{self, TunData};
use crate::linux::abi::netlink::{
    AF_INET6, DEVCONF_ACCEPT_RA, DEVCONF_AUTOCONF, DEVCONF_DISABLE_IPV6, IFLA_GROUP, IFLA_INET6_CONF,
};
use crate::linux::carrier::Carrier;
use crate::linux::host_ipv6::Settings;
use crate::{
    BridgeOptions, HostIpv6, InterfaceIndex, InterfaceName, LinkState, MacAddr, PortOptions, PortStpState,
};

const HEADER: usize = size_of::<libc::ifinfomsg>();

/// An interface, as an `RTM_NEWLINK` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: InterfaceIndex,
    pub(super) name: InterfaceName,
    pub(super) state: LinkState,
    pub(super) carrier: Carrier,
    /// `None` without an address of six bytes.
    pub(super) mac: Option<MacAddr>,
    pub(super) mtu: u32,
    pub(super) is_bridge: bool,
    /// The driver's attributes of a tap.
    pub(super) tap: Option<TunData>,
    /// The options of a bridge.
    pub(super) options: BridgeOptions,
    /// The interface that has it as a port: a bridge, a bond or the like.
    pub(super) master: Option<InterfaceIndex>,
    /// The options of a port of a bridge.
    pub(super) port_options: PortOptions,
    pub(super) stp_state: Option<PortStpState>,
    /// A number that anyone may give to interfaces (`ip link set … group`); 0 from the start.
    pub(super) group: u32,
}

impl Link {
    /// Reads nothing but the index from the payload of an `RTM_NEWLINK`.
    pub(super) fn index(payload: &[u8]) -> Result<InterfaceIndex, Malformed> {
        u32_at(payload, 4).and_then(InterfaceIndex::new).ok_or(Malformed)
    }

    /// Reads the payload of an `RTM_NEWLINK`.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let index = Self::index(payload)?;
        let flags = u32_at(payload, 8).ok_or(Malformed)?;
        let (mut name, mut mac, mut mtu, mut master) = (None, None, None, None);
        let (mut operational_state, mut has_carrier, mut group) = (None, false, None);
        let (mut info, mut families) = (LinkInfo::default(), &[][..]);
        for attribute in attributes(payload.get(HEADER..).ok_or(Malformed)?) {
            let (kind, payload) = attribute?;
            match kind {
                libc::IFLA_IFNAME => name = InterfaceName::from_kernel(payload),
                libc::IFLA_ADDRESS => mac = payload.try_into().ok().map(MacAddr::new),
                libc::IFLA_OPERSTATE => operational_state = payload.first().copied().map(Into::into),
                libc::IFLA_CARRIER => has_carrier = payload.first() == Some(&1),
                libc::IFLA_MTU => mtu = u32_at(payload, 0),
                libc::IFLA_MASTER => master = u32_at(payload, 0).and_then(InterfaceIndex::new),
                libc::IFLA_LINKINFO => info = LinkInfo::decode(payload)?,
                libc::IFLA_AF_SPEC => families = payload,
                IFLA_GROUP => group = u32_at(payload, 0),
                _ => {}
            }
        }
        let mut options = info.options()?;
        if info.is_bridge() {
            options.host_ipv6 = host_ipv6(families)?;
        }
        let (port_options, stp_state) = info.port_options()?;
        let hardware = u16_at(payload, 2).ok_or(Malformed)?;
        Ok(Self {
            index,
            name: name.ok_or(Malformed)?,
            state: LinkState::of_flags(flags),
            carrier: Carrier { is_on: has_carrier, is_operational: operational_state == Some(libc::IF_OPER_UP) },
            mac,
            mtu: mtu.ok_or(Malformed)?,
            is_bridge: info.is_bridge(),
            tap: info.tap(hardware)?,
            options,
            master,
            port_options,
            stp_state,
            group: group.unwrap_or(0),
        })
    }
}

/// Reads the host's IPv6 settings from an `IFLA_AF_SPEC` (`inet6_fill_ifla6_attrs()`, `net/ipv6/addrconf.c`). `None`
/// for an interface without IPv6.
fn host_ipv6(families: &[u8]) -> Result<Option<HostIpv6>, Malformed> {
    let nested = |bytes, wanted| {
        let is_it = |attribute: &Result<(u16, _), _>| !matches!(attribute, Ok((kind, _)) if *kind != wanted);
        attributes(bytes).find(is_it).transpose().map(|found| found.map(|(_, payload)| payload))
    };
    let Some(inet6) = nested(families, AF_INET6)? else { return Ok(None) };
    let Some(conf) = nested(inet6, IFLA_INET6_CONF)? else { return Ok(None) };
    let number = |place| i32_at(conf, place * size_of::<i32>()).ok_or(Malformed);
    let settings = Settings {
        accept_ra: number(DEVCONF_ACCEPT_RA)?,
        autoconf: number(DEVCONF_AUTOCONF)?,
        disable_ipv6: number(DEVCONF_DISABLE_IPV6)?,
    };
    Ok(Some(settings.meaning()))
}

/// An `IFLA_LINKINFO`: the drivers of an interface and of its master, and their own attributes.
#[derive(Default)]
struct LinkInfo<'a> {
    kind: Option<&'a [u8]>,
    data: &'a [u8],
    port_kind: Option<&'a [u8]>,
    port_data: &'a [u8],
}

impl<'a> LinkInfo<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut info = Self::default();
        for attribute in attributes(bytes) {
            let (kind, payload) = attribute?;
            match kind {
                libc::IFLA_INFO_KIND => info.kind = Some(until_nul(payload)),
                libc::IFLA_INFO_DATA => info.data = payload,
                libc::IFLA_INFO_SLAVE_KIND => info.port_kind = Some(until_nul(payload)),
                libc::IFLA_INFO_SLAVE_DATA => info.port_data = payload,
                _ => {}
            }
        }
        Ok(info)
    }

    fn is_bridge(&self) -> bool {
        self.kind == Some(options::KIND.as_bytes())
    }

    fn options(&self) -> Result<BridgeOptions, Malformed> {
        if self.is_bridge() { options::decode(self.data) } else { Ok(BridgeOptions::default()) }
    }

    fn tap(&self, hardware: u16) -> Result<Option<TunData>, Malformed> {
        if self.kind == Some(tun_data::KIND.as_bytes()) { TunData::decode(self.data, hardware) } else { Ok(None) }
    }

    fn port_options(&self) -> Result<(PortOptions, Option<PortStpState>), Malformed> {
        if self.port_kind == Some(options::KIND.as_bytes()) {
            options::decode_port(self.port_data)
        } else {
            Ok((PortOptions::default(), None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::abi::netlink::NLA_F_NESTED;
    use crate::linux::netlink::attribute::encoded as attribute;
    use proptest::prelude::*;

    fn link_payload(attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = vec![0; HEADER];
        payload[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        payload[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        payload.extend(attributes.concat());
        payload
    }

    fn bridge() -> Vec<Vec<u8>> {
        vec![
            attribute(libc::IFLA_IFNAME, b"br0\0"),
            attribute(libc::IFLA_MTU, &1500_u32.to_ne_bytes()),
            attribute(libc::IFLA_ADDRESS, &[0x52, 0x54, 0, 1, 2, 3]),
            attribute(libc::IFLA_LINKINFO | NLA_F_NESTED, &attribute(libc::IFLA_INFO_KIND, b"bridge\0")),
        ]
    }

    #[test]
    fn reads_a_bridge() {
        let link = Link::decode(&link_payload(&bridge())).expect("well formed");
        assert_eq!(link.name.as_bytes(), b"br0");
        assert!(link.is_bridge);
        assert_eq!(link.mac.expect("six bytes").to_string(), "52:54:00:01:02:03");
        assert_eq!((link.index.get(), link.mtu, link.state, link.master), (7, 1500, LinkState::Up, None));
    }

    #[test]
    fn skips_what_a_newer_kernel_adds() {
        let mut attributes = bridge();
        attributes.insert(0, attribute(0x3f00, b"news"));
        attributes.push(attribute(libc::IFLA_LINKINFO, &attribute(77, b"what")));
        assert!(Link::decode(&link_payload(&attributes[..5])).expect("well formed").is_bridge);
    }

    #[test]
    fn an_attribute_that_ends_behind_the_message_is_malformed() {
        let mut payload = link_payload(&bridge());
        payload.truncate(payload.len() - 3);
        assert_eq!(Link::decode(&payload), Err(Malformed));
        assert_eq!(Link::decode(&payload[..10]), Err(Malformed));
    }

    #[test]
    fn a_bridge_inside_another_attribute_is_no_bridge() {
        let mut attributes = bridge();
        attributes[3] = attribute(libc::IFLA_LINKINFO, &attribute(libc::IFLA_INFO_SLAVE_KIND, b"bridge\0"));
        assert!(!Link::decode(&link_payload(&attributes)).expect("well formed").is_bridge);
    }

    /// An `IFLA_AF_SPEC` as the kernel sends it, with the settings of IPv4 first.
    fn families(accept_ra: i32, autoconf: i32, disable_ipv6: i32) -> Vec<u8> {
        let mut conf = [0_i32; 60];
        (conf[3], conf[5], conf[26]) = (accept_ra, autoconf, disable_ipv6);
        let conf: Vec<u8> = conf.into_iter().flat_map(i32::to_ne_bytes).collect();
        let inet6 = [attribute(1, &[0; 4]), attribute(2, &conf), attribute(8, &[0])].concat();
        attribute(libc::IFLA_AF_SPEC, &[attribute(2, &attribute(1, &[1; 132])), attribute(10, &inet6)].concat())
    }

    #[test]
    fn reads_what_the_host_does_in_ipv6() {
        let host_ipv6 = |more: &[u8]| {
            let payload = [&link_payload(&bridge())[..], more].concat();
            Link::decode(&payload).map(|link| link.options.host_ipv6)
        };
        assert_eq!(host_ipv6(&[]), Ok(None));
        assert_eq!(host_ipv6(&attribute(libc::IFLA_AF_SPEC, &attribute(2, &[0; 4]))), Ok(None));
        assert_eq!(host_ipv6(&families(1, 1, 0)), Ok(Some(HostIpv6::Kernel)));
        assert_eq!(host_ipv6(&families(0, 1, 0)), Ok(Some(HostIpv6::Kernel)));
        assert_eq!(host_ipv6(&families(0, 0, 0)), Ok(Some(HostIpv6::Manual)));
        assert_eq!(host_ipv6(&families(2, 1, 1)), Ok(Some(HostIpv6::Disabled)));
        let short = attribute(10, &attribute(2, &[0; 100]));
        assert_eq!(host_ipv6(&attribute(libc::IFLA_AF_SPEC, &short)), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = (Link::decode(&bytes), host_ipv6(&bytes));
        }

        #[test]
        fn no_damage_to_a_link_panics(at in 0_usize..72, byte: u8) {
            let mut payload = link_payload(&bridge());
            let at = at % payload.len();
            payload[at] = byte;
            let _ = Link::decode(&payload);
        }
    }
}
