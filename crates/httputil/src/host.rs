//! The `Host` field: what it may look like, and how to take a port off.
//!
//! Rules: `Host = uri-host [":" port]` (RFC 9110, section 7.2) with a host that is not empty (section 4.2.1), exactly once
//! unless the request is older than HTTP/1.1 (RFC 9112, section 3.2). Virtual hosting, links and caches trust this value, so
//! the codec refuses anything else before an application sees it, on the delegate path too.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::Version;

use crate::error::{HttpInputError, shortened};
use crate::headers::HttpHeaders;

/// The request's `Host`; `None` when there is none and HTTP/1.0 doesn't ask for one.
///
/// # Errors
/// [`HttpInputError::MissingHost`], [`MultipleHosts`](HttpInputError::MultipleHosts) (several fields, or a comma in one)
/// or [`InvalidHost`](HttpInputError::InvalidHost).
pub fn validate_host(headers: &HttpHeaders, version: Version) -> Result<Option<&str>, HttpInputError> {
    let mut hosts = headers.get_list("host");
    let Some(host) = hosts.next() else {
        return if version < Version::HTTP_11 { Ok(None) } else { Err(HttpInputError::MissingHost) };
    };
    if hosts.next().is_some() || host.contains(&b',') {
        return Err(HttpInputError::MultipleHosts);
    }
    match std::str::from_utf8(host) {
        Ok(text) if is_valid_host(host) => Ok(Some(text)),
        _ => Err(HttpInputError::InvalidHost(shortened(host))),
    }
}

/// Whether `host` is `uri-host [":" port]` with a host that is not empty; the port may be empty and is at most 65535.
///
/// A comma is refused although a registered name could contain one: nobody has such a name, and a proxy that joins two
/// `Host` fields makes one.
#[inline]
pub fn is_valid_host(host: &[u8]) -> bool {
    // A plain name, perhaps with a port, takes one pass: this runs for every request.
    let plain = host.iter().position(|byte| !REG_NAME[*byte as usize]).unwrap_or(host.len());
    match host[plain..].first() {
        None => plain != 0,
        Some(b':') => plain != 0 && is_port(&host[plain..]),
        Some(_) => is_unusual_host(host),
    }
}

/// Hosts with brackets or escapes, and all that are not valid.
#[cold]
fn is_unusual_host(host: &[u8]) -> bool {
    let (name, port) = match host.first() {
        Some(b'[') => match position(host, b']') {
            Some(end) if is_ip_literal(&host[1..end]) => (&host[..=end], &host[end + 1..]),
            _ => return false,
        },
        _ => host.split_at(position(host, b':').unwrap_or(host.len())),
    };
    !name.is_empty() && (name[0] == b'[' || is_reg_name(name)) && (port.is_empty() || is_port(port))
}

/// These are short: a search for many bytes at a time would take longer to begin with.
fn position(host: &[u8], wanted: u8) -> Option<usize> {
    host.iter().position(|byte| *byte == wanted)
}

/// Splits `host[:port]`: Tornado's `split_host_and_port`.
///
/// A port that is missing, empty or not a number from 0 to 65535 gives `None` and stays with the host, and so does
/// everything when the host would be an IPv6 address without brackets (Tornado cuts `::1` into `:` and 1).
///
/// ```
/// use landspout_httputil::split_host_and_port;
///
/// assert_eq!(split_host_and_port("example.com:8888"), ("example.com", Some(8888)));
/// assert_eq!(split_host_and_port("[::1]:80"), ("[::1]", Some(80)));
/// assert_eq!(split_host_and_port("::1"), ("::1", None));
/// ```
pub fn split_host_and_port(netloc: &str) -> (&str, Option<u16>) {
    if let Some((host, port)) = netloc.rsplit_once(':') {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let bare_ipv6 = host.contains(':') && !host.ends_with(']');
        if digits && !bare_ipv6 {
            if let Ok(port) = port.parse() {
                return (host, Some(port));
            }
        }
    }
    (netloc, None)
}

/// The host alone: port cut off, lower case.
pub(crate) fn host_name(host: &str) -> Cow<'_, str> {
    // An empty port is a port (RFC 3986, section 3.2.3).
    let (name, _) = split_host_and_port(host.strip_suffix(':').unwrap_or(host));
    if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// `reg-name` of RFC 3986, section 3.2.2, which IPv4 addresses are a part of, without the comma.
fn is_reg_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if REG_NAME[first as usize] {
            continue;
        }
        match (first, tail) {
            (b'%', [a, b, tail @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest = tail,
            _ => return false,
        }
    }
    true
}

/// What stands between brackets: an IPv6 address or `IPvFuture` (RFC 3986, section 3.2.2).
fn is_ip_literal(literal: &[u8]) -> bool {
    match literal {
        [b'v' | b'V', future @ ..] => match position(future, b'.') {
            Some(dot) => {
                let (version, address) = (&future[..dot], &future[dot + 1..]);
                !version.is_empty()
                    && version.iter().all(u8::is_ascii_hexdigit)
                    && !address.is_empty()
                    && address.iter().all(|b| REG_NAME[*b as usize] || *b == b':')
            }
            None => false,
        },
        _ => std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
    }
}

/// `":" *DIGIT`, at most 65535.
fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else { return false };
    let mut number = 0_u32;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return false;
        }
        number = number * 10 + u32::from(digit - b'0');
        if number > 65535 {
            return false;
        }
    }
    true
}

/// `unreserved` and `sub-delims` of RFC 3986, without the comma.
static REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
            );
        i += 1;
    }
    table
};
