//! Anti-spoofing: a port that may speak only with its guest's MAC.
//!
//! What the kernels do was read in `br_handle_frame_finish()` (`net/bridge/br_input.c`) and
//! `br_fdb_update()` (`br_fdb.c`) of Linux, and in `bridge_forward()` and `bridge_rtupdate()`
//! (`sys/net/if_bridge.c`) of FreeBSD.

use crate::port::{attach_and, former, unless_gone};
use crate::{
    Attempt, BridgeBackend, Capabilities, Capability, ErrorKind, FdbEntry, FdbOrigin, InterfaceName, Operation,
    PortOptions, Result, StaticEntry, UnicastMac,
};

/// What becomes of frames that come in through a restricted port under another MAC than its guest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Restriction {
    /// They are dropped: the port is [`locked`](PortOptions::locked). The bridge learns nothing
    /// from them, and neither another port nor the host by the bridge's interface gets them.
    ///
    /// What it does not prevent: frames to link-local groups (01:80:c2:00:00:0X) reach those
    /// services of the host that listen on the port itself, such as LLDP or 802.1X, under whatever
    /// MAC. What is inside a frame is not looked at: the guest can claim another's IP address.
    Locked,
    /// They come in and are forwarded, but nothing is learned from them: the guest cannot draw to
    /// itself what is meant for another MAC.
    ///
    /// What it does not prevent: the guest can *send* under any MAC, deceive who believes a
    /// frame's sender, and claim another's IP address. That takes a packet filter.
    NotLearned,
}

/// Restricts a port to its guest's MAC: all or nothing.
///
/// The port no longer learns; it no longer gets frames to unknown addresses where the backend can
/// do that ([`UnicastFlood`](Capability::UnicastFlood): they cannot be for its guest; multicast and
/// broadcast still reach it); it is locked where the backend can do that
/// ([`Locked`](Capability::Locked)). Then the guest's MAC becomes a static FDB entry of the port,
/// wherever it was learned before, and any other entry of the port is removed, learned or static: on a locked
/// port each would let its MAC in.
///
/// The port is locked before the entries change, so that at no moment frames come in that did not
/// before. After a failure, options and static entries are as they were (but for being sticky on Linux
/// from 4.20 on, as every entry is that this library makes); what had been learned is learned again.
///
/// The [`Restriction`] tells what is prevented now: who finds [`NotLearned`](Restriction::NotLearned)
/// too little must look at it.
///
/// What neither prevents: another port's sending under this MAC, which takes its being restricted,
/// too. The static entry stays where it is even then, but on Linux before 4.20, where it moves to
/// a port that learns. So restrict every port whose guest is not trusted.
///
/// On a Linux bridge with VLAN filtering the entry is made for each VLAN that the port has by now:
/// call this again when it has got another. On FreeBSD, from 15 on, it is for frames without a VLAN
/// alone: on a port that has VLANs, its PVID included, add an entry for each, or another port can draw
/// to itself what is meant for this MAC there.
///
/// # Errors
/// `Unsupported`, before anything is done, if the backend lacks
/// [`FdbList`](Capability::FdbList), [`FdbStatic`](Capability::FdbStatic) or
/// [`Learning`](Capability::Learning); also if the kernel is too old for what its backend can do:
/// the restriction is never weakened without a word. `EntryExists` if the MAC is static behind
/// another port, or the bridge's or a port's own. `NotFound`, `NotABridge`, `PortNotFound`,
/// `NotAPort`, `PermissionDenied`.
pub fn restrict_to_mac(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    mac: UnicastMac,
) -> Result<Restriction> {
    restrict_and(backend, bridge, port, mac, || Ok(()))
}

/// [`restrict_to_mac`], and what comes next; the port is what it was if that fails.
pub(crate) fn restrict_and(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    mac: UnicastMac,
    next: impl FnOnce() -> Result<()>,
) -> Result<Restriction> {
    let at = |operation| Attempt::new(backend.name(), operation).on(bridge).port(port);
    check_restriction(at(Operation::ChangePort), backend.capabilities())?;
    let before = crate::port(backend, bridge, port)?;
    let entries = backend.fdb(bridge)?;
    let taken = |entry: &FdbEntry| match entry.origin {
        FdbOrigin::Learned => false,
        FdbOrigin::Static => entry.port != port,
        _ => true,
    };
    if entries.iter().any(|entry| entry.mac == mac && taken(entry)) {
        return Err(at(Operation::ReplaceFdbEntry).error(ErrorKind::EntryExists));
    }

    let options = restricted(backend.capabilities(), true);
    backend.change_port(bridge, port, &options)?;
    let mut removed = Vec::new();
    let replaced = remove_others(backend, bridge, port, mac, &mut removed)
        // All or nothing by itself.
        .and_then(|()| backend.replace_fdb_entry(bridge, &StaticEntry::new(mac, port)));
    let has_entry = replaced.is_ok();
    replaced.and_then(|()| next()).map_err(|error| {
        let was_its_own = entries.iter().any(|entry| entry.mac == mac && entry.origin == FdbOrigin::Static);
        let taken_away =
            if has_entry && !was_its_own { backend.remove_fdb_entry(bridge, mac, None) } else { Ok(()) };
        let added = removed.iter().map(|entry| backend.add_fdb_entry(bridge, entry));
        // One that fails does not keep the others from being tried.
        let undone = added.fold(taken_away, Result::and);
        let undone = undone.and(backend.change_port(bridge, port, &former(&before.options, &options)));
        error.undone(unless_gone(undone), format_args!("a restricted port {port} of bridge {bridge}"))
    })?;
    Ok(if options.locked == Some(true) { Restriction::Locked } else { Restriction::NotLearned })
}

