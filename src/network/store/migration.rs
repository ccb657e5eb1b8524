//! Giving MACs to the networks of a pair of directories, ours or libvirt's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::directory::{DefinitionFile, Directory, Files};
use super::lock::Lock;
use super::taken::Taken;
use super::{MacSource, Store, StoreError, StoreReason, libvirt, mac_source};
use crate::network::printable;
use crate::network::{Document, ForeignMode, Migration, NetworkFiles, ParsedNetwork};
use crate::{Backend, UnicastMac};

/// Whether a migration writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MigrationMode {
    /// It writes.
    Apply,
    /// It only says what it would write, and takes no lock. Random MACs are taken when it is applied.
    DryRun,
}

/// A file that a migration looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct MigratedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What became of it.
    pub outcome: MigrationOutcome,
}

/// What became of a file in a migration.
#[derive(Debug)]
#[non_exhaustive]
pub enum MigrationOutcome {
    /// It has this MAC now, or would have it.
    #[non_exhaustive]
    Changed {
        /// The MAC.
        mac: UnicastMac,
        /// What was changed, as [`Document::diff`] has it.
        diff: String,
    },
    /// It has a MAC already.
    Unchanged,
    /// Its network has no bridge of its own.
    Foreign(ForeignMode),
    /// It cannot be used or not be written; unless it is
    /// [not durable](StoreReason::NotDurable), it is as it was.
    Failed(StoreError),
    /// It was left as it was since the other file of its network failed, which may have a MAC.
    Skipped,
}

impl Store {
    /// Gives each network that has a bridge of its own and no MAC one, the same in both
    /// directories: that which is in one of them already, else that of its bridge where that is
    /// running (but none that it has from a port), else one from `source` that is unlike every MAC in
    /// both and on the host. Nothing else in a file changes, and a file that has a
    /// MAC is not touched. Nor is one that another process has replaced since it was read. Broken files are reported,
    /// and do not keep the taken from it.
    ///
    /// Wherever it is interrupted, every file is whole, and another run ends what was begun, with
    /// the same MACs. libvirt must not run, nor be started meanwhile: it keeps its own copy of what it has read.
    ///
    /// # Errors
    /// [`StoreReason::LibvirtRunning`], unless it is a dry run. A directory is there and cannot be read or locked, or
    /// others may write to it. Nothing has changed then.
    pub fn migrate(
        &self,
        host: &dyn Backend,
        source: &MacSource,
        mode: MigrationMode,
    ) -> Result<Vec<MigratedFile>, StoreError> {
        self.check_directories()?;
        let directories = [Directory::open(&self.config)?, Directory::open(&self.state)?];
        let mut locks = Vec::new();
        if mode == MigrationMode::Apply {
            // In the order of those who start a network.
            for directory in directories.iter().rev().flatten() {
                locks.push(Lock::take(directory, self.patience)?);
            }
            libvirt::check_stopped(self)?;
        }
        let [configured, active] = directories.each_ref().map(|directory| match directory {
            Some(directory) => directory.read_all(),
            None => Ok(Files::new()),
        });
        let (mut configured, mut active) = (configured?, active?);
        let documents = configured.values().chain(active.values()).flatten().map(|file| &file.document);
        let taken = Taken::by(documents);
        let mut run = Run { host, source, mode, taken, files: Vec::new() };

        let names: BTreeSet<_> = configured.keys().chain(active.keys()).cloned().collect();
        for name in names {
            let paths = [&self.config, &self.state].map(|directory| directory.join(&name));
            run.network(paths, configured.remove(&name).transpose(), active.remove(&name).transpose());
        }
        Ok(run.files)
    }
}

struct Run<'r> {
    host: &'r dyn Backend,
    source: &'r MacSource,
    mode: MigrationMode,
    /// What all networks have, with the MACs that were given in this run.
    taken: Taken,
    files: Vec<MigratedFile>,
}

/// What was read of a file that may be missing.
type Read<'d> = Result<Option<DefinitionFile<'d>>, StoreError>;

impl Run<'_> {
    fn network(&mut self, paths: [PathBuf; 2], configuration: Read<'_>, state: Read<'_>) {
        match (configuration, state) {
            (Ok(configuration), Ok(state)) => self.readable(paths, &[configuration, state]),
            (configuration, state) => {
                for (path, read) in paths.into_iter().zip([configuration, state]) {
                    match read {
                        Ok(None) => {}
                        Ok(Some(_)) => self.report(path, MigrationOutcome::Skipped),
                        Err(error) => self.report(path, MigrationOutcome::Failed(error)),
                    }
                }
            }
        }
    }

    /// The configuration first: once that has the MAC, another run finds it there.
    fn readable(&mut self, paths: [PathBuf; 2], files: &[Option<DefinitionFile<'_>>; 2]) {
        let there = paths.into_iter().zip(files);
        let documents = files.each_ref().map(|file| file.as_ref().map(|file| file.document.clone()));
        let [configuration, state] = documents;
        let migration = match self.migration(&NetworkFiles { configuration, state }) {
            Ok(migration) => migration,
            Err(reason) => {
                let mut paths = there.filter(|(_, file)| file.is_some()).map(|(path, _)| path);
                if let Some(path) = paths.next() {
                    let error = StoreError::new(&path, reason);
                    self.report(path, MigrationOutcome::Failed(error));
                }
                paths.for_each(|path| self.report(path, MigrationOutcome::Skipped));
                return;
            }
        };
        let changed = match &migration {
            Some(changes) => {
                [&changes.configuration, &changes.state].map(|file| Some((file.as_ref()?, changes.mac)))
            }
            None => [None, None],
        };
        let mut has_failed = false;
        for ((path, before), after) in there.zip(changed) {
            let Some(before) = before else { continue };
            let outcome = match (has_failed, after) {
                (true, _) => MigrationOutcome::Skipped,
                (false, None) => kept(&before.document),
                (false, Some((after, mac))) => self.change(&path, before, after, mac),
            };
            has_failed |= matches!(outcome, MigrationOutcome::Failed(_));
            self.report(path, outcome);
        }
    }

    fn migration(&mut self, files: &NetworkFiles) -> Result<Option<Migration>, StoreReason> {
        let mut documents = [&files.configuration, &files.state].into_iter().flatten();
        let Some(network) = documents.find_map(|document| document.network().ok()) else {
            return Ok(None);
        };
        let mac = match files.mac()? {
            Some(mac) => mac,
            None => mac_source::of_running_bridge_or_new(self.source, self.host, network, &self.taken)?,
        };
        self.taken.macs.insert(mac, network.name().clone());
        Ok(files.migration(mac)?)
    }

    fn change(
        &self,
        path: &Path,
        before: &DefinitionFile<'_>,
        after: &Document,
        mac: UnicastMac,
    ) -> MigrationOutcome {
        if self.mode == MigrationMode::Apply {
            if let Err(error) = before.replace(after.text()) {
                return MigrationOutcome::Failed(error);
            }
        }
        MigrationOutcome::Changed { mac, diff: before.document.diff(printable::path(path), after) }
    }

    fn report(&mut self, path: PathBuf, outcome: MigrationOutcome) {
        self.files.push(MigratedFile { path, outcome });
    }
}

/// Nothing is to be changed in it.
fn kept(document: &Document) -> MigrationOutcome {
    match document.parsed() {
        ParsedNetwork::Own(_) => MigrationOutcome::Unchanged,
        ParsedNetwork::Foreign(network) => MigrationOutcome::Foreign(network.mode),
    }
}
