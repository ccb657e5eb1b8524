//! `port check`: finds restricted ports that have lost the static entry of their guest, and restores it.

use std::fmt;

use serde::Serialize;
use vmbridge::{
    Backend, Bridges, ErrorKind, Identity, InterfaceName, RestrictedPort, Target, UnicastMac, restricted_ports,
};

use super::args::{Args, PortCheck};
use super::{Failure, print};

/// A restricted port, as it is shown.
#[derive(Debug, Serialize)]
struct Checked {
    bridge: InterfaceName,
    port: InterfaceName,
    macs: Vec<UnicastMac>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Restored,
    NoEntry,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Restored => "restored",
            Self::NoEntry => "no-entry",
        })
    }
}

pub(super) fn execute(bridges: &dyn Backend, args: &PortCheck) -> Result<(), Failure> {
    if args.mac.is_some() && args.ports.len() != 1 {
        Args::wrong_usage("--mac is for one port: its guest has that MAC")
    }
    let mut failures = Vec::new();
    let mut checked = Vec::new();
    for port in wanted(bridges, args)? {
        let restored = match args.mac.or(port.lost).filter(|_| args.repair && port.macs.is_empty()) {
            Some(mac) => port.restore(bridges, &[mac]).map(|is_done| is_done.then_some(mac)),
            None => Ok(None),
        };
        let restored = restored.unwrap_or_else(|error| {
            failures.push(error.into());
            None
        });
        let state = match (restored, &port.macs[..]) {
            (Some(_), _) => State::Restored,
            (None, []) => State::NoEntry,
            _ => State::Ok,
        };
        let (bridge, name) = (port.bridge.name(), port.port.name());
        if state == State::NoEntry {
            failures.push(Failure::Other(format!(
                "port {name} of bridge {bridge} has lost the static entry of its guest; to restore it: \
                 vmbridge port check --repair --mac MAC {name}"
            )));
        }
        let macs = port.macs.into_iter().chain(restored).collect();
        checked.push(Checked { bridge, port: name, macs, state });
    }
    print_all(&checked, args.json)?;
    Failure::of_each(failures)
}

/// Returns the restricted ports that are meant.
fn wanted(bridges: &dyn Backend, args: &PortCheck) -> Result<Vec<RestrictedPort>, Failure> {
    let of: Vec<Target> = match args.bridge {
        Some(bridge) => vec![bridge.into()],
        None => bridges.list()?.iter().map(Target::from).collect(),
    };
    let mut all = Vec::new();
    for bridge in of {
        match restricted_ports(bridges, bridge) {
            // It was deleted since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound && args.bridge.is_none() => {}
            found => all.extend(found?),
        }
    }
    let mut named = Vec::new();
    for &name in &args.ports {
        let port: Identity = bridges.port(name)?.identity();
        let found = all.iter().find(|restricted| restricted.port == port);
        named.push(
            found.cloned().ok_or_else(|| Failure::Other(format!("port {name} is not restricted to a MAC")))?,
        );
    }
    Ok(if args.ports.is_empty() { all } else { named })
}

fn print_all(checked: &[Checked], json: bool) -> std::io::Result<()> {
    let header = format!("{:<15}  {:<15}  {:<8}  MAC", "PORT", "BRIDGE", "STATE");
    print::table(checked, json, &header, |Checked { bridge, port, macs, state }| {
        let macs = macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("{port:<15}  {bridge:<15}  {state:<8}  {}", if macs.is_empty() { "-" } else { &macs })
    })
}
