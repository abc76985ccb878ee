//! How many connections there are, how many there may be, and how a server ends with those it has.

mod common;

use std::rc::Rc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{IoLoop, ManualClock};
use landspout_iostream::IoStream;
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
