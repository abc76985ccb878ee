//! `HttpServer::drain`: what becomes of each kind of connection, of those that don't end in time, and of whoever waits for it.

mod common;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use landspout_httpserver::{
    BoxError, Drained, HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, RequestStartLine, StatusCode,
};
use landspout_httpserver::{HttpConnection, HttpMessageDelegate, HttpServerConnectionDelegate, ServerConnectionId};
use landspout_ioloop::{IoLoop, ManualClock};

const NONE: HttpHeaders = HttpHeaders::new();
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// Runs a test on a clock that stands still unless it is moved.
fn run_slowly<F: Future + 'static>(test: impl FnOnce(ManualClock) -> F) -> F::Output {
    log::install();
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    let output = io_loop.run_sync(test(clock)).unwrap();
    io_loop.close().unwrap();
    output
}

/// Waits for the gate on `/wait`, and on `/stream` behind its first piece; `/large` is more than a socket takes; answers
/// everything else at once.
fn gated(gate: &Gate) -> HttpServer {
    let gate = gate.clone();
    HttpServer::new(async move |request: HttpServerRequest| {
        match request.path() {
            "/wait" => gate.wait().await,
            "/stream" => {
                let connection = request.connection();
                connection.write_headers(&StatusCode::OK.into(), &NONE, b"begin")?;
                gate.wait().await;
                connection.write(b" end")?;
                return connection.finish();
            }
            "/large" => return request.write_response(StatusCode::OK, &NONE, vec![b'x'; 16 << 20]),
            _ => {}
        }
        request.write_response(StatusCode::OK, &NONE, request.path())
    })
}

type Draining = Pin<Box<dyn Future<Output = Drained>>>;

/// Begins to drain; it goes on when this is polled.
fn drain(server: &HttpServer, deadline: Duration) -> Draining {
    let server = server.clone();
    let mut draining: Draining = Box::pin(async move { server.drain(deadline).await });
    assert_eq!(poll(&mut draining), None);
    draining
}

fn poll(draining: &mut Draining) -> Option<(usize, usize)> {
    match draining.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(drained) => Some((drained.finished, drained.cut)),
        Poll::Pending => None,
    }
}

fn refuses(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address).is_err()
}

/// A client whose request waits at the gate.
async fn waiting(address: SocketAddr, path: &str, gate: &Gate) -> Client {
    let before = gate.waiters();
    let client = connect(address);
    client.send(get(path));
    until(|| gate.waiters() == before + 1).await;
    client
}

#[test]
fn a_server_without_connections_is_drained_at_once() {
    run(async {
        let server = gated(&Gate::default());
        let address = listen(&server);
        let drained = server.drain(HALF_A_MINUTE).await;
        assert_eq!((drained.finished, drained.cut, refuses(address)), (0, 0, true));
        let drained = HttpServer::new(async |_| {}).drain(HALF_A_MINUTE).await;
        assert_eq!(drained, Drained::default());
    });
}

#[test]
fn what_is_under_way_finishes_and_what_is_idle_is_closed() {
    run(async {
        let gate = Gate::default();
        let server = gated(&gate);
        let address = listen(&server);
        let idle = connect(address);
        assert_eq!(idle.get("/").await.text(), "/");
        let busy = waiting(address, "/wait", &gate).await;
        let streaming = waiting(address, "/stream", &gate).await;
        let pipelining = connect(address);
        pipelining.send([get("/1"), get("/wait"), get("/3")].concat());
        until(|| gate.waiters() == 3).await;
        let coming = connect(address);
        coming.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
        until(|| server.connections() == 5).await;
        turns(10).await;

        let timeouts = IoLoop::current().pending_timeouts();
        let draining = spawn({
            let server = server.clone();
            async move { server.drain(HALF_A_MINUTE).await }
        });
        idle.end().await;
        assert!(refuses(address), "it accepts no more");
        until(|| server.connections() == 4).await;
        assert!(!draining.is_finished());
        gate.open();
        coming.send("dy");
        let response = busy.response().await;
        assert_eq!((response.text(), response.field("connection")), ("/wait", Some("close")));
        busy.end().await;
        assert_eq!(streaming.response().await.text(), "begin end");
        streaming.end().await;
        assert_eq!(pipelining.response().await.field("connection"), None);
        assert_eq!(pipelining.response().await.field("connection"), Some("close"));
        pipelining.end().await;
        assert_eq!(coming.response().await.field("connection"), Some("close"));
        coming.end().await;
        drop([busy, streaming, pipelining, coming, idle]);
        let drained = draining.await.unwrap();
        assert_eq!((drained.finished, drained.cut, server.connections()), (5, 0, 0));
        until(|| IoLoop::current().pending_timeouts() <= timeouts).await;
    });
}

