//! `HttpServerRequest`: Tornado's cases (HTTPServerRequestTest, HTTPServerTest), then our own; and the context.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use landspout_httputil::{
    Bytes, HttpConnection, HttpHeaders, HttpInputError, HttpOutputError, HttpServerRequest, Method, MultipartError,
    ParseBodyConfig, Protocol, RequestContext, RequestStartLine, ResponseStartLine, ServerConnectionId, StatusCode,
    Version,
};

/// Notes what is written.
struct Recorder {
    context: RequestContext,
    written: RefCell<Vec<String>>,
    /// Done when it is dropped.
    last_act: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Recorder {
    fn new(context: RequestContext) -> Rc<Self> {
        Rc::new(Self { context, written: RefCell::default(), last_act: Cell::default() })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(act) = self.last_act.take() {
            act();
        }
    }
}

impl HttpConnection for Recorder {
    fn write_headers(&self, line: &ResponseStartLine, _: &HttpHeaders, chunk: &[u8]) -> Result<(), HttpOutputError> {
        self.written.borrow_mut().push(format!("headers {line} {}", chunk.len()));
        Ok(())
    }

    fn write(&self, chunk: &[u8]) -> Result<(), HttpOutputError> {
        self.written.borrow_mut().push(format!("write {}", chunk.len()));
        Ok(())
    }

    fn finish(&self) -> Result<(), HttpOutputError> {
        self.written.borrow_mut().push("finish".into());
        Ok(())
    }

    fn write_response(
        &self,
        line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
    ) -> Result<(), HttpOutputError> {
        self.written.borrow_mut().push(format!("response {line} {} {}", headers.len(), body.len()));
        Ok(())
    }

    fn poll_flush(&self, _: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        Poll::Ready(Ok(()))
    }

    fn set_close_callback(&self, _: Option<Box<dyn FnOnce()>>) {}

    fn set_body_timeout(&self, _: Option<Duration>) {}

    fn set_max_body_size(&self, _: u64) {}

    fn elapsed(&self) -> Duration {
        Duration::from_millis(1500)
    }

