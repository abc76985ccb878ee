//! The search for the blank line that ends a head or a trailer section, for input that comes in pieces.
//!
//! Rules: each byte is looked at once, however the input is cut; what is wrong is reported as soon as the byte that is
//! wrong (a control character, a bare CR or LF, a byte too many) or the line that is wrong is there. So the outcome depends
//! on the bytes alone, not on the cuts, and garbage is answered without waiting for a blank line that never comes.
//!
//! This is also who says what is wrong with a head that the fast path (`head.rs`) refused at first sight.

use landspout_httputil::is_token;

use crate::error::{DecodeError, shortened};
use crate::limits::Limits;
use crate::{request_line, status_line};

/// What the first line has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A request line; fields follow.
    Request,
    /// A status line; fields follow.
    Response,
    /// A field already: a trailer section.
    Trailers,
}

/// How far the search got.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineScan {
    /// Everything before was looked at.
    pos: usize,
    line_start: usize,
    lines: usize,
    /// The byte before `pos` is a CR.
    cr: bool,
}

impl LineScan {
    /// Whether nothing was looked at yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.pos == 0
    }

    /// Looks at what is new in `input`, which begins where it began at the call before, and is longer by what arrived since.
    /// Returns the length of the block with its blank line once that is there.
    pub(crate) fn advance(
        &mut self,
        input: &[u8],
        block: Block,
        limits: &Limits,
    ) -> Result<Option<usize>, DecodeError> {
        let max_size = match block {
            Block::Request | Block::Response => limits.max_header_size,
            Block::Trailers => limits.max_trailer_size,
        };
        let window = &input[..input.len().min(max_size)];
        while let Some(&byte) = window.get(self.pos) {
            let at = self.pos;
            self.pos += 1;
            #[cfg(test)]
            crate::decoder::count::LOOKED_AT.with(|n| n.set(n.get() + 1));
            if self.cr {
                if byte != b'\n' {
                    return Err(DecodeError::BareCarriageReturn);
                }
                self.cr = false;
                let line = &window[self.line_start..self.pos];
                self.line_start = self.pos;
                if self.end_of_line(line, block, limits)? {
                    return Ok(Some(self.pos));
                }
                continue;
            }
            match byte {
                b'\r' => self.cr = true,
                b'\n' => return Err(DecodeError::BareLineFeed),
                0..=8 | 11..=31 | 127 => return Err(DecodeError::ControlCharacter(byte)),
                _ if at - self.line_start >= self.max_line(block, limits) => {
                    return Err(self.line_too_long(window, block, limits));
                }
                _ => {}
            }
        }
        if input.len() < max_size {
            return Ok(None);
        }
        // Full without a blank line: not one more byte is asked for.
        Err(match block {
            Block::Trailers => DecodeError::TrailersTooLarge(max_size),
            _ if self.lines == 0 => self.line_too_long(window, block, limits),
            _ => DecodeError::HeadTooLarge(max_size),
        })
    }

    /// Checks a whole line, line end included; whether it is the blank one at the end.
    fn end_of_line(&mut self, line: &[u8], block: Block, limits: &Limits) -> Result<bool, DecodeError> {
        self.lines += 1;
        let content = &line[..line.len() - 2];
        match block {
            _ if self.lines > 1 => {}
            Block::Request if request_line::parse(line).is_some() => return Ok(false),
            Block::Request if content.is_empty() => return Err(DecodeError::EmptyLines),
            Block::Request => return Err(request_line::explain(content)),
            Block::Response if status_line::parse(line).is_some() => return Ok(false),
            Block::Response => return Err(status_line::explain(content)),
            Block::Trailers => {}
        }
        if content.is_empty() {
            return Ok(true);
        }
        check_field_line(content)?;
        let fields = self.lines - usize::from(block != Block::Trailers);
        if fields > limits.max_fields() { Err(DecodeError::TooManyFields(limits.max_fields())) } else { Ok(false) }
    }

    fn max_line(&self, block: Block, limits: &Limits) -> usize {
        if self.lines == 0 && block != Block::Trailers { limits.max_start_line } else { limits.max_header_line }
    }

    fn line_too_long(&self, window: &[u8], block: Block, limits: &Limits) -> DecodeError {
        // What follows in the window is none of its business: it may have come or not.
        let line = &window[self.line_start..self.pos];
        match block {
            _ if self.lines != 0 => DecodeError::FieldTooLong(limits.max_header_line),
            Block::Trailers => DecodeError::FieldTooLong(limits.max_header_line),
            _ if line.contains(&b' ') => {
                DecodeError::StartLineTooLong(limits.max_start_line.min(limits.max_header_size))
            }
            // Not even a method or a version that ends: this is no long target or reason but something else.
            Block::Request => DecodeError::RequestLine(shortened(line)),
            Block::Response => DecodeError::StatusLine(shortened(line)),
        }
    }
}

/// `field-name ":" OWS field-value OWS` (RFC 9112, section 5); the value's bytes were looked at one by one already.
fn check_field_line(line: &[u8]) -> Result<(), DecodeError> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(DecodeError::ObsoleteFolding);
    }
    match line.iter().position(|byte| *byte == b':') {
        None => Err(DecodeError::NoColon(shortened(line))),
        Some(colon) if is_token(&line[..colon]) => Ok(()),
        Some(colon) => Err(DecodeError::FieldName(shortened(&line[..colon]))),
    }
}
