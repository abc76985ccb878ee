//! Tables of what a client gives and the bytes that must come of it: RFC 9110, sections 7.2, 7.8, 8.6, 9.3 and 10.1.1; RFC
//! 9112, sections 3, 6 and 9.

use landspout_http1::{Event, HttpOutputError, Limits, RequestDecoder, RequestEncoder};
use landspout_httputil::{HttpHeaders, Method, RequestStartLine, Version};

fn line(method: &str, target: &str) -> RequestStartLine {
    // Whatever the version says, HTTP/1.1 is spoken.
    RequestStartLine::new(Method::from_bytes(method.as_bytes()).unwrap(), target, Version::HTTP_10)
}

fn headers(lines: &str) -> HttpHeaders {
    HttpHeaders::try_from_iter(lines.lines().map(|line| line.split_once(':').unwrap())).unwrap()
}

fn text(out: &[u8]) -> String {
    let text = std::str::from_utf8(out).unwrap();
    text.strip_prefix("before").unwrap().replace("\r\n", "|")
}

/// A request in one call.
fn whole(
    method: &str,
    target: &str,
    fields: &str,
    body: &str,
) -> (Result<(), HttpOutputError>, String, RequestEncoder) {
    let (mut out, mut encoder) = (b"before".to_vec(), RequestEncoder::new());
    let result = encoder.request(&line(method, target), &headers(fields), body.as_bytes(), &mut out);
    assert_eq!((encoder.is_complete(), encoder.head_sent()), (result.is_ok(), result.is_ok()));
    (result, text(&out), encoder)
}

/// A request in pieces: head, data, end.
fn streamed(method: &str, fields: &str, body: &[&str]) -> (Result<(), HttpOutputError>, String) {
    let (mut out, mut encoder) = (b"before".to_vec(), RequestEncoder::new());
    let mut run = || {
        encoder.head(&line(method, "/"), &headers(fields), &mut out)?;
        for piece in body {
            encoder.data(piece.as_bytes())?.append_to(&mut out);
        }
        encoder.finish(&mut out)
    };
    let result = run();
    (result, text(&out))
}

/// What a request in one call looks like, which our own decoder takes.
fn good(method: &str, target: &str, fields: &str, body: &str, expected: &str) -> RequestEncoder {
    let (result, text, encoder) = whole(method, target, fields, body);
    assert_eq!((result, &*text), (Ok(()), expected));
    let input = text.replace('|', "\r\n");
    let mut decoder = RequestDecoder::new(Limits::default());
    let decoded = decoder.decode(input.as_bytes()).unwrap();
    let Some(Event::Head(head)) = decoded.event else { panic!("a head in {input}") };
    assert_eq!((head.start_line.method().as_str(), head.start_line.path()), (method, target));
    assert_eq!((head.keep_alive, head.upgrade), (encoder.keep_alive(), encoder.offers_upgrade()), "{input}");
    encoder
}

