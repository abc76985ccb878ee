//! `Http1ClientConnection`: a client's side of a stream, one request and its response after the other.
//!
//! Rules: a request is begun only when the response before is over and the server has sent nothing unasked; a response that
//! wasn't read to its end closes the connection, whatever the reason, since nobody could tell where the next one begins; no
//! borrow is held while the application's delegate runs, which may write to the same connection.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use landspout_http1::{DecodeError, Event, RequestEncoder, ResponseDecoder, ResponseHead};
use landspout_httputil::{
    BoxError, HttpHeaders, HttpMessageDelegate, HttpOutputError, RequestStartLine, ResponseStartLine,
};
use landspout_ioloop::{Deadline, IoLoop};
use landspout_iostream::IoStream;

use crate::error::ResponseError;
use crate::pace::{Late, Pace};
use crate::params::Http1ConnectionParameters;
use crate::pump::{CHUNK_OVERHEAD, Filled, Piece, fill, output_error, step, write_piece};

/// A client's side of an HTTP/1 connection: Tornado's `HTTP1Connection(stream, is_client=True)`.
///
/// Write a request, then [`read_response`](Self::read_response); or read while the body is still being written, by a second handle
/// in another task: then a response that comes early is noticed. A cheap handle: clones mean the same connection.
///
/// ```
/// # use landspout_http1connection::{AfterResponse, Http1ClientConnection, Http1ConnectionParameters};
/// # use landspout_httputil::*;
/// # use landspout_ioloop::IoLoop;
/// # use landspout_iostream::IoStream;
/// /// Collects a body.
/// #[derive(Default)]
/// struct Page(Vec<u8>);
///
/// impl HttpMessageDelegate<ResponseStartLine> for Page {
///     async fn headers_received(&mut self, line: ResponseStartLine, _: HttpHeaders) -> Result<(), BoxError> {
///         assert_eq!(line.code, StatusCode::OK);
///         Ok(())
///     }
///     async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
///         self.0.extend_from_slice(&chunk);
///         Ok(())
///     }
///     async fn finish(&mut self) -> Result<(), BoxError> {
///         Ok(())
///     }
/// }
///
/// # IoLoop::current().run_sync(async {
/// # let (stream, server) = IoStream::pair().unwrap();
/// # server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
/// let connection = Http1ClientConnection::new(stream, Http1ConnectionParameters::default());
/// let start_line = RequestStartLine::new(Method::GET, "/", Version::HTTP_11);
/// connection.write_request(&start_line, &HttpHeaders::from_static(&[("Host", "example.com")]), b"")?;
/// let mut page = Page::default();
/// let after = connection.read_response(&mut page).await?;
/// assert!(page.0 == b"hello" && matches!(after, AfterResponse::Reusable));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Clone)]
#[doc(alias = "HTTP1Connection")]
pub struct Http1ClientConnection {
    shared: Rc<Shared>,
}

/// What becomes of a connection when a response was read.
#[derive(Debug)]
#[non_exhaustive]
pub enum AfterResponse {
    /// Another request can be sent.
    Reusable,
    /// It is closed: one of the two sides asked for it, only the end told the end of the body, or the response came before the
    /// request was finished.
    Closed,
    /// HTTP is over, by 101 or 2xx to CONNECT. What the server sends from now on is another protocol's; what was read of it
    /// already is in the stream's buffer. The connection can't be used any more.
    Switched(IoStream),
}

struct Shared {
    stream: IoStream,
    params: Http1ConnectionParameters,
    encoder: RefCell<RequestEncoder>,
    decoder: RefCell<ResponseDecoder>,
    phase: Cell<Phase>,
    /// Of what is waited for now: a head, a body.
    deadline: Deadline,
    /// Whoever waits for the server.
    reader: Cell<Option<Waker>>,
    /// Set by the application, taken by the reader.
    body_timeout: Cell<Option<Option<Duration>>>,
    max_body_size: Cell<Option<u64>>,
}

/// How far the exchange is, as seen by the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was asked.
    Idle,
    /// A request was begun.
    Asked,
    /// Somebody waits for the final head.
    Awaited,
    /// It is there.
    Answered,
    /// No further exchange.
    Over,
}

