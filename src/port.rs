//! Attaching ports with their options.

use std::collections::BTreeMap;

use crate::{
    Attempt, Backend, Bridges, Error, ErrorKind, Identity, InterfaceIndex, Operation, PortOptions, Resolved,
    Result, Step, Target, Transaction, run_each,
};

/// Makes an interface a port of a bridge, with these options: all or nothing.
///
/// No kernel does both in one call. If the interface is up, frames pass before it has its options: attach a guest's
/// interface before the guest runs.
///
/// If the process dies between the two calls, the port is left without its options. Call this again: a port that the
/// bridge already has gets the options, and stays if that fails. Without options, such a port is
/// [`AlreadyPort`](ErrorKind::AlreadyPort).
///
/// # Errors
/// `Unsupported` for an option, before anything changes; then those of [`add_port`](Bridges::add_port) and of
/// [`change_port`](Bridges::change_port).
#[expect(clippy::missing_panics_doc, reason = "what is expected is proven")]
pub fn attach<B: Backend + ?Sized>(
    backend: &B,
    bridge: impl Into<Target>,
    port: impl Into<Target>,
    options: &PortOptions,
) -> Result<()> {
    let mut attached = attach_many(backend, bridge, &[port.into()], options);
    attached.pop().expect("there is a result for each port")
}

/// Makes many interfaces ports of a bridge, each as [`attach`] does, and returns the result of each in their order. A
/// port that fails leaves the others alone.
pub fn attach_many<B: Backend + ?Sized>(
    backend: &B,
    bridge: impl Into<Target>,
    ports: &[Target],
    options: &PortOptions,
) -> Vec<Result<()>> {
    let bridge = bridge.into();
    let mut transactions: Vec<_> = ports.iter().map(|_| Transaction::new(backend)).collect();
    let at = Attempt::new(backend.name(), Operation::AddPort).on(bridge);
    let check = |&port: &Target| options.check(at.port(port), backend.implemented());
    let mut results: Vec<Result<()>> = ports.iter().map(check).collect();
    let steps =
        ports.iter().zip(&results).map(|(&port, result)| result.is_ok().then(|| Step::add_port(bridge, port)));
    let joined = run_each(&mut transactions, &steps.collect::<Vec<_>>());
    let next = |(joined, &port): (&Result<Option<Resolved>>, &Target)| match joined {
        Ok(joined) => change((*joined)?.interface.into(), (*joined)?.port?.into(), options),
        // A process may have died before it changed the options.
        Err(error) if error.kind() == ErrorKind::AlreadyPort => change(bridge, port, options),
        Err(_) => None,
    };
    let steps: Vec<_> = joined.iter().zip(ports).map(next).collect();
    let changed = run_each(&mut transactions, &steps);
    for ((result, transaction), (joined, changed)) in
        results.iter_mut().zip(transactions).zip(joined.into_iter().zip(changed))
    {
        let outcome = match (joined, changed) {
            (Err(error), Ok(None)) => Err(error),
            (_, changed) => changed,
        };
        match outcome {
            Ok(_) => drop(transaction.commit()),
            Err(error) => *result = Err(transaction.roll_back(error)),
        }
    }
    results
}

/// Makes a tap that may have been adopted a port of a bridge, unless it is one already.
pub(crate) fn join_unless_joined<B: Backend + ?Sized>(
    steps: &mut Transaction<'_, B>,
    bridge: Identity,
    tap: Identity,
) -> Result<()> {
    if steps.backend().find_port(tap.into())?.is_none_or(|port| port.bridge != Some(bridge)) {
        steps.run(Step::add_port(bridge, tap))?;
    }
    Ok(())
}

/// The step that gives a port its options; `None` where nothing changes, so that nothing is looked at.
fn change(bridge: Target, port: Target, options: &PortOptions) -> Option<Step> {
    (*options != PortOptions::default()).then(|| Step::change_port(bridge, port, *options))
}