    fn context(&self) -> &RequestContext {
        &self.context
    }
}

fn get(uri: &str) -> HttpServerRequest {
    RequestStartLine::new(Method::GET, uri, Version::HTTP_11).into()
}

fn post(content_type: &str, body: &'static [u8]) -> HttpServerRequest {
    HttpServerRequest::from(RequestStartLine::new(Method::POST, "/?a=q", Version::HTTP_11))
        .with_headers(HttpHeaders::try_from_iter([("Content-Type", content_type)]).unwrap())
        .with_body(body)
}

fn peer() -> SocketAddr {
    "192.0.2.7:1234".parse().unwrap()
}

#[test]
fn default_constructor() {
    let request = get("/");
    assert_eq!((request.method(), request.uri(), request.version()), (&Method::GET, "/", Version::HTTP_11));
    assert_eq!(request.write_response(StatusCode::OK, &HttpHeaders::new(), ""), Err(HttpOutputError::Closed));
    assert_eq!(request.connection().finish(), Err(HttpOutputError::Closed));
}

#[test]
fn body_is_a_byte_string() {
    assert_eq!(get("/").body(), &Bytes::new());
}

#[test]
fn repr_does_not_contain_headers() {
    let request = get("/").with_headers(HttpHeaders::from_static(&[("Canary", "Coal Mine"), ("Cookie", "secret")]));
    let debug = format!("{request:?}");
    assert!(debug.contains("HttpServerRequest") && debug.contains("uri"), "{debug}");
    assert!(!debug.to_ascii_lowercase().contains("canary") && !debug.contains("secret"), "{debug}");
}

#[test]
fn query_string_encoding() {
    assert_eq!(get("/?foo=%C3%A9").query_arguments().get("foo").unwrap(), "é".as_bytes());
}

#[test]
fn empty_query_string() {
    let request = get("/?foo=&foo=");
    assert_eq!(request.query_arguments().get_list("foo").collect::<Vec<_>>(), [b"", b""]);
}

#[test]
fn double_slash() {
    let request = get("//doubleslash");
    assert_eq!((request.path(), request.host()), ("//doubleslash", "127.0.0.1"));
}

#[test]
fn types() {
    let headers = HttpHeaders::from_static(&[("Host", "Example.COM:8888"), ("Cookie", "a=b")]);
    let request = get("/path?c=d").with_headers(headers);
    let _: (&str, &str, &str, IpAddr) = (request.host(), request.path(), request.query(), request.remote_ip());
    assert_eq!((request.path(), request.query()), ("/path", "c=d"));
    assert_eq!((request.host(), &*request.host_name()), ("Example.COM:8888", "example.com"));
    assert_eq!(request.full_url(), "http://Example.COM:8888/path?c=d");
    assert_eq!(request.cookies()["a"], "b");
    assert_eq!(request.query_arguments().get("c").unwrap(), b"d");
    assert_eq!(request.arguments().unwrap().get("c").unwrap(), b"d");
}

#[test]
fn targets() {
    for (uri, path, query, host, url) in [
        ("/", "/", "", "field", "http://field/"),
        ("/a?b?c#d", "/a", "b?c#d", "field", "http://field/a?b?c#d"),
        ("/%41?%42", "/%41", "%42", "field", "http://field/%41?%42"),
        ("?x", "/", "x", "field", "http://field?x"),
        ("*", "*", "", "field", "http://field*"),
        ("http://target:81/a?b", "/a", "b", "target:81", "http://target:81/a?b"),
        ("HTTPS://target", "/", "", "target", "HTTPS://target"),
        ("http://target?b", "/", "b", "target", "http://target?b"),
        ("http://user:pw@target/", "/", "", "target", "http://user:pw@target/"),
        ("/x?http://y/", "/x", "http://y/", "field", "http://field/x?http://y/"),
        ("ftp://target/a", "ftp://target/a", "", "field", "http://fieldftp://target/a"),
    ] {
        let request = get(uri).with_headers(HttpHeaders::from_static(&[("Host", "field")]));
        assert_eq!((request.path(), request.query()), (path, query), "{uri}");
        assert_eq!((request.host(), request.full_url().as_str()), (host, url), "{uri}");
    }
}

#[test]
fn host_names() {
    for (host, name) in
        [("A", "a"), ("a:80", "a"), ("a:", "a"), ("[::1]:80", "[::1]"), ("[2001:DB8::1]", "[2001:db8::1]")]
    {
        let request = get("/").with_headers(HttpHeaders::try_from_iter([("Host", host)]).unwrap());
        assert_eq!(request.host_name(), name, "{host}");
    }
    let old = HttpServerRequest::from(RequestStartLine::new(Method::GET, "/", Version::HTTP_10));
    assert_eq!((old.host(), &*old.host_name()), ("127.0.0.1", "127.0.0.1"));
}

#[test]
fn arguments_of_query_come_before_those_of_the_body() {
    let request = post("application/x-www-form-urlencoded", b"a=b&c=d");
    assert_eq!(request.query_arguments().len(), 1);
    assert_eq!(request.body_arguments().unwrap().len(), 2);
    let all: Vec<_> = request.arguments().unwrap().iter().map(|(n, v)| (n, &v[..])).collect();
    assert_eq!(all, [("a", &b"q"[..]), ("a", b"b"), ("c", b"d")]);
    assert!(request.files().unwrap().is_empty());
    // Parsed once: the second call gives the same one.
    assert!(std::ptr::eq(request.arguments().unwrap(), request.arguments().unwrap()));
    assert!(std::ptr::eq(request.parse_body().unwrap(), request.parse_body().unwrap()));
}

/// HTTPConnectionTest.test_multipart_form, with the delimiter before the first part that RFC 2046 asks for.
#[test]
fn multipart_form() {
    let body = "--1234567890\r\nContent-Disposition: form-data; name=argument\r\n\r\ná\r\n--1234567890\r\n\
                Content-Disposition: form-data; name=\"files\"; filename=\"ó\"\r\n\r\nú\r\n--1234567890--\r\n";
    let request = post("multipart/form-data; boundary=1234567890", body.as_bytes());
    assert_eq!(request.body_arguments().unwrap().get("argument").unwrap(), "á".as_bytes());
    let file = request.files().unwrap().get("files").unwrap();
    assert_eq!((file.filename.as_str(), &file.body[..]), ("ó", "ú".as_bytes()));
    assert_eq!(request.arguments().unwrap().len(), 2);
}

#[test]
fn a_malformed_form_is_an_error_of_those_who_ask() {
    let request = post("multipart/form-data; boundary=a", b"--b--");
    let error = HttpInputError::Multipart(MultipartError::NoFinalBoundary);
    assert_eq!(request.query_arguments().len(), 1);
    assert_eq!(request.arguments(), Err(error.clone()));
    assert_eq!(request.files(), Err(error.clone()));
    assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), MultipartError::NoFinalBoundary.to_string());
}

