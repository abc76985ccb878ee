//! The request line: `method SP request-target SP HTTP-version CRLF` (RFC 9112, section 3).
//!
//! Rules: single spaces and nothing else between the parts; the method is a token; the target is visible ASCII without a
//! fragment, in one of the four forms, and in one that goes with the method (section 3.2); the version is HTTP/1.x, where x
//! above 1 is read as 1 (RFC 9110, section 2.5). `parse` alone decides what is good; `explain` says what is wrong with the
//! rest.

use std::ops::Range;

use landspout_httputil::{Method, Version, is_token, is_valid_host};

use crate::error::{DecodeError, shortened};

/// The form of a request's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`: the usual one.
    Origin,
    /// `http://host/path?query`: sent to proxies, and every server must take it. Its host takes the place of `Host`'s.
    Absolute,
    /// `host:port`, with CONNECT.
    Authority,
    /// `*`, with OPTIONS: the server as a whole.
    Asterisk,
}

/// A good request line. Positions are those in the input.
#[derive(Debug)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    pub(crate) target: Range<usize>,
    pub(crate) form: TargetForm,
    /// Where the authority of a target in absolute-form lies.
    pub(crate) authority: Range<usize>,
    pub(crate) version: Version,
    /// With the line end.
    pub(crate) len: usize,
}

/// Reads the line at the start of `input`, line end included.
#[inline]
pub(crate) fn parse(input: &[u8]) -> Option<RequestLine> {
    let (method, start) = match input {
        [b'G', b'E', b'T', b' ', ..] => (Method::GET, 4),
        [b'P', b'O', b'S', b'T', b' ', ..] => (Method::POST, 5),
        _ => parse_method(input)?,
    };
    let len = input[start..].iter().position(|byte| !IN_TARGET[*byte as usize])?;
    let target = start..start + len;
    let version = match input.get(target.end..target.end + 11)? {
        b" HTTP/1.1\r\n" => Version::HTTP_11,
        b" HTTP/1.0\r\n" => Version::HTTP_10,
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b'\r', b'\n'] => Version::HTTP_11,
        _ => return None,
    };
    let (form, authority) = match input[start] {
        b'/' if method != Method::CONNECT => (TargetForm::Origin, 0..0),
        _ => classify(&method, input, target.clone())?,
    };
    let len = target.end + 11;
    Some(RequestLine { method, target, form, authority, version, len })
}

#[cold]
fn parse_method(input: &[u8]) -> Option<(Method, usize)> {
    let len = input.iter().position(|byte| *byte == b' ')?;
    // That the method is a token, `Method` knows as well as we do.
    Some((Method::from_bytes(&input[..len]).ok()?, len + 1))
}

/// What is wrong with `line`, which `parse` refused.
#[cold]
pub(crate) fn explain(line: &[u8]) -> DecodeError {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return DecodeError::RequestLine(shortened(line));
    };
    if !is_token(method) {
        return DecodeError::Method(shortened(method));
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => DecodeError::Target(shortened(target)),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            DecodeError::UnsupportedVersion(shortened(version))
        }
        _ => DecodeError::Version(shortened(version)),
    }
}

/// The form of a target that is none in origin-form, and where its authority lies.
#[cold]
fn classify(method: &Method, input: &[u8], at: Range<usize>) -> Option<(TargetForm, Range<usize>)> {
    let target = &input[at.clone()];
    match *method {
        Method::CONNECT => has_port(target).then_some((TargetForm::Authority, at)),
        Method::OPTIONS if target == b"*" => Some((TargetForm::Asterisk, at)),
        _ => absolute(target)
            .map(|authority| (TargetForm::Absolute, at.start + authority.start..at.start + authority.end)),
    }
}

/// RFC 9112, section 3.2.3: `uri-host ":" port`, both there (RFC 9110, section 9.3.6, has an empty port refused).
fn has_port(target: &[u8]) -> bool {
    let digits = target.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (host, port) = target.split_at(target.len() - digits);
    host.ends_with(b":") && port.iter().any(|digit| *digit != b'0') && is_valid_host(target)
}

/// Where the authority of an absolute http or https URI lies (RFC 9110, section 4.2). User information is refused with
/// everything else that is no host (section 4.2.4).
fn absolute(target: &[u8]) -> Option<Range<usize>> {
    let scheme = target.iter().position(|byte| *byte == b':')?;
    let (name, rest) = target.split_at(scheme);
    if !(name.eq_ignore_ascii_case(b"http") || name.eq_ignore_ascii_case(b"https")) || !rest.starts_with(b"://") {
        return None;
    }
    let start = scheme + 3;
    let end = target[start..].iter().position(|byte| matches!(byte, b'/' | b'?')).map_or(target.len(), |n| start + n);
    is_valid_host(&target[start..end]).then_some(start..end)
}

/// Visible ASCII without `#`.
static IN_TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte <= 0x7E {
        table[byte] = byte != b'#' as usize;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &str, target: &str) -> Option<(TargetForm, String)> {
        let input = format!("{method} {target} HTTP/1.1\r\n");
        let line = parse(input.as_bytes())?;
        assert_eq!((line.method.as_str(), &input[line.target], line.len), (method, target, input.len()));
        Some((line.form, input[line.authority].to_owned()))
    }

    fn form(method: &str, target: &str) -> Option<TargetForm> {
        parsed(method, target).map(|(form, _)| form)
    }

    #[test]
    fn each_form_goes_with_its_methods() {
        use TargetForm::*;
        for method in ["GET", "POST", "OPTIONS", "get", "X"] {
            assert_eq!(form(method, "/"), Some(Origin));
            assert_eq!(form(method, "//a?b/c|{}[]\\^`\"<>%zz"), Some(Origin));
            assert_eq!(form(method, "http://example.com"), Some(Absolute));
            assert_eq!(form(method, "HTTPS://[::1]:80?x"), Some(Absolute));
            assert_eq!(form(method, "*"), (method == "OPTIONS").then_some(Asterisk));
            for bad in ["", "a", "?", "a/b", "example.com:80", "*x", "**", "/#", "/a#b", "/\x7f", "/ ", "/\t", "/é"] {
                assert_eq!(form(method, bad), None, "{method} {bad}");
            }
            for bad in
                ["http:", "http:/", "http://", "http:///a", "http://?", "http://u@h/", "http://u:p@h/", "http://h:x/"]
            {
                assert_eq!(form(method, bad), None, "{method} {bad}");
            }
            for bad in ["ftp://h/", "//", "https:h", "http//h", "://h", "http://a b/", "http://a,b/", "http://h:99999/"]
            {
                assert_eq!(form(method, bad), (bad == "//").then_some(Origin), "{method} {bad}");
            }
        }
        assert_eq!(form("CONNECT", "example.com:443"), Some(Authority));
        assert_eq!(form("CONNECT", "[::1]:443"), Some(Authority));
        for bad in
            ["/", "*", "example.com", "example.com:", ":443", "h:0", "h:65536", "http://h:1/", "u@h:1", "h:1/", "::1"]
        {
            assert_eq!(form("CONNECT", bad), None, "CONNECT {bad}");
        }
    }

    #[test]
    fn the_authority_of_an_absolute_target() {
        for (target, authority) in
            [("http://a", "a"), ("http://a:80/b", "a:80"), ("https://a?b", "a"), ("http://[::1]:8/", "[::1]:8")]
        {
            assert_eq!(parsed("GET", target), Some((TargetForm::Absolute, authority.to_owned())));
        }
    }
}
