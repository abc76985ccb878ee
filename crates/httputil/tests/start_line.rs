//! Start lines: Tornado's case (ParseRequestStartLineTest), then our own.

use landspout_httputil::{
    HttpInputError, HttpOutputError, Method, RequestStartLine, ResponseStartLine, StatusCode, Version,
};

#[test]
fn parse_request_start_line() {
    let line = RequestStartLine::parse("GET /foo?a=b HTTP/1.1").unwrap();
    assert_eq!((line.method().as_str(), line.path(), line.version()), ("GET", "/foo?a=b", Version::HTTP_11));
    assert_eq!(line, RequestStartLine::new(Method::GET, "/foo?a=b", Version::HTTP_11));
    assert_eq!(line.to_string(), "GET /foo?a=b HTTP/1.1");
}

#[test]
fn malformed_request_start_lines() {
    for line in [
        "",
        "asdf",
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\t HTTP/1.1",
        "FOO,BAR / HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1.10",
        "GET / http/1.1",
        "GET / HTTP/1.",
    ] {
        assert_eq!(RequestStartLine::parse(line), Err(HttpInputError::StartLine(line.to_owned())));
    }
    assert_eq!(RequestStartLine::parse("foo * HTTP/1.0").unwrap().method().as_str(), "foo");
    // A higher minor version is answered as the highest known one.
    assert_eq!(RequestStartLine::parse("GET / HTTP/1.2").unwrap().version(), Version::HTTP_11);
}

#[test]
fn parse_response_start_line() {
    let line = ResponseStartLine::parse("HTTP/1.0 200 Very OK").unwrap();
    assert_eq!((line.version, line.code, line.reason()), (Version::HTTP_10, StatusCode::OK, "Very OK"));
    for empty in ["HTTP/1.1 299 ", "HTTP/1.1 299"] {
        assert_eq!(ResponseStartLine::parse(empty).unwrap().reason(), "");
    }
    for line in
        ["", "HTTP/1.1", "HTTP/1.1 20", "HTTP/1.1 099 x", "HTTP/1.1 2000 x", "HTTP/1.1 +20 x", "HTTP/1.1 200 a\rb"]
    {
        assert_eq!(ResponseStartLine::parse(line), Err(HttpInputError::StartLine(line.to_owned())));
    }
}

#[test]
fn reason_defaults_and_is_checked() {
    assert_eq!(ResponseStartLine::new(StatusCode::NOT_FOUND).reason(), "Not Found");
    assert_eq!(ResponseStartLine::from(StatusCode::from_u16(599).unwrap()).reason(), "Unknown");
    let line = ResponseStartLine::new(StatusCode::OK).with_version(Version::HTTP_10).with_reason("Fine").unwrap();
    assert_eq!(line.to_string(), "HTTP/1.0 200 Fine");
    for reason in ["OK\r\nX: y", "OK\n", "\0", "a\x7fb"] {
        let refused = ResponseStartLine::new(StatusCode::OK).with_reason(reason);
        assert_eq!(refused, Err(HttpOutputError::InvalidReason), "{reason:?}");
    }
}
