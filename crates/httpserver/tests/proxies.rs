//! Servers behind proxies: whose word counts, and for what.

mod common;

use common::*;
use landspout_httpserver::{HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, ProxyProtocol, StatusCode};
use landspout_ioloop::IoLoop;
use landspout_netutil::TrustedPeers;
use std::time::Duration;

/// Answers with what it takes the client for.
fn telling(options: HttpServerOptions) -> HttpServer {
    options.callback(async |request: HttpServerRequest| {
        let address = request.connection().context().address().map_or("unix".to_owned(), |address| address.to_string());
        let text = format!("{} {} {address}", request.protocol(), request.remote_ip());
        request.write_response(StatusCode::OK, &HttpHeaders::new(), text)
    })
}

async fn told(client: &Client, request: &str) -> String {
    client.send(request);
    heard(client).await
}

async fn heard(client: &Client) -> String {
    String::from_utf8(client.response().await.body).unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

fn from_loopback() -> ProxyProtocol {
    ProxyProtocol::trusting(TrustedPeers::loopback())
}

/// The request's bytes may have come along with the header, and no other byte follows.
#[test]
fn the_proxy_protocol_tells_the_client_of_every_request() {
    run(async {
        let server = telling(HttpServerOptions::new().proxy_protocol(from_loopback()));
        let address = listen(&server);
        let bytes = format!("{HEADER}{GET}");
        for cut in 0..=bytes.len() {
            let client = connect(address);
            client.send(&bytes[..cut]);
            turns(3).await;
            client.send(&bytes[cut..]);
            assert_eq!(heard(&client).await, "http 192.0.2.7 192.0.2.7:56324", "cut at {cut}");
            assert_eq!(told(&client, GET).await, "http 192.0.2.7 192.0.2.7:56324", "the connection is kept");
        }
    });
}

#[test]
fn pipelined_requests_may_come_with_the_header() {
    run(async {
        let client = client_of(&telling(HttpServerOptions::new().proxy_protocol(from_loopback())));
        client.send(format!("{HEADER}{GET}{GET}{GET}"));
        for _ in 0..3 {
            assert_eq!(heard(&client).await, "http 192.0.2.7 192.0.2.7:56324");
        }
    });
}

#[test]
fn a_request_without_the_header_is_not_answered() {
    run(async {
        let server = telling(HttpServerOptions::new().proxy_protocol(from_loopback()));
        assert_eq!(exchange(listen(&server), GET).await, "");
        assert_eq!(server.connection_counts().refused_proxy_protocol, 1);
    });
}

#[test]
fn a_drain_closes_connections_that_wait_for_their_header() {
    run(async {
        let server = telling(HttpServerOptions::new().proxy_protocol(from_loopback()));
        let address = listen(&server);
        let (waiting, served) = (connect(address), connect(address));
        assert_eq!(told(&served, &format!("{HEADER}{GET}")).await, "http 192.0.2.7 192.0.2.7:56324");
        until(|| server.connection_counts().open == 2).await;
        let drained = IoLoop::current().spawn({
            let server = server.clone();
            async move { server.drain(Duration::from_secs(60)).await }
        });
        assert_eq!(statuses(&waiting).await, "");
        let drained = drained.await.unwrap();
        assert_eq!((drained.finished, drained.cut), (1, 0));
    });
}
