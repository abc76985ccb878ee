//! `method SP request-target SP HTTP-version CRLF`, and what comes before it (RFC 9112, sections 2 and 3).

use crate::harness::{Case, check};

/// Name, source, everything up to the fields, what is expected.
const LINES: &[(&str, &str, &[u8], &str)] = &[
    ("plain", "9112 3; Http11Probe COMP-BASELINE", b"GET / HTTP/1.1\r\n", "200 open"),
    // Line ends.
    ("line ends with LF", "9112 2.2; Http11Probe BARE-LF-REQUEST-LINE", b"GET / HTTP/1.1\n", "400 closed"),
    ("line ends with CR", "9112 2.2; Http11Probe CR-ONLY-LINE-ENDING", b"GET / HTTP/1.1\r", "400 closed"),
    ("line ends with CR CR LF", "9112 2.2", b"GET / HTTP/1.1\r\r\n", "400 closed"),
    ("line ends with LF CR", "9112 2.2", b"GET / HTTP/1.1\n\r", "400 closed"),
    ("CR before the version", "9112 3; http-garden", b"GET /\rHTTP/1.1\r\n", "400 closed"),
    ("LF before the version", "9112 3; http-garden", b"GET /\nHTTP/1.1\r\n", "400 closed"),
    ("CRLF before the version", "9112 3", b"GET /\r\n HTTP/1.1\r\n", "400 closed"),
    // Before it.
    ("one empty line before", "9112 2.2; llhttp", b"\r\nGET / HTTP/1.1\r\n", "200 open"),
    ("two empty lines before", "9112 2.2; Http11Probe COMP-LEADING-CRLF", b"\r\n\r\nGET / HTTP/1.1\r\n", "400 closed"),
    ("many empty lines before", "9112 2.2", b"\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", "400 closed"),
    ("LF before", "9112 2.2", b"\nGET / HTTP/1.1\r\n", "400 closed"),
    ("CR before", "9112 2.2", b"\rGET / HTTP/1.1\r\n", "400 closed"),
    ("space before", "9112 3", b" GET / HTTP/1.1\r\n", "400 closed"),
    ("tab before", "9112 3", b"\tGET / HTTP/1.1\r\n", "400 closed"),
    (
        "line with a space before",
        "9112 2.2; Http11Probe MAL-WHITESPACE-ONLY-LINE",
        b" \r\nGET / HTTP/1.1\r\n",
        "400 closed",
    ),
    ("NUL before", "9112 3", b"\0GET / HTTP/1.1\r\n", "400 closed"),
    ("byte order mark before", "9112 2.2", b"\xef\xbb\xbfGET / HTTP/1.1\r\n", "400 closed"),
    ("field before", "9112 2.1", b"A: b\r\nGET / HTTP/1.1\r\n", "400 closed"),
    ("status line", "9112 2.1", b"HTTP/1.1 200 OK\r\n", "400 closed"),
    // Whitespace inside.
    ("two spaces behind the method", "9112 3; Http11Probe MULTI-SP-REQUEST-LINE", b"GET  / HTTP/1.1\r\n", "400 closed"),
    ("two spaces before the version", "9112 3", b"GET /  HTTP/1.1\r\n", "400 closed"),
    ("space behind the version", "9112 3", b"GET / HTTP/1.1 \r\n", "400 closed"),
    ("tab behind the version", "9112 3", b"GET / HTTP/1.1\t\r\n", "400 closed"),
    ("tab behind the method", "9112 3; Http11Probe COMP-REQUEST-LINE-TAB", b"GET\t/ HTTP/1.1\r\n", "400 closed"),
    ("tab before the version", "9112 3", b"GET /\tHTTP/1.1\r\n", "400 closed"),
    ("vertical tab behind the method", "9112 3", b"GET\x0b/ HTTP/1.1\r\n", "400 closed"),
    ("form feed behind the method", "9112 3", b"GET\x0c/ HTTP/1.1\r\n", "400 closed"),
    ("no-break space behind the method", "9112 3", b"GET\xa0/ HTTP/1.1\r\n", "400 closed"),
    ("next line before the version", "9112 3", b"GET /\x85HTTP/1.1\r\n", "400 closed"),
    ("NUL behind the version", "9112 3", b"GET / HTTP/1.1\0\r\n", "400 closed"),
    // Parts that are missing or too many.
    ("no target", "9112 3; Http11Probe MISSING-TARGET", b"GET HTTP/1.1\r\n", "400 closed"),
    ("empty target", "9112 3", b"GET  HTTP/1.1\r\n", "400 closed"),
    ("no method", "9112 3", b"/ HTTP/1.1\r\n", "400 closed"),
    ("empty method", "9112 3", b" / HTTP/1.1\r\n", "400 closed"),
    ("method alone", "9112 3", b"GET\r\n", "400 closed"),
    ("no version", "9112 2.3; Http11Probe HTTP09-REQUEST, llhttp", b"GET /\r\n", "400 closed"),
    ("empty version", "9112 2.3", b"GET / \r\n", "400 closed"),
    ("four parts", "9112 3", b"GET / a HTTP/1.1\r\n", "400 closed"),
    ("word behind the version", "9112 3", b"GET / HTTP/1.1 x\r\n", "400 closed"),
    ("two versions", "9112 3", b"GET / HTTP/1.1 HTTP/1.1\r\n", "400 closed"),
    ("garbage", "Tornado's suite", b"asdf\r\n", "400 closed"),
    // Versions.
    ("HTTP/1.2", "9110 2.5; Http11Probe COMP-HTTP12-VERSION", b"GET / HTTP/1.2\r\n", "200 open"),
    ("HTTP/1.9", "9110 2.5", b"GET / HTTP/1.9\r\n", "200 open"),
    ("HTTP/1.0", "9110 2.5; Http11Probe COMP-HTTP10-DEFAULT-CLOSE", b"GET / HTTP/1.0\r\n", "200 closed"),
    ("HTTP/0.9", "9110 15.6.6", b"GET / HTTP/0.9\r\n", "505 closed"),
    ("HTTP/2.0", "9110 15.6.6", b"GET / HTTP/2.0\r\n", "505 closed"),
    ("HTTP/3.0", "9110 15.6.6", b"GET / HTTP/3.0\r\n", "505 closed"),
    ("HTTP/9.9", "9110 15.6.6; Http11Probe INVALID-VERSION", b"GET / HTTP/9.9\r\n", "505 closed"),
    ("HTTP/5.6", "9110 15.6.6; llhttp", b"GET / HTTP/5.6\r\n", "505 closed"),
    ("HTTP/1", "9112 2.3; Http11Probe COMP-VERSION-MISSING-MINOR", b"GET / HTTP/1\r\n", "400 closed"),
    ("HTTP/1.", "9112 2.3", b"GET / HTTP/1.\r\n", "400 closed"),
    ("HTTP/.1", "9112 2.3", b"GET / HTTP/.1\r\n", "400 closed"),
    ("HTTP/2", "9112 2.3", b"GET / HTTP/2\r\n", "400 closed"),
    ("HTTP/", "9112 2.3", b"GET / HTTP/\r\n", "400 closed"),
    ("HTTP alone", "9112 2.3", b"GET / HTTP\r\n", "400 closed"),
    ("HTTP/01.01", "9112 2.3; Http11Probe COMP-VERSION-LEADING-ZEROS", b"GET / HTTP/01.01\r\n", "400 closed"),
    ("HTTP/1.10", "9112 2.3", b"GET / HTTP/1.10\r\n", "400 closed"),
    ("HTTP/1.32", "9112 2.3; http-garden", b"GET / HTTP/1.32\r\n", "400 closed"),
    ("HTTP/1.1.1", "9112 2.3", b"GET / HTTP/1.1.1\r\n", "400 closed"),
    ("HTTP/+1.1", "9112 2.3", b"GET / HTTP/+1.1\r\n", "400 closed"),
    ("HTTP/-1.1", "9112 2.3", b"GET / HTTP/-1.1\r\n", "400 closed"),
    ("HTTP/1,1", "9112 2.3", b"GET / HTTP/1,1\r\n", "400 closed"),
    ("HTTP/1.x", "9112 2.3", b"GET / HTTP/1.x\r\n", "400 closed"),
    ("HTTP/1.1x", "9112 2.3", b"GET / HTTP/1.1x\r\n", "400 closed"),
    ("HTTP/ 1.1", "9112 2.3; Http11Probe COMP-VERSION-WHITESPACE", b"GET / HTTP/ 1.1\r\n", "400 closed"),
    ("HTTP /1.1", "9112 2.3", b"GET / HTTP /1.1\r\n", "400 closed"),
    ("http/1.1", "9112 2.3; Http11Probe COMP-VERSION-CASE", b"GET / http/1.1\r\n", "400 closed"),
    ("Http/1.1", "9112 2.3", b"GET / Http/1.1\r\n", "400 closed"),
    ("HTTPS/1.1", "9112 2.3", b"GET / HTTPS/1.1\r\n", "400 closed"),
    ("HTP/1.1", "9112 2.3", b"GET / HTP/1.1\r\n", "400 closed"),
    ("HTTP\\1.1", "9112 2.3", b"GET / HTTP\\1.1\r\n", "400 closed"),
    ("RTSP/1.0", "9112 2.3; llhttp", b"OPTIONS / RTSP/1.0\r\n", "400 closed"),
    ("ICE/1.0", "9112 2.3; llhttp", b"GET / ICE/1.0\r\n", "400 closed"),
    ("IHTTP/1.0", "9112 2.3; llhttp", b"GET / IHTTP/1.0\r\n", "400 closed"),
    ("other digits", "9112 2.3", "GET / HTTP/\u{661}.\u{661}\r\n".as_bytes(), "400 closed"),
    // Methods.
    ("lower-case method", "9110 9.1; Http11Probe COMP-METHOD-CASE", b"get / HTTP/1.1\r\n", "405 open"),
    ("mixed-case method", "9110 9.1", b"Get / HTTP/1.1\r\n", "405 open"),
    ("unknown method", "9110 9.1; Http11Probe COMP-UNKNOWN-METHOD", b"FOOBAR / HTTP/1.1\r\n", "405 open"),
    ("method of every token character", "9110 5.6.2", b"!#$%&'*+-.^_`|~09AZaz / HTTP/1.1\r\n", "405 open"),
    ("method of digits", "9110 9.1", b"123 / HTTP/1.1\r\n", "405 open"),
    ("method with a comma", "9110 9.1; Tornado's suite", b"FOO,BAR / HTTP/1.1\r\n", "400 closed"),
    ("method with delimiters", "9110 9.1; http-garden", b"G=\":<>(e),[T];?\" / HTTP/1.1\r\n", "400 closed"),
    ("method in quotes", "9110 9.1", b"\"GET\" / HTTP/1.1\r\n", "400 closed"),
    ("method with a colon", "9110 9.1", b"GET: / HTTP/1.1\r\n", "400 closed"),
    ("method with a slash", "9110 9.1", b"GET/ / HTTP/1.1\r\n", "400 closed"),
    ("method with NUL", "9110 9.1", b"GE\0T / HTTP/1.1\r\n", "400 closed"),
    ("method with a control character", "9110 9.1", b"GE\x07T / HTTP/1.1\r\n", "400 closed"),
    ("method beyond ASCII", "9110 9.1", b"G\xc3\x8bT / HTTP/1.1\r\n", "400 closed"),
    ("long method", "9112 3", &long_method(), "405 open"),
    // Other protocols.
    ("preface of HTTP/2", "9113 3.4; Http11Probe MAL-H2-PREFACE", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 closed"),
    ("preface of HTTP/2 as 1.1", "9113 3.4; llhttp", b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", "400 closed"),
    ("TLS", "8446 5.1", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n", "400 closed"),
    ("TLS without a line end", "8446 5.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xa9", "400 closed"),
    ("SSH", "4253 4.2", b"SSH-2.0-OpenSSH_9.6\r\n", "400 closed"),
    ("SMTP", "5321 4.1.1", b"EHLO example.com\r\n", "400 closed"),
    ("SOCKS 5", "1928 3", b"\x05\x01\x00", "400 closed"),
    (
        "PROXY protocol version 1",
        "haproxy's proxy-protocol.txt",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 80\r\n",
        "400 closed",
    ),
    ("PROXY protocol version 2", "haproxy's proxy-protocol.txt", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "400 closed"),
];

/// 100 bytes: more than any registered method, less than any limit.
const fn long_method() -> [u8; 115] {
    let (mut line, tail) = ([b'M'; 115], b" / HTTP/1.1\r\n");
    let mut n = 0;
    while n < tail.len() {
        line[115 - tail.len() + n] = tail[n];
        n += 1;
    }
    line
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    LINES.iter().map(|(name, source, line, expected)| {
        Case::new(name, source, [line, &b"Host: a\r\n\r\n"[..]].concat(), *expected)
    })
}

#[test]
fn request_lines() {
    check(cases());
}

/// Control characters and what is beyond ASCII, wherever they are in the line. Space, CR and LF have rows of their own.
#[test]
fn no_control_character_anywhere() {
    let bad = (0..=31_u8).chain(127..=255).filter(|byte| !matches!(byte, b'\r' | b'\n'));
    check(bad.map(|byte| {
        let line = [b"GET /a", &[byte][..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        Case::new(&format!("{byte:#04x} in the target"), "9112 3.2", line, "400 closed")
    }));
}
