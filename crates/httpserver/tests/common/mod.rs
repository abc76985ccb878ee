//! What the test files share: a server on a port of its own, and a client that reads strictly, the one of `http1connection`'s
//! tests.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file is a program of its own and uses a part of this"
)]

#[path = "../../../http1connection/tests/common/client.rs"]
pub mod client;
#[path = "../../../http1connection/tests/common/log.rs"]
pub mod log;
#[path = "../../../http1connection/tests/common/loops.rs"]
pub mod loops;

use std::net::{SocketAddr, TcpStream};

use landspout_httpserver::{HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, StatusCode};
use landspout_iostream::{IoStream, StreamOptions};

pub use client::{Client, Response};
pub use log::{alarms, logged};
pub use loops::*;

/// Has the server listen; gives its address.
pub fn listen(server: &HttpServer) -> SocketAddr {
    server.listen(0, "127.0.0.1").unwrap();
    *server.addresses().last().unwrap()
}

/// A client of that server, which listens from now on.
pub fn client_of(server: &HttpServer) -> Client {
    connect(listen(server))
}

/// The connection stands when this returns; the server accepts it when the loop turns.
pub fn connect(address: SocketAddr) -> Client {
    let socket = TcpStream::connect(address).unwrap();
    Client::new(IoStream::from_tcp(socket, StreamOptions::new()).unwrap())
}

/// A server that answers with what it understood: method, target, and how long the body is.
pub fn echo(options: HttpServerOptions) -> HttpServer {
    options.callback(async |request: HttpServerRequest| {
        let text = format!("{} {} {}", request.method(), request.uri(), request.body().len());
        request.write_response(StatusCode::OK, &HttpHeaders::new(), text)
    })
}

/// Sends raw bytes on a connection of its own and reads to the end: for requests after which the server closes. Gives the
/// statuses of all responses, as `200 400`.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let client = connect(address);
    client.send(bytes);
    client.end_sending();
    statuses(&client).await
}

/// Reads responses to the end, which has to be clean; no byte is left over.
pub async fn statuses(client: &Client) -> String {
    let mut statuses = Vec::new();
    while more(client).await {
        let response = client.response().await;
        statuses.push(response.status.to_string());
    }
    assert_eq!(client.stream.error(), None, "no clean end after {statuses:?}");
    statuses.join(" ")
}

/// Waits for a byte or the end.
async fn more(client: &Client) -> bool {
    std::future::poll_fn(|cx| match client.stream.with_buffered(<[u8]>::is_empty) {
        false => std::task::Poll::Ready(true),
        true => client.stream.poll_fill(cx).map(|filled| filled.is_ok()),
    })
    .await
}
