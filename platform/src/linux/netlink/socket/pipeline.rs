//! Many requests in one send, and their answers, which are told apart by their sequence numbers.
//!
//! The kernel goes through the messages of a datagram one by one, whether one fails or not, and
//! answers each with a datagram of its own before the call that sends returns (`netlink_rcv_skb()`,
//! `net/netlink/af_netlink.c`). So all answers wait in the receive buffer at once. When that is full
//! the kernel drops answers, which it says by `ENOBUFS` (`netlink_overrun()`); what it was asked, it
//! has done all the same. How much fits follows from what counts against the buffers:
//!
//! - `SO_RCVBUF`: each answer with all that the kernel keeps for it (`skb->truesize`). Seen on 6.18
//!   (`Rmem` in `/proc/net/netlink`): an acknowledgement 832 bytes, one with an error and its words
//!   832 to 1280, an interface 2304. An interface with more to say of itself takes the next power of
//!   two, 4096 bytes and 256 besides: that is reckoned for each answer. One with dozens of altnames
//!   takes more still; where that overruns the buffer, what is lost is asked for again.
//! - `SO_SNDBUF`: the datagram may be 32 bytes shorter than that (`netlink_sendmsg()`). The longest
//!   request, a bridge with every option and an MTU, has 212 bytes.
//!
//! With the usual 212,992 bytes that is 37 requests in a send, where the cost of the call is lost in
//! that of the requests.

use neli::consts::socket::Msg;
use nix::sys::socket::{MsgFlags, getsockopt, sockopt};

use super::channel::{Channel, retry};
use super::failure::Failure;
use crate::InterfaceIndex;
use crate::linux::netlink::attribute::Malformed;
use crate::linux::netlink::link::Link;
use crate::linux::netlink::message::{self, Message, messages};
use crate::linux::netlink::request::Request;

/// What an answer takes of the receive buffer: an interface, and an acknowledgement with words behind an echo.
const ANSWER: usize = 4096 + 256 + 1280;

/// What a request takes of the send buffer, rounded up.
const REQUEST: usize = 256;

/// An answer: an acknowledgement, another message, or an echo and then an acknowledgement.
pub(in crate::linux::netlink) trait Answer: Sized {
    /// Makes the answer of an acknowledgement alone.
    fn acknowledged() -> Result<Self, Malformed>;

    /// Makes the answer of a message. An acknowledgement follows an echo.
    fn decode(payload: &[u8], is_echo: bool) -> Result<Self, Malformed>;
}

/// It is done.
impl Answer for () {
    fn acknowledged() -> Result<Self, Malformed> {
        Ok(())
    }

    fn decode(_: &[u8], _: bool) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl Answer for Link {
    fn acknowledged() -> Result<Self, Malformed> {
        Err(Malformed)
    }

    fn decode(payload: &[u8], _: bool) -> Result<Self, Malformed> {
        Link::decode(payload)
    }
}

/// The answer to any request about one interface.
#[derive(Debug)]
pub(in crate::linux::netlink) enum Reply {
    /// It is done.
    Done,
    /// It is done, and this is the index of the interface that it created.
    Echo(InterfaceIndex),
    /// The interface that was asked for.
    Link(Box<Link>),
}

impl Reply {
    /// Returns the index of what was created, if the kernel told it.
    pub(in crate::linux::netlink) fn echo(self) -> Option<InterfaceIndex> {
        if let Self::Echo(index) = self { Some(index) } else { None }
    }
}

impl Answer for Reply {
    fn acknowledged() -> Result<Self, Malformed> {
        Ok(Self::Done)
    }

    fn decode(payload: &[u8], is_echo: bool) -> Result<Self, Malformed> {
        if is_echo {
            return Link::index(payload).map(Self::Echo);
        }
        Link::decode(payload).map(Box::new).map(Self::Link)
    }
}

impl Channel {
    pub(super) fn exchange_some<T: Answer>(
        &mut self,
        requests: impl Iterator<Item = Request>,
    ) -> Vec<Result<T, Failure>> {
        let room = self.room.unwrap_or_else(|| room(self));
        self.room = Some(room);
        let first = self.sequence.wrapping_add(1);
        self.requests.clear();
        let mut window = Window::new(first, room);
        for request in requests.take(room) {
            self.sequence = self.sequence.wrapping_add(1);
            window.expect(request.wants_ack());
            self.requests.extend(request.into_bytes(self.sequence));
        }
        if window.is_answered() {
            return window.close(&Failure::Malformed);
        }
        // Nothing was done if they could not be sent.
        if let Err(error) = retry(|| self.socket.send(&self.requests[..], Msg::empty())) {
            return window.close(&Failure::unsent(error));
        }
        let lost = self.receive_answers(&mut window);
        window.close(&lost)
    }

