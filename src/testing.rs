//! What the tests of policy share: a host on the model, whose steps fail where a test wants it.

use std::fmt;

use crate::faults::{Fault, FaultyBackend};
use crate::model::Model;
use crate::{
    Backend, BridgeSpec, Bridges, Capability, Error, FdbOrigin, InterfaceName, MacAddr, Result, Rollback, Tap,
    TapSpec, UnicastMac,
};

pub(crate) type Host = FaultyBackend<Model>;

/// A host with a bridge `br0` that has the port `tap0`, and with an interface `tap1`.
pub(crate) fn host() -> Host {
    let model = Model::new();
    model.create(&BridgeSpec::new(name("br0")).mac(mac(0xff))).expect("the name is free");
    for (port, own) in [("tap0", 0xf0), ("tap1", 0xf1)] {
        model.add_interface(name(port), mac(own)).expect("the name is free");
    }
    model.add_port(name("br0"), name("tap0")).expect("it can join");
    FaultyBackend::new(model)
}

/// The same host with a backend that can do no more than this.
pub(crate) fn host_with(capabilities: &[Capability]) -> Host {
    host().limited_to(capabilities.iter().copied().collect())
}

/// The same host with a backend that cannot do this.
pub(crate) fn host_without(lacking: Capability) -> Host {
    let all = Model::new().capabilities();
    host().limited_to(all.iter().filter(|&capability| capability != lacking).collect())
}

pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().expect("a name")
}

pub(crate) fn mac(last: u8) -> UnicastMac {
    UnicastMac::new(MacAddr::new([0x52, 0x54, 0, 0, 0, last])).expect("of one station")
}

/// Creates a tap that stays when it is closed.
pub(crate) fn add_tap(host: &Model, spec: &TapSpec) -> Tap {
    let tap = host.create_tap(spec).expect("the name is free");
    host.persist_tap(&tap).expect("it is there");
    tap
}

/// When another process acts: the steps count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// After the step was looked at, and before it is carried out.
    Before(usize),
    /// After the step was carried out, and before the next is looked at.
    After(usize),
}

impl Moment {
    /// Every moment of so many steps.
    pub(crate) fn of_steps(steps: std::ops::Range<usize>) -> impl Iterator<Item = Self> {
        steps.flat_map(|step| [Self::Before(step), Self::After(step)])
    }

    /// Lets `act` act at this moment.
    pub(crate) fn act(self, host: &Host, act: impl FnOnce(&Model) + Send + 'static) {
        match self {
            Self::Before(step) => host.act_before(step, act),
            Self::After(step) => host.act_after(step, act),
        }
    }
}

/// All that is on a host, but indices, which nothing gets back, and learned FDB entries.
pub(crate) fn snapshot(host: &dyn Backend) -> String {
    fn line<T: fmt::Debug>(fact: T) -> String {
        format!("{fact:?}")
    }
    let mut lines: Vec<String> =
        host.interfaces().expect("a list").iter().map(|found| line((found.name, found.mac))).collect();
    lines.extend(host.taps().expect("a list").iter().map(|tap| {
        line((tap.name, tap.mac, tap.mtu, tap.link, tap.persistent, tap.vnet_hdr, tap.owner, tap.group))
    }));
    for bridge in host.list().expect("a list") {
        lines.push(line((bridge.name, bridge.mac, bridge.mtu, bridge.link, bridge.options)));
        for port in host.ports(&bridge).expect("it is there") {
            let vlans = host.vlans(&bridge, &port).expect("it is a port");
            lines.push(line((bridge.name, port.name, port.mtu, port.link, port.options, vlans)));
        }
        let entries = host.fdb(&bridge).expect("it is there").into_iter();
        let lasting = entries.filter(|entry| entry.origin != FdbOrigin::Learned);
        lines.extend(lasting.map(|entry| line((bridge.name, entry.port, entry.mac, entry.vlan, entry.origin))));
    }
    lines.sort_unstable();
    lines.join("\n")
}

/// Makes each step of `act` fail in each way, on a host of its own: the host is as it was before then, or all is done.
/// Returns the number of steps.
pub(crate) fn assert_all_or_nothing<T: fmt::Debug>(
    prepare: impl Fn() -> Host,
    act: impl Fn(&Host) -> Result<T>,
) -> usize {
    let done = prepare();
    drop(done.take_log());
    let outcome = act(&done).expect("nothing fails");
    let (steps, all) = (done.take_log().len(), snapshot(&done));
    drop(outcome);
    for &fault in Fault::ALL {
        for after in 0..steps {
            let host = prepare();
            let before = snapshot(&host);
            host.fail(after, fault);
            let outcome = act(&host);
            assert!(!host.cancel(), "{fault:?} after {after}: it takes fewer steps");
            match &outcome {
                // An answer that is lost is made up for, and what cannot be rolled back stays done.
                Ok(_) => {
                    assert_ne!(fault, Fault::Refused, "after {after}");
                    assert_eq!(snapshot(&host), all, "{fault:?} after {after}");
                }
                Err(error) => {
                    assert!(is_rolled_back(error), "{fault:?} after {after}: {error}");
                    assert_eq!(snapshot(&host), before, "{fault:?} after {after}: {error}");
                }
            }
        }
    }
    steps
}

/// Whether an error says that nothing is left.
pub(crate) fn is_rolled_back(error: &Error) -> bool {
    matches!(error.rollback(), Rollback::NotNeeded | Rollback::Done)
}
