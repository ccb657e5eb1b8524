//! A network as its user defines it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::getters::getters;
use super::{
    Anchor, BridgeName, ForwardMode, InvalidNetwork, MacTableManager, NetworkName, NetworkReason, PortIsolation,
};
use crate::{
    BridgeOption, BridgeOptions, BridgeSpec, Capabilities, Capability, HostIpv6, InterfaceName, LinkState,
    OptionText, PortOptions, UnicastMac,
};

/// A network: a bridge of its own, and what that is to be each time it is made.
///
/// ```
/// use vmbridge::network::{ForwardMode, Network};
///
/// let network = Network::new("default".parse()?)
///     .with_forward(ForwardMode::Nat)
///     .with_bridge("virbr0".parse()?)
///     .with_mac("52:54:00:12:34:56".parse()?)
///     .with_mtu(1400)?;
/// assert!(network.with_mtu(10).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub struct Network {
    name: NetworkName,
    forward: ForwardMode,
    bridge: BridgeName,
    mac: Option<UnicastMac>,
    mtu: Option<u32>,
    options: BridgeOptions,
    mac_table_manager: Option<MacTableManager>,
    isolation: PortIsolation,
    anchor: Anchor,
}

impl Network {
    /// The MTUs that a network can have, in bytes: those of Linux's bridges. FreeBSD's begin at 576.
    pub const MTU: RangeInclusive<u32> = 68..=65535;

    /// An isolated network of this name, whose bridge is called by the template `virbr%d`, with the
    /// rest left open.
    #[must_use]
    pub fn new(name: NetworkName) -> Self {
        Self {
            name,
            forward: ForwardMode::default(),
            bridge: BridgeName::default(),
            mac: None,
            mtu: None,
            options: BridgeOptions::default(),
            mac_table_manager: None,
            isolation: PortIsolation::default(),
            anchor: Anchor::default(),
        }
    }

    /// With this forward mode.
    #[must_use]
    pub const fn with_forward(mut self, forward: ForwardMode) -> Self {
        self.forward = forward;
        self
    }

    /// With a bridge of this name.
    #[must_use]
    pub fn with_bridge(mut self, bridge: BridgeName) -> Self {
        self.bridge = bridge;
        self
    }

    /// With this MAC for life.
    #[must_use]
    pub const fn with_mac(mut self, mac: UnicastMac) -> Self {
        self.mac = Some(mac);
        self
    }

    /// With this MTU, in bytes.
    ///
    /// # Errors
    /// [`NetworkReason::Mtu`] if it is not one of [`Network::MTU`].
    pub fn with_mtu(mut self, mtu: u32) -> Result<Self, InvalidNetwork> {
        if !Self::MTU.contains(&mtu) {
            return Err(InvalidNetwork::new("mtu@size", mtu.to_string(), NetworkReason::Mtu));
        }
        self.mtu = Some(mtu);
        Ok(self)
    }

    /// With these options of the bridge, and no others.
    ///
    /// # Errors
    /// [`NetworkReason::ForwardDelay`] if the forward delay is no whole number of seconds below 2^63:
    /// libvirt's files have no others (it writes greater ones with a sign and does not read them again).
    pub fn with_options(mut self, options: BridgeOptions) -> Result<Self, InvalidNetwork> {
        if let Some(delay) = options.forward_delay.filter(|delay| !is_libvirts(*delay)) {
            let value = BridgeOption::ForwardDelay(delay).text();
            return Err(InvalidNetwork::new("bridge@delay", value, NetworkReason::ForwardDelay));
        }
        self.options = options;
        Ok(self)
    }

    /// With the FDB managed like this.
    #[must_use]
    pub const fn with_mac_table_manager(mut self, manager: MacTableManager) -> Self {
        self.mac_table_manager = Some(manager);
        self
    }

