//! Whether a client takes gzip (RFC 9110, section 12.5.3), and whether a response gains by it.

use landspout_httputil::HttpHeaders;

/// What is compressed beside `text/*`: Tornado's list, and what came since.
const CONTENT_TYPES: &[&[u8]] = &[
    b"application/javascript",
    b"application/x-javascript",
    b"application/xml",
    b"application/atom+xml",
    b"application/json",
    b"application/xhtml+xml",
    b"image/svg+xml",
    b"application/ld+json",
    b"application/manifest+json",
    b"application/problem+json",
    b"application/rss+xml",
    b"application/wasm",
];

/// Whether a client that sent these fields takes gzip, and likes it no less than the bare content.
pub(super) fn accepts_gzip(headers: &HttpHeaders) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for member in elements(headers, "accept-encoding") {
        let mut parts = member.split(|byte| *byte == b';');
        let coding = parts.next().unwrap_or_default().trim_ascii();
        let weight = parts.next().map_or(Some(1000), weight).filter(|_| parts.next().is_none());
        // What can't be understood is not wanted.
        let weight = Some(weight.unwrap_or(0));
        if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
            gzip = gzip.max(weight);
        } else if coding == b"*" {
            any = weight;
        } else if coding.eq_ignore_ascii_case(b"identity") {
            identity = weight;
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// `q=0.5` as 500 (RFC 9110, section 12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let parameter = parameter.trim_ascii();
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = match value.iter().position(|byte| *byte == b'.') {
        Some(point) => (&value[..point], &value[point + 1..]),
        None => (value, &b""[..]),
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = fraction.iter().chain(b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, thousandths) {
        (b"0", _) => Some(thousandths),
        (b"1", 0) => Some(1000),
        _ => None,
    }
}

/// What gzip means for a response with these fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gain {
    /// It is sent as it is, to everybody.
    None,
    /// It says of a response that a client has, and that was perhaps sent compressed, how it was sent.
    NotModified,
    /// It is sent compressed to those who take that.
    Smaller,
}

