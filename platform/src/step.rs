//! A change of the host as data, and the state that a backend reads before it carries out the change.

use crate::error::Attempt;
use crate::{
    BridgeChange, BridgeSpec, BridgeState, Capabilities, Capability, ErrorKind, ExistingTap, FdbOrigin, Identity,
    MacAddr, Operation, PortOptions, PortState, PortVlans, Result, StaticEntry, TapChange, TapSpec, TapState,
    Target, UnicastMac, VlanId, VlanRange, VlanTagging,
};

/// One change of the host.
///
/// A backend carries out steps ([`Backend::run`](crate::Backend::run)); [`Transaction`](crate::Transaction) and
/// [`Bridges::apply`](crate::Bridges::apply) carry out lists of steps and roll them back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Create a bridge.
    Create(BridgeSpec),
    /// Delete a bridge, up or down. Its ports stay. Cannot be rolled back.
    Delete(Target),
    /// Change a bridge.
    #[non_exhaustive]
    Change {
        /// The bridge.
        bridge: Target,
        /// The change.
        change: BridgeChange,
    },
    /// Make an interface a port of a bridge.
    #[non_exhaustive]
    AddPort {
        /// The bridge.
        bridge: Target,
        /// The interface.
        port: Target,
    },
    /// Release a port from a bridge. Cannot be rolled back.
    #[non_exhaustive]
    RemovePort {
        /// The bridge.
        bridge: Target,
        /// The port.
        port: Target,
    },
    /// Change the options of a port.
    #[non_exhaustive]
    ChangePort {
        /// The bridge.
        bridge: Target,
        /// The port.
        port: Target,
        /// The options that change.
        options: PortOptions,
    },
    /// Add a static entry to the FDB of a bridge.
    #[non_exhaustive]
    AddFdbEntry {
        /// The bridge.
        bridge: Target,
        /// The entry.
        entry: StaticEntry,
    },
    /// Add a static entry for an address behind a port, in place of an existing entry.
    #[non_exhaustive]
    ReplaceFdbEntry {
        /// The bridge.
        bridge: Target,
        /// The entry.
        entry: StaticEntry,
    },
    /// Remove an entry from the FDB of a bridge, static or learned.
    #[non_exhaustive]
    RemoveFdbEntry {
        /// The bridge.
        bridge: Target,
        /// The address.
        mac: UnicastMac,
        /// The VLAN, or `None` for the entry without one.
        vlan: Option<VlanId>,
    },
    /// Remove the learned entries from the FDB of a bridge. Cannot be rolled back: the bridge learns them again.
    FlushFdb(Target),
    /// Add VLANs to a port, or change how they pass it.
    #[non_exhaustive]
    AddVlans {
        /// The bridge.
        bridge: Target,
        /// The port.
        port: Target,
        /// The VLANs.
        vlans: PortVlans,
    },
    /// Remove VLANs from a port.
    #[non_exhaustive]
    RemoveVlans {
        /// The bridge.
        bridge: Target,
        /// The port.
        port: Target,
        /// The VLANs.
        vlans: VlanRange,
    },
    /// Create or adopt a tap, and open it.
    CreateTap(TapSpec),
    /// Change a tap.
    #[non_exhaustive]
    ChangeTap {
        /// The tap.
        tap: Target,
        /// The change.
        change: TapChange,
    },
    /// Delete a tap that no process has open. Cannot be rolled back.
    DeleteTap(Target),
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $function:ident, $Variant:ident { $($field:ident: $Type:ty),* };)+) => {
        impl Step {$(
            $(#[$doc])*
            #[must_use]
            pub fn $function(bridge: impl Into<Target>, $($field: $Type),*) -> Self {
                Self::$Variant { bridge: bridge.into(), $($field: $field.into()),* }
            }
        )+}
    };
}

constructors! {
    /// Makes a step that changes a bridge.
    change, Change { change: BridgeChange };
    /// Makes a step that attaches an interface to a bridge.
    add_port, AddPort { port: impl Into<Target> };
    /// Makes a step that releases a port from a bridge.
    remove_port, RemovePort { port: impl Into<Target> };
    /// Makes a step that changes the options of a port.
    change_port, ChangePort { port: impl Into<Target>, options: PortOptions };
    /// Makes a step that adds a static FDB entry.
    add_fdb_entry, AddFdbEntry { entry: StaticEntry };
    /// Makes a step that adds a static FDB entry in place of an existing entry.
    replace_fdb_entry, ReplaceFdbEntry { entry: StaticEntry };
    /// Makes a step that removes an FDB entry.
    remove_fdb_entry, RemoveFdbEntry { mac: UnicastMac, vlan: Option<VlanId> };
    /// Makes a step that adds VLANs to a port.
    add_vlans, AddVlans { port: impl Into<Target>, vlans: PortVlans };
    /// Makes a step that removes VLANs from a port.
    remove_vlans, RemoveVlans { port: impl Into<Target>, vlans: VlanRange };
}

