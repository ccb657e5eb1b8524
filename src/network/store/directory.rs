//! A directory of definitions: `NAME.xml` each, as libvirt has them.
//!
//! Nobody but its owner, who is trusted, may write to it ([`trust`]). All files are opened relative to one
//! descriptor of it, and no symbolic link is followed: should someone put another directory or a link in place of
//! what was checked, no other file is read or written.
//!
//! A crash leaves a file as it was or as it was to be (`rename(2)`, `fsync(2)`): the new content goes to a temporary
//! file, is on disk before the file takes the name, and the name is on disk before the caller goes on.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::{StoreError, StoreReason, trust};
use crate::network::{Document, NetworkName};

/// How temporary files are called: readers pass over what begins with a dot, and whoever finds one
/// knows whose it is.
const TEMPORARY: (&str, &str) = (".vmbridge-", ".tmp");

/// A file of a directory, as it was read.
#[derive(Debug)]
pub(super) struct DefinitionFile<'d> {
    directory: &'d Directory<'d>,
    name: OsString,
    metadata: Metadata,
    pub(super) document: Document,
}

impl DefinitionFile<'_> {
    /// Gives it this content, as [`Directory::replace`].
    pub(super) fn replace(&self, content: &str) -> Result<(), StoreError> {
        self.directory.replace(&self.name, content, Some(&self.metadata))
    }
}

/// Files by their names, each as it was read.
pub(super) type Files<'d> = BTreeMap<OsString, Result<DefinitionFile<'d>, StoreError>>;

/// Files by their names, each with what is in it.
pub(super) type Documents = BTreeMap<OsString, Result<Document, StoreError>>;

/// Where a network of this name is defined.
pub(super) fn path_of(directory: &Path, name: &NetworkName) -> PathBuf {
    directory.join(file_of(name))
}

/// The name of the file that defines a network.
pub(super) fn file_of(name: &NetworkName) -> OsString {
    format!("{name}.xml").into()
}

/// What the file of a network defines; `None` if it is not there.
pub(super) fn find(directory: &Path, name: &NetworkName) -> Result<Option<Document>, StoreError> {
    let Some(directory) = Directory::open(directory)? else { return Ok(None) };
    Ok(directory.find(name)?.map(|file| file.document))
}

/// All definitions of a directory, in the order of their names; none if it is not there.
pub(super) fn read_all(directory: &Path) -> Result<Documents, StoreError> {
    let Some(directory) = Directory::open(directory)? else { return Ok(Documents::new()) };
    let files = directory.read_all()?.into_iter();
    Ok(files.map(|(name, file)| (name, file.map(|file| file.document))).collect())
}

/// An open directory of definitions.
#[derive(Debug)]
pub(super) struct Directory<'p> {
    path: &'p Path,
    descriptor: File,
}

