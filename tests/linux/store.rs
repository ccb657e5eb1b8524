//! Writers of a store that die or fail at every system call they make of files (strace does it for
//! real), and many of them at once: every file is whole, and the next writer ends what was begun.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use tempfile::TempDir;
use vmbridge::model::Model;
use vmbridge::network::{Document, MacSource, MigrationMode, MigrationOutcome, NetworkController, Store};

use crate::support::{Registry, path_of, tests, with_fault};

const OLD: &str =
    "<network>\n  <name>a</name>\n  <bridge name='br0'/>\n  <mac address='02:00:00:00:00:01'/>\n</network>\n";
const NEW: &str =
    "<network>\n  <name>a</name>\n  <bridge name='br1'/>\n  <mac address='02:00:00:00:00:01'/>\n</network>\n";
const WITHOUT_MAC: &str = "<network>\n  <name>a</name>\n  <bridge name='br0'/>\n</network>\n";

/// Others may write to it, through another mount: what they lock is locked.
fn a_directory_that_is_read_only_here_is_locked() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let etc = directory.path().join("etc");
    let store = Store::new(&etc, directory.path().join("run")).with_patience(Duration::ZERO);
    define(&store, OLD).expect("it can be defined");
    let lock = fs::File::open(etc.join(".lock")).expect("it was locked");
    let none = None::<&str>;
    mount(Some(&etc), &etc, none, MsFlags::MS_BIND, none).expect("it can be mounted");
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, &etc, none, read_only, none).expect("it can be mounted anew");

    let (host, name) = (Model::new(), "a".parse().expect("a name"));
    let networks = NetworkController::new(&host, &store);
    let held = Flock::lock(lock, FlockArg::LockExclusive).expect("nobody has it");
    let error = networks.start(&name).expect_err("another has the lock").report().to_string();
    assert!(error.contains("another process has it locked"), "{error}");
    drop(held);
    networks.start(&name).expect("nobody has the lock");
}

/// What a writer does with a store, and the files that there are before.
struct Work {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    run: fn(&Store) -> Result<(), String>,
    /// Whether the files are what they may be: as they were, or done, each for itself.
    may_be: fn(&Files) -> bool,
    is_done: fn(&Files) -> bool,
}

const WORKS: [Work; 4] = [
    Work {
        name: "define",
        files: &[],
        run: |store| define(store, WITHOUT_MAC),
        may_be: |files| files.is_empty() || has_macs(files, &["etc/networks/a.xml"]),
        is_done: |files| has_macs(files, &["etc/networks/a.xml"]),
    },
    Work {
        name: "redefine",
        files: &[("etc/networks/a.xml", OLD), ("etc/networks/.vmbridge-000000.tmp", "half")],
        run: |store| define(store, NEW),
        may_be: |files| [OLD, NEW].contains(&&*files["etc/networks/a.xml"]) && files.len() == 1,
        is_done: |files| files["etc/networks/a.xml"] == NEW,
    },
    Work {
        name: "undefine",
        files: &[("etc/networks/a.xml", OLD)],
        run: |store| match store.undefine(&"a".parse().expect("a name")) {
            Err(error) if !error.to_string().contains("the network is not defined") => Err(error.to_string()),
            _ => Ok(()),
        },
        may_be: |files| files.get("etc/networks/a.xml").is_none_or(|text| text == OLD),
        is_done: Files::is_empty,
    },
    Work {
        name: "migrate",
        files: &[("etc/networks/a.xml", WITHOUT_MAC), ("run/networks/a.xml", WITHOUT_MAC)],
        run: |store| {
            let migrated = store.migrate(&Model::new(), &MacSource::Random, MigrationMode::Apply);
            migrated.map_err(|error| error.to_string())?.into_iter().try_for_each(|file| match file.outcome {
                MigrationOutcome::Failed(error) => Err(error.to_string()),
                _ => Ok(()),
            })
        },
        // The MAC is in the configuration first.
        may_be: |files| match (mac(&files["etc/networks/a.xml"]), mac(&files["run/networks/a.xml"])) {
            (None | Some(_), None) => true,
            (one, other) => one == other,
        },
        is_done: |files| has_macs(files, &["etc/networks/a.xml", "run/networks/a.xml"]),
    },
];

