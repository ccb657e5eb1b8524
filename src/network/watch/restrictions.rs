//! Watches the restricted ports of a network's bridge, and remembers the MACs of their guests.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::repair_policy::{RepairLimit, Spent};
use super::{NetworkEventKind, RepairPolicy};
use crate::network::NetworkFailure;
use crate::{Backend, Error, ErrorKind, Identity, InterfaceName, RestrictedPort, UnicastMac, restricted_ports};

/// How long an entry is missing before it is restored: a port that is being restricted to another MAC has none for a
/// moment.
const DOUBT: Duration = Duration::from_millis(100);

/// The restricted ports of a bridge, as they were at the last check.
#[derive(Debug, Default)]
pub(super) struct Restrictions {
    ports: HashMap<Identity, Remembered>,
    /// What could not be read last, which is not said again.
    failure: Option<String>,
    /// When a repair was put off, and for how long.
    pub(super) pause: Option<(Instant, Duration)>,
}

/// A restricted port. Each has a budget of its own: the guest behind one must not keep another from being repaired.
#[derive(Debug)]
struct Remembered {
    /// The MACs that it had when it had any.
    macs: Vec<UnicastMac>,
    /// When it was first seen without.
    lost: Option<Instant>,
    /// What could not be done last, which is not said again.
    failure: Option<String>,
    spent: Spent,
    /// It was said that it is repaired too often.
    is_paused: bool,
}

impl Remembered {
    fn new(now: Instant) -> Self {
        Self { macs: Vec::new(), lost: None, failure: None, spent: Spent::new(now), is_paused: false }
    }
}

impl Restrictions {
    /// Checks the ports, restores what is missing if the policy says so, and returns what is new.
    pub(super) fn check(
        &mut self,
        backend: &dyn Backend,
        bridge: InterfaceName,
        repair: RepairPolicy,
        now: Instant,
    ) -> Vec<NetworkEventKind> {
        self.pause = None;
        let found = match restricted_ports(backend, bridge) {
            Ok(found) => found,
            // Nothing is restricted here, or the bridge has just gone.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::NotFound) => return vec![],
            Err(error) => {
                return unless_said(&mut self.failure, error, NetworkEventKind::Unreadable).into_iter().collect();
            }
        };
        let mut before = std::mem::take(&mut self.ports);
        let mut news = Vec::new();
        for port in found {
            let name = port.port.name();
            let mut known = before.remove(&port.port).unwrap_or_else(|| Remembered::new(now));
            if port.macs.is_empty() {
                known.macs.extend(port.lost.filter(|_| known.macs.is_empty()));
                if known.lost.is_none() {
                    news.push(NetworkEventKind::EntryLost { port: name, macs: known.macs.clone() });
                }
                let since = *known.lost.get_or_insert(now);
                if let RepairPolicy::Limited(limit) = repair {
                    news.extend(self.repair(backend, &port, &mut known, since, limit, now));
                }
            } else {
                news.extend(known.lost.take().map(|_| NetworkEventKind::EntryReturned(name)));
                known.macs.clone_from(&port.macs);
            }
            self.ports.insert(port.port, known);
        }
        news
    }

    fn repair(
        &mut self,
        backend: &dyn Backend,
        port: &RestrictedPort,
        known: &mut Remembered,
        since: Instant,
        limit: RepairLimit,
        now: Instant,
    ) -> Option<NetworkEventKind> {
        if known.macs.is_empty() {
            return None;
        }
        let doubt = DOUBT.saturating_sub(now.saturating_duration_since(since));
        if !doubt.is_zero() {
            self.put_off(now, doubt);
            return None;
        }
        if let Err(left) = known.spent.once(limit, now) {
            self.put_off(now, left);
            return (!std::mem::replace(&mut known.is_paused, true)).then_some(NetworkEventKind::Paused(left));
        }
        known.is_paused = false;
        match port.restore(backend, &known.macs) {
            Err(error) => unless_said(&mut known.failure, error, NetworkEventKind::NotRepaired),
            Ok(is_restored) => {
                known.failure = None;
                known.lost = known.lost.filter(|_| !is_restored);
                let (port, macs) = (port.port.name(), known.macs.clone());
                is_restored.then_some(NetworkEventKind::EntryRestored { port, macs })
            }
        }
    }

    /// The next check is when the first of the ports can be repaired.
    fn put_off(&mut self, now: Instant, left: Duration) {
        let left = self.pause.map_or(left, |(_, shortest)| shortest.min(left));
        self.pause = Some((now, left));
    }
}

fn unless_said(
    said: &mut Option<String>,
    error: Error,
    news: fn(NetworkFailure) -> NetworkEventKind,
) -> Option<NetworkEventKind> {
    let news = news(error.into());
    let text = news.to_string();
    (said.replace(text.clone()) != Some(text)).then_some(news)
}