impl<'p> Directory<'p> {
    /// Opens a directory; `None` if it is not there.
    pub(super) fn open(path: &'p Path) -> Result<Option<Self>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(|errno| StoreError::io(path, "open")(errno.into()))?,
        };
        let descriptor = File::from(opened);
        let metadata = descriptor.metadata().map_err(StoreError::io(path, "look at"))?;
        let user = rustix::process::geteuid().as_raw();
        trust::check(&metadata, user).map_err(StoreError::at(path))?;
        Ok(Some(Self { path, descriptor }))
    }

    /// Opens a directory, which is made where it is not there.
    pub(super) fn make(path: &'p Path) -> Result<Self, StoreError> {
        make_directory(path)?;
        let removed = || StoreError::io(path, "open")(io::ErrorKind::NotFound.into());
        Self::open(path)?.ok_or_else(removed)
    }

    /// Where a file of the directory is.
    pub(super) fn path_of(&self, file: &OsStr) -> PathBuf {
        self.path.join(file)
    }

    /// What the file of a network defines; `None` if it is not there.
    pub(super) fn find(&self, name: &NetworkName) -> Result<Option<DefinitionFile<'_>>, StoreError> {
        unless_absent(self.read(&file_of(name)))
    }

    /// All definitions, in the order of their names. Files that are called otherwise than `NAME.xml` are not looked
    /// at, nor those that begin with a dot.
    pub(super) fn read_all(&self) -> Result<Files<'_>, StoreError> {
        let is_definition = |file: &OsStr| {
            !file.as_bytes().starts_with(b".") && Path::new(file).extension() == Some(OsStr::new("xml"))
        };
        let files = self.files()?.into_iter().filter(|file| is_definition(file));
        // One that was removed meanwhile is none.
        let read = files.filter_map(|file| Some((unless_absent(self.read(&file)).transpose()?, file)));
        Ok(read.map(|(read, file)| (file, read)).collect())
    }

    fn read(&self, file: &OsStr) -> Result<DefinitionFile<'_>, StoreError> {
        let path = &self.path_of(file);
        let stem = path.file_stem().and_then(OsStr::to_str);
        let stem = stem.ok_or_else(|| StoreError::new(path, StoreReason::FileName))?;
        let name = NetworkName::new(stem).map_err(StoreError::at(path))?;
        let (opened, metadata) = self.open_file(file, OFlags::RDONLY, Mode::empty())?;
        let document = Document::read(opened).map_err(StoreError::at(path))?;
        let defined = document.parsed().name();
        if *defined != name {
            return Err(StoreError::new(path, StoreReason::OtherName(defined.clone())));
        }
        Ok(DefinitionFile { directory: self, name: file.to_owned(), metadata, document })
    }

    /// Opens a regular file; anything else is an error, and a FIFO is not waited for.
    pub(super) fn open_file(
        &self,
        file: &OsStr,
        flags: OFlags,
        mode: Mode,
    ) -> Result<(File, Metadata), StoreError> {
        let path = &self.path_of(file);
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::openat(&self.descriptor, file, flags, mode));
        let opened = opened.map(File::from).map_err(|errno| match errno {
            // Of a link that is not followed, by system.
            Errno::LOOP | Errno::MLINK => StoreError::new(path, StoreReason::SymbolicLink),
            errno => StoreError::io(path, "open")(errno.into()),
        })?;
        let metadata = opened.metadata().map_err(StoreError::io(path, "look at"))?;
        if metadata.is_file() { Ok((opened, metadata)) } else { Err(StoreError::new(path, StoreReason::NotAFile)) }
    }

    /// What the system says of a file; `None` if it is not there.
    pub(super) fn metadata(&self, file: &OsStr) -> Result<Option<Metadata>, StoreError> {
        let opened = unless_absent(self.open_file(file, OFlags::RDONLY, Mode::empty()))?;
        Ok(opened.map(|(_, metadata)| metadata))
    }

    /// Whether there is anything of this name.
    pub(super) fn has(&self, file: &OsStr) -> bool {
        let found = rustix::fs::statat(&self.descriptor, file, AtFlags::SYMLINK_NOFOLLOW);
        !matches!(found, Err(Errno::NOENT))
    }

    /// Gives a file this content, or makes it, all or nothing. Its owner and its mode stay; a new file
    /// is everyone's to read. Unless it is still as it was when `old` was read, nothing changes.
    ///
    /// The directory is to be locked: what a writer that was killed has left in it is removed.
    pub(super) fn replace(&self, file: &OsStr, content: &str, old: Option<&Metadata>) -> Result<(), StoreError> {
        let path = &self.path_of(file);
        self.sweep()?;
        let (temporary, new) = self.temporary().map_err(StoreError::io(path, "make a new file for"))?;
        if let Err(error) = self.write_and_rename(new, &temporary, file, content, old) {
            let _ = self.unlink(temporary.as_ref());
            return Err(error);
        }
        self.sync().map_err(|error| StoreError::new(path, StoreReason::NotDurable(error)))
    }

    fn write_and_rename(
        &self,
        mut new: File,
        temporary: &str,
        file: &OsStr,
        content: &str,
        old: Option<&Metadata>,
    ) -> Result<(), StoreError> {
        let path = &self.path_of(file);
        new.write_all(content.as_bytes()).map_err(StoreError::io(path, "write"))?;
        keep_owner_and_mode(old, &new).map_err(StoreError::io(path, "keep the owner and the mode of"))?;
        new.sync_all().map_err(StoreError::io(path, "sync"))?;
        // Between this and the next call another may still replace it: no system compares and renames.
        if self.metadata(file)?.as_ref().map(version) != old.map(version) {
            return Err(StoreError::new(path, StoreReason::Changed));
        }
        let renamed = rustix::fs::renameat(&self.descriptor, temporary, &self.descriptor, file);
        renamed.map_err(|errno| StoreError::io(path, "replace")(errno.into()))
    }

    /// Removes a file; of a symbolic link, the link.
    pub(super) fn remove(&self, file: &OsStr) -> Result<(), StoreError> {
        let path = &self.path_of(file);
        self.unlink(file).map_err(|errno| StoreError::io(path, "remove")(errno.into()))?;
        self.sync().map_err(|error| StoreError::new(path, StoreReason::NotDurable(error)))
    }

    /// Removes what writers have left that were killed; the directory is to be locked. What cannot be removed is in
    /// nobody's way.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        for file in self.left_over()? {
            let _ = self.unlink(&file);
        }
        Ok(())
    }

    /// The temporary files: those of writers that were killed, and of one that is at work.
    pub(super) fn left_over(&self) -> Result<Vec<OsString>, StoreError> {
        let mut files = self.files()?;
        let is_temporary =
            |file: &[u8]| file.starts_with(TEMPORARY.0.as_bytes()) && file.ends_with(TEMPORARY.1.as_bytes());
        files.retain(|file| is_temporary(file.as_bytes()));
        Ok(files)
    }

    /// Makes a temporary file, of the first name that is free: the lock keeps others from it.
    fn temporary(&self) -> io::Result<(String, File)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut number = 0_u32;
        loop {
            let name = format!("{}{number}{}", TEMPORARY.0, TEMPORARY.1);
            let owners = Mode::RUSR | Mode::WUSR;
            match retry_on_intr(|| rustix::fs::openat(&self.descriptor, &*name, flags, owners)) {
                Err(Errno::EXIST) => number += 1,
                made => return Ok((name, made?.into())),
            }
        }
    }

    fn files(&self) -> Result<Vec<OsString>, StoreError> {
        let failed = |errno: Errno| StoreError::io(self.path, "list")(errno.into());
        let entries = Dir::read_from(&self.descriptor).map_err(failed)?;
        let name = |entry: rustix::fs::DirEntry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        entries.map(|entry| entry.map(name).map_err(failed)).collect()
    }

    fn unlink(&self, file: &OsStr) -> rustix::io::Result<()> {
        rustix::fs::unlinkat(&self.descriptor, file, AtFlags::empty())
    }

    /// Waits until the names in the directory are on disk.
    fn sync(&self) -> io::Result<()> {
        self.descriptor.sync_all()
    }
}

