//! What leaves the server: one framing for each response, HEAD, Date, keep-alive, pieces when they are written.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use common::*;
use landspout_httpserver::{
    HttpConnection, HttpHeaders, HttpOutputError, HttpServer, HttpServerOptions, HttpServerRequest, ResponseStartLine,
    StatusCode,
};
use landspout_ioloop::{IoLoop, ManualClock};

const NONE: HttpHeaders = HttpHeaders::new();

/// How a handler writes its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `write_response`.
    Whole,
    /// `write_headers` with a `Content-Length`, `write`, `finish`.
    Counted,
    /// `write_headers`, two writes, `finish`.
    Streamed,
    /// `write_headers`, `finish`.
    Nothing,
}

/// A server whose handler answers the query's status in the way of the path.
fn any_way() -> HttpServer {
    HttpServer::new(async |request: HttpServerRequest| {
        let status = StatusCode::from_bytes(request.query().as_bytes())?;
        let connection = request.connection();
        let line = ResponseStartLine::new(status);
        match request.path() {
            "/Whole" => connection.write_response(&line, &NONE, b"hello")?,
            "/Counted" => {
                let headers = HttpHeaders::from_static(&[("Content-Length", "5")]);
                connection.write_headers(&line, &headers, b"")?;
                connection.write(b"hello")?;
                connection.finish()?;
            }
            "/Streamed" => {
                connection.write_headers(&line, &NONE, b"hel")?;
                connection.write(b"lo")?;
                connection.finish()?;
            }
            _ => {
                connection.write_headers(&line, &NONE, b"")?;
                connection.finish()?;
            }
        }
        Ok::<(), landspout_httpserver::BoxError>(())
    })
}

const GET_11: &str = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n";
const GET_10: &str = "GET {} HTTP/1.0\r\n\r\n";
const GET_10_KEPT: &str = "GET {} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";

#[test]
fn bodies_are_framed_once() {
    use Way::{Counted, Nothing, Streamed, Whole};
    // The framing: `5` is a length, `c` chunks, `e` the end of the connection; then what `Connection` says, and whether the
    // connection stays.
    let rows: [(&str, Way, &str, &str, bool); 12] = [
        (GET_11, Whole, "5", "", true),
        (GET_11, Counted, "5", "", true),
        (GET_11, Streamed, "c", "", true),
        (GET_11, Nothing, "c", "", true),
        (GET_10, Whole, "5", "", false),
        (GET_10, Counted, "5", "", false),
        (GET_10, Streamed, "e", "", false),
        (GET_10, Nothing, "e", "", false),
        (GET_10_KEPT, Whole, "5", "keep-alive", true),
        (GET_10_KEPT, Counted, "5", "keep-alive", true),
        (GET_10_KEPT, Streamed, "e", "", false),
        (GET_10_KEPT, Nothing, "e", "", false),
    ];
    run(async move {
        let address = listen(&any_way());
        for (request, way, framing, said, stays) in rows {
            let client = connect(address);
            client.send(request.replace("{}", &format!("/{way:?}?200")));
            let response = client.response().await;
            assert_eq!(response.text(), if way == Nothing { "" } else { "hello" }, "{request} {way:?}");
            let seen = match (response.field("content-length"), response.field("transfer-encoding")) {
                (Some(length), None) => length,
                (None, Some("chunked")) => "c",
                (None, None) => "e",
                other => panic!("{other:?}"),
            };
            assert_eq!(seen, framing, "{request} {way:?}");
            assert_eq!(response.field("connection").unwrap_or_default(), said, "{request} {way:?}");
            if stays {
                client.send("GET /Whole?201 HTTP/1.1\r\nHost: x\r\n\r\n");
                assert_eq!(client.response().await.status, 201, "{request} {way:?}");
            } else {
                client.end().await;
            }
        }
    });
}

