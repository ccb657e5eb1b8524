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
    // Nothing is to be looked at again where there is nothing to change.
    let changed =
        if *options == PortOptions::default() { Ok(()) } else { backend.change_port(bridge, port, options) };
    changed.and_then(|()| next()).map_err(|error| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capability;
    use crate::fake::{Fake, mac, name};

    /// Each call fails in turn: one port is not there then, and the others are, with their options.
    #[test]
    fn of_many_ports_each_joins_with_its_options_or_not_at_all() {
        let options = PortOptions::default().isolated(true);
        let ports = ["tap1", "tap2", "tap3"].map(name);
        for call in 0.. {
            let host = Fake::new([Capability::Isolated]);
            host.model.add_interface(ports[1], mac(0xf2)).expect("it can be made");
            host.model.add_interface(ports[2], mac(0xf3)).expect("it can be made");
            *host.fails_after.lock().expect("one thread") = Some(call);
            let done = attach_many(&host, name("br0"), &ports, &options);
            let is_over = host.fails_after.lock().expect("one thread").take().is_some();
            assert_eq!(done.iter().filter(|done| done.is_err()).count(), usize::from(!is_over), "call {call}");
            let there = host.ports(name("br0")).expect("it is there");
            for (port, done) in ports.iter().zip(&done) {
                let found = there.iter().find(|other| other.name == *port).map(|port| port.options.isolated);
                assert_eq!(found, done.is_ok().then_some(Some(true)), "call {call}");
            }
            if is_over {
                assert!(call > 3, "few calls were made");
                break;
            }
        }
    }

    #[test]
    fn of_many_ports_none_joins_with_an_option_that_the_backend_has_not() {
        let host = Fake::new([]);
        let done = attach_many(&host, name("br0"), &[name("tap1")], &PortOptions::default().isolated(true));
        assert!(matches!(&done[..], [Err(error)] if error.kind() == ErrorKind::Unsupported), "{done:?}");
        assert!(host.log.lock().expect("one thread").is_empty());
    }
}
