//! Conversions between the types of the kernel's calls and those of this crate.

use std::ffi::c_int;
use std::io;

use nix::errno::Errno;

use crate::InterfaceIndex;

/// Returns an index for a kernel's structure, in which it is a C int.
pub(crate) fn c_index(index: InterfaceIndex) -> c_int {
    index.get().try_into().expect("InterfaceIndex::new takes none beyond i32::MAX")
}

/// Returns the errno of a failed call, or `EIO` if the error has none.
pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
