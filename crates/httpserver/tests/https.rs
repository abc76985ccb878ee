//! HTTPS: the same server behind TLS.
#![cfg(feature = "tls")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use landspout_httpserver::{
    BoxError, HttpHeaders, HttpServerOptions, HttpServerRequest, ResponseStartLine, ServerError, StatusCode, XHeaders,
};
use landspout_iostream::{IoStream, Tls};
use landspout_netutil::{CertReqs, Pem, SslOptions, TlsError};
use rustls::{ClientConfig, RootCertStore};

const NAME: &str = "foo.example.com";

/// Options of a server with a certificate made for it, and a client that trusts just that one.
fn sides() -> (SslOptions, Tls) {
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let options = SslOptions::new()
        .certfile(Pem::from_memory(made.cert.pem()))
        .keyfile(Pem::from_memory(made.signing_key.serialize_pem()))
        .provider(provider());
    (options, Tls::client(config, NAME).unwrap())
}

/// Tornado: SSLTest.test_ssl and test_large_post.
#[test]
fn requests_over_tls() {
    run(async {
        let (options, client) = sides();
        let server =
            HttpServerOptions::new().ssl_options(options).unwrap().callback(async |request: HttpServerRequest| {
                let answer = format!("{} got {} bytes\n", request.protocol(), request.body().len());
                request.write_response(StatusCode::OK, &HttpHeaders::new(), answer)
            });
        let stream = IoStream::connect_tls(listen(&server), client).await.unwrap();
        for (request, answer) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "https got 0 bytes\n"),
            (
                format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n{}", "A".repeat(500_000)),
                "https got 500000 bytes\n",
            ),
        ] {
            stream.write(request.as_bytes()).unwrap();
            let head = stream.read_until(b"\r\n\r\n", None).await.unwrap();
            assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert_eq!(stream.read_until(b"\n", None).await.unwrap(), answer.as_bytes());
        }
        assert_eq!(server.connections(), 1, "it was kept alive");
        // The server's end is a clean one.
        stream.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        stream.read_until_close().await.unwrap();
        assert_eq!(stream.error(), None);
    });
}

/// A body whose only end is that of the connection: if the handler fails before, there is no goodbye; if it is whole, there is one.
#[test]
fn a_cut_body_that_ends_with_the_connection_has_no_goodbye() {
    run(async {
        let (options, client) = sides();
        let server =
            HttpServerOptions::new().ssl_options(options).unwrap().callback(async |request: HttpServerRequest| {
                let connection = request.connection();
                connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &HttpHeaders::new(), b"half")?;
                connection.flush().await?;
                if request.path() == "/cut" {
                    return Err("half is all there is".into());
                }
                connection.finish()?;
                Ok::<_, BoxError>(())
            });
        let address = listen(&server);
        for (path, whole) in [("/cut", false), ("/", true)] {
            let stream = IoStream::connect_tls(address, client.clone()).await.unwrap();
            stream.write(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
            stream.read_until(b"\r\n\r\n", None).await.unwrap();
            assert_eq!(stream.read_until_close().await.unwrap(), "half", "{path}");
            assert_eq!(stream.error().is_none(), whole, "{path}: {:?}", stream.error());
        }
    });
}

/// An idle connection gets the goodbye of TLS, a request under way its answer and that, and a handshake that never ends is cut.
#[test]
fn a_drain_over_tls() {
    run(async {
        let (options, client) = sides();
        let gate = Gate::default();
        let server = HttpServerOptions::new().ssl_options(options).unwrap().callback({
            let gate = gate.clone();
            async move |request: HttpServerRequest| {
                if request.path() == "/wait" {
                    gate.wait().await;
                }
                request.write_response(StatusCode::OK, &HttpHeaders::new(), request.path())
            }
        });
        let address = listen(&server);
        let connect_tls = async || Client::new(IoStream::connect_tls(address, client.clone()).await.unwrap());
        let (idle, busy, silent) = (connect_tls().await, connect_tls().await, connect(address));
        assert_eq!(idle.get("/").await.text(), "/");
        busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
        until(|| gate.is_waited_for() && server.connections() == 3).await;
        let draining = spawn({
            let server = server.clone();
            async move { server.drain(Duration::from_millis(100)).await }
        });
        idle.end().await;
        gate.open();
        assert_eq!(busy.response().await.field("connection"), Some("close"));
        busy.end().await;
        busy.hang_up();
        silent.cut().await;
        let drained = draining.await.unwrap();
        assert_eq!((drained.finished, drained.cut), (2, 1));
    });
}

