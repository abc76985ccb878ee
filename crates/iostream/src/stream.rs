//! `IoStream`: the handle that users hold.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use landspout_ioloop::{IoLoop, Ready, Registration};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::{CloseCause, StreamError};
use crate::inner::{Inner, Phase, State, call_after_tasks};
use crate::options::StreamOptions;
use crate::transport::{Raiser, Transport};
#[cfg(feature = "tls")]
use crate::transports::tls::{Tls, TlsInfo, TlsTransport};
use crate::transports::{OnClosed, Pipe, Tcp, Unix};

/// A buffered, non-blocking stream of bytes in both directions. Tornado's `IOStream`.
///
/// A cheap handle: clones mean the same stream, so that one task can read while another writes. The descriptor is closed by
/// [`close`](Self::close), by the peer's end once a read meets it, or with the last handle; bytes that were accepted by
/// [`write`](Self::write) before the last handle went are still sent.
///
/// Reads are futures that do nothing until they are polled, one at a time. **Cancel safety**: dropping a read consumes
/// nothing; the next read finds the same bytes.
///
/// ```
/// use landspout_ioloop::IoLoop;
/// use landspout_iostream::IoStream;
///
/// IoLoop::current().run_sync(async {
///     let (here, there) = IoStream::pair().unwrap();
///     here.write(b"name: value\r\nrest").unwrap();
///     assert_eq!(there.read_until(b"\r\n", None).await.unwrap(), &b"name: value\r\n"[..]);
///     assert_eq!(there.read_bytes(4).await.unwrap(), &b"rest"[..]);
/// }).unwrap();
/// ```
#[derive(Clone)]
#[doc(alias = "IOStream")]
pub struct IoStream {
    pub(crate) inner: Rc<Inner>,
}

impl IoStream {
    /// A stream over any transport, on the current loop.
    ///
    /// # Errors
    /// When the poller refuses the descriptor.
    pub fn new(transport: impl Transport, options: StreamOptions) -> io::Result<Self> {
        Self::build(Box::new(transport), options, Phase::Open)
    }

