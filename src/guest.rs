//! A guest's tap on a bridge.
//!
//! The tap's own MAC is that of the host's side, which the guest does not see. It is the guest's
//! with the first byte 0xfe ([`UnicastMac::host_side`]), as libvirt has it since 0.8.3: so no port
//! has a lower MAC than the bridge, which a bridge without a MAC of its own would take, and none
//! has its guest's, which the bridge would take for the host's own and not forward. That is why
//! the host shows `fe:16:3e:28:64:c2` for a guest that has `fa:16:3e:28:64:c2`.

use crate::port::{attach_and, change_and, unless_gone};
use crate::spoofing::{check_restriction, restrict_and};
use crate::{
    Attempt, BridgeBackend, Capability, ErrorKind, ExistingTap, InterfaceName, LinkState, Operation, PortOptions,
    Restriction, Result, Tap, TapChange, TapSpec, TapState, Undo, UnicastMac,
};

/// The user who owns what is nobody's.
const ROOT: u32 = 0;

/// What a guest is given on a bridge by [`plug`].
///
/// ```no_run
/// use vmbridge::{Guest, NativeBackend, PortOptions, TapSpec, plug};
///
/// let guest = Guest::new("52:54:00:ab:0c:01".parse()?)
///     .tap(TapSpec::new().name("vnet0".parse()?).vnet_hdr())
///     .options(PortOptions::default().isolated(true))
///     .restricted();
/// let plugged = plug(&NativeBackend::open()?, "virbr0".parse()?, &guest)?;
/// println!("{} has {} queue", plugged.tap.name(), plugged.tap.queues().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Guest {
    mac: UnicastMac,
    tap: TapSpec,
    options: PortOptions,
    is_restricted: bool,
    lifetime: TapLifetime,
}

/// How long a guest's tap stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TapLifetime {
    /// As long as its descriptors, where the backend has
    /// [`TapTransient`](crate::Capability::TapTransient).
    OfDescriptors,
    UntilDeleted,
}

impl Guest {
    /// A guest with this MAC, on a tap with a name of the kernel's choice.
    #[must_use]
    pub fn new(mac: UnicastMac) -> Self {
        let (options, lifetime) = (PortOptions::default(), TapLifetime::OfDescriptors);
        Self { mac, tap: TapSpec::new(), options, is_restricted: false, lifetime }
    }

    /// On this tap. A MAC that it has stands in the place of [`UnicastMac::host_side`], an MTU in
    /// that of the bridge's.
    ///
    /// One of several queues without an owner and a group is root's: Linux lets everyone open another
    /// queue of one that is nobody's (`tun_not_capable()`), and read and write its guest's frames.
    #[must_use]
    pub fn tap(mut self, tap: TapSpec) -> Self {
        self.tap = tap;
        self
    }

    /// With these options of the port.
    #[must_use]
    pub const fn options(mut self, options: PortOptions) -> Self {
        self.options = options;
        self
    }

    /// That may speak only with its MAC ([`restrict_to_mac`](crate::restrict_to_mac)).
    #[must_use]
    pub const fn restricted(mut self) -> Self {
        self.is_restricted = true;
        self
    }

    /// On a tap that stays when its descriptors are closed, until it is
    /// [deleted](BridgeBackend::delete_tap): for a hypervisor that is started later.
    ///
    /// Without an owner and a group it is root's: Linux lets everyone open one that is nobody's
    /// (`tun_not_capable()`). One that is adopted keeps its owner, and may be nobody's.
    #[must_use]
    pub const fn persistent(mut self) -> Self {
        self.lifetime = TapLifetime::UntilDeleted;
        self
    }
}

/// A guest's tap that is a port of a bridge, and up.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plugged {
    /// The tap, whose descriptors the hypervisor reads and writes.
    pub tap: Tap,
    /// What the port's restriction prevents, where one was asked for.
    pub restriction: Option<Restriction>,
}

