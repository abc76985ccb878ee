//! Request targets: which of the four forms one has, and whether the method goes with it (RFC 9112, section 3.2).
//!
//! Rules: visible ASCII only and no fragment; origin-form starts with a slash; absolute-form is an http or https URI with a
//! host and without user information; authority-form is for CONNECT alone and has a port; asterisk-form is for OPTIONS
//! alone.

use std::ops::Range;

use landspout_httputil::is_valid_host;

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

/// The form of `target`, and where in it the authority lies if it is in absolute-form; `None` if it is not valid.
#[inline]
pub(crate) fn classify(method: &[u8], target: &[u8]) -> Option<(TargetForm, Range<usize>)> {
    if !target.iter().all(|byte| matches!(byte, 0x21..=0x7E) && *byte != b'#') {
        return None;
    }
    if method != b"CONNECT" && target.first() == Some(&b'/') {
        return Some((TargetForm::Origin, 0..0));
    }
    classify_rare(method, target)
}

#[cold]
fn classify_rare(method: &[u8], target: &[u8]) -> Option<(TargetForm, Range<usize>)> {
    match method {
        b"CONNECT" => has_port(target).then_some((TargetForm::Authority, 0..target.len())),
        b"OPTIONS" if target == b"*" => Some((TargetForm::Asterisk, 0..0)),
        _ => absolute(target).map(|authority| (TargetForm::Absolute, authority)),
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

    fn form(method: &str, target: &str) -> Option<TargetForm> {
        classify(method.as_bytes(), target.as_bytes()).map(|(form, _)| form)
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
            let (_, range) = classify(b"GET", target.as_bytes()).unwrap();
            assert_eq!(&target[range], authority);
        }
    }
}
