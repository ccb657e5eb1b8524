//! A VNET jail as a host, with `ifconfig` as the oracle.

use nix::unistd::{Uid, seteuid};
use vmbridge::{Available, BridgeBackend, InterfaceName, MacAddr, UnicastMac};

use self::support::{bridge_of, bridges, ifconfig, in_jail, interface, snapshot};
use crate::host::{Case, Host, Seen, name};

#[path = "../support/freebsd.rs"]
mod support;

/// `nobody`.
const UNPRIVILEGED: Uid = Uid::from_raw(65534);

/// Nothing: the first jail brings what it needs.
pub(crate) const fn prepare() {}

pub(crate) fn run_trial(trial: &str, backend: &Available, case: Case) {
    in_jail(trial, || case(&Jail { bridges: (backend.open)().expect("the backend opens") }));
}

#[derive(Debug)]
struct Jail {
    bridges: Box<dyn BridgeBackend>,
}

impl Host for Jail {
    fn bridges(&self) -> &dyn BridgeBackend {
        &*self.bridges
    }

    fn loopback(&self) -> InterfaceName {
        name("lo0")
    }

    fn add_interface(&self, name: InterfaceName, mac: UnicastMac) {
        support::add_interface(&name.to_string());
        ifconfig(&format!("{name} ether {mac}"));
    }

    fn remove_interface(&self, name: InterfaceName) {
        ifconfig(&format!("{name} destroy"));
    }

    fn look(&self, name: InterfaceName) -> Option<Seen> {
        let name = name.to_string();
        let seen = interface(&name)?;
        Some(Seen {
            mac: seen.mac.map_or(MacAddr::ZERO, |mac| mac.parse().expect("a MAC")),
            mtu: seen.mtu,
            up: seen.is_up,
            is_bridge: bridges().contains(&name),
            bridge: bridge_of(&name),
        })
    }

    fn snapshot(&self) -> String {
        snapshot()
    }

    fn without_privilege(&self, act: &dyn Fn()) {
        seteuid(UNPRIVILEGED).expect("root may become anyone");
        act();
        seteuid(Uid::from_raw(0)).expect("the real user is root");
    }
}
