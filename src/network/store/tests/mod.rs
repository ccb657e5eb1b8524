//! Stores in temporary directories, on the model's host.

mod define;
mod files;
mod migration;
mod properties;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::directory::Directory;
use super::lock::Lock;
use super::*;
use crate::model::Model;
use crate::network::{Document, NetworkName};
use crate::{InterfaceName, UnicastMac};

struct Fixture {
    directory: TempDir,
    host: Model,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let store = Store::new(directory.path().join("etc/networks"), directory.path().join("run/networks"));
        // A test must not hang, and others have the machine, too.
        let store = store.with_patience(Duration::from_secs(20));
        Self { directory, host: Model::new(), store }
    }

    fn define(&self, text: &str) -> Result<DefineOutcome, StoreError> {
        self.store.define(&self.host, &document(text), &MacSource::Random)
    }

    /// Notes that a network is active.
    fn start(&self, document: &Document) {
        self.store.lock_state().expect("nobody has it").insert(document).expect("it can be written");
    }

    fn config(&self, file: &str) -> PathBuf {
        self.directory.path().join("etc/networks").join(file)
    }

    fn state(&self, file: &str) -> PathBuf {
        self.directory.path().join("run/networks").join(file)
    }

    /// The names of all files in the configuration directory, but for the lock.
    fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.config("")) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("UTF-8"));
        let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
        names.sort();
        names
    }
}

/// Writes a file as others would.
fn put(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
    fs::write(path, text).expect("it can be written");
}

fn document(text: &str) -> Document {
    text.parse().expect("a definition")
}

/// A definition with this in it.
fn network(name: &str, body: &str) -> String {
    format!("<network>\n  <name>{name}</name>\n{body}</network>\n")
}

fn name(text: &str) -> NetworkName {
    text.parse().expect("a name")
}

fn interface(text: &str) -> InterfaceName {
    text.parse().expect("a name")
}

fn mac(last: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, last].into()).expect("of one station")
}

fn mac_of(document: &Document) -> UnicastMac {
    document.network().expect("it has a bridge").mac().expect("it was given one")
}

fn bridge_of(document: &Document) -> String {
    document.network().expect("it has a bridge").bridge().to_string()
}