/// Statuses without a body (RFC 9110, section 6.4.1), and HEAD: a head, no byte of a body, and the next response right behind.
#[test]
fn responses_without_a_body() {
    run(async {
        let address = listen(&any_way());
        let client = connect(address);
        for (status, length) in [("204", None), ("304", None), ("205", Some("0"))] {
            client.send(GET_11.replace("{}", &format!("/Nothing?{status}")));
            let response = client.response().await;
            assert_eq!((response.status.to_string().as_str(), response.field("content-length")), (status, length));
            assert_eq!(response.field("transfer-encoding"), None, "{status}");
        }
        let ways = [("Whole", Some("5")), ("Counted", Some("5")), ("Streamed", None), ("Nothing", None)];
        for (way, length) in ways {
            client.send(GET_11.replace("GET", "HEAD").replace("{}", &format!("/{way}?200")));
            let response = client.head().await;
            assert_eq!((response.status, response.field("content-length")), (200, length), "{way}");
            assert_eq!(client.get("/Whole?201").await.brief(), (201, "hello"), "behind HEAD, {way}");
        }
        // Where none may be, a body is the application's fault.
        for status in ["204", "304", "205"] {
            let client = connect(address);
            client.send(GET_11.replace("{}", &format!("/Whole?{status}")));
            assert_eq!(client.response().await.status, 500, "{status}");
        }
    });
}

/// Tornado: KeepAliveTest.test_keepalive_chunked_head_no_body: a HEAD whose handler flushes twice.
#[test]
fn a_streamed_head_is_a_head() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            let connection = request.connection();
            connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &NONE, b"first")?;
            connection.flush().await?;
            connection.write(b"second")?;
            connection.flush().await?;
            connection.finish()
        });
        let client = client_of(&server);
        for _ in 0..2 {
            client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.head().await.status, 200);
        }
        assert_eq!(client.get("/").await.chunks, [5, 6]);
        client.hang_up();
    });
}

#[test]
fn date_is_added_unless_the_application_gives_one() {
    let clock = ManualClock::new();
    clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    let io_loop = IoLoop::with_clock(clock.clone());
    let dates = io_loop
        .run_sync(async move {
            let server = HttpServer::new(async |request: HttpServerRequest| {
                const OWN: HttpHeaders = HttpHeaders::from_static(&[("Date", "Tue, 15 Nov 1994 08:12:31 GMT")]);
                let headers = if request.path() == "/own" { OWN } else { NONE };
                request.write_response(StatusCode::OK, &headers, "")
            });
            let client = client_of(&server);
            let mut dates = Vec::new();
            for path in ["/", "/own", "/"] {
                dates.push(client.get(path).await.field("date").unwrap().to_owned());
                clock.advance(Duration::from_secs(1));
                next_turn().await;
            }
            dates
        })
        .unwrap();
    let own = "Tue, 15 Nov 1994 08:12:31 GMT";
    assert_eq!(dates, ["Sun, 06 Nov 1994 08:49:37 GMT", own, "Sun, 06 Nov 1994 08:49:39 GMT"]);
}

#[test]
fn headers_leave_as_they_were_given() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            let mut headers = HttpHeaders::new();
            headers.add("Set-Cookie", "a=1").unwrap();
            headers.add("x-lower", "caf\u{e9}").unwrap();
            headers.add("Set-Cookie", "b=2").unwrap();
            let line = ResponseStartLine::new(StatusCode::IM_A_TEAPOT);
            request.connection().write_response(&line, &headers, b"short and stout")
        });
        let client = client_of(&server);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = client.stream.read_until(b"\r\n\r\n", None).await.unwrap();
        let text = String::from_utf8_lossy(&head);
        let expected = "HTTP/1.1 418 I'm a teapot\r\nSet-Cookie: a=1\r\nx-lower: caf\u{e9}\r\nSet-Cookie: b=2\r\n";
        assert!(text.starts_with(expected), "{text}");
    });
}

