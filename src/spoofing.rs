//! Anti-spoofing: a port that may speak only with its guest's MAC.
//!
//! What the kernels do was read in `br_handle_frame_finish()` (`net/bridge/br_input.c`) and
//! `br_fdb_update()` (`br_fdb.c`) of Linux, and in `bridge_forward()` and `bridge_rtupdate()`
//! (`sys/net/if_bridge.c`) of FreeBSD.

use crate::{
    Attempt, Backend, Bridges, Capabilities, Capability, ErrorKind, FdbEntry, FdbOrigin, Identity, Operation,
    PortOptions, Result, StaticEntry, Step, Target, Transaction, UnicastMac, VlanId,
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
/// A later call for the same port replaces the MAC. Of two calls at once, that of the lower MAC counts as the later one:
/// both succeed, and only that MAC may speak. A static entry that another process adds meanwhile counts as such a call.
///
/// The [`Restriction`] tells what is prevented now: who finds [`NotLearned`](Restriction::NotLearned)
/// too little must look at it.
///
/// What neither prevents: another port's sending under this MAC, which takes its being restricted,
/// too. The static entry stays where it is even then, but on Linux before 4.20, where it moves to
/// a port that learns. So restrict every port whose guest is not trusted.
///
/// On Linux, a process that holds the descriptor of another port's tap can remove the entry: no privilege is needed to give that
/// tap this MAC. The guest is cut off then. A policy for the ioctls of the hypervisor prevents that, such as one of seccomp;
/// giving up capabilities does not. [`restricted_ports`](crate::restricted_ports) finds such a port, and
/// [`RestrictedPort::restore`](crate::RestrictedPort::restore) restores the entry.
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
pub fn restrict_to_mac<B: Backend + ?Sized>(
    backend: &B,
    bridge: impl Into<Target>,
    port: impl Into<Target>,
    mac: UnicastMac,
) -> Result<Restriction> {
    let (bridge, port) = (bridge.into(), port.into());
    let [bridge, port] = identities(backend, bridge, port)?;
    Transaction::of(backend, |steps| restrict(steps, bridge, port, &PortOptions::default(), mac))
}

/// Gives a port these options and restricts it, in one change of its options.
pub(crate) fn restrict<B: Backend + ?Sized>(
    steps: &mut Transaction<'_, B>,
    bridge: Identity,
    port: Identity,
    options: &PortOptions,
    mac: UnicastMac,
) -> Result<Restriction> {
    let backend = steps.backend();
    let before = backend.fdb(bridge)?;
    refuse_taken(backend, bridge, port, mac, &before)?;
    let restricted = restricted(backend.implemented(), true);
    let mut options = *options;
    options.extend(restricted.iter());
    steps.run(Step::change_port(bridge, port, options))?;
    for (other, entry) in entries_of(port, &before).filter(|(other, _)| *other != mac) {
        forget(steps, bridge, other, entry.vlan)?;
    }
    steps.run(Step::replace_fdb_entry(bridge, StaticEntry::new(mac, port)))?;
    // The port may have learned addresses until it was changed, and another process may restrict it, too. Both read
    // what there is after they have set their entries. So both choose the same, unless one has removed this one.
    let now = backend.fdb(bridge)?;
    let is_static = |entry: &FdbEntry| entry.origin == FdbOrigin::Static;
    let allowed = || entries_of(port, &now).filter(|(_, entry)| is_static(entry)).map(|(mac, _)| mac);
    let chosen = if allowed().any(|other| other == mac) { allowed().min() } else { None };
    for (other, entry) in entries_of(port, &now) {
        if !is_static(entry) || chosen.is_some_and(|chosen| chosen != other) {
            forget(steps, bridge, other, entry.vlan)?;
        }
    }
    Ok(if restricted.locked == Some(true) { Restriction::Locked } else { Restriction::NotLearned })
}

/// The entries of a port, except its own address. No frame comes from a group's address.
fn entries_of(port: Identity, entries: &[FdbEntry]) -> impl Iterator<Item = (UnicastMac, &FdbEntry)> {
    let is_its = move |entry: &&FdbEntry| entry.port_identity == Some(port) && entry.origin != FdbOrigin::Local;
    entries.iter().filter(is_its).filter_map(|entry| Some((UnicastMac::new(entry.mac).ok()?, entry)))
}

/// Removes an entry, unless it has aged out or another process has removed it.
fn forget<B: Backend + ?Sized>(
    steps: &mut Transaction<'_, B>,
    bridge: Identity,
    mac: UnicastMac,
    vlan: Option<VlanId>,
) -> Result<()> {
    match steps.run(Step::remove_fdb_entry(bridge, mac, vlan)) {
        Err(error) if error.kind() == ErrorKind::EntryNotFound => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Refuses a MAC that is static behind another port, or an interface's own.
fn refuse_taken<B: Backend + ?Sized>(
    backend: &B,
    bridge: Identity,
    port: Identity,
    mac: UnicastMac,
    entries: &[FdbEntry],
) -> Result<()> {
    let is_taken = |entry: &FdbEntry| match entry.origin {
        FdbOrigin::Learned => false,
        FdbOrigin::Static => entry.port_identity != Some(port),
        _ => true,
    };
    if entries.iter().any(|entry| entry.mac == mac && is_taken(entry)) {
        let at = Attempt::new(backend.name(), Operation::ReplaceFdbEntry).on(bridge).port(port);
        return Err(at.error(ErrorKind::EntryExists));
    }
    Ok(())
}

/// Checks the backend, and returns the bridge and the port that are meant from here on, whatever has their names
/// later.
fn identities<B: Backend + ?Sized>(backend: &B, bridge: Target, port: Target) -> Result<[Identity; 2]> {
    let at = Attempt::new(backend.name(), Operation::ChangePort).on(bridge).port(port);
    check(backend, at)?;
    let bridge = backend.find(bridge)?.ok_or_else(|| at.error(ErrorKind::NotFound))?.identity();
    let port = backend.port(port).map_err(|error| match error.kind() {
        kind @ (ErrorKind::PortNotFound | ErrorKind::NotAPort) => at.error(kind),
        _ => error,
    })?;
    if port.bridge == Some(bridge) { Ok([bridge, port.identity()]) } else { Err(at.error(ErrorKind::NotAPort)) }
}

/// Makes an interface a port with these options and restricts it to its guest's MAC
/// ([`restrict_to_mac`]): all or nothing. Where both say something, the restriction counts.
///
/// If the interface is up, frames pass between its joining and its being restricted, since no
/// kernel does both at once: attach a guest's interface before the guest runs. What was learned
/// meanwhile is forgotten.
///
/// If the process dies before that, the port is left unrestricted. Call this again: a port that the bridge already
/// has is restricted, and stays if that fails.
///
/// # Errors
/// Those of [`attach`](crate::attach) and of [`restrict_to_mac`]; `Unsupported` before anything is
/// done. Whatever fails, a port that joined is released again.
pub fn attach_restricted<B: Backend + ?Sized>(
    backend: &B,
    bridge: impl Into<Target>,
    port: impl Into<Target>,
    options: &PortOptions,
    mac: UnicastMac,
) -> Result<Restriction> {
    let (bridge, port) = (bridge.into(), port.into());
    let at = Attempt::new(backend.name(), Operation::AddPort).on(bridge).port(port);
    check(backend, at)?;
    options.check(at, backend.implemented())?;
    Transaction::of(backend, |steps| {
        let [bridge, port] = match steps.run(Step::add_port(bridge, port)) {
            Ok(joined) => [joined.interface, joined.port.unwrap_or(joined.interface)],
            // A process may have died before it restricted the port.
            Err(error) if error.kind() == ErrorKind::AlreadyPort => identities(backend, bridge, port)?,
            Err(error) => return Err(error),
        };
        restrict(steps, bridge, port, options, mac)
    })
}

/// Lifts the restriction of a port to a MAC: all or nothing.
///
/// The port learns, gets frames to unknown addresses and is not locked, like one that was just
/// attached (what it was before it was restricted is not known); then its static entry is removed.
///
/// # Errors
/// `EntryNotFound` if this MAC is not static behind this port; `Unsupported`, `NotFound`,
/// `NotABridge`, `PortNotFound`, `NotAPort`, `PermissionDenied`.
pub fn lift_restriction<B: Backend + ?Sized>(
    backend: &B,
    bridge: impl Into<Target>,
    port: impl Into<Target>,
    mac: UnicastMac,
) -> Result<()> {
    let (bridge, port) = (bridge.into(), port.into());
    let [bridge, port] = identities(backend, bridge, port)?;
    let is_own = |entry: &FdbEntry| {
        entry.mac == mac && entry.port_identity == Some(port) && entry.origin == FdbOrigin::Static
    };
    if !backend.fdb(bridge)?.iter().any(is_own) {
        let at = Attempt::new(backend.name(), Operation::RemoveFdbEntry).on(bridge).port(port);
        return Err(at.error(ErrorKind::EntryNotFound));
    }
    Transaction::of(backend, |steps| {
        let options = restricted(backend.implemented(), false);
        steps.run(Step::change_port(bridge, port, options))?;
        steps.run(Step::remove_fdb_entry(bridge, mac, None)).map(drop)
    })
}

/// Refuses what cannot be restricted at all.
pub(crate) fn check<B: Backend + ?Sized>(backend: &B, at: Attempt) -> Result<()> {
    let needed = [Capability::FdbList, Capability::FdbStatic, Capability::Learning];
    match needed.into_iter().find(|&needed| !backend.implemented().contains(needed)) {
        Some(lacking) => Err(at.with(lacking).error(ErrorKind::Unsupported)),
        None => Ok(()),
    }
}

/// The options of a port that is restricted, or that no longer is.
pub(crate) fn restricted(capabilities: Capabilities, yes: bool) -> PortOptions {
    let all = PortOptions::default().learning(!yes).unicast_flood(!yes).locked(yes);
    all.iter().filter(|option| capabilities.contains(option.capability())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use crate::model::Model;
    use crate::testing::{
        Host, Moment, assert_all_or_nothing, host, host_with, host_without, is_rolled_back, mac, name, snapshot,
    };
    use crate::{BridgeSpec, InterfaceName, MacAddr, PortState};

    const NEEDED: [Capability; 3] = [Capability::FdbList, Capability::FdbStatic, Capability::Learning];

    /// A host on which the port has said more than it should, and someone gave it another MAC.
    fn talkative() -> Host {
        let host = host();
        host.inner().learn(name("br0"), name("tap0"), mac(8), None).expect("it is a port");
        let entry = StaticEntry::new(mac(9), name("tap0"));
        host.inner().add_fdb_entry(name("br0"), &entry).expect("the MAC is nowhere else");
        host
    }

    fn restrict(host: &Host) -> Result<Restriction> {
        restrict_to_mac(host, name("br0"), name("tap0"), mac(7))
    }

    fn attach(host: &Host) -> Result<Restriction> {
        attach_restricted(host, name("br0"), name("tap1"), &PortOptions::default().learning(true), mac(7))
    }

    fn port(host: &Host, port: &str) -> PortState {
        host.port(name(port)).expect("it is a port")
    }

    /// The entries of a bridge that are not its own or its ports' addresses.
    fn entries(host: &Host, bridge: &str) -> Vec<(MacAddr, Option<VlanId>, FdbOrigin)> {
        let entries = host.fdb(name(bridge)).expect("it is there").into_iter();
        let others = entries.filter(|entry| entry.origin != FdbOrigin::Local);
        others.map(|entry| (entry.mac, entry.vlan, entry.origin)).collect()
    }

    #[test]
    fn locks_before_any_entry_changes() {
        let host = talkative();
        assert_eq!(restrict(&host).expect("it can be done"), Restriction::Locked);
        assert_eq!(
            host.take_log(),
            [
                Operation::ChangePort,
                Operation::RemoveFdbEntry,
                Operation::RemoveFdbEntry,
                Operation::ReplaceFdbEntry
            ]
        );
        let options = port(&host, "tap0").options;
        assert_eq!(
            (options.locked, options.learning, options.unicast_flood),
            (Some(true), Some(false), Some(false))
        );
        let of_guest = |vlan| (mac(7).into(), vlan, FdbOrigin::Static);
        assert_eq!(entries(&host, "br0"), [of_guest(None), of_guest(Some(VlanId::MIN))]);
    }

    #[test]
    fn says_what_it_cannot_prevent() {
        let host = host_with(&NEEDED);
        assert_eq!(restrict(&host).expect("it can be done"), Restriction::NotLearned);
        let options = port(&host, "tap0").options;
        assert_eq!((options.locked, options.learning), (Some(false), Some(false)));
    }

    #[test]
    fn refuses_before_anything_is_done_what_a_backend_cannot_do() {
        for lacking in NEEDED {
            let host = host_without(lacking);
            for error in [
                restrict(&host).err(),
                lift_restriction(&host, name("br0"), name("tap0"), mac(7)).err(),
                attach(&host).err(),
            ] {
                let error = error.expect("it cannot");
                assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)));
            }
            assert!(host.take_log().is_empty());
        }
    }

    #[test]
    fn rolls_back_whatever_fails() {
        assert_eq!(assert_all_or_nothing(talkative, restrict), 4);
        // The MAC has moved, and was learned behind another port.
        let moved = || {
            let host = talkative();
            host.inner().add_port(name("br0"), name("tap1")).expect("it can join");
            host.inner().learn(name("br0"), name("tap1"), mac(7), None).expect("it is a port");
            host
        };
        assert_eq!(assert_all_or_nothing(moved, restrict), 4);
    }

    #[test]
    fn attaches_all_or_nothing() {
        assert_eq!(assert_all_or_nothing(talkative, attach), 3);
        let host = talkative();
        assert_eq!(attach(&host).expect("it can be done"), Restriction::Locked);
        let port = port(&host, "tap1");
        assert_eq!(port.bridge.expect("a bridge").name(), name("br0"));
        assert_eq!(port.options.learning, Some(false));
    }

    /// Whatever the order in which two processes set their entries and look at them.
    #[test]
    fn of_two_restrictions_at_once_one_holds() {
        for (own, other) in [(7, 6), (7, 8)] {
            for at in Moment::of_steps(0..2) {
                let host = host();
                let restrict_other = move |host: &Model| {
                    restrict_to_mac(host, name("br0"), name("tap0"), mac(other)).expect("it can be done");
                };
                at.act(&host, restrict_other);
                restrict_to_mac(&host, name("br0"), name("tap0"), mac(own)).expect("it can be done");
                let mut allowed: Vec<_> = entries(&host, "br0").into_iter().map(|(mac, ..)| mac).collect();
                allowed.sort_unstable();
                allowed.dedup();
                assert_eq!(allowed.len(), 1, "{own} and {other} at {at:?}: {allowed:?}");
            }
        }
    }

    /// Another interface has its name then.
    fn rename_port(host: &Model) {
        host.rename_interface(name("tap1"), name("vnet9")).expect("the name is free");
        host.add_interface(name("tap1"), mac(0xf2)).expect("the name is free");
    }

    fn names_of_ports(host: &Host) -> Vec<InterfaceName> {
        host.ports(name("br0")).expect("it is there").iter().map(|port| port.name).collect()
    }

    #[test]
    fn a_port_that_is_renamed_meanwhile_is_the_same_port() {
        for at in Moment::of_steps(0..3) {
            let host = host();
            at.act(&host, rename_port);
            assert_eq!(attach(&host).expect("it is there"), Restriction::Locked, "at {at:?}");
            assert_eq!(names_of_ports(&host), [name("tap0"), name("vnet9")], "at {at:?}");
            assert_eq!(port(&host, "vnet9").options.locked, Some(true));
            assert_eq!(entries(&host, "br0").len(), 2);
        }
    }

    #[test]
    fn a_port_that_is_renamed_before_a_step_fails_does_not_stay() {
        for fault in [Fault::Refused, Fault::FailedAfter] {
            for at in Moment::of_steps(0..3) {
                let host = host();
                at.act(&host, rename_port);
                host.fail(2, fault);
                let error = attach(&host).expect_err("the last step fails");
                assert!(!host.cancel());
                assert!(is_rolled_back(&error), "{fault:?} at {at:?}: {error}");
                assert_eq!(names_of_ports(&host), [name("tap0")], "{fault:?} at {at:?}");
                assert!(entries(&host, "br0").is_empty());
            }
        }
    }

    /// A host with a second bridge.
    fn host_with_br1() -> Host {
        let host = host();
        host.inner().create(&BridgeSpec::new(name("br1")).mac(mac(0xfe))).expect("the name is free");
        host
    }

    fn move_port(host: &Model) {
        host.remove_port(name("br0"), name("tap1")).expect("it is a port");
        host.add_port(name("br1"), name("tap1")).expect("it can join");
    }

    #[test]
    fn a_port_that_moves_to_another_bridge_is_not_restricted_there() {
        for at in [Moment::After(0), Moment::Before(1), Moment::After(1), Moment::Before(2)] {
            let host = host_with_br1();
            at.act(&host, move_port);
            let error = attach(&host).expect_err("it is a port of another bridge");
            assert_eq!(error.kind(), ErrorKind::NotAPort, "at {at:?}: {error}");
            assert!(is_rolled_back(&error), "at {at:?}: {error}");
            let moved = port(&host, "tap1");
            assert_eq!(moved.bridge.expect("a bridge").name(), name("br1"));
            assert_eq!(moved.options, port(&host, "tap0").options, "those of a new port, at {at:?}");
            assert!(entries(&host, "br0").is_empty() && entries(&host, "br1").is_empty());
        }
    }

    /// The kernel locks a port by its index, whatever bridge it is a port of by then.
    #[test]
    fn a_port_that_is_locked_on_another_bridge_is_unlocked_there() {
        let host = host_with_br1();
        host.fail(1, Fault::FailedAfter);
        host.act_after(1, |host| {
            move_port(host);
            let locked = restricted(host.capabilities(), true);
            host.change_port(name("br1"), name("tap1"), &locked).expect("it is a port");
        });
        let error = attach(&host).expect_err("a step fails");
        assert!(is_rolled_back(&error), "{error}");
        assert_eq!(port(&host, "tap1").options, port(&host, "tap0").options);
    }

    #[test]
    fn leaves_what_is_anothers_alone() {
        // Static behind another port, the bridge's own, the port's own.
        for taken in [mac(7), mac(0xff), mac(0xf0)] {
            let host = host();
            host.inner().add_port(name("br0"), name("tap1")).expect("it can join");
            let entry = StaticEntry::new(mac(7), name("tap1"));
            host.inner().add_fdb_entry(name("br0"), &entry).expect("the MAC is nowhere else");
            let before = snapshot(&host);
            let error = restrict_to_mac(&host, name("br0"), name("tap0"), taken).expect_err("it is taken");
            assert_eq!(error.kind(), ErrorKind::EntryExists);
            let error = lift_restriction(&host, name("br0"), name("tap0"), taken).expect_err("not its own");
            assert_eq!(error.kind(), ErrorKind::EntryNotFound);
            assert!(host.take_log().is_empty());
            assert_eq!(snapshot(&host), before);
        }
    }

    #[test]
    fn lifts_what_it_restricted() {
        let restricted = || {
            let host = host();
            restrict(&host).expect("it can be done");
            host
        };
        let lift = |host: &Host| lift_restriction(host, name("br0"), name("tap0"), mac(7));
        assert_eq!(assert_all_or_nothing(restricted, lift), 2);
        let host = restricted();
        lift(&host).expect("it is restricted");
        assert_eq!(snapshot(&host), snapshot(&self::host()));
    }
}
