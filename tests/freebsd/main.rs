//! Tests of what only FreeBSD has: each runs on the real kernel, in a VNET jail of its own.

#[cfg(target_os = "freebsd")]
mod bridges;
#[cfg(target_os = "freebsd")]
mod command;
#[cfg(target_os = "freebsd")]
mod example;
#[cfg(target_os = "freebsd")]
mod faults;
#[cfg(target_os = "freebsd")]
mod module;
#[cfg(target_os = "freebsd")]
mod networks;
#[cfg(target_os = "freebsd")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "freebsd")]
mod tap;

#[cfg(target_os = "freebsd")]
fn main() {
    if networks::ran_as_child() {
        return;
    }
    support::run_tests(|registry| {
        bridges::register(registry);
        command::register(registry);
        example::register(registry);
        faults::register(registry);
        module::register(registry);
        networks::register(registry);
        tap::register(registry);
    });
}

#[cfg(not(target_os = "freebsd"))]
fn main() {}
