//! A directory of definitions: `NAME.xml` each, as libvirt has them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::{StoreError, StoreReason, file};
use crate::network::{Document, NetworkName};

/// Files by their names, each with what is in it.
pub(super) type Documents = BTreeMap<OsString, Result<Document, StoreError>>;

/// Where a network of this name is defined.
pub(super) fn path_of(directory: &Path, name: &NetworkName) -> PathBuf {
    directory.join(format!("{name}.xml"))
}

/// What the file of a network defines; `None` if it is not there.
pub(super) fn find(directory: &Path, name: &NetworkName) -> Result<Option<Document>, StoreError> {
    let document = read(&path_of(directory, name));
    if is_absent(&document) { Ok(None) } else { document.map(Some) }
}

/// All definitions of a directory, in the order of their names; none if it is not there. Files that
/// are called otherwise than `NAME.xml` are not looked at, nor those that begin with a dot.
pub(super) fn read_all(directory: &Path) -> Result<Documents, StoreError> {
    let mut documents = Documents::new();
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(documents),
        entries => entries.map_err(StoreError::io(directory, "list"))?,
    };
    for entry in entries {
        let name = entry.map_err(StoreError::io(directory, "list"))?.file_name();
        let path = directory.join(&name);
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if is_hidden || path.extension() != Some(OsStr::new("xml")) {
            continue;
        }
        // One that was removed meanwhile is none; a link to nothing is one.
        let document = read(&path);
        if !(is_absent(&document) && path.symlink_metadata().is_err()) {
            documents.insert(name, document);
        }
    }
    Ok(documents)
}

fn read(path: &Path) -> Result<Document, StoreError> {
    let stem = path.file_stem().and_then(OsStr::to_str).and_then(|stem| NetworkName::new(stem).ok());
    let name = stem.ok_or_else(|| StoreError::new(path, StoreReason::FileName))?;
    let document = Document::read(file::open(path)?).map_err(StoreError::at(path))?;
    let defined = document.parsed().name();
    if *defined != name {
        return Err(StoreError::new(path, StoreReason::OtherName(defined.clone())));
    }
    Ok(document)
}

fn is_absent(document: &Result<Document, StoreError>) -> bool {
    document.as_ref().is_err_and(StoreError::is_absent)
}