    /// Receives the answers of a window, and gives why those are missing that do not come.
    fn receive_answers<T: Answer>(&mut self, window: &mut Window<T>) -> Failure {
        let mut lost = None;
        while !window.is_answered() {
            // Once one is lost there is nothing to wait for: the others are there.
            let flags = if lost.is_some() { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() };
            let outcome = match self.receive_datagram(flags) {
                Ok(len) => {
                    let is_cut = len > self.buffer.len();
                    window.take(&self.buffer[..len.min(self.buffer.len())], is_cut).map_err(Failure::from)
                }
                Err(error) if lost.is_some() => return lost.unwrap_or(Failure::Io(error)),
                Err(error) => Err(Failure::unreceived(error)),
            };
            lost = lost.or(outcome.err());
        }
        lost.unwrap_or(Failure::Malformed)
    }
}

/// How many requests may be under way at a time.
fn room(channel: &Channel) -> usize {
    let (receive, send) = (getsockopt(channel, sockopt::RcvBuf), getsockopt(channel, sockopt::SndBuf));
    room_of(receive.unwrap_or_default(), send.unwrap_or_default())
}

fn room_of(receive: usize, send: usize) -> usize {
    (receive / ANSWER).min(send.saturating_sub(32) / REQUEST).max(1)
}

/// Requests under way, in the order of their sequence numbers, and what has come of them.
struct Window<T> {
    first: u32,
    expected: Vec<Expected<T>>,
    missing: usize,
}

/// A request under way.
struct Expected<T> {
    /// Its answer ends with an acknowledgement, and what comes before that is an echo.
    wants_ack: bool,
    echo: Option<T>,
    outcome: Option<Result<T, Failure>>,
}

impl<T: Answer> Window<T> {
    fn new(first: u32, room: usize) -> Self {
        Self { first, expected: Vec::with_capacity(room), missing: 0 }
    }

    /// Takes the next request up.
    fn expect(&mut self, wants_ack: bool) {
        self.expected.push(Expected { wants_ack, echo: None, outcome: None });
        self.missing += 1;
    }

    fn is_answered(&self) -> bool {
        self.missing == 0
    }

    /// Takes the answers that are in a datagram.
    fn take(&mut self, datagram: &[u8], is_cut: bool) -> Result<(), Malformed> {
        if is_cut {
            // An answer has a datagram of its own.
            let sequence = message::sequence(datagram).ok_or(Malformed)?;
            self.put(sequence, |_| Some(Err(Failure::Cut)));
            return Ok(());
        }
        for message in messages(datagram) {
            let message = message?;
            self.put(message.sequence, |expected| expected.take(message));
        }
        Ok(())
    }

    /// Takes the outcome of a request, the first one; not that of one that was given up earlier.
    fn put(&mut self, sequence: u32, take: impl FnOnce(&mut Expected<T>) -> Option<Result<T, Failure>>) {
        let Ok(place) = usize::try_from(sequence.wrapping_sub(self.first)) else { return };
        if let Some(expected @ Expected { outcome: None, .. }) = self.expected.get_mut(place) {
            expected.outcome = take(expected);
            self.missing -= usize::from(expected.outcome.is_some());
        }
    }

