//! Faults for tests: a backend whose steps fail, or that changes before a step, as a test plans.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::delegate::delegate_reading;
use crate::error::Attempt;
use crate::{Backend, Capabilities, ErrorKind, Operation, Outcome, Result, Seen, Step, Tap};

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The backend refuses the step and does nothing (`Os`).
    Refused,
    /// The step is done, and its answer is lost (`TimedOut`). The engine looks whether it is done, and succeeds if so.
    AnswerLost,
    /// The step is done, and reported as failed (`InvalidOption`). The engine rolls it back.
    FailedAfter,
}

impl Fault {
    /// Every fault.
    pub const ALL: &[Self] = &[Self::Refused, Self::AnswerLost, Self::FailedAfter];
}

/// What another process does.
type Act<B> = Box<dyn FnOnce(&B) + Send>;

/// What a test wants to happen at a step.
enum Plan<B> {
    Fail(Fault),
    ActBefore(Act<B>),
    ActAfter(Act<B>),
}

/// A backend whose steps fail as a test plans, around any other backend.
///
/// [`Backend::run`], each step of [`Backend::run_all`], and [`Backend::persist_tap`] count as one step each. Calls that
/// only read never fail.
///
/// ```
/// use vmbridge_platform::faults::{Fault, FaultyBackend};
/// use vmbridge_platform::model::Model;
/// use vmbridge_platform::{BridgeSpec, Bridges, InterfaceName, Operation, Step, Transaction};
///
/// let model = Model::new();
/// let port: InterfaceName = "eth7".parse()?;
/// model.add_interface(port, "02:00:00:00:00:07".parse()?)?;
/// let host = FaultyBackend::new(model);
/// let bridge = host.create(&BridgeSpec::new("br0".parse()?))?;
///
/// host.fail(1, Fault::Refused);
/// let changed = Transaction::of(&host, |steps| {
///     steps.run(Step::add_port(bridge, port))?;
///     steps.run(Step::delete(bridge))
/// });
/// assert!(changed.is_err() && host.ports(bridge)?.is_empty());
/// assert_eq!(host.take_log(), [Operation::Create, Operation::AddPort, Operation::RemovePort]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FaultyBackend<B> {
    inner: B,
    capabilities: Capabilities,
    state: Mutex<State<B>>,
}

struct State<B> {
    /// Each with the number of steps that come before it.
    plans: Vec<(usize, Plan<B>)>,
    /// Each with the number of looks that come before it.
    before_looks: Vec<(usize, Act<B>)>,
    log: Vec<Operation>,
}

impl<B: Backend> FaultyBackend<B> {
    /// Wraps a backend. Nothing fails yet.
    #[must_use]
    pub fn new(inner: B) -> Self {
        let capabilities = inner.implemented();
        Self {
            inner,
            capabilities,
            state: Mutex::new(State { plans: Vec::new(), before_looks: Vec::new(), log: Vec::new() }),
        }
    }

    /// Removes all capabilities except these.
    #[must_use]
    pub fn limited_to(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = self.capabilities.common(capabilities);
        self
    }

    /// Returns the wrapped backend.
    #[must_use]
    pub const fn inner(&self) -> &B {
        &self.inner
    }

    /// Plans a fault for the step after the next `after` steps: 0 is the next one. The steps of rollback count, too.
    ///
    /// Each fault happens once. A test may plan several.
    pub fn fail(&self, after: usize, fault: Fault) {
        self.state().plans.push((after, Plan::Fail(fault)));
    }

    /// Plans a change by another process: calls `act` with the wrapped backend before the step after the next `after`
    /// steps. If a fault is planned for the same step, it happens after `act`.
    pub fn act_before(&self, after: usize, act: impl FnOnce(&B) + Send + 'static) {
        self.state().plans.push((after, Plan::ActBefore(Box::new(act))));
    }

    /// The same directly after that step, whether it succeeds or not: before anyone looks at what came of it.
    pub fn act_after(&self, after: usize, act: impl FnOnce(&B) + Send + 'static) {
        self.state().plans.push((after, Plan::ActAfter(Box::new(act))));
    }

    /// Plans a change by another process before the look after the next `after` looks ([`Backend::look`]). A step is looked at once; in a
    /// rollback it is looked at before each inverse is chosen, and the inverse before it is carried out.
    pub fn act_before_look(&self, after: usize, act: impl FnOnce(&B) + Send + 'static) {
        self.state().before_looks.push((after, Box::new(act)));
    }

