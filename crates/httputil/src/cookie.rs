//! The `Cookie` field, read as browsers mean it.
//!
//! Rules: every semicolon separates, quotes or not, so that nobody can hide a cookie in another one's value; nothing is
//! refused; the last of several with one name counts; one pass, whatever is escaped.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Cookies by name.
pub type Cookies = BTreeMap<String, String>;

/// Reads a `Cookie` field: Tornado's `parse_cookie`.
///
/// ```
/// use landspout_httputil::parse_cookie;
///
/// let cookies = parse_cookie(r#"a=b; c="d\"e"; a=f"#);
/// assert_eq!(cookies["a"], "f");
/// assert_eq!(cookies["c"], "d\"e");
/// ```
pub fn parse_cookie(cookie: &str) -> Cookies {
    let mut cookies = Cookies::new();
    parse_cookie_into(&mut cookies, cookie);
    cookies
}

pub(crate) fn parse_cookie_into(cookies: &mut Cookies, cookie: &str) {
    for pair in cookie.split(';') {
        // Without `=` it is a value without a name, as browsers take it (Mozilla bug 169091).
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (trim(name), trim(value));
        if !(name.is_empty() && value.is_empty()) {
            cookies.insert(name.to_owned(), unquote_cookie(value).into_owned());
        }
    }
}

/// Takes the quotes off a cookie's value and undoes its escapes: Tornado's `_unquote_cookie`.
///
/// `\ooo` with three octal digits up to 377 is the character of that number, a backslash before anything else is dropped. A
/// value that is not in quotes stays as it is.
pub fn unquote_cookie(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(value);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(backslash) = rest.find('\\') {
        plain.push_str(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let (c, length) = match (octal(rest.as_bytes()), rest.chars().next()) {
            (Some(c), _) => (c, 3),
            (None, Some(c)) => (c, c.len_utf8()),
            (None, None) => ('\\', 0),
        };
        plain.push(c);
        rest = &rest[length..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

fn octal(bytes: &[u8]) -> Option<char> {
    match bytes {
        [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            Some(char::from((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')))
        }
        _ => None,
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
