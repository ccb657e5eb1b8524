//! What the command prints: columns for people, JSON with stable names for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use vmbridge::{
    BridgeState, Capabilities, Capability, FdbEntry, Identity, InterfaceIndex, InterfaceName, OptionText,
    PortState, PortVlans, Restriction, TapState, UnicastMac,
};

use super::options::Options;

pub(super) fn mac(mac: UnicastMac) -> io::Result<()> {
    writeln!(io::stdout(), "{mac}")
}

pub(super) fn bridges(bridges: &[BridgeState], json: bool) -> io::Result<()> {
    let header = format!("{:<15}  {:<17}  {:>5}  LINK", "BRIDGE", "MAC", "MTU");
    table(bridges, json, &header, |BridgeState { name, mac, mtu, link, .. }| {
        format!("{name:<15}  {mac}  {mtu:>5}  {link}")
    })
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
    let BridgeState { name, index, mac, mtu, link, options, .. } = bridge;
    writeln!(out, "bridge  {name}\nindex   {index}\nmac     {mac}\nmtu     {mtu}\nlink    {link}")?;
    each(&mut out, options)?;
    for PortState { name, mac, mtu, link, options, stp_state, .. } in ports {
        let stp_state = stp_state.map(|state| format!("  {state}")).unwrap_or_default();
        writeln!(out, "port    {name:<15}  {mac}  {mtu:>5}  {link}{stp_state}")?;
        let options: Vec<_> =
            options.iter().map(|option| format!("{} {}", option.name(), option.text())).collect();
        if !options.is_empty() {
            writeln!(out, "        {}", options.join(", "))?;
        }
    }
    out.flush()
}

pub(super) fn port(port: &PortState, json: bool) -> io::Result<()> {
    if json {
        return as_json(port);
    }
    let mut out = io::stdout().lock();
    let PortState { name, index, mac, mtu, link, options, stp_state, .. } = port;
    writeln!(out, "port    {name}\nindex   {index}\nmac     {mac}\nmtu     {mtu}\nlink    {link}")?;
    if let Some(state) = stp_state {
        writeln!(out, "{:<20}  {state}", "stp-state")?;
    }
    each(&mut out, options)?;
    out.flush()
}

/// Each option in a line of its own.
pub(super) fn each(out: &mut impl Write, options: &impl Options) -> io::Result<()> {
    options.known().try_for_each(|option| writeln!(out, "{:<20}  {}", option.name(), option.text()))
}

/// What --only-mac prevents: its user must know.
pub(super) fn restriction(restriction: Restriction) -> io::Result<()> {
    let text = match restriction {
        Restriction::Locked => "locked: frames from other MACs are dropped",
        Restriction::NotLearned => "not locked: frames from other MACs come in, but nothing is learned from them",
        _ => "restricted",
    };
    writeln!(io::stdout(), "{text}")
}

pub(super) fn taps(taps: &[TapState], bridges: &BTreeMap<InterfaceIndex, Identity>, json: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct OnBridge<'a> {
        #[serde(flatten)]
        tap: &'a TapState,
        bridge: Option<InterfaceName>,
    }

    let of = |tap: &TapState| bridges.get(&tap.index).map(|bridge| bridge.name());
    let taps: Vec<_> = taps.iter().map(|tap| OnBridge { tap, bridge: of(tap) }).collect();
    let header = format!("{:<15}  {:<15}  {:<17}  {:>5}  LINK", "TAP", "BRIDGE", "MAC", "MTU");
    table(&taps, json, &header, |OnBridge { tap: TapState { name, mac, mtu, link, .. }, bridge }| {
        format!("{name:<15}  {:<15}  {mac}  {mtu:>5}  {link}", or_dash(bridge.as_ref()))
    })
}

pub(super) fn fdb(entries: &[FdbEntry], json: bool) -> io::Result<()> {
    let header = format!("{:<17}  {:<15}  {:>4}  {:<7}  AGE", "MAC", "PORT", "VLAN", "ORIGIN");
    table(entries, json, &header, |FdbEntry { mac, port, vlan, origin, age, .. }| {
        let (vlan, age) = (or_dash(vlan.as_ref()), or_dash(age.map(|age| age.as_secs_f64()).as_ref()));
        format!("{mac}  {port:<15}  {vlan:>4}  {origin:<7}  {age}")
    })
}

pub(super) fn vlans(vlans: &[PortVlans], json: bool) -> io::Result<()> {
    let header = format!("{:<9}  TAGGING", "VLANS");
    table(vlans, json, &header, |PortVlans { vlans, tagging, .. }| format!("{vlans:<9}  {tagging}"))
}

pub(super) fn capabilities(backend: &str, capabilities: Capabilities, json: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct Table<'a> {
        backend: &'a str,
        capabilities: BTreeMap<&'static str, bool>,
    }

    let all = Capability::ALL.iter().map(|&capability| (capability.name(), capabilities.contains(capability)));
    if json {
        return as_json(&Table { backend, capabilities: all.collect() });
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{:<20}  {backend}", "CAPABILITY")?;
    for (name, can) in all {
        writeln!(out, "{name:<20}  {}", if can { "yes" } else { "no" })?;
    }
    out.flush()
}

/// Prints a line for each item, after the line that names the columns.
pub(super) fn table<T: Serialize>(
    items: &[T],
    json: bool,
    header: &str,
    row: impl Fn(&T) -> String,
) -> io::Result<()> {
    if json {
        return as_json(&items);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    writeln!(out, "{header}")?;
    items.iter().try_for_each(|item| writeln!(out, "{}", row(item)))?;
    out.flush()
}

/// What stands in a column for something that may not be there.
pub(super) fn or_dash(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

pub(super) fn as_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()
}