/// Makes an interface a port with these options and restricts it to its guest's MAC
/// ([`restrict_to_mac`]): all or nothing. Where both say something, the restriction counts.
///
/// If the interface is up, frames pass between its joining and its being restricted, since no
/// kernel does both at once: attach a guest's interface before the guest runs. What was learned
/// meanwhile is forgotten.
///
/// # Errors
/// Those of [`attach`](crate::attach) and of [`restrict_to_mac`]; `Unsupported` before anything is
/// done. Whatever fails, the port is released again.
pub fn attach_restricted(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    options: &PortOptions,
    mac: UnicastMac,
) -> Result<Restriction> {
    let at = Attempt::new(backend.name(), Operation::AddPort).on(bridge).port(port);
    check_restriction(at, backend.capabilities())?;
    attach_and(backend, bridge, port, options, || restrict_to_mac(backend, bridge, port, mac))
}

/// Lifts the restriction of a port to a MAC: all or nothing.
///
/// The port learns, gets frames to unknown addresses and is not locked, like one that was just
/// attached (what it was before it was restricted is not known); then its static entry is removed.
///
/// # Errors
/// `EntryNotFound` if this MAC is not static behind this port; `Unsupported`, `NotFound`,
/// `NotABridge`, `PortNotFound`, `NotAPort`, `PermissionDenied`.
pub fn lift_restriction(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    mac: UnicastMac,
) -> Result<()> {
    let at = |operation| Attempt::new(backend.name(), operation).on(bridge).port(port);
    check_restriction(at(Operation::ChangePort), backend.capabilities())?;
    let before = crate::port(backend, bridge, port)?;
    let is_own = |entry: &FdbEntry| entry.mac == mac && entry.port == port && entry.origin == FdbOrigin::Static;
    if !backend.fdb(bridge)?.iter().any(is_own) {
        return Err(at(Operation::RemoveFdbEntry).error(ErrorKind::EntryNotFound));
    }
    let options = restricted(backend.capabilities(), false);
    backend.change_port(bridge, port, &options)?;
    backend.remove_fdb_entry(bridge, mac, None).map_err(|error| {
        let undone = backend.change_port(bridge, port, &former(&before.options, &options));
        error.undone(unless_gone(undone), format_args!("port {port} of bridge {bridge}, no longer restricted,"))
    })
}

/// Refuses what cannot be restricted at all.
pub(crate) fn check_restriction(at: Attempt, capabilities: Capabilities) -> Result<()> {
    let needed = [Capability::FdbList, Capability::FdbStatic, Capability::Learning];
    match needed.into_iter().find(|&needed| !capabilities.contains(needed)) {
        Some(lacking) => Err(at.with(lacking).error(ErrorKind::Unsupported)),
        None => Ok(()),
    }
}

/// The options of a port that is restricted, or that no longer is.
fn restricted(capabilities: Capabilities, yes: bool) -> PortOptions {
    let all = PortOptions::default().learning(!yes).unicast_flood(!yes).locked(yes);
    all.iter().filter(|option| capabilities.contains(option.capability())).collect()
}

