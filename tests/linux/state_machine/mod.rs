//! Random sequences of operations, valid and invalid, on the model and on a running kernel in
//! lockstep: after each step both have answered alike and have the same state.

mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use vmbridge::model::Model;
use vmbridge::{
    Available, Backend, BridgeChange, BridgeSpec, BridgeState, Bridges, ErrorKind, FdbOrigin, InterfaceIndex,
    InterfaceName, MacAddr, PortOption, PortState, PortVlans, StaticEntry, Tap, TapChange, TapSpec, TapState,
    UnicastMac, VlanId, VlanRange,
};

use self::steps::step;
use crate::support::{Registry, has_vlans, in_namespace, ip, tests, wait_until};

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
/// Taps, and the MACs that they are given. Of a MAC by chance, which is the lowest is not known.
const TAPS: [&str; 2] = ["vnet0", "vnet1"];
const TAP_MACS: [&str; 2] = ["fe:00:00:aa:00:01", "02:00:00:00:00:05"];
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
    CreateTap(TapSpec),
    PersistTap(InterfaceName),
    CloseTap(InterfaceName),
    ChangeTap(InterfaceName, TapChange),
    DeleteTap(InterfaceName),
}

/// A backend, and the taps that are open on it.
struct Side<'a> {
    backend: &'a dyn Backend,
    open: Vec<Tap>,
}

impl Side<'_> {
    /// Whether a tap has gone when it was closed, if it was to go.
    fn has_closed(&self, name: InterfaceName) -> bool {
        let taps = self.backend.taps().expect("it lists");
        let stays =
            |tap: &TapState| tap.persistent == Some(true) || self.open.iter().any(|open| open.name() == name);
        taps.iter().all(|tap| tap.name != name || stays(tap))
    }
}

pub(crate) fn register(registry: &Registry) {
    registry.add_on_each_backend(&tests![is_what_the_model_says]);
}

fn is_what_the_model_says(backend: &Available) {
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
    let model = model.limited_to(kernel.implemented());
    for (port, port_mac) in PORTS {
        ip(&format!("link add name {port} address {port_mac} type veth peer name peer.{port}"));
        model.add_interface(name(port), mac(port_mac)).expect("the name is free");
    }
    let mut sides = [&*kernel, &model as &dyn Backend].map(|backend| Side { backend, open: Vec::new() });
    for (number, step) in steps.iter().enumerate() {
        let [of_kernel, mut of_model] = sides.each_mut().map(|side| take(side, step));
        // A process that another test is just starting has every descriptor until it executes: the
        // backend waits for that, the model does not.
        for _ in 0..100 {
            if of_model != Some(ErrorKind::TapBusy) || of_kernel == of_model {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
            of_model = take(&mut sides[1], step);
        }
        if let Step::CloseTap(tap) = step {
            for side in &sides {
                wait_until("the tap has gone", || side.has_closed(*tap));
            }
        }
        if of_kernel != of_model {
            return Err(format!("step {number}, {step:?}: the kernel says {of_kernel:?}, the model {of_model:?}"));
        }
        let [seen, expected] = sides.each_ref().map(|side| taps(side.backend));
        if seen != expected {
            return Err(format!(
                "after step {number}, {step:?}: the kernel has\n{seen:#?}\nthe model\n{expected:#?}"
            ));
        }
        let [seen, expected] = sides.each_ref().map(|side| state(side.backend));
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
fn take(side: &mut Side, step: &Step) -> Option<ErrorKind> {
    let backend = side.backend;
    let opened = |tap: &InterfaceName| side.open.iter().position(|open| open.name() == *tap);
    let outcome = match step {
        Step::Create(spec) => backend.create(spec).map(drop),
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
        Step::CreateTap(spec) => backend.create_tap(spec).map(|tap| side.open.push(tap)),
        // Nothing, where no tap of this name is open.
        Step::PersistTap(tap) => opened(tap).map_or(Ok(()), |number| backend.persist_tap(&side.open[number])),
        Step::CloseTap(tap) => {
            if let Some(number) = opened(tap) {
                drop(side.open.remove(number));
            }
            Ok(())
        }
        Step::ChangeTap(tap, change) => backend.change_tap(*tap, change),
        Step::DeleteTap(tap) => backend.delete_tap(*tap),
    };
    outcome.err().map(|error| error.kind())
}

/// What a backend tells of taps but for their indices, and MACs by chance.
fn taps(backend: &dyn Backend) -> BTreeMap<InterfaceName, TapState> {
    let of = |mut tap: TapState| {
        tap.index = InterfaceIndex::new(1).expect("a number of an interface");
        if !TAP_MACS.contains(&&*tap.mac.to_string()) {
            tap.mac = MacAddr::ZERO;
        }
        (tap.name, tap)
    };
    backend.taps().expect("it lists").into_iter().map(of).collect()
}

/// All that a backend tells of a bridge but for its index.
#[derive(Debug, PartialEq)]
struct Seen {
    bridge: BridgeState,
    ports: Vec<PortState>,
    entries: BTreeSet<(Option<VlanId>, MacAddr, InterfaceName)>,
    vlans: Vec<Vec<PortVlans>>,
}

fn state(backend: &dyn Backend) -> BTreeMap<InterfaceName, Seen> {
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
        mac.is_zero()
            || PORTS
                .iter()
                .map(|(_, mac)| mac)
                .chain(&MACS)
                .chain(&TAP_MACS)
                .any(|known| mac.to_string() == **known)
    };
    seen == expected || (!known(seen) && !known(expected))
}

/// Where `ip` sees bridges other than the backend tells of them.
fn by_ip(backend: &dyn Backend) -> String {
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
