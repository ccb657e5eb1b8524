//! Watching the networks of a store as the kernel reports changes.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{DriftTracker, NetworkEvent, RepairPolicy};
use crate::network::{Store, StoreError, StoreReason};
use crate::{Backend, Bridges, Events, Result, Wake};

/// The least time between two checks: all that the kernel reports in it is one change. Seen with 50
/// networks: a thousand veths, which came in 2 s, cost 0.1 s of the processor's time on netlink and
/// 0.2 s on the ioctl backend.
const LULL: Duration = Duration::from_millis(100);

/// Watches the active networks of a store, and repairs them if its policy says so.
///
/// A program either blocks in [`due_within`](Self::due_within) until a check is due, or polls the
/// watcher's descriptor in an event loop of its own. Nothing happens between the calls.
///
/// Networks that start or stop meanwhile are watched from then on, or no longer. A
/// [`check`](Self::check) holds the lock of those who start and stop networks
/// ([`Store::lock_state`]): it does not report or repair a bridge that `stop` is about to delete.
///
/// An event loop, which ends here with the first event:
///
/// ```
/// use std::os::fd::AsFd;
/// use std::time::Duration;
/// use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
/// use vmbridge::model::Model;
/// use vmbridge::network::{MacSource, NetworkController, NetworkWatcher, RepairPolicy, Store};
/// use vmbridge::{Bridges, InterfaceName};
///
/// # let directory = tempfile::tempdir()?;
/// # let (config, state) = (directory.path().join("config"), directory.path().join("state"));
/// let (backend, store) = (Model::new(), Store::new(config, state));
/// store.define(&backend, &"<network><name>lan</name></network>".parse()?, &MacSource::Random)?;
/// NetworkController::new(&backend, &store).start(&"lan".parse()?)?;
/// let mut watcher = NetworkWatcher::new(store, &backend, RepairPolicy::Never, Duration::from_secs(10))?;
/// backend.delete("virbr0".parse::<InterfaceName>()?)?;
///
/// let event = 'events: loop {
///     if watcher.due_within(Duration::ZERO)? {
///         for event in watcher.check(&backend) {
///             break 'events event?;
///         }
///     }
///     let timeout = PollTimeout::try_from(watcher.timeout())?;
///     poll(&mut [PollFd::new(watcher.as_fd(), PollFlags::POLLIN)], timeout)?;
/// };
/// assert_eq!(event.to_string(), "network lan: bridge virbr0 is gone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NetworkWatcher {
    store: Store,
    events: Events,
    interval: Duration,
    tracker: DriftTracker,
    /// The errors of the store at the last check, which are not reported again.
    reported: BTreeSet<String>,
    last: Option<Check>,
    /// Whether something has changed since the last check began.
    changed: bool,
}

/// A check, as the wait after it sees it.
#[derive(Debug)]
struct Check {
    ended: Instant,
    took: Duration,
    /// How long after its end a repair is due, if one is.
    pause: Option<Duration>,
}

impl NetworkWatcher {
    /// Follows the kernel's events from now on.
    ///
    /// A check is due after `interval` even if there was no event: FreeBSD does not report all changes
    /// ([`Bridges::events`]), and no kernel reports files that are changed by hand.
    ///
    /// # Errors
    /// Those of [`events`](Bridges::events).
    pub fn new(store: Store, backend: &dyn Backend, policy: RepairPolicy, interval: Duration) -> Result<Self> {
        let (events, tracker) = (backend.events()?, DriftTracker::new(policy));
        Ok(Self { store, events, interval, tracker, reported: BTreeSet::new(), last: None, changed: false })
    }

    /// Checks the networks, repairs them if the policy says so, and returns what is new of them and of
    /// the files of the store. Each event and each error is returned once, until it changes.
    ///
    /// `backend` is the one that the watcher was created with. The check waits for the lock of the
    /// store as long as the store allows ([`Store::with_patience`]). A store that is locked or cannot
    /// be read is an error among the events, and a later check retries.
    pub fn check(&mut self, backend: &dyn Backend) -> Vec<std::result::Result<NetworkEvent, StoreError>> {
        let begun = Instant::now();
        let (mut events, mut errors, mut pause) = (Vec::new(), Vec::new(), None);
        self.changed = false;
        match self.store.lock_state().and_then(|state| Ok((state.networks()?, state))) {
            Err(error) => {
                // When the lock is released, nothing reports it.
                self.changed = matches!(error.reason(), StoreReason::Locked(_));
                errors.push(error);
            }
            Ok((networks, _lock)) => {
                let mut usable = Vec::new();
                for network in networks {
                    match network {
                        Ok(network) => usable.push(network),
                        Err(error) => errors.push(error),
                    }
                }
                events = self.tracker.check(backend, &usable, Instant::now());
                pause = self.tracker.pause(Instant::now());
            }
        }
        let before = std::mem::replace(&mut self.reported, errors.iter().map(text).collect());
        errors.retain(|error| !before.contains(&text(error)));
        self.last = Some(Check { ended: Instant::now(), took: begun.elapsed(), pause });
        events.into_iter().map(Ok).chain(errors.into_iter().map(Err)).collect()
    }