    /// A stream over a connected TCP socket.
    ///
    /// # Errors
    /// When the socket can't be made non-blocking, or the poller refuses it.
    pub fn from_tcp(socket: TcpStream, options: StreamOptions) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::new(Tcp::new(socket, OnClosed::default()), options)
    }

    /// As [`from_tcp`](Self::from_tcp) for a socket that is non-blocking already, as accepted ones are: spares the call.
    ///
    /// # Errors
    /// When the poller refuses the socket.
    pub fn from_nonblocking_tcp(socket: TcpStream, options: StreamOptions) -> io::Result<Self> {
        Self::new(Tcp::new(socket, OnClosed::default()), options)
    }

    /// A stream over a connected Unix-domain socket.
    ///
    /// # Errors
    /// When the socket can't be made non-blocking, or the poller refuses it.
    pub fn from_unix(socket: UnixStream, options: StreamOptions) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::new(Unix::new(socket, OnClosed::default()), options)
    }

    /// As [`from_unix`](Self::from_unix) for a socket that is non-blocking already.
    ///
    /// # Errors
    /// When the poller refuses the socket.
    pub fn from_nonblocking_unix(socket: UnixStream, options: StreamOptions) -> io::Result<Self> {
        Self::new(Unix::new(socket, OnClosed::default()), options)
    }

    /// As [`from_nonblocking_tcp`](Self::from_nonblocking_tcp), for servers that count: `closed` is called when the descriptor
    /// is closed, whoever does that and how. It must not touch this stream. It is called also when this fails. `nodelay` says that
    /// the socket is known to have Nagle's algorithm off, as one inherits it from its listener: then
    /// [`set_nodelay`](Self::set_nodelay) has nothing to do.
    ///
    /// The poller learns of the socket when somebody has to wait for it; if it refuses it then, the stream closes with that as the
    /// cause. Until then [`peer_has_closed`](Self::peer_has_closed) and [`peer_is_gone`](Self::peer_is_gone) know of nothing; to
    /// ask them counts as waiting.
    ///
    /// # Errors
    /// When the loop is closed.
    pub fn from_accepted_tcp(
        socket: TcpStream,
        options: StreamOptions,
        nodelay: bool,
        closed: Rc<dyn Fn()>,
    ) -> io::Result<Self> {
        Self::accepted(Tcp::accepted(socket, nodelay, OnClosed(Some(closed))), options)
    }

    /// As [`from_accepted_tcp`](Self::from_accepted_tcp), for a Unix-domain socket.
    ///
    /// # Errors
    /// When the loop is closed.
    pub fn from_accepted_unix(socket: UnixStream, options: StreamOptions, closed: Rc<dyn Fn()>) -> io::Result<Self> {
        Self::accepted(Unix::new(socket, OnClosed(Some(closed))), options)
    }

    /// Who has connected has often said already what he wants, and may be gone with the answer: it is read before the poller is
    /// told of the descriptor.
    fn accepted(transport: impl Transport + 'static, options: StreamOptions) -> io::Result<Self> {
        let io_loop = IoLoop::current();
        let registration = match transport.fd() {
            Some(fd) => Registration::deferred(&io_loop, fd, Ready::READABLE | Ready::WRITABLE)?,
            None => Registration::detached(&io_loop, Ready::WRITABLE)?,
        };
        Ok(Self::registered(Box::new(transport), options, Phase::Open, registration))
    }

    /// A stream over one end of a pipe: it reads or writes, whichever that end does. Tornado's `PipeIOStream`.
    ///
    /// # Errors
    /// When the descriptor can't be made non-blocking, or the poller refuses it (a regular file).
    #[doc(alias = "PipeIOStream")]
    pub fn from_pipe(fd: OwnedFd, options: StreamOptions) -> io::Result<Self> {
        Self::new(Pipe::new(fd)?, options)
    }

    /// Two streams that are each other's peer, over a pair of Unix-domain sockets.
    ///
    /// # Errors
    /// When no descriptors are left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = UnixStream::pair()?;
        Ok((Self::from_unix(a, StreamOptions::new())?, Self::from_unix(b, StreamOptions::new())?))
    }

    /// Connects to a TCP address. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// [`StreamError::Closed`] with the cause (refused, unreachable, timed out, ...).
    pub async fn connect(address: SocketAddr) -> Result<Self, StreamError> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).map_err(closed)?;
        let stream = Self::connecting(socket, &address.into(), StreamOptions::new()).map_err(closed)?;
        stream.connected().await?;
        Ok(stream)
    }

    /// Connects to a TCP address and secures the connection by TLS. Ready when the two sides have agreed.
    ///
    /// # Errors
    /// [`StreamError::Closed`] with the cause (refused, a certificate that isn't trusted, timed out, ...).
    #[cfg(feature = "tls")]
    pub async fn connect_tls(address: SocketAddr, tls: Tls) -> Result<Self, StreamError> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).map_err(closed)?;
        let stream = Self::connecting(socket, &address.into(), StreamOptions::new()).map_err(closed)?;
        stream.start_tls(tls).await?;
        Ok(stream)
    }

    /// Connects to a Unix-domain socket's path.
    ///
    /// # Errors
    /// [`StreamError::Closed`] with the cause (no such file, refused, ...).
    pub async fn connect_unix(path: impl AsRef<Path>) -> Result<Self, StreamError> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(closed)?;
        let address = SockAddr::unix(path).map_err(closed)?;
        let stream = Self::connecting(socket, &address, StreamOptions::new()).map_err(closed)?;
        stream.connected().await?;
        Ok(stream)
    }

    /// Starts to connect a socket of the caller's (bound to a source address, say). Writes are accepted at once and sent
    /// when the connection stands; [`connected`](Self::connected) tells when.
    ///
    /// # Errors
    /// What connect(2) refuses at once, or the poller. A refusal that comes later closes the stream.
    pub fn connecting(socket: Socket, address: &SockAddr, options: StreamOptions) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        match socket.connect(address) {
            Ok(()) => {}
            Err(error) if in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        // Even a connection that stands already reports itself writable, by which it is noticed.
        let transport: Box<dyn Transport> = match address.is_unix() {
            true => Box::new(Unix::new(socket.into(), OnClosed::default())),
            false => Box::new(Tcp::new(socket.into(), OnClosed::default())),
        };
        Self::build(transport, options, Phase::Connecting)
    }

    fn build(transport: Box<dyn Transport>, options: StreamOptions, phase: Phase) -> io::Result<Self> {
        let io_loop = IoLoop::current();
        // A connected socket takes a write as good as always; whether there is something to read, the first event tells.
        let assumed = if phase == Phase::Open { Ready::WRITABLE } else { Ready::NONE };
        let registration = match transport.fd() {
            Some(fd) => Registration::new(&io_loop, fd, assumed)?,
            None => Registration::detached(&io_loop, assumed)?,
        };
        Ok(Self::registered(transport, options, phase, registration))
    }

    fn registered(
        transport: Box<dyn Transport>,
        options: StreamOptions,
        phase: Phase,
        registration: Registration,
    ) -> Self {
        let state = RefCell::new(State::new(transport, phase));
        let inner = Rc::new(Inner { registration, options: options.normalized().shared(), state });
        let weak: Weak<Inner> = Rc::downgrade(&inner);
        inner.registration.set_target(weak);
        inner.update_watch(&inner.state.borrow());
        Self { inner }
    }

    /// Waits until the connection of a [`connecting`](Self::connecting) stream stands. At once on any other open stream.
    ///
    /// # Errors
    /// [`StreamError::Closed`] with the cause.
    pub async fn connected(&self) -> Result<(), StreamError> {
        poll_fn(|cx| self.inner.poll_connected(cx)).await
    }

    /// Secures the stream by TLS and waits until the two sides have agreed. The handle stays the same, and so do its clones:
    /// from now on all of them read and write plaintext that travels encrypted. What was written before is sent first, as
    /// plaintext.
    ///
    /// In Tornado it gives a new stream, and the old one must not be used again.
    ///
    /// # Errors
    /// [`StreamError::NotIdle`] while a read waits, and when bytes are unread or unsent (await the last
    /// [`write`](Self::write) before): they would be taken for what they are not, unless
    /// [`Tls::take_unread`] says what the unread ones are. The stream stays as it was.
    /// [`StreamError::Closed`] when the handshake fails, with the cause.
    ///
    /// # Cancel safety
    /// The handshake goes on, within its deadline, when the future is dropped.
    #[cfg(feature = "tls")]
    pub async fn start_tls(&self, tls: Tls) -> Result<(), StreamError> {
        self.begin_tls(tls)?;
        self.wait_for_handshake().await
    }

    /// As [`start_tls`](Self::start_tls), without waiting: the loop does the handshake, whether anybody reads and writes or not.
    /// Allowed on a stream that is still [`connecting`](Self::connecting), too.
    ///
    /// # Errors
    /// [`StreamError::NotIdle`] as there; [`StreamError::Closed`] when the stream is closed, or the configuration is of no
    /// use, which closes it.
    #[cfg(feature = "tls")]
    pub fn begin_tls(&self, tls: Tls) -> Result<(), StreamError> {
        match tls.side.connection() {
            Ok(connection) => {
                self.inner.check_idle(tls.take_unread)?;
                let unread = self.take_buffered(usize::MAX).into();
                let layer = |below| Box::new(TlsTransport::new(below, connection, unread)) as Box<dyn Transport>;
                self.inner.secure(layer, tls.handshake_timeout);
                Ok(())
            }
            Err(failure) => {
                self.inner.close_with(Some(CloseCause::Tls(failure)));
                Err(StreamError::Closed(self.error()))
            }
        }
    }

    /// Waits until the handshake is done. At once on a stream that has none to do. Any number of tasks may wait.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when it fails, with the cause.
    pub async fn wait_for_handshake(&self) -> Result<(), StreamError> {
        self.connected().await
    }

    /// What the two sides of TLS have agreed on; `None` before the handshake is done, and on any other stream.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<TlsInfo> {
        self.inner.with_transport(|transport| transport.tls()).flatten()
    }

    /// Whether a layer lies over the transport: TLS, or one of the caller's ([`add_layer`](Self::add_layer)).
    pub fn is_layered(&self) -> bool {
        self.inner.is_layered()
    }

    /// Closes the stream. What was written and fits into the kernel's buffer is sent, the rest is discarded. To wait for
    /// all of it, await the last [`write`](Self::write), or use [`close_when_flushed`](Self::close_when_flushed).
    ///
    /// In this order: a read that the buffer satisfies succeeds; the descriptor is closed; other waiting operations fail;
    /// the close callback runs behind the tasks that these woke. Closing twice is harmless.
    pub fn close(&self) {
        let _ = self.inner.flush_now();
        self.inner.close_with(None);
    }

    /// Sends what was written and then closes, as the peer takes it. Reads and further writes fail from now on.
    pub fn close_when_flushed(&self) {
        self.inner.close_when_flushed();
    }

    /// Ends the writing side once what was written is out; the peer can still send. Further writes are refused with
    /// [`StreamError::WriteEnded`], and the stream is read as before. The writing end of a pipe has no other side: it is closed.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream is closed, or closes before.
    pub async fn shutdown_write(&self) -> Result<(), StreamError> {
        self.connected().await?;
        self.flush().await?;
        // Another handle may have written meanwhile.
        while self.pending_write() > 0 {
            self.flush().await?;
        }
        self.shutdown_write_now()
    }

    /// As [`shutdown_write`](Self::shutdown_write), without waiting: bytes that are still unsent are given up, and the futures of
    /// their writes fail with [`StreamError::WriteEnded`].
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream is closed.
    pub fn shutdown_write_now(&self) -> Result<(), StreamError> {
        match self.inner.shutdown_write() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(closed(error)),
            None => Err(StreamError::Closed(self.error())),
        }
    }

    /// Whether the stream's end, should it come now, is to look like a break and not like an end in order. For protocols in which only
    /// the end of the connection tells that a message is whole: `true` when it begins, `false` when its last byte was written, sent or
    /// not: a stream that gives some of these bytes up still breaks off. Default: no.
    ///
    /// It holds for each way to end: [`close`](Self::close) and its kin, the last handle's drop, a limit of time, the peer's end, the
    /// loop's, and over TCP that of the process. To end the writing side alone closes the stream, since nothing can break off one direction.
    ///
    /// A TCP connection is reset (the ABORT of RFC 9293, section 3.10.5). What went to the peer before is there and can be read, on
    /// Linux at least; what the kernel hasn't sent yet is lost, as TCP has no reset behind queued bytes. Whoever wants it to arrive
    /// leaves the stream some time between [`flush`](Self::flush) and `close`. TLS says no goodbye (RFC 8446, section 6.1), and the
    /// connection below is reset all the same, for peers that don't insist on one. Unix-domain sockets and pipes have no such end.
    ///
    /// Tornado has nothing like it.
    pub fn abort_on_close(&self, abort: bool) {
        self.inner.state.borrow_mut().abort_on_close(abort);
    }

    /// What [`abort_on_close`](Self::abort_on_close) was last told.
    pub fn aborts_on_close(&self) -> bool {
        self.inner.state.borrow().aborts_on_close()
    }

    /// Has the loop call `callback` once the stream was closed, by whom ever (the drop of its last handle is a close too), and
    /// after the tasks whose reads and writes failed by that. One slot: each call replaces the callback before, `None` removes
    /// it. On a closed stream it runs soon, but not before this returns.
    ///
    /// While it is set, the peer's close is noticed without a read, but only when all data before it has been read.
    pub fn set_close_callback(&self, callback: Option<Box<dyn FnOnce()>>) {
        let mut state = self.inner.state.borrow_mut();
        if state.phase == Phase::Closed {
            drop(state);
            if let (Some(callback), Some(io_loop)) = (callback, self.inner.io_loop()) {
                call_after_tasks(&io_loop, callback);
            }
            return;
        }
        let old = match callback {
            None if !state.has_close_callback() => None,
            callback => std::mem::replace(&mut state.rare().close_callback, callback),
        };
        self.inner.update_watch(&state);
        // The peer may have closed before anybody was interested.
        self.inner.consumed(&mut state);
        drop(state);
        drop(old);
    }

    /// Whether a read is waiting.
    pub fn reading(&self) -> bool {
        self.inner.state.borrow().reading
    }

    /// Whether bytes are waiting to be sent.
    pub fn writing(&self) -> bool {
        self.inner.state.borrow().has_unsent()
    }

    /// Whether the stream is closed.
    #[inline]
    pub fn closed(&self) -> bool {
        self.inner.state.borrow().phase == Phase::Closed
    }

    /// Why it was closed: `None` while it is open, after a clean end by the peer and after [`close`](Self::close).
    pub fn error(&self) -> Option<CloseCause> {
        self.inner.state.borrow().cause().cloned()
    }

    /// Sends small writes at once (`true`) or lets the kernel gather them. Does nothing for transports without that choice.
    ///
    /// # Errors
    /// [`StreamError::Closed`] on a closed stream. Refusals of the system on a connection that is being reset are ignored, as
    /// the reset shows itself soon.
    pub fn set_nodelay(&self, nodelay: bool) -> Result<(), StreamError> {
        match self.inner.with_transport(|transport| transport.set_nodelay(nodelay)) {
            None => Err(StreamError::Closed(self.error())),
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => {
                let cause = CloseCause::from(error);
                let harmless = cause.is_disconnect() || cause.io_kind() == Some(io::ErrorKind::InvalidInput);
                if harmless { Ok(()) } else { Err(StreamError::Closed(Some(cause))) }
            }
        }
    }

    /// The address of an Internet peer.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.with_transport(|transport| transport.peer_addr()).flatten()
    }

    /// A handle that doesn't keep the stream.
    pub fn downgrade(&self) -> WeakIoStream {
        WeakIoStream(Rc::downgrade(&self.inner))
    }

    /// The limits of this stream.
    pub fn options(&self) -> &StreamOptions {
        &self.inner.options
    }

    /// The monotonic time of the loop's turn: [`IoLoop::now`], without going through the loop.
    #[inline]
    pub fn now(&self) -> Instant {
        self.inner.registration.now()
    }

    /// The loop of this stream, unless it is gone.
    #[inline]
    pub fn io_loop(&self) -> Option<IoLoop> {
        self.inner.io_loop()
    }
}

