//! No wasted system calls: what a stream asks of its transport, counted.

mod common;

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use common::counting::{Calls, Socket, counted};
use common::*;
use landspout_ioloop::{IoLoop, Ready, Registration};
use landspout_iostream::{CloseCause, IoStream, ReadTarget, StreamError, StreamOptions};

type Counted = (IoStream, Rc<Calls>);

/// A counted pair over TCP and one over Unix sockets: what holds for one must hold for the other.
fn pairs() -> Vec<(Counted, Counted)> {
    fn both(one: impl Socket, other: impl Socket) -> (Counted, Counted) {
        (counted(one, StreamOptions::new()), counted(other, StreamOptions::new()))
    }
    let tcp: (TcpStream, TcpStream) = tcp_sockets();
    let unix = UnixStream::pair().unwrap();
    vec![both(tcp.0, tcp.1), both(unix.0, unix.1)]
}

#[test]
fn a_request_and_its_answer_cost_one_read_and_one_write() {
    run(async {
        for ((client, client_calls), (server, server_calls)) in pairs() {
            let serving = spawn({
                let server = server.clone();
                async move {
                    while let Ok(request) = server.read_until(b"\r\n\r\n", Some(1000)).await {
                        server.write(&request).unwrap();
                    }
                }
            });
            for _ in 0..10 {
                client.write(b"GET / HTTP/1.1\r\n\r\n").unwrap();
                assert_eq!(client.read_until(b"\r\n\r\n", None).await.unwrap(), "GET / HTTP/1.1\r\n\r\n");
                assert_eq!(client_calls.take(), (1, 1));
                assert_eq!(server_calls.take(), (1, 1));
            }
            // Nothing in between, while it is idle.
            turns(10).await;
            assert_eq!((client_calls.take(), server_calls.take()), ((0, 0), (0, 0)));
            client.close();
            serving.await.unwrap();
            assert_eq!(server_calls.take(), (1, 0), "the end costs one read");
            assert_eq!((server_calls.ends.get(), server_calls.empty_reads.get()), (1, 0));
            assert!(server_calls.dropped.get());
        }
    });
}

#[test]
fn pipelined_requests_cost_one_read_and_one_write_together() {
    run(async {
        for ((client, client_calls), (server, server_calls)) in pairs() {
            let serving = spawn({
                let server = server.clone();
                async move {
                    while let Ok(request) = server.read_until(b"\n", None).await {
                        server.write(&request).unwrap();
                    }
                }
            });
            for _ in 0..16 {
                client.write(b"request\n").unwrap();
            }
            assert_eq!(client.read_bytes(16 * 8).await.unwrap(), "request\n".repeat(16));
            assert_eq!(client_calls.take(), (1, 1));
            assert_eq!(server_calls.take(), (1, 1));
            client.close();
            serving.await.unwrap();
        }
    });
}

#[test]
fn many_small_writes_of_a_turn_are_one() {
    run(async {
        for ((client, calls), (server, _)) in pairs() {
            for n in 0..1000_u32 {
                client.write(&n.to_be_bytes()).unwrap();
            }
            assert_eq!(calls.take(), (0, 0));
            turns(2).await;
            assert_eq!(calls.take(), (0, 1));
            assert_eq!(server.read_bytes(4000).await.unwrap().len(), 4000);
            // The buffered and the large piece behind it leave together.
            client.write(b"small").unwrap();
            client.write(&[0; 50_000]).unwrap();
            assert_eq!(calls.take(), (0, 1));
            server.read_bytes(50_005).await.unwrap();
            // A close doesn't add to it.
            client.write(b"small").unwrap();
            client.close();
            assert_eq!(calls.take(), (0, 1));
            turns(3).await;
            assert_eq!(calls.take(), (0, 0));
        }
    });
}