macro_rules! operations {
    ($($Variant:ident),+) => {
        impl Step {
            /// Returns the operation that its errors name.
            #[must_use]
            pub const fn operation(&self) -> Operation {
                match self {
                    $(Self::$Variant { .. } => Operation::$Variant,)+
                }
            }
        }
    };
}

operations! {
    Create, Delete, Change, AddPort, RemovePort, ChangePort, AddFdbEntry, ReplaceFdbEntry, RemoveFdbEntry, FlushFdb,
    AddVlans, RemoveVlans, CreateTap, ChangeTap, DeleteTap
}

impl Step {
    /// Makes a step that deletes a bridge.
    #[must_use]
    pub fn delete(bridge: impl Into<Target>) -> Self {
        Self::Delete(bridge.into())
    }

    /// Makes a step that changes a tap.
    #[must_use]
    pub fn change_tap(tap: impl Into<Target>, change: TapChange) -> Self {
        Self::ChangeTap { tap: tap.into(), change }
    }

    /// Makes a step that deletes a tap.
    #[must_use]
    pub fn delete_tap(tap: impl Into<Target>) -> Self {
        Self::DeleteTap(tap.into())
    }

    /// Returns the attempt to carry it out, which makes its errors.
    #[must_use]
    pub fn attempt(&self, backend: &'static str) -> Attempt {
        let at = Attempt::new(backend, self.operation());
        let at = match self {
            Self::Create(spec) => at.on(spec.name),
            Self::CreateTap(spec) => at.maybe_on(spec.name),
            _ => at.maybe_on(self.interface()),
        };
        match self.port() {
            Some(port) => at.port(port),
            None => at,
        }
    }

    /// Returns its bridge or tap; `None` for a step that creates one.
    #[must_use]
    pub const fn interface(&self) -> Option<Target> {
        match *self {
            Self::Create(_) | Self::CreateTap(_) => None,
            Self::Delete(interface) | Self::FlushFdb(interface) | Self::DeleteTap(interface) => Some(interface),
            Self::ChangeTap { tap, .. } => Some(tap),
            Self::Change { bridge, .. }
            | Self::AddPort { bridge, .. }
            | Self::RemovePort { bridge, .. }
            | Self::ChangePort { bridge, .. }
            | Self::AddFdbEntry { bridge, .. }
            | Self::ReplaceFdbEntry { bridge, .. }
            | Self::RemoveFdbEntry { bridge, .. }
            | Self::AddVlans { bridge, .. }
            | Self::RemoveVlans { bridge, .. } => Some(bridge),
        }
    }

    /// Returns its port, or the port of its FDB entry.
    #[must_use]
    pub const fn port(&self) -> Option<Target> {
        match *self {
            Self::AddPort { port, .. }
            | Self::RemovePort { port, .. }
            | Self::ChangePort { port, .. }
            | Self::AddVlans { port, .. }
            | Self::RemoveVlans { port, .. } => Some(port),
            Self::AddFdbEntry { entry, .. } | Self::ReplaceFdbEntry { entry, .. } => Some(entry.port),
            _ => None,
        }
    }

    /// Refuses a step that a backend of these capabilities cannot carry out. Reads and changes nothing.
    pub(crate) fn check(&self, backend: &'static str, capabilities: Capabilities) -> Result<()> {
        let at = || self.attempt(backend);
        // Of many steps, each is checked: an attempt is made only for an error.
        let need = |capability| {
            if capabilities.contains(capability) { Ok(()) } else { at().need(capability, capabilities) }
        };
        match self {
            Self::Create(spec) => spec.check(at(), capabilities),
            Self::Change { change, .. } => change.options.check(at(), capabilities),
            Self::Delete(_) | Self::AddPort { .. } | Self::RemovePort { .. } => Ok(()),
            Self::ChangePort { options, .. } => options.check(at(), capabilities),
            Self::AddFdbEntry { .. } | Self::ReplaceFdbEntry { .. } | Self::RemoveFdbEntry { .. } => {
                need(Capability::FdbStatic)
            }
            Self::FlushFdb(_) => need(Capability::FdbFlush),
            Self::AddVlans { vlans, .. } => {
                need(Capability::PortVlans)?;
                if matches!(vlans.tagging, VlanTagging::Untagged | VlanTagging::PvidTagged) {
                    need(Capability::UntaggedVlans)?;
                }
                if vlans.tagging.is_pvid() && vlans.vlans.first() != vlans.vlans.last() {
                    return Err(at().with(Capability::PortVlans).error(ErrorKind::InvalidOption));
                }
                Ok(())
            }
            Self::RemoveVlans { .. } => need(Capability::PortVlans),
            Self::CreateTap(spec) => spec.check(at(), capabilities),
            Self::ChangeTap { .. } | Self::DeleteTap(_) => need(Capability::Tap),
        }
    }

