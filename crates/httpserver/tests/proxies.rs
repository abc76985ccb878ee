//! Servers behind proxies: whose word counts, and for what.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::*;
use landspout_httpserver::{
    HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, ProxyProtocol, StatusCode, TrustedPeers, XHeaders,
};
use landspout_ioloop::IoLoop;

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
        let patient = from_loopback().header_timeout(Duration::from_secs(3600));
        let server = telling(HttpServerOptions::new().proxy_protocol(patient));
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

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

/// What is said of protocol and address, without the socket's.
async fn taken_for(client: &Client, fields: &str) -> String {
    let told = told(client, &get(fields)).await;
    told.rsplit_once(' ').unwrap().0.to_owned()
}

/// XHeaderTest. What a proxy says counts for one request.
#[test]
fn proxies_headers() {
    run(async {
        let trusted: IpAddr = "5.5.5.5".parse().unwrap();
        let client = client_of(&telling(HttpServerOptions::new().xheaders(true).trusted_downstream([trusted])));
        for (fields, expected) in [
            ("X-Forwarded-For: 4.4.4.4\r\nX-Forwarded-Proto: https\r\n", "https 4.4.4.4"),
            ("", "http 127.0.0.1"),
            ("X-Forwarded-For: 127.0.0.1, 4.4.4.4, 5.5.5.5\r\n", "http 4.4.4.4"),
            ("X-Forwarded-For: 4.4.4.4<script>\r\nX-Forwarded-Proto: unknown\r\n", "http 127.0.0.1"),
            ("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 4.4.4.4\r\n", "http 4.4.4.4"),
            ("X-Forwarded-Proto: https\r\n", "https 127.0.0.1"),
            ("", "http 127.0.0.1"),
        ] {
            assert_eq!(taken_for(&client, fields).await, expected, "{fields}");
        }
    });
}

#[test]
fn one_family_of_fields_counts() {
    const ALL: &str = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: http\r\nX-Real-IP: 2.2.2.2\r\nX-Scheme: https\r\n\
        Forwarded: for=3.3.3.3;proto=https\r\n";
    run(async {
        for (xheaders, expected) in [
            (XHeaders::x_forwarded(), "http 1.1.1.1"),
            (XHeaders::x_real_ip(), "https 2.2.2.2"),
            (XHeaders::forwarded(), "https 3.3.3.3"),
            (XHeaders::off(), "http 127.0.0.1"),
            (false.into(), "http 127.0.0.1"),
        ] {
            let client = client_of(&telling(HttpServerOptions::new().xheaders(xheaders.clone())));
            assert_eq!(taken_for(&client, ALL).await, expected, "{xheaders:?}");
            assert_eq!(taken_for(&client, "").await, "http 127.0.0.1", "it counts for one request");
        }
        let client = client_of(&telling(HttpServerOptions::new()));
        assert_eq!(taken_for(&client, ALL).await, "http 127.0.0.1", "nobody is believed by default");
    });
}

#[test]
fn pipelined_requests_have_a_client_each() {
    run(async {
        let client = client_of(&telling(HttpServerOptions::new().xheaders(true)));
        client.send([get("X-Forwarded-For: 1.1.1.1\r\n"), get(""), get("X-Forwarded-For: 2.2.2.2\r\n")].concat());
        for expected in ["http 1.1.1.1 127.0.0.1:", "http 127.0.0.1 127.0.0.1:", "http 2.2.2.2 127.0.0.1:"] {
            assert!(heard(&client).await.starts_with(expected));
        }
    });
}

#[test]
fn a_malformed_forwarded_field_is_refused() {
    run(async {
        let server = telling(HttpServerOptions::new().xheaders(XHeaders::forwarded()));
        let address = listen(&server);
        assert_eq!(exchange(address, get("Forwarded: for=\"1.1.1.1\r\n")).await, "400");
        assert_eq!(exchange(address, get("Forwarded: for=1.1.1.1\r\n")).await, "200");
    });
}

/// One line for all of them, and none for requests that claim nothing.
#[test]
fn strangers_are_ignored_with_one_warning() {
    let ((), lines) = logged(|| {
        run(async {
            let xheaders = XHeaders::x_forwarded().trusting("10.0.0.0/8".parse().unwrap());
            let server = telling(HttpServerOptions::new().xheaders(xheaders));
            let client = client_of(&server);
            for fields in ["", "X-Real-IP: 4.4.4.4\r\n", "X-Forwarded-For: 4.4.4.4\r\n", "X-Forwarded-Proto: https\r\n"]
            {
                assert_eq!(taken_for(&client, fields).await, "http 127.0.0.1");
            }
        });
    });
    let told: Vec<_> = lines.iter().filter(|line| line.contains("is not trusted")).collect();
    assert_eq!(told.len(), 1, "{lines:?}");
    assert!(told[0].contains("X-Forwarded-For of 127.0.0.1"), "{told:?}");
}

/// The client that the PROXY protocol names is the peer whose header fields are believed, or not.
#[test]
fn behind_the_proxy_protocol_the_client_has_to_be_trusted() {
    const FIELDS: &str = "X-Forwarded-For: 4.4.4.4\r\n";
    run(async {
        for (trusted, expected) in [("127.0.0.0/8", "http 192.0.2.7"), ("192.0.2.0/24", "http 4.4.4.4")] {
            let xheaders = XHeaders::x_forwarded().trusting(trusted.parse().unwrap());
            let options = HttpServerOptions::new().proxy_protocol(from_loopback()).xheaders(xheaders);
            let client = client_of(&telling(options));
            client.send(HEADER);
            assert_eq!(taken_for(&client, FIELDS).await, expected);
            assert_eq!(taken_for(&client, "").await, "http 192.0.2.7");
        }
    });
}
