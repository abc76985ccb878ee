//! `Http1Connection`: the writing side of one exchange, and what the pump and the application tell each other.
//!
//! Rules: a handle that the application keeps past the end of its exchange can do nothing to the next one; whatever is
//! refused has written nothing.

use std::any::Any;
use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use landspout_http1::{BodyLength, RequestDecoder, ResponseEncoder};
use landspout_httputil::{
    HttpConnection, HttpHeaders, HttpOutputError, Method, RequestContext, ResponseStartLine, ServerConnectionId,
    Version,
};
use landspout_ioloop::{Deadline, log_panic};
use landspout_iostream::IoStream;

use crate::pump::{CHUNK_OVERHEAD, Piece, output_error, write_piece};
use crate::refusal::Refusal;
use crate::rendered::{HttpDate, Rendered};
use crate::serve::SKIPPED_BODY;
use crate::worker::Outcome;

/// A body from this length on is not copied behind its head.
const LARGE_BODY: usize = 16 * 1024;

/// So much reaches the client without its leave: less than the initial window of ten segments (RFC 6928).
const FIRST_FLIGHT: u64 = 8 * 1024;

/// What the exchanges of one connection share, and all that an idle connection keeps.
pub(crate) struct Link {
    pub(crate) stream: IoStream,
    pub(crate) context: RequestContext,
    pub(crate) id: ServerConnectionId,
    /// Of what the connection waits for now: the next request, the rest of a head, the body, the peer's goodbye.
    pub(crate) deadline: Deadline,
    /// How many requests may still come after the one under way. 0: its answer is the connection's last.
    pub(crate) requests_left: Cell<u32>,
    /// The server waits for the connection to end; `requests_left` is 0 then.
    pub(crate) draining: Cell<bool>,
    /// What becomes of the connection, from an exchange whose last handle went while the pump waited for its response.
    pub(crate) left: Cell<Option<Outcome>>,
    pub(crate) stage: Cell<Stage>,
    pub(crate) idle_behind: Cell<Behind>,
}

/// What a connection fell idle behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing, or one request.
    #[default]
    Request,
    /// Several, each of which was there when the one before was answered: the client pipelines.
    Batch,
    /// An empty line, of which only one is skipped before a request.
    EmptyLine,
}

/// Whose the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Serving,
    /// The application has taken it, and the server is still to be told.
    Detaching,
    /// Likewise, and the server knows.
    Detached,
    /// HTTP's, for the last answer and the goodbye.
    Over,
    /// Likewise, and the last answer was sent; what the peer still sends is thrown away.
    Answered,
}

impl Link {
    /// Sets the deadline to this long from now, if it is a limit.
    #[inline]
    pub(crate) fn deadline_in(&self, timeout: Option<Duration>) {
        if let Some(timeout) = timeout {
            self.deadline.set_after(timeout);
        }
    }

    /// Whether the stream is the application's.
    #[inline]
    pub(crate) fn is_detached(&self) -> bool {
        matches!(self.stage.get(), Stage::Detaching | Stage::Detached)
    }

    /// Has the heads that are rendered dated now.
    #[inline]
    fn refresh(&self, rendered: &Rendered, now: Instant) {
        // Without a loop there is no time of day, and nothing can be sent that would tell it.
        let wall = || self.stream.io_loop().map_or(SystemTime::UNIX_EPOCH, |io_loop| io_loop.wall_time());
        rendered.refresh(now, wall);
    }

    fn date(&self, rendered: &Rendered) -> HttpDate {
        self.refresh(rendered, self.stream.now());
        *rendered.heads.borrow().date()
    }
}

/// One exchange on a server's connection: the request's answer leaves through it. Tornado's `HTTP1Connection`.
///
/// Applications see it as [`HttpConnection`].
#[doc(alias = "HTTP1Connection")]
pub struct Http1Connection {
    /// Always there while anybody but the pump's free list holds the exchange.
    link: Option<Rc<Link>>,
    rendered: Rc<Rendered>,
    encoder: RefCell<ResponseEncoder>,
    started: Cell<Option<Instant>>,
    ended: Cell<Option<Instant>>,
    /// The pump, waiting for the response to be finished.
    pump: Cell<Option<Waker>>,
    close_callback: Cell<Option<Box<dyn FnOnce()>>>,
    /// The pump waits and holds no handle: if the last one goes without a response, nobody else can give one.
    awaited: Cell<bool>,
    /// Set by the application, taken by the pump.
    pub(crate) body_timeout: Cell<Option<Option<Duration>>>,
    pub(crate) max_body_size: Cell<Option<u64>>,
    /// Set with each of the five before. Most exchanges have none of them, and look at this alone.
    is_special: Cell<bool>,
    /// The length of a body that the client is to send unasked, until the pump begins to read it; 0 where there is none.
    announced: Cell<u64>,
    /// The request's body was begun and isn't at its end.
    pub(crate) receiving: Cell<bool>,
}

