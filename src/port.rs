//! A bridge's ports, where one call of a backend is not enough.

use std::collections::BTreeMap;

use crate::bulk::{and_all, outcomes};
use crate::{
    Attempt, BridgeBackend, Bulk, ErrorKind, InterfaceName, Operation, PortOptions, PortState, Result, Undo,
};

/// Makes an interface a port of a bridge, with these options: all or nothing.
///
/// If the interface is up, frames pass between its joining and its options' being set, since no
/// kernel does both at once: attach a guest's interface before the guest runs.
///
/// # Errors
/// `Unsupported` for an option, before anything is done; then those of
/// [`add_port`](BridgeBackend::add_port) and of [`change_port`](BridgeBackend::change_port). When
/// the options fail, the port is released again.
pub fn attach(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    options: &PortOptions,
) -> Result<()> {
    attach_and(backend, bridge, port, options, || Ok(()))
}

/// Makes many interfaces ports of a bridge, each as [`attach`] does and whatever becomes of the others,
/// and gives what came of each in their order.
pub fn attach_many(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    ports: &[InterfaceName],
    options: &PortOptions,
) -> Vec<Result<()>> {
    let checked = ports.iter().map(|&port| check(backend, bridge, port, options).map(|()| port)).collect();
    and_all(checked, |ports| {
        let joined = outcomes(backend.add_ports(bridge, &ports, Bulk::AsMuchAsPossible), ports.len());
        let finish = |(port, joined): (_, Result<()>)| {
            joined.and_then(|()| joined_and(backend, bridge, port, options, || Ok(())))
        };
        ports.into_iter().zip(joined).map(finish).collect()
    })
}

/// [`attach`], and what comes next; the port is released again if that fails.
pub(crate) fn attach_and<T>(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    options: &PortOptions,
    next: impl FnOnce() -> Result<T>,
) -> Result<T> {
    check(backend, bridge, port, options)?;
    backend.add_port(bridge, port)?;
    joined_and(backend, bridge, port, options, next)
}

/// Refuses options that the backend has not.
fn check(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    options: &PortOptions,
) -> Result<()> {
    let at = Attempt::new(backend.name(), Operation::AddPort).on(bridge).port(port);
    options.check(at, backend.capabilities())
}

/// Gives a port that has just joined its options, and does what comes next; the port is released again if
/// that fails.
fn joined_and<T>(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    options: &PortOptions,
    next: impl FnOnce() -> Result<T>,
) -> Result<T> {
    backend.change_port(bridge, port, options).and_then(|()| next()).map_err(|error| {
        let released = unless_gone(backend.remove_port(bridge, port));
        error.undone(released, format_args!("port {port} of bridge {bridge}"))
    })
}

/// The same with a port of this bridge, which it stays: its options are what they were if that
/// fails.
pub(crate) fn change_and<T>(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    before: &PortState,
    options: &PortOptions,
    next: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let port = before.name;
    backend.change_port(bridge, port, options)?;
    next().map_err(|error| {
        let restored = unless_gone(backend.change_port(bridge, port, &former(&before.options, options)));
        match error.undo() {
            // That is said already.
            Undo::Failed { .. } => error,
            _ => error.undone(restored, format_args!("a changed port {port} of bridge {bridge}")),
        }
    })
}

/// What those options that were `set` were before.
pub(crate) fn former(before: &PortOptions, set: &PortOptions) -> PortOptions {
    before.iter().filter(|option| set.iter().any(|set| set.capability() == option.capability())).collect()
}

/// The outcome of undoing: where the port or its bridge has vanished meanwhile, nothing is left.
pub(crate) fn unless_gone(undone: Result<()>) -> Result<()> {
    match undone {
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PortNotFound | ErrorKind::NotAPort) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

/// The port of this name of a bridge.
///
/// # Errors
/// `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`; `ListChanged` as with
/// [`ports`](BridgeBackend::ports).
pub fn port(backend: &dyn BridgeBackend, bridge: InterfaceName, port: InterfaceName) -> Result<PortState> {
    let found = backend.ports(bridge)?.into_iter().find(|state| state.name == port);
    found
        .map_or_else(|| Err(no_port(backend, Attempt::new(backend.name(), Operation::Ports).on(bridge), port)), Ok)
}

/// The bridge that an interface is a port of.
///
/// # Errors
/// `PortNotFound`; `NotAPort` when it is a port of none; those of [`list`](BridgeBackend::list) and
/// of [`ports`](BridgeBackend::ports).
pub fn bridge_of(backend: &dyn BridgeBackend, port: InterfaceName) -> Result<InterfaceName> {
    match bridges_of_ports(backend)?.get(&port) {
        Some(&bridge) => Ok(bridge),
        None => Err(no_port(backend, Attempt::new(backend.name(), Operation::List), port)),
    }
}

/// Each port of the host, and the bridge that it is a port of.
///
/// # Errors
/// Those of [`list`](BridgeBackend::list) and of [`ports`](BridgeBackend::ports).
pub fn bridges_of_ports(backend: &dyn BridgeBackend) -> Result<BTreeMap<InterfaceName, InterfaceName>> {
    let mut bridges = BTreeMap::new();
    for bridge in backend.list()? {
        match backend.ports(bridge.name) {
            Ok(ports) => bridges.extend(ports.into_iter().map(|port| (port.name, bridge.name))),
            // Someone has deleted it since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bridges)
}

/// Why an interface is not among the ports.
fn no_port(backend: &dyn BridgeBackend, at: Attempt, port: InterfaceName) -> crate::Error {
    let at = at.port(port);
    match backend.interfaces() {
        Ok(interfaces) if !interfaces.iter().any(|interface| interface.name == port) => {
            at.error(ErrorKind::PortNotFound)
        }
        Ok(_) => at.error(ErrorKind::NotAPort),
        Err(error) => error,
    }
}
