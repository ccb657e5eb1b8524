//! A network that a host can start.

use std::time::Duration;

#[cfg(feature = "store")]
use super::Document;
use super::bridge_name::{checked_name, invalid_name};
use super::getters::getters;
use super::{Anchor, BridgeName, InvalidNetwork, Network, NetworkName, NetworkReason};
use crate::{BridgeSpec, Capabilities, InterfaceName, UnicastMac};

const CARRIER_LIMIT: Duration = Duration::from_secs(30);

/// A network whose bridge has a name and a MAC.
///
/// ```
/// use vmbridge::network::Network;
///
/// let network = Network::new("default".parse()?).with_mac("52:54:00:12:34:56".parse()?);
/// let network = network.resolve(["virbr0".parse()?])?;
/// assert_eq!(network.bridge(), "virbr1".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedNetwork {
    network: Network,
    bridge: InterfaceName,
    mac: UnicastMac,
    anchor: InterfaceName,
    carrier_limit: Duration,
}

impl Network {
    /// The network with the name that its bridge has on a host that uses these names already: those
    /// of its interfaces, and those of the bridges of other networks.
    ///
    /// # Errors
    /// [`NetworkReason::NoFreeName`]; [`NetworkReason::NoMac`] for a network that was not given its
    /// MAC yet; [`NetworkReason::Name`].
    pub fn resolve(
        self,
        in_use: impl IntoIterator<Item = InterfaceName>,
    ) -> Result<ResolvedNetwork, InvalidNetwork> {
        let mac = self.mac().ok_or_else(|| InvalidNetwork::new("mac@address", "", NetworkReason::NoMac))?;
        let bridge = self.bridge().resolve(in_use)?;
        let anchor = anchor_name(bridge)?;
        Ok(ResolvedNetwork {
            network: self.with_bridge(BridgeName::Fixed(bridge)),
            bridge,
            mac,
            anchor,
            carrier_limit: CARRIER_LIMIT,
        })
    }
}

impl ResolvedNetwork {
    /// Returns the network of a document that [`Store::define`](super::Store::define) has completed.
    #[cfg(feature = "store")]
    pub(super) fn from_document(document: &Document) -> Result<Self, InvalidNetwork> {
        let network = document.network()?;
        // A template would give another name each time.
        if let BridgeName::Template(template) = network.bridge() {
            return Err(InvalidNetwork::new("bridge@name", template.to_string(), NetworkReason::NoBridgeName));
        }
        network.clone().resolve([])
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &NetworkName {
        self.network.name()
    }

    getters! {
        /// What is to be written down of it.
        network: &Network;
        /// The name of its bridge.
        bridge: InterfaceName;
        /// The MAC of its bridge.
        mac: UnicastMac;
        /// The name that [`Anchor::Tap`] has: `<bridge>-nic`, and of a bridge whose name has more than
        /// 11 bytes the first 8 and the last 3 (`networkBridgeDummyNicName()` of libvirt).
        anchor: InterfaceName;
    }

    /// Sets how long [`start`](super::start) and [`ensure`](super::ensure) wait for the carrier of a bridge with an
    /// anchor, beyond two forward delays; 30 s by default. The kernel looks for it once a second
    /// (`net/core/link_watch.c`). On a host where many interfaces come and go, more than 5 s were seen.
    #[must_use]
    pub const fn with_carrier_limit(mut self, limit: Duration) -> Self {
        self.carrier_limit = limit;
        self
    }

    pub(super) const fn carrier_limit(&self) -> Duration {
        self.carrier_limit
    }

    pub(super) fn has_anchor(&self) -> bool {
        self.network.anchor() == Anchor::Tap
    }

    /// Its bridge for a backend of these capabilities ([`Network::bridge_spec`]), with the forward
    /// delay that STP makes of the one that is defined
    /// ([`BridgeOptions::settled`](crate::BridgeOptions::settled)).
    #[must_use]
    pub fn spec(&self, capabilities: Capabilities) -> BridgeSpec {
        let spec = self.network.bridge_spec(self.bridge, self.mac, capabilities);
        let settled = spec.options.settled();
        spec.options(settled)
    }
}

pub(super) fn anchor_name(bridge: InterfaceName) -> Result<InterfaceName, InvalidNetwork> {
    const SUFFIX: &str = "-nic";
    let bridge = checked_name(&bridge)?;
    let name = if bridge.len() + SUFFIX.len() <= InterfaceName::MAX_LEN {
        bridge.to_owned()
    } else {
        // A letter of more than one byte is not torn.
        let head = (0..=8).rev().find_map(|end| bridge.get(..end)).unwrap_or_default();
        let tail = (bridge.len() - 3..).find_map(|start| bridge.get(start..)).unwrap_or_default();
        format!("{head}{tail}")
    };
    InterfaceName::new(&format!("{name}{SUFFIX}")).map_err(|error| invalid_name(bridge, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capability;

    fn network(bridge: &str) -> Network {
        let network = Network::new("default".parse().expect("a name"));
        network.with_bridge(bridge.parse().expect("a name"))
    }

    #[test]
    fn an_anchor_is_called_as_libvirt_called_it() {
        let mac = "52:54:00:00:00:01".parse().expect("a MAC");
        for (bridge, anchor) in [
            ("virbr0", "virbr0-nic"),
            ("eleven-byte", "eleven-byte-nic"),
            ("twelve-bytes", "twelve-btes-nic"),
            ("fifteen-bytes-x", "fifteen-s-x-nic"),
            ("brücke-nummer7", "brücke-er7-nic"),
            ("siebenbü-nüm7", "siebenbm7-nic"),
        ] {
            let network = network(bridge).with_mac(mac).resolve([]).expect(bridge);
            assert_eq!(network.anchor().to_string(), anchor);
        }
    }

    #[test]
    fn needs_a_mac_and_keeps_its_name() {
        let error = network("virbr0").resolve([]).expect_err("it has none");
        assert_eq!((error.element(), error.reason()), ("mac@address", &NetworkReason::NoMac));
        let network = network("virbr%d").with_mac("52:54:00:00:00:01".parse().expect("a MAC"));
        let defined = network.resolve(["virbr0".parse().expect("a name")]).expect("virbr1 is free");
        assert_eq!(defined.network().bridge(), &"virbr1".parse().expect("a name"));
        assert_eq!(defined.network().clone().resolve([]), Ok(defined));
    }

    #[test]
    fn has_the_forward_delay_that_stp_makes_of_it() {
        let mac = "52:54:00:00:00:01".parse().expect("a MAC");
        let network = network("virbr0").with_mac(mac).resolve([]).expect("it is whole");
        let options = network.spec([Capability::Stp].into_iter().collect()).options;
        assert_eq!(options.forward_delay, Some(Duration::from_secs(2)));
    }
}
