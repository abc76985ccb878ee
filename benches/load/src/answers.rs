//! Finds where answers end, as cheaply as can be: an answer that looks like one that was parsed before is not parsed again.
//!
//! Rules: the head is parsed for its status, `Content-Length` and `Transfer-Encoding`; 200 is the only good status; an answer
//! without either field is an error here, since servers keep their connections. Bodies are counted and not looked at, except
//! for their end, which tells a known answer.

use std::fmt;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No HTTP, or more than a head may have.
    Head,
    Status(String),
    /// No field tells where the body ends, or none that can be read.
    Length,
    Chunk,
    /// The body has not the length that was expected.
    Body(u64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("no head of HTTP/1.1"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Length => f.write_str("a body without a length"),
            Self::Chunk => f.write_str("a malformed chunk"),
            Self::Body(length) => write!(f, "a body of {length} bytes"),
        }
    }
}

/// The form of a whole small answer that was parsed; shared by all connections.
#[derive(Debug, Default)]
pub(crate) struct Known {
    length: usize,
    body: u64,
    /// How its body ends.
    end: Vec<u8>,
}

/// What `Answers::take` found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) answers: u64,
    /// Of bodies.
    pub(crate) bytes: u64,
}

/// The answers of one connection.
#[derive(Debug)]
pub(crate) struct Answers {
    state: State,
    /// Of the body that is under way.
    body: u64,
    /// What each body has to have.
    expected: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// A head whose end is missing.
    Head(Vec<u8>),
    /// So much of the body is missing.
    Body(u64),
    /// The line with a chunk's size, or one of the trailer when `last`, whose end is missing.
    Line { line: Vec<u8>, last: bool },
    /// So much of a chunk and its line end is missing.
    Chunk(u64),
}

const MAX_HEAD: usize = 8192;
const STATUS_LINE: &[u8] = b"HTTP/1.1 200 ";

impl Answers {
    pub(crate) fn new(expected: Option<u64>) -> Self {
        Self { state: State::Head(Vec::new()), body: 0, expected }
    }

    /// Takes all of these bytes.
    pub(crate) fn take(&mut self, mut bytes: &[u8], known: &mut Known) -> Result<Found, Problem> {
        let mut found = Found::default();
        while !bytes.is_empty() {
            if self.is_between() {
                if let Some(rest) = known.at_the_beginning_of(bytes) {
                    found.answers += 1;
                    found.bytes += known.body;
                    bytes = rest;
                    continue;
                }
            }
            let whole = self.is_between().then_some(bytes);
            bytes = self.step(bytes, &mut found)?;
            // A small answer that is all here is finished in two steps.
            if let (Some(whole), State::Body(left)) = (whole, &self.state) {
                let good = *left > 0 && self.expected.is_none_or(|expected| expected == *left);
                if let Some(rest) = bytes.get(*left as usize..).filter(|_| good) {
                    *known = Known::new(&whole[..whole.len() - rest.len()], *left);
                }
            }
        }
        Ok(found)
    }

    /// Nothing of an answer came yet.
    pub(crate) fn is_between(&self) -> bool {
        matches!(&self.state, State::Head(partial) if partial.is_empty())
    }

    /// How much of a body with a length is missing.
    pub(crate) fn body_left(&self) -> u64 {
        if let State::Body(left) = self.state { left } else { 0 }
    }

    /// Takes bytes of that body which nobody looked at.
    pub(crate) fn skip(&mut self, count: u64) -> Result<Found, Problem> {
        let mut found = Found { answers: 0, bytes: count };
        self.state = State::Body(self.body_left() - count);
        self.body += count;
        self.end_body_if_done(&mut found)?;
        Ok(found)
    }

    /// Takes some of the bytes and returns the others.
    fn step<'a>(&mut self, bytes: &'a [u8], found: &mut Found) -> Result<&'a [u8], Problem> {
        match &mut self.state {
            State::Head(partial) => {
                let before = partial.len();
                partial.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD)]);
                let Some(end) = partial.windows(4).position(|window| window == b"\r\n\r\n") else {
                    return if partial.len() < MAX_HEAD { Ok(&[]) } else { Err(Problem::Head) };
                };
                self.state = body_after(&partial[..end + 2])?;
                self.end_body_if_done(found)?;
                Ok(&bytes[end + 4 - before..])
            }
            State::Body(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                self.body += taken as u64;
                found.bytes += taken as u64;
                self.end_body_if_done(found)?;
                Ok(&bytes[taken..])
            }
            State::Line { line, last } => {
                let taken = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                line.extend_from_slice(&bytes[..taken]);
                if line.len() > MAX_HEAD {
                    return Err(Problem::Chunk);
                }
                if line.ends_with(b"\r\n") {
                    if !*last {
                        let size = chunk_size(line).ok_or(Problem::Chunk)?;
                        // The line end after its data belongs to it.
                        self.state = match size {
                            0 => State::Line { line: Vec::new(), last: true },
                            size => State::Chunk(size + 2),
                        };
                    } else if line.len() > 2 {
                        line.clear();
                    } else {
                        self.end_body(found)?;
                    }
                }
                Ok(&bytes[taken..])
            }
            State::Chunk(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                let data = (taken as u64).min(left.saturating_sub(2));
                *left -= taken as u64;
                self.body += data;
                found.bytes += data;
                if *left == 0 {
                    self.state = State::Line { line: Vec::new(), last: false };
                }
                Ok(&bytes[taken..])
            }
        }
    }

    fn end_body_if_done(&mut self, found: &mut Found) -> Result<(), Problem> {
        if let State::Body(0) = self.state { self.end_body(found) } else { Ok(()) }
    }

    fn end_body(&mut self, found: &mut Found) -> Result<(), Problem> {
        let body = std::mem::take(&mut self.body);
        self.state = State::Head(Vec::new());
        found.answers += 1;
        match self.expected {
            Some(expected) if expected != body => Err(Problem::Body(body)),
            _ => Ok(()),
        }
    }
}

