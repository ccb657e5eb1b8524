//! What is in a directory, and what stays of a file that is replaced.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Barrier;

use super::*;

#[test]
fn only_files_that_are_called_like_a_networks_are_read() {
    let fixture = Fixture::new();
    assert!(fixture.store.list().expect("none is no error").is_empty());
    for file in ["README", "a.xml~", "a.xml.bak", ".a.xml.swp", ".hidden.xml", "xml", ".xml", ".vmbridge-x.tmp"] {
        put(fixture.config(file), "no network");
    }
    put(fixture.config("autostart/a.xml"), "<network/>");
    put(fixture.config("b.xml"), &network("b", ""));
    put(fixture.config("a b.xml"), &network("a b", "  <forward mode='bridge'/>\n"));
    let listed = fixture.store.list().expect("it can be read");
    let names = listed.iter().map(|document| document.as_ref().expect("it is valid").parsed().name().as_str());
    assert!(names.eq(["a b", "b"]));
}

#[test]
fn what_is_broken_is_an_error_in_its_place() {
    let fixture = Fixture::new();
    put(fixture.config("f.xml"), &network("f", ""));
    put(fixture.config("a.xml"), "<network>");
    put(fixture.config("b.xml"), &network("other", ""));
    put(fixture.config("c.xml/file"), "");
    symlink("nowhere", fixture.config("d.xml")).expect("it can be made");
    // Nobody writes to it.
    nix::unistd::mkfifo(&fixture.config("e.xml"), nix::sys::stat::Mode::S_IRWXU).expect("it can be made");
    put(fixture.config("g\n.xml"), &network("g", ""));
    let odd = std::ffi::OsStr::from_bytes(b"h\xff.xml");
    put(fixture.config("").join(odd), &network("h", ""));

    let listed = fixture.store.list().expect("it can be read");
    let listed: Vec<_> =
        listed.iter().map(|document| document.as_ref().map_err(|error| error.report().to_string())).collect();
    let error = |index: usize| listed[index].as_ref().expect_err("it is broken").rsplit('/').next();
    assert!(error(0).is_some_and(|error| error.starts_with("a.xml: line 1: ")), "{listed:?}");
    assert_eq!(error(1), Some("b.xml: it defines network \"other\", whose file has another name"));
    assert_eq!(error(2), Some("c.xml: it is not a regular file"));
    assert_eq!(error(3), Some("d.xml: it is a symbolic link; put the file in its place"));
    assert_eq!(error(4), Some("e.xml: it is not a regular file"));
    assert!(listed[5].is_ok());
    assert!(listed[6].as_ref().is_err_and(|error| error.contains("/g\\n.xml: name \"g\\n\": ")), "{listed:?}");
    assert_eq!(error(7), Some("h\u{fffd}.xml: its name is not UTF-8"));
    assert_eq!(listed.len(), 8);
}

