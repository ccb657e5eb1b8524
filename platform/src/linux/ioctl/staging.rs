//! The names that bridges have while they are made: `vmb` and eight hexadecimal digits.
//!
//! A process that dies over a bridge leaves it behind. So that the next one to make this bridge
//! finds it, the digits follow from the final name; and so that it does not take a bridge that
//! another process is just making for one that was left behind, who makes a bridge holds a socket
//! that is bound to that name in the abstract namespace of `unix(7)`: there is one for each network
//! namespace, and the kernel frees the name when the process ends, however it does. Who cannot get
//! the name takes digits by chance, and removes nothing.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use crate::linux::namespace::Namespace;
use crate::{InterfaceName, random};

/// The name for a bridge under way that no other process makes one by while this is held.
#[derive(Debug)]
pub(super) struct Claim {
    name: InterfaceName,
    _socket: OwnedFd,
}

impl Claim {
    /// The name for a bridge that is to be called `bridge`, if nobody has claimed it.
    pub(super) fn for_bridge(namespace: &Namespace, bridge: InterfaceName) -> Option<Self> {
        Self::on(namespace, derived(bridge.as_bytes()))
    }

    /// The name for a bridge that is only to show whether it can be seen, if nobody has claimed it.
    pub(super) fn for_trial(namespace: &Namespace) -> Option<Self> {
        // No bridge is called by no bytes.
        Self::on(namespace, derived(b""))
    }

    fn on(namespace: &Namespace, name: InterfaceName) -> Option<Self> {
        let bound = || {
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
            let address = [b"vmbridge/", name.as_bytes()].concat();
            bind(socket.as_raw_fd(), &UnixAddr::new_abstract(&address)?).map(|()| socket)
        };
        let socket = namespace.run(bound).ok()?.ok()?;
        Some(Self { name, _socket: socket })
    }

    pub(super) const fn name(&self) -> InterfaceName {
        self.name
    }
}

/// Always the same of one name, and seldom that of another: FNV-1a, which stays what it is from one
/// version to the next.
fn derived(bridge: &[u8]) -> InterfaceName {
    let hash =
        bridge.iter().fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    numbered(hash)
}

/// One by chance; another bridge has it with odds of one in four billion.
pub(super) fn by_chance() -> io::Result<InterfaceName> {
    random::bytes().map(u32::from_ne_bytes).map(numbered)
}

fn numbered(number: u32) -> InterfaceName {
    InterfaceName::from_kernel(format!("vmb{number:08x}").as_bytes()).expect("11 bytes are a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_in_every_version() {
        assert_eq!(derived(b"virbr0").to_string(), "vmbc4107aae");
        assert_ne!(derived(b"virbr1"), derived(b"virbr0"));
    }

    #[test]
    fn one_has_it_at_a_time() {
        let namespace = Namespace::open();
        let bridge = format!("t{}", std::process::id()).parse().expect("a name");
        let claim = Claim::for_bridge(&namespace, bridge).expect("nobody has it");
        assert!(Claim::for_bridge(&namespace, bridge).is_none());
        drop(claim);
        assert!(Claim::for_bridge(&namespace, bridge).is_some());
    }
}
