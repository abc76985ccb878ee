//! Clients that end their side, leave, or go on sending (RFC 9112, sections 8 and 9.6).

use crate::harness::{Wire, echo, get};
use crate::support::Example;

/// Name, source, what is sent before the client ends its side, the answers that still come.
const HALF_CLOSED: &[(&str, &str, &str, &[&str])] = &[
    ("nothing", "Tornado's suite; Http11Probe MAL-EMPTY-REQUEST", "", &[]),
    ("an empty line", "9112 2.2", "\r\n", &[]),
    ("half a line end", "9112 2.2", "\r", &[]),
    ("half a method", "9112 8", "GE", &[]),
    ("half a request line", "9112 8; llhttp", "GET / HTTP/1.1", &[]),
    ("a request line", "9112 8", "GET / HTTP/1.1\r\n", &[]),
    ("a request line of HTTP/0.9", "9112 2.3", "GET /\r\n", &["400"]),
    ("half a field", "9112 8; llhttp", "PUT / HTTP/1.1\r\nContent-Leng", &[]),
    (
        "a head without its end",
        "9112 8; Http11Probe MAL-INCOMPLETE-REQUEST",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Test: value",
        &[],
    ),
    ("a head without its last LF", "9112 8", "GET / HTTP/1.1\r\nHost: a\r\n\r", &[]),
    ("a request", "9112 9.6", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &["200"]),
    ("a request and an empty line", "9112 2.2", "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", &["200"]),
    (
        "a request with a body",
        "9112 9.6",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        &["200=hello"],
    ),
    (
        "a request with chunks",
        "9112 9.6",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        &["200=hello"],
    ),
    ("a slow request", "9112 9.6", "GET /sleep?ms=30 HTTP/1.1\r\nHost: a\r\n\r\n", &["200"]),
    ("a large answer", "9112 9.6", "GET /big?n=5000000 HTTP/1.1\r\nHost: a\r\n\r\n", &["200"]),
    (
        "three requests",
        "9112 9.6",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /sleep?ms=30 HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        &["200", "200", "200=hello"],
    ),
    ("a request and half of one", "9112 8", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT", &["200"]),
    ("a request and a bad one", "9112 9.6", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", &["200", "400"]),
    ("a bad request", "9112 9.6", "GET / HTTP/1.1\r\n\r\n", &["400"]),
    ("half a body", "9112 8", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", &[]),
    ("half a chunk", "9112 8", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", &[]),
    (
        "no last chunk",
        "9112 8",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        &[],
    ),
    (
        "half a body that nobody wants",
        "9112 8",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
        &["405"],
    ),
    (
        "a body that was to wait",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        &["200=hello"],
    ),
    ("HTTP/1.0", "9112 9.3", "GET / HTTP/1.0\r\n\r\n", &["200"]),
];

#[test]
fn who_ends_its_side_gets_the_answers_to_what_is_complete() {
    let server = Example::start("http_playground", &[]);
    for (name, source, input, answers) in HALF_CLOSED {
        let mut wire = Wire::connect(server.address()).unwrap();
        wire.send(input.as_bytes(), usize::MAX);
        wire.end_sending();
        for expected in *answers {
            let compared = wire.answer(false).and_then(|answer| answer.compare(expected));
            compared.unwrap_or_else(|why| panic!("{name} ({source}): {why}"));
        }
        wire.expect_end().unwrap_or_else(|why| panic!("{name} ({source}): {why}"));
    }
    server.terminate();
}

/// Half of something, and away: the server goes on serving others.
#[test]
fn who_leaves_harms_nobody() {
    let server = Example::start("http_playground", &[]);
    for input in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET /big?n=50000000 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /sleep?ms=10 HTTP/1.1\r\nHost: a\r\n\r\nGET /sleep?ms=10 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /events?n=100&ms=1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\x01\x02\x03",
    ] {
        let mut wire = Wire::connect(server.address()).unwrap();
        wire.send(input, usize::MAX);
        drop(wire);
        let mut wire = Wire::connect(server.address()).unwrap();
        wire.send(&get(""), usize::MAX);
        wire.answer(false).unwrap().compare("200=Hello,_World!").unwrap();
    }
    server.terminate();
}

/// A close with unread bytes would reset the connection, and take the answer with it (RFC 9112, section 9.6). These clients
/// send everything before they read a byte.
#[test]
fn who_is_still_sending_can_read_the_refusal() {
    let server = Example::start("http_playground", &[]);
    let more = vec![b'x'; 8 << 20];
    for (head, expected) in [
        (echo("Content-Length: 999999999\r\n", ""), "413"),
        (echo("Transfer-Encoding: chunked\r\n", "fffffff\r\n"), "413"),
        (echo("Transfer-Encoding: chunked\r\n", "x\r\n"), "400"),
        (echo("Content-Length: 8388608\r\nTransfer-Encoding: chunked\r\n", ""), "400"),
        (b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n".to_vec(), "404"),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n".to_vec(), "405"),
        (b"GET / HTTP/2.0\r\n\r\n".to_vec(), "505"),
        (b"GET /".to_vec(), "414"),
        (b"GET / HTTP/1.1\r\nA: ".to_vec(), "431"),
    ] {
        let mut wire = Wire::connect(server.address()).unwrap();
        wire.send(&head, usize::MAX);
        wire.send(&more, usize::MAX);
        let answer = wire.answer(false).unwrap_or_else(|why| panic!("{}: {why}", head.escape_ascii()));
        answer.compare(expected).unwrap();
        assert!(answer.closes(), "{answer}");
        wire.expect_end().unwrap();
    }
    server.terminate();
}
