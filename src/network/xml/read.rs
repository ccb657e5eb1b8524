//! What the elements of a document say.

use std::str::FromStr;
use std::time::Duration;

use super::element::{Attribute, Element, is_blank};
use super::invalid::{DocumentReason, Fault};
use super::scan::{Kind, Scan};
use super::{ForeignMode, ForeignNetwork, ParsedNetwork};
use crate::network::{
    Anchor, BridgeName, ForwardMode, InvalidNetwork, MacTableManager, Network, NetworkName, NetworkReason,
    PortIsolation,
};
use crate::{BridgeOption, BridgeOptions, HostIpv6, InvalidMac, InvalidOption, MacReason, OptionText, UnicastMac};

/// The forward mode of a network, own or not.
enum Mode {
    Own(ForwardMode),
    Foreign(ForeignMode),
}

/// The definition in what was found.
pub(super) fn definition(found: &Scan) -> Result<ParsedNetwork, Fault> {
    let name = found.elements.get(&Kind::Name);
    let name = name.ok_or_else(|| Fault::new(0, DocumentReason::Missing("name")))?;
    let name = NetworkName::new(&name.text).map_err(|error| Fault::new(name.start, error))?;
    if let Some(uuid) = found.elements.get(&Kind::Uuid).filter(|element| uuid(&element.text).is_none()) {
        let reason = NetworkReason::Wanted("32 hexadecimal digits, in pairs");
        return Err(Fault::new(uuid.start, InvalidNetwork::new("uuid", &*uuid.text, reason)));
    }
    match mode(found)? {
        Mode::Own(forward) => own(found, Network::new(name).with_forward(forward)).map(ParsedNetwork::Own),
        Mode::Foreign(mode) => {
            let mac = given(found, Kind::Mac, "address").map(|mac| mac.value.clone());
            Ok(ParsedNetwork::Foreign(ForeignNetwork { name, mode, mac }))
        }
    }
}

fn mode(found: &Scan) -> Result<Mode, Fault> {
    if !found.elements.contains_key(&Kind::Forward) {
        return Ok(Mode::Own(ForwardMode::Isolated));
    }
    let Some(mode) = given(found, Kind::Forward, "mode") else { return Ok(Mode::Own(ForwardMode::Nat)) };
    Ok(match mode.value.as_str() {
        "none" => Mode::Own(ForwardMode::Isolated),
        "nat" => Mode::Own(ForwardMode::Nat),
        "route" => Mode::Own(ForwardMode::Route),
        "open" => Mode::Own(ForwardMode::Open),
        other => {
            let foreign = ForeignMode::ALL.into_iter().find(|mode| mode.name() == other);
            let modes = "nat, route, open, bridge, private, vepa, passthrough or hostdev";
            Mode::Foreign(foreign.ok_or_else(|| wanted("forward@mode", mode, modes))?)
        }
    })
}

fn own(found: &Scan, mut network: Network) -> Result<Network, Fault> {
    if let Some(name) = given(found, Kind::Bridge, "name") {
        network = network.with_bridge(BridgeName::from_str(&name.value).map_err(|error| at(name, error))?);
    }
    if let Some(manager) = given(found, Kind::Bridge, "macTableManager") {
        network = network.with_mac_table_manager(match manager.value.as_str() {
            "kernel" => MacTableManager::Kernel,
            "libvirt" => MacTableManager::Libvirt,
            _ => return Err(wanted("bridge@macTableManager", manager, "kernel or libvirt")),
        });
    }
    // libvirt takes 0 for none.
    if let Some(size) = given(found, Kind::Mtu, "size").filter(|size| number(size) != Some(0)) {
        let mtu = number(size).and_then(|mtu| u32::try_from(mtu).ok());
        let mtu = mtu.ok_or_else(|| invalid("mtu@size", size, NetworkReason::Mtu))?;
        network = network.with_mtu(mtu).map_err(|error| at(size, error))?;
    }
    if let Some(address) = given(found, Kind::Mac, "address") {
        network = network.with_mac(mac(address)?);
    }
    // libvirt refuses an empty one.
    if let Some(isolated) = found.elements.get(&Kind::Port).and_then(|port| port.attribute("isolated")) {
        network = network.with_isolation(match isolated.value.as_str() {
            "yes" => PortIsolation::Isolated,
            "no" => PortIsolation::Connected,
            _ => return Err(wanted("port@isolated", isolated, "yes or no")),
        });
    }
    let mut options = options(found)?;
    if let Some(extension) = &found.extension {
        network = extended(extension, network, &mut options)?;
    }
    if found.has_ipv6 {
        options.host_ipv6 = options.host_ipv6.or(Some(HostIpv6::Manual));
    }
    let bridge = found.elements.get(&Kind::Bridge).map_or(0, |bridge| bridge.start);
    network.with_options(options).map_err(|error| Fault::new(bridge, error))
}

