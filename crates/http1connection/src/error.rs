//! Why a response couldn't be read.

use std::error::Error;
use std::fmt;

use landspout_http1::DecodeError;
use landspout_httputil::BoxError;
use landspout_iostream::CloseCause;

/// A response that couldn't be read to its end: see
/// [`read_response`](crate::Http1ClientConnection::read_response).
///
/// A gateway answers [`HeaderTimeout`](Self::HeaderTimeout) with 504 and what else the server is to blame for with 502.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponseError {
    /// The server sent what is no proper HTTP/1, or more than a limit allows.
    Malformed(DecodeError),
    /// The connection was closed before the response was complete: by the cause; without one, cleanly by the server, or by this
    /// side.
    Closed(Option<CloseCause>),
    /// The head wasn't there in time (`header_timeout`).
    HeaderTimeout,
    /// The body wasn't there in time (`body_timeout`).
    BodyTimeout,
    /// The body came too slowly (`min_body_rate`).
    BodyTooSlow,
    /// The delegate failed. Equal to another one with the same text.
    Delegate(BoxError),
    /// No request was sent that could be answered. The connection stays as it was.
    NoRequest,
    /// The response is being read already. The connection stays as it was.
    AlreadyReading,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(DecodeError::Truncated) => {
                "the server closed the connection before the response was complete"
            }
            Self::Malformed(_) => "malformed response",
            Self::Closed(_) => "the connection was closed before the response was complete",
            Self::HeaderTimeout => "timeout waiting for a response",
            Self::BodyTimeout => "timeout reading a response's body",
            Self::BodyTooSlow => "a response's body comes too slowly",
            Self::Delegate(_) => "the delegate of a response failed",
            Self::NoRequest => "no request was sent",
            Self::AlreadyReading => "the response is being read already",
        })
    }
}

impl Error for ResponseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed(cause) => Some(cause),
            Self::Closed(cause) => cause.as_ref().map(|cause| cause as &dyn Error),
            Self::Delegate(cause) => Some(&**cause),
            _ => None,
        }
    }
}

impl PartialEq for ResponseError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Malformed(a), Self::Malformed(b)) => a == b,
            (Self::Closed(a), Self::Closed(b)) => a == b,
            (Self::Delegate(a), Self::Delegate(b)) => a.to_string() == b.to_string(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl From<DecodeError> for ResponseError {
    fn from(cause: DecodeError) -> Self {
        Self::Malformed(cause)
    }
}
