//! A VNET jail as a host, with `ifconfig` as the oracle.

use nix::unistd::{Uid, seteuid};
use vmbridge::{
    Available, Backend, BridgeOption, Capability, InterfaceName, MacAddr, PortOption, PortStpState, UnicastMac,
    VlanId, VlanRange, VlanTagging,
};

use crate::host::{Host, Seen, name};
use crate::support::{add_interface, bridge_of, bridges, ifconfig, interface, open, run, snapshot};

/// `nobody`.
const UNPRIVILEGED: Uid = Uid::from_raw(65534);

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
        name("lo0")
    }

    fn add_interface(&self, name: InterfaceName, mac: UnicastMac) {
        add_interface(&name.to_string());
        ifconfig(&format!("{name} ether {mac}"));
    }

    fn remove_interface(&self, name: InterfaceName) {
        ifconfig(&format!("{name} destroy"));
    }

    fn look(&self, name: InterfaceName) -> Option<Seen> {
        let name = name.to_string();
        let seen = interface(&name)?;
        Some(Seen {
            mac: seen.mac.map_or(MacAddr::ZERO, |mac| mac.parse().expect("a MAC")),
            mtu: seen.mtu,
            up: seen.is_up,
            is_bridge: bridges().contains(&name),
            bridge: bridge_of(&name),
        })
    }

    // Not `look_at_tap`: ifconfig(8) tells none of that.

    fn snapshot(&self) -> String {
        snapshot()
    }

    fn has_vlans(&self) -> bool {
        tells_vlans_apart()
    }

    fn bridge_option(&self, bridge: InterfaceName, option: BridgeOption) -> Option<String> {
        let text = ifconfig(&bridge.to_string());
        let after = |word| after(&text, word);
        let time = |word| Some(format!("{}00", after(word)?));
        match option.capability() {
            Capability::StpProtocol => after("proto"),
            Capability::ForwardDelay => time("fwddelay"),
            Capability::HelloTime => time("hellotime"),
            Capability::MaxAge => time("maxage"),
            Capability::Priority => after("priority"),
            Capability::AgeingTime => time("timeout"),
            Capability::MaxAddresses => after("maxaddr"),
            Capability::VlanFiltering => {
                let flags = text.lines().find(|line| line.contains("bridge flags="))?;
                Some(u8::from(flags.contains("VLANFILTER")).to_string())
            }
            Capability::HostIpv6 => {
                let flags = text.lines().find(|line| line.contains("nd6 options="))?;
                Some(if flags.contains("IFDISABLED") { "disabled" } else { "other" }.to_owned())
            }
            // As it is written from 15 on, and not at all where it is none.
            Capability::DefaultPvid => {
                let pvid = text.split_once("defuntagged=").map_or("0", |(_, rest)| rest);
                pvid.split_whitespace().next().map(str::to_owned)
            }
            _ => None,
        }
    }

    fn port_option(&self, bridge: InterfaceName, port: InterfaceName, option: PortOption) -> Option<String> {
        let text = ifconfig(&bridge.to_string());
        let text = member(&text, port)?;
        let has = |flag| Some(u8::from(text.split(['<', '>', ',']).any(|other| other == flag)).to_string());
        match option.capability() {
            Capability::Isolated => has("PRIVATE"),
            Capability::Learning => has("LEARNING"),
            Capability::UnicastFlood => has("DISCOVER"),
            Capability::PortStp => has("STP"),
            Capability::Sticky => has("STICKY"),
            Capability::PathCost => after(text, "cost"),
            Capability::PortPriority => after(text, "priority"),
            _ => None,
        }
    }

    fn static_entries(&self, bridge: InterfaceName) -> Vec<(MacAddr, InterfaceName)> {
        let mut entries: Vec<_> = fixed(bridge).into_iter().map(|(mac, _, port)| (mac, port)).collect();
        entries.sort_unstable();
        entries
    }

    fn entry_vlans(&self, bridge: InterfaceName, mac: UnicastMac) -> Vec<Option<VlanId>> {
        // How the kernel says that there is none: before it tells VLANs apart it is 1.
        let none = u16::from(!tells_vlans_apart());
        let entries = fixed(bridge).into_iter().filter(|(other, ..)| *other == mac);
        let mut vlans: Vec<_> =
            entries.map(|(_, vlan, _)| (vlan != none).then(|| VlanId::new(vlan).expect("a VLAN"))).collect();
        vlans.sort_unstable();
        vlans
    }

    fn stp_state(&self, bridge: InterfaceName, port: InterfaceName) -> Option<PortStpState> {
        let text = ifconfig(&bridge.to_string());
        let state = after(member(&text, port).expect("it is a port"), "state")?;
        Some(match &*state {
            "disabled" => PortStpState::Disabled,
            "listening" => PortStpState::Listening,
            "learning" => PortStpState::Learning,
            "forwarding" => PortStpState::Forwarding,
            _ => PortStpState::Blocking,
        })
    }

    fn add_static_entries(&self, bridge: InterfaceName, port: InterfaceName, macs: &[UnicastMac]) {
        // As many as the arguments of a program may be.
        for macs in macs.chunks(1000) {
            let entries = macs.iter().map(|mac| format!("static {port} {mac}"));
            ifconfig(&format!("{bridge} {}", entries.collect::<Vec<_>>().join(" ")));
        }
    }

    fn vlans(&self, bridge: InterfaceName, port: InterfaceName) -> Vec<(VlanId, VlanTagging)> {
        let text = ifconfig(&bridge.to_string());
        let text = member(&text, port).expect("it is a port");
        let each = |word, tagging| {
            let ranges = after(text, word).unwrap_or_default();
            let ranges: Vec<VlanRange> = ranges
                .split(',')
                .filter(|text| !text.is_empty())
                .map(|text| text.parse().expect("VLANs"))
                .collect();
            ranges.into_iter().flat_map(VlanRange::iter).map(move |id| (id, tagging)).collect::<Vec<_>>()
        };
        let mut vlans = each("untagged", VlanTagging::Pvid);
        vlans.extend(each("tagged", VlanTagging::Tagged));
        vlans.sort_unstable();
        vlans
    }

    fn without_privilege(&self, act: &dyn Fn()) {
        seteuid(UNPRIVILEGED).expect("root may become anyone");
        act();
        seteuid(Uid::from_raw(0)).expect("the real user is root");
    }
}

/// Whether bridges tell VLANs apart, as they do from 15 on.
fn tells_vlans_apart() -> bool {
    run("uname", ["-K"]).trim().parse::<u32>().expect("a version") >= 1_500_057
}

/// The static entries of a bridge: MAC, VLAN and port.
fn fixed(bridge: InterfaceName) -> Vec<(MacAddr, u16, InterfaceName)> {
    let text = ifconfig(&format!("{bridge} addr"));
    let fixed = text.lines().filter(|line| line.contains("STATIC"));
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let vlan = words[1].strip_prefix("Vlan").expect("a VLAN").parse().expect("a number");
        (words[0].parse().expect("a MAC"), vlan, name(words[2]))
    };
    fixed.map(entry).collect()
}

/// What ifconfig(8) says of a member.
fn member(text: &str, port: InterfaceName) -> Option<&str> {
    text.split(&format!("member: {port} ")).nth(1)?.split("member: ").next()
}

/// The word that comes after this one.
fn after(text: &str, word: &str) -> Option<String> {
    text.split_whitespace().skip_while(|&other| other != word).nth(1).map(str::to_owned)
}