    /// With ports that reach one another or do not.
    #[must_use]
    pub const fn with_isolation(mut self, isolation: PortIsolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// With this anchor.
    #[must_use]
    pub const fn with_anchor(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }

    getters! {
        /// Its name.
        name: &NetworkName;
        /// How its guests reach other networks.
        forward: ForwardMode;
        /// What its bridge is called.
        bridge: &BridgeName;
        /// The MAC of its bridge. `None` as long as it was not given one.
        mac: Option<UnicastMac>;
        /// The MTU of its bridge, in bytes. `None` leaves it to the kernel ([`BridgeSpec::mtu`]).
        mtu: Option<u32>;
        /// The options of its bridge that the definition gives, STP and the forward delay among them;
        /// those that it does not give are `None`.
        options: &BridgeOptions;
        /// Who manages the FDB of its bridge. `None` is the kernel, too.
        mac_table_manager: Option<MacTableManager>;
        /// Whether its ports reach one another.
        isolation: PortIsolation;
        /// Whether an anchor holds the bridge's MAC.
        anchor: Anchor;
    }

    /// What a guest's port is given when it is plugged in ([`Guest::options`](crate::Guest::options)): isolated if the
    /// network's ports are, and neither learning nor flooded to if libvirt manages the FDB. It is
    /// the same for every backend; one that cannot do it refuses.
    #[must_use]
    pub fn port_options(&self) -> PortOptions {
        let mut options = PortOptions::default();
        if self.isolation == PortIsolation::Isolated {
            options = options.isolated(true);
        }
        if self.mac_table_manager == Some(MacTableManager::Libvirt) {
            options = options.learning(false).unicast_flood(false);
        }
        options
    }

    /// Its bridge under this name and with this MAC, up, for a backend of these capabilities. Give those that it
    /// [implements](crate::Backend::implemented): then a kernel that lacks one refuses the bridge.
    ///
    /// Options that the definition does not give are libvirt's defaults, on a backend whose bridges
    /// have such a switch: STP on with a forward delay of 0 ([`Capability::Stp`]), VLANs told apart
    /// if libvirt manages the FDB ([`Capability::VlanFiltering`]), and no IPv6 of the host
    /// ([`HostIpv6::Disabled`], [`Capability::HostIpv6`]; an existing bridge need only be
    /// [`HostIpv6::Manual`], so that no address is lost). What the definition gives is
    /// kept, for the backend to refuse what it cannot do.
    #[must_use]
    pub fn bridge_spec(&self, name: InterfaceName, mac: UnicastMac, capabilities: Capabilities) -> BridgeSpec {
        let mut options = self.options;
        if capabilities.contains(Capability::Stp) {
            options.stp = options.stp.or(Some(true));
            options.forward_delay = options.forward_delay.or(Some(Duration::ZERO));
        }
        let managed = self.mac_table_manager == Some(MacTableManager::Libvirt);
        if managed && capabilities.contains(Capability::VlanFiltering) {
            options.vlan_filtering = options.vlan_filtering.or(Some(true));
        }
        if capabilities.contains(Capability::HostIpv6) {
            options.host_ipv6 = options.host_ipv6.or(Some(HostIpv6::Disabled));
        }
        let spec = BridgeSpec::new(name).mac(mac).link(LinkState::Up).options(options);
        match self.mtu {
            Some(mtu) => spec.mtu(mtu),
            None => spec,
        }
    }
}

fn is_libvirts(delay: Duration) -> bool {
    delay.subsec_nanos() == 0 && i64::try_from(delay.as_secs()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::new("default".parse().expect("a name"))
    }

    fn options(network: &Network, capabilities: impl IntoIterator<Item = Capability>) -> BridgeOptions {
        let name = "br0".parse().expect("a name");
        let mac = "52:54:00:00:00:01".parse().expect("a MAC");
        network.bridge_spec(name, mac, capabilities.into_iter().collect()).options
    }

    #[test]
    fn a_bridge_has_defaults_where_it_has_the_switch() {
        let both = [Capability::Stp, Capability::VlanFiltering];
        let stp = BridgeOptions::default().stp(true).forward_delay(Duration::ZERO);
        assert_eq!(options(&network(), both), stp);
        assert_eq!(options(&network(), []), BridgeOptions::default());
        let managed = network().with_mac_table_manager(MacTableManager::Libvirt);
        assert_eq!(options(&managed, both), stp.vlan_filtering(true));
        assert_eq!(options(&managed, []), BridgeOptions::default());
        let disabled = BridgeOptions::default().host_ipv6(HostIpv6::Disabled);
        assert_eq!(options(&network(), [Capability::HostIpv6]), disabled);
    }

    #[test]
    fn a_bridge_has_what_the_definition_gives_whatever_the_backend_can() {
        let given = BridgeOptions::default().stp(false).forward_delay(Duration::from_secs(4));
        let given = given.vlan_filtering(false).host_ipv6(HostIpv6::Kernel);
        let network = network().with_mac_table_manager(MacTableManager::Libvirt).with_options(given);
        let network = network.expect("it is valid");
        assert_eq!(options(&network, Capability::ALL.iter().copied()), given);
        assert_eq!(options(&network, []), given);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn json_has_the_words_of_xml() {
        let network =
            network().with_forward(ForwardMode::Nat).with_mtu(1400).expect("an MTU").with_anchor(Anchor::Tap);
        let options = BridgeOptions::default().stp(false);
        let network = network.with_options(options).expect("no delay");
        let json = serde_json::to_value(network.with_mac_table_manager(MacTableManager::Libvirt));
        assert_eq!(
            json.expect("it is serializable"),
            serde_json::json!({
                "name": "default",
                "forward": "nat",
                "bridge": "virbr%d",
                "mac": null,
                "mtu": 1400,
                "options": { "stp": false },
                "mac-table-manager": "libvirt",
                "isolation": "connected",
                "anchor": "tap",
            })
        );
    }

    #[test]
    fn refuses_what_no_bridge_can_be() {
        for mtu in [0, 67, 65536, u32::MAX] {
            let error = network().with_mtu(mtu).expect_err("no bridge has it");
            assert_eq!((error.element(), error.value()), ("mtu@size", &*mtu.to_string()));
        }
        let delay = |delay| network().with_options(BridgeOptions::default().forward_delay(delay));
        let error = delay(Duration::from_millis(2500)).expect_err("XML has whole seconds");
        let reason = "a forward delay is a whole number of seconds, below 2^63";
        assert_eq!(error.to_string(), format!(r#"bridge@delay "2.5": {reason}"#));
        let error = delay(Duration::from_secs(1 << 63)).expect_err("libvirt cannot read it again");
        assert_eq!(error.reason(), &NetworkReason::ForwardDelay);
        delay(Duration::from_secs((1 << 63) - 1)).expect("libvirt can read it again");
    }
}
