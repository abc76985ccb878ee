//! What the test files share: a loop for each test, connections served by a delegate, and a client that reads strictly.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file is a program of its own and uses a part of this"
)]

pub mod client;
pub mod log;
pub mod loops;
pub mod recorder;
pub mod responses;

use std::net::{SocketAddr, TcpListener, TcpStream};

use landspout_http1connection::{Http1ConnectionParameters, Http1ServerConnection, Http1Service};
use landspout_httputil::{HttpServerConnectionDelegate, Protocol, RequestContext};
use landspout_iostream::{IoStream, StreamOptions};

pub use client::{Client, Response};
pub use log::logged;
pub use loops::*;
pub use recorder::{Call, Recorder, done};

/// Serves connections with a delegate.
pub fn service(delegate: impl HttpServerConnectionDelegate + 'static) -> Http1Service {
    Http1Service::new(delegate, Http1ConnectionParameters::default())
}

/// A connected pair of blocking TCP sockets: the client's and the server's.
pub fn tcp_sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

pub fn context() -> RequestContext {
    RequestContext::new(SocketAddr::from(([127, 0, 0, 1], 9)), Protocol::Http)
}

/// A client on this loop and the server's side of its TCP connection.
pub fn connect(service: &Http1Service) -> (Client, Http1ServerConnection) {
    connect_with(service, StreamOptions::new())
}

pub fn connect_with(service: &Http1Service, options: StreamOptions) -> (Client, Http1ServerConnection) {
    let (client, server) = tcp_sockets();
    let client = Client::new(IoStream::from_tcp(client, StreamOptions::new()).unwrap());
    let server = IoStream::from_tcp(server, options).unwrap();
    (client, Http1ServerConnection::start_serving(server, context(), service))
}

/// As [`connect`] over a pair of Unix sockets: what one side sends is there at once, without the network's softirqs in between.
/// For clocks that jump when nothing is to be done.
pub fn connect_pair(service: &Http1Service) -> (Client, Http1ServerConnection) {
    let (client, server) = IoStream::pair().unwrap();
    (Client::new(client), Http1ServerConnection::start_serving(server, context(), service))
}

/// As [`connect`], with the client's socket left to the test, for a thread of its own.
pub fn connect_socket(service: &Http1Service) -> (TcpStream, Http1ServerConnection) {
    let (client, server) = tcp_sockets();
    let server = IoStream::from_tcp(server, StreamOptions::new()).unwrap();
    (client, Http1ServerConnection::start_serving(server, context(), service))
}