#[test]
fn a_read_that_waits_does_not_try() {
    run(async {
        for ((client, _), (server, calls)) in pairs() {
            // A new connection with nothing to read.
            let mut read = Box::pin(server.read_bytes(100));
            for _ in 0..10 {
                assert!(poll_once(read.as_mut()).await.is_none());
                next_turn().await;
            }
            assert_eq!(calls.take(), (0, 0));
            client.write(b"short").unwrap();
            until(|| {
                let waker = std::task::Waker::noop();
                let _ = read.as_mut().poll(&mut std::task::Context::from_waker(waker));
                server.with_buffered(<[u8]>::len) == 5
            })
            .await;
            for _ in 0..10 {
                assert!(poll_once(read.as_mut()).await.is_none());
                next_turn().await;
            }
            // The short read said that this was all.
            assert_eq!(calls.take(), (1, 0));
            assert_eq!(calls.empty_reads.get(), 0);
        }
    });
}

#[test]
fn a_full_read_is_followed_by_another() {
    run(async {
        for ((client, _), (server, calls)) in pairs() {
            client.write(&[b'x'; 4096]).unwrap();
            // Exactly what is there: only a further read can tell that it was all.
            let mut memory = [0; 4096];
            server.read_into(&mut ReadTarget::new(&mut memory)).await.unwrap();
            assert_eq!(calls.take(), (1, 0));
            let mut read = Box::pin(server.read_bytes(1));
            assert!(poll_once(read.as_mut()).await.is_none());
            assert_eq!((calls.take(), calls.empty_reads.take()), ((1, 0), 1));
            turns(5).await;
            assert!(poll_once(read.as_mut()).await.is_none());
            assert_eq!(calls.take(), (0, 0), "once");
            client.write(b"y").unwrap();
            assert_eq!(read.await.unwrap(), "y");
            assert_eq!((calls.take(), calls.empty_reads.get()), ((1, 0), 0));
        }
    });
}

#[test]
fn after_the_peers_close_it_is_read_to_the_end() {
    run(async {
        for ((client, _), (server, calls)) in pairs() {
            client.write(b"last words").unwrap();
            client.close();
            until(|| server.peer_has_closed()).await;
            assert_eq!(server.read_bytes(4).await.unwrap(), "last");
            assert_eq!(calls.take(), (1, 0));
            // The first read was short, but after it comes no event any more.
            assert_eq!(server.read_until_close().await.unwrap(), " words");
            assert_eq!(calls.take(), (1, 0));
            assert_eq!((calls.ends.get(), calls.empty_reads.get()), (1, 0));
        }
    });
}

#[test]
fn nothing_is_read_for_nobody() {
    run(async {
        for ((client, _), (server, calls)) in pairs() {
            server.set_close_callback(Some(Box::new(|| {})));
            client.write(&[b'x'; 1000]).unwrap();
            turns(10).await;
            assert_eq!(calls.take(), (0, 0));
            // Neither is anything written for nobody.
            server.write(b"").unwrap();
            server.flush().await.unwrap();
            turns(3).await;
            assert_eq!(calls.take(), (0, 0));
            // The callback's notice takes one read for the data and, when that was consumed, one for the end.
            client.close();
            until(|| server.peer_has_closed()).await;
            turns(5).await;
            assert_eq!(calls.take(), (1, 0));
            server.consume(1000);
            until(|| server.closed()).await;
            assert_eq!((calls.take(), calls.empty_reads.get()), ((1, 0), 0));
        }
    });
}

#[test]
fn a_full_peer_is_left_alone_until_it_reads() {
    run(async {
        for ((client, calls), (server, _)) in pairs() {
            client.write(&vec![0; 30_000_000]).unwrap();
            turns(3).await;
            calls.take();
            let left = client.pending_write();
            assert!(left > 0);
            // More is accepted and waits, awaited or not, small or large.
            for _ in 0..10 {
                let mut written = Box::pin(client.write(&[0; 20_000]).unwrap());
                assert!(poll_once(written.as_mut()).await.is_none());
                client.write(b"x").unwrap();
                next_turn().await;
            }
            // The kernel may have moved some to the peer's side meanwhile; nothing was tried in vain.
            let (reads, writes) = calls.take();
            assert_eq!((reads, calls.full_writes.get()), (0, 0));
            assert!(writes <= 10, "{writes}");
            server.read_bytes(30_000_000 + 200_010).await.unwrap();
            assert_eq!(calls.full_writes.get(), 0, "no write was in vain");
        }
    });
}

