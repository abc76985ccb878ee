//! From and to the `http` crate's types.

use http::{HeaderMap, Request, Response, Uri, response};
use landspout_httputil::{
    Bytes, HeaderError, HttpHeaders, HttpInputError, HttpOutputError, HttpServerRequest, Method, RequestStartLine,
    ResponseStartLine, StatusCode, Version, is_token,
};

fn headers() -> HttpHeaders {
    HttpHeaders::try_from_iter([("Foo", "1"), ("Bar", "é"), ("foo", "2")]).unwrap()
}

#[test]
fn header_map_and_back() {
    let map = HeaderMap::try_from(&headers()).unwrap();
    assert_eq!(map.get_all("foo").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(HttpHeaders::try_from(&map).unwrap(), headers());
    assert_eq!(HeaderMap::try_from(headers()).unwrap(), map);
    assert_eq!(HttpHeaders::try_from(map).unwrap(), headers());
    let mut padded = HeaderMap::new();
    padded.insert("x", http::HeaderValue::from_static(" y "));
    assert_eq!(HttpHeaders::try_from(&padded).unwrap().get("x"), Some(&b"y"[..]));
}

#[test]
fn what_a_header_map_cannot_hold_is_an_error() {
    let long = "x".repeat(70_000);
    assert!(is_token(long.as_bytes()));
    let too_long = HttpHeaders::try_from_iter([(long, "y")]).unwrap();
    assert_eq!(HeaderMap::try_from(&too_long), Err(HeaderError::TooLarge));
    let too_many = HttpHeaders::try_from_iter((0..40_000).map(|i| (format!("x{i}"), "y"))).unwrap();
    assert_eq!(HeaderMap::try_from(&too_many), Err(HeaderError::TooLarge));
    // As many of one name as there may be.
    let repeated = HttpHeaders::try_from_iter((0..20_000).map(|_| ("x", "y"))).unwrap();
    assert_eq!(HeaderMap::try_from(&repeated).unwrap().len(), 20_000);
}

#[test]
fn requests_and_back() {
    for (method, target, version) in [
        (Method::GET, "/", Version::HTTP_11),
        (Method::POST, "/a%20b;c=d?e=f&g", Version::HTTP_10),
        (Method::GET, "//two", Version::HTTP_11),
        (Method::GET, "http://example.com:81/a?b", Version::HTTP_11),
        (Method::OPTIONS, "*", Version::HTTP_11),
        (Method::CONNECT, "example.com:443", Version::HTTP_11),
        (Method::from_bytes(b"foo").unwrap(), "/", Version::HTTP_11),
    ] {
        let line = RequestStartLine::new(method, target, version);
        let parts = line.to_http_parts(&headers()).unwrap();
        assert_eq!((&parts.method, parts.version), (line.method(), version));
        assert_eq!(parts.headers.len(), 3);
        assert_eq!(RequestStartLine::from(&parts), line);
    }
}

#[test]
fn a_target_that_is_no_uri_is_an_error() {
    for target in ["", "/a b", "http://", "/\u{7f}"] {
        let line = RequestStartLine::new(Method::GET, target, Version::HTTP_11);
        let error = line.to_http_parts(&headers()).unwrap_err();
        assert_eq!(error, HttpInputError::StartLine(target.to_owned()), "{target:?}");
    }
}

#[test]
fn a_whole_request_and_back() {
    let body = Bytes::from("a=b");
    let ours = HttpServerRequest::from(RequestStartLine::new(Method::POST, "/x?y=z", Version::HTTP_11))
        .with_headers(HttpHeaders::from_static(&[
            ("Host", "here"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ]))
        .with_body(body.clone());
    let theirs = Request::<Bytes>::try_from(&ours).unwrap();
    assert_eq!((theirs.method(), theirs.uri()), (&Method::POST, &Uri::from_static("/x?y=z")));
    assert_eq!(theirs.headers()["host"], "here");
    assert_eq!(theirs.body().as_ptr(), body.as_ptr(), "it is shared");
    let back = HttpServerRequest::try_from(theirs).unwrap();
    assert_eq!((back.start_line(), back.headers(), back.body()), (ours.start_line(), ours.headers(), ours.body()));
    assert_eq!(back.arguments().unwrap().get("a"), Some(&b"b".to_vec()));
    assert_eq!(back.write_http_response(&Response::new("x")), Err(HttpOutputError::Closed));

    let absolute = Request::get("http://example.com/a?b").body("text").unwrap();
    let ours = HttpServerRequest::try_from(absolute).unwrap();
    assert_eq!((ours.host(), ours.path(), ours.query(), &ours.body()[..]), ("example.com", "/a", "b", &b"text"[..]));
}

#[test]
fn responses_and_back() {
    let line = ResponseStartLine::new(StatusCode::NOT_FOUND).with_version(Version::HTTP_10);
    let parts: response::Parts = line.to_http_parts(&headers()).unwrap();
    assert_eq!((parts.status, parts.version, parts.headers.len()), (StatusCode::NOT_FOUND, Version::HTTP_10, 3));
    assert_eq!(ResponseStartLine::from(&parts), line);
    // There is no place for the reason phrase.
    let other = line.clone().with_reason("Nowhere").unwrap();
    assert_eq!(ResponseStartLine::from(&other.to_http_parts(&headers()).unwrap()), line);
}
