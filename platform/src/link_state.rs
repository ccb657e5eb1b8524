//! Whether an interface is up.

use crate::words::words;

/// Whether an interface is up (`IFF_UP`): what the administrator asked for, not whether it has a carrier.
/// The flag has two states, and so has this enum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// It takes and sends frames.
    Up,
    /// It does not.
    #[default]
    Down,
}

impl LinkState {
    /// Up if the flag `IFF_UP` (1 on every system) is among these.
    pub(crate) const fn of_flags(flags: u32) -> Self {
        if flags & 1 == 1 { Self::Up } else { Self::Down }
    }
}

words! { LinkState: Up = "up", Down = "down" }
