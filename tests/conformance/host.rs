//! What a case needs of the host that it runs on.

use vmbridge::{BridgeBackend, InterfaceName, MacAddr, UnicastMac};

/// A case of the suite.
pub(crate) type Case = fn(&dyn Host);

/// A host of the case's own, with nothing on it but a loopback interface.
pub(crate) trait Host: Sync {
    /// The backend under test.
    fn bridges(&self) -> &dyn BridgeBackend;

    /// The name of the loopback interface.
    fn loopback(&self) -> InterfaceName;

    /// Adds an Ethernet interface, not through the backend.
    fn add_interface(&self, name: InterfaceName, mac: UnicastMac);

    /// Removes an interface, not through the backend.
    fn remove_interface(&self, name: InterfaceName);

    /// What the oracle sees of an interface.
    fn look(&self, name: InterfaceName) -> Option<Seen>;

    /// All that the oracle sees of the host, as it prints it.
    fn snapshot(&self) -> String;

    /// Runs `act` without the privilege to change anything.
    fn without_privilege(&self, act: &dyn Fn());
}

/// What the oracle sees of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub mac: MacAddr,
    pub mtu: u32,
    pub up: bool,
    pub is_bridge: bool,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
}

pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().expect(text)
}

pub(crate) fn mac(text: &str) -> UnicastMac {
    text.parse().expect(text)
}
