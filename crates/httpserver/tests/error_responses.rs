//! Answers that the server gives to errors itself: each with its own status, by default and as its owner shapes them.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use landspout_httpserver::{
    BoxError, ErrorResponse, HttpHeaders, HttpInputError, HttpServer, HttpServerOptions, HttpServerRequest, Limits,
    Refusal, ResponseStartLine, StatusCode,
};
use landspout_ioloop::{IoLoop, ManualClock};

/// Fails in the way that the path tells.
fn failing(options: HttpServerOptions) -> HttpServer {
    let limits = Limits { max_body_size: 5, max_start_line: 100, max_headers: 3, ..Limits::default() };
    options.limits(limits).callback(async |request: HttpServerRequest| {
        match request.path() {
            "/error" => return Err("it went wrong".into()),
            "/input" => return Err(HttpInputError::new("not like that").into()),
            "/type" => return Err(HttpInputError::UnsupportedMediaType("a/b".to_owned()).into()),
            "/panic" => panic!("it went very wrong"),
            "/nothing" => return Ok(()),
            "/begun" => {
                request.connection().write_headers(
                    &ResponseStartLine::new(StatusCode::OK),
                    &HttpHeaders::new(),
                    b"half",
                )?;
                return Err("in the middle".into());
            }
            "/begun-panic" => {
                request.connection().write_headers(
                    &ResponseStartLine::new(StatusCode::OK),
                    &HttpHeaders::new(),
                    b"half",
                )?;
                panic!("in the middle");
            }
            path => request.write_response(StatusCode::OK, &HttpHeaders::new(), path)?,
        }
        Ok::<_, BoxError>(())
    })
}

/// Every status that the server gives by itself, and why.
const REFUSED: [(&str, u16, &str); 17] = [
    ("bad\r\n\r\n", 400, "malformed request line \"bad\""),
    ("GET / HTTP/1.1\r\n\r\n", 400, "missing Host header"),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400, "invalid chunk size at byte 0x7a"),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n123456", 413, "body too large (more than 5 bytes)"),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456",
        413,
        "body too large (more than 5 bytes)",
    ),
    ("GET /LONG HTTP/1.1\r\nHost: x\r\n\r\n", 414, "first line too long (more than 100 bytes)"),
    ("GET / HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417, "unknown expectation \"a miracle\""),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431, "too many header fields (more than 3)"),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        501,
        "unsupported Transfer-Encoding \"gzip\"",
    ),
    ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "unsupported HTTP version \"HTTP/2.0\""),
    ("GET /error HTTP/1.1\r\nHost: x\r\n\r\n", 500, "it went wrong"),
    ("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n", 500, "a request handler panicked"),
    ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 500, "a request handler ended without finishing its response"),
    ("GET /input HTTP/1.1\r\nHost: x\r\n\r\n", 400, "not like that"),
    ("GET /type HTTP/1.1\r\nHost: x\r\n\r\n", 415, "unsupported Content-Type \"a/b\""),
    ("HEAD /error HTTP/1.1\r\nHost: x\r\n\r\n", 500, "it went wrong"),
    ("HEAD / HTTP/1.1\r\n\r\n", 400, "missing Host header"),
];

async fn refusal(server: &HttpServer, request: &str) -> Response {
    let client = client_of(server);
    client.send(request.replace("LONG", &"a".repeat(200)));
    let response = if request.starts_with("HEAD") { client.head().await } else { client.response().await };
    assert_eq!(response.field("connection"), Some("close"), "{request}");
    client.end().await;
    response
}

#[test]
fn by_default_the_status_is_told_in_words() {
    run(async {
        let server = failing(HttpServerOptions::new());
        for (request, status, _) in REFUSED {
            let response = refusal(&server, request).await;
            let words =
                if request.starts_with("HEAD") { String::new() } else { format!("{status} {}\n", response.reason) };
            assert_eq!(response.brief(), (status, words.as_str()), "{request}");
            assert_eq!(response.field("content-type"), Some("text/plain"));
        }
    });
}

