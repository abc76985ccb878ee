//! `MultipartParser`: bytes in, in pieces cut anywhere; parts and their contents out.
//!
//! ```text
//! preamble ──delimiter──► headers ──blank line──► content ──delimiter──► headers …
//!    │                                               │
//!    └───────────────closing delimiter───────────────┴──► epilogue
//! ```
//! Rules: a delimiter line is CRLF, two hyphens, the boundary, whitespace, CRLF, and the closing one has two hyphens more (RFC
//! 2046, section 5.1.1); its first CRLF is no part of the content before it; what looks like a delimiter line at first and turns
//! out to be none is content. Preamble and epilogue are thrown away. Where the input is cut decides about nothing but
//! the cuts of contents. Each byte is looked at a bounded number of times, and no more is kept than a part's
//! header block, or a line that may yet become a delimiter.

use bytes::{Buf, Bytes};
use memchr::{memchr, memmem, memrchr};

use super::{MultipartPart, ParseMultipartConfig};
use crate::error::{HttpInputError, MultipartError};

/// How much whitespace may stand behind a delimiter: more than fits into a line of a mail (RFC 5322, section 2.1.1), from which it
/// comes, is an attack.
const MAX_PADDING: usize = 998;

/// Takes a `multipart/form-data` body apart while it arrives, whatever its size. It does no I/O.
///
/// [`MultipartReceiver`](crate::MultipartReceiver) puts it into the chain of delegates. By itself:
///
/// ```
/// use landspout_httputil::{Bytes, MultipartEvent, MultipartParser, ParseMultipartConfig};
///
/// let mut parser = MultipartParser::new(b"x", &ParseMultipartConfig::default())?;
/// let mut seen = String::new();
/// for piece in ["--x\r\nContent-Dispo", "sition: form-data; name=a\r\n\r\nhel", "lo\r\n--x--\r\n"] {
///     let mut input = Bytes::from(piece);
///     while let Some(event) = parser.next_event(&mut input)? {
///         match event {
///             MultipartEvent::Part(part) => seen += &format!("{}: ", part.name()),
///             MultipartEvent::Data(data) => seen += std::str::from_utf8(&data).unwrap(),
///             MultipartEvent::PartEnd => seen += ".",
///         }
///     }
/// }
/// parser.finish()?;
/// assert_eq!(seen, "a: hello.");
/// # Ok::<(), landspout_httputil::HttpInputError>(())
/// ```
#[derive(Debug)]
pub struct MultipartParser {
    /// Finds `CRLF -- boundary`. It holds no second CR, so that a beginning of it has no other beginning of it inside.
    finder: memmem::Finder<'static>,
    config: ParseMultipartConfig,
    state: State,
    /// What may be a delimiter line, and ended with the input before.
    held: Held,
    /// The header block so far, and where its last line begins.
    head: Vec<u8>,
    line: usize,
    parts: usize,
    /// Of the part's content, so far.
    size: u64,
    failed: Option<MultipartError>,
    #[cfg(test)]
    work: usize,
}

/// What a [`MultipartParser`] has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultipartEvent {
    /// A part begins.
    Part(MultipartPart),
    /// A piece of its content, never empty; usually a slice of the input.
    Data(Bytes),
    /// It is complete.
    PartEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    /// Behind a delimiter line. Another part is begun only now, so that the end of the one before is told first.
    NextPart,
    Headers,
    Content,
    Epilogue,
}

/// How far a delimiter line was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    /// So many bytes of the delimiter.
    Delimiter(usize),
    /// All of it, and a hyphen.
    Hyphen,
    /// All of it, and so much whitespace.
    Padding(usize),
    /// All of it, perhaps whitespace, and CR.
    Cr,
}

enum Step {
    On(Followed),
    /// The line is complete.
    Line {
        last: bool,
    },
    /// It is no delimiter line.
    Content,
}

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// So many of them were there before the content began: they are no content, whatever comes.
    given: usize,
    followed: Followed,
}

enum Scanned {
    Content(Bytes),
    Line { last: bool },
    InputEnd,
}

