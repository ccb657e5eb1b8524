//! What the command prints: columns for people, JSON with stable names for programs.

use std::io::{self, Write};

use serde::Serialize;
use vmbridge::{BridgeState, PortState, UnicastMac};

pub(super) fn mac(mac: UnicastMac) -> io::Result<()> {
    writeln!(io::stdout(), "{mac}")
}

pub(super) fn bridges(bridges: &[BridgeState], json: bool) -> io::Result<()> {
    if json {
        return as_json(&bridges);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{:<15}  {:<17}  {:>5}  LINK", "BRIDGE", "MAC", "MTU")?;
    for BridgeState { name, mac, mtu, link, .. } in bridges {
        writeln!(out, "{name:<15}  {mac}  {mtu:>5}  {link}")?;
    }
    out.flush()
}

pub(super) fn bridge(bridge: &BridgeState, ports: &[PortState], json: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct WithPorts<'a> {
        #[serde(flatten)]
        bridge: &'a BridgeState,
        ports: &'a [PortState],
    }

    if json {
        return as_json(&WithPorts { bridge, ports });
    }
    let mut out = io::stdout().lock();
    let BridgeState { name, index, mac, mtu, link, .. } = bridge;
    writeln!(out, "bridge  {name}\nindex   {index}\nmac     {mac}\nmtu     {mtu}\nlink    {link}")?;
    for PortState { name, mac, mtu, link, .. } in ports {
        writeln!(out, "port    {name:<15}  {mac}  {mtu:>5}  {link}")?;
    }
    out.flush()
}

fn as_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}
