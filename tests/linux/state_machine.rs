//! Random sequences of operations, valid and invalid, on the model and on a running kernel in
//! lockstep: after each step both have answered alike and have the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libtest_mimic::Trial;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use vmbridge::model::Model;
use vmbridge::{
    Available, BridgeBackend, BridgeChange, BridgeOption, BridgeSpec, BridgeState, ErrorKind, FdbOrigin,
    InterfaceName, LinkState, MacAddr, PortOption, PortState, PortVlans, StaticEntry, UnicastMac, VlanId,
    VlanRange, VlanTagging,
};

use crate::support::{has_vlans, in_namespace, ip, trial};

/// How many sequences are played with each backend (or `VMBRIDGE_SEQUENCES`), and how long they
/// are at most.
const SEQUENCES: u32 = 1000;
const STEPS: usize = 14;

const BRIDGES: [&str; 3] = ["virbr0", "virbr1", "virbr2"];
/// Interfaces that can be ports, and their MACs: one lower and one higher than a generated one.
const PORTS: [(&str, &str); 3] =
    [("tap0", "02:00:00:00:00:10"), ("tap1", "02:00:00:00:00:20"), ("tap2", "fe:00:00:00:00:30")];
/// MACs for bridges and for FDB entries.
const MACS: [&str; 3] = ["52:54:00:00:00:01", "02:00:00:00:00:01", "fe:00:00:00:00:01"];
const GUESTS: [&str; 3] = ["52:54:00:aa:00:01", "52:54:00:aa:00:02", "52:54:00:aa:00:03"];

#[derive(Debug, Clone)]
enum Step {
    Create(BridgeSpec),
    Delete(InterfaceName),
    Change(InterfaceName, BridgeChange),
    AddPort(InterfaceName, InterfaceName),
    RemovePort(InterfaceName, InterfaceName),
    ChangePort(InterfaceName, InterfaceName, Vec<PortOption>),
    AddEntry(InterfaceName, StaticEntry),
    ReplaceEntry(InterfaceName, StaticEntry),
    RemoveEntry(InterfaceName, UnicastMac, Option<VlanId>),
    Flush(InterfaceName),
    AddVlans(InterfaceName, InterfaceName, PortVlans),
    RemoveVlans(InterfaceName, InterfaceName, VlanRange),
}

pub(crate) fn trials() -> Vec<Trial> {
    let of = |backend: &'static Available| {
        trial(format!("state_machine::{}::is_what_the_model_says", backend.name), move || play_all(backend))
    };
    vmbridge::AVAILABLE.iter().map(of).collect()
}

fn play_all(backend: &Available) {
    // The same one each time unless one is given, so that nothing but a change makes this fail.
    let given = |name| std::env::var(name).ok().map(|number| number.parse().expect("a number"));
    let seed: u64 = given("VMBRIDGE_SEED").unwrap_or(1);
    let cases = given("VMBRIDGE_SEQUENCES").map_or(SEQUENCES, |number| number.try_into().expect("a small number"));
    println!("state machine of {}: VMBRIDGE_SEED={seed}", backend.name);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_ne_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let has_vlans = in_namespace(has_vlans);
    let play = |steps: Vec<Step>| in_namespace(|| play(backend, has_vlans, &steps)).map_err(TestCaseError::fail);
    let outcome =
        TestRunner::new_with_rng(config, rng).run(&proptest::collection::vec(step(has_vlans), 1..STEPS), play);
    if let Err(error) = outcome {
        panic!("VMBRIDGE_SEED={seed}: {error}");
    }
}