impl MultipartParser {
    /// A parser for bodies with that boundary, which may stand in quotes.
    ///
    /// # Errors
    /// [`HttpInputError::NoBoundary`] if it is empty or contains a line break; [`MultipartError::Disabled`].
    pub fn new(boundary: &[u8], config: &ParseMultipartConfig) -> Result<Self, HttpInputError> {
        if !config.enabled {
            return Err(MultipartError::Disabled.into());
        }
        let boundary = boundary.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(boundary);
        if boundary.is_empty() || boundary.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(HttpInputError::NoBoundary);
        }
        Ok(Self {
            finder: memmem::Finder::new(&[b"\r\n--", boundary].concat()).into_owned(),
            config: *config,
            state: State::Preamble,
            held: Held::line_start(),
            head: Vec::new(),
            line: 0,
            parts: 0,
            size: 0,
            failed: None,
            #[cfg(test)]
            work: 0,
        })
    }

    /// Reads on in `input` and takes off what was read. `None`: all of it was, and more is needed to say anything.
    ///
    /// # Errors
    /// [`MultipartError`] at the first thing that is wrong, and again at each call after that.
    pub fn next_event(&mut self, input: &mut Bytes) -> Result<Option<MultipartEvent>, MultipartError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let event = self.read(input);
        if let Err(error) = &event {
            self.failed = Some(error.clone());
        }
        event
    }

    /// There is no more input.
    ///
    /// # Errors
    /// [`MultipartError`]: the closing delimiter hasn't come, or something was wrong before.
    pub fn finish(&mut self) -> Result<(), MultipartError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.state {
            State::Epilogue => Ok(()),
            State::Headers if self.is_delimiter(&self.head[self.line..]) => Err(MultipartError::MissingPartHeaders),
            _ => Err(MultipartError::NoFinalBoundary),
        }
    }

    /// Whether the closing delimiter has come. Whatever follows is ignored.
    pub fn is_complete(&self) -> bool {
        self.state == State::Epilogue && self.failed.is_none()
    }

    fn read(&mut self, input: &mut Bytes) -> Result<Option<MultipartEvent>, MultipartError> {
        loop {
            match self.state {
                State::Preamble => match self.scan(input)? {
                    Scanned::Content(_) => {}
                    Scanned::Line { last } => self.state = State::behind_line(last),
                    Scanned::InputEnd => return Ok(None),
                },
                State::NextPart => {
                    self.parts += 1;
                    if self.parts > self.config.max_parts {
                        return Err(MultipartError::TooManyParts(self.config.max_parts));
                    }
                    (self.line, self.size) = (0, 0);
                    self.head.clear();
                    self.state = State::Headers;
                }
                State::Headers => {
                    let Some(part) = self.read_headers(input)? else { return Ok(None) };
                    self.held = Held::line_start();
                    self.state = State::Content;
                    return Ok(Some(MultipartEvent::Part(part)));
                }
                State::Content => match self.scan(input)? {
                    Scanned::Content(data) => return self.within_limit(data).map(Some),
                    Scanned::Line { last } => {
                        self.state = State::behind_line(last);
                        return Ok(Some(MultipartEvent::PartEnd));
                    }
                    Scanned::InputEnd => return Ok(None),
                },
                State::Epilogue => {
                    input.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// Lets content pass up to the limit, so that it doesn't depend on the cuts how much is seen of a part that is too large.
    fn within_limit(&mut self, mut data: Bytes) -> Result<MultipartEvent, MultipartError> {
        let room = self.config.max_part_size - self.size;
        if data.len() as u64 > room {
            let error = MultipartError::PartTooLarge(self.config.max_part_size);
            if room == 0 {
                return Err(error);
            }
            data.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            self.failed = Some(error);
        }
        self.size += data.len() as u64;
        Ok(MultipartEvent::Data(data))
    }

    /// Collects lines up to the blank one.
    fn read_headers(&mut self, input: &mut Bytes) -> Result<Option<MultipartPart>, MultipartError> {
        const BLANK_LINE: &[u8] = b"\r\n\r\n";
        let longest = self.config.max_part_header_size.saturating_add(BLANK_LINE.len());
        loop {
            let room = longest - self.head.len();
            if room == 0 {
                return Err(MultipartError::PartHeaderTooLarge(self.config.max_part_header_size));
            }
            let looked_at = &input[..room.min(input.len())];
            let (taken, complete) = memchr(b'\n', looked_at).map_or((looked_at.len(), false), |end| (end + 1, true));
            if taken == 0 {
                return Ok(None);
            }
            self.count(taken);
            self.head.extend_from_slice(&input[..taken]);
            input.advance(taken);
            if !complete {
                continue;
            }
            // A delimiter here ends a part that has no content and not even the blank line before one.
            if &self.head == b"\r\n" || self.is_delimiter(&self.head[self.line..]) {
                return Err(MultipartError::MissingPartHeaders);
            }
            if let Some(block) = self.head.strip_suffix(BLANK_LINE) {
                return MultipartPart::parse(block).map(Some);
            }
            self.line = self.head.len();
        }
    }

    /// Whether a line of a header block, with or without its end, is a delimiter line.
    fn is_delimiter(&self, line: &[u8]) -> bool {
        line.strip_prefix(&self.finder.needle()[2..])
            .is_some_and(|rest| rest.starts_with(b"--") || rest.trim_ascii().is_empty())
    }

    /// Reads content up to the next delimiter line, then that line.
    fn scan(&mut self, input: &mut Bytes) -> Result<Scanned, MultipartError> {
        if !self.held.bytes.is_empty() {
            match self.follow(self.held.followed, input)? {
                (Step::On(followed), _) => {
                    self.held.bytes.extend_from_slice(input);
                    self.held.followed = followed;
                    input.clear();
                    return Ok(Scanned::InputEnd);
                }
                (Step::Line { last }, taken) => {
                    self.held.bytes.clear();
                    input.advance(taken);
                    return Ok(Scanned::Line { last });
                }
                (Step::Content, _) => {
                    let content = Bytes::copy_from_slice(&self.held.bytes[self.held.given..]);
                    self.held.bytes.clear();
                    if !content.is_empty() {
                        return Ok(Scanned::Content(content));
                    }
                }
            }
        }
        let length = self.finder.needle().len();
        let mut from = 0;
        loop {
            let found = self.finder.find(&input[from..]);
            self.count(found.map_or(input.len() - from, |at| at + length));
            let Some(found) = found else { return Ok(self.hold_back(input)) };
            let start = from + found;
            let behind = start + length;
            match self.follow(Followed::Delimiter(length), &input[behind..]) {
                Ok((Step::Content, _)) => from = behind,
                // It is found again, at once, when what is before it was taken.
                _ if start > 0 => return Ok(Scanned::Content(input.split_to(start))),
                Ok((Step::Line { last }, taken)) => {
                    input.advance(behind + taken);
                    return Ok(Scanned::Line { last });
                }
                Ok((Step::On(followed), _)) => {
                    self.held.hold(input, followed);
                    return Ok(Scanned::InputEnd);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// All of `input` is content, but for a beginning of a delimiter at its end.
    fn hold_back(&mut self, input: &mut Bytes) -> Scanned {
        let delimiter = self.finder.needle();
        let start = input.len() - input.len().min(delimiter.len() - 1);
        // What may be one starts with the last CR, as there is no other CR in it.
        let end = match memrchr(b'\r', &input[start..]) {
            Some(cr) if delimiter.starts_with(&input[start + cr..]) => start + cr,
            _ => input.len(),
        };
        let content = input.split_to(end);
        if !input.is_empty() {
            let followed = Followed::Delimiter(input.len());
            self.held.hold(input, followed);
        }
        if content.is_empty() { Scanned::InputEnd } else { Scanned::Content(content) }
    }

    /// Goes along a line until it is decided what it is, or to the end of `input`; and how many bytes were looked at.
    fn follow(&mut self, mut followed: Followed, input: &[u8]) -> Result<(Step, usize), MultipartError> {
        for (i, byte) in input.iter().enumerate() {
            self.count(1);
            match followed.step(*byte, self.finder.needle())? {
                Step::On(further) => followed = further,
                decided => return Ok((decided, i + 1)),
            }
        }
        Ok((Step::On(followed), input.len()))
    }

    /// How many bytes were looked at: what the tests of costs measure.
    #[inline]
    fn count(&mut self, _bytes: usize) {
        #[cfg(test)]
        {
            self.work += _bytes;
        }
    }
}

impl State {
    fn behind_line(last: bool) -> Self {
        if last { Self::Epilogue } else { Self::NextPart }
    }
}

impl Followed {
    fn step(self, byte: u8, delimiter: &[u8]) -> Result<Step, MultipartError> {
        let next = match (self, byte) {
            (Self::Delimiter(n), _) if n < delimiter.len() => {
                if byte != delimiter[n] {
                    return Ok(Step::Content);
                }
                Self::Delimiter(n + 1)
            }
            (Self::Delimiter(_), b'-') => Self::Hyphen,
            (Self::Hyphen, b'-') => return Ok(Step::Line { last: true }),
            (Self::Delimiter(_), b' ' | b'\t') => Self::Padding(1),
            (Self::Padding(MAX_PADDING), b' ' | b'\t') => return Err(MultipartError::PaddingTooLong(MAX_PADDING)),
            (Self::Padding(n), b' ' | b'\t') => Self::Padding(n + 1),
            (Self::Delimiter(_) | Self::Padding(_), b'\r') => Self::Cr,
            (Self::Cr, b'\n') => return Ok(Step::Line { last: false }),
            _ => return Ok(Step::Content),
        };
        Ok(Step::On(next))
    }
}

impl Held {
    /// At the start of a body, and behind the blank line that ends a header block: a delimiter may follow at once.
    fn line_start() -> Self {
        Self { bytes: b"\r\n".to_vec(), given: 2, followed: Followed::Delimiter(2) }
    }

    fn hold(&mut self, input: &mut Bytes, followed: Followed) {
        self.bytes.extend_from_slice(input);
        (self.given, self.followed) = (0, followed);
        input.clear();
    }
}

#[cfg(test)]
mod tests;
