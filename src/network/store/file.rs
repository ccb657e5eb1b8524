//! Files that a crash leaves as they were or as they were to be (`rename(2)`, `fsync(2)`).
//!
//! The new content goes to a temporary file in the same directory, is on disk before the file
//! takes the name, and the name is on disk before the caller goes on.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::{StoreError, StoreReason};

/// How temporary files are called: readers pass over what begins with a dot, and whoever finds one
/// knows whose it is.
const TEMPORARY: (&str, &str) = (".vmbridge-", ".tmp");

/// Opens a file to read it; anything else is an error, and a FIFO is not waited for.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
    let file = opened.map(File::from).map_err(|errno| StoreError::io(path, "open")(errno.into()))?;
    let metadata = file.metadata().map_err(StoreError::io(path, "look at"))?;
    if metadata.is_file() { Ok(file) } else { Err(StoreError::new(path, StoreReason::NotAFile)) }
}

/// Gives a file this content, or makes it, all or nothing. Its owner and its mode stay; a new file
/// is everyone's to read. A symbolic link stays, too, and the file that it leads to is replaced.
///
/// The directory is to be locked: what a writer that was killed has left in it is removed.
pub(super) fn replace(path: &Path, content: &str) -> Result<(), StoreError> {
    let path = &target(path)?;
    let directory = parent(path);
    sweep(directory)?;
    let new = tempfile::Builder::new().prefix(TEMPORARY.0).suffix(TEMPORARY.1).tempfile_in(directory);
    // Dropped, it removes the temporary file.
    let mut new = new.map_err(StoreError::io(path, "make a new file for"))?;
    new.write_all(content.as_bytes()).map_err(StoreError::io(path, "write"))?;
    keep_owner_and_mode(path, new.as_file()).map_err(StoreError::io(path, "keep the owner and the mode of"))?;
    new.as_file().sync_all().map_err(StoreError::io(path, "sync"))?;
    new.persist(path).map_err(|error| StoreError::io(path, "replace")(error.error))?;
    sync(directory).map_err(|error| StoreError::new(path, StoreReason::NotDurable(error)))
}

/// Removes a file; of a symbolic link, the link.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(StoreError::io(path, "remove"))?;
    sync(parent(path)).map_err(|error| StoreError::new(path, StoreReason::NotDurable(error)))
}

/// Makes a directory and those that it is in, each on disk.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    make_directory(parent(path))?;
    match DirBuilder::new().mode(0o755).create(path) {
        // Another process has been faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.map_err(StoreError::io(path, "make"))?,
    }
    sync(parent(path)).map_err(|error| {
        // Another try is to sync it, too. Should somebody have put something there, it stays.
        let _ = fs::remove_dir(path);
        StoreError::io(path, "sync")(error)
    })
}

/// Waits until the names in a directory are on disk.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The file that a symbolic link leads to.
fn target(path: &Path) -> Result<PathBuf, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path).map_err(StoreError::io(path, "follow")),
        _ => Ok(path.to_owned()),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ if path.is_absolute() => path,
        _ => Path::new("."),
    }
}

/// Removes what writers have left that were killed; the directory is to be locked.
pub(super) fn sweep(directory: &Path) -> Result<(), StoreError> {
    let remove = |path: &PathBuf| fs::remove_file(path).map_err(StoreError::io(path, "remove"));
    left_over(directory)?.iter().try_for_each(remove)
}

/// The temporary files of a directory: those of writers that were killed, and of one that is at work.
pub(super) fn left_over(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(StoreError::io(directory, "list"))? {
        let entry = entry.map_err(StoreError::io(directory, "list"))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn keep_owner_and_mode(path: &Path, new: &File) -> io::Result<()> {
    let old = match fs::metadata(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return new.set_permissions(Permissions::from_mode(0o644));
        }
        Err(error) => return Err(error),
    };
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    // After the owner: until then nobody else can read it.
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}
