//! The operations of a backend.

use crate::words::texts;

texts! {
    /// What a backend was asked to do. It displays the text that an error has after "cannot".
    pub enum Operation {
        /// Open the backend.
        Open = "open the backend",
        /// Create a bridge.
        Create = "create bridge",
        /// Delete a bridge.
        Delete = "delete bridge",
        /// Find a bridge by its name.
        Find = "find bridge",
        /// List the bridges.
        List = "list the bridges",
        /// Change a bridge.
        Change = "change bridge",
        /// Make an interface a port of a bridge.
        AddPort = "add a port to bridge",
        /// Release a port from a bridge.
        RemovePort = "remove a port from bridge",
        /// List the ports of a bridge.
        Ports = "list the ports of bridge",
        /// List the interfaces of the host.
        Interfaces = "list the interfaces",
        /// Generate a MAC.
        GenerateMac = "generate a MAC",
        /// Change a port.
        ChangePort = "change a port of bridge",
        /// List the FDB of a bridge.
        Fdb = "list the FDB of bridge",
        /// Add an entry to the FDB of a bridge.
        AddFdbEntry = "add to the FDB of bridge",
        /// Replace an entry in the FDB of a bridge.
        ReplaceFdbEntry = "replace in the FDB of bridge",
        /// Remove an entry from the FDB of a bridge.
        RemoveFdbEntry = "remove from the FDB of bridge",
        /// Flush the FDB of a bridge.
        FlushFdb = "flush the FDB of bridge",
        /// List the VLANs of a port.
        Vlans = "list the VLANs of a port of bridge",
        /// Add VLANs to a port.
        AddVlans = "add VLANs to a port of bridge",
        /// Remove VLANs from a port.
        RemoveVlans = "remove VLANs from a port of bridge",
        /// Create a tap.
        CreateTap = "create tap",
        /// Take over a tap that is open.
        AdoptTap = "take over tap",
        /// Let a tap outlive its descriptors.
        PersistTap = "keep tap",
        /// Change a tap.
        ChangeTap = "change tap",
        /// Delete a tap.
        DeleteTap = "delete tap",
        /// List the taps.
        Taps = "list the taps",
        /// Follow the kernel's events.
        Events = "follow the kernel's events",
    }
}
