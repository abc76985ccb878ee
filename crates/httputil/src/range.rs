//! Byte ranges: the `Range` field of a request and the `Content-Range` of an answer (RFC 9110, section 14).

use std::ops::Range;

/// The one range that a request asks for: see [`parse_request_range`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestRange {
    /// `bytes=first-`: from there to the end.
    From(u64),
    /// `bytes=first-last`: both included.
    FromTo(u64, u64),
    /// `bytes=-count`: the last so many bytes.
    Last(u64),
}

impl RequestRange {
    /// The bytes of a content of `size` bytes that this means; `None` if there are none, which answers 416.
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::FromTo(first, last) => first..last.saturating_add(1).min(size),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Reads a `Range` field: Tornado's `_parse_request_range`.
///
/// `None` means that the field is to be ignored and all be sent: another unit, several ranges, or a syntax error, a last
/// position before the first among them (RFC 9110, section 14.1.1; Tornado lets that one through).
///
/// ```
/// use landspout_httputil::{RequestRange, parse_request_range};
///
/// let range = parse_request_range("bytes=1-2").unwrap();
/// assert_eq!(range, RequestRange::FromTo(1, 2));
/// assert_eq!(range.of(100), Some(1..3));
/// ```
#[doc(alias = "_parse_request_range")]
pub fn parse_request_range(field: &str) -> Option<RequestRange> {
    let (unit, range) = field.split_once('=')?;
    if !unit.trim_matches(OWS).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim_matches(OWS).split_once('-')?;
    match (first.trim_matches(OWS), last.trim_matches(OWS)) {
        ("", count) => Some(RequestRange::Last(parse_int(count)?)),
        (first, "") => Some(RequestRange::From(parse_int(first)?)),
        (first, last) => {
            let (first, last) = (parse_int(first)?, parse_int(last)?);
            (first <= last).then_some(RequestRange::FromTo(first, last))
        }
    }
}

/// Makes a `Content-Range` field: Tornado's `_get_content_range`.
///
/// Without a range, or with an empty one, it is what an answer with status 416 needs.
///
/// ```
/// use landspout_httputil::get_content_range;
///
/// assert_eq!(get_content_range(Some(0..1), 4), "bytes 0-0/4");
/// assert_eq!(get_content_range(None, 4), "bytes */4");
/// ```
#[doc(alias = "_get_content_range")]
pub fn get_content_range(range: Option<Range<u64>>, total: u64) -> String {
    match range {
        Some(range) if !range.is_empty() => format!("bytes {}-{}/{total}", range.start, range.end - 1),
        _ => format!("bytes */{total}"),
    }
}

const OWS: [char; 2] = [' ', '\t'];

/// Digits only. What exceeds 64 bits is behind the end of anything, so the largest number stands for it.
fn parse_int(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}
