//! Networks without a bridge of their own.

use std::fmt;

use crate::network::NetworkName;

/// A network without a bridge of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignNetwork {
    /// Its name.
    pub name: NetworkName,
    /// How it uses what is the host's.
    pub mode: ForeignMode,
    /// A MAC that it has nevertheless, as the text has it: the packages of old versions of libvirt
    /// gave it one.
    pub mac: Option<String>,
}

/// How a network without a bridge of its own uses what is the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignMode {
    /// A bridge of the host's, or macvtap in bridge mode.
    Bridge,
    /// macvtap in private mode.
    Private,
    /// macvtap in VEPA mode.
    Vepa,
    /// macvtap in passthrough mode.
    Passthrough,
    /// A device that is given to the guest.
    Hostdev,
}

impl ForeignMode {
    pub(super) const ALL: [Self; 5] = [Self::Bridge, Self::Private, Self::Vepa, Self::Passthrough, Self::Hostdev];

    /// libvirt's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Passthrough => "passthrough",
            Self::Hostdev => "hostdev",
        }
    }
}

impl fmt::Display for ForeignMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
