//! A guest's tap on a bridge.
//!
//! The tap's own MAC is that of the host's side, which the guest does not see. It is the guest's
//! with the first byte 0xfe ([`UnicastMac::host_side`]), as libvirt has it since 0.8.3: so no port
//! has a lower MAC than the bridge, which a bridge without a MAC of its own would take, and none
//! has its guest's, which the bridge would take for the host's own and not forward. That is why
//! the host shows `fe:16:3e:28:64:c2` for a guest that has `fa:16:3e:28:64:c2`.

use crate::port::join_unless_joined;
use crate::spoofing::{self, restrict};
use crate::{
    Attempt, Backend, Bridges, Capability, ErrorKind, ExistingTap, Identity, LinkState, Operation, PortOptions,
    Restriction, Result, Step, Tap, TapChange, TapSpec, Target, Transaction, UnicastMac,
};

/// The user who owns what is nobody's.
pub(crate) const ROOT: u32 = 0;

/// What a guest is given on a bridge by [`plug`].
///
/// ```no_run
/// use vmbridge::{Guest, InterfaceName, NativeBackend, PortOptions, TapSpec, VnetHeader, plug};
///
/// let guest = Guest::new("52:54:00:ab:0c:01".parse()?)
///     .tap(TapSpec::new().name("vnet0".parse()?).vnet_hdr(VnetHeader::Legacy))
///     .options(PortOptions::default().isolated(true))
///     .restricted();
/// let bridge: InterfaceName = "virbr0".parse()?;
/// let plugged = plug(&NativeBackend::open()?, bridge, &guest)?;
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
    /// [deleted](Bridges::delete_tap): for a hypervisor that is started later.
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
/// [`create_tap`](Bridges::create_tap), [`add_port`](Bridges::add_port),
/// [`change_port`](Bridges::change_port) and [`restrict_to_mac`](crate::restrict_to_mac).
/// Whatever fails, the tap is gone; one that was adopted is what it was before.
pub fn plug<B: Backend + ?Sized>(backend: &B, bridge: impl Into<Target>, guest: &Guest) -> Result<Plugged> {
    let bridge = bridge.into();
    let at = Attempt::new(backend.name(), Operation::AddPort).on(bridge);
    guest.options.check(at, backend.implemented())?;
    if guest.is_restricted {
        spoofing::check(backend, at)?;
    }
    let bridge = backend.find(bridge)?.ok_or_else(|| at.error(ErrorKind::NotFound))?;
    let mut spec = guest.tap.clone();
    spec.mac = spec.mac.or(Some(guest.mac.host_side()));
    spec.mtu = spec.mtu.or(Some(bridge.mtu));
    let mut steps = Transaction::new(backend);
    match set_up(&mut steps, bridge.identity(), guest, spec) {
        Ok(restriction) => {
            let tap = steps.commit().pop().ok_or_else(|| at.error(ErrorKind::NotFound))?;
            Ok(Plugged { tap, restriction })
        }
        Err(error) => Err(steps.roll_back(error)),
    }
}

/// Sets a guest's tap up, step by step.
fn set_up<B: Backend + ?Sized>(
    steps: &mut Transaction<'_, B>,
    bridge: Identity,
    guest: &Guest,
    spec: TapSpec,
) -> Result<Option<Restriction>> {
    let tap = open_tap(steps, spec, guest.lifetime)?;
    join_unless_joined(steps, bridge, tap)?;
    let restriction = if guest.is_restricted {
        Some(restrict(steps, bridge, tap, &guest.options, guest.mac)?)
    } else {
        if guest.options != PortOptions::default() {
            steps.run(Step::change_port(bridge, tap, guest.options))?;
        }
        None
    };
    steps.run(Step::change_tap(tap, TapChange::default().link(LinkState::Up)))?;
    if guest.lifetime == TapLifetime::UntilDeleted {
        steps.persist_taps()?;
    }
    Ok(restriction)
}

