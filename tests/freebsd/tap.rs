//! Taps. Their driver is in FreeBSD's own kernels; where it is not, and was loaded, it stays until
//! the next boot.

use std::fs::File;

use libtest_mimic::Trial;

use crate::command::{done, program};
use crate::support::{ifconfig, interface, needs, output, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let trials = [trial(
        "tap::is_refused_at_once_while_someone_holds_it_open",
        is_refused_at_once_while_someone_holds_it_open,
    )];
    trials.into_iter().map(|trial| needs("if_tuntap in the kernel", trial)).collect()
}

/// The kernel would wait for the holder without end, and with it whoever destroys anything.
fn is_refused_at_once_while_someone_holds_it_open() {
    let tap = ifconfig("tap create");
    let held = File::options().read(true).write(true).open(format!("/dev/{tap}")).expect("devfs shows it");
    done("create virbr0");
    done(&format!("attach virbr0 {tap}"));
    // With a bound, since the kernel has none.
    let vmbridge = |args: &str| {
        let bound = ["20", &program()].map(str::to_owned);
        output("timeout", bound.into_iter().chain(args.split(' ').map(str::to_owned)))
    };
    let refused = vmbridge(&format!("delete {tap}"));
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&format!("cannot delete bridge {tap}: it is no bridge")), "{errors}");
    assert_eq!(vmbridge("delete virbr0").status.code(), Some(0));
    drop(held);
    assert!(interface(&tap).is_some(), "it stays");
    // It would keep its jail from going, and the jail it (seen).
    ifconfig(&format!("{tap} destroy"));
}
