//! A network namespace as a host, with `ip` as the oracle.

use caps::{CapSet, Capability};
use vmbridge::{Available, BridgeBackend, InterfaceName, UnicastMac};

use crate::host::{Case, Host, Seen, name};
use crate::support::{in_namespace, ip, link, snapshot};

pub(crate) fn prepare() {
    crate::support::prepare();
}

pub(crate) fn run_trial(_trial: &str, backend: &Available, case: Case) {
    in_namespace(|| {
        let host = Namespace { bridges: (backend.open)().expect("the backend opens") };
        case(&host);
    });
}

#[derive(Debug)]
struct Namespace {
    bridges: Box<dyn BridgeBackend>,
}

impl Host for Namespace {
    fn bridges(&self) -> &dyn BridgeBackend {
        &*self.bridges
    }

    fn loopback(&self) -> InterfaceName {
        name("lo")
    }

    fn add_interface(&self, name: InterfaceName, mac: UnicastMac) {
        ip(&format!("link add name {name} address {mac} type veth peer name p.{name}"));
    }

    fn remove_interface(&self, name: InterfaceName) {
        ip(&format!("link delete dev {name}"));
    }

    fn look(&self, name: InterfaceName) -> Option<Seen> {
        let link = link(&name.to_string())?;
        let flags = link["flags"].as_array().expect("flags");
        Some(Seen {
            mac: link["address"].as_str().expect("address").parse().expect("a MAC"),
            mtu: u32::try_from(link["mtu"].as_u64().expect("mtu")).expect("32 bits"),
            up: flags.iter().any(|flag| flag == "UP"),
            is_bridge: link["linkinfo"]["info_kind"] == "bridge",
            bridge: link["master"].as_str().map(str::to_owned),
        })
    }

    fn snapshot(&self) -> String {
        snapshot()
    }

    fn without_privilege(&self, act: &dyn Fn()) {
        // A capability is the thread's own, and comes back from the permitted set.
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN).expect("a capability can be dropped");
        act();
        caps::raise(None, CapSet::Effective, Capability::CAP_NET_ADMIN).expect("it is still permitted");
    }
}
