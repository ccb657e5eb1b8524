//! The networks of a host: lists them and tells their state.

use super::{AdoptedBridge, NetworkInfo, NetworkState};
use crate::Backend;
use crate::network::inspect::{self, Bridge};
use crate::network::lifecycle::Outcome;
use crate::network::{
    Document, NetworkError, NetworkName, ParsedNetwork, ResolvedNetwork, Store, StoreError, StoreReason, status,
};

/// Lists, starts, stops and repairs the networks that a store defines, on one host.
///
/// ```
/// use vmbridge::model::Model;
/// use vmbridge::network::{MacSource, NetworkController, Store};
/// use vmbridge::{Bridges, InterfaceName};
///
/// # let directory = tempfile::tempdir()?;
/// # let (config, state) = (directory.path().join("config"), directory.path().join("state"));
/// let (host, store) = (Model::new(), Store::new(config, state));
/// store.define(&host, &"<network><name>lan</name></network>".parse()?, &MacSource::Random)?;
/// let networks = NetworkController::new(&host, &store);
/// networks.start(&"lan".parse()?)?;
/// assert!(host.find("virbr0".parse::<InterfaceName>()?)?.is_some());
/// networks.stop(&"lan".parse()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct NetworkController<'h> {
    pub(super) host: &'h dyn Backend,
    pub(super) store: &'h Store,
    pub(super) adopted: AdoptedBridge,
}

/// The definition of a network, and whether it is defined, or active only.
type Found = (Result<Document, StoreError>, bool);

impl<'h> NetworkController<'h> {
    /// Creates a controller of this host's networks, which this store defines.
    #[must_use]
    pub const fn new(host: &'h dyn Backend, store: &'h Store) -> Self {
        Self { host, store, adopted: AdoptedBridge::Leave }
    }

    /// Sets what [`stop`](Self::stop) does with a bridge that vmbridge did not create. By default it is left.
    #[must_use]
    pub const fn with_adopted(mut self, adopted: AdoptedBridge) -> Self {
        self.adopted = adopted;
        self
    }

    /// Returns the defined networks and then those that are only active, each in the order of their file
    /// names. A file that cannot be used is an error in its place.
    ///
    /// # Errors
    /// A directory exists and cannot be read.
    pub fn list(&self) -> Result<Vec<Result<NetworkInfo, StoreError>>, StoreError> {
        let known = |(document, is_defined): Found| Ok(self.known(document?, is_defined));
        Ok(self.documents()?.into_iter().map(known).collect())
    }

    /// Returns the network of this name.
    ///
    /// # Errors
    /// [`NetworkFailure::Store`](crate::network::NetworkFailure::Store) if the network is neither defined nor
    /// active, or its file cannot be used.
    pub fn find(&self, name: &NetworkName) -> Result<NetworkInfo, NetworkError> {
        let find = || -> Outcome<NetworkInfo> {
            let error = match self.store.load(name) {
                Ok(document) => return Ok(self.known(document, true)),
                Err(error) => error,
            };
            match (error.reason(), self.store.active(name)?) {
                (StoreReason::NotDefined, Some(document)) => Ok(self.known(document, false)),
                _ => Err(error.into()),
            }
        };
        find().map_err(NetworkError::of(name))
    }

    /// Returns the names of the networks that are defined with a bridge of their own.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn defined(&self) -> Result<Vec<Result<NetworkName, StoreError>>, StoreError> {
        Ok(own(self.store.list()?.into_iter()).collect())
    }

    /// Returns the names of the networks with a bridge of their own that are defined or active.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn defined_or_active(&self) -> Result<Vec<Result<NetworkName, StoreError>>, StoreError> {
        Ok(own(self.documents()?.into_iter().map(|(document, _)| document)).collect())
    }

    fn documents(&self) -> Result<Vec<Found>, StoreError> {
        let defined = self.store.list()?;
        let mut active = self.store.list_active()?;
        let names: Vec<_> = defined.iter().map(file_name).collect();
        active.retain(|document| document.is_err() || !names.contains(&file_name(document)));
        let defined = defined.into_iter().map(|document| (document, true));
        Ok(defined.chain(active.into_iter().map(|document| (document, false))).collect())
    }

    fn known(&self, document: Document, is_defined: bool) -> NetworkInfo {
        let state = self.state(&document).map_err(NetworkError::of(document.parsed().name()));
        NetworkInfo { document, is_defined, state }
    }

    fn state(&self, document: &Document) -> Outcome<NetworkState> {
        if let ParsedNetwork::Foreign(foreign) = document.parsed() {
            return Ok(NetworkState::Foreign(foreign.mode));
        }
        let network = ResolvedNetwork::from_document(document)?;
        let noted = self.store.active(network.name())?;
        let former = noted
            .as_ref()
            .map(ResolvedNetwork::from_document)
            .transpose()?
            .filter(|former| former.bridge() != network.bridge());
        if let Some(former) = former {
            if let Bridge::There(bridge) = inspect::bridge(self.host, &former)? {
                return Ok(NetworkState::Former(bridge.name));
            }
        }
        status(self.host, &network).map_err(NetworkError::into_failure).map(NetworkState::Own)
    }
}

impl std::fmt::Debug for NetworkController<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("NetworkController");
        fields.field("host", &self.host.name()).field("store", self.store).field("adopted", &self.adopted).finish()
    }
}

/// The name of its file.
fn file_name(document: &Result<Document, StoreError>) -> Option<String> {
    match document {
        Ok(document) => Some(format!("{}.xml", document.parsed().name())),
        Err(error) => error.path().file_name().map(|name| name.to_string_lossy().into_owned()),
    }
}

/// The names of networks with a bridge of their own.
fn own(
    documents: impl Iterator<Item = Result<Document, StoreError>>,
) -> impl Iterator<Item = Result<NetworkName, StoreError>> {
    let name = |document: Document| document.parsed().own().map(|network| network.name().clone());
    documents.filter_map(move |document| document.map(name).transpose())
}
