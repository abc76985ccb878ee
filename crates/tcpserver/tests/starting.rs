//! The ways to start and stop that don't fork.

mod common;

use std::cell::Cell;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

use common::*;
use landspout_ioloop::IoLoop;
use landspout_iostream::IoStream;
use landspout_netutil::{BindError, BindOptions, bind_sockets};
use landspout_process::ForkError;
use landspout_tcpserver::{ServerError, TcpServer, TcpServerOptions};

fn hello() -> TcpServer {
    TcpServer::new(async |stream: IoStream, _| stream.write(b"hello")?.await)
}

async fn assert_serves(address: SocketAddr) {
    let client = IoStream::connect(address).await.unwrap();
    assert_eq!(client.read_until_close().await.unwrap(), "hello");
}

fn assert_refused(address: SocketAddr) {
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn listen() {
    run(async {
        let server = hello();
        server.listen(0, "127.0.0.1").unwrap();
        assert_serves(server.addresses()[0]).await;
    });
}

#[test]
fn listen_on_several_ports() {
    run(async {
        let server = hello();
        server.listen(0, "127.0.0.1").unwrap();
        server.listen(0, "127.0.0.1").unwrap();
        let addresses = server.addresses();
        assert_eq!(addresses.len(), 2);
        assert_ne!(addresses[0], addresses[1]);
        for address in addresses {
            assert_serves(address).await;
        }
    });
}

#[test]
fn listen_everywhere_on_one_port() {
    run(async {
        let server = hello();
        server.listen(0, None).unwrap();
        let addresses = server.addresses();
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port()), "{addresses:?}");
        assert_serves(SocketAddr::from(([127, 0, 0, 1], addresses[0].port()))).await;
    });
}

#[test]
fn a_server_serves_without_its_handle() {
    run(async {
        let server = hello();
        server.listen(0, "127.0.0.1").unwrap();
        let address = server.addresses()[0];
        drop(server);
        assert_serves(address).await;
    });
}

#[test]
fn bind_and_start() {
    run(async {
        let server = hello();
        server.bind(0, "127.0.0.1").unwrap();
        server.bind(0, "127.0.0.1").unwrap();
        // Clients can queue already.
        let early = TcpStream::connect(server.addresses()[0]).unwrap();
        for _ in 0..5 {
            next_turn().await;
        }
        early.set_nonblocking(true).unwrap();
        assert_eq!((&early).read(&mut [0; 5]).unwrap_err().kind(), ErrorKind::WouldBlock, "nobody accepts yet");
        server.start(1).unwrap();
        let mut text = [0; 5];
        until(|| (&early).read(&mut text).is_ok_and(|n| n == 5)).await;
        assert_eq!(&text, b"hello");
        for address in server.addresses() {
            assert_serves(address).await;
        }
    });
}

#[test]
fn add_sockets() {
    run(async {
        let server = hello();
        let sockets = bind_sockets(0, "127.0.0.1").unwrap();
        let address = sockets[0].local_addr().unwrap();
        server.add_sockets(sockets).unwrap();
        assert_eq!(server.addresses(), [address]);
        assert_serves(address).await;
        // A listener from anywhere, blocking as it is.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        server.add_socket(listener).unwrap();
        assert_serves(address).await;
    });
}

#[test]
fn a_server_starts_once() {
    run(async {
        let server = hello();
        server.start(1).unwrap();
        assert!(matches!(server.start(1), Err(ServerError::AlreadyStarted)));
    });
}

#[test]
fn bind_after_start_listens_at_once() {
    run(async {
        let server = hello();
        server.start(1).unwrap();
        server.bind(0, "127.0.0.1").unwrap();
        assert_serves(server.addresses()[0]).await;
    });
}

