//! The host's identity (`machine-id(5)`).

use std::{fs, io};

use crate::HostIdentity;

const PATH: &str = "/etc/machine-id";

pub(crate) fn host_identity() -> io::Result<HostIdentity> {
    let wrong = |kind, what: &str| {
        io::Error::new(kind, format!("{PATH} {what}; systemd-machine-id-setup or dbus-uuidgen --ensure makes it"))
    };
    let text = fs::read_to_string(PATH).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => wrong(error.kind(), "does not exist"),
        kind => io::Error::new(kind, format!("{PATH} cannot be read: {error}")),
    })?;
    match text.trim_end() {
        // Of an image before its first boot, and during it.
        "" | "uninitialized" => Err(wrong(io::ErrorKind::NotFound, "has no identity yet")),
        text => HostIdentity::parse(text)
            .ok_or_else(|| wrong(io::ErrorKind::InvalidData, "is not 32 hexadecimal digits")),
    }
}
