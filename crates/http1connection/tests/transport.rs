//! What a connection asks of its transport: how often it reads and writes, and that it leaves time for others.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use common::recorder::{Connection, ok};
use common::*;
use landspout_http1connection::{Http1ConnectionParameters, Http1ServerConnection, Http1Service};
use landspout_ioloop::{IoLoop, Ready};
use landspout_iostream::{IoStream, StreamOptions, Transport};

/// A TCP socket that counts the calls.
struct Counting {
    socket: TcpStream,
    calls: Rc<Calls>,
}

#[derive(Default)]
struct Calls {
    reads: Cell<usize>,
    writes: Cell<usize>,
    nodelay: Cell<Option<bool>>,
    /// Nothing is taken.
    full: Cell<bool>,
}

impl Calls {
    /// Reads and writes since this was asked last.
    fn take(&self) -> (usize, usize) {
        (self.reads.take(), self.writes.take())
    }
}

impl Transport for Counting {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.calls.reads.set(self.calls.reads.get() + 1);
        self.socket.read(buf)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.calls.writes.set(self.calls.writes.get() + 1);
        if self.calls.full.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.socket.write_vectored(bufs)
    }

    fn set_nodelay(&mut self, nodelay: bool) -> io::Result<()> {
        self.calls.nodelay.set(Some(nodelay));
        Ok(())
    }
}

fn counted(service: &Http1Service) -> (Client, Rc<Calls>) {
    let (client, _server, calls) = counted_with(service, StreamOptions::new());
    (client, calls)
}

fn counted_with(service: &Http1Service, options: StreamOptions) -> (Client, IoStream, Rc<Calls>) {
    let (client, socket) = tcp_sockets();
    let calls = Rc::<Calls>::default();
    socket.set_nonblocking(true).unwrap();
    let server = IoStream::new(Counting { socket, calls: calls.clone() }, options).unwrap();
    Http1ServerConnection::start_serving(server.clone(), context(), service);
    (Client::new(IoStream::from_tcp(client, StreamOptions::new()).unwrap()), server, calls)
}

#[test]
fn a_new_connection_is_not_read_before_something_came() {
    run(async {
        let service = service(Recorder::answering());
        let (client, calls) = counted(&service);
        turns(5).await;
        assert_eq!(calls.take(), (0, 0));
        assert_eq!(client.get("/first").await.brief(), (200, "/first"));
        assert_eq!(calls.take(), (1, 1));
    });
}

/// Its head and it, though only the head is copied. The limit of what waits is for the body, and the head doesn't count.
#[test]
fn a_large_answer_leaves_in_one_write_and_waits_as_a_whole() {
    run(async {
        const LENGTH: usize = 19_990;
        let service = service(Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => ok(&connection, vec![b'x'; LENGTH]),
            _ => done(),
        }));
        let options = StreamOptions::new().max_write_buffer_size(LENGTH + 10);
        let (client, server, calls) = counted_with(&service, StreamOptions::new());
        for _ in 0..3 {
            assert_eq!(client.get("/").await.body.len(), LENGTH);
            assert_eq!(calls.take(), (1, 1));
        }
        drop((client, server));
        let (client, server, calls) = counted_with(&service, options);
        for _ in 0..3 {
            calls.full.set(true);
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            until(|| server.pending_write() > LENGTH).await;
            calls.full.set(false);
            server.raiser().raise(Ready::WRITABLE);
            assert_eq!(client.response().await.body.len(), LENGTH);
        }
    });
}

#[test]
fn a_kept_alive_request_costs_one_read_and_one_write() {
    run(async {
        let service = service(Recorder::answering());
        let (client, calls) = counted(&service);
        for n in 0..100 {
            assert_eq!(client.get(&format!("/{n}")).await.brief(), (200, format!("/{n}").as_str()));
        }
        turns(3).await;
        assert_eq!(calls.take(), (100, 100));
    });
}

