//! Changing a bridge where the kernel has no transaction for it: one step after the other, and
//! back when one fails.

use crate::{BridgeChange, BridgeState, LinkState, MacAddr, Result};

/// One thing that a kernel changes in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Mtu(u32),
    Mac(MacAddr),
    Link(LinkState),
}

/// Takes a bridge from the state `before` through `change`.
///
/// `set` does one step; `read` reads the bridge's state. After a failure the state is read and
/// what differs from `before` is set back: that also covers a step whose answer was lost.
pub(crate) fn apply(
    before: &BridgeState,
    change: &BridgeChange,
    set: impl Fn(Step) -> Result<()>,
    read: impl Fn() -> Result<BridgeState>,
) -> Result<()> {
    // A MAC is set even if it is the one that the bridge has: it may have that from a port, and
    // is kept only once it was set. An MTU is not, since Linux then stops following the ports'.
    let steps = [
        change.mtu.filter(|&mtu| mtu != before.mtu).map(Step::Mtu),
        change.mac.map(|mac| Step::Mac(mac.into())),
        change.link.filter(|&link| link != before.link).map(Step::Link),
    ];
    steps.into_iter().flatten().try_for_each(&set).map_err(|error| {
        let outcome = read().and_then(|now| set_back(before, &now, set));
        error.undone(outcome, format_args!("a changed bridge {}", before.name))
    })
}

fn set_back(before: &BridgeState, now: &BridgeState, set: impl Fn(Step) -> Result<()>) -> Result<()> {
    let steps = [
        (now.link != before.link).then_some(Step::Link(before.link)),
        (now.mac != before.mac).then_some(Step::Mac(before.mac)),
        (now.mtu != before.mtu).then_some(Step::Mtu(before.mtu)),
    ];
    // One that fails does not keep the others from being tried.
    steps.into_iter().flatten().map(set).fold(Ok(()), Result::and)
}