/// A socket that was full before it became a stream: one write finds out, and no other is tried before there is room.
#[test]
fn a_write_that_finds_no_room_is_not_repeated() {
    run(async {
        let (mut socket, peer) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut full = 0;
        while let Ok(n) = std::io::Write::write(&mut socket, &[0; 10_000]) {
            full += n;
        }
        let (client, calls) = counted(socket, StreamOptions::new());
        for _ in 0..10 {
            client.write(b"x").unwrap();
            next_turn().await;
        }
        assert_eq!((calls.take(), calls.full_writes.take()), ((0, 1), 1));
        let server = IoStream::from_unix(peer, StreamOptions::new()).unwrap();
        server.read_bytes(full + 10).await.unwrap();
        assert_eq!((calls.take(), calls.full_writes.take()), ((0, 1), 0));
    });
}

#[test]
fn a_large_read_goes_straight_into_the_callers_memory() {
    const SIZE: usize = 4_000_000;
    run(async {
        for ((client, _), (server, calls)) in pairs() {
            client.write(&vec![b'x'; SIZE]).unwrap();
            let mut memory = vec![0; SIZE];
            server.read_into(&mut ReadTarget::new(&mut memory)).await.unwrap();
            assert!(memory.iter().all(|byte| *byte == b'x'));
            assert_eq!(calls.largest_asked.take(), SIZE, "not by way of a buffer");
            // A small one fetches more than was asked for.
            client.write(b"0123456789").unwrap();
            assert_eq!(server.read_into_partial(&mut memory[..4]).await, Ok(4));
            assert_eq!((calls.largest_asked.get(), server.with_buffered(<[u8]>::len)), (65_536, 6));
        }
    });
}

/// The first flight; then the session tickets, which wait for the answer, with that and the goodbye.
#[cfg(feature = "tls")]
#[test]
fn a_server_needs_two_writes_for_a_handshake_its_answer_and_the_goodbye() {
    use common::tls::{NAME, client_config, server};
    use std::io::{Read, Write};

    run(async {
        let (one, mut socket) = tcp_sockets();
        let (stream, calls) = counted(one, StreamOptions::new());
        // Many clients send their last message of the handshake and the request together.
        let thread = std::thread::spawn(move || {
            let name = NAME.try_into().unwrap();
            let mut session = rustls::ClientConnection::new(std::sync::Arc::new(client_config()), name).unwrap();
            session.writer().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            rustls::Stream::new(&mut session, &mut socket).read_to_string(&mut answer).unwrap();
            answer
        });
        stream.begin_tls(server()).unwrap();
        let request = stream.read_until(b"\r\n\r\n", None).await.unwrap();
        stream.write(&request).unwrap();
        stream.close_when_flushed();
        assert_eq!(calls.writes.get(), 2);
        assert_eq!(thread.join().unwrap(), "GET / HTTP/1.0\r\n\r\n");
    });
}

/// A server that refuses its certificate would otherwise close with the request unread, and the reset might overtake the reason.
#[cfg(feature = "tls")]
#[test]
fn a_client_sends_what_ends_its_handshake_at_once() {
    use common::tls::{client, server};

    run(async {
        for ((one, calls), (other, _)) in pairs() {
            one.begin_tls(client()).unwrap();
            other.begin_tls(server()).unwrap();
            one.write(b"request").unwrap();
            other.read_bytes(7).await.unwrap();
            assert_eq!(calls.writes.get(), 3);
        }
    });
}

