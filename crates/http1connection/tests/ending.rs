//! The ends of a connection: the delegate hears of each exactly once, the socket is closed, and the peer can read what was sent.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_http1connection::{Http1ConnectionParameters, Http1ServerConnection, Http1Service};
use landspout_httputil::{
    BoxError, HttpHeaders, HttpMessageDelegate, HttpOutputError, HttpServerConnectionDelegate, RequestStartLine,
    ServerConnectionId,
};
use landspout_ioloop::{IoLoop, ManualClock};
use landspout_iostream::{IoStream, StreamOptions};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Answers `/wait` never, `/large` with more than a socket takes, everything else at once.
fn app() -> Recorder {
    Recorder::new(async |connection: Connection, call| {
        let Call::Finish(target) = call else { return done() };
        match target.as_str() {
            "/wait" => std::future::pending().await,
            "/large" => ok(&connection, vec![b'x'; 16 << 20]),
            _ => ok(&connection, target),
        }
    })
}

/// Each way a connection can end: what the client does, what the server does then.
#[test]
fn on_close_is_called_once_however_a_connection_ends() {
    type End = fn(Client, &Http1ServerConnection);
    let ways: [(&str, &str, End); 12] = [
        ("FIN before anything", "", |client, _| client.hang_up()),
        ("FIN within a head", "GET / HT", |client, _| client.hang_up()),
        ("FIN between requests", GET, |client, _| client.hang_up()),
        ("FIN within a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx", |client, _| client.hang_up()),
        ("close before anything", "", |_, connection| connection.close()),
        ("close within a head", "GET / HT", |_, connection| connection.close()),
        ("close between requests", GET, |_, connection| connection.close()),
        ("close within a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", |_, connection| {
            connection.close();
        }),
        ("close while the application works", "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", |_, connection| {
            connection.close();
        }),
        ("close while it lingers", "nonsense\r\n\r\n", |_, connection| connection.close()),
        ("close while it sends", "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", |_, connection| connection.close()),
        ("FIN while it lingers", "nonsense\r\n\r\n", |client, _| client.hang_up()),
    ];
    for (name, request, end) in ways {
        run(async move {
            let recorder = app();
            let trace = recorder.trace.clone();
            let (client, connection) = connect(&service(recorder));
            let stream = client.stream.clone();
            client.send(request);
            turns(20).await;
            assert_eq!((trace.count("close"), connection.closed()), (0, false), "{name}");
            end(client, &connection);
            until(|| trace.has("close")).await;
            turns(20).await;
            assert_eq!(trace.count("close"), 1, "{name}");
            assert_eq!(trace.take().last().map(String::as_str), Some("close"), "{name}: nothing comes after it");
            assert!(connection.closed(), "{name}");
            drop(stream);
        });
    }
}

