//! Guests' taps, as the command's users see them; `ip` of iproute2 says what is true.

use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};

use super::{done, on_each, parse, refused, vmbridge};
use crate::support::{
    Registry, exists, ip, is_up, lacks_users, link, opens, output, snapshot, sysfs, tests, wait_until,
};

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        creates_lists_and_deletes,
        adopts_a_tap_with_its_owner,
        says_what_where_and_why,
        refuses_what_is_no_number_or_mac_as_usage,
        hints_at_what_is_missing,
    ]);
    registry.needs(lacks_users()).add(&tests![belongs_to_root_or_its_owner]);
}

const GUEST: &str = "52:54:00:01:02:09";
const HOST_SIDE: &str = "fe:54:00:01:02:09";

fn bridge() {
    done("create virbr0 --mac 52:54:00:01:02:03");
    done("set virbr0 --mtu 1400");
}

/// `tap create` for the guest, of these and on `virbr0`.
fn create(args: &str) -> String {
    format!("tap create {args} --bridge virbr0 --guest-mac {GUEST}")
}

/// Makes `vnet0`, and waits until the kernel has noted that nobody has it open.
fn create_closed() {
    done(&create("vnet0"));
    wait_until("it has no carrier", || sysfs("vnet0", "operstate") == "down");
}

fn creates_lists_and_deletes() {
    bridge();
    on_each(|backend| {
        let listed = |args: &str| done(&format!("--backend {backend} tap list{args}"));
        assert_eq!(listed(""), "TAP              BRIDGE           MAC                  MTU  LINK\n");
        assert_eq!(listed(" --json"), "[]\n");
        assert_eq!(done(&format!("--backend {backend} {} --isolated on --vnet-hdr", create("vnet0"))), "");
        ip("tuntap add dev vnet1 mode tap user 7 group 8 multi_queue");
        ip("link set dev vnet1 address fe:54:00:00:00:01");

        let seen = link("vnet0").expect("it was created");
        assert_eq!(
            [&seen["address"], &seen["mtu"], &seen["master"]],
            [&json!(HOST_SIDE), &json!(1400), &json!("virbr0")]
        );
        assert!(is_up(&seen));
        assert_eq!(seen["linkinfo"]["info_slave_data"]["isolated"], true);
        let of_tap = &seen["linkinfo"]["info_data"];
        assert_eq!(
            [&of_tap["persist"], &of_tap["vnet_hdr"], &of_tap["multi_queue"]],
            [&json!(true), &json!(true), &json!(false)]
        );
        assert_eq!(
            listed(""),
            "TAP              BRIDGE           MAC                  MTU  LINK\n\
             vnet0            virbr0           fe:54:00:01:02:09   1400  up\n\
             vnet1            -                fe:54:00:00:00:01   1500  down\n"
        );
        let index = |tap: &str| link(tap).expect("it is there")["ifindex"].clone();
        assert_eq!(
            parse(&listed(" --json")),
            json!([
                {
                    "name": "vnet0", "index": index("vnet0"), "mac": HOST_SIDE, "mtu": 1400, "link": "up",
                    "bridge": "virbr0", "persistent": true, "multi-queue": false, "vnet-hdr": true,
                    "owner": 0, "group": null, "device": null,
                },
                {
                    "name": "vnet1", "index": index("vnet1"), "mac": "fe:54:00:00:00:01", "mtu": 1500, "link": "down",
                    "bridge": null, "persistent": true, "multi-queue": true, "vnet-hdr": false,
                    "owner": 7, "group": 8, "device": null,
                },
            ])
        );
        for tap in ["vnet0", "vnet1"] {
            assert_eq!(done(&format!("--backend {backend} tap delete {tap}")), "");
            assert!(!exists(tap));
        }
    });
}

/// Also one that is a port already: what a process left that died half way through.
fn adopts_a_tap_with_its_owner() {
    bridge();
    on_each(|backend| {
        ip("tuntap add dev vnet0 mode tap user 7");
        ip("link set dev vnet0 master virbr0");
        let adopt = format!("--backend {backend} {} --adopt", create("vnet0"));
        for _ in 0..2 {
            done(&format!("{adopt} --isolated on"));
            let seen = link("vnet0").expect("it is there");
            assert_eq!([&seen["address"], &seen["master"]], [&json!(HOST_SIDE), &json!("virbr0")]);
            assert_eq!(seen["linkinfo"]["info_slave_data"]["isolated"], true);
            assert!(is_up(&seen));
        }
        wait_until("it has no carrier", || sysfs("vnet0", "operstate") == "down");
        let errors = refused(&format!("{adopt} --owner 8"));
        assert!(errors.starts_with("vmbridge: cannot create tap vnet0, tap-owner: "), "{errors}");
        assert_eq!(sysfs("vnet0", "owner"), "7");
        done(&format!("--backend {backend} tap delete vnet0"));
    });
}

