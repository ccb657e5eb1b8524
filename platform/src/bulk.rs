//! Many operations of one kind in one call: what the caller chooses, what came of each, and how a
//! backend that has nothing better does them one by one.

use std::collections::BTreeSet;
use std::{error, fmt};

use crate::{
    Attempt, BridgeBackend, BridgeChange, BridgeOption, BridgeSpec, BridgeState, Error, ErrorKind, InterfaceName,
    Operation, PortVlans, Result, StaticEntry, UnicastMac,
};

/// What becomes of the other items when one of many fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bulk {
    /// All are done, or none: what was done is undone, and what was not begun is left.
    AllOrNothing,
    /// Each that can be done is done.
    AsMuchAsPossible,
}

/// What failed of many operations.
///
/// Items are known by their place in the slice that was given, from 0.
#[derive(Debug)]
pub struct BulkError {
    failures: Vec<(usize, Error)>,
    done: Vec<usize>,
}

impl BulkError {
    /// The result of many operations of which these have failed and these are done; for those who
    /// implement [`BridgeBackend`]. `Ok` if none has failed.
    pub fn result(mut failures: Vec<(usize, Error)>, mut done: Vec<usize>) -> BulkResult {
        if failures.is_empty() {
            return Ok(());
        }
        failures.sort_by_key(|&(item, _)| item);
        done.sort_unstable();
        Err(Self { failures, done })
    }

    /// What failed, and why, in the order of the items; an item that was done and could not be undone
    /// with the failure of that. There is at least one.
    #[must_use]
    pub fn failures(&self) -> &[(usize, Error)] {
        &self.failures
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_failures(self) -> Vec<(usize, Error)> {
        self.failures
    }

    /// The items that are done all the same, in order: with [`Bulk::AsMuchAsPossible`] each that did
    /// not fail; with [`Bulk::AllOrNothing`] those that could not be undone, in general none.
    #[must_use]
    pub fn done(&self) -> &[usize] {
        &self.done
    }
}

impl fmt::Display for BulkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, first) = &self.failures[0];
        match self.failures.len() - 1 {
            0 => write!(f, "{first}"),
            others => write!(f, "{first}; and {others} more failed"),
        }
    }
}

impl error::Error for BulkError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.failures[0].1.source()
    }
}

/// The result of many operations.
pub type BulkResult = std::result::Result<(), BulkError>;

/// Refuses everything, before anything is done, for what is known to be wrong with some items.
pub(crate) fn refuse(failures: impl IntoIterator<Item = (usize, Error)>) -> BulkResult {
    settle(Bulk::AllOrNothing, failures.into_iter().map(|(item, error)| (item, Err(error))), no_undo)
}

/// For what nothing is to be undone of.
pub(crate) fn no_undo(_: Vec<(usize, ())>) -> Vec<(usize, Error)> {
    Vec::new()
}

/// Makes a result of what came of the items that were tried. Where all or nothing is wanted and one
/// failed, `undo` undoes those that are done, the last one first, and gives what it could not undo;
/// each done item has what it needs for that.
pub(crate) fn settle<U>(
    bulk: Bulk,
    outcomes: impl IntoIterator<Item = (usize, Result<U>)>,
    undo: impl FnOnce(Vec<(usize, U)>) -> Vec<(usize, Error)>,
) -> BulkResult {
    let (mut failures, mut done) = (Vec::new(), Vec::new());
    for (item, outcome) in outcomes {
        match outcome {
            Ok(token) => done.push((item, token)),
            Err(error) => failures.push((item, error)),
        }
    }
    let done = match bulk {
        Bulk::AllOrNothing if !failures.is_empty() => {
            done.reverse();
            let kept = undo(done);
            let items = kept.iter().map(|&(item, _)| item).collect();
            failures.extend(kept);
            items
        }
        _ => done.into_iter().map(|(item, _)| item).collect(),
    };
    BulkError::result(failures, done)
}

