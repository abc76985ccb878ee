//! `StreamOptions`: the limits of a stream.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The limits of a stream, in bytes and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// What the read buffer holds at most. A peer that sends more before a read is satisfied closes the stream. Default
    /// 104,857,600 (100 MiB), as in Tornado.
    pub max_buffer_size: usize,
    /// What one read of the transport brings into the read buffer at most, up to 64 KiB, which is the default. Never more
    /// than half of `max_buffer_size`. A large read into memory of the caller's asks for all of that.
    pub read_chunk_size: usize,
    /// What the write buffer holds at most; a write that would exceed it is refused. Default: unlimited, as in Tornado. Servers
    /// set a limit.
    pub max_write_buffer_size: usize,
    /// How long a peer may take nothing of what is still to be sent, once the stream only waits for that: after
    /// [`close_when_flushed`](crate::IoStream::close_when_flushed), after the peer's own end, or when the last handle is gone. Then the
    /// stream is closed, with the cause [`CloseCause::LingerTimeout`](crate::CloseCause::LingerTimeout). After some of the bytes were taken, it may be up to
    /// twice as long. Default 60 seconds, as nginx's `send_timeout`; `None` waits for ever, as Tornado would. A stream that
    /// somebody holds and that is open has another limit, `send_timeout`.
    pub linger_timeout: Option<Duration>,
    /// How long a peer may take nothing of what is to be sent, while it is to be sent. Then the stream is closed, with the cause
    /// [`CloseCause::SendTimeout`](crate::CloseCause::SendTimeout). A peer that takes bytes, however slowly, is never closed for that; after some were taken, it
    /// may be up to twice as long. What its kernel has room for counts as taken. Default, and zero: no limit, as in Tornado;
    /// `HttpServer` has one.
    pub send_timeout: Option<Duration>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            max_buffer_size: 100 * 1024 * 1024,
            read_chunk_size: 64 * 1024,
            max_write_buffer_size: usize::MAX,
            linger_timeout: Some(Duration::from_secs(60)),
            send_timeout: None,
        }
    }
}

impl StreamOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`max_buffer_size`](Self::max_buffer_size).
    pub fn max_buffer_size(mut self, bytes: usize) -> Self {
        self.max_buffer_size = bytes;
        self
    }

    /// Sets [`read_chunk_size`](Self::read_chunk_size).
    pub fn read_chunk_size(mut self, bytes: usize) -> Self {
        self.read_chunk_size = bytes;
        self
    }

    /// Sets [`max_write_buffer_size`](Self::max_write_buffer_size).
    pub fn max_write_buffer_size(mut self, bytes: usize) -> Self {
        self.max_write_buffer_size = bytes;
        self
    }

    /// Sets [`linger_timeout`](Self::linger_timeout).
    pub fn linger_timeout(mut self, limit: Option<Duration>) -> Self {
        self.linger_timeout = limit;
        self
    }

    /// Sets [`send_timeout`](Self::send_timeout).
    pub fn send_timeout(mut self, limit: Option<Duration>) -> Self {
        self.send_timeout = limit;
        self
    }

    /// The chunk leaves room in the buffer for another one.
    pub(crate) fn normalized(mut self) -> Self {
        self.send_timeout = self.send_timeout.filter(|limit| !limit.is_zero());
        self.read_chunk_size = self.read_chunk_size.min(self.max_buffer_size / 2).max(1);
        self
    }

    /// A server's streams all have the same options, and one copy of them.
    pub(crate) fn shared(self) -> Rc<Self> {
        thread_local! {
            static LAST: RefCell<Option<Rc<StreamOptions>>> = const { RefCell::new(None) };
        }
        let shared = LAST.try_with(|last| match &mut *last.borrow_mut() {
            Some(last) if **last == self => last.clone(),
            last => last.insert(Rc::new(self)).clone(),
        });
        shared.unwrap_or_else(|_| Rc::new(self))
    }
}
