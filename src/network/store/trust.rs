//! Whether others than trusted users can have written a file, or put one in a directory.
//!
//! The library checks the directories of a store, and the helper, which includes this file, those of the ACL.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Why a file or a directory is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// It belongs to this user.
    #[error("it belongs to UID {0}, which is not trusted; chown it to root")]
    Owner(u32),
    /// With this mode, others than its owner may write to it.
    #[error("others than its owner may write to it (mode {0:04o}); chmod go-w it")]
    Writable(u32),
}

/// Checks that only its owner may write to it, who is root or `user`.
pub(crate) fn check(metadata: &Metadata, user: u32) -> Result<(), Distrust> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != 0 && owner != user {
        Err(Distrust::Owner(owner))
    } else if mode & 0o022 != 0 {
        // Nor with the sticky bit: that lets others make files.
        Err(Distrust::Writable(mode))
    } else {
        Ok(())
    }
}