fn says_what_where_and_why() {
    bridge();
    ip("link add name eth7 type veth peer name eth8");
    create_closed();
    on_each(|backend| {
        let says = |args: &str, expected: &str| {
            let errors = refused(&format!("--backend {backend} {args}"));
            let expected = format!("vmbridge: {expected} ({backend}");
            assert!(errors.starts_with(&expected), "{errors} is not {expected}");
        };
        says(&create("vnet0"), "cannot create tap vnet0: a tap of this name exists");
        says(&create("virbr0"), "cannot create tap virbr0: a bridge of this name exists");
        says(&create("eth7 --adopt"), "cannot create tap eth7: the name is in use, and not by a bridge");
        says(&create("vnet1 --queues 300"), "cannot create tap vnet1, tap-queues: the kernel refuses this value");
        says(
            &create("vnet0 --adopt --queues 2"),
            "cannot create tap vnet0, tap-queues: the kernel refuses this value",
        );
        let on = |bridge: &str| format!("tap create vnet1 --bridge {bridge} --guest-mac {GUEST}");
        says(&on("virbr9"), "cannot add a port to bridge virbr9: no such interface");
        says(&on("eth7"), "cannot find bridge eth7: it is no bridge");
        says("tap delete vnet9", "cannot delete tap vnet9: no such interface");
        says("tap delete eth7", "cannot delete tap eth7: it is no tap");
        says("tap delete virbr0", "cannot delete tap virbr0: it is no tap");
    });
}

fn refuses_what_is_no_number_or_mac_as_usage() {
    bridge();
    let before = snapshot();
    for args in [
        &*create("vnet0 --queues 0"),
        &create("vnet0 --queues 65536"),
        &create("vnet0 --owner root"),
        &create("vnet0 --owner -1"),
        &create("sixteen-bytes-xx"),
        "tap create vnet0 --bridge virbr0",
        "tap create vnet0 --guest-mac 52:54:00:01:02:09",
        "tap create vnet0 --bridge virbr0 --guest-mac 01:00:5e:00:00:01",
        "tap delete",
        "tap",
    ] {
        assert_eq!(vmbridge(args).0, 2, "{args}");
    }
    assert_eq!(snapshot(), before);
}

fn hints_at_what_is_missing() {
    bridge();
    create_closed();
    let before = snapshot();
    on_each(|backend| {
        let unprivileged = ["--bounding-set=-net_admin", "--inh-caps=-net_admin", env!("CARGO_BIN_EXE_vmbridge")];
        let args = format!("--backend {backend} {}", create("vnet1"));
        let output = output("setpriv", unprivileged.into_iter().chain(args.split(' ')));
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("cannot create tap vnet1: permission denied"), "{errors}");
        assert!(errors.contains("CAP_NET_ADMIN"), "{errors}");
    });
    let none = None::<&str>;
    mount(Some("tmpfs"), "/dev/net", Some("tmpfs"), MsFlags::empty(), none).expect("a tmpfs can be mounted");
    on_each(|backend| {
        for args in [&*create("vnet1"), "tap delete vnet0"] {
            let errors = refused(&format!("--backend {backend} {args}"));
            assert!(errors.contains("the kernel has no driver for it"), "{errors}");
            assert!(errors.trim_end().ends_with("; load the kernel module first: modprobe tun"), "{errors}");
        }
    });
    assert_eq!(snapshot(), before);
}

fn belongs_to_root_or_its_owner() {
    bridge();
    on_each(|backend| {
        let user = |tap: &str| link(tap).expect("it is there")["linkinfo"]["info_data"]["user"].clone();
        done(&format!("--backend {backend} {}", create("vnet0")));
        assert_eq!(sysfs("vnet0", "owner"), "0");
        // By its name where there is an /etc/passwd.
        assert!([json!("root"), json!("0"), json!(0)].contains(&user("vnet0")), "{}", user("vnet0"));
        assert!(!opens(12345, "vnet0"), "it is root's");
        assert!(opens(0, "vnet0"), "also without privilege");

        done(&format!("--backend {backend} {}", create("vnet1 --owner 12345")));
        assert_eq!(sysfs("vnet1", "owner"), "12345");
        assert_ne!(user("vnet1"), Value::Null);
        assert!(!opens(12346, "vnet1"), "it is another's");
        assert!(opens(12345, "vnet1"), "it is its own");
    });
}
