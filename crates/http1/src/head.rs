//! Complete heads into fields. This is the only file that knows `httparse`.
//!
//! Rules: `httparse` sees a head at first sight, and once more when it is complete if it wasn't then, never in between. Its
//! bytes are copied once, into the recycled storage of `HttpHeaders`, and the fields are offsets into that copy. The pass
//! that makes these offsets also checks what `httparse` lets pass (a bare LF as line end) and picks out the fields that
//! decide framing. A head that is refused here is not explained here: `scan.rs` says what is wrong with it.

use std::ops::Range;

use httparse::{Header, Status};
use landspout_httputil::HttpHeaders;

use crate::error::{DecodeError, shortened};
use crate::event::RequestHead;
use crate::framing::{Kind, RequestFields, is_forbidden_trailer, kind};
use crate::request_line::{self, TargetForm};

/// Room for the fields of nearly every request. More cost a second try.
const USUAL: usize = 32;

/// Reads the head at the start of `input`. Returns its length and what it says; `None` if it is not complete, not well
/// formed, or longer than `max_size`; an error if it is well formed and still must not be.
#[inline]
pub(crate) fn parse_request(
    input: &[u8],
    max_size: usize,
    max_headers: usize,
    storage: &mut HttpHeaders,
) -> Result<Option<(usize, RequestHead)>, DecodeError> {
    #[cfg(test)]
    crate::decoder::count::PARSED.with(|n| n.set(n.get() + 1));
    let Some(line) = request_line::parse(input) else { return Ok(None) };
    let mut room = [httparse::EMPTY_HEADER; USUAL];
    let mut more;
    let (len, fields) = match httparse::parse_headers(&input[line.len..], &mut room[..max_headers.min(USUAL)]) {
        Ok(Status::Complete((len, fields))) => (line.len + len, fields),
        Err(httparse::Error::TooManyHeaders) if max_headers > USUAL => {
            more = vec![httparse::EMPTY_HEADER; max_headers];
            match httparse::parse_headers(&input[line.len..], &mut more) {
                Ok(Status::Complete((len, fields))) => (line.len + len, fields),
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    // httparse takes LF for CRLF.
    let Some(head) = input.get(..len).filter(|head| len <= max_size && head.ends_with(b"\r\n\r\n")) else {
        return Ok(None);
    };

    let mut seen = RequestFields::default();
    let mut index = storage.reset(head);
    for (n, field) in fields.iter().enumerate() {
        let name = range_in(input, field.name.as_bytes());
        if !starts_line(head, name.start) {
            return Ok(None);
        }
        let mut value = range_in(input, field.value);
        let kind = kind(field.name.as_bytes());
        if kind != Kind::Other {
            seen.see(kind, n);
            if kind == Kind::Host && line.form == TargetForm::Absolute {
                value = line.authority.clone();
            }
        }
        index.push(name, value);
    }
    let framing = seen.conclude(&line.method, line.version, fields.len(), |n| {
        let field: &Header<'_> = &fields[n];
        (field.name.as_bytes(), field.value)
    })?;
    index.set_request_line(line.method, line.target, line.version);
    if line.form == TargetForm::Absolute && !seen.has(Kind::Host) {
        // HTTP/1.0 without `Host`: the target has one all the same. It was checked, so this can't fail.
        let _ = storage.add("Host", &input[line.authority]);
    }
    Ok(Some((
        len,
        RequestHead {
            start_line: storage.request_start_line(),
            headers: storage.clone(),
            target: line.form,
            body: framing.body,
            keep_alive: framing.keep_alive,
            expect_continue: framing.expect_continue,
            upgrade: framing.upgrade,
        },
    )))
}

/// Reads a head that `scan.rs` found complete and well formed.
pub(crate) fn parse_scanned_request(
    head: &[u8],
    max_headers: usize,
    storage: &mut HttpHeaders,
) -> Result<RequestHead, DecodeError> {
    match parse_request(head, usize::MAX, max_headers, storage)? {
        Some((_, head)) => Ok(head),
        None => Err(DecodeError::FieldName(shortened(head))),
    }
}

/// Reads a trailer section that `scan.rs` found complete and well formed, and not empty.
pub(crate) fn parse_scanned_trailers(block: &[u8], max_headers: usize) -> Result<HttpHeaders, DecodeError> {
    let mut room = vec![httparse::EMPTY_HEADER; max_headers];
    let Ok(Status::Complete((_, fields))) = httparse::parse_headers(block, &mut room) else {
        return Err(DecodeError::FieldName(shortened(block)));
    };
    let mut trailers = HttpHeaders::new();
    let mut index = trailers.reset(block);
    for field in fields {
        if is_forbidden_trailer(field.name.as_bytes()) {
            return Err(DecodeError::ForbiddenTrailer(shortened(field.name.as_bytes())));
        }
        index.push(range_in(block, field.name.as_bytes()), range_in(block, field.value));
    }
    Ok(trailers)
}

/// Where `part`, a slice of `whole`, lies in it.
#[inline]
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    start..start.wrapping_add(part.len())
}

/// Whether the line before this one ends with CRLF.
#[inline]
fn starts_line(head: &[u8], at: usize) -> bool {
    at.checked_sub(2).and_then(|before| head.get(before..at)) == Some(b"\r\n")
}