#[test]
fn limits_of_the_first_call_count() {
    let request = post("application/x-www-form-urlencoded", b"a&b");
    let tight = ParseBodyConfig { max_arguments: 1, ..Default::default() };
    assert_eq!(request.parse_body_with(&tight), Err(HttpInputError::TooManyArguments(1)));
    assert_eq!(request.parse_body(), Err(HttpInputError::TooManyArguments(1)));
}

#[test]
fn several_cookie_fields_count_as_one() {
    let headers =
        HttpHeaders::try_from_iter([("Cookie", &b"a=b"[..]), ("cookie", b"c=\xc3\xa9; a=d"), ("Cookie", b"f=\xe9")]);
    let request = get("/").with_headers(headers.unwrap());
    let cookies: Vec<_> = request.cookies().iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(cookies, [("a", "d"), ("c", "é"), ("f", "é")]);
}

#[test]
fn the_connection_tells_the_rest() {
    let context = RequestContext::new(peer(), Protocol::Https).with_peer_certificate(|| Some(b"der".to_vec()));
    let connection = Recorder::new(context);
    let id = ServerConnectionId::new();
    let line = RequestStartLine::new(Method::GET, "/", Version::HTTP_11);
    let request = HttpServerRequest::new(line, HttpHeaders::new(), connection.clone(), id);
    assert_eq!((request.remote_ip(), request.protocol()), (peer().ip(), Protocol::Https));
    assert_eq!(request.full_url(), "https://127.0.0.1/");
    assert_eq!(request.request_time(), Duration::from_millis(1500));
    assert_eq!(request.peer_certificate(), Some(&b"der"[..]));
    assert_eq!(request.server_connection(), id);
    request.write_response(StatusCode::OK, &HttpHeaders::from_static(&[("A", "b")]), "body").unwrap();
    assert_eq!(*connection.written.borrow(), ["response HTTP/1.1 200 OK 1 4"]);
}

/// It is there when the handshake is over; until then it is asked for again, and then never more.
#[test]
fn the_certificate_is_fetched_when_it_is_asked_for() {
    let asked = Rc::new(Cell::new(0));
    let count = asked.clone();
    let context = RequestContext::new(peer(), Protocol::Https).with_peer_certificate(move || {
        count.set(count.get() + 1);
        (count.get() > 1).then(|| b"der".to_vec())
    });
    assert_eq!(asked.get(), 0);
    assert_eq!(context.peer_certificate(), None);
    assert_eq!(context.peer_certificate(), Some(&b"der"[..]));
    assert_eq!(context.peer_certificate(), Some(&b"der"[..]));
    assert_eq!(asked.get(), 2);
    assert_eq!(RequestContext::new(peer(), Protocol::Https).peer_certificate(), None);
}

#[test]
fn remote_ip_is_kept_when_the_context_goes_back() {
    let connection = Recorder::new(RequestContext::new(peer(), Protocol::Http));
    connection.context.set_remote_ip("203.0.113.9".parse().unwrap());
    connection.context.set_protocol(Protocol::Https);
    assert_eq!(connection.context.to_string(), "203.0.113.9");
    let line = RequestStartLine::new(Method::GET, "/", Version::HTTP_11);
    let request = HttpServerRequest::new(line, HttpHeaders::new(), connection.clone(), ServerConnectionId::new());
    connection.context.restore();
    assert_eq!((request.remote_ip().to_string().as_str(), request.protocol()), ("203.0.113.9", Protocol::Https));
    assert_eq!(connection.context.remote_ip(), peer().ip());
    assert_eq!(connection.context.protocol(), Protocol::Http);
    assert_eq!(connection.context.address(), Some(peer()));
}