/// The pump's side.
impl Http1Connection {
    /// An exchange that belongs to no connection yet.
    pub(crate) fn vacant(rendered: Rc<Rendered>) -> Self {
        Self {
            link: None,
            rendered,
            encoder: RefCell::new(ResponseEncoder::for_error()),
            started: Cell::new(None),
            ended: Cell::new(None),
            pump: Cell::new(None),
            close_callback: Cell::new(None),
            awaited: Cell::new(false),
            body_timeout: Cell::new(None),
            max_body_size: Cell::new(None),
            is_special: Cell::new(false),
            announced: Cell::new(0),
            receiving: Cell::new(false),
        }
    }

    /// From here on its exchanges are those of `link`.
    pub(crate) fn take_up(exchange: &mut Rc<Self>, link: Rc<Link>) {
        if let Some(this) = Rc::get_mut(exchange) {
            this.link = Some(link);
        }
    }

    /// Begins the exchange of the request whose head was decoded: in the old one's memory, unless the application kept that.
    #[inline(always)]
    pub(crate) fn begin(exchange: &mut Rc<Self>, decoder: &RequestDecoder, now: Instant) {
        if Rc::get_mut(exchange).is_none() {
            Self::replace(exchange);
        }
        if let Some(this) = Rc::get_mut(exchange) {
            *this.encoder.get_mut() = decoder.response_encoder();
            this.started.set(Some(now));
            this.ended.set(None);
            if this.is_special.get() {
                this.forget_special();
            }
        }
    }

    #[cold]
    fn forget_special(&mut self) {
        self.awaited.set(false);
        self.body_timeout.set(None);
        self.max_body_size.set(None);
        self.is_special.set(false);
        drop((self.pump.take(), self.close_callback.take()));
    }

    #[cold]
    fn replace(exchange: &mut Rc<Self>) {
        let mut successor = Self::vacant(exchange.rendered.clone());
        successor.link = exchange.link.clone();
        *exchange = Rc::new(successor);
    }

    /// Lets go of the connection, so that a pooled exchange keeps nothing of it alive.
    #[inline]
    pub(crate) fn vacate(exchange: &mut Rc<Self>) {
        match Rc::get_mut(exchange) {
            Some(this) if !this.is_special.get() => this.link = None,
            _ => Self::vacate_slowly(exchange),
        }
    }

    #[cold]
    fn vacate_slowly(exchange: &mut Rc<Self>) {
        match Rc::get_mut(exchange) {
            Some(this) => {
                this.link = None;
                this.forget_special();
            }
            None => *exchange = Rc::new(Self::vacant(exchange.rendered.clone())),
        }
    }

    /// Answers in the application's place if that is still possible, and gives the connection up.
    pub(crate) fn fail(&self, refusal: &Refusal<'_>) -> Outcome {
        let Some(link) = &self.link else { return Outcome::Cut };
        if link.is_detached() {
            return Outcome::Detached;
        }
        if self.is_finished() {
            // The answer is complete, whatever happened after it.
            return Outcome::Linger;
        }
        if self.head_sent() {
            // A cut is the only way to say that the rest is missing.
            return self.break_off();
        }
        self.encoder.borrow_mut().close_after();
        let mut write = |start_line: &_, headers: &_, body: &_| self.write_response(start_line, headers, body);
        let sent = self.rendered.refusals.write(refusal, &mut write);
        if sent.is_ok() { Outcome::Linger } else { self.break_off() }
    }

    /// Gives the response up: whoever still writes it is refused from now on. What was written goes all the same, above all the
    /// complete answers to earlier requests, and then the connection ends.
    #[cold]
    pub(crate) fn break_off(&self) -> Outcome {
        self.encoder.borrow_mut().break_off();
        Outcome::Linger
    }