    /// Cancels all plans, and returns whether one was left.
    #[must_use]
    pub fn cancel(&self) -> bool {
        let mut state = self.state();
        let (plans, before_looks) = (std::mem::take(&mut state.plans), std::mem::take(&mut state.before_looks));
        !plans.is_empty() || !before_looks.is_empty()
    }

    /// Returns the operations of the steps that succeeded, in order, and clears them.
    #[must_use]
    pub fn take_log(&self) -> Vec<Operation> {
        std::mem::take(&mut self.state().log)
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step, with the fault that is planned for it, while others act before and after it.
    fn step<T>(&self, step: impl FnOnce(Option<Fault>) -> T) -> T {
        // An action may take steps of its own: the lock is not held.
        let plans = due(&mut self.state().plans);
        let (mut fault, mut after) = (None, Vec::new());
        for plan in plans {
            match plan {
                Plan::Fail(planned) => fault = Some(planned),
                Plan::ActBefore(act) => act(&self.inner),
                Plan::ActAfter(act) => after.push(act),
            }
        }
        let outcome = step(fault);
        for act in after {
            act(&self.inner);
        }
        outcome
    }

    fn note(&self, operation: Operation) {
        self.state().log.push(operation);
    }
}

/// Takes what is planned for now, and brings the rest nearer.
fn due<T>(plans: &mut Vec<(usize, T)>) -> Vec<T> {
    let (now, later): (Vec<_>, Vec<_>) = std::mem::take(plans).into_iter().partition(|&(after, _)| after == 0);
    plans.extend(later.into_iter().map(|(after, plan)| (after - 1, plan)));
    now.into_iter().map(|(_, plan)| plan).collect()
}

impl<B: Backend> fmt::Debug for FaultyBackend<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyBackend").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<B: Backend> Backend for FaultyBackend<B> {
    delegate_reading!(inner);

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn look(&self, step: &Step) -> Result<Seen> {
        let acts = due(&mut self.state().before_looks);
        for act in acts {
            act(&self.inner);
        }
        self.inner.look(step)
    }

