//! The exchange of a request and its answer on a rtnetlink socket.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::sys::socket::{MsgFlags, NetlinkAddr, connect, recv, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::failure::Failure;
use super::reply::Reply;
use crate::linux::netlink::attribute::Malformed;
use crate::linux::netlink::request::Request;

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
    /// The kernel answers within the call that sends a request; only a bug could make it later than `limit`.
    pub(super) fn open(limit: Duration) -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty())?;
        // neli has only bound it. To a socket that is connected to the kernel, no process can send a forged
        // answer (`netlink_getsockbyportid()`, `net/netlink/af_netlink.c`).
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Extended acknowledgements came with 4.12, strict checking with 4.20. A kernel without
        // them will do: what it does not filter is looked at again when answers are read.
        optional(socket.enable_ext_ack(true))?;
        optional(socket.enable_strict_checking(true))?;
        let channel = Self::new(socket);
        setsockopt(&channel, sockopt::ReceiveTimeout, &timeout(limit))?;
        Ok(channel)
    }

    fn new(socket: NlSocket) -> Self {
        let buffer = vec![0; DATAGRAM].into_boxed_slice();
        Self { socket, sequence: 0, buffer, requests: Vec::new(), room: None }
    }

    /// Sends a request and receives its answer to the end.
    pub(super) fn exchange(
        &mut self,
        request: Request,
        on_message: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut reply = Reply::new(&request, self.sequence, on_message);
        let bytes = request.into_bytes(self.sequence);
        // Nothing was done if the request could not be sent.
        retry(|| self.socket.send(&bytes, Msg::empty())).map_err(Failure::unsent)?;
        let outcome = loop {
            match self.receive().and_then(|datagram| reply.take(datagram)) {
                Ok(false) => {}
                ended => break ended,
            }
        };
        if let Err(Failure::Io(_) | Failure::TimedOut | Failure::Malformed | Failure::Cut) = outcome {
            self.drain();
        }
        outcome.map(drop)
    }

    /// Receives a datagram. Makes room for one that does not fit.
    fn receive(&mut self) -> Result<&[u8], Failure> {
        let len = self.receive_datagram(MsgFlags::empty()).map_err(Failure::unreceived)?;
        if len > self.buffer.len() {
            self.buffer = vec![0; len.checked_next_power_of_two().unwrap_or(len)].into_boxed_slice();
            return Err(Failure::Cut);
        }
        Ok(&self.buffer[..len])
    }

    /// Receives a datagram into the buffer, and returns its length, which may be more than fits. neli's way would
    /// read the sender's groups, too, and allocate for them.
    pub(super) fn receive_datagram(&mut self, flags: MsgFlags) -> io::Result<usize> {
        let descriptor = self.socket.as_raw_fd();
        retry(|| Ok(recv(descriptor, &mut self.buffer, flags | MsgFlags::MSG_TRUNC)?))
    }

    /// Receives the rest of an answer. Else the kernel would refuse the next dump (`EBUSY`). It goes on
    /// with a dump within the call that receives, so this does not wait.
    fn drain(&self) {
        let mut was_overrun = false;
        loop {
            match retry(|| Ok(recv(self.socket.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT)?)) {
                Ok(_) => was_overrun = false,
                // The kernel tells once that it has dropped messages; more may follow.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && !was_overrun => was_overrun = true,
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open, since `socket` owns it, and `socket` outlives the loan.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

/// The form of a limit for `SO_RCVTIMEO`, where zero means none.
fn timeout(limit: Duration) -> TimeVal {
    // 68 years: `time_t` may have 32 bits.
    let limit = limit.clamp(Duration::from_micros(1), Duration::from_secs(i32::MAX.unsigned_abs().into()));
    TimeVal::microseconds(i64::try_from(limit.as_micros()).unwrap_or(i64::MAX))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::abi::netlink::{NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, send, socketpair};
    use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

    /// A channel to a kernel whose answers are those of the test.
    fn channel() -> (OwnedFd, Channel) {
        let (kernel, ours) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
        // SAFETY: `into_raw_fd` has just given the descriptor up.
        let socket = unsafe { NlSocket::from_raw_fd(ours.into_raw_fd()) };
        (kernel, Channel::new(socket))
    }

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(16 + payload.len()).expect("short");
        let (kind, flags) = (kind.to_ne_bytes(), flags.to_ne_bytes());
        [&len.to_ne_bytes()[..], &kind, &flags, &sequence.to_ne_bytes(), &[0; 4], payload].concat()
    }

    fn acknowledgement(sequence: u32) -> Vec<u8> {
        message(NLMSG_ERROR, 0, sequence, &[0; 20])
    }

    fn answer(kernel: &OwnedFd, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            send(kernel.as_raw_fd(), datagram, MsgFlags::empty()).expect("there is room");
        }
    }

    fn exchange(channel: &mut Channel, flags: u16) -> (Vec<Vec<u8>>, Result<(), Failure>) {
        let mut payloads = Vec::new();
        let outcome = channel.exchange(Request::new(0, flags, &[]), |payload| {
            payloads.push(payload.to_vec());
            if payload == b"odd." { Err(Malformed) } else { Ok(()) }
        });
        (payloads, outcome)
    }

    #[track_caller]
    fn assert_goes_on(kernel: &OwnedFd, channel: &mut Channel) {
        let nothing = channel.receive_datagram(MsgFlags::MSG_DONTWAIT).expect_err("all is received");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        answer(kernel, &[acknowledgement(channel.sequence + 1)]);
        assert!(matches!(exchange(channel, NLM_F_ACK), (_, Ok(()))));
    }

    #[test]
    fn a_list_is_read_to_its_end() {
        let (kernel, mut channel) = channel();
        let part = |payload| message(16, NLM_F_MULTI, 1, payload);
        answer(
            &kernel,
            &[[part(b"one."), part(b"two.")].concat(), part(b"last"), message(NLMSG_DONE, 2, 1, &[0; 4])],
        );
        let (payloads, outcome) = exchange(&mut channel, NLM_F_DUMP);
        assert!(outcome.is_ok());
        assert_eq!(payloads, [b"one.", b"two.", b"last"]);
        assert_goes_on(&kernel, &mut channel);
    }

    #[test]
    fn nothing_is_left_of_a_malformed_answer() {
        let part = |payload| message(16, NLM_F_MULTI, 1, payload);
        let done = message(NLMSG_DONE, NLM_F_MULTI, 1, &[0; 4]);
        let cut = part(b"cut.")[..18].to_vec();
        let no_code = message(NLMSG_ERROR, 0, 1, &[]);
        let endless = [u32::MAX.to_ne_bytes(), [0; 4]].concat();
        for bad in [part(b"odd."), cut, no_code, endless] {
            let (kernel, mut channel) = self::channel();
            answer(&kernel, &[part(b"one."), bad.clone(), part(b"two."), done.clone()]);
            let (_, outcome) = exchange(&mut channel, NLM_F_DUMP);
            assert!(matches!(outcome, Err(Failure::Malformed)), "{bad:?}: {outcome:?}");
            assert_goes_on(&kernel, &mut channel);
        }
    }

    #[test]
    fn nothing_is_left_of_an_answer_without_room() {
        let (kernel, mut channel) = channel();
        channel.buffer = vec![0; 20].into_boxed_slice();
        let long = message(16, NLM_F_MULTI, 1, &[0; 64]);
        answer(&kernel, &[long.clone(), long, message(NLMSG_DONE, NLM_F_MULTI, 1, &[0; 4])]);
        let (_, outcome) = exchange(&mut channel, NLM_F_DUMP);
        assert!(matches!(outcome, Err(Failure::Cut)), "{outcome:?}");
        assert_eq!(channel.buffer.len(), 128);
        assert_goes_on(&kernel, &mut channel);
    }

    #[test]
    fn every_limit_is_a_timeout_of_the_socket() {
        for limit in [Duration::ZERO, Duration::from_millis(1500), Duration::MAX] {
            Channel::open(limit).expect("the kernel takes it");
        }
        assert_eq!(timeout(Duration::ZERO), TimeVal::new(0, 1));
        assert_eq!(timeout(Duration::from_millis(1500)), TimeVal::new(1, 500_000));
    }

    #[test]
    fn no_answer_in_time_is_a_timeout() {
        let (kernel, mut channel) = channel();
        setsockopt(&channel, sockopt::ReceiveTimeout, &TimeVal::new(0, 1)).expect("it can be set");
        assert!(matches!(exchange(&mut channel, NLM_F_ACK), (_, Err(Failure::TimedOut))));
        assert!(matches!(
            channel.exchange_some::<()>([Request::new(0, NLM_F_ACK, &[])].into_iter())[..],
            [Err(Failure::TimedOut)]
        ));
        assert_goes_on(&kernel, &mut channel);
    }

    #[test]
    fn a_late_answer_to_another_request_is_skipped() {
        let (kernel, mut channel) = channel();
        channel.sequence = u32::MAX;
        answer(&kernel, &[acknowledgement(u32::MAX), [acknowledgement(7), acknowledgement(0)].concat()]);
        assert!(matches!(exchange(&mut channel, NLM_F_ACK), (_, Ok(()))));
        assert_goes_on(&kernel, &mut channel);
    }
}
