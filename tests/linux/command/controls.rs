//! The options of bridges and ports, the FDB and VLANs, as the command's users see them; `ip` and
//! `bridge` of iproute2 say what is true.

use serde_json::{Value, json};
use vmbridge::{AVAILABLE, Capability};

use super::{MAC, done, on_each, parse, refused, vmbridge};
use crate::support::{
    Attacker, Registry, batch, has_vlans, host_ipv6, ip, link, output, run, snapshot, sysfs, tests, wait_until,
};

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        creates_and_sets_with_bridge_options,
        attaches_and_sets_with_port_options,
        shows_options,
        an_attach_that_fails_leaves_no_port,
        refuses_by_name_what_the_backend_cannot_do,
        says_what_the_backend_can_do,
        says_what_the_kernel_can_do,
        names_the_option_that_the_kernel_lacks,
        keeps_a_guest_to_its_mac,
        a_restriction_that_fails_changes_nothing,
        finds_and_restores_a_restriction_that_another_guest_removed,
        manages_the_fdb,
        manages_vlans_or_says_that_the_kernel_has_none,
        refuses_bad_options_as_usage,
    ]);
}

const GUEST: &str = "52:54:00:00:00:07";

fn bridge(args: &str) -> Value {
    parse(&run("bridge", ["-j"].into_iter().chain(args.split(' '))))
}

/// Asserts what `ip` says of a bridge's or a port's options.
#[track_caller]
fn has(name: &str, data: &str, expected: &[(&str, Value)]) {
    let seen = link(name).expect("it is there");
    for (option, value) in expected {
        assert_eq!(&seen["linkinfo"][data][option], value, "{name}, {option}");
    }
}

/// What `bridge` says of an address behind a port.
fn entry(port: &str, mac: &str) -> Option<Value> {
    let entries = bridge(&format!("fdb show dev {port}"));
    let mut entries = entries.as_array().expect("an array").iter();
    entries.find(|entry| entry["mac"] == mac && entry["master"] != Value::Null).cloned()
}

fn can(backend: &str, capability: Capability) -> bool {
    let backend = AVAILABLE.iter().find(|available| available.name == backend).expect("it is compiled in");
    (backend.open)().expect("it opens").capabilities().contains(capability)
}

fn tap(name: &str) {
    ip(&format!("link add name {name} type veth peer name {name}-guest"));
}

/// Makes two ports that forward: only of such is anything learned.
fn forwarding_ports() {
    done(&format!("create virbr0 --mac {MAC} --up"));
    for name in ["tap0", "tap1"] {
        tap(name);
        ip(&format!("link set {name} up"));
        ip(&format!("link set {name}-guest up"));
        done(&format!("attach virbr0 {name}"));
    }
    for name in ["tap0", "tap1"] {
        wait_until("it forwards", || {
            link(name).expect("it is there")["linkinfo"]["info_slave_data"]["state"] == "forwarding"
        });
    }
}

// The kernel counts in ticks of its own, of 4 ms where it has 250 a second: a multiple of 20 ms is
// one on every kernel.
fn creates_and_sets_with_bridge_options() {
    on_each(|backend| {
        done(&format!(
            "--backend {backend} create virbr0 --mac {MAC} --up --stp on --forward-delay 4.02 --hello-time 1.5 \
             --max-age 7 --priority 0x1000 --ageing-time 12.34 --multicast-snooping off --group-forward-mask 0x4000 --host-ipv6 disabled"
        ));
        assert_eq!(host_ipv6("virbr0"), [0, 0, 1]);
        has(
            "virbr0",
            "info_data",
            &[
                ("stp_state", json!(1)),
                ("forward_delay", json!(402)),
                ("hello_time", json!(150)),
                ("max_age", json!(700)),
                ("priority", json!(4096)),
                ("ageing_time", json!(1234)),
                ("mcast_snooping", json!(0)),
                ("group_fwd_mask", json!("0x4000")),
            ],
        );
        done(&format!(
            "--backend {backend} set virbr0 --stp off --forward-delay 0 --ageing-time 300 --multicast-snooping on \
             --host-ipv6 kernel"
        ));
        assert_eq!(host_ipv6("virbr0"), host_ipv6("default"));
        has(
            "virbr0",
            "info_data",
            &[
                ("stp_state", json!(0)),
                ("forward_delay", json!(0)),
                ("max_age", json!(700)),
                ("ageing_time", json!(30000)),
                ("mcast_snooping", json!(1)),
            ],
        );
        let before = snapshot();
        let errors = refused(&format!("--backend {backend} set virbr0 --ageing-time 5 --max-age 41 --down"));
        assert!(
            errors.contains("cannot change bridge virbr0") && errors.contains("the kernel refuses this value"),
            "{errors}"
        );
        assert_eq!(snapshot(), before);
        has("virbr0", "info_data", &[("ageing_time", json!(30000))]);
        done(&format!("--backend {backend} delete virbr0"));
    });
}

