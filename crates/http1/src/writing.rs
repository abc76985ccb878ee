//! How far a message on its way out was written, and what may follow: the one place where a writing side changes its state,
//! whichever side it is.
//!
//! ```text
//!        head                                        data…        finish
//! Idle ────────► NoBody / Head / Fixed / Chunked / UntilClose ──────► Done
//!  │ ▲ 1xx (any number)                                                ▲
//!  └─┘            a whole message, or a head with 101 ─────────────────┘
//! ```
//! From all but `Done` a message can be broken off.
//!
//! Rules: when a call fails, nothing was appended and nothing has changed. Which state a head leads to, `framing.rs` decides.

use landspout_httputil::HttpOutputError;

use crate::framed::Framed;

/// The state of one message.
#[derive(Clone, Debug)]
pub(crate) enum Writing {
    Idle,
    /// No body may be sent, and none was.
    NoBody,
    /// An answer to HEAD: the body is counted and not sent.
    Head {
        length: Option<u64>,
        written: u64,
    },
    Fixed {
        length: u64,
        written: u64,
    },
    Chunked,
    UntilClose,
    Done,
    /// The rest will never come.
    BrokenOff,
}

impl Writing {
    #[inline]
    pub(crate) fn check_idle(&self) -> Result<(), HttpOutputError> {
        match self {
            Self::Idle => Ok(()),
            Self::Done => Err(HttpOutputError::AlreadyFinished),
            Self::BrokenOff => Err(HttpOutputError::Closed),
            _ => Err(HttpOutputError::HeadersAlreadySent),
        }
    }

    #[inline]
    pub(crate) fn head_sent(&self) -> bool {
        !matches!(self, Self::Idle)
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Frames a piece of the body. An empty one is nothing.
    #[inline]
    pub(crate) fn data<'a>(&mut self, chunk: &'a [u8]) -> Result<Framed<'a>, HttpOutputError> {
        let nothing = Framed::plain(&chunk[..0]);
        match self {
            Self::Idle => Err(HttpOutputError::HeadersNotSent),
            Self::Done => Err(HttpOutputError::AlreadyFinished),
            Self::BrokenOff => Err(HttpOutputError::Closed),
            _ if chunk.is_empty() => Ok(nothing),
            Self::NoBody => Err(HttpOutputError::BodyNotAllowed),
            Self::Head { length, written } => {
                count(length.unwrap_or(u64::MAX), written, chunk)?;
                Ok(nothing)
            }
            Self::Fixed { length, written } => {
                count(*length, written, chunk)?;
                Ok(Framed::plain(chunk))
            }
            Self::Chunked => Ok(Framed::chunk_of(chunk)),
            Self::UntilClose => Ok(Framed::plain(chunk)),
        }
    }

    /// Ends the message.
    #[inline]
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), HttpOutputError> {
        match *self {
            Self::Idle => return Err(HttpOutputError::HeadersNotSent),
            Self::Done => return Err(HttpOutputError::AlreadyFinished),
            Self::BrokenOff => return Err(HttpOutputError::Closed),
            Self::Head { written: 0, .. } => {}
            Self::Fixed { length, written } | Self::Head { length: Some(length), written } if written < length => {
                return Err(HttpOutputError::BodyTooShort { content_length: length, written });
            }
            Self::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
            Self::NoBody | Self::Head { .. } | Self::Fixed { .. } | Self::UntilClose => {}
        }
        *self = Self::Done;
        Ok(())
    }
}

/// Counts a piece of a body, if it fits.
#[inline]
fn count(length: u64, written: &mut u64, chunk: &[u8]) -> Result<(), HttpOutputError> {
    let attempted = written.saturating_add(chunk.len() as u64);
    if attempted > length {
        return Err(HttpOutputError::BodyTooLong { content_length: length, attempted });
    }
    *written = attempted;
    Ok(())
}
