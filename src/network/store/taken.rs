//! The names of bridges and the MACs that a new network cannot have.

use std::collections::BTreeMap;

use crate::network::{BridgeName, Document, NetworkName};
use crate::{InterfaceName, UnicastMac};

/// The bridge names and MACs that networks have, each with its network.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) bridges: BTreeMap<InterfaceName, NetworkName>,
    pub(super) macs: BTreeMap<UnicastMac, NetworkName>,
    /// The bridge names of libvirt's networks. They are not chosen, but may be given.
    pub(super) libvirts: BTreeMap<InterfaceName, NetworkName>,
}

impl Taken {
    pub(super) fn by<'d>(documents: impl IntoIterator<Item = &'d Document>) -> Self {
        let mut taken = Self::default();
        for document in documents {
            let Some(network) = document.parsed().own() else { continue };
            if let BridgeName::Fixed(bridge) = network.bridge() {
                taken.bridges.insert(*bridge, network.name().clone());
            }
            if let Some(mac) = network.mac() {
                taken.macs.insert(mac, network.name().clone());
            }
        }
        taken
    }
}
