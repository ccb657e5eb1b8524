//! What the commands for networks print.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use vmbridge::UnicastMac;
use vmbridge::network::{
    BridgeName, Document, Drift, DriftStatus, EnsureOutcome, MigrationMode, Network, NetworkInfo, NetworkName,
    NetworkState, ParsedNetwork, StoreError,
};

use crate::cli::print::{as_json, each, or_dash, table};

pub(super) use crate::cli::print::mac;

/// What a host has of a network, in words.
#[derive(Debug, Serialize)]
struct State {
    defined: bool,
    #[serde(rename = "state")]
    word: &'static str,
    drifts: Vec<Difference>,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Difference {
    control: &'static str,
    defined: String,
    actual: String,
}

impl From<&Drift> for Difference {
    fn from(drift: &Drift) -> Self {
        Self { control: drift.control(), defined: drift.defined(), actual: drift.actual() }
    }
}

impl State {
    fn of(network: &NetworkInfo) -> Self {
        let state = match &network.state {
            Ok(NetworkState::Own(DriftStatus::Absent)) => Self::of_word("absent"),
            Ok(NetworkState::Own(DriftStatus::AsDefined)) => Self::of_word("active"),
            Ok(NetworkState::Own(DriftStatus::Drifted(drifts))) => {
                Self { drifts: drifts.iter().map(Difference::from).collect(), ..Self::of_word("drifted") }
            }
            Ok(NetworkState::Own(DriftStatus::Occupied(occupied))) => {
                Self::because("occupied", occupied.to_string())
            }
            Ok(NetworkState::Former(actual)) => {
                let defined = own(&network.document).map(|network| network.bridge().to_string());
                let defined = defined.unwrap_or_default();
                let bridge = Difference { control: "bridge", defined, actual: actual.to_string() };
                Self { drifts: vec![bridge], ..Self::of_word("drifted") }
            }
            Ok(NetworkState::Foreign(mode)) => Self::because("foreign", format!("forward mode {mode}")),
            Ok(other) => Self::because("unknown", format!("{other:?}")),
            Err(error) => Self::because("broken", error.failure().report().to_string()),
        };
        Self { defined: network.is_defined, ..state }
    }

    const fn of_word(word: &'static str) -> Self {
        Self { defined: true, word, drifts: Vec::new(), reason: None }
    }

    fn because(word: &'static str, reason: String) -> Self {
        Self { reason: Some(reason), ..Self::of_word(word) }
    }

    fn details(&self) -> impl Iterator<Item = String> {
        let drift =
            |drift: &Difference| format!("{} is {}, defined as {}", drift.control, drift.actual, drift.defined);
        self.reason.iter().cloned().chain(self.drifts.iter().map(drift))
    }

    fn in_a_line(&self) -> String {
        let details: Vec<_> = self.details().collect();
        let colon = if details.is_empty() { "" } else { ": " };
        format!("{}{colon}{}", self.in_a_word(), details.join("; "))
    }

    fn in_a_word(&self) -> String {
        let note = if self.defined { "" } else { ", not defined" };
        format!("{}{note}", self.word)
    }
}

fn own(document: &Document) -> Option<&Network> {
    document.parsed().own()
}

pub(super) fn list(networks: &[Result<NetworkInfo, StoreError>], json: bool) -> io::Result<()> {
    let listed: Vec<_> = networks.iter().map(Listed::of).collect();
    let header = format!("{:<15}  {:<15}  {:<17}  STATE", "NETWORK", "BRIDGE", "MAC");
    table(&listed, json, &header, |Listed { name, bridge, mac, state, .. }| {
        let (bridge, mac) = (or_dash(bridge.as_ref()), or_dash(mac.as_ref()));
        format!("{name:<15}  {bridge:<15}  {mac:<17}  {}", state.in_a_line())
    })
}

#[derive(Debug, Serialize)]
struct Listed<'n> {
    name: String,
    uuid: Option<String>,
    bridge: Option<&'n BridgeName>,
    mac: Option<UnicastMac>,
    #[serde(flatten)]
    state: State,
}

