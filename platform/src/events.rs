//! What a kernel tells of its interfaces, reduced to this: something may have changed.
//!
//! What changed is not read from the messages, some of which may be lost, but from the state
//! itself by whoever was woken.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

use crate::Result;
use crate::error::Attempt;

/// How many messages are taken before the caller hears of them, however fast others come.
const AT_ONCE: usize = 4096;

/// A socket on which the kernel tells that interfaces have come, gone or changed.
///
/// In an event loop, poll the descriptor for readability, then call [`wait`](Self::wait) with a zero timeout.
#[derive(Debug)]
pub struct Events {
    socket: OwnedFd,
    at: Attempt,
}

/// Why [`Events::wait`] has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wake {
    /// Some interface may have come, gone or changed.
    Changed,
    /// The time has passed.
    TimedOut,
}

impl Events {
    /// From a socket that does not block; for those who implement
    /// [`Backend`](crate::Backend). `at` is what its errors say.
    #[must_use]
    pub const fn new(socket: OwnedFd, at: Attempt) -> Self {
        Self { socket, at }
    }

    /// Waits until something may have changed since the last call, at most this long. Zero does not block;
    /// [`Duration::MAX`] waits without a limit.
    ///
    /// # Errors
    /// `Os`.
    pub fn wait(&self, patience: Duration) -> Result<Wake> {
        let begun = Instant::now();
        loop {
            if self.drain().map_err(|errno| self.at.errno(errno))? {
                return Ok(Wake::Changed);
            }
            let left = patience.saturating_sub(begun.elapsed());
            // In whole milliseconds, the last one begun included: else it would spin.
            let left = PollTimeout::try_from(left.as_millis() + u128::from(!left.is_zero()));
            let mut socket = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut socket, left.unwrap_or(PollTimeout::MAX)) {
                Ok(0) if begun.elapsed() >= patience => return Ok(Wake::TimedOut),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.at.errno(errno)),
            }
        }
    }

    /// Takes the messages that there are; whether there were any.
    fn drain(&self) -> nix::Result<bool> {
        let mut any = false;
        for _ in 0..AT_ONCE {
            // Each is a datagram, of which nothing is wanted.
            match recv(self.socket.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
                // In the second case, some were lost.
                Ok(_) | Err(Errno::ENOBUFS) => any = true,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(any)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, send, socketpair};

    #[test]
    fn many_messages_wake_once() {
        let (kernel, ours) =
            socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::empty()).expect("a pair");
        let events = Events::new(ours, Attempt::new("test", Operation::Events));
        assert_eq!(events.wait(Duration::ZERO).expect("no error"), Wake::TimedOut);
        for _ in 0..3 {
            send(kernel.as_raw_fd(), b"message", MsgFlags::empty()).expect("there is room");
        }
        assert_eq!(events.wait(Duration::MAX).expect("no error"), Wake::Changed);
        assert_eq!(events.wait(Duration::from_millis(1)).expect("no error"), Wake::TimedOut);
    }
}
