//! `MultipartPart`: what stands before the content of a part.
//!
//! Rules: a part of a form has exactly one `Content-Disposition: form-data` with one name (RFC 7578, section 4.2); where two
//! readers could take different names, it is refused.

use std::borrow::Cow;

use crate::error::MultipartError;
use crate::header_params::parse_header;
use crate::headers::HttpHeaders;

/// A part of a form, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartPart {
    headers: HttpHeaders,
    name: String,
    filename: Option<String>,
}

impl MultipartPart {
    /// From its header block, without the blank line.
    pub(super) fn parse(block: &[u8]) -> Result<Self, MultipartError> {
        let headers = HttpHeaders::parse(block).map_err(MultipartError::PartHeader)?;
        let mut dispositions = headers.get_list("content-disposition");
        let disposition = parse_header(dispositions.next().ok_or(MultipartError::InvalidDisposition)?);
        if dispositions.next().is_some()
            || !disposition.value().eq_ignore_ascii_case("form-data")
            || disposition.is_ambiguous("name")
            || disposition.is_ambiguous("filename")
        {
            return Err(MultipartError::InvalidDisposition);
        }
        drop(dispositions);
        let name = disposition.get("name").filter(|name| !name.is_empty()).ok_or(MultipartError::MissingName)?;
        let filename = disposition.get("filename").filter(|filename| !filename.is_empty());
        Ok(Self { headers, name, filename })
    }

    /// The name of the form's field; never empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the client calls the file; `None` if this is no file, but an argument. A form's file field in which no file was chosen
    /// counts as an argument, as in Tornado.
    ///
    /// It may contain anything. Never use it as a path: [`harmless_filename`](crate::harmless_filename) makes one of it that
    /// can be used.
    pub fn filename(&self) -> Option<&str> {
        self.filename.as_deref()
    }

    /// What the client says the content is; `application/unknown` if it doesn't say.
    pub fn content_type(&self) -> Cow<'_, str> {
        self.headers.get_text("content-type").unwrap_or(Cow::Borrowed("application/unknown"))
    }

    /// All header fields of the part.
    pub fn headers(&self) -> &HttpHeaders {
        &self.headers
    }
}
