//! libvirt as the witness: its reader, its schema and the bridges that it makes.

#[path = "../../../src/network/xml/any.rs"]
mod any;
mod daemon;
mod readers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use vmbridge::network::{
    self, BridgeName, Document, ForwardMode, MacSource, MacTableManager, MigrationMode, MigrationOutcome, Network,
    NetworkController, PortIsolation, Store,
};
use vmbridge::{Available, BridgeOptions};

use self::any::any_network;
use self::daemon::{CONFIG, Libvirt, STATE, own_directories};
use crate::support::{Registry, has_vlans, in_namespace, link, output, sysfs, tests, wait_until};

const MAC: &str = "52:54:00:01:02:03";
const SCHEMA: &str = "/usr/share/libvirt/schemas/network.rng";

pub(crate) fn register(registry: &Registry) {
    let registry = registry.needs("libvirtd, virsh, dnsmasq, iptables, xmllint");
    registry.add(&tests![
        takes_and_keeps_what_is_written,
        takes_and_keeps_any_network,
        any_network_is_by_its_schema,
        keeps_a_network_under_its_uuid,
        takes_the_macs_of_a_migration,
        a_running_daemon_keeps_a_migration_off,
        shares_no_bridge_that_it_has_only_defined,
    ]);
    registry.add_on_each_backend(&tests![makes_the_same_bridges]);
    readers::register(&registry);
}

fn base() -> Network {
    Network::new("n".parse().expect("a name"))
}

fn fixed() -> Network {
    base().with_bridge("virbr7".parse().expect("a name")).with_mac(MAC.parse().expect("a MAC"))
}

fn with_stp(on: bool, delay: u64) -> Network {
    let options = BridgeOptions::default().stp(on).forward_delay(Duration::from_secs(delay));
    fixed().with_options(options).expect("whole seconds")
}

/// Networks of what libvirt and vmbridge both have.
fn common() -> Vec<Network> {
    vec![
        fixed(),
        with_stp(false, 0),
        with_stp(false, 1),
        with_stp(false, 40),
        with_stp(true, 0),
        with_stp(true, 1),
        with_stp(true, 2),
        with_stp(true, 7),
        with_stp(true, 30),
        with_stp(true, 31),
        fixed().with_mtu(68).expect("an MTU"),
        fixed().with_mtu(1400).expect("an MTU"),
        fixed().with_mtu(65535).expect("an MTU"),
        fixed().with_isolation(PortIsolation::Isolated),
        fixed().with_mac_table_manager(MacTableManager::Kernel),
        fixed().with_forward(ForwardMode::Nat),
        fixed().with_forward(ForwardMode::Route),
        fixed().with_forward(ForwardMode::Open).with_mtu(9000).expect("an MTU"),
    ]
}

/// Networks of what only vmbridge has, and what it leaves open.
fn own() -> Vec<Network> {
    let options = BridgeOptions::default()
        .stp(false)
        .forward_delay(Duration::from_secs(2))
        .hello_time(Duration::from_secs(1))
        .ageing_time(Duration::from_millis(1500))
        .priority(7)
        .multicast_snooping(false)
        .group_forward_mask(0x4000);
    vec![
        base(),
        base().with_bridge("lan%d".parse().expect("a template")).with_anchor(network::Anchor::Tap),
        fixed().with_options(options).expect("whole seconds").with_anchor(network::Anchor::Tap),
    ]
}

/// The document as it is written, but for what libvirt wants where guests reach other networks;
/// without a DNS server.
fn text(network: &Network) -> String {
    let text = Document::of(network).expect("it can be written").to_string();
    let addressed = "  <dns enable='no'/>\n  <ip address='192.0.2.1' prefix='24'/>\n</network>\n";
    match network.forward() {
        ForwardMode::Isolated => text,
        _ => text.replace("</network>\n", addressed),
    }
}

/// What libvirt makes of a network: the same, with what was left open filled in.
fn completed(network: &Network, libvirts: &Network) -> Network {
    let mut options = *network.options();
    options.stp = options.stp.or(Some(true));
    options.forward_delay = options.forward_delay.or(Some(Duration::ZERO));
    let mut network = network.clone().with_options(options).expect("whole seconds");
    if matches!(network.bridge(), BridgeName::Template(_)) {
        assert!(matches!(libvirts.bridge(), BridgeName::Fixed(_)), "{libvirts:?}");
        network = network.with_bridge(libvirts.bridge().clone());
    }
    let mac = network.mac().or(libvirts.mac()).expect("libvirt gives it one");
    network.with_mac(mac)
}

