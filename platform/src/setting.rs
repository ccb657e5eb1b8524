//! What a kernel changes of an interface in one call, and in which order.

use crate::{BridgeChange, BridgeOption, BridgeState, LinkState, MacAddr, Outcome, Result, TapChange, TapState};

/// One thing that a kernel changes in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Mtu(u32),
    Option(BridgeOption),
    Mac(MacAddr),
    Link(LinkState),
}

/// Returns what a change sets of a bridge: first what a kernel may well refuse.
///
/// A MAC is set even if it is the one that the bridge has: it may have that from a port, and keeps it only once it
/// was set. An MTU is not, since Linux then stops following the ports'.
pub(crate) fn of_bridge(before: &BridgeState, change: &BridgeChange) -> Vec<Setting> {
    let mtu = change.mtu.filter(|&mtu| mtu != before.mtu).map(Setting::Mtu);
    let options = change.options.changes(&before.options).into_iter().map(Setting::Option);
    // The host gets a link-local address of the MAC.
    let (host_ipv6, options): (Vec<_>, Vec<_>) =
        options.partition(|option| matches!(option, Setting::Option(BridgeOption::HostIpv6(_))));
    let mac = change.mac.map(|mac| Setting::Mac(mac.into()));
    let link = change.link.filter(|&link| link != before.link).map(Setting::Link);
    mtu.into_iter().chain(options).chain(mac).chain(host_ipv6).chain(link).collect()
}

/// Returns what a change sets of a tap.
pub(crate) fn of_tap(before: &TapState, change: &TapChange) -> Vec<Setting> {
    let mtu = change.mtu.filter(|&mtu| mtu != before.mtu).map(Setting::Mtu);
    let link = change.link.filter(|&link| link != before.link).map(Setting::Link);
    mtu.into_iter().chain(change.mac.map(Setting::Mac)).chain(link).collect()
}

/// Sets one after another, until one fails. A kernel that refuses the first has changed nothing, unless that is an
/// option.
pub(crate) fn set_all(settings: &[Setting], set: impl Fn(Setting) -> Result<()>) -> Outcome {
    for (place, &setting) in settings.iter().enumerate() {
        match set(setting) {
            Ok(()) => {}
            Err(error) if place == 0 && !matches!(setting, Setting::Option(_)) => return Outcome::Refused(error),
            Err(error) => return Outcome::unclear(error),
        }
    }
    Outcome::DONE
}
