//! `Transfer-Encoding`: `chunked`, once, in HTTP/1.1, without `Content-Length`; everything else is refused (RFC 9112,
//! sections 6.1 and 6.3).

use crate::harness::{Case, check, echo};

/// Name, source, fields of a request for `/echo`, what is expected. The body is `hello` in a chunk.
const CODINGS: &[(&str, &str, &[u8], &str)] = &[
    ("chunked", "9112 7.1; Http11Probe COMP-CHUNKED-BODY", b"Transfer-Encoding: chunked\r\n", "200=hello open"),
    ("capital", "9112 7; Tornado's suite", b"Transfer-Encoding: Chunked\r\n", "200=hello open"),
    ("capitals", "9112 7", b"Transfer-Encoding: CHUNKED\r\n", "200=hello open"),
    ("name in capitals", "9110 5.1", b"TRANSFER-ENCODING: chunked\r\n", "200=hello open"),
    ("no space", "9112 5", b"Transfer-Encoding:chunked\r\n", "200=hello open"),
    ("space behind", "9110 5.5; llhttp", b"Transfer-Encoding: chunked \r\n", "200=hello open"),
    (
        "tabs around",
        "9110 5.5; Http11Probe SMUG-TE-TAB-BEFORE-VALUE",
        b"Transfer-Encoding:\tchunked\t\r\n",
        "200=hello open",
    ),
    (
        "TE beside it",
        "9110 10.1.4",
        b"Transfer-Encoding: chunked\r\nTE: trailers, gzip\r\nConnection: TE\r\n",
        "200=hello open",
    ),
    // Both lengths.
    (
        "length behind",
        "9112 6.1; Http11Probe SMUG-CL-TE-BOTH",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "400 closed",
    ),
    ("length before", "9112 6.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "400 closed"),
    ("the right length", "9112 6.1", b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n", "400 closed"),
    ("length 0", "9112 6.1", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "400 closed"),
    (
        "length far away",
        "9112 6.1",
        b"Content-Length: 5\r\nA: b\r\nC: d\r\nE: f\r\nTransfer-Encoding: chunked\r\n",
        "400 closed",
    ),
    ("length that is none", "9112 6.1", b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n", "400 closed"),
    (
        "identity and a length",
        "9112 6.1; Http11Probe SMUG-TE-IDENTITY, llhttp",
        b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
        "400 closed",
    ),
    (
        "empty and a length",
        "9112 6.1; Http11Probe SMUG-TE-EMPTY-VALUE, llhttp",
        b"Transfer-Encoding:\r\nContent-Length: 5\r\n",
        "400 closed",
    ),
    (
        "xchunked and a length",
        "9112 6.1; Http11Probe SMUG-TE-XCHUNKED",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        "400 closed",
    ),
    (
        "capitals and a length",
        "9112 6.1; Http11Probe SMUG-TE-CASE-MISMATCH",
        b"Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n",
        "400 closed",
    ),
    // Lists and repetitions.
    (
        "twice",
        "9112 6.1; Tornado's suite",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "400 closed",
    ),
    (
        "twice in a list",
        "9112 6.1; Http11Probe SMUG-TE-DOUBLE-CHUNKED",
        b"Transfer-Encoding: chunked, chunked\r\n",
        "400 closed",
    ),
    ("twice without a comma", "9112 6.1; llhttp", b"Transfer-Encoding: chunkedchunked\r\n", "400 closed"),
    ("twice with a space", "9112 7", b"Transfer-Encoding: chunked chunked\r\n", "400 closed"),
    (
        "identity behind",
        "9112 6.3; Http11Probe SMUG-TE-DUPLICATE-HEADERS",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "400 closed",
    ),
    (
        "gzip behind",
        "9112 6.3; Http11Probe SMUG-TE-NOT-FINAL-CHUNKED",
        b"Transfer-Encoding: chunked, gzip\r\n",
        "400 closed",
    ),
    (
        "deflate in a field behind",
        "9112 6.3; llhttp",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: deflate\r\n",
        "400 closed",
    ),
    ("gzip before", "9112 6.1; Tornado's suite", b"Transfer-Encoding: gzip, chunked\r\n", "501 closed"),
    (
        "deflate in a field before",
        "9112 6.1; llhttp",
        b"Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n",
        "501 closed",
    ),
    ("unknown coding before", "9112 6.1", b"Transfer-Encoding: x, chunked\r\n", "501 closed"),
    ("parameter of a coding before", "9112 7", b"Transfer-Encoding: x;q=\"1\", chunked\r\n", "501 closed"),
    ("identity before", "9112 7", b"Transfer-Encoding: identity, chunked\r\n", "501 closed"),
    ("comma before", "9112 6.1; Http11Probe SMUG-TE-LEADING-COMMA", b"Transfer-Encoding: , chunked\r\n", "400 closed"),
    ("comma behind", "9112 6.1; Http11Probe SMUG-TE-TRAILING-COMMA", b"Transfer-Encoding: chunked,\r\n", "400 closed"),
    ("empty field before", "9112 6.1", b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", "400 closed"),
    ("empty field behind", "9112 6.1", b"Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", "400 closed"),
    // Something else than chunked.
    ("empty", "9112 6.1", b"Transfer-Encoding:\r\n", "400 closed"),
    ("comma alone", "9112 6.1", b"Transfer-Encoding: ,\r\n", "400 closed"),
    ("gzip", "9112 6.3; Http11Probe COMP-UNKNOWN-TE-501", b"Transfer-Encoding: gzip\r\n", "400 closed"),
    ("identity", "9112 6.3", b"Transfer-Encoding: identity\r\n", "400 closed"),
    ("pigeons", "9112 6.3; llhttp", b"Transfer-Encoding: pigeons\r\n", "400 closed"),
    ("letter before", "9112 6.3", b"Transfer-Encoding: xchunked\r\n", "400 closed"),
    ("letter behind", "9112 6.3", b"Transfer-Encoding: chunkedx\r\n", "400 closed"),
    ("cut", "9112 6.3", b"Transfer-Encoding: chunke\r\n", "400 closed"),
    ("with a hyphen", "9112 6.3", b"Transfer-Encoding: chunk-ed\r\n", "400 closed"),
    ("quotes", "9112 7", b"Transfer-Encoding: \"chunked\"\r\n", "400 closed"),
    ("single quotes", "9112 6.3", b"Transfer-Encoding: 'chunked'\r\n", "400 closed"),
    ("parameter", "9112 7; Http11Probe SMUG-CHUNKED-WITH-PARAMS", b"Transfer-Encoding: chunked;a=b\r\n", "400 closed"),
    ("empty parameter", "9112 7", b"Transfer-Encoding: chunked;\r\n", "400 closed"),
    ("quality", "9112 7", b"Transfer-Encoding: chunked;q=0\r\n", "400 closed"),
    ("word behind", "9112 7", b"Transfer-Encoding: chunked foo\r\n", "400 closed"),
    ("equals", "9112 7", b"Transfer-Encoding: =chunked\r\n", "400 closed"),
    ("space inside", "9112 7", b"Transfer-Encoding: ch unked\r\n", "400 closed"),
    ("colon before", "9112 7", b"Transfer-Encoding: :chunked\r\n", "400 closed"),
    // Whitespace that is none.
    (
        "vertical tab before",
        "9110 5.6.3; Http11Probe SMUG-TE-VTAB",
        b"Transfer-Encoding: \x0bchunked\r\n",
        "400 closed",
    ),
    (
        "form feed before",
        "9110 5.6.3; Http11Probe SMUG-TE-FORMFEED",
        b"Transfer-Encoding: \x0cchunked\r\n",
        "400 closed",
    ),
    ("NUL behind", "9110 5.5; Http11Probe SMUG-TE-NULL", b"Transfer-Encoding: chunked\0\r\n", "400 closed"),
    ("no-break space before", "9110 5.6.3", b"Transfer-Encoding: \xa0chunked\r\n", "400 closed"),
    ("next line before", "9110 5.6.3", b"Transfer-Encoding: \x85chunked\r\n", "400 closed"),
    ("0xFF behind", "9110 5.6.3", b"Transfer-Encoding: chunked\xff\r\n", "400 closed"),
    ("Kelvin sign", "9110 5.6.2", "Transfer-Encoding: chun\u{212a}ed\r\n".as_bytes(), "400 closed"),
    // The line is broken.
    (
        "space before the colon",
        "9112 5.1; Http11Probe SMUG-TE-SP-BEFORE-COLON",
        b"Transfer-Encoding : chunked\r\n",
        "400 closed",
    ),
    ("tab before the colon", "9112 5.1", b"Transfer-Encoding\t: chunked\r\n", "400 closed"),
    ("space before the name", "9112 5.2", b" Transfer-Encoding: chunked\r\n", "400 closed"),
    ("folded", "9112 5.2; Http11Probe SMUG-TE-OBS-FOLD", b"Transfer-Encoding:\r\n chunked\r\n", "400 closed"),
    ("folded behind", "9112 5.2; llhttp", b"Transfer-Encoding: chunked\r\n  abc\r\n", "400 closed"),
    ("folded name", "9112 5.2", b"Transfer-Encoding\r\n : chunked\r\n", "400 closed"),
    ("no colon", "9112 5", b"Transfer-Encoding chunked\r\n", "400 closed"),
    ("behind LF", "9112 2.2; llhttp", b"A: b\nTransfer-Encoding: chunked\r\n", "400 closed"),
    ("behind CR", "9112 2.2; llhttp", b"A: b\rTransfer-Encoding: chunked\r\n", "400 closed"),
    ("behind CRLF CR", "9112 2.2", b"A: b\r\n\rTransfer-Encoding: chunked\r\n", "400 closed"),
    ("behind NUL", "9112 2.2", b"A: b\0Transfer-Encoding: chunked\r\n", "400 closed"),
    ("CR LF inside the name", "9112 2.2", b"Transfer\r\nEncoding: chunked\r\n", "400 closed"),
    ("NUL in the name", "9110 5.1", b"Transfer-\0Encoding: chunked\r\n", "400 closed"),
    ("beyond ASCII in the name", "9110 5.1", b"Transfer\xadEncoding: chunked\r\n", "400 closed"),
];

/// Name, source, the whole request, what is expected.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    // Another name is another field: the body is what follows, and no request.
    (
        "underscore in the name",
        "9110 5.1; Http11Probe SMUG-TRANSFER_ENCODING",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    (
        "X- before the name",
        "9110 5.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nX-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    (
        "Transfer-Coding",
        "9110 5.1",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Coding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    (
        "Content-Encoding: chunked",
        "9110 8.4",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    // HTTP/1.0 has no transfer codings.
    ("HTTP/1.0", "9112 6.1", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 closed"),
    (
        "HTTP/1.0 and keep-alive",
        "9112 6.1; Tornado's suite",
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "HTTP/1.0 and a length",
        "9112 6.1; Http11Probe SMUG-TE-HTTP10",
        "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "400 closed",
    ),
    ("HTTP/1.0 and identity", "9112 6.1", "POST /echo HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n", "400 closed"),
    (
        "HTTP/1.2",
        "9110 2.5",
        "POST /echo HTTP/1.2\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "200=hello open",
    ),
    // Other methods.
    (
        "GET",
        "9112 6.3",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "200 open",
    ),
    (
        "HEAD",
        "9112 6.3",
        "HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "200! open",
    ),
    (
        "OPTIONS",
        "9112 6.3",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "204 open",
    ),
    (
        "DELETE",
        "9112 6.3",
        "DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "405 open",
    ),
    (
        "TRACE",
        "9110 9.3.8",
        "TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "CONNECT",
        "9110 9.3.6",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "400 closed",
    ),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    values().chain(requests())
}

fn values() -> impl Iterator<Item = Case> {
    CODINGS.iter().map(|(name, source, fields, expected)| {
        Case::new(name, source, echo(fields, "5\r\nhello\r\n0\r\n\r\n"), *expected)
    })
}

#[test]
fn codings() {
    check(values());
}

fn requests() -> impl Iterator<Item = Case> {
    REQUESTS.iter().map(|(name, source, request, expected)| Case::new(name, source, *request, *expected))
}

#[test]
fn in_other_requests() {
    check(requests());
}
