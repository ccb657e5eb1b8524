//! Where a bridge's MAC comes from when its user names none.

use crate::{Attempt, Backend, Bridges, ErrorKind, Operation, Result, UnicastMac};

/// Generates a MAC ([`UnicastMac::generate`]) that no interface of the host has.
///
/// # Errors
/// The host's interfaces could not be listed, or the operating system's generator failed.
pub fn unused_mac(backend: &dyn Backend) -> Result<UnicastMac> {
    let interfaces = backend.interfaces()?;
    loop {
        let mac = UnicastMac::generate()
            .map_err(|source| Attempt::new(backend.name(), Operation::GenerateMac).io(ErrorKind::Os, source))?;
        // A host has far fewer than 2^24 interfaces, so that this ends soon.
        if !interfaces.iter().any(|interface| interface.mac == Some(mac.into())) {
            return Ok(mac);
        }
    }
}
