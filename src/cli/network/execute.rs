//! The commands for networks, each a call of the library and what is printed of it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use vmbridge::network::{
    AdoptedBridge, Document, DocumentReason, InvalidDocument, MacSource, MigrationMode, MigrationOutcome,
    NetworkController, NetworkError, NetworkFailure, NetworkName, StopOutcome, Store, StoreError, check_host,
};
use vmbridge::{Backend, HostIdentity};

use super::{Args, Chosen, MacChoice, NetworkCommand, print, watch};
use crate::cli::progress::in_turns;
use crate::cli::{Failure, note};

pub(in crate::cli) fn execute(host: &dyn Backend, args: Args) -> Result<(), Failure> {
    let store = args.store();
    let networks = NetworkController::new(host, &store);
    if let NetworkCommand::Migrate { .. } = args.command {
        args.directories().map_or(Ok(()), check_directories)?;
    }
    match args.command {
        NetworkCommand::Define { file, mac, libvirt_dir } => {
            let store = match libvirt_dir {
                Some(directory) => store.clone().with_libvirt(directory),
                None => store.clone(),
            };
            define(host, &store, &file, mac.source)?;
        }
        NetworkCommand::List { json } => print::list(&networks.list()?, json)?,
        NetworkCommand::Show { name, xml: true, .. } => print::xml(&networks.find(&name)?.document)?,
        NetworkCommand::Show { name, xml: false, json } => print::network(&networks.find(&name)?, json)?,
        NetworkCommand::Start(chosen) => {
            let is_active = |failure: &_| matches!(failure, NetworkFailure::Active(_));
            let started = |_: &_, outcome| unless(outcome, &chosen, is_active);
            each(&chosen, || networks.defined(), |names| networks.start_many(names), started)?;
        }
        NetworkCommand::Stop { chosen, delete_adopted } => {
            let adopted = if delete_adopted { AdoptedBridge::Delete } else { AdoptedBridge::Leave };
            let networks = networks.with_adopted(adopted);
            let is_not_active = |failure: &_| matches!(failure, NetworkFailure::NotActive(_));
            let stopped = |name: &NetworkName, outcome: Result<_, NetworkError>| {
                if let Ok(StopOutcome::Left(bridge)) = outcome {
                    note(format_args!(
                        "network {name}: bridge {bridge} stays, since no record says that vmbridge created it; \
                         `network stop --delete-adopted {name}` deletes it"
                    ));
                }
                unless(outcome.map(drop), &chosen, is_not_active)
            };
            each(&chosen, || networks.defined_or_active(), |names| networks.stop_many(names), stopped)?;
        }
        NetworkCommand::Ensure(chosen) => {
            let ensured = |name: &_, outcome: Result<_, NetworkError>| Ok(print::ensured(name, &outcome?)?);
            // Removes what a killed process has left, even if no network is defined.
            networks.ensure_many(&[])?;
            each(&chosen, || networks.defined(), |names| networks.ensure_many(names), ensured)?;
        }
        NetworkCommand::Watch(args) => watch::execute(host, &store, &args)?,
        NetworkCommand::Undefine { name } => store.undefine(&name)?,
        NetworkCommand::Migrate { dry_run, mac } => {
            let mode = if dry_run { MigrationMode::DryRun } else { MigrationMode::Apply };
            migrate(host, &store, mac.source, mode)?;
        }
    }
    Ok(())
}

fn define(host: &dyn Backend, store: &Store, file: &Path, source: MacChoice) -> Result<(), Failure> {
    let document =
        read(file).map_err(|error| Failure::Other(format!("{}: {}", print::path(file), error.report())))?;
    let defined = store.define(host, &document, &mac_source(source)?)?;
    let name = defined.document.parsed().name().clone();
    let invalid = |error| Failure::Network(NetworkError::new(name.clone(), NetworkFailure::Invalid(error)));
    let network = defined.document.network().map_err(invalid)?.clone().resolve([]).map_err(invalid)?;
    let mac = network.mac();
    print::mac(mac)
        .map_err(|error| Failure::Unprinted(format!("network {name} is defined with MAC {mac}"), error))?;
    if let Some(other) = defined.libvirt {
        let bridge = network.bridge();
        note(format_args!("bridge {bridge} is also that of libvirt's network {other}; undefine one of the two"));
    }
    if let Some(bridge) = defined.existing {
        note(format_args!(
            "a bridge {} is there already, with MAC {}; `network ensure {name}` adopts it",
            bridge.name, bridge.mac
        ));
    } else if let Err(error) = check_host(host, &network) {
        note(format_args!("{}", error.report()));
    }
    Ok(())
}