/// For implementers of protocols: the stream's buffers and readiness, without futures of their own.
impl IoStream {
    /// Gets at least one more byte into the read buffer. Registers the task otherwise.
    ///
    /// # Errors
    /// [`StreamError::Closed`] at the end, with the cause if it was not a clean one.
    #[inline]
    pub fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.inner.poll_fill(cx)
    }

    /// Has the current task polled again behind the others of its round, unless it is alone there, or more than `at_most` bytes lie in
    /// the read buffer, which might leave the processor's cache meanwhile. True: it makes way, and has nothing more to do now. See
    /// [`Registration::make_way`](landspout_ioloop::Registration::make_way).
    #[inline]
    pub fn make_way(&self, cx: &Context<'_>, at_most: usize) -> bool {
        let registration = &self.inner.registration;
        registration.in_company() && self.inner.state.borrow().read.len() <= at_most && registration.make_way(cx)
    }

    /// Looks at the read buffer. `look` must not touch this stream.
    #[inline]
    pub fn with_buffered<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(self.inner.state.borrow().read.as_slice())
    }

    /// Lets `parse` look at the read buffer and say how many bytes at its front are done with. `parse` must not touch this
    /// stream.
    #[inline(always)]
    pub fn parse_buffered<T>(&self, parse: impl FnOnce(&[u8]) -> (usize, T)) -> T {
        let mut state = self.inner.state.borrow_mut();
        let (consumed, parsed) = parse(state.read.as_slice());
        if consumed > 0 {
            self.inner.consume(&mut state, consumed);
        }
        parsed
    }

    /// Drops `n` bytes, at most what is there, from the front of the read buffer. Not for the time while a read waits, as little as
    /// its kin: a search for a delimiter goes on where it stopped.
    #[inline]
    pub fn consume(&self, n: usize) {
        let mut state = self.inner.state.borrow_mut();
        self.inner.consume(&mut state, n);
    }

    /// Takes `n` bytes, at most what is there, from the front of the read buffer.
    pub fn take_buffered(&self, n: usize) -> bytes::Bytes {
        let mut state = self.inner.state.borrow_mut();
        let n = n.min(state.read.len());
        let taken = state.read.take(n);
        self.inner.consumed(&mut state);
        taken
    }

    /// Lets `compose` append to the write buffer, which is then flushed as after a [`write`](Self::write). `compose` must not
    /// touch this stream. `expected` is what it will append, roughly, for the limit of the buffer.
    ///
    /// # Errors
    /// [`StreamError::Closed`]; [`StreamError::WriteBufferFull`] if `expected` doesn't fit.
    #[inline]
    pub fn write_with<T>(&self, expected: usize, compose: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, StreamError> {
        self.inner.queue_with(expected, compose)
    }

    /// How many bytes wait to be sent.
    #[inline]
    pub fn pending_write(&self) -> usize {
        self.inner.unsent()
    }

    /// How many bytes were written so far, sent or not. A write that was refused doesn't count, nor what was given up unsent.
    #[doc(alias = "_total_write_index")]
    pub fn total_written(&self) -> u64 {
        let state = self.inner.state.borrow();
        state.flushed + state.unsent() as u64
    }

    /// Ready once everything written so far was handed to the kernel.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream closed before.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let mark = self.inner.state.borrow().queued();
        self.inner.poll_flushed(cx, mark, None)
    }

    /// Hands to the kernel what it takes, whether it has told of room or not. What is written is sent without this; it is for
    /// those who want to know whether a slow peer has taken anything, since the kernel tells of room only when there is much.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the transport fails.
    pub fn try_flush(&self) -> Result<(), StreamError> {
        self.inner.flush_unasked()
    }

    /// Whether the peer has closed its writing side; bytes before that may still be unread.
    #[inline]
    pub fn peer_has_closed(&self) -> bool {
        self.inner.registration.begin();
        self.inner.registration.ready().contains(Ready::READ_CLOSED) || self.closed()
    }

    /// Whether the connection is gone: what is written reaches nobody.
    #[inline]
    pub fn peer_is_gone(&self) -> bool {
        self.inner.registration.begin();
        self.inner.registration.ready().intersects(Ready::ERROR | Ready::WRITE_CLOSED) || self.closed()
    }

    /// Puts a layer over the stream's transport and has the loop do its [`handshake`](Transport::handshake), within a time. By
    /// this door `begin_tls` comes in, and so can another library of TLS, or anything else that stands
    /// between plain bytes and the wire. `layer` must not touch this stream.
    ///
    /// # Errors
    /// [`StreamError::NotIdle`] while a read waits, when bytes are unread or unsent, and while another handshake goes on;
    /// [`StreamError::Closed`].
    pub fn add_layer(
        &self,
        layer: impl FnOnce(Box<dyn Transport>) -> Box<dyn Transport>,
        handshake_timeout: Duration,
    ) -> Result<(), StreamError> {
        self.inner.check_idle(false)?;
        self.inner.secure(layer, handshake_timeout);
        Ok(())
    }

    /// What raises this stream's readiness, for a transport without a descriptor.
    pub fn raiser(&self) -> Raiser {
        Raiser(Rc::downgrade(&self.inner))
    }

    /// Has the task woken at the next read event, be it data, the peer's close or its reset.
    #[inline]
    pub fn wake_on_event(&self, cx: &mut Context<'_>) {
        self.inner.registration.wake_on_read(cx);
    }

    /// Wakes the task that [`poll_fill`](Self::poll_fill) or [`wake_on_event`](Self::wake_on_event) has noted, and forgets it:
    /// somebody else goes on reading.
    pub fn wake_reader(&self) {
        self.inner.registration.wake_reader();
    }
}