#[test]
fn owner_and_mode_stay() {
    let fixture = Fixture::new();
    fixture.define(&network("lan", "")).expect("it is valid");
    let metadata = || fs::metadata(fixture.config("lan.xml")).expect("it is there");
    assert_eq!(metadata().mode() & 0o7777, 0o644);
    fs::set_permissions(fixture.config("lan.xml"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    let owner = if nix::unistd::geteuid().is_root() { (1, 2) } else { (metadata().uid(), metadata().gid()) };
    std::os::unix::fs::chown(fixture.config("lan.xml"), Some(owner.0), Some(owner.1)).expect("we may");
    fixture.define(&network("lan", "  <mtu size='1400'/>\n")).expect("it is valid");
    assert_eq!(metadata().mode() & 0o7777, 0o600);
    assert_eq!((metadata().uid(), metadata().gid()), owner);
}

/// The kinds of what each use of the store comes to.
fn refusals(fixture: &Fixture) -> Vec<StoreError> {
    let lan = document(&network("lan", "  <bridge name='br0'/>\n"));
    let (store, host) = (&fixture.store, &fixture.host);
    let migrated = store.migrate(host, &MacSource::Random, MigrationMode::Apply);
    let failed = |files: Vec<MigratedFile>| {
        files.into_iter().find_map(|file| match file.outcome {
            MigrationOutcome::Failed(error) => Some(error),
            _ => None,
        })
    };
    let outcomes = [
        migrated.and_then(|files| failed(files).map_or(Ok(()), Err)),
        store.define(host, &lan, &MacSource::Random).map(drop),
        store.load(&name("lan")).map(drop),
    ];
    outcomes.into_iter().filter_map(Result::err).collect()
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let fixture = Fixture::new();
    fixture.define(&network("lan", "")).expect("it is valid");
    let set =
        |mode| fs::set_permissions(fixture.config(""), fs::Permissions::from_mode(mode)).expect("it is ours");
    for mode in [0o777, 0o775, 0o757, 0o1777] {
        set(mode);
        let mut errors = refusals(&fixture);
        errors.push(fixture.store.list().expect_err("others may write to it"));
        errors.push(fixture.store.undefine(&name("lan")).expect_err("others may write to it"));
        assert_eq!(errors.len(), 5);
        for error in errors {
            let says = format!("others than its owner may write to it (mode {mode:04o}); chmod go-w it");
            assert_eq!(
                error.to_string(),
                format!("{}: {says}", fixture.directory.path().join("etc/networks").display())
            );
        }
    }
    set(0o700);
    assert_eq!(refusals(&fixture).len(), 0);

    fs::create_dir_all(fixture.state("")).expect("it can be made");
    fs::set_permissions(fixture.state(""), fs::Permissions::from_mode(0o777)).expect("it is ours");
    assert!(fixture.store.list_active().is_err() && fixture.store.lock_state().is_err());
    fs::set_permissions(fixture.state(""), fs::Permissions::from_mode(0o755)).expect("it is ours");
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(fixture.state(""), Some(65534), None).expect("we may");
        let error = fixture.store.list_active().expect_err("it is another's");
        assert!(
            error
                .to_string()
                .ends_with("run/networks: it belongs to UID 65534, which is not trusted; chown it to root"),
            "{error}"
        );
    }
}

/// Whoever may write to a link's target may write to no other file.
#[test]
fn a_symbolic_link_is_not_followed() {
    let fixture = Fixture::new();
    let elsewhere = fixture.directory.path().join("elsewhere.xml");
    let text = network("lan", "  <bridge name='br0'/>\n");
    put(elsewhere.clone(), &text);
    fs::create_dir_all(fixture.config("")).expect("it can be made");
    for target in [elsewhere.clone(), "nowhere".into()] {
        symlink(&target, fixture.config("lan.xml")).expect("it can be made");
        let errors = refusals(&fixture);
        assert_eq!(errors.len(), 3);
        for error in errors {
            assert!(
                error.to_string().ends_with("/lan.xml: it is a symbolic link; put the file in its place"),
                "{error}"
            );
        }
        fixture.store.undefine(&name("lan")).expect("it is there");
        assert!(fixture.files().is_empty());
    }
    assert_eq!(fs::read_to_string(&elsewhere).expect("it is there"), text);
}

#[test]
fn a_lock_is_a_regular_file() {
    let fixture = Fixture::new();
    fixture.define(&network("lan", "")).expect("it is valid");
    let lock = fixture.config(".lock");
    let elsewhere = fixture.directory.path().join("elsewhere");
    let refused = |says: &str| {
        let error = fixture.store.undefine(&name("lan")).expect_err("it cannot be locked").report().to_string();
        assert_eq!(error, format!("{}: {says}", lock.display()));
        fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock)).expect("it is there");
    };
    fs::remove_file(&lock).expect("it is there");
    symlink(&elsewhere, &lock).expect("it can be made");
    refused("it is a symbolic link; put the file in its place");
    assert!(!elsewhere.exists());
    // Nobody reads from it.
    nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::S_IRWXU).expect("it can be made");
    refused("it is not a regular file");
    fs::create_dir(&lock).expect("it can be made");
    refused("cannot open it: Is a directory (os error 21)");
    fixture.store.undefine(&name("lan")).expect("it is there");
}