/// Closes a guest's tap and sees that it goes, persistent or not; a port leaves its bridge.
///
/// # Errors
/// Those of [`delete_tap`](Bridges::delete_tap), but for `NotFound`: `TapBusy` where another process has a
/// descriptor of it. The tap goes when that is closed.
pub fn unplug<B: Backend + ?Sized>(backend: &B, tap: Tap) -> Result<()> {
    let identity = tap.identity();
    drop(tap);
    match backend.delete_tap(identity) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Creates the tap of a guest, or adopts it.
fn open_tap<B: Backend + ?Sized>(
    steps: &mut Transaction<'_, B>,
    spec: TapSpec,
    lifetime: TapLifetime,
) -> Result<Identity> {
    let mut new = spec.clone();
    new.existing = ExistingTap::Refuse;
    let is_nobodys = spec.owner.is_none() && spec.group.is_none();
    let can_be_owned = steps.backend().implemented().contains(Capability::TapOwner);
    // A tap of a single queue that is open has no other for anyone to open.
    let can_be_opened = lifetime == TapLifetime::UntilDeleted || spec.queues.get() > 1;
    if is_nobodys && can_be_owned && can_be_opened {
        new.owner = Some(ROOT);
    }
    match steps.open_tap(new) {
        Err(error) if error.kind() == ErrorKind::TapExists && spec.existing == ExistingTap::Adopt => {
            steps.open_tap(spec)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use crate::testing::{
        Host, Moment, add_tap, assert_all_or_nothing, host, host_without, is_rolled_back, mac, name, snapshot,
    };
    use crate::{BridgeChange, TapState, VnetHeader};

    fn guest() -> Guest {
        Guest::new(mac(7))
            .tap(TapSpec::new().name(name("vnet0")))
            .options(PortOptions::default().isolated(true))
            .restricted()
            .persistent()
    }

    /// A guest on the tap that the host has.
    fn adopting() -> Guest {
        guest().tap(TapSpec::new().name(name("vnet0")).adopt_existing())
    }

    fn plug_in(host: &Host, guest: &Guest) -> Result<Plugged> {
        plug(host, name("br0"), guest)
    }

    fn tap(host: &Host, tap: &str) -> TapState {
        host.tap(name(tap)).expect("it can be read").expect("it is there")
    }

    /// A host with a closed tap of another guest.
    fn host_with_tap() -> Host {
        let host = host();
        drop(add_tap(
            host.inner(),
            &TapSpec::new().name(name("vnet0")).mac(mac(3)).mtu(1300).vnet_hdr(VnetHeader::Legacy),
        ));
        host
    }

    #[test]
    fn is_ready_before_it_goes_up_and_persisted_last() {
        let host = host();
        host.inner().change(name("br0"), &BridgeChange::default().mtu(1400)).expect("it can be changed");
        let plugged = plug_in(&host, &guest()).expect("it can be plugged in");
        assert_eq!(plugged.restriction, Some(Restriction::Locked));
        assert_eq!(
            host.take_log(),
            [
                Operation::CreateTap,
                Operation::AddPort,
                Operation::ChangePort,
                Operation::ReplaceFdbEntry,
                Operation::ChangeTap,
                Operation::PersistTap
            ]
        );
        let [tap] = &host.taps().expect("a list")[..] else { panic!("there is one tap") };
        assert_eq!((tap.mac, tap.mtu, tap.link), (mac(7).host_side().into(), 1400, LinkState::Up));
        assert_eq!(tap.owner, Some(ROOT));
        assert_eq!(crate::bridge_of(&host, tap.name).expect("it is a port").name(), name("br0"));

        unplug(&host, plugged.tap).expect("it can be unplugged");
        assert!(host.taps().expect("a list").is_empty());
    }

    #[test]
    fn leaves_nothing_whatever_fails() {
        assert_eq!(assert_all_or_nothing(host, |host| plug_in(host, &guest())), 6);
        let passing = Guest::new(mac(7)).options(PortOptions::default().isolated(true));
        assert_eq!(assert_all_or_nothing(host, |host| plug_in(host, &passing)), 4);
    }

    #[test]
    fn gives_back_what_it_adopted() {
        assert_eq!(assert_all_or_nothing(host_with_tap, |host| plug_in(host, &adopting())), 6);
        let host = host_with_tap();
        let plugged = plug_in(&host, &adopting()).expect("it can be plugged in");
        let tap = tap(&host, "vnet0");
        assert_eq!((tap.mac, tap.mtu), (mac(7).host_side().into(), 1500));
        drop(plugged);
    }

    /// What a process left that died half way through.
    #[test]
    fn takes_an_adopted_tap_that_is_a_port_already() {
        let host_with_port = || {
            let host = host();
            drop(add_tap(host.inner(), &TapSpec::new().name(name("vnet0")).mac(mac(3))));
            host.inner().add_port(name("br0"), name("vnet0")).expect("it can join");
            host
        };
        assert_eq!(assert_all_or_nothing(host_with_port, |host| plug_in(host, &adopting())), 5);
        let host = host_with_port();
        let plugged = plug_in(&host, &adopting()).expect("it can be plugged in");
        let tap = tap(&host, "vnet0");
        assert_eq!((tap.mac, tap.owner, tap.link), (mac(7).host_side().into(), None, LinkState::Up));
        assert_eq!(host.ports(name("br0")).expect("a bridge").len(), 2);
        drop(plugged);
    }

    #[test]
    fn an_adopted_tap_that_is_renamed_meanwhile_is_what_it_was() {
        for &fault in Fault::ALL {
            for at in Moment::of_steps(0..5) {
                let host = host_with_tap();
                let before = tap(&host, "vnet0");
                at.act(&host, |host| {
                    host.rename_interface(name("vnet0"), name("vnet9")).expect("the name is free");
                    drop(add_tap(host, &TapSpec::new().name(name("vnet0")).mac(mac(5)).mtu(1200)));
                });
                // Of the last step, a lost answer is a failure, too.
                host.fail(5, fault);
                let outcome = plug_in(&host, &adopting());
                assert!(!host.cancel());
                let error = outcome.expect_err("the last step fails");
                assert!(is_rolled_back(&error), "{fault:?} at {at:?}: {error}");
                let mut renamed = tap(&host, "vnet9");
                renamed.name = before.name;
                assert_eq!(renamed, before, "{fault:?} at {at:?}");
                let replacement = tap(&host, "vnet0");
                assert_eq!((replacement.mac, replacement.mtu), (mac(5).into(), 1200));
                assert_eq!(replacement.link, LinkState::Down);
                assert_eq!(host.ports(name("br0")).expect("it is there").len(), 1);
            }
        }
    }

    #[test]
    fn an_adopted_tap_that_is_renamed_meanwhile_is_plugged_in() {
        for at in Moment::of_steps(0..6) {
            let host = host_with_tap();
            at.act(&host, |host| {
                host.rename_interface(name("vnet0"), name("vnet9")).expect("the name is free");
                drop(add_tap(host, &TapSpec::new().name(name("vnet0")).mac(mac(5))));
            });
            let plugged = plug_in(&host, &adopting()).expect("it is the same tap");
            assert_eq!(plugged.tap.identity(), tap(&host, "vnet9").identity(), "at {at:?}");
            assert_eq!(tap(&host, "vnet9").link, LinkState::Up, "at {at:?}");
            let there = tap(&host, "vnet0");
            assert_eq!((there.mac, there.mtu, there.link), (mac(5).into(), 1500, LinkState::Down), "at {at:?}");
        }
    }

    #[test]
    fn a_tap_that_takes_the_place_of_an_adopted_one_is_left_alone() {
        for at in Moment::of_steps(0..5).chain([Moment::Before(5)]) {
            let host = host_with_tap();
            at.act(&host, |host| {
                host.remove_interface(name("vnet0")).expect("it is there");
                drop(add_tap(host, &TapSpec::new().name(name("vnet0")).mac(mac(5)).mtu(1200)));
            });
            let error = plug_in(&host, &adopting()).expect_err("the tap is gone");
            assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PortNotFound), "at {at:?}: {error}");
            assert!(is_rolled_back(&error), "at {at:?}: {error}");
            let there = tap(&host, "vnet0");
            assert_eq!((there.mac, there.mtu, there.link), (mac(5).into(), 1200, LinkState::Down), "at {at:?}");
            assert_eq!(host.ports(name("br0")).expect("it is there").len(), 1);
        }
    }

    #[test]
    fn refuses_before_anything_is_made_what_a_backend_cannot_do() {
        for lacking in [Capability::Isolated, Capability::FdbStatic] {
            let host = host_without(lacking);
            let before = snapshot(&host);
            let error = plug_in(&host, &guest()).expect_err("it cannot");
            assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)));
            assert!(host.take_log().is_empty());
            assert_eq!(snapshot(&host), before);
        }
        let error = plug(&host(), name("br7"), &guest()).expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
