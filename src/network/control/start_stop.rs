//! Starting and stopping the networks of a store; one is many of one.

use std::collections::BTreeSet;

use super::AdoptedBridge;
use super::controller::NetworkController;
use crate::network::inspect::{self, Bridge};
use crate::network::lifecycle::{self, Disposal, EnsureOutcome, Outcome, Plan, StopOutcome};
use crate::network::store::BridgeOrigin;
use crate::network::{
    Document, NetworkError, NetworkFailure, NetworkName, ResolvedNetwork, StateLock, StoreError, StoreReason,
};

/// What came of each of many networks, in the order in which they were named.
type Outcomes<T> = Vec<Result<T, NetworkError>>;

impl NetworkController<'_> {
    /// Starts a network as it is defined ([`start`](crate::network::start)).
    ///
    /// # Errors
    /// Those of [`start`](crate::network::start); [`NetworkFailure::ActiveAs`],
    /// [`NetworkFailure::Invalid`], [`NetworkFailure::Store`]. Whatever fails, nothing is left, or the
    /// error says what ([`NetworkFailure::RollbackFailed`]).
    pub fn start(&self, name: &NetworkName) -> Result<(), NetworkError> {
        only(name, self.start_many(std::slice::from_ref(name)))
    }

    /// Starts many networks, each as [`start`](Self::start) does and whatever becomes of the others, and gives
    /// what came of each in their order.
    ///
    /// Their bridges are made together ([`run_each`](crate::run_each)), and get their
    /// carriers at the same time. Nobody else can start or stop a network until all are done.
    ///
    /// # Errors
    /// The state directory cannot be locked; nothing is done then.
    pub fn start_many(&self, names: &[NetworkName]) -> Result<Outcomes<()>, StoreError> {
        let check = |network: &ResolvedNetwork, former: Option<&ResolvedNetwork>| {
            // By the MAC that it was started with: that may be defined anew.
            match former.map(|former| lifecycle::own_bridge(self.host, former)) {
                Some(Ok(Some(bridge))) => Err(NetworkFailure::Active(bridge.name)),
                None => lifecycle::check_start(self.host, network).map_err(|failure| match failure {
                    NetworkFailure::Active(bridge) => NetworkFailure::NotAdopted(bridge),
                    failure => failure,
                }),
                _ => lifecycle::check_start(self.host, network),
            }
        };
        let outcomes = self.make_active(names, check)?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map(drop)).collect())
    }

    /// Makes a network active and as it is defined ([`ensure`](crate::network::ensure)), whether or not it was
    /// started. An existing bridge that no record names is recorded as adopted. Temporary files of the store that a
    /// killed process has left are removed, too.
    ///
    /// # Errors
    /// Those of [`ensure`](crate::network::ensure), and as [`start`](Self::start). Whatever fails, all
    /// is as it was before.
    pub fn ensure(&self, name: &NetworkName) -> Result<EnsureOutcome, NetworkError> {
        only(name, self.ensure_many(std::slice::from_ref(name)))
    }

    /// Makes many networks active and as they are defined, each as [`ensure`](Self::ensure) does and
    /// whatever becomes of the others, and gives what came of each in their order.
    ///
    /// Bridges are made and changed together, as with [`start_many`](Self::start_many).
    ///
    /// # Errors
    /// As [`start_many`](Self::start_many).
    pub fn ensure_many(&self, names: &[NetworkName]) -> Result<Outcomes<EnsureOutcome>, StoreError> {
        self.store.tidy();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.make_active(names, |network, _| lifecycle::check_ensure(self.host, network))
    }

    /// Stops a network as it was started ([`stop`](crate::network::stop)), or, where that is not known, as it
    /// is defined.
    ///
    /// A bridge that was adopted is left ([`StopOutcome::Left`]), without the network's anchor. A bridge without a record
    /// is left with all that it has: it may be another program's, or vmbridge's if the state directory was lost.
    /// [`with_adopted`](Self::with_adopted) has both deleted.
    ///
    /// # Errors
    /// Those of [`stop`](crate::network::stop); [`NetworkFailure::Invalid`],
    /// [`NetworkFailure::Store`]. Only after the latter can it be stopped nevertheless, and is to be
    /// stopped again to be forgotten.
    pub fn stop(&self, name: &NetworkName) -> Result<StopOutcome, NetworkError> {
        only(name, self.stop_many(std::slice::from_ref(name)))
    }

    /// Stops many networks, each as [`stop`](Self::stop) does and whatever becomes of the others, and gives
    /// what came of each in their order.
    ///
    /// Their bridges are deleted together ([`run_each`](crate::run_each)). Nobody else
    /// can start or stop a network until all are done.
    ///
    /// # Errors
    /// As [`start_many`](Self::start_many).
    pub fn stop_many(&self, names: &[NetworkName]) -> Result<Outcomes<StopOutcome>, StoreError> {
        let active = self.store.lock_state()?;
        Ok(in_rounds(names, |names| self.stop_round(names, &active)))
    }

    fn stop_round(&self, names: &[NetworkName], active: &StateLock<'_>) -> Vec<Outcome<StopOutcome>> {
        let networks: Vec<_> = names.iter().map(|name| self.as_started(name)).collect();
        let known = networks.iter().filter_map(|network| network.as_ref().ok());
        let known: Vec<_> = known.map(|(network, disposal)| (network, *disposal)).collect();
        let mut stopped = lifecycle::stop_all(self.host, &known).into_iter();
        let note = |(name, network): (&NetworkName, Outcome<_>)| {
            network?;
            match stopped.next().expect("each network that is known has an outcome") {
                stopped @ (Ok(_) | Err(NetworkFailure::NotActive(_))) => {
                    active.remove(name).map_err(Into::into).and(stopped)
                }
                failed => failed,
            }
        };
        names.iter().zip(networks).map(note).collect()
    }

    /// The network as it was started, or, where that is not known, as it is defined; and what becomes of its bridge.
    fn as_started(&self, name: &NetworkName) -> Outcome<(ResolvedNetwork, Disposal)> {
        let (document, unless_told) = match self.store.active(name)? {
            Some(record) if BridgeOrigin::of(&record) == BridgeOrigin::Created => (record, Disposal::Delete),
            Some(record) => (record, Disposal::Release),
            None => (self.store.load(name)?, Disposal::Leave),
        };
        let disposal = if self.adopted == AdoptedBridge::Delete { Disposal::Delete } else { unless_told };
        Ok((ResolvedNetwork::from_document(&document)?, disposal))
    }

    /// Makes those networks active, or as they are defined, that `check` does not refuse; it sees what each
    /// was started with, too.
    fn make_active(
        &self,
        names: &[NetworkName],
        check: impl Fn(&ResolvedNetwork, Option<&ResolvedNetwork>) -> Outcome<Plan>,
    ) -> Result<Outcomes<EnsureOutcome>, StoreError> {
        let active = self.store.lock_state()?;
        Ok(in_rounds(names, |names| {
            let prepare = |name| {
                // Else another network could be defined with its bridge between the look at the definition and the note.
                let _definitions = self.store.lock_definitions()?;
                self.prepare(name, &check)?.note(&active)
            };
            let prepared: Vec<Outcome<Prepared>> = names.iter().map(prepare).collect();
            let ready = prepared.iter().filter_map(|prepared| prepared.as_ref().ok());
            let planned: Vec<_> = ready.map(|prepared| (&prepared.network, &prepared.plan)).collect();
            let mut made = lifecycle::carry_out(self.host, &planned).into_iter();
            let outcome = |prepared: Outcome<Prepared>| {
                let prepared = prepared?;
                let made = made.next().expect("each network that is ready has an outcome");
                made.map_err(|failure| prepared.take_back(&active, failure))
            };
            prepared.into_iter().map(outcome).collect()
        }))
    }

    fn prepare(
        &self,
        name: &NetworkName,
        check: impl Fn(&ResolvedNetwork, Option<&ResolvedNetwork>) -> Outcome<Plan>,
    ) -> Outcome<Prepared> {
        let document = self.store.load(name)?;
        let network = ResolvedNetwork::from_document(&document)?;
        let before = self.store.active(name)?;
        let former = before.as_ref().map(ResolvedNetwork::from_document).transpose()?;
        if let Some(former) = &former {
            self.settle(former, &network)?;
        }
        let plan = check(&network, former.as_ref())?;
        // Another bridge may have its name since.
        let is_recorded = former.is_some_and(|former| {
            former.bridge() == network.bridge() && plan.found_mac() == Some(former.mac().into())
        });
        let origin = match &before {
            _ if plan.found_mac().is_none() => BridgeOrigin::Created,
            Some(before) if is_recorded => BridgeOrigin::of(before),
            _ => BridgeOrigin::Adopted,
        };
        let record = self.store.record(&document, origin)?;
        Ok(Prepared { record, network, plan, before })
    }

    /// Before a network is started that was started with another bridge: refuses it while that is there,
    /// and removes what else is left of it, which nobody would know of then.
    fn settle(&self, former: &ResolvedNetwork, network: &ResolvedNetwork) -> Outcome<()> {
        let (active, defined) = (former.bridge(), network.bridge());
        if active == defined {
            return Ok(());
        }
        match inspect::bridge(self.host, former)? {
            Bridge::There(_) => Err(NetworkFailure::ActiveAs { active, defined }),
            Bridge::Occupied(_) => Ok(()),
            Bridge::Absent => match lifecycle::stop_one(self.host, former) {
                Err(NetworkFailure::NotActive(_)) => Ok(()),
                outcome => outcome.map(drop),
            },
        }
    }
}