#[test]
fn the_owner_of_a_server_shapes_its_errors() {
    run(async {
        let reasons: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = || std::mem::take(&mut *reasons.lock().unwrap());
        let server = failing(HttpServerOptions::new().error_response({
            let reasons = reasons.clone();
            move |refusal: &Refusal<'_>| {
                reasons.lock().unwrap().push(refusal.to_string());
                let headers = HttpHeaders::from_static(&[("Content-Type", "application/json"), ("Retry-After", "5")]);
                ErrorResponse::new(headers, format!("{{\"status\": {}}}", refusal.status().as_u16()))
            }
        }));
        for (request, status, reason) in REFUSED {
            let response = refusal(&server, request).await;
            let body = if request.starts_with("HEAD") { String::new() } else { format!("{{\"status\": {status}}}") };
            assert_eq!(response.brief(), (status, body.as_str()), "{request}");
            assert_eq!(response.field("content-type"), Some("application/json"));
            assert_eq!(response.field("retry-after"), Some("5"));
            assert_eq!(told(), [reason]);
        }
        // What is answered doesn't come by here, nor what the application answers itself.
        assert_eq!(client_of(&server).get("/fine").await.status, 200);
        assert!(told().is_empty());
    });
}

#[test]
fn the_framing_is_not_the_owners_matter() {
    run(async {
        let server = failing(HttpServerOptions::new().error_response(|_| {
            const FRAMED: HttpHeaders = HttpHeaders::from_static(&[
                ("Content-Length", "1000"),
                ("Transfer-Encoding", "chunked"),
                ("connection", "keep-alive"),
                ("Upgrade", "h2c"),
                ("Trailer", "x"),
                ("X-Kept", "yes"),
            ]);
            ErrorResponse::new(FRAMED, "short")
        }));
        for (request, status, _) in REFUSED {
            let response = refusal(&server, request).await;
            assert_eq!((response.status, response.field("content-length")), (status, Some("5")), "{request}");
            assert_eq!(response.field("x-kept"), Some("yes"));
            // Date, Connection, Content-Length and that one.
            assert_eq!(response.fields.len(), 4, "{response:?}");
        }
    });
}

#[test]
fn a_shape_that_panics_or_is_too_large_gives_way_to_the_words() {
    for too_large in [false, true] {
        let ((), lines) = logged(|| {
            run(async move {
                let options = HttpServerOptions::new().max_write_buffer_size(10_000).error_response(move |_| {
                    assert!(too_large, "the shape itself is wrong");
                    ErrorResponse::new(HttpHeaders::new(), vec![b'x'; 20_000])
                });
                let server = failing(options);
                for (request, status, _) in REFUSED {
                    let response = refusal(&server, request).await;
                    assert_eq!((response.status, response.field("content-type")), (status, Some("text/plain")));
                }
            });
        });
        let told = if too_large { "an error's answer can't be sent" } else { "the shape itself is wrong" };
        assert_eq!(lines.iter().filter(|line| line.contains(told)).count(), REFUSED.len(), "{lines:?}");
    }
}

/// Nothing follows a head that is out: a cut alone tells the client.
#[test]
fn a_response_that_was_begun_is_cut() {
    run(async {
        let server = failing(HttpServerOptions::new().error_response(|_| panic!("there is nothing to shape")));
        for path in ["/begun", "/begun-panic"] {
            let client = client_of(&server);
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let sent = String::from_utf8(client.cut().await).unwrap();
            assert!(sent.starts_with("HTTP/1.1 200 OK\r\n") && sent.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{sent:?}");
            assert_eq!(sent.matches("HTTP/1.1").count(), 1);
        }
    });
}

#[test]
fn time_outs_are_told_apart() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    io_loop
        .run_sync(async move {
            let options = HttpServerOptions::new()
                .head_timeout(Duration::from_secs(5))
                .body_timeout(Duration::from_secs(5))
                .error_response(|refusal| ErrorResponse::new(HttpHeaders::new(), refusal.to_string()));
            let server = failing(options);
            for (request, reason) in [
                ("GET / HTT", "timeout reading a request's head"),
                ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1", "timeout reading a request's body"),
            ] {
                let client = client_of(&server);
                client.send(request);
                until(|| server.connections() == 1).await;
                // What was sent is read before the time jumps.
                turns(5).await;
                clock.advance(Duration::from_secs(6));
                assert_eq!(client.response().await.brief(), (408, reason));
                client.hang_up();
                until(|| server.connections() == 0).await;
            }
        })
        .unwrap();
}