impl Http1ClientConnection {
    /// A client on a stream that is connected. Of the parameters those that speak of requests mean responses here:
    ///
    /// - `no_keep_alive`: requests say `Connection: close`;
    /// - `header_timeout`: how long the server may take, from the end of the request, or from an interim response, to the last
    ///   byte of the final head;
    /// - `body_timeout`, `min_body_rate`, `limits`, `chunk_size`: as for a server;
    /// - the others mean nothing here.
    pub fn new(stream: IoStream, params: Http1ConnectionParameters) -> Self {
        // A small request is not to wait for the acknowledgement of the one before. A refusal shows itself elsewhere.
        let _ = stream.set_nodelay(true);
        let params = params.normalized();
        let shared = Shared {
            encoder: RefCell::new(RequestEncoder::new()),
            decoder: RefCell::new(ResponseDecoder::new(params.limits.clone())),
            phase: Cell::new(Phase::Idle),
            deadline: Deadline::new(&stream.io_loop().unwrap_or_else(IoLoop::current)),
            reader: Cell::new(None),
            body_timeout: Cell::new(None),
            max_body_size: Cell::new(None),
            stream,
            params,
        };
        Self { shared: Rc::new(shared) }
    }

    /// Queues a request's head and the first piece of its body, which may be empty. How the body is framed:
    /// [`RequestEncoder::head`](landspout_http1::RequestEncoder::head).
    ///
    /// # Errors
    /// [`HttpOutputError`]; nothing is queued then. [`Closed`](HttpOutputError::Closed) also where the server has closed the
    /// connection, or sent something unasked, while nobody waited.
    /// [`HeadersAlreadySent`](HttpOutputError::HeadersAlreadySent) before the response to the last request is over.
    pub fn write_headers(
        &self,
        start_line: &RequestStartLine,
        headers: &HttpHeaders,
        chunk: &[u8],
    ) -> Result<(), HttpOutputError> {
        self.shared.ask(start_line, chunk.len(), |encoder, out| {
            encoder.head(start_line, headers, out)?;
            encoder.data(chunk).map(|framed| framed.append_to(out))
        })
    }

    /// Queues a piece of the body.
    ///
    /// # Errors
    /// [`HttpOutputError`]; nothing of the piece is queued then. [`Closed`](HttpOutputError::Closed) once a response was read
    /// that came before the request was finished.
    pub fn write(&self, chunk: &[u8]) -> Result<(), HttpOutputError> {
        self.shared.write_piece(Piece::Borrowed(chunk))
    }

