//! Everything of a message behind its head, and the way from one message to the next: the one place where a connection's
//! reading side changes its state, whichever side it is.
//!
//! ```text
//!            head without body                       start_next
//! Head ────────────────────────────► End ──────► Done ─────────► Head, or Closed after the last message
//!  │ head with body                   ▲ End event
//!  └► Fixed / Chunked / UntilClose ───┘
//! any state: an error ► Failed;  end of input ► Closed, or End after UntilClose
//! ```
//!
//! Rules: an error is final; between two messages nothing is kept but storage; every limit is checked before the bytes it
//! limits are taken. Heads are the decoders' matter (`decoder.rs`, `response_decoder.rs`).

use std::rc::Rc;

use landspout_httputil::HttpHeaders;

use crate::chunked::{ChunkedDecoder, Found};
use crate::error::DecodeError;
use crate::event::{Decoded, Event};
use crate::framing::BodyLength;
use crate::head;
use crate::limits::Limits;
use crate::scan::{Block, LineScan};

/// The messages of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) limits: Rc<Limits>,
    /// What the heads are copied to. Used again unless the application kept a head.
    pub(crate) storage: HttpHeaders,
    /// Of a head or trailer section that came in pieces: how far the search for its end got.
    pub(crate) scan: LineScan,
    pub(crate) state: State,
    pub(crate) max_body_size: u64,
    /// Something of a head is there that isn't consumed.
    pub(crate) head_begun: bool,
    pub(crate) keep_alive: bool,
}

/// What a decoder between connections keeps for the next head. Usual heads fit; a large one shall not stay resident.
const KEPT_STORAGE: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) enum State {
    Head,
    Fixed {
        remaining: u64,
        /// What `Content-Length` says: the limit can be changed until the body was read.
        length: u64,
    },
    Chunked(ChunkedDecoder),
    UntilClose {
        taken: u64,
    },
    /// Everything was read, the `End` event is due.
    End,
    /// The message is over.
    Done,
    /// Nothing that follows is a message.
    Closed,
    Failed(Box<DecodeError>),
}

impl State {
    /// Behind a head that announces such a body.
    #[inline(never)]
    pub(crate) fn of_body(body: BodyLength) -> Self {
        match body {
            BodyLength::None | BodyLength::Fixed(0) => Self::End,
            BodyLength::Fixed(length) => Self::Fixed { remaining: length, length },
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new()),
            BodyLength::UntilClose => Self::UntilClose { taken: 0 },
        }
    }
}

impl Messages {
    pub(crate) fn new(limits: Rc<Limits>) -> Self {
        Self {
            max_body_size: limits.max_body_size,
            limits,
            storage: HttpHeaders::new(),
            scan: LineScan::default(),
            state: State::Head,
            head_begun: false,
            keep_alive: true,
        }
    }