/// Errors that a file system gives, and the calls that give them.
const FAULTS: [(&str, &str); 8] = [
    ("?open,openat", "EROFS"),
    ("?open,openat", "EMFILE"),
    ("?mkdir,mkdirat", "ENOSPC"),
    ("flock", "ENOLCK"),
    ("write", "ENOSPC"),
    ("fchmod,fchown", "EPERM"),
    ("fsync", "EIO"),
    ("?rename,?renameat,renameat2,?unlink,unlinkat", "EIO"),
];

pub(crate) fn register(registry: &Registry) {
    registry.on_host().add(&tests![processes_at_once_lose_nothing]);
    registry.add(&tests![a_directory_that_is_read_only_here_is_locked]);
    for work in &WORKS {
        let on_strace = registry.needs("strace").on_host();
        on_strace.add_with(path_of!(is_killed), &[work.name], || is_killed(work));
        on_strace.add_with(path_of!(fails), &[work.name], || fails(work));
    }
}

/// Does the work of a writer that a test starts, and returns whether this process is one.
pub(crate) fn ran_as_child() -> bool {
    let args: Vec<String> = env::args().collect();
    let [_, mode, root, work] = &args[..] else { return false };
    if mode != "--write-store" {
        return false;
    }
    let store = store(Path::new(root));
    let done = match WORKS.iter().find(|known| known.name == work) {
        Some(work) => (work.run)(&store),
        None => define(&store, &format!("<network><name>{work}</name></network>")),
    };
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(1);
    }
    true
}

fn writer(root: &Path, work: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("it is known"));
    command.arg("--write-store").arg(root).arg(work);
    command
}

fn store(root: &Path) -> Store {
    Store::new(root.join("etc/networks"), root.join("run/networks"))
}

fn define(store: &Store, text: &str) -> Result<(), String> {
    let document = text.parse().expect("a definition");
    store.define(&Model::new(), &document, &MacSource::Random).map(drop).map_err(|error| error.to_string())
}

/// The definitions that there are, by their paths.
type Files = BTreeMap<String, String>;

fn mac(text: &str) -> Option<String> {
    let document: Document = text.parse().expect("it is whole");
    document.network().expect("it has a bridge").mac().map(|mac| mac.to_string())
}

/// Whether those are the files, and all have the same MAC.
fn has_macs(files: &Files, paths: &[&str]) -> bool {
    let macs: BTreeSet<_> = files.values().map(|text| mac(text)).collect();
    files.keys().eq(paths) && macs.len() == 1 && macs.iter().all(Option::is_some)
}

/// A store as a work finds it.
struct Host {
    root: TempDir,
}

impl Host {
    fn of(work: &Work) -> Self {
        let root = tempfile::tempdir().expect("a directory can be made");
        for (path, text) in work.files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in one")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        Self { root }
    }

    fn paths(&self) -> Vec<PathBuf> {
        let directories = ["etc/networks", "run/networks"].map(|directory| self.root.path().join(directory));
        let entries = directories.into_iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
        entries.map(|entry| entry.expect("it can be read").path()).collect()
    }

