//! Every ioctl of every operation made to fail in turn, by a library that is loaded into the
//! command (`ci/freebsd/faults.c`): the host is then as it was, or the operation is done; never in
//! between.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs, process};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use vmbridge::ErrorKind;

use crate::command::{done, program, vmbridge};
use crate::support::{
    FAULTS, Registry, TAPS_AND_FAULTS, add_interface, beside_other_faults, bridge_of, bridges, ifconfig,
    interface, output, path_of, snapshot, without_other_faults,
};

const MAC: &str = "52:54:00:01:02:03";
const GUEST: &str = "52:54:00:aa:00:01";

/// An operation, on a host with the bridges `virbr0` (down) and `virbr1` (up, `tap1` its port)
/// and the interface `tap0`: its arguments, and whether it is done. `virbr1` has another port,
/// `tap2`, and [`GUEST`] as static behind `tap1`. Those on taps find `vnet0` (down) and `vnet1`
/// (up, a port of `virbr1`), too.
struct Operation {
    name: &'static str,
    args: &'static str,
    is_done: fn() -> bool,
    /// What it makes, if it has another name until it is complete.
    makes: Option<&'static str>,
}

const OPERATIONS: [Operation; 16] = [
    Operation {
        name: "create",
        args: "create virbr2 --mac 52:54:00:01:02:03 --mtu 1400 --up",
        is_done: || is("virbr2", 1400, true),
        makes: Some("virbr2"),
    },
    Operation {
        name: "create_numbered",
        args: "create bridge7 --mac 52:54:00:01:02:03 --mtu 1400 --up",
        is_done: || is("bridge7", 1400, true),
        makes: None,
    },
    Operation { name: "delete", args: "delete virbr0", is_done: || interface("virbr0").is_none(), makes: None },
    Operation { name: "delete_up", args: "delete virbr1", is_done: || interface("virbr1").is_none(), makes: None },
    Operation {
        name: "change",
        args: "set virbr0 --mac 52:54:00:01:02:03 --mtu 1400 --up",
        is_done: || is("virbr0", 1400, true),
        makes: None,
    },
    Operation {
        name: "change_down",
        args: "set virbr1 --mac 52:54:00:01:02:03 --mtu 1400 --down",
        is_done: || is("virbr1", 1400, false),
        makes: None,
    },
    Operation {
        name: "add_port",
        args: "attach virbr0 tap0",
        is_done: || bridge_of("tap0").as_deref() == Some("virbr0"),
        makes: None,
    },
    Operation {
        name: "remove_port",
        args: "detach virbr1 tap1",
        is_done: || bridge_of("tap1").is_none(),
        makes: None,
    },
    Operation {
        name: "options",
        args: "set virbr1 --forward-delay 7 --priority 4096 --ageing-time 60",
        is_done: || has_all(&ifconfig("virbr1"), &[" priority 4096 ", " fwddelay 7", " timeout 60"]),
        makes: None,
    },
    Operation {
        name: "port_options",
        args: "port set virbr1 tap1 --isolated on --learning off --path-cost 77",
        is_done: || has_all(&ifconfig("virbr1"), &["PRIVATE", " path cost 77"]),
        makes: None,
    },
    Operation {
        name: "add_fdb_entry",
        args: "fdb add virbr1 tap2 52:54:00:01:02:03",
        is_done: || fdb().iter().any(|entry| has_all(entry, &[MAC, " tap2 "])),
        makes: None,
    },
    Operation {
        name: "replace_fdb_entry",
        args: "fdb add virbr1 tap2 52:54:00:aa:00:01 --replace",
        is_done: || fdb().iter().any(|entry| has_all(entry, &[GUEST, " tap2 "])),
        makes: None,
    },
    Operation {
        name: "create_tap",
        args: "tap create vnet2 --bridge virbr0 --guest-mac 52:54:00:01:02:03 --isolated on",
        is_done: || is_plugged("vnet2"),
        makes: Some("vnet2"),
    },
    Operation {
        name: "create_numbered_tap",
        args: "tap create tap2000 --bridge virbr0 --guest-mac 52:54:00:01:02:03",
        is_done: || is_plugged("tap2000"),
        makes: None,
    },
    Operation {
        name: "delete_tap",
        args: "tap delete vnet0",
        is_done: || interface("vnet0").is_none(),
        makes: None,
    },
    Operation {
        name: "delete_tap_port",
        args: "tap delete vnet1",
        is_done: || interface("vnet1").is_none(),
        makes: None,
    },
];

