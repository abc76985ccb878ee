//! The delegate chain: who is called as a message arrives, and through whom the answer leaves.
//!
//! Rules: nothing here knows HTTP/1, a socket or a loop; the reading side (`HttpMessageDelegate`) is dispatched statically
//! and awaited call by call; the writing side (`HttpConnection`) is one trait object that can be kept and used later, from
//! another task of the same thread.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::context::RequestContext;
use crate::error::{BoxError, HttpOutputError};
use crate::headers::HttpHeaders;
use crate::start_line::{RequestStartLine, ResponseStartLine};

/// Takes one message as it arrives: Tornado's `HTTPMessageDelegate`.
///
/// The connection calls `headers_received` once, `data_received` for each piece of the body, `trailers_received` if there
/// are trailers, and then either `finish` or `on_connection_close`. It awaits each call before it reads on, so a slow delegate slows
/// its peer down. A request is over when `finish` has returned *and* [`HttpConnection::finish`] was called, in either order.
///
/// `S` is the kind of start line: a server's delegates take a [`RequestStartLine`], a client's a [`ResponseStartLine`].
///
/// # Errors
/// An error from any method ends the message. One that is an [`HttpInputError`](crate::HttpInputError) is answered with its
/// status, any other with 500; once the response's head is out, the connection is cut instead.
///
/// # Cancel safety
/// A pending call is dropped when the peer resets the connection; `on_connection_close` follows.
#[doc(alias = "HTTPMessageDelegate")]
pub trait HttpMessageDelegate<S = RequestStartLine> {
    /// The start line and the header fields are there.
    async fn headers_received(&mut self, start_line: S, headers: HttpHeaders) -> Result<(), BoxError>;

    /// A piece of the body, never empty.
    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError>;

    /// The trailer fields of a chunked body; not called when there are none. Never merge them into the headers unless the
    /// field's definition allows it (RFC 9110, section 6.5.1).
    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        let _ = trailers;
        Ok(())
    }

    /// The whole message was received.
    async fn finish(&mut self) -> Result<(), BoxError>;

    /// The connection was closed before the message was complete; takes the place of `finish`.
    fn on_connection_close(&mut self) {}
}

impl<S, D: HttpMessageDelegate<S> + ?Sized> HttpMessageDelegate<S> for Box<D> {
    async fn headers_received(&mut self, start_line: S, headers: HttpHeaders) -> Result<(), BoxError> {
        (**self).headers_received(start_line, headers).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        (**self).data_received(chunk).await
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        (**self).trailers_received(trailers).await
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        (**self).finish().await
    }

    fn on_connection_close(&mut self) {
        (**self).on_connection_close();
    }
}

/// Makes a delegate for each request of a server's connections: Tornado's `HTTPServerConnectionDelegate`.
#[doc(alias = "HTTPServerConnectionDelegate")]
pub trait HttpServerConnectionDelegate {
    /// Takes the requests.
    type Delegate: HttpMessageDelegate;

    /// A request begins: its head is there. The answer leaves through `request_conn`, which may outlive the delegate.
    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Self::Delegate;

    /// The connection was closed, or left HTTP by `detach`. No request of it follows.
    fn on_close(&self, server_conn: ServerConnectionId) {
        let _ = server_conn;
    }
}

impl<D: HttpServerConnectionDelegate + ?Sized> HttpServerConnectionDelegate for Rc<D> {
    type Delegate = D::Delegate;

    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Self::Delegate {
        (**self).start_request(server_conn, request_conn)
    }

    fn on_close(&self, server_conn: ServerConnectionId) {
        (**self).on_close(server_conn);
    }
}

/// Tells the connections of a process apart, so that a delegate can keep something for each until `on_close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerConnectionId(u64);

impl ServerConnectionId {
    /// An identity that no other connection of this process has.
    #[expect(clippy::new_without_default, reason = "each call gives another one, which is not what a default is")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number, for logs.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ServerConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The writing side of one exchange: Tornado's `HTTPConnection`.
///
/// Every write only queues; the loop flushes once a turn. Await [`ready`](#method.ready) before each
/// piece to go no faster than the peer reads. Using it after its exchange is over gives [`HttpOutputError::AlreadyFinished`] or
/// [`HttpOutputError::Closed`]; it never reaches the next exchange.
#[doc(alias = "HTTPConnection")]
pub trait HttpConnection {
    /// Queues the head and the first piece of the body, which may be empty.
    ///
    /// # Errors
    /// [`HttpOutputError`]; nothing is queued then.
    fn write_headers(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        chunk: &[u8],
    ) -> Result<(), HttpOutputError>;

