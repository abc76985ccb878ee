//! The form of answers, to the byte. The harness holds every answer against the general rules; this is the rest.

use crate::harness::Wire;
use crate::support::Example;

/// The request, the answer's lines without `Date` and in any order but the first, the body.
const ANSWERS: &[(&str, &str, &[&str], &str)] = &[
    (
        "200",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &["HTTP/1.1 200 OK", "Content-Length: 13", "Content-Type: text/plain"],
        "Hello, World!",
    ),
    (
        "200 and close",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200 OK", "Connection: close", "Content-Length: 13", "Content-Type: text/plain"],
        "Hello, World!",
    ),
    (
        "200 in HTTP/1.0",
        "GET / HTTP/1.0\r\n\r\n",
        &["HTTP/1.1 200 OK", "Content-Length: 13", "Content-Type: text/plain"],
        "Hello, World!",
    ),
    (
        "200 in HTTP/1.0 and keep-alive",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        &["HTTP/1.1 200 OK", "Connection: keep-alive", "Content-Length: 13", "Content-Type: text/plain"],
        "Hello, World!",
    ),
    (
        "200 in HTTP/1.2",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        &["HTTP/1.1 200 OK", "Content-Length: 13", "Content-Type: text/plain"],
        "Hello, World!",
    ),
    (
        "HEAD",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        &["HTTP/1.1 200 OK", "Content-Length: 13", "Content-Type: text/plain"],
        "",
    ),
    (
        "HEAD of chunks",
        "HEAD /events?n=1&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["HTTP/1.1 200 OK", "Cache-Control: no-store", "Content-Type: text/event-stream"],
        "",
    ),
    (
        "chunks",
        "GET /events?n=1&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        &[
            "HTTP/1.1 200 OK",
            "Cache-Control: no-store",
            "Content-Type: text/event-stream",
            "Transfer-Encoding: chunked",
        ],
        "9\r\ndata: 1\n\n\r\n0\r\n\r\n",
    ),
    (
        "until the end, in HTTP/1.0",
        "GET /events?n=1&ms=0 HTTP/1.0\r\n\r\n",
        &["HTTP/1.1 200 OK", "Cache-Control: no-store", "Content-Type: text/event-stream"],
        "data: 1\n\n",
    ),
    ("204", "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", &["HTTP/1.1 204 No Content", "Allow: GET, HEAD, OPTIONS"], ""),
    (
        "204 of the server",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        &["HTTP/1.1 204 No Content", "Allow: GET, HEAD, POST, OPTIONS"],
        "",
    ),
    (
        "404",
        "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        &["HTTP/1.1 404 Not Found", "Content-Length: 28", "Content-Type: text/plain"],
        "404 Not Found: no such path\n",
    ),
    (
        "405",
        "PUT /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        &["HTTP/1.1 405 Method Not Allowed", "Allow: POST, OPTIONS", "Content-Length: 44", "Content-Type: text/plain"],
        "405 Method Not Allowed: no such method here\n",
    ),
    (
        "400",
        "GET / HTTP/1.1\r\n\r\n",
        &["HTTP/1.1 400 Bad Request", "Connection: close", "Content-Length: 16", "Content-Type: text/plain"],
        "400 Bad Request\n",
    ),
    (
        "413",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n",
        &["HTTP/1.1 413 Payload Too Large", "Connection: close", "Content-Length: 22", "Content-Type: text/plain"],
        "413 Payload Too Large\n",
    ),
    (
        "417",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
        &["HTTP/1.1 417 Expectation Failed", "Connection: close", "Content-Length: 23", "Content-Type: text/plain"],
        "417 Expectation Failed\n",
    ),
    (
        "501",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        &["HTTP/1.1 501 Not Implemented", "Connection: close", "Content-Length: 20", "Content-Type: text/plain"],
        "501 Not Implemented\n",
    ),
    (
        "505",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        &[
            "HTTP/1.1 505 HTTP Version Not Supported",
            "Connection: close",
            "Content-Length: 31",
            "Content-Type: text/plain",
        ],
        "505 HTTP Version Not Supported\n",
    ),
    (
        "error in HTTP/1.0",
        "GET / HTTP/1.0\r\nA : b\r\n\r\n",
        &["HTTP/1.1 400 Bad Request", "Connection: close", "Content-Length: 16", "Content-Type: text/plain"],
        "400 Bad Request\n",
    ),
    (
        "error in answer to HEAD",
        "HEAD / HTTP/1.1\r\n\r\n",
        &["HTTP/1.1 400 Bad Request", "Connection: close", "Content-Length: 16", "Content-Type: text/plain"],
        "",
    ),
];

#[test]
fn answers() {
    let server = Example::start("http_playground", &[]);
    for (name, request, lines, body) in ANSWERS {
        let mut wire = Wire::connect(server.address()).unwrap();
        wire.send(request.as_bytes(), usize::MAX);
        wire.end_sending();
        let answer = String::from_utf8(wire.everything().unwrap()).unwrap();
        let (head, actual_body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{name}: {answer:?}"));
        let mut actual: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
        actual[1..].sort_unstable();
        assert_eq!(&actual, lines, "{name}");
        assert_eq!(actual_body, *body, "{name}");
    }
    server.terminate();
}

/// Tornado asks for it to be in every final answer (RFC 9110, section 6.6.1), and interim answers need none.
#[test]
fn the_interim_answer_has_no_fields() {
    let server = Example::start("http_playground", &[]);
    let mut wire = Wire::connect(server.address()).unwrap();
    wire.send(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        usize::MAX,
    );
    wire.answer(false).unwrap().compare("100").unwrap();
    wire.send(b"hi", usize::MAX);
    wire.answer(false).unwrap().compare("200=hi").unwrap();
    wire.expect_end().unwrap();
    server.terminate();
}
