//! Two readers of one stream that disagree about where a message ends: the attacks as they are published, each with the
//! request that would be smuggled. It must never get an answer of its own.
//!
//! Rules: whatever is ambiguous is refused and the connection closed, so that nothing behind it is ever read; what isn't
//! ambiguous is framed the one right way, which an answer to the next request shows.

use crate::harness::{Case, check};

/// Name, source, everything, what is expected.
const ATTACKS: &[(&str, &str, &str, &str)] = &[
    // CL.TE: the one in front counts bytes, the one behind reads chunks.
    (
        "CL.TE, prefix of a request",
        "9112 11.2; Http11Probe SMUG-CLTE-PIPELINE",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "400 closed",
    ),
    (
        "CL.TE, whole request",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-GET",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 43\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE, HEAD",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-HEAD",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE and close",
        "9112 11.2; Http11Probe SMUG-CLTE-CONN-CLOSE",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE with plus",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-GET-CL-PLUS",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE with no number",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE, folded",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE, trailing space",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked \r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE, leading comma",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE, other case",
        "9112 11.2; Http11Probe SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: cHuNkEd\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE by Connection",
        "9110 7.6.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.TE with GET",
        "9112 11.2",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    // TE.CL: the other way round.
    (
        "TE.CL, prefix of a request",
        "9112 11.2; Http11Probe SMUG-TECL-PIPELINE",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.CL, whole request",
        "9112 11.2; Http11Probe SMUG-TECL-SMUGGLED-GET",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n25\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.CL and close",
        "9112 11.2; Http11Probe SMUG-TECL-CONN-CLOSE",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "400 closed",
    ),
    // TE.TE: one of them is to overlook the field.
    (
        "TE.TE, identity behind",
        "9112 11.2; Http11Probe SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.TE, cow behind",
        "Kettle, HTTP Desync Attacks",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.TE, twice",
        "Tornado, GHSA-753j-mpmx-qq6g; http-garden",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nZ\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.TE, space before the colon",
        "Kettle, HTTP Desync Attacks",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.TE, vertical tab",
        "Kettle, HTTP Desync Attacks",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.TE, LF in the field before",
        "Kettle, HTTP Desync Attacks",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX: X\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TE.TE, CR in the field before",
        "Kettle, HTTP Desync Attacks",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX: X\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    // CL.CL.
    (
        "CL.CL",
        "9112 11.2; Http11Probe SMUG-DUPLICATE-CL-SMUGGLED-GET",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 36\r\n\r\nPINGGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.CL, the second hidden",
        "http-garden",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 34\r\n\r\nGET / HTTP/1.1\r\nHost: whatever\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.CL by a fold",
        "9112 5.2",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n 0\r\n\r\nPINGGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    // CL.0 and 0.CL: one of them thinks that there is no body.
    (
        "CL.0 with POST",
        "Kettle, Browser-Powered Desync; Http11Probe SMUG-CL0-BODY-POISON",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "405 open",
    ),
    (
        "CL.0 with GET",
        "Kettle, Browser-Powered Desync; Http11Probe SMUG-GET-CL-BODY-DESYNC",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 open",
    ),
    (
        "CL.0 with HEAD",
        "9112 6.3; Http11Probe SMUG-HEAD-CL-BODY",
        "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "200! open",
    ),
    (
        "CL.0 with OPTIONS",
        "9112 6.3; Http11Probe SMUG-OPTIONS-CL-BODY-DESYNC",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "204 open",
    ),
    (
        "CL.0 with DELETE",
        "9112 6.3",
        "DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "405 open",
    ),
    (
        "CL.0 with an unknown path",
        "Kettle, Browser-Powered Desync",
        "POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "404 open",
    ),
    (
        "CL.0 with TRACE",
        "9110 9.3.8; Http11Probe COMP-TRACE-WITH-BODY",
        "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.0 with CONNECT",
        "9110 9.3.6; llhttp",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "0.CL by a fold",
        "Kettle, HTTP/1.1 Must Die",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 37\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "0.CL by a space",
        "Kettle, HTTP/1.1 Must Die",
        "GET / HTTP/1.1\r\n Content-Length: 37\r\nHost: a\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    // TE.0: nobody reads the chunks.
    (
        "TE.0 with OPTIONS",
        "Bugcrowd, TE.0; 9112 6.3",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n25\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
        "204 open",
    ),
    (
        "TE.0 with GET",
        "9112 6.3",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n25\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
        "200 open",
    ),
    (
        "TE.0 with OPTIONS, folded",
        "9112 5.2; Http11Probe SMUG-OPTIONS-TE-OBS-FOLD",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    // Chunks that end elsewhere for somebody else.
    (
        "chunk size in octal",
        "http-garden",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0_2e\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "bad chunk size behind a good one",
        "9112 7.1; Http11Probe SMUG-CHUNK-INVALID-SIZE-DESYNC",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n+0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TERM.EXT",
        "Grenfeldt and others, chunk extensions",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n22\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "EXT.TERM",
        "Grenfeldt and others, chunk extensions",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n22;a\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "TERM.SPILL",
        "Grenfeldt and others, chunk data",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nABCDEX2d\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "ONE.TWO",
        "Grenfeldt and others, chunk data",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nABCDE\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "length in the trailers",
        "9110 6.5.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 30\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "request in the trailers",
        "9112 7.1.2",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "size instead of the end",
        "9112 7.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    // A head that ends elsewhere for somebody else.
    (
        "LF LF ends the head",
        "9112 2.2",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\n\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CRLF LF ends the head",
        "9112 2.2",
        "GET / HTTP/1.1\r\nHost: a\r\n\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "LF CRLF ends the head",
        "9112 2.2",
        "GET / HTTP/1.1\r\nHost: a\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CR CR ends the head",
        "9112 2.2",
        "GET / HTTP/1.1\r\nHost: a\r\rGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "CRLF CR ends the head",
        "9112 2.2; llhttp",
        "GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\rZGET /evil: HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "a line of a space ends the head",
        "9112 5.2",
        "GET / HTTP/1.1\r\nHost: a\r\n \r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "a line of NUL ends the head",
        "9112 5",
        "GET / HTTP/1.1\r\nHost: a\r\n\0\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "a second request line among the fields",
        "9112 2.1; llhttp",
        "GET / HTTP/1.1\r\nHost: localhost\r\nDummy: x\nContent-Length: 23\r\n\r\nGET / HTTP/1.1\r\nDummy: GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "400 closed",
    ),
    (
        "a space hides the length",
        "9112 2.2; llhttp",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nFoo: bar\r\n Content-Length: 38\r\n\r\nGET /bye HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "400 closed",
    ),
    (
        "a tab hides the length",
        "9112 2.2; http-garden",
        "GET / HTTP/1.1\r\n\tContent-Length: 1\r\nHost: a\r\n\r\nX",
        "400 closed",
    ),
    // Splitting by what comes out of escapes: it stays escaped.
    (
        "line end in the target",
        "9112 11.1",
        "GET /%0d%0a%0d%0aGET%20/admin%20HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "404 open",
    ),
    ("line end in a number", "9112 11.1", "GET /big?n=1%0d%0aX-Injected:%201 HTTP/1.1\r\nHost: a\r\n\r\n", "400 open"),
    // Routing.
    (
        "host in the target and another in the field",
        "9112 3.2.2",
        "GET http://inner/ HTTP/1.1\r\nHost: outer\r\n\r\n",
        "200 open",
    ),
    (
        "host in the target and a bad one in the field",
        "9112 3.2",
        "GET http://inner/ HTTP/1.1\r\nHost: outer/x\r\n\r\n",
        "400 closed",
    ),
    ("host behind an at sign", "9110 4.2.4", "GET http://outer@inner/ HTTP/1.1\r\nHost: outer\r\n\r\n", "400 closed"),
    ("at sign first in the target", "9112 3.2", "GET @inner/ HTTP/1.1\r\nHost: outer\r\n\r\n", "400 closed"),
    ("colon first in the target", "9112 3.2", "GET :80/ HTTP/1.1\r\nHost: outer\r\n\r\n", "400 closed"),
    (
        "Host as a connection option",
        "9110 7.6.1",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Host\r\n\r\n",
        "200 closed",
    ),
    // The version decides.
    (
        "chunks in HTTP/1.0",
        "9112 6.1",
        "POST /echo HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "request behind one of HTTP/1.0",
        "9112 9.3",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\nGET /sleep?ms=0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 closed",
    ),
    (
        "upgrade that nobody answers",
        "9110 7.8",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "200 open",
    ),
    (
        "websocket that nobody answers",
        "9110 7.8",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "200 200 open",
    ),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    ATTACKS.iter().map(|(name, source, input, expected)| Case::new(name, source, *input, *expected))
}

#[test]
fn attacks() {
    check(cases());
}