#[test]
fn on_close_is_called_once_when_the_server_ends_it() {
    for (name, request, end) in [
        ("asked for", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "/"),
        ("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "/"),
        ("refused", "nonsense\r\n\r\n", "400 Bad Request\n"),
    ] {
        run(async move {
            let recorder = app();
            let trace = recorder.trace.clone();
            let (client, connection) = connect(&service(recorder));
            client.send(request);
            let all = client.rest().await;
            assert!(all.ends_with(end.as_bytes()), "{name}: {}", String::from_utf8_lossy(&all));
            until(|| trace.has("close")).await;
            turns(20).await;
            assert_eq!(trace.count("close"), 1, "{name}");
            assert!(connection.closed(), "{name}");
        });
    }
}

#[test]
fn on_close_is_called_once_when_the_loop_is_closed() {
    for request in [
        "",
        "GET / HT",
        GET,
        "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let recorder = app();
        let trace = recorder.trace.clone();
        let io_loop = IoLoop::new().unwrap();
        let (client, connection) = io_loop
            .run_sync(async move {
                let (client, connection) = connect(&service(recorder));
                client.send(request);
                turns(20).await;
                (client, connection)
            })
            .unwrap();
        assert!(!trace.has("close"), "{request:?}");
        io_loop.close().unwrap();
        let entries = trace.take();
        assert_eq!(entries.iter().filter(|entry| *entry == "close").count(), 1, "{request:?}");
        assert_eq!(entries.last().map(String::as_str), Some("close"), "{request:?}: {entries:?}");
        assert!(connection.closed());
        drop(client);
    }
}

/// The ids of `start_request` and `on_close` are those of the connections.
#[test]
fn the_ids_tell_connections_apart() {
    #[derive(Default)]
    struct Ids(Rc<RefCell<Vec<(&'static str, ServerConnectionId)>>>);
    impl HttpServerConnectionDelegate for Ids {
        type Delegate = <Recorder as HttpServerConnectionDelegate>::Delegate;
        fn start_request(&self, id: ServerConnectionId, connection: Connection) -> Self::Delegate {
            self.0.borrow_mut().push(("start", id));
            Recorder::answering().start_request(id, connection)
        }
        fn on_close(&self, id: ServerConnectionId) {
            self.0.borrow_mut().push(("close", id));
        }
    }
    run(async {
        let ids = Ids::default();
        let seen = ids.0.clone();
        let service = service(ids);
        let ((one, first), (other, second)) = (connect(&service), connect(&service));
        assert_ne!(first.id(), second.id());
        for client in [&one, &other, &one] {
            client.get("/").await;
        }
        other.hang_up();
        until(|| second.closed()).await;
        one.hang_up();
        until(|| first.closed()).await;
        until(|| seen.borrow().len() == 5).await;
        let (a, b) = (first.id(), second.id());
        assert_eq!(*seen.borrow(), [("start", a), ("start", b), ("start", a), ("close", b), ("close", a)]);
    });
}

#[test]
fn what_the_application_holds_is_gone_before_on_close() {
    let recorder = app();
    let trace = recorder.trace.clone();
    let io_loop = IoLoop::new().unwrap();
    let client = io_loop.run_sync({
        let trace = trace.clone();
        async move {
            let (client, _) = connect(&service(recorder));
            client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
            until(|| trace.has("finish")).await;
            client
        }
    });
    io_loop.close().unwrap();
    let entries = trace.take();
    assert_eq!(entries[entries.len() - 2..], ["drop", "close"], "{entries:?}");
    drop(client);
}

/// The client sends on and on, and only then reads: a close with unread bytes would reset the connection under the answer.
#[test]
fn a_client_that_sends_on_reads_its_answer() {
    let big = 3 << 20;
    for (name, request, status) in [
        ("a body over the limit", format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {big}\r\n\r\n"), 413),
        (
            "a chunk over the limit",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n".to_owned(),
            413,
        ),
        ("nonsense", "nonsense\r\n\r\n".to_owned(), 400),
        ("a head without an end", format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(70_000)), 431),
        ("Connection: close", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 200),
        ("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n".to_owned(), 200),
    ] {
        run(async move {
            let mut params = Http1ConnectionParameters::default();
            params.limits.max_body_size = 1 << 20;
            let service = Http1Service::new(app(), params);
            let (mut socket, connection) = connect_socket(&service);
            let all = in_thread(move || {
                // A client that asked for the end is served as one that keeps to it, unless more is there already.
                socket.write_all(&[request.as_bytes(), &[b'x'; 1 << 16]].concat()).unwrap();
                for _ in 1..big >> 16 {
                    socket.write_all(&[b'x'; 1 << 16]).unwrap_or_else(|error| panic!("{name}: {error}"));
                }
                let mut all = String::new();
                socket.read_to_string(&mut all).unwrap_or_else(|error| panic!("{name}: {error}"));
                all
            })
            .await;
            assert!(all.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {all}");
            assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{name}: one answer: {all}");
            until(|| connection.closed()).await;
        });
    }
}

/// The same with an answer that the kernel can't hold: who doesn't read before everything is sent needs somebody who reads
/// while the answer waits.
#[test]
fn a_client_that_sends_on_reads_its_large_answer() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(..) => ok(&connection, vec![b'x'; 16 << 20]),
            _ => done(),
        });
        let (mut socket, connection) = connect_socket(&service(recorder));
        let read = in_thread(move || {
            let length = 16 << 20;
            socket
                .write_all(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes())
                .unwrap();
            socket.write_all(&vec![b'x'; length]).unwrap();
            let mut all = Vec::new();
            socket.read_to_end(&mut all).unwrap();
            all.len()
        })
        .await;
        assert!(read > 16 << 20, "{read}");
        until(|| connection.closed()).await;
    });
}

