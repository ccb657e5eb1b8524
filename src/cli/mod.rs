//! The command line: parse, call the library, print.

mod args;
mod demo;
mod execute;
mod options;
mod print;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use vmbridge::{AVAILABLE, InterfaceName, UnicastMac};

use self::args::{Args, Command};

/// Why the command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    Bridge(vmbridge::Error),
    Output(io::Error),
    /// The bridge is there, but its MAC could not be printed.
    Unprinted(InterfaceName, UnicastMac, io::Error),
    Demo(String),
}

impl From<vmbridge::Error> for Failure {
    fn from(error: vmbridge::Error) -> Self {
        Self::Bridge(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Exits with 0 when all is done, 1 when the system or the state of things refused, 2 (by clap)
/// when the command line is wrong.
pub(crate) fn main() -> ExitCode {
    let text = match run(Args::parse()) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Bridge(error)) => match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        },
        // Whoever reads the output has had enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::FAILURE,
        Err(Failure::Output(error)) => format!("cannot write the output: {error}"),
        Err(Failure::Unprinted(bridge, mac, error)) => {
            format!(
                "bridge {bridge} was created with MAC {mac}, but that cannot be written to the output: {error}"
            )
        }
        Err(Failure::Demo(text)) => text,
    };
    // Where errors cannot be written, the exit status still tells (and `eprintln!` would panic).
    let _ = writeln!(io::stderr(), "vmbridge: {text}");
    ExitCode::FAILURE
}

fn run(args: Args) -> Result<(), Failure> {
    let wanted = |name| args.backend.as_deref().is_none_or(|wanted| wanted == name);
    if let Command::Demo = args.command {
        return demo::run(AVAILABLE.iter().filter(|backend| wanted(backend.name)));
    }
    // clap has checked the name, and the native backend is the first.
    let backend = AVAILABLE.iter().find(|backend| wanted(backend.name)).unwrap_or(&AVAILABLE[0]);
    let bridges = (backend.open)()?;
    execute::execute(&*bridges, args.command)
}
