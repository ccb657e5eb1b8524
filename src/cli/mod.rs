//! The command line: parse, call the library, print.

mod args;
mod demo;
mod execute;
mod network;
mod options;
mod port_check;
mod print;
mod progress;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use vmbridge::AVAILABLE;
use vmbridge::network::{NetworkError, StoreError};

use self::args::{Args, Command};

/// Why the command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    Bridge(vmbridge::Error),
    Network(NetworkError),
    Store(StoreError),
    Output(io::Error),
    /// This was done, but the MAC that it gave could not be printed.
    Unprinted(String, io::Error),
    Other(String),
    /// Of several things that were to be done, these failed.
    Each(Vec<Failure>),
}

macro_rules! failures {
    ($($Variant:ident($Error:ty)),+) => {$(
        impl From<$Error> for Failure {
            fn from(error: $Error) -> Self {
                Self::$Variant(error)
            }
        }
    )+};
}

failures! { Bridge(vmbridge::Error), Network(NetworkError), Store(StoreError), Output(io::Error) }

impl Failure {
    fn of_each(failures: Vec<Self>) -> Result<(), Self> {
        if failures.is_empty() { Ok(()) } else { Err(Self::Each(failures)) }
    }

    /// Says it, a line for each.
    fn say(self) {
        match self {
            Self::Bridge(error) => with_hint(&error.report(), vmbridge::hint(&error)),
            Self::Network(error) => with_hint(&error.report(), error.hint()),
            Self::Store(error) => with_hint(&error.report(), error.hint()),
            // Whoever reads the output has had enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Self::Output(error) => note(format_args!("cannot write the output: {error}")),
            Self::Unprinted(done, error) => {
                note(format_args!("{done}, but that cannot be written to the output: {error}"));
            }
            Self::Other(text) => note(format_args!("{text}")),
            Self::Each(failures) => failures.into_iter().for_each(Self::say),
        }
    }
}

fn with_hint(error: &impl fmt::Display, hint: Option<&'static str>) {
    match hint {
        Some(hint) => note(format_args!("{error}; {hint}")),
        None => note(format_args!("{error}")),
    }
}

/// Says something to whoever called, beside the output.
fn note(text: fmt::Arguments<'_>) {
    // Where errors cannot be written, the exit status still tells (and `eprintln!` would panic).
    let _ = writeln!(io::stderr(), "vmbridge: {text}");
}

/// Exits with 0 when all is done, 1 when the system or the state of things refused, 2 (by clap)
/// when the command line is wrong.
pub(crate) fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.say();
            ExitCode::FAILURE
        }
    }
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
