//! Changing a bridge where the kernel has no transaction for it: one step after the other, and
//! back when one fails.

use crate::{BridgeChange, BridgeOption, BridgeState, ErrorKind, LinkState, MacAddr, Result};

/// One thing that a kernel changes in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Mtu(u32),
    Option(BridgeOption),
    Mac(MacAddr),
    Link(LinkState),
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
    let steps = steps(before, change);
    for (number, &step) in steps.iter().enumerate() {
        set(step).map_err(|error| {
            let outcome = undo(before, &steps[..=number], &set, &read);
            error.undone(outcome, format_args!("a changed bridge {}", before.name))
        })?;
    }
    Ok(())
}

/// What there is to do, in the order in which it can best be undone.
fn steps(before: &BridgeState, change: &BridgeChange) -> Vec<Step> {
    // A MAC is set even if it is the one that the bridge has: it may have that from a port, and
    // is kept only once it was set. An MTU is not, since Linux then stops following the ports'.
    let mtu = change.mtu.filter(|&mtu| mtu != before.mtu).map(Step::Mtu);
    let options = change.options.changes(&before.options).into_iter().map(Step::Option);
    let mac = change.mac.map(|mac| Step::Mac(mac.into()));
    let link = change.link.filter(|&link| link != before.link).map(Step::Link);
    mtu.into_iter().chain(options).chain(mac).chain(link).collect()
}

fn undo(
    before: &BridgeState,
    tried: &[Step],
    set: impl Fn(Step) -> Result<()>,
    read: impl Fn() -> Result<BridgeState>,
) -> Result<()> {
    let now = match read() {
        // Nothing is left of a bridge that has vanished.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        now => now?,
    };
    // Turning STP on changes the forward delay, too, if STP could not do with it.
    let turned_on = tried.contains(&Step::Option(BridgeOption::Stp(true)));
    let forward_delay = before.options.forward_delay.filter(|_| turned_on).map(BridgeOption::ForwardDelay);
    let delay_back = forward_delay.filter(|_| before.options.forward_delay != now.options.forward_delay);
    let back = tried.iter().rev().filter_map(|&step| match step {
        Step::Mtu(mtu) => (now.mtu == mtu && mtu != before.mtu).then_some(Step::Mtu(before.mtu)),
        Step::Option(option) => before.options.former(&now.options, option).map(Step::Option),
        Step::Mac(mac) => (now.mac == mac && mac != before.mac).then_some(Step::Mac(before.mac)),
        Step::Link(link) => (now.link == link && link != before.link).then_some(Step::Link(before.link)),
    });
    // One that fails does not keep the others from being tried.
    back.chain(delay_back.map(Step::Option)).map(set).fold(Ok(()), Result::and)
}
