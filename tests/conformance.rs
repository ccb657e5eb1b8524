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
use vmbridge::model::Model;
use vmbridge::{BridgeBackend, Capabilities, Capability};

fn main() {
    let args = Arguments::from_args();
    native::prepare();
    let mut trials = Vec::new();
    let model = Model::new().capabilities();
    for &(name, case, _) in cases_for(model) {
        trials.push(Trial::test(format!("model::{name}"), move || {
            case(&model::ModelHost::default());
            Ok(())
        }));
    }
    for backend in vmbridge::AVAILABLE {
        let capabilities = (backend.open)().expect("the backend opens").capabilities();
        for &(name, case, _) in cases_for(capabilities) {
            let trial = format!("{}::{name}", backend.name);
            let name = trial.clone();
            trials.push(Trial::test(trial, move || {
                native::run_trial(&name, backend, case);
                Ok(())
            }));
        }
    }
    libtest_mimic::run(&args, trials).exit();
}

/// The cases for a backend that is capable of these.
fn cases_for(
    capabilities: Capabilities,
) -> impl Iterator<Item = &'static (&'static str, host::Case, Option<Capability>)> {
    let all = cases::ALL.iter().copied().flatten();
    all.filter(move |(_, _, needed)| needed.is_none_or(|needed| capabilities.contains(needed)))
}
