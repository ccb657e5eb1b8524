//! The words of the spanning tree protocol (STP).

use crate::words::words;

/// The protocols of spanning trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StpProtocol {
    /// IEEE 802.1D-1998.
    Stp,
    /// IEEE 802.1w, rapid.
    Rstp,
}

words! { StpProtocol: Stp = "stp", Rstp = "rstp" }

/// Where a port stands in STP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PortStpState {
    /// It takes no part; on Linux a port that is down or has no carrier.
    Disabled,
    /// It takes in BPDUs only, to learn where the root is.
    Listening,
    /// It takes in addresses, but forwards nothing yet.
    Learning,
    /// It forwards.
    Forwarding,
    /// It does not forward, since that would make a loop ("discarding" in RSTP).
    Blocking,
}

words! {
    PortStpState:
    Disabled = "disabled", Listening = "listening", Learning = "learning", Forwarding = "forwarding",
    Blocking = "blocking"
}