fn unless_absent<T>(file: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match file {
        Err(error) if error.is_absent() => Ok(None),
        file => file.map(Some),
    }
}

/// What another file has not, nor the same after a change.
fn version(metadata: &Metadata) -> (u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

fn keep_owner_and_mode(old: Option<&Metadata>, new: &File) -> io::Result<()> {
    let Some(old) = old else { return new.set_permissions(Permissions::from_mode(0o644)) };
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    // After the owner: until then nobody else can read it.
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}

/// Makes a directory and those that it is in, each on disk.
fn make_directory(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    make_directory(parent(path))?;
    match DirBuilder::new().mode(0o755).create(path) {
        // Another process has been faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.map_err(StoreError::io(path, "make"))?,
    }
    File::open(parent(path)).and_then(|parent| parent.sync_all()).map_err(|error| {
        // Another try is to sync it, too. Should somebody have put something there, it stays.
        let _ = fs::remove_dir(path);
        StoreError::io(path, "sync")(error)
    })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ if path.is_absolute() => path,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_takes_a_files_place_is_neither_replaced_nor_followed() {
        let root = tempfile::tempdir().expect("a directory can be made");
        let (path, file) = (root.path().join("lan.xml"), OsStr::new("lan.xml"));
        let elsewhere = root.path().join("elsewhere");
        let directory = Directory::open(root.path()).expect("it is ours").expect("it is there");
        let kind = |replaced: Result<(), StoreError>| format!("{:?}", replaced.expect_err("it changed").reason());
        let read = || directory.metadata(file).expect("a file");

        directory.replace(file, "a", None).expect("it is free");
        assert_eq!(kind(directory.replace(file, "b", None)), "Changed");
        let old = read();
        fs::write(&elsewhere, "x").expect("it can be written");
        fs::rename(&elsewhere, &path).expect("it can be replaced");
        assert_eq!(kind(directory.replace(file, "b", old.as_ref())), "Changed");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "x");

        let old = read();
        fs::rename(&path, &elsewhere).expect("it is there");
        symlink(&elsewhere, &path).expect("it can be made");
        assert_eq!(kind(directory.replace(file, "b", old.as_ref())), "SymbolicLink");
        assert_eq!(fs::read_to_string(&elsewhere).expect("it is there"), "x");
        fs::remove_file(&path).expect("it is there");
        assert_eq!(kind(directory.replace(file, "b", old.as_ref())), "Changed");
        assert!(directory.left_over().expect("it can be read").is_empty());
    }

    #[test]
    fn another_directory_in_its_place_is_not_written_to() {
        let root = tempfile::tempdir().expect("a directory can be made");
        let [here, moved, other] = ["here", "moved", "other"].map(|name| root.path().join(name));
        fs::create_dir(&here).and_then(|()| fs::create_dir(&other)).expect("they can be made");
        let directory = Directory::open(&here).expect("it is ours").expect("it is there");
        fs::rename(&here, &moved).expect("it is there");
        symlink(&other, &here).expect("it can be made");
        directory.replace("lan.xml".as_ref(), "a", None).expect("it is free");
        assert!(moved.join("lan.xml").exists() && fs::read_dir(&other).expect("it is there").next().is_none());
    }
}