fn attaches_and_sets_with_port_options() {
    tap("tap0");
    done("create virbr0");
    on_each(|backend| {
        done(&format!(
            "--backend {backend} attach virbr0 tap0 --isolated on --learning off --unicast-flood off \
             --multicast-flood off --broadcast-flood off --bpdu-guard on --root-block on --fast-leave on \
             --hairpin on --neighbor-suppression on --path-cost 77 --priority 5"
        ));
        has(
            "tap0",
            "info_slave_data",
            &[
                ("isolated", json!(true)),
                ("learning", json!(false)),
                ("flood", json!(false)),
                ("mcast_flood", json!(false)),
                ("bcast_flood", json!(false)),
                ("guard", json!(true)),
                ("root_block", json!(true)),
                ("fastleave", json!(true)),
                ("hairpin", json!(true)),
                ("neigh_suppress", json!(true)),
                ("cost", json!(77)),
                ("priority", json!(5)),
            ],
        );
        done(&format!("--backend {backend} port set virbr0 tap0 --isolated off --learning on"));
        has(
            "tap0",
            "info_slave_data",
            &[("isolated", json!(false)), ("learning", json!(true)), ("flood", json!(false))],
        );
        done(&format!("--backend {backend} detach virbr0 tap0"));
    });
}

fn shows_options() {
    tap("tap0");
    done(&format!("create virbr0 --mac {MAC}"));
    ip("link set virbr0 type bridge forward_delay 1498 ageing_time 6000");
    done("attach virbr0 tap0 --isolated on");
    on_each(|backend| {
        let shown = done(&format!("show virbr0 --backend {backend}"));
        for (name, value) in [("stp", "off"), ("forward-delay", "14.98"), ("ageing-time", "60")] {
            assert!(shown.contains(&format!("\n{name:<20}  {value}\n")), "{shown}");
        }
        let options = shown.lines().skip_while(|line| !line.starts_with("port ")).nth(1).unwrap_or_default();
        assert!(options.starts_with("        isolated on, learning on, "), "{shown}");
        let shown = done(&format!("port show virbr0 tap0 --backend {backend}"));
        assert!(shown.starts_with("port    tap0\nindex   "), "{shown}");
        for (name, value) in [("stp-state", "disabled"), ("isolated", "on"), ("hairpin", "off")] {
            assert!(shown.contains(&format!("\n{name:<20}  {value}\n")), "{shown}");
        }

        let bridge = parse(&done(&format!("show virbr0 --json --backend {backend}")));
        assert_eq!(bridge["options"]["forward-delay"], json!(14.98), "{bridge}");
        assert_eq!(bridge["options"]["ageing-time"], json!(60.0), "{bridge}");
        assert_eq!(bridge["options"]["stp"], json!(false), "{bridge}");
        assert_eq!(bridge["ports"][0]["stp-state"], "disabled", "{bridge}");
        let port = parse(&done(&format!("port show virbr0 tap0 --json --backend {backend}")));
        assert_eq!(port, bridge["ports"][0]);
        assert_eq!(port["options"]["isolated"], json!(true), "{port}");
    });
    let errors = refused("port show virbr0 lo");
    assert!(errors.contains("port lo: it is no port of this bridge"), "{errors}");
    let errors = refused("port show virbr0 x");
    assert!(errors.contains("port x: no such interface for a port"), "{errors}");
}

