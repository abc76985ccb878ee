//! Fields of the form `value; name=value; name="value"`, read and written.
//!
//! Rules: one pass, whatever the quotes and semicolons; inside quotes a backslash escapes a quote or a backslash only,
//! because old browsers send Windows paths; `name*=` (RFC 8187) wins over `name=`, wherever it stands.

use percent_encoding::percent_decode;

use crate::form::into_text;
use crate::grammar::{is_token, trim_ows};
use crate::headers::latin1;

/// A field's value taken apart: see [`parse_header`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedHeader {
    value: String,
    params: Vec<Param>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Param {
    name: String,
    value: Vec<u8>,
    /// It was written as `name*=`, with a character set, and is UTF-8 now.
    extended: bool,
}

/// Takes `value; name=value; …` apart: Tornado's `_parse_header`.
///
/// ```
/// use landspout_httputil::parse_header;
///
/// let parsed = parse_header(br#"form-data; name="a;b"; filename="x"; filename*=UTF-8''%E2%82%AC"#);
/// assert_eq!(parsed.value(), "form-data");
/// assert_eq!(parsed.get("name").as_deref(), Some("a;b"));
/// assert_eq!(parsed.get("filename").as_deref(), Some("€"));
/// ```
#[doc(alias = "_parse_header")]
pub fn parse_header(field: &[u8]) -> ParsedHeader {
    let mut pieces = Pieces { rest: Some(field) };
    let value = into_text(pieces.next().unwrap_or_default().to_vec());
    let params = pieces.filter_map(Param::parse).collect();
    ParsedHeader { value, params }
}

/// Puts `value; name=value; …` together, with quotes where they are needed: Tornado's `_encode_header`.
///
/// A parameter without a value is its name alone. Control characters are not dealt with:
/// [`HttpHeaders::add`](crate::HttpHeaders::add) refuses them.
#[doc(alias = "_encode_header")]
pub fn encode_header<'a>(value: &str, params: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut field = value.to_owned();
    for (name, value) in params {
        field.push_str("; ");
        field.push_str(name);
        let Some(value) = value else { continue };
        field.push('=');
        if is_token(value.as_bytes()) {
            field.push_str(value);
            continue;
        }
        field.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                field.push('\\');
            }
            field.push(c);
        }
        field.push('"');
    }
    field
}

impl ParsedHeader {
    /// What stands before the first semicolon.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The parameter of that name as text: UTF-8 if it is, else Latin-1. Names have no case. Of several, the last one counts.
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_bytes(name).map(|value| into_text(value.to_vec()))
    }

    /// The parameter of that name as bytes.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        let last = |extended| self.all(name).filter(|param| param.extended == extended).last();
        last(true).or_else(|| last(false)).map(|param| &*param.value)
    }

    /// Whether a parameter is given twice, so that two readers may take different ones. `name=` together with `name*=` is
    /// meant to be.
    pub(crate) fn is_ambiguous(&self, name: &str) -> bool {
        let count = |extended| self.all(name).filter(|param| param.extended == extended).count();
        count(true) > 1 || count(false) > 1
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(move |param| param.name.eq_ignore_ascii_case(name))
    }
}

impl Param {
    fn parse(piece: &[u8]) -> Option<Self> {
        let equals = memchr::memchr(b'=', piece)?;
        let (name, value) = (trim_ows(&piece[..equals]), trim_ows(&piece[equals + 1..]));
        if let Some(name) = name.strip_suffix(b"*") {
            return Some(Self { name: into_text(name.to_vec()), value: decode_extended(value)?, extended: true });
        }
        Some(Self { name: into_text(name.to_vec()), value: unquote(value), extended: false })
    }
}

/// Cuts at semicolons that are not inside quotes.
struct Pieces<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        let mut i = 0;
        while i < rest.len() {
            match rest[i] {
                b'"' => quoted = !quoted,
                b'\\' if quoted => i += 1,
                b';' if !quoted => {
                    self.rest = Some(&rest[i + 1..]);
                    return Some(trim_ows(&rest[..i]));
                }
                _ => {}
            }
            i += 1;
        }
        self.rest = None;
        Some(trim_ows(rest))
    }
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(&escaped @ (b'"' | b'\\')) if byte == b'\\' => {
                plain.push(escaped);
                bytes.next();
            }
            _ => plain.push(byte),
        }
    }
    plain
}

/// `charset'language'percent-encoded` (RFC 8187, section 3.2) as UTF-8; `None` for a charset other than the two of RFC 5987.
fn decode_extended(value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    if charset.eq_ignore_ascii_case(b"utf-8") {
        std::str::from_utf8(&bytes).is_ok().then_some(bytes)
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") || charset.eq_ignore_ascii_case(b"us-ascii") {
        Some(latin1(&bytes).into_owned().into_bytes())
    } else {
        None
    }
}
