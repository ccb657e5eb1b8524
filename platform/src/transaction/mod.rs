//! The engine that carries out lists of steps and rolls them back.
//!
//! The engine checks a step, looks at its interfaces, and carries it out. Rollback looks at the same interfaces again,
//! by identity, and reverts the changes of the step and no others ([`inverse`]).
//!
//! A backend itself takes back only what no look shows any longer, or what belongs to a deletion, which the engine
//! cannot revert: netlink gives bridges their former group back when it cannot delete a group, ioctl and FreeBSD set a
//! bridge or a tap up again that they cannot delete.

mod batch;
mod execute;
mod inverse;
#[cfg(test)]
mod properties;
mod record;
mod rollback;

pub(crate) use self::batch::apply;
pub(crate) use self::execute::once;
use self::execute::{conclude, look};
use self::record::Record;
pub use self::record::Resolved;
use self::rollback::{joined, roll_back};
use crate::{Backend, Bulk, Error, ErrorKind, Identity, Result, Step, Tap, TapSpec};

/// Steps that are carried out one after another, and rolled back together.
///
/// A step that fails leaves no change, or its error says what is left ([`Error::rollback`]). The caller then rolls back
/// the earlier steps, or continues. A transaction that is dropped keeps its changes and closes its taps.
///
/// ```
/// use vmbridge_platform::{BridgeSpec, Bridges, InterfaceName, PortOptions, Step, Transaction, model::Model};
///
/// let host = Model::new();
/// let port: InterfaceName = "eth7".parse()?;
/// host.add_interface(port, "02:00:00:00:00:07".parse()?)?;
/// let bridge = host.create(&BridgeSpec::new("br0".parse()?))?;
///
/// let attached = Transaction::of(&host, |steps| {
///     steps.run(Step::add_port(bridge, port))?;
///     steps.run(Step::change_port(bridge, port, PortOptions::default().path_cost(0)))
/// });
/// assert!(attached.is_err());
/// assert!(host.ports(bridge)?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a transaction is committed or rolled back"]
pub struct Transaction<'b, B: Backend + ?Sized> {
    backend: &'b B,
    done: Vec<Record>,
}

impl<'b, B: Backend + ?Sized> Transaction<'b, B> {
    /// Begins a transaction without steps.
    pub const fn new(backend: &'b B) -> Self {
        Self { backend, done: Vec::new() }
    }

    /// Carries out the steps of `work`, and rolls them back if it fails. Closes open taps when it succeeds; to keep
    /// them open, use [`new`](Self::new) and [`commit`](Self::commit).
    ///
    /// # Errors
    /// Those of `work`, with the outcome of the rollback.
    pub fn of<T>(backend: &'b B, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut steps = Self::new(backend);
        match work(&mut steps) {
            Ok(value) => {
                steps.commit();
                Ok(value)
            }
            Err(error) => Err(steps.roll_back(error)),
        }
    }

    /// Carries out a step, and returns the identities of its interfaces, new or existing.
    ///
    /// # Errors
    /// Those of the operation in [`Bridges`](crate::Bridges) that belongs to the step.
    pub fn run(&mut self, step: Step) -> Result<Resolved> {
        let seen = look(self.backend, &step)?;
        let outcome = self.backend.run(&step, &seen);
        let record = conclude(self.backend, step, seen, outcome)?;
        self.note(record)
    }

    fn note(&mut self, record: Record) -> Result<Resolved> {
        let at = record.step.attempt(self.backend.name());
        let resolved = record.resolved();
        self.done.push(record);
        resolved.ok_or_else(|| at.error(ErrorKind::NotFound))
    }

