//! The trait that every kernel interface implements, and what it promises.

use std::fmt;

use crate::{
    BridgeChange, BridgeSpec, BridgeState, Capabilities, InterfaceName, InterfaceState, PortState, Result,
};

/// A kernel's interface for bridges.
///
/// What every implementation promises:
///
/// 1. **All or nothing.** When a call returns an error, the host is as it was before: what was
///    half made is undone. If undoing fails too, [`Error::undo`](crate::Error::undo) carries the
///    second failure and names what was left.
/// 2. **The MAC is part of creation.** No bridge bears its final name before it has the MAC of
///    its spec, except where a system fixes the name at creation (FreeBSD's `bridgeN`). Where
///    the kernel takes the MAC in the creating call, it is there from the first moment
///    ([`AtomicCreate`](crate::Capability::AtomicCreate)). Elsewhere it is set before `create`
///    returns, read back, and still there after udev has had its turn.
/// 3. **Only bridges.** An operation on a bridge first knows that it is one: deleting `eth0` is
///    [`NotABridge`](crate::ErrorKind::NotABridge). Where the kernel can work by index, it does, so that
///    a name that was reused meanwhile is not hit.
/// 4. **Names and MACs are checked before the kernel sees them**, by their types.
/// 5. **An existing interface is an error on `create`**
///    ([`BridgeExists`](crate::ErrorKind::BridgeExists), [`NameInUse`](crate::ErrorKind::NameInUse)).
/// 6. **Unsupported is said, never ignored.** [`capabilities`](Self::capabilities) lists what a
///    backend can do; a call outside of it is [`Unsupported`](crate::ErrorKind::Unsupported).
/// 7. **Errors say what, where, why**, and the same situation has the same
///    [`ErrorKind`](crate::ErrorKind) on every backend.
/// 8. **No waiting without a bound, no lost `EINTR`, no hidden thread.** A handle keeps its
///    sockets for every call, and works in the network namespace (Linux) or VNET jail (FreeBSD)
///    that it was opened in, whatever thread calls it.
/// 9. **Tolerant reader.** What a newer kernel adds is skipped; a malformed reply is
///    [`MalformedReply`](crate::ErrorKind::MalformedReply), never a panic.
///
/// On Linux a name may also be an alternative one (`ip link property add altname`); what is read
/// has the interface's own.
///
/// The trait is object-safe and open: others may implement it
/// ([`Attempt`](crate::Attempt) makes its errors).
pub trait BridgeBackend: fmt::Debug + Send + Sync {
    /// The backend's name, as errors and the command give it.
    fn name(&self) -> &'static str;

    /// What this backend can do beyond what every backend must.
    fn capabilities(&self) -> Capabilities;

    /// Creates a bridge, complete.
    ///
    /// # Errors
    /// `BridgeExists`, `NameInUse`, `InvalidMtu`, `PermissionDenied`, `NoDriver`; `MacNotKept` or
    /// `TimedOut` where something else on the host sets MACs and could not be outlasted;
    /// `NotFound` when someone deletes the bridge before it is complete.
    fn create(&self, spec: &BridgeSpec) -> Result<()>;

    /// Deletes a bridge, up or down; its ports stay, without it.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PermissionDenied`.
    fn delete(&self, bridge: InterfaceName) -> Result<()>;

    /// The bridge of this name, or `None` when no interface has it.
    ///
    /// # Errors
    /// `NotABridge` when an interface of another kind has it.
    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>>;

    /// All bridges, by index.
    ///
    /// # Errors
    /// `ListChanged` when no two readings agree, since other processes change bridges all the time.
    fn list(&self) -> Result<Vec<BridgeState>>;

    /// Changes a bridge: first the MTU, which a kernel may well refuse, then the MAC, then up or
    /// down. What had been changed when a later step fails is set back. (A bridge whose MAC or
    /// MTU was set back no longer follows its ports: no kernel can undo that.)
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `InvalidMtu`, `PermissionDenied`.
    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()>;

    /// Makes an interface a port of a bridge.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PortNotFound`, `AlreadyPort`, `PortBusy`, `PortIsBridge`,
    /// `PortUnsuitable`, `TooManyPorts`, `PermissionDenied`.
    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()>;

    /// Releases a port from a bridge.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`, `PortNotFound`, `NotAPort`, `PermissionDenied`.
    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()>;

    /// The ports of a bridge, by index.
    ///
    /// # Errors
    /// `NotFound`, `NotABridge`; `ListChanged` as with [`list`](Self::list).
    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>>;

    /// All interfaces of the host, by index: who has which name and which MAC. While others make
    /// and remove interfaces, the list need not be of one moment.
    fn interfaces(&self) -> Result<Vec<InterfaceState>>;
}

/// A backend that is compiled in.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Available {
    /// Its name, as [`BridgeBackend::name`] gives it.
    pub name: &'static str,
    /// Opens it in the network namespace or jail of the calling thread.
    pub open: fn() -> Result<Box<dyn BridgeBackend>>,
}