/// `length`: that of the content, as far as it is known; of a 304 that of the response that it stands for.
pub(super) fn gain(status: u16, headers: &HttpHeaders, length: Option<u64>, min_length: u64) -> Gain {
    match status {
        // A part belongs to one representation, and counts that one's bytes (RFC 9110, section 14.4).
        ..200 | 204..=206 => return Gain::None,
        _ => {}
    }
    let encoded = headers.get_list("content-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    let fixed = elements(headers, "cache-control").any(|directive| directive.eq_ignore_ascii_case(b"no-transform"));
    // As a rule a 304 doesn't say of what.
    let compressible = headers.get("content-type").map_or(status == 304, is_compressible);
    let short = length.is_some_and(|length| length < min_length);
    if encoded || fixed || short || !compressible || headers.contains("content-range") {
        return Gain::None;
    }
    if status == 304 { Gain::NotModified } else { Gain::Smaller }
}

fn is_compressible(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_text = media_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
    is_text || CONTENT_TYPES.iter().any(|known| known.eq_ignore_ascii_case(media_type))
}

/// Whether a list of entity tags, that of `If-None-Match`, has this strong one as it is, and not as a weak one, too.
pub(super) fn is_listed_as_strong(tag: &[u8], list: &[u8]) -> bool {
    let Some(tag) = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")) else { return false };
    let (mut strong, mut weak) = (false, false);
    // There are no quotes but those around the tags (RFC 9110, section 8.8.3).
    let mut pieces = list.split(|byte| *byte == b'"');
    while let (Some(before), Some(listed)) = (pieces.next(), pieces.next()) {
        if listed == tag {
            *if before.ends_with(b"W/") { &mut weak } else { &mut strong } = true;
        }
    }
    strong && !weak
}

/// The members of a field that is a list.
pub(super) fn elements<'a>(headers: &'a HttpHeaders, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_list(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip() {
        let rows: [(&[&str], bool); 22] = [
            (&["gzip"], true),
            (&["GZip"], true),
            (&["x-gzip"], true),
            (&["br, gzip;q=0.1"], true),
            (&["br", "deflate, gzip"], true),
            (&["gzip;q=1.000"], true),
            (&["gzip ; q=0.001"], true),
            (&["*"], true),
            (&["*;q=0.5, identity;q=0.5"], true),
            (&[], false),
            (&[""], false),
            (&["br"], false),
            (&["gzipped"], false),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000"], false),
            (&["*, gzip;q=0"], false),
            (&["gzip;q=0.5, identity"], false),
            (&["gzip;q=0.2, identity;q=0.3"], false),
            (&["gzip;q=1.001"], false),
            (&["gzip;q=0.0001"], false),
            (&["gzip;q=-1"], false),
            (&["gzip;q=1;q=1"], false),
        ];
        for (fields, takes) in rows {
            let headers = HttpHeaders::try_from_iter(fields.iter().map(|field| ("Accept-Encoding", field))).unwrap();
            assert_eq!(accepts_gzip(&headers), takes, "{fields:?}");
        }
    }

    #[test]
    fn in_which_form_a_tag_is_listed() {
        let rows: [(&str, &str, bool); 14] = [
            ("\"x\"", "\"x\"", true),
            ("\"x\"", "\"w\",\"x\"", true),
            ("\"x\"", "W/\"w\", \"x\" , W/\"y\"", true),
            ("\"x\"", "\"x\", \"x\"", true),
            ("\"\"", "\"x\", \"\"", true),
            ("\"x\"", "W/\"x\"", false),
            ("\"x\"", "\"x\", W/\"x\"", false),
            ("\"x\"", "W/\"x\", \"x\"", false),
            ("\"x\"", "\"y\"", false),
            ("\"x\"", "*", false),
            ("\"x\"", "", false),
            ("\",\"", "\"x\",\"y\"", false),
            // No strong tag.
            ("W/\"x\"", "\"x\"", false),
            ("\"", "\"\"", false),
        ];
        for (tag, list, expected) in rows {
            assert_eq!(is_listed_as_strong(tag.as_bytes(), list.as_bytes()), expected, "{tag} in {list}");
        }
    }

    #[test]
    fn what_gains_by_it() {
        type Fields<'a> = &'a [(&'a str, &'a str)];
        let html = ("Content-Type", "text/html; charset=utf-8");
        let rows: [(u16, Fields<'_>, Option<u64>, Gain); 24] = [
            (200, &[html], None, Gain::Smaller),
            (200, &[html], Some(1024), Gain::Smaller),
            (404, &[html], Some(1024), Gain::Smaller),
            (200, &[("Content-Type", "APPLICATION/JSON")], None, Gain::Smaller),
            (200, &[html, ("Content-Encoding", "identity")], None, Gain::Smaller),
            (200, &[html, ("Cache-Control", "no-cache")], None, Gain::Smaller),
            (200, &[html], Some(1023), Gain::None),
            (200, &[], None, Gain::None),
            (200, &[("Content-Type", "image/png")], None, Gain::None),
            (200, &[("Content-Type", "application/octet-stream")], None, Gain::None),
            (200, &[html, ("Content-Encoding", "br")], None, Gain::None),
            (200, &[html, ("Cache-Control", "max-age=5, No-Transform")], None, Gain::None),
            (200, &[html, ("Content-Range", "bytes 0-4/5")], None, Gain::None),
            (206, &[html], None, Gain::None),
            (204, &[html], None, Gain::None),
            (205, &[html], None, Gain::None),
            (103, &[html], None, Gain::None),
            (304, &[], None, Gain::NotModified),
            (304, &[html], Some(1024), Gain::NotModified),
            (304, &[("Content-Type", "image/png")], None, Gain::None),
            (304, &[html], Some(1023), Gain::None),
            (304, &[], Some(1023), Gain::None),
            (304, &[("Content-Encoding", "br")], None, Gain::None),
            (304, &[("Cache-Control", "no-transform")], None, Gain::None),
        ];
        for (status, fields, length, expected) in rows {
            let headers = HttpHeaders::try_from_iter(fields.iter().copied()).unwrap();
            assert_eq!(gain(status, &headers, length, 1024), expected, "{status} {fields:?} {length:?}");
        }
    }
}
