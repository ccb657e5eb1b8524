//! Network bridges for virtual machines whose MAC address never changes, on Linux and FreeBSD.
//!
//! A Linux bridge that was given no MAC takes the lowest of its ports' and changes it as guests
//! come and go: guests see a new gateway, ARP caches go stale, and Windows asks about a new
//! network. vmbridge creates bridges with a MAC that stays, all or nothing, through whatever
//! interface the kernel has for it.
//!
//! ```no_run
//! use vmbridge::{BridgeBackend, BridgeSpec, LinkState, NativeBackend};
//!
//! let bridges = NativeBackend::open()?;
//! let mac = vmbridge::unused_mac(&bridges)?;
//! bridges.create(&BridgeSpec::new("virbr0".parse()?).mac(mac).link(LinkState::Up))?;
//! bridges.add_port("virbr0".parse()?, "tap0".parse()?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`BridgeBackend`] has all that can be done with a bridge and what every backend promises.
//! [`model::Model`] is a backend in memory: test against it, without privilege.
//!
//! [`network`] has what is written down of a bridge, so that it bears the same MAC each time it is made;
//! with the feature `xml`, as libvirt's XML.
//!
//! This crate is policy. The kernel side is the crate [`vmbridge_platform`]: its vocabulary is re-exported
//! here, and all of it, with each system's backends, as [`platform`].
#![forbid(unsafe_code)]
#![doc(test(attr(deny(warnings))))]

// What the tests here share with those of other programs calls the crate by its name.
#[cfg(test)]
extern crate self as vmbridge;

mod bulk;
#[cfg(test)]
mod fake;
mod guest;
mod mac;
pub mod network;
mod option_text;
mod port;
#[cfg(test)]
mod readme;
mod spoofing;
mod system;

pub use guest::{Guest, Plugged, plug, unplug};
pub use mac::unused_mac;
pub use option_text::{InvalidOption, OptionText};
pub use port::{attach, attach_many, bridge_of, bridges_of_ports, port};
pub use spoofing::{Restriction, attach_restricted, lift_restriction, restrict_to_mac};
pub use system::hint;
pub use vmbridge_platform as platform;
#[cfg(feature = "helper")]
pub use vmbridge_platform::NetworkPrivileges;
#[cfg(feature = "sandbox")]
pub use vmbridge_platform::Sandbox;
pub use vmbridge_platform::{
    AVAILABLE, Attempt, Available, BridgeBackend, BridgeChange, BridgeOption, BridgeOptions, BridgeSpec,
    BridgeState, Bulk, BulkError, BulkResult, Capabilities, Capability, Error, ErrorKind, Events, ExistingTap,
    FdbEntry, FdbOrigin, HostIdentity, InterfaceIndex, InterfaceName, InterfaceState, InvalidIndex, InvalidMac,
    InvalidName, InvalidVlan, InvalidWord, LinkState, MacAddr, MacReason, NameReason, NativeBackend, Operation,
    PortOption, PortOptions, PortState, PortStpState, PortVlans, Result, StaticEntry, StpProtocol, Tap, TapChange,
    TapSpec, TapState, Undo, UnicastMac, VlanId, VlanRange, VlanTagging, Wake, model,
};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
