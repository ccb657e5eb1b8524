//! The sysfs of the backend's network namespace: what bridges and ports have that no ioctl sets.
//!
//! Read in `net/bridge/br_sysfs_br.c` and `br_sysfs_if.c`. Every file has one number.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use nix::errno::Errno;

use super::mount::{mount_sysfs, open_dir, open_file};
use crate::error::CallResult;
use crate::linux::convert::errno;
use crate::{InterfaceIndex, InterfaceName};

/// The directory of the network's interfaces in a sysfs.
#[derive(Debug)]
pub(super) struct Sysfs {
    /// Of a sysfs of the backend's own: of the right namespace, since the opening thread made it.
    own: nix::Result<OwnedFd>,
    /// Of the sysfs that was at /sys, where there is no other.
    found: Option<OwnedFd>,
    /// Whether that one shows the right namespace, once this is known.
    proven: OnceLock<bool>,
}

/// The directory of one interface. It stays the directory of this interface when that is renamed.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Sysfs {
    /// A sysfs of the calling thread's network namespace, if it can be had.
    pub(super) fn open() -> Self {
        match mount_sysfs().and_then(|root| open_dir(root.as_fd(), c"class/net")) {
            Ok(own) => Self { own: Ok(own), found: None, proven: OnceLock::new() },
            Err(errno) => Self::found(errno),
        }
    }

    /// The one that is at /sys, since there can be none of its own for this reason.
    pub(super) fn found(errno: Errno) -> Self {
        let found = File::open("/sys/class/net").ok().map(OwnedFd::from);
        Self { own: Err(errno), found, proven: OnceLock::new() }
    }

    /// What the system lacked to mount it, if it may have that later.
    pub(super) fn lacks(&self) -> Option<Errno> {
        let errno = self.own.as_ref().err().copied();
        errno.filter(|errno| matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN))
    }

    /// Whether this is known to be the sysfs of the right namespace. `probe` creates an interface with a
    /// random name, asks whether it can be seen, and deletes it: all other names, indices and MACs may be
    /// the same in two namespaces.
    pub(super) fn is_usable(
        &self,
        probe: impl FnOnce(&dyn Fn(InterfaceName, InterfaceIndex) -> bool) -> nix::Result<bool>,
    ) -> nix::Result<bool> {
        let (Err(_), Some(found)) = (&self.own, &self.found) else { return Ok(self.own.is_ok()) };
        if let Some(&is_right) = self.proven.get() {
            return Ok(is_right);
        }
        let is_right = probe(&|name, index| directory(found, name, index).is_ok())?;
        Ok(*self.proven.get_or_init(|| is_right))
    }

    /// Why it is not usable.
    pub(super) fn reason(&self) -> io::Error {
        let errno = self.own.as_ref().err().map_or("", |errno| errno.desc());
        let reason = format!("/sys shows another network namespace, and this one's cannot be mounted: {errno}");
        io::Error::new(io::ErrorKind::Unsupported, reason)
    }

    /// The directory of an interface. `ENODEV` if no interface has this name and index; `ENOSYS` where no
    /// sysfs is known to be of the right namespace.
    pub(super) fn directory(&self, name: InterfaceName, index: InterfaceIndex) -> nix::Result<Directory> {
        let found = self.found.as_ref().filter(|_| self.proven.get() == Some(&true));
        let net = self.own.as_ref().ok().or(found).ok_or(Errno::ENOSYS)?;
        directory(net, name, index)
    }
}

fn directory(net: &OwnedFd, name: InterfaceName, index: InterfaceIndex) -> nix::Result<Directory> {
    let path = CString::new(name.as_bytes()).map_err(|_| Errno::ENODEV)?;
    let missing = |errno| if errno == Errno::ENOENT { Errno::ENODEV } else { errno };
    let directory = Directory(open_dir(net.as_fd(), &path).map_err(missing)?);
    if directory.number(c"ifindex").map_err(missing)? == u64::from(index.get()) {
        Ok(directory)
    } else {
        Err(Errno::ENODEV)
    }
}

impl Directory {
    /// The number in a file.
    pub(super) fn number(&self, path: &CStr) -> nix::Result<u64> {
        parse(self.text(path)?.as_bytes()).ok_or(Errno::EBADMSG)
    }

    /// The number in a file; `None` where the kernel has no such file.
    pub(super) fn optional(&self, path: &CStr) -> nix::Result<Option<u64>> {
        self.number(path).unless(Errno::ENOENT)
    }

    /// The text in a file, of one line.
    pub(super) fn text(&self, path: &CStr) -> nix::Result<String> {
        let mut file = open_file(self.0.as_fd(), path, libc::O_RDONLY)?;
        let mut bytes = [0; 64];
        let len = file.read(&mut bytes).map_err(|error| match errno(&error) {
            // So says the kernel of an interface that is about to go (`netdev_show()`).
            Errno::EINVAL => Errno::ENODEV,
            errno => errno,
        })?;
        Ok(String::from_utf8_lossy(bytes[..len].trim_ascii_end()).into_owned())
    }

    /// Writes a text to a file.
    pub(super) fn write(&self, path: &CStr, text: &str) -> nix::Result<()> {
        let mut file = open_file(self.0.as_fd(), path, libc::O_WRONLY)?;
        // In one call: what is written is one value.
        file.write(text.as_bytes()).map(drop).map_err(|error| errno(&error))
    }
}

/// A number and a newline; in hexadecimal after `0x`.
fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use proptest::prelude::*;

    #[test]
    fn knows_numbers_as_sysfs_writes_them() {
        assert_eq!(parse(b"1500\n"), Some(1500));
        assert_eq!(parse(b"0x4008\n"), Some(0x4008));
        assert_eq!(parse(b"0\n"), Some(0));
        assert_eq!(parse(b"\n"), None);
        assert_eq!(parse(b"8000.525400\n"), None);
        assert_eq!(parse(b"0x1ffffffffffffffff\n"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
