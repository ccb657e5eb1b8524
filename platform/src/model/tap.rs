//! Taps (`drivers/net/tun.c`). A descriptor is one end of a socket pair, whose other end the model
//! holds: so it sees when it was closed.

use std::io::{ErrorKind as Io, Read};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::stat::fstat;

use super::host::{self, Host, Interface, Kind};
use crate::error::Attempt;
use crate::{
    Capability, ErrorKind, ExistingTap, InterfaceIndex, InterfaceName, LinkState, Result, TapChange, TapOffload,
    TapOffloads, TapSpec, TapState, Target, UnicastMac,
};

/// The MTUs that Linux takes for a tap (`tun_net_initialize()`: `MIN_MTU` to `MAX_MTU` without an
/// Ethernet header).
const MTU_RANGE: RangeInclusive<u32> = 68..=65521;
/// `MAX_TAP_QUEUES`.
const MAX_QUEUES: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct Tap {
    multi_queue: bool,
    vnet_hdr: bool,
    persistent: bool,
    owner: Option<u32>,
    group: Option<u32>,
    queues: Vec<Queue>,
}

/// A descriptor of a tap: the model's end, and what the other end is known by wherever it is handed on.
#[derive(Debug, Clone)]
struct Queue {
    end: Arc<UnixStream>,
    file: (libc::dev_t, libc::ino_t),
}

/// What tells one open file from another.
fn file(descriptor: impl AsFd) -> nix::Result<(libc::dev_t, libc::ino_t)> {
    let status = fstat(descriptor)?;
    Ok((status.st_dev, status.st_ino))
}

impl Tap {
    const fn new(spec: &TapSpec) -> Self {
        let &TapSpec { owner, group, .. } = spec;
        let vnet_hdr = spec.vnet_hdr.is_some();
        Self { multi_queue: spec.is_multi_queue(), vnet_hdr, persistent: false, owner, group, queues: Vec::new() }
    }

    /// An owner cannot be taken away again, so an adopted tap keeps its own.
    fn check_owner(&self, at: Attempt, spec: &TapSpec) -> Result<()> {
        let is_other = |asked: Option<u32>, has: Option<u32>| asked.is_some() && asked != has;
        if is_other(spec.owner, self.owner) || is_other(spec.group, self.group) {
            return Err(at.with(Capability::TapOwner).error(ErrorKind::InvalidOption));
        }
        Ok(())
    }

    fn attach(&mut self, at: Attempt, spec: &TapSpec) -> Result<Vec<OwnedFd>> {
        if !self.multi_queue && !self.queues.is_empty() {
            return Err(at.means(ErrorKind::TapBusy, Errno::EBUSY));
        }
        if self.queues.len() + usize::from(spec.queues.get()) > MAX_QUEUES {
            return Err(at.with(Capability::TapQueues).means(ErrorKind::InvalidOption, Errno::E2BIG));
        }
        // Seen: of several queues, the first to be opened says what the frames of all look like.
        if !self.queues.is_empty() && self.vnet_hdr != spec.vnet_hdr.is_some() {
            return Err(at.with(Capability::TapVnetHdr).error(ErrorKind::TapBusy));
        }
        self.vnet_hdr = spec.vnet_hdr.is_some();
        let opened = (0..spec.queues.get()).map(|_| self.open()).collect::<std::io::Result<_>>();
        opened.map_err(|source| at.io(ErrorKind::Os, source))
    }

    fn open(&mut self) -> std::io::Result<OwnedFd> {
        let (theirs, ours) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        self.queues.push(Queue { end: Arc::new(ours), file: file(&theirs)? });
        Ok(theirs.into())
    }
}

/// Refuses a set that is not complete (`set_offload()`).
fn check_offloads(at: Attempt, offloads: TapOffloads) -> Result<()> {
    let has = |offload| offloads.contains(offload);
    let has_tso = has(TapOffload::Tso4) || has(TapOffload::Tso6);
    if offloads.is_empty() || has(TapOffload::Checksum) && (has_tso || !has(TapOffload::TsoEcn)) {
        return Ok(());
    }
    Err(at.with(Capability::TapOffloads).means(ErrorKind::InvalidOption, Errno::EINVAL))
}

/// Whether the other end is open. What came from it is lost.
fn is_open(queue: &UnixStream) -> bool {
    let mut queue = queue;
    loop {
        match queue.read(&mut [0; 1024]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == Io::Interrupted => {}
            Err(error) => return error.kind() == Io::WouldBlock,
        }
    }
}

