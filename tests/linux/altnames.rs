//! Interfaces with alternative names (`ip link property`): the kernel finds them by any of their
//! names, and a message about one of them may be larger than all others together.

use vmbridge::{Available, Backend, BridgeSpec, Bridges, Capability, ErrorKind, UnicastMac};

use crate::support::{Registry, batch, exists, ip, link, name, open, run, tests};

type Case = fn(&dyn Backend);

const CASES: [(&str, Case); 5] = tests![
    finds_by_any_name_and_tells_the_main_one,
    deletes_by_any_name,
    attaches_and_detaches_by_any_name,
    restricts_by_any_name,
    is_not_disturbed_by_many
];

pub(crate) fn register(registry: &Registry) {
    for backend in vmbridge::AVAILABLE {
        for (path, case) in CASES {
            registry.add_with(path, &[backend.name], move || with_altnames(backend, case));
        }
    }
}

/// Runs a case on a host with the bridges `br0`, also known as `other`, and `br1`, and the interface
/// `tap0`, also known as `plug`.
fn with_altnames(backend: &Available, case: Case) {
    ip("link add name br0 address 52:54:00:00:00:01 type bridge");
    ip("link add name br1 address 52:54:00:00:00:02 type bridge");
    ip("link add name tap0 address 02:00:00:00:00:01 type veth peer name peer0");
    ip("link property add dev br0 altname other");
    ip("link property add dev tap0 altname plug");
    case(&*open(backend));
}

fn finds_by_any_name_and_tells_the_main_one(bridges: &dyn Backend) {
    bridges.add_port(name("br0"), name("tap0")).expect("it can be a port");
    let found = bridges.find(name("other")).expect("it is a bridge");
    assert_eq!(found, bridges.find(name("br0")).expect("it is a bridge"));
    assert_eq!(found.expect("it is there").name, name("br0"));
    let ports = bridges.ports(name("other")).expect("it is a bridge");
    assert_eq!(ports, bridges.ports(name("br0")).expect("it is a bridge"));
    assert_eq!(ports[0].name, name("tap0"));
}

fn deletes_by_any_name(bridges: &dyn Backend) {
    bridges.delete(name("other")).expect("it is a bridge");
    assert!(!exists("br0") && exists("br1"));
    ip("link property add dev br1 altname other");
    ip("link set dev br1 up");
    bridges.delete(name("other")).expect("it is a bridge");
    assert!(!exists("br1"));
}

fn attaches_and_detaches_by_any_name(bridges: &dyn Backend) {
    bridges.add_port(name("other"), name("plug")).expect("it can be a port");
    assert_eq!(link("tap0").expect("it is there")["master"], "br0");
    let error = bridges.add_port(name("br0"), name("plug")).expect_err("it is one already");
    assert_eq!(error.kind(), vmbridge::ErrorKind::AlreadyPort);
    let error = bridges.add_port(name("br1"), name("plug")).expect_err("it is one of another's");
    assert_eq!(error.kind(), vmbridge::ErrorKind::PortBusy);
    bridges.remove_port(name("other"), name("plug")).expect("it is a port");
    assert_eq!(link("tap0").expect("it is there").get("master"), None);
}

/// The FDB tells the main names of ports only. The ioctls have no static entries.
fn restricts_by_any_name(bridges: &dyn Backend) {
    let guest: UnicastMac = "52:54:00:00:01:01".parse().expect("a MAC");
    let is_static = || {
        let entries = run("bridge", ["-j", "fdb", "show", "br", "br0"]);
        entries.contains(&format!("\"mac\":\"{guest}\""))
    };
    bridges.add_port(name("other"), name("plug")).expect("it can be a port");
    for _ in 0..2 {
        let restricted = vmbridge::restrict_to_mac(bridges, name("other"), name("plug"), guest);
        if bridges.capabilities().contains(Capability::FdbStatic) {
            restricted.expect("it is a port");
            assert!(is_static());
        } else {
            let error = restricted.expect_err("it cannot be restricted");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            return;
        }
    }
    vmbridge::lift_restriction(bridges, name("other"), name("plug"), guest).expect("it is restricted");
    assert!(!is_static());
}

/// 320 names of 127 bytes are 42 kB in one message about one interface.
fn is_not_disturbed_by_many(bridges: &dyn Backend) {
    let add = |dev: &str| {
        let names = (0..320).map(|number| format!("link property add dev {dev} altname {dev}-{number:0>122}"));
        batch("ip", &names.collect::<Vec<_>>().join("\n"));
    };
    add("br0");
    add("tap0");
    let list = bridges.list().expect("it lists");
    assert_eq!(list.iter().map(|bridge| bridge.name).collect::<Vec<_>>(), [name("br0"), name("br1")]);
    // lo, br0, br1, tap0, peer0
    assert_eq!(bridges.interfaces().expect("it lists").len(), 5);
    let mac: UnicastMac = vmbridge::unused_mac(bridges).expect("it lists");
    bridges.create(&BridgeSpec::new(name("virbr0")).mac(mac)).expect("the name is free");
    assert_eq!(link("virbr0").expect("it was created")["address"], mac.to_string());

    assert_eq!(bridges.find(name("br0")).expect("it is a bridge").expect("it is there").name, name("br0"));
    bridges.add_port(name("br0"), name("tap0")).expect("it can be a port");
    assert_eq!(link("tap0").expect("it is there")["master"], "br0");
    assert_eq!(bridges.ports(name("br0")).expect("it is a bridge")[0].name, name("tap0"));
    bridges.remove_port(name("br0"), name("tap0")).expect("it is a port");
    bridges.delete(name("br0")).expect("it is a bridge");
    assert!(!exists("br0"));
}
