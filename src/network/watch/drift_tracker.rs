//! Tracks the drift of networks from one check to the next.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::repair_policy::RepairLimit;
use super::repair_policy::Spent;
use super::restrictions::Restrictions;
use super::{NetworkEvent, NetworkEventKind, RepairPolicy};
use crate::Backend;
use crate::network::{
    Drift, DriftStatus, EnsureOutcome, NetworkFailure, NetworkName, ResolvedNetwork, ensure, status,
};

/// Tracks the drift of networks from one check to the next.
///
/// ```
/// use std::time::Instant;
/// use vmbridge::model::Model;
/// use vmbridge::network::{DriftTracker, Network, RepairPolicy};
/// use vmbridge::Bridges;
///
/// let host = Model::new();
/// let network = Network::new("default".parse()?).with_mac("52:54:00:12:34:56".parse()?).resolve([])?;
/// vmbridge::network::start(&host, &network)?;
/// let mut watch = DriftTracker::new(RepairPolicy::Never);
/// assert!(watch.check(&host, [&network], Instant::now()).is_empty());
/// host.delete(network.bridge())?;
/// let events = watch.check(&host, [&network], Instant::now());
/// assert_eq!(events[0].to_string(), "network default: bridge virbr0 is gone");
/// assert!(watch.check(&host, [&network], Instant::now()).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DriftTracker {
    repair: RepairPolicy,
    networks: BTreeMap<NetworkName, Watched>,
}

#[derive(Debug)]
struct Watched {
    /// As its events have it.
    status: DriftStatus,
    /// What could not be done last, which is not said again.
    failure: Option<String>,
    spent: Spent,
    /// When it was said that it is left as it is, and for how long.
    pause: Option<(Instant, Duration)>,
    restrictions: Restrictions,
}

impl DriftTracker {
    /// Creates a tracker, which takes each network to be as defined until its first check.
    #[must_use]
    pub const fn new(repair: RepairPolicy) -> Self {
        Self { repair, networks: BTreeMap::new() }
    }

    /// Checks these networks, repairs them if the policy says so, and returns what is new. Networks that
    /// are not among them are forgotten.
    ///
    /// `now` is not earlier than at the last check.
    pub fn check<'n>(
        &mut self,
        backend: &dyn Backend,
        networks: impl IntoIterator<Item = &'n ResolvedNetwork>,
        now: Instant,
    ) -> Vec<NetworkEvent> {
        let mut before = std::mem::take(&mut self.networks);
        let mut events = Vec::new();
        for network in networks {
            let name = network.name();
            let mut watched = before.remove(name).unwrap_or_else(|| Watched::new(now));
            let news = watched.check(backend, network, self.repair, now);
            events.extend(news.into_iter().map(|kind| NetworkEvent { network: name.clone(), kind }));
            self.networks.insert(name.clone(), watched);
        }
        events
    }

    /// Returns how long the shortest pause of a repair still lasts: if any network was repaired too often, or the entry
    /// of a restricted port has just been lost.
    #[must_use]
    pub fn pause(&self, now: Instant) -> Option<Duration> {
        let left =
            |&(since, pause): &(Instant, Duration)| pause.saturating_sub(now.saturating_duration_since(since));
        let pauses = self.networks.values().flat_map(|watched| [&watched.pause, &watched.restrictions.pause]);
        pauses.flatten().map(left).min()
    }
}

impl Watched {
    fn new(now: Instant) -> Self {
        let restrictions = Restrictions::default();
        Self { status: DriftStatus::AsDefined, failure: None, spent: Spent::new(now), pause: None, restrictions }
    }

    fn check(
        &mut self,
        backend: &dyn Backend,
        network: &ResolvedNetwork,
        repair: RepairPolicy,
        now: Instant,
    ) -> Vec<NetworkEventKind> {
        self.restrictions.pause = None;
        let found = match status(backend, network) {
            Ok(found) => found,
            Err(error) => {
                self.pause = None;
                return self.failed(error.into_failure(), NetworkEventKind::Unreadable).into_iter().collect();
            }
        };
        let mut news = changes(network, &self.status, &found);
        self.status = found;
        if let (RepairPolicy::Limited(limit), DriftStatus::Absent | DriftStatus::Drifted(_)) =
            (repair, &self.status)
        {
            news.extend(self.repair(backend, network, limit, now));
        } else {
            (self.failure, self.pause) = (None, None);
        }
        if let DriftStatus::AsDefined | DriftStatus::Drifted(_) = self.status {
            news.extend(self.restrictions.check(backend, network.bridge(), repair, now));
        }
        news
    }

    fn repair(
        &mut self,
        backend: &dyn Backend,
        network: &ResolvedNetwork,
        limit: RepairLimit,
        now: Instant,
    ) -> Vec<NetworkEventKind> {
        if let Err(left) = self.spent.once(limit, now) {
            let is_new = self.pause.replace((now, left)).is_none();
            return is_new.then_some(NetworkEventKind::Paused(left)).into_iter().collect();
        }
        self.pause = None;
        match ensure(backend, network) {
            Err(error) => self.failed(error.into_failure(), NetworkEventKind::NotRepaired).into_iter().collect(),
            Ok(ensured) => {
                self.failure = None;
                let before = std::mem::replace(&mut self.status, DriftStatus::AsDefined);
                match ensured {
                    EnsureOutcome::Created => vec![NetworkEventKind::Created(network.bridge())],
                    EnsureOutcome::Repaired(drifts) => vec![NetworkEventKind::Repaired(drifts)],
                    // Somebody else was faster.
                    EnsureOutcome::AsDefined => changes(network, &before, &DriftStatus::AsDefined),
                }
            }
        }
    }

    fn failed(
        &mut self,
        failure: NetworkFailure,
        news: fn(NetworkFailure) -> NetworkEventKind,
    ) -> Option<NetworkEventKind> {
        let news = news(failure);
        let text = news.to_string();
        (self.failure.replace(text.clone()) != Some(text)).then_some(news)
    }
}

/// What takes a reader from one status to another.
fn changes(network: &ResolvedNetwork, before: &DriftStatus, now: &DriftStatus) -> Vec<NetworkEventKind> {
    if before == now {
        return vec![];
    }
    let bridge = network.bridge();
    let mut news = match (before, now) {
        (DriftStatus::Occupied(_), DriftStatus::Occupied(_)) => vec![],
        (DriftStatus::Occupied(occupied), _) => vec![NetworkEventKind::Vacated(occupied.clone())],
        (DriftStatus::Absent, DriftStatus::AsDefined | DriftStatus::Drifted(_)) => {
            vec![NetworkEventKind::Returned(bridge)]
        }
        _ => vec![],
    };
    match now {
        DriftStatus::Absent => news.push(NetworkEventKind::Vanished(bridge)),
        DriftStatus::Occupied(occupied) => news.push(NetworkEventKind::Occupied(occupied.clone())),
        DriftStatus::AsDefined | DriftStatus::Drifted(_) => {
            let (before, now) = (drifts(before), drifts(now));
            let is_left = |old: &&Drift| now.iter().any(|drift| drift.control() == old.control());
            news.extend(before.iter().filter(|old| !is_left(old)).copied().map(NetworkEventKind::Restored));
            news.extend(
                now.iter().filter(|drift| !before.contains(drift)).copied().map(NetworkEventKind::Drifted),
            );
        }
    }
    news
}

fn drifts(status: &DriftStatus) -> &[Drift] {
    match status {
        DriftStatus::Drifted(drifts) => drifts,
        _ => &[],
    }
}
