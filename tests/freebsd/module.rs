//! A host that has not loaded the bridge driver. The first of these trials is in no jail, since
//! only the host may load it; both leave it unloaded.

use std::sync::{Mutex, PoisonError};

use libtest_mimic::Trial;

use crate::command::vmbridge;
use crate::support::{in_bare_jail, interface, needs, output, snapshot};

/// One of these trials at a time.
static HOST: Mutex<()> = Mutex::new(());

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &'static str, case: fn(&str)| {
        let trial = Trial::test(name, move || {
            let _alone = HOST.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(!is_loaded(), "if_bridge is loaded");
            case(name);
            Ok(())
        });
        needs("a host without if_bridge loaded", trial)
    };
    vec![
        trial("module::create_loads_it", create_loads_it),
        trial("module::create_says_where_it_cannot_be_loaded", create_says_where_it_cannot_be_loaded),
    ]
}

fn is_loaded() -> bool {
    output("kldstat", ["-q", "-m", "if_bridge"]).status.success()
}

fn create_loads_it(_trial: &str) {
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

fn create_says_where_it_cannot_be_loaded(trial: &str) {
    in_bare_jail(trial, || {
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
    });
    assert!(!is_loaded());
}
