//! What a decoder says: the events, and the head of a message with everything that was decided about it.

use std::ops::Range;

use landspout_httputil::{HttpHeaders, RequestStartLine, ResponseStartLine};

use crate::framing::BodyLength;
use crate::request_line::TargetForm;

/// The outcome of one call of [`RequestDecoder::decode`](crate::RequestDecoder::decode) or
/// [`ResponseDecoder::decode`](crate::ResponseDecoder::decode); `H` is the kind of head.
#[derive(Debug)]
#[must_use]
pub struct Decoded<H = RequestHead> {
    /// How many bytes at the start of the input are done with. Take them off before the next call, event or not.
    pub consumed: usize,
    /// What these bytes meant. `None`: more bytes are needed.
    pub event: Option<Event<H>>,
}

/// A part of a message, in the order in which they come: a head, data or not, trailers or not, the end.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<H = RequestHead> {
    /// The start line and the header fields.
    Head(H),
    /// A piece of the body, never empty: this range of the input, which lies within `consumed`.
    Data(Range<usize>),
    /// The trailer fields of a chunked body; not there when there are none.
    Trailers(HttpHeaders),
    /// The message is complete.
    End,
}

/// The head of a request, with what it says about the message and the connection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestHead {
    /// Method, target and version. An HTTP/1.x with x > 1 is read as 1.1 (RFC 9110, section 2.5).
    pub start_line: RequestStartLine,
    /// The header fields. With a target in absolute-form, the value of `Host` is the target's authority, whatever was
    /// sent (RFC 9112, section 3.2.2).
    pub headers: HttpHeaders,
    /// The form of the target.
    pub target: TargetForm,
    /// How long the body is.
    pub body: BodyLength,
    /// Whether the peer wants the connection kept open (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// Whether the peer waits for `100 Continue` before it sends the body, which is not empty (RFC 9110, section 10.1.1).
    pub expect_continue: bool,
    /// Whether the peer offers to switch protocols (RFC 9110, section 7.8). The offer is in the `Upgrade` field.
    pub upgrade: bool,
}

/// The head of a response, with what it says about the message and the connection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResponseHead {
    /// Version, status and reason. An HTTP/1.x with x > 1 is read as 1.1. A reason that isn't UTF-8 is read as Latin-1.
    pub start_line: ResponseStartLine,
    /// The header fields.
    pub headers: HttpHeaders,
    /// How long the body is. `None` also where a `Content-Length` says how long another one would be: in answer to HEAD, and
    /// with 304.
    pub body: BodyLength,
    /// Whether the server keeps the connection open (RFC 9112, section 9.3), and HTTP goes on there.
    pub keep_alive: bool,
    /// Whether what follows is no HTTP: 101 to an offer, 2xx to CONNECT.
    pub switches: bool,
}

impl ResponseHead {
    /// Whether another response to the same request follows (RFC 9110, section 15.2): 1xx, but for the 101 that ends HTTP.
    pub fn is_interim(&self) -> bool {
        self.start_line.code.is_informational() && !self.switches
    }
}