    /// Likewise, when something has panicked: whoever else writes the response learns that it is cut.
    #[cold]
    pub(crate) fn panicked(&self) -> Outcome {
        let outcome = self.fail(&Refusal::Panicked);
        if outcome != Outcome::Detached {
            log_panic("in a close callback", || self.report_close());
        }
        outcome
    }

    /// What becomes of the connection when the response is complete. `Outcome::Idle`: it is ready for the next request.
    #[inline]
    pub(crate) fn conclude(&self) -> Outcome {
        if self.keep_alive() {
            Outcome::Idle
        } else if self.link().is_detached() {
            Outcome::Detached
        } else if self.can_be_lost() {
            Outcome::Deliver
        } else {
            Outcome::Close
        }
    }

    /// Whether a response that is complete can be lost to a byte that the client sends behind its request, which has the kernel reset
    /// a closed connection (RFC 9112, section 9.6): what it has not delivered yet, and the only end of a body that ends with the
    /// connection. A few packets leave at once; all that was written on the connection is counted, which is more than enough.
    #[inline(never)]
    fn can_be_lost(&self) -> bool {
        self.ends_with_connection() || self.link().stream.total_written() > FIRST_FLIGHT
    }

    /// Whether only the end of the connection tells the client that the response is whole.
    fn ends_with_connection(&self) -> bool {
        self.encoder.borrow().is_until_close()
    }

    /// Whether what follows the head that was sent is no HTTP.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.encoder.borrow().is_tunnel()
    }

    /// The stream has gone to the application: nothing more is written through here.
    pub(crate) fn hand_over(&self) {
        self.encoder.borrow_mut().hand_over();
        self.end();
    }

    /// The response can't be completed, and the peer can't be told otherwise.
    pub(crate) fn cut(&self) {
        self.break_off();
        self.end();
    }

    /// From here on the application's handles alone keep the exchange.
    pub(crate) fn leave_to_the_application(&self) {
        self.awaited.set(true);
        self.is_special.set(true);
    }

    /// A body is announced. An answer that doesn't wait for it has the connection closed, and says so, if there is more of it
    /// than is worth reading for nothing, or than may be read (`limit`), or if the client waits for leave to send it and may not send
    /// it at all.
    #[cold]
    pub(crate) fn expect_body(&self, expect_continue: bool, body: BodyLength, limit: u64) {
        match body {
            _ if expect_continue => self.encoder.borrow_mut().close_if_unread(),
            BodyLength::Fixed(bytes) => {
                self.announced.set(bytes);
                self.limit_announced(limit);
            }
            _ => {}
        }
    }

    fn limit_announced(&self, limit: u64) {
        if self.announced.get() > SKIPPED_BODY.min(limit) {
            self.encoder.borrow_mut().close_if_unread();
        }
    }

    /// From here on its limit stands, or it isn't read at all.
    pub(crate) fn settle_announced(&self) {
        self.announced.set(0);
    }

    /// The announced body was read.
    pub(crate) fn body_read(&self) {
        if !self.head_sent() {
            self.encoder.borrow_mut().body_read();
        }
    }

    /// The pump has heard that the response is complete: a handle that is still kept has nothing more to say.
    pub(crate) fn settle(&self) {
        self.awaited.set(false);
    }

    pub(crate) fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_finished() {
            return Poll::Ready(());
        }
        self.pump.set(Some(cx.waker().clone()));
        self.is_special.set(true);
        Poll::Pending
    }

    /// Likewise, or there is a new time for the body.
    pub(crate) fn poll_finished_or_timed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.body_timeout.get().is_some() { Poll::Ready(()) } else { self.poll_finished(cx) }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.ended.get().is_some()
    }

    pub(crate) fn head_sent(&self) -> bool {
        self.encoder.borrow().head_sent()
    }

    pub(crate) fn keep_alive(&self) -> bool {
        self.encoder.borrow().keep_alive()
    }

    /// Tells the application once that the peer has closed.
    pub(crate) fn report_close(&self) {
        if let Some(callback) = self.close_callback.take().filter(|_| !self.is_finished()) {
            callback();
        }
    }

    #[expect(clippy::expect_used, reason = "handles are given out by `begin`, which sets the link")]
    pub(crate) fn link(&self) -> &Rc<Link> {
        self.link.as_ref().expect("an exchange that is in use has its connection")
    }

    #[inline]
    fn end(&self) {
        self.end_at(self.link().stream.now());
    }

    #[inline]
    fn end_at(&self, now: Instant) {
        self.ended.set(Some(now));
        if self.is_special.get() {
            self.tell_end();
        }
    }

    #[cold]
    fn tell_end(&self) {
        // Nobody will call it, and as a rule it holds a handle of this exchange, which would never go.
        drop(self.close_callback.take());
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    fn write_piece(&self, piece: Piece<'_>) -> Result<(), HttpOutputError> {
        write_piece(&self.link().stream, piece, |chunk| self.encoder.borrow_mut().data(chunk))
    }

    /// A response whose head isn't kept.
    #[inline(never)]
    fn compose_response(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
    ) -> Result<(), HttpOutputError> {
        let compose = |out: &mut Vec<u8>| {
            let (mut encoder, mut heads) = (self.encoder_of_head(self.link()), self.rendered.heads.borrow_mut());
            encoder.response_with(&mut heads, start_line, headers, body, out)
        };
        self.link().stream.write_with(body.len(), compose).map_err(output_error)?
    }

    /// The body goes to the kernel from where it is.
    #[cold]
    fn write_large_response(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
    ) -> Result<(), HttpOutputError> {
        let stream = &self.link().stream;
        let room = stream.options().max_write_buffer_size.saturating_sub(stream.pending_write());
        let compose = |out: &mut Vec<u8>| {
            let start = out.len();
            let (mut encoder, mut heads) = (self.encoder_of_head(self.link()), self.rendered.heads.borrow_mut());
            let follows = encoder.response_before_body(&mut heads, start_line, headers, body, out)?;
            // As with other responses, the room is for the body, and the head doesn't count.
            if follows && out.len() - start + body.len() > room {
                out.extend_from_slice(body);
                return Ok::<_, HttpOutputError>(false);
            }
            Ok(follows)
        };
        if stream.write_with(body.len(), compose).map_err(output_error)?? {
            stream.write(body).map_err(output_error)?;
        }
        Ok(())
    }

    /// The encoder for a head, which says whether another request may follow. Known only when it is written: the server may
    /// have begun to drain since the request came.
    #[inline]
    fn encoder_of_head(&self, link: &Link) -> RefMut<'_, ResponseEncoder> {
        let mut encoder = self.encoder.borrow_mut();
        if link.requests_left.get() == 0 {
            encoder.close_after();
        }
        encoder
    }
}

