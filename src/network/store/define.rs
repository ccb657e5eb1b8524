//! Defining a network.

use std::collections::BTreeSet;

use super::directory::{Directory, file_of};
use super::taken::Taken;
use super::{MacSource, Store, StoreError, StoreReason, directory, mac_source};
use crate::network::{BridgeName, Document, Network, NetworkName};
use crate::{Backend, BridgeState, Bridges, ErrorKind, InterfaceName};

/// The outcome of [`Store::define`].
#[derive(Debug)]
#[non_exhaustive]
pub struct DefineOutcome {
    /// The definition that was saved, with the name of a bridge and a MAC.
    pub document: Document,
    /// An existing bridge of this name on the host that is not the running network's: it is in the way,
    /// or can be adopted.
    pub existing: Option<BridgeState>,
    /// A network of libvirt's whose bridge has this name, too ([`Store::with_libvirt`]). Only one of the two can run: a
    /// bridge has one owner.
    pub libvirt: Option<NetworkName>,
}

impl Store {
    /// Defines a network, or defines it anew, whether or not it is active. It is on disk then, or
    /// nothing has changed.
    ///
    /// What the document leaves open stays as it was with the network before: its MAC, the name of
    /// its bridge if that is of the document's template, and its UUID. Else the name is the first
    /// that is free in the store, in libvirt's ([`with_libvirt`](Self::with_libvirt)) and on the host. The MAC is that
    /// of its bridge where that is running (but none that it has from a port), or it comes from `source` and is unlike
    /// every MAC there. The rest of the document is not changed.
    ///
    /// # Errors
    /// - [`StoreReason::Network`] for a network without a bridge of its own, and where no name is
    ///   free;
    /// - [`StoreReason::BridgeInUse`], [`StoreReason::MacInUse`] where another network, defined or
    ///   active, has the name or the MAC, and [`StoreReason::MacOnHost`] where an interface has
    ///   the MAC that was derived;
    /// - [`StoreReason::OtherUuid`] if the network is there with another UUID;
    /// - [`StoreReason::Host`] if the name is that of an interface that is no bridge, or the host
    ///   cannot be asked;
    /// - [`StoreReason::Untrusted`] for a directory that others may write to, and [`StoreReason::Changed`] if another
    ///   process, without the lock, has changed the file meanwhile;
    /// - that of the network's present file if it cannot be used: it is to be undefined first;
    /// - that of another network's file if the system does not let it be read;
    /// - [`StoreReason::Locked`], [`StoreReason::Io`], and [`StoreReason::NotDurable`], the only
    ///   one with which it is defined nevertheless.
    pub fn define(
        &self,
        host: &dyn Backend,
        document: &Document,
        source: &MacSource,
    ) -> Result<DefineOutcome, StoreError> {
        let path = &directory::path_of(&self.config, document.parsed().name());
        let network = document.network().map_err(StoreError::at(path))?;
        let config = Directory::make(&self.config)?;
        let _lock = self.lock(&config)?;

        let taken = self.taken_by_others(network.name())?;
        let active = self.active(network.name())?;
        let configured = config.find(network.name())?;
        let before = configured.as_ref().map(|file| &file.document).or(active.as_ref());
        let completed = completed(host, document, before, &taken, source).map_err(StoreError::at(path))?;
        let existing = existing(host, &completed, active.as_ref()).map_err(StoreError::at(path))?;
        match &configured {
            Some(file) => file.replace(completed.text())?,
            None => config.replace(&file_of(network.name()), completed.text(), None)?,
        }
        let libvirt = libvirts(&completed, &taken);
        Ok(DefineOutcome { document: completed, existing, libvirt })
    }

    /// What the networks have but this one. A file that is no definition has nothing.
    fn taken_by_others(&self, but: &NetworkName) -> Result<Taken, StoreError> {
        let configured = directory::read_all(&self.config)?.into_values();
        let all = configured.chain(directory::read_all(&self.state)?.into_values());
        let documents = definitions(all)?;
        let mut taken = Taken::by(documents.iter().filter(|document| document.parsed().name() != but));
        if let Some(directory) = self.libvirt.as_ref().filter(|directory| **directory != self.config) {
            // What cannot be read or is not trusted keeps nobody from defining a network.
            let libvirts = directory::read_all(directory).and_then(|files| definitions(files.into_values()));
            taken.libvirts = libvirts.map(|libvirts| Taken::by(&libvirts).bridges).unwrap_or_default();
        }
        Ok(taken)
    }
}

