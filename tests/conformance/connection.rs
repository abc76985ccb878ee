//! Which connections stay (RFC 9112, section 9), `Connection` as a list (RFC 9110, section 7.6.1), `Upgrade` (section 7.8).

use crate::harness::{Case, check, get};

/// Name, source, fields of a GET in HTTP/1.1, what is expected.
const FIELDS: &[(&str, &str, &str, &str)] = &[
    ("nothing said", "9112 9.3", "", "200 open"),
    ("close", "9112 9.6; Http11Probe COMP-CONNECTION-CLOSE", "Connection: close\r\n", "200 closed"),
    ("close in capitals", "9110 7.6.1", "Connection: CLOSE\r\n", "200 closed"),
    ("name in capitals", "9110 5.1", "CONNECTION: close\r\n", "200 closed"),
    ("tab behind", "9110 5.5; llhttp", "Connection: close\t\r\n", "200 closed"),
    ("close in a list", "9110 7.6.1", "Connection: foo, close\r\n", "200 closed"),
    ("close first in a list", "9110 7.6.1", "Connection: close, foo\r\n", "200 closed"),
    (
        "close among others",
        "9110 7.6.1; llhttp",
        "Connection: close, token, upgrade, token, keep-alive\r\n",
        "200 closed",
    ),
    ("close without spaces", "9110 5.6.1", "Connection: foo,close,bar\r\n", "200 closed"),
    ("close with empty members", "9110 5.6.1", "Connection: , ,close,,\r\n", "200 closed"),
    ("close with tabs", "9110 5.6.1", "Connection: foo\t,\tclose\t,\tbar\r\n", "200 closed"),
    ("close in a second field", "9110 5.3", "Connection: foo\r\nConnection: close\r\n", "200 closed"),
    ("close in a first field", "9110 5.3", "Connection: close\r\nA: b\r\nConnection: keep-alive\r\n", "200 closed"),
    ("close and keep-alive", "9112 9.3", "Connection: close, keep-alive\r\n", "200 closed"),
    ("keep-alive and close", "9112 9.3", "Connection: keep-alive, close\r\n", "200 closed"),
    ("keep-alive", "9112 9.3; llhttp", "Connection: keep-alive\r\n", "200 open"),
    (
        "Keep-Alive with parameters",
        "2068 19.7.1",
        "Connection: keep-alive\r\nKeep-Alive: timeout=5, max=1\r\n",
        "200 open",
    ),
    ("empty", "9110 7.6.1", "Connection:\r\n", "200 open"),
    ("another option", "9110 7.6.1", "Connection: foo\r\n", "200 open"),
    ("an option that begins like it", "9110 7.6.1", "Connection: closed\r\n", "200 open"),
    ("an option that ends like it", "9110 7.6.1", "Connection: xclose\r\n", "200 open"),
    ("close in quotes", "9110 7.6.1", "Connection: \"close\"\r\n", "200 open"),
    ("close as a parameter", "9110 7.6.1", "Connection: foo;close\r\n", "200 open"),
    ("close in another field", "9110 7.6.1", "Proxy-Connection: close\r\nX-Connection: close\r\n", "200 open"),
    ("framing as an option", "9110 7.6.1", "Connection: content-length, transfer-encoding\r\n", "200 open"),
    // Upgrades that nobody answers.
    (
        "websocket",
        "6455 4.1; llhttp",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        "200 open",
    ),
    (
        "h2c",
        "7540 3.2",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "200 open",
    ),
    (
        "unknown protocol",
        "9110 7.8; Http11Probe COMP-UPGRADE-UNKNOWN",
        "Connection: Upgrade\r\nUpgrade: totally-made-up/1.0\r\n",
        "200 open",
    ),
    (
        "Upgrade without its option",
        "9110 7.8; Http11Probe COMP-UPGRADE-MISSING-CONN",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "200 open",
    ),
    ("the option without Upgrade", "9110 7.8", "Connection: upgrade\r\n", "200 open"),
    (
        "a version of websocket",
        "6455 4.2.2; Http11Probe COMP-UPGRADE-INVALID-VER",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\n",
        "200 open",
    ),
    ("several protocols", "9110 7.8", "Connection: upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0, RTA/x11\r\n", "200 open"),
    ("upgrade and close", "9110 7.8", "Connection: upgrade, close\r\nUpgrade: websocket\r\n", "200 closed"),
    ("space before the colon", "9112 5.1; llhttp", "Connection : upgrade\r\nUpgrade: ws\r\n", "400 closed"),
];