#[test]
fn context_of_a_unix_socket() {
    let context = RequestContext::unix("/run/x.sock", Protocol::Http);
    assert_eq!((context.address(), context.remote_ip().to_string().as_str()), (None, "0.0.0.0"));
    assert_eq!(context.to_string(), "/run/x.sock");
    assert_eq!(RequestContext::unix("", Protocol::Http).to_string(), "unix socket");
    context.set_remote_ip("::1".parse().unwrap());
    context.restore();
    assert_eq!(context.remote_ip().to_string(), "0.0.0.0");
}

/// A request is moved by value from the connection to the handler.
#[test]
fn a_request_is_small() {
    assert!(size_of::<HttpHeaders>() <= 16);
    assert_eq!(size_of::<RequestStartLine>(), 8);
    assert_eq!(size_of::<HttpServerRequest>(), size_of::<usize>());
}

/// A request's memory serves the next one: what is dropped is let go at once, what lives is nobody else's, in whichever order
/// they go.
#[test]
fn requests_that_live_side_by_side_share_nothing() {
    let connection = Recorder::new(RequestContext::new(peer(), Protocol::Http));
    let request = |n: usize| {
        let line = RequestStartLine::new(Method::GET, format!("/{n}"), Version::HTTP_11);
        let headers = HttpHeaders::try_from_iter([("n", n.to_string())]).unwrap();
        HttpServerRequest::new(line, headers, connection.clone(), ServerConnectionId::new()).with_body(n.to_string())
    };
    let mut live: Vec<(usize, HttpServerRequest)> = Vec::new();
    for n in 0..1000 {
        live.push((n, request(n)));
        if n % 3 != 0 {
            drop(live.swap_remove(n * 7 % live.len()));
        }
        assert_eq!(Rc::strong_count(&connection), live.len() + 1);
        for (n, request) in &live {
            assert_eq!((request.path(), &request.body()[..]), (&*format!("/{n}"), n.to_string().as_bytes()));
            assert_eq!(request.headers().get("n"), Some(n.to_string().as_bytes()));
        }
    }
    drop(live);
    assert_eq!(Rc::strong_count(&connection), 1);
}

/// Whatever goes with a request may make and drop others.
#[test]
fn a_request_can_be_made_while_another_is_dropped() {
    let connection = Recorder::new(RequestContext::new(peer(), Protocol::Http));
    for _ in 0..3 {
        let nested = Recorder::new(RequestContext::new(peer(), Protocol::Http));
        let within = connection.clone();
        nested.last_act.set(Some(Box::new(move || {
            let line = RequestStartLine::new(Method::GET, "/within", Version::HTTP_11);
            let request = HttpServerRequest::new(line, HttpHeaders::new(), within, ServerConnectionId::new());
            request.write_response(StatusCode::OK, &HttpHeaders::new(), request.path()).unwrap();
        })));
        let line = RequestStartLine::new(Method::GET, "/outer", Version::HTTP_11);
        drop(HttpServerRequest::new(line, HttpHeaders::new(), nested, ServerConnectionId::new()));
    }
    assert_eq!(*connection.written.borrow(), ["response HTTP/1.1 200 OK 0 7"; 3]);
    assert_eq!(Rc::strong_count(&connection), 1);
}

/// `write_http_response` is `write_response` in the words of the `http` crate.
#[test]
fn a_response_of_the_http_crate_is_written() {
    let connection = Recorder::new(RequestContext::new(peer(), Protocol::Http));
    let line = RequestStartLine::new(Method::GET, "/", Version::HTTP_11);
    let request = HttpServerRequest::new(line, HttpHeaders::new(), connection.clone(), ServerConnectionId::new());
    let response = http::Response::builder().status(404).header("a", "b").header("a", "c").body("body").unwrap();
    request.write_http_response(&response).unwrap();
    assert_eq!(*connection.written.borrow(), ["response HTTP/1.1 404 Not Found 2 4"]);
}
