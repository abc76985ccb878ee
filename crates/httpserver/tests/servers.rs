//! The server itself: its connections, how they are ended, its options, delegates and proxies' headers.

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use landspout_httpserver::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServer, HttpServerConnectionDelegate,
    HttpServerOptions, HttpServerRequest, Protocol, RequestStartLine, ResponseStartLine, ServerConnectionId,
    ServerError, StatusCode,
};
use landspout_ioloop::{IoLoop, ManualClock};
use landspout_netutil::bind_sockets;

const NONE: HttpHeaders = HttpHeaders::new();
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Waits for the gate on `/wait`, answers everything else at once.
fn gated(gate: &Gate) -> HttpServer {
    let gate = gate.clone();
    HttpServer::new(async move |request: HttpServerRequest| {
        if request.path() == "/wait" {
            gate.wait().await;
        }
        request.write_response(StatusCode::OK, &NONE, request.path())
    })
}

#[test]
fn connections_are_counted() {
    run(async {
        let server = echo(HttpServerOptions::new());
        let address = listen(&server);
        assert_eq!(server.connections(), 0);
        let (one, other) = (connect(address), connect(address));
        until(|| server.connections() == 2).await;
        one.get("/").await;
        one.hang_up();
        until(|| server.connections() == 1).await;
        other.hang_up();
        until(|| server.connections() == 0).await;
    });
}

/// A stopped server serves the connections it has.
#[test]
fn stop_leaves_connections_alone() {
    run(async {
        let gate = Gate::default();
        let server = gated(&gate);
        let address = listen(&server);
        let (kept, busy) = (connect(address), connect(address));
        assert_eq!(kept.get("/before").await.text(), "/before");
        busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
        until(|| gate.is_waited_for()).await;
        server.stop();
        assert!(std::net::TcpStream::connect(address).is_err());
        gate.open();
        assert_eq!(busy.response().await.text(), "/wait");
        assert_eq!(kept.get("/after").await.text(), "/after");
        assert_eq!(server.connections(), 2);
        server.stop();
        // And listens again.
        assert_eq!(connect(listen(&server)).get("/again").await.text(), "/again");
    });
}

#[test]
fn close_all_connections_cuts_and_waits() {
    run(async {
        let gate = Gate::default();
        let server = gated(&gate);
        let address = listen(&server);
        let clients: Vec<_> = (0..5).map(|_| connect(address)).collect();
        clients[0].send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(clients[1].get("/").await.text(), "/");
        clients[2].send("GET / HT");
        clients[3].send("nonsense\r\n\r\n");
        clients[3].response().await;
        until(|| gate.is_waited_for() && server.connections() == 5).await;
        server.close_all_connections().await;
        assert_eq!(server.connections(), 0);
        for client in clients {
            assert_eq!(client.cut().await, b"");
        }
        // The server itself goes on.
        assert_eq!(connect(address).get("/").await.text(), "/");
        server.close_all_connections().await;
        server.close_all_connections().await;
    });
}

/// It waits for those that it has closed, not for who came since.
#[test]
fn close_all_connections_waits_for_nobody_new() {
    run(async {
        let server = echo(HttpServerOptions::new());
        let address = listen(&server);
        let old = connect(address);
        until(|| server.connections() == 1).await;
        let handle = server.clone();
        let mut closing = Box::pin(async move { handle.close_all_connections().await });
        assert!(closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let new = connect(address);
        assert_eq!(new.get("/").await.status, 200);
        assert_eq!(old.cut().await, b"");
        until(|| server.connections() == 1).await;
        assert!(closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(new.get("/").await.status, 200, "and closes nobody new");
    });
}

#[test]
fn a_closed_loop_ends_everything() {
    let gate = Gate::default();
    let server = gated(&gate);
    let io_loop = IoLoop::new().unwrap();
    let clients = io_loop.run_sync({
        let server = server.clone();
        async move {
            let address = listen(&server);
            let clients = [connect(address), connect(address)];
            clients[0].send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
            until(|| gate.is_waited_for() && server.connections() == 2).await;
            clients
        }
    });
    let address = server.addresses()[0];
    io_loop.close().unwrap();
    assert_eq!(server.connections(), 0);
    assert!(std::net::TcpStream::connect(address).is_err());
    drop(clients);
}

#[test]
fn all_ways_to_start_without_a_fork() {
    run(async {
        let server = echo(HttpServerOptions::new());
        server.bind(0, "127.0.0.1").unwrap();
        let bound = server.addresses()[0];
        server.start(1).unwrap();
        assert!(matches!(server.start(1), Err(ServerError::AlreadyStarted)));
        server.add_sockets(bind_sockets(0, "127.0.0.1").unwrap()).unwrap();
        let added = server.addresses()[1];
        let listening = listen(&server);
        for address in [bound, added, listening] {
            assert_eq!(connect(address).get("/").await.status, 200);
        }
    });
}

#[test]
fn the_options_reach_the_connections() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    io_loop
        .run_sync(async move {
            let minute = Duration::from_secs(60);
            let options = HttpServerOptions::new().idle_connection_timeout(minute).body_timeout(minute / 2);
            let server = echo(options.protocol(Protocol::Https));
            let address = listen(&server);
            let (idle, head, body) = (connect(address), connect(address), connect(address));
            head.send("GET / HT");
            body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
            until(|| server.connections() == 3).await;
            turns(20).await;
            clock.advance(minute / 2);
            assert_eq!(body.response().await.status, 408);
            turns(20).await;
            idle.assert_silent();
            head.assert_silent();
            clock.advance(minute / 2);
            assert_eq!(head.response().await.status, 408);
            idle.end().await;
        })
        .unwrap();
}

/// Tornado's default: an hour.
#[test]
fn the_idle_timeout_is_an_hour() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    io_loop
        .run_sync(async move {
            let server = echo(HttpServerOptions::new());
            let client = client_of(&server);
            assert_eq!(client.get("/").await.status, 200);
            turns(20).await;
            clock.advance(Duration::from_secs(3599));
            turns(20).await;
            client.assert_silent();
            clock.advance(Duration::from_secs(1));
            client.end().await;
        })
        .unwrap();
}

