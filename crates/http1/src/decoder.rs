//! `RequestDecoder`: bytes in, events out, for the requests of one connection. What is behind a head is `message.rs`'s.

use std::rc::Rc;

use landspout_httputil::{HttpHeaders, RequestStartLine};

use crate::encoder::ResponseEncoder;
use crate::error::DecodeError;
use crate::event::{Decoded, Event, RequestHead};
use crate::first_sight;
use crate::framing::{BodyLength, KnownHost, RequestFraming};
use crate::head;
use crate::limits::Limits;
use crate::message::{Messages, State};
use crate::request_line::TargetForm;
use crate::scan::Block;

/// Reads the requests of one connection: bytes in, [`Event`]s out.
///
/// Hand it everything that arrived and isn't consumed yet; it says how much it consumed and what that meant. Any input cut
/// anywhere gives the same events, except that a body's data may come in other pieces.
///
/// ```
/// use landspout_http1::{Event, Limits, RequestDecoder};
///
/// let mut input = &b"POST /echo HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi"[..];
/// let mut decoder = RequestDecoder::new(Limits::default());
/// loop {
///     let decoded = decoder.decode(input)?;
///     match decoded.event {
///         Some(Event::Head(head)) => assert_eq!(head.start_line.path(), "/echo"),
///         Some(Event::Data(range)) => assert_eq!(&input[range], b"hi"),
///         Some(Event::End) => break,
///         _ => unreachable!("no trailers, and nothing is missing"),
///     }
///     input = &input[decoded.consumed..];
/// }
/// assert!(decoder.start_next() && decoder.is_idle());
/// # Ok::<(), landspout_http1::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct RequestDecoder {
    messages: Messages,
    host: KnownHost,
    /// What the last head says, beside what is in the storage.
    target: TargetForm,
    framing: RequestFraming,
    /// A head as short as this can't have a line that is too long: it takes the fast path.
    short_head: usize,
    /// The one empty line before a request was skipped.
    empty_line_skipped: bool,
}

/// What [`RequestDecoder::decode_head`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadStep {
    /// A head, all of it.
    Complete,
    /// Less than that, perhaps nothing.
    Incomplete,
    /// Something else: [`decode`](RequestDecoder::decode) says what is wrong.
    Faulty,
}

impl RequestDecoder {
    /// A decoder for a new connection.
    pub fn new(limits: impl Into<Rc<Limits>>) -> Self {
        let limits = limits.into();
        Self {
            short_head: first_sight::max_len(&limits),
            messages: Messages::new(limits),
            host: KnownHost::default(),
            target: TargetForm::Origin,
            framing: RequestFraming::default(),
            empty_line_skipped: false,
        }
    }

    /// Starts over for another connection with the same limits. Storage is kept unless it has grown past 8 KiB.
    pub fn reset(&mut self) {
        self.messages.reset();
        self.empty_line_skipped = false;
    }

