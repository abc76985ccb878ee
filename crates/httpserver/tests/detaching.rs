//! Streams that leave the server: from a callback, over TLS, through wrappers, and what the server knows of them afterwards.

mod common;

use std::time::Duration;

use common::*;
use landspout_httpserver::{
    BoxError, Detach, DetachError, HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, Method,
    RequestStartLine, ResponseStartLine, StatusCode, Version,
};
use landspout_iostream::IoStream;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// Gives back what comes, line by line, until the client ends.
async fn echo_lines(stream: IoStream) {
    while let Ok(line) = stream.read_until(b"\n", None).await {
        stream.write(&line).unwrap();
    }
}

/// Lines are echoed to those who ask for it, by a task of their own; others get an answer.
fn upgrading(options: HttpServerOptions) -> HttpServer {
    options.callback(async |request: HttpServerRequest| {
        if request.headers().get("upgrade") != Some(b"echo") {
            return Ok(request.write_response(StatusCode::OK, &HttpHeaders::new(), request.path())?);
        }
        const ECHO: HttpHeaders = HttpHeaders::from_static(&[("Upgrade", "echo")]);
        let switching = ResponseStartLine::new(StatusCode::SWITCHING_PROTOCOLS);
        request.connection().write_headers(&switching, &ECHO, b"")?;
        spawn(echo_lines(request.detach()?));
        Ok::<_, BoxError>(())
    })
}

#[test]
fn a_callback_takes_the_stream_with_what_was_sent_behind_the_request() {
    run(async {
        let server = upgrading(HttpServerOptions::new().xheaders(true));
        let client = client_of(&server);
        assert_eq!(client.get("/before").await.text(), "/before");
        client.send(format!("{UPGRADE}one\n"));
        assert_eq!(client.head().await.status, 101);
        assert_eq!(client.stream.read_bytes(4).await.unwrap(), "one\n");
        client.send("two\n");
        client.end_sending();
        assert_eq!(client.rest().await, b"two\n");
    });
}

#[test]
fn a_detached_connection_is_not_the_servers_any_more() {
    run(async {
        let server = upgrading(HttpServerOptions::new());
        let address = listen(&server);
        let (upgraded, kept) = (connect(address), connect(address));
        upgraded.send(UPGRADE);
        assert_eq!(upgraded.head().await.status, 101);
        kept.get("/").await;
        assert_eq!(server.connections(), 1);
        server.close_all_connections().await;
        kept.end().await;
        upgraded.send("still here\n");
        upgraded.end_sending();
        assert_eq!(upgraded.rest().await, b"still here\n");
    });
}

/// Detached before, or while it drains.
#[test]
fn a_drain_leaves_detached_streams_alone() {
    run(async {
        let gate = Gate::default();
        let server = HttpServer::new({
            let gate = gate.clone();
            async move |request: HttpServerRequest| {
                if request.path() == "/later" {
                    gate.wait().await;
                }
                const ECHO: HttpHeaders = HttpHeaders::from_static(&[("Upgrade", "echo")]);
                let switching = ResponseStartLine::new(StatusCode::SWITCHING_PROTOCOLS);
                request.connection().write_headers(&switching, &ECHO, b"")?;
                spawn(echo_lines(request.detach()?));
                Ok::<_, BoxError>(())
            }
        });
        let address = listen(&server);
        let (before, later) = (connect(address), connect(address));
        before.send(UPGRADE);
        assert_eq!(before.head().await.status, 101);
        later.send(UPGRADE.replacen('/', "/later", 1));
        until(|| gate.is_waited_for()).await;
        let draining = spawn({
            let server = server.clone();
            async move { server.drain(Duration::from_secs(3600)).await }
        });
        turns(10).await;
        gate.open();
        assert_eq!(later.head().await.status, 101);
        let drained = draining.await.unwrap();
        assert_eq!((drained.finished, drained.cut), (1, 0));
        for client in [before, later] {
            client.send("still here\n");
            client.end_sending();
            assert_eq!(client.rest().await, b"still here\n");
        }
    });
}

/// It ends its connections and doesn't wait for those that a handler has taken.
#[test]
fn a_handler_that_works_on_its_stream_holds_nobody_up() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            echo_lines(request.detach()?).await;
            Ok::<_, DetachError>(())
        });
        let client = client_of(&server);
        client.send(format!("{UPGRADE}one\n"));
        assert_eq!(client.stream.read_bytes(4).await.unwrap(), "one\n");
        assert_eq!(server.connections(), 0);
        server.close_all_connections().await;
        client.send("two\n");
        client.end_sending();
        assert_eq!(client.rest().await, b"two\n");
    });
}

/// The socket is what counts against the limit.
#[test]
fn a_detached_connection_takes_a_place_until_it_is_closed() {
    run(async {
        let server = upgrading(HttpServerOptions::new().max_connections(1));
        let address = listen(&server);
        let upgraded = connect(address);
        upgraded.send(UPGRADE);
        assert_eq!(upgraded.head().await.status, 101);
        let next = connect(address);
        next.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
        turns(20).await;
        next.assert_silent();
        upgraded.hang_up();
        assert_eq!(next.response().await.text(), "/next");
    });
}

#[test]
fn what_came_by_no_connection_has_no_stream() {
    let request = HttpServerRequest::from(RequestStartLine::new(Method::GET, "/", Version::HTTP_11));
    assert_eq!(request.detach().unwrap_err(), DetachError::NotHttp1);
}

#[cfg(feature = "tls")]
#[test]
fn over_tls_the_stream_is_the_decrypted_one() {
    use std::sync::Arc;

    use landspout_iostream::Tls;
    use landspout_netutil::{Pem, SslOptions};
    use rustls::{ClientConfig, RootCertStore};

    run(async {
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let made = rcgen::generate_simple_self_signed(["foo.example.com".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let tls = Tls::client(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()), "foo.example.com");
        let options = SslOptions::new()
            .certfile(Pem::from_memory(made.cert.pem()))
            .keyfile(Pem::from_memory(made.signing_key.serialize_pem()))
            .provider(provider());
        let server = upgrading(HttpServerOptions::new().ssl_options(options).unwrap());
        let stream = IoStream::connect_tls(listen(&server), tls.unwrap()).await.unwrap();
        let client = Client::new(stream);
        client.send(format!("{UPGRADE}one\n"));
        assert_eq!(client.head().await.status, 101);
        client.send("two\n");
        assert_eq!(client.stream.read_bytes(8).await.unwrap(), "one\ntwo\n");
        client.send("three\n");
        client.end_sending();
        assert_eq!(client.rest().await, b"three\n");
    });
}
