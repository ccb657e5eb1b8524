//! The conformance suite: what [`Backend`] promises, on every backend that runs here.
//!
//! Each case runs on a host of its own: a model, a network namespace (Linux) or a VNET jail
//! (FreeBSD). Its oracle is not vmbridge: `ip` and sysfs on Linux, `ifconfig` on FreeBSD.
//!
//! [`Backend`]: vmbridge::Backend

mod cases;
mod host;
mod model;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "freebsd.rs")]
mod native;
#[path = "../support/mod.rs"]
mod support;

use vmbridge::Backend;
use vmbridge::model::Model;

use self::support::open;

fn main() {
    support::run_tests(|registry| {
        for (path, case) in cases::within(Model::new().implemented()) {
            registry.on_host().add_with(path, &["model"], move || case(&model::ModelHost::default()));
        }
        for backend in vmbridge::AVAILABLE {
            for (path, case) in cases::within(open(backend).implemented()) {
                registry.add_with(path, &[backend.name], move || case(&native::Native::new(backend)));
            }
        }
    });
}
