//! Chance, from the operating system's generator.

use std::io;

use rand::TryRng;
use rand::rngs::SysRng;

/// As many random bytes as are wanted.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::other(error),
    })?;
    Ok(bytes)
}