fn has_all(text: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| text.contains(part))
}

/// The static entries of `virbr1`, if that is there.
fn fdb() -> Vec<String> {
    let text = output("ifconfig", ["virbr1", "addr"]).stdout;
    let text = String::from_utf8(text).expect("UTF-8");
    text.lines().filter(|line| line.contains("STATIC")).map(str::to_owned).collect()
}

/// All that an operation could change.
fn state() -> (String, Vec<String>) {
    (snapshot(), fdb())
}

impl Operation {
    fn has_taps(&self) -> bool {
        self.args.starts_with("tap ")
    }
}

fn is_plugged(tap: &str) -> bool {
    interface(tap).is_some_and(|seen| seen.mac.as_deref() == Some("fe:54:00:01:02:03") && seen.is_up)
        && bridge_of(tap).as_deref() == Some("virbr0")
}

fn is(bridge: &str, mtu: u32, is_up: bool) -> bool {
    interface(bridge).is_some_and(|seen| (seen.mac.as_deref(), seen.mtu, seen.is_up) == (Some(MAC), mtu, is_up))
}

/// What a call fails with: some of these mean something to the operations.
const ERRNOS: [Errno; 4] = [Errno::EIO, Errno::EPERM, Errno::EINVAL, Errno::EEXIST];

pub(crate) fn register(registry: &Registry) {
    for operation in &OPERATIONS {
        let registry = registry.needs(if operation.has_taps() { TAPS_AND_FAULTS } else { FAULTS });
        // It makes a number that is the whole host's.
        let is_alone = operation.name == "create_numbered_tap";
        let faults = registry.run_by(if is_alone { without_other_faults } else { beside_other_faults });
        for errno in ERRNOS {
            let values = [operation.name, &format!("{errno:?}")];
            faults.add_with(path_of!(fails_once), &values, move || fails_once(operation, errno));
        }
        let values = [operation.name];
        faults.add_with(path_of!(fails_from_then_on), &values, || fails_from_then_on(operation));
        faults.add_with(path_of!(is_interrupted), &values, || is_interrupted(operation));
        faults.add_with(path_of!(is_killed), &values, || is_killed(operation));
        if operation.makes.is_some() {
            // It stops the process that has the lock.
            let alone = registry.run_by(without_other_faults);
            alone.add_with(path_of!(is_overtaken), &values, || is_overtaken(operation));
        }
    }
    let create = &OPERATIONS[0];
    registry.needs(FAULTS).run_by(beside_other_faults).add_with(
        path_of!(the_name_is_taken_meanwhile),
        &[create.name],
        || the_name_is_taken_meanwhile(create),
    );
}

fn prepare_host(operation: &Operation) {
    for (number, link) in [(0, "down"), (1, "up")] {
        let bridge = ifconfig("bridge create");
        ifconfig(&format!("{bridge} name virbr{number}"));
        ifconfig(&format!("virbr{number} ether 52:54:00:00:00:0{number} {link}"));
        add_interface(&format!("tap{number}"));
    }
    add_interface("tap2");
    ifconfig(&format!("virbr1 addm tap1 addm tap2 static tap1 {GUEST}"));
    if operation.has_taps() {
        for number in 0..2 {
            ifconfig(&format!("{} name vnet{number}", add_tap()));
        }
        ifconfig("virbr1 addm vnet1");
        ifconfig("vnet1 up");
    }
}

/// Adds a tap by a number that no other jail has. The first free one would have the name of one of
/// the interfaces above.
fn add_tap() -> String {
    let mut names = (3000..4000).map(|number| format!("tap{number}"));
    names.find(|name| output("ifconfig", [name, "create"]).status.success()).expect("one is free")
}

