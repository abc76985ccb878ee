//! Responses that the application can't complete: the client sees that something is missing, and what was complete before reaches it.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use common::client::is_reset;
use common::log::alarms;
use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_http1connection::{Http1ServerConnection, Http1Service};
use landspout_httputil::{BoxError, HttpHeaders, HttpOutputError, ResponseStartLine, StatusCode};
use landspout_ioloop::Ready;
use landspout_iostream::{IoStream, Raiser, StreamOptions, Transport};

const OLD: &str = "GET /cut HTTP/1.0\r\n\r\n";
const NEW: &str = "GET /cut HTTP/1.1\r\nHost: x\r\n\r\n";
const WHOLE: &str = "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n";

/// How an application fails to complete a response of which half is out.
type Failure = fn(Connection) -> Result<(), BoxError>;

const FAILURES: [(&str, Failure); 4] = [
    ("an error", |_| Err("half is all there is".into())),
    ("an error of another connection", |_| Err(HttpOutputError::Closed.into())),
    ("a panic", |_| panic!("this was planned")),
    ("the last handle", |_| done()),
];

/// Answers `/cut` in half and fails, everything else with its path.
fn failing(failure: Failure) -> Recorder {
    Recorder::new(move |connection: Connection, call| async move {
        match call {
            Call::Finish(path) if path == "/cut" => {
                begin(&connection)?;
                connection.write(b"half")?;
                failure(connection)
            }
            Call::Finish(path) => ok(&connection, path),
            _ => done(),
        }
    })
}

/// Reads what comes, up to a reset.
async fn until_reset(client: &Client) -> String {
    let mut all = Vec::new();
    let error = loop {
        match client.stream.read_bytes_partial(65_536).await {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => break error,
        }
    };
    assert!(is_reset(&error), "{error:?} after {:?}", String::from_utf8_lossy(&all));
    String::from_utf8(all).unwrap()
}

/// RFC 9112, section 6.3, rule 8: such a body is whole when the connection ends in order.
#[test]
fn a_cut_body_that_ends_with_the_connection_ends_with_a_reset() {
    logged(|| {
        run(async {
            let mut cases = Vec::new();
            for (name, failure) in FAILURES {
                for half_closed in [false, true] {
                    let recorder = failing(failure);
                    let trace = recorder.trace.clone();
                    let (client, _) = connect(&service(recorder));
                    client.send(OLD);
                    if half_closed {
                        client.end_sending();
                    }
                    cases.push((name, client, trace));
                }
            }
            // All of them have the same second to read.
            for (name, client, trace) in cases {
                let all = until_reset(&client).await;
                assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("\r\n\r\nhalf"), "{name}: {all}");
                until(|| trace.has("close")).await;
            }
        });
    });
}

/// The server ends it, and not the application.
#[test]
fn a_body_that_ends_with_the_connection_is_cut_by_a_close() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => {
                begin(&connection)?;
                connection.write(b"half")?;
                std::future::pending().await
            }
            _ => done(),
        });
        let (client, connection) = connect(&service(recorder));
        client.send(OLD);
        assert_eq!(client.head().await.status, 200);
        connection.close();
        assert_eq!(until_reset(&client).await, "half");
    });
}

/// The application is done, but not all that it wrote is sent.
#[test]
fn a_body_that_ends_with_the_connection_is_cut_by_a_close_as_long_as_it_is_unsent() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => {
                begin(&connection)?;
                connection.write(&vec![b'x'; 30_000_000])?;
                Ok(connection.finish()?)
            }
            _ => done(),
        });
        let trace = recorder.trace.clone();
        let (client, connection) = connect(&service(recorder));
        client.send(OLD);
        until(|| trace.has("finish done")).await;
        turns(5).await;
        connection.close();
        assert!(until_reset(&client).await.len() < 30_000_000);
    });
}

#[test]
fn a_whole_body_that_ends_with_the_connection_ends_in_order() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => {
                begin(&connection)?;
                connection.write(b"all of ")?;
                connection.flush().await?;
                connection.write(b"it")?;
                Ok(connection.finish()?)
            }
            _ => done(),
        });
        let (client, _) = connect(&service(recorder));
        client.send(OLD);
        assert_eq!(client.response().await.text(), "all of it");
    });
}

/// What is unsent when the application fails goes to a client that takes it.
#[test]
fn much_of_a_cut_body_arrives() {
    const MUCH: usize = 4 << 20;
    logged(|| {
        run(async {
            for request in [OLD, NEW] {
                let recorder = Recorder::new(async |connection: Connection, call| match call {
                    Call::Finish(_) => {
                        begin(&connection)?;
                        connection.write(&vec![b'x'; MUCH])?;
                        Err("half is all there is".into())
                    }
                    _ => done(),
                });
                let (client, _) = connect(&service(recorder));
                client.send(request);
                assert_eq!(client.head().await.status, 200);
                let all = if request == OLD { until_reset(&client).await } else { text(client.rest().await) };
                assert_eq!(all.matches('x').count(), MUCH);
            }
        });
    });
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// A TCP socket that takes nothing until it is told to.
struct Gated {
    socket: TcpStream,
    full: Rc<Cell<bool>>,
}

impl Transport for Gated {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buf)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.full.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.socket.write_vectored(bufs)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(std::net::Shutdown::Write)
    }
}