#[test]
fn a_directory_that_is_called_like_a_temporary_file_is_in_nobodys_way() {
    let fixture = Fixture::new();
    for number in 0..3 {
        fs::create_dir_all(fixture.config(&format!(".vmbridge-{number}.tmp"))).expect("it can be made");
    }
    fixture.define(&network("lan", "")).expect("it is valid");
    fixture.store.tidy();
    assert_eq!(fixture.files(), [".vmbridge-0.tmp", ".vmbridge-1.tmp", ".vmbridge-2.tmp", "lan.xml"]);
}

#[test]
fn what_a_killed_writer_left_is_removed_by_the_next() {
    let fixture = Fixture::new();
    put(fixture.config(".vmbridge-AbC123.tmp"), "half a netw");
    put(fixture.config(".other.tmp"), "");
    fixture.define(&network("lan", "")).expect("it is valid");
    assert_eq!(fixture.files(), [".other.tmp", "lan.xml"]);
}

#[test]
fn a_lock_that_is_not_given_up_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    fixture.define(&network("lan", "")).expect("it is valid");
    let config = fixture.config("");
    let directory = Directory::open(&config).expect("it is ours").expect("it is there");
    let _held = Lock::take(&directory, Duration::ZERO).expect("nobody has it");
    let store = fixture.store.clone().with_patience(Duration::from_millis(20));
    let error = store.undefine(&name("lan")).expect_err("it is locked");
    assert_eq!(error.path(), fixture.config(".lock"));
    assert!(matches!(error.reason(), StoreReason::Locked(_)), "{error}");
    // Nobody but its owner can lock it, and reading takes none.
    assert_eq!(fs::metadata(error.path()).expect("it is there").mode() & 0o777, 0o600);
    store.load(&name("lan")).expect("it is there");
    store.migrate(&fixture.host, &MacSource::Random, MigrationMode::DryRun).expect("it writes nothing");
    drop(store.lock_state().expect("that is another"));
}

#[test]
fn many_at_once_lose_nothing() {
    const NETWORKS: usize = 12;
    let fixture = Fixture::new();
    let all_are_there = Barrier::new(2 * NETWORKS);
    std::thread::scope(|scope| {
        for number in 0..2 * NETWORKS {
            let (fixture, all_are_there) = (&fixture, &all_are_there);
            scope.spawn(move || {
                let text = network(&format!("n{}", number % NETWORKS), "");
                all_are_there.wait();
                fixture.define(&text).expect("it is valid");
            });
        }
    });
    let listed = fixture.store.list().expect("it can be read");
    let listed: Vec<_> = listed.into_iter().map(|document| document.expect("it is valid")).collect();
    let macs: std::collections::BTreeSet<_> = listed.iter().map(mac_of).collect();
    let bridges: std::collections::BTreeSet<_> = listed.iter().map(bridge_of).collect();
    assert_eq!((listed.len(), macs.len(), bridges.len()), (NETWORKS, NETWORKS, NETWORKS));
}

/// Else stopping a network would remove its definition, and with it its MAC.
#[test]
fn one_directory_for_both_is_refused() {
    let fixture = Fixture::new();
    let text = network("a", "  <bridge name='virbr0'/>\n");
    let a = fixture.define(&text).expect("it can be defined").document;
    let alias = fixture.directory.path().join("alias");
    std::os::unix::fs::symlink(fixture.config(""), &alias).expect("it can be made");
    for state in [fixture.config(""), alias] {
        let store = Store::new(fixture.config(""), &state);
        let refused = [
            store.define(&fixture.host, &a, &MacSource::Random).map(drop),
            store.lock_state().map(drop),
            store.undefine(&name("a")),
            store.migrate(&fixture.host, &MacSource::Random, MigrationMode::Apply).map(drop),
        ];
        for outcome in refused {
            let error = outcome.expect_err("they are one");
            assert!(matches!(error.reason(), StoreReason::OneDirectory), "{error}");
        }
    }
    assert_eq!(fixture.files(), ["a.xml"]);
}
