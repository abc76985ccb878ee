//! `HttpHeaders` as text, and compared.
//!
//! Rules: what `Display` prints, `parse` reads; `Debug` shows no credentials, because debug output ends up in logs; equality
//! ignores the case of names and the order of fields with different names (RFC 9110, section 5.3).

use std::borrow::Cow;
use std::fmt;

use crate::error::{HeaderError, shortened};
use crate::grammar::{is_field_content, trim_ows};
use crate::headers::{HttpHeaders, text};

impl HttpHeaders {
    /// Reads header lines: Tornado's `HTTPHeaders.parse`.
    ///
    /// Lines end with LF or CRLF; empty ones are skipped. A line that starts with a space or a tab continues the one before
    /// and is joined to it by one space. This is for MIME-like blocks that are at hand as a whole: on the wire, both bare LF
    /// and continuation lines are refused by the codec (RFC 9112, sections 2.2 and 5.2).
    ///
    /// ```
    /// use landspout_httputil::HttpHeaders;
    ///
    /// let headers = HttpHeaders::parse("Content-Type: text/html\r\nX-Long: one\r\n  two\r\n")?;
    /// assert_eq!(headers.get("x-long"), Some(&b"one two"[..]));
    /// # Ok::<(), landspout_httputil::HeaderError>(())
    /// ```
    ///
    /// # Errors
    /// [`HeaderError`] for the first line that is malformed. The cost is linear.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        let mut headers = Self::new();
        let mut rest = text.as_ref();
        while !rest.is_empty() {
            let line;
            (line, rest) = match memchr::memchr(b'\n', rest) {
                Some(end) => (rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]), &rest[end + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            headers.parse_line(line)?;
        }
        Ok(headers)
    }

    /// Adds the field of one line, without a line end, or continues the field that was added last.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_line(&mut self, line: &[u8]) -> Result<(), HeaderError> {
        match line.first() {
            None => Ok(()),
            Some(b' ' | b'\t') => self.continue_last(trim_ows(line)),
            Some(_) => {
                let colon = memchr::memchr(b':', line).ok_or_else(|| HeaderError::NoColon { line: shortened(line) })?;
                let name = &line[..colon];
                let text = std::str::from_utf8(name);
                let name = text.map_err(|_| HeaderError::InvalidName { name: shortened(name) })?;
                self.add(name, &line[colon + 1..])
            }
        }
    }

    fn continue_last(&mut self, more: &[u8]) -> Result<(), HeaderError> {
        let Some((name, value)) = self.iter().next_back() else { return Err(HeaderError::NothingToContinue) };
        if let Some(position) = more.iter().position(|byte| !is_field_content(*byte)) {
            return Err(HeaderError::InvalidValue { name: name.to_owned(), byte: more[position], position });
        }
        // Whitespace at either end is not part of a value, so an empty line or value adds no space.
        let space: &[u8] = if value.is_empty() || more.is_empty() { b"" } else { b" " };
        self.extend_last(space)?;
        self.extend_last(more)
    }
}

impl fmt::Display for HttpHeaders {
    /// One line for each field, with LF at its end. Values are shown as UTF-8 if they are, else as Latin-1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self {
            writeln!(f, "{name}: {}", text(value))?;
        }
        Ok(())
    }
}

impl fmt::Debug for HttpHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| {
                let secret = SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
                (name, if secret { Cow::Borrowed("(hidden)") } else { text(value) })
            }))
            .finish()
    }
}

/// Fields that carry credentials (RFC 9110, sections 11.6.2 and 11.7.2; RFC 6265).
const SECRETS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

impl PartialEq for HttpHeaders {
    fn eq(&self, other: &Self) -> bool {
        fn sorted(headers: &HttpHeaders) -> Vec<(Vec<u8>, &[u8])> {
            let mut fields: Vec<_> = headers.fields().map(|(n, v)| (n.to_ascii_lowercase(), v)).collect();
            // Stable: values of one name stay in order.
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            fields
        }
        self.len() == other.len() && sorted(self) == sorted(other)
    }
}

impl Eq for HttpHeaders {}