/// What lets the server's side of [`gated`] send.
struct Opener(Rc<Cell<bool>>, Raiser);

impl Opener {
    fn open(&self) {
        self.0.set(false);
        self.1.raise(Ready::WRITABLE);
    }
}

/// A client, and a server's side whose every answer stays unsent for a time.
fn gated(service: &Http1Service) -> (Client, Opener) {
    let (client, server) = tcp_sockets();
    server.set_nonblocking(true).unwrap();
    let full = Rc::new(Cell::new(true));
    let server = IoStream::new(Gated { socket: server, full: full.clone() }, StreamOptions::new()).unwrap();
    let opener = Opener(full, server.raiser());
    Http1ServerConnection::start_serving(server, context(), service);
    (Client::new(IoStream::from_tcp(client, StreamOptions::new()).unwrap()), opener)
}

/// A cut answer takes none with it that was complete before, though it be unsent.
#[test]
fn answers_before_a_cut_one_arrive() {
    for (name, failure) in FAILURES {
        logged(|| {
            run(async move {
                let recorder = failing(failure);
                let trace = recorder.trace.clone();
                let (client, opener) = gated(&service(recorder));
                client.send([WHOLE, NEW, WHOLE].concat());
                until(|| trace.count("drop") >= 2).await;
                turns(5).await;
                opener.open();
                assert_eq!(client.response().await.brief(), (200, "/whole"), "{name}");
                assert_eq!(client.head().await.status, 200, "{name}");
                assert_eq!(text(client.rest().await), "4\r\nhalf\r\n", "{name}");
                until(|| trace.has("close")).await;
                assert_eq!(trace.count("start"), 2, "{name}");
            });
        });
    }
}

/// Likewise of one that is shorter than it says.
#[test]
fn answers_before_a_short_one_arrive() {
    for looks in [false, true] {
        logged(|| {
            run(async move {
                let recorder = Recorder::new(move |connection: Connection, call| async move {
                    match call {
                        Call::Finish(path) if path == "/cut" => {
                            let headers = HttpHeaders::from_static(&[("Content-Length", "42")]);
                            connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &headers, b"half")?;
                            let finished = connection.finish();
                            assert_eq!(connection.write(b"x"), Err(HttpOutputError::Closed));
                            if looks { Ok(finished?) } else { done() }
                        }
                        Call::Finish(path) => ok(&connection, path),
                        _ => done(),
                    }
                });
                let trace = recorder.trace.clone();
                let (client, opener) = gated(&service(recorder));
                client.send([WHOLE, NEW, WHOLE].concat());
                until(|| trace.count("drop") >= 2).await;
                turns(5).await;
                opener.open();
                assert_eq!(client.response().await.brief(), (200, "/whole"));
                assert_eq!(client.head().await.field("content-length"), Some("42"));
                assert_eq!(text(client.rest().await), "half");
                until(|| trace.has("close")).await;
                assert_eq!(trace.count("start"), 2);
            });
        });
    }
}

/// Nor does a request that its client breaks off.
#[test]
fn answers_before_a_request_that_ends_early_arrive() {
    run(async {
        let recorder = failing(|_| done());
        let trace = recorder.trace.clone();
        let (client, opener) = gated(&service(recorder));
        client.send([WHOLE, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"].concat());
        client.end_sending();
        until(|| trace.count("drop") >= 2).await;
        assert_eq!(trace.count("connection close"), 1);
        turns(5).await;
        opener.open();
        assert_eq!(client.response().await.brief(), (200, "/whole"));
        client.end().await;
        until(|| trace.has("close")).await;
    });
}

/// Whoever else writes the response learns that nobody gets more of it, although the connection is still there.
#[test]
fn a_cut_response_takes_nothing_more() {
    let ((), lines) = logged(|| {
        run(async {
            let kept: Rc<RefCell<Option<Connection>>> = Rc::default();
            let recorder = Recorder::new({
                let kept = kept.clone();
                move |connection: Connection, call| {
                    let kept = kept.clone();
                    async move {
                        if let Call::Finish(_) = call {
                            begin(&connection)?;
                            kept.replace(Some(connection));
                            return Err("half is all there is".into());
                        }
                        done()
                    }
                }
            });
            let trace = recorder.trace.clone();
            let (client, server) = connect(&service(recorder));
            client.send(NEW);
            until(|| trace.has("drop")).await;
            turns(5).await;
            assert!(!server.closed(), "the client has time to read");
            let connection = kept.take().unwrap();
            assert_eq!(connection.write(b"x"), Err(HttpOutputError::Closed));
            assert_eq!(connection.finish(), Err(HttpOutputError::Closed));
            let start_line = ResponseStartLine::new(StatusCode::OK);
            assert_eq!(connection.write_response(&start_line, &HttpHeaders::new(), b"x"), Err(HttpOutputError::Closed));
            assert_eq!(connection.write_headers(&start_line, &HttpHeaders::new(), b""), Err(HttpOutputError::Closed));
            connection.set_close_callback(trace.callback("close callback"));
            until(|| trace.has("close callback")).await;
            assert_eq!(client.head().await.status, 200);
            assert_eq!(text(client.rest().await), "");
        });
    });
    assert_eq!(alarms(&lines).len(), 1, "{lines:#?}");
}