/// A request that hangs, an answer that goes on and on, a client that takes nothing, a body that doesn't come: each is cut.
#[test]
fn the_deadline_cuts_what_is_left() {
    run_slowly(async |clock: ManualClock| {
        let gate = Gate::default();
        let server = gated(&gate);
        let address = listen(&server);
        let hanging = waiting(address, "/wait", &gate).await;
        let streaming = waiting(address, "/stream", &gate).await;
        let stalled = connect(address);
        stalled.send(get("/large"));
        let coming = connect(address);
        coming.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
        let idle = connect(address);
        idle.get("/").await;
        until(|| server.connections() == 5).await;
        turns(20).await;

        let mut draining = drain(&server, HALF_A_MINUTE);
        idle.end().await;
        turns(20).await;
        clock.advance(HALF_A_MINUTE - Duration::from_millis(1));
        turns(20).await;
        assert_eq!((poll(&mut draining), server.connections()), (None, 4));
        clock.advance(Duration::from_millis(1));
        let drained = draining.await;
        assert_eq!((drained.finished, drained.cut, server.connections()), (1, 4, 0));
        assert_eq!(hanging.cut().await, b"");
        assert!(!streaming.cut().await.ends_with(b"0\r\n\r\n"), "nobody takes it for whole");
        assert!(stalled.cut().await.len() < 16 << 20);
        assert_eq!(coming.cut().await, b"");
    });
}

/// Its last answer is out: whatever the client does, that connection has ended well.
#[test]
fn a_client_that_does_not_close_is_not_counted_as_cut() {
    run_slowly(async |clock: ManualClock| {
        let gate = Gate::default();
        let server = gated(&gate);
        let address = listen(&server);
        let socket = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut &socket, get("/wait").as_bytes()).unwrap();
        until(|| gate.is_waited_for()).await;
        let mut draining = drain(&server, Duration::from_secs(2));
        gate.open();
        let mut answer = [0; 2000];
        let answered = || socket.peek(&mut answer).is_ok_and(|got| answer[..got].ends_with(b"/wait"));
        socket.set_nonblocking(true).unwrap();
        until(answered).await;
        turns(20).await;
        assert_eq!(poll(&mut draining), None, "it is waited for");
        clock.advance(Duration::from_secs(2));
        let drained = draining.await;
        assert_eq!((drained.finished, drained.cut), (1, 0));
    });
}

#[test]
fn a_deadline_of_nothing_cuts_at_once() {
    run(async {
        let gate = Gate::default();
        let server = gated(&gate);
        let client = waiting(listen(&server), "/wait", &gate).await;
        let drained = server.drain(Duration::ZERO).await;
        assert_eq!((drained.cut, server.connections()), (1, 0));
        assert_eq!(client.cut().await, b"");
    });
}

/// Each tells how its own connections ended; the earlier deadline counts.
#[test]
fn a_second_drain_waits_for_the_same_connections() {
    for second_is_shorter in [true, false] {
        run_slowly(async move |clock: ManualClock| {
            let gate = Gate::default();
            let server = gated(&gate);
            let address = listen(&server);
            let (_one, _other) = (waiting(address, "/wait", &gate).await, waiting(address, "/wait", &gate).await);
            let minute = Duration::from_secs(60);
            let (first, second) = if second_is_shorter { (minute, minute / 2) } else { (minute / 2, minute) };
            let (mut first, mut second) = (drain(&server, first), drain(&server, second));
            turns(5).await;
            clock.advance(minute / 2);
            let mut ended = (None, None);
            until(|| {
                ended = (ended.0.or_else(|| poll(&mut first)), ended.1.or_else(|| poll(&mut second)));
                ended.0.is_some() && ended.1.is_some()
            })
            .await;
            assert_eq!(ended, (Some((0, 2)), Some((0, 2))));
            let again = server.drain(minute).await;
            assert_eq!((again.finished, again.cut), (0, 0));
        });
    }
}

#[test]
fn close_all_connections_cuts_what_drains() {
    run(async {
        let gate = Gate::default();
        let server = gated(&gate);
        let _client = waiting(listen(&server), "/wait", &gate).await;
        let mut draining = drain(&server, HALF_A_MINUTE);
        server.close_all_connections().await;
        assert_eq!(poll(&mut draining), Some((0, 1)));
    });
}

