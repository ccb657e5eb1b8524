//! The part of the host itself in the IPv6 of a bridge.

use crate::words::words;

/// How far the host takes part in IPv6 on a bridge: the host does less with each variant.
///
/// A bridge is an interface of its host, and what a guest sends to all nodes reaches the host, too. A router
/// advertisement of a guest gives a host that accepts it an address, and a default route through the guest.
///
/// On Linux, systemd-udevd applies what `/etc/sysctl.d` says of a name to each new interface, also after it was created
/// here. No option of a bridge prevents that, and [`find`](crate::Bridges::find) shows it.
///
/// Only the kernel's own handling of router advertisements is set. dhcpcd, `NetworkManager` and systemd-networkd handle
/// them in user space: their configuration must leave the bridge alone.
///
/// A Linux bridge whose MTU falls below 1280 loses these settings, and has the kernel's defaults when the MTU rises
/// again. A bridge without an MTU of its own follows its ports: give it one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HostIpv6 {
    /// As the kernel has it for a new interface. Linux: the settings of `net.ipv6.conf.default`, with which a host
    /// that does not forward accepts router advertisements. FreeBSD: the bridge accepts them (`ACCEPT_RTADV`); a new one
    /// has [`Disabled`](Self::Disabled).
    ///
    /// For a bridge that carries the host's own uplink.
    Kernel,
    /// The host has its link-local address and those that it was given, and accepts no router advertisements.
    /// What it has accepted before stays until it expires. Linux: `accept_ra` and `autoconf` are 0.
    Manual,
    /// The host has no IPv6 on the bridge, and loses the addresses that it has. Guests reach one another all the same.
    /// Linux: `disable_ipv6` is 1, too.
    Disabled,
}

words! { HostIpv6: Kernel = "kernel", Manual = "manual", Disabled = "disabled" }