/// The files that are definitions; an error where one that may be cannot be read.
fn definitions(files: impl Iterator<Item = Result<Document, StoreError>>) -> Result<Vec<Document>, StoreError> {
    files.filter(|file| !file.as_ref().is_err_and(StoreError::is_no_definition)).collect()
}

/// The document with a name for the bridge and a MAC that no other network has.
fn completed(
    host: &dyn Backend,
    document: &Document,
    before: Option<&Document>,
    taken: &Taken,
    source: &MacSource,
) -> Result<Document, StoreReason> {
    let mut document = with_uuid(document, before)?;
    let before = before.and_then(|document| document.network().ok());

    // What is there is not written again: not even the MAC's case changes.
    let bridge = bridge(host, document.network()?, before, taken)?;
    if let Some(other) = taken.bridges.get(&bridge) {
        return Err(StoreReason::BridgeInUse(bridge, other.clone()));
    }
    if *document.network()?.bridge() != BridgeName::Fixed(bridge) {
        document = document.with_bridge(bridge)?;
    }

    let network = document.network()?;
    let mac = match network.mac().or(before.and_then(Network::mac)) {
        Some(mac) => mac,
        None => mac_source::of_running_bridge_or_new(source, host, network, taken)?,
    };
    if let Some(other) = taken.macs.get(&mac) {
        return Err(StoreReason::MacInUse(mac, other.clone()));
    }
    if network.mac().is_none() {
        document = document.with_mac(mac)?;
    }
    Ok(document)
}

/// With the UUID that the network had.
fn with_uuid(document: &Document, before: Option<&Document>) -> Result<Document, StoreReason> {
    match (document.uuid(), before.and_then(Document::uuid)) {
        (None, Some(old)) => Ok(document.with_uuid(&old)?),
        (Some(new), Some(old)) if new != old => Err(StoreReason::OtherUuid(old)),
        _ => Ok(document.clone()),
    }
}

fn bridge(
    host: &dyn Backend,
    network: &Network,
    before: Option<&Network>,
    taken: &Taken,
) -> Result<InterfaceName, StoreReason> {
    match (network.bridge(), before.map(Network::bridge)) {
        (BridgeName::Template(template), Some(BridgeName::Fixed(old))) if template.makes(*old) => Ok(*old),
        (BridgeName::Fixed(name), _) => Ok(*name),
        (template, _) => {
            let on_host = host.interfaces()?.into_iter().map(|interface| interface.name);
            let defined = taken.bridges.keys().chain(taken.libvirts.keys()).copied();
            let mut in_use: BTreeSet<_> = defined.chain(on_host).collect();
            loop {
                let name = template.resolve(in_use.iter().copied())?;
                if is_free(host, name)? {
                    return Ok(name);
                }
                in_use.insert(name);
            }
        }
    }
}

/// Whether no interface is even also called so (Linux's `altname`, which no list of interfaces has).
fn is_free(host: &dyn Backend, name: InterfaceName) -> Result<bool, StoreReason> {
    match host.find(name) {
        Ok(found) => Ok(found.is_none()),
        Err(error) if error.kind() == ErrorKind::NotABridge => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The bridge of this name that is not the network's own. An interface that is no bridge is an
/// error: the network could never start.
fn existing(
    host: &dyn Backend,
    document: &Document,
    active: Option<&Document>,
) -> Result<Option<BridgeState>, StoreReason> {
    let BridgeName::Fixed(bridge) = document.network()?.bridge() else { return Ok(None) };
    let own = active.and_then(|document| document.network().ok()).map(Network::bridge);
    let found = host.find(*bridge)?;
    // One that is only also called so cannot be adopted.
    Ok(found.filter(|found| found.name == *bridge && own != Some(&BridgeName::Fixed(*bridge))))
}

/// The network of libvirt's whose bridge has the same name.
fn libvirts(document: &Document, taken: &Taken) -> Option<NetworkName> {
    let BridgeName::Fixed(bridge) = document.parsed().own()?.bridge() else { return None };
    taken.libvirts.get(bridge).cloned()
}