impl Host {
    /// What the kernel does when the last descriptor of a tap is closed.
    pub(super) fn remove_closed_taps(&mut self) {
        let mut gone = Vec::new();
        for (&index, interface) in &mut self.interfaces {
            let Kind::Tap(tap) = &mut interface.kind else { continue };
            tap.queues.retain(|queue| is_open(&queue.end));
            if tap.queues.is_empty() && !tap.persistent {
                gone.push(index);
            }
        }
        for index in gone {
            self.remove(index);
        }
    }

    /// Creates a tap, or opens the one that was seen.
    pub(super) fn create_tap(&mut self, at: Attempt, spec: &TapSpec, seen: Option<Target>) -> Result<crate::Tap> {
        let index = if let Some(tap) = seen {
            let index = self.tap(at, tap)?;
            self.check_adoptable(at, index, spec)?;
            index
        } else {
            let name = match spec.name {
                Some(name) => name,
                None => self.first_free_tap(at)?,
            };
            if let Some(taken) = self.index(name) {
                return Err(at.error(match (self.kind_of_taken(taken), spec.existing) {
                    (kind, ExistingTap::Refuse) => kind,
                    // Another process has created it since the look, and has it open.
                    (ErrorKind::TapExists, ExistingTap::Adopt) => ErrorKind::TapBusy,
                    (_, ExistingTap::Adopt) => ErrorKind::NotATap,
                }));
            }
            self.check_privilege(at)?;
            let mac = UnicastMac::generate().map_err(|source| at.io(ErrorKind::Os, source))?;
            self.insert(Interface::new(name, mac.into(), Kind::Tap(Tap::new(spec))))
        };
        let queues = self.tap_mut(index).map(|tap| tap.attach(at, spec)).transpose()?.unwrap_or_default();
        if spec.mtu.is_some_and(|mtu| mtu != self.interfaces[&index].mtu) {
            self.check_privilege(at)?;
        }
        host::check_mtu(at, MTU_RANGE, spec.mtu)?;
        check_offloads(at, spec.offloads.unwrap_or_default())?;
        // −1 is nobody.
        if spec.owner == Some(u32::MAX) || spec.group == Some(u32::MAX) {
            return Err(at.with(Capability::TapOwner).means(ErrorKind::InvalidOption, Errno::EINVAL));
        }
        self.set(index, spec.mtu, spec.mac.map(Into::into), None);
        Ok(crate::Tap::new(self.identity(index), queues))
    }

    /// In the order of `tun_set_iff()`: how many queues it has comes before whose it is.
    fn check_adoptable(&self, at: Attempt, index: InterfaceIndex, spec: &TapSpec) -> Result<()> {
        let Kind::Tap(tap) = &self.interfaces[&index].kind else { return Ok(()) };
        tap.check_owner(at, spec)?;
        if tap.multi_queue != spec.is_multi_queue() {
            return Err(at.with(Capability::TapQueues).means(ErrorKind::InvalidOption, Errno::EINVAL));
        }
        self.check_may_open(at, index)
    }

    /// The tap of descriptors that may have been handed on.
    pub(super) fn tap_of(&self, at: Attempt, queues: &[OwnedFd]) -> Result<InterfaceIndex> {
        let mut tap = None;
        for queue in queues {
            let queue = file(queue).map_err(|errno| at.errno(errno))?;
            let has_it = |interface: &Interface| match &interface.kind {
                Kind::Tap(tap) => tap.queues.iter().any(|other| other.file == queue),
                _ => false,
            };
            let found = self.interfaces.iter().find(|(_, interface)| has_it(interface));
            let (&found, _) = found.ok_or_else(|| at.error(ErrorKind::NotATap))?;
            if tap.is_some_and(|tap| tap != found) {
                return Err(at.with(Capability::TapQueues).error(ErrorKind::InvalidOption));
            }
            tap = Some(found);
        }
        tap.ok_or_else(|| at.with(Capability::TapQueues).error(ErrorKind::InvalidOption))
    }

    pub(super) fn persist_tap(&mut self, at: Attempt, tap: Target) -> Result<()> {
        let index = self.resolve(tap).ok_or_else(|| at.errno(Errno::ENODEV))?;
        let tap = self.tap_mut(index).ok_or_else(|| at.errno(Errno::ENODEV))?;
        tap.persistent = true;
        Ok(())
    }

    pub(super) fn change_tap(&mut self, at: Attempt, index: InterfaceIndex, change: &TapChange) -> Result<()> {
        self.check_privilege(at)?;
        host::check_mtu(at, MTU_RANGE, change.mtu)?;
        if change.mac.is_some_and(|mac| UnicastMac::new(mac).is_err()) {
            return Err(at.means(ErrorKind::InvalidMac, Errno::EADDRNOTAVAIL));
        }
        if let (Some(vnet_hdr), Some(tap)) = (change.vnet_hdr, self.tap_mut(index)) {
            // Whoever has it open has his.
            tap.vnet_hdr = if tap.queues.is_empty() { vnet_hdr } else { tap.vnet_hdr };
        }
        self.set(index, change.mtu, change.mac, change.link);
        Ok(())
    }