fn play(backend: &Available, has_vlans: bool, steps: &[Step]) -> Result<(), String> {
    let kernel = (backend.open)().expect("it opens");
    let model = if has_vlans { Model::new() } else { Model::without_vlans() };
    let model = model.limited_to(kernel.capabilities());
    for (port, port_mac) in PORTS {
        ip(&format!("link add name {port} address {port_mac} type veth peer name peer.{port}"));
        model.add_interface(name(port), mac(port_mac)).expect("the name is free");
    }
    for (number, step) in steps.iter().enumerate() {
        let [of_kernel, of_model] = [&*kernel, &model as &dyn BridgeBackend].map(|backend| take(backend, step));
        if of_kernel != of_model {
            return Err(format!("step {number}, {step:?}: the kernel says {of_kernel:?}, the model {of_model:?}"));
        }
        let [seen, expected] = [&*kernel, &model as &dyn BridgeBackend].map(state);
        if !alike(&seen, &expected) {
            return Err(format!(
                "after step {number}, {step:?}: the kernel has\n{seen:#?}\nthe model\n{expected:#?}"
            ));
        }
    }
    match by_ip(&*kernel) {
        difference if difference.is_empty() => Ok(()),
        difference => Err(format!("ip sees otherwise: {difference}")),
    }
}

/// Takes one step: the kind of the error, if it is one.
fn take(backend: &dyn BridgeBackend, step: &Step) -> Option<ErrorKind> {
    let outcome = match step {
        Step::Create(spec) => backend.create(spec),
        Step::Delete(bridge) => backend.delete(*bridge),
        Step::Change(bridge, change) => backend.change(*bridge, change),
        Step::AddPort(bridge, port) => backend.add_port(*bridge, *port),
        Step::RemovePort(bridge, port) => backend.remove_port(*bridge, *port),
        Step::ChangePort(bridge, port, options) => {
            backend.change_port(*bridge, *port, &options.iter().copied().collect())
        }
        Step::AddEntry(bridge, entry) => backend.add_fdb_entry(*bridge, entry),
        Step::ReplaceEntry(bridge, entry) => backend.replace_fdb_entry(*bridge, entry),
        Step::RemoveEntry(bridge, mac, vlan) => backend.remove_fdb_entry(*bridge, *mac, *vlan),
        Step::Flush(bridge) => backend.flush_fdb(*bridge),
        Step::AddVlans(bridge, port, vlans) => backend.add_vlans(*bridge, *port, *vlans),
        Step::RemoveVlans(bridge, port, vlans) => backend.remove_vlans(*bridge, *port, *vlans),
    };
    outcome.err().map(|error| error.kind())
}

/// All that a backend tells of a bridge but for its index.
#[derive(Debug, PartialEq)]
struct Seen {
    bridge: BridgeState,
    ports: Vec<PortState>,
    entries: BTreeSet<(Option<VlanId>, MacAddr, InterfaceName)>,
    vlans: Vec<Vec<PortVlans>>,
}

fn state(backend: &dyn BridgeBackend) -> BTreeMap<InterfaceName, Seen> {
    let of = |bridge: BridgeState| {
        let mut ports = backend.ports(bridge.name).expect("it is a bridge");
        ports.sort_by_key(|port| port.name);
        // A backend that cannot list them says so on both sides.
        let entries = backend.fdb(bridge.name).into_iter().flatten();
        let fixed = entries.filter(|entry| entry.origin == FdbOrigin::Static);
        let entries = fixed.map(|entry| (entry.vlan, entry.mac, entry.port)).collect();
        let vlans = ports.iter().map(|port| backend.vlans(bridge.name, port.name).unwrap_or_default()).collect();
        (bridge.name, Seen { bridge, ports, entries, vlans })
    };
    backend.list().expect("it lists").into_iter().map(of).collect()
}

fn alike(seen: &BTreeMap<InterfaceName, Seen>, expected: &BTreeMap<InterfaceName, Seen>) -> bool {
    let pairs = seen.values().zip(expected.values());
    seen.keys().eq(expected.keys())
        && pairs.into_iter().all(|(seen, expected)| {
            let (a, b) = (&seen.bridge, &expected.bridge);
            same_mac(a.mac, b.mac)
                && (a.mtu, a.link, a.options) == (b.mtu, b.link, b.options)
                && seen.ports.len() == expected.ports.len()
                && seen.ports.iter().zip(&expected.ports).all(|(a, b)| {
                    (a.name, a.mac, a.mtu, a.link, a.options) == (b.name, b.mac, b.mtu, b.link, b.options)
                })
                && seen.entries == expected.entries
                && seen.vlans == expected.vlans
        })
}