    /// Returns how long it is until a check is due if the kernel reports nothing: the timeout for a poll
    /// of the descriptor.
    ///
    /// A check is due when something may have changed, when a pause of the repairs has ended, or
    /// after the interval. Between two checks are at least 100 ms and at least as long as a check takes.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let Some(Check { ended, took, pause }) = self.last else { return Duration::ZERO };
        let lull = LULL.max(took);
        let wait = if self.changed { lull } else { pause.unwrap_or(self.interval).min(self.interval).max(lull) };
        wait.saturating_sub(ended.elapsed())
    }

    /// Waits until a check is due, but no longer than `patience`, and returns whether one is due. With a
    /// patience of zero it never blocks.
    ///
    /// # Errors
    /// Those of [`Events::wait`].
    pub fn due_within(&mut self, patience: Duration) -> Result<bool> {
        let begun = Instant::now();
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            let next = self.timeout();
            // While it is known that something has changed, the events are only removed.
            let wait = if self.changed { Duration::ZERO } else { next.min(left) };
            self.changed |= self.events.wait(wait)? == Wake::Changed;
            let next = self.timeout();
            if next.is_zero() {
                return Ok(true);
            }
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            if self.changed {
                sleep(next.min(left));
            }
        }
    }
}

impl AsFd for NetworkWatcher {
    /// Returns a descriptor that becomes readable when something may have changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn text(error: &StoreError) -> String {
    error.report().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::network::{Document, RepairLimit, StoreReason, start};
    use crate::{BridgeChange, InterfaceName};
    use std::fs;
    use std::num::NonZeroU32;
    use std::thread;
    use tempfile::TempDir;

    /// Longer than a test may take.
    const HOUR: Duration = Duration::from_secs(3600);

    struct Fixture {
        _directory: TempDir,
        state: std::path::PathBuf,
        store: Store,
        host: Model,
    }

    fn fixture() -> Fixture {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let (config, state) = (directory.path().join("etc"), directory.path().join("run"));
        Fixture { store: Store::new(config, &state), state, host: Model::new(), _directory: directory }
    }

    fn bridge() -> InterfaceName {
        "virbr0".parse().expect("a name")
    }

    fn limited(interval: Duration) -> RepairPolicy {
        RepairPolicy::Limited(RepairLimit::new(NonZeroU32::MIN, interval))
    }

    impl Fixture {
        fn started() -> Self {
            let fixture = fixture();
            fixture.start();
            fixture
        }

        fn start(&self) {
            let text = "<network><name>default</name><bridge name='virbr0'/><mtu size='1400'/>\
                        <mac address='52:54:00:00:00:01'/></network>";
            let document: Document = text.parse().expect("a definition");
            let active = self.store.lock_state().expect("nobody has it");
            active.insert(&document).expect("it can be noted");
            let network = document.network().expect("it is one").clone().resolve([]).expect("it is whole");
            start(&self.host, &network).expect("it can be started");
        }

        fn drift(&self) {
            self.host.change(bridge(), &BridgeChange::default().mtu(1300)).expect("it can be changed");
        }

        fn watcher(&self, repair: RepairPolicy) -> NetworkWatcher {
            NetworkWatcher::new(self.store.clone(), &self.host, repair, HOUR)
                .expect("the model tells of its changes")
        }
    }

    fn texts(news: Vec<std::result::Result<NetworkEvent, StoreError>>) -> Vec<String> {
        news.into_iter()
            .map(|news| news.map_or_else(|error| error.report().to_string(), |news| news.to_string()))
            .collect()
    }

    #[test]
    fn wakes_when_something_changes() {
        let fixture = Fixture::started();
        let mut watcher = fixture.watcher(RepairPolicy::Never);
        assert_eq!(watcher.check(&fixture.host).len(), 0);
        thread::scope(|scope| {
            scope.spawn(|| fixture.drift());
            assert!(watcher.due_within(HOUR).expect("no error"));
        });
        assert_eq!(texts(watcher.check(&fixture.host)), ["network default: mtu is 1300, defined as 1400"]);
    }