impl HttpConnection for Http1Connection {
    fn write_headers(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        chunk: &[u8],
    ) -> Result<(), HttpOutputError> {
        let date = self.link().date(&self.rendered);
        let compose = |out: &mut Vec<u8>| {
            let start = out.len();
            let mut encoder = self.encoder_of_head(self.link());
            let before = encoder.clone();
            encoder.head(start_line, headers, &date, out)?;
            if chunk.is_empty() {
                return Ok(());
            }
            // A first piece that is refused takes the head back.
            encoder.data(chunk).map(|framed| framed.append_to(out)).inspect_err(|_| {
                out.truncate(start);
                *encoder = before;
            })
        };
        self.link().stream.write_with(chunk.len() + CHUNK_OVERHEAD, compose).map_err(output_error)??;
        if self.ends_with_connection() {
            // Whatever ends the connection before the body's end: a client would take that for the body's end.
            self.link().stream.abort_on_close(true);
        }
        Ok(())
    }

    fn write(&self, chunk: &[u8]) -> Result<(), HttpOutputError> {
        self.write_piece(Piece::Borrowed(chunk))
    }

    fn write_bytes(&self, chunk: Bytes) -> Result<(), HttpOutputError> {
        self.write_piece(Piece::Shared(&chunk))
    }

    fn finish(&self) -> Result<(), HttpOutputError> {
        let stream = &self.link().stream;
        match stream.write_with(0, |out| self.encoder.borrow_mut().finish(out)).map_err(output_error)? {
            Ok(()) => {}
            Err(error @ HttpOutputError::BodyTooShort { .. }) => {
                // The peer waits for bytes that never come: only a cut tells it.
                self.cut();
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        if self.ends_with_connection() {
            self.link().stream.abort_on_close(false);
        }
        self.end();
        Ok(())
    }

    fn write_response(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
    ) -> Result<(), HttpOutputError> {
        let link = &**self.link();
        let now = link.stream.now();
        // Asks the clock, so it is done before anything is borrowed.
        link.refresh(&self.rendered, now);
        if body.len() >= LARGE_BODY {
            self.write_large_response(start_line, headers, body)?;
            self.end_at(now);
            return Ok(());
        }
        let kept = |out: &mut Vec<u8>| {
            let (mut encoder, mut heads) = (self.encoder_of_head(link), self.rendered.heads.borrow_mut());
            encoder.kept_response(&mut heads, start_line, headers, body, out)
        };
        // Only constant fields can be kept.
        let written =
            headers.as_static().is_some() && link.stream.write_with(body.len(), kept).map_err(output_error)?;
        if !written {
            self.compose_response(start_line, headers, body)?;
        }
        self.end_at(now);
        Ok(())
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        if self.link().is_detached() {
            return Poll::Ready(Err(HttpOutputError::AlreadyFinished));
        }
        self.link().stream.poll_flush(cx).map_err(output_error)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        if self.link().is_detached() {
            return Poll::Ready(Err(HttpOutputError::AlreadyFinished));
        }
        self.link().stream.poll_ready(cx).map_err(output_error)
    }

    fn set_close_callback(&self, callback: Option<Box<dyn FnOnce()>>) {
        let stream = &self.link().stream;
        if self.is_finished() {
            // Kept, it would never be called, and as a rule it holds a handle of this exchange.
            drop(callback);
        } else if stream.closed() || self.encoder.borrow().is_broken_off() {
            if let (Some(callback), Some(io_loop)) = (callback, stream.io_loop()) {
                io_loop.add_callback(callback);
            }
        } else {
            self.is_special.set(true);
            drop(self.close_callback.replace(callback));
            if stream.peer_has_closed() {
                // The pump has seen that, and waits for something else.
                stream.wake_reader();
            }
        }
    }

    fn set_body_timeout(&self, timeout: Option<Duration>) {
        self.body_timeout.set(Some(timeout));
        self.is_special.set(true);
        // It may be waiting for the body, by the time before.
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    fn set_max_body_size(&self, bytes: u64) {
        self.max_body_size.set(Some(bytes));
        self.is_special.set(true);
        if self.announced.get() > 0 && !self.head_sent() {
            // What was concluded from the limit before is taken back.
            self.encoder.borrow_mut().body_read();
            self.limit_announced(bytes);
        }
    }

    fn max_body_size(&self) -> Option<u64> {
        self.max_body_size.get()
    }

    fn elapsed(&self) -> Duration {
        let now = self.ended.get().unwrap_or_else(|| self.link().stream.now());
        self.started.get().map_or(Duration::ZERO, |started| now.saturating_duration_since(started))
    }

    fn context(&self) -> &RequestContext {
        &self.link().context
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Drop for Http1Connection {
    fn drop(&mut self) {
        if !self.awaited.get() {
            return;
        }
        let Some(link) = self.link.clone() else { return };
        let outcome = if self.is_finished() {
            self.conclude()
        } else if link.stream.closed() || link.stream.io_loop().is_none_or(|io_loop| io_loop.is_closed()) {
            Outcome::Cut
        } else {
            tracing::error!("a request handler ended without finishing its response");
            self.fail(&Refusal::Unanswered)
        };
        link.left.set(Some(outcome));
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }
}

/// Answers something that never became a request.
pub(crate) fn refuse_unread(link: &Link, rendered: &Rendered, refusal: &Refusal<'_>) {
    // What can't be read may still be understood: no content in answer to HEAD (RFC 9110, section 9.3.2).
    let head = link.stream.with_buffered(|unread| unread.trim_ascii_start().starts_with(b"HEAD "));
    let mut encoder = match head {
        true => ResponseEncoder::new(&Method::HEAD, Version::HTTP_11, false),
        false => ResponseEncoder::for_error(),
    };
    link.refresh(rendered, link.stream.now());
    let mut write = |start_line: &ResponseStartLine, headers: &HttpHeaders, body: &[u8]| {
        let compose =
            |out: &mut Vec<u8>| encoder.response_with(&mut rendered.heads.borrow_mut(), start_line, headers, body, out);
        link.stream.write_with(body.len(), compose).map_err(output_error)?
    };
    // A peer that is gone needs no answer.
    let _ = rendered.refusals.write(refusal, &mut write);
}
