//! The changes that a caller wants for a bridge.

use crate::setters::setters;
use crate::{BridgeOptions, LinkState, UnicastMac};

/// The changes that [`change`](crate::Bridges::change) makes to a bridge; `None` changes nothing.
///
/// ```
/// use vmbridge_platform::{BridgeChange, LinkState};
///
/// let change = BridgeChange::default().mtu(1400).link(LinkState::Down);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct BridgeChange {
    /// Its new MAC, which it keeps from then on.
    pub mac: Option<UnicastMac>,
    /// Its new MTU in bytes; the range is that of [`BridgeSpec::mtu`](crate::BridgeSpec::mtu). Setting the MTU that
    /// the bridge already has does nothing: on Linux, a bridge that follows its ports goes on following them.
    pub mtu: Option<u32>,
    /// Up or down.
    pub link: Option<LinkState>,
    /// Options; those that are `None` are left as they are.
    #[cfg_attr(feature = "serde", serde(default))]
    pub options: BridgeOptions,
}

impl BridgeChange {
    setters! {
        /// Sets the MAC, for life.
        mac: Option<UnicastMac>;
        /// Sets the MTU, in bytes.
        mtu: Option<u32>;
        /// Sets it up or down.
        link: Option<LinkState>;
        /// Sets the options.
        options: BridgeOptions;
    }
}