    /// As [`write`](Self::write), for a piece that needn't be copied: a large one is kept and sent from where it is, several of
    /// them in one system call. For a body in pieces, together with [`ready`](Self::ready).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_bytes(&self, chunk: impl Into<Bytes>) -> Result<(), HttpOutputError> {
        self.shared.write_piece(Piece::Shared(&chunk.into()))
    }

    /// The request is complete.
    ///
    /// # Errors
    /// [`HttpOutputError`], [`BodyTooShort`](HttpOutputError::BodyTooShort) above all, after which the connection is closed, as
    /// the server can't be told otherwise.
    pub fn finish(&self) -> Result<(), HttpOutputError> {
        self.shared.check_open()?;
        let finish = |out: &mut Vec<u8>| self.shared.encoder.borrow_mut().finish(out);
        let finished = self.shared.stream.write_with(0, finish).map_err(output_error)?;
        match &finished {
            Ok(()) => self.shared.asked(),
            Err(HttpOutputError::BodyTooShort { .. }) => self.close(),
            Err(_) => {}
        }
        finished
    }

    /// Queues a whole request: `write_headers`, `write` and `finish` in one, with `Content-Length` added.
    ///
    /// # Errors
    /// As [`write_headers`](Self::write_headers).
    pub fn write_request(
        &self,
        start_line: &RequestStartLine,
        headers: &HttpHeaders,
        body: &[u8],
    ) -> Result<(), HttpOutputError> {
        self.shared.ask(start_line, body.len(), |encoder, out| encoder.request(start_line, headers, body, out))?;
        self.shared.asked();
        Ok(())
    }

    /// Waits while much is queued, 768 KiB or more: the way to write a body no faster than the server reads.
    ///
    /// # Errors
    /// [`HttpOutputError::Closed`] when the connection was closed.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    #[doc(alias = "drain")]
    pub async fn ready(&self) -> Result<(), HttpOutputError> {
        poll_fn(|cx| self.poll_ready(cx)).await
    }

    /// As [`ready`](Self::ready), for those who poll.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        self.shared.stream.poll_ready(cx).map_err(output_error)
    }

    /// Waits until all that is queued was handed to the system.
    ///
    /// # Errors
    /// [`HttpOutputError::Closed`] when the connection was closed before.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing: what is queued is sent anyway.
    pub async fn flush(&self) -> Result<(), HttpOutputError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// As [`flush`](Self::flush), for those who poll.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        self.shared.stream.poll_flush(cx).map_err(output_error)
    }

    /// Reads the response to the request that was begun last, and hands it to `delegate`: Tornado's `read_response`.
    ///
    /// Each call of the delegate is awaited before more is read, so a slow delegate slows the server down. An interim response (1xx)
    /// is a `headers_received` of its own, before that of the final response; a body that waits for `100 Continue` may be written
    /// from there.
    ///
    /// A response that is complete before the request was finished ends the exchange: the connection is closed, and writes fail
    /// from then on. Of an upload that waits in [`flush`](Self::flush) that is the end, too.
    ///
    /// # Errors
    /// [`ResponseError`]. The connection is closed then, and the delegate has got `on_connection_close` unless it was called with
    /// `finish` already.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection and makes no further call of the delegate.
    pub async fn read_response<D>(&self, delegate: &mut D) -> Result<AfterResponse, ResponseError>
    where
        D: HttpMessageDelegate<ResponseStartLine>,
    {
        match self.shared.phase.get() {
            Phase::Idle => return Err(ResponseError::NoRequest),
            Phase::Asked => self.shared.phase.set(Phase::Awaited),
            Phase::Awaited | Phase::Answered => return Err(ResponseError::AlreadyReading),
            Phase::Over => return Err(ResponseError::Closed(self.shared.stream.error())),
        }
        let mut reading = Reading { shared: &self.shared, complete: false };
        let head = match reading.message(delegate).await {
            Ok(head) => head,
            Err(error) => {
                self.close();
                delegate.on_connection_close();
                return Err(error);
            }
        };
        delegate.finish().await.map_err(ResponseError::Delegate)?;
        reading.complete = true;
        Ok(self.shared.conclude(&head))
    }

    /// How long the whole body of this response may take from now on; `None` for no limit. Only this one's.
    pub fn set_body_timeout(&self, timeout: Option<Duration>) {
        self.shared.body_timeout.set(Some(timeout));
        if let Some(reader) = self.shared.reader.take() {
            reader.wake();
        }
    }

    /// How many bytes the body of this response may have. Only this one's; use it in `headers_received`.
    pub fn set_max_body_size(&self, bytes: u64) {
        self.shared.max_body_size.set(Some(bytes));
    }

    /// Whether a request can be sent: no exchange is under way, and the server has neither closed the connection nor sent
    /// something unasked. For those who keep connections for later; even then the server may close it the moment after.
    pub fn is_idle(&self) -> bool {
        self.shared.phase.get() == Phase::Idle && !self.shared.is_stale()
    }

    /// Closes the connection at once. A read under way fails, and what is unsent is given up.
    pub fn close(&self) {
        self.shared.give_up();
    }

    /// The stream below: for its addresses, what TLS has agreed on, a close callback. Whoever reads from it or writes to it breaks
    /// the exchange.
    pub fn stream(&self) -> &IoStream {
        &self.shared.stream
    }
}

