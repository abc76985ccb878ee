//! Tables of what an application gives and the bytes that must come of it: RFC 9110, sections 6.4, 6.6, 8.6 and 15; RFC
//! 9112, sections 4, 6, 7 and 9.

use landspout_http1::{Event, HttpOutputError, Limits, RequestDecoder, ResponseEncoder};
use landspout_httputil::{HttpHeaders, Method, ResponseStartLine, StatusCode, Version};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// To whom: method, version, kept alive.
#[derive(Clone, Copy)]
struct To(&'static str, Version, bool);

const GET: To = To("GET", Version::HTTP_11, true);
const GET_CLOSE: To = To("GET", Version::HTTP_11, false);
const GET10: To = To("GET", Version::HTTP_10, false);
const GET10_KEEP: To = To("GET", Version::HTTP_10, true);
const HEAD: To = To("HEAD", Version::HTTP_11, true);
const CONNECT: To = To("CONNECT", Version::HTTP_11, true);

fn encoder(to: To) -> ResponseEncoder {
    ResponseEncoder::new(&Method::from_bytes(to.0.as_bytes()).unwrap(), to.1, to.2)
}

fn headers(lines: &str) -> HttpHeaders {
    let pairs = lines.lines().map(|line| line.split_once(':').unwrap());
    HttpHeaders::try_from_iter(pairs).unwrap()
}

fn line(code: u16) -> ResponseStartLine {
    ResponseStartLine::new(StatusCode::from_u16(code).unwrap())
}

/// The bytes as text, with `date` for the date that we gave and `|` for each line end.
fn text(out: &[u8]) -> String {
    let text = String::from_utf8(out.to_vec()).unwrap();
    text.replace("Date: Sun, 06 Nov 1994 08:49:37 GMT", "date").replace("\r\n", "|")
}

/// A response in one call.
fn response(to: To, code: u16, fields: &str, body: &str) -> (Result<(), HttpOutputError>, String, bool) {
    let mut out = b"before".to_vec();
    let mut encoder = encoder(to);
    let result = encoder.response(&line(code), &headers(fields), body.as_bytes(), DATE, &mut out);
    assert_eq!(encoder.is_complete(), result.is_ok());
    assert_eq!(encoder.head_sent(), result.is_ok());
    (result, text(&out).strip_prefix("before").unwrap().to_owned(), encoder.keep_alive())
}

/// A response in pieces: head, data, end.
fn streamed(to: To, code: u16, fields: &str, body: &[&str]) -> (Result<(), HttpOutputError>, String, bool) {
    let mut out = b"before".to_vec();
    let mut encoder = encoder(to);
    let mut run = || {
        encoder.head(&line(code), &headers(fields), DATE, &mut out)?;
        for piece in body {
            encoder.data(piece.as_bytes())?.append_to(&mut out);
        }
        encoder.finish(&mut out)
    };
    let result = run();
    assert_eq!(encoder.is_complete(), result.is_ok());
    (result, text(&out).strip_prefix("before").unwrap().to_owned(), encoder.keep_alive())
}

#[test]
fn whole_responses() {
    for (to, code, fields, body, expected, keep_alive) in [
        (GET, 200, "", "hi", "HTTP/1.1 200 OK|date|Content-Length: 2||hi", true),
        (GET, 200, "", "", "HTTP/1.1 200 OK|date|Content-Length: 0||", true),
        (GET, 404, "", "no", "HTTP/1.1 404 Not Found|date|Content-Length: 2||no", true),
        (GET, 500, "", "x", "HTTP/1.1 500 Internal Server Error|date|Content-Length: 1||x", true),
        (GET, 299, "", "", "HTTP/1.1 299 Unknown|date|Content-Length: 0||", true),
        (GET, 999, "", "", "HTTP/1.1 999 Unknown|date|Content-Length: 0||", true),
        (GET, 200, "A: b\nc:  d ", "hi", "HTTP/1.1 200 OK|A: b|c: d|date|Content-Length: 2||hi", true),
        (
            GET,
            200,
            "Set-Cookie: a\nSet-Cookie: b",
            "",
            "HTTP/1.1 200 OK|Set-Cookie: a|Set-Cookie: b|date|Content-Length: 0||",
            true,
        ),
        (GET, 200, "Date: today", "", "HTTP/1.1 200 OK|Date: today|Content-Length: 0||", true),
        (GET, 200, "dAtE: today", "", "HTTP/1.1 200 OK|dAtE: today|Content-Length: 0||", true),
        (GET, 200, "Content-Length: 2", "hi", "HTTP/1.1 200 OK|date|Content-Length: 2||hi", true),
        (GET, 200, "content-length: 002", "hi", "HTTP/1.1 200 OK|date|Content-Length: 2||hi", true),
        (GET, 200, "Empty:", "", "HTTP/1.1 200 OK|Empty: |date|Content-Length: 0||", true),
        // What becomes of the connection: RFC 9112, section 9.3.
        (GET_CLOSE, 200, "", "hi", "HTTP/1.1 200 OK|date|Connection: close|Content-Length: 2||hi", false),
        (GET10, 200, "", "hi", "HTTP/1.1 200 OK|date|Content-Length: 2||hi", false),
        (GET10_KEEP, 200, "", "hi", "HTTP/1.1 200 OK|date|Connection: keep-alive|Content-Length: 2||hi", true),
        (GET, 200, "Connection: close", "hi", "HTTP/1.1 200 OK|date|Connection: close|Content-Length: 2||hi", false),
        (GET, 200, "Connection: Close", "", "HTTP/1.1 200 OK|date|Connection: close|Content-Length: 0||", false),
        (
            GET,
            200,
            "connection: foo, CLOSE",
            "",
            "HTTP/1.1 200 OK|date|Connection: close, foo|Content-Length: 0||",
            false,
        ),
        (
            GET,
            200,
            "Connection: foo\nConnection: close",
            "",
            "HTTP/1.1 200 OK|date|Connection: close, foo|Content-Length: 0||",
            false,
        ),
        (GET, 200, "Connection: foo, , bar", "", "HTTP/1.1 200 OK|date|Connection: foo, bar|Content-Length: 0||", true),
        (GET, 200, "Connection: keep-alive", "", "HTTP/1.1 200 OK|date|Content-Length: 0||", true),
        (
            GET_CLOSE,
            200,
            "Connection: keep-alive",
            "",
            "HTTP/1.1 200 OK|date|Connection: close|Content-Length: 0||",
            false,
        ),
        (GET10, 200, "Connection: keep-alive", "", "HTTP/1.1 200 OK|date|Content-Length: 0||", false),
        (GET10_KEEP, 200, "Connection: close", "", "HTTP/1.1 200 OK|date|Content-Length: 0||", false),
        (
            GET10_KEEP,
            200,
            "Connection: foo",
            "",
            "HTTP/1.1 200 OK|date|Connection: keep-alive, foo|Content-Length: 0||",
            true,
        ),
        (
            GET,
            426,
            "Upgrade: h2c\nConnection: upgrade",
            "",
            "HTTP/1.1 426 Upgrade Required|Upgrade: h2c|date|Connection: upgrade|Content-Length: 0||",
            true,
        ),
        // HEAD: as GET, without the body. RFC 9110, section 9.3.2.
        (HEAD, 200, "", "hi", "HTTP/1.1 200 OK|date|Content-Length: 2||", true),
        (HEAD, 200, "", "", "HTTP/1.1 200 OK|date|Content-Length: 0||", true),
        (HEAD, 200, "Content-Length: 1000", "", "HTTP/1.1 200 OK|date|Content-Length: 1000||", true),
        (HEAD, 200, "Content-Length: 2", "hi", "HTTP/1.1 200 OK|date|Content-Length: 2||", true),
        (HEAD, 404, "", "no", "HTTP/1.1 404 Not Found|date|Content-Length: 2||", true),
        (To("HEAD", Version::HTTP_10, false), 200, "", "hi", "HTTP/1.1 200 OK|date|Content-Length: 2||", false),
        // Statuses without a body: RFC 9110, sections 8.6, 15.3.5, 15.3.6 and 15.4.5.
        (GET, 204, "A: b", "", "HTTP/1.1 204 No Content|A: b|date||", true),
        (GET_CLOSE, 204, "", "", "HTTP/1.1 204 No Content|date|Connection: close||", false),
        (GET10_KEEP, 204, "", "", "HTTP/1.1 204 No Content|date|Connection: keep-alive||", true),
        (HEAD, 204, "", "", "HTTP/1.1 204 No Content|date||", true),
        (GET, 304, "ETag: \"a\"", "", "HTTP/1.1 304 Not Modified|ETag: \"a\"|date||", true),
        (GET, 304, "Content-Length: 100", "", "HTTP/1.1 304 Not Modified|date|Content-Length: 100||", true),
        (HEAD, 304, "", "", "HTTP/1.1 304 Not Modified|date||", true),
        (GET, 205, "", "", "HTTP/1.1 205 Reset Content|date|Content-Length: 0||", true),
        (GET, 205, "Content-Length: 0", "", "HTTP/1.1 205 Reset Content|date|Content-Length: 0||", true),
        // CONNECT: RFC 9110, section 9.3.6.
        (CONNECT, 200, "", "", "HTTP/1.1 200 OK|date||", false),
        (CONNECT, 403, "", "no", "HTTP/1.1 403 Forbidden|date|Content-Length: 2||no", true),
    ] {
        let (result, out, kept) = response(to, code, fields, body);
        assert_eq!(result, Ok(()), "{code} {fields:?}");
        assert_eq!(out, expected);
        assert_eq!(kept, keep_alive, "{expected}");
    }
}

#[test]
fn refused_responses() {
    use HttpOutputError::*;
    for (to, code, fields, body, error) in [
        (GET, 100, "", "", InvalidStatus(100)),
        (GET, 101, "", "", InvalidStatus(101)),
        (GET, 199, "", "x", InvalidStatus(199)),
        (GET, 204, "", "x", BodyNotAllowed),
        (GET, 205, "", "x", BodyNotAllowed),
        (GET, 304, "", "x", BodyNotAllowed),
        (HEAD, 204, "", "x", BodyNotAllowed),
        (CONNECT, 200, "", "x", BodyNotAllowed),
        (GET, 204, "Content-Length: 0", "", ReservedHeader("Content-Length".into())),
        (CONNECT, 200, "Content-Length: 0", "", ReservedHeader("Content-Length".into())),
        (GET, 205, "Content-Length: 1", "", InvalidContentLength("1".into())),
        (GET, 200, "Transfer-Encoding: chunked", "x", ReservedHeader("Transfer-Encoding".into())),
        (GET, 200, "transfer-encoding: gzip", "", ReservedHeader("Transfer-Encoding".into())),
        (GET, 200, "Content-Length: foo", "x", InvalidContentLength("foo".into())),
        (GET, 200, "Content-Length: +10", "x", InvalidContentLength("+10".into())),
        (GET, 200, "Content-Length: 1_0", "x", InvalidContentLength("1_0".into())),
        (GET, 200, "Content-Length:", "x", InvalidContentLength(String::new())),
        (GET, 200, "Content-Length: 1, 1", "x", InvalidContentLength("1, 1".into())),
        (GET, 200, "Content-Length: 1\nContent-Length: 1", "x", InvalidContentLength("1".into())),
        (GET, 200, "Content-Length: 18446744073709551616", "x", InvalidContentLength("18446744073709551616".into())),
        (GET, 200, "Content-Length: 1", "xy", BodyTooLong { content_length: 1, attempted: 2 }),
        (GET, 200, "Content-Length: 2", "x", BodyTooShort { content_length: 2, written: 1 }),
        (GET, 200, "Content-Length: 2", "", BodyTooShort { content_length: 2, written: 0 }),
        (HEAD, 200, "Content-Length: 1", "xy", BodyTooLong { content_length: 1, attempted: 2 }),
        (HEAD, 200, "Content-Length: 3", "xy", BodyTooShort { content_length: 3, written: 2 }),
    ] {
        let (result, out, kept) = response(to, code, fields, body);
        assert_eq!(result, Err(error), "{code} {fields:?} {body:?}");
        // Nothing half-sent, and nothing decided.
        assert_eq!(out, "", "{code} {fields:?} {body:?}");
        assert_eq!(kept, to.2);
    }
}

#[test]
fn streamed_responses() {
    for (to, code, fields, body, expected, keep_alive) in [
        // Chunks for HTTP/1.1.
        (GET, 200, "", &["hi", "there"][..], "HTTP/1.1 200 OK|date|Transfer-Encoding: chunked||2|hi|5|there|0||", true),
        (GET, 200, "", &[], "HTTP/1.1 200 OK|date|Transfer-Encoding: chunked||0||", true),
        (GET, 200, "", &["", "a", ""], "HTTP/1.1 200 OK|date|Transfer-Encoding: chunked||1|a|0||", true),
        (
            GET_CLOSE,
            200,
            "",
            &["a"],
            "HTTP/1.1 200 OK|date|Connection: close|Transfer-Encoding: chunked||1|a|0||",
            false,
        ),
        (
            GET,
            200,
            "",
            &["0123456789abcdef+"],
            "HTTP/1.1 200 OK|date|Transfer-Encoding: chunked||11|0123456789abcdef+|0||",
            true,
        ),
        // A length that the application knows.
        (GET, 200, "Content-Length: 3", &["a", "bc"], "HTTP/1.1 200 OK|date|Content-Length: 3||abc", true),
        (GET, 200, "Content-Length: 0", &[], "HTTP/1.1 200 OK|date|Content-Length: 0||", true),
        (
            GET10_KEEP,
            200,
            "Content-Length: 3",
            &["abc"],
            "HTTP/1.1 200 OK|date|Connection: keep-alive|Content-Length: 3||abc",
            true,
        ),
        (GET10, 200, "Content-Length: 3", &["abc"], "HTTP/1.1 200 OK|date|Content-Length: 3||abc", false),
        // HTTP/1.0 without a length: closing the connection is the end.
        (GET10, 200, "", &["a", "bc"], "HTTP/1.1 200 OK|date||abc", false),
        (GET10_KEEP, 200, "", &["a", "bc"], "HTTP/1.1 200 OK|date||abc", false),
        (GET10_KEEP, 200, "Connection: keep-alive", &["a"], "HTTP/1.1 200 OK|date||a", false),
        // HEAD: counted and not sent.
        (HEAD, 200, "", &["a", "bc"], "HTTP/1.1 200 OK|date||", true),
        (HEAD, 200, "Content-Length: 3", &["a", "bc"], "HTTP/1.1 200 OK|date|Content-Length: 3||", true),
        (HEAD, 200, "Content-Length: 3", &[], "HTTP/1.1 200 OK|date|Content-Length: 3||", true),
        (To("HEAD", Version::HTTP_10, true), 200, "", &[], "HTTP/1.1 200 OK|date|Connection: keep-alive||", true),
        // None at all.
        (GET, 204, "", &[], "HTTP/1.1 204 No Content|date||", true),
        (GET, 204, "", &["", ""], "HTTP/1.1 204 No Content|date||", true),
        (GET, 304, "Content-Length: 5", &[], "HTTP/1.1 304 Not Modified|date|Content-Length: 5||", true),
        (GET, 205, "", &[], "HTTP/1.1 205 Reset Content|date|Content-Length: 0||", true),
        (CONNECT, 200, "", &[], "HTTP/1.1 200 OK|date||", false),
        (CONNECT, 400, "", &["a"], "HTTP/1.1 400 Bad Request|date|Transfer-Encoding: chunked||1|a|0||", true),
    ] {
        let (result, out, kept) = streamed(to, code, fields, body);
        assert_eq!(result, Ok(()), "{expected}");
        assert_eq!(out, expected);
        assert_eq!(kept, keep_alive, "{expected}");
    }
}

#[test]
fn refused_pieces() {
    use HttpOutputError::*;
    for (to, code, fields, body, error, sent) in [
        (
            GET,
            200,
            "Content-Length: 3",
            &["ab", "cd"][..],
            BodyTooLong { content_length: 3, attempted: 4 },
            "HTTP/1.1 200 OK|date|Content-Length: 3||ab",
        ),
        (
            GET,
            200,
            "Content-Length: 3",
            &["ab"],
            BodyTooShort { content_length: 3, written: 2 },
            "HTTP/1.1 200 OK|date|Content-Length: 3||ab",
        ),
        (
            GET,
            200,
            "Content-Length: 0",
            &["a"],
            BodyTooLong { content_length: 0, attempted: 1 },
            "HTTP/1.1 200 OK|date|Content-Length: 0||",
        ),
        (
            GET10,
            200,
            "Content-Length: 3",
            &[],
            BodyTooShort { content_length: 3, written: 0 },
            "HTTP/1.1 200 OK|date|Content-Length: 3||",
        ),
        (
            HEAD,
            200,
            "Content-Length: 3",
            &["abcd"],
            BodyTooLong { content_length: 3, attempted: 4 },
            "HTTP/1.1 200 OK|date|Content-Length: 3||",
        ),
        (
            HEAD,
            200,
            "Content-Length: 3",
            &["ab"],
            BodyTooShort { content_length: 3, written: 2 },
            "HTTP/1.1 200 OK|date|Content-Length: 3||",
        ),
        (GET, 204, "", &["a"], BodyNotAllowed, "HTTP/1.1 204 No Content|date||"),
        (GET, 205, "", &["a"], BodyNotAllowed, "HTTP/1.1 205 Reset Content|date|Content-Length: 0||"),
        (GET, 304, "Content-Length: 5", &["a"], BodyNotAllowed, "HTTP/1.1 304 Not Modified|date|Content-Length: 5||"),
        (CONNECT, 200, "", &["a"], BodyNotAllowed, "HTTP/1.1 200 OK|date||"),
        (GET, 204, "Content-Length: 5", &[], ReservedHeader("Content-Length".into()), ""),
        (GET, 200, "Transfer-Encoding: chunked", &[], ReservedHeader("Transfer-Encoding".into()), ""),
        (GET, 200, "A: b\nContent-Length: x", &[], InvalidContentLength("x".into()), ""),
        (GET, 101, "Upgrade: websocket", &[], InvalidStatus(101), ""),
    ] {
        let (result, out, _) = streamed(to, code, fields, body);
        assert_eq!(result, Err(error), "{code} {fields:?} {body:?}");
        assert_eq!(out, sent, "{code} {fields:?} {body:?}");
    }
}

#[test]
fn the_order_of_calls() {
    let mut out = Vec::new();
    let (ok, none) = (line(200), HttpHeaders::new());
    let mut encoder = encoder(GET);
    assert_eq!(encoder.data(b"a").unwrap_err(), HttpOutputError::HeadersNotSent);
    assert_eq!(encoder.data(b"").unwrap_err(), HttpOutputError::HeadersNotSent);
    assert_eq!(encoder.finish(&mut out), Err(HttpOutputError::HeadersNotSent));
    assert!(!encoder.head_sent() && out.is_empty());
    encoder.head(&ok, &none, DATE, &mut out).unwrap();
    assert!(encoder.head_sent() && !encoder.is_complete());
    let len = out.len();
    assert_eq!(encoder.head(&ok, &none, DATE, &mut out), Err(HttpOutputError::HeadersAlreadySent));
    assert_eq!(encoder.head(&line(100), &none, DATE, &mut out), Err(HttpOutputError::HeadersAlreadySent));
    assert_eq!(encoder.response(&ok, &none, b"a", DATE, &mut out), Err(HttpOutputError::HeadersAlreadySent));
    assert_eq!(out.len(), len);
    encoder.finish(&mut out).unwrap();
    let len = out.len();
    assert!(encoder.is_complete() && encoder.head_sent());
    assert_eq!(encoder.data(b"a").unwrap_err(), HttpOutputError::AlreadyFinished);
    assert_eq!(encoder.finish(&mut out), Err(HttpOutputError::AlreadyFinished));
    assert_eq!(encoder.head(&ok, &none, DATE, &mut out), Err(HttpOutputError::AlreadyFinished));
    assert_eq!(encoder.response(&ok, &none, b"a", DATE, &mut out), Err(HttpOutputError::AlreadyFinished));
    assert_eq!(out.len(), len);
}

/// An application that failed gets a second chance as long as nothing is out.
#[test]
fn another_response_after_a_refused_one() {
    let mut out = Vec::new();
    let mut encoder = encoder(GET);
    let refused = encoder.response(&line(200), &headers("Content-Length: 9\nConnection: close"), b"a", DATE, &mut out);
    assert!(refused.is_err() && out.is_empty() && encoder.keep_alive());
    encoder.response(&line(500), &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
    assert_eq!(text(&out), "HTTP/1.1 500 Internal Server Error|date|Content-Length: 0||");
}

#[test]
fn interim_responses() {
    let mut out = Vec::new();
    let mut encoder = encoder(GET_CLOSE);
    encoder.head(&line(100), &HttpHeaders::new(), DATE, &mut out).unwrap();
    encoder.head(&line(103), &headers("Link: </a>"), DATE, &mut out).unwrap();
    assert!(!encoder.head_sent() && !encoder.is_complete());
    let refused = encoder.head(&line(103), &headers("Content-Length: 0"), DATE, &mut out);
    assert_eq!(refused, Err(HttpOutputError::ReservedHeader("Content-Length".into())));
    encoder.response(&line(200), &HttpHeaders::new(), b"a", DATE, &mut out).unwrap();
    assert_eq!(
        text(&out),
        "HTTP/1.1 100 Continue||HTTP/1.1 103 Early Hints|Link: </a>||\
         HTTP/1.1 200 OK|date|Connection: close|Content-Length: 1||a"
    );
    // RFC 9110, section 15.2: not to a client of HTTP/1.0.
    let (result, out, _) = response(GET10, 200, "", "a");
    let mut interim = out.clone().into_bytes();
    let mut encoder = self::encoder(GET10);
    encoder.head(&line(100), &HttpHeaders::new(), DATE, &mut interim).unwrap();
    assert!(result.is_ok() && interim == out.as_bytes() && !encoder.head_sent());
}

#[test]
fn switching_protocols() {
    let encoder = |fields: &str| {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut decoder = RequestDecoder::new(Limits::default());
        let Some(Event::Head(head)) = decoder.decode(input.as_bytes()).unwrap().event else { panic!() };
        ResponseEncoder::for_request(&head)
    };
    const OFFER: &str = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    for (fields, expected) in [
        (
            "Upgrade: websocket\nConnection: Upgrade",
            "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Connection: Upgrade||",
        ),
        ("Upgrade: websocket", "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Connection: upgrade||"),
        ("Connection: foo\nUpgrade: a", "HTTP/1.1 101 Switching Protocols|Upgrade: a|Connection: upgrade, foo||"),
    ] {
        let mut out = Vec::new();
        let mut encoder = encoder(OFFER);
        encoder.head(&line(101), &headers(fields), DATE, &mut out).unwrap();
        assert_eq!(text(&out), expected);
        assert!(encoder.head_sent() && !encoder.keep_alive());
        assert_eq!(encoder.data(b"a").unwrap_err(), HttpOutputError::BodyNotAllowed);
        encoder.finish(&mut out).unwrap();
        assert_eq!(text(&out), expected);
    }
    // Not without an offer, and not without saying to what.
    for (offer, fields) in
        [("", "Upgrade: websocket\nConnection: upgrade"), (OFFER, ""), (OFFER, "Connection: upgrade")]
    {
        let mut out = Vec::new();
        let refused = encoder(offer).head(&line(101), &headers(fields), DATE, &mut out);
        assert_eq!(refused, Err(HttpOutputError::InvalidStatus(101)));
        assert!(out.is_empty());
    }
}

#[test]
fn the_server_closes() {
    let mut out = Vec::new();
    let mut encoder = encoder(GET);
    encoder.close_after();
    encoder.response(&line(200), &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
    assert_eq!(text(&out), "HTTP/1.1 200 OK|date|Connection: close|Content-Length: 0||");
    assert!(!encoder.keep_alive());
    // Too late to say it, in time to do it.
    let mut encoder = self::encoder(GET);
    encoder.head(&line(200), &HttpHeaders::new(), DATE, &mut out).unwrap();
    encoder.close_after();
    assert!(!encoder.keep_alive());
    let mut out = Vec::new();
    let mut encoder = ResponseEncoder::for_error();
    encoder.response(&line(400), &HttpHeaders::new(), b"bad", DATE, &mut out).unwrap();
    assert_eq!(text(&out), "HTTP/1.1 400 Bad Request|date|Connection: close|Content-Length: 3||bad");
}

/// An answer that doesn't wait for the request's body (RFC 9110, section 10.1.1; RFC 9112, section 9.6).
#[test]
fn closed_if_the_body_is_unread() {
    let unread = || {
        let mut encoder = encoder(GET);
        encoder.close_if_unread();
        encoder
    };
    let mut out = Vec::new();
    let mut early = unread();
    early.response(&line(200), &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
    assert_eq!(text(&out), "HTTP/1.1 200 OK|date|Connection: close|Content-Length: 0||");
    early.body_read();
    assert!(early.is_complete());
    // It was read before, or may be before the end.
    let usual = "HTTP/1.1 200 OK|date|Content-Length: 0||";
    let (mut read, mut out) = (unread(), Vec::new());
    read.body_read();
    read.response(&line(200), &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
    assert_eq!((text(&out).as_str(), read.keep_alive()), (usual, true));
    let (mut streamed, mut out) = (unread(), Vec::new());
    streamed.head(&line(200), &HttpHeaders::new(), DATE, &mut out).unwrap();
    assert_eq!((text(&out).contains("close"), streamed.keep_alive()), (false, true));
    // What comes before the answer, or is refused, decides nothing.
    let (mut hinted, mut out) = (unread(), Vec::new());
    hinted.head(&line(103), &HttpHeaders::new(), DATE, &mut out).unwrap();
    out.clear();
    let bad = HttpHeaders::from_static(&[("Content-Length", "x")]);
    assert!(hinted.head(&line(200), &bad, DATE, &mut out).is_err());
    assert!(hinted.head(&line(101), &HttpHeaders::new(), DATE, &mut out).is_err());
    hinted.response(&line(401), &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
    assert!(!hinted.keep_alive() && text(&out).contains("Connection: close"), "{}", text(&out));
    // Whoever asked for the end gets it.
    for ask_first in [true, false] {
        let (mut asked, mut out) = (encoder(GET), Vec::new());
        if ask_first {
            asked.close_after();
        }
        asked.close_if_unread();
        if !ask_first {
            asked.close_after();
        }
        asked.body_read();
        asked.response(&line(200), &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
        assert!(!asked.keep_alive() && text(&out).contains("Connection: close"));
    }
}

#[test]
fn reason_phrases() {
    for (code, reason, expected) in [
        (200, "OK", "HTTP/1.1 200 OK|"),
        (200, "Fine", "HTTP/1.1 200 Fine|"),
        (200, "", "HTTP/1.1 200 |"),
        (418, "I'm\ta teapot", "HTTP/1.1 418 I'm\ta teapot|"),
        (404, "OK", "HTTP/1.1 404 OK|"),
    ] {
        let mut out = Vec::new();
        let line = line(code).with_reason(reason).unwrap();
        encoder(GET).response(&line, &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
        assert!(text(&out).starts_with(expected), "{}", text(&out));
    }
    // The version is ours whatever the line says: RFC 9112, section 2.3.
    let mut out = Vec::new();
    let line = line(200).with_version(Version::HTTP_10);
    encoder(GET10).response(&line, &HttpHeaders::new(), b"", DATE, &mut out).unwrap();
    assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn bytes_above_ascii_in_values_are_kept() {
    let mut out = Vec::new();
    let fields = HttpHeaders::try_from_iter([("A", &b"\xe9\xff"[..])]).unwrap();
    encoder(GET).response(&line(200), &fields, b"\0\xff", DATE, &mut out).unwrap();
    assert!(
        out.starts_with(b"HTTP/1.1 200 OK\r\nA: \xe9\xff\r\nDate: ")
            && out.ends_with(b"Content-Length: 2\r\n\r\n\0\xff")
    );
}

#[test]
fn the_pieces_of_a_chunk() {
    for (len, prefix) in
        [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (255, "ff\r\n"), (65_536, "10000\r\n"), (0xABCDE, "abcde\r\n")]
    {
        let chunk = vec![b'x'; len];
        let mut encoder = encoder(GET);
        encoder.head(&line(200), &HttpHeaders::new(), DATE, &mut Vec::new()).unwrap();
        let framed = encoder.data(&chunk).unwrap();
        assert_eq!(framed.pieces(), [prefix.as_bytes(), &chunk, b"\r\n"]);
        assert_eq!((framed.prefix(), framed.chunk(), framed.suffix()), (prefix.as_bytes(), &chunk[..], &b"\r\n"[..]));
        assert_eq!(framed.chunk().as_ptr(), chunk.as_ptr(), "not copied");
        assert!(!framed.is_empty());
        let nothing = encoder.data(b"").unwrap();
        assert!(nothing.is_empty() && nothing.pieces().concat().is_empty());
    }
}

/// What the encoder writes as chunks, the decoder of the same crate reads again.
#[test]
fn chunks_read_back() {
    let mut out = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut encoder = encoder(GET);
    encoder.head(&line(200), &HttpHeaders::new(), DATE, &mut Vec::new()).unwrap();
    let mut sent = Vec::new();
    for n in [1, 9, 10, 16, 300, 70_000] {
        let piece: Vec<u8> = (0..n).map(|i| i as u8).collect();
        encoder.data(&piece).unwrap().append_to(&mut out);
        sent.extend(piece);
    }
    encoder.finish(&mut out).unwrap();
    let mut decoder = RequestDecoder::new(Limits::default());
    let (mut input, mut received) = (&out[..], Vec::new());
    loop {
        let decoded = decoder.decode(input).unwrap();
        match decoded.event.unwrap() {
            Event::Data(range) => received.extend_from_slice(&input[range]),
            Event::End => break,
            _ => {}
        }
        input = &input[decoded.consumed..];
    }
    assert_eq!(received, sent);
}

#[test]
fn behind_a_switch_or_a_tunnel_there_is_no_http() {
    let rows: [(&str, u16, bool); 4] = [
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", 101, true),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", 200, false),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 200, true),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 407, false),
    ];
    for (request, status, tunnel) in rows {
        let mut decoder = RequestDecoder::new(Limits::default());
        let Ok(Some(Event::Head(head))) = decoder.decode(request.as_bytes()).map(|decoded| decoded.event) else {
            panic!("{request:?}")
        };
        let mut encoder = ResponseEncoder::for_request(&head);
        assert!(!encoder.is_tunnel());
        let line = line(status);
        let fields = if status == 101 { headers("Upgrade: a") } else { HttpHeaders::new() };
        encoder.head(&line, &fields, DATE, &mut Vec::new()).unwrap();
        assert_eq!(encoder.is_tunnel(), tunnel, "{request:?} {status}");
    }
}

/// Whatever was written before, and be it nothing; only what is complete stays so.
#[test]
fn after_it_was_broken_off_nothing_is_written() {
    let (line, none) = (line(200), HttpHeaders::new());
    for begun in [false, true] {
        let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
        if begun {
            encoder.head(&line, &none, DATE, &mut Vec::new()).unwrap();
            let _ = encoder.data(b"half").unwrap();
        }
        assert!(!encoder.is_broken_off());
        encoder.break_off();
        assert!(encoder.is_broken_off() && !encoder.is_complete() && !encoder.keep_alive());
        let mut out = Vec::new();
        assert_eq!(encoder.head(&line, &none, DATE, &mut out), Err(HttpOutputError::Closed));
        assert_eq!(encoder.response(&line, &none, b"", DATE, &mut out), Err(HttpOutputError::Closed));
        assert_eq!(encoder.data(b"x").err(), Some(HttpOutputError::Closed));
        assert_eq!(encoder.finish(&mut out), Err(HttpOutputError::Closed));
        assert!(out.is_empty());
    }
    let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
    encoder.response(&line, &none, b"", DATE, &mut Vec::new()).unwrap();
    encoder.break_off();
    assert!(encoder.is_complete() && encoder.keep_alive() && !encoder.is_broken_off());
}

#[test]
fn after_it_was_handed_over_nothing_is_written() {
    let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
    encoder.hand_over();
    let mut out = Vec::new();
    let line = line(200);
    let none = HttpHeaders::new();
    assert_eq!(encoder.head(&line, &none, DATE, &mut out), Err(HttpOutputError::AlreadyFinished));
    assert_eq!(encoder.response(&line, &none, b"", DATE, &mut out), Err(HttpOutputError::AlreadyFinished));
    assert_eq!(encoder.data(b"x").err(), Some(HttpOutputError::AlreadyFinished));
    assert_eq!(encoder.finish(&mut out), Err(HttpOutputError::AlreadyFinished));
    assert!(out.is_empty() && !encoder.keep_alive());
}