fn an_attach_that_fails_leaves_no_port() {
    tap("tap0");
    done(&format!("create virbr0 --mac {MAC}"));
    on_each(|backend| {
        let errors = refused(&format!("--backend {backend} attach virbr0 tap0 --isolated on --priority 64"));
        assert!(errors.contains("port tap0") && errors.contains("the kernel refuses this value"), "{errors}");
        assert_eq!(link("tap0").expect("it is there").get("master"), None);
    });
}

fn refuses_by_name_what_the_backend_cannot_do() {
    tap("tap0");
    tap("tap1");
    done("create virbr0");
    done("attach virbr0 tap0");
    on_each(|backend| {
        let says = |args: &str, what: &str, expected: &str| {
            let errors = refused(&format!("--backend {backend} {args}"));
            let expected = format!("vmbridge: {what} {expected}: not supported ({backend}");
            assert!(errors.starts_with(&expected), "{errors} is not {expected}");
        };
        says("create virbr1 --stp-protocol rstp --stp on", "cannot create bridge", "virbr1, stp-protocol");
        says("set virbr0 --up --max-addresses 7", "cannot change bridge", "virbr0, max-addresses");
        says("attach virbr0 tap1 --sticky on", "cannot add a port to bridge", "virbr0, port tap1, sticky");
        says("port set virbr0 tap0 --stp on", "cannot change a port of bridge", "virbr0, port tap0, port-stp");
        if !can(backend, Capability::FdbStatic) {
            says(
                &format!("attach virbr0 tap1 --only-mac {GUEST}"),
                "cannot add a port to bridge",
                "virbr0, port tap1, fdb-static",
            );
            says(
                &format!("fdb add virbr0 tap0 {GUEST}"),
                "cannot add to the FDB of bridge",
                "virbr0, port tap0, fdb-static",
            );
        }
    });
}

fn says_what_the_backend_can_do() {
    on_each(|backend| {
        let table = done(&format!("capabilities --backend {backend}"));
        let json = parse(&done(&format!("capabilities --json --backend {backend}")));
        assert_eq!(json["backend"], backend);
        assert_eq!(json["capabilities"].as_object().expect("an object").len(), Capability::ALL.len());
        for &capability in Capability::ALL {
            let can = can(backend, capability);
            assert_eq!(json["capabilities"][capability.name()], can);
            let row = format!("\n{:<20}  {}\n", capability.name(), if can { "yes" } else { "no" });
            assert!(table.contains(&row), "{table} has no {row}");
        }
    });
}

/// The kernel reports what it knows of a bridge and of a port.
fn says_what_the_kernel_can_do() {
    tap("tap0");
    batch("ip", "link add name virbr0 type bridge\nlink set dev tap0 master virbr0");
    let info = link("virbr0").expect("it is there")["linkinfo"]["info_data"].take();
    let port = link("tap0").expect("it is there")["linkinfo"]["info_slave_data"].take();
    let has_vlans = has_vlans();
    // Reported as off, too, where there are none.
    assert_eq!(info["vlan_default_pvid"] != Value::Null, has_vlans);
    let before = snapshot();
    on_each(|backend| {
        let json = done(&format!("capabilities --json --backend {backend}"));
        let says = |capability: &str| parse(&json)["capabilities"][capability] == true;
        for (capability, of_kernel) in [
            ("vlan-filtering", has_vlans),
            ("default-pvid", has_vlans),
            ("port-vlans", has_vlans && backend == "netlink"),
            ("fdb-vlan", has_vlans && backend == "netlink"),
            ("multicast-snooping", info["mcast_snooping"] != Value::Null),
            ("isolated", port["isolated"] != Value::Null),
            ("locked", port["locked"] != Value::Null && backend == "netlink"),
            ("neighbor-suppression", port["neigh_suppress"] != Value::Null),
            ("learning", true),
            ("forward-delay", true),
        ] {
            assert_eq!(says(capability), of_kernel, "{capability} of {backend}");
        }
        // A service has no namespace to try it in. Then the bridge that is there tells netlink.
        let unprivileged = ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin", env!("CARGO_BIN_EXE_vmbridge")];
        let args = ["capabilities", "--json", "--backend", backend];
        let unprivileged = run("setpriv", unprivileged.into_iter().chain(args));
        assert!(unprivileged == json || backend == "ioctl", "{unprivileged}");
    });
    assert_eq!(snapshot(), before);
}

