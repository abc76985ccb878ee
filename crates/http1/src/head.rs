//! Complete heads into storage. This is the only file that knows `httparse`.
//!
//! Rules: `httparse` sees a head once, when `scan.rs` found it complete and every line of it good; usual heads don't get that
//! far, since `first_sight.rs` has taken them apart. A head's bytes are copied once, into the recycled storage of
//! `HttpHeaders`, and the fields are offsets into that copy; the pass that notes them also picks out those that decide
//! framing.

use std::ops::Range;

use httparse::{Header, Status};
use landspout_httputil::{HttpHeaders, ResponseStartLine};

use crate::error::{DecodeError, shortened};
use crate::framing::{
    FramingFields, Kind, MethodKind, RequestFraming, ResponseSays, ResponseTo, is_forbidden_trailer, kind,
};
use crate::request_line::{self, RequestLine, TargetForm};
use crate::status_line;

/// Stores a head that `scan.rs` found complete and well formed.
#[cold]
pub(crate) fn parse_scanned_request(
    head: &[u8],
    max_headers: usize,
    storage: &mut HttpHeaders,
) -> Result<(TargetForm, RequestFraming), DecodeError> {
    #[cfg(test)]
    crate::decoder::count::PARSED.with(|n| n.set(n.get() + 1));
    // Neither falls back: the scan has seen to that.
    let line = request_line::parse(head).ok_or_else(|| DecodeError::RequestLine(shortened(head)))?;
    let fields = parse_fields(&head[line.len()..], max_headers)?;
    store_request(head, line, &fields, storage)
}

/// Stores a request's head and notes where its parts are.
fn store_request(
    head: &[u8],
    line: RequestLine,
    fields: &[Header<'_>],
    storage: &mut HttpHeaders,
) -> Result<(TargetForm, RequestFraming), DecodeError> {
    let authority = if line.form == TargetForm::Absolute { line.authority(head) } else { None };
    let mut seen = FramingFields::default();
    let mut index = storage.reset(head);
    for (n, field) in fields.iter().enumerate() {
        let kind = kind(field.name.as_bytes());
        seen.see_name(kind, n);
        let value = match (kind, &authority) {
            (Kind::Host, Some(authority)) => authority.clone(),
            _ => range_in(head, field.value),
        };
        index.push(range_in(head, field.name.as_bytes()), value);
    }
    let method = line.method(head);
    let host = || fields[seen.first(Kind::Host)].value;
    seen.check_host(line.http11, host)?;
    let framing = seen.conclude(method, line.response_to(head), &index, head)?;
    line.note(head, &mut index);
    if let (Some(authority), false) = (authority, seen.has(Kind::Host)) {
        // HTTP/1.0 without `Host`: the target has one all the same. It was checked, so this can't fail.
        let _ = storage.add("Host", &head[authority]);
    }
    Ok((line.form, framing))
}

/// Stores a response's head that `scan.rs` found complete and well formed. It answers a request with that method, which offered
/// to switch protocols or didn't.
pub(crate) fn parse_scanned_response(
    head: &[u8],
    max_headers: usize,
    storage: &mut HttpHeaders,
    method: MethodKind,
    upgrade_offered: bool,
) -> Result<(ResponseStartLine, ResponseSays), DecodeError> {
    #[cfg(test)]
    crate::decoder::count::PARSED.with(|n| n.set(n.get() + 1));
    let line = status_line::parse(head).ok_or_else(|| DecodeError::StatusLine(shortened(head)))?;
    let fields = parse_fields(&head[line.len..], max_headers)?;
    let mut seen = FramingFields::default();
    let mut index = storage.reset(head);
    for (n, field) in fields.iter().enumerate() {
        seen.see_name(kind(field.name.as_bytes()), n);
        index.push(range_in(head, field.name.as_bytes()), range_in(head, field.value));
    }
    let to = ResponseTo::new(method, line.http11);
    let says = seen.conclude_response(to, upgrade_offered, line.code, &index, head)?;
    Ok((line.to_start_line(), says))
}

/// Reads a trailer section that `scan.rs` found complete and well formed, and not empty.
pub(crate) fn parse_scanned_trailers(block: &[u8], max_headers: usize) -> Result<HttpHeaders, DecodeError> {
    let fields = parse_fields(block, max_headers)?;
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

/// The fields of a section that the scan has found good, so that nothing fails.
#[inline(never)]
fn parse_fields(section: &[u8], max_headers: usize) -> Result<Vec<Header<'_>>, DecodeError> {
    // However high the limit is: a field has four bytes at least.
    let mut fields = vec![httparse::EMPTY_HEADER; max_headers.min(section.len() / 4)];
    let found = match httparse::parse_headers(section, &mut fields) {
        Ok(Status::Complete((_, found))) => found.len(),
        _ => return Err(DecodeError::FieldName(shortened(section))),
    };
    fields.truncate(found);
    Ok(fields)
}

/// Where `part`, a slice of `whole`, lies in it.
#[inline]
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    start..start.wrapping_add(part.len())
}
