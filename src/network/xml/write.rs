//! A network as a new document.

use std::fmt::{self, Write};

use quick_xml::escape::escape;

use super::limits::NAMESPACE;
use crate::network::{Anchor, BridgeName, ForwardMode, Network, PortIsolation};
use crate::{BridgeOption, OptionText};

/// The text, in libvirt's order, with what was given only.
pub(super) fn text(network: &Network) -> String {
    let mut text = String::new();
    write(network, &mut text).expect("memory takes it");
    text
}

fn write(network: &Network, out: &mut String) -> fmt::Result {
    writeln!(out, "<network>\n  <name>{}</name>", escape(network.name().as_str()))?;
    let own = own(network);
    if !own.is_empty() {
        writeln!(out, "  <metadata>\n    <vmbridge:bridge xmlns:vmbridge='{NAMESPACE}'{own}/>\n  </metadata>")?;
    }
    if network.forward() != ForwardMode::Isolated {
        writeln!(out, "  <forward mode='{}'/>", network.forward())?;
    }
    out.push_str("  <bridge");
    // libvirt's default, which its schema does not let stand there.
    if *network.bridge() != BridgeName::default() {
        write!(out, " name='{}'", escape(network.bridge().to_string()))?;
    }
    if let Some(stp) = network.options().stp {
        write!(out, " stp='{}'", BridgeOption::Stp(stp).text())?;
    }
    if let Some(delay) = network.options().forward_delay {
        write!(out, " delay='{}'", delay.as_secs())?;
    }
    if let Some(manager) = network.mac_table_manager() {
        write!(out, " macTableManager='{manager}'")?;
    }
    out.push_str("/>\n");
    if let Some(mtu) = network.mtu() {
        writeln!(out, "  <mtu size='{mtu}'/>")?;
    }
    if let Some(mac) = network.mac() {
        writeln!(out, "  <mac address='{mac}'/>")?;
    }
    if network.isolation() == PortIsolation::Isolated {
        out.push_str("  <port isolated='yes'/>\n");
    }
    out.push_str("</network>\n");
    Ok(())
}

/// The attributes of what libvirt does not have.
fn own(network: &Network) -> String {
    let anchor = (network.anchor() == Anchor::Tap).then(|| " anchor='tap'".to_owned());
    let options = network.options().iter().filter_map(|option| match option {
        BridgeOption::Stp(_) | BridgeOption::ForwardDelay(_) => None,
        option => Some(format!(" {}='{}'", option.name(), option.text())),
    });
    anchor.into_iter().chain(options).collect()
}