/// A loop exists, so no fork; and a server that could not fork isn't started.
#[test]
fn a_start_that_fails_can_be_repeated() {
    run(async {
        let server = hello();
        server.bind(0, "127.0.0.1").unwrap();
        for workers in [Some(0), Some(2), None] {
            match server.start(workers) {
                Err(ServerError::Fork(error)) => {
                    assert!(matches!(error, ForkError::LoopExists), "{error:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        server.start(1).unwrap();
        assert_serves(server.addresses()[0]).await;
    });
}

#[test]
fn a_port_that_is_taken() {
    run(async {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let server = hello();
        let errors = [server.listen(port, "127.0.0.1"), server.bind(port, "127.0.0.1")];
        for error in errors {
            let error = error.unwrap_err();
            assert!(matches!(&error, ServerError::Bind(BindError::Bind { .. })), "{error:?}");
            let cause = std::error::Error::source(&error).expect("says why");
            assert!(cause.to_string().contains(&port.to_string()), "{cause}");
        }
        assert_eq!(server.addresses(), []);
    });
}

#[test]
fn options_of_the_listeners() {
    run(async {
        let server = hello();
        let options = BindOptions::new().reuse_port(true);
        server.listen_with(0, "127.0.0.1", &options).unwrap();
        let address = server.addresses()[0];
        let other = hello();
        other.listen_with(address.port(), "127.0.0.1", &options).unwrap();
        server.stop();
        assert_serves(address).await;
    });
}

/// Tornado: TCPServerTest.test_stop_twice.
#[test]
fn stop_twice() {
    run(async {
        let server = hello();
        server.listen(0, "127.0.0.1").unwrap();
        let address = server.addresses()[0];
        server.stop();
        assert_eq!(server.addresses(), []);
        assert_refused(address);
        server.stop();
    });
}

#[test]
fn stop_before_anything() {
    let server = hello();
    server.stop();
    server.bind(0, "127.0.0.1").unwrap();
    let address = server.addresses()[0];
    server.stop();
    assert_refused(address);
}

#[test]
fn listen_after_stop() {
    run(async {
        let server = hello();
        for _ in 0..3 {
            server.listen(0, "127.0.0.1").unwrap();
            let address = server.addresses()[0];
            assert_serves(address).await;
            server.stop();
            assert_refused(address);
        }
    });
}

#[test]
fn connections_go_on_after_stop() {
    run(async {
        let server = TcpServer::new(async |stream: IoStream, _| {
            loop {
                let line = stream.read_until(b"\n", None).await?;
                stream.write(&line)?;
            }
            #[allow(unreachable_code)]
            Ok::<(), landspout_iostream::StreamError>(())
        });
        server.listen(0, "127.0.0.1").unwrap();
        let client = IoStream::connect(server.addresses()[0]).await.unwrap();
        for line in ["before\n", "after\n", "long after\n"] {
            client.write(line.as_bytes()).unwrap();
            assert_eq!(client.read_until(b"\n", None).await.unwrap(), line);
            server.stop();
        }
        client.close();
        drop(server);
    });
}

/// Tornado: TCPServerTest.test_stop_in_callback. Forty clients wait; the first one's handler stops the server while the batch
/// is being accepted.
#[test]
fn stop_in_callback() {
    let ((), lines) = logged(|| {
        run(async {
            let handled = Rc::new(Cell::new(0));
            let slot = Rc::new(std::cell::OnceCell::<TcpServer>::new());
            let server = TcpServerOptions::new().on_stream({
                let (handled, slot) = (handled.clone(), slot.clone());
                move |stream, _| {
                    handled.set(handled.get() + 1);
                    slot.get().expect("set below").stop();
                    stream.write(b"served").unwrap();
                }
            });
            assert!(slot.set(server.clone()).is_ok());
            server.bind(0, "127.0.0.1").unwrap();
            let address = server.addresses()[0];
            let clients: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
            server.start(1).unwrap();
            let (mut served, mut reset) = (0, 0);
            for mut client in clients {
                client.set_nonblocking(true).unwrap();
                let mut text = Vec::new();
                until(|| match client.read_to_end(&mut text) {
                    Ok(_) => true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                        true
                    }
                })
                .await;
                match &text[..] {
                    b"served" => served += 1,
                    b"" => reset += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((served, reset, handled.get()), (1, 39, 1));
            assert_refused(address);
        });
    });
    assert!(lines.is_empty(), "{lines:#?}");
}

#[test]
fn a_closed_loop_closes_the_listeners() {
    let io_loop = IoLoop::new().unwrap();
    let server = hello();
    server.listen(0, "127.0.0.1").unwrap();
    let address = server.addresses()[0];
    io_loop.close().unwrap();
    assert_refused(address);
    server.stop();
}