/// Does items one by one, until one fails if all or nothing is wanted.
fn try_each<T, U>(bulk: Bulk, items: &[T], act: impl Fn(&T) -> Result<U>) -> Vec<(usize, Result<U>)> {
    let mut outcomes = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let outcome = act(item);
        let is_last = outcome.is_err() && bulk == Bulk::AllOrNothing;
        outcomes.push((number, outcome));
        if is_last {
            break;
        }
    }
    outcomes
}

/// Does items one by one, and undoes them one by one.
fn one_by_one<T, U>(
    bulk: Bulk,
    items: &[T],
    act: impl Fn(&T) -> Result<U>,
    undo: impl Fn(&T, U) -> Result<()>,
) -> BulkResult {
    let undo_one = |(number, token)| match undo(&items[number], token) {
        // What has vanished since needs no undoing.
        Err(error) if error.kind() != ErrorKind::NotFound => Some((number, error)),
        _ => None,
    };
    settle(bulk, try_each(bulk, items, act), |done| done.into_iter().filter_map(undo_one).collect())
}

pub(crate) fn create<B: BridgeBackend + ?Sized>(backend: &B, specs: &[BridgeSpec], bulk: Bulk) -> BulkResult {
    one_by_one(bulk, specs, |spec| backend.create(spec), |spec, ()| backend.delete(spec.name))
}

pub(crate) fn delete<B: BridgeBackend + ?Sized>(backend: &B, bridges: &[InterfaceName], bulk: Bulk) -> BulkResult {
    if bulk == Bulk::AllOrNothing {
        let mut there = BTreeSet::new();
        let missing = |(item, &bridge)| match bridge_of(backend, Operation::Delete, bridge) {
            // The second time it will not be there, by whatever name.
            Ok(state) if !there.insert(state.index) => {
                let at = Attempt::new(backend.name(), Operation::Delete).on(bridge);
                Some((item, at.error(ErrorKind::NotFound)))
            }
            Ok(_) => None,
            Err(error) => Some((item, error)),
        };
        refuse(bridges.iter().enumerate().filter_map(missing))?;
    }
    let outcomes = try_each(bulk, bridges, |&bridge| backend.delete(bridge));
    // No kernel gives a bridge back: those that are gone are done.
    settle(Bulk::AsMuchAsPossible, outcomes, no_undo)
}

pub(crate) fn change<B: BridgeBackend + ?Sized>(
    backend: &B,
    changes: &[(InterfaceName, BridgeChange)],
    bulk: Bulk,
) -> BulkResult {
    let change = |(bridge, change): &(InterfaceName, BridgeChange)| {
        let before = bridge_of(backend, Operation::Change, *bridge)?;
        backend.change(*bridge, change).map(|()| before)
    };
    let undo = |(bridge, change): &(InterfaceName, BridgeChange), before: BridgeState| {
        backend.change(*bridge, &back(change, &before))?;
        // That of a bridge whose last port has left is zero (Linux), which no kernel takes.
        if change.mac.is_some() && UnicastMac::try_from(before.mac).is_err() {
            let at = Attempt::new(backend.name(), Operation::Change).on(*bridge);
            return Err(at.error(ErrorKind::InvalidMac));
        }
        Ok(())
    };
    one_by_one(bulk, changes, change, undo)
}

/// The change that takes a bridge back to what it was before another one.
fn back(change: &BridgeChange, before: &BridgeState) -> BridgeChange {
    let is_changed = |option: &BridgeOption| match option {
        // Turning STP on may change it, too.
        BridgeOption::ForwardDelay(_) if change.options.stp.is_some() => true,
        option => change.options.iter().any(|changed| changed.capability() == option.capability()),
    };
    BridgeChange {
        mac: change.mac.and_then(|_| UnicastMac::try_from(before.mac).ok()),
        mtu: change.mtu.map(|_| before.mtu),
        link: change.link.map(|_| before.link),
        options: before.options.iter().filter(is_changed).collect(),
    }
}

