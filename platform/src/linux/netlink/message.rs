//! Netlink messages of the kernel, from bytes: those of a datagram, and the verdict that ends an answer.
//!
//! The layout is that of `struct nlmsghdr` and `struct nlmsgerr` (`linux/netlink.h`). The functions are
//! pure.

use nix::errno::Errno;

use super::attribute::{Malformed, aligned, attributes, i32_at, split, u16_at, u32_at, until_nul};
use crate::linux::abi::netlink::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, NLMSGERR_ATTR_MSG,
};

const HEADER: usize = size_of::<libc::nlmsghdr>();

/// One message of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    kind: u16,
    flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// The outcome that an `NLMSG_ERROR` or an `NLMSG_DONE` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `None` is success.
    pub(super) errno: Option<Errno>,
    /// The text of the extended acknowledgement.
    pub(super) text: Option<String>,
}

/// Returns the messages of one datagram.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = (|| {
            let len = usize::try_from(u32_at(rest, 0)?).ok()?;
            let (kind, flags, sequence) = (u16_at(rest, 4)?, u16_at(rest, 6)?, sequence(rest)?);
            let (payload, behind) = split(rest, HEADER, len)?;
            rest = behind;
            Some(Message { kind, flags, sequence, payload })
        })();
        if message.is_none() {
            rest = &[];
        }
        Some(message.ok_or(Malformed))
    })
}

/// Returns the sequence number of a datagram's first message, which may be cut.
pub(super) fn sequence(datagram: &[u8]) -> Option<u32> {
    u32_at(datagram, 8)
}

impl Message<'_> {
    /// Returns whether the message ends an answer and tells the outcome.
    pub(super) const fn is_verdict(&self) -> bool {
        matches!(self.kind, NLMSG_ERROR | NLMSG_DONE)
    }

    /// Returns whether more messages of the same answer follow.
    pub(super) const fn is_one_of_many(&self) -> bool {
        self.flags & NLM_F_MULTI != 0
    }

    /// Returns whether the list changed while the kernel sent it.
    pub(super) const fn was_interrupted(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }

    /// Reads an `NLMSG_ERROR` (`struct nlmsgerr`) or an `NLMSG_DONE` (an `int`).
    pub(super) fn verdict(&self) -> Result<Verdict, Malformed> {
        let code = match (i32_at(self.payload, 0), self.kind) {
            (Some(code), _) => code,
            // Kernels before 4.13 end a dump without a code.
            (None, NLMSG_DONE) => 0,
            (None, _) => return Err(Malformed),
        };
        let text = if self.flags & NLM_F_ACK_TLVS == 0 { None } else { self.extended_ack()? };
        let errno = match code {
            0 => None,
            // Negative in the kernel. A number without a name in nix must not pass for success.
            code => Some(Errno::from_raw(code.checked_neg().ok_or(Malformed)?)),
        };
        Ok(Verdict { errno, text })
    }

    /// Returns the text among the attributes behind a verdict.
    fn extended_ack(&self) -> Result<Option<String>, Malformed> {
        for attribute in attributes(self.behind_verdict().ok_or(Malformed)?) {
            let (kind, payload) = attribute?;
            if kind == NLMSGERR_ATTR_MSG {
                return Ok(Some(String::from_utf8_lossy(until_nul(payload)).into_owned()));
            }
        }
        Ok(None)
    }

    fn behind_verdict(&self) -> Option<&[u8]> {
        let behind_code = self.payload.get(4..)?;
        if self.kind == NLMSG_DONE {
            return Some(behind_code);
        }
        // An error repeats the request: only its header if NLM_F_CAPPED is set, else all of it.
        let request = if self.flags & NLM_F_CAPPED == 0 {
            aligned(usize::try_from(u32_at(behind_code, 0)?).ok()?)?
        } else {
            HEADER
        };
        behind_code.get(request..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::attribute::encoded;
    use proptest::prelude::*;

    fn error(flags: u16, code: i32, request_len: u32, rest: &[u8]) -> Vec<u8> {
        let request: [&[u8]; 3] = [&request_len.to_ne_bytes(), &[0; 12], rest];
        let payload = [&code.to_ne_bytes()[..], &request.concat()].concat();
        let header: [&[u8]; 5] = [
            &u32::try_from(HEADER + payload.len()).expect("short").to_ne_bytes(),
            &NLMSG_ERROR.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &1_u32.to_ne_bytes(),
            &[0; 4],
        ];
        [header.concat(), payload].concat()
    }

    fn verdict_of(bytes: &[u8]) -> Result<Verdict, Malformed> {
        messages(bytes).next().expect("one message")?.verdict()
    }

    fn read_all(bytes: &[u8]) {
        for message in messages(bytes).flatten() {
            let _ = message.verdict();
        }
    }

    #[test]
    fn reads_the_kernels_words_behind_a_whole_or_a_capped_request() {
        let text = encoded(1, b"mtu greater than device maximum\0");
        let words =
            Verdict { errno: Some(Errno::EINVAL), text: Some("mtu greater than device maximum".to_owned()) };
        let capped = error(NLM_F_ACK_TLVS | NLM_F_CAPPED, -libc::EINVAL, 1000, &text);
        assert_eq!(verdict_of(&capped), Ok(words.clone()));
        let whole = error(NLM_F_ACK_TLVS, -libc::EINVAL, 20, &[&[0; 4][..], &text].concat());
        assert_eq!(verdict_of(&whole), Ok(words));
        let beyond = error(NLM_F_ACK_TLVS, -libc::EINVAL, 1000, &text);
        assert_eq!(verdict_of(&beyond), Err(Malformed));
    }

    /// Where a pointer has four bytes, these are the lengths whose rounding would overflow.
    #[test]
    fn no_length_of_a_request_or_a_message_overflows() {
        for len in u32::MAX - 4..=u32::MAX {
            assert_eq!(verdict_of(&error(NLM_F_ACK_TLVS, -libc::EINVAL, len, &[])), Err(Malformed));
            let mut message = error(0, 0, 0, &[]);
            message[..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(verdict_of(&message), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            read_all(&bytes);
        }

        #[test]
        fn no_lengths_panic(
            flags: u16,
            code: i32,
            len in prop_oneof![0_u32..64, u32::MAX - 64..=u32::MAX, any::<u32>()],
            request_len in prop_oneof![0_u32..64, u32::MAX - 64..=u32::MAX, any::<u32>()],
            rest: Vec<u8>,
        ) {
            let mut bytes = error(flags, code, request_len, &rest);
            let _ = verdict_of(&bytes);
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            read_all(&bytes);
        }

        #[test]
        fn no_damage_to_an_error_panics(at in 0_usize..60, byte: u8) {
            let mut bytes = error(NLM_F_ACK_TLVS, -libc::EINVAL, 20, &encoded(1, b"text\0"));
            let at = at % bytes.len();
            bytes[at] = byte;
            read_all(&bytes);
        }
    }
}