fn names_the_option_that_the_kernel_lacks() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = directory.path().to_str().expect("UTF-8");
    let definition = "<network><name>lan</name><bridge name='virbr1' macTableManager='libvirt'/></network>";
    std::fs::write(directory.path().join("lan.xml"), definition).expect("it can be written");
    let directories = format!("--config-dir {path}/etc --state-dir {path}/run");
    done(&format!("network define {path}/lan.xml {directories}"));
    let has_vlans = has_vlans();
    on_each(|backend| {
        for (bridge, args) in [
            ("virbr0", "create virbr0 --stp on --vlan-filtering on"),
            ("virbr1", &format!("network start lan {directories}")),
        ] {
            let args = format!("--backend {backend} {args}");
            if has_vlans {
                done(&args);
                assert_eq!(sysfs(bridge, "bridge/vlan_filtering"), "1");
                ip(&format!("link delete dev {bridge}"));
            } else {
                let errors = refused(&args);
                let text = format!("cannot create bridge {bridge}, vlan-filtering: not supported ({backend}");
                assert!(errors.contains(&text) && errors.contains("CONFIG_BRIDGE_VLAN_FILTERING"), "{errors}");
                assert!(link(bridge).is_none(), "{bridge} is left");
            }
        }
    });
}

fn keeps_a_guest_to_its_mac() {
    forwarding_ports();
    done("detach virbr0 tap0");
    on_each(|backend| {
        if !can(backend, Capability::FdbStatic) {
            return;
        }
        let restricted = if can(backend, Capability::Locked) {
            "locked: frames from other MACs are dropped\n"
        } else {
            "not locked: frames from other MACs come in, but nothing is learned from them\n"
        };
        let is_restricted = || {
            has(
                "tap0",
                "info_slave_data",
                &[
                    ("locked", json!(can(backend, Capability::Locked))),
                    ("learning", json!(false)),
                    ("flood", json!(false)),
                    ("isolated", json!(true)),
                ],
            );
            assert_eq!(entry("tap0", GUEST).expect("an entry")["state"], "static");
        };
        assert_eq!(
            done(&format!("--backend {backend} attach virbr0 tap0 --isolated on --only-mac {GUEST}")),
            restricted
        );
        is_restricted();
        done(&format!("--backend {backend} port unrestrict virbr0 tap0 {GUEST}"));
        assert_eq!(entry("tap0", GUEST), None);
        has(
            "tap0",
            "info_slave_data",
            &[
                ("locked", json!(false)),
                ("learning", json!(true)),
                ("flood", json!(true)),
                ("isolated", json!(true)),
            ],
        );

        // What the guest had said before is forgotten, and what was learned elsewhere moves.
        run("bridge", "fdb add 52:54:00:00:00:08 dev tap0 master dynamic".split(' '));
        run("bridge", "fdb add 52:54:00:00:00:09 dev tap0 master static".split(' '));
        run("bridge", format!("fdb add {GUEST} dev tap1 master dynamic").split(' '));
        assert_eq!(done(&format!("--backend {backend} port restrict virbr0 tap0 {GUEST}")), restricted);
        is_restricted();
        for mac in ["52:54:00:00:00:08", "52:54:00:00:00:09"] {
            assert_eq!(entry("tap0", mac), None, "{mac}");
        }
        assert_eq!(entry("tap1", GUEST), None);
        // Once more is no error.
        done(&format!("--backend {backend} port restrict virbr0 tap0 {GUEST}"));
        is_restricted();
        done("detach virbr0 tap0");
    });
}

