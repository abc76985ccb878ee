//! What a decoder says: the events, and the head of a request with everything that was decided about it.

use std::ops::Range;

use landspout_httputil::{HttpHeaders, RequestStartLine};

use crate::framing::BodyLength;
use crate::request_line::TargetForm;

/// The outcome of one call of [`RequestDecoder::decode`](crate::RequestDecoder::decode).
#[derive(Debug)]
#[must_use]
pub struct Decoded {
    /// How many bytes at the start of the input are done with. Take them off before the next call, event or not.
    pub consumed: usize,
    /// What these bytes meant. `None`: more bytes are needed.
    pub event: Option<Event>,
}

/// A part of a message, in the order in which they come: a head, data or not, trailers or not, the end.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The start line and the header fields.
    Head(RequestHead),
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