/// A bridge that was given no MAC and had no port yet has one by chance, here and there another.
fn same_mac(seen: MacAddr, expected: MacAddr) -> bool {
    let known = |mac: MacAddr| {
        mac.is_zero() || PORTS.iter().map(|(_, mac)| mac).chain(&MACS).any(|known| mac.to_string() == **known)
    };
    seen == expected || (!known(seen) && !known(expected))
}

/// Where `ip` sees bridges other than the backend tells of them.
fn by_ip(backend: &dyn BridgeBackend) -> String {
    let links: Vec<serde_json::Value> = serde_json::from_str(&ip("-j -d link show type bridge")).expect("JSON");
    let of_ip = |link: &serde_json::Value| {
        let up = link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
        let data = &link["linkinfo"]["info_data"];
        let text = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
        [
            &link["ifname"],
            &link["address"],
            &link["mtu"],
            &data["stp_state"],
            &data["forward_delay"],
            &data["priority"],
        ]
        .map(text)
        .join(" ")
            + if up { " up" } else { " down" }
    };
    let of_backend = |bridge: &BridgeState| {
        let options = bridge.options;
        let delay = options.forward_delay.map_or(0, |delay| delay.as_millis() / 10);
        let (stp, priority) = (u8::from(options.stp == Some(true)), options.priority.unwrap_or_default());
        format!("{} {} {} {stp} {delay} {priority} {}", bridge.name, bridge.mac, bridge.mtu, bridge.link)
    };
    let seen: BTreeSet<_> = links.iter().filter(|link| link.get("ifname").is_some()).map(of_ip).collect();
    let told: BTreeSet<_> = backend.list().expect("it lists").iter().map(of_backend).collect();
    if seen == told { String::new() } else { format!("{seen:?} and not {told:?}") }
}

fn name(text: &str) -> InterfaceName {
    text.parse().expect("a name")
}

fn mac(text: &str) -> UnicastMac {
    text.parse().expect("a MAC")
}

/// Bridges more often than what is none or is not there.
fn bridge() -> impl Strategy<Value = InterfaceName> {
    prop_oneof![9 => select(&BRIDGES[..]), 1 => select(&["tap0", "lo", "none"][..])].prop_map(name)
}

fn port() -> impl Strategy<Value = InterfaceName> {
    let ports = select(&["tap0", "tap1", "tap2"][..]);
    prop_oneof![9 => ports, 1 => select(&["virbr0", "lo", "none"][..])].prop_map(name)
}

fn step(has_vlans: bool) -> impl Strategy<Value = Step> {
    let create = (select(&BRIDGES[..]), change(has_vlans), any::<bool>()).prop_map(|(bridge, change, up)| {
        let mut spec = BridgeSpec::new(name(bridge)).options(change.options);
        (spec.mac, spec.mtu) = (change.mac, change.mtu);
        if up { spec.link(LinkState::Up) } else { spec }
    });
    prop_oneof![
        5 => create.prop_map(Step::Create),
        1 => bridge().prop_map(Step::Delete),
        4 => (bridge(), change(has_vlans)).prop_map(|(bridge, change)| Step::Change(bridge, change)),
        5 => (bridge(), port()).prop_map(|(bridge, port)| Step::AddPort(bridge, port)),
        2 => (bridge(), port()).prop_map(|(bridge, port)| Step::RemovePort(bridge, port)),
        3 => (bridge(), port(), proptest::collection::vec(port_option(), 0..4))
            .prop_map(|(bridge, port, options)| Step::ChangePort(bridge, port, options)),
        3 => (bridge(), entry()).prop_map(|(bridge, entry)| Step::AddEntry(bridge, entry)),
        2 => (bridge(), entry()).prop_map(|(bridge, entry)| Step::ReplaceEntry(bridge, entry)),
        2 => (bridge(), select(&GUESTS[..]), vlan())
            .prop_map(|(bridge, guest, vlan)| Step::RemoveEntry(bridge, mac(guest), vlan)),
        1 => bridge().prop_map(Step::Flush),
        2 => (bridge(), port(), vlan_range(), tagging())
            .prop_map(|(bridge, port, range, tagging)| Step::AddVlans(bridge, port, PortVlans::new(range, tagging))),
        1 => (bridge(), port(), vlan_range()).prop_map(|(bridge, port, range)| Step::RemoveVlans(bridge, port, range)),
    ]
}

