//! Netlink attributes, from bytes: a length, a type and a payload, padded to four bytes.
//!
//! The layout is that of `struct nlattr` (`linux/netlink.h`). The functions are pure and copy nothing.
//! They keep unknown types, which callers skip, so that a newer kernel's attributes do no harm.
//!
//! neli's readers are not used: they subtract lengths that the sender chose without a check
//! (`NlPayload::from_bytes_with_input`), and copy every attribute.

use crate::linux::abi::netlink::{NLA_F_NESTED, NLA_F_NET_BYTEORDER};

/// Bytes that are not a netlink message, or not a message of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

const HEADER: usize = size_of::<libc::nlattr>();

/// Returns the attributes of a message, or those nested in an attribute: type and payload.
///
/// The flags `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are not part of the type.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let attribute = (|| {
            let len = usize::from(u16_at(rest, 0)?);
            let kind = u16_at(rest, 2)? & !(NLA_F_NESTED | NLA_F_NET_BYTEORDER);
            let (payload, behind) = split(rest, HEADER, len)?;
            rest = behind;
            Some((kind, payload))
        })();
        if attribute.is_none() {
            rest = &[];
        }
        Some(attribute.ok_or(Malformed))
    })
}

/// Splits bytes into the payload of a first record, whose length includes its header, and the bytes
/// behind the record's padding. Returns `None` if the record does not fit.
pub(super) fn split(bytes: &[u8], header: usize, len: usize) -> Option<(&[u8], &[u8])> {
    let payload = bytes.get(header..len)?;
    // The last record may lack its padding.
    Some((payload, bytes.get(aligned(len)?..).unwrap_or_default()))
}

/// Rounds up to a multiple of 4, as `NLMSG_ALIGN` and `NLA_ALIGN` do.
pub(super) const fn aligned(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(4)
}

/// Returns the bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

pub(super) fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

pub(super) fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Returns an attribute as bytes.
#[cfg(test)]
pub(super) fn encoded(kind: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(HEADER + payload.len()).expect("short");
    let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_one_after_the_other_without_their_flags_and_padding() {
        let bytes = [encoded(1 | NLA_F_NESTED, b"odd"), encoded(2 | NLA_F_NET_BYTEORDER, b"last!")].concat();
        let (one, two) = ((1, &b"odd"[..]), (2, &b"last!"[..]));
        assert_eq!(attributes(&bytes).collect::<Result<Vec<_>, _>>(), Ok(vec![one, two]));
        // Without the padding of the last.
        assert_eq!(attributes(&bytes[..17]).collect::<Result<Vec<_>, _>>(), Ok(vec![one, two]));
        assert_eq!(attributes(&bytes[..16]).collect::<Vec<_>>(), [Ok(one), Err(Malformed)]);
    }

    #[test]
    fn no_length_overflows() {
        assert_eq!(aligned(usize::MAX), None);
        assert_eq!(aligned(usize::MAX - 3), Some(usize::MAX - 3));
        assert_eq!(split(&[0; 8], 4, usize::MAX), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_go_on_forever(bytes: Vec<u8>, len in prop_oneof![0_u16..8, 65528_u16.., any::<u16>()]) {
            let bytes = [&len.to_ne_bytes()[..], &bytes].concat();
            prop_assert!(attributes(&bytes).count() <= bytes.len());
        }

        #[test]
        fn no_record_reaches_beyond_its_bytes(
            bytes: Vec<u8>,
            header in 0_usize..20,
            len in prop_oneof![0_usize..64, usize::MAX - 64..=usize::MAX],
        ) {
            if let Some((payload, rest)) = split(&bytes, header, len) {
                prop_assert!(len <= bytes.len() && payload.len() == len - header);
                prop_assert!(rest.len() <= bytes.len() - len);
            }
        }
    }
}
