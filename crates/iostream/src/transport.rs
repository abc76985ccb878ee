//! What a stream needs of the thing that moves its bytes: what a subclass of Tornado's `BaseIOStream` overrides.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Weak;

use landspout_ioloop::Ready;

use crate::inner::Inner;

/// Moves bytes without blocking. Dropping it closes it.
///
/// An error of kind `WouldBlock` means "nothing now"; the stream waits for the next readiness event then. `Interrupted`
/// must not come out of a transport.
pub trait Transport: 'static {
    /// The descriptor to watch, or `None` for a simulated transport, whose creator tells of events through the stream's
    /// [`Raiser`] instead.
    #[doc(alias = "fileno")]
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// Goes on with what has to pass before the first byte of the stream's own can: the handshake of TLS. Called by a stream
    /// that was told to wait for it, at each event, until it says `Ok`.
    ///
    /// # Errors
    /// `WouldBlock` until it is done, or what makes it fail.
    fn handshake(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Reads what is there, at most `buf.len()` bytes; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock`, or what makes further reads pointless. An error of kind `UnexpectedEof` is an end without the goodbye
    /// that the protocol asks for: the stream ends as at 0, with the cause [`CloseCause::Truncated`](crate::CloseCause).
    #[doc(alias = "read_from_fd")]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes the slices in order, as much as is taken now. After `WouldBlock` the stream comes again with the same bytes
    /// in front. Without slices: what [`wants_write`](Self::wants_write) speaks of.
    ///
    /// # Errors
    /// `WouldBlock`, or what makes further writes pointless.
    #[doc(alias = "write_to_fd")]
    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether the transport has bytes of its own to send, which no write of the stream's made: the stream then calls
    /// `write` again, without slices, when there is room.
    fn wants_write(&self) -> bool {
        false
    }

    /// The next `write` brings all that is left, and [`shutdown_write`](Self::shutdown_write) follows: a goodbye may go along with
    /// the last byte.
    fn last_write(&mut self) {}

    /// Whether a read of `asked` bytes that brought `got` shows that nothing is left to read until the next event. Only asked
    /// while the peer has not closed its side.
    fn drained(&self, asked: usize, got: usize) -> bool {
        got < asked
    }

    /// Ends the writing side; the peer reads to the end and can still send.
    ///
    /// # Errors
    /// Those of shutdown(2). `Unsupported` when it can't be ended without the other one: the stream is closed then.
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Says goodbye, where the protocol has a way to, as far as that goes without waiting. Called before a transport is
    /// dropped by a close without an error.
    fn close(&mut self) {}

    /// Whether its drop, from now on, is to look like a break to the peer: where there is a way to, by a reset. The stream calls
    /// neither [`shutdown_write`](Self::shutdown_write) nor [`close`](Self::close) as long as that holds. See
    /// [`IoStream::abort_on_close`](crate::IoStream::abort_on_close).
    fn abort_on_close(&mut self, abort: bool) {
        let _ = abort;
    }

    /// The pending error of the descriptor, which is cleared by that. Tells how a connect ended.
    ///
    /// # Errors
    /// When it cannot be told.
    #[doc(alias = "get_fd_error")]
    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// Turns Nagle's algorithm off or on, where there is one.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    fn set_nodelay(&mut self, nodelay: bool) -> io::Result<()> {
        let _ = nodelay;
        Ok(())
    }

    /// The peer's address, where it is an Internet one.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// What two sides of TLS have agreed on.
    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<crate::TlsInfo> {
        None
    }
}

/// Tells a stream over a simulated [`Transport`] what the poller tells others: that a read or a write may bring something
/// now, or that the peer has closed. A stream gives it by [`raiser`](crate::IoStream::raiser); it does not keep the stream.
#[derive(Clone)]
pub struct Raiser(pub(crate) Weak<Inner>);

impl Raiser {
    /// Puts the flags up in the loop's next turn, with all that an event does. So it may be called from a transport's
    /// `read`, `write` and `drop`, of the other end or of the same stream. Harmless when the stream is gone.
    pub fn raise(&self, ready: Ready) {
        let Some(io_loop) = self.0.upgrade().and_then(|inner| inner.io_loop()) else { return };
        let stream = self.0.clone();
        io_loop.add_callback(move || {
            if let Some(inner) = stream.upgrade() {
                inner.registration.raise(ready);
                Inner::released(&inner);
            }
        });
    }
}

impl fmt::Debug for Raiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raiser").field("stream_alive", &(self.0.strong_count() > 0)).finish()
    }
}