/// Tornado: `HTTPServerRequest.get_ssl_certificate`.
#[test]
fn a_request_tells_the_certificate_of_its_client() {
    run(async {
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let shown = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let server = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let client = |shows: bool| {
            let mut options = SslOptions::new().ca_certs(Pem::from_memory(server.cert.pem())).provider(provider());
            if shows {
                options = options.certfile(Pem::from_memory(shown.cert.pem()));
                options = options.keyfile(Pem::from_memory(shown.signing_key.serialize_pem()));
            }
            Tls::client(options.client_config().unwrap(), NAME).unwrap()
        };
        let options = SslOptions::new()
            .certfile(Pem::from_memory(server.cert.pem()))
            .keyfile(Pem::from_memory(server.signing_key.serialize_pem()))
            .ca_certs(Pem::from_memory(shown.cert.pem()))
            .cert_reqs(CertReqs::Optional)
            .provider(provider());
        let server =
            HttpServerOptions::new().ssl_options(options).unwrap().callback(async |request: HttpServerRequest| {
                let certificate = request.peer_certificate().unwrap_or(b"none").to_vec();
                request.write_response(StatusCode::OK, &HttpHeaders::new(), certificate)
            });
        let address = listen(&server);
        for (shows, expected) in [(true, &shown.cert.der()[..]), (false, b"none")] {
            let client = Client::new(IoStream::connect_tls(address, client(shows)).await.unwrap());
            for _ in 0..2 {
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                assert_eq!(client.response().await.body, expected);
            }
        }
    });
}

/// Tornado: SSLXHeaderTest.test_request_without_xprotocol. A proxy that speaks TLS with us may have got the request without.
#[test]
fn over_tls_a_proxy_may_say_http() {
    run(async {
        let (options, client) = sides();
        let server = HttpServerOptions::new().ssl_options(options).unwrap().xheaders(XHeaders::x_real_ip()).callback(
            async |request: HttpServerRequest| {
                request.write_response(StatusCode::OK, &HttpHeaders::new(), request.protocol().as_str())
            },
        );
        let client = Client::new(IoStream::connect_tls(listen(&server), client).await.unwrap());
        for (field, expected) in [("", "https"), ("X-Scheme: http\r\n", "http"), ("X-Scheme: bad\r\n", "https")] {
            client.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{field}\r\n"));
            assert_eq!(client.response().await.text(), expected, "{field}");
        }
    });
}

/// Tornado: SSLTest.test_non_ssl_request, test_error_logging. It doesn't wait for a time-out, and one line tells of it.
#[test]
fn plain_http_on_the_tls_port_is_dropped() {
    let ((), lines) = logged(|| {
        run(async {
            let server = HttpServerOptions::new().ssl_options(sides().0).unwrap().callback(
                async |request: HttpServerRequest| request.write_response(StatusCode::OK, &HttpHeaders::new(), "never"),
            );
            let address = listen(&server);
            let stream = IoStream::connect(address).await.unwrap();
            stream.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let answer = stream.read_until_close().await.unwrap();
            assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
            until(|| server.connections() == 0).await;
        });
    });
    assert!(alarms(&lines).is_empty(), "{lines:#?}");
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("handshake")).collect();
    assert!(told.len() == 1 && !told[0].contains('\n'), "{lines:#?}");
}

#[test]
fn options_of_no_use_are_refused_when_the_server_is_made() {
    let options = SslOptions::new().provider(Arc::new(rustls::crypto::ring::default_provider()));
    match HttpServerOptions::new().ssl_options(options) {
        Err(ServerError::Tls(TlsError::MissingCertfile)) => {}
        other => panic!("{other:?}"),
    }
}