/// Constant heads may be kept rendered: whichever comes after whichever, each answer is its own.
#[test]
fn constant_heads_are_not_mixed_up() {
    run(async {
        const A: HttpHeaders = HttpHeaders::from_static(&[("X-A", "1")]);
        const B: HttpHeaders = HttpHeaders::from_static(&[("X-B", "22"), ("X-C", "333")]);
        let server = HttpServer::new(async |request: HttpServerRequest| {
            let n: usize = request.path()[1..].parse().unwrap();
            let status = [StatusCode::OK, StatusCode::CREATED, StatusCode::NOT_FOUND][n % 3];
            let line = match n % 5 {
                0 => ResponseStartLine::new(status).with_reason("Own Words").unwrap(),
                _ => ResponseStartLine::new(status),
            };
            let headers = [NONE, A, B][n / 3 % 3].clone();
            request.connection().write_response(&line, &headers, "x".repeat(n * 7 % 1000).as_bytes())
        });
        let address = listen(&server);
        let client = connect(address);
        for n in (0..200).map(|n| n * 61 % 200) {
            // An answer that says more: HTTP/1.0, a close, HEAD.
            let other = connect(address);
            other.send(format!("GET /{n} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
            client.send(format!("HEAD /{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let head = client.head().await;
            for (response, said) in
                [(other.response().await, Some("keep-alive")), (client.get(&format!("/{n}")).await, None)]
            {
                assert_eq!(response.status, [200, 201, 404][n % 3]);
                assert_eq!(response.reason == "Own Words", n % 5 == 0, "{n}");
                let own: Vec<_> = response.fields.iter().filter(|(name, _)| name.starts_with("x-")).collect();
                let given = [NONE, A, B][n / 3 % 3].clone();
                assert_eq!(own.len(), given.len(), "{n}");
                assert_eq!((response.body.len(), response.field("connection")), (n * 7 % 1000, said), "{n}");
                assert_eq!(response.field("content-length"), head.field("content-length"), "{n}");
            }
            other.hang_up();
        }
    });
}

/// The application closes by its own header, or asks for nothing that isn't its business.
#[test]
fn the_applications_connection_header() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            const CLOSE: HttpHeaders = HttpHeaders::from_static(&[("Connection", "close")]);
            const CHUNKED: HttpHeaders = HttpHeaders::from_static(&[("Transfer-Encoding", "chunked")]);
            let line = ResponseStartLine::new(StatusCode::OK);
            if request.path() == "/close" {
                return request.connection().write_response(&line, &CLOSE, b"bye");
            }
            let refused = request.connection().write_headers(&line, &CHUNKED, b"");
            assert_eq!(refused, Err(HttpOutputError::ReservedHeader("Transfer-Encoding".to_owned())));
            request.connection().write_response(&line, &NONE, b"refused")
        });
        let client = client_of(&server);
        assert_eq!(client.get("/chunked").await.text(), "refused");
        let response = client.get("/close").await;
        assert_eq!((response.text(), response.field("connection")), ("bye", Some("close")));
        client.end().await;
    });
}

/// Interim responses (RFC 9110, section 15.2) come before the final one, and never to an HTTP/1.0 client.
#[test]
fn early_hints() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            const LINK: HttpHeaders = HttpHeaders::from_static(&[("Link", "</style.css>; rel=preload")]);
            let hints = ResponseStartLine::new(StatusCode::from_u16(103).unwrap());
            request.connection().write_headers(&hints, &LINK, b"")?;
            request.connection().flush().await?;
            request.write_response(StatusCode::OK, &NONE, "hello")
        });
        let address = listen(&server);
        let client = connect(address);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let hints = client.response().await;
        assert_eq!((hints.status, hints.field("link")), (103, Some("</style.css>; rel=preload")));
        assert_eq!(client.response().await.brief(), (200, "hello"));
        let client = connect(address);
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.response().await.brief(), (200, "hello"));
    });
}

