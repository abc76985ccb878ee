//! `Expect` (RFC 9110, section 10.1.1).

use crate::harness::{Case, Wire, check, echo, get};
use crate::support::Example;

/// Name, source, everything, what is expected. Byte by byte or whole: a client doesn't have to wait for the 100.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    ("no body", "9110 10.1.1", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "200 open"),
    (
        "a body of no bytes",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
        "200= open",
    ),
    (
        "unknown",
        "9110 10.1.1; Http11Probe COMP-EXPECT-UNKNOWN",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n",
        "417 closed",
    ),
    (
        "unknown with a body",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: x\r\n\r\nhello",
        "417 closed",
    ),
    (
        "unknown in a list",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue, x\r\n\r\nhello",
        "417 closed",
    ),
    (
        "unknown in a second field",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nExpect: x\r\n\r\nhello",
        "417 closed",
    ),
    (
        "with a value",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue=yes\r\n\r\nhello",
        "417 closed",
    ),
    (
        "with a parameter",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue;a=b\r\n\r\nhello",
        "417 closed",
    ),
    (
        "cut",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100\r\n\r\nhello",
        "417 closed",
    ),
    (
        "longer",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continues\r\n\r\nhello",
        "417 closed",
    ),
    ("empty", "9110 5.6.1", "GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", "200 open"),
    ("empty members", "9110 5.6.1", "GET / HTTP/1.1\r\nHost: a\r\nExpect: , 100-continue ,\r\n\r\n", "200 open"),
    (
        "HTTP/1.0",
        "9110 10.1.1; Http11Probe COMP-NO-1XX-HTTP10",
        "POST /echo HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        "200=hello closed",
    ),
    ("HTTP/1.0, unknown", "9110 10.1.1", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", "200 closed"),
    (
        "both lengths",
        "9112 6.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "400 closed",
    ),
    (
        "too large",
        "9110 10.1.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n",
        "413 closed",
    ),
    (
        "not found",
        "9110 10.1.1",
        "POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "404 closed",
    ),
    (
        "wrong method",
        "9110 10.1.1; Http11Probe SMUG-EXPECT-100-CL-DESYNC",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\nExpect: 100-continue\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "405 closed",
    ),
    (
        "bad chunk behind it",
        "9112 7.1",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "405 closed",
    ),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    REQUESTS.iter().map(|(name, source, input, expected)| Case::new(name, source, *input, *expected))
}

#[test]
fn requests() {
    check(cases());
}

/// Name, source, the head's fields, the body that is sent behind 100, what is expected then.
const PATIENT: &[(&str, &str, &str, &str, &str)] = &[
    (
        "a length",
        "9110 10.1.1; Tornado's suite",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
        "hello",
        "200=hello open",
    ),
    (
        "chunks",
        "9110 10.1.1",
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "200=hello open",
    ),
    ("other case", "9110 10.1.1", "Content-Length: 5\r\nexpect: 100-CONTINUE\r\n", "hello", "200=hello open"),
    ("whitespace", "9110 5.5", "Content-Length: 5\r\nExpect: \t100-continue \r\n", "hello", "200=hello open"),
    ("twice", "9110 5.6.1", "Content-Length: 5\r\nExpect: 100-continue, 100-continue\r\n", "hello", "200=hello open"),
    (
        "close",
        "9112 9.6",
        "Connection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n",
        "hello",
        "200=hello closed",
    ),
    (
        "a chunk that is none",
        "9112 7.1",
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
        "hello\r\n",
        "400 closed",
    ),
    (
        "a body and a request",
        "9112 9.3.2",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
        "helloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "200=hello 200 open",
    ),
    ("no body after all", "9112 8", "Content-Length: 5\r\nExpect: 100-continue\r\n", "", "waits"),
];

/// Who waits for the 100 gets it, once, and before anything else.
#[test]
fn who_waits_is_told_to_go_on() {
    let server = Example::start("http_playground", &[]);
    for (name, source, fields, body, expected) in PATIENT {
        let mut wire = Wire::connect(server.address()).unwrap();
        wire.send(&echo(fields, ""), usize::MAX);
        let head = wire.answer(false).unwrap();
        head.compare("100").unwrap_or_else(|why| panic!("{name} ({source}): {why}"));
        wire.finish(&Case::new(name, source, *body, *expected), 1)
            .unwrap_or_else(|why| panic!("{name} ({source}): {why}"));
    }
    server.terminate();
}

/// A whole request that didn't wait needs no 100 any more (RFC 9110, section 10.1.1: "MAY omit").
#[test]
fn a_body_that_is_there_already() {
    check(
        [Case::new(
            "behind a slow one",
            "9110 10.1.1",
            [
                &b"GET /sleep?ms=30 HTTP/1.1\r\nHost: a\r\n\r\n"[..],
                &echo("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"),
                &get(""),
            ]
            .concat(),
            "200 200=hello 200 open",
        )]
        .map(|case| case.whole()),
    );
}