    fn files(&self) -> Files {
        let paths = self.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "xml"));
        let name = |path: &Path| path.strip_prefix(&self.root).expect("it is there").display().to_string();
        paths.map(|path| (name(&path), fs::read_to_string(&path).expect("it can be read"))).collect()
    }

    fn temporary(&self) -> Vec<PathBuf> {
        self.paths().into_iter().filter(|path| path.to_string_lossy().contains(".vmbridge-")).collect()
    }

    /// Lets a writer do the work with a fault; `None` when it ended before the fault's turn.
    fn run_with(&self, work: &Work, calls: &str, fault: &str) -> Option<Output> {
        with_fault(calls, fault, &writer(self.root.path(), work.name))
    }

    /// The next writer ends what was begun, with the MAC that is there, and leaves nothing but that.
    fn finish(&self, work: &Work) {
        let before: BTreeSet<_> = self.files().values().filter_map(|text| mac(text)).collect();
        (work.run)(&store(self.root.path())).expect("nothing is in the way");
        let files = self.files();
        assert!((work.is_done)(&files), "{files:?}");
        assert!(
            files.is_empty()
                || before.is_empty()
                || files.values().all(|text| before.contains(&mac(text).expect("one")))
        );
        assert!(self.temporary().is_empty(), "{:?}", self.temporary());
    }
}

/// Repeats a check for the first call, the second, and so on.
fn for_each_call(check: impl Fn(usize) -> bool) {
    let mut calls = 0;
    while check(calls + 1) {
        calls += 1;
    }
    assert!(calls > 0, "the fault never had its turn");
}

fn is_killed(work: &Work) {
    for_each_call(|number| {
        let host = Host::of(work);
        if host.run_with(work, "%file,%desc", &format!("signal=KILL:when={number}")).is_none() {
            return false;
        }
        let files = host.files();
        assert!((work.may_be)(&files), "killed at call {number}: {files:?}");
        host.finish(work);
        true
    });
}

fn fails(work: &Work) {
    let mut had_a_turn = BTreeSet::new();
    for (calls, errno) in FAULTS {
        for number in 1.. {
            let host = Host::of(work);
            let before = host.files();
            let Some(output) = host.run_with(work, calls, &format!("error={errno}:when={number}")) else { break };
            had_a_turn.insert(calls);
            let (errors, files) = (String::from_utf8_lossy(&output.stderr), host.files());
            let what = format!("{calls} {errno} at call {number}: {errors} {files:?}");
            if output.status.success() {
                assert!((work.is_done)(&files), "{what}");
            } else if errors.contains("a loss of power may revert that") {
                assert!((work.may_be)(&files) && files != before, "{what}");
            } else {
                assert!((work.may_be)(&files) && (files == before || work.name == "migrate"), "{what}");
                let not_started = errors.contains("error while loading shared libraries");
                let root = host.root.path().to_str().expect("UTF-8");
                assert!(not_started || errors.starts_with(root), "{what}");
            }
            // What was removed is the temporary file, but for where just that fails.
            assert!(
                calls.contains("unlink") || host.temporary().len() <= usize::from(work.name == "redefine"),
                "{what}"
            );
            host.finish(work);
        }
    }
    assert!(had_a_turn.contains("?open,openat") && had_a_turn.contains("fsync"), "{had_a_turn:?}");
}

fn processes_at_once_lose_nothing() {
    const NETWORKS: [&str; 8] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"];
    let root = tempfile::tempdir().expect("a directory can be made");
    // Each network twice.
    let writers: Vec<_> = NETWORKS
        .into_iter()
        .chain(NETWORKS)
        .map(|network| writer(root.path(), network).stderr(Stdio::piped()).spawn().expect("it starts"))
        .collect();
    for writer in writers {
        let output = writer.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let listed = store(root.path()).list().expect("it can be read");
    let documents: Vec<_> = listed.into_iter().map(|document| document.expect("it is whole")).collect();
    let networks: Vec<_> = documents.iter().map(|document| document.network().expect("it has a bridge")).collect();
    let macs: BTreeSet<_> = networks.iter().filter_map(|network| network.mac()).collect();
    let bridges: BTreeSet<_> = networks.iter().map(|network| network.bridge().to_string()).collect();
    assert!(networks.iter().map(|network| network.name().as_str()).eq(NETWORKS));
    assert_eq!((macs.len(), bridges.len()), (NETWORKS.len(), NETWORKS.len()));
}
