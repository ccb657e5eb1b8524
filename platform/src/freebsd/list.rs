//! What `SIOCGIFCONF` says of all interfaces.
//!
//! `ifconf()` (`net/if.c`) writes a record for each address: the name of its interface, in
//! IFNAMSIZ bytes, and the address, in 16 bytes or in as many as its `sa_len` says, whichever is
//! more. The first address of an interface is its link address (`struct sockaddr_dl`). An
//! interface whose addresses the caller may not see has one record, without an address.

use std::collections::BTreeMap;

use super::abi::AF_LINK;
use crate::{InterfaceName, MacAddr};

/// The bytes of a record, at the most: `sa_len` is one byte.
pub(super) const MAX_RECORD: usize = libc::IFNAMSIZ + 255;

/// The least room that a record has for its address.
const MIN_ADDRESS: usize = size_of::<libc::sockaddr>();

/// The interfaces by name, each with its MAC if it has one; `None` if the list makes no sense.
pub(super) fn decode(mut list: &[u8]) -> Option<BTreeMap<InterfaceName, Option<MacAddr>>> {
    let mut interfaces = BTreeMap::<_, Option<MacAddr>>::new();
    while !list.is_empty() {
        let (name, rest) = list.split_at_checked(libc::IFNAMSIZ)?;
        let length = usize::from(*rest.first()?);
        let (address, rest) = rest.split_at_checked(length.max(MIN_ADDRESS))?;
        list = rest;
        if let Some(name) = InterfaceName::from_kernel(name) {
            let mac = interfaces.entry(name).or_default();
            *mac = mac.or(link_address(address));
        }
    }
    Some(interfaces)
}

/// The MAC in a `struct sockaddr_dl`: it follows the name, whose length is told, without a NUL.
fn link_address(address: &[u8]) -> Option<MacAddr> {
    let &[_, AF_LINK, _, _, _, name_len, 6, _, ref data @ ..] = address else { return None };
    data.get(usize::from(name_len)..)?.first_chunk().copied().map(MacAddr::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(name: &str, address: &[u8]) -> Vec<u8> {
        let mut record = name.as_bytes().to_vec();
        record.resize(libc::IFNAMSIZ, 0);
        record.extend(address);
        record.resize(record.len().max(libc::IFNAMSIZ + MIN_ADDRESS), 0);
        record
    }

    fn link(name: &str, mac: &[u8]) -> Vec<u8> {
        let lens = [u8::try_from(name.len()), u8::try_from(mac.len())].map(|len| len.expect("a short one"));
        let mut address = vec![54, AF_LINK, 1, 0, 6, lens[0], lens[1], 0];
        address.extend(name.as_bytes());
        address.extend(mac);
        address.resize(54, 0);
        record(name, &address)
    }

    #[test]
    fn finds_each_interface_once_and_its_mac() {
        let list = [
            link("lo0", &[]),
            record("lo0", &[16, 2, 0, 0, 127, 0, 0, 1]),
            link("bridge0", &[0x52, 0x54, 0, 0, 0, 7]),
            record("bridge0", &[28, 28].iter().chain(&[0; 26]).copied().collect::<Vec<_>>()),
            record("hidden0", &[]),
            link("ib0", &[0; 20]),
        ];
        let interfaces = decode(&list.concat()).expect("a list that makes sense");
        let found: Vec<_> =
            interfaces.iter().map(|(name, mac)| (name.to_string(), mac.map(|mac| mac.to_string()))).collect();
        assert_eq!(
            found,
            [
                ("bridge0".to_owned(), Some("52:54:00:00:00:07".to_owned())),
                ("hidden0".to_owned(), None),
                ("ib0".to_owned(), None),
                ("lo0".to_owned(), None),
            ]
        );
    }

    #[test]
    fn refuses_a_list_that_is_cut() {
        let whole = link("bridge0", &[2; 6]);
        assert!(decode(&whole[..whole.len() - 1]).is_none());
        assert!(decode(&whole[..16]).is_none());
        assert!(decode(&whole[..3]).is_none());
    }

    proptest! {
        #[test]
        fn no_list_panics(list: Vec<u8>) {
            let _ = decode(&list);
        }

        #[test]
        fn no_damage_to_a_list_panics(at in 0_usize..140, byte in prop_oneof![Just(0_u8), 250_u8.., any::<u8>()]) {
            let mut list = [link("bridge0", &[2; 6]), link("lo0", &[])].concat();
            let at = at % list.len();
            list[at] = byte;
            let _ = decode(&list);
        }

        #[test]
        fn no_link_address_panics(tail in prop::collection::vec(any::<u8>(), 0..60), name_len: u8) {
            let mut address = vec![0, AF_LINK, 0, 0, 6, name_len, 6, 0];
            address.extend(tail);
            let _ = link_address(&address);
        }
    }
}
