//! What a handler is given, and what becomes of its stream when it ends, fails or panics.

mod common;

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;

use common::*;
use landspout_ioloop::IoLoop;
use landspout_iostream::{IoStream, StreamError, StreamOptions};
use landspout_netutil::{PeerAddress, bind_unix_socket};
use landspout_tcpserver::{BoxError, HandleStream, TcpServer, TcpServerOptions};

/// A client of a server that listens on a port of its own.
async fn client_of(server: &TcpServer) -> IoStream {
    server.listen(0, "127.0.0.1").unwrap();
    IoStream::connect(server.addresses()[0]).await.unwrap()
}

/// Tornado: TCPServerTest.test_handle_stream_native_coroutine.
#[test]
fn what_a_handler_writes_before_it_closes_arrives() {
    run(async {
        let server = TcpServer::new(async |stream: IoStream, _| {
            stream.write(b"data").unwrap();
            stream.close();
        });
        let client = client_of(&server).await;
        assert_eq!(client.read_until_close().await.unwrap(), "data");
        assert_eq!(client.error(), None);
    });
}

/// Tornado: TCPServerTest.test_handle_stream_coroutine_logging.
#[test]
fn a_handler_that_fails_after_it_closed() {
    let ((), lines) = logged(|| {
        run(async {
            let server = TcpServer::new(async |stream: IoStream, _| {
                assert_eq!(stream.read_bytes(5).await.unwrap(), "hello");
                stream.close();
                Err::<(), _>("Exception in callback")
            });
            let client = client_of(&server).await;
            client.write(b"hello").unwrap();
            assert_eq!(client.read_until_close().await.unwrap(), "");
        });
    });
    assert_eq!(lines, ["ERROR error in a connection handler: Exception in callback"]);
}

#[test]
fn a_handler_that_fails_loses_its_stream() {
    let ((), lines) = logged(|| {
        run(async {
            let kept = Rc::new(RefCell::new(None));
            let server = TcpServer::new({
                let kept = kept.clone();
                async move |stream: IoStream, _| {
                    stream.write(b"sorry").unwrap();
                    // Whoever holds it: it is closed.
                    kept.replace(Some(stream));
                    Err::<(), BoxError>("out of luck".into())
                }
            });
            let client = client_of(&server).await;
            assert_eq!(client.read_until_close().await.unwrap(), "sorry");
            assert!(kept.borrow().as_ref().unwrap().closed());
        });
    });
    assert_eq!(lines, ["ERROR error in a connection handler: out of luck"]);
}

#[test]
fn a_handler_that_panics_loses_its_stream_and_costs_nobody_else() {
    let ((), lines) = logged(|| {
        run(async {
            let kept = Rc::new(RefCell::new(Vec::new()));
            let server = TcpServer::new({
                let kept = kept.clone();
                async move |stream: IoStream, _| {
                    kept.borrow_mut().push(stream.clone());
                    if stream.read_bytes(1).await.unwrap() == "!" {
                        panic!("this was planned");
                    }
                    stream.write(b"fine").unwrap().await.unwrap();
                    stream.close();
                }
            });
            let unlucky = client_of(&server).await;
            let lucky = IoStream::connect(server.addresses()[0]).await.unwrap();
            unlucky.write(b"!").unwrap();
            assert_eq!(unlucky.read_until_close().await.unwrap(), "");
            assert!(kept.borrow().iter().any(IoStream::closed));
            for client in [lucky, IoStream::connect(server.addresses()[0]).await.unwrap()] {
                client.write(b".").unwrap();
                assert_eq!(client.read_until_close().await.unwrap(), "fine");
            }
        });
    });
    assert_eq!(lines, ["ERROR panic in task: this was planned"]);
}

/// A client that leaves is everyday life, whatever the handler makes of it.
#[test]
fn a_client_that_leaves_is_no_alarm() {
    let ((), lines) = logged(|| {
        run(async {
            let ended = Rc::new(Cell::new(0));
            let server = TcpServer::new({
                let ended = ended.clone();
                async move |stream: IoStream, _| {
                    let line = stream.read_until(b"\n", Some(100)).await;
                    ended.set(ended.get() + 1);
                    line.map(drop)
                }
            });
            let client = client_of(&server).await;
            client.write(b"half a li").unwrap().await.unwrap();
            client.close();
            until(|| ended.get() == 1).await;
            // The error as a part of another one that the handler makes is its own business.
        });
    });
    assert!(lines.is_empty(), "{lines:#?}");
}

/// The stream isn't the task's: another one may go on with it.
#[test]
fn a_stream_outlives_a_handler_that_returned() {
    run(async {
        let kept = Rc::new(RefCell::new(None));
        let server = TcpServer::new({
            let kept = kept.clone();
            async move |stream: IoStream, _| {
                kept.replace(Some(stream));
            }
        });
        let client = client_of(&server).await;
        until(|| kept.borrow().is_some()).await;
        next_turn().await;
        let stream = kept.take().unwrap();
        assert!(!stream.closed());
        stream.write(b"still here").unwrap();
        assert_eq!(client.read_bytes(10).await.unwrap(), "still here");
        drop(stream);
        assert_eq!(client.read_until_close().await.unwrap(), "", "closed with the last handle");
    });
}