/// Gives a guest a tap on a bridge: all or nothing.
///
/// The tap gets the MAC of the host's side and the bridge's MTU before it joins, since a bridge
/// may follow its ports; it joins, gets its options, is restricted, and goes up last, so that no
/// frame passes before. Only then it is persisted: until then, nothing is left if the process
/// dies (but on a backend without [`TapTransient`](crate::Capability::TapTransient)).
///
/// One that is adopted may be a port of this bridge already: so a call that a dying process left
/// half done is ended by the same call again.
///
/// # Errors
/// `Unsupported` for a part of the tap or an option, before anything is made; those of
/// [`create_tap`](BridgeBackend::create_tap), [`add_port`](BridgeBackend::add_port),
/// [`change_port`](BridgeBackend::change_port) and [`restrict_to_mac`](crate::restrict_to_mac).
/// Whatever fails, the tap is gone; one that was adopted is what it was before.
pub fn plug(backend: &dyn BridgeBackend, bridge: InterfaceName, guest: &Guest) -> Result<Plugged> {
    let at = Attempt::new(backend.name(), Operation::AddPort).on(bridge);
    guest.options.check(at, backend.capabilities())?;
    if guest.is_restricted {
        check_restriction(at, backend.capabilities())?;
    }
    let mtu = backend.find(bridge)?.ok_or_else(|| at.error(ErrorKind::NotFound))?.mtu;
    let mut spec = guest.tap.clone();
    spec.mac = spec.mac.or(Some(guest.mac.host_side()));
    spec.mtu = spec.mtu.or(Some(mtu));
    let ports = backend.ports(bridge)?;
    let (tap, before) = open_tap(backend, &spec, guest.lifetime)?;
    let name = tap.name();
    let was_port = before.as_ref().and_then(|before| ports.iter().find(|port| port.index == before.index));

    let finish = || {
        backend.change_tap(name, &TapChange::default().link(LinkState::Up))?;
        match guest.lifetime {
            TapLifetime::UntilDeleted => backend.persist_tap(&tap),
            TapLifetime::OfDescriptors => Ok(()),
        }
    };
    let next = || {
        if guest.is_restricted {
            return restrict_and(backend, bridge, name, guest.mac, finish).map(Some);
        }
        finish().map(|()| None)
    };
    let joined = match was_port {
        None => attach_and(backend, bridge, name, &guest.options, next),
        Some(port) => change_and(backend, bridge, port, &guest.options, next),
    };
    match (joined, before) {
        (Ok(restriction), _) => Ok(Plugged { tap, restriction }),
        (Err(error), None) => {
            // With the tap goes its port, whatever became of that.
            let gone = unplug(backend, tap);
            Err(error.undone(gone, format_args!("tap {name}")))
        }
        (Err(error), Some(before)) => {
            match (error.undo(), give_back(backend, tap, &spec, &before)) {
                // The port that could not be released is said already.
                (Undo::Failed { .. }, _) => Err(error),
                (_, outcome) => Err(error.undone(outcome, format_args!("a changed tap {name}"))),
            }
        }
    }
}

