//! The exchange of a request and its answer on a rtnetlink socket.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::sys::socket::{NetlinkAddr, connect, setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::failure::Failure;
use crate::linux::netlink::attribute::Malformed;
use crate::linux::netlink::message::messages;
use crate::linux::netlink::request::Request;

/// The kernel answers within the call that sends a request; only a bug could make it later.
const TIMEOUT: TimeVal = TimeVal::new(5, 0);

/// What the kernel packs at most into one datagram of a dump (`netlink_dump()`), unless a single
/// interface has more to say of itself: hundreds of altnames make one of more than 32 KiB.
const DATAGRAM: usize = 32 * 1024;

/// A socket with its buffers.
pub(super) struct Channel {
    pub(super) socket: NlSocket,
    pub(super) sequence: u32,
    /// For what is received.
    pub(super) buffer: Box<[u8]>,
    /// Several that are sent in one go.
    pub(super) requests: Vec<u8>,
    /// How many that may be, once it is known.
    pub(super) room: Option<usize>,
}

impl Channel {
    pub(super) fn open() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty())?;
        // neli has only bound it. To a socket that is connected to the kernel, no process can send a forged
        // answer (`netlink_getsockbyportid()`, `net/netlink/af_netlink.c`).
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Extended acknowledgements came with 4.12, strict checking with 4.20. A kernel without
        // them will do: what it does not filter is looked at again when answers are read.
        optional(socket.enable_ext_ack(true))?;
        optional(socket.enable_strict_checking(true))?;
        let buffer = vec![0; DATAGRAM].into_boxed_slice();
        let channel = Self { socket, sequence: 0, buffer, requests: Vec::new(), room: None };
        setsockopt(&channel, sockopt::ReceiveTimeout, &TIMEOUT)?;
        Ok(channel)
    }

    /// Sends a request and receives its answer to the end.
    pub(super) fn exchange(
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
            for message in messages(datagram) {
                let message = message?;
                if message.sequence != self.sequence {
                    // The late answer to a request that was given up.
                    continue;
                }
                changed |= message.was_interrupted();
                if message.is_verdict() {
                    let verdict = message.verdict()?;
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

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open, since `socket` owns it, and `socket` outlives the loan.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

/// Forgives `ENOPROTOOPT`: a kernel may lack the option.
fn optional(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if error.raw_os_error() == Some(libc::ENOPROTOOPT) { Ok(()) } else { Err(error) })
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