    /// Returns the backend.
    #[must_use]
    pub const fn backend(&self) -> &'b B {
        self.backend
    }

    /// Creates or adopts a tap, which stays open in the transaction.
    ///
    /// # Errors
    /// Those of [`Step::CreateTap`].
    pub fn open_tap(&mut self, spec: TapSpec) -> Result<Identity> {
        self.run(Step::CreateTap(spec)).map(|resolved| resolved.interface)
    }

    /// Lets the open taps of the transaction outlive their descriptors. Do this last, since until then nothing is left
    /// when the process dies.
    ///
    /// # Errors
    /// Those of [`Backend::persist_tap`].
    pub fn persist_taps(&self) -> Result<()> {
        self.done.iter().filter_map(Record::tap).try_for_each(|tap| self.backend.persist_tap(tap))
    }

    /// Keeps all changes, and returns the open taps.
    pub fn commit(self) -> Vec<Tap> {
        self.done.into_iter().filter_map(Record::into_tap).collect()
    }

    /// Rolls back all steps, the last one first, and returns `cause` with the outcome ([`Error::rollback`]).
    #[must_use = "the error is the cause, and says what is left"]
    pub fn roll_back(self, cause: Error) -> Error {
        if self.done.is_empty() {
            return cause;
        }
        let back = |record| roll_back(self.backend, vec![(0, record)]).pop().map(|(_, left)| left);
        // A step that cannot be rolled back does not keep the others from being tried.
        let left = self.done.into_iter().rev().filter_map(back).reduce(|left, next| left.and(&next));
        joined(cause, left)
    }
}

