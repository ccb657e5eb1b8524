//! The VLANs of a port: `RTM_…LINK` with `AF_BRIDGE` and `IFLA_AF_SPEC`.
//!
//! The kernel's side is `br_afspec()` and `br_fill_ifinfo()` (`net/bridge/br_netlink.c`). What one
//! would not expect there: removing VLANs succeeds whether the port has them or not, and on a kernel
//! without 802.1Q, too; only adding is refused there.

mod add;

use std::collections::HashMap;

use super::link::Link;
use super::vlan_info::{self, Member};
use super::{Failure, NetlinkBackend, error};
use crate::error::Attempt;
use crate::{Capability, ErrorKind, InterfaceIndex, InterfaceName, Operation, PortVlans, Result, VlanRange};

/// What two ranges have in common.
fn common(one: VlanRange, other: VlanRange) -> Option<VlanRange> {
    VlanRange::new(one.first().max(other.first()), one.last().min(other.last())).ok()
}

impl NetlinkBackend {
    /// The VLANs of a port, in order.
    pub(super) fn port_vlans(
        &self,
        bridge: InterfaceIndex,
        port: InterfaceIndex,
    ) -> std::result::Result<Vec<PortVlans>, Failure> {
        Ok(self.vlans_of_ports(bridge)?.remove(&port).unwrap_or_default())
    }

    /// Those of every port of a bridge.
    pub(super) fn vlans_of_ports(
        &self,
        bridge: InterfaceIndex,
    ) -> std::result::Result<HashMap<InterfaceIndex, Vec<PortVlans>>, Failure> {
        let wanted = |member: &Member| member.bridge == Some(bridge);
        let (members, outcome) =
            self.socket.read(vlan_info::dump, |payload| Ok(Member::decode(payload)?.filter(wanted)));
        match outcome {
            // The changes were elsewhere: what is told of one port is of one moment.
            Ok(()) | Err(Failure::ListChanged) => {}
            Err(failure) => return Err(failure),
        }
        Ok(members.into_iter().map(|member| (member.port, member.vlans)).collect())
    }

    /// A bridge and a port of it, if the kernel knows VLANs at all.
    fn vlan_port_of(&self, at: Attempt, bridge: InterfaceName, port: InterfaceName) -> Result<(Link, Link)> {
        let (bridge, port) = self.port_of(at, bridge, port)?;
        // It has no words for that: it reports no VLANs, and removes any.
        match bridge.options.default_pvid {
            Some(_) => Ok((bridge, port)),
            None => Err(at.with(Capability::PortVlans).error(ErrorKind::Unsupported)),
        }
    }

    pub(super) fn read_vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Result<Vec<PortVlans>> {
        let at = Self::at(Operation::Vlans).on(bridge).port(port);
        let (bridge, port) = self.vlan_port_of(at, bridge, port)?;
        self.port_vlans(bridge.index, port.index).map_err(|failure| error(at, failure))
    }

    pub(super) fn let_no_longer_through(
        &self,
        bridge: InterfaceName,
        port: InterfaceName,
        vlans: VlanRange,
    ) -> Result<()> {
        let at = Self::at(Operation::RemoveVlans).on(bridge).port(port);
        let (bridge, port) = self.vlan_port_of(at, bridge, port)?;
        let has_none = || {
            let now = self.port_vlans(bridge.index, port.index)?;
            Ok(now.iter().all(|now| common(now.vlans, vlans).is_none()))
        };
        if has_none().map_err(|failure| error(at, failure))? {
            return Err(at.error(ErrorKind::EntryNotFound));
        }
        let refusal = |errno| self.port_refusal(bridge.index, port.index, errno);
        self.execute(at, vlan_info::remove(port.index, vlans), has_none, |errno, _| refusal(errno))
    }
}