#[test]
fn a_request_with_a_body_costs_one_read_and_one_write() {
    run(async {
        let service = service(Recorder::answering());
        let (client, calls) = counted(&service);
        client.send("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().await.brief(), (200, "/p"));
        assert_eq!(calls.take(), (1, 1));
        client.send("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(client.response().await.brief(), (200, "/c"));
        assert_eq!(calls.take(), (1, 1));
    });
}

#[test]
fn a_pipelined_batch_is_answered_in_order_by_one_write() {
    run(async {
        let service = service(Recorder::answering());
        let (client, calls) = counted(&service);
        let batch: String = (0..16).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
        for _ in 0..3 {
            client.send(&batch);
            for n in 0..16 {
                assert_eq!(client.response().await.brief(), (200, format!("/{n}").as_str()));
            }
            assert_eq!(calls.take(), (1, 1));
        }
    });
}

/// Connections of pairs of sockets, whose delegates `look` at the server's streams when a request is complete.
fn connections<const N: usize>(
    look: impl Fn(&str, &[IoStream], &[Http1ServerConnection]) + 'static,
) -> ([Client; N], Rc<RefCell<Vec<Http1ServerConnection>>>) {
    let (streams, servers) = <(Rc<RefCell<Vec<IoStream>>>, Rc<RefCell<Vec<Http1ServerConnection>>>)>::default();
    let look = Rc::new(look);
    let service = service(Recorder::new({
        let (streams, servers) = (streams.clone(), servers.clone());
        move |connection: Connection, call| {
            let (look, streams, servers) = (look.clone(), streams.clone(), servers.clone());
            async move {
                let Call::Finish(target) = call else { return done() };
                look(&target, &streams.borrow(), &servers.borrow());
                ok(&connection, target)
            }
        }
    }));
    let clients = [(); N].map(|()| {
        let (client, server) = IoStream::pair().unwrap();
        streams.borrow_mut().push(server.clone());
        servers.borrow_mut().push(Http1ServerConnection::start_serving(server, context(), &service));
        Client::new(client)
    });
    (clients, servers)
}

fn requests(targets: &[&str]) -> String {
    targets.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).collect()
}

/// To read from several connections and then to serve them is cheaper than to do both for one after the other, if there is much to
/// serve.
#[test]
fn clients_that_pipeline_are_read_together_before_they_are_served() {
    run(async {
        let trace = Trace::default();
        let (clients, _) = connections::<2>({
            let trace = trace.clone();
            move |target, streams, _| {
                let unserved: usize = streams.iter().map(|stream| stream.with_buffered(<[u8]>::len)).sum();
                trace.push(format!("{target} {unserved}"));
            }
        });
        let exchange = async |targets: [&[&str]; 2]| {
            for (client, targets) in clients.iter().zip(targets) {
                client.send(requests(targets));
            }
            for (client, targets) in clients.iter().zip(targets) {
                for target in targets {
                    assert_eq!(client.response().await.brief(), (200, *target));
                }
            }
            trace.take()
        };
        let one = requests(&["/a1"]).len();
        let alone = [format!("/a1 {one}"), "/a2 0".into(), format!("/b1 {one}"), "/b2 0".into()];
        let together = [format!("/a1 {}", 3 * one), format!("/a2 {}", 2 * one), format!("/b1 {one}"), "/b2 0".into()];
        // Nobody knows yet that they pipeline.
        assert_eq!(exchange([&["/a1", "/a2"], &["/b1", "/b2"]]).await, alone);
        assert_eq!(exchange([&["/a1", "/a2"], &["/b1", "/b2"]]).await, together);
        assert_eq!(exchange([&["/a1"], &["/b1"]]).await, [format!("/a1 {one}"), "/b1 0".into()]);
        // They have stopped.
        assert_eq!(exchange([&["/a1"], &["/b1"]]).await, ["/a1 0", "/b1 0"]);
        // And begun again, but not with little.
        assert_eq!(exchange([&["/a1", "/a2"], &["/b1", "/b2"]]).await, alone);
        let long = "/a3".to_owned() + &"x".repeat(5_000);
        let seen = exchange([&["/a1", &long], &["/b1", "/b2"]]).await;
        assert_eq!(seen[0], format!("/a1 {}", requests(&[&long]).len()), "served before the others are read");
        assert_eq!(seen.len(), 4);
    });
}

#[test]
fn a_client_that_pipelines_may_send_half_a_request() {
    run(async {
        let ([first, second], _) = connections::<2>(|_, _, _| {});
        for _ in 0..2 {
            first.send(requests(&["/a1", "/a2"]));
            let whole = requests(&["/b1", "/b2"]);
            let (most, rest) = whole.split_at(whole.len() - 10);
            second.send(most);
            assert_eq!(second.response().await.brief(), (200, "/b1"));
            turns(3).await;
            second.assert_silent();
            second.send(rest);
            assert_eq!(second.response().await.brief(), (200, "/b2"));
            for target in ["/a1", "/a2"] {
                assert_eq!(first.response().await.brief(), (200, target));
            }
        }
    });
}

/// The one that is served first ends the other, which is read already: at once, or behind one more answer.
#[test]
fn a_connection_that_was_read_beside_others_can_be_closed_and_drained() {
    run(async {
        for (end, answers) in [(Http1ServerConnection::close as fn(&_), 0), (Http1ServerConnection::drain, 1)] {
            let trace = Trace::default();
            let ([first, second], servers) = connections::<2>({
                let trace = trace.clone();
                move |target, _, servers| {
                    trace.push(target);
                    if target == "/end" {
                        end(&servers[1]);
                    }
                }
            });
            for client in [&first, &second] {
                client.send(requests(&["/1", "/2"]));
            }
            for client in [&first, &second, &first, &second] {
                assert_eq!(client.response().await.status, 200);
            }
            trace.take();
            first.send(requests(&["/end", "/first"]));
            second.send(requests(&["/second", "/second"]));
            for target in ["/end", "/first"] {
                assert_eq!(first.response().await.brief(), (200, target));
            }
            for _ in 0..answers {
                let response = second.response().await;
                assert_eq!((response.brief(), response.field("connection")), ((200, "/second"), Some("close")));
            }
            second.cut().await;
            assert_eq!((trace.count("/second"), trace.count("/first")), (answers, 1));
            until(|| servers.borrow()[1].closed()).await;
        }
    });
}

#[test]
fn a_streamed_response_without_pauses_is_one_write() {
    run(async {
        let service = service(Recorder::new(async |connection: Connection, call| {
            if let Call::Finish(_) = call {
                recorder::begin(&connection)?;
                for piece in ["a", "bc", "def"] {
                    connection.write(piece.as_bytes())?;
                }
                connection.finish()?;
            }
            done()
        }));
        let (client, calls) = counted(&service);
        let response = client.get("/").await;
        assert_eq!((response.text(), &*response.chunks), ("abcdef", &[1, 2, 3][..]));
        assert_eq!(calls.take(), (1, 1));
    });
}

/// Nagle's algorithm would hold the second piece of a response back until the peer acknowledges the first.
#[test]
fn small_pieces_are_not_held_back_by_the_kernel() {
    run(async {
        let service = service(Recorder::answering());
        let (client, calls) = counted(&service);
        client.get("/").await;
        assert_eq!(calls.nodelay.get(), Some(true));
    });
}

/// A peer that always has more to send, at once.
struct Flood {
    head: io::Cursor<Vec<u8>>,
}

impl Transport for Flood {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buf)? {
            0 => Ok(buf.len()),
            n => Ok(n),
        }
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(bufs.iter().map(|buf| buf.len()).sum())
    }

    fn drained(&self, _: usize, _: usize) -> bool {
        false
    }
}

