//! `detach`: the application takes the stream, and HTTP ends on it.
//!
//! Rules: a refused `detach` has changed nothing; after a granted one nothing in here reads, writes, closes or awaits the
//! stream, whatever becomes of the delegate; what was read and isn't part of the request stays in the stream.

use std::error::Error;
use std::fmt;

use landspout_httputil::{HttpConnection, HttpServerRequest};
use landspout_iostream::IoStream;

use crate::connection::{Http1Connection, Stage};

/// Takes the stream away from HTTP, for a WebSocket, a tunnel, or any other protocol that begins with a request.
///
/// It is there for requests and for the connections that delegates get; [`HttpConnection`] itself knows nothing of streams.
///
/// ```
/// use landspout_http1connection::Detach;
/// use landspout_httputil::{BoxError, HttpHeaders, HttpServerRequest, ResponseStartLine, StatusCode};
///
/// /// Answers `Connection: Upgrade` with `Upgrade: echo`, then gives each line back.
/// async fn upgrade(request: HttpServerRequest) -> Result<(), BoxError> {
///     const ECHO: HttpHeaders = HttpHeaders::from_static(&[("Upgrade", "echo")]);
///     let switching = ResponseStartLine::new(StatusCode::SWITCHING_PROTOCOLS);
///     request.connection().write_headers(&switching, &ECHO, b"")?;
///     let stream = request.detach()?;
///     drop(request);
///     while let Ok(line) = stream.read_until(b"\n", Some(1000)).await {
///         stream.write(&line)?;
///     }
///     Ok(())
/// }
/// # let _ = upgrade;
/// ```
pub trait Detach {
    /// Takes the stream: HTTP ends on this connection, and all that comes is the caller's, the bytes included that the
    /// client has sent behind the request already.
    ///
    /// Write the answer that announces the change before: 101 to an upgrade, 2xx to CONNECT; it leaves ahead of what is written
    /// to the stream. Or write none, and say in the other protocol's words what there is to say. Any other response, whole or in
    /// part, stands against it.
    ///
    /// A delegate calls it in `headers_received`: then nothing of a body was read, and neither `finish` nor `on_connection_close`
    /// follows. Once the body was read to its end it works, too, so a callback can use it. It may be called later and from
    /// another task, as long as the request isn't over.
    ///
    /// The connection leaves the server's live set at once: `on_close` is called, `close_all_connections` doesn't touch
    /// it any more. Where a limit of connections counts sockets, it counts as long as it is open. The call of the delegate that
    /// is under way goes on to its end, however long that takes; nobody watches the peer for it. The stream keeps its options,
    /// the limits of its buffers and the `send_timeout` among them, and no deadline of HTTP. It closes as any other, with its last
    /// handle at the latest, and the request's connection counts as one.
    ///
    /// # Errors
    /// [`DetachError`]; nothing has changed then.
    fn detach(&self) -> Result<IoStream, DetachError>;
}

impl Detach for Http1Connection {
    fn detach(&self) -> Result<IoStream, DetachError> {
        self.take_stream()
    }
}

impl Detach for dyn HttpConnection + '_ {
    fn detach(&self) -> Result<IoStream, DetachError> {
        let connection = self.as_any().and_then(|connection| connection.downcast_ref::<Http1Connection>());
        connection.ok_or(DetachError::NotHttp1)?.take_stream()
    }
}

impl Detach for HttpServerRequest {
    fn detach(&self) -> Result<IoStream, DetachError> {
        self.connection().detach()
    }
}

/// Why a stream was not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DetachError {
    /// The connection is closed.
    Closed,
    /// It was detached before.
    AlreadyDetached,
    /// The request is over: a response other than 101, or 2xx to CONNECT, was written to its end, or the server has given it up.
    TooLate,
    /// A part of such a response is on its way; whatever followed it would be taken for its rest.
    ResponseUnfinished,
    /// A part of the request's body was read, and the rest, with its framing, is still to come.
    BodyUnfinished,
    /// The connection is none of HTTP/1.
    NotHttp1,
}

impl fmt::Display for DetachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::AlreadyDetached => "the stream was detached already",
            Self::TooLate => "the request is over, too late to detach the stream",
            Self::ResponseUnfinished => "a response was begun, the stream can't be detached in the middle of it",
            Self::BodyUnfinished => {
                "the request's body was read in part, the stream can't be detached in the middle of it"
            }
            Self::NotHttp1 => "a connection that is not HTTP/1 has no stream to detach",
        })
    }
}

impl Error for DetachError {}

impl Http1Connection {
    #[cold]
    fn take_stream(&self) -> Result<IoStream, DetachError> {
        let link = self.link();
        match link.stage.get() {
            Stage::Serving => {}
            Stage::Detaching | Stage::Detached => return Err(DetachError::AlreadyDetached),
            Stage::Over | Stage::Answered => return Err(DetachError::TooLate),
        }
        if link.stream.closed() {
            return Err(DetachError::Closed);
        }
        let tunnel = self.is_tunnel();
        if self.is_finished() && !tunnel {
            return Err(DetachError::TooLate);
        }
        if self.head_sent() && !tunnel {
            return Err(DetachError::ResponseUnfinished);
        }
        if self.receiving.get() {
            return Err(DetachError::BodyUnfinished);
        }
        link.stage.set(Stage::Detaching);
        link.deadline.clear();
        let stream = link.stream.clone();
        self.hand_over();
        // The connection's task has to tell that the connection has gone, and must not be the stream's reader.
        stream.wake_reader();
        Ok(stream)
    }
}
