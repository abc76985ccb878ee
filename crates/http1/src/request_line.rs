//! The request line: `method SP request-target SP HTTP-version CRLF` (RFC 9112, section 3).
//!
//! Rules: single spaces and nothing else between the parts; the method is a token; the target is visible ASCII without a
//! fragment, in one of the four forms, and in one that goes with the method (section 3.2); the version is HTTP/1.x, where x
//! above 1 is read as 1 (RFC 9110, section 2.5). `parse` alone decides what is good; `explain` says what is wrong with the
//! rest.

use std::ops::Range;

use landspout_httputil::{HeaderIndex, Method, Version, is_token, is_valid_host};

use crate::error::{DecodeError, shortened};
use crate::framing::{MethodKind, ResponseTo};
use crate::words::target_len;

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

/// A good request line, as offsets into the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine {
    method_end: usize,
    target_end: usize,
    is_get: bool,
    pub(crate) form: TargetForm,
    pub(crate) http11: bool,
}

impl RequestLine {
    #[inline]
    pub(crate) fn method(self, input: &[u8]) -> &[u8] {
        &input[..self.method_end]
    }

    /// What decides about the framing of responses.
    #[inline(always)]
    pub(crate) fn response_to(self, input: &[u8]) -> ResponseTo {
        let method = if self.is_get { MethodKind::Other } else { MethodKind::of(self.method(input)) };
        ResponseTo::new(method, self.http11)
    }

    /// Notes what the line says, as it stands in `input`.
    #[inline(always)]
    pub(crate) fn note(self, input: &[u8], index: &mut HeaderIndex<'_>) {
        let version = if self.http11 { Version::HTTP_11 } else { Version::HTTP_10 };
        if self.is_get {
            index.set_get_line(self.target(), version);
        } else {
            index.set_request_line(method_of(self.method(input)), self.target(), version);
        }
    }

    #[inline]
    pub(crate) fn target(self) -> Range<usize> {
        self.method_end + 1..self.target_end
    }

    /// Where the authority of a target in absolute-form lies.
    pub(crate) fn authority(self, input: &[u8]) -> Option<Range<usize>> {
        let start = self.target().start;
        let authority = absolute(&input[self.target()])?;
        Some(start + authority.start..start + authority.end)
    }

    /// The length of the line with its line end.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.target_end + VERSION
    }
}

/// The length of ` HTTP/1.1` and a line end.
const VERSION: usize = 11;

/// Reads the line at the start of `input`, line end included.
#[inline(always)]
pub(crate) fn parse(input: &[u8]) -> Option<RequestLine> {
    // Arrays are compared as a whole, slice patterns byte by byte.
    let is_get = input.first_chunk() == Some(b"GET ");
    let method_end = if is_get { 3 } else { method_end(input)? };
    let rest = &input[method_end + 1..];
    let target_len = target_len(rest);
    let (target, rest) = rest.split_at(target_len);
    let version = rest.first_chunk()?;
    let http11 = version == b" HTTP/1.1\r\n" || is_other_version(version)?;
    let form = match target.first()? {
        b'/' if input[0] != b'C' => TargetForm::Origin,
        _ => classify(&input[..method_end], target)?,
    };
    Some(RequestLine { method_end, target_end: method_end + 1 + target_len, is_get, form, http11 })
}

/// Whether it is HTTP/1.1 or higher; `None` if it is not HTTP/1.x at all.
#[cold]
fn is_other_version(version: &[u8; VERSION]) -> Option<bool> {
    match version {
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b'\r', b'\n'] => Some(*minor != b'0'),
        _ => None,
    }
}

/// A method that was checked to be a token, so that nothing falls back.
#[inline(never)]
fn method_of(method: &[u8]) -> Method {
    Method::from_bytes(method).unwrap_or_default()
}

#[inline(never)]
fn method_end(input: &[u8]) -> Option<usize> {
    let end = input.iter().position(|byte| *byte == b' ')?;
    is_token(&input[..end]).then_some(end)
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

/// The form of a target that may be in another one than origin-form.
#[cold]
fn classify(method: &[u8], target: &[u8]) -> Option<TargetForm> {
    match method {
        b"CONNECT" => has_port(target).then_some(TargetForm::Authority),
        _ if target.starts_with(b"/") => Some(TargetForm::Origin),
        b"OPTIONS" if target == b"*" => Some(TargetForm::Asterisk),
        _ => absolute(target).map(|_| TargetForm::Absolute),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &str, target: &str) -> Option<RequestLine> {
        let input = format!("{method} {target} HTTP/1.1\r\n");
        let line = parse(input.as_bytes())?;
        assert_eq!(
            (line.method(input.as_bytes()), &input[line.target()], line.len(), line.http11),
            (method.as_bytes(), target, input.len(), true)
        );
        Some(line)
    }

    fn form(method: &str, target: &str) -> Option<TargetForm> {
        parsed(method, target).map(|line| line.form)
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
            let line = parsed("GET", target).unwrap();
            assert_eq!(line.form, TargetForm::Absolute);
            assert_eq!(
                line.authority(format!("GET {target} HTTP/1.1\r\n").as_bytes()).map(|at| at.len()),
                Some(authority.len())
            );
        }
    }
}