/// Returns the bridge that an interface is a port of.
///
/// # Errors
/// `PortNotFound`; `NotAPort` when the interface is not a port.
pub fn bridge_of<B: Backend + ?Sized>(backend: &B, port: impl Into<Target>) -> Result<Identity> {
    let port = port.into();
    let not_a_port =
        || -> Error { Attempt::new(backend.name(), Operation::Ports).port(port).error(ErrorKind::NotAPort) };
    backend.port(port)?.bridge.ok_or_else(not_a_port)
}

/// Returns each port of the host by its index, and the bridge that it is a port of.
///
/// # Errors
/// Those of [`list`](Bridges::list) and of [`ports`](Bridges::ports).
pub fn bridges_of_ports<B: Backend + ?Sized>(backend: &B) -> Result<BTreeMap<InterfaceIndex, Identity>> {
    let mut bridges = BTreeMap::new();
    for bridge in backend.list()? {
        match backend.ports(&bridge) {
            Ok(ports) => bridges.extend(ports.into_iter().map(|port| (port.index, bridge.identity()))),
            // Another process has deleted it since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bridges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capability;
    use crate::faults::Fault;
    use crate::testing::{Host, host, host_without, mac, name, snapshot};

    /// Each step fails in turn: the port that it concerns is not there then, and the others are, with their options.
    #[test]
    fn of_many_ports_each_joins_with_its_options_or_not_at_all() {
        let options = PortOptions::default().isolated(true);
        let ports = ["tap1", "tap2", "tap3"].map(name);
        let targets = ports.map(Target::from);
        for &fault in Fault::ALL {
            for after in 0.. {
                let host = host();
                for (last, port) in [(0xf2, ports[1]), (0xf3, ports[2])] {
                    host.inner().add_interface(port, mac(last)).expect("the name is free");
                }
                host.fail(after, fault);
                let done = attach_many(&host, name("br0"), &targets, &options);
                let is_over = host.cancel();
                // An answer that is lost is made up for.
                let fails = !is_over && fault != Fault::AnswerLost;
                let failed = done.iter().filter(|done| done.is_err()).count();
                assert_eq!(failed, usize::from(fails), "{fault:?} after {after}");
                let there = host.ports(name("br0")).expect("it is there");
                for (port, done) in ports.iter().zip(&done) {
                    let found = there.iter().find(|other| other.name == *port).map(|port| port.options.isolated);
                    assert_eq!(found, done.is_ok().then_some(Some(true)), "{fault:?} after {after}");
                }
                if is_over {
                    assert_eq!(after, 6, "each port takes two steps");
                    break;
                }
            }
        }
    }

    /// A process may have died between the two steps.
    #[test]
    fn a_port_that_the_bridge_has_gets_the_options_and_stays_whatever_fails() {
        let isolated = |host: &Host| host.port(name("tap0")).expect("it is a port").options.isolated;
        let options = PortOptions::default().isolated(true);
        let host = host();
        attach(&host, name("br0"), name("tap0"), &options).expect("it can be done");
        assert_eq!(isolated(&host), Some(true));
        attach(&host, name("br0"), name("tap0"), &options).expect("it is done");
        let error = attach(&host, name("br0"), name("tap0"), &PortOptions::default()).expect_err("it is a port");
        assert_eq!(error.kind(), ErrorKind::AlreadyPort);

        let host = self::host();
        host.fail(0, Fault::FailedAfter);
        attach(&host, name("br0"), name("tap0"), &options).expect_err("a step fails");
        assert_eq!(isolated(&host), Some(false));
    }

    #[test]
    fn of_many_ports_none_joins_with_an_option_that_the_backend_has_not() {
        let host = host_without(Capability::Isolated);
        let before = snapshot(&host);
        let options = PortOptions::default().isolated(true);
        let done = attach_many(&host, name("br0"), &[name("tap1").into()], &options);
        assert!(matches!(&done[..], [Err(error)] if error.kind() == ErrorKind::Unsupported), "{done:?}");
        assert!(host.take_log().is_empty());
        assert_eq!(snapshot(&host), before);
    }
}
