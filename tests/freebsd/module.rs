//! A host that has not loaded the bridge driver. The first test runs in no jail, since only the host may
//! load the driver; both leave it unloaded.

use std::sync::{Mutex, PoisonError};

use crate::command::vmbridge;
use crate::support::{Registry, Test, in_bare_jail, interface, output, snapshot, tests};

/// One of these tests at a time.
static HOST: Mutex<()> = Mutex::new(());

pub(crate) fn register(registry: &Registry) {
    let registry = registry.needs("a host without if_bridge loaded");
    registry.run_by(on_host_without_module).add(&tests![create_loads_it]);
    registry.run_by(in_jail_without_module).add(&tests![create_says_where_it_cannot_be_loaded]);
}

fn on_host_without_module(_name: &str, test: Test) {
    let _alone = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(!is_loaded(), "if_bridge is loaded");
    test();
    assert!(!is_loaded(), "if_bridge is still loaded");
}

fn in_jail_without_module(name: &str, test: Test) {
    let name_in_jail = name.to_owned();
    on_host_without_module(name, Box::new(move || in_bare_jail(&name_in_jail, test)));
}

fn is_loaded() -> bool {
    output("kldstat", ["-q", "-m", "if_bridge"]).status.success()
}

fn create_loads_it() {
    let before = snapshot();
    let bridge = "vmbridge-test";
    let created = vmbridge(&format!("create {bridge} --mac 52:54:00:01:02:03"));
    let (seen, was_loaded) = (interface(bridge), is_loaded());
    // The host is to be as it was, whatever has come of it.
    let deleted = vmbridge(&format!("delete {bridge}"));
    let unloaded = output("kldunload", ["if_bridge"]);
    assert_eq!(created, (0, "52:54:00:01:02:03\n".to_owned(), String::new()));
    assert_eq!(seen.and_then(|bridge| bridge.mac).as_deref(), Some("52:54:00:01:02:03"));
    assert!(was_loaded);
    assert_eq!(deleted, (0, String::new(), String::new()));
    assert!(unloaded.status.success() && !is_loaded(), "{}", String::from_utf8_lossy(&unloaded.stderr));
    assert_eq!(snapshot(), before);
}

fn create_says_where_it_cannot_be_loaded() {
    for bridge in ["virbr0", "bridge0"] {
        let before = snapshot();
        let (status, out, errors) = vmbridge(&format!("create {bridge}"));
        assert_eq!((status, out.as_str()), (1, ""), "{errors}");
        assert_eq!(
            errors,
            format!(
                "vmbridge: cannot create bridge {bridge}: the kernel has no driver for it (freebsd: EPERM, \
                 Operation not permitted); load the kernel module first, outside of any jail: kldload if_bridge\n"
            )
        );
        assert_eq!(snapshot(), before);
    }
}
