//! `multipart/form-data` (RFC 7578), whole bodies at once.
//!
//! Rules: one pass over the body, whatever is in it; the first error ends it; a delimiter counts only at the start of a line
//! and with nothing but whitespace behind it (RFC 2046, section 5.1.1); what stands before the first delimiter and behind the
//! closing one is no part.

use bytes::Bytes;
use memchr::memmem;

use crate::body::Form;
use crate::error::{HttpInputError, MultipartError};
use crate::form::HttpFile;
use crate::header_params::parse_header;
use crate::headers::HttpHeaders;

/// Limits for `multipart/form-data`: Tornado's `ParseMultipartConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseMultipartConfig {
    /// Whether such bodies are parsed at all; they are an error if not. True unless told.
    pub enabled: bool,
    /// How many parts there may be; 100 unless told. (Tornado's limit of 100 lets 99 through.)
    pub max_parts: usize,
    /// How long the header block of a part may be, in bytes, without the blank line; 10 KiB unless told.
    pub max_part_header_size: usize,
}

impl ParseMultipartConfig {
    pub(crate) const DEFAULT: Self = Self { enabled: true, max_parts: 100, max_part_header_size: 10 * 1024 };
}

impl Default for ParseMultipartConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Parses a `multipart/form-data` body: Tornado's function of that name.
///
/// `boundary` is the parameter of the content type, with or without quotes. Files share the memory of `data`.
///
/// # Errors
/// [`HttpInputError::Multipart`] at the first thing that is wrong; [`HttpInputError::NoBoundary`] for an empty boundary.
pub fn parse_multipart_form_data(
    boundary: &[u8],
    data: &Bytes,
    config: &ParseMultipartConfig,
) -> Result<Form, HttpInputError> {
    if !config.enabled {
        return Err(MultipartError::Disabled.into());
    }
    let boundary = boundary.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(boundary);
    if boundary.is_empty() {
        return Err(HttpInputError::NoBoundary);
    }
    let delimiter = [b"\r\n--", boundary].concat();
    let mut delimiters = Delimiters { data, finder: memmem::Finder::new(&delimiter), from: 0, at_start: true };
    let mut form = Form::default();
    let mut parts = 0;
    let mut delimiter = delimiters.next().ok_or(MultipartError::NoFinalBoundary)?;
    while !delimiter.last {
        parts += 1;
        if parts > config.max_parts {
            return Err(MultipartError::TooManyParts(config.max_parts).into());
        }
        let next = delimiters.next().ok_or(MultipartError::NoFinalBoundary)?;
        // Two delimiter lines in a row share the line break between them: a part of no length.
        let part = data.slice(delimiter.end..next.start.max(delimiter.end));
        parse_part(part, config, &mut form)?;
        delimiter = next;
    }
    Ok(form)
}

fn parse_part(part: Bytes, config: &ParseMultipartConfig, form: &mut Form) -> Result<(), MultipartError> {
    const BLANK_LINE: &[u8] = b"\r\n\r\n";
    let searched = part.len().min(config.max_part_header_size.saturating_add(BLANK_LINE.len()));
    let Some(end) = memmem::find(&part[..searched], BLANK_LINE) else {
        return Err(if searched < part.len() {
            MultipartError::PartHeaderTooLarge(config.max_part_header_size)
        } else {
            MultipartError::MissingPartHeaders
        });
    };
    let headers = HttpHeaders::parse(&part[..end]).map_err(MultipartError::PartHeader)?;
    let mut dispositions = headers.get_list("content-disposition");
    let disposition = parse_header(dispositions.next().ok_or(MultipartError::InvalidDisposition)?);
    if dispositions.next().is_some()
        || !disposition.value().eq_ignore_ascii_case("form-data")
        || disposition.is_ambiguous("name")
        || disposition.is_ambiguous("filename")
    {
        return Err(MultipartError::InvalidDisposition);
    }
    let name = disposition.get("name").filter(|name| !name.is_empty()).ok_or(MultipartError::MissingName)?;
    let body = part.slice(end + BLANK_LINE.len()..);
    match disposition.get("filename").filter(|filename| !filename.is_empty()) {
        Some(filename) => {
            let content_type =
                headers.get_text("content-type").map_or("application/unknown".into(), |t| t.into_owned());
            form.files.add(name, HttpFile { filename, body, content_type });
        }
        None => form.arguments.add(name, body.to_vec()),
    }
    Ok(())
}

/// Finds delimiter lines one after another.
struct Delimiters<'a> {
    data: &'a [u8],
    /// Looks for the delimiter with the line break before it, which belongs to it.
    finder: memmem::Finder<'a>,
    /// Where to look on.
    from: usize,
    /// Nothing was looked at yet: a delimiter may stand there without a line break before it.
    at_start: bool,
}

struct Delimiter {
    /// Where the line break before it starts: the end of the part.
    start: usize,
    /// Behind the line break at its end: the start of the next part.
    end: usize,
    /// Two hyphens follow: there are no more parts.
    last: bool,
}

impl Iterator for Delimiters<'_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        loop {
            let (start, mut end) =
                if std::mem::take(&mut self.at_start) && self.data.starts_with(&self.finder.needle()[2..]) {
                    (0, self.finder.needle().len() - 2)
                } else {
                    let start = self.from + self.finder.find(&self.data[self.from..])?;
                    (start, start + self.finder.needle().len())
                };
            if self.data[end..].starts_with(b"--") {
                return Some(Delimiter { start, end, last: true });
            }
            // Transport padding (RFC 2046): whitespace up to the end of the line.
            while matches!(self.data.get(end), Some(b' ' | b'\t')) {
                end += 1;
            }
            // The line break at its end may be the one before the next delimiter.
            self.from = end;
            if self.data[end..].starts_with(b"\r\n") {
                return Some(Delimiter { start, end: end + 2, last: false });
            }
        }
    }
}
