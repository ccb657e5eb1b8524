//! What only Linux asks: each trial on the real kernel, in a network namespace of its own.

#[cfg(target_os = "linux")]
mod altnames;
#[cfg(target_os = "linux")]
mod bulk;
#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod guests;
#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod libvirt;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod networks;
#[cfg(target_os = "linux")]
mod plugging;
#[cfg(target_os = "linux")]
mod state_machine;
#[cfg(target_os = "linux")]
mod store;
#[cfg(target_os = "linux")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
mod system_calls;
#[cfg(target_os = "linux")]
mod taps;
#[cfg(target_os = "linux")]
mod udev;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(target_os = "linux")]
mod xml;

#[cfg(target_os = "linux")]
fn main() {
    let is_work = bulk::is_the_work_to_be_traced()
        || udev::is_the_work_to_be_delayed()
        || taps::is_the_work_to_leave_nothing()
        || store::is_the_work_of_a_writer()
        || networks::is_the_work_to_be_traced();
    if is_work {
        return;
    }
    let args = libtest_mimic::Arguments::from_args();
    support::prepare();
    let mut trials = command::trials();
    trials.extend(altnames::trials());
    trials.extend(bulk::trials());
    trials.extend(faults::trials());
    trials.extend(guests::trials());
    trials.extend(helper::trials());
    trials.extend(libvirt::trials());
    trials.extend(system_calls::trials());
    trials.extend(plugging::trials());
    trials.extend(state_machine::trials());
    trials.extend(taps::trials());
    trials.extend(store::trials());
    trials.extend(networks::trials());
    trials.extend(udev::trials());
    trials.extend(watch::trials());
    trials.extend(xml::trials());
    // Last, since the kernel takes its time to clear thousands of bridges away.
    trials.extend(namespaces::trials());
    libtest_mimic::run(&args, trials).exit();
}

#[cfg(not(target_os = "linux"))]
fn main() {}