fn assert_is(document: &Document, network: &Network) {
    let libvirts = document.network().expect("it has a bridge");
    assert_eq!(completed(network, libvirts), *libvirts, "{document}");
}

fn takes_and_keeps_what_is_written() {
    own_directories();
    let libvirt = Libvirt::start();
    for network in common().into_iter().chain(own()) {
        libvirt.define(&text(&network)).unwrap_or_else(|error| panic!("{network:?}: {error}"));
        libvirt.virsh(["net-start", "n"]);
        assert_is(&libvirt.active("n"), &network);
        assert_is(&libvirt.defined("n"), &network);
        libvirt.virsh(["net-destroy", "n"]);
        libvirt.virsh(["net-undefine", "n"]);
    }
    let unaddressed = Document::of(&fixed().with_forward(ForwardMode::Nat)).expect("it can be written");
    let error = libvirt.define(unaddressed.text()).expect_err("it has no address");
    assert!(error.contains("no IP address provided"), "{error}");
}

fn samples<T>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::default();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("few are filtered").current()).collect()
}

fn takes_and_keeps_any_network() {
    own_directories();
    let libvirt = Libvirt::start();
    for network in samples(&any_network(), 200) {
        libvirt.define(&text(&network)).unwrap_or_else(|error| panic!("{network:?}: {error}"));
        let uuid = libvirt.uuid();
        assert_is(&libvirt.defined(&uuid), &network);
        libvirt.virsh(["net-undefine", &uuid]);
    }
}

fn any_network_is_by_its_schema() {
    let name = r"[a-zA-Z0-9_.\\-]{1,15}".prop_filter_map("a directory's", |name| name.parse().ok());
    let bridge = prop_oneof![Just(BridgeName::default()), name];
    let networks = (any_network(), bridge).prop_map(|(network, bridge)| network.with_bridge(bridge));
    let directory = tempfile::tempdir().expect("a directory can be made");
    let files = samples(&networks, 500).into_iter().enumerate().map(|(number, network)| {
        let file = directory.path().join(format!("{number}.xml"));
        fs::write(&file, Document::of(&network).expect("it can be written").text()).expect("it can be written");
        file.to_str().expect("UTF-8").to_owned()
    });
    let args = ["--noout", "--relaxng", SCHEMA].map(str::to_owned).into_iter().chain(files);
    let output = output("xmllint", args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.lines().filter(|line| line.ends_with(" validates")).count(), 500);
}

/// [`Store::define`] refuses another UUID, too, but gives a document without one the old one.
fn keeps_a_network_under_its_uuid() {
    own_directories();
    let libvirt = Libvirt::start();
    let with = |uuid: &str| text(&fixed()).replace("</name>", &format!("</name><uuid>{uuid}</uuid>"));
    libvirt.define(&with("9a05da11-e96b-47f3-8253-a3a482e445f5")).expect("it is valid");
    for other in [with("9a05da11-e96b-47f3-8253-a3a482e445f6"), text(&fixed())] {
        let error = libvirt.define(&other).expect_err("it is known by another");
        assert!(error.contains("already exists with uuid 9a05da11"), "{error}");
    }
    libvirt.define(&with("9A05DA11E96B47F38253A3A482E445F5")).expect("it is the same");
}

/// All that `ip` says of the bridge, and whether its MAC was set, but for what differs between two
/// of the same kind: the index, and the timers that run. The kernel notes only after a while that it
/// has no carrier.
fn bridge() -> Value {
    let shown = || link("virbr7").expect("it is there");
    wait_until("the carrier is known", || shown()["operstate"] == "DOWN");
    let mut shown = shown();
    shown["ifindex"].take();
    for timer in ["hello_timer", "tcn_timer", "topology_change_timer", "gc_timer"] {
        shown["linkinfo"]["info_data"][timer].take();
    }
    shown["addr_assign_type"] = sysfs("virbr7", "addr_assign_type").into();
    shown
}

