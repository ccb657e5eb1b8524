//! The settings of a network that have a few named values.

use std::fmt;

/// Implements `Display` for an enum, and serde's `Serialize` with the same texts.
macro_rules! words {
    ($Word:ident: $($Variant:ident = $text:literal),+) => {
        impl fmt::Display for $Word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$Variant => $text,)+
                })
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $Word {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

/// How the guests of a network that has a bridge of its own reach other networks. vmbridge makes the
/// bridge and carries the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardMode {
    /// Not at all.
    #[default]
    Isolated,
    /// Under the host's address.
    Nat,
    /// Routed by the host.
    Route,
    /// Routed, with the host's packet filter left alone.
    Open,
}

words! { ForwardMode: Isolated = "isolated", Nat = "nat", Route = "route", Open = "open" }

/// Who fills the FDB of a network's bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MacTableManager {
    /// The kernel, which learns and floods.
    Kernel,
    /// The manager of the guests: ports neither learn nor get frames to unknown addresses.
    Libvirt,
}

words! { MacTableManager: Kernel = "kernel", Libvirt = "libvirt" }

/// Whether the ports of a network reach one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PortIsolation {
    /// They do.
    #[default]
    Connected,
    /// They reach the host and what is behind it only.
    Isolated,
}

words! { PortIsolation: Connected = "connected", Isolated = "isolated" }

/// Whether a tap of the network's own holds the bridge's MAC and gives it carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Anchor {
    /// None: the bridge has its MAC itself.
    #[default]
    None,
    /// A tap called `<bridge>-nic`, as libvirt had. On FreeBSD the bridge's IPv6 addresses do without
    /// it.
    Tap,
}

words! { Anchor: None = "none", Tap = "tap" }
