//! Runs a program under ptrace(2), and stops it before some of its calls that concern the network, so that a
//! test can act at that moment.
//!
//! The kernel accepts ptrace requests only from the thread that started the program.

use std::collections::HashSet;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::call::Call;

/// How long a program may take. Each ends within a second.
const LIMIT: Duration = Duration::from_secs(60);

/// How many calls on files of sysfs are stops, of those that come one after the other: the interface's
/// directory, its index, and the first attribute.
const FILES: usize = 5;

/// The first argument of the test program when it only executes another program, traced.
const TRACED: &str = "--traced";

/// A program that has ended after it was stopped.
#[derive(Debug)]
pub(super) struct Ended {
    /// The calls that it was stopped before.
    stopped: String,
    is_done: bool,
    pub(super) output: String,
    pub(super) errors: String,
}

impl Ended {
    /// Returns whether the exit status is 0. Otherwise it is 1.
    pub(super) const fn is_done(&self) -> bool {
        self.is_done
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped {}: status {}, {:?}", self.stopped, i32::from(!self.is_done), self.errors)
    }
}

/// Executes the program that [`stopped_before`] traces, if this process was started for that.
pub(crate) fn become_the_traced_program() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == TRACED) {
        let program = args.next().expect("a program");
        ptrace::traceme().expect("its parent can trace it");
        panic!("it cannot be executed: {}", Command::new(program).args(args).exec());
    }
}

/// Runs a program to its end, and calls `act` at each stop.
///
/// A stop is the number of possible stops before it. The stops ascend. Returns the
/// values that `act` returned: fewer than stops if the program makes too few calls.
pub(super) fn stopped_before<T>(
    stops: &[usize],
    program: &str,
    args: &[&str],
    act: impl FnMut(usize) -> T,
) -> (Ended, Vec<T>) {
    let this = std::env::current_exe().expect("it has a path");
    let mut command = Command::new(this);
    command.arg(TRACED).arg(program).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the test program can be started");
    let process = Pid::from_raw(child.id().try_into().expect("a process number"));
    let mut trace =
        Trace { process, stops, act, made: 0, before: Before::default(), acted: Vec::new(), places: Vec::new() };
    thread::scope(|scope| {
        let (running, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(process, Signal::SIGKILL);
            }
        });
        trace.follow();
        drop(running);
    });
    let ended = child.wait_with_output().expect("it has ended");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (output, errors) = (text(ended.stdout), text(ended.stderr));
    assert!(matches!(ended.status.code(), Some(0 | 1)), "{}: {errors}", ended.status);
    let is_done = ended.status.success();
    (Ended { stopped: trace.places.join(" and "), is_done, output, errors }, trace.acted)
}

/// A program that is being traced.
struct Trace<'a, F, T> {
    process: Pid,
    stops: &'a [usize],
    act: F,
    /// How many possible stops the program has passed.
    made: usize,
    before: Before,
    acted: Vec<T>,
    /// The call of each stop.
    places: Vec<String>,
}

/// The call before. Its arguments point to memory that may have changed since.
#[derive(Default)]
struct Before {
    text: String,
    compares: bool,
    makes_a_bridge: bool,
    is_answered: bool,
    /// How many calls on files came one after the other.
    files: usize,
}

impl<T, F: FnMut(usize) -> T> Trace<'_, F, T> {
    /// Follows the program until it has ended. The caller waits for its exit status.
    fn follow(&mut self) {
        // Other threads have children of their own.
        let of_thread = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let any = of_thread | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        let started = waitpid(self.process, Some(of_thread)).expect("it is a child");
        assert_eq!(started, WaitStatus::Stopped(self.process, Signal::SIGTRAP), "it executes the program");
        let options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
        ptrace::setoptions(self.process, options).expect("it is stopped");
        self.resume(self.process, None);
        // The threads that have entered a call and not left it.
        let mut within = HashSet::new();
        loop {
            let thread = match waitid(Id::All, any).expect("it is a child") {
                WaitStatus::Exited(process, _) | WaitStatus::Signaled(process, ..) if process == self.process => {
                    return;
                }
                status => status.pid().expect("something has happened to a thread"),
            };
            let signal = match waitpid(thread, Some(of_thread)).expect("it is a child") {
                WaitStatus::PtraceSyscall(_) => {
                    if !within.remove(&thread) {
                        within.insert(thread);
                        self.enter(thread);
                    }
                    None
                }
                // Each new thread begins with SIGSTOP.
                WaitStatus::Stopped(_, Signal::SIGSTOP) | WaitStatus::PtraceEvent(..) => None,
                WaitStatus::Stopped(_, signal) => Some(signal),
                _ => continue,
            };
            self.resume(thread, signal);
        }
    }

    /// Acts if the call that a thread enters is a stop.
    fn enter(&mut self, thread: Pid) {
        let Some(call) = Call::of(thread).filter(Call::concerns_the_network) else { return };
        let files = if call.is_on_a_file() { self.before.files + 1 } else { 0 };
        let cannot_be_won =
            (self.before.compares && call.changes_by_name()) || (self.before.makes_a_bridge && call.compares());
        let repeats_another = (self.before.is_answered && call.receives()) || files > FILES;
        if !cannot_be_won && !repeats_another {
            while self.stops.get(self.acted.len()) == Some(&self.made) {
                self.places.push(format!("before call {}, {call}, after {}", self.made, self.before.text));
                self.acted.push((self.act)(self.acted.len()));
            }
            self.made += 1;
        }
        self.before = Before {
            text: call.to_string(),
            compares: call.compares(),
            makes_a_bridge: call.makes_a_bridge(),
            is_answered: call.gets_an_answer(),
            files,
        };
    }

    fn resume(&self, thread: Pid, signal: Option<Signal>) {
        let is_over = self.acted.len() == self.stops.len();
        let resumed = if is_over { ptrace::cont(thread, signal) } else { ptrace::syscall(thread, signal) };
        // The program may have been killed.
        assert!(matches!(resumed, Ok(()) | Err(Errno::ESRCH)), "{resumed:?}");
    }
}
