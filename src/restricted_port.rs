//! Restricted ports that have lost the static entry of their guest.
//!
//! A process that holds the descriptor of a Linux tap may give the tap any MAC: `SIOCSIFHWADDR` on the tun device asks for no
//! privilege (`__tun_chr_ioctl()`, `drivers/net/tun.c`). If the MAC is another guest's, the bridge deletes that guest's
//! static entry in favour of the tap's own address, and does not restore the entry when the tap gets another MAC
//! (`fdb_add_local()` and `fdb_delete_local()`, `net/bridge/br_fdb.c`; seen on 6.18).

use std::collections::BTreeSet;

use crate::spoofing::{check, restricted};
use crate::{
    Attempt, Backend, Bridges, ErrorKind, FdbEntry, FdbOrigin, Identity, Operation, PortState, Result,
    StaticEntry, Step, Target, Transaction, UnicastMac,
};

/// A port that has the options of a port [restricted](crate::restrict_to_mac) to a MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestrictedPort {
    /// Its bridge.
    pub bridge: Identity,
    /// The port.
    pub port: Identity,
    /// The MACs that are static behind it: one, unless another program has added some.
    ///
    /// If there is none, the port has lost it: the port gets no frames that are not multicast or broadcast, and if it
    /// is [locked](crate::PortOptions::locked), all frames that come in are dropped.
    pub macs: Vec<UnicastMac>,
    /// The MAC that it has lost, if the entries of its VLANs still tell.
    pub lost: Option<UnicastMac>,
}

/// Returns the restricted ports of a bridge.
///
/// A port that another program has locked, and that neither learns nor gets frames to unknown addresses, is one of
/// them, such as a port whose guest has yet to authenticate itself (802.1X).
///
/// # Errors
/// `Unsupported` where no port can be restricted; `NotFound`, `NotABridge`, `ListChanged`.
pub fn restricted_ports<B: Backend + ?Sized>(
    backend: &B,
    bridge: impl Into<Target>,
) -> Result<Vec<RestrictedPort>> {
    let bridge = bridge.into();
    let at = Attempt::new(backend.name(), Operation::Ports).on(bridge);
    check(backend, at)?;
    let bridge = backend.find(bridge)?.ok_or_else(|| at.error(ErrorKind::NotFound))?.identity();
    let options = restricted(backend.implemented(), true);
    let is_restricted =
        |port: &PortState| options.iter().all(|option| port.options.iter().any(|has| has == option));
    let ports: Vec<_> =
        backend.ports(bridge)?.iter().filter(|port| is_restricted(port)).map(PortState::identity).collect();
    // Most bridges have none.
    let entries = if ports.is_empty() { Vec::new() } else { backend.fdb(bridge)? };
    Ok(ports.into_iter().map(|port| RestrictedPort::new(bridge, port, &entries)).collect())
}

impl RestrictedPort {
    fn new(bridge: Identity, port: Identity, entries: &[FdbEntry]) -> Self {
        let is_own = |entry: &&FdbEntry| entry.origin == FdbOrigin::Static && entry.port_identity == Some(port);
        let own = |in_vlan| {
            let entries = entries.iter().filter(is_own).filter(move |entry| entry.vlan.is_some() == in_vlan);
            entries.filter_map(|entry| UnicastMac::new(entry.mac).ok()).collect::<BTreeSet<_>>()
        };
        let (macs, in_vlans) = (Vec::from_iter(own(false)), own(true));
        let lost = in_vlans.first().copied().filter(|_| macs.is_empty() && in_vlans.len() == 1);
        Self { bridge, port, macs, lost }
    }

    /// Makes these MACs static behind a port that has lost its static entry: all or nothing. Returns whether it did:
    /// not if the port is no longer restricted, or has an entry again.
    ///
    /// If another port has taken such a MAC for its own, it keeps the MAC, but the entry counts. When that port takes
    /// the MAC once more, the entry is lost again.
    ///
    /// # Errors
    /// `EntryExists` if a MAC is static behind another port, the bridge's, or the port's own; `Unsupported`,
    /// `NotFound`, `NotAPort`, `ListChanged`, `PermissionDenied`.
    pub fn restore<B: Backend + ?Sized>(&self, backend: &B, macs: &[UnicastMac]) -> Result<bool> {
        let now = restricted_ports(backend, self.bridge)?;
        if !now.iter().any(|now| now.port == self.port && now.macs.is_empty()) {
            return Ok(false);
        }
        let is_taken = |entry: &FdbEntry| match entry.origin {
            FdbOrigin::Learned => false,
            FdbOrigin::Static => entry.port_identity != Some(self.port),
            _ => [self.port, self.bridge].map(Some).contains(&entry.port_identity),
        };
        let entries = backend.fdb(self.bridge)?;
        if entries.iter().any(|entry| macs.iter().any(|&mac| entry.mac == mac) && is_taken(entry)) {
            let at = Attempt::new(backend.name(), Operation::ReplaceFdbEntry).on(self.bridge).port(self.port);
            return Err(at.error(ErrorKind::EntryExists));
        }
        let step = |&mac| Step::replace_fdb_entry(self.bridge, StaticEntry::new(mac, self.port));
        Transaction::of(backend, |steps| macs.iter().try_for_each(|mac| steps.run(step(mac)).map(drop)))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Host, assert_all_or_nothing, host, host_without, mac, name};
    use crate::{Capability, PortOptions, lift_restriction, restrict_to_mac};

