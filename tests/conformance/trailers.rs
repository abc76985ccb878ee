//! Trailer sections (RFC 9112, section 7.1.2; RFC 9110, section 6.5).

use crate::harness::{Case, check, echo};

/// Name, source, field lines behind the last chunk, what is expected.
const TRAILERS: &[(&str, &str, &[u8], &str)] = &[
    ("one", "9112 7.1.2; Http11Probe COMP-CHUNKED-TRAILER-VALID", b"X-Checksum: abc\r\n", "200=hello open"),
    ("two", "9112 7.1.2; llhttp", b"Vary: *\r\nETag: \"a\"\r\n", "200=hello open"),
    ("the same twice", "9112 7.1.2", b"A: b\r\nA: c\r\n", "200=hello open"),
    ("empty value", "9110 5.5", b"A:\r\n", "200=hello open"),
    ("beyond ASCII in a value", "9110 5.5", b"A: \xfc\r\n", "200=hello open"),
    ("authorisation", "9110 6.5.1; Http11Probe SMUG-TRAILER-AUTH", b"Authorization: Bearer evil\r\n", "200=hello open"),
    ("cookie", "9110 6.5.1", b"Cookie: a=b\r\n", "200=hello open"),
    // What would change the message, its way or its connection.
    ("Content-Length", "9110 6.5.1; Http11Probe SMUG-TRAILER-CL", b"Content-Length: 50\r\n", "400 closed"),
    ("Transfer-Encoding", "9110 6.5.1; Http11Probe SMUG-TRAILER-TE", b"Transfer-Encoding: chunked\r\n", "400 closed"),
    ("Host", "9110 6.5.1; Http11Probe SMUG-TRAILER-HOST", b"Host: evil.example.com\r\n", "400 closed"),
    ("Content-Type", "9110 6.5.1; Http11Probe SMUG-TRAILER-CONTENT-TYPE", b"Content-Type: text/evil\r\n", "400 closed"),
    ("Content-Encoding", "9110 6.5.1", b"Content-Encoding: gzip\r\n", "400 closed"),
    ("Content-Range", "9110 6.5.1", b"Content-Range: bytes 0-1/2\r\n", "400 closed"),
    ("Connection", "9110 6.5.1", b"Connection: close\r\n", "400 closed"),
    ("Upgrade", "9110 6.5.1", b"Upgrade: websocket\r\n", "400 closed"),
    ("Expect", "9110 6.5.1", b"Expect: 100-continue\r\n", "400 closed"),
    ("TE", "9110 6.5.1", b"TE: trailers\r\n", "400 closed"),
    ("Trailer", "9110 6.5.1", b"Trailer: A\r\n", "400 closed"),
    ("in another case", "9110 5.1", b"content-LENGTH: 50\r\n", "400 closed"),
    ("behind a good one", "9110 6.5.1", b"A: b\r\nContent-Length: 50\r\n", "400 closed"),
    // Lines that are none.
    ("space before the colon", "9112 5.1", b"A : b\r\n", "400 closed"),
    ("folded", "9112 5.2", b"A: b\r\n c\r\n", "400 closed"),
    ("space first", "9112 5.2", b" A: b\r\n", "400 closed"),
    ("no colon", "9112 5", b"A\r\n", "400 closed"),
    ("no name", "9112 5", b": b\r\n", "400 closed"),
    ("bad name", "9110 5.1", b"A(: b\r\n", "400 closed"),
    ("LF", "9112 2.2", b"A: b\n", "400 closed"),
    ("CR", "9112 2.2", b"A: b\rc\r\n", "400 closed"),
    ("NUL", "9110 5.5", b"A: \0\r\n", "400 closed"),
    ("a request", "9112 7.1.2", b"GET / HTTP/1.1\r\n", "400 closed"),
    ("a second last chunk", "9112 7.1", b"0\r\n", "400 closed"),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    TRAILERS.iter().map(|(name, source, fields, expected)| {
        let body = [b"5\r\nhello\r\n0\r\n", *fields, b"\r\n"].concat();
        Case::new(name, source, echo("Transfer-Encoding: chunked\r\n", body), *expected)
    })
}

#[test]
fn trailer_sections() {
    check(cases());
}

/// Announced or not, and asked for or not, they are the same.
#[test]
fn with_announcements() {
    let body = "5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    check([
        Case::new(
            "announced",
            "9110 6.6.2",
            echo("Transfer-Encoding: chunked\r\nTrailer: A\r\n", body),
            "200=hello open",
        ),
        Case::new(
            "another announced",
            "9110 6.6.2",
            echo("Transfer-Encoding: chunked\r\nTrailer: B\r\n", body),
            "200=hello open",
        ),
        Case::new(
            "announced and missing",
            "9110 6.6.2",
            echo("Transfer-Encoding: chunked\r\nTrailer: A\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            "200=hello open",
        ),
        Case::new("cut", "9112 8", echo("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nA: b\r\n"), "waits"),
    ]);
}