/// Server-sent events: each piece arrives when it was written, while the handler sleeps.
#[test]
fn events_are_sent_when_they_are_written() {
    run(async {
        let gates: [Gate; 3] = Default::default();
        let server = HttpServer::new({
            let gates = gates.clone();
            async move |request: HttpServerRequest| {
                const EVENTS: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/event-stream")]);
                let connection = request.connection();
                connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &EVENTS, b"")?;
                for (n, gate) in gates.iter().enumerate() {
                    gate.wait().await;
                    connection.write(format!("data: {n}\n\n").as_bytes())?;
                }
                connection.finish()
            }
        });
        let client = client_of(&server);
        client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = client.head().await;
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        for (n, gate) in gates.iter().enumerate() {
            turns(5).await;
            client.assert_silent();
            gate.open();
            assert_eq!(client.chunk().await.unwrap(), format!("data: {n}\n\n").as_bytes());
        }
        assert_eq!(client.chunk().await, None);
        client.hang_up();
    });
}

/// A large response at the client's pace: the server never holds more than one piece beyond the kernel's buffers.
#[test]
fn back_pressure_bounds_what_is_held() {
    run(async {
        const PIECE: usize = 64 << 10;
        const PIECES: usize = 1024;
        let written = Rc::new(Cell::new(0));
        // The limit is what the test measures with: a write that finds more than one piece unsent would be refused.
        let server = HttpServerOptions::new().max_write_buffer_size(2 * PIECE).callback({
            let written = written.clone();
            async move |request: HttpServerRequest| {
                let connection = request.connection();
                connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &NONE, b"")?;
                for _ in 0..PIECES {
                    connection.write(&[b'x'; PIECE])?;
                    written.set(written.get() + 1);
                    connection.flush().await?;
                }
                connection.finish()
            }
        });
        let client = client_of(&server);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        client.head().await;
        let mut last = usize::MAX;
        while written.get() != last {
            last = written.get();
            turns(20).await;
        }
        assert!(last < PIECES / 2, "{last} pieces for a client that doesn't read");
        let mut read = 0;
        while let Some(chunk) = client.chunk().await {
            read += chunk.len();
        }
        assert_eq!(read, PIECE * PIECES);
    });
}

/// Without waiting, the limit strikes, as an error that says which.
#[test]
fn a_writer_that_does_not_wait_meets_the_limit() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let server = HttpServerOptions::new().max_write_buffer_size(100_000).callback({
            let seen = seen.clone();
            async move |request: HttpServerRequest| {
                let connection = request.connection();
                connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &NONE, b"")?;
                loop {
                    if let Err(error) = connection.write(&[b'x'; 10_000]) {
                        seen.replace(Some(error.clone()));
                        connection.flush().await?;
                        return connection.finish();
                    }
                }
            }
        });
        let client = client_of(&server);
        let response = client.get("/").await;
        assert!(response.body.len() > 100_000, "what the kernel took is not held");
        assert_eq!(seen.take(), Some(HttpOutputError::WriteBufferFull(100_000)));
    });
}

/// Tornado: LegacyInterfaceTest: an application that holds nothing but the connection.
#[test]
fn a_connection_is_all_that_an_answer_needs() {
    run(async {
        let kept: Rc<RefCell<Vec<Rc<dyn HttpConnection>>>> = Rc::default();
        let server = HttpServer::new({
            let kept = kept.clone();
            async move |request: HttpServerRequest| kept.borrow_mut().push(request.connection().clone())
        });
        let client = client_of(&server);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        until(|| !kept.borrow().is_empty()).await;
        let connection = kept.borrow_mut().remove(0);
        connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &NONE, b"later").unwrap();
        assert_eq!(client.head().await.status, 200);
        assert_eq!(client.chunk().await.unwrap(), b"later");
        connection.finish().unwrap();
        assert_eq!(client.chunk().await, None);
    });
}