fn entry() -> impl Strategy<Value = StaticEntry> {
    (select(&GUESTS[..]), port(), vlan()).prop_map(|(guest, port, vlan)| {
        let entry = StaticEntry::new(mac(guest), port);
        vlan.map_or(entry, |vlan| entry.vlan(vlan))
    })
}

fn change(has_vlans: bool) -> impl Strategy<Value = BridgeChange> {
    let mac = proptest::option::of(select(&MACS[..]).prop_map(mac));
    let mtu = proptest::option::of(select(&[0, 67, 68, 1400, 1500, 9000, 65535, 65536][..]));
    let link = proptest::option::of(select(&[LinkState::Up, LinkState::Down][..]));
    (mac, mtu, link, proptest::collection::vec(bridge_option(has_vlans), 0..4)).prop_map(
        |(mac, mtu, link, options)| {
            let mut change = BridgeChange::default().options(options.into_iter().collect());
            (change.mac, change.mtu, change.link) = (mac, mtu, link);
            change
        },
    )
}

fn bridge_option(has_vlans: bool) -> impl Strategy<Value = BridgeOption> {
    // Half a second is a whole number of ticks at every HZ.
    let time = || (0_u64..90).prop_map(|half_seconds| Duration::from_millis(500 * half_seconds));
    prop_oneof![
        time().prop_map(BridgeOption::ForwardDelay),
        time().prop_map(BridgeOption::ForwardDelay),
        time().prop_map(BridgeOption::HelloTime),
        time().prop_map(BridgeOption::MaxAge),
        any::<u16>().prop_map(BridgeOption::Priority),
        any::<bool>().prop_map(BridgeOption::Stp),
        any::<bool>().prop_map(BridgeOption::Stp),
        time().prop_map(BridgeOption::AgeingTime),
        any::<bool>().prop_map(BridgeOption::MulticastSnooping),
        select(&[0, 8, 0x4000, 0xfff8, 1, 7][..]).prop_map(BridgeOption::GroupForwardMask),
        // Without VLANs there are two reasons to refuse a change, and no order of them.
        vlan().prop_map(move |vlan| match (has_vlans, vlan) {
            (false, _) => BridgeOption::Stp(true),
            (true, None) => BridgeOption::VlanFiltering(true),
            (true, vlan) => BridgeOption::DefaultPvid(vlan),
        }),
    ]
}

fn port_option() -> impl Strategy<Value = PortOption> {
    prop_oneof![
        any::<bool>().prop_map(PortOption::Isolated),
        any::<bool>().prop_map(PortOption::Learning),
        any::<bool>().prop_map(PortOption::UnicastFlood),
        any::<bool>().prop_map(PortOption::MulticastFlood),
        any::<bool>().prop_map(PortOption::BroadcastFlood),
        any::<bool>().prop_map(PortOption::BpduGuard),
        any::<bool>().prop_map(PortOption::RootBlock),
        any::<bool>().prop_map(PortOption::FastLeave),
        any::<bool>().prop_map(PortOption::Hairpin),
        any::<bool>().prop_map(PortOption::NeighborSuppression),
        any::<bool>().prop_map(PortOption::Locked),
        select(&[0, 1, 2, 777, 65535, 65536][..]).prop_map(PortOption::PathCost),
        select(&[0, 1, 32, 63, 64, 255][..]).prop_map(PortOption::Priority),
    ]
}

fn vlan() -> impl Strategy<Value = Option<VlanId>> {
    let some = select(&[1_u16, 7, 4094][..]).prop_map(|number| VlanId::new(number).expect("in range"));
    prop_oneof![3 => Just(None), 1 => some.prop_map(Some)]
}

fn vlan_range() -> impl Strategy<Value = VlanRange> {
    select(&["1", "7", "6-8", "4094", "1-4094"][..]).prop_map(|range| range.parse().expect("a range"))
}

fn tagging() -> impl Strategy<Value = VlanTagging> {
    select(&[VlanTagging::Tagged, VlanTagging::Untagged, VlanTagging::Pvid, VlanTagging::PvidTagged][..])
}
