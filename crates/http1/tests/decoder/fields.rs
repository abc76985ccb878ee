//! Field lines and `Host`: RFC 9112, sections 3.2 and 5; RFC 9110, sections 5.5, 5.6 and 7.2.

use landspout_http1::{Event, Limits, RequestDecoder};

use crate::harness::{check, list};

const GOOD: &[&str] = &["GET / 1.1 - keep", "end"];

/// What comes of these lines in a request that has a `Host`.
fn lines(lines: &[u8], expected: &[&str]) {
    check(&[b"GET / HTTP/1.1\r\nHost: example.com\r\n", lines, b"\r\n"].concat(), expected);
    // The same before the `Host`, where another line follows.
    check(&[b"GET / HTTP/1.1\r\n", lines, b"Host: example.com\r\n\r\n"].concat(), expected);
}

/// The fields of a request with these lines and nothing else, taken whole and byte by byte.
fn parsed(lines: &[u8]) -> String {
    let input = [b"GET / HTTP/1.0\r\n", lines, b"\r\n"].concat();
    let mut texts = Vec::new();
    for step in [input.len(), 1] {
        let mut decoder = RequestDecoder::new(Limits::default());
        for end in (step..=input.len()).step_by(step) {
            if let Some(Event::Head(head)) = decoder.decode(&input[..end]).unwrap().event {
                assert_eq!(end, input.len());
                texts.push(list(&head.headers));
            }
        }
    }
    assert_eq!(texts[0], texts[1]);
    texts.swap_remove(0)
}

#[test]
fn names_and_values_as_they_were_sent() {
    for (lines, expected) in [
        (&b""[..], ""),
        (b"A: b\r\n", "A: b"),
        (b"A:b\r\n", "A: b"),
        (b"A:\r\n", "A: "),
        (b"A: \r\n", "A: "),
        (b"A: \t \t\r\n", "A: "),
        (b"A:   b\r\n", "A: b"),
        (b"A:\tb\r\n", "A: b"),
        (b"A: b \r\n", "A: b"),
        (b"A: b\t\t\r\n", "A: b"),
        (b"A: b \t c\r\n", "A: b \\t c"),
        (b"A: b: c :d\r\n", "A: b: c :d"),
        (b"A: :\r\n", "A: :"),
        (b"A::\r\n", "A: :"),
        (b"X-Y_z.1: b\r\n", "X-Y_z.1: b"),
        (b"lower: 1\r\nUPPER: 2\r\n", "lower: 1; UPPER: 2"),
        (b"A: 1\r\nA: 2\r\na: 3\r\n", "A: 1; A: 2; a: 3"),
        (b"A: 1\r\nB:\r\nC: 3\r\n", "A: 1; B: ; C: 3"),
        (b"A: \"quoted, with ; and \\\" in it\"\r\n", "A: \\\"quoted, with ; and \\\\\\\" in it\\\""),
        (b"A: \xe9\xff\x80\r\n", "A: \\xe9\\xff\\x80"),
        // Only SP and HTAB are whitespace: these bytes stay.
        (b"A: \x85b\xa0\r\n", "A: \\x85b\\xa0"),
        (b"A: \xe2\x80\xa8b\r\n", "A: \\xe2\\x80\\xa8b"),
        (b"!#$%&'*+-.^_`|~: 1\r\n", "!#$%&\\'*+-.^_`|~: 1"),
    ] {
        assert_eq!(parsed(lines), expected.replace("\\'", "'"), "{}", lines.escape_ascii());
    }
}

