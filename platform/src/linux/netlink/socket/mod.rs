//! One rtnetlink socket of a network namespace, shared by threads.

mod channel;
mod failure;
mod pipeline;
mod reply;

use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use self::channel::Channel;
pub(super) use self::failure::Failure;
use self::pipeline::Answer;
pub(super) use self::pipeline::Reply;
use super::attribute::Malformed;
use super::link::Link;
use super::request::Request;
use crate::InterfaceIndex;
use crate::linux::bridge_indices;

/// How often a list that changes each time is read, while other processes change interfaces.
pub(super) const DUMP_TRIES: usize = 16;

/// A socket of the network namespace that it was opened in. It exchanges one request at a time.
pub(super) struct Socket(Mutex<Channel>);

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Socket {
    /// Opens a socket that waits for an answer until this limit.
    pub(super) fn open(limit: Duration) -> io::Result<Self> {
        Channel::open(limit).map(Mutex::new).map(Self)
    }

    /// Asks the kernel to do something.
    pub(super) fn execute(&self, request: Request) -> Result<(), Failure> {
        self.channel().exchange(request, |_| Ok(()))
    }

    /// Asks the kernel to create an interface, and returns its index if the kernel tells it.
    pub(super) fn execute_echoed(&self, request: Request) -> Result<Option<InterfaceIndex>, Failure> {
        let mut index = None;
        self.channel().exchange(request, |payload| {
            index = Some(Link::index(payload)?);
            Ok(())
        })?;
        Ok(index)
    }

    /// Sends as many requests as the socket has room for, at least one, and returns their outcomes.
    pub(super) fn exchange_some<T: Answer>(
        &self,
        requests: impl Iterator<Item = Request>,
    ) -> Vec<Result<T, Failure>> {
        self.channel().exchange_some(requests)
    }

    /// Gets one interface.
    pub(super) fn get_link(&self, request: impl Fn() -> Request) -> Result<Link, Failure> {
        self.get(request, |payload| Link::decode(payload).map(Some))?.ok_or(Failure::Malformed)
    }

    /// Gets one answer; `None` if `decode` does not want it.
    pub(super) fn get<T>(
        &self,
        request: impl Fn() -> Request,
        decode: impl Fn(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Option<T>, Failure> {
        let (mut answers, outcome) = self.read(request, decode);
        outcome?;
        Ok(answers.pop())
    }

    /// Gets the interfaces of a dump that `keep` wants, by index.
    ///
    /// While interfaces come and go, the kernel says of a dump that it is not of one moment. What
    /// two in a row agree about is taken all the same: the changes were elsewhere.
    pub(super) fn dump(
        &self,
        request: impl Fn() -> Request,
        keep: impl Fn(&Link) -> bool,
    ) -> Result<Vec<Link>, Failure> {
        let mut last = None;
        for _ in 0..DUMP_TRIES {
            match self.read_links(&request, &keep) {
                (links, Ok(())) => return Ok(links),
                (links, Err(Failure::ListChanged)) if last.as_ref() == Some(&links) => return Ok(links),
                (links, Err(Failure::ListChanged)) => last = Some(links),
                (_, Err(failure)) => return Err(failure),
            }
        }
        Err(Failure::ListChanged)
    }

    /// Gets all interfaces of a dump, though they may not be of one moment.
    pub(super) fn dump_roughly(&self, request: impl Fn() -> Request) -> Result<Vec<Link>, Failure> {
        match self.read_links(request, |_| true) {
            (links, Ok(()) | Err(Failure::ListChanged)) => Ok(links),
            (_, Err(failure)) => Err(failure),
        }
    }

    /// Reads interfaces, each once and by index.
    fn read_links(
        &self,
        request: impl Fn() -> Request,
        keep: impl Fn(&Link) -> bool,
    ) -> (Vec<Link>, Result<(), Failure>) {
        let (mut links, outcome) = self.read(request, |payload| Ok(Some(Link::decode(payload)?).filter(&keep)));
        // An interface that is renamed meanwhile may be listed twice.
        links.sort_by_key(|link| link.index);
        links.dedup_by_key(|link| link.index);
        (links, outcome)
    }

    /// Reads what `decode` wants of an answer; again if the buffer had to grow for it.
    pub(super) fn read<T>(
        &self,
        request: impl Fn() -> Request,
        decode: impl Fn(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> (Vec<T>, Result<(), Failure>) {
        loop {
            let mut answers = Vec::new();
            let outcome = self.channel().exchange(request(), |payload| {
                answers.extend(decode(payload)?);
                Ok(())
            });
            if !matches!(outcome, Err(Failure::Cut)) {
                return (answers, outcome);
            }
        }
    }

    /// Returns the indices of all bridges. Returns `None` if these are `room` or more, or if the kernel
    /// or a policy lacks the call.
    pub(super) fn bridges(&self, room: usize) -> Option<Vec<InterfaceIndex>> {
        bridge_indices::indices(self.channel().as_fd(), room).ok().flatten()
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        // A panic may leave an answer unread; its sequence number tells that it is not the next one's.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
