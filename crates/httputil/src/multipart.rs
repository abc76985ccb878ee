//! `multipart/form-data` (RFC 7578): the limits, one part, and whole bodies at once.
//!
//! Rules: there is one parser, [`MultipartParser`](crate::MultipartParser); what is here gives it a body in one piece and
//! keeps what it says. The first error ends it.

mod parser;
mod part;
mod receiver;

use bytes::Bytes;

pub use self::parser::{MultipartEvent, MultipartParser};
pub use self::part::MultipartPart;
pub use self::receiver::{MultipartDelegate, MultipartReceiver};
use crate::body::Form;
use crate::error::HttpInputError;
use crate::form::HttpFile;

/// Limits for `multipart/form-data`: Tornado's `ParseMultipartConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseMultipartConfig {
    /// Whether such bodies are parsed at all; they are an error if not. True unless told.
    pub enabled: bool,
    /// How many parts there may be; 100 unless told. (Tornado's limit of 100 lets 99 through.)
    pub max_parts: usize,
    /// How long the header block of a part may be, in bytes, without the blank line; 10 KiB unless told.
    pub max_part_header_size: usize,
    /// How long the content of a part may be, in bytes. No limit unless told (nor has Tornado one): that of the whole body
    /// holds in any case.
    pub max_part_size: u64,
}

impl ParseMultipartConfig {
    pub(crate) const DEFAULT: Self =
        Self { enabled: true, max_parts: 100, max_part_header_size: 10 * 1024, max_part_size: u64::MAX };
}

impl Default for ParseMultipartConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Parses a `multipart/form-data` body: Tornado's function of that name.
///
/// `boundary` is the parameter of the content type, with or without quotes. Files share the memory of `data`. A body that
/// doesn't fit into memory is for [`MultipartReceiver`].
///
/// # Errors
/// [`HttpInputError::Multipart`] at the first thing that is wrong; [`HttpInputError::NoBoundary`] for a boundary that can be
/// none.
pub fn parse_multipart_form_data(
    boundary: &[u8],
    data: &Bytes,
    config: &ParseMultipartConfig,
) -> Result<Form, HttpInputError> {
    let mut parser = MultipartParser::new(boundary, config)?;
    let mut input = data.clone();
    let mut form = Form::default();
    let mut part = None;
    let mut body = Bytes::new();
    while let Some(event) = parser.next_event(&mut input)? {
        match event {
            MultipartEvent::Part(begun) => part = Some(begun),
            // The parser cuts a content only where its input is cut, so there is one piece, and it isn't copied.
            MultipartEvent::Data(piece) if body.is_empty() => body = piece,
            MultipartEvent::Data(piece) => body = [body, piece].concat().into(),
            MultipartEvent::PartEnd => keep(&mut form, part.take(), std::mem::take(&mut body)),
        }
    }
    parser.finish()?;
    Ok(form)
}

fn keep(form: &mut Form, part: Option<MultipartPart>, body: Bytes) {
    let Some(part) = part else { return };
    match part.filename() {
        Some(filename) => {
            let file = HttpFile { filename: filename.to_owned(), body, content_type: part.content_type().into_owned() };
            form.files.add(part.name(), file);
        }
        None => form.arguments.add(part.name(), body.to_vec()),
    }
}
