//! Several requests at once (RFC 9112, section 9.3.2): answers in the order of the requests, and an error in its turn.

use crate::harness::{Case, check};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n";
const SLOW: &str = "GET /sleep?ms=30 HTTP/1.1\r\nHost: a\r\n\r\n";
const CLOSE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const BAD: &str = "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n";

/// Name, source, requests, what is expected.
const BATCHES: &[(&str, &str, &[&str], &str)] = &[
    ("two", "9112 9.3.2; Http11Probe SMUG-PIPELINE-SAFE", &[GET, GET], "200=Hello,_World! 200=Hello,_World! open"),
    (
        "ten",
        "9112 9.3.2",
        &[GET, GET, GET, GET, GET, GET, GET, GET, GET, GET],
        "200 200 200 200 200 200 200 200 200 200 open",
    ),
    ("bodies", "9112 9.3.2; llhttp", &[POST, CHUNKED, POST], "200=hello 200=world 200=hello open"),
    (
        "bodies and none",
        "9112 9.3.2",
        &[GET, POST, GET, CHUNKED, GET],
        "200=Hello,_World! 200=hello 200=Hello,_World! 200=world 200=Hello,_World! open",
    ),
    (
        "HEAD between",
        "9110 9.3.2",
        &[GET, HEAD, POST, HEAD, GET],
        "200=Hello,_World! 200! 200=hello 200! 200=Hello,_World! open",
    ),
    ("a slow one first", "9112 9.3.2", &[SLOW, GET, POST], "200=slept_30_ms 200=Hello,_World! 200=hello open"),
    (
        "a slow one between",
        "9112 9.3.2",
        &[GET, SLOW, HEAD, POST],
        "200=Hello,_World! 200=slept_30_ms 200! 200=hello open",
    ),
    ("not found between", "9112 9.3.2", &[GET, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", GET], "200 404 200 open"),
    (
        "wrong methods between",
        "9112 9.3.2",
        &["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", GET, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"],
        "405 200 405 open",
    ),
    (
        "204 between",
        "9112 6.3",
        &["OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", GET, "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"],
        "204 200 204 open",
    ),
    (
        "chunked answers",
        "9112 7.1",
        &["GET /events?n=2&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n", GET, "GET /events?n=0&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n"],
        "200 200 200= open",
    ),
    ("empty lines between", "9112 2.2; Tornado's suite", &[GET, "\r\n", GET, "\r\n", POST], "200 200 200=hello open"),
    ("two empty lines between", "9112 2.2", &[GET, "\r\n\r\n", GET], "200 400 closed"),
    ("empty line behind a body", "9112 2.2; llhttp", &[POST, "\r\n", GET], "200=hello 200 open"),
    ("LF between", "9112 2.2", &[GET, "\n", GET], "200 400 closed"),
    ("NUL between", "9112 2.2", &[GET, "\0", GET], "200 400 closed"),
    ("space between", "9112 2.2", &[GET, " ", GET], "200 400 closed"),
    ("a bad one second", "9112 9.3.2", &[GET, BAD], "200 400 closed"),
    ("a bad one between", "9112 9.3.2", &[GET, POST, BAD, GET], "200 200=hello 400 closed"),
    ("a bad one first", "9112 9.3.2", &[BAD, GET], "400 closed"),
    ("a bad one behind a slow one", "9112 9.3.2", &[SLOW, BAD], "200=slept_30_ms 400 closed"),
    ("no Host in the second", "9112 3.2", &[GET, "GET / HTTP/1.1\r\n\r\n", GET], "200 400 closed"),
    ("bad Host in the second", "9112 3.2", &[GET, "GET / HTTP/1.1\r\nHost: a/\r\n\r\n", GET], "200 400 closed"),
    (
        "both lengths in the second",
        "9112 6.1",
        &[
            GET,
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            GET,
        ],
        "200 400 closed",
    ),
    (
        "a bad chunk in the second",
        "9112 7.1",
        &[POST, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", GET],
        "200=hello 400 closed",
    ),
    ("bad version in the second", "9110 15.6.6", &[GET, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", GET], "200 505 closed"),
    (
        "unknown expectation in the second",
        "9110 10.1.1",
        &[GET, "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", GET],
        "200 417 closed",
    ),
    ("close in the second", "9112 9.6", &[GET, CLOSE, GET], "200 200 closed"),
    ("close in the first", "9112 9.6", &[CLOSE, GET, GET], "200 closed"),
    ("HTTP/1.0 in the second", "9112 9.3", &[GET, "GET / HTTP/1.0\r\n\r\n", GET], "200 200 closed"),
    (
        "HTTP/1.0 between",
        "9112 9.3",
        &[GET, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", GET],
        "200 200 200 open",
    ),
    ("half of a second", "9112 9.3.2", &[GET, "GET / HT"], "200 waits"),
    (
        "half of a second body",
        "9112 9.3.2",
        &[GET, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"],
        "200 waits",
    ),
    ("half of a slow one's successor", "9112 9.3.2", &[SLOW, "GET / HTTP/1.1\r\nHost"], "200=slept_30_ms waits"),
    ("a garbled second", "9112 3", &[GET, "garbage\r\n\r\n"], "200 400 closed"),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    BATCHES.iter().map(|(name, source, requests, expected)| Case::new(name, source, requests.concat(), *expected))
}

#[test]
fn batches() {
    check(cases());
}

#[test]
fn a_thousand_requests_at_once() {
    check([Case::new("a thousand", "9112 9.3.2", GET.repeat(1000), "200 ".repeat(1000) + "open")]);
}
