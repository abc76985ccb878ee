//! Conditional requests (RFC 9110, section 13) and which part of a resource one asks for (section 14.2).
//!
//! Rules: the order is that of section 13.2.2; a field that has to be ignored (no date, the wrong method, another field in
//! charge) is ignored as if it weren't there; what can't match, such as a malformed tag, doesn't.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use crate::date::{format_timestamp, parse_http_date};
use crate::error::HeaderError;
use crate::etag::{EntityTag, elements};
use crate::headers::HttpHeaders;
use crate::range::parse_request_range;

/// What tells the current version of a resource from others (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// Its entity tag.
    pub etag: Option<EntityTag>,
    /// When it was last changed. Fractions of a second are left out, as dates of HTTP have none; whoever can't exclude that it was
    /// changed twice in that second gives an `etag` as well, or leaves this out.
    pub last_modified: Option<SystemTime>,
}

impl Validators {
    /// Adds `ETag` and `Last-Modified`, which belong into an answer with 200, 206 or 304.
    ///
    /// # Errors
    /// [`HeaderError::TooLarge`].
    pub fn add_to(&self, headers: &mut HttpHeaders) -> Result<(), HeaderError> {
        if let Some(etag) = &self.etag {
            headers.set("ETag", etag.to_string())?;
        }
        if let Some(time) = self.last_modified {
            headers.set("Last-Modified", format_timestamp(time))?;
        }
        Ok(())
    }

    fn unmodified_since(&self, date: SystemTime) -> Option<bool> {
        self.last_modified.map(|time| whole_seconds(time) <= date)
    }
}

/// What the conditions of a request demand: see [`evaluate_preconditions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// To do what the request says.
    Passed,
    /// To answer with 304: the client has the current version.
    NotModified,
    /// To do nothing and answer with 412.
    Failed,
}

impl Precondition {
    /// The status to answer with instead of doing what the request says.
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::Passed => None,
            Self::NotModified => Some(StatusCode::NOT_MODIFIED),
            Self::Failed => Some(StatusCode::PRECONDITION_FAILED),
        }
    }
}

/// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` in the order of RFC 9110, section
/// 13.2.2. `current` is `None` if the resource doesn't exist (yet).
///
/// Ask only when the answer would have a status of 2xx without them (section 13.2.1).
///
/// In Tornado a part of it is `RequestHandler.check_etag_header` and `StaticFileHandler.should_return_304`.
///
/// ```
/// use landspout_httputil::{EntityTag, HttpHeaders, Method, Precondition, Validators, evaluate_preconditions};
///
/// let current = Validators { etag: Some(EntityTag::strong("v2")?), last_modified: None };
/// let request = HttpHeaders::from_static(&[("If-None-Match", "\"v1\", \"v2\"")]);
/// assert_eq!(evaluate_preconditions(&Method::GET, &request, Some(&current)), Precondition::NotModified);
/// assert_eq!(evaluate_preconditions(&Method::PUT, &request, Some(&current)), Precondition::Failed);
/// # Ok::<(), landspout_httputil::HeaderError>(())
/// ```
#[doc(alias = "check_etag_header")]
#[doc(alias = "should_return_304")]
pub fn evaluate_preconditions(method: &Method, headers: &HttpHeaders, current: Option<&Validators>) -> Precondition {
    if matches!(*method, Method::CONNECT | Method::OPTIONS | Method::TRACE) {
        return Precondition::Passed;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let unmodified_since = |field| current?.unmodified_since(date(headers, field)?);

    if headers.contains("if-match") {
        if !any_matches(headers, "if-match", current, EntityTag::matches_strongly) {
            return Precondition::Failed;
        }
    } else if unmodified_since("if-unmodified-since") == Some(false) {
        return Precondition::Failed;
    }

    if headers.contains("if-none-match") {
        if any_matches(headers, "if-none-match", current, EntityTag::matches_weakly) {
            return if reads { Precondition::NotModified } else { Precondition::Failed };
        }
    } else if reads && unmodified_since("if-modified-since") == Some(true) {
        return Precondition::NotModified;
    }
    Precondition::Passed
}

/// How much of a resource to send: see [`select_range`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeSelection {
    /// All of it, with 200.
    Whole,
    /// These bytes, with 206 and [`Content-Range`](crate::get_content_range).
    Part(Range<u64>),
    /// Nothing: there are no such bytes. Answer with 416 and [`Content-Range`](crate::get_content_range).
    NotSatisfiable,
}

/// Evaluates `Range` and `If-Range` for a resource of `size` bytes: the last step of RFC 9110, section 13.2.2. Ask when
/// [`evaluate_preconditions`] has given [`Passed`](Precondition::Passed).
///
/// A request for several ranges gets the whole, as a server may do (section 14.2); so does one that says it in a
/// way that is none, whose method isn't GET, or whose `If-Range` names another version.
///
/// ```
/// use landspout_httputil::{HttpHeaders, Method, RangeSelection, Validators, select_range};
///
/// let request = HttpHeaders::from_static(&[("Range", "bytes=-100")]);
/// assert_eq!(select_range(&Method::GET, &request, &Validators::default(), 300), RangeSelection::Part(200..300));
/// ```
pub fn select_range(method: &Method, headers: &HttpHeaders, current: &Validators, size: u64) -> RangeSelection {
    let Some(range) = single(headers, "range").filter(|_| *method == Method::GET) else { return RangeSelection::Whole };
    if headers.contains("if-range") && !is_current(headers, current) {
        return RangeSelection::Whole;
    }
    let range = std::str::from_utf8(range).ok().and_then(parse_request_range);
    match range.map(|range| range.of(size)) {
        None => RangeSelection::Whole,
        Some(Some(part)) => RangeSelection::Part(part),
        Some(None) => RangeSelection::NotSatisfiable,
    }
}

/// Whether `If-Range` names the current version: by a strong tag, or by exactly its date (RFC 9110, section 13.1.5).
fn is_current(headers: &HttpHeaders, current: &Validators) -> bool {
    let Some(field) = single(headers, "if-range") else { return false };
    if field.contains(&b'"') {
        return current.etag.as_ref().is_some_and(|etag| etag.matches_strongly(field));
    }
    let modified = current.last_modified.map(whole_seconds);
    modified.is_some() && modified == date(headers, "if-range")
}

/// Whether a list of tags has one that matches. `*` matches whatever exists.
fn any_matches(
    headers: &HttpHeaders,
    field: &str,
    current: Option<&Validators>,
    matches: fn(&EntityTag, &[u8]) -> bool,
) -> bool {
    let Some(current) = current else { return false };
    let is_match = |tag| current.etag.as_ref().is_some_and(|etag| matches(etag, tag));
    headers.get_list(field).flat_map(elements).any(|tag| tag == b"*" || is_match(tag))
}

/// A field that has to stand there once.
fn single<'a>(headers: &'a HttpHeaders, field: &'a str) -> Option<&'a [u8]> {
    let mut values = headers.get_list(field);
    values.next().filter(|_| values.next().is_none())
}

/// `None` also for what is no date, which has to be ignored.
fn date(headers: &HttpHeaders, field: &str) -> Option<SystemTime> {
    parse_http_date(std::str::from_utf8(single(headers, field)?).ok()?)
}

/// As dates of HTTP have it.
fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => time - Duration::from_nanos(since.subsec_nanos().into()),
        // `Last-Modified` can't be earlier.
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}
