//! The flags of an interface (`net/if.h`).

use libc::c_short;

use super::abi;
use crate::LinkState;

/// `ifr_flags` and `ifr_flagshigh`, which the kernel reads and sets together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(pub(super) [c_short; 2]);

impl Flags {
    pub(super) fn link(self) -> LinkState {
        LinkState::of_flags(u32::from(u16::from_ne_bytes(self.0[0].to_ne_bytes())))
    }

    pub(super) const fn with_link(self, link: LinkState) -> Self {
        let Self([low, high]) = self;
        match link {
            LinkState::Up => Self([low | abi::IFF_UP, high]),
            LinkState::Down => Self([low & !abi::IFF_UP, high]),
        }
    }

    /// With the flag that lets a tap stay as it is, up or down, when its device is closed.
    pub(super) const fn kept_when_closed(self) -> Self {
        let Self([low, high]) = self;
        Self([low | abi::IFF_LINK0, high])
    }

    /// Whether a tap may be open. A new one is running from its first opening on. A closed one no longer is,
    /// unless it was kept as it was, or set up since (`tunopen()`, `tundtor()` and `tuninit()`).
    pub(super) const fn is_running(self) -> bool {
        self.0[0] & abi::IFF_DRV_RUNNING != 0
    }
}