impl fmt::Debug for Http1ClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1ClientConnection")
            .field("phase", &self.shared.phase.get())
            .field("stream", &self.shared.stream)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Begins an exchange with what `compose` writes, all or nothing.
    fn ask(
        &self,
        start_line: &RequestStartLine,
        size: usize,
        compose: impl FnOnce(&mut RequestEncoder, &mut Vec<u8>) -> Result<(), HttpOutputError>,
    ) -> Result<(), HttpOutputError> {
        match self.phase.get() {
            Phase::Idle => {}
            Phase::Over => return Err(HttpOutputError::Closed),
            Phase::Asked | Phase::Awaited | Phase::Answered => return Err(HttpOutputError::HeadersAlreadySent),
        }
        if self.is_stale() {
            self.give_up();
            return Err(HttpOutputError::Closed);
        }
        let mut encoder = RequestEncoder::new();
        if self.params.no_keep_alive {
            encoder.close_after();
        }
        let compose = |out: &mut Vec<u8>| {
            let start = out.len();
            compose(&mut encoder, out).inspect_err(|_| out.truncate(start))
        };
        self.stream.write_with(size + CHUNK_OVERHEAD, compose).map_err(output_error)??;
        if !self.decoder.borrow_mut().expect(start_line.method(), encoder.offers_upgrade()) {
            self.give_up();
            return Err(HttpOutputError::Closed);
        }
        self.encoder.replace(encoder);
        self.body_timeout.set(None);
        self.max_body_size.set(None);
        self.deadline.clear();
        self.phase.set(Phase::Asked);
        Ok(())
    }

    /// Whether the server has done something that nobody asked for: closed the connection, or sent bytes that are no response to
    /// anything (RFC 9112, section 9.2).
    fn is_stale(&self) -> bool {
        // What lies in the kernel is read for this; nothing is waited for.
        let _ = self.stream.poll_fill(&mut Context::from_waker(Waker::noop()));
        self.stream.peer_has_closed() || self.stream.with_buffered(|unasked| !unasked.is_empty())
    }

    fn check_open(&self) -> Result<(), HttpOutputError> {
        if self.phase.get() == Phase::Over { Err(HttpOutputError::Closed) } else { Ok(()) }
    }

    /// The request is complete: from now on the server has its time.
    fn asked(&self) {
        if matches!(self.phase.get(), Phase::Asked | Phase::Awaited) {
            self.deadline_in(self.params.header_timeout);
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
    }

    fn deadline_in(&self, timeout: Option<Duration>) {
        if let Some(at) = timeout.and_then(|timeout| self.stream.now().checked_add(timeout)) {
            self.deadline.set(at);
        }
    }

    fn write_piece(&self, piece: Piece<'_>) -> Result<(), HttpOutputError> {
        self.check_open()?;
        write_piece(&self.stream, piece, |chunk| self.encoder.borrow_mut().data(chunk))
    }

    fn give_up(&self) {
        self.phase.set(Phase::Over);
        self.stream.close();
    }

    /// What becomes of the connection behind a whole response.
    fn conclude(&self, head: &ResponseHead) -> AfterResponse {
        if self.phase.get() == Phase::Over {
            return AfterResponse::Closed;
        }
        if head.switches {
            self.phase.set(Phase::Over);
            return AfterResponse::Switched(self.stream.clone());
        }
        let encoder = self.encoder.borrow();
        if encoder.is_complete() && encoder.keep_alive() && head.keep_alive && !self.stream.closed() {
            self.phase.set(Phase::Idle);
            return AfterResponse::Reusable;
        }
        drop(encoder);
        self.give_up();
        AfterResponse::Closed
    }

    /// Waits for more, before the deadline, which may be set meanwhile, or until there is a reason to stop.
    async fn more(&self, stop: impl Fn() -> bool) -> Filled {
        let buffered = || self.stream.with_buffered(<[u8]>::len);
        let before = buffered();
        let mut filling = pin!(fill(&self.stream, &self.deadline));
        poll_fn(|cx| {
            if stop() {
                return Poll::Ready(Filled::Nothing);
            }
            self.reader.set(Some(cx.waker().clone()));
            // A write that failed may have brought the last words of the server.
            filling.as_mut().poll(cx).map(|filled| match filled {
                Filled::End if buffered() > before => Filled::More,
                filled => filled,
            })
        })
        .await
    }
}

/// A response that is being read. Whoever drops it before its end leaves a connection that is good for nothing.
struct Reading<'a> {
    shared: &'a Shared,
    complete: bool,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.complete {
            self.shared.give_up();
        }
    }
}

