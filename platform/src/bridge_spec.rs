//! The bridge that a caller wants.

use crate::setters::setters;
use crate::{
    Attempt, BridgeOptions, Capabilities, ErrorKind, HostIpv6, InterfaceName, LinkState, Result, UnicastMac,
};

/// The bridge that [`create`](crate::Bridges::create) makes.
///
/// On Linux, a bridge without the option [`host_ipv6`](BridgeOptions::host_ipv6) lets its guests configure the host.
///
/// ```
/// use vmbridge_platform::{BridgeOptions, BridgeSpec, HostIpv6, LinkState, UnicastMac};
///
/// let spec = BridgeSpec::new("virbr0".parse()?)
///     .mac(UnicastMac::generate()?)
///     .mtu(9000)
///     .options(BridgeOptions::default().host_ipv6(HostIpv6::Manual))
///     .link(LinkState::Up);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct BridgeSpec {
    /// Its name, which no interface of the host may bear yet.
    pub name: InterfaceName,
    /// Its MAC, which it keeps. `None` leaves it to the kernel: on Linux the bridge then takes
    /// the lowest MAC of its ports and changes with them; on FreeBSD it gets one that depends on
    /// the host and the interface.
    pub mac: Option<UnicastMac>,
    /// Its MTU in bytes, 68 to 65535 on Linux and 576 to 65535 on FreeBSD. On Linux the bridge keeps it as ports join
    /// and leave. FreeBSD gives a bridge the MTU of its first port: give the port that MTU before it joins.
    ///
    /// `None` leaves the MTU to the kernel: on Linux the least MTU of the ports (1500 without any), on FreeBSD the
    /// first port's.
    pub mtu: Option<u32>,
    /// Whether it is up from the start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub link: LinkState,
    /// Its options.
    #[cfg_attr(feature = "serde", serde(default))]
    pub options: BridgeOptions,
}

impl BridgeSpec {
    /// A bridge of this name that is down, with the rest left to the kernel.
    #[must_use]
    pub fn new(name: InterfaceName) -> Self {
        Self { name, mac: None, mtu: None, link: LinkState::Down, options: BridgeOptions::default() }
    }

    setters! {
        /// Sets the MAC, for life.
        mac: Option<UnicastMac>;
        /// Sets the MTU, in bytes.
        mtu: Option<u32>;
        /// Makes it up or down from the start.
        link: LinkState;
        /// Sets the options.
        options: BridgeOptions;
    }

    /// What is to be set of a new bridge, which has the kernel's defaults.
    #[allow(dead_code, reason = "not every system has something to set")]
    pub(crate) fn host_ipv6(&self) -> Option<HostIpv6> {
        self.options.host_ipv6.filter(|&host_ipv6| host_ipv6 != HostIpv6::Kernel)
    }

    /// Refuses a bridge that a backend with these capabilities cannot create, before it tries.
    ///
    /// # Errors
    /// `InvalidName` for a name that only a kernel may report; `Unsupported` for an option.
    pub fn check(&self, at: Attempt, capabilities: Capabilities) -> Result<()> {
        self.name.check().map_err(|_| at.error(ErrorKind::InvalidName))?;
        self.options.check(at, capabilities)
    }
}
