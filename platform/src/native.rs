//! The backend of the system that the crate is built for.

use std::os::fd::OwnedFd;

use crate::waiting::Limits;
use crate::{
    Backend, BridgeState, Bulk, Capabilities, Events, FdbEntry, InterfaceState, Outcome, PortState, PortVlans,
    Result, Seen, Step, Tap, TapState, Target, system,
};

/// This system's backend: `netlink` on Linux, or `ioctl` without the feature `netlink`, and `freebsd` on FreeBSD.
///
/// It is one type whatever the features, and its [`name`](Backend::name) says which backend it is.
#[derive(Debug)]
pub struct NativeBackend(system::Native);

impl NativeBackend {
    /// Opens it in the network namespace (Linux) or jail (FreeBSD) of the calling thread.
    ///
    /// # Errors
    /// `Os`: out of descriptors, or a policy forbids such a socket.
    pub fn open() -> Result<Self> {
        Self::open_with(Limits::default())
    }

    /// Opens it as [`open`](Self::open) does, with limits for its calls that wait.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(limits: Limits) -> Result<Self> {
        system::Native::open_with(limits).map(Self)
    }
}

impl Backend for NativeBackend {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn look(&self, step: &Step) -> Result<Seen> {
        self.0.look(step)
    }

    fn run(&self, step: &Step, seen: &Seen) -> Outcome {
        self.0.run(step, seen)
    }

    fn find_bridge(&self, bridge: Target) -> Result<Option<BridgeState>> {
        self.0.find_bridge(bridge)
    }

    fn list_bridges(&self) -> Result<Vec<BridgeState>> {
        self.0.list_bridges()
    }

    fn list_ports(&self, bridge: Target) -> Result<Vec<PortState>> {
        self.0.list_ports(bridge)
    }

    fn list_interfaces(&self) -> Result<Vec<InterfaceState>> {
        self.0.list_interfaces()
    }

    fn look_all(&self, steps: &[&Step], each: &mut dyn FnMut(Result<Seen>)) {
        self.0.look_all(steps, each);
    }

    fn run_all(&self, steps: &[(&Step, Seen)], bulk: Bulk, each: &mut dyn FnMut(usize, Outcome)) {
        self.0.run_all(steps, bulk, each);
    }

    fn find_port(&self, port: Target) -> Result<Option<PortState>> {
        self.0.find_port(port)
    }

    fn find_tap(&self, tap: Target) -> Result<Option<TapState>> {
        self.0.find_tap(tap)
    }

    fn list_taps(&self) -> Result<Vec<TapState>> {
        self.0.list_taps()
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        self.0.persist_tap(tap)
    }

    fn adopt_descriptors(&self, queues: Vec<OwnedFd>) -> Result<Tap> {
        self.0.adopt_descriptors(queues)
    }

    fn list_fdb(&self, bridge: Target) -> Result<Vec<FdbEntry>> {
        self.0.list_fdb(bridge)
    }

    fn list_vlans(&self, bridge: Target, port: Target) -> Result<Vec<PortVlans>> {
        self.0.list_vlans(bridge, port)
    }

    fn bridge_has_carrier(&self, bridge: Target) -> Result<bool> {
        self.0.bridge_has_carrier(bridge)
    }

    fn open_events(&self) -> Result<Events> {
        self.0.open_events()
    }
}