    pub(super) fn delete_tap(&mut self, at: Attempt, index: InterfaceIndex) -> Result<()> {
        self.check_may_open(at, index)?;
        if self.tap_mut(index).is_some_and(|tap| !tap.queues.is_empty()) {
            return Err(at.means(ErrorKind::TapBusy, Errno::EBUSY));
        }
        self.remove(index);
        Ok(())
    }

    pub(super) fn tap_state(&self, index: InterfaceIndex) -> Option<TapState> {
        let interface = self.interfaces.get(&index)?;
        let Kind::Tap(tap) = &interface.kind else { return None };
        let mut state = TapState::new(interface.name, index, interface.mac, interface.mtu, interface.link);
        state.incarnation = interface.incarnation;
        state.persistent = Some(tap.persistent);
        state.multi_queue = Some(tap.multi_queue);
        state.vnet_hdr = Some(tap.vnet_hdr);
        (state.owner, state.group) = (tap.owner, tap.group);
        Some(state)
    }

    /// Whether a bridge that is up has a port with a carrier, which only an open tap has here. STP
    /// takes no time.
    pub(super) fn has_carrier(&self, bridge: InterfaceIndex) -> bool {
        let has_carrier = |port: &Interface| {
            let is_open = matches!(&port.kind, Kind::Tap(tap) if !tap.queues.is_empty());
            is_open && port.link == LinkState::Up
        };
        let is_up = self.interfaces.get(&bridge).is_some_and(|bridge| bridge.link == LinkState::Up);
        is_up && self.ports(bridge).any(|(_, port)| has_carrier(port))
    }

    /// The tap that is meant.
    pub(super) fn tap(&self, at: Attempt, tap: Target) -> Result<InterfaceIndex> {
        let index = self.resolve(tap).ok_or_else(|| at.errno(Errno::ENODEV))?;
        match self.interfaces[&index].kind {
            Kind::Tap(_) => Ok(index),
            _ => Err(at.error(ErrorKind::NotATap)),
        }
    }

    fn tap_mut(&mut self, index: InterfaceIndex) -> Option<&mut Tap> {
        match &mut self.interfaces.get_mut(&index)?.kind {
            Kind::Tap(tap) => Some(tap),
            _ => None,
        }
    }

    /// `tun_not_capable()`: a tap without owner and group is everyone's. Here nobody is an owner.
    fn check_may_open(&self, at: Attempt, index: InterfaceIndex) -> Result<()> {
        match &self.interfaces[&index].kind {
            Kind::Tap(Tap { owner: None, group: None, .. }) => Ok(()),
            _ => self.check_privilege(at),
        }
    }

    pub(super) fn kind_of_taken(&self, index: InterfaceIndex) -> ErrorKind {
        match self.interfaces[&index].kind {
            Kind::Tap(_) => ErrorKind::TapExists,
            Kind::Bridge(_) => ErrorKind::BridgeExists,
            Kind::Ethernet | Kind::Loopback => ErrorKind::NameInUse,
        }
    }

    /// The first of `tap0`, `tap1` … that is free (`dev_alloc_name()`).
    fn first_free_tap(&self, at: Attempt) -> Result<InterfaceName> {
        let names = (0..=u32::MAX).map_while(|number| format!("tap{number}").parse().ok());
        names.into_iter().find(|&name| self.index(name).is_none()).ok_or_else(|| at.errno(Errno::ENFILE))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use crate::model::Model;
    use crate::{
        Backend, BridgeSpec, Bridges, ErrorKind, InterfaceName, Outcome, Seen, Step, TapOffload, TapSpec,
        VnetHeader,
    };

    fn vnet0() -> InterfaceName {
        "vnet0".parse().expect("a name")
    }

    #[test]
    fn goes_with_its_descriptors_until_it_is_persisted() {
        let host = Model::new();
        let tap = host.create_tap(&TapSpec::new().name(vnet0())).expect("it can be made");
        assert_eq!(host.taps().expect("a list").len(), 1);
        drop(tap);
        assert!(host.taps().expect("a list").is_empty());

        let tap = host.create_tap(&TapSpec::new()).expect("it can be made");
        assert_eq!(tap.name().to_string(), "tap0");
        host.persist_tap(&tap).expect("it can be kept");
        assert_eq!(host.delete_tap(tap.name()).map_err(|error| error.kind()), Err(ErrorKind::TapBusy));
        let name = tap.name();
        drop(tap);
        host.delete_tap(name).expect("it is closed");
        assert!(host.taps().expect("a list").is_empty());
    }

    /// As `set_offload()` does.
    #[test]
    fn takes_complete_offloads_only() {
        use TapOffload::{Checksum, Tso4, TsoEcn, Uso};

        let host = Model::new();
        let with = |offloads: &[TapOffload]| {
            let mut spec = TapSpec::new().vnet_hdr(VnetHeader::Legacy);
            spec.offloads = Some(offloads.iter().copied().collect());
            host.create_tap(&spec).map(|_| ()).map_err(|error| error.kind())
        };
        for complete in [&[][..], &[Checksum], &[Checksum, Tso4, TsoEcn], &[Checksum, Uso]] {
            assert_eq!(with(complete), Ok(()), "{complete:?}");
        }
        for incomplete in [&[Tso4][..], &[Uso], &[Checksum, TsoEcn]] {
            assert_eq!(with(incomplete), Err(ErrorKind::InvalidOption), "{incomplete:?}");
        }
        let without_header = host.create_tap(&TapSpec::new().offloads([Checksum]));
        assert_eq!(without_header.map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::InvalidOption));
    }

