//! The operations of a backend.

use std::fmt;

/// What a backend was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Open the backend.
    Open,
    /// Create a bridge.
    Create,
    /// Delete a bridge.
    Delete,
    /// Find a bridge by its name.
    Find,
    /// List the bridges.
    List,
    /// Change a bridge.
    Change,
    /// Make an interface a port of a bridge.
    AddPort,
    /// Release a port from a bridge.
    RemovePort,
    /// List the ports of a bridge.
    Ports,
    /// List the interfaces of the host.
    Interfaces,
    /// Generate a MAC.
    GenerateMac,
    /// Change a port.
    ChangePort,
    /// List the FDB of a bridge.
    Fdb,
    /// Add an entry to the FDB of a bridge.
    AddFdbEntry,
    /// Replace an entry in the FDB of a bridge.
    ReplaceFdbEntry,
    /// Remove an entry from the FDB of a bridge.
    RemoveFdbEntry,
    /// Flush the FDB of a bridge.
    FlushFdb,
    /// List the VLANs of a port.
    Vlans,
    /// Add VLANs to a port.
    AddVlans,
    /// Remove VLANs from a port.
    RemoveVlans,
    /// Create a tap.
    CreateTap,
    /// Take over a tap that is open.
    AdoptTap,
    /// Let a tap outlive its descriptors.
    PersistTap,
    /// Change a tap.
    ChangeTap,
    /// Delete a tap.
    DeleteTap,
    /// List the taps.
    Taps,
    /// Follow the kernel's events.
    Events,
}

impl fmt::Display for Operation {
    /// Writes the text that an error has after "cannot".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open the backend",
            Self::Create => "create bridge",
            Self::Delete => "delete bridge",
            Self::Find => "find bridge",
            Self::List => "list the bridges",
            Self::Change => "change bridge",
            Self::AddPort => "add a port to bridge",
            Self::RemovePort => "remove a port from bridge",
            Self::Ports => "list the ports of bridge",
            Self::Interfaces => "list the interfaces",
            Self::GenerateMac => "generate a MAC",
            Self::ChangePort => "change a port of bridge",
            Self::Fdb => "list the FDB of bridge",
            Self::AddFdbEntry => "add to the FDB of bridge",
            Self::ReplaceFdbEntry => "replace in the FDB of bridge",
            Self::RemoveFdbEntry => "remove from the FDB of bridge",
            Self::FlushFdb => "flush the FDB of bridge",
            Self::Vlans => "list the VLANs of a port of bridge",
            Self::AddVlans => "add VLANs to a port of bridge",
            Self::RemoveVlans => "remove VLANs from a port of bridge",
            Self::CreateTap => "create tap",
            Self::AdoptTap => "take over tap",
            Self::PersistTap => "keep tap",
            Self::ChangeTap => "change tap",
            Self::DeleteTap => "delete tap",
            Self::Taps => "list the taps",
            Self::Events => "follow the kernel's events",
        })
    }
}