    /// A host on which `tap0` was restricted to MAC 7.
    fn guarded() -> Host {
        let host = host();
        restrict_to_mac(host.inner(), name("br0"), name("tap0"), mac(7)).expect("it can be done");
        host
    }

    /// The same after the entry has gone.
    fn robbed() -> Host {
        let host = guarded();
        host.inner().remove_fdb_entry(name("br0"), mac(7), None).expect("it is there");
        host
    }

    fn ports(host: &Host) -> Vec<RestrictedPort> {
        restricted_ports(host, name("br0")).expect("it can be read")
    }

    fn only(host: &Host) -> RestrictedPort {
        let [port] = &ports(host)[..] else { panic!("one port is restricted") };
        port.clone()
    }

    #[test]
    fn finds_what_is_restricted_and_nothing_else() {
        let host = guarded();
        host.inner().add_port(name("br0"), name("tap1")).expect("it can join");
        let options = PortOptions::default().learning(false);
        host.inner().change_port(name("br0"), name("tap1"), &options).expect("it is a port");
        let port = only(&host);
        assert_eq!((port.port.name(), &port.macs[..], port.lost), (name("tap0"), &[mac(7)][..], None));
        lift_restriction(host.inner(), name("br0"), name("tap0"), mac(7)).expect("it is restricted");
        assert_eq!(ports(&host), []);
        for lacking in [Capability::FdbList, Capability::FdbStatic, Capability::Learning] {
            let error = restricted_ports(&host_without(lacking), name("br0")).expect_err("it cannot");
            assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)));
        }
    }

    #[test]
    fn restores_a_lost_entry_once() {
        let before = crate::testing::snapshot(&guarded());
        let restore = |host: &Host| only(host).restore(host, &[mac(7)]);
        assert_eq!(assert_all_or_nothing(robbed, restore), 1);
        let host = robbed();
        assert!(only(&host).macs.is_empty());
        assert_eq!(restore(&host).ok(), Some(true));
        assert_eq!(crate::testing::snapshot(&host), before);
        assert_eq!(restore(&host).ok(), Some(false), "it is there");
        let port = only(&host);
        host.inner().remove_fdb_entry(name("br0"), mac(7), None).expect("it is there");
        host.inner()
            .change_port(name("br0"), name("tap0"), &PortOptions::default().learning(true))
            .expect("it is a port");
        assert_eq!(port.restore(&host, &[mac(7)]).ok(), Some(false), "it is not restricted");
    }

    #[test]
    fn the_entries_of_vlans_tell_what_was_lost() {
        let host = robbed();
        let of_vlan = |mac| StaticEntry::new(mac, name("tap0")).vlan(crate::VlanId::MIN);
        host.inner().add_fdb_entry(name("br0"), &of_vlan(mac(7))).expect("nobody has it");
        assert_eq!(only(&host).lost, Some(mac(7)));
        host.inner().add_fdb_entry(name("br0"), &of_vlan(mac(8))).expect("nobody has it");
        assert_eq!(only(&host).lost, None, "which one it was is not known");
    }

    #[test]
    fn leaves_what_is_anothers_alone() {
        let host = robbed();
        host.inner().add_port(name("br0"), name("tap1")).expect("it can join");
        host.inner().add_fdb_entry(name("br0"), &StaticEntry::new(mac(9), name("tap1"))).expect("nobody has it");
        // Static behind another port, the bridge's own, the port's own.
        for taken in [mac(9), mac(0xff), mac(0xf0)] {
            let error = only(&host).restore(&host, &[taken]).expect_err("it is taken");
            assert_eq!(error.kind(), ErrorKind::EntryExists);
        }
        assert!(host.take_log().is_empty());
        // The own address of another port: that port has taken it.
        assert_eq!(only(&host).restore(&host, &[mac(0xf1)]).ok(), Some(true));
    }
}
