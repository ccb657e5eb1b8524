//! Making bridges: a message for each, several in one send.

use nix::errno::Errno;

use super::batch::Batch;
use super::change::is_same;
use super::delete::Doomed;
use super::link::Link;
use super::socket::Failure;
use super::{Cause, Found, NetlinkBackend, as_bridge, error, options, requests};
use crate::error::Attempt;
use crate::linux::capabilities::BRIDGE_MTU;
use crate::{
    BridgeBackend, BridgeOption, BridgeOptions, BridgeSpec, Bulk, BulkResult, Error, ErrorKind, Operation, Result,
};

fn at(spec: &BridgeSpec) -> Attempt {
    NetlinkBackend::at(Operation::Create).on(spec.name)
}

impl NetlinkBackend {
    pub(super) fn create_bridge(&self, spec: &BridgeSpec) -> Result<()> {
        self.check_spec(spec)?;
        self.conclude_creation(spec, self.socket.execute(requests::create(spec)))?;
        if has_options(spec) { self.check_created(spec, self.look(spec.name)) } else { Ok(()) }
    }

    pub(super) fn create_bridges(&self, specs: &[BridgeSpec], bulk: Bulk) -> BulkResult {
        let checked = Batch::new(bulk, specs).each(|spec| self.check_spec(spec).map(|()| spec)).ready()?;
        let conclude = |spec, outcome| self.conclude_creation(spec, outcome).map(|()| spec);
        let (created, _) = self.act(checked, |spec| requests::create(spec), conclude);
        let with_options = created.items().copied().filter(|spec| has_options(spec));
        let mut found = self.look_for(with_options, |spec| requests::get_by_name(spec.name));
        let check = |spec| {
            let looked_at = if has_options(spec) { found.next() } else { None };
            looked_at.map_or(Ok(()), |found| self.check_created(spec, found)).map(|()| spec)
        };
        created.each(check).finish(|made| self.take_bridges_back(made))
    }

    fn check_spec(&self, spec: &BridgeSpec) -> Result<()> {
        spec.check(at(spec), self.capabilities())?;
        options::check(at(spec), &spec.options)
    }

    /// What came of the message that creates a bridge.
    fn conclude_creation(&self, spec: &BridgeSpec, outcome: std::result::Result<(), Failure>) -> Result<()> {
        // Who has the name, if anyone, matters more than what else is wrong, as on the other backends.
        let name_taken = |errno| match self.look(spec.name) {
            Ok(Some(link)) if !link.is_bridge => Some(ErrorKind::NameInUse),
            Ok(Some(_)) => Some(ErrorKind::BridgeExists),
            // It has vanished since: whoever wants this name wants a bridge.
            _ => (errno == Errno::EEXIST).then_some(ErrorKind::BridgeExists),
        };
        let refusal = |errno, text: Option<&str>| match errno {
            Errno::EEXIST | Errno::EPERM => name_taken(errno).unwrap_or(ErrorKind::of(errno)).into(),
            Errno::EINVAL if spec.mtu.is_some_and(|mtu| !BRIDGE_MTU.contains(&mtu)) => {
                ErrorKind::InvalidMtu.into()
            }
            // No driver of this kind, nor could one be loaded.
            Errno::EOPNOTSUPP if text == Some("Unknown device type") => ErrorKind::NoDriver.into(),
            _ => match Cause::of_options(errno, spec.options.iter().map(BridgeOption::capability)) {
                // Kernels before 4.12 have no words for it.
                None if errno == Errno::EOPNOTSUPP => ErrorKind::NoDriver.into(),
                cause => cause.unwrap_or(ErrorKind::of(errno).into()),
            },
        };
        let is_done = || Ok(self.look(spec.name)?.is_some_and(|link| is_as_specified(&link, spec)));
        Self::conclude::<Cause>(at(spec), outcome, is_done, refusal)
    }

    /// Takes a bridge back whose kernel has ignored an option: it does not report what it does not
    /// know, or was built without, such as multicast snooping.
    fn check_created(&self, spec: &BridgeSpec, found: Found) -> Result<()> {
        let at = at(spec);
        let link = as_bridge(at, found).map_err(|error| {
            // Without its index it is known by its name alone.
            let outcome = match self.delete(spec.name) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            };
            error.undone(outcome, format_args!("bridge {}", spec.name))
        })?;
        let ignored = |option: &BridgeOption| !link.options.iter().any(|known| is_same(known, *option));
        match spec.options.iter().find(ignored) {
            None => Ok(()),
            Some(option) => {
                let outcome =
                    self.socket.execute(requests::delete(link.index)).map_err(|failure| error(at, failure));
                let error = at.with(option.capability()).error(ErrorKind::Unsupported);
                Err(error.undone(outcome, format_args!("bridge {}", spec.name)))
            }
        }
    }

    /// Deletes bridges that were just created, and gives those that could not be.
    fn take_bridges_back(&self, made: Vec<(usize, &BridgeSpec)>) -> Vec<(usize, Error)> {
        let found = self.look_for(made.iter().map(|(_, spec)| spec.name), |&name| requests::get_by_name(name));
        let (mut failed, mut doomed) = (Vec::new(), Vec::new());
        for ((number, spec), found) in made.into_iter().zip(found) {
            let at = Self::at(Operation::Delete).on(spec.name);
            match found {
                Ok(Some(link)) if has_mac_of(&link, spec) => doomed.push((number, Doomed::new(at, &link))),
                // It has vanished since, and may be another one's by now.
                Ok(_) => {}
                Err(failure) => failed.push((number, error(at, failure))),
            }
        }
        failed.extend(self.delete_all(Batch::numbered(Bulk::AsMuchAsPossible, doomed)).into_failures());
        failed.retain(|(_, error)| error.kind() != ErrorKind::NotFound);
        failed
    }
}

fn has_options(spec: &BridgeSpec) -> bool {
    spec.options != BridgeOptions::default()
}

/// Whether a bridge is what `spec` asks for. One that was like that before cannot be told from one
/// that was made by a call whose answer was lost.
fn is_as_specified(link: &Link, spec: &BridgeSpec) -> bool {
    has_mac_of(link, spec) && spec.mtu.is_none_or(|mtu| mtu == link.mtu) && link.state == spec.link
}

/// Whether it can be the bridge that was made of `spec`, though its administrator may have changed it.
fn has_mac_of(link: &Link, spec: &BridgeSpec) -> bool {
    link.is_bridge && spec.mac.is_none_or(|mac| link.mac == Some(mac.into()))
}