fn a_restriction_that_fails_changes_nothing() {
    tap("tap0");
    tap("tap1");
    done(&format!("create virbr0 --mac {MAC}"));
    done("attach virbr0 tap0");
    run("bridge", format!("fdb add {GUEST} dev tap0 master static").split(' '));
    on_each(|backend| {
        if !can(backend, Capability::FdbStatic) {
            return;
        }
        let taken = format!("attach virbr0 tap1 --only-mac {GUEST}");
        let errors = refused(&format!("--backend {backend} {taken}"));
        assert!(errors.contains("port tap1") && errors.contains("such an entry exists"), "{errors}");
        assert_eq!(link("tap1").expect("it is there").get("master"), None);
        assert_eq!(entry("tap0", GUEST).expect("it stays")["state"], "static");
        let errors = refused(&format!("--backend {backend} port restrict virbr0 tap0 {MAC}"));
        assert!(errors.contains("such an entry exists"), "{errors}");
        let errors = refused(&format!("--backend {backend} port unrestrict virbr0 tap0 52:54:00:0:0:1"));
        assert!(errors.contains("no such entry"), "{errors}");
        has("tap0", "info_slave_data", &[("locked", json!(false)), ("learning", json!(true))]);
    });
}

/// The holder of a tap's descriptor needs no privilege to give the tap another guest's MAC.
fn finds_and_restores_a_restriction_that_another_guest_removed() {
    const OTHER: &str = "52:54:00:00:00:08";
    forwarding_ports();
    done("detach virbr0 tap1");
    on_each(|backend| {
        let checked = |args: &str| vmbridge(&format!("--backend {backend} port check{args}"));
        if !can(backend, Capability::FdbStatic) {
            let (status, _, errors) = checked("");
            assert!(status == 1 && errors.contains("fdb-static: not supported"), "{errors}");
            return;
        }
        let attacker = Attacker::plug_in();
        done(&format!("--backend {backend} port restrict virbr0 tap0 {GUEST}"));
        done(&format!("--backend {backend} port restrict virbr0 {} {OTHER}", Attacker::TAP));
        let table = |first: &str| {
            let other = format!("{:<15}  virbr0           ok        {OTHER}\n", Attacker::TAP);
            format!(
                "PORT             BRIDGE           STATE     MAC\ntap0             virbr0           {first}\n{other}"
            )
        };
        let ok = table(&format!("ok        {GUEST}"));
        assert_eq!(done(&format!("--backend {backend} port check")), ok);
        assert_eq!(done(&format!("--backend {backend} port check --bridge virbr0 --repair")), ok);

        for keeps_it in [false, true] {
            attacker.take(GUEST);
            if !keeps_it {
                attacker.take("fe:54:00:00:00:08");
            }
            assert_eq!(entry("tap0", GUEST), None);
            for args in ["", " --repair", " --bridge virbr0"] {
                let (status, out, errors) = checked(args);
                assert_eq!((status, out), (1, table("no-entry  -")));
                assert_eq!(
                    errors,
                    "vmbridge: port tap0 of bridge virbr0 has lost the static entry of its guest; to restore it: \
                     vmbridge port check --repair --mac MAC tap0\n"
                );
            }
            let (status, out, _) = checked(" --json tap0");
            assert_eq!(status, 1);
            let lost = json!([{ "bridge": "virbr0", "port": "tap0", "macs": [], "state": "no-entry" }]);
            assert_eq!(parse(&out), lost);
            done(&format!("--backend {backend} port check {}", Attacker::TAP));

            let restored = done(&format!("--backend {backend} port check --repair --mac {GUEST} --json tap0"));
            let expected = json!([{ "bridge": "virbr0", "port": "tap0", "macs": [GUEST], "state": "restored" }]);
            assert_eq!(parse(&restored), expected);
            assert_eq!(entry("tap0", GUEST).expect("an entry")["state"], "static");
            assert_eq!(done(&format!("--backend {backend} port check")), ok);
            // That of the other port does not come back.
            attacker.take("fe:54:00:00:00:08");
            assert_eq!(entry("tap0", GUEST).expect("an entry")["state"], "static");
        }
        let (status, _, errors) = checked(&format!(" --repair --mac {MAC} tap0 {}", Attacker::TAP));
        assert!(status == 2 && errors.contains("--mac is for one port"), "{errors}");
        done(&format!("--backend {backend} port unrestrict virbr0 tap0 {GUEST}"));
        let (status, _, errors) = checked(" tap0");
        assert_eq!((status, &*errors), (1, "vmbridge: port tap0 is not restricted to a MAC\n"));
    });
}

