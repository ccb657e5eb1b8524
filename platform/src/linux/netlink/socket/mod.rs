//! One rtnetlink socket, and the exchange of a request and its answer on it.
#![allow(unsafe_code)]

mod pipeline;

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::decode::{self, Link, Malformed};
use super::encode::Request;
use crate::InterfaceIndex;
use crate::linux::bridges;

/// The kernel answers within the call that sends a request; only a bug could make it later.
const TIMEOUT: TimeVal = TimeVal::new(5, 0);

/// What the kernel packs at most into one datagram of a dump (`netlink_dump()`), unless a single
/// interface has more to say of itself: hundreds of altnames make one of more than 32 KiB.
const DATAGRAM: usize = 32 * 1024;

/// How often a list is read that is never the same, while other processes change interfaces.
pub(super) const DUMP_TRIES: usize = 16;

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The kernel refused the request, and nothing was done.
    Refused(Errno, Option<String>),
    /// A call on the socket failed, so that what became of the request is not known.
    Io(io::Error),
    /// The answer makes no sense, so that what became of the request is not known.
    Malformed,
    /// The answer was longer than the buffer, which has grown now.
    Cut,
    /// The interfaces changed during each of several dumps.
    ListChanged,
}

impl Failure {
    /// The request could not be sent: nothing was done.
    fn unsent(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Refused(Errno::from_raw(errno), None),
            None => Self::Io(error),
        }
    }

    /// The same, of another request that failed with it.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Refused(errno, text) => Self::Refused(*errno, text.clone()),
            Self::Io(error) => {
                Self::Io(error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error))
            }
            Self::Malformed => Self::Malformed,
            Self::Cut => Self::Cut,
            Self::ListChanged => Self::ListChanged,
        }
    }
}

impl From<Malformed> for Failure {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// A socket of the network namespace that it was opened in. One exchange at a time is under way.
pub(super) struct Socket(Mutex<Channel>);

struct Channel {
    socket: NlSocket,
    sequence: u32,
    /// For what is received.
    buffer: Box<[u8]>,
    /// Several that are sent in one go.
    requests: Vec<u8>,
    /// How many that may be, once it is known.
    room: Option<usize>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty())?;
        // Extended acknowledgements came with 4.12, strict checking with 4.20. A kernel without
        // them will do: what it does not filter is looked at again when answers are read.
        optional(socket.enable_ext_ack(true))?;
        optional(socket.enable_strict_checking(true))?;
        setsockopt(&borrow(&socket), sockopt::ReceiveTimeout, &TIMEOUT)?;
        let buffer = vec![0; DATAGRAM].into_boxed_slice();
        Ok(Self(Mutex::new(Channel { socket, sequence: 0, buffer, requests: Vec::new(), room: None })))
    }

    /// Has the kernel do something.
    pub(super) fn execute(&self, request: Request) -> Result<(), Failure> {
        self.exchange(request, |_| Ok(()))
    }

    /// Gets one interface.
    pub(super) fn get_link(&self, request: impl Fn() -> Request) -> Result<Link, Failure> {
        self.get(request, |payload| decode::link(payload).map(Some))?.ok_or(Failure::Malformed)
    }

    /// Gets one answer; `None` if it is not about what `decode` wants.
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
        let (mut links, outcome) = self.read(request, |payload| Ok(Some(decode::link(payload)?).filter(&keep)));
        // One that was renamed meanwhile may be there twice.
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
            let outcome = self.exchange(request(), |payload| {
                answers.extend(decode(payload)?);
                Ok(())
            });
            if !matches!(outcome, Err(Failure::Cut)) {
                return (answers, outcome);
            }
        }
    }

    /// The indices of all bridges, if they are fewer than `room`, and if the call that tells them is there
    /// and allowed.
    pub(super) fn bridges(&self, room: usize) -> Option<Vec<InterfaceIndex>> {
        let channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bridges::indices(borrow(&channel.socket), room).ok().flatten()
    }

    fn exchange(
        &self,
        request: Request,
        on_message: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        // Whatever a panic left unread is skipped by its sequence number.
        let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channel.exchange(request, on_message)
    }
}

impl Channel {
    fn exchange(
        &mut self,
        request: Request,
        mut on_message: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let (wants_ack, is_dump) = (request.wants_ack(), request.is_dump());
        let bytes = request.into_bytes(self.sequence);
        // Nothing was done if the request could not be sent.
        retry(|| self.socket.send(&bytes, Msg::empty())).map_err(Failure::unsent)?;
        let mut changed = false;
        let mut outcome = Ok(());
        loop {
            let len = self.receive().map_err(Failure::Io)?;
            if len > self.buffer.len() {
                self.drain();
                self.buffer = vec![0; len.next_power_of_two()].into_boxed_slice();
                return Err(Failure::Cut);
            }
            let datagram = &self.buffer[..len];
            for message in decode::messages(datagram) {
                let message = message?;
                if message.sequence != self.sequence {
                    // The late answer to a request that was given up.
                    continue;
                }
                changed |= message.was_interrupted();
                if message.is_verdict() {
                    let verdict = decode::verdict(message)?;
                    return match verdict.errno {
                        // Newer kernels end an interrupted dump with EINTR, too.
                        Some(Errno::EINTR) if is_dump => Err(Failure::ListChanged),
                        Some(errno) => Err(Failure::Refused(errno, verdict.text)),
                        None if changed => Err(Failure::ListChanged),
                        None => outcome.map_err(Failure::from),
                    };
                }
                // A dump is read to its end in any case: until then the kernel starts no other.
                outcome = outcome.and_then(|()| on_message(message.payload));
                if !wants_ack && !message.is_one_of_many() {
                    return outcome.map_err(Failure::from);
                }
            }
        }
    }

    /// Receives what is left of an answer, so that the kernel takes another request: it goes on
    /// with a dump within the call that receives, so that there is nothing to wait for.
    fn drain(&self) {
        while retry(|| self.socket.recv([], Msg::DONTWAIT)).is_ok() {}
    }

    /// Receives one datagram; a length beyond the buffer's says that it was cut.
    fn receive(&mut self) -> io::Result<usize> {
        let Self { socket, buffer, .. } = self;
        retry(|| socket.recv(&mut buffer[..], Msg::TRUNC)).map(|(len, _)| len)
    }
}

fn borrow(socket: &NlSocket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open, since `socket` owns it, and `socket` outlives the loan.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// What a kernel may not have (`ENOPROTOOPT`).
fn optional(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if error.raw_os_error() == Some(libc::ENOPROTOOPT) { Ok(()) } else { Err(error) })
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
