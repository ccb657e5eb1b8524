//! Network bridges for virtual machines whose MAC address never changes, on Linux and FreeBSD.
//!
//! A Linux bridge without a MAC of its own takes the lowest MAC of its ports. This MAC changes as guests come and go:
//! guests see a new gateway, ARP caches go stale, and Windows asks about a new network. vmbridge creates bridges with a
//! MAC that stays, all or nothing, on each kernel interface.
//!
//! ```no_run
//! use vmbridge::{BridgeSpec, Bridges, InterfaceName, LinkState, NativeBackend};
//!
//! let host = NativeBackend::open()?;
//! let mac = vmbridge::unused_mac(&host)?;
//! let bridge = host.create(&BridgeSpec::new("virbr0".parse()?).mac(mac).link(LinkState::Up))?;
//! let tap: InterfaceName = "tap0".parse()?;
//! host.add_port(bridge, tap)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Bridges`] has the operations, and [`Backend`] the promises of each backend.
//! - [`Transaction`] carries out several steps, all or nothing.
//! - [`plug`] gives a guest a tap on a bridge, and [`restrict_to_mac`] keeps a port to its guest's MAC.
//! - [`network`] has saved definitions of bridges, which keep their MAC; with the feature `xml`, as libvirt's XML.
//! - [`model::Model`] is a backend in memory, to test without privilege. [`faults::FaultyBackend`] makes steps fail.
//! - [`waiting`] lists every call that can wait, and how long.
//!
//! What a caller wants is built by methods that take the value and return it. Where the fields are public, a method has
//! the name of its field: [`BridgeSpec::mac`]. Where a getter has that name, the method is `with_…`:
//! [`network::Network::with_mac`].
//!
//! This crate is policy. The kernel side is the crate [`vmbridge_platform`], which is re-exported as [`platform`].
#![forbid(unsafe_code)]
#![doc(test(attr(deny(warnings))))]

// What the tests here share with those of other programs calls the crate by its name.
#[cfg(test)]
extern crate self as vmbridge;

mod guest;
mod mac;
pub mod network;
mod option_text;
mod port;
#[cfg(test)]
mod readme;
mod restricted_port;
mod spoofing;
mod system;
#[cfg(test)]
mod testing;

pub use guest::{Guest, Plugged, plug, unplug};
pub use mac::unused_mac;
pub use option_text::{InvalidOption, OptionText};
pub use port::{attach, attach_many, bridge_of, bridges_of_ports};
pub use restricted_port::{RestrictedPort, restricted_ports};
pub use spoofing::{Restriction, attach_restricted, lift_restriction, restrict_to_mac};
pub use system::hint;
pub use vmbridge_platform as platform;
#[cfg(feature = "helper")]
pub use vmbridge_platform::NetworkPrivileges;
#[cfg(feature = "sandbox")]
pub use vmbridge_platform::Sandbox;
pub use vmbridge_platform::{
    AVAILABLE, Attempt, Available, Backend, BridgeChange, BridgeOption, BridgeOptions, BridgeSpec, BridgeState,
    Bridges, Bulk, BulkError, BulkResult, Capabilities, Capability, Error, ErrorKind, Events, ExistingTap,
    FdbEntry, FdbOrigin, HostIdentity, HostIpv6, Identity, InterfaceIndex, InterfaceName, InterfaceState,
    InvalidIndex, InvalidMac, InvalidName, InvalidVlan, InvalidWord, LinkState, MacAddr, MacReason, Made,
    NameReason, NativeBackend, Operation, Outcome, PortOption, PortOptions, PortState, PortStpState, PortVlans,
    Resolved, Result, Rollback, Seen, SeenEntries, SeenEntry, SeenPort, SeenVlans, StaticEntry, Step, StpProtocol,
    Tap, TapChange, TapOffload, TapOffloads, TapSpec, TapState, Target, Transaction, UnicastMac, VlanId,
    VlanRange, VlanTagging, VnetHeader, Wake, faults, model, run_each, waiting,
};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
