//! The conformance suite: what [`BridgeBackend`] promises, on every backend that runs here.
//!
//! Each case runs on a host of its own: a model, a network namespace (Linux) or a VNET jail
//! (FreeBSD). Its oracle is not vmbridge: `ip` and sysfs on Linux, `ifconfig` on FreeBSD.
//!
//! [`BridgeBackend`]: vmbridge::BridgeBackend

#[path = "conformance/cases/mod.rs"]
mod cases;
#[path = "conformance/host.rs"]
mod host;
#[path = "conformance/model.rs"]
mod model;
#[cfg_attr(target_os = "linux", path = "conformance/linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "conformance/freebsd.rs")]
mod native;
#[cfg(target_os = "linux")]
mod support;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let args = Arguments::from_args();
    native::prepare();
    let mut trials = Vec::new();
    for &(name, case) in cases::ALL {
        trials.push(Trial::test(format!("model::{name}"), move || {
            case(&model::ModelHost::default());
            Ok(())
        }));
        for backend in vmbridge::AVAILABLE {
            let trial = format!("{}::{name}", backend.name);
            let on_native = {
                let trial = trial.clone();
                move || {
                    native::run_trial(&trial, backend, case);
                    Ok(())
                }
            };
            trials.push(Trial::test(trial, on_native));
        }
    }
    libtest_mimic::run(&args, trials).exit();
}