/// What a server on the open network does with clients that take their time, without a single option.
#[test]
fn the_defaults_end_slow_clients() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    io_loop
        .run_sync(async move {
            let server = HttpServer::new(async |request: HttpServerRequest| {
                request.write_response(StatusCode::OK, &NONE, vec![b'x'; 16 << 20])
            });
            let address = listen(&server);
            let (silent, head, body, taking) = (connect(address), connect(address), connect(address), connect(address));
            head.send("GET / HT");
            body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
            taking.send(GET);
            until(|| server.connections() == 4).await;
            turns(20).await;
            clock.advance(Duration::from_secs(59));
            turns(20).await;
            assert_eq!(server.connections(), 4);
            clock.advance(Duration::from_secs(1));
            silent.end().await;
            assert_eq!(head.response().await.status, 408);
            assert_eq!(body.response().await.status, 408);
            for client in [silent, head, body] {
                client.hang_up();
            }
            // Some of the answer may have found room meanwhile: then it has another minute.
            turns(20).await;
            clock.advance(Duration::from_secs(60));
            until(|| server.connections() == 0).await;
            assert!(taking.cut().await.len() < 16 << 20);
        })
        .unwrap();
}

#[test]
fn every_limit_can_be_turned_off() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    io_loop
        .run_sync(async move {
            let options = HttpServerOptions::new()
                .first_byte_timeout(None)
                .head_timeout(Duration::ZERO)
                .idle_connection_timeout(None)
                .body_timeout(Duration::ZERO)
                .min_body_rate(0, Duration::ZERO)
                .max_requests(0)
                .send_timeout(None)
                .max_connections_per_peer(0);
            let client = client_of(&echo(options));
            let day = Duration::from_secs(86_400);
            for _ in 0..2 {
                for part in ["POST / HT", "TP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", "a"] {
                    turns(20).await;
                    clock.advance(day);
                    turns(20).await;
                    client.send(part);
                }
                turns(20).await;
                clock.advance(day);
                client.send("b");
                assert_eq!(client.response().await.text(), "POST / 2");
            }
        })
        .unwrap();
}

#[test]
fn requests_and_connections_have_their_limits() {
    run(async {
        let server = echo(HttpServerOptions::new().max_requests(2).max_connections_per_peer(2));
        let address = listen(&server);
        let (one, other) = (connect(address), connect(address));
        assert_eq!(one.get("/").await.field("connection"), None);
        assert_eq!(other.get("/").await.field("connection"), None);
        connect(address).end().await;
        let counts = server.connection_counts();
        assert_eq!((counts.open, counts.accepted, counts.refused_per_peer, server.connections()), (2, 3, 1, 2));
        assert_eq!(one.get("/").await.field("connection"), Some("close"));
        one.end().await;
        one.hang_up();
        until(|| server.connections() == 1).await;
        assert_eq!(connect(address).get("/").await.status, 200);
    });
}

/// A callback has its request when that is complete: what it sets then is for nobody, and above all not for the next one.
#[test]
fn a_callbacks_limits_are_not_those_of_the_next_request() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    io_loop
        .run_sync(async move {
            let options = HttpServerOptions::new().max_body_size(10).body_timeout(Duration::from_secs(20));
            let server = options.callback(async |request: HttpServerRequest| {
                request.connection().set_max_body_size(1);
                request.connection().set_body_timeout(Some(Duration::from_secs(1)));
                request.write_response(StatusCode::OK, &NONE, request.body())
            });
            let client = client_of(&server);
            for _ in 0..2 {
                client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234");
                turns(20).await;
                clock.advance(Duration::from_secs(19));
                client.send("56789");
                assert_eq!(client.response().await.text(), "0123456789");
            }
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n");
            assert_eq!(client.response().await.status, 413);
        })
        .unwrap();
}

