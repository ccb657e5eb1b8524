//! Medians, and how far what was measured lies from them.

use std::fmt;
use std::time::Duration;

/// The median of several figures, and the quartiles below and above it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Summary {
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self { low: quantile(&figures, 1), median: quantile(&figures, 2), high: quantile(&figures, 3) }
    }
}

/// So many quarters of sorted figures lie below it; between two figures it is interpolated.
#[expect(clippy::cast_precision_loss, reason = "nothing is measured that often")]
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let position = (sorted.len() - 1) * quarters;
    let (index, rest) = (position / 4, (position % 4) as f64 / 4.0);
    let next = sorted[(index + 1).min(sorted.len() - 1)];
    sorted[index] + (next - sorted[index]) * rest
}

/// What something took each time, in microseconds. What two took at the same place in their lists was measured one
/// after the other, so that whatever else the machine did befell both.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(pub(super) Vec<f64>);

impl Times {
    pub(super) fn push(&mut self, time: Duration, operations: u32) {
        self.0.push(time.as_secs_f64() * 1e6 / f64::from(operations));
    }

    pub(super) fn summary(&self) -> Summary {
        Summary::of(self.0.iter().copied())
    }

    /// How much longer it took than the other did at the same time.
    pub(super) fn over(&self, other: &Self) -> Summary {
        Summary::of(self.0.iter().zip(&other.0).map(|(one, other)| one / other))
    }
}

/// As `0.52 (0.51–0.53)`; a number that does not vary without its quartiles.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        // Whoever is 20 times faster has no use for hundredths.
        let digits = if *median < 10.0 { 2 } else { 1 };
        if low < high {
            write!(f, "{median:.digits$} ({low:.digits$}–{high:.digits$})")
        } else {
            write!(f, "{}", (median * 100.0).round() / 100.0)
        }
    }
}

/// A time, in a unit that suits it.
pub(super) fn time(microseconds: f64) -> String {
    match microseconds {
        below if below < 1e3 => format!("{below:.0} µs"),
        below if below < 1e4 => format!("{:.2} ms", below / 1e3),
        below if below < 1e6 => format!("{:.0} ms", below / 1e3),
        above => format!("{:.1} s", above / 1e6),
    }
}
