//! Whether drift is repaired, and how often.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Whether drift is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepairPolicy {
    /// Drift is only reported.
    Never,
    /// Drift is repaired ([`ensure`](crate::network::ensure)), each network within this limit.
    Limited(RepairLimit),
}

/// How often a network may be repaired: several times at once, and then once per interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairLimit {
    at_once: NonZeroU32,
    interval: Duration,
}

impl RepairLimit {
    /// Creates a limit of `at_once` repairs, and then one per `interval`. An interval of zero means no limit.
    #[must_use]
    pub const fn new(at_once: NonZeroU32, interval: Duration) -> Self {
        Self { at_once, interval }
    }
}

impl Default for RepairLimit {
    /// Five times at once, and then every 10 s.
    fn default() -> Self {
        const FIVE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
        Self::new(FIVE, Duration::from_secs(10))
    }
}

/// What was done under a limit: a bucket that each time fills by one interval, and drains with time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    level: Duration,
    at: Instant,
}

impl Spent {
    /// Nothing yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self { level: Duration::ZERO, at: now }
    }

    /// Does it once, or says how long that has to wait.
    pub(super) fn once(&mut self, limit: RepairLimit, now: Instant) -> Result<(), Duration> {
        let drained = now.saturating_duration_since(self.at);
        *self = Self { level: self.level.saturating_sub(drained), at: now };
        let level = self.level.saturating_add(limit.interval);
        let wait = level.saturating_sub(limit.interval.saturating_mul(limit.at_once.get()));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.level = level;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limit(at_once: u32, interval: Duration) -> RepairLimit {
        RepairLimit::new(NonZeroU32::new(at_once).expect("not zero"), interval)
    }

    #[test]
    fn so_many_at_once_and_then_one_in_an_interval() {
        let (start, limit) = (Instant::now(), limit(2, 10 * SECOND));
        let mut spent = Spent::new(start);
        let mut at = |seconds: u32| spent.once(limit, start + seconds * SECOND);
        assert_eq!([at(0), at(0), at(0)], [Ok(()), Ok(()), Err(10 * SECOND)]);
        assert_eq!([at(4), at(10), at(10)], [Err(6 * SECOND), Ok(()), Err(10 * SECOND)]);
        assert_eq!([at(100), at(100), at(100)], [Ok(()), Ok(()), Err(10 * SECOND)]);
    }

    #[test]
    fn the_ends_of_the_range_do_not_overflow() {
        let now = Instant::now();
        let mut spent = Spent::new(now);
        assert!((0..1000).all(|_| spent.once(limit(1, Duration::ZERO), now).is_ok()));
        assert_eq!(spent.once(limit(u32::MAX, Duration::MAX), now), Ok(()));
        assert_eq!(Spent::new(now).once(limit(1, Duration::MAX), now), Ok(()));
    }
}
