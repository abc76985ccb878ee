//! Answers in the application's place: to what is no request, comes too late, or makes the application fail.
//!
//! Rules: a short plain text unless the server's owner shapes it; whoever shapes it decides about headers and body, never about the
//! status, the framing or the end of the connection; nothing of this is on the way of a request that is answered.

use std::cell::OnceCell;
use std::error::Error;
use std::fmt;

use bytes::Bytes;
use landspout_http1::DecodeError;
use landspout_httputil::{HttpHeaders, HttpInputError, HttpOutputError, ResponseStartLine, StatusCode};
use landspout_ioloop::log_panic;

/// Why a server answers a request itself, with an error.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Refusal<'a> {
    /// No proper HTTP/1, or more than a limit allows: 400, 413, 414, 417, 431, 501 or 505.
    Malformed(&'a DecodeError),
    /// The head didn't come in time: 408.
    HeadTimeout,
    /// The body didn't come in time: 408.
    BodyTimeout,
    /// The body came too slowly: 408.
    BodyTooSlow,
    /// A delegate, or a callback, found the request wrong: 400, 413 or 415.
    Input(&'a HttpInputError),
    /// It failed: 500.
    Failed(&'a (dyn Error + 'static)),
    /// It panicked: 500.
    Panicked,
    /// It let go of the request without an answer: 500.
    Unanswered,
}

impl Refusal<'_> {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(error) => error.status(),
            Self::HeadTimeout | Self::BodyTimeout | Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Input(error) => error.status(),
            Self::Failed(_) | Self::Panicked | Self::Unanswered => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::HeadTimeout => f.write_str("timeout reading a request's head"),
            Self::BodyTimeout => f.write_str("timeout reading a request's body"),
            Self::BodyTooSlow => f.write_str("a request's body comes too slowly"),
            Self::Input(error) => error.fmt(f),
            Self::Failed(error) => error.fmt(f),
            Self::Panicked => f.write_str("a request handler panicked"),
            Self::Unanswered => f.write_str("a request handler ended without finishing its response"),
        }
    }
}

/// Headers and body of an error's answer.
///
/// `Date`, `Content-Length` and `Connection: close` are the server's matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorResponse {
    /// Fields beside those of the framing and the connection, which are left out.
    pub headers: HttpHeaders,
    /// The content; not sent in answer to HEAD.
    pub body: Bytes,
}

impl ErrorResponse {
    /// An answer of these fields and that content.
    pub fn new(headers: HttpHeaders, body: impl Into<Bytes>) -> Self {
        Self { headers, body: body.into() }
    }
}

/// What the owner of a server makes of refusals, once it was told.
#[derive(Default)]
pub(crate) struct Shape(OnceCell<Box<Shaper>>);

type Shaper = dyn Fn(&Refusal<'_>) -> ErrorResponse;

/// Writes a whole answer, framed for whom it is for.
pub(crate) type Write<'w> = dyn FnMut(&ResponseStartLine, &HttpHeaders, &[u8]) -> Result<(), HttpOutputError> + 'w;

impl Shape {
    pub(crate) fn new(shape: impl Fn(&Refusal<'_>) -> ErrorResponse + 'static) -> Self {
        Self(OnceCell::from(Box::new(shape) as Box<_>))
    }

    pub(crate) fn set(&self, other: Self) {
        if let Some(shape) = other.0.into_inner() {
            let _ = self.0.set(shape);
        }
    }

    fn call(&self, refusal: &Refusal<'_>) -> Option<ErrorResponse> {
        let shape = self.0.get()?;
        let mut answer = log_panic("while an error's answer was made", || shape(refusal))?;
        for name in ["Connection", "Content-Length", "Date", "Transfer-Encoding", "Trailer", "Upgrade"] {
            answer.headers.remove(name);
        }
        Some(answer)
    }

    /// Writes the answer: the owner's, or where there is none, or one that can't be sent, the status in words.
    #[cold]
    pub(crate) fn write(&self, refusal: &Refusal<'_>, write: &mut Write<'_>) -> Result<(), HttpOutputError> {
        const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
        let start_line = ResponseStartLine::new(refusal.status());
        if let Some(answer) = self.call(refusal) {
            match write(&start_line, &answer.headers, &answer.body) {
                Err(error) if error != HttpOutputError::Closed => {
                    tracing::error!("an error's answer can't be sent: {error}")
                }
                written => return written,
            }
        }
        let body = format!("{} {}\n", start_line.code.as_u16(), start_line.reason());
        write(&start_line, &PLAIN, body.as_bytes())
    }
}