pub(crate) fn add_ports<B: BridgeBackend + ?Sized>(
    backend: &B,
    bridge: InterfaceName,
    ports: &[InterfaceName],
    bulk: Bulk,
) -> BulkResult {
    one_by_one(
        bulk,
        ports,
        |&port| backend.add_port(bridge, port),
        |&port, ()| match backend.remove_port(bridge, port) {
            Err(error) if matches!(error.kind(), ErrorKind::NotAPort | ErrorKind::PortNotFound) => Ok(()),
            outcome => outcome,
        },
    )
}

pub(crate) fn add_fdb_entries<B: BridgeBackend + ?Sized>(
    backend: &B,
    bridge: InterfaceName,
    entries: &[StaticEntry],
    bulk: Bulk,
) -> BulkResult {
    one_by_one(
        bulk,
        entries,
        |entry| backend.add_fdb_entry(bridge, entry),
        |entry, ()| match backend.remove_fdb_entry(bridge, entry.mac, entry.vlan) {
            Err(error) if error.kind() == ErrorKind::EntryNotFound => Ok(()),
            outcome => outcome,
        },
    )
}

pub(crate) fn add_vlans<B: BridgeBackend + ?Sized>(
    backend: &B,
    bridge: InterfaceName,
    vlans: &[(InterfaceName, PortVlans)],
    bulk: Bulk,
) -> BulkResult {
    let add = |&(port, vlans): &(InterfaceName, PortVlans)| {
        let before = backend.vlans(bridge, port)?;
        backend.add_vlans(bridge, port, vlans).map(|()| before)
    };
    one_by_one(bulk, vlans, add, |&(port, vlans), before| take_vlans_back(backend, bridge, port, vlans, &before))
}

/// Takes a port back to the VLANs that it had before some were added.
fn take_vlans_back<B: BridgeBackend + ?Sized>(
    backend: &B,
    bridge: InterfaceName,
    port: InterfaceName,
    added: PortVlans,
    before: &[PortVlans],
) -> Result<()> {
    match backend.remove_vlans(bridge, port, added.vlans) {
        Err(error) if matches!(error.kind(), ErrorKind::PortNotFound | ErrorKind::NotAPort) => return Ok(()),
        Err(error) if error.kind() != ErrorKind::EntryNotFound => return Err(error),
        _ => {}
    }
    // Those that were there already, and the one that was the PVID.
    before.iter().try_for_each(|&vlans| backend.add_vlans(bridge, port, vlans))
}

fn bridge_of<B: BridgeBackend + ?Sized>(
    backend: &B,
    operation: Operation,
    bridge: InterfaceName,
) -> Result<BridgeState> {
    let at = Attempt::new(backend.name(), operation).on(bridge);
    match backend.find(bridge) {
        Ok(Some(state)) => Ok(state),
        Ok(None) => Err(at.error(ErrorKind::NotFound)),
        Err(error) if error.kind() == ErrorKind::NotABridge => Err(at.error(ErrorKind::NotABridge)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    /// A MAC that no bridge can be given is not passed over when it is to be given back.
    #[test]
    fn what_cannot_be_set_back_is_told() {
        let host = Model::new();
        let name = |text: &str| text.parse::<InterfaceName>().expect("a name");
        let mac = |text: &str| text.parse::<UnicastMac>().expect("a MAC");
        host.add_interface(name("eth7"), mac("02:00:00:00:00:07")).expect("the name is free");
        host.create(&BridgeSpec::new(name("br0"))).expect("the name is free");
        host.add_port(name("br0"), name("eth7")).expect("it can be one");
        host.remove_port(name("br0"), name("eth7")).expect("it is one");
        let change = BridgeChange::default().mac(mac("52:54:00:01:02:03"));
        let changes = [(name("br0"), change.clone()), (name("nosuch"), change)];
        let error = host.change_many(&changes, Bulk::AllOrNothing).expect_err("one is not there");
        let kinds: Vec<_> = error.failures().iter().map(|(item, error)| (*item, error.kind())).collect();
        assert_eq!(kinds, [(0, ErrorKind::InvalidMac), (1, ErrorKind::NotFound)]);
        assert_eq!(error.done(), [0]);
    }
}
