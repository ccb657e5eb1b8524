//! What only FreeBSD asks: each trial on the real kernel, in a VNET jail of its own.

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
#[path = "../support/freebsd.rs"]
mod support;
#[cfg(target_os = "freebsd")]
mod tap;

#[cfg(target_os = "freebsd")]
fn main() {
    if networks::is_the_work_to_be_faulted() {
        return;
    }
    let args = libtest_mimic::Arguments::from_args();
    let trials = [
        bridges::trials(),
        command::trials(),
        example::trials(),
        faults::trials(),
        module::trials(),
        networks::trials(),
        tap::trials(),
    ];
    libtest_mimic::run(&args, trials.into_iter().flatten().collect()).exit();
}

#[cfg(not(target_os = "freebsd"))]
fn main() {}
