//! Watching the networks of a store as the kernel tells of changes.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{DriftTracker, NetworkEvent, RepairPolicy};
use crate::network::{Store, StoreError};
use crate::{BridgeBackend, Events, Result};

/// The least time between two looks: what the kernel tells in it is one change, however much it
/// is. Seen with 50 networks: a thousand veths, which came in 2 s, cost 0.1 s of the processor's time
/// on netlink and 0.2 s on the ioctl backend.
const LULL: Duration = Duration::from_millis(100);

/// Watches the networks of a store that are active.
///
/// It [looks](Self::check), [waits](Self::wait) and looks again. Nothing happens between the calls:
/// ending is just not calling it again.
///
/// Networks that are started and stopped meanwhile are watched from then on, and no longer. It looks
/// while it holds the lock of those who start and stop them ([`Store::lock_state`]): a bridge that
/// `stop` is about to delete has not vanished, and is not made again.
#[derive(Debug)]
pub struct NetworkWatcher<'a> {
    store: &'a Store,
    backend: &'a dyn BridgeBackend,
    events: Events,
    patience: Duration,
    watch: DriftTracker,
    /// What was wrong with the store at the last look, and is not said again.
    wrong: BTreeSet<String>,
    last: Option<Look>,
}

/// A look, as the wait after it sees it.
#[derive(Debug)]
struct Look {
    ended: Instant,
    took: Duration,
    /// How long after its end the next one is due, if it is.
    pause: Option<Duration>,
}

impl<'a> NetworkWatcher<'a> {
    /// Follows the kernel's events from now on. It looks without one, too, when it had none for so
    /// long: FreeBSD does not tell of everything ([`BridgeBackend::events`]), and for files that are
    /// changed by hand nobody does.
    ///
    /// # Errors
    /// Those of [`events`](BridgeBackend::events).
    pub fn new(
        store: &'a Store,
        backend: &'a dyn BridgeBackend,
        repair: RepairPolicy,
        patience: Duration,
    ) -> Result<Self> {
        let events = backend.events()?;
        let (watch, wrong) = (DriftTracker::new(repair), BTreeSet::new());
        Ok(Self { store, backend, events, patience, watch, wrong, last: None })
    }

    /// Looks, puts right what is to be, and gives what is new of the networks and of the store's
    /// files, each once until it changes.
    ///
    /// A store that cannot be read, or that another process has locked for long, is such news, too;
    /// the next look may fare better.
    pub fn check(&mut self) -> Vec<std::result::Result<NetworkEvent, StoreError>> {
        let begun = Instant::now();
        let mut wrong = Vec::new();
        let (mut events, mut pause) = (Vec::new(), None);
        match self.store.lock_state().and_then(|active| Ok((active.networks()?, active))) {
            Err(error) => wrong.push(error),
            Ok((networks, _lock)) => {
                let mut usable = Vec::new();
                for network in networks {
                    match network {
                        Ok(network) => usable.push(network),
                        Err(error) => wrong.push(error),
                    }
                }
                events = self.watch.check(self.backend, &usable, Instant::now());
                pause = self.watch.pause(Instant::now());
            }
        }
        let said = std::mem::replace(&mut self.wrong, wrong.iter().map(text).collect());
        wrong.retain(|error| !said.contains(&text(error)));
        self.last = Some(Look { ended: Instant::now(), took: begun.elapsed(), pause });
        events.into_iter().map(Ok).chain(wrong.into_iter().map(Err)).collect()
    }

    /// Waits until the next look is due: something may have changed, a pause of the repair has
    /// ended, or the patience has.
    ///
    /// It is at least 100 ms after the last one and, where a look takes longer than that, as long
    /// again, whatever happens.
    ///
    /// # Errors
    /// Those of [`Events::wait`].
    pub fn wait(&self) -> Result<()> {
        let Some(Look { ended, took, pause }) = self.last else { return Ok(()) };
        let pause = pause.map_or(self.patience, |pause| pause.saturating_sub(ended.elapsed()));
        self.events.wait(pause.min(self.patience))?;
        let lull = LULL.max(took).saturating_sub(ended.elapsed());
        if !lull.is_zero() {
            sleep(lull);
            self.events.wait(Duration::ZERO)?;
        }
        Ok(())
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

        fn watcher(&self, repair: RepairPolicy) -> NetworkWatcher<'_> {
            NetworkWatcher::new(&self.store, &self.host, repair, HOUR).expect("the model tells of its changes")
        }
    }

    fn texts(news: Vec<std::result::Result<NetworkEvent, StoreError>>) -> Vec<String> {
        news.into_iter().map(|news| news.map_or_else(|error| error.to_string(), |news| news.to_string())).collect()
    }

    #[test]
    fn wakes_when_something_changes() {
        let fixture = Fixture::started();
        let mut watcher = fixture.watcher(RepairPolicy::Never);
        assert_eq!(watcher.check().len(), 0);
        thread::scope(|scope| {
            scope.spawn(|| fixture.drift());
            watcher.wait().expect("no error");
        });
        assert_eq!(texts(watcher.check()), ["network default: mtu is 1300, defined as 1400"]);
    }

    #[test]
    fn wakes_when_a_pause_has_ended() {
        let fixture = Fixture::started();
        let mut watcher = fixture.watcher(limited(Duration::from_millis(300)));
        fixture.drift();
        assert_eq!(watcher.check().len(), 2);
        fixture.drift();
        let mut news = texts(watcher.check());
        while news.last().is_none_or(|text| text != "network default: repaired: mtu") {
            watcher.wait().expect("no error");
            news.extend(texts(watcher.check()));
        }
        let drifted = "network default: mtu is 1300, defined as 1400";
        let paused = "network default: repaired too often, paused for 1 s";
        assert_eq!(news, [drifted, paused, "network default: repaired: mtu"]);
    }

    #[test]
    fn follows_what_is_started_and_stopped() {
        let fixture = fixture();
        let mut watcher = fixture.watcher(limited(HOUR));
        assert_eq!(watcher.check().len(), 0);
        fixture.start();
        fixture.drift();
        assert_eq!(watcher.check().len(), 2);
        // While it is stopped, it cannot be looked at.
        let active = fixture.store.lock_state().expect("nobody has it");
        thread::scope(|scope| {
            let look = scope.spawn(|| watcher.check());
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
        let news = watcher.check();
        let [Err(a), Err(b)] = &news[..] else { panic!("{news:?}") };
        assert!(a.path().ends_with("a.xml") && b.path().ends_with("b.xml"), "{news:?}");
        fixture.drift();
        let drifted = "network default: mtu is 1300, defined as 1400";
        assert_eq!(texts(watcher.check()), [drifted]);

        let store = fixture.store.clone().with_patience(Duration::ZERO);
        let mut watcher = NetworkWatcher::new(&store, &fixture.host, RepairPolicy::Never, HOUR)
            .expect("the model tells of its changes");
        let active = fixture.store.lock_state().expect("nobody has it");
        let news = watcher.check();
        assert!(matches!(&news[..], [Err(error)] if matches!(error.reason(), StoreReason::Locked(_))), "{news:?}");
        assert_eq!(watcher.check().len(), 0);
        drop(active);
        assert_eq!(texts(watcher.check())[0], drifted);
    }
}