fn manages_the_fdb() {
    forwarding_ports();
    on_each(|backend| {
        run("bridge", "fdb add 52:54:00:00:00:08 dev tap0 master dynamic".split(' '));
        if can(backend, Capability::FdbStatic) {
            done(&format!("--backend {backend} fdb add virbr0 tap0 {GUEST}"));
            assert_eq!(entry("tap0", GUEST).expect("it was added")["state"], "static");
            for port in ["tap0", "tap1"] {
                let errors = refused(&format!("--backend {backend} fdb add virbr0 {port} {GUEST}"));
                assert!(errors.contains("such an entry exists"), "{errors}");
            }
            done(&format!("--backend {backend} fdb add virbr0 tap1 {GUEST} --replace"));
            assert_eq!(entry("tap0", GUEST), None);
        } else {
            run("bridge", format!("fdb add {GUEST} dev tap1 master static").split(' '));
        }
        assert_eq!(entry("tap1", GUEST).expect("it is there")["state"], "static");

        let listed = done(&format!("--backend {backend} fdb list virbr0"));
        assert!(listed.starts_with("MAC                PORT             VLAN  ORIGIN   AGE\n"), "{listed}");
        assert!(listed.contains(&format!("\n{GUEST}  tap1                -  static   ")), "{listed}");
        let listed = parse(&done(&format!("--backend {backend} fdb list virbr0 --json")));
        let one = |mac: &str| {
            let entries: Vec<_> = listed
                .as_array()
                .expect("an array")
                .iter()
                .filter(|e| e["mac"] == mac && e["vlan"].is_null())
                .collect();
            assert_eq!(entries.len(), 1, "{listed}");
            entries[0].clone()
        };
        assert_eq!((&one(GUEST)["port"], &one(GUEST)["origin"]), (&json!("tap1"), &json!("static")));
        let learned = one("52:54:00:00:00:08");
        assert_eq!((&learned["port"], &learned["origin"]), (&json!("tap0"), &json!("learned")));
        assert!(learned["age"].as_f64().is_some_and(|age| age < 60.0), "{learned}");

        done(&format!("--backend {backend} fdb flush virbr0"));
        assert_eq!(entry("tap0", "52:54:00:00:00:08"), None);
        assert!(entry("tap1", GUEST).is_some());
        if can(backend, Capability::FdbStatic) {
            done(&format!("--backend {backend} fdb remove virbr0 {GUEST}"));
            let errors = refused(&format!("--backend {backend} fdb remove virbr0 {GUEST}"));
            assert!(errors.contains("cannot remove from the FDB of bridge virbr0: no such entry"), "{errors}");
        } else {
            run("bridge", format!("fdb del {GUEST} dev tap1 master").split(' '));
        }
        assert_eq!(entry("tap1", GUEST), None);
    });
}

