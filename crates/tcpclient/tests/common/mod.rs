//! Servers and resolvers for tests.
#![allow(dead_code, reason = "every test compiles this file and uses some of it")]

use std::future::pending;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use landspout_ioloop::{IoLoop, ManualClock};
use landspout_iostream::IoStream;
use landspout_netutil::{AddressFamily, ResolveError, ResolveFuture, Resolver};

/// Answers every host with these addresses; their ports are replaced by the one that is asked for unless it is 0.
#[derive(Clone)]
pub(crate) struct Fixed(Vec<SocketAddr>);

impl Fixed {
    pub(crate) fn new(addresses: &[SocketAddr]) -> Fixed {
        Fixed(addresses.to_vec())
    }
}

impl Resolver for Fixed {
    fn resolve(&self, _: &str, _: u16, family: AddressFamily) -> ResolveFuture {
        let mut addresses = self.0.clone();
        addresses.retain(|address| match family {
            AddressFamily::Unspecified => true,
            AddressFamily::Inet => address.is_ipv4(),
            AddressFamily::Inet6 => address.is_ipv6(),
        });
        Box::pin(async { Ok(addresses) })
    }
}

/// Never answers.
pub(crate) struct Silent;

impl Resolver for Silent {
    fn resolve(&self, _: &str, _: u16, _: AddressFamily) -> ResolveFuture {
        Box::pin(pending())
    }
}

/// Must not be asked.
pub(crate) struct Unasked;

impl Resolver for Unasked {
    fn resolve(&self, host: &str, _: u16, _: AddressFamily) -> ResolveFuture {
        panic!("{host:?} was looked up");
    }
}

/// Knows nobody.
pub(crate) struct Ignorant;

impl Resolver for Ignorant {
    fn resolve(&self, host: &str, _: u16, _: AddressFamily) -> ResolveFuture {
        let source = std::io::ErrorKind::NotFound.into();
        let error = ResolveError::Lookup { host: host.to_owned(), source };
        Box::pin(async { Err(error) })
    }
}

pub(crate) fn v4(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) fn v6(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
}

pub(crate) fn listen(address: SocketAddr) -> (TcpListener, u16) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// One listener per family, on one port.
pub(crate) fn listen_dual() -> (TcpListener, TcpListener, u16) {
    loop {
        let (first, port) = listen(v4(0));
        if let Ok(second) = TcpListener::bind(v6(port)) {
            return (first, second, port);
        }
    }
}

/// A port of both families that nobody listens on. The socket keeps others from taking it while the test runs.
pub(crate) fn refused() -> (socket2::Socket, socket2::Socket, u16) {
    use socket2::{Domain, Socket, Type};
    loop {
        let first = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        first.bind(&v4(0).into()).unwrap();
        let port = first.local_addr().unwrap().as_socket().unwrap().port();
        let second = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        second.set_only_v6(true).unwrap();
        if second.bind(&v6(port).into()).is_ok() {
            return (first, second, port);
        }
    }
}

/// An address where attempts to connect get no answer, neither yes nor no: its backlog is full.
pub(crate) struct BlackHole {
    pub(crate) address: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

impl BlackHole {
    pub(crate) fn at(ip: SocketAddr) -> BlackHole {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::for_address(ip), Type::STREAM, None).unwrap();
        listener.bind(&ip.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        // More than any kernel keeps for a backlog of 0. Those that fit are connected already, the others wait.
        for _ in 0..8 {
            let client = Socket::new(Domain::for_address(ip), Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&address);
            queued.push(client);
        }
        BlackHole { address: address.as_socket().unwrap(), _listener: listener, _queued: queued }
    }
}

/// Bytes go both ways between a client and the connection that a server got.
pub(crate) async fn assert_talks(stream: &IoStream, listener: &TcpListener) {
    let (mut server, _) = listener.accept().unwrap();
    stream.write(b"hello").unwrap().await.unwrap();
    assert_eq!(read(&mut server, 5), b"hello");
    server.write_all(b"world").unwrap();
    assert_eq!(stream.read_bytes(5).await.unwrap(), &b"world"[..]);
}

fn read(from: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    from.read_exact(&mut buffer).unwrap();
    buffer
}

pub(crate) fn run<F: Future + 'static>(future: F) -> F::Output {
    IoLoop::current().run_sync(future).unwrap()
}

/// On a clock that jumps to the next deadline whenever nothing else happens: time-outs take no time.
pub(crate) fn run_jumping<F: Future + 'static>(future: F) -> F::Output {
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    io_loop.make_current();
    let output = io_loop.run_sync(future).unwrap();
    io_loop.close().unwrap();
    output
}
