//! A request to rtnetlink, as bytes, attribute by attribute.
//!
//! neli's builders are not used: each of them allocates, and they lack the bridge's own attributes.

use std::ffi::c_int;

use crate::linux::abi;
use crate::linux::abi::netlink::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use crate::linux::convert::c_index;
use crate::{InterfaceIndex, LinkState};

/// `ifi_flags` is wider than an ioctl's flags.
const IFF_UP: u32 = abi::IFF_UP as u32;

/// A request but for its sequence number.
#[derive(Debug)]
pub(super) struct Request {
    flags: u16,
    bytes: Vec<u8>,
    /// Where a second message begins.
    second: Option<usize>,
}

impl Request {
    /// The longest request without options, rounded up.
    const CAPACITY: usize = 128;

    /// Begins a request of this kind, with the header of its family.
    pub(super) fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut request = Self { flags, bytes: Vec::with_capacity(Self::CAPACITY), second: None };
        request.begin(kind, header);
        request
    }

    fn begin(&mut self, kind: u16, header: &[u8]) {
        let mut start = [0; size_of::<libc::nlmsghdr>()];
        start[4..6].copy_from_slice(&kind.to_ne_bytes());
        start[6..8].copy_from_slice(&(self.flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend(start);
        self.bytes.extend(header);
    }

    /// Begins a request on an interface, or without an index. It brings the interface up or down if
    /// a state is given.
    pub(super) fn link(kind: u16, flags: u16, index: Option<InterfaceIndex>, state: Option<LinkState>) -> Self {
        let up = match state {
            Some(LinkState::Up) => IFF_UP,
            Some(LinkState::Down) | None => 0,
        };
        let change = state.map_or(0, |_| IFF_UP);
        Self::new(kind, flags, &link_header(libc::AF_UNSPEC, index, up, change))
    }

    /// Begins a request to the bridge of a port, or to all bridges.
    pub(super) fn bridge_link(kind: u16, flags: u16, port: Option<InterfaceIndex>) -> Self {
        Self::new(kind, flags, &link_header(libc::AF_BRIDGE, port, 0, 0))
    }

    /// Adds an attribute.
    pub(super) fn attribute(mut self, kind: u16, payload: &[u8]) -> Self {
        let len = u16::try_from(size_of::<libc::nlattr>() + payload.len()).expect("no request is that long");
        let mut start = [0; size_of::<libc::nlattr>()];
        start[..2].copy_from_slice(&len.to_ne_bytes());
        start[2..].copy_from_slice(&kind.to_ne_bytes());
        self.bytes.extend(start);
        self.bytes.extend(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds a number.
    pub(super) fn number(mut self, kind: u16, value: u32) -> Self {
        let mut attribute = [0; 8];
        attribute[..2].copy_from_slice(&8_u16.to_ne_bytes());
        attribute[2..4].copy_from_slice(&kind.to_ne_bytes());
        attribute[4..].copy_from_slice(&value.to_ne_bytes());
        self.bytes.extend(attribute);
        self
    }

    /// Adds a string, which the kernel wants with a NUL at its end.
    pub(super) fn text(self, kind: u16, text: &[u8]) -> Self {
        self.nested(kind, |mut request| {
            request.bytes.extend(text);
            request.bytes.push(0);
            request
        })
    }

    /// Adds an attribute that `fill` fills.
    pub(super) fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        self = fill(self);
        let len = u16::try_from(self.bytes.len() - start).expect("no request is that long");
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an attribute that `fill` fills, unless it stays empty.
    pub(super) fn nested_unless_empty(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self = self.nested(kind, fill);
        if self.bytes.len() == start + size_of::<libc::nlattr>() {
            self.bytes.truncate(start);
        }
        self
    }

    /// Begins a second message, on this interface, which the kernel carries out in the same call. The first must not
    /// want an acknowledgement: the answer is that of the second, or the first refusal.
    ///
    /// The kernel carries the second out even if it refuses the first.
    pub(super) fn then_link(mut self, kind: u16, flags: u16, index: InterfaceIndex) -> Self {
        self.second = Some(self.bytes.len());
        self.flags = flags;
        self.begin(kind, &link_header(libc::AF_UNSPEC, Some(index), 0, 0));
        self
    }

    /// Returns the messages as the kernel takes them.
    pub(super) fn into_bytes(mut self, sequence: u32) -> Vec<u8> {
        let end = self.second.unwrap_or(self.bytes.len());
        let (first, second) = self.bytes.split_at_mut(end);
        finish(first, sequence);
        if !second.is_empty() {
            finish(second, sequence);
        }
        self.bytes
    }

    /// Returns whether the answer is a list.
    pub(super) const fn is_dump(&self) -> bool {
        self.flags & NLM_F_DUMP == NLM_F_DUMP
    }

    /// Returns whether the answer ends with an acknowledgement, and not with the first message.
    pub(super) const fn wants_ack(&self) -> bool {
        self.flags & NLM_F_ACK != 0
    }
}

/// Writes the length and the sequence number of a message.
fn finish(message: &mut [u8], sequence: u32) {
    let len = u32::try_from(message.len()).expect("no request is that long");
    message[..4].copy_from_slice(&len.to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
}

/// Returns a `struct ifinfomsg`.
fn link_header(family: c_int, index: Option<InterfaceIndex>, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = u8::try_from(family).expect("a family is a byte");
    header[4..8].copy_from_slice(&index.map_or(0, c_index).to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}
