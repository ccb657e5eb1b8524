//! What a guest's network card leaves to the other side: checksums, and cutting data into frames.

use crate::set::set;
use crate::words::words;

/// Work that the reader of a tap takes over from the host's kernel.
///
/// The kernel then hands over frames without a checksum, or frames of up to 64 KiB that it did not cut to the MTU.
/// The `virtio_net_hdr` before each frame says what is left to do. These are the flags `TUN_F_*` of `TUNSETOFFLOAD`
/// (`set_offload()`, `drivers/net/tun.c`) and the features `VIRTIO_NET_F_GUEST_*` of virtio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TapOffload {
    /// Checksums of TCP and UDP (`TUN_F_CSUM`). The kernel takes no other without this one.
    Checksum,
    /// TCP segments over IPv4 (`TUN_F_TSO4`).
    Tso4,
    /// TCP segments over IPv6 (`TUN_F_TSO6`).
    Tso6,
    /// TCP segments with explicit congestion notification (`TUN_F_TSO_ECN`); with `Tso4` or `Tso6`.
    TsoEcn,
    /// Fragments of UDP (`TUN_F_UFO`). Linux takes this and sends none since 4.14.
    Ufo,
    /// UDP segments over IPv4 and IPv6 (`TUN_F_USO4`, `TUN_F_USO6`), since Linux 6.2.
    Uso,
}

words! {
    TapOffload:
    Checksum = "checksum", Tso4 = "tso4", Tso6 = "tso6", TsoEcn = "tso-ecn", Ufo = "ufo", Uso = "uso"
}

impl TapOffload {
    /// Every offload.
    pub const ALL: &[Self] = &[Self::Checksum, Self::Tso4, Self::Tso6, Self::TsoEcn, Self::Ufo, Self::Uso];
}

/// A set of offloads.
///
/// ```
/// use vmbridge_platform::{TapOffload, TapOffloads};
///
/// let offloads = TapOffloads::from([TapOffload::Checksum, TapOffload::Tso4]);
/// assert!(offloads.contains(TapOffload::Tso4));
/// assert!(!offloads.contains(TapOffload::Uso));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Vec<TapOffload>", into = "Vec<TapOffload>"))]
pub struct TapOffloads(u8);

set!(TapOffloads(u8) of TapOffload);

impl TapOffloads {
    /// Whether the set has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<const N: usize> From<[TapOffload; N]> for TapOffloads {
    fn from(offloads: [TapOffload; N]) -> Self {
        offloads.into_iter().collect()
    }
}

impl From<Vec<TapOffload>> for TapOffloads {
    fn from(offloads: Vec<TapOffload>) -> Self {
        offloads.into_iter().collect()
    }
}

impl From<TapOffloads> for Vec<TapOffload> {
    fn from(offloads: TapOffloads) -> Self {
        offloads.iter().collect()
    }
}