/// The sockets are registered already, so that to register them once more fails: that shows that nobody tries.
#[test]
fn who_is_answered_at_once_and_leaves_costs_the_poller_nothing() {
    run(async {
        let (tcp, unix) = (tcp_sockets(), UnixStream::pair().unwrap());
        tcp.0.set_nonblocking(true).unwrap();
        unix.0.set_nonblocking(true).unwrap();
        let io_loop = IoLoop::current();
        let _registered = (
            Registration::new(&io_loop, tcp.0.as_fd(), Ready::NONE).unwrap(),
            Registration::new(&io_loop, unix.0.as_fd(), Ready::NONE).unwrap(),
        );
        let options = StreamOptions::new();
        let peers = [IoStream::from_tcp(tcp.1, options).unwrap(), IoStream::from_unix(unix.1, options).unwrap()];
        for peer in &peers {
            peer.write(b"request\n").unwrap();
        }
        turns(2).await;
        let servers = [
            IoStream::from_accepted_tcp(tcp.0, options, false, Rc::new(|| {})).unwrap(),
            IoStream::from_accepted_unix(unix.0, options, Rc::new(|| {})).unwrap(),
        ];
        for (server, peer) in servers.into_iter().zip(peers) {
            assert_eq!(server.read_until(b"\n", None).await.unwrap(), "request\n");
            server.write(b"answer\n").unwrap();
            assert_eq!(peer.read_until(b"\n", None).await.unwrap(), "answer\n");
            assert!(!server.closed());
            // Now it has to wait.
            let end = server.read_until(b"\n", None).await.unwrap_err();
            assert!(matches!(end, StreamError::Closed(Some(CloseCause::Io(_)))), "{end:?}");
            assert!(server.closed());
        }
    });
}

/// What comes before it is watched, and what comes later, the end included.
#[test]
fn an_accepted_stream_misses_nothing() {
    run(async {
        let (tcp, unix) = (tcp_sockets(), UnixStream::pair().unwrap());
        tcp.0.set_nonblocking(true).unwrap();
        unix.0.set_nonblocking(true).unwrap();
        let options = StreamOptions::new();
        let pairs = [
            (
                IoStream::from_accepted_tcp(tcp.0, options, false, Rc::new(|| {})).unwrap(),
                IoStream::from_tcp(tcp.1, options).unwrap(),
            ),
            (
                IoStream::from_accepted_unix(unix.0, options, Rc::new(|| {})).unwrap(),
                IoStream::from_unix(unix.1, options).unwrap(),
            ),
        ];
        for (server, peer) in pairs {
            peer.write(b"one\n").unwrap().await.unwrap();
            assert_eq!(server.read_until(b"\n", None).await.unwrap(), "one\n");
            // Nobody waits while it comes.
            peer.write(b"two\n").unwrap().await.unwrap();
            turns(2).await;
            assert_eq!(server.read_until(b"\n", None).await.unwrap(), "two\n");
            let later = spawn(async move { server.read_until(b"\n", None).await.map(|line| (line, server)) });
            turns(2).await;
            peer.write(b"three\n").unwrap().await.unwrap();
            let (line, server) = later.await.unwrap().unwrap();
            assert_eq!(line, "three\n");
            peer.close();
            assert_eq!(server.read_until(b"\n", None).await.unwrap_err(), StreamError::Closed(None));
        }
    });
}

/// Who never reads, and only looks from time to time whether anybody is there.
#[test]
fn an_accepted_stream_tells_of_its_peers_end_without_a_read() {
    run(async {
        let (socket, peer) = tcp_sockets();
        socket.set_nonblocking(true).unwrap();
        let server = IoStream::from_accepted_tcp(socket, StreamOptions::new(), false, Rc::new(|| {})).unwrap();
        assert!(!server.peer_has_closed() && !server.peer_is_gone());
        drop(peer);
        while !server.peer_has_closed() {
            turns(1).await;
        }
    });
}