    /// Returns whether it cannot be rolled back.
    pub(crate) const fn is_irreversible(&self) -> bool {
        matches!(self, Self::Delete(_) | Self::RemovePort { .. } | Self::FlushFdb(_) | Self::DeleteTap(_))
    }

    /// Replaces the targets by the identities that were seen.
    pub(crate) fn resolved(mut self, seen: &Seen) -> Self {
        let (interface, port) = (seen.interface(), seen.port());
        match &mut self {
            Self::Create(_) => {}
            Self::CreateTap(spec) => {
                if let (ExistingTap::Adopt, Some(tap)) = (spec.existing, interface) {
                    spec.name = Some(tap.name());
                }
            }
            Self::Delete(target) | Self::FlushFdb(target) | Self::DeleteTap(target) => resolve(target, interface),
            Self::ChangeTap { tap, .. } => resolve(tap, interface),
            Self::Change { bridge, .. } | Self::RemoveFdbEntry { bridge, .. } => resolve(bridge, interface),
            Self::AddPort { bridge, port: target }
            | Self::RemovePort { bridge, port: target }
            | Self::ChangePort { bridge, port: target, .. }
            | Self::AddVlans { bridge, port: target, .. }
            | Self::RemoveVlans { bridge, port: target, .. } => {
                resolve(bridge, interface);
                resolve(target, port);
            }
            Self::AddFdbEntry { bridge, entry } | Self::ReplaceFdbEntry { bridge, entry } => {
                resolve(bridge, interface);
                resolve(&mut entry.port, port);
            }
        }
        self
    }
}

fn resolve(target: &mut Target, seen: Option<Identity>) {
    if let Some(identity) = seen {
        *target = identity.into();
    }
}

/// The state that a backend reads before a step ([`Backend::look`](crate::Backend::look)).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// Nothing: the step creates something.
    Nothing,
    /// The interface, of [`Step::Delete`] and [`Step::FlushFdb`].
    Interface(Identity),
    /// The bridge, of [`Step::Change`].
    #[non_exhaustive]
    Bridge {
        /// The bridge.
        bridge: BridgeState,
        /// Its ports, if rollback must restore them, too: their path costs where the STP protocol changes (FreeBSD).
        /// Otherwise empty.
        ports: Vec<PortState>,
    },
    /// The bridge and the interface, of [`Step::AddPort`], [`Step::RemovePort`] and [`Step::ChangePort`].
    Port(SeenPort),
    /// The bridge, the port and the entries of the address, of the steps on FDB entries.
    Entries(SeenEntries),
    /// The bridge, the port and its VLANs, of the steps on VLANs.
    Vlans(SeenVlans),
    /// The tap, of [`Step::ChangeTap`], [`Step::DeleteTap`], and of [`Step::CreateTap`] where it adopts one.
    Tap(TapState),
}

/// A bridge, and an interface that is a port of it or may become one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenPort {
    /// The bridge.
    pub bridge: Identity,
    /// Its MTU, in bytes.
    pub bridge_mtu: u32,
    /// The interface.
    pub port: Identity,
    /// Its MTU, in bytes.
    pub port_mtu: u32,
    /// Whether it is a port of this bridge.
    pub is_port: bool,
    /// Its options as a port; default for steps other than [`Step::ChangePort`].
    pub options: PortOptions,
}

impl SeenPort {
    /// Describes an interface that is not a port of this bridge.
    #[must_use]
    pub fn new(bridge: Identity, bridge_mtu: u32, port: Identity, port_mtu: u32) -> Self {
        let options = PortOptions::default();
        Self { bridge, bridge_mtu, port, port_mtu, is_port: false, options }
    }
}

/// The bridge, the port and the entries of a step on FDB entries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenEntries {
    /// The bridge.
    pub bridge: Identity,
    /// The port of the entry that is added or replaced; `None` for [`Step::RemoveFdbEntry`].
    pub port: Option<Identity>,
    /// Whether this port is a port of the bridge.
    pub is_port: bool,
    /// Whether the kernel has VLANs in bridges.
    pub has_vlans: bool,
    /// The entries of the address that the step may change. A backend may leave them out before
    /// [`Step::AddFdbEntry`] if its kernel refuses to add an existing entry.
    pub entries: Vec<SeenEntry>,
}