/// Name, source, everything, what is expected.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    ("HTTP/1.0", "9112 9.3; Tornado's suite", "GET / HTTP/1.0\r\n\r\n", "200 closed"),
    (
        "HTTP/1.0 of ab",
        "9112 9.3; llhttp",
        "GET / HTTP/1.0\r\nHost: 0.0.0.0:5000\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
        "200 closed",
    ),
    ("HTTP/1.0, close", "9112 9.3", "GET / HTTP/1.0\r\nConnection: close\r\n\r\n", "200 closed"),
    (
        "HTTP/1.0, keep-alive and close",
        "9112 9.3",
        "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
        "200 closed",
    ),
    (
        "HTTP/1.0, keep-alive",
        "9112 9.3; Tornado's suite",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "200 open",
    ),
    ("HTTP/1.0, keep-alive in capitals", "9110 7.6.1", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200 open"),
    (
        "HTTP/1.0, keep-alive in a list",
        "9110 7.6.1",
        "GET / HTTP/1.0\r\nConnection: foo, keep-alive\r\n\r\n",
        "200 open",
    ),
    (
        "HTTP/1.0, keep-alive twice",
        "9112 9.3",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "200 200 open",
    ),
    (
        "HTTP/1.0, keep-alive, then not",
        "9112 9.3",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "200 200 closed",
    ),
    (
        "HTTP/1.0, keep-alive, empty line between",
        "9112 2.2; Tornado's suite",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "200 200 open",
    ),
    ("HTTP/1.0, another option", "9112 9.3", "GET / HTTP/1.0\r\nConnection: foo\r\n\r\n", "200 closed"),
    (
        "HTTP/1.0, Proxy-Connection",
        "9112 C.2.2",
        "GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n",
        "200 closed",
    ),
    ("HTTP/1.0, a body", "1945 7.2.2", "POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "200=hello closed"),
    (
        "HTTP/1.0, a body, keep-alive",
        "9112 9.3",
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    (
        "HTTP/1.0, POST without a length, keep-alive",
        "1945 7.2.2",
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "200= closed",
    ),
    ("HTTP/1.0, HEAD", "9110 9.3.2", "HEAD / HTTP/1.0\r\n\r\n", "200! closed"),
    ("HTTP/1.0, HEAD, keep-alive", "9110 9.3.2", "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200! open"),
    ("HTTP/1.0, answer without a length", "9112 6.3", "GET /events?n=1&ms=0 HTTP/1.0\r\n\r\n", "200 closed"),
    (
        "HTTP/1.0, answer without a length, keep-alive",
        "9112 6.3",
        "GET /events?n=1&ms=0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "200 closed",
    ),
    (
        "HTTP/1.0, upgrade",
        "9110 7.8; Http11Probe COMP-UPGRADE-HTTP10",
        "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "200 closed",
    ),
    ("HTTP/1.0, not found", "9112 9.3", "GET /nothing HTTP/1.0\r\n\r\n", "404 closed"),
    ("HTTP/1.1, answer without a length", "9112 6.3", "GET /events?n=2&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    (
        "HTTP/1.1, answer without a length, close",
        "9112 6.3",
        "GET /events?n=2&ms=0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "200 closed",
    ),
    (
        "close with a body",
        "9112 9.6",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello closed",
    ),
    (
        "close with chunks",
        "9112 9.6",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "200=hello closed",
    ),
    ("an error closes", "9112 9.6", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nA\r\n\r\n", "400 closed"),
    ("not found stays", "9112 9.3", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404 open"),
    ("a wrong method stays", "9112 9.3", "PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "405 open"),
    (
        "a refused body is skipped",
        "9112 9.3",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "405 open",
    ),
    (
        "refused chunks are skipped",
        "9112 9.3",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "405 open",
    ),
    (
        "a refused body is malformed",
        "9112 7.1",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "405 cut",
    ),
    (
        "upgrade with a body",
        "9110 7.8; llhttp",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: HTTP/2.0\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    (
        "websocket by POST",
        "6455 4.1; Http11Probe COMP-UPGRADE-POST",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "200= open",
    ),
];

/// What follows a request that asked for the end. It is sent at once: what comes after the end was answered with a reset, and
/// whether that overtakes the answer is up to the kernel.
const BEHIND_THE_LAST: &[(&str, &str, &str, &str)] = &[
    (
        "close, CRLF, another request",
        "9112 9.6; llhttp",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nq=42\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "200=q=42 closed",
    ),
    (
        "close, garbage behind",
        "9112 9.6",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\0\x01\x02",
        "200 closed",
    ),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    fields().chain(requests()).chain(behind_the_last())
}

fn fields() -> impl Iterator<Item = Case> {
    FIELDS.iter().map(|(name, source, fields, expected)| Case::new(name, source, get(fields), *expected))
}

#[test]
fn fields_of_a_request() {
    check(fields());
}

fn requests() -> impl Iterator<Item = Case> {
    REQUESTS.iter().map(|(name, source, input, expected)| Case::new(name, source, *input, *expected))
}

#[test]
fn requests_and_what_follows() {
    check(requests());
}

fn behind_the_last() -> impl Iterator<Item = Case> {
    BEHIND_THE_LAST.iter().map(|(name, source, input, expected)| Case::new(name, source, *input, *expected).whole())
}

#[test]
fn what_follows_the_last_request() {
    check(behind_the_last());
}