/// ManualProtocolTest.test_manual_protocol
#[test]
fn the_protocol_can_be_told() {
    run(async {
        let server = HttpServerOptions::new().protocol(Protocol::Https).callback(async |request: HttpServerRequest| {
            request.write_response(StatusCode::OK, &NONE, request.full_url())
        });
        assert_eq!(client_of(&server).get("/a").await.text(), "https://x/a");
    });
}

/// StreamingChunkSizeTest: through the server's option.
#[test]
fn chunk_size() {
    run(async {
        let delegate = Streaming::default();
        let trace = delegate.trace.clone();
        let client = client_of(&HttpServerOptions::new().chunk_size(16).delegate(delegate));
        let body = "01234567890123456789012345678901234567890123456789";
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{body}"));
        assert_eq!(client.response().await.text(), body);
        assert_eq!(trace.take(), ["start", "headers", "16", "16", "16", "2", "finish"]);
        let (twenty, thirty) = body.split_at(20);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{twenty}\r\n1e\r\n{thirty}\r\n0\r\n\r\n"
        ));
        assert_eq!(client.response().await.text(), body);
        assert_eq!(trace.take(), ["start", "headers", "16", "4", "16", "14", "finish"]);
        client.hang_up();
        until(|| trace.has("close")).await;
    });
}

/// A delegate that streams the body back.
#[derive(Default)]
struct Streaming {
    trace: Trace,
}

struct StreamingMessage {
    trace: Trace,
    connection: Rc<dyn HttpConnection>,
}

impl HttpServerConnectionDelegate for Streaming {
    type Delegate = StreamingMessage;

    fn start_request(&self, _: ServerConnectionId, connection: Rc<dyn HttpConnection>) -> StreamingMessage {
        self.trace.push("start");
        StreamingMessage { trace: self.trace.clone(), connection }
    }

    fn on_close(&self, _: ServerConnectionId) {
        self.trace.push("close");
    }
}

impl HttpMessageDelegate for StreamingMessage {
    async fn headers_received(&mut self, _: RequestStartLine, _: HttpHeaders) -> Result<(), BoxError> {
        self.trace.push("headers");
        Ok(self.connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &NONE, b"")?)
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.trace.push(chunk.len().to_string());
        self.connection.write(&chunk)?;
        Ok(self.connection.flush().await?)
    }

    async fn trailers_received(&mut self, _: HttpHeaders) -> Result<(), BoxError> {
        self.trace.push("trailers");
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.trace.push("finish");
        Ok(self.connection.finish()?)
    }

    fn on_connection_close(&mut self) {
        self.trace.push("connection close");
    }
}

/// Every call of the chain passes the server's own links: trailers, the connection's close, the server connection's close.
#[test]
fn every_call_reaches_the_users_delegate() {
    run(async {
        let delegate = Streaming::default();
        let trace = delegate.trace.clone();
        let server = HttpServer::with_delegate(delegate);
        let client = client_of(&server);
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n");
        assert_eq!(client.response().await.text(), "a");
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
        until(|| trace.has("3")).await;
        client.hang_up();
        until(|| trace.has("close")).await;
        let expected =
            ["start", "headers", "1", "trailers", "finish", "start", "headers", "3", "connection close", "close"];
        assert_eq!(trace.take(), expected);
    });
}

/// A large body streams through in bounded memory, both ways at once.
#[test]
fn a_body_streams_through() {
    run(async {
        const LENGTH: usize = 8 << 20;
        let options = HttpServerOptions::new().max_write_buffer_size(256 << 10);
        let client = client_of(&options.delegate(Streaming::default()));
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n"));
        let body: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
        client.send(&body);
        assert!(client.response().await.body == body);
    });
}

/// `on_close` reaches the user's delegate once for each way in which `close_all_connections` meets a connection.
#[test]
fn on_close_of_every_connection() {
    run(async {
        let delegate = Streaming::default();
        let trace = delegate.trace.clone();
        let server = HttpServer::with_delegate(delegate);
        let address = listen(&server);
        let clients: Vec<_> = (0..4).map(|_| connect(address)).collect();
        clients[0].send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
        clients[1].send("GET / HT");
        clients[2].send(GET);
        clients[2].response().await;
        until(|| server.connections() == 4 && trace.count("headers") == 2).await;
        server.close_all_connections().await;
        assert_eq!((trace.count("close"), trace.count("connection close"), server.connections()), (4, 1, 0));
        drop(clients);
        turns(5).await;
        assert_eq!(trace.count("close"), 4);
    });
}

/// What a handler does on its own connection's behalf: close all of them, itself included.
#[test]
fn close_all_connections_from_a_handler() {
    run(async {
        let slot: Rc<RefCell<Option<HttpServer>>> = Rc::default();
        let server = HttpServer::new({
            let slot = slot.clone();
            async move |request: HttpServerRequest| {
                let server = slot.borrow().clone().expect("set below");
                spawn(async move { server.close_all_connections().await });
                std::future::pending::<()>().await;
                drop(request);
            }
        });
        slot.replace(Some(server.clone()));
        let client = client_of(&server);
        client.send(GET);
        assert_eq!(client.cut().await, b"");
        until(|| server.connections() == 0).await;
        slot.take();
    });
}