    /// Queues a piece of the body.
    ///
    /// # Errors
    /// [`HttpOutputError`]; nothing of the piece is queued then.
    fn write(&self, chunk: &[u8]) -> Result<(), HttpOutputError>;

    /// As [`write`](Self::write), for a piece that needn't be copied: a large one is kept and sent from where it is, several
    /// of them in one system call. For a body in pieces, together with [`ready`](#method.ready). Default: `write`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_bytes(&self, chunk: Bytes) -> Result<(), HttpOutputError> {
        self.write(&chunk)
    }

    /// The message is complete.
    ///
    /// # Errors
    /// [`HttpOutputError`], [`BodyTooShort`](HttpOutputError::BodyTooShort) above all, after which the connection is cut, as
    /// the peer can't be told otherwise.
    fn finish(&self) -> Result<(), HttpOutputError>;

    /// Queues a whole response: `write_headers`, `write` and `finish` in one, with `Content-Length` added. This is the
    /// shortest way and the fastest.
    ///
    /// # Errors
    /// [`HttpOutputError`]; nothing is queued then.
    fn write_response(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
    ) -> Result<(), HttpOutputError>;

    /// Ready when all that is queued was handed to the system. See [`flush`](#method.flush).
    ///
    /// # Errors
    /// [`HttpOutputError::Closed`] when the connection was closed before.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>>;

    /// Ready when so little is queued that more may be. See [`ready`](#method.ready). Default: `poll_flush`.
    ///
    /// # Errors
    /// [`HttpOutputError::Closed`] when the connection was closed.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        self.poll_flush(cx)
    }

    /// Has `callback` called once if the connection closes before the response is complete; `None` takes it back.
    ///
    /// There is one slot. While the request is still being received, `HttpMessageDelegate::on_connection_close` is called too.
    fn set_close_callback(&self, callback: Option<Box<dyn FnOnce()>>);

    /// How long the whole body of this request may take from now on; `None` for no limit, of its pace neither. Only this request's.
    fn set_body_timeout(&self, timeout: Option<Duration>);

    /// How many bytes the body of this request may have. Only this request's; use it in `headers_received`.
    fn set_max_body_size(&self, bytes: u64);

    /// What [`set_max_body_size`](Self::set_max_body_size) has set for this request; for delegates that turn a body into
    /// something larger, and have to keep the limit themselves. Default: nothing.
    fn max_body_size(&self) -> Option<u64> {
        None
    }

    /// The time since the request's first byte arrived, until its response was finished.
    fn elapsed(&self) -> Duration;

    /// Who is at the other end.
    fn context(&self) -> &RequestContext;

    /// The connection by its own type, for what only some kinds can do: `Detach` of `landspout-http1connection` looks here for an
    /// `Http1Connection`. A wrapper passes the call on to what it wraps. Default: nothing.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

impl dyn HttpConnection + '_ {
    /// Waits until all that is queued was handed to the system.
    ///
    /// # Errors
    /// [`HttpOutputError::Closed`] when the connection was closed before.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing: what is queued is sent anyway.
    pub fn flush(&self) -> Flush<'_> {
        Flush { connection: self }
    }

    /// Waits while much is queued, 768 KiB or more with HTTP/1: the way to send a body in pieces no faster than the peer
    /// reads. Several pieces are under way then, where [`flush`](#method.flush) waits for each.
    ///
    /// # Errors
    /// [`HttpOutputError::Closed`] when the connection was closed.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    #[doc(alias = "drain")]
    pub fn ready(&self) -> WriteReady<'_> {
        WriteReady { connection: self }
    }
}

impl fmt::Debug for dyn HttpConnection + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection").field("context", self.context()).finish_non_exhaustive()
    }
}

/// Waits for a flush: see `flush` of [`HttpConnection`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Flush<'a> {
    connection: &'a dyn HttpConnection,
}

impl Future for Flush<'_> {
    type Output = Result<(), HttpOutputError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.connection.poll_flush(cx)
    }
}

/// Waits for room: see `ready` of [`HttpConnection`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct WriteReady<'a> {
    connection: &'a dyn HttpConnection,
}

impl Future for WriteReady<'_> {
    type Output = Result<(), HttpOutputError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.connection.poll_ready(cx)
    }
}