/// Destroys all interfaces when a test ends, however it does: a tap keeps its jail from going.
///
/// Bridges go first. A port that goes tells its bridge that its link is down, from a thread of the
/// kernel's own that looks for the bridge twice (`do_link_state_change()` in `net/if.c`,
/// `bridge_linkstate()`), and faults if that is gone in between.
pub(crate) struct ClearedHost;

impl Drop for ClearedHost {
    fn drop(&mut self) {
        clear_host();
    }
}

pub(crate) fn clear_host() {
    let interfaces = ifconfig("-l");
    for name in bridges().iter().map(String::as_str).chain(interfaces.split(' ')).filter(|&name| name != "lo0") {
        // One end of an epair goes with the other.
        output("ifconfig", [name, "destroy"]);
    }
}

/// A program under way, with a fault at the call of this number.
pub(crate) struct Faulty {
    process: Child,
    log: PathBuf,
}

impl Faulty {
    pub(crate) fn start(mut command: Command, call: usize, fault: &[(&str, &str)]) -> Self {
        let log = env::temp_dir().join(format!("vmbridge-faults-{}", process::id()));
        let library = env::var("VMBRIDGE_FAULTS").expect("VMBRIDGE_FAULTS is the library's path");
        let process = command
            .env("LD_PRELOAD", library)
            .env("FAULT_LOG", &log)
            .env("FAULT_CALL", call.to_string())
            .envs(fault.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run");
        Self { process, log }
    }

    /// What it said, and whether the fault had its turn.
    pub(crate) fn finish(self) -> (Output, bool) {
        let output = self.process.wait_with_output().expect("it ends");
        (output, fs::remove_file(self.log).is_ok())
    }
}

fn start_with(operation: &Operation, call: usize, fault: &[(&str, &str)]) -> Faulty {
    let mut command = Command::new(program());
    command.args(operation.args.split(' '));
    Faulty::start(command, call, fault)
}

/// What it said; `None` if it was done without as many calls.
fn finish(operation: &Operation, faulty: Faulty) -> Option<Output> {
    let (output, was_hit) = faulty.finish();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(was_hit || output.status.success() && (operation.is_done)(), "{errors}");
    was_hit.then_some(output)
}

/// Runs the operation with a fault at the call of this number; `None` when it is done without as
/// many calls.
fn run_with(operation: &Operation, call: usize, fault: &[(&str, &str)]) -> Option<Output> {
    finish(operation, start_with(operation, call, fault))
}

/// Repeats a check for the first call, the second, and so on, each time on the same host.
fn for_each_call(operation: &Operation, check: impl Fn(usize, &(String, Vec<String>)) -> bool) {
    let _cleared = ClearedHost;
    let mut call = 1;
    prepare_host(operation);
    let mut before = state();
    while check(call, &before) {
        if state() != before {
            clear_host();
            prepare_host(operation);
            before = state();
        }
        call += 1;
    }
    assert!(call > 1, "the fault never had its turn");
}

fn fails_once(operation: &Operation, errno: Errno) {
    let errno = (errno as i32).to_string();
    for_each_call(operation, |call, before| {
        let Some(output) = run_with(operation, call, &[("FAULT_ERRNO", &errno)]) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            assert!((operation.is_done)(), "call {call}: it says that it is done");
        } else {
            assert_eq!(&state(), before, "call {call}: {errors}");
            assert!(errors.starts_with("vmbridge: cannot"), "call {call}: {errors}");
        }
        true
    });
}

/// Undoing fails as well: then the error says what is left.
fn fails_from_then_on(operation: &Operation) {
    let errno = (Errno::EIO as i32).to_string();
    for_each_call(operation, |call, before| {
        let fault = [("FAULT_ERRNO", errno.as_str()), ("FAULT_ALL", "")];
        let Some(output) = run_with(operation, call, &fault) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            assert!((operation.is_done)(), "call {call}: it says that it is done");
        } else if &state() != before {
            let says_it = errors.contains("undoing failed too") && errors.contains("is left");
            assert!(says_it, "call {call}: {errors}");
        }
        true
    });
}

