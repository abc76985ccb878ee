//! Connecting: to whom, what may be done before the connection stands, and how it fails. And a whole exchange over it.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::pin::pin;

use common::*;
use landspout_ioloop::IoLoop;
use landspout_iostream::{IoStream, StreamError, StreamOptions};
use socket2::{Domain, SockAddr, Socket, Type};

/// A listener and its address.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where nobody listens: it was a listener's until now.
fn refusing_address() -> SocketAddr {
    listener().1
}

/// A stream that is about to connect.
fn connecting(address: SocketAddr) -> IoStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    IoStream::connecting(socket, &address.into(), StreamOptions::new()).unwrap()
}

/// The other end.
fn accept(listener: &TcpListener) -> IoStream {
    IoStream::from_tcp(listener.accept().unwrap().0, StreamOptions::new()).unwrap()
}

#[test]
fn connect_over_tcp() {
    run(async {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may be without IPv6.
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let address = listener.local_addr().unwrap();
            let client = IoStream::connect(address).await.unwrap();
            let server = accept(&listener);
            assert_eq!(client.peer_addr(), Some(address));
            assert_eq!(server.peer_addr().unwrap().ip(), address.ip());
            client.write(b"ping").unwrap();
            assert_eq!(server.read_bytes(4).await.unwrap(), "ping");
            server.write(b"pong").unwrap();
            assert_eq!(client.read_bytes(4).await.unwrap(), "pong");
            client.connected().await.unwrap();
            client.close();
            assert_closed_cleanly(&client.connected().await);
            assert_eq!(client.peer_addr(), None);
        }
    });
}

