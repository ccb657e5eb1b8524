//! The ACL's files: which, by whom they may have been written, and how much of them is read.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::ErrorKind::{NotFound, PermissionDenied};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc::ELOOP;
use vmbridge::InterfaceName;

use crate::acl::{self, BadLine, Rule, Statement, Verdict};
use crate::trust;

/// The ACL's path is fixed when the helper is built: `VMBRIDGE_ACL_FILE` in the environment of the
/// compiler, or else what Linux distributions build QEMU with.
pub(crate) const PATH: &str = match option_env!("VMBRIDGE_ACL_FILE") {
    Some(path) => path,
    None => "/etc/qemu/bridge.conf",
};
const _: () = assert!(matches!(PATH.as_bytes(), [b'/', ..]), "VMBRIDGE_ACL_FILE is no absolute path");

/// The size of the largest file, in bytes.
const MAX_SIZE: u64 = 256 * 1024;
/// The most files that are read, so that one that includes itself comes to an end.
const MAX_FILES: usize = 64;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown(&self.path), self.line)
    }
}

/// A path for a terminal.
fn shown(path: &Path) -> impl fmt::Display {
    path.as_os_str().as_encoded_bytes().escape_ascii().to_string()
}

/// Why there is no ACL that one could judge by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no {path}; create it as root, with the bridges that may be used, like \"allow br0\"", path = shown(.0))]
    NoFile(PathBuf),
    #[error("{0}: there is no such file to include")]
    NothingToInclude(Place),
    #[error("{path}: {why}", path = shown(.0), why = .1)]
    Refused(PathBuf, Distrust),
    #[error("{0}: {1}")]
    BadLine(Place, BadLine),
    #[error("{0}: this is one of more than {MAX_FILES} files; does one include itself?")]
    TooMany(Place),
}

/// Why a file is not trusted, or not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Distrust {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is a symbolic link, which an ACL file may not be")]
    SymbolicLink,
    #[error("it is no regular file")]
    Irregular,
    #[error(transparent)]
    Untrusted(#[from] trust::Distrust),
    #[error("it is larger than {MAX_SIZE} bytes")]
    TooLarge,
}

/// The rules of the ACL file and of all that it includes.
#[derive(Debug, Default)]
pub(crate) struct Acl {
    rules: Vec<(Place, Rule)>,
    /// Included files that whoever started the helper may not read.
    unreadable: Vec<PathBuf>,
}

impl Acl {
    /// Reads an ACL file and all that it includes, one after another: the order of rules has no
    /// meaning, and so no more than one is open at a time.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut acl = Self::default();
        let mut included = match contents(path) {
            Ok(text) => acl.add(path, &text)?,
            Err(Distrust::Unreadable(error)) if error.kind() == NotFound => {
                return Err(Error::NoFile(path.into()));
            }
            Err(why) => return Err(Error::Refused(path.into(), why)),
        };
        let mut files = 1;
        while let Some((place, path)) = included.pop() {
            files += 1;
            if files > MAX_FILES {
                return Err(Error::TooMany(place));
            }
            match contents(&path) {
                Ok(text) => included.extend(acl.add(&path, &text)?),
                // It is for other users: that is how QEMU's helper tells users apart.
                Err(Distrust::Unreadable(error)) if error.kind() == PermissionDenied => acl.unreadable.push(path),
                Err(Distrust::Unreadable(error)) if error.kind() == NotFound => {
                    return Err(Error::NothingToInclude(place));
                }
                Err(why) => return Err(Error::Refused(path, why)),
            }
        }
        Ok(acl)
    }

    /// Adds the rules of a file, and gives what it includes, and where.
    fn add(&mut self, path: &Path, text: &[u8]) -> Result<Vec<(Place, PathBuf)>, Error> {
        let place = |line| Place { path: path.into(), line };
        let mut included = Vec::new();
        for (line, statement) in acl::parse(text).map_err(|(line, why)| Error::BadLine(place(line), why))? {
            match statement {
                Statement::Rule(rule) => self.rules.push((place(line), rule)),
                Statement::Include(path) => included.push((place(line), path)),
            }
        }
        Ok(included)
    }

    /// What the rules say of a bridge.
    pub(crate) fn judge(&self, bridge: InterfaceName) -> Verdict<&Place> {
        acl::judge(bridge, self.rules.iter().map(|(place, rule)| (place, *rule)))
    }

    /// The included files that were left out, in words, if there are any.
    pub(crate) fn left_out(&self) -> Option<String> {
        let paths: Vec<String> = self.unreadable.iter().map(|path| shown(path).to_string()).collect();
        (!paths.is_empty()).then(|| paths.join(", "))
    }
}

/// The contents of a file that root alone can have written.
fn contents(path: &Path) -> Result<Vec<u8>, Distrust> {
    // That it must not block is for a FIFO, which is then refused.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = File::options().read(true).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(ELOOP) => Distrust::SymbolicLink,
        _ => Distrust::Unreadable(error),
    })?;
    // Of what was opened, and not of what has this name by now.
    check(&file.metadata()?)?;
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(..=MAX_SIZE) => Ok(text),
        _ => Err(Distrust::TooLarge),
    }
}

fn check(metadata: &Metadata) -> Result<(), Distrust> {
    if !metadata.is_file() {
        return Err(Distrust::Irregular);
    }
    // Root alone: the user who started the helper is not trusted.
    Ok(trust::check(metadata, 0)?)
}
