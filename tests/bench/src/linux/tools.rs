//! The programs that are measured.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use tempfile::TempDir;

/// Where they are.
pub(super) struct Tools {
    /// plain.c, compiled.
    pub(super) plain: PathBuf,
    /// The command, as `cargo build --release` links it.
    pub(super) vmbridge: PathBuf,
    /// The same, statically linked.
    pub(super) fixed: PathBuf,
    _directory: TempDir,
}

impl Tools {
    /// With the commands of these paths.
    pub(super) fn new(vmbridge: &str, fixed: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let plain = directory.path().join("plain");
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&plain).arg(source("plain.c"));
        run(&mut compile);
        Self { plain, vmbridge: vmbridge.into(), fixed: fixed.into(), _directory: directory }
    }
}

/// A file of this package.
pub(super) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A command with these arguments, separated by blanks.
pub(super) fn command(program: impl AsRef<OsStr>, arguments: &str) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.split_ascii_whitespace());
    command
}

/// Runs a command that must succeed.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    check(command, &output);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// How long a command takes that must succeed, from before it is started until it has ended.
pub(super) fn time(command: &mut Command) -> Duration {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let time = start.elapsed();
    check(command, &output);
    time
}

/// The most memory that a command has had at any time, in KiB, as `time(1)` tells.
pub(super) fn peak_memory(command: &Command) -> f64 {
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-q", "-f", "%M"]).arg(command.get_program()).args(command.get_args());
    let output = timed.output().expect("GNU time is installed");
    check(&timed, &output);
    String::from_utf8_lossy(&output.stderr).trim().parse().expect("KiB")
}

/// `ip` or `bridge` with many commands, one a line, and how long it takes.
pub(super) fn batch(program: &str, commands: impl IntoIterator<Item = String>) -> Duration {
    let commands: Vec<String> = commands.into_iter().collect();
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    writeln!(file, "{}", commands.join("\n")).expect("it can be written");
    time(Command::new(program).arg("-batch").arg(file.path()))
}

fn check(command: &Command, output: &Output) {
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether there is such a program.
pub(super) fn is_installed(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|path| path.join(program).exists())
}

pub(super) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is there").trim().to_owned()
}

pub(super) fn today() -> String {
    run(&mut command("date", "-u +%F")).trim().to_owned()
}