    #[test]
    fn wakes_when_a_pause_has_ended() {
        let fixture = Fixture::started();
        let mut watcher = fixture.watcher(limited(Duration::from_millis(300)));
        fixture.drift();
        assert_eq!(watcher.check(&fixture.host).len(), 2);
        fixture.drift();
        let mut news = texts(watcher.check(&fixture.host));
        while news.last().is_none_or(|text| text != "network default: repaired: mtu") {
            assert!(watcher.due_within(HOUR).expect("no error"));
            news.extend(texts(watcher.check(&fixture.host)));
        }
        let drifted = "network default: mtu is 1300, defined as 1400";
        let paused = "network default: repaired too often, paused for 1 s";
        assert_eq!(news, [drifted, paused, "network default: repaired: mtu"]);
    }

    #[test]
    fn follows_what_is_started_and_stopped() {
        let fixture = fixture();
        let mut watcher = fixture.watcher(limited(HOUR));
        assert_eq!(watcher.check(&fixture.host).len(), 0);
        fixture.start();
        fixture.drift();
        assert_eq!(watcher.check(&fixture.host).len(), 2);
        // While it is stopped, it cannot be looked at.
        let active = fixture.store.lock_state().expect("nobody has it");
        thread::scope(|scope| {
            let look = scope.spawn(|| watcher.check(&fixture.host));
            fixture.host.delete(bridge()).expect("it is there");
            active.remove(&"default".parse().expect("a name")).expect("it can be noted");
            drop(active);
            assert_eq!(look.join().expect("no panic").len(), 0);
        });
        assert_eq!(fixture.host.list().expect("a list"), []);
    }

    #[test]
    fn says_once_what_is_wrong_with_the_store() {
        let fixture = Fixture::started();
        let template =
            "<network><name>b</name><bridge name='virbr%d'/><mac address='52:54:00:00:00:02'/></network>";
        for (file, text) in [("a.xml", "no network"), ("b.xml", template)] {
            fs::write(fixture.state.join(file), text).expect("it can be written");
        }
        let mut watcher = fixture.watcher(RepairPolicy::Never);
        let news = watcher.check(&fixture.host);
        let [Err(a), Err(b)] = &news[..] else { panic!("{news:?}") };
        assert!(a.path().ends_with("a.xml") && b.path().ends_with("b.xml"), "{news:?}");
        fixture.drift();
        let drifted = "network default: mtu is 1300, defined as 1400";
        assert_eq!(texts(watcher.check(&fixture.host)), [drifted]);

        let store = fixture.store.clone().with_patience(Duration::ZERO);
        let mut watcher = NetworkWatcher::new(store, &fixture.host, RepairPolicy::Never, HOUR)
            .expect("the model tells of its changes");
        let active = fixture.store.lock_state().expect("nobody has it");
        let news = watcher.check(&fixture.host);
        assert!(matches!(&news[..], [Err(error)] if matches!(error.reason(), StoreReason::Locked(_))), "{news:?}");
        assert_eq!(watcher.check(&fixture.host).len(), 0);
        drop(active);
        assert_eq!(texts(watcher.check(&fixture.host))[0], drifted);
    }
    #[test]
    fn never_blocks_without_patience() {
        let fixture = Fixture::started();
        let mut watcher = fixture.watcher(RepairPolicy::Never);
        let is_due = |watcher: &mut NetworkWatcher| watcher.due_within(Duration::ZERO).expect("no error");
        assert_eq!(watcher.timeout(), Duration::ZERO);
        assert!(is_due(&mut watcher));
        assert_eq!(watcher.check(&fixture.host).len(), 0);
        assert!(!is_due(&mut watcher) && watcher.timeout() > HOUR / 2);

        fixture.drift();
        fixture.host.change(bridge(), &BridgeChange::default().mtu(1200)).expect("it can be changed");
        // The events are taken, so that a poll of the descriptor does not return at once.
        let due = is_due(&mut watcher);
        assert!(due || watcher.timeout() < HOUR / 2);
        assert_eq!(watcher.events.wait(Duration::ZERO).expect("no error"), Wake::TimedOut);
        assert!(watcher.due_within(HOUR).expect("no error"));
        assert_eq!(texts(watcher.check(&fixture.host)), ["network default: mtu is 1200, defined as 1400"]);
        assert!(!is_due(&mut watcher));
    }

    #[test]
    fn retries_soon_when_the_store_was_locked() {
        let fixture = Fixture::started();
        let store = fixture.store.clone().with_patience(Duration::ZERO);
        let mut watcher =
            NetworkWatcher::new(store, &fixture.host, RepairPolicy::Never, HOUR).expect("the model has events");
        let state = fixture.store.lock_state().expect("nobody has it");
        assert_eq!(watcher.check(&fixture.host).len(), 1);
        assert!(watcher.timeout() < HOUR / 2);
        drop(state);
        assert!(watcher.due_within(HOUR).expect("no error"));
        assert_eq!(watcher.check(&fixture.host).len(), 0);
        assert!(watcher.timeout() > HOUR / 2);
    }
}