#[test]
fn whole_requests() {
    for (method, target, fields, body, expected) in [
        ("GET", "/", "Host: a", "", "GET / HTTP/1.1|Host: a||"),
        ("GET", "/p?q=%20&'^", "Host: a:80\nX:  y ", "", "GET /p?q=%20&'^ HTTP/1.1|Host: a:80|X: y||"),
        ("get", "/", "Host: a", "", "get / HTTP/1.1|Host: a||"),
        ("GET", "http://a/b", "host: A", "", "GET http://a/b HTTP/1.1|host: A||"),
        ("OPTIONS", "*", "Host: a", "", "OPTIONS * HTTP/1.1|Host: a||"),
        ("CONNECT", "a:443", "Host: a:443", "", "CONNECT a:443 HTTP/1.1|Host: a:443||"),
        ("GET", "/", "Host: [::1]:8", "", "GET / HTTP/1.1|Host: [::1]:8||"),
        // A length where there is a body, or where one is usual.
        ("POST", "/", "Host: a", "hi", "POST / HTTP/1.1|Host: a|Content-Length: 2||hi"),
        ("POST", "/", "Host: a", "", "POST / HTTP/1.1|Host: a|Content-Length: 0||"),
        ("PUT", "/", "Host: a", "", "PUT / HTTP/1.1|Host: a|Content-Length: 0||"),
        ("PATCH", "/", "Host: a", "", "PATCH / HTTP/1.1|Host: a|Content-Length: 0||"),
        ("DELETE", "/", "Host: a", "", "DELETE / HTTP/1.1|Host: a||"),
        ("DELETE", "/", "Host: a", "hi", "DELETE / HTTP/1.1|Host: a|Content-Length: 2||hi"),
        ("GET", "/", "Content-Length: 2\nHost: a", "hi", "GET / HTTP/1.1|Host: a|Content-Length: 2||hi"),
        ("GET", "/", "content-length: 00\nHost: a", "", "GET / HTTP/1.1|Host: a|Content-Length: 0||"),
        (
            "QUERY",
            "/",
            "Host: a\ntransfer-encoding: Chunked",
            "hi",
            "QUERY / HTTP/1.1|Host: a|Transfer-Encoding: chunked||2|hi|0||",
        ),
        (
            "POST",
            "/",
            "Host: a\nExpect: 100-Continue",
            "hi",
            "POST / HTTP/1.1|Host: a|Expect: 100-Continue|Content-Length: 2||hi",
        ),
        // Options of the connection.
        ("GET", "/", "Host: a\nConnection: close", "", "GET / HTTP/1.1|Host: a|Connection: close||"),
        (
            "GET",
            "/",
            "Host: a\nConnection: TE, Close\nTE: trailers",
            "",
            "GET / HTTP/1.1|Host: a|TE: trailers|Connection: close, TE||",
        ),
        ("GET", "/", "Host: a\nConnection: keep-alive", "", "GET / HTTP/1.1|Host: a||"),
        ("GET", "/", "Host: a\nUpgrade: x", "", "GET / HTTP/1.1|Host: a|Upgrade: x|Connection: upgrade||"),
        (
            "GET",
            "/",
            "Host: a\nUpgrade: x\nConnection: Upgrade",
            "",
            "GET / HTTP/1.1|Host: a|Upgrade: x|Connection: Upgrade||",
        ),
    ] {
        good(method, target, fields, body, expected);
    }
    let mut encoder = RequestEncoder::default();
    encoder.close_after();
    let mut out = Vec::new();
    encoder.request(&line("GET", "/"), &headers("Host: a"), b"", &mut out).unwrap();
    assert!(out.ends_with(b"Connection: close\r\n\r\n") && !encoder.keep_alive());
}

#[test]
fn what_a_server_would_refuse_is_refused_before_a_byte_of_it() {
    for (method, target) in [
        ("GET", ""),
        ("GET", "a"),
        ("GET", "*"),
        ("GET", "/a b"),
        ("GET", "/a#b"),
        ("GET", "/\u{e9}"),
        ("GET", "/\r\nHost: b\r\n\r\n"),
        ("GET", "/ HTTP/1.1\r\nX: y\r\n\r\nGET /"),
        ("GET", "/\0"),
        ("GET", "http://"),
        ("GET", "http://u:p@a/"),
        ("GET", "ftp://a/"),
        ("CONNECT", "/"),
        ("CONNECT", "a"),
    ] {
        let (result, text, _) = whole(method, target, "Host: a", "");
        assert!(matches!(result, Err(HttpOutputError::InvalidTarget(_))) && text.is_empty(), "{target}");
    }
    for (target, fields, host) in [
        ("/", "", ""),
        ("/", "Host:", ""),
        ("/", "Host: a\nHost: a", "a"),
        ("/", "Host: a b", "a b"),
        ("/", "Host: http://a", "http://a"),
        ("/", "Host: u@a", "u@a"),
        ("http://a/", "Host: b", "b"),
        ("http://a:80/", "Host: a", "a"),
    ] {
        let (result, text, _) = whole("GET", target, fields, "");
        assert_eq!((result, &*text), (Err(HttpOutputError::InvalidHost(host.to_owned())), ""), "{fields}");
    }
    let reserved = HttpOutputError::ReservedHeader("Transfer-Encoding".to_owned());
    let length = |value: &str| HttpOutputError::InvalidContentLength(value.to_owned());
    let expect = |value: &str| HttpOutputError::InvalidExpect(value.to_owned());
    for (method, fields, body, error) in [
        ("POST", "Transfer-Encoding: gzip", "hi", reserved.clone()),
        ("POST", "Transfer-Encoding: gzip, chunked", "hi", reserved.clone()),
        ("POST", "Transfer-Encoding: chunked\nContent-Length: 2", "hi", reserved),
        ("POST", "Content-Length: 2, 2", "hi", length("2, 2")),
        ("POST", "Content-Length: 2\nContent-Length: 2", "hi", length("2")),
        ("POST", "Content-Length: -2", "hi", length("-2")),
        ("POST", "Content-Length: 1", "hi", HttpOutputError::BodyTooLong { content_length: 1, attempted: 2 }),
        ("POST", "Content-Length: 3", "hi", HttpOutputError::BodyTooShort { content_length: 3, written: 2 }),
        ("TRACE", "", "hi", HttpOutputError::BodyNotAllowed),
        ("TRACE", "Content-Length: 2", "hi", HttpOutputError::BodyNotAllowed),
        ("POST", "Expect: 100-continue", "", expect("100-continue")),
        ("GET", "Expect: 100-continue", "", expect("100-continue")),
        ("POST", "Expect: more", "hi", expect("more")),
        ("POST", "Expect: 100-continue, more", "hi", expect("100-continue, more")),
    ] {
        let (result, text, encoder) = whole(method, "/", &format!("Host: a\n{fields}"), body);
        assert_eq!((result, &*text, encoder.head_sent()), (Err(error), "", false), "{method} {fields}");
    }
}