impl Reading<'_> {
    /// Reads heads, body and trailers. Gives the final head.
    async fn message<D>(&self, delegate: &mut D) -> Result<ResponseHead, ResponseError>
    where
        D: HttpMessageDelegate<ResponseStartLine>,
    {
        let shared = self.shared;
        // Of the request, when the server's time began last.
        let mut unsent = usize::MAX;
        let head = loop {
            match self.step()? {
                Some(Event::Head(head)) => {
                    shared.deadline.clear();
                    let is_interim = head.is_interim();
                    if !is_interim {
                        shared.phase.set(Phase::Answered);
                    }
                    let received = delegate.headers_received(head.start_line.clone(), head.headers.clone()).await;
                    received.map_err(ResponseError::Delegate)?;
                    if !is_interim {
                        break head;
                    }
                    if shared.encoder.borrow().is_complete() {
                        shared.asked();
                    }
                }
                // Before the final head nothing else comes.
                Some(_) => {}
                None => match shared.more(|| false).await {
                    Filled::More | Filled::Nothing => {}
                    Filled::End => self.end().map(|_| ())?,
                    Filled::TooLate => {
                        // The server's time begins when it has the request. It may take that as slowly as it likes.
                        let left = shared.stream.pending_write();
                        if left == 0 || left >= unsent {
                            return Err(ResponseError::HeaderTimeout);
                        }
                        unsent = left;
                        shared.deadline_in(shared.params.header_timeout);
                    }
                },
            }
        };
        self.body(delegate).await?;
        Ok(head)
    }

    async fn body<D>(&self, delegate: &mut D) -> Result<(), ResponseError>
    where
        D: HttpMessageDelegate<ResponseStartLine>,
    {
        let shared = self.shared;
        if let Some(bytes) = shared.max_body_size.take() {
            shared.decoder.borrow_mut().set_max_body_size(bytes);
        }
        let mut pace = Pace::new(&shared.params, shared.params.body_timeout, shared.stream.now());
        loop {
            match self.step()? {
                Some(Event::Data(range)) => {
                    let begin = shared.stream.now();
                    pace.received(range.len(), begin);
                    self.deliver(range.len(), delegate).await.map_err(ResponseError::Delegate)?;
                    pace.held_up(shared.stream.now() - begin);
                }
                Some(Event::Trailers(trailers)) => {
                    delegate.trailers_received(trailers).await.map_err(ResponseError::Delegate)?;
                }
                Some(Event::End) => break,
                Some(_) => {}
                None => {
                    if let Some(timeout) = shared.body_timeout.take() {
                        pace.set(timeout, shared.stream.now());
                    }
                    match pace.deadline() {
                        Some(deadline) => shared.deadline.set(deadline),
                        None => shared.deadline.clear(),
                    }
                    let filled = match pace.is_over(shared.stream.now()) {
                        true => Filled::TooLate,
                        // The application may set another time.
                        false => shared.more(|| shared.body_timeout.get().is_some()).await,
                    };
                    match filled {
                        Filled::More | Filled::Nothing => {}
                        Filled::End if self.end()? => break,
                        Filled::End => {}
                        Filled::TooLate => {
                            return Err(match pace.late() {
                                Late::Whole => ResponseError::BodyTimeout,
                                Late::Pace => ResponseError::BodyTooSlow,
                            });
                        }
                    }
                }
            }
        }
        shared.deadline.clear();
        Ok(())
    }

    fn step(&self) -> Result<Option<Event<ResponseHead>>, ResponseError> {
        let shared = self.shared;
        if shared.phase.get() == Phase::Over {
            // Closed by the application. What is buffered is nobody's any more.
            return Err(ResponseError::Closed(shared.stream.error()));
        }
        let event = step(&shared.stream, |buffered| shared.decoder.borrow_mut().decode(buffered))?;
        Ok(event)
    }

    /// The stream has ended. Whether that is the end of the body.
    fn end(&self) -> Result<bool, ResponseError> {
        let shared = self.shared;
        // Only a clean end by the server means anything.
        if shared.phase.get() == Phase::Over || shared.stream.error().is_some() {
            return Err(ResponseError::Closed(shared.stream.error()));
        }
        match shared.decoder.borrow_mut().eof() {
            Ok(event) => Ok(matches!(event, Some(Event::End))),
            Err(DecodeError::Truncated) => Err(ResponseError::Closed(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives `len` buffered bytes of the body to the delegate, in pieces of at most `chunk_size`.
    async fn deliver<D>(&self, mut len: usize, delegate: &mut D) -> Result<(), BoxError>
    where
        D: HttpMessageDelegate<ResponseStartLine>,
    {
        while len > 0 && self.shared.phase.get() != Phase::Over {
            let piece = self.shared.stream.take_buffered(len.min(self.shared.params.chunk_size.max(1)));
            len -= piece.len();
            delegate.data_received(piece).await?;
        }
        Ok(())
    }
}