#[test]
fn malformed_lines() {
    for (text, error) in [
        (&b"NoColon\r\n"[..], "NoColon"),
        (b"No colon here\r\n", "NoColon"),
        (b"A\tb\r\n", "NoColon"),
        (b": value\r\n", "FieldName"),
        (b":\r\n", "FieldName"),
        (b"::\r\n", "FieldName"),
        (b"A : b\r\n", "FieldName"),
        (b"A\t: b\r\n", "FieldName"),
        (b"A B: c\r\n", "FieldName"),
        (b"A,B: c\r\n", "FieldName"),
        (b"A/B: c\r\n", "FieldName"),
        (b"A(B): c\r\n", "FieldName"),
        (b"A[B]: c\r\n", "FieldName"),
        (b"{A}: c\r\n", "FieldName"),
        (b"\"A\": c\r\n", "FieldName"),
        (b"A=B: c\r\n", "FieldName"),
        (b"A;B: c\r\n", "FieldName"),
        (b"A<B>: c\r\n", "FieldName"),
        (b"A@B: c\r\n", "FieldName"),
        (b"A?B: c\r\n", "FieldName"),
        (b"A\\B: c\r\n", "FieldName"),
        (b"X-T\xc3\xabst: c\r\n", "FieldName"),
        (b"\xff: c\r\n", "FieldName"),
        (b"GET / HTTP/1.1: c\r\n", "FieldName"),
        // Both of these would be framing fields if they were read kindly.
        (b"Transfer-Encoding : chunked\r\n", "FieldName"),
        (b"Content-Length\t: 5\r\n", "FieldName"),
        (b"Content\tLength: 5\r\n", "FieldName"),
        (b"A: b\x00c\r\n", "ControlCharacter"),
        (b"A: b\x01\r\n", "ControlCharacter"),
        (b"A: \x07\x08\x0b\r\n", "ControlCharacter"),
        (b"A: \x0bchunked\r\n", "ControlCharacter"),
        (b"A: \x0cb\r\n", "ControlCharacter"),
        (b"A: b\x7f\r\n", "ControlCharacter"),
        (b"A\x00: b\r\n", "ControlCharacter"),
        (b"A\x7f: b\r\n", "ControlCharacter"),
        (b"\x00: b\r\n", "ControlCharacter"),
        (b"A: b\x1b[0m\r\n", "ControlCharacter"),
        (b"A: b\rc\r\n", "BareCarriageReturn"),
        (b"A:\rb\r\n", "BareCarriageReturn"),
        (b"A\r: b\r\n", "BareCarriageReturn"),
        (b"A: b\n c\r\n", "BareLineFeed"),
        // obs-fold: RFC 9112, section 5.2.
        (b"A: b\r\n c\r\n", "ObsoleteFolding"),
        (b"A: b\r\n\tc\r\n", "ObsoleteFolding"),
        (b"A:\r\n b\r\n", "ObsoleteFolding"),
        (b"A: b\r\n \r\n", "ObsoleteFolding"),
        (b"A: b\r\n B: c\r\n", "ObsoleteFolding"),
        (b"Transfer-Encoding:\r\n chunked\r\n", "ObsoleteFolding"),
        (b" A: b\r\n", "ObsoleteFolding"),
        (b"\tA: b\r\n", "ObsoleteFolding"),
        (b" \r\n", "ObsoleteFolding"),
    ] {
        lines(text, &[&format!("!400 {error}")]);
    }
}

#[test]
fn every_byte_in_name_and_value() {
    for byte in 0..=255_u8 {
        let control = match byte {
            b'\n' => Some("!400 BareLineFeed"),
            b'\r' => Some("!400 BareCarriageReturn"),
            0..=8 | 11..=31 | 127 => Some("!400 ControlCharacter"),
            _ => None,
        };
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte);
        let name: &[&str] = if token { GOOD } else { &["!400 FieldName"] };
        let expected = control.as_ref().map_or(name, std::slice::from_ref);
        lines(&[b"A", &[byte][..], b"B: c\r\n"].concat(), expected);
        lines(&[b"A: b", &[byte][..], b"c\r\n"].concat(), control.as_ref().map_or(GOOD, std::slice::from_ref));
        lines(&[b"A:", &[byte][..], b"\r\n"].concat(), control.as_ref().map_or(GOOD, std::slice::from_ref));
    }
}