/// Carries out the next step of each of several transactions together, where the backend can. A transaction whose step
/// is `None` is skipped. A failure of one step does not affect the other transactions.
///
/// All transactions must be on the same backend.
///
/// # Panics
/// If there are more steps than transactions.
pub fn run_each<B: Backend + ?Sized>(
    transactions: &mut [Transaction<'_, B>],
    steps: &[Option<Step>],
) -> Vec<Result<Option<Resolved>>> {
    let Some(backend) = transactions.first().map(|first| first.backend) else { return Vec::new() };
    let mut results: Vec<Result<_>> = transactions.iter().map(|_| Ok(None)).collect();
    let asked = steps.iter().enumerate().filter_map(|(place, step)| Some((place, step.as_ref()?)));
    let mut asked: Vec<_> = asked.collect();
    // The transactions do not depend on one another, and steps of one kind in a row go together.
    asked.sort_by_key(|(_, step)| step.operation() as u8);
    let (places, steps) = asked.into_iter().unzip();
    let (waves, failures) = batch::carry_out(backend, places, steps, Bulk::AsMuchAsPossible);
    for (place, error) in failures {
        results[place] = Err(error);
    }
    for (place, record) in waves.into_iter().flat_map(batch::Wave::into_records) {
        results[place] = transactions[place].note(record).map(Some);
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Fault, FaultyBackend};
    use crate::model::Model;
    use crate::{
        BridgeChange, BridgeOptions, BridgeSpec, Bridges, HostIpv6, InterfaceName, LinkState, PortOptions,
        PortVlans, Rollback, StaticEntry, UnicastMac, VlanId, VlanTagging,
    };

    fn name(text: &str) -> InterfaceName {
        text.parse().expect("a name")
    }

    fn mac(last: u8) -> UnicastMac {
        UnicastMac::new([0x52, 0x54, 0, 0, 0, last].into()).expect("of one station")
    }

    /// A host with the bridge `br0` and the interface `eth7`.
    fn host() -> Model {
        let host = Model::new();
        host.add_interface(name("eth7"), mac(7)).expect("the name is free");
        host.create(&BridgeSpec::new(name("br0")).mac(mac(0xff)).mtu(9000)).expect("the name is free");
        host
    }

    /// Whatever is renamed meanwhile.
    #[test]
    fn rolls_back_by_identity() {
        let host = host();
        let before = host.find(name("br0")).expect("it can be read").expect("it is there");
        let mut steps = Transaction::new(&host);
        steps.run(Step::add_port(name("br0"), name("eth7"))).expect("it can join");
        steps
            .run(Step::change_port(name("br0"), name("eth7"), PortOptions::default().isolated(true)))
            .expect("done");
        host.rename_interface(name("eth7"), name("other")).expect("the name is free");
        host.add_interface(name("eth7"), mac(8)).expect("the name is free");
        let error = steps.run(Step::delete(name("nosuch"))).expect_err("it is not there");
        let error = steps.roll_back(error);
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert!(host.ports(name("br0")).expect("it is there").is_empty());
        let after = host.find(name("br0")).expect("it can be read").expect("it is there");
        assert_eq!(after, before);
    }

    /// Below an MTU of 1280 a bridge has no IPv6, and later the kernel's again.
    #[test]
    fn a_small_mtu_that_is_taken_back_leaves_the_hosts_ipv6_as_it_was() {
        let host = host();
        let manual = BridgeOptions::default().host_ipv6(HostIpv6::Manual);
        host.change(name("br0"), &BridgeChange::default().options(manual)).expect("it can be changed");
        let before = host.find(name("br0")).expect("it can be read").expect("it is there");
        let error = Transaction::of(&host, |steps| {
            steps.run(Step::change(name("br0"), BridgeChange::default().mtu(1000)))?;
            steps.run(Step::delete(name("nosuch")))
        })
        .expect_err("the last step fails");
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert_eq!(host.find(name("br0")).expect("it can be read").expect("it is there"), before);
    }

    #[test]
    fn takes_nothing_that_another_has_made_by_the_same_name() {
        let host = host();
        let mut steps = Transaction::new(&host);
        steps.run(Step::Create(BridgeSpec::new(name("br1")))).expect("the name is free");
        host.remove_interface(name("br1")).expect("it is there");
        host.create(&BridgeSpec::new(name("br1")).mac(mac(1))).expect("the name is free");
        let error = steps.roll_back(Step::delete(name("br1")).attempt("test").error(ErrorKind::Os));
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert!(host.find(name("br1")).expect("it can be read").is_some());
    }

    #[test]
    fn gives_open_taps_to_who_commits() {
        let host = host();
        let mut steps = Transaction::new(&host);
        let tap = steps.open_tap(TapSpec::new()).expect("it can be made");
        steps.run(Step::add_port(name("br0"), tap)).expect("it can join");
        let taps = steps.commit();
        assert_eq!(taps.iter().map(Tap::identity).collect::<Vec<_>>(), [tap]);
        assert_eq!(host.port(tap).expect("it is a port").bridge.expect("a bridge").name(), name("br0"));
    }

    #[test]
    fn of_many_steps_those_that_depend_on_another_wait_for_it() {
        let host = host();
        let steps = [
            Step::Create(BridgeSpec::new(name("br1")).mac(mac(1))),
            Step::add_port(name("br1"), name("eth7")),
            Step::change(name("br1"), BridgeChange::default().link(LinkState::Up)),
        ];
        host.apply(&steps, Bulk::AllOrNothing).expect("they can be done");
        assert_eq!(host.ports(name("br1")).expect("it is there").len(), 1);
        let more = [steps[2].clone(), Step::delete(name("nosuch")), Step::delete(name("br1"))];
        let error = host.apply(&more, Bulk::AllOrNothing).expect_err("one is not there");
        assert_eq!(error.failures().iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
        assert!(error.done().is_empty());
        let error = host.apply(&more, Bulk::AsMuchAsPossible).expect_err("one is not there");
        assert_eq!(error.done(), [0, 2]);
    }

    /// A MAC that no bridge can be given is not passed over when it is to be given back.
    #[test]
    fn says_what_cannot_be_set_back() {
        let host = Model::new();
        host.add_interface(name("eth7"), mac(7)).expect("the name is free");
        host.create(&BridgeSpec::new(name("br0"))).expect("the name is free");
        host.add_port(name("br0"), name("eth7")).expect("it can be one");
        host.remove_port(name("br0"), name("eth7")).expect("it is one");
        let change = BridgeChange::default().mac(mac(3));
        let steps = [Step::change(name("br0"), change.clone()), Step::change(name("nosuch"), change)];
        host.apply(&steps, Bulk::AllOrNothing).expect_err("it is refused before anything is done");
        let options = BridgeChange {
            options: crate::BridgeOptions::default().group_forward_mask(1),
            ..BridgeChange::default()
        };
        let steps = [steps[0].clone(), Step::change(name("br0"), options)];
        let error = host.apply(&steps, Bulk::AllOrNothing).expect_err("the kernel refuses it");
        let kinds: Vec<_> = error.failures().iter().map(|(place, error)| (*place, error.kind())).collect();
        assert_eq!(kinds, [(0, ErrorKind::InvalidMac), (1, ErrorKind::InvalidOption)]);
        assert_eq!(error.done(), [0]);
    }
    fn faulty() -> FaultyBackend<Model> {
        FaultyBackend::new(host())
    }

    fn lock(bridge: &str) -> Step {
        Step::change_port(name(bridge), name("eth7"), PortOptions::default().locked(true).isolated(true))
    }

    fn options(host: &impl Backend) -> PortOptions {
        host.port(name("eth7")).expect("it is a port").options
    }

    /// The kernel changes a port by its index, whatever bridge it is a port of by then.
    #[test]
    fn takes_options_back_from_a_port_that_moves_to_another_bridge() {
        let host = faulty();
        host.create(&BridgeSpec::new(name("br1")).mac(mac(1))).expect("the name is free");
        host.add_port(name("br0"), name("eth7")).expect("it can join");
        host.fail(0, Fault::FailedAfter);
        host.act_before(1, |host| {
            host.remove_port(name("br0"), name("eth7")).expect("it is a port");
            host.add_port(name("br1"), name("eth7")).expect("it can join");
            host.change_port(name("br1"), name("eth7"), &PortOptions::default().locked(true)).expect("a port");
        });
        let error = once(&host, lock("br0")).expect_err("the step fails");
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert_eq!(options(&host).locked, Some(false));
        assert_eq!(host.ports(name("br1")).expect("it is there").len(), 1);
    }

    /// The kernel tells a port by its index, whoever made it one.
    #[test]
    fn leaves_a_port_that_another_attaches_when_it_is_released() {
        let host = faulty();
        let error = Transaction::of(&host, |steps| {
            steps.run(Step::add_port(name("br0"), name("eth7")))?;
            host.act_after(0, |host| host.add_port(name("br0"), name("eth7")).expect("it can join"));
            steps.run(Step::delete(name("nosuch")))
        })
        .expect_err("the last step fails");
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert_eq!(host.ports(name("br0")).expect("it is there").len(), 1);
    }

    #[test]
    fn leaves_the_options_alone_that_a_port_was_given_on_another_bridge() {
        let host = faulty();
        host.create(&BridgeSpec::new(name("br1")).mac(mac(1))).expect("the name is free");
        let error = Transaction::of(&host, |steps| {
            steps.run(Step::add_port(name("br0"), name("eth7")))?;
            steps.run(lock("br0"))?;
            host.remove_port(name("br0"), name("eth7"))?;
            host.add_port(name("br1"), name("eth7"))?;
            host.change_port(name("br1"), name("eth7"), &PortOptions::default().locked(true))?;
            steps.run(Step::delete(name("nosuch")))
        })
        .expect_err("the last step fails");
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert_eq!(options(&host).locked, Some(true));
    }

    /// Its VLANs have gone with its place, and so has what there was to bring back.
    #[test]
    fn brings_no_vlans_back_to_a_port_that_has_left() {
        let host = faulty();
        host.create(&BridgeSpec::new(name("br1")).mac(mac(0xfe))).expect("the name is free");
        host.add_port(name("br0"), name("eth7")).expect("it can join");
        let error = Transaction::of(&host, |steps| {
            let pvid = PortVlans::new(VlanId::MAX.into(), VlanTagging::Pvid);
            steps.run(Step::add_vlans(name("br0"), name("eth7"), pvid))?;
            host.remove_port(name("br0"), name("eth7"))?;
            host.add_port(name("br1"), name("eth7"))?;
            steps.run(Step::delete(name("nosuch")))
        })
        .expect_err("the last step fails");
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
    }

    /// Nothing brings it back: a caller who is told of a failure would take it for being there.
    #[test]
    fn what_cannot_be_taken_back_is_done_whatever_the_answer_says() {
        for fault in [Fault::AnswerLost, Fault::FailedAfter] {
            let host = faulty();
            host.add_port(name("br0"), name("eth7")).expect("it can join");
            host.fail(0, fault);
            host.remove_port(name("br0"), name("eth7")).expect("it has left");
            host.fail(0, fault);
            host.delete(name("br0")).expect("it is gone");
            assert!(host.find(name("br0")).expect("it can be read").is_none());
        }
    }

    /// An answer that is lost does not make an existing bridge the caller's.
    #[test]
    fn claims_a_bridge_only_by_its_mac() {
        let host = faulty();
        let spec = BridgeSpec::new(name("br1"));
        host.fail(0, Fault::AnswerLost);
        let error = host.create(&spec).expect_err("nobody can tell whose it is");
        let Rollback::Failed { left, .. } = error.rollback() else { panic!("{error}") };
        assert_eq!(left, "bridge br1");
        host.delete(name("br1")).expect("it is there");
        host.fail(0, Fault::AnswerLost);
        let made = host.create(&spec.mac(mac(1))).expect("its MAC tells");
        assert_eq!(host.find(made).expect("it can be read").expect("it is there").name, name("br1"));
    }

    /// The entry without a VLAN is removed together with those in VLANs.
    #[test]
    fn brings_back_an_entry_in_a_vlan_that_goes_with_the_one_without() {
        let host = faulty();
        host.add_port(name("br0"), name("eth7")).expect("it can join");
        let entry = StaticEntry::new(mac(3), name("eth7"));
        host.add_fdb_entry(name("br0"), &entry.vlan(VlanId::MIN)).expect("the port has the VLAN");
        let before = host.fdb(name("br0")).expect("it is there");
        let error = Transaction::of(&host, |steps| {
            steps.run(Step::replace_fdb_entry(name("br0"), entry))?;
            steps.run(Step::delete(name("nosuch")))
        })
        .expect_err("the last step fails");
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert_eq!(host.fdb(name("br0")).expect("it is there"), before);
    }

    #[test]
    fn says_all_that_is_left() {
        let host = faulty();
        let error = Transaction::of(&host, |steps| {
            steps.run(Step::Create(BridgeSpec::new(name("br1")).mac(mac(1))))?;
            steps.run(Step::add_port(name("br1"), name("eth7")))?;
            host.act_before(0, |host| host.set_privileged(false));
            host.fail(0, Fault::Refused);
            steps.run(lock("br1")).map(drop)
        })
        .expect_err("the last step fails");
        let Rollback::Failed { left, .. } = error.rollback() else { panic!("{error}") };
        assert_eq!(left, "port eth7 of bridge br1 and bridge br1");

        let host = faulty();
        host.add_port(name("br0"), name("eth7")).expect("it can join");
        let error = Transaction::of(&host, |steps| {
            steps.run(Step::Create(BridgeSpec::new(name("br1")).mac(mac(1))))?;
            host.fail(0, Fault::FailedAfter);
            host.fail(1, Fault::Refused);
            host.fail(2, Fault::Refused);
            steps.run(lock("br0")).map(drop)
        })
        .expect_err("the last step fails");
        let Rollback::Failed { left, .. } = error.rollback() else { panic!("{error}") };
        assert_eq!(left, "a changed port eth7");
        assert!(host.find(name("br1")).expect("it can be read").is_none());
    }
}