impl Known {
    fn new(answer: &[u8], body: u64) -> Self {
        let end = answer[answer.len() - body.min(8) as usize..].to_vec();
        Self { length: answer.len(), body, end }
    }

    /// What follows an answer of this form, if there is one.
    fn at_the_beginning_of<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (answer, rest) = bytes.split_at_checked(self.length)?;
        let same = self.length > 0 && answer.starts_with(STATUS_LINE) && answer.ends_with(&self.end);
        same.then_some(rest)
    }
}

/// What follows a head, given with its last line's end.
fn body_after(head: &[u8]) -> Result<State, Problem> {
    let text = std::str::from_utf8(head).map_err(|_| Problem::Head)?;
    let mut lines = text.split_terminator("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or(Problem::Head)?;
    if !status.starts_with("200") {
        return Err(Problem::Status(status.to_owned()));
    }
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Problem::Head)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("Content-Length") {
            return value.parse().map(State::Body).map_err(|_| Problem::Length);
        }
        if name.eq_ignore_ascii_case("Transfer-Encoding") && value.eq_ignore_ascii_case("chunked") {
            return Ok(State::Line { line: Vec::new(), last: false });
        }
    }
    Err(Problem::Length)
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(line).ok()?.split([';', '\r']).next()?;
    // One so large couldn't be added to.
    u64::from_str_radix(digits.trim(), 16).ok().filter(|size| *size < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\nDate: x\r\n\r\nHello, World!";
    const OTHER_DATE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\nDate: longer\r\n\r\nHello, World!";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: u\r\n\r\n";
    const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    fn all(pieces: &[&[u8]]) -> Result<Found, Problem> {
        let (mut answers, mut known, mut sum) = (Answers::new(None), Known::default(), Found::default());
        for piece in pieces {
            let found = answers.take(piece, &mut known)?;
            sum.answers += found.answers;
            sum.bytes += found.bytes;
        }
        assert!(answers.is_between(), "an answer is under way");
        Ok(sum)
    }

    #[test]
    fn answers_are_counted_wherever_they_are_cut() {
        let stream = [SMALL, SMALL, OTHER_DATE, CHUNKED, SMALL, EMPTY, OTHER_DATE].concat();
        let expected = Ok(Found { answers: 7, bytes: 5 * 13 + 13 });
        assert_eq!(all(&[&stream]), expected);
        assert_eq!(all(&stream.iter().map(std::slice::from_ref).collect::<Vec<_>>()), expected);
        for cut in 0..stream.len() {
            let (before, after) = stream.split_at(cut);
            assert_eq!(all(&[before, after]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_known_answer_is_not_parsed_again() {
        let (mut answers, mut known) = (Answers::new(None), Known::default());
        answers.take(SMALL, &mut known).unwrap();
        assert_eq!(known.length, SMALL.len());
        // Who parses it notices that this is nonsense.
        let nonsense = [b"HTTP/1.1 200 ".as_slice(), &vec![b'.'; SMALL.len() - 26], b"Hello, World!"].concat();
        assert_eq!(answers.take(&nonsense, &mut known), Ok(Found { answers: 1, bytes: 13 }));
        assert_eq!(answers.take(&nonsense[..nonsense.len() - 1], &mut known), Ok(Found::default()));
    }

    #[test]
    fn what_is_wrong_is_an_error() {
        let head = |rest: &str| format!("HTTP/1.1 {rest}\r\n\r\n").into_bytes();
        let table = [
            (head("404 Not Found\r\nContent-Length: 0"), Problem::Status("404 Not Found".to_owned())),
            (head("200 OK\r\nContent-Length: 1x"), Problem::Length),
            (head("200 OK\r\nServer: x"), Problem::Length),
            (head("200 OK\r\nServer"), Problem::Head),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(), Problem::Head),
            (vec![b'x'; MAX_HEAD], Problem::Head),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_vec(), Problem::Chunk),
        ];
        for (bytes, problem) in table {
            assert_eq!(all(&[&bytes]), Err(problem));
        }
        let mut answers = Answers::new(Some(14));
        assert_eq!(answers.take(SMALL, &mut Known::default()), Err(Problem::Body(13)));
    }

    #[test]
    fn a_body_can_be_skipped() {
        let (mut answers, mut known) = (Answers::new(Some(13)), Known::default());
        answers.take(&SMALL[..SMALL.len() - 10], &mut known).unwrap();
        assert_eq!(answers.body_left(), 10);
        assert_eq!(answers.skip(4), Ok(Found { answers: 0, bytes: 4 }));
        assert_eq!(answers.skip(6), Ok(Found { answers: 1, bytes: 6 }));
        assert!(answers.is_between());
    }
}