#[test]
fn connect_to_a_unix_socket() {
    run(async {
        let path = temporary_path("connect");
        let listener = UnixListener::bind(&path).unwrap();
        let client = IoStream::connect_unix(&path).await.unwrap();
        let server = IoStream::from_unix(listener.accept().unwrap().0, StreamOptions::new()).unwrap();
        assert_eq!(client.peer_addr(), None);
        client.write(b"ping").unwrap();
        assert_eq!(server.read_bytes(4).await.unwrap(), "ping");
        server.close();
        assert_eq!(client.read_until_close().await.unwrap(), "");
        // Nobody listens any more, and then the file is gone too.
        drop(listener);
        assert_closed_by(&IoStream::connect_unix(&path).await, ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        assert_closed_by(&IoStream::connect_unix(&path).await, ErrorKind::NotFound);
    });
}

/// A Unix socket with a full backlog refuses with EAGAIN, after which no event would come.
#[test]
#[cfg(target_os = "linux")]
fn a_full_unix_backlog_is_an_error_and_no_hang() {
    run(async {
        let path = temporary_path("backlog");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(1).unwrap();
        let mut streams = Vec::new();
        let refused = loop {
            match IoStream::connect_unix(&path).await {
                Ok(stream) => streams.push(stream),
                refused => break refused,
            }
            assert!(streams.len() < 10);
        };
        std::fs::remove_file(&path).unwrap();
        assert_closed_by(&refused, ErrorKind::WouldBlock);
    });
}

/// Tornado: TestIOStreamMixin.test_connection_refused.
#[test]
fn connection_refused() {
    let ((), lines) = logged(|| {
        run(async {
            assert_closed_by(&IoStream::connect(refusing_address()).await, ErrorKind::ConnectionRefused);

            let stream = connecting(refusing_address());
            let order = Trace::default();
            stream.set_close_callback(order.callback("callback"));
            let (written, trace) = (stream.write(b"never sent").unwrap(), order.clone());
            let writer = spawn(async move {
                let result = written.await;
                trace.push("write");
                result
            });
            let (reading, trace) = (stream.clone(), order.clone());
            let reader = spawn(async move {
                let result = reading.read_bytes(1).await;
                trace.push("read");
                result
            });
            assert_closed_by(&stream.connected().await, ErrorKind::ConnectionRefused);
            assert!(stream.closed());
            assert_eq!(stream.error().unwrap().io_kind(), Some(ErrorKind::ConnectionRefused));
            assert_closed_by(&writer.await.unwrap(), ErrorKind::ConnectionRefused);
            assert_closed_by(&reader.await.unwrap(), ErrorKind::ConnectionRefused);
            assert_closed_by(&stream.write(b"x"), ErrorKind::ConnectionRefused);
            until(|| order.len() == 3).await;
            assert_eq!(order.take()[2], "callback", "the callback comes last");
        });
    });
    assert!(lines.is_empty(), "a refusal is the caller's to log: {lines:?}");
}

/// Tornado: TestIOStreamWebMixin.test_write_while_connecting. Whichever is asked first: the connection stands before the
/// bytes are out.
#[test]
fn write_while_connecting() {
    for write_first in [false, true] {
        run(async move {
            let (listener, address) = listener();
            let stream = connecting(address);
            let written = stream.write(b"hello").unwrap();
            assert_eq!(stream.pending_write(), 5);
            let order = Trace::default();
            let connect = {
                let (stream, order) = (stream.clone(), order.clone());
                async move {
                    stream.connected().await.unwrap();
                    order.push("connected");
                }
            };
            let write = {
                let order = order.clone();
                async move {
                    written.await.unwrap();
                    order.push("written");
                }
            };
            let (one, other) = if write_first {
                let write = spawn(write);
                (write, spawn(connect))
            } else {
                let connect = spawn(connect);
                (connect, spawn(write))
            };
            let server = accept(&listener);
            assert_eq!(server.read_bytes(5).await.unwrap(), "hello");
            one.await.unwrap();
            other.await.unwrap();
            assert_eq!(order.take(), ["connected", "written"]);
        });
    }
}

/// A task that waits for both does not go round in circles.
#[test]
fn waiting_for_connection_and_write_together_does_not_spin() {
    run(async {
        let (_listener, address) = listener();
        let stream = connecting(address);
        let written = stream.write(b"hello").unwrap();
        let polls = std::rc::Rc::new(std::cell::Cell::new(0));
        let both = spawn({
            let (stream, polls) = (stream.clone(), polls.clone());
            async move {
                let (mut connected, mut written) = (pin!(stream.connected()), pin!(written));
                let (mut is_connected, mut is_written) = (false, false);
                std::future::poll_fn(|cx| {
                    polls.set(polls.get() + 1);
                    is_connected = is_connected || connected.as_mut().poll(cx).is_ready();
                    is_written = is_written || written.as_mut().poll(cx).is_ready();
                    if is_connected && is_written { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
                })
                .await;
            }
        });
        // The poller has had no turn yet, so the connection can't have been noticed.
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(polls.get(), 1);
        both.await.unwrap();
        assert!(polls.get() <= 4, "{}", polls.get());
    });
}

#[test]
fn several_tasks_wait_for_one_connection() {
    run(async {
        let (_listener, address) = listener();
        let stream = connecting(address);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let stream = stream.clone();
                spawn(async move { stream.connected().await })
            })
            .collect();
        for task in waiting {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert_eq!(stream.connected().await, Ok(()));
    });
}

#[test]
fn a_read_waits_for_the_connection() {
    run(async {
        let (listener, address) = listener();
        let stream = connecting(address);
        let mut read = pin!(stream.read_until(b"\n", None));
        assert!(poll_once(read.as_mut()).await.is_none());
        let server = accept(&listener);
        server.write(b"welcome\n").unwrap();
        assert_eq!(read.await.unwrap(), "welcome\n");
    });
}

/// To ask the kernel whether it takes more doesn't make a connection of one that is under way.
#[test]
fn a_flush_while_connecting_says_nothing_of_the_connection() {
    run(async {
        let (listener, address) = listener();
        let stream = connecting(address);
        let written = stream.write(b"early").unwrap();
        let mut connected = pin!(stream.connected());
        for _ in 0..2 {
            stream.try_flush().unwrap();
            assert!(poll_once(connected.as_mut()).await.is_none());
        }
        assert_eq!(connected.await, Ok(()));
        written.await.unwrap();
        assert_eq!(accept(&listener).read_bytes(5).await.unwrap(), "early");
    });
}

#[test]
fn close_while_connecting() {
    run(async {
        let (listener, address) = listener();
        let stream = connecting(address);
        let closed = Trace::default();
        stream.set_close_callback(closed.callback("closed"));
        let written = stream.write(b"never sent").unwrap();
        let mut connected = pin!(stream.connected());
        assert!(poll_once(connected.as_mut()).await.is_none());
        stream.close();
        assert_closed_cleanly(&connected.await);
        assert_closed_cleanly(&written.await);
        next_turn().await;
        assert_eq!(closed.take(), ["closed"]);
        assert_eq!(accept(&listener).read_until_close().await.unwrap(), "");
    });
}

#[test]
fn dropping_the_future_gives_up() {
    run(async {
        let (listener, address) = listener();
        {
            let mut connect = pin!(IoStream::connect(address));
            assert!(poll_once(connect.as_mut()).await.is_none());
        }
        assert_eq!(accept(&listener).read_until_close().await.unwrap(), "");
    });
}

/// What was accepted while connecting is sent, whether a handle is left or not, and however it is closed gently.
#[test]
fn accepted_bytes_are_sent_once_connected() {
    run(async {
        let data = Random::new(1).bytes(3_000_000);
        for way in ["drop", "close_when_flushed", "shutdown_write"] {
            let (listener, address) = listener();
            let stream = connecting(address);
            let written = stream.write(&data).unwrap();
            let client = match way {
                "drop" => {
                    drop(written);
                    drop(stream);
                    None
                }
                "close_when_flushed" => {
                    stream.close_when_flushed();
                    stream.close_when_flushed();
                    assert_closed_cleanly(&stream.write(b"too late"));
                    assert_closed_cleanly(&stream.read_bytes(1).await);
                    assert!(!stream.closed());
                    Some(spawn(async move {
                        written.await.unwrap();
                        until(|| stream.closed()).await;
                        assert_eq!(stream.error(), None);
                    }))
                }
                _ => Some(spawn(async move {
                    stream.shutdown_write().await.unwrap();
                    assert_eq!(stream.read_bytes(6).await.unwrap(), "thanks");
                    stream.close();
                })),
            };
            let server = accept(&listener);
            assert!(server.read_bytes(data.len()).await.unwrap() == data, "{way}");
            if way == "shutdown_write" {
                server.write(b"thanks").unwrap().await.unwrap();
            }
            assert_eq!(server.read_until_close().await.unwrap(), "", "{way}");
            if let Some(client) = client {
                client.await.unwrap();
            }
        }
        // The writing side of a connection to be can be ended too, with nothing written.
        let (listener, address) = listener();
        let stream = connecting(address);
        let mut ended = pin!(stream.shutdown_write());
        assert!(poll_once(ended.as_mut()).await.is_none(), "the poller has not told of the connection yet");
        ended.await.unwrap();
        assert_eq!(accept(&listener).read_until_close().await.unwrap(), "");
        assert!(!stream.closed());
        // With nothing to send there is nothing to wait for.
        let stream = connecting(address);
        stream.close_when_flushed();
        assert!(stream.closed());
    });
}

#[test]
fn what_connect_refuses_at_once_is_an_error_of_the_call() {
    run(async {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address: SocketAddr = "[::1]:1".parse().unwrap();
        let refused = IoStream::connecting(socket, &address.into(), StreamOptions::new());
        assert!(refused.is_err(), "an IPv4 socket connects to no IPv6 address");
        let too_long = "x".repeat(200);
        assert!(matches!(IoStream::connect_unix(&too_long).await, Err(StreamError::Closed(Some(_)))));
    });
}

/// A server of one canned answer, with a blocking socket on a thread of its own: reads a request head, answers, closes.
fn canned_server(body: &'static str) -> (SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
    let (listener, address) = listener();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(socket.read(&mut byte).unwrap(), 1);
            request.push(byte[0]);
        }
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body.as_bytes()).unwrap();
        request
    });
    (address, thread)
}