fn manages_vlans_or_says_that_the_kernel_has_none() {
    tap("tap0");
    tap("tap1");
    done("create virbr0");
    done("attach virbr0 tap0");
    let errors = refused("vlan list tap1");
    assert!(errors.contains("port tap1: it is no port of this bridge"), "{errors}");
    let errors = refused("vlan list x");
    assert!(errors.contains("port x: no such interface for a port"), "{errors}");
    let kernel_has_vlans =
        link("virbr0").expect("it is there")["linkinfo"]["info_data"]["vlan_default_pvid"] != Value::Null;
    on_each(|backend| {
        if !kernel_has_vlans || !can(backend, Capability::PortVlans) {
            let errors = refused(&format!("--backend {backend} vlan add tap0 7"));
            assert!(
                errors.starts_with("vmbridge: cannot add VLANs to a port of bridge virbr0")
                    && errors.contains("not supported"),
                "{errors}"
            );
            return;
        }
        done(&format!("--backend {backend} set virbr0 --vlan-filtering on"));
        has("virbr0", "info_data", &[("vlan_filtering", json!(1))]);
        done(&format!("--backend {backend} vlan add tap0 10-20"));
        done(&format!("--backend {backend} vlan add tap0 30 --untagged"));
        done(&format!("--backend {backend} vlan add tap0 7 --pvid --untagged"));
        assert_eq!(
            done(&format!("--backend {backend} vlan list tap0")),
            "VLANS      TAGGING\n1          untagged\n7          pvid\n10-20      tagged\n30         untagged\n"
        );
        done(&format!("--backend {backend} vlan remove tap0 12-20"));
        done(&format!("--backend {backend} vlan remove tap0 30"));
        assert_eq!(
            parse(&done(&format!("--backend {backend} vlan list tap0 --json"))),
            json!([
                {"vlans": "1", "tagging": "untagged"},
                {"vlans": "7", "tagging": "pvid"},
                {"vlans": "10-11", "tagging": "tagged"},
            ])
        );
        let seen = bridge("vlan show dev tap0");
        assert_eq!(seen[0]["vlans"].as_array().map(Vec::len), Some(3 + 1), "{seen}");
        done(&format!("--backend {backend} fdb add virbr0 tap0 {GUEST} --vlan 7"));
        assert_eq!(entry("tap0", GUEST).expect("it was added")["vlan"], 7);
        done(&format!("--backend {backend} fdb remove virbr0 {GUEST} --vlan 7"));
        done(&format!("--backend {backend} set virbr0 --default-pvid none"));
        has("virbr0", "info_data", &[("vlan_default_pvid", json!(0))]);
    });
}

fn refuses_bad_options_as_usage() {
    let before = snapshot();
    for args in [
        "create x --stp yes",
        "create x --forward-delay 1s",
        "create x --forward-delay=-1",
        "create x --forward-delay .5",
        "create x --group-forward-mask 0x10000",
        "create x --default-pvid 0",
        "create x --stp-protocol mstp",
        "create x --isolated on",
        "set x --stp",
        "attach x tap0 --isolated",
        "attach x tap0 --priority 256",
        "attach x tap0 --only-mac ff:ff:ff:ff:ff:ff",
        "port",
        "port set x tap0",
        "port restrict x tap0",
        "fdb add x tap0 01:00:5e:00:00:01",
        "fdb add x tap0 52:54:00:0:0:1 --vlan 4095",
        "fdb remove x",
        "vlan add tap0 0",
        "vlan add tap0 20-10",
        "vlan add tap0 7-4095",
        "vlan remove tap0",
    ] {
        let (status, out, errors) = vmbridge(args);
        assert_eq!((status, out.as_str()), (2, ""), "{args}: {errors}");
    }
    assert_eq!(snapshot(), before);
    let help = output(env!("CARGO_BIN_EXE_vmbridge"), ["port", "set", "--help"]);
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    assert!(help.contains("--path-cost <N>") && help.contains("--isolated <on|off>"), "{help}");
}