    /// What came of each; `lost` of those without an answer.
    fn close(self, lost: &Failure) -> Vec<Result<T, Failure>> {
        self.expected.into_iter().map(|one| one.outcome.unwrap_or_else(|| Err(lost.again()))).collect()
    }
}

impl<T: Answer> Expected<T> {
    /// Takes a message, and returns the outcome if it ends the answer.
    fn take(&mut self, message: Message<'_>) -> Option<Result<T, Failure>> {
        if !message.is_verdict() {
            let answer = T::decode(message.payload, self.wants_ack);
            return match answer {
                Ok(echo) if self.wants_ack => {
                    self.echo = Some(echo);
                    None
                }
                answer => Some(answer.map_err(Failure::from)),
            };
        }
        Some(message.verdict().map_err(Failure::from).and_then(|verdict| match verdict.errno {
            Some(errno) => Err(Failure::Refused(errno, verdict.text)),
            None => self.echo.take().map_or_else(T::acknowledged, Ok).map_err(Failure::from),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::linux::netlink::requests;
    use nix::errno::Errno;
    use nix::sys::socket::setsockopt;
    use proptest::prelude::*;

    /// An acknowledgement of the request of this number, with this code.
    fn ack(sequence: u32, code: i32) -> Vec<u8> {
        let header = [36_u32.to_ne_bytes(), [2, 0, 0, 0], sequence.to_ne_bytes(), [0; 4]].concat();
        [header, code.to_ne_bytes().to_vec(), vec![0; 16]].concat()
    }

    fn window<T: Answer>(first: u32, count: usize) -> Window<T> {
        let mut window = Window::new(first, count);
        (0..count).for_each(|_| window.expect(true));
        window
    }

    fn text(outcomes: &[Result<(), Failure>]) -> Vec<String> {
        outcomes.iter().map(|outcome| format!("{outcome:?}")).collect()
    }

    #[test]
    fn as_much_is_under_way_as_has_room() {
        assert_eq!(room_of(212_992, 212_992), 37);
        assert_eq!(room_of(4_194_304, 4608), 17);
        assert_eq!(room_of(2304, 4608), 1);
        assert_eq!(room_of(0, 0), 1);
    }

    #[test]
    fn answers_are_told_apart_by_their_numbers() {
        // The numbers start anew in between.
        let mut window = window::<()>(u32::MAX - 1, 4);
        // That of one before, and of one behind.
        for stale in [u32::MAX - 2, 2] {
            window.take(&ack(stale, 0), false).expect("well formed");
        }
        window.take(&[ack(1, -libc::EEXIST), ack(u32::MAX - 1, 0)].concat(), false).expect("well formed");
        // The first answer counts.
        window.take(&ack(1, 0), false).expect("well formed");
        assert!(!window.is_answered());
        window.take(&ack(0, 0)[..20], true).expect("its number is there");
        assert_eq!(window.take(&ack(u32::MAX, 0)[..20], false), Err(Malformed));
        let lost = Failure::Io(Errno::ENOBUFS.into());
        let expected = [Ok(()), Err(lost.again()), Err(Failure::Cut), Err(Failure::Refused(Errno::EEXIST, None))];
        assert_eq!(text(&window.close(&lost)), text(&expected));
    }

    fn lo() -> Request {
        requests::get(Target::Name("lo".parse().expect("a name")))
    }

    fn is_lo(outcome: &Result<Link, Failure>) -> bool {
        matches!(outcome, Ok(link) if link.name.as_bytes() == b"lo")
    }

    fn with_little_room(channel: &Channel) {
        // The kernel makes it its least, which is less than two answers.
        setsockopt(channel, sockopt::RcvBuf, &0).expect("it can be set");
    }

    #[test]
    fn asks_no_more_at_a_time_than_the_buffer_holds_answers_to() {
        let mut channel = Channel::open(std::time::Duration::from_secs(5)).expect("every Linux has netlink");
        with_little_room(&channel);
        let mut rest = 10;
        while rest > 0 {
            let outcomes = channel.exchange_some::<Link>((0..rest).map(|_| lo()));
            assert!(!outcomes.is_empty() && outcomes.iter().all(is_lo), "{outcomes:?}");
            rest -= outcomes.len();
        }
    }

    #[test]
    fn what_the_buffer_had_no_room_for_is_lost_and_nothing_else() {
        let mut channel = Channel::open(std::time::Duration::from_secs(5)).expect("every Linux has netlink");
        assert!(channel.exchange_some::<Link>(std::iter::once(lo())).iter().all(is_lo));
        with_little_room(&channel);
        let outcomes = channel.exchange_some::<Link>((0..30).map(|_| lo()));
        assert_eq!(outcomes.len(), 30);
        let is_lost = |outcome: &Result<Link, Failure>| matches!(outcome, Err(Failure::Io(error)) if error.raw_os_error() == Some(libc::ENOBUFS));
        assert!(outcomes.iter().all(|outcome| is_lo(outcome) || is_lost(outcome)), "{outcomes:?}");
        assert!(is_lo(&outcomes[0]) && is_lost(&outcomes[29]), "{outcomes:?}");
        assert!(channel.exchange_some::<Link>(std::iter::once(lo())).iter().all(is_lo));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, first: u32, is_cut: bool) {
            let mut window = window::<Link>(first, 3);
            let _ = window.take(&bytes, is_cut);
            prop_assert_eq!(window.close(&Failure::Malformed).len(), 3);
        }

        #[test]
        fn no_damage_panics(at in 0_usize..36, byte: u8) {
            let mut bytes = ack(1, -1);
            bytes[at] = byte;
            let mut window = window::<()>(0, 3);
            let _ = window.take(&bytes, false);
            prop_assert_eq!(window.close(&Failure::Malformed).len(), 3);
        }
    }
}