fn flood(service: &Http1Service, head: String) -> (IoStream, Http1ServerConnection) {
    let stream = IoStream::new(Flood { head: io::Cursor::new(head.into_bytes()) }, StreamOptions::new()).unwrap();
    let connection = Http1ServerConnection::start_serving(stream.clone(), context(), service);
    stream.raiser().raise(Ready::READABLE);
    (stream, connection)
}

const FLOOD: usize = 64 << 20;

#[test]
fn a_fast_upload_lets_others_run() {
    run(async {
        let received = Rc::new(Cell::new(0));
        let service = service(Recorder::new({
            let received = received.clone();
            move |connection, call| {
                let received = received.clone();
                async move {
                    match call {
                        Call::Data(chunk) => received.set(received.get() + chunk.len()),
                        Call::Finish(_) => ok(&connection, "thanks")?,
                        _ => {}
                    }
                    done()
                }
            }
        }));
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {FLOOD}\r\n\r\n");
        let (_stream, connection) = flood(&service, head);
        let mut turns = 0;
        until(|| {
            turns += 1;
            received.get() == FLOOD
        })
        .await;
        connection.close();
        assert!(turns > 3, "64 MiB in {turns} turns");
    });
}

#[test]
fn what_an_application_does_not_want_lets_others_run() {
    run(async {
        let service = service(Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(..) = call {
                ok(&connection, "no")?;
            }
            done()
        }));
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {FLOOD}\r\n\r\n");
        let (stream, connection) = flood(&service, head);
        // It lingers as long as the peer goes on, but not at the cost of others.
        turns(100).await;
        assert!(!stream.closed());
        connection.close();
    });
}

#[test]
fn many_pipelined_requests_let_others_run() {
    run(async {
        let recorder = Recorder::answering();
        let trace = recorder.trace.clone();
        let service = service(recorder);
        let (client, _) = counted(&service);
        let count = 1000;
        let batch: String = (0..count).map(|_| "GET / HTTP/1.1\r\nHost: x\r\n\r\n").collect();
        client.send(&batch);
        let mut seen = Vec::new();
        until(|| {
            seen.push(trace.count("start"));
            trace.count("start") == count
        })
        .await;
        seen.dedup();
        assert!(seen.len() > 3, "{count} requests in one go: {seen:?}");
        for _ in 0..count {
            assert_eq!(client.response().await.brief(), (200, "/"));
        }
    });
}

/// A peer that pipelines and doesn't read is served no further than its answers can be sent.
#[test]
fn a_pipelining_peer_that_does_not_read_waits() {
    run(async {
        const COUNT: usize = 1000;
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => ok(&connection, vec![b'x'; 16 << 10]),
            _ => done(),
        });
        let trace = recorder.trace.clone();
        let service = service(recorder);
        let (client, _) = connect(&service);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(COUNT));
        let mut started = 0;
        until(|| trace.count("start") > 0).await;
        while trace.count("start") > started {
            started = trace.count("start");
            turns(20).await;
        }
        assert!(started < COUNT, "all {COUNT} answers are made and held");
        for _ in 0..COUNT {
            assert_eq!(client.response().await.body.len(), 16 << 10);
        }
    });
}

#[test]
fn serving_needs_a_stream_and_nothing_else() {
    run(async {
        let (near, far) = IoStream::pair().unwrap();
        let service = Http1Service::new(Recorder::answering(), Http1ConnectionParameters::default());
        let connection = Http1ServerConnection::start_serving(far, context(), &service);
        let client = Client::new(near);
        assert_eq!(client.get("/pair").await.brief(), (200, "/pair"));
        assert!(!connection.closed());
        client.hang_up();
        until(|| connection.closed()).await;
        assert!(IoLoop::current_or_none().is_some());
    });
}
