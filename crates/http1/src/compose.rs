//! What goes into the heads of both directions: the application's fields, `Connection`, and the field that frames the body.
//!
//! Rules: nothing is validated twice: names and values were when they were made (`httputil`), so that none of them can split
//! a message; the fields of framing and connection are written last and by us.

use landspout_httputil::{HttpHeaders, HttpOutputError};

use crate::error::shortened;
use crate::framing::{BodyLength, Kind, connection_options, decimal, is_word, kind};

/// Which of the fields that the codec reads the application gave, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given(u8);

impl Given {
    /// Notes a field; whether it is written by us, later.
    #[inline]
    fn take(&mut self, kind: Kind) -> bool {
        self.0 |= 1 << kind as u8;
        matches!(kind, Kind::ContentLength | Kind::TransferEncoding | Kind::Connection)
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// The length that they give.
    pub(crate) fn length(self, headers: &HttpHeaders) -> Result<Option<u64>, HttpOutputError> {
        if !self.has(Kind::ContentLength) {
            return Ok(None);
        }
        let mut length = None;
        for value in values(headers, Kind::ContentLength) {
            match decimal(value) {
                Some(number) if length.is_none() => length = Some(number),
                _ => return Err(HttpOutputError::InvalidContentLength(shortened(value))),
            }
        }
        Ok(length)
    }
}

/// Appends the application's fields but those of the framing and the connection, which are written last and by us.
#[inline]
pub(crate) fn append_fields(headers: &HttpHeaders, out: &mut Vec<u8>) -> Given {
    let mut given = Given::default();
    for (name, value) in headers.fields() {
        let kind = kind(name);
        if kind != Kind::Other && given.take(kind) {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    given
}

/// What is before a length.
pub(crate) const LENGTH_NAME: &[u8] = b"Content-Length: ";

/// Appends the field that frames a body, if there is one, and the blank line.
#[inline]
pub(crate) fn append_framing(length: BodyLength, out: &mut Vec<u8>) {
    match length {
        BodyLength::Fixed(length) => {
            out.extend_from_slice(LENGTH_NAME);
            append_number_and_end(length, out);
        }
        BodyLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
        BodyLength::None | BodyLength::UntilClose => out.extend_from_slice(b"\r\n"),
    }
}

#[inline]
pub(crate) fn append_number_and_end(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// `Connection` with one option.
#[inline]
pub(crate) fn append_option(option: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"Connection: ");
    out.extend_from_slice(option);
    out.extend_from_slice(b"\r\n");
}

/// `Connection` with our options and those of the application that are not about persistence, if there are any.
#[cold]
pub(crate) fn append_connection<'a>(
    ours: impl IntoIterator<Item = &'a [u8]>,
    headers: &'a HttpHeaders,
    out: &mut Vec<u8>,
) {
    let others = values(headers, Kind::Connection)
        .flat_map(connection_options)
        .filter(|option| !is_word(option, b"close") && !is_word(option, b"keep-alive"));
    let mut separator: &[u8] = b"Connection: ";
    for option in ours.into_iter().chain(others) {
        out.extend_from_slice(separator);
        out.extend_from_slice(option);
        separator = b", ";
    }
    if separator == b", " {
        out.extend_from_slice(b"\r\n");
    }
}

/// The values of the fields of a kind.
pub(crate) fn values(headers: &HttpHeaders, wanted: Kind) -> impl Iterator<Item = &[u8]> {
    headers.fields().filter(move |(name, _)| kind(name) == wanted).map(|(_, value)| value)
}
