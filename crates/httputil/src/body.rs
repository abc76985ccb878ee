//! Bodies that are forms: which parser, and its limits.
//!
//! Rules: the media type alone decides, without regard to case (RFC 9110, section 8.3.1); a form in a content encoding that
//! nobody undid is an error, not an empty form.

use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use crate::error::HttpInputError;
use crate::form::{Arguments, Files, pairs};
use crate::grammar::trim_ows;
use crate::header_params::parse_header;
use crate::headers::{HttpHeaders, text};
use crate::multipart::{ParseMultipartConfig, parse_multipart_form_data};

/// What a form holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Its arguments.
    pub arguments: Arguments,
    /// Its files.
    pub files: Files,
}

/// Limits for forms: Tornado's `ParseBodyConfig`.
///
/// ```
/// use landspout_httputil::{ParseBodyConfig, ParseMultipartConfig};
///
/// let multipart = ParseMultipartConfig { max_parts: 10, ..Default::default() };
/// let config = ParseBodyConfig { multipart, ..Default::default() };
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseBodyConfig {
    /// For `multipart/form-data`.
    pub multipart: ParseMultipartConfig,
    /// How many arguments an `application/x-www-form-urlencoded` body may have; 10,000 unless told.
    ///
    /// Tornado has no such limit, but `a&a&a&…` takes more than twenty times its own size once it is parsed. Tomcat has had 10,000 for
    /// a long time; PHP, Django and Jetty have 1,000.
    pub max_arguments: usize,
}

impl ParseBodyConfig {
    /// The limits that are in force.
    pub fn current() -> Self {
        *CURRENT.read().unwrap_or_else(PoisonError::into_inner)
    }

    const DEFAULT: Self = Self { multipart: ParseMultipartConfig::DEFAULT, max_arguments: 10_000 };
}

impl Default for ParseBodyConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

static CURRENT: RwLock<ParseBodyConfig> = RwLock::new(ParseBodyConfig::DEFAULT);

/// Sets the limits for the forms of all requests of this process: Tornado's function of that name.
pub fn set_parse_body_config(config: ParseBodyConfig) {
    *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = config;
}

/// Parses a body as the form that `content_type` says it is: Tornado's function of that name.
///
/// `application/x-www-form-urlencoded` and `multipart/form-data` are forms; any other type gives an empty one. `headers`
/// are those of the message.
///
/// # Errors
/// [`HttpInputError`]: the body breaks the format or a limit, or has a `Content-Encoding`.
pub fn parse_body_arguments(
    content_type: impl AsRef<[u8]>,
    body: &Bytes,
    headers: &HttpHeaders,
    config: &ParseBodyConfig,
) -> Result<Form, HttpInputError> {
    let content_type = content_type.as_ref();
    if let Some(boundary) = multipart_boundary(content_type)? {
        refuse_content_encoding(headers)?;
        return parse_multipart_form_data(&boundary, body, &config.multipart);
    }
    if !is_media_type(content_type, b"application/x-www-form-urlencoded") {
        return Ok(Form::default());
    }
    refuse_content_encoding(headers)?;
    let mut arguments = Arguments::new();
    for (name, value) in pairs(body) {
        if arguments.len() == config.max_arguments {
            return Err(HttpInputError::TooManyArguments(config.max_arguments));
        }
        arguments.add(name, value);
    }
    Ok(Form { arguments, files: Files::new() })
}

/// The boundary of `multipart/form-data`, or `None` for another type.
pub(crate) fn multipart_boundary(content_type: &[u8]) -> Result<Option<Vec<u8>>, HttpInputError> {
    if !is_media_type(content_type, b"multipart/form-data") {
        return Ok(None);
    }
    let params = parse_header(content_type);
    let boundary = params.get_bytes("boundary").filter(|boundary| !boundary.is_empty());
    boundary.map(|boundary| Some(boundary.to_vec())).ok_or(HttpInputError::NoBoundary)
}

fn is_media_type(content_type: &[u8], media_type: &[u8]) -> bool {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    trim_ows(&content_type[..end]).eq_ignore_ascii_case(media_type)
}

pub(crate) fn refuse_content_encoding(headers: &HttpHeaders) -> Result<(), HttpInputError> {
    // `identity` is no encoding, though nobody should say so (RFC 9110, section 8.4).
    let is_one = |coding: &&[u8]| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity");
    match headers.get_list("content-encoding").find(is_one) {
        Some(coding) => Err(HttpInputError::UnsupportedContentEncoding(text(coding).into_owned())),
        None => Ok(()),
    }
}
