//! The answer to one request, datagram by datagram. Pure.

use nix::errno::Errno;

use super::failure::Failure;
use crate::linux::netlink::attribute::Malformed;
use crate::linux::netlink::message::messages;
use crate::linux::netlink::request::Request;

/// An answer that is being received.
pub(super) struct Reply<F> {
    sequence: u32,
    wants_ack: bool,
    is_dump: bool,
    was_interrupted: bool,
    /// The first failure of `on_message`.
    outcome: Result<(), Malformed>,
    on_message: F,
}

impl<F: FnMut(&[u8]) -> Result<(), Malformed>> Reply<F> {
    /// Awaits the answer to a request with this sequence number. `on_message` gets the payloads of its
    /// messages but for the verdict.
    pub(super) fn new(request: &Request, sequence: u32, on_message: F) -> Self {
        let (wants_ack, is_dump) = (request.wants_ack(), request.is_dump());
        Self { sequence, wants_ack, is_dump, was_interrupted: false, outcome: Ok(()), on_message }
    }

    /// Takes a datagram, and returns whether it ended the answer.
    pub(super) fn take(&mut self, datagram: &[u8]) -> Result<bool, Failure> {
        for message in messages(datagram) {
            let message = message?;
            if message.sequence != self.sequence {
                // The late answer to a request that was given up.
                continue;
            }
            self.was_interrupted |= message.was_interrupted();
            if message.is_verdict() {
                let verdict = message.verdict()?;
                return match verdict.errno {
                    // Newer kernels end an interrupted dump with EINTR, too.
                    Some(Errno::EINTR) if self.is_dump => Err(Failure::ListChanged),
                    Some(errno) => Err(Failure::Refused(errno, verdict.text)),
                    None if self.was_interrupted => Err(Failure::ListChanged),
                    None => self.end(),
                };
            }
            // A dump is read to its end in any case: until then the kernel starts no other.
            if self.outcome.is_ok() {
                self.outcome = (self.on_message)(message.payload);
            }
            if !self.wants_ack && !message.is_one_of_many() {
                return self.end();
            }
        }
        Ok(false)
    }

    fn end(&self) -> Result<bool, Failure> {
        self.outcome?;
        Ok(true)
    }
}
