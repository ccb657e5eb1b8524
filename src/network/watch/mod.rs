//! Watching networks: saying, once, where their bridges are no longer what is defined, and putting
//! that right, but not without a limit: another program may want it otherwise, and as stubbornly.
//!
//! [`Watch`] is told when to look, and the time; [`Watcher`] looks at a store's networks when the
//! kernel says that something has changed.

#[cfg(feature = "store")]
mod follow;
mod limit;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[cfg(feature = "store")]
pub use self::follow::Watcher;
pub use self::limit::RepairLimit;
use self::limit::Spent;
pub use self::report::{News, Report};
use super::{DefinedNetwork, Drift, Ensured, NetworkFailure, NetworkName, Status, ensure, status};
use crate::BridgeBackend;

/// What a watch does about what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It only says so.
    Never,
    /// It puts it right ([`ensure`]), each network no more often than this.
    Limited(RepairLimit),
}

/// What is known of networks that are watched.
///
/// ```
/// use std::time::Instant;
/// use vmbridge::model::Model;
/// use vmbridge::network::{Network, Repair, Watch};
/// use vmbridge::BridgeBackend;
///
/// let host = Model::new();
/// let network = Network::new("default".parse()?).with_mac("52:54:00:12:34:56".parse()?).resolve([])?;
/// vmbridge::network::start(&host, &network)?;
/// let mut watch = Watch::new(Repair::Never);
/// assert!(watch.look(&host, [&network], Instant::now()).is_empty());
/// host.delete(network.bridge())?;
/// let reports = watch.look(&host, [&network], Instant::now());
/// assert_eq!(reports[0].to_string(), "network default: there is no bridge virbr0 any longer");
/// assert!(watch.look(&host, [&network], Instant::now()).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    repair: Repair,
    networks: BTreeMap<NetworkName, Watched>,
}

#[derive(Debug)]
struct Watched {
    /// As its reports have it.
    status: Status,
    /// What could not be done last, which is not said again.
    failure: Option<String>,
    spent: Spent,
    /// When it was said that it is left as it is, and for how long.
    pause: Option<(Instant, Duration)>,
}

impl Watch {
    /// Of networks of which it takes each to be as it is defined, until it looks.
    #[must_use]
    pub const fn new(repair: Repair) -> Self {
        Self { repair, networks: BTreeMap::new() }
    }

    /// Looks at these networks, puts right what is to be, and says what is new. Those that are no
    /// longer among them are forgotten.
    ///
    /// `now` is not before that of the last look.
    pub fn look<'n>(
        &mut self,
        backend: &dyn BridgeBackend,
        networks: impl IntoIterator<Item = &'n DefinedNetwork>,
        now: Instant,
    ) -> Vec<Report> {
        let mut before = std::mem::take(&mut self.networks);
        let mut reports = Vec::new();
        for network in networks {
            let name = network.name();
            let mut watched = before.remove(name).unwrap_or_else(|| Watched::new(now));
            let news = watched.look(backend, network, self.repair, now);
            reports.extend(news.into_iter().map(|news| Report { network: name.clone(), news }));
            self.networks.insert(name.clone(), watched);
        }
        reports
    }

    /// How long until the next look is due if nothing happens: there is a network that is to be put
    /// right, and was so too often.
    #[must_use]
    pub fn pause(&self, now: Instant) -> Option<Duration> {
        let left =
            |&(since, pause): &(Instant, Duration)| pause.saturating_sub(now.saturating_duration_since(since));
        self.networks.values().filter_map(|watched| watched.pause.as_ref().map(left)).min()
    }
}

impl Watched {
    const fn new(now: Instant) -> Self {
        Self { status: Status::AsDefined, failure: None, spent: Spent::new(now), pause: None }
    }

    fn look(
        &mut self,
        backend: &dyn BridgeBackend,
        network: &DefinedNetwork,
        repair: Repair,
        now: Instant,
    ) -> Vec<News> {
        let found = match status(backend, network) {
            Ok(found) => found,
            Err(error) => {
                self.pause = None;
                return self.failed(error.into_failure(), News::Unreadable).into_iter().collect();
            }
        };
        let mut news = changes(network, &self.status, &found);
        self.status = found;
        if let (Repair::Limited(limit), Status::Absent | Status::Drifted(_)) = (repair, &self.status) {
            news.extend(self.repair(backend, network, limit, now));
        } else {
            (self.failure, self.pause) = (None, None);
        }
        news
    }

    fn repair(
        &mut self,
        backend: &dyn BridgeBackend,
        network: &DefinedNetwork,
        limit: RepairLimit,
        now: Instant,
    ) -> Vec<News> {
        if let Err(left) = self.spent.once(limit, now) {
            return if self.pause.replace((now, left)).is_none() { vec![News::Paused(left)] } else { vec![] };
        }
        self.pause = None;
        match ensure(backend, network) {
            Err(error) => self.failed(error.into_failure(), News::NotRepaired).into_iter().collect(),
            Ok(ensured) => {
                self.failure = None;
                let before = std::mem::replace(&mut self.status, Status::AsDefined);
                match ensured {
                    Ensured::Created => vec![News::Created(network.bridge())],
                    Ensured::Repaired(drifts) => vec![News::Repaired(drifts)],
                    // Somebody else was faster.
                    Ensured::AsDefined => changes(network, &before, &Status::AsDefined),
                }
            }
        }
    }

    fn failed(&mut self, failure: NetworkFailure, news: fn(NetworkFailure) -> News) -> Option<News> {
        let news = news(failure);
        let text = news.to_string();
        (self.failure.replace(text.clone()) != Some(text)).then_some(news)
    }
}

/// What takes a reader from one status to another.
fn changes(network: &DefinedNetwork, before: &Status, now: &Status) -> Vec<News> {
    if before == now {
        return vec![];
    }
    let bridge = network.bridge();
    let mut news = match (before, now) {
        (Status::Occupied(_), Status::Occupied(_)) => vec![],
        (Status::Occupied(occupied), _) => vec![News::Vacated(occupied.clone())],
        (Status::Absent, Status::AsDefined | Status::Drifted(_)) => vec![News::Returned(bridge)],
        _ => vec![],
    };
    match now {
        Status::Absent => news.push(News::Vanished(bridge)),
        Status::Occupied(occupied) => news.push(News::Occupied(occupied.clone())),
        Status::AsDefined | Status::Drifted(_) => {
            let (before, now) = (drifts(before), drifts(now));
            let is_left = |old: &&Drift| now.iter().any(|drift| drift.control() == old.control());
            news.extend(before.iter().filter(|old| !is_left(old)).copied().map(News::Restored));
            news.extend(now.iter().filter(|drift| !before.contains(drift)).copied().map(News::Drifted));
        }
    }
    news
}

fn drifts(status: &Status) -> &[Drift] {
    match status {
        Status::Drifted(drifts) => drifts,
        _ => &[],
    }
}