impl Drop for IoStream {
    /// Was it the last one, the stream is kept by nothing but its unsent bytes.
    #[inline]
    fn drop(&mut self) {
        Inner::released(&self.inner);
    }
}

/// A handle of a stream that doesn't keep it: for those who list streams and don't own them.
#[derive(Clone)]
pub struct WeakIoStream(Weak<Inner>);

impl WeakIoStream {
    /// The stream, unless it is gone.
    pub fn upgrade(&self) -> Option<IoStream> {
        self.0.upgrade().map(|inner| IoStream { inner })
    }
}

impl fmt::Debug for WeakIoStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakIoStream").field("alive", &(self.0.strong_count() > 0)).finish()
    }
}

impl fmt::Debug for IoStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.borrow();
        f.debug_struct("IoStream")
            .field("phase", &state.phase)
            .field("buffered", &state.read.len())
            .field("to_send", &state.unsent())
            .field("registration", &self.inner.registration)
            .finish()
    }
}

fn closed(error: io::Error) -> StreamError {
    StreamError::Closed(Some(error.into()))
}

/// EINPROGRESS has no stable `ErrorKind`; EAGAIN is what a Unix socket with a full backlog says.
fn in_progress(error: &io::Error) -> bool {
    const EINPROGRESS_LINUX: i32 = 115;
    const EINPROGRESS_BSD: i32 = 36;
    let einprogress = if cfg!(target_os = "linux") { EINPROGRESS_LINUX } else { EINPROGRESS_BSD };
    error.raw_os_error() == Some(einprogress)
}