#[test]
fn requests_in_pieces() {
    for (method, fields, body, expected) in [
        ("GET", "", &[][..], "GET / HTTP/1.1|Host: a||"),
        ("POST", "", &["hello", "", "!"], "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|1|!|0||"),
        ("PUT", "", &[], "PUT / HTTP/1.1|Host: a|Transfer-Encoding: chunked||0||"),
        ("PATCH", "Content-Length: 4\n", &["ab", "cd"], "PATCH / HTTP/1.1|Host: a|Content-Length: 4||abcd"),
        (
            "DELETE",
            "Transfer-Encoding: chunked\n",
            &["ab"],
            "DELETE / HTTP/1.1|Host: a|Transfer-Encoding: chunked||2|ab|0||",
        ),
    ] {
        assert_eq!(streamed(method, &format!("{fields}Host: a"), body), (Ok(()), expected.to_owned()));
    }
    for (method, fields, body, error, written) in [
        ("GET", "", &["x"][..], HttpOutputError::BodyNotAllowed, ""),
        (
            "GET",
            "Content-Length: 1\n",
            &["x", "y"],
            HttpOutputError::BodyTooLong { content_length: 1, attempted: 2 },
            "x",
        ),
        ("GET", "Content-Length: 2\n", &["x"], HttpOutputError::BodyTooShort { content_length: 2, written: 1 }, "x"),
    ] {
        let (result, text) = streamed(method, &format!("{fields}Host: a"), body);
        assert_eq!(result, Err(error));
        assert!(text.ends_with(&format!("||{written}")), "{text}");
    }
}

#[test]
fn calls_in_the_wrong_order() {
    let mut out = Vec::new();
    let mut encoder = RequestEncoder::new();
    assert_eq!(encoder.data(b"x").unwrap_err(), HttpOutputError::HeadersNotSent);
    assert_eq!(encoder.finish(&mut out).unwrap_err(), HttpOutputError::HeadersNotSent);
    let (line, headers) = (line("POST", "/"), headers("Host: a"));
    encoder.head(&line, &headers, &mut out).unwrap();
    let length = out.len();
    assert_eq!(encoder.head(&line, &headers, &mut out).unwrap_err(), HttpOutputError::HeadersAlreadySent);
    assert_eq!(encoder.request(&line, &headers, b"", &mut out).unwrap_err(), HttpOutputError::HeadersAlreadySent);
    assert_eq!(out.len(), length);
    encoder.finish(&mut out).unwrap();
    assert_eq!(encoder.finish(&mut out).unwrap_err(), HttpOutputError::AlreadyFinished);
    assert_eq!(encoder.data(b"x").unwrap_err(), HttpOutputError::AlreadyFinished);
    assert_eq!(encoder.request(&line, &headers, b"", &mut out).unwrap_err(), HttpOutputError::AlreadyFinished);
}