impl<'n> Listed<'n> {
    fn of(network: &'n Result<NetworkInfo, StoreError>) -> Self {
        match network {
            Ok(network) => {
                let name = network.document.parsed().name().to_string();
                let own = own(&network.document);
                let (bridge, mac) = (own.map(Network::bridge), own.and_then(Network::mac));
                Self { name, uuid: network.document.uuid(), bridge, mac, state: State::of(network) }
            }
            Err(error) => {
                let name = path(Path::new(error.path().file_stem().unwrap_or_default()));
                let state = State::because("broken", error.report().to_string());
                Self { name, uuid: None, bridge: None, mac: None, state }
            }
        }
    }
}

pub(super) fn xml(document: &Document) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(document.text().as_bytes())?;
    out.flush()
}

pub(super) fn network(network: &NetworkInfo, json: bool) -> io::Result<()> {
    /// Flattened, so that what is defined and what is there are of one object.
    #[derive(Serialize)]
    struct Shown<D: Serialize> {
        #[serde(flatten)]
        definition: D,
        uuid: Option<String>,
        #[serde(flatten)]
        state: State,
    }
    #[derive(Serialize)]
    struct Foreign<'n> {
        name: &'n NetworkName,
        #[serde(skip_serializing_if = "Option::is_none")]
        forward: Option<&'static str>,
    }

    let state = State::of(network);
    if json {
        let (parsed, uuid) = (network.document.parsed(), network.document.uuid());
        if let Some(definition) = parsed.own() {
            return as_json(&Shown { definition, uuid, state });
        }
        let forward = match parsed {
            ParsedNetwork::Foreign(foreign) => Some(foreign.mode.name()),
            _ => None,
        };
        let definition = Foreign { name: parsed.name(), forward };
        return as_json(&Shown { definition, uuid, state });
    }
    let mut out = io::stdout().lock();
    row(&mut out, "network", network.document.parsed().name())?;
    if let Some(own) = own(&network.document) {
        definition(&mut out, own)?;
    }
    row(&mut out, "state", state.in_a_word())?;
    state.details().try_for_each(|detail| row(&mut out, "", detail))?;
    out.flush()
}

fn definition(out: &mut impl Write, network: &Network) -> io::Result<()> {
    row(out, "bridge", network.bridge())?;
    network.mac().map_or(Ok(()), |mac| row(out, "mac", mac))?;
    network.mtu().map_or(Ok(()), |mtu| row(out, "mtu", mtu))?;
    row(out, "forward", network.forward())?;
    row(out, "ports", network.isolation())?;
    row(out, "anchor", network.anchor())?;
    network.mac_table_manager().map_or(Ok(()), |manager| row(out, "mac-table-manager", manager))?;
    each(out, network.options())
}

fn row(out: &mut impl Write, name: &str, value: impl Display) -> io::Result<()> {
    writeln!(out, "{name:<20}  {value}")
}

pub(super) fn ensured(network: &NetworkName, ensured: &EnsureOutcome) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match ensured {
        EnsureOutcome::AsDefined => {}
        EnsureOutcome::Created => writeln!(out, "network {network}: created")?,
        EnsureOutcome::Repaired(drifts) => {
            drifts.iter().try_for_each(|drift| writeln!(out, "network {network}: repaired: {drift}"))?;
        }
        other => writeln!(out, "network {network}: {other:?}")?,
    }
    out.flush()
}

/// What a migration would change as a patch, or what it has changed.
pub(super) fn migrated(path: &Path, mac: UnicastMac, diff: &str, mode: MigrationMode) -> io::Result<()> {
    if mode == MigrationMode::DryRun {
        return write!(io::stdout(), "{diff}");
    }
    writeln!(io::stdout(), "{}: MAC {mac}", self::path(path))
}

/// A path, which cannot break the line or the terminal.
pub(super) fn path(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
