//! Events: a wait ends when the host changes.

use std::time::Duration;

use vmbridge::{BridgeChange, Bridges, Capability, Wake};

use super::{Group, HIGH, create};
use crate::host::{Host, mac, name};
use crate::support::tests;

pub(super) const CASES: &[Group] = &[(Some(Capability::Events), &tests![wake_whoever_follows_the_host])];

/// Longer than any kernel needs.
const PATIENCE: Duration = Duration::from_secs(20);

fn wake_whoever_follows_the_host(host: &dyn Host) {
    let events = host.bridges().events().expect("it can be followed");
    let rest = || while events.wait(Duration::from_millis(1)).expect("no error") == Wake::Changed {};
    let woken = |act: &dyn Fn()| {
        rest();
        act();
        assert_eq!(events.wait(PATIENCE).expect("no error"), Wake::Changed);
    };
    woken(&|| create(host, "br0"));
    woken(&|| host.bridges().change(name("br0"), &BridgeChange::default().mtu(1400)).expect("it can be changed"));
    woken(&|| host.add_interface(name("tap0"), mac(HIGH)));
    woken(&|| host.remove_interface(name("tap0")));
    woken(&|| host.bridges().delete(name("br0")).expect("it is there"));
    rest();
}
