//! Complete heads into fields. This is the only file that knows `httparse`.
//!
//! Rules: `httparse` sees a head at first sight, and once more when it is complete if it wasn't then, never in between. Its
//! bytes are copied once, into the recycled storage of `HttpHeaders`, and the fields are offsets into that copy. The pass
//! that makes these offsets also checks what `httparse` lets pass (a bare LF as line end) and picks out the fields that
//! decide framing. A head that is refused here is not explained here: `scan.rs` says what is wrong with it.

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::{Header, Status};
use landspout_httputil::{HttpHeaders, Method, Version};

use crate::error::{DecodeError, shortened};
use crate::event::RequestHead;
use crate::framing::{Kind, RequestFields, is_forbidden_trailer, kind};
use crate::target::{self, TargetForm};

/// Offsets on the stack for that many fields, as many as a head may have unless the limit was raised.
const ON_STACK: usize = 100;

/// Reads the head at the start of `input`. Returns its length and what it says; `None` if it is not complete, not well
/// formed, or longer than `max_size`; an error if it is well formed and still must not be.
#[inline]
pub(crate) fn parse_request(
    input: &[u8],
    max_size: usize,
    max_headers: usize,
    storage: &mut HttpHeaders,
) -> Result<Option<(usize, RequestHead)>, DecodeError> {
    if max_headers <= ON_STACK {
        let mut room = [const { MaybeUninit::uninit() }; ON_STACK];
        parse_request_with(input, max_size, &mut room[..max_headers], storage)
    } else {
        let mut room = Vec::new();
        room.resize_with(max_headers, MaybeUninit::uninit);
        parse_request_with(input, max_size, &mut room, storage)
    }
}

#[inline]
fn parse_request_with<'i>(
    input: &'i [u8],
    max_size: usize,
    room: &mut [MaybeUninit<Header<'i>>],
    storage: &mut HttpHeaders,
) -> Result<Option<(usize, RequestHead)>, DecodeError> {
    #[cfg(test)]
    crate::decoder::count::PARSED.with(|n| n.set(n.get() + 1));
    let mut request = httparse::Request::new(&mut []);
    let Ok(Status::Complete(len)) = request.parse_with_uninit_headers(input, room) else { return Ok(None) };
    let (Some(head), Some(method), Some(path)) = (input.get(..len), request.method, request.path) else {
        return Ok(None);
    };
    // httparse skips any number of empty lines in front, of which the decoder takes care, and takes LF for CRLF.
    if len > max_size || !head.ends_with(b"\r\n\r\n") || head[0] == b'\r' || head[0] == b'\n' {
        return Ok(None);
    }
    let (Some((form, authority)), Some(method)) =
        (target::classify(method.as_bytes(), path.as_bytes()), read_method(method))
    else {
        return Ok(None);
    };
    let path = range_in(input, path.as_bytes());
    let authority = path.start + authority.start..path.start + authority.end;

    let mut seen = RequestFields::default();
    let version = if request.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut index = storage.reset(head);
    index.set_request_line(method.clone(), path, version);
    for (n, field) in request.headers.iter().enumerate() {
        let name = range_in(input, field.name.as_bytes());
        if !starts_line(head, name.start) {
            return Ok(None);
        }
        let mut value = range_in(input, field.value);
        let kind = kind(field.name.as_bytes());
        if kind != Kind::Other {
            seen.see(kind, n);
            if kind == Kind::Host && form == TargetForm::Absolute {
                value = authority.clone();
            }
        }
        index.push(name, value);
    }
    let fields = &*request.headers;
    let framing = seen.conclude(&method, version, fields.len(), |n| (fields[n].name.as_bytes(), fields[n].value))?;
    if form == TargetForm::Absolute && !seen.has(Kind::Host) {
        // HTTP/1.0 without `Host`: the target has one all the same. It was checked, so this can't fail.
        let _ = storage.add("Host", &input[authority]);
    }
    Ok(Some((
        len,
        RequestHead {
            start_line: storage.request_start_line(),
            headers: storage.clone(),
            target: form,
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
    if let Some((_, head)) = parse_request(head, usize::MAX, max_headers, storage)? {
        return Ok(head);
    }
    // HTTP/1.2 and later, which httparse doesn't know, are to be read as the highest 1.x that we do (RFC 9110, section 2.5).
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut patched = head.to_vec();
    if let [.., b'1', b'.', b'2'..=b'9'] = line {
        patched[line.len() - 1] = b'1';
    }
    match parse_request(&patched, usize::MAX, max_headers, storage)? {
        Some((_, head)) => Ok(head),
        None => Err(DecodeError::RequestLine(shortened(line))),
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

/// The usual methods without asking further.
#[inline]
fn read_method(method: &str) -> Option<Method> {
    match method {
        "GET" => Some(Method::GET),
        "POST" => Some(Method::POST),
        _ => Method::from_bytes(method.as_bytes()).ok(),
    }
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
