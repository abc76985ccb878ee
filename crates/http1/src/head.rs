//! Complete heads into storage. This is the only file that knows `httparse`.
//!
//! Rules: `httparse` sees a head once, when `scan.rs` found it complete and every line of it good; usual heads don't get that
//! far, since `first_sight.rs` has taken them apart. A head's bytes are copied once, into the recycled storage of
//! `HttpHeaders`, and the fields are offsets into that copy; the pass that notes them also picks out those that decide
//! framing.

use std::ops::Range;

use httparse::{Header, Status};
use landspout_httputil::{HttpHeaders, Method};

use crate::error::{DecodeError, shortened};
use crate::framing::{Kind, KnownHost, RequestFields, RequestFraming, is_forbidden_trailer, kind};
use crate::request_line::{self, RequestLine, TargetForm};

/// As many fields as the default limit allows.
const ON_STACK: usize = 100;

/// What the head at the start of an input says. The rest is in the storage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    pub(crate) len: usize,
    pub(crate) target: TargetForm,
    pub(crate) framing: RequestFraming,
}

/// Stores a head that `scan.rs` found complete and well formed.
#[cold]
pub(crate) fn parse_scanned_request(
    head: &[u8],
    max_headers: usize,
    storage: &mut HttpHeaders,
    hosts: &mut KnownHost,
) -> Result<Parsed, DecodeError> {
    #[cfg(test)]
    crate::decoder::count::PARSED.with(|n| n.set(n.get() + 1));
    // Neither falls back: the scan has seen to that.
    let line = request_line::parse(head).ok_or_else(|| DecodeError::RequestLine(shortened(head)))?;
    let (mut on_stack, mut on_heap) = ([httparse::EMPTY_HEADER; ON_STACK], Vec::new());
    let room = room(&mut on_stack, &mut on_heap, max_headers);
    let Ok(Status::Complete((_, fields))) = httparse::parse_headers(&head[line.len()..], room) else {
        return Err(DecodeError::FieldName(shortened(&head[line.len()..])));
    };
    let field = |n: usize| (range_in(head, fields[n].name.as_bytes()), range_in(head, fields[n].value));
    store(head, line, fields.len(), field, storage, hosts)
}

/// Copies a head into the storage and notes where its parts are.
fn store(
    head: &[u8],
    line: RequestLine,
    count: usize,
    field: impl Fn(usize) -> (Range<usize>, Range<usize>),
    storage: &mut HttpHeaders,
    hosts: &mut KnownHost,
) -> Result<Parsed, DecodeError> {
    let authority = if line.form == TargetForm::Absolute { line.authority(head) } else { None };
    let mut seen = RequestFields::default();
    let mut index = storage.reset(head);
    for n in 0..count {
        let (name, mut value) = field(n);
        let kind = kind(&head[name.clone()]);
        if kind != Kind::Other {
            seen.see(kind, n);
            if let (Kind::Host, Some(authority)) = (kind, &authority) {
                value = authority.clone();
            }
        }
        index.push(name, value);
    }
    let method = line.method(head);
    let bytes_of = |n| {
        let (name, value) = field(n);
        (&head[name], &head[value])
    };
    let framing = seen.conclude(method, line.http11, count, || bytes_of(seen.first(Kind::Host)).1, bytes_of, hosts)?;
    index.set_request_line(method_of(method), line.target(), line.version());
    if let (Some(authority), false) = (authority, seen.has(Kind::Host)) {
        // HTTP/1.0 without `Host`: the target has one all the same. It was checked, so this can't fail.
        let _ = storage.add("Host", &head[authority]);
    }
    Ok(Parsed { len: head.len(), target: line.form, framing })
}

/// A method that was checked to be a token, so that nothing falls back.
#[inline]
pub(crate) fn method_of(method: &[u8]) -> Method {
    // Arrays are compared as a whole, slices byte by byte.
    match (method.len(), method.first_chunk(), method.first_chunk()) {
        (3, Some(b"GET"), _) => Method::GET,
        (4, _, Some(b"POST")) => Method::POST,
        _ => Method::from_bytes(method).unwrap_or_default(),
    }
}

/// Reads a trailer section that `scan.rs` found complete and well formed, and not empty.
pub(crate) fn parse_scanned_trailers(block: &[u8], max_headers: usize) -> Result<HttpHeaders, DecodeError> {
    let (mut on_stack, mut on_heap) = ([httparse::EMPTY_HEADER; ON_STACK], Vec::new());
    let room = room(&mut on_stack, &mut on_heap, max_headers);
    let Ok(Status::Complete((_, fields))) = httparse::parse_headers(block, room) else {
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

/// Room for `max_headers` fields: on the stack unless the limit was raised.
fn room<'r, 'i>(
    on_stack: &'r mut [Header<'i>; ON_STACK],
    on_heap: &'r mut Vec<Header<'i>>,
    max_headers: usize,
) -> &'r mut [Header<'i>] {
    if let Some(room) = on_stack.get_mut(..max_headers) {
        return room;
    }
    on_heap.resize(max_headers, httparse::EMPTY_HEADER);
    on_heap
}

/// Where `part`, a slice of `whole`, lies in it.
#[inline]
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    start..start.wrapping_add(part.len())
}
