//! What the test programs share: the registry of tests, a network of each test's own (`linux.rs`,
//! `freebsd.rs`), and the programs that act as the independent oracle.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "linux")]
mod linux;
mod registry;
mod steps;

use std::ffi::OsStr;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use vmbridge::{Available, Backend, Bridges, InterfaceName, UnicastMac};

#[cfg(target_os = "freebsd")]
pub(crate) use self::freebsd::*;
#[cfg(target_os = "linux")]
pub(crate) use self::linux::*;
pub(crate) use self::registry::{Registry, Test, path_of, run as run_tests, tests};
pub(crate) use self::steps::*;

/// Opens a backend that must work here.
pub(crate) fn open(backend: &Available) -> Box<dyn Backend> {
    (backend.open)().expect("the backend opens")
}

pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().expect(text)
}

pub(crate) fn mac(text: &str) -> UnicastMac {
    text.parse().expect(text)
}

/// Runs a program that must succeed, and returns its standard output.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = output(program, args);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a program to its end.
pub(crate) fn output<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(program);
    command.args(args);
    command.output().unwrap_or_else(|error| panic!("{program} cannot be run: {error}"))
}

/// A process that ends with the test that started it, also when that panics.
pub(crate) struct Guarded(pub(crate) Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a condition holds, and panics after two minutes. On Linux the kernel may be busy for
/// that long: it removes thousands of interfaces of other tests under the lock of all interfaces.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