impl SeenEntries {
    /// Describes a bridge without entries for the address.
    #[must_use]
    pub const fn new(bridge: Identity) -> Self {
        Self { bridge, port: None, is_port: false, has_vlans: false, entries: Vec::new() }
    }

    /// Returns whether the address has an entry in this VLAN, or without one.
    pub(crate) fn has(&self, vlan: Option<VlanId>) -> bool {
        self.entries.iter().any(|entry| entry.vlan == vlan)
    }
}

/// An FDB entry of the address of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenEntry {
    /// Its VLAN, or `None` for the entry without one.
    pub vlan: Option<VlanId>,
    /// The port that it is behind.
    pub port: Identity,
    /// Its origin.
    pub origin: FdbOrigin,
}

impl SeenEntry {
    /// Describes an entry of this VLAN behind this port.
    #[must_use]
    pub const fn new(vlan: Option<VlanId>, port: Identity, origin: FdbOrigin) -> Self {
        Self { vlan, port, origin }
    }
}

/// The bridge, the port and the VLANs of a step on VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenVlans {
    /// The bridge.
    pub bridge: Identity,
    /// The interface.
    pub port: Identity,
    /// Whether it is a port of this bridge.
    pub is_port: bool,
    /// Its VLANs, in order.
    pub vlans: Vec<PortVlans>,
}

impl SeenVlans {
    /// Describes a port of a bridge with these VLANs.
    #[must_use]
    pub const fn new(bridge: Identity, port: Identity, vlans: Vec<PortVlans>) -> Self {
        Self { bridge, port, is_port: true, vlans }
    }

    /// Returns whether the port has any VLAN of a range.
    pub(crate) fn has_any(&self, range: VlanRange) -> bool {
        self.vlans.iter().any(|has| has.vlans.common(range).is_some())
    }
}

impl Seen {
    /// Makes [`Seen::Bridge`] without ports.
    #[must_use]
    pub const fn bridge(bridge: BridgeState) -> Self {
        Self::Bridge { bridge, ports: Vec::new() }
    }

    /// Returns the identity of the bridge or tap.
    #[must_use]
    pub const fn interface(&self) -> Option<Identity> {
        Some(match self {
            Self::Nothing => return None,
            Self::Interface(interface) => *interface,
            Self::Bridge { bridge, .. } => bridge.identity(),
            Self::Port(seen) => seen.bridge,
            Self::Entries(seen) => seen.bridge,
            Self::Vlans(seen) => seen.bridge,
            Self::Tap(tap) => tap.identity(),
        })
    }

    /// Returns the identity of the port.
    #[must_use]
    pub const fn port(&self) -> Option<Identity> {
        match self {
            Self::Port(seen) => Some(seen.port),
            Self::Entries(seen) => seen.port,
            Self::Vlans(seen) => Some(seen.port),
            _ => None,
        }
    }

    /// Refuses a step that the seen state rules out.
    pub(crate) fn check(&self, step: &Step, backend: &'static str) -> Result<()> {
        let refuse = |kind| Err(step.attempt(backend).error(kind));
        match (step, self) {
            (Step::AddPort { .. }, Self::Port(seen)) if seen.is_port => refuse(ErrorKind::AlreadyPort),
            (Step::AddPort { .. }, _) => Ok(()),
            (_, Self::Port(SeenPort { is_port: false, .. }) | Self::Vlans(SeenVlans { is_port: false, .. })) => {
                refuse(ErrorKind::NotAPort)
            }
            (
                Step::AddFdbEntry { .. } | Step::ReplaceFdbEntry { .. },
                Self::Entries(SeenEntries { is_port: false, .. }),
            ) => refuse(ErrorKind::NotAPort),
            (Step::AddFdbEntry { .. }, Self::Entries(seen)) if !seen.entries.is_empty() => {
                refuse(ErrorKind::EntryExists)
            }
            (Step::RemoveFdbEntry { vlan, .. }, Self::Entries(seen))
                if !seen.entries.iter().any(|entry| entry.vlan == *vlan) =>
            {
                refuse(ErrorKind::EntryNotFound)
            }
            (Step::RemoveVlans { vlans, .. }, Self::Vlans(seen))
                if !seen.vlans.iter().any(|has| has.vlans.common(*vlans).is_some()) =>
            {
                refuse(ErrorKind::EntryNotFound)
            }
            _ => Ok(()),
        }
    }
}

/// Returns the MAC that a bridge can be set back to. Linux shows a bridge without a MAC as zero.
pub(crate) fn settable(mac: MacAddr) -> Option<UnicastMac> {
    UnicastMac::new(mac).ok()
}
