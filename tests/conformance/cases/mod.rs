//! The cases, by topic. Each file lists its own in `CASES`.

mod bulk;
mod bulk_port;
mod change;
mod create;
mod delete;
mod events;
mod fdb;
mod option;
mod port;
mod port_option;
mod read;
mod tap;
mod together;
mod vlan;

use vmbridge::{BridgeSpec, Bridges, Capabilities, Capability, Error, ErrorKind, LinkState};

use crate::host::{Case, Host, mac, name};

/// Cases, and the capability that a backend needs for them, if any.
type Group = (Option<Capability>, &'static [(&'static str, Case)]);

const ALL: [&[Group]; 14] = [
    create::CASES,
    delete::CASES,
    change::CASES,
    option::CASES,
    port_option::CASES,
    fdb::CASES,
    vlan::CASES,
    port::CASES,
    read::CASES,
    events::CASES,
    tap::CASES,
    bulk::CASES,
    bulk_port::CASES,
    together::CASES,
];

/// The cases for a backend with these capabilities, each with its path.
pub(crate) fn within(capabilities: Capabilities) -> impl Iterator<Item = &'static (&'static str, Case)> {
    let groups = ALL.into_iter().flatten();
    let groups = groups.filter(move |(needed, _)| needed.is_none_or(|needed| capabilities.contains(needed)));
    groups.flat_map(|&(_, cases)| cases)
}

/// A MAC for a bridge, higher than those of the ports in these cases.
const BRIDGE_MAC: &str = "52:54:00:00:00:07";
const LOW: &str = "02:00:00:00:00:01";
const HIGH: &str = "02:00:00:00:00:02";

/// Creates a bridge of this name, down, with [`BRIDGE_MAC`].
fn create(host: &dyn Host, bridge: &str) {
    host.bridges().create(&BridgeSpec::new(name(bridge)).mac(mac(BRIDGE_MAC))).expect("the name is free");
}

fn create_up(host: &dyn Host, bridge: &str) {
    let spec = BridgeSpec::new(name(bridge)).mac(mac(BRIDGE_MAC)).link(LinkState::Up);
    host.bridges().create(&spec).expect("the name is free");
}

/// Something that is refused.
type Attempt<'a> = &'a dyn Fn() -> Result<(), Error>;

/// Checks that each attempt fails with its kind, and that none leaves a trace.
fn refused(host: &dyn Host, attempts: &[(ErrorKind, Attempt<'_>)]) {
    let before = host.snapshot();
    for (kind, attempt) in attempts {
        let error = attempt().expect_err("it is refused");
        assert_eq!(error.kind(), *kind, "{error}");
        assert_eq!(error.backend(), host.bridges().name());
        assert!(matches!(error.rollback(), vmbridge::Rollback::NotNeeded | vmbridge::Rollback::Done), "{error}");
        assert_eq!(host.snapshot(), before, "after: {error}");
    }
}
