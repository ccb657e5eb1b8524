//! Network namespaces for measurements: each is fresh, and there is none before the kernel has
//! finished clearing away the last.

use std::cell::Cell;
use std::fs::{self, File};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use vmbridge_platform::Sandbox;

/// How many network namespaces a user namespace may have (`namespaces(7)`), which is that of the reader.
const LIMIT: &str = "/proc/sys/user/max_net_namespaces";
/// Clearing one away takes about 17 ms for each bridge in it.
const PATIENCE: Duration = Duration::from_secs(600);

/// The process's own corner of the system, in which it is root, and nobody else makes namespaces.
#[derive(Debug)]
pub(super) struct Namespaces {
    home: Rc<File>,
    /// Those that are there and are to be there, home included.
    live: Rc<Cell<usize>>,
}

/// A network namespace. It goes when this, and each socket and process in it, has gone.
#[derive(Debug)]
pub(super) struct Namespace {
    file: File,
    home: Rc<File>,
    live: Rc<Cell<usize>>,
}

impl Namespaces {
    /// To be called before there is a second thread.
    pub(super) fn enter() -> Self {
        Sandbox::enter().expect("user namespaces are there");
        let map = fs::read_to_string("/proc/self/uid_map").expect("/proc is there");
        // Else the limit would be the whole system's, and so would be those that it counts.
        assert!(!map.contains("4294967295"), "this must not change the whole system's limits");
        Self { home: Rc::new(current()), live: Rc::new(Cell::new(1)) }
    }

    /// Makes one, when the kernel has done with all that there were, and moves the calling thread there.
    ///
    /// Clearing a namespace away goes on long after its last process has ended, and holds the lock
    /// that everything here needs. The kernel counts a namespace until the last step of that
    /// (`cleanup_net()`: `dec_net_namespaces()`), and refuses to make more than the limit, with
    /// `ENOSPC`. So the limit is set to those that are in use and one more: that one is not to be
    /// had before all others are cleared away.
    pub(super) fn fresh(&self) -> Namespace {
        go(&self.home);
        let live = self.live.get() + 1;
        fs::write(LIMIT, live.to_string()).expect("it can be written");
        let deadline = Instant::now() + PATIENCE;
        while let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            assert_eq!(errno, Errno::ENOSPC, "no network namespace");
            assert!(Instant::now() < deadline, "network namespaces are left: something is in them still");
            thread::sleep(Duration::from_millis(5));
        }
        self.live.set(live);
        Namespace { file: current(), home: Rc::clone(&self.home), live: Rc::clone(&self.live) }
    }
}

impl Namespace {
    /// Moves the calling thread there.
    pub(super) fn enter(&self) {
        go(&self.file);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        go(&self.home);
        self.live.set(self.live.get() - 1);
    }
}

fn go(namespace: &File) {
    setns(namespace, CloneFlags::CLONE_NEWNET).expect("it is there as long as its file is open");
}

fn current() -> File {
    File::open("/proc/thread-self/ns/net").expect("/proc is there")
}
