//! The VLANs of a port: `RTM_…LINK` with `AF_BRIDGE` and `IFLA_AF_SPEC`.
//!
//! The kernel's side is `br_afspec()` and `br_fill_ifinfo()` (`net/bridge/br_netlink.c`). What one
//! would not expect there: removing VLANs succeeds whether the port has them or not, and on a kernel
//! without 802.1Q, too; only adding is refused there.

use std::collections::HashMap;

use super::NetlinkBackend;
use super::outcome::{as_bridge, as_interface};
use super::socket::Failure;
use super::vlan_info::{self, Member};
use crate::{Capability, ErrorKind, InterfaceIndex, Operation, PortVlans, Result, Target};

impl NetlinkBackend {
    /// Reads the VLANs of every port of a bridge. The kernel lists the ports of all bridges.
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

    /// Reads the VLANs of a port, if the kernel knows VLANs at all.
    pub(super) fn read_vlans(&self, bridge: Target, port: Target) -> Result<Vec<PortVlans>> {
        let at = Self::at(Operation::Vlans).on(bridge).port(port);
        let found = self.find_all(&[bridge, port]);
        let (bridge, port) = (as_bridge(at, &found[0])?, as_interface(at, &found[1])?);
        if port.master != Some(bridge.index) {
            return Err(at.error(ErrorKind::NotAPort));
        }
        // It has no words for that: it reports no VLANs.
        if bridge.options.default_pvid.is_none() {
            return Err(at.with(Capability::PortVlans).error(ErrorKind::Unsupported));
        }
        let vlans =
            self.vlans_of_ports(bridge.index).map_err(|failure| self.failure_on(at, bridge.index, failure))?;
        Ok(vlans.get(&port.index).cloned().unwrap_or_default())
    }
}
