//! Where the MAC of a network comes from when its definition gives none.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::StoreReason;
use super::taken::Taken;
use crate::network::resolved::anchor_name;
use crate::network::{BridgeName, Network, NetworkName};
use crate::{Backend, Bridges, HostIdentity, UnicastMac, unused_mac};

/// Where the MAC of a network comes from when its definition gives none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MacSource {
    /// From chance ([`unused_mac`](crate::unused_mac)).
    #[default]
    Random,
    /// From the host and the network's name ([`derived_mac`]).
    Derived(HostIdentity),
}

/// The MAC for the bridge of a network of this name on this host: always the same, and on other
/// hosts another.
///
/// It is 52 and 40 bits of HMAC-SHA-256 over the name, with the host's identity as the key, from which
/// nobody can tell the identity. 52, as in 52:54:00, is of the addresses that are left to chance
/// (IEEE 802c calls them administratively assigned), and with 40 bits it takes 1.2 million
/// networks until two are equal with even odds; under 52:54:00 it would be 5,000.
///
/// ```
/// use vmbridge::HostIdentity;
/// use vmbridge::network::derived_mac;
///
/// let host = HostIdentity::new([7; 16]);
/// let mac = derived_mac(&host, &"default".parse()?);
/// assert_eq!(mac, derived_mac(&host, &"default".parse()?));
/// assert_ne!(mac, derived_mac(&host, &"lan".parse()?));
/// assert_ne!(mac, derived_mac(&HostIdentity::new([8; 16]), &"default".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "what is expected is proven")]
pub fn derived_mac(host: &HostIdentity, network: &NetworkName) -> UnicastMac {
    let mut hmac = Hmac::<Sha256>::new_from_slice(host.bytes()).expect("a key of HMAC has any length");
    // What else is derived from the identity, by whomever, is to differ.
    hmac.update(b"vmbridge: the MAC of a network's bridge\0");
    hmac.update(network.as_str().as_bytes());
    let hash = hmac.finalize().into_bytes();
    let mac = [0x52, hash[0], hash[1], hash[2], hash[3], hash[4]];
    UnicastMac::new(mac.into()).expect("0x52 is neither zero nor odd")
}

/// The MAC for a network that has none: that of its running bridge, or a new one.
pub(super) fn of_running_bridge_or_new(
    source: &MacSource,
    host: &dyn Backend,
    network: &Network,
    taken: &Taken,
) -> Result<UnicastMac, StoreReason> {
    match of_running_bridge(host, network, taken)? {
        Some(mac) => Ok(mac),
        None => choose(source, host, network, taken),
    }
}

/// A MAC for a network that has none, which no other network has and no interface of the host, but
/// for one that is called as the network's bridge.
fn choose(
    source: &MacSource,
    host: &dyn Backend,
    network: &Network,
    taken: &Taken,
) -> Result<UnicastMac, StoreReason> {
    match source {
        MacSource::Random => loop {
            let mac = unused_mac(host)?;
            if !taken.macs.contains_key(&mac) {
                return Ok(mac);
            }
        },
        MacSource::Derived(identity) => {
            let mac = derived_mac(identity, network.name());
            if let Some(other) = taken.macs.get(&mac) {
                return Err(StoreReason::MacInUse(mac, other.clone()));
            }
            let is_own = |name| *network.bridge() == BridgeName::Fixed(name);
            let mut interfaces = host.interfaces()?.into_iter();
            match interfaces.find(|interface| interface.mac == Some(mac.into()) && !is_own(interface.name)) {
                Some(interface) => Err(StoreReason::MacOnHost(mac, interface.name)),
                None => Ok(mac),
            }
        }
    }
}

/// The MAC that a network's bridge has by now: its guests know it, so it is kept. One that it has
/// from a port, other than its anchor, goes with that port, and is not.
fn of_running_bridge(
    host: &dyn Backend,
    network: &Network,
    taken: &Taken,
) -> Result<Option<UnicastMac>, StoreReason> {
    let BridgeName::Fixed(name) = *network.bridge() else { return Ok(None) };
    let interfaces = host.interfaces()?;
    let Some(own) = interfaces.iter().find(|interface| interface.name == name).and_then(|own| own.mac) else {
        return Ok(None);
    };
    let anchor = anchor_name(name)?;
    let is_lent = interfaces.iter().any(|other| other.mac == Some(own) && ![name, anchor].contains(&other.name));
    // An interface of that name that is no bridge has no say.
    let is_bridge = host.list()?.iter().any(|bridge| bridge.name == name);
    let mac = UnicastMac::new(own).ok().filter(|mac| is_bridge && !is_lent && !taken.macs.contains_key(mac));
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's hmac and hashlib make of it.
    #[test]
    fn a_derived_mac_stays_from_version_to_version() {
        let host = HostIdentity::new(*b"\x60\x35\xda\x58\x8d\x0e\x4d\x0c\x9c\x0a\x5b\x3f\x32\x11\x2e\x01");
        let derived = |name: &str| derived_mac(&host, &name.parse().expect("a name")).to_string();
        assert_eq!(derived("default"), "52:19:0d:22:e9:20");
        assert_eq!(derived("lan"), "52:63:e8:91:b9:f4");
    }
}