/// A large last answer is not lost to bytes that the client sends behind its request: an empty line as old clients do, or whatever.
/// They come late, when the server isn't reading any more; a close over them would be a reset, which takes back what the kernel
/// has not delivered yet (RFC 9112, section 9.6).
#[test]
fn a_large_answer_survives_what_comes_behind_its_request() {
    for (request, late) in
        [("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "x"), ("GET /large HTTP/1.0\r\n\r\n", "\r\n")]
    {
        run(async move {
            let recorder = app();
            let trace = recorder.trace.clone();
            let (client, connection) = connect(&service(recorder));
            client.send(request);
            until(|| trace.has("drop")).await;
            client.send(late);
            assert!(client.rest().await.len() > 16 << 20, "{request:?}");
            until(|| connection.closed()).await;
        });
    }
}

/// Nor is the end of an answer that has no other end than the connection's, however short it is: cut by a reset it would count as
/// incomplete.
#[test]
fn an_answer_that_ends_with_the_connection_ends_cleanly() {
    run(async {
        let ready = Rc::new(Cell::new(false));
        let recorder = Recorder::new({
            let ready = ready.clone();
            move |connection: Connection, call| {
                let ready = ready.clone();
                async move {
                    let Call::Finish(_) = call else { return done() };
                    begin(&connection)?;
                    until(|| ready.get()).await;
                    connection.write(b"that's all")?;
                    Ok(connection.finish()?)
                }
            }
        });
        let (client, connection) = connect_pair(&service(recorder));
        client.send("GET / HTTP/1.0\r\n\r\n");
        client.head().await;
        client.send("\r\n");
        turns(2).await;
        ready.set(true);
        assert_eq!(client.rest().await, b"that's all");
        drop(client);
        until(|| connection.closed()).await;
    });
}

/// A client that pauses while it reads a last answer has the time that any stream has to send its last bytes.
#[test]
fn a_pause_within_a_last_answer_is_no_end() {
    let clock = ManualClock::new();
    IoLoop::with_clock(clock.clone())
        .run_sync(async move {
            let recorder = app();
            let trace = recorder.trace.clone();
            let (client, _connection) = connect_pair(&service(recorder));
            client.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            until(|| trace.has("drop")).await;
            clock.advance(Duration::from_secs(59));
            turns(20).await;
            assert!(client.rest().await.len() > 16 << 20);
            until(|| trace.has("close")).await;
        })
        .unwrap();
}

/// A last answer that the client doesn't take is still a connection: it can be closed, and ends by `on_close` only then.
#[test]
fn a_connection_lives_until_its_last_answer_is_sent() {
    for close in [false, true] {
        run(async move {
            let recorder = app();
            let trace = recorder.trace.clone();
            let (client, connection) = connect(&service(recorder));
            client.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            until(|| trace.has("drop")).await;
            turns(50).await;
            assert!(!connection.closed() && !trace.has("close"));
            if close {
                connection.close();
                until(|| trace.has("close")).await;
                assert!(client.cut().await.len() < 16 << 20);
            } else {
                assert!(client.rest().await.len() > 16 << 20);
                until(|| trace.has("close")).await;
            }
            assert!(connection.closed());
        });
    }
}

#[test]
fn a_connection_handle_outlives_its_connection() {
    run(async {
        let (client, connection) = connect(&service(app()));
        let same = connection.clone();
        assert_eq!(client.get("/").await.text(), "/");
        connection.close();
        connection.close();
        until(|| same.closed()).await;
        assert_eq!(client.cut().await, b"");
        same.close();
        assert_eq!(same.id(), connection.id());
    });
}

#[test]
fn no_keep_alive_closes_after_each_response() {
    for (request, header) in [
        (GET, Some("close")),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", None),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", Some("close")),
    ] {
        run(async move {
            // However many requests there might be otherwise.
            let params = Http1ConnectionParameters { no_keep_alive: true, max_requests: Some(5), ..Default::default() };
            let (client, connection) = connect(&Http1Service::new(app(), params));
            client.send(request);
            let response = client.response().await;
            assert_eq!((response.status, response.field("connection")), (200, header));
            client.end().await;
            until(|| connection.closed()).await;
        });
    }
}

/// The write buffer has a limit: whoever writes without waiting learns it by an error of its own, and the connection is whole.
#[test]
fn a_peer_that_does_not_read_meets_a_limit() {
    run(async {
        const LIMIT: usize = 1 << 20;
        let refused = Rc::new(Cell::new(0));
        let recorder = Recorder::new({
            let refused = refused.clone();
            move |connection: Connection, call| {
                let refused = refused.clone();
                async move {
                    let Call::Finish(_) = call else { return done() };
                    begin(&connection)?;
                    let piece = [b'x'; 100_000];
                    let mut written = 0;
                    loop {
                        match connection.write(&piece) {
                            Ok(()) => written += 1,
                            Err(error) => {
                                use HttpOutputError::WriteBufferFull;
                                assert_eq!(error, WriteBufferFull(LIMIT));
                                refused.set(refused.get() + 1);
                                // The way that an application goes on: at the client's pace.
                                connection.flush().await?;
                                if refused.get() == 3 {
                                    break;
                                }
                            }
                        }
                    }
                    connection.write(format!("{written}").as_bytes())?;
                    Ok(connection.finish()?)
                }
            }
        });
        let (client, _) = connect_with(&service(recorder), StreamOptions::new().max_write_buffer_size(LIMIT));
        client.send(GET);
        until(|| refused.get() == 1).await;
        let response = client.response().await;
        let body = &response.body;
        let pieces = response.chunks.iter().filter(|size| **size == 100_000).count();
        assert_eq!(&body[pieces * 100_000..], format!("{pieces}").as_bytes(), "what was refused left no trace");
        assert_eq!(refused.get(), 3);
    });
}

#[test]
fn a_head_that_finds_no_room_leaves_no_trace() {
    run(async {
        const LIMIT: usize = 1 << 20;
        let recorder = Recorder::new(async |connection: Connection, call| {
            let Call::Finish(_) = call else { return done() };
            let (line, headers) =
                (landspout_httputil::ResponseStartLine::new(landspout_httputil::StatusCode::OK), Default::default());
            let full = Err(HttpOutputError::WriteBufferFull(LIMIT));
            assert_eq!(connection.write_headers(&line, &headers, &vec![b'x'; LIMIT + 1]), full);
            assert_eq!(connection.write_response(&line, &headers, &vec![b'x'; LIMIT + 1]), full);
            assert_eq!(connection.write_headers(&line, &headers, &vec![b'x'; LIMIT - 100]), Ok(()));
            Ok(connection.finish()?)
        });
        let (client, _) = connect_with(&service(recorder), StreamOptions::new().max_write_buffer_size(LIMIT));
        for _ in 0..2 {
            assert_eq!(client.get("/").await.body.len(), LIMIT - 100);
        }
    });
}

/// A stream that is closed already is a connection that ends at once.
#[test]
fn a_closed_stream_is_served_to_its_end() {
    run(async {
        let recorder = app();
        let trace = recorder.trace.clone();
        let (near, far) = IoStream::pair().unwrap();
        far.close();
        let connection = Http1ServerConnection::start_serving(far, context(), &service(recorder));
        until(|| trace.has("close")).await;
        turns(5).await;
        assert_eq!(trace.take(), ["close"]);
        assert!(connection.closed());
        drop(near);
    });
}

/// A client that did not ask for the end may be sending its next request: the connection is open for it to be thrown away.
#[test]
fn who_closes_on_its_own_lingers() {
    for (asked, lingers) in [("", true), ("Connection: close\r\n", false)] {
        run(async move {
            let params = Http1ConnectionParameters { no_keep_alive: true, ..Default::default() };
            let (mut socket, connection) = connect_socket(&Http1Service::new(app(), params));
            socket.set_nonblocking(true).unwrap();
            socket.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{asked}\r\n").as_bytes()).unwrap();
            let mut answer = String::new();
            until(|| socket.read_to_string(&mut answer).is_ok()).await;
            assert!(answer.contains("Connection: close\r\n"), "{answer}");
            turns(10).await;
            assert_eq!(connection.closed(), !lingers);
            if lingers {
                socket.write_all(GET.as_bytes()).unwrap();
                turns(10).await;
                assert_eq!(socket.read(&mut [0]).unwrap(), 0, "the end, and no reset");
                drop(socket);
                until(|| connection.closed()).await;
            }
        });
    }
}

/// When the delegate hears of it, the connection is closed: nothing it writes then would reach anybody.
#[test]
fn the_connection_is_closed_when_the_delegate_hears_of_it() {
    struct Late(Rc<RefCell<Option<bool>>>, Connection);
    impl HttpMessageDelegate for Late {
        async fn headers_received(&mut self, _: RequestStartLine, _: HttpHeaders) -> Result<(), BoxError> {
            begin(&self.1)
        }
        async fn data_received(&mut self, _: bytes::Bytes) -> Result<(), BoxError> {
            Err("out of luck".into())
        }
        async fn finish(&mut self) -> Result<(), BoxError> {
            Ok(())
        }
        fn on_connection_close(&mut self) {
            self.0.replace(Some(self.1.write(b"late") == Err(HttpOutputError::Closed)));
        }
    }
    #[derive(Clone, Default)]
    struct Delegate(Rc<RefCell<Option<bool>>>);
    impl HttpServerConnectionDelegate for Delegate {
        type Delegate = Late;
        fn start_request(&self, _: ServerConnectionId, connection: Connection) -> Late {
            Late(self.0.clone(), connection)
        }
    }
    logged(|| {
        run(async {
            let delegate = Delegate::default();
            let closed = delegate.0.clone();
            let (client, _) = connect(&service(delegate));
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
            client.head().await;
            assert_eq!(client.cut().await, b"");
            assert_eq!(closed.take(), Some(true));
        });
    });
}

/// RFC 9110, section 9.3.2: no content, even if the request can't be read.
#[test]
fn a_refusal_of_head_has_no_content() {
    run(async {
        for request in
            ["HEAD / HTTP/1.1\r\n\r\n", "\r\nHEAD / HTTP/2.0\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: x\r\nA : b\r\n"]
        {
            let (client, _) = connect(&service(app()));
            client.send(request);
            let answer = String::from_utf8(client.cut().await).unwrap();
            assert!(answer.contains("Content-Length: ") && answer.ends_with("\r\n\r\n"), "{answer}");
        }
    });
}
