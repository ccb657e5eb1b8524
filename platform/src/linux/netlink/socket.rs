//! One rtnetlink socket, and the exchange of a request and its answer on it.
#![allow(unsafe_code)]

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

/// The kernel answers within the call that sends a request; only a bug could make it later.
const TIMEOUT: TimeVal = TimeVal::new(5, 0);

/// What the kernel packs at most into one datagram of a dump (`netlink_dump()`).
const DATAGRAM: usize = 32 * 1024;

/// How often a dump is repeated that another process's changes interrupted.
const DUMP_TRIES: usize = 16;

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The kernel refused the request, and nothing was done.
    Refused(Errno, Option<String>),
    /// A call on the socket failed, so that what became of the request is not known.
    Io(io::Error),
    /// The answer makes no sense, so that what became of the request is not known.
    Malformed,
    /// The interfaces changed during each of several dumps.
    ListChanged,
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
    buffer: Box<[u8]>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty())?;
        // Extended acknowledgements came with 4.12, strict checking with 4.20. A kernel that has
        // neither (ENOPROTOOPT) works without: filters are looked at again when answers are read.
        let _ = socket.enable_ext_ack(true);
        let _ = socket.enable_strict_checking(true);
        // SAFETY: the descriptor is open, since `socket` owns it, and `socket` outlives the loan.
        let fd = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
        setsockopt(&fd, sockopt::ReceiveTimeout, &TIMEOUT)?;
        let buffer = vec![0; DATAGRAM].into_boxed_slice();
        Ok(Self(Mutex::new(Channel { socket, sequence: 0, buffer })))
    }

    /// Has the kernel do something.
    pub(super) fn execute(&self, request: Request) -> Result<(), Failure> {
        self.exchange(request, |_| Ok(()))
    }

    /// Gets one interface.
    pub(super) fn get(&self, request: Request) -> Result<Link, Failure> {
        let mut answer = None;
        self.exchange(request, |payload| {
            answer = Some(decode::link(payload)?);
            Ok(())
        })?;
        answer.ok_or(Failure::Malformed)
    }

    /// Gets the interfaces of a dump that `keep` wants, by index.
    pub(super) fn dump(
        &self,
        request: impl Fn() -> Request,
        keep: impl Fn(&Link) -> bool,
    ) -> Result<Vec<Link>, Failure> {
        for _ in 0..DUMP_TRIES {
            let mut links = Vec::new();
            let outcome = self.exchange(request(), |payload| {
                links.extend(Some(decode::link(payload)?).filter(&keep));
                Ok(())
            });
            match outcome {
                Ok(()) => {
                    links.sort_unstable_by_key(|link| link.index);
                    return Ok(links);
                }
                Err(Failure::ListChanged) => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::ListChanged)
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
        let wants_ack = request.wants_ack();
        let bytes = request.into_bytes(self.sequence);
        // Nothing was done if the request could not be sent.
        retry(|| self.socket.send(&bytes, Msg::empty())).map_err(|error| match error.raw_os_error() {
            Some(errno) => Failure::Refused(Errno::from_raw(errno), None),
            None => Failure::Io(error),
        })?;
        let mut changed = false;
        let mut outcome = Ok(());
        loop {
            let len = self.receive().map_err(Failure::Io)?;
            let datagram = self.buffer.get(..len).ok_or(Failure::Malformed)?;
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
                        Some(Errno::EINTR) => Err(Failure::ListChanged),
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

    /// Receives one datagram; a length beyond the buffer's says that it was cut.
    fn receive(&mut self) -> io::Result<usize> {
        let Self { socket, buffer, .. } = self;
        retry(|| socket.recv(&mut buffer[..], Msg::TRUNC)).map(|(len, _)| len)
    }
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