/// Removes the entries of a port but those of one MAC, and notes which of them were static.
fn remove_others(
    backend: &dyn BridgeBackend,
    bridge: InterfaceName,
    port: InterfaceName,
    mac: UnicastMac,
    removed: &mut Vec<StaticEntry>,
) -> Result<()> {
    // Read after the port stopped learning, so that nothing is missed.
    for FdbEntry { mac: other, vlan, origin, .. } in
        backend.fdb(bridge)?.into_iter().filter(|entry| entry.port == port && entry.mac != mac)
    {
        // No frame comes from a group's address.
        let Ok(other) = UnicastMac::new(other) else { continue };
        match origin {
            FdbOrigin::Local => continue,
            _ => match backend.remove_fdb_entry(bridge, other, vlan) {
                // It has aged out meanwhile.
                Err(error) if error.kind() == ErrorKind::EntryNotFound => continue,
                outcome => outcome?,
            },
        }
        if origin == FdbOrigin::Static {
            let entry = StaticEntry::new(other, port);
            removed.push(vlan.map_or(entry, |vlan| entry.vlan(vlan)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Undo;
    use crate::fake::{Fake, mac, name};

    const NEEDED: [Capability; 3] = [Capability::FdbList, Capability::FdbStatic, Capability::Learning];
    const LINUX: [Capability; 5] = [
        Capability::FdbList,
        Capability::FdbStatic,
        Capability::Learning,
        Capability::UnicastFlood,
        Capability::Locked,
    ];

    /// A host on which the port has said more than it should, and someone gave it another MAC.
    fn host() -> Fake {
        Fake::new(LINUX).with_entry("tap0", mac(8), FdbOrigin::Learned).with_entry(
            "tap0",
            mac(9),
            FdbOrigin::Static,
        )
    }

    fn restrict(host: &Fake) -> Result<Restriction> {
        restrict_to_mac(host, name("br0"), name("tap0"), mac(7))
    }

    #[test]
    fn locks_before_any_entry_changes() {
        let host = host();
        assert_eq!(restrict(&host).expect("it can be done"), Restriction::Locked);
        let log = host.log.lock().expect("one thread");
        assert_eq!(*log, ["change port", "remove entry", "remove entry", "replace entry"]);
        let state = host.state.lock().expect("one thread");
        let options = state.options[&name("tap0")];
        assert_eq!(
            (options.locked, options.learning, options.unicast_flood),
            (Some(true), Some(false), Some(false))
        );
        let entries: Vec<_> = state.fdb.iter().map(|entry| (entry.mac, entry.origin)).collect();
        assert_eq!(entries, [(mac(7).into(), FdbOrigin::Static)]);
    }

    #[test]
    fn says_what_it_cannot_prevent() {
        let host = Fake::new(NEEDED);
        assert_eq!(restrict(&host).expect("it can be done"), Restriction::NotLearned);
        let options = host.state.lock().expect("one thread").options[&name("tap0")];
        assert_eq!((options.locked, options.learning), (Some(false), Some(false)));
    }

    #[test]
    fn refuses_before_anything_is_done_what_a_backend_cannot_do() {
        for lacking in NEEDED {
            let host = Fake::new(LINUX.into_iter().filter(|&capability| capability != lacking));
            for error in [
                restrict(&host).err(),
                lift_restriction(&host, name("br0"), name("tap0"), mac(7)).err(),
                attach_restricted(&host, name("br0"), name("tap1"), &PortOptions::default(), mac(7)).err(),
            ] {
                let error = error.expect("it cannot");
                assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)));
            }
            assert!(host.log.lock().expect("one thread").is_empty());
        }
    }

    #[test]
    fn undoes_whatever_fails() {
        for fails_after in 0..4 {
            let host = host();
            let statics = || {
                let state = host.state.lock().expect("one thread").clone();
                let fdb = state.fdb.into_iter().filter(|entry| entry.origin == FdbOrigin::Static);
                (state.options, fdb.collect::<Vec<_>>())
            };
            let before = statics();
            *host.fails_after.lock().expect("one thread") = Some(fails_after);
            let error = restrict(&host).expect_err("a step fails");
            assert!(matches!(error.undo(), Undo::Done) || fails_after == 0, "{error}");
            assert_eq!(statics(), before, "after {fails_after}");
        }
    }

    #[test]
    fn attaches_all_or_nothing() {
        let attach = |host: &Fake| {
            attach_restricted(host, name("br0"), name("tap1"), &PortOptions::default().learning(true), mac(7))
        };
        for fails_after in 0..4 {
            let host = host();
            *host.fails_after.lock().expect("one thread") = Some(fails_after);
            attach(&host).expect_err("a step fails");
            assert_eq!(host.ports(name("br0")).expect("a bridge").len(), 1);
        }
        let host = host();
        assert_eq!(attach(&host).expect("it can be done"), Restriction::Locked);
        assert_eq!(crate::bridge_of(&host, name("tap1")).expect("it is a port"), name("br0"));
        assert_eq!(host.state.lock().expect("one thread").options[&name("tap1")].learning, Some(false));
    }

    #[test]
    fn leaves_what_is_anothers_alone() {
        for (port, origin) in [("tap1", FdbOrigin::Static), ("br0", FdbOrigin::Local), ("tap0", FdbOrigin::Local)]
        {
            let host = Fake::new(LINUX).with_entry(port, mac(7), origin);
            assert_eq!(restrict(&host).expect_err("it is taken").kind(), ErrorKind::EntryExists);
            let lifted = lift_restriction(&host, name("br0"), name("tap0"), mac(7));
            assert_eq!(lifted.expect_err("it is not its own").kind(), ErrorKind::EntryNotFound);
            assert!(host.log.lock().expect("one thread").is_empty());
        }
    }

    #[test]
    fn lifts_what_it_restricted() {
        for fails_after in [None, Some(0), Some(1)] {
            let host = Fake::new(LINUX);
            let before = host.state.lock().expect("one thread").clone();
            restrict(&host).expect("it can be done");
            let restricted = host.state.lock().expect("one thread").clone();
            *host.fails_after.lock().expect("one thread") = fails_after;
            let lifted = lift_restriction(&host, name("br0"), name("tap0"), mac(7));
            assert_eq!(lifted.is_ok(), fails_after.is_none());
            let after = host.state.lock().expect("one thread").clone();
            assert_eq!(after, if lifted.is_ok() { before } else { restricted });
        }
    }
}
