//! Heads that are sent again and again, kept as bytes.
//!
//! Rules: only what can't change is kept: constant fields (`HttpHeaders::from_static`), a status that has a body like any other, with its
//! usual reason, whether the connection stays open, and the date, with which all heads go that were kept with the one before. A head is found by where its fields are, not by what they
//! say, so that looking costs next to nothing.

use landspout_httputil::{HttpHeaders, ResponseStartLine, StatusCode};

use crate::compose::append_number_and_end;

/// How many different heads are kept: the answers that a server gives most, one place for each.
const PLACES: usize = 8;
/// Longer ones are not worth their memory.
const MAX_SIZE: usize = 1024;

/// The constant part of responses' heads: status line, the application's constant fields, and the date.
///
/// A server has one for all its connections: see [`ResponseEncoder::response_with`](crate::ResponseEncoder::response_with).
#[derive(Debug)]
pub struct RenderedHeads {
    places: [Option<Rendered>; PLACES],
    date: [u8; 29],
}

#[derive(Debug)]
struct Rendered {
    key: Key,
    /// The head with this `Content-Length`, blank line and all.
    length: usize,
    bytes: Vec<u8>,
    /// Where the number begins.
    number_at: usize,
}

/// What a constant head is known by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    fields: &'static [(&'static str, &'static str)],
    status: StatusCode,
    /// What `Connection` says depends on it.
    persistence: u8,
}

impl Key {
    /// `None`: not constant.
    #[inline]
    pub(crate) fn of(start_line: &ResponseStartLine, headers: &HttpHeaders, persistence: u8) -> Option<Self> {
        let fields = headers.as_static().filter(|_| start_line.has_usual_reason())?;
        Some(Self { fields, status: start_line.code, persistence })
    }

    #[inline]
    fn is(self, other: Self) -> bool {
        let same = self.status == other.status && self.persistence == other.persistence;
        same && std::ptr::eq(self.fields, other.fields)
    }

    #[inline]
    fn place(self) -> usize {
        // Constants lie 16 bytes apart or more.
        let constant = self.fields.as_ptr() as usize / 16;
        (constant + usize::from(self.status.as_u16()) + usize::from(self.persistence) * (PLACES / 4)) % PLACES
    }
}

impl RenderedHeads {
    /// None yet, and the date is `Thu, 01 Jan 1970 00:00:00 GMT`.
    pub fn new() -> Self {
        Self { places: Default::default(), date: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    /// The value of the `Date` field (RFC 9110, section 5.6.7: IMF-fixdate) of all heads from now on.
    pub fn set_date(&mut self, date: &[u8; 29]) {
        if self.date != *date {
            *self = Self { places: Default::default(), date: *date };
        }
    }

    /// The date that was set last.
    #[inline]
    pub fn date(&self) -> &[u8; 29] {
        &self.date
    }

    /// Appends the head of a response with that much of a body. False: it is not here.
    #[inline]
    pub(crate) fn append(&mut self, key: Key, length: usize, out: &mut Vec<u8>) -> bool {
        let Some(rendered) = &mut self.places[key.place()] else { return false };
        if !rendered.key.is(key) {
            return false;
        }
        if rendered.length != length {
            rendered.set_length(length);
        }
        out.extend_from_slice(&rendered.bytes);
        true
    }

    /// Keeps a head with the date that is set, whose number begins at `number_at`. Its status is one with a body like any other.
    pub(crate) fn keep(&mut self, key: Key, head: &[u8], number_at: usize, length: usize) {
        if head.len() > MAX_SIZE {
            return;
        }
        let mut bytes = self.places[key.place()].take().map(|rendered| rendered.bytes).unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(head);
        self.places[key.place()] = Some(Rendered { key, length, bytes, number_at });
    }
}

impl Default for RenderedHeads {
    fn default() -> Self {
        Self::new()
    }
}

impl Rendered {
    /// The next answer has another length, or the one before had.
    #[inline(never)]
    fn set_length(&mut self, length: usize) {
        self.length = length;
        self.bytes.truncate(self.number_at);
        append_number_and_end(length as u64, &mut self.bytes);
    }
}
