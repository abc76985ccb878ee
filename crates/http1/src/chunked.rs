//! Chunked bodies (RFC 9112, section 7.1), byte by byte: chunk lines with extensions, data, and where the trailers begin.
//!
//! Rules: everything that was looked at is consumed, so nothing is looked at twice however the input is cut; the grammar is
//! taken by the letter, bad whitespace only where it says BWS; extensions are checked and ignored. What a chunk's line
//! says counts when the line is complete.

use std::ops::Range;

use landspout_httputil::is_token;

use crate::error::DecodeError;
use crate::limits::Limits;

/// Where in the body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first digit of a size.
    SizeStart,
    Size,
    /// BWS behind a size or an extension: a semicolon has to follow.
    BeforeSemicolon,
    /// Behind a semicolon: BWS, then a name.
    NameStart,
    Name,
    /// BWS behind a name: `=` or a semicolon has to follow.
    NameEnd,
    /// Behind `=`: BWS, then a token or a quoted string.
    ValueStart,
    Token,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
    /// Behind a quoted string: nothing else belongs to the value.
    ValueEnd,
    /// The LF of a chunk's line.
    LineFeed,
    Data,
    DataCr,
    DataLf,
    /// Behind the last chunk's line.
    Trailers,
}

/// As many digits as a size of 64 bits may have. Zeros beyond that are no better than extensions, and count with them.
const PLAIN_SIZE: usize = 16;

/// The state of one chunked body.
#[derive(Clone, Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// Of the line: the size so far. Of data: what is left.
    size: u64,
    /// All chunks so far, this one included.
    total: u64,
    line: usize,
    extensions: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Everything was consumed, more is needed.
    Nothing,
    /// Data, whose end is the end of what was consumed.
    Data(Range<usize>),
    /// The last chunk ends here: the trailer section begins.
    Trailers(usize),
}

impl ChunkedDecoder {
    pub(crate) fn new() -> Self {
        Self { state: State::SizeStart, size: 0, total: 0, line: 0, extensions: 0 }
    }

    pub(crate) fn decode(&mut self, input: &[u8], limits: &Limits, max_body: u64) -> Result<Found, DecodeError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Data => {
                    // At least one: a chunk without data is the last.
                    let len = usize::try_from(self.size).map_or(input.len() - at, |size| size.min(input.len() - at));
                    self.size -= len as u64;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Found::Data(at..at + len));
                }
                State::Trailers => return Ok(Found::Trailers(at)),
                State::LineFeed if byte == b'\n' => self.end_line(max_body)?,
                State::LineFeed => return Err(DecodeError::BareCarriageReturn),
                State::DataCr if byte == b'\r' => self.state = State::DataLf,
                State::DataLf if byte == b'\n' => self.start_line(),
                State::DataCr | State::DataLf => return Err(DecodeError::ChunkEnd(byte)),
                _ => self.line_byte(byte, limits)?,
            }
            at += 1;
        }
        Ok(if self.state == State::Trailers { Found::Trailers(at) } else { Found::Nothing })
    }

    fn start_line(&mut self) {
        self.state = State::SizeStart;
        self.size = 0;
        self.line = 0;
    }

    fn end_line(&mut self, max_body: u64) -> Result<(), DecodeError> {
        // The sum is checked before it is made.
        if self.size > max_body.saturating_sub(self.total) {
            return Err(DecodeError::BodyTooLarge(max_body));
        }
        self.total += self.size;
        self.state = if self.size == 0 { State::Trailers } else { State::Data };
        Ok(())
    }

    /// A byte of `chunk-size [ chunk-ext ] CRLF` before its LF, where
    /// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
    fn line_byte(&mut self, byte: u8, limits: &Limits) -> Result<(), DecodeError> {
        use State::*;
        let next = match (self.state, byte) {
            (SizeStart | Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from(match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                });
                if self.size >> 60 != 0 {
                    return Err(DecodeError::ChunkSize(byte));
                }
                self.size = self.size << 4 | digit;
                Size
            }
            (Size | Name | Token | ValueEnd, b'\r') => LineFeed,
            (Size | BeforeSemicolon | Name | NameEnd | Token | ValueEnd, b';') => NameStart,
            (Size | BeforeSemicolon | Token | ValueEnd, b' ' | b'\t') => BeforeSemicolon,
            (_, b'\n') => return Err(DecodeError::BareLineFeed),
            (SizeStart | Size, _) => return Err(DecodeError::ChunkSize(byte)),
            (NameStart, b' ' | b'\t') => NameStart,
            (NameStart | Name, _) if is_token(&[byte]) => Name,
            (Name | NameEnd, b' ' | b'\t') => NameEnd,
            (Name | NameEnd, b'=') => ValueStart,
            (ValueStart, b' ' | b'\t') => ValueStart,
            (ValueStart, b'"') => Quoted,
            (ValueStart | Token, _) if is_token(&[byte]) => Token,
            (Quoted, b'"') => ValueEnd,
            (Quoted, b'\\') => Escaped,
            // RFC 9110, section 5.6.4: both take HTAB, SP, visible ASCII and above.
            (Quoted | Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quoted,
            _ => return Err(DecodeError::ChunkExtension(byte)),
        };
        if next != LineFeed {
            self.line += 1;
            if self.line > limits.max_chunk_line {
                return Err(DecodeError::ChunkLineTooLong(limits.max_chunk_line));
            }
            if next != Size || self.line > PLAIN_SIZE {
                self.extensions += 1;
                if self.extensions > limits.max_chunk_extensions {
                    return Err(DecodeError::ChunkLineTooLong(limits.max_chunk_extensions));
                }
            }
        }
        self.state = next;
        Ok(())
    }
}