#[test]
fn a_pending_handler_keeps_nobody_waiting() {
    run(async {
        let gate = Gate::default();
        let begun = Rc::new(Cell::new(0));
        let server = TcpServer::new({
            let (gate, begun) = (gate.clone(), begun.clone());
            async move |stream: IoStream, _| {
                begun.set(begun.get() + 1);
                gate.wait().await;
                stream.write(b"done").unwrap();
            }
        });
        let first = client_of(&server).await;
        let second = IoStream::connect(server.addresses()[0]).await.unwrap();
        until(|| begun.get() == 2).await;
        gate.open();
        for client in [first, second] {
            assert_eq!(client.read_until_close().await.unwrap(), "done");
        }
    });
}

/// Cancelled with the loop: the stream is closed.
#[test]
fn a_handler_that_is_cancelled_closes_its_stream() {
    let begun = Rc::new(RefCell::new(None));
    let io_loop = IoLoop::new().unwrap();
    let client = io_loop.run_sync({
        let begun = begun.clone();
        async move {
            let server = TcpServer::new({
                let begun = begun.clone();
                async move |stream: IoStream, _| {
                    begun.replace(Some(stream));
                    std::future::pending::<()>().await;
                }
            });
            server.listen(0, "127.0.0.1").unwrap();
            let client = TcpStream::connect(server.addresses()[0]).unwrap();
            until(|| begun.borrow().is_some()).await;
            client
        }
    });
    io_loop.close().unwrap();
    assert!(begun.take().unwrap().closed());
    let mut byte = [0];
    assert_eq!(std::io::Read::read(&mut client.unwrap(), &mut byte).unwrap(), 0);
}

#[test]
fn a_handler_knows_its_peer() {
    run(async {
        let server = TcpServer::new(async |stream: IoStream, address: PeerAddress| {
            assert_eq!(stream.peer_addr(), address.inet());
            stream.write(address.to_string().as_bytes()).unwrap();
        });
        let client = {
            server.listen(0, "127.0.0.1").unwrap();
            TcpStream::connect(server.addresses()[0]).unwrap()
        };
        let expected = client.local_addr().unwrap().to_string();
        let client = IoStream::from_tcp(client, StreamOptions::new()).unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), expected);
    });
}

#[test]
fn unix_sockets_are_served_too() {
    let path = std::env::temp_dir().join(format!("landspout-tcpserver-{}", std::process::id()));
    run({
        let path = path.clone();
        async move {
            let server = TcpServer::new(async |stream: IoStream, address: PeerAddress| {
                assert_eq!(address.inet(), None);
                let line = stream.read_until(b"\n", Some(100)).await?;
                stream.write(&line)?.await
            });
            server.add_socket(bind_unix_socket(&path).unwrap()).unwrap();
            assert_eq!(server.addresses(), [], "no Internet address");
            let client = IoStream::connect_unix(&path).await.unwrap();
            client.write(b"echo\n").unwrap();
            assert_eq!(client.read_until_close().await.unwrap(), "echo\n");
        }
    });
    std::fs::remove_file(path).unwrap();
}

/// Tornado: a subclass that overrides `handle_stream`.
#[test]
fn a_type_is_a_handler() {
    struct Counter(Cell<u32>);
    impl HandleStream for Counter {
        async fn handle_stream(&self, stream: IoStream, _: PeerAddress) -> Result<(), BoxError> {
            self.0.set(self.0.get() + 1);
            stream.write(self.0.get().to_string().as_bytes())?.await?;
            Ok(())
        }
    }
    run(async {
        let server = TcpServer::new(Counter(Cell::new(0)));
        server.listen(0, "127.0.0.1").unwrap();
        for expected in ["1", "2", "3"] {
            let client = IoStream::connect(server.addresses()[0]).await.unwrap();
            assert_eq!(client.read_until_close().await.unwrap(), expected);
        }
    });
}

/// Tornado: `max_buffer_size` and `read_chunk_size` of `TCPServer`.
#[test]
fn the_limits_reach_the_streams() {
    run(async {
        let seen = Rc::new(Cell::new(None));
        let options = TcpServerOptions::new().max_buffer_size(1000).read_chunk_size(100);
        let server = options.handler({
            let seen = seen.clone();
            async move |stream: IoStream, _| {
                seen.set(Some(*stream.options()));
                let refused = stream.read_bytes(1001).await.unwrap_err();
                assert_eq!(refused, StreamError::ReadTooLarge { limit: 1000, asked: 1001 });
                stream.write(b"refused").unwrap();
            }
        });
        let client = client_of(&server).await;
        assert_eq!(client.read_until_close().await.unwrap(), "refused");
        let seen = seen.get().unwrap();
        assert_eq!((seen.max_buffer_size, seen.read_chunk_size), (1000, 100));
        assert_eq!(seen.max_write_buffer_size, 100 << 20, "a server has a limit for what a peer doesn't read");
    });
}

#[test]
fn the_layer_below_gets_streams() {
    run(async {
        let server = TcpServerOptions::new().on_stream(|stream, _| {
            stream.write(b"no task needed").unwrap();
        });
        let client = client_of(&server).await;
        assert_eq!(client.read_until_close().await.unwrap(), "no task needed");
    });
}

/// A panic there costs one connection.
#[test]
fn a_panic_below_the_handler() {
    let ((), lines) = logged(|| {
        run(async {
            let first = Cell::new(true);
            let server = TcpServerOptions::new().on_stream(move |stream, _| {
                if first.replace(false) {
                    panic!("this was planned");
                }
                stream.write(b"second").unwrap();
            });
            let client = client_of(&server).await;
            assert_eq!(client.read_until_close().await.unwrap(), "");
            let client = IoStream::connect(server.addresses()[0]).await.unwrap();
            assert_eq!(client.read_until_close().await.unwrap(), "second");
        });
    });
    assert_eq!(lines, ["ERROR panic in an accept callback: this was planned"]);
}