    pub(crate) fn reset(&mut self) {
        if self.storage.capacity() > KEPT_STORAGE {
            self.storage = HttpHeaders::new();
        }
        self.scan = LineScan::default();
        self.state = State::Head;
        self.max_body_size = self.limits.max_body_size;
        self.head_begun = false;
        self.keep_alive = true;
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::End | State::Done)
    }

    /// Gets ready for the next message's head. `false`: none follows, or the one before isn't over.
    #[inline]
    pub(crate) fn start_next(&mut self) -> bool {
        // Behind a head without a body.
        if !matches!(self.state, State::End) {
            return self.start_next_of_others();
        }
        self.max_body_size = self.limits.max_body_size;
        self.state = State::Head;
        self.keep_alive || self.close()
    }

    #[inline(never)]
    fn start_next_of_others(&mut self) -> bool {
        if !matches!(self.state, State::Done) {
            return matches!(self.state, State::Head) && !self.head_begun;
        }
        self.state = State::End;
        self.start_next()
    }

    /// What comes now is no message.
    #[cold]
    fn close(&mut self) -> bool {
        self.state = State::Closed;
        false
    }

    /// Looks for the end of a head. Its length, once all of it is there.
    pub(crate) fn scan_head(&mut self, input: &[u8], block: Block) -> Result<Option<usize>, DecodeError> {
        self.head_begun = true;
        let Some(len) = self.scan.advance(input, block, &self.limits)? else { return Ok(None) };
        self.scan = LineScan::default();
        self.head_begun = false;
        Ok(Some(len))
    }

    #[inline(never)]
    pub(crate) fn decode_body<H>(&mut self, input: &[u8]) -> Result<Decoded<H>, DecodeError> {
        match &mut self.state {
            State::Fixed { remaining, length } => {
                // At once, before a single byte of it is taken.
                if *length > self.max_body_size {
                    return Err(DecodeError::BodyTooLarge(self.max_body_size));
                }
                let len = usize::try_from(*remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
                if len == 0 {
                    return Ok(Decoded { consumed: 0, event: None });
                }
                *remaining -= len as u64;
                if *remaining == 0 {
                    self.state = State::End;
                }
                Ok(Decoded { consumed: len, event: Some(Event::Data(0..len)) })
            }
            State::Chunked(chunks) => {
                let consumed = match chunks.decode(input, &self.limits, self.max_body_size)? {
                    Found::Nothing => return Ok(Decoded { consumed: input.len(), event: None }),
                    Found::Data(range) => return Ok(Decoded { consumed: range.end, event: Some(Event::Data(range)) }),
                    Found::Trailers(at) => at,
                };
                self.decode_trailers(consumed, &input[consumed..])
            }
            State::UntilClose { taken } => {
                if input.is_empty() {
                    return Ok(Decoded { consumed: 0, event: None });
                }
                let room = self.max_body_size.saturating_sub(*taken);
                let len = usize::try_from(room).map_or(input.len(), |room| room.min(input.len()));
                if len == 0 {
                    return Err(DecodeError::BodyTooLarge(self.max_body_size));
                }
                *taken += len as u64;
                Ok(Decoded { consumed: len, event: Some(Event::Data(0..len)) })
            }
            State::End => {
                self.state = State::Done;
                Ok(Decoded { consumed: 0, event: Some(Event::End) })
            }
            State::Head | State::Done => Ok(Decoded { consumed: 0, event: None }),
            State::Closed => Ok(Decoded { consumed: input.len(), event: None }),
            State::Failed(error) => Err((**error).clone()),
        }
    }

    /// The trailer section, `consumed` bytes behind the start of the input.
    fn decode_trailers<H>(&mut self, consumed: usize, block: &[u8]) -> Result<Decoded<H>, DecodeError> {
        if block.is_empty() {
            return Ok(Decoded { consumed, event: None });
        }
        let Some(len) = self.scan.advance(block, Block::Trailers, &self.limits)? else {
            return Ok(Decoded { consumed, event: None });
        };
        self.scan = LineScan::default();
        let event = if len == 2 {
            self.state = State::Done;
            Event::End
        } else {
            let trailers = head::parse_scanned_trailers(&block[..len], self.limits.max_fields())?;
            self.state = State::End;
            Event::Trailers(trailers)
        };
        Ok(Decoded { consumed: consumed + len, event: Some(event) })
    }

    /// The input ended.
    pub(crate) fn eof<H>(&mut self) -> Result<Option<Event<H>>, DecodeError> {
        match self.state {
            State::Failed(ref error) => return Err((**error).clone()),
            State::End | State::UntilClose { .. } => {
                self.state = State::Done;
                self.keep_alive = false;
                return Ok(Some(Event::End));
            }
            State::Fixed { .. } | State::Chunked(_) => {}
            State::Head if self.head_begun => {}
            State::Head | State::Done | State::Closed => {
                self.state = State::Closed;
                return Ok(None);
            }
        }
        self.fail(&DecodeError::Truncated);
        Err(DecodeError::Truncated)
    }

    #[cold]
    pub(crate) fn fail(&mut self, error: &DecodeError) {
        if !matches!(self.state, State::Failed(_)) {
            self.state = State::Failed(Box::new(error.clone()));
        }
        self.storage = HttpHeaders::new();
    }
}
