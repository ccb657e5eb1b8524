//! Whether an interface has a carrier that its protocols know of.
//!
//! A driver turns its carrier on and off at once; the operational state (RFC 2863), by which IPv6 and
//! others go, follows when `linkwatch_event()` has its turn (`net/core/link_watch.c`), up to a second
//! later. Until then it tells of the carrier before: of a bridge whose only port has just gone, or that was
//! set down and up again, it says "up".

use std::thread;
use std::time::Duration;

use crate::Result;
use crate::waiting::Deadline;

/// The time between two looks.
const GLANCE: Duration = Duration::from_millis(10);

/// What a kernel says of an interface's carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carrier {
    /// The driver's word.
    pub(super) is_on: bool,
    /// What the protocols were told.
    pub(super) is_operational: bool,
}

/// Returns whether both say that the carrier is on, once they agree or the limit has passed.
pub(super) fn settled(limit: Duration, read: impl Fn() -> Result<Carrier>) -> Result<bool> {
    let deadline = Deadline::after(limit);
    loop {
        let Carrier { is_on, is_operational } = read()?;
        if is_on == is_operational || deadline.has_passed() {
            return Ok(is_on && is_operational);
        }
        thread::sleep(GLANCE);
    }
}