    /// Reads on. `input` is everything that arrived and wasn't consumed yet. At most one event comes back: call again, with
    /// what is left, until there is none.
    ///
    /// A `Content-Length` above the limit fails with the call after the head's, even with no input: so one can decide before
    /// `100 Continue` is sent, and after the application had its chance to
    /// [raise the limit](Self::set_max_body_size). After the end of a message nothing is consumed until
    /// [`start_next`](Self::start_next). After the last message of a connection everything is consumed and ignored
    /// (RFC 9112, section 9.6).
    ///
    /// # Errors
    /// [`DecodeError`]. It is final: every later call gives the same one.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, DecodeError> {
        if matches!(self.messages.state, State::Head) {
            match self.decode_head(input) {
                (consumed, HeadStep::Complete) => {
                    return Ok(Decoded { consumed, event: Some(Event::Head(self.head())) });
                }
                (consumed, HeadStep::Incomplete) => return Ok(Decoded { consumed, event: None }),
                (_, HeadStep::Faulty) => {}
            }
        }
        self.messages.decode_body(input).inspect_err(|error| self.messages.fail(error))
    }

    /// [`decode`](Self::decode) where a head is due, in two steps: how much was consumed, and whether that completed one, which
    /// [`head`](Self::head) gives then. Nothing is moved this way, which is much of the work on a small head. Where none is due,
    /// nothing happens.
    #[inline(always)]
    pub fn decode_head(&mut self, input: &[u8]) -> (usize, HeadStep) {
        if !matches!(self.messages.state, State::Head) {
            return (0, HeadStep::Incomplete);
        }
        // As after every request that came alone.
        let Some(first) = input.first() else { return (0, HeadStep::Incomplete) };
        // First sight of a head: usually all of it is there.
        if !self.messages.head_begun && *first > b'\r' {
            let short = &input[..input.len().min(self.short_head)];
            let Messages { limits, storage, .. } = &mut self.messages;
            if let Some(len) = first_sight::read(short, limits, storage, &mut self.host, &mut self.framing) {
                self.target = TargetForm::Origin;
                self.begin();
                return (len, HeadStep::Complete);
            }
        }
        match self.decode_head_slowly(input) {
            Ok((consumed, true)) => (consumed, HeadStep::Complete),
            Ok((consumed, false)) => (consumed, HeadStep::Incomplete),
            Err(error) => {
                self.messages.fail(&error);
                (0, HeadStep::Faulty)
            }
        }
    }

    /// An encoder for the responses to the current message.
    #[inline(always)]
    pub fn response_encoder(&self) -> ResponseEncoder {
        ResponseEncoder::to(self.framing.to, self.framing.keep_alive, self.framing.upgrade)
    }

    /// The start line of the current message.
    #[inline(always)]
    pub fn start_line(&self) -> RequestStartLine {
        self.messages.storage.request_start_line()
    }

    /// The fields of the current message's head.
    #[inline(always)]
    pub fn headers(&self) -> HttpHeaders {
        self.messages.storage.clone()
    }

    /// How long the body of the current message is.
    #[inline(always)]
    pub fn body(&self) -> BodyLength {
        self.framing.body
    }

    /// Whether the client waits for `100 Continue` before it sends the body of the current message.
    #[inline]
    pub fn expect_continue(&self) -> bool {
        self.framing.expect_continue
    }

    /// The head of the current message, all of it. Before there is one, it is an empty one.
    #[inline]
    pub fn head(&self) -> RequestHead {
        let RequestFraming { body, keep_alive, expect_continue, upgrade, .. } = self.framing;
        RequestHead {
            start_line: self.start_line(),
            headers: self.headers(),
            target: self.target,
            body,
            keep_alive,
            expect_continue,
            upgrade,
        }
    }

    /// The input ended. `Ok`: between messages, or after the last byte of one, whose [`Event::End`] may still be due.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] in the middle of a message.
    pub fn eof(&mut self) -> Result<Option<Event>, DecodeError> {
        self.messages.eof()
    }

    /// Gets ready for the next message. `false`: there is none, because the last one said so, or isn't over, or was faulty.
    ///
    /// The limit of the body is again that of the [`Limits`].
    #[inline]
    pub fn start_next(&mut self) -> bool {
        self.messages.start_next()
    }

    /// How many bytes the body of the current message may have. Only this one's: call it when its head is there.
    #[inline]
    pub fn set_max_body_size(&mut self, bytes: u64) {
        self.messages.max_body_size = bytes;
    }

    /// Whether this is a moment between messages, with nothing of the next one seen but an empty line.
    #[inline]
    pub fn is_idle(&self) -> bool {
        matches!(self.messages.state, State::Head) && !self.messages.head_begun
    }

    /// Whether the one empty line that may precede a request was skipped, and no request came yet.
    #[inline]
    pub fn empty_line_skipped(&self) -> bool {
        self.empty_line_skipped
    }

    /// For a decoder that takes up a connection where [`empty_line_skipped`](Self::empty_line_skipped) was true.
    pub fn set_empty_line_skipped(&mut self) {
        self.empty_line_skipped = true;
    }

    /// Whether the current message was read to its end.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.messages.is_complete()
    }

    /// Hands out the storage of the heads, so that an idle connection holds none; the next head makes new storage unless
    /// [`set_storage`](Self::set_storage) gives it some first.
    pub fn take_storage(&mut self) -> HttpHeaders {
        std::mem::take(&mut self.messages.storage)
    }

    /// Gives the decoder storage to copy the next heads to. Its fields are forgotten.
    pub fn set_storage(&mut self, storage: HttpHeaders) {
        self.messages.storage = storage;
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.messages.limits
    }

    /// Begins the message whose head was read.
    #[inline(always)]
    fn begin(&mut self) {
        self.messages.keep_alive = self.framing.keep_alive;
        self.messages.state = State::End;
        if self.framing.body != BodyLength::None {
            self.messages.state = State::of_body(self.framing.body);
        }
        self.empty_line_skipped = false;
    }

    /// A head that is not complete, not right, or not short.
    #[cold]
    fn decode_head_slowly(&mut self, input: &[u8]) -> Result<(usize, bool), DecodeError> {
        let messages = &mut self.messages;
        let mut skipped = 0;
        if messages.scan.is_fresh() && !self.empty_line_skipped {
            // RFC 9112, section 2.2: one empty line before a request may be ignored. It is consumed at once, so that an idle
            // connection holds no buffer because of it.
            match input {
                [b'\r', b'\n', ..] => {
                    self.empty_line_skipped = true;
                    messages.head_begun = false;
                    skipped = 2;
                }
                [b'\r'] => {
                    messages.head_begun = true;
                    return Ok((0, false));
                }
                _ => {}
            }
        }
        let input = &input[skipped..];
        if input.is_empty() {
            return Ok((skipped, false));
        }
        let Some(len) = messages.scan_head(input, Block::Request)? else { return Ok((skipped, false)) };
        let max_headers = messages.limits.max_fields();
        let storage = &mut messages.storage;
        (self.target, self.framing) = head::parse_scanned_request(&input[..len], max_headers, storage)?;
        self.begin();
        Ok((skipped + len, true))
    }
}

