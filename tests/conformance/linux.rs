//! A network namespace as a host, with `ip` as the oracle.

use caps::CapSet;
use serde_json::Value;
use vmbridge::{
    Available, Backend, BridgeOption, Capability, InterfaceName, MacAddr, PortOption, PortStpState, UnicastMac,
    VlanId, VlanTagging,
};

use crate::host::{Host, Seen, SeenTap, name};
use crate::support::{batch, has_vlans, host_ipv6, ip, link, open, run, snapshot, sysfs};

#[derive(Debug)]
pub(crate) struct Native {
    bridges: Box<dyn Backend>,
}

impl Native {
    pub(crate) fn new(backend: &Available) -> Self {
        Self { bridges: open(backend) }
    }
}

impl Host for Native {
    fn bridges(&self) -> &dyn Backend {
        &*self.bridges
    }

    fn loopback(&self) -> InterfaceName {
        name("lo")
    }

    fn add_interface(&self, name: InterfaceName, mac: UnicastMac) {
        ip(&format!("link add name {name} address {mac} type veth peer name p.{name}"));
    }

    fn remove_interface(&self, name: InterfaceName) {
        ip(&format!("link delete dev {name}"));
    }

    fn look(&self, name: InterfaceName) -> Option<Seen> {
        let link = link(&name.to_string())?;
        let flags = link["flags"].as_array().expect("flags");
        Some(Seen {
            mac: link["address"].as_str().expect("address").parse().expect("a MAC"),
            mtu: u32::try_from(link["mtu"].as_u64().expect("mtu")).expect("32 bits"),
            up: flags.iter().any(|flag| flag == "UP"),
            is_bridge: link["linkinfo"]["info_kind"] == "bridge",
            bridge: link["master"].as_str().map(str::to_owned),
        })
    }

    fn look_at_tap(&self, tap: InterfaceName) -> Option<SeenTap> {
        let tap = tap.to_string();
        let link = link(&tap)?;
        let info = &link["linkinfo"]["info_data"];
        let flag = |name: &str| info[name].as_bool().expect(name);
        assert!(info["type"] == "tap" && !flag("pi"), "{link}");
        // `ip` has a name for some users, sysfs −1 for none.
        let id = |file| sysfs(&tap, file).parse().ok();
        let (persistent, multi_queue, vnet_hdr) = (flag("persist"), flag("multi_queue"), flag("vnet_hdr"));
        Some(SeenTap { persistent, multi_queue, vnet_hdr, owner: id("owner"), group: id("group") })
    }

    fn snapshot(&self) -> String {
        snapshot()
    }

    fn has_vlans(&self) -> bool {
        has_vlans()
    }

    fn bridge_option(&self, bridge: InterfaceName, option: BridgeOption) -> Option<String> {
        let file = match option.capability() {
            Capability::ForwardDelay => "forward_delay",
            Capability::HelloTime => "hello_time",
            Capability::MaxAge => "max_age",
            Capability::Priority => "priority",
            Capability::Stp => "stp_state",
            Capability::AgeingTime => "ageing_time",
            Capability::MulticastSnooping => "multicast_snooping",
            Capability::GroupForwardMask => "group_fwd_mask",
            Capability::VlanFiltering => "vlan_filtering",
            Capability::DefaultPvid => "default_pvid",
            Capability::HostIpv6 => {
                let settings = host_ipv6(&bridge.to_string());
                return Some(if settings == [0, 0, 1] { "disabled" } else { "other" }.to_owned());
            }
            _ => return None,
        };
        Some(sysfs(&bridge.to_string(), &format!("bridge/{file}")))
    }

    fn port_option(&self, _bridge: InterfaceName, port: InterfaceName, option: PortOption) -> Option<String> {
        let port = port.to_string();
        let file = match option.capability() {
            Capability::Isolated => "isolated",
            Capability::Learning => "learning",
            Capability::UnicastFlood => "unicast_flood",
            Capability::MulticastFlood => "multicast_flood",
            Capability::BroadcastFlood => "broadcast_flood",
            Capability::BpduGuard => "bpdu_guard",
            Capability::RootBlock => "root_block",
            Capability::FastLeave => "multicast_fast_leave",
            Capability::Hairpin => "hairpin_mode",
            Capability::NeighborSuppression => "neigh_suppress",
            Capability::PathCost => "path_cost",
            Capability::PortPriority => "priority",
            // Not in sysfs.
            Capability::Locked => {
                let text = run("bridge", ["-d", "link", "show", "dev", &port]);
                return Some(u8::from(text.contains("locked on")).to_string());
            }
            _ => return None,
        };
        Some(sysfs(&port, &format!("brport/{file}")))
    }