/// The future only waits, and cuts.
#[test]
fn a_drain_that_nobody_awaits_any_more_goes_on_without_a_deadline() {
    run_slowly(async |clock: ManualClock| {
        let gate = Gate::default();
        let server = gated(&gate);
        let address = listen(&server);
        let client = waiting(address, "/wait", &gate).await;
        drop(drain(&server, HALF_A_MINUTE));
        assert!(refuses(address));
        clock.advance(Duration::from_secs(600));
        turns(20).await;
        assert_eq!(server.connections(), 1);
        // Another one finds it.
        let mut draining = drain(&server, HALF_A_MINUTE);
        gate.open();
        assert_eq!(client.response().await.field("connection"), Some("close"));
        client.hang_up();
        until(|| server.connections() == 0).await;
        assert_eq!(poll(&mut draining), Some((1, 0)));
    });
}

/// Connections that come later have nothing to do with it.
#[test]
fn a_server_may_listen_again_while_it_drains() {
    run_slowly(async |clock: ManualClock| {
        let gate = Gate::default();
        let server = gated(&gate);
        let old = waiting(listen(&server), "/wait", &gate).await;
        let mut draining = drain(&server, HALF_A_MINUTE);
        let new = client_of(&server);
        assert_eq!(new.get("/1").await.field("connection"), None, "it is kept alive");
        clock.advance(HALF_A_MINUTE);
        until(|| poll(&mut draining) == Some((0, 1))).await;
        assert_eq!(old.cut().await, b"");
        assert_eq!(new.get("/2").await.text(), "/2");
        assert_eq!(server.connections(), 1);
    });
}

/// A handler may be who drains: of its own connection, too.
#[test]
fn a_handler_drains_its_server() {
    run(async {
        let slot: std::rc::Rc<std::cell::RefCell<Option<HttpServer>>> = std::rc::Rc::default();
        let server = HttpServer::new({
            let slot = slot.clone();
            async move |request: HttpServerRequest| {
                let server = slot.borrow().clone().expect("set below");
                spawn(async move { server.drain(HALF_A_MINUTE).await });
                next_turn().await;
                request.write_response(StatusCode::OK, &NONE, "goodbye")
            }
        });
        slot.replace(Some(server.clone()));
        let client = client_of(&server);
        let response = client.get("/").await;
        assert_eq!((response.text(), response.field("connection")), ("goodbye", Some("close")));
        client.end().await;
        client.hang_up();
        until(|| server.connections() == 0).await;
        slot.take();
    });
}

/// Writes down its calls, and waits in `finish`.
#[derive(Clone, Default)]
struct Traced {
    trace: Trace,
    gate: Gate,
}

impl HttpServerConnectionDelegate for Traced {
    type Delegate = TracedMessage;

    fn start_request(&self, _: ServerConnectionId, connection: std::rc::Rc<dyn HttpConnection>) -> TracedMessage {
        TracedMessage { traced: self.clone(), connection }
    }

    fn on_close(&self, _: ServerConnectionId) {
        self.trace.push("close");
    }
}

struct TracedMessage {
    traced: Traced,
    connection: std::rc::Rc<dyn HttpConnection>,
}

impl HttpMessageDelegate for TracedMessage {
    async fn headers_received(&mut self, _: RequestStartLine, _: HttpHeaders) -> Result<(), BoxError> {
        Ok(())
    }

    async fn data_received(&mut self, _: Bytes) -> Result<(), BoxError> {
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.traced.gate.wait().await;
        self.traced.trace.push("finish");
        Ok(self.connection.write_response(&StatusCode::OK.into(), &NONE, b"")?)
    }

    fn on_connection_close(&mut self) {
        self.traced.trace.push("connection close");
    }
}

/// `on_close` comes once for each connection: drained, and cut.
#[test]
fn on_close_of_every_drained_connection() {
    for cut in [false, true] {
        run_slowly(async move |clock: ManualClock| {
            let traced = Traced::default();
            let (trace, gate) = (traced.trace.clone(), traced.gate.clone());
            let server = HttpServerOptions::new().delegate(traced);
            let address = listen(&server);
            let (silent, busy) = (connect(address), waiting(address, "/", &gate).await);
            until(|| server.connections() == 2).await;
            let mut draining = drain(&server, HALF_A_MINUTE);
            turns(5).await;
            if cut {
                clock.advance(HALF_A_MINUTE);
            } else {
                gate.open();
                busy.response().await;
                busy.hang_up();
                turns(5).await;
                clock.advance(Duration::from_secs(5));
            }
            until(|| poll(&mut draining).is_some()).await;
            assert_eq!(trace.count("close"), 2);
            let calls = ["finish", "connection close"].map(|call| trace.count(call));
            assert_eq!(calls, if cut { [0, 1] } else { [1, 0] });
            drop(silent);
            turns(5).await;
            assert_eq!(trace.count("close"), 2);
        });
    }
}
