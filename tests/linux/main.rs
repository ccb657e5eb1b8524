//! Tests of what only Linux has: each runs on the real kernel, in a network namespace of its own.

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
mod host_ipv6;
#[cfg(target_os = "linux")]
mod libvirt;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod networks;
#[cfg(target_os = "linux")]
mod plugging;
#[cfg(target_os = "linux")]
mod races;
#[cfg(target_os = "linux")]
mod rollback;
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
    races::tracer::become_the_traced_program();
    let ran_as_child = bulk::faults::ran_as_child()
        || networks::ran_as_child()
        || store::ran_as_child()
        || taps::ran_as_child()
        || udev::ran_as_child();
    if ran_as_child {
        return;
    }
    support::run_tests(|registry| {
        command::register(registry);
        altnames::register(registry);
        bulk::register(registry);
        faults::register(registry);
        guests::register(registry);
        helper::register(registry);
        host_ipv6::register(registry);
        libvirt::register(registry);
        system_calls::register(registry);
        plugging::register(registry);
        races::register(registry);
        rollback::register(registry);
        state_machine::register(registry);
        taps::register(registry);
        store::register(registry);
        networks::register(registry);
        udev::register(registry);
        watch::register(registry);
        xml::register(registry);
        // Last, since the kernel needs time to remove thousands of bridges.
        namespaces::register(registry);
    });
}

#[cfg(not(target_os = "linux"))]
fn main() {}
