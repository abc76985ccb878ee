//! URLs: adding arguments to one, and taking a request target in absolute form apart.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::form::parse_qs_bytes;

/// Adds arguments to a URL's query, before its fragment: Tornado's `url_concat`.
///
/// The pairs that are there already stay first and are encoded in the same way (`?x` becomes `?x=`). Without arguments the
/// URL stays as it is.
///
/// ```
/// use landspout_httputil::url_concat;
///
/// let url = url_concat("http://example.com/foo?a=b#top", [("c", "d e"), ("c", "/")]);
/// assert_eq!(url, "http://example.com/foo?a=b&c=d+e&c=%2F#top");
/// ```
pub fn url_concat<K: AsRef<[u8]>, V: AsRef<[u8]>>(url: &str, args: impl IntoIterator<Item = (K, V)>) -> String {
    let mut args = args.into_iter().peekable();
    if args.peek().is_none() {
        return url.to_owned();
    }
    let (rest, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut result = base.to_owned();
    for (name, value) in &parse_qs_bytes(query) {
        push_pair(&mut result, base.len(), name.as_bytes(), value);
    }
    for (name, value) in args {
        push_pair(&mut result, base.len(), name.as_ref(), value.as_ref());
    }
    result.push_str(fragment);
    result
}

/// Scheme, authority, and path with query of a target in absolute form (RFC 9112, section 3.2.2); `None` for any other form.
///
/// Only `http` and `https` count, with any case. The last part is empty if the URL ends with its authority.
///
/// ```
/// use landspout_httputil::split_absolute_form;
///
/// assert_eq!(split_absolute_form("http://a.example:81/x?y"), Some(("http", "a.example:81", "/x?y")));
/// assert_eq!(split_absolute_form("/x?y"), None);
/// ```
#[inline]
pub fn split_absolute_form(target: &str) -> Option<(&str, &str, &str)> {
    // Nearly all targets are paths.
    if target.as_bytes().first() == Some(&b'/') { None } else { split_unusual(target) }
}

#[cold]
fn split_unusual(target: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((scheme, authority, path))
}

fn push_pair(url: &mut String, base: usize, name: &[u8], value: &[u8]) {
    url.push(if url.len() == base { '?' } else { '&' });
    push_encoded(url, name);
    url.push('=');
    push_encoded(url, value);
}

/// As HTML forms encode (`application/x-www-form-urlencoded`), with `~` as it is (RFC 3986, section 2.3).
fn push_encoded(url: &mut String, bytes: &[u8]) {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b' ');
    for piece in percent_encode(bytes, ENCODED) {
        url.extend(piece.chars().map(|c| if c == ' ' { '+' } else { c }));
    }
}