    fn static_entries(&self, bridge: InterfaceName) -> Vec<(MacAddr, InterfaceName)> {
        let text = |entry: &Value, key: &str| entry[key].as_str().expect(key).to_owned();
        let of = |entry: &Value| {
            let mac = text(entry, "mac").parse().expect("a MAC");
            (mac, text(entry, "ifname").parse().expect("a name"))
        };
        let mut entries: Vec<_> = fixed(bridge).iter().map(of).collect();
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    fn entry_vlans(&self, bridge: InterfaceName, mac: UnicastMac) -> Vec<Option<VlanId>> {
        let vlan = |entry: &Value| {
            let number = entry["vlan"].as_u64().map(|number| u16::try_from(number).expect("a VLAN"));
            number.map(|number| VlanId::new(number).expect("a VLAN"))
        };
        let entries = fixed(bridge).into_iter().filter(|entry| entry["mac"] == mac.to_string());
        let mut vlans: Vec<_> = entries.map(|entry| vlan(&entry)).collect();
        vlans.sort_unstable();
        vlans
    }

    fn stp_state(&self, _bridge: InterfaceName, port: InterfaceName) -> Option<PortStpState> {
        Some(match &*sysfs(&port.to_string(), "brport/state") {
            "0" => PortStpState::Disabled,
            "1" => PortStpState::Listening,
            "2" => PortStpState::Learning,
            "3" => PortStpState::Forwarding,
            _ => PortStpState::Blocking,
        })
    }

    fn add_static_entries(&self, _bridge: InterfaceName, port: InterfaceName, macs: &[UnicastMac]) {
        let commands = macs.iter().map(|mac| format!("fdb add {mac} dev {port} master static"));
        batch("bridge", &commands.collect::<Vec<_>>().join("\n"));
    }

    fn vlans(&self, _bridge: InterfaceName, port: InterfaceName) -> Vec<(VlanId, VlanTagging)> {
        let text = run("bridge", ["-j", "vlan", "show", "dev", &port.to_string()]);
        let ports: Value = serde_json::from_str(&text).expect("JSON");
        let vlans = ports[0]["vlans"].as_array().into_iter().flatten();
        let each = vlans.flat_map(|entry| {
            let flags = entry["flags"].as_array();
            let has = |flag| flags.is_some_and(|flags| flags.iter().any(|other| other == flag));
            let tagging = match (has("PVID"), has("Egress Untagged")) {
                (false, false) => VlanTagging::Tagged,
                (false, true) => VlanTagging::Untagged,
                (true, true) => VlanTagging::Pvid,
                (true, false) => VlanTagging::PvidTagged,
            };
            let number = |key: &str| entry[key].as_u64().and_then(|number| u16::try_from(number).ok());
            let first = number("vlan").expect("a VLAN");
            let id = |number| VlanId::new(number).expect("a VLAN");
            (first..=number("vlanEnd").unwrap_or(first)).map(move |number| (id(number), tagging))
        });
        each.collect()
    }

    fn without_privilege(&self, act: &dyn Fn()) {
        // A capability is the thread's own, and comes back from the permitted set.
        caps::drop(None, CapSet::Effective, caps::Capability::CAP_NET_ADMIN).expect("a capability can be dropped");
        act();
        caps::raise(None, CapSet::Effective, caps::Capability::CAP_NET_ADMIN).expect("it is still permitted");
    }
}

/// The static entries of a bridge.
fn fixed(bridge: InterfaceName) -> Vec<Value> {
    let text = run("bridge", ["-j", "fdb", "show", "br", &bridge.to_string()]);
    let entries: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let is_fixed = |entry: &Value| entry["state"] == "static" && entry["master"] == bridge.to_string();
    entries.into_iter().filter(is_fixed).collect()
}