/// Closes a guest's tap and sees that it goes, persistent or not; a port leaves its bridge.
///
/// # Errors
/// Those of [`delete_tap`](BridgeBackend::delete_tap), but for `NotFound`: `TapBusy` where another
/// process has a descriptor of it, and the tap goes with that.
pub fn unplug(backend: &dyn BridgeBackend, tap: Tap) -> Result<()> {
    let index = tap.index();
    drop(tap);
    // It may have been renamed, and another's tap have its name by now.
    let Some(left) = backend.taps()?.into_iter().find(|state| state.index == index) else { return Ok(()) };
    match backend.delete_tap(left.name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Creates the tap of a guest, or adopts it, and tells what it was before in that case.
fn open_tap(
    backend: &dyn BridgeBackend,
    spec: &TapSpec,
    lifetime: TapLifetime,
) -> Result<(Tap, Option<TapState>)> {
    let mut new = spec.clone();
    new.existing = ExistingTap::Refuse;
    let is_nobodys = spec.owner.is_none() && spec.group.is_none();
    let can_be_owned = backend.capabilities().contains(Capability::TapOwner);
    // Who else may come to open it: one of a single queue that is open has none to spare.
    let can_be_opened = lifetime == TapLifetime::UntilDeleted || spec.queues.get() > 1;
    if is_nobodys && can_be_owned && can_be_opened {
        new.owner = Some(ROOT);
    }
    match backend.create_tap(&new) {
        Err(error) if error.kind() == ErrorKind::TapExists && spec.existing == ExistingTap::Adopt => {
            let there = backend.taps()?;
            let tap = backend.create_tap(spec)?;
            // By its index: it may have been asked for by an alternative name.
            match there.into_iter().find(|state| state.index == tap.index()) {
                Some(before) => Ok((tap, Some(before))),
                // It has gone meanwhile, and what it was is not that of the one that took its place.
                None => Err(Attempt::new(backend.name(), Operation::CreateTap)
                    .on(tap.name())
                    .error(ErrorKind::NotFound)),
            }
        }
        created => Ok((created?, None)),
    }
}

/// Closes a tap that was adopted by this spec, and takes it back to what it was.
fn give_back(backend: &dyn BridgeBackend, tap: Tap, spec: &TapSpec, before: &TapState) -> Result<()> {
    // First, since FreeBSD takes a tap down that is closed.
    drop(tap);
    let former = TapChange::default().mac(before.mac).mtu(before.mtu).link(before.link);
    let changed = unless_gone(backend.change_tap(before.name, &former));
    if before.vnet_hdr.is_none_or(|had| had == spec.vnet_hdr) {
        return changed;
    }
    // Whether it has headers is as it was last opened.
    let mut former = TapSpec::new().name(before.name).queues(spec.queues).adopt_existing();
    former.vnet_hdr = !spec.vnet_hdr;
    match backend.create_tap(&former) {
        // Someone has opened it since.
        Err(error) if error.kind() == ErrorKind::TapBusy => changed,
        reopened => changed.and(reopened.map(drop)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BridgeChange;
    use crate::fake::{Fake, mac, name};

    const CAPABILITIES: [Capability; 7] = [
        Capability::FdbList,
        Capability::FdbStatic,
        Capability::Learning,
        Capability::Isolated,
        Capability::Locked,
        Capability::Tap,
        Capability::TapOwner,
    ];

    fn guest() -> Guest {
        Guest::new(mac(7))
            .tap(TapSpec::new().name(name("vnet0")))
            .options(PortOptions::default().isolated(true))
            .restricted()
            .persistent()
    }

    fn plug_in(host: &Fake, guest: &Guest) -> Result<Plugged> {
        plug(host, name("br0"), guest)
    }

    #[test]
    fn is_ready_before_it_goes_up_and_persisted_last() {
        let host = Fake::new(CAPABILITIES);
        host.model.change(name("br0"), &BridgeChange::default().mtu(1400)).expect("it can be changed");
        let plugged = plug_in(&host, &guest()).expect("it can be plugged in");
        assert_eq!(plugged.restriction, Some(Restriction::Locked));
        let log = host.log.lock().expect("one thread").clone();
        assert_eq!(
            log,
            ["create tap", "add port", "change port", "change port", "replace entry", "change tap", "persist tap"]
        );
        let [tap] = &host.taps().expect("a list")[..] else { panic!("there is one tap") };
        assert_eq!((tap.mac, tap.mtu, tap.link), (mac(7).host_side().into(), 1400, LinkState::Up));
        assert_eq!(tap.owner, Some(ROOT));
        assert_eq!(crate::bridge_of(&host, tap.name).expect("it is a port"), name("br0"));

        unplug(&host, plugged.tap).expect("it can be unplugged");
        assert!(host.taps().expect("a list").is_empty());
    }

    #[test]
    fn leaves_nothing_whatever_fails() {
        let host = Fake::new(CAPABILITIES);
        let before = host.interfaces().expect("a list");
        for fails_after in 0..7 {
            *host.fails_after.lock().expect("one thread") = Some(fails_after);
            let error = plug_in(&host, &guest()).expect_err("a step fails");
            assert!(matches!(error.undo(), Undo::Done) || fails_after == 0, "after {fails_after}: {error}");
            assert_eq!(host.interfaces().expect("a list"), before, "after {fails_after}");
        }
    }

    #[test]
    fn gives_back_what_it_adopted() {
        let host = Fake::new(CAPABILITIES);
        let spec = TapSpec::new().name(name("vnet0")).mac(mac(3)).mtu(1300).vnet_hdr();
        let made = host.create_tap(&spec).expect("made");
        host.persist_tap(&made).expect("kept");
        drop(made);
        let before = host.taps().expect("a list");
        let guest = guest().tap(TapSpec::new().name(name("vnet0")).adopt_existing());
        // It tries to make a new one first.
        for fails_after in 2..8 {
            *host.fails_after.lock().expect("one thread") = Some(fails_after);
            let error = plug_in(&host, &guest).expect_err("a step fails");
            assert!(matches!(error.undo(), Undo::Done), "after {fails_after}: {error}");
            assert_eq!(host.taps().expect("a list"), before, "after {fails_after}");
            assert_eq!(host.ports(name("br0")).expect("a bridge").len(), 1, "after {fails_after}");
        }
        let plugged = plug_in(&host, &guest).expect("it can be plugged in");
        let [tap] = &host.taps().expect("a list")[..] else { panic!("there is one tap") };
        assert_eq!((tap.mac, tap.mtu), (mac(7).host_side().into(), 1500));
        drop(plugged);
    }

    /// What a process left that died half way through.
    #[test]
    fn takes_an_adopted_tap_that_is_a_port_already() {
        let host = Fake::new(CAPABILITIES);
        let made = host.create_tap(&TapSpec::new().name(name("vnet0")).mac(mac(3))).expect("made");
        host.persist_tap(&made).expect("kept");
        drop(made);
        host.add_port(name("br0"), name("vnet0")).expect("it can join");
        let options = PortOptions::default().isolated(false).learning(true).unicast_flood(true).locked(false);
        host.change_port(name("br0"), name("vnet0"), &options).expect("it is a port");
        let state = || {
            let options = host.ports(name("br0")).expect("a bridge").into_iter().map(|port| port.options);
            (host.taps().expect("a list"), options.collect::<Vec<_>>(), host.fdb(name("br0")).expect("a bridge"))
        };
        let before = state();
        let guest = guest().tap(TapSpec::new().name(name("vnet0")).adopt_existing());
        for fails_after in 0..7 {
            *host.fails_after.lock().expect("one thread") = Some(fails_after);
            plug_in(&host, &guest).expect_err("a step fails");
            assert_eq!(state(), before, "after {fails_after}");
        }
        let plugged = plug_in(&host, &guest).expect("it can be plugged in");
        let [tap] = &host.taps().expect("a list")[..] else { panic!("there is one tap") };
        assert_eq!((tap.mac, tap.owner, tap.link), (mac(7).host_side().into(), None, LinkState::Up));
        assert_eq!(host.ports(name("br0")).expect("a bridge").len(), 2);
        drop(plugged);
    }

    #[test]
    fn refuses_before_anything_is_made_what_a_backend_cannot_do() {
        for lacking in [Capability::Isolated, Capability::FdbStatic] {
            let host = Fake::new(CAPABILITIES.into_iter().filter(|&capability| capability != lacking));
            let error = plug_in(&host, &guest()).expect_err("it cannot");
            assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)));
            assert!(host.log.lock().expect("one thread").is_empty());
        }
        let host = Fake::new(CAPABILITIES);
        let error = plug(&host, name("br7"), &guest()).expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
