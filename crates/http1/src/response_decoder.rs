//! `ResponseDecoder`: bytes in, events out, for the responses on one connection. What is behind a head is `message.rs`'s.
//!
//! Rules: no response without a request: what the request was decides where the response ends, and bytes that nobody asked for
//! are an error; heads go the long way (`scan.rs`, `head.rs`), since nobody floods a client with small ones.

use std::rc::Rc;

use landspout_httputil::Method;

use crate::error::DecodeError;
use crate::event::{Decoded, Event, ResponseHead};
use crate::framing::{MethodKind, ResponseSays};
use crate::head;
use crate::limits::Limits;
use crate::message::{Messages, State};
use crate::scan::Block;

/// Reads the responses on one connection: bytes in, [`Event`]s out. The client's counterpart of
/// [`RequestDecoder`](crate::RequestDecoder).
///
/// It has to know what each response answers: a response to HEAD has no body whatever its fields say, and one to CONNECT may end
/// HTTP. Interim responses (1xx) come as a head each, before the head of the final one.
///
/// ```
/// use landspout_http1::{Event, Limits, ResponseDecoder};
/// use landspout_httputil::{Method, StatusCode};
///
/// let mut input = &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..];
/// let mut decoder = ResponseDecoder::new(Limits::default());
/// assert!(decoder.expect(&Method::POST, false));
/// loop {
///     let decoded = decoder.decode(input)?;
///     match decoded.event {
///         Some(Event::Head(head)) if head.is_interim() => assert_eq!(head.start_line.code, StatusCode::CONTINUE),
///         Some(Event::Head(head)) => assert!(head.start_line.code == StatusCode::OK && head.keep_alive),
///         Some(Event::Data(range)) => assert_eq!(&input[range], b"hi"),
///         Some(Event::End) => break,
///         _ => unreachable!("no trailers, and nothing is missing"),
///     }
///     input = &input[decoded.consumed..];
/// }
/// assert!(decoder.expect(&Method::GET, false), "the next request can be sent");
/// # Ok::<(), landspout_http1::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct ResponseDecoder {
    messages: Messages,
    /// The request that the response to come answers.
    request: Option<Request>,
    /// What follows the last head is no HTTP.
    switched: bool,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    method: MethodKind,
    offers_upgrade: bool,
    /// How many bytes of interim responses it has got.
    interim: usize,
}

impl ResponseDecoder {
    /// A decoder for a new connection.
    pub fn new(limits: impl Into<Rc<Limits>>) -> Self {
        Self { messages: Messages::new(limits.into()), request: None, switched: false }
    }

    /// The next response answers a request with this method. `offers_upgrade`: it offers to switch protocols, with an
    /// `Upgrade` field.
    ///
    /// `false`, and nothing changes: the response before isn't over, was faulty, or was the last one of its connection. With
    /// requests that were pipelined, call it for each when the response before is over. The limit of the body is again that of
    /// the [`Limits`].
    pub fn expect(&mut self, method: &Method, offers_upgrade: bool) -> bool {
        if self.switched || matches!(self.messages.state, State::Head) && self.request.is_some() {
            return false;
        }
        let next = self.messages.start_next();
        if next {
            self.request =
                Some(Request { method: MethodKind::of(method.as_str().as_bytes()), offers_upgrade, interim: 0 });
        }
        next
    }

    /// Reads on. `input` is everything that arrived and wasn't consumed yet. At most one event comes back: call again, with
    /// what is left, until there is none.
    ///
    /// A `Content-Length` above the limit fails with the call after the head's, even with no input. After the end of a message
    /// nothing is consumed until [`expect`](Self::expect); behind a head that [`switches`](ResponseHead::switches), nothing
    /// any more: what follows is another protocol's.
    ///
    /// # Errors
    /// [`DecodeError`]. It is final: every later call gives the same one.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded<ResponseHead>, DecodeError> {
        let result = match self.messages.state {
            State::Head => self.decode_head(input),
            _ => self.messages.decode_body(input),
        };
        if let Err(error) = &result {
            self.messages.fail(error);
        }
        result
    }

    /// The input ended, and cleanly: with TLS, by its goodbye. That is the end of a body without a length.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] in the middle of a message, or while one is owed.
    pub fn eof(&mut self) -> Result<Option<Event<ResponseHead>>, DecodeError> {
        // The first byte of a response is owed as much as the others.
        self.messages.head_begun |= self.request.is_some();
        self.messages.eof()
    }

    /// How many bytes the body of the current message may have. Only this one's: call it when its head is there.
    pub fn set_max_body_size(&mut self, bytes: u64) {
        self.messages.max_body_size = bytes;
    }

    /// Whether the current message was read to its end.
    pub fn is_complete(&self) -> bool {
        self.messages.is_complete()
    }

    fn decode_head(&mut self, input: &[u8]) -> Result<Decoded<ResponseHead>, DecodeError> {
        if input.is_empty() {
            return Ok(Decoded { consumed: 0, event: None });
        }
        let Some(request) = &mut self.request else { return Err(DecodeError::Unsolicited) };
        let messages = &mut self.messages;
        let Some(len) = messages.scan_head(input, Block::Response)? else {
            return Ok(Decoded { consumed: 0, event: None });
        };
        let max_headers = messages.limits.max_fields();
        let Request { method, offers_upgrade, .. } = *request;
        let (start_line, says) =
            head::parse_scanned_response(&input[..len], max_headers, &mut messages.storage, method, offers_upgrade)?;
        let ResponseSays { body, keep_alive, switches } = says;
        let head = ResponseHead { start_line, headers: messages.storage.clone(), body, keep_alive, switches };
        if head.is_interim() {
            request.interim += len;
            let limit = messages.limits.max_header_size;
            if request.interim > limit {
                return Err(DecodeError::HeadTooLarge(limit));
            }
        } else {
            self.request = None;
            self.switched = switches;
            messages.keep_alive = keep_alive;
            messages.state = State::of_body(body);
        }
        Ok(Decoded { consumed: len, event: Some(Event::Head(head)) })
    }
}
