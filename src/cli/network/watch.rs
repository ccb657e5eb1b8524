//! `network watch`: it follows the host until a signal ends it.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args as ClapArgs;
use nix::sys::signal::{SigSet, Signal};
use vmbridge::Backend;
use vmbridge::network::{NetworkWatcher, RepairLimit, RepairPolicy, Store};

use crate::cli::{Failure, note};

/// In seconds.
const DAY: u64 = 86_400;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Repair what has drifted. Creates a deleted bridge again, without the ports that it had. Restores static
    /// entries of restricted ports that it has seen.
    #[arg(long)]
    repair: bool,
    /// How often a network is put right at once, before that is limited.
    #[arg(long, value_name = "N", default_value = "5", requires = "repair")]
    repairs: NonZeroU32,
    /// How often it is put right from then on: once in so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "repair",
        value_parser = clap::value_parser!(u64).range(..=DAY))]
    repair_interval: u64,
    /// Look every so many seconds at least, for what the system does not tell of: FreeBSD's of a
    /// bridge's options, and of the MAC of one that is down.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=DAY))]
    every: u64,
}

impl Args {
    fn repair(&self) -> RepairPolicy {
        if self.repair {
            RepairPolicy::Limited(RepairLimit::new(self.repairs, Duration::from_secs(self.repair_interval)))
        } else {
            RepairPolicy::Never
        }
    }
}

pub(super) fn execute(host: &dyn Backend, store: &Store, args: &Args) -> Result<(), Failure> {
    let looking = Arc::new(Mutex::new(()));
    end_on_signals(Arc::clone(&looking))?;
    let mut watcher = NetworkWatcher::new(store.clone(), host, args.repair(), Duration::from_secs(args.every))?;
    loop {
        let news = {
            let _looking = looking.lock().unwrap_or_else(PoisonError::into_inner);
            watcher.check(host)
        };
        // Not while it looks: whoever reads this may take their time, and starts and stops networks.
        for news in news {
            match news {
                Ok(event) => {
                    let mut out = io::stdout().lock();
                    writeln!(out, "{event}")?;
                    out.flush()?;
                }
                Err(error) => note(format_args!("{}", error.report())),
            }
        }
        while !watcher.due_within(Duration::MAX)? {}
    }
}

/// Has SIGTERM and SIGINT end this process with status 0, but not while it looks: nothing is left
/// half repaired. A second one ends it at once, by the signal. What that leaves the next repair ends.
///
/// Before there is another thread: those that come inherit that the signals are blocked.
fn end_on_signals(looking: Arc<Mutex<()>>) -> Result<(), Failure> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().expect("both are signals that can be blocked");
    let end = move || {
        signals.wait().expect("both are signals that can be waited for");
        signals.thread_unblock().expect("both are signals that can be blocked");
        let _looking = looking.lock().unwrap_or_else(PoisonError::into_inner);
        process::exit(0);
    };
    let thread = thread::Builder::new().spawn(end);
    thread.map_err(|error| Failure::Other(format!("cannot wait for signals: {error}")))?;
    Ok(())
}
