//! What is done to many things, some in each call of the library, and a bar that shows how far it is.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;

/// How many things are done in one call: enough that the kernel's work for a call counts little beside
/// that for each, and few enough that whoever else starts and stops networks has their turn, and that
/// the bar moves.
const AT_A_TIME: usize = 32;
/// What takes no longer needs no bar.
const LONG: Duration = Duration::from_secs(1);

/// Does something to all items, some at a time, and tells what came of them. Whoever waits at a terminal
/// sees how far it is, from one turn to the next.
///
/// # Errors
/// The first of `tell`; what has not had its turn by then is left.
pub(super) fn in_turns<T, R>(
    items: &[T],
    act: impl Fn(&[T]) -> R,
    mut tell: impl FnMut(&[T], R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut progress = Progress { begun: Instant::now(), bar: ProgressBar::hidden(), all: items.len(), done: 0 };
    for turn in items.chunks(AT_A_TIME) {
        let outcome = act(turn);
        // Where the bar is, nobody else writes.
        progress.bar.suspend(|| tell(turn, outcome))?;
        progress.advance(turn.len());
    }
    Ok(())
}

struct Progress {
    begun: Instant,
    /// Hidden until it takes long.
    bar: ProgressBar,
    all: usize,
    done: usize,
}

impl Progress {
    fn advance(&mut self, by: usize) {
        self.done += by;
        let is_due = self.done < self.all && self.begun.elapsed() >= LONG;
        if is_due && self.bar.is_hidden() && stderr().is_terminal() {
            let style = ProgressStyle::with_template("{pos}/{len} [{wide_bar}]").expect("it is a template");
            self.bar = ProgressBar::with_draw_target(Some(self.all as u64), ProgressDrawTarget::stderr());
            self.bar.set_style(style.progress_chars("#-"));
        }
        self.bar.set_position(self.done as u64);
    }
}

impl Drop for Progress {
    /// Nothing is left of the bar.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
