//! How many connections there are, how many there may be, and how a server ends with those it has.

mod common;

use std::rc::Rc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{IoLoop, ManualClock};
use landspout_iostream::{CloseCause, IoStream, StreamError, StreamOptions};
use landspout_netutil::bind_unix_socket;
use landspout_tcpserver::{TcpServer, TcpServerOptions};

/// Says hello and stays until the client leaves.
fn polite(options: TcpServerOptions) -> TcpServer {
    options.handler(async |stream: IoStream, _| {
        stream.write(b"hello")?;
        stream.read_until_close().await.map(drop)
    })
}

async fn client(server: &TcpServer) -> IoStream {
    IoStream::connect(server.addresses()[0]).await.unwrap()
}

async fn greeted(stream: &IoStream) {
    assert_eq!(stream.read_bytes(5).await.unwrap(), "hello");
}

fn counted(server: &TcpServer) -> (usize, u64, u64) {
    let counts = server.connections();
    (counts.open, counts.accepted, counts.refused)
}

#[test]
fn connections_are_counted() {
    run(async {
        let server = polite(TcpServerOptions::new());
        server.listen(0, "127.0.0.1").unwrap();
        assert_eq!(counted(&server), (0, 0, 0));
        let (one, other) = (client(&server).await, client(&server).await);
        greeted(&one).await;
        greeted(&other).await;
        assert_eq!(counted(&server), (2, 2, 0));
        one.close();
        until(|| counted(&server) == (1, 2, 0)).await;
        other.close();
        until(|| counted(&server) == (0, 2, 0)).await;
    });
}

/// Whoever holds the stream, and however it ends: the descriptor counts.
#[test]
fn a_connection_is_open_as_long_as_its_descriptor() {
    run(async {
        let kept = Rc::new(std::cell::RefCell::new(Vec::new()));
        let server = TcpServerOptions::new().on_stream({
            let kept = kept.clone();
            move |stream, _| kept.borrow_mut().push(stream)
        });
        server.listen(0, "127.0.0.1").unwrap();
        let path = std::env::temp_dir().join(format!("landspout-connections-{}", std::process::id()));
        server.add_socket(bind_unix_socket(&path).unwrap()).unwrap();
        let _clients = (client(&server).await, client(&server).await, IoStream::connect_unix(&path).await.unwrap());
        std::fs::remove_file(&path).unwrap();
        until(|| counted(&server) == (3, 3, 0)).await;
        kept.borrow()[0].close();
        assert_eq!(counted(&server).0, 2, "closed, and still held");
        let clone = kept.borrow()[1].clone();
        let dropped = kept.take();
        drop(dropped);
        assert_eq!(counted(&server).0, 1);
        drop(clone);
        assert_eq!(counted(&server).0, 0);
    });
}

/// Tornado issue 2860. Nobody is refused: who comes too early waits in the backlog.
#[test]
fn at_the_limit_clients_wait() {
    run(async {
        let server = polite(TcpServerOptions::new().max_connections(2));
        // Two listeners share the limit.
        server.listen(0, "127.0.0.1").unwrap();
        server.listen(0, "127.0.0.1").unwrap();
        let addresses = server.addresses();
        let mut clients = Vec::new();
        for n in 0..6 {
            clients.push(IoStream::connect(addresses[n % 2]).await.unwrap());
        }
        until(|| server.connections().open == 2).await;
        turns(20).await;
        assert_eq!(counted(&server), (2, 2, 0));
        // As clients leave, others are served: all in the end, and never more than two.
        let mut served = 0;
        while !clients.is_empty() {
            turns(1).await;
            assert!(server.connections().open <= 2);
            if let Some(at) = clients.iter().position(|client| client.with_buffered(|bytes| bytes.len() == 5)) {
                clients.swap_remove(at).close();
                served += 1;
            }
            for client in &clients {
                let _ = poll_once(Box::pin(client.read_bytes(6)).as_mut()).await;
            }
        }
        assert_eq!(served, 6);
        until(|| counted(&server) == (0, 6, 0)).await;
        // A listener that is added at the limit waits, too.
        let full = [client(&server).await, client(&server).await];
        greeted(&full[0]).await;
        greeted(&full[1]).await;
        server.listen(0, "127.0.0.1").unwrap();
        let late = IoStream::connect(*server.addresses().last().unwrap()).await.unwrap();
        turns(20).await;
        assert_eq!(server.connections().accepted, 8);
        full[0].close();
        greeted(&late).await;
    });
}

/// Connects from one of loopback's many addresses.
async fn client_from(ip: [u8; 4], server: &TcpServer) -> IoStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&server.addresses()[0].into()).unwrap();
    IoStream::from_tcp(socket.into(), StreamOptions::new()).unwrap()
}