/// The options that libvirt has.
fn options(found: &Scan) -> Result<BridgeOptions, Fault> {
    let mut options = BridgeOptions::default();
    // Whatever is not "off" is on for libvirt, too.
    options.stp = given(found, Kind::Bridge, "stp").map(|stp| stp.value != "off");
    if let Some(delay) = given(found, Kind::Bridge, "delay") {
        let seconds = number(delay).ok_or_else(|| invalid("bridge@delay", delay, NetworkReason::ForwardDelay))?;
        options.forward_delay = Some(Duration::from_secs(seconds));
    }
    Ok(options)
}

/// What vmbridge's own element adds.
fn extended(extension: &Element, mut network: Network, options: &mut BridgeOptions) -> Result<Network, Fault> {
    let element = "vmbridge:bridge";
    for attribute in &extension.attributes {
        match attribute.name.as_str() {
            "anchor" => {
                network = network.with_anchor(match attribute.value.as_str() {
                    "tap" => Anchor::Tap,
                    "none" => Anchor::None,
                    _ => return Err(wanted("vmbridge:bridge@anchor", attribute, "tap or none")),
                });
            }
            // Others' attributes, and what binds the namespace.
            name if name == "xmlns" || name.contains(':') => {}
            name => match option(name, &attribute.value) {
                Ok(option) => options.extend([option]),
                Err(error) => {
                    let value = format!("{name}={}", attribute.value);
                    let reason = NetworkReason::Option(error);
                    return Err(at(attribute, InvalidNetwork::new(element, value, reason)));
                }
            },
        }
    }
    Ok(network)
}

/// An option that libvirt does not have.
fn option(name: &str, value: &str) -> Result<BridgeOption, InvalidOption> {
    match BridgeOption::parse(name, value)? {
        // Those have their place in libvirt's own element.
        BridgeOption::Stp(_) | BridgeOption::ForwardDelay(_) => Err(InvalidOption::Unknown),
        option => Ok(option),
    }
}

/// libvirt's rules: `:` only, blanks at the end. But libvirt takes zero, too, and whatever follows a
/// blank.
fn mac(address: &Attribute) -> Result<UnicastMac, Fault> {
    let malformed = |reason| invalid("mac@address", address, NetworkReason::Mac(reason));
    if address.value.contains('-') {
        return Err(malformed(MacReason::Malformed));
    }
    address.value.trim_end_matches(is_blank).parse().map_err(|error: InvalidMac| malformed(error.reason()))
}

/// An attribute that is there and not empty: libvirt makes no difference between the two.
fn given<'f>(found: &'f Scan, kind: Kind, attribute: &str) -> Option<&'f Attribute> {
    let attribute = found.elements.get(&kind)?.attribute(attribute)?;
    Some(attribute).filter(|attribute| !attribute.value.is_empty())
}

/// A whole number as `strtoul()` has it, with nothing after it. That would take a `-`, too.
fn number(attribute: &Attribute) -> Option<u64> {
    attribute.value.trim_start_matches(is_blank).parse().ok()
}

/// A UUID in the usual form, by libvirt's rule (`virUUIDParse()`): pairs of digits, with `-` and blanks between them
/// or not.
pub(super) fn uuid(text: &str) -> Option<String> {
    let parts = || text.trim_matches(is_blank).split(['-', ' ']);
    let is_of_pairs = |part: &str| part.len() % 2 == 0 && part.bytes().all(|c| c.is_ascii_hexdigit());
    if !parts().all(is_of_pairs) || parts().map(str::len).sum::<usize>() != 32 {
        return None;
    }
    let mut uuid = parts().collect::<String>().to_ascii_lowercase();
    for at in [20, 16, 12, 8] {
        uuid.insert(at, '-');
    }
    Some(uuid)
}

fn at(attribute: &Attribute, error: InvalidNetwork) -> Fault {
    Fault::new(attribute.span.start, error)
}

fn invalid(element: &'static str, attribute: &Attribute, reason: NetworkReason) -> Fault {
    at(attribute, InvalidNetwork::new(element, &*attribute.value, reason))
}

fn wanted(element: &'static str, attribute: &Attribute, what: &'static str) -> Fault {
    invalid(element, attribute, NetworkReason::Wanted(what))
}