    fn run(&self, step: &Step, seen: &Seen) -> Outcome {
        self.step(|fault| {
            let error = |kind| step.attempt(self.name()).error(kind);
            if fault == Some(Fault::Refused) {
                return Outcome::Refused(error(ErrorKind::Os));
            }
            let made = match self.inner.run(step, seen) {
                Outcome::Done(made) => made,
                failed => return failed,
            };
            match fault {
                Some(Fault::AnswerLost) => Outcome::unclear(error(ErrorKind::TimedOut)),
                // A tap that was made is closed, and known.
                Some(_) => Outcome::Unclear { made: made.identity(), error: error(ErrorKind::InvalidOption) },
                None => {
                    self.note(step.operation());
                    Outcome::Done(made)
                }
            }
        })
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        self.step(|fault| {
            let error = |kind| Err(Attempt::new(self.name(), Operation::PersistTap).on(tap).error(kind));
            if fault == Some(Fault::Refused) {
                return error(ErrorKind::Os);
            }
            self.inner.persist_tap(tap)?;
            if fault.is_some() {
                return error(ErrorKind::TimedOut);
            }
            self.note(Operation::PersistTap);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::model::Model;
    use crate::{
        BridgeSpec, Bridges, InterfaceName, MacAddr, PortOptions, Resolved, Rollback, StaticEntry, Target,
        Transaction, UnicastMac,
    };

    fn name(text: &str) -> InterfaceName {
        text.parse().expect("a name")
    }

    fn mac(last: u8) -> UnicastMac {
        UnicastMac::new(MacAddr::new([0x52, 0x54, 0, 0, 0, last])).expect("of one station")
    }

    /// A bridge with one port, and two interfaces.
    fn host() -> FaultyBackend<Model> {
        let model = Model::new();
        model.create(&BridgeSpec::new(name("br0")).mac(mac(0xff)).mtu(9000)).expect("the name is free");
        for (last, port) in (0xf0..).zip(["tap0", "tap1", "tap2"]) {
            model.add_interface(name(port), mac(last)).expect("the name is free");
        }
        model.add_port(name("br0"), name("tap0")).expect("it can join");
        FaultyBackend::new(model)
    }

    /// All that can be read of a host, but for learned FDB entries.
    fn snapshot(host: &dyn Backend) -> String {
        let mut text =
            format!("{:?}\n{:?}\n", host.list_interfaces().expect("a list"), host.list_taps().expect("a list"));
        for bridge in host.list_bridges().expect("a list") {
            let target = Target::from(&bridge);
            let ports = host.list_ports(target).expect("it is there");
            let vlans: Vec<_> =
                ports.iter().map(|port| host.list_vlans(target, port.into()).expect("a port")).collect();
            let mut entries = host.list_fdb(target).expect("it is there");
            entries.retain(|entry| entry.origin != crate::FdbOrigin::Learned);
            writeln!(text, "{bridge:?}\n{ports:?}\n{vlans:?}\n{entries:?}").expect("a String takes all");
        }
        text
    }

    fn attach(host: &FaultyBackend<Model>) -> Result<Resolved> {
        Transaction::of(host, |steps| {
            let joined = steps.run(Step::add_port(name("br0"), name("tap1")))?;
            let port = joined.port.expect("it is a step on a port");
            let options = PortOptions::default().isolated(true).learning(false);
            steps.run(Step::change_port(joined.interface, port, options))?;
            steps.run(Step::replace_fdb_entry(joined.interface, StaticEntry::new(mac(7), port)))
        })
    }

    #[test]
    fn whatever_step_fails_the_host_is_as_it_was_or_all_is_done() {
        type Prepare = fn(&Model);
        let prepared: [Prepare; 3] = [
            |_| {},
            |host| host.learn(name("br0"), name("tap0"), mac(7), None).expect("it is a port"),
            |host| {
                let entry = StaticEntry::new(mac(7), name("tap0"));
                host.add_fdb_entry(name("br0"), &entry).expect("it is a port");
            },
        ];
        for prepare in prepared {
            let done = host();
            prepare(done.inner());
            attach(&done).expect("nothing fails");
            assert_eq!(done.take_log(), [Operation::AddPort, Operation::ChangePort, Operation::ReplaceFdbEntry]);
            for &fault in Fault::ALL {
                for after in 0..3 {
                    let host = host();
                    prepare(host.inner());
                    let before = snapshot(&host);
                    host.fail(after, fault);
                    let attached = attach(&host);
                    assert!(!host.cancel());
                    match attached {
                        // The answer was lost, and a look says that the step is done.
                        Ok(_) => {
                            assert_eq!(fault, Fault::AnswerLost, "after {after}");
                            assert_eq!(snapshot(&host), snapshot(&done), "after {after}");
                        }
                        Err(error) => {
                            let nothing_done = after == 0 && fault == Fault::Refused;
                            let is_back = matches!(error.rollback(), Rollback::Done) || nothing_done;
                            assert!(is_back, "{fault:?} after {after}: {error}");
                            assert_eq!(snapshot(&host), before, "{fault:?} after {after}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_fault_in_the_rollback_is_survived_once() {
        for &fault in Fault::ALL {
            for after in 3..6 {
                let host = host();
                let before = snapshot(&host);
                host.fail(2, Fault::FailedAfter);
                host.fail(after, fault);
                let error = attach(&host).expect_err("a step fails");
                assert!(!host.cancel(), "{after}");
                assert!(matches!(error.rollback(), Rollback::Done), "{fault:?} after {after}: {error}");
                assert_eq!(snapshot(&host), before, "{fault:?} after {after}");
            }
        }
    }

    #[test]
    fn others_act_before_and_after_a_step_that_fails() {
        let host = host();
        host.act_before(1, |host| host.add_port(name("br0"), name("tap2")).expect("it can join"));
        host.fail(1, Fault::Refused);
        host.act_after(1, |host| host.remove_port(name("br0"), name("tap0")).expect("it is a port"));
        attach(&host).expect_err("a step fails");
        let ports = host.ports(name("br0")).expect("it is there");
        assert_eq!(ports.iter().map(|port| port.name).collect::<Vec<_>>(), [name("tap2")]);
        assert_eq!(host.take_log(), [Operation::AddPort, Operation::RemovePort]);
        host.fail(7, Fault::Refused);
        assert!(host.cancel() && !host.cancel());
    }
}