#[test]
fn host() {
    const MISSING: &[&str] = &["!400 MissingHost"];
    const MULTIPLE: &[&str] = &["!400 MultipleHosts"];
    const CLOSE: &[&str] = &["GET / 1.0 - close", "end", "closed"];
    const INVALID: &[&str] = &["!400 InvalidHost"];
    for (fields, http11, http10) in [
        ("", MISSING, CLOSE),
        ("X-Host: a\r\n", MISSING, CLOSE),
        ("Host: a\r\nHost: a\r\n", MULTIPLE, MULTIPLE),
        ("Host: a\r\nHost: b\r\n", MULTIPLE, MULTIPLE),
        ("Host: a\r\nX: y\r\nhOsT: a\r\n", MULTIPLE, MULTIPLE),
        ("Host: a\r\nHost:\r\n", MULTIPLE, MULTIPLE),
        ("Host:\r\n", INVALID, INVALID),
        ("Host:   \r\n", INVALID, INVALID),
        ("Host: a b\r\n", INVALID, INVALID),
        ("Host: a,b\r\n", INVALID, INVALID),
        ("Host: a, a\r\n", INVALID, INVALID),
        ("Host: a/b\r\n", INVALID, INVALID),
        ("Host: a:80/b\r\n", INVALID, INVALID),
        ("Host: /\r\n", INVALID, INVALID),
        ("Host: user@a\r\n", INVALID, INVALID),
        ("Host: http://a\r\n", INVALID, INVALID),
        ("Host: a?b\r\n", INVALID, INVALID),
        ("Host: a#b\r\n", INVALID, INVALID),
        ("Host: a:b\r\n", INVALID, INVALID),
        ("Host: a:80:80\r\n", INVALID, INVALID),
        ("Host: a:-1\r\n", INVALID, INVALID),
        ("Host: a:65536\r\n", INVALID, INVALID),
        ("Host: a:123456789012345678901\r\n", INVALID, INVALID),
        ("Host: :80\r\n", INVALID, INVALID),
        ("Host: [::1\r\n", INVALID, INVALID),
        ("Host: ::1\r\n", INVALID, INVALID),
        ("Host: [1.2.3.4]\r\n", INVALID, INVALID),
        ("Host: [::1]x\r\n", INVALID, INVALID),
        ("Host: a\\b\r\n", INVALID, INVALID),
        ("Host: <a>\r\n", INVALID, INVALID),
        ("Host: a%zz\r\n", INVALID, INVALID),
        ("Host: \u{e9}\r\n", INVALID, INVALID),
    ] {
        check(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes(), http11);
        check(format!("GET / HTTP/1.0\r\n{fields}\r\n").as_bytes(), http10);
    }
    for good in [
        "a",
        "A.B",
        "example.com",
        "example.com.",
        "example.com:80",
        "example.com:",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:8888",
        "[v1.a:b]",
        "a_b",
        "xn--bcher-kva.example",
        "a%41",
        "-",
        "1",
    ] {
        check(format!("GET / HTTP/1.1\r\nhost: {good}\r\n\r\n").as_bytes(), GOOD);
        check(format!("GET / HTTP/1.1\r\nHOST:{good} \r\nA: b\r\n\r\n").as_bytes(), GOOD);
    }
}

/// RFC 9112, section 3.2.2: the target's authority takes the place of `Host`, which must be a proper one all the same.
#[test]
fn absolute_form_and_host() {
    let absolute =
        |host: &str, version: &str| format!("GET http://real:80/x HTTP/{version}\r\nA: 1\r\n{host}B: 2\r\n\r\n");
    for (host, version, expected) in [
        ("Host: real:80\r\n", "1.1", "A: 1; Host: real:80; B: 2"),
        ("Host: other\r\n", "1.1", "A: 1; Host: real:80; B: 2"),
        ("hoST: other\r\n", "1.0", "A: 1; hoST: real:80; B: 2"),
        ("", "1.0", "A: 1; B: 2; Host: real:80"),
    ] {
        let input = absolute(host, version);
        let mut decoder = RequestDecoder::new(Limits::default());
        let decoded = decoder.decode(input.as_bytes()).unwrap();
        let Some(Event::Head(head)) = decoded.event else { panic!("{decoded:?}") };
        assert_eq!(list(&head.headers), expected);
        assert_eq!(head.start_line.path(), "http://real:80/x");
        let event = if version == "1.1" {
            "GET http://real:80/x 1.1 - keep absolute"
        } else {
            "GET http://real:80/x 1.0 - close absolute"
        };
        check(input.as_bytes(), &[event, "end", "closed"][..if version == "1.1" { 2 } else { 3 }]);
    }
    check(absolute("", "1.1").as_bytes(), &["!400 MissingHost"]);
    check(absolute("Host: a\r\nHost: a\r\n", "1.1").as_bytes(), &["!400 MultipleHosts"]);
    check(absolute("Host:\r\n", "1.1").as_bytes(), &["!400 InvalidHost"]);
}