fn read(file: &Path) -> Result<Document, InvalidDocument> {
    if file == Path::new("-") {
        return Document::read(io::stdin().lock());
    }
    Document::read(File::open(file).map_err(DocumentReason::Io)?)
}

fn mac_source(choice: MacChoice) -> Result<MacSource, Failure> {
    match choice {
        MacChoice::Random => Ok(MacSource::Random),
        MacChoice::Derived => {
            let identity = HostIdentity::of_this_host().map_err(|error| Failure::Other(error.to_string()))?;
            Ok(MacSource::Derived(identity))
        }
    }
}

/// Tries each network that was chosen, tells what came of it, and gives what went wrong with any.
fn each<T>(
    chosen: &Chosen,
    all: impl FnOnce() -> Result<Vec<Result<NetworkName, StoreError>>, StoreError>,
    act: impl Fn(&[NetworkName]) -> Result<Vec<Result<T, NetworkError>>, StoreError>,
    tell: impl Fn(&NetworkName, Result<T, NetworkError>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut names, mut failures) = (chosen.names.clone(), Vec::new());
    for name in if chosen.all { all()? } else { Vec::new() } {
        match name {
            Ok(name) => names.push(name),
            Err(error) => failures.push(error.into()),
        }
    }
    let ended = in_turns(&names, act, |names, outcomes| {
        let told = names.iter().zip(outcomes?).map(|(name, outcome)| tell(name, outcome));
        failures.extend(told.filter_map(Result::err));
        Ok(())
    });
    failures.extend(ended.err());
    Failure::of_each(failures)
}

/// Where all are meant, those that are as they are to be are no failure.
fn unless(
    outcome: Result<(), NetworkError>,
    chosen: &Chosen,
    is_so: fn(&NetworkFailure) -> bool,
) -> Result<(), Failure> {
    match outcome {
        Err(error) if chosen.all && is_so(error.failure()) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Refuses a directory that is not there: with one that was mistyped, there would be nothing to migrate.
fn check_directories([config, state]: [&Path; 2]) -> Result<(), Failure> {
    let failure = |directory: &Path, error: &io::Error, hint: &str| {
        Failure::Other(format!("{}: {error}{hint}", print::path(directory)))
    };
    fs::read_dir(config).map_err(|error| failure(config, &error, ""))?;
    let Err(error) = fs::read_dir(state) else { return Ok(()) };
    let hint = format!("; libvirt creates {} when it starts, or create it yourself", Store::LIBVIRT_STATE_DIR);
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    Err(failure(state, &error, if is_missing { &hint } else { "" }))
}

fn migrate(host: &dyn Backend, store: &Store, source: MacChoice, mode: MigrationMode) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for file in store.migrate(host, &mac_source(source)?, mode)? {
        match file.outcome {
            MigrationOutcome::Changed { mac, diff, .. } => {
                // What was written stays so if it cannot be printed.
                let printed = print::migrated(&file.path, mac, &diff, mode);
                failures.extend(printed.err().map(Failure::Output));
            }
            MigrationOutcome::Failed(error) => failures.push(error.into()),
            MigrationOutcome::Skipped => failures.push(Failure::Other(format!(
                "{}: left as it was, since the other file of its network cannot be used",
                print::path(&file.path)
            ))),
            MigrationOutcome::Unchanged | MigrationOutcome::Foreign(_) => {}
            other => failures.push(Failure::Other(format!("{}: {other:?}", print::path(&file.path)))),
        }
    }
    Failure::of_each(failures)
}
