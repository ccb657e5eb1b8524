//! The main job, shown to a newcomer: one bridge that was created with its MAC and one that was
//! not, as ports come and go.

use std::io::{self, Write};

use vmbridge::{
    Available, Backend, BridgeSpec, Bridges, Capability, InterfaceName, MacAddr, Operation, Sandbox, UnicastMac,
    unused_mac,
};

use super::Failure;

/// The bridges: with a MAC, without.
const BRIDGES: [&str; 2] = ["demo-with-mac", "demo-without"];
/// The ports of one bridge, and those of the other; their MACs are lower than any under 52:54:00.
const PORTS: [([&str; 2], &str); 2] =
    [(["port20a", "port20b"], "02:00:00:00:00:20"), (["port10a", "port10b"], "02:00:00:00:00:10")];

pub(super) fn run<'a>(backends: impl Iterator<Item = &'a Available>) -> Result<(), Failure> {
    let sandbox = Sandbox::enter().map_err(|error| cannot("enter a network of its own", &error))?;
    for (ports, mac) in PORTS {
        for port in ports {
            let added = sandbox.add_interface(name(port), unicast(mac));
            added.map_err(|error| cannot("make interfaces to play with", &error))?;
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "Two bridges in a network of their own, which vanishes with this command.")?;
    for backend in backends {
        show(&mut out, &*(backend.open)()?)?;
    }
    Ok(out.flush()?)
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    // The sandbox's own words say what to do; the system's do not. Where user namespaces are forbidden, a kernel may
    // also say that there is no room for one.
    let is_denied = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull);
    let is_bare = is_denied && error.raw_os_error().is_some();
    let advice = if is_bare { "; run it as root, outside of containers" } else { "" };
    Failure::Other(format!("the demo cannot {what}: {error}{advice}"))
}

fn show(out: &mut impl Write, backend: &dyn Backend) -> Result<(), Failure> {
    let [with, without] = BRIDGES.map(name);
    writeln!(out, "\n{:<33}  {:<17}  without", format!("backend {}", backend.name()), "created with MAC")?;
    let mac = unused_mac(backend)?;
    backend.create(&BridgeSpec::new(with).mac(mac))?;
    backend.create(&BridgeSpec::new(without))?;

    let mut seen: Vec<[MacAddr; 2]> = Vec::new();
    let mut row = |out: &mut dyn Write, step: &str| -> Result<(), Failure> {
        let macs = [mac_of(backend, with)?, mac_of(backend, without)?];
        writeln!(out, "{step:<33}  {}  {}", macs[0], macs[1])?;
        seen.push(macs);
        Ok(())
    };
    row(out, "created")?;
    for (ports, port_mac) in PORTS {
        backend.add_port(with, name(ports[0]))?;
        backend.add_port(without, name(ports[1]))?;
        row(out, &format!("port {port_mac} joins"))?;
    }
    for (ports, port_mac) in PORTS.into_iter().rev() {
        backend.remove_port(with, name(ports[0]))?;
        backend.remove_port(without, name(ports[1]))?;
        row(out, &format!("port {port_mac} leaves"))?;
    }
    backend.delete(with)?;
    backend.delete(without)?;

    if seen.iter().any(|macs| macs[0] != mac) {
        return Err(Failure::Other(format!("the bridge with a MAC did not keep it ({})", backend.name())));
    }
    let changes = seen.windows(2).filter(|rows| rows[0][1] != rows[1][1]).count();
    let kept = if changes == 0 { "kept, too".to_owned() } else { format!("changed {changes} times") };
    writeln!(out, "{:<33}  {:<17}  {kept}", "", "kept")?;
    if !backend.implemented().contains(Capability::MacFollowsPorts) {
        writeln!(out, "(This system gives a bridge without a MAC one that depends on the host.)")?;
    }
    Ok(())
}

fn mac_of(backend: &dyn Backend, bridge: InterfaceName) -> vmbridge::Result<MacAddr> {
    let vanished =
        || vmbridge::Attempt::new(backend.name(), Operation::Find).on(bridge).error(vmbridge::ErrorKind::NotFound);
    backend.find(bridge)?.map(|state| state.mac).ok_or_else(vanished)
}

fn name(text: &str) -> InterfaceName {
    text.parse().expect("the names of this file are names")
}

fn unicast(text: &str) -> UnicastMac {
    text.parse().expect("the MACs of this file are MACs")
}