    #[test]
    fn takes_over_a_tap_that_is_open() {
        let host = Model::new();
        let kind = |queues| host.adopt_descriptors(queues).map(|_| ()).map_err(|error| error.kind());
        let tap = host.create_tap(&TapSpec::new().name(vnet0())).expect("it can be made");
        let other = host.create_tap(&TapSpec::new()).expect("it can be made");
        let copy = |tap: &crate::Tap| tap.queues()[0].try_clone().expect("a descriptor");
        let (identity, handed_on) = (tap.identity(), copy(&tap));
        assert_eq!(kind(vec![copy(&tap), copy(&other)]), Err(ErrorKind::InvalidOption));
        assert_eq!(kind(vec![]), Err(ErrorKind::InvalidOption));
        let file = std::fs::File::open("/dev/null").expect("it can be opened");
        assert_eq!(kind(vec![file.into()]), Err(ErrorKind::NotATap));
        drop(tap);
        let tap = host.adopt_descriptors(vec![handed_on]).expect("it is open");
        assert_eq!(tap.identity(), identity);
        drop(tap);
        assert_eq!(host.tap(identity).expect("it can be read"), None);
    }

    /// Others act between the look and the step.
    #[test]
    fn adopts_the_tap_that_was_seen_and_no_other() {
        let adopting = Step::CreateTap(TapSpec::new().name(vnet0()).adopt_existing());
        let kept = |host: &Model| {
            let tap = host.create_tap(&TapSpec::new().name(vnet0())).expect("the name is free");
            host.persist_tap(&tap).expect("it is there");
            tap.identity()
        };
        let run = |host: &Model, seen: &Seen| match host.run(&adopting, seen) {
            Outcome::Done(made) => Ok(made.identity()),
            Outcome::Refused(error) => Err(error.kind()),
            outcome => panic!("{outcome:?}"),
        };

        let host = Model::new();
        let seen = host.look(&adopting).expect("the name is free");
        kept(&host);
        assert_eq!(run(&host, &seen), Err(ErrorKind::TapBusy));

        let host = Model::new();
        let tap = kept(&host);
        let seen = host.look(&adopting).expect("it is there");
        host.rename_interface(vnet0(), "vnet9".parse().expect("a name")).expect("the name is free");
        let other = kept(&host);
        assert_eq!(run(&host, &seen), Ok(Some(tap)));
        host.delete_tap(tap).expect("it is closed");
        assert_eq!(run(&host, &seen), Err(ErrorKind::NotFound));
        assert!(host.tap(other).expect("it can be read").is_some());
    }

    #[test]
    fn adopts_only_what_was_asked_for() {
        let host = Model::new();
        let queues = NonZeroU16::new(3).expect("not zero");
        let spec = TapSpec::new().name(vnet0());
        let tap = host.create_tap(&spec.clone().queues(queues)).expect("it can be made");
        assert_eq!(tap.queues().len(), 3);
        let kind = |spec: &TapSpec| host.create_tap(spec).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind(&spec), Err(ErrorKind::TapExists));
        assert_eq!(kind(&spec.clone().adopt_existing()), Err(ErrorKind::InvalidOption), "of one queue");
        assert_eq!(kind(&spec.clone().adopt_existing().queues(queues)), Ok(()));
        assert_eq!(
            kind(&TapSpec::new().name("lo".parse().expect("a name")).adopt_existing()),
            Err(ErrorKind::NotATap)
        );
        host.create(&BridgeSpec::new("br0".parse().expect("a name"))).expect("it can be made");
        assert_eq!(kind(&TapSpec::new().name("br0".parse().expect("a name"))), Err(ErrorKind::BridgeExists));
        assert_eq!(host.taps().expect("a list").len(), 1, "and nothing is left of those that failed");
    }
}