/// A signal is no failure.
fn is_interrupted(operation: &Operation) {
    let errno = (Errno::EINTR as i32).to_string();
    for_each_call(operation, |call, _| {
        let Some(output) = run_with(operation, call, &[("FAULT_ERRNO", &errno)]) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && (operation.is_done)(), "call {call}: {errors}");
        true
    });
}

/// No bridge ever bears its name without its MAC, whenever the process dies; but for `bridgeN`,
/// whose name the kernel wants first. The next try takes away what the last one has left.
fn is_killed(operation: &Operation) {
    for_each_call(operation, |call, before| {
        let Some(output) = run_with(operation, call, &[("FAULT_RUN", "kill -9 $PPID")]) else { return false };
        assert_eq!(output.status.signal(), Some(9), "call {call}");
        if let Some(bridge) = interface("virbr2") {
            assert_eq!(bridge.mac.as_deref(), Some(MAC), "killed at call {call}");
        }
        if let Some(made) = operation.makes {
            // It stays if it has its name by then: a bridge as it is, a tap before 15.0.
            if !(operation.is_done)() && interface("vnet2").is_some() {
                done("tap delete vnet2");
            }
            if interface(made).is_none() {
                done(operation.args);
                assert!((operation.is_done)(), "killed at call {call}");
            }
            assert_eq!(names(&snapshot()), with(before, made), "killed at call {call}");
        }
        true
    });
}

/// Another process makes the same before each call in turn: one of both has it in the end, and
/// neither takes anything from the other.
fn is_overtaken(operation: &Operation) {
    let made = operation.makes.expect("it makes something");
    for_each_call(operation, |call, before| {
        let first = start_with(operation, call, &[("FAULT_RUN", "kill -STOP $PPID")]);
        let pid = Pid::from_raw(i32::try_from(first.process.id()).expect("a process"));
        // Not reaped where it has ended without as many calls.
        let stopped = waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        if !matches!(stopped.expect("it is a child"), WaitStatus::Stopped(..)) {
            return finish(operation, first).is_some();
        }
        let (second, _, second_errors) = vmbridge(operation.args);
        kill(pid, Signal::SIGCONT).expect("it is there");
        let first = finish(operation, first).expect("it was stopped");
        let errors = format!("call {call}: {}{second_errors}", String::from_utf8_lossy(&first.stderr));
        assert!((second == 0) != first.status.success(), "{errors}");
        assert!((operation.is_done)(), "{errors}");
        assert_eq!(names(&snapshot()), with(before, made), "{errors}");
        true
    });
}

/// The names of the interfaces, in order.
fn names(snapshot: &str) -> Vec<String> {
    let firsts = snapshot.lines().filter(|line| !line.starts_with([' ', '\t']));
    let mut names: Vec<_> = firsts.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect();
    names.sort();
    names
}

/// The names that there were, and this one.
fn with(before: &(String, Vec<String>), made: &str) -> Vec<String> {
    let mut names = names(&before.0);
    names.push(made.to_owned());
    names.sort();
    names
}

/// Someone else gives the name to an interface that is no bridge, before each call in turn.
fn the_name_is_taken_meanwhile(create: &Operation) {
    for_each_call(create, |call, before| {
        // It fails where the bridge has its name by then.
        let fault = [("FAULT_RUN", "ifconfig tap0 name virbr2 2>/dev/null")];
        let Some(output) = run_with(create, call, &fault) else { return false };
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            assert!((create.is_done)(), "call {call}: it says that it is done");
        } else {
            let expected = format!("vmbridge: cannot create bridge virbr2: {}", ErrorKind::NameInUse);
            assert!(errors.starts_with(&expected), "call {call}: {errors}");
            ifconfig("virbr2 name tap0");
            assert_eq!(&state(), before, "call {call}: {errors}");
        }
        true
    });
}