/// Tornado: TestIOStreamWebMixin.test_future_interface.
#[test]
fn future_interface() {
    run(async {
        let (address, server) = canned_server("Hello");
        let stream = IoStream::connect(address).await.unwrap();
        stream.write(b"GET / HTTP/1.0\r\n\r\n").unwrap().await.unwrap();
        assert_eq!(stream.read_until(b"\r\n", None).await.unwrap(), "HTTP/1.0 200 OK\r\n");
        let head = stream.read_until(b"\r\n\r\n", None).await.unwrap();
        let length = std::str::from_utf8(&head).unwrap().trim().strip_prefix("Content-Length: ").unwrap();
        assert_eq!(stream.read_bytes(length.parse().unwrap()).await.unwrap(), "Hello");
        assert_eq!(server.join().unwrap(), b"GET / HTTP/1.0\r\n\r\n");
    });
}

/// Tornado: TestIOStreamWebMixin.test_read_until_close and test_future_read_until_close.
#[test]
fn future_read_until_close() {
    run(async {
        let (address, server) = canned_server("Hello");
        let stream = IoStream::connect(address).await.unwrap();
        stream.write(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(stream.read_until(b"\r\n\r\n", None).await.unwrap().len(), 38);
        assert_eq!(stream.read_until_close().await.unwrap(), "Hello");
        assert_closed_cleanly(&stream.read_bytes(1).await);
        server.join().unwrap();
    });
}

/// Tornado: TestIOStreamWebMixin.test_future_close_while_reading and test_connection_closed.
#[test]
fn future_close_while_reading() {
    run(async {
        let (address, server) = canned_server("Hello");
        let stream = IoStream::connect(address).await.unwrap();
        let closed = Trace::default();
        stream.set_close_callback(closed.callback("closed"));
        stream.write(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        assert_closed_cleanly(&stream.read_bytes(1 << 20).await);
        server.join().unwrap();
        next_turn().await;
        assert_eq!(closed.take(), ["closed"]);
        assert!(stream.read_until_close().await.unwrap().ends_with(b"\r\n\r\nHello"));
    });
}

/// Tornado makes a stream first and connects it; ours is made connecting. Neither blocks the loop.
#[test]
fn connecting_does_not_block() {
    run(async {
        let (_listener, address) = listener();
        let ran = Trace::default();
        let stream = connecting(address);
        let trace = ran.clone();
        IoLoop::current().add_callback(move || trace.push("callback"));
        assert!(ran.is_empty());
        stream.connected().await.unwrap();
        assert_eq!(ran.take(), ["callback"]);
    });
}
