//! Directories whose networks have no MAC.

use super::*;
use crate::network::ForeignMode;
use crate::{BridgeSpec, Bridges, HostIdentity};

const BRIDGE: &str = "  <bridge name='virbr0'/>\n";
const WITH_MAC: &str = "  <bridge name='virbr0'/>\n  <mac address='02:00:00:00:00:01'/>\n";

fn status(name: &str, body: &str) -> String {
    format!("<networkstatus>\n{}</networkstatus>\n", network(name, body))
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(path).expect("it is there")
}

impl Fixture {
    /// What became of each file, as `etc/a.xml changed`, and a copy of what they are then.
    fn migrate(&self, mode: MigrationMode) -> Vec<String> {
        let files = self.store.migrate(&self.host, &MacSource::Random, mode).expect("it can be read");
        let root = self.directory.path();
        files
            .iter()
            .map(|file| {
                let path = file.path.strip_prefix(root).expect("it is in one of the two").display().to_string();
                let outcome = match &file.outcome {
                    MigrationOutcome::Changed { .. } => "changed",
                    MigrationOutcome::Unchanged => "unchanged",
                    MigrationOutcome::Foreign(ForeignMode::Bridge) => "foreign",
                    MigrationOutcome::Foreign(mode) => panic!("{mode}"),
                    MigrationOutcome::Failed(_) => "failed",
                    MigrationOutcome::Skipped => "skipped",
                };
                format!("{} {outcome}", path.replace("networks/", ""))
            })
            .collect()
    }
}

#[test]
fn both_files_of_a_network_get_one_mac() {
    let fixture = Fixture::new();
    put(fixture.config("a.xml"), &network("a", BRIDGE));
    put(fixture.state("a.xml"), &status("a", BRIDGE));
    put(fixture.config("b.xml"), &network("b", BRIDGE));
    put(fixture.state("c.xml"), &status("c", BRIDGE));
    let changed = ["etc/a.xml changed", "run/a.xml changed", "etc/b.xml changed", "run/c.xml changed"];
    assert_eq!(fixture.migrate(MigrationMode::DryRun), changed);
    assert_eq!(text(fixture.config("a.xml")), network("a", BRIDGE));
    assert!(fixture.files().iter().all(|file| file.len() == "a.xml".len()) && !fixture.config(".lock").exists());

    assert_eq!(fixture.migrate(MigrationMode::Apply), changed);
    let mac = mac_of(&fixture.store.load(&name("a")).expect("it is there"));
    let with_mac = format!("{BRIDGE}  <mac address='{mac}'/>\n");
    assert_eq!(text(fixture.config("a.xml")), network("a", &with_mac));
    assert_eq!(text(fixture.state("a.xml")), status("a", &with_mac));
    assert_ne!(mac_of(&fixture.store.load(&name("b")).expect("it is there")), mac);

    assert_eq!(fixture.migrate(MigrationMode::Apply), changed.map(|file| file.replace("changed", "unchanged")));
    assert_eq!(text(fixture.config("a.xml")), network("a", &with_mac));
}

/// Else it would change under the guests that there are.
#[test]
fn a_running_bridge_keeps_its_mac() {
    let running: UnicastMac = "52:54:00:55:55:55".parse().expect("a MAC");
    let lent: UnicastMac = "02:00:00:00:00:07".parse().expect("a MAC");
    let bridge = "virbr0".parse().expect("a name");
    let migrated = |mac: UnicastMac, port: &str, port_mac: UnicastMac| {
        let fixture = Fixture::new();
        fixture.host.create(&BridgeSpec::new(bridge).mac(mac)).expect("it can be made");
        fixture.host.add_interface(port.parse().expect("a name"), port_mac).expect("it can be made");
        put(fixture.config("a.xml"), &network("a", BRIDGE));
        fixture.migrate(MigrationMode::Apply);
        mac_of(&fixture.store.load(&name("a")).expect("it is there"))
    };
    assert_eq!(migrated(running, "tap0", lent), running);
    assert_eq!(migrated(running, "virbr0-nic", running), running, "an old libvirt's anchor has it, too");
    assert_ne!(migrated(lent, "tap0", lent), lent, "it is its port's");
}

#[test]
fn the_mac_that_is_there_wins() {
    for (configuration, state) in [(BRIDGE, WITH_MAC), (WITH_MAC, BRIDGE), (WITH_MAC, WITH_MAC)] {
        let fixture = Fixture::new();
        put(fixture.config("a.xml"), &network("a", configuration));
        put(fixture.state("a.xml"), &status("a", state));
        fixture.migrate(MigrationMode::Apply);
        assert_eq!(text(fixture.config("a.xml")), network("a", WITH_MAC));
        assert_eq!(text(fixture.state("a.xml")), status("a", WITH_MAC));
    }
}

#[test]
fn what_is_foreign_or_broken_is_said_and_left_alone() {
    let fixture = Fixture::new();
    let foreign = network("a", "  <forward mode='bridge'/>\n  <bridge name='br0'/>\n");
    let twice = WITH_MAC.replace(":01", ":02");
    let files = [
        (fixture.config("a.xml"), foreign),
        (fixture.config("b.xml"), "<network>".to_owned()),
        (fixture.state("b.xml"), status("b", BRIDGE)),
        (fixture.config("c.xml"), network("c", WITH_MAC)),
        (fixture.state("c.xml"), status("c", &twice)),
        (fixture.config("d.xml"), network("elsewhere", BRIDGE)),
        (fixture.config("autostart/a.xml"), network("a", BRIDGE)),
        (fixture.config("e.xml~"), network("e", BRIDGE)),
    ];
    for (path, before) in &files {
        put(path.clone(), before);
    }
    put(fixture.config("z.xml"), &network("z", BRIDGE));
    let outcomes = [
        "etc/a.xml foreign",
        "etc/b.xml failed",
        "run/b.xml skipped",
        "etc/c.xml failed",
        "run/c.xml skipped",
        "etc/d.xml failed",
        "etc/z.xml changed",
    ];
    assert_eq!(fixture.migrate(MigrationMode::Apply), outcomes);
    for (path, before) in &files {
        assert_eq!(text(path.clone()), *before);
    }
}

#[test]
fn derived_macs_are_those_of_a_definition() {
    let fixture = Fixture::new();
    let identity = HostIdentity::new([7; 16]);
    put(fixture.config("a.xml"), &network("a", BRIDGE));
    let source = MacSource::Derived(identity.clone());
    fixture.store.migrate(&fixture.host, &source, MigrationMode::Apply).expect("it can be read");
    assert_eq!(mac_of(&fixture.store.load(&name("a")).expect("it is there")), derived_mac(&identity, &name("a")));
}

#[test]
fn directories_that_are_not_there_have_nothing_to_migrate() {
    let fixture = Fixture::new();
    assert!(fixture.migrate(MigrationMode::Apply).is_empty());
    assert!(!fixture.config("").exists() && !fixture.state("").exists());
}