#[test]
fn a_peer_with_enough_connections_is_refused() {
    run(async {
        let path = std::env::temp_dir().join(format!("landspout-per-peer-{}", std::process::id()));
        // Whether the server lists its connections or not.
        for listed in [true, false] {
            let options = TcpServerOptions::new().max_connections_per_peer(2);
            let server = if listed {
                polite(options)
            } else {
                options.on_stream(|stream, _| {
                    stream.write(b"hello").unwrap();
                    IoLoop::current().spawn(async move { stream.read_until_close().await.map(drop) });
                })
            };
            server.listen(0, "127.0.0.1").unwrap();
            let (me, another) = ([127, 0, 0, 1], [127, 0, 0, 2]);
            let mine = [client_from(me, &server).await, client_from(me, &server).await];
            let theirs = client_from(another, &server).await;
            for client in mine.iter().chain([&theirs]) {
                greeted(client).await;
            }
            let refused = client_from(me, &server).await;
            assert_eq!(refused.read_until_close().await.unwrap(), "", "closed without a word");
            let counts = server.connections();
            assert_eq!((counts.open, counts.accepted, counts.refused, counts.refused_per_peer), (3, 4, 0, 1));
            // A place is free again as soon as a connection is closed.
            mine[0].close();
            until(|| server.connections().open == 2).await;
            greeted(&client_from(me, &server).await).await;
            until(|| server.connections().open == 2).await;
            // Clients without an address are not told apart.
            server.add_socket(bind_unix_socket(&path).unwrap()).unwrap();
            let mut local = Vec::new();
            for _ in 0..3 {
                local.push(IoStream::connect_unix(&path).await.unwrap());
                greeted(&local[local.len() - 1]).await;
            }
            std::fs::remove_file(&path).unwrap();
            assert_eq!(server.connections().refused_per_peer, 1);
            server.stop();
        }
    });
}

#[test]
fn without_a_limit_for_peers_there_is_none() {
    run(async {
        for limit in [None, Some(0)] {
            let server = polite(TcpServerOptions::new().max_connections_per_peer(1).max_connections_per_peer(limit));
            server.listen(0, "127.0.0.1").unwrap();
            let mut clients = Vec::new();
            for _ in 0..20 {
                clients.push(client(&server).await);
                greeted(&clients[clients.len() - 1]).await;
            }
            assert_eq!(server.connections().refused_per_peer, 0);
        }
    });
}

/// The handler waits for nothing, and has no deadline of its own.
#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    io_loop
        .run_sync(async move {
            let limit = Duration::from_secs(60);
            let failed = Rc::new(std::cell::RefCell::new(None));
            let server = TcpServerOptions::new().send_timeout(limit).handler({
                let failed = failed.clone();
                async move |stream: IoStream, _| {
                    let written = stream.write(&vec![0; 30_000_000])?.await;
                    failed.replace(written.err());
                    Ok::<_, StreamError>(())
                }
            });
            server.listen(0, "127.0.0.1").unwrap();
            let _client = client(&server).await;
            while server.connections().open > 0 || failed.borrow().is_none() {
                landspout_ioloop::sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(failed.take(), Some(StreamError::Closed(Some(CloseCause::SendTimeout { limit }))));
        })
        .unwrap();
}

/// Tornado issue 1791.
#[test]
fn drain_waits_for_those_who_are_served() {
    run(async {
        let server = polite(TcpServerOptions::new());
        server.listen(0, "127.0.0.1").unwrap();
        let address = server.addresses()[0];
        let clients = [client(&server).await, client(&server).await];
        greeted(&clients[0]).await;
        greeted(&clients[1]).await;
        let timeouts = IoLoop::current().pending_timeouts();
        let draining = IoLoop::current().spawn({
            let server = server.clone();
            async move { server.drain(Duration::from_secs(3600)).await }
        });
        turns(3).await;
        assert!(IoStream::connect(address).await.is_err(), "it accepts no more");
        clients[0].close();
        turns(3).await;
        assert!(!draining.is_finished());
        clients[1].close();
        assert_eq!(draining.await.unwrap(), 0);
        assert_eq!(IoLoop::current().pending_timeouts(), timeouts);
        assert_eq!(server.drain(Duration::from_secs(3600)).await, 0, "nothing is left to wait for");
    });
}

#[test]
fn drain_cuts_those_who_stay() {
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    let began = io_loop.now();
    io_loop
        .run_sync(async move {
            let server = polite(TcpServerOptions::new());
            server.listen(0, "127.0.0.1").unwrap();
            let clients = [client(&server).await, client(&server).await, client(&server).await];
            for client in &clients {
                greeted(client).await;
            }
            clients[1].close();
            until(|| server.connections().open == 2).await;
            assert_eq!(server.drain(Duration::from_secs(30)).await, 2);
            assert!(IoLoop::current().now() - began >= Duration::from_secs(30));
            assert_eq!(server.connections().open, 0);
            for client in [&clients[0], &clients[2]] {
                assert_eq!(client.read_until_close().await.unwrap(), "");
            }
        })
        .unwrap();
}

/// The future only waits.
#[test]
fn a_drain_that_nobody_awaits_any_more_has_stopped_the_server() {
    run(async {
        let server = polite(TcpServerOptions::new());
        server.listen(0, "127.0.0.1").unwrap();
        let client = client(&server).await;
        greeted(&client).await;
        assert!(poll_once(Box::pin(server.drain(Duration::from_secs(1))).as_mut()).await.is_none());
        assert!(server.addresses().is_empty());
        turns(3).await;
        assert!(!client.closed());
        // And it can listen again.
        server.listen(0, "127.0.0.1").unwrap();
        greeted(&self::client(&server).await).await;
    });
}