/// What the tests count instead of measuring time.
#[cfg(test)]
pub(crate) mod count {
    use std::cell::Cell;

    thread_local! {
        /// Bytes that the search for a blank line looked at.
        pub(crate) static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
        /// Heads handed to httparse.
        pub(crate) static PARSED: Cell<usize> = const { Cell::new(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes looked at and heads parsed while `input` comes in pieces of `step` bytes; it has to be one whole message.
    fn cost(input: &[u8], step: usize) -> (usize, usize) {
        count::LOOKED_AT.set(0);
        count::PARSED.set(0);
        let mut decoder = RequestDecoder::new(Limits::default());
        let mut done = 0;
        for end in (step..input.len() + step).step_by(step) {
            loop {
                let decoded = decoder.decode(&input[done..end.min(input.len())]).unwrap();
                done += decoded.consumed;
                if decoded.event.is_none() {
                    break;
                }
            }
        }
        assert!(decoder.is_complete() && done == input.len());
        (count::LOOKED_AT.get(), count::PARSED.get())
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_costs_linear_work() {
        for filler in [10, 1_000, 60_000] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(filler));
            // Every byte once, and then all of it once more.
            assert_eq!(cost(head.as_bytes(), 1), (head.len(), 1));
            assert_eq!(cost(head.as_bytes(), 7), (head.len(), 1));
            // In one piece a short head needs no search at all.
            let whole = if filler <= 1_000 { (0, 0) } else { (head.len(), 1) };
            assert_eq!(cost(head.as_bytes(), head.len()), whole);
        }
    }

    #[test]
    fn trailers_that_come_byte_by_byte_cost_linear_work() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for filler in [10, 1_000, 10_000] {
            let trailers = format!("X: {}\r\n\r\n", "y".repeat(filler));
            let input = format!("{head}0\r\n{trailers}");
            assert_eq!(cost(input.as_bytes(), 1), (head.len() + trailers.len(), 1));
            assert_eq!(cost(input.as_bytes(), input.len()), (trailers.len(), 0));
        }
    }
}