/// A network that can be made active.
struct Prepared {
    /// What is noted of it while it is active.
    record: Document,
    network: ResolvedNetwork,
    plan: Plan,
    /// What is noted of it now.
    before: Option<Document>,
}

impl Prepared {
    /// Notes that it is active.
    fn note(self, active: &StateLock<'_>) -> Outcome<Self> {
        if self.is_noted() {
            return Ok(self);
        }
        match active.insert(&self.record) {
            Ok(()) => Ok(self),
            Err(error) if matches!(error.reason(), StoreReason::NotDurable(_)) => {
                Err(self.take_back(active, error.into()))
            }
            // Nothing is noted.
            Err(error) => Err(error.into()),
        }
    }

    /// When it has failed, what was noted before is noted again.
    fn take_back(&self, active: &StateLock<'_>, failure: NetworkFailure) -> NetworkFailure {
        if self.is_noted() {
            return failure;
        }
        let undone = match &self.before {
            Some(before) => active.insert(before),
            None => active.remove(self.network.name()),
        };
        match undone {
            Ok(()) => failure,
            Err(rollback) => {
                NetworkFailure::RollbackFailed { failure: Box::new(failure), rollback: Box::new(rollback) }
            }
        }
    }

    /// Whether it was noted before, so that there is nothing to write.
    fn is_noted(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.text() == self.record.text())
    }
}

/// Does something to many networks in rounds, in none of which one is twice: it is done with before it
/// comes again.
fn in_rounds<T>(mut names: &[NetworkName], act: impl Fn(&[NetworkName]) -> Vec<Outcome<T>>) -> Outcomes<T> {
    let mut outcomes = Vec::with_capacity(names.len());
    while !names.is_empty() {
        let mut seen = BTreeSet::new();
        let end = names.iter().position(|name| !seen.insert(name)).unwrap_or(names.len());
        let (round, rest) = names.split_at(end);
        let done = round.iter().zip(act(round));
        outcomes.extend(done.map(|(name, outcome)| outcome.map_err(NetworkError::of(name))));
        names = rest;
    }
    outcomes
}

/// What came of one.
fn only<T>(name: &NetworkName, outcomes: Result<Outcomes<T>, StoreError>) -> Result<T, NetworkError> {
    let mut outcomes = outcomes.map_err(NetworkFailure::from).map_err(NetworkError::of(name))?;
    outcomes.pop().expect("there is one for each network")
}