/// The bridge as libvirt makes it, if it does.
fn libvirts_bridge(network: &Network) -> Result<Value, String> {
    own_directories();
    let libvirt = Libvirt::start();
    libvirt.define(&text(network)).expect("it is valid");
    libvirt.try_virsh(["net-start", "n"]).map(|_| bridge())
}

fn own_bridge(backend: &Available, network: &Network) -> Result<Value, String> {
    let backend = (backend.open)().expect("it opens");
    let network = network.clone().resolve([]).expect("it is whole");
    network::start(&*backend, &network).map(|()| bridge()).map_err(|error| error.to_string())
}

fn makes_the_same_bridges(backend: &Available) {
    for network in common() {
        let theirs =
            in_namespace(|| libvirts_bridge(&network)).unwrap_or_else(|error| panic!("{network:?}: {error}"));
        let ours = in_namespace(|| own_bridge(backend, &network)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(ours, theirs, "{network:?}");
    }
    // Where the kernel does not tell VLANs apart, neither starts it.
    let managed = fixed().with_mac_table_manager(MacTableManager::Libvirt);
    let theirs = in_namespace(|| libvirts_bridge(&managed));
    let ours = in_namespace(|| own_bridge(backend, &managed));
    let with_vlans = in_namespace(has_vlans);
    assert_eq!((theirs.is_ok(), ours.is_ok()), (with_vlans, with_vlans), "{theirs:?}, {ours:?}");
    assert_eq!(ours.ok(), theirs.ok());
}

/// As files were before libvirt gave networks MACs.
fn without_mac(path: &Path) {
    let text = fs::read_to_string(path).expect("libvirt wrote it");
    let kept: Vec<_> = text.lines().filter(|line| !line.contains("<mac ")).collect();
    fs::write(path, kept.join("\n") + "\n").expect("it can be written");
}

/// What became of each file of libvirt's: the MAC that was put in, if one was.
fn migrate(mode: MigrationMode) -> Vec<(String, Option<String>)> {
    let host = vmbridge::NativeBackend::open().expect("it opens");
    let migrated = Store::new(CONFIG, STATE).migrate(&host, &MacSource::Random, mode).expect("it can be read");
    let outcome = |outcome| match outcome {
        MigrationOutcome::Changed { mac, .. } => Some(mac.to_string()),
        MigrationOutcome::Unchanged | MigrationOutcome::Foreign(_) => None,
        other => panic!("{other:?}"),
    };
    migrated.into_iter().map(|file| (file.path.display().to_string(), outcome(file.outcome))).collect()
}

fn configured(name: &str) -> PathBuf {
    Path::new(CONFIG).join(format!("{name}.xml"))
}

/// Files of two networks without MACs, of which one is active, and one that has no bridge of its own.
fn old_files() -> [PathBuf; 3] {
    {
        let libvirt = Libvirt::start();
        for (name, bridge, address) in [("active", "virbr7", "192.0.2.1"), ("idle", "virbr8", "198.51.100.1")] {
            let network = Network::new(name.parse().expect("a name")).with_forward(ForwardMode::Nat);
            let network = text(&network.with_bridge(bridge.parse().expect("a name")));
            libvirt.define(&network.replace("192.0.2.1", address)).expect("it is valid");
        }
        let host = "<network><name>host</name><forward mode='bridge'/><bridge name='br0'/></network>";
        libvirt.define(host).expect("it is valid");
        libvirt.virsh(["net-start", "active"]);
    }
    let files = [configured("active"), Path::new(STATE).join("active.xml"), configured("idle")];
    for file in &files {
        without_mac(file);
    }
    files
}

fn takes_the_macs_of_a_migration() {
    own_directories();
    let files = old_files();
    assert_eq!(migrate(MigrationMode::DryRun).iter().filter(|(_, mac)| mac.is_some()).count(), 3);
    let migrated = migrate(MigrationMode::Apply);
    let [(_, Some(active)), (_, active_state), (host, None), (_, Some(idle))] = &migrated[..] else {
        panic!("{migrated:?}")
    };
    assert_eq!((active_state.as_ref(), host), (Some(active), &configured("host").display().to_string()));
    let texts = || files.clone().map(|file| fs::read_to_string(file).expect("it is there"));
    let before = texts();

    let libvirt = Libvirt::start();
    let names = libvirt.virsh(["net-list", "--all", "--name"]);
    let mut names: Vec<_> = names.split_whitespace().collect();
    names.sort_unstable();
    assert_eq!(names, ["active", "host", "idle"]);
    let mac = |document: &Document| document.network().expect("its own").mac().expect("it has one").to_string();
    assert_eq!(
        [mac(&libvirt.active("active")), mac(&libvirt.defined("active"))],
        [active.clone(), active.clone()]
    );
    assert_eq!(mac(&libvirt.defined("idle")), *idle);
    libvirt.virsh(["net-destroy", "active"]);
    for (name, bridge, mac) in [("active", "virbr7", active), ("idle", "virbr8", idle)] {
        libvirt.virsh(["net-start", name]);
        assert_eq!(link(bridge).expect("it is there")["address"], **mac);
    }
    assert_eq!([&texts()[0], &texts()[2]], [&before[0], &before[2]], "libvirt has nothing to add");
    let before = texts();
    drop(libvirt);
    assert!(migrate(MigrationMode::Apply).iter().all(|(_, mac)| mac.is_none()));
    assert_eq!(texts(), before);
}

/// It would overwrite the files with what it has in memory.
fn a_running_daemon_keeps_a_migration_off() {
    own_directories();
    let files = old_files();
    let texts = || files.clone().map(|file| fs::read_to_string(file).expect("it is there"));
    let migrate = |more: &[&str]| {
        let args = ["network", "migrate", "--dir", CONFIG].into_iter().chain(more.iter().copied());
        output(env!("CARGO_BIN_EXE_vmbridge"), args)
    };
    let other = tempfile::tempdir().expect("a directory can be made");
    let other = other.path().to_str().expect("UTF-8");
    {
        let _libvirt = Libvirt::start();
        // It has given them MACs.
        for file in &files {
            without_mac(file);
        }
        let before = texts();
        let says = format!(
            "vmbridge: {STATE}/driver.pid: libvirt has it locked, so it is running and would not see the change; \
             stop libvirtd or virtnetworkd first, and its sockets\n"
        );
        for state in [&[][..], &["--state-dir", STATE], &["--state-dir", other]] {
            let refused = migrate(state);
            assert_eq!((refused.status.code(), &*String::from_utf8_lossy(&refused.stderr)), (Some(1), &*says));
            assert_eq!(texts(), before);
        }
        // It changes nothing.
        assert!(migrate(&["--dry-run"]).status.success());
    }
    assert!(migrate(&[]).status.success());
    assert!(texts().iter().all(|text| text.contains("<mac ")));
}

/// And what becomes of one that both have.
fn shares_no_bridge_that_it_has_only_defined() {
    own_directories();
    let host = vmbridge::NativeBackend::open().expect("it opens");
    let directory = tempfile::tempdir().expect("a directory can be made");
    let store = Store::new(directory.path().join("etc"), directory.path().join("run")).with_libvirt(CONFIG);
    let define = |name: &str, body: &str| {
        let text = format!("<network><name>{name}</name>{body}</network>");
        store.define(&host, &text.parse().expect("a definition"), &MacSource::Random).expect("it is valid")
    };
    let libvirt = Libvirt::start();
    libvirt.define(&text(&base())).expect("it is valid");
    assert_eq!(libvirt.defined("n").network().expect("its own").bridge().to_string(), "virbr0");
    let lan = define("lan", "");
    assert_eq!(lan.document.network().expect("its own").bridge().to_string(), "virbr1");
    assert_eq!(lan.libvirt, None);
    assert_eq!(define("both", "<bridge name='virbr0'/>").libvirt.expect("it has it").as_str(), "n");

    let (networks, both) = (NetworkController::new(&host, &store), "both".parse().expect("a name"));
    networks.start(&both).expect("the first has it");
    let error = libvirt.try_virsh(["net-start", "n"]).expect_err("the name is in use");
    assert!(error.contains("File exists"), "{error}");
    networks.stop(&both).expect("it is its own");
    libvirt.virsh(["net-start", "n"]);
    let error = networks.start(&both).expect_err("libvirt has it").to_string();
    assert!(error.contains("the name virbr0 is in use, by a bridge with the MAC"), "{error}");
}
