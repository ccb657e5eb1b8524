//! Changing a bridge or a tap where the kernel has no transaction for it: one step after the
//! other, and back when one fails.

use std::fmt;

use crate::{BridgeChange, BridgeOption, BridgeState, ErrorKind, LinkState, MacAddr, Result, TapChange, TapState};

/// One thing that a kernel changes in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Mtu(u32),
    Option(BridgeOption),
    Mac(MacAddr),
    Link(LinkState),
}

/// What every interface has of that.
#[derive(Debug, Clone, Copy)]
struct Basics {
    mtu: u32,
    mac: MacAddr,
    link: LinkState,
}

impl Basics {
    const fn of_bridge(state: &BridgeState) -> Self {
        Self { mtu: state.mtu, mac: state.mac, link: state.link }
    }

    const fn of_tap(state: &TapState) -> Self {
        Self { mtu: state.mtu, mac: state.mac, link: state.link }
    }

    /// What undoes a step from this state, if it has had its effect.
    fn former(self, now: Self, step: Step) -> Option<Step> {
        match step {
            Step::Mtu(mtu) => (now.mtu == mtu && mtu != self.mtu).then_some(Step::Mtu(self.mtu)),
            Step::Mac(mac) => (now.mac == mac && mac != self.mac).then_some(Step::Mac(self.mac)),
            Step::Link(link) => (now.link == link && link != self.link).then_some(Step::Link(self.link)),
            Step::Option(_) => None,
        }
    }

    /// What there is to do besides options, in the order in which it can best be undone: some of it
    /// before them, the rest after.
    fn steps(self, mtu: Option<u32>, mac: Option<MacAddr>, link: Option<LinkState>) -> [Option<Step>; 3] {
        // A MAC is set even if it is the one that the interface has: a bridge may have that from a
        // port, and is kept only once it was set. An MTU is not, since Linux then stops following
        // the ports'.
        let mtu = mtu.filter(|&mtu| mtu != self.mtu).map(Step::Mtu);
        [mtu, mac.map(Step::Mac), link.filter(|&link| link != self.link).map(Step::Link)]
    }
}

/// Takes a bridge from the state `before` through `change`.
///
/// `set` does one step; `read` reads the bridge's state. After a failure the state is read, and
/// each step that was tried and has had its effect is undone, the last one first: that also
/// covers a step whose answer was lost. What others have changed meanwhile is left alone.
pub(crate) fn apply(
    before: &BridgeState,
    change: &BridgeChange,
    set: impl Fn(Step) -> Result<()>,
    read: impl Fn() -> Result<BridgeState>,
) -> Result<()> {
    let back = |tried: &[Step], now: &BridgeState| back(before, tried, now);
    take(&steps(before, change), set, read, back, left(before))
}

/// What takes a bridge from the state `before` through `change`, step by step.
pub(crate) fn steps(before: &BridgeState, change: &BridgeChange) -> Vec<Step> {
    let [mtu, mac, link] = Basics::of_bridge(before).steps(change.mtu, change.mac.map(Into::into), change.link);
    let options = change.options.changes(&before.options).into_iter().map(Step::Option);
    mtu.into_iter().chain(options).chain(mac).chain(link).collect()
}

/// Undoes those steps that were tried, of those that [`steps`] gave, as [`apply`] does after a failure.
#[cfg(all(target_os = "linux", feature = "netlink"))]
pub(crate) fn take_back(
    before: &BridgeState,
    tried: &[Step],
    set: impl Fn(Step) -> Result<()>,
    read: impl Fn() -> Result<BridgeState>,
) -> Result<()> {
    undo(tried, set, read, |tried, now| back(before, tried, now))
}

/// What is left of a bridge that could not be taken back.
pub(crate) fn left(before: &BridgeState) -> impl fmt::Display {
    format!("a changed bridge {}", before.name)
}

/// The same of a tap.
pub(crate) fn apply_to_tap(
    before: &TapState,
    change: &TapChange,
    set: impl Fn(Step) -> Result<()>,
    read: impl Fn() -> Result<TapState>,
) -> Result<()> {
    let basics = Basics::of_tap(before);
    let steps: Vec<_> = basics.steps(change.mtu, change.mac, change.link).into_iter().flatten().collect();
    let back = |tried: &[Step], now: &TapState| {
        tried.iter().rev().filter_map(|&step| basics.former(Basics::of_tap(now), step)).collect()
    };
    take(&steps, set, read, back, format_args!("a changed tap {}", before.name))
}

/// Takes steps, and those of `back` when one fails: of what was tried and the state since.
fn take<S>(
    steps: &[Step],
    set: impl Fn(Step) -> Result<()>,
    read: impl Fn() -> Result<S>,
    back: impl Fn(&[Step], &S) -> Vec<Step>,
    left: impl fmt::Display,
) -> Result<()> {
    for (number, &step) in steps.iter().enumerate() {
        set(step).map_err(|error| error.undone(undo(&steps[..=number], &set, &read, &back), &left))?;
    }
    Ok(())
}

/// Takes the steps of `back`.
fn undo<S>(
    tried: &[Step],
    set: impl Fn(Step) -> Result<()>,
    read: impl Fn() -> Result<S>,
    back: impl Fn(&[Step], &S) -> Vec<Step>,
) -> Result<()> {
    match read() {
        // Nothing is left of an interface that has vanished.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // One that fails does not keep the others from being tried.
        now => now.and_then(|now| back(tried, &now).into_iter().map(&set).fold(Ok(()), Result::and)),
    }
}

/// What takes a bridge back, the last step first.
fn back(before: &BridgeState, tried: &[Step], now: &BridgeState) -> Vec<Step> {
    // Turning STP on changes the forward delay, too, if STP could not do with it.
    let turned_on = tried.contains(&Step::Option(BridgeOption::Stp(true)));
    let forward_delay = before.options.forward_delay.filter(|_| turned_on).map(BridgeOption::ForwardDelay);
    let delay_back = forward_delay.filter(|_| before.options.forward_delay != now.options.forward_delay);
    let former = |&step: &Step| match step {
        Step::Option(option) => before.options.former(&now.options, option).map(Step::Option),
        step => Basics::of_bridge(before).former(Basics::of_bridge(now), step),
    };
    tried.iter().rev().filter_map(former).chain(delay_back.map(Step::Option)).collect()
}
