//! A server of TLS: what its constructor finds out, whom it serves, and new certificates while it does.
#![cfg(feature = "tls")]

mod common;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{IoLoop, ManualClock};
use landspout_iostream::{CloseCause, IoStream, StreamError, Tls};
use landspout_netutil::{PeerAddress, SslOptions, TlsError, TrustedPeers};
use landspout_tcpserver::{ProxyProtocol, ServerError, TcpServer, TcpServerOptions};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

const NAME: &str = "foo.example.com";

/// A directory for certificates that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("landspout-tcpserver-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// A new self-signed certificate in place of the old one.
    fn certify(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        std::fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    fn options(&self) -> SslOptions {
        SslOptions::new().certfile(self.path("cert.pem")).keyfile(self.path("key.pem")).provider(provider())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A client that trusts one certificate.
fn trusting(certificate: &CertificateDer<'static>) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Tls::client(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()), NAME).unwrap()
}

async fn echo(stream: IoStream) -> Result<(), StreamError> {
    loop {
        let line = stream.read_until(b"\n", Some(1000)).await?;
        stream.write(&line)?.await?;
    }
}

fn serving(options: SslOptions) -> TcpServer {
    let server =
        TcpServerOptions::new().ssl_options(options).unwrap().handler(async |stream: IoStream, _| echo(stream).await);
    server.listen(0, "127.0.0.1").unwrap();
    server
}

async fn asked(client: &IoStream) {
    client.write(b"hello\n").unwrap();
    assert_eq!(client.read_until(b"\n", None).await.unwrap(), "hello\n");
}

/// Tornado: BadSSLOptionsTest.test_missing_arguments and test_missing_key, and what Tornado finds out with the first client.
#[test]
fn the_constructor_says_what_is_wrong_with_the_options() {
    let directory = Directory::new("constructor");
    directory.certify();
    let wrong = |options: SslOptions| match TcpServerOptions::new().ssl_options(options) {
        Err(ServerError::Tls(error)) => error,
        other => panic!("accepted: {other:?}"),
    };
    let options = || SslOptions::new().provider(provider());
    let (cert, key) = (directory.path("cert.pem"), directory.path("key.pem"));
    let missing = directory.path("no-such-file");
    assert_eq!(wrong(options()), TlsError::MissingCertfile);
    assert_eq!(wrong(options().keyfile(key.clone())), TlsError::MissingCertfile);
    let not_found = |option| TlsError::NotFound { option, path: missing.clone() };
    assert_eq!(wrong(options().certfile(missing.clone()).keyfile(key.clone())), not_found("certfile"));
    assert_eq!(wrong(options().certfile(cert.clone()).keyfile(missing.clone())), not_found("keyfile"));
    assert!(wrong(options().certfile(missing.clone())).to_string().contains(missing.to_str().unwrap()));
    let text = directory.path("text");
    std::fs::write(&text, "no certificate").unwrap();
    assert!(matches!(wrong(options().certfile(text.clone()).keyfile(key)), TlsError::NoCertificate { .. }));
    assert!(matches!(wrong(options().certfile(cert)), TlsError::NoKey { .. }));
    drop(TcpServerOptions::new().ssl_options(directory.options()).unwrap());
    // Ready-made configurations need no files.
    let ready = directory.options().server_config().unwrap();
    drop(TcpServerOptions::new().ssl_options(ready).unwrap());
}

/// Tornado calls `handle_stream` before the handshake, too.
#[test]
fn the_handler_is_called_before_the_handshake() {
    run(async {
        let directory = Directory::new("before");
        let certificate = directory.certify();
        let early = Rc::new(Cell::new(false));
        let server = TcpServerOptions::new().ssl_options(directory.options()).unwrap().handler({
            let early = early.clone();
            async move |stream: IoStream, _| {
                early.set(stream.tls().is_none());
                stream.wait_for_handshake().await?;
                let info = stream.tls().unwrap();
                stream.write(format!("{} {}\n", info.version, info.server_name.unwrap()).as_bytes())?.await
            }
        });
        server.listen(0, "127.0.0.1").unwrap();
        let client = IoStream::connect_tls(server.addresses()[0], trusting(&certificate)).await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), "TLSv1.3 foo.example.com\n");
        assert_eq!((client.error(), early.get()), (None, true));
    });
}

/// Tornado issue 2895.
#[test]
fn certificates_are_exchanged_while_it_serves() {
    run(async {
        let directory = Directory::new("reload");
        let old = directory.certify();
        let server = serving(directory.options());
        let address = server.addresses()[0];
        let early = IoStream::connect_tls(address, trusting(&old)).await.unwrap();
        asked(&early).await;
        let new = directory.certify();
        // Not before it is told.
        asked(&IoStream::connect_tls(address, trusting(&old)).await.unwrap()).await;
        server.reload_certificates().unwrap();
        let late = IoStream::connect_tls(address, trusting(&new)).await.unwrap();
        asked(&late).await;
        assert_eq!(late.tls().unwrap().peer_certificates, [new.to_vec()]);
        assert!(IoStream::connect_tls(address, trusting(&old)).await.is_err());
        asked(&early).await;
        // A broken file costs nothing.
        std::fs::write(directory.path("cert.pem"), "half").unwrap();
        assert!(matches!(server.reload_certificates(), Err(ServerError::Tls(TlsError::NoCertificate { .. }))));
        asked(&IoStream::connect_tls(address, trusting(&new)).await.unwrap()).await;
        asked(&early).await;
        asked(&late).await;
    });
}

/// Tornado: SSLTest.test_non_ssl_request and test_error_logging.
#[test]
fn rubbish_costs_its_own_connection_and_one_line() {
    let ((), lines) = logged(|| {
        run(async {
            let directory = Directory::new("rubbish");
            let certificate = directory.certify();
            let server = serving(directory.options());
            let address = server.addresses()[0];
            let good = IoStream::connect_tls(address, trusting(&certificate)).await.unwrap();
            for _ in 0..10 {
                let bad = IoStream::connect(address).await.unwrap();
                bad.write(b"GET / HTTP/1.1\r\n\r\n").unwrap();
                bad.read_until_close().await.unwrap();
                asked(&good).await;
            }
            until(|| server.connections().open == 1).await;
        });
    });
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("INFO handshake with 127.0.0.1:")), "{lines:?}");
}

/// Tornado issue 2373.
#[test]
fn silent_clients_are_let_go_at_the_deadline() {
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    let limit = Duration::from_secs(5);
    let began = io_loop.now();
    io_loop
        .run_sync(async move {
            let directory = Directory::new("silent");
            directory.certify();
            let seen = Rc::new(Cell::new(None));
            let server =
                TcpServerOptions::new().handshake_timeout(limit).ssl_options(directory.options()).unwrap().handler({
                    let seen = seen.clone();
                    async move |stream: IoStream, _| {
                        let result = stream.write(b"queued")?.await;
                        seen.set(Some(result.clone()));
                        result
                    }
                });
            server.listen(0, "127.0.0.1").unwrap();
            let silent = IoStream::connect(server.addresses()[0]).await.unwrap();
            assert_eq!(silent.read_until_close().await.unwrap(), "");
            assert!(IoLoop::current().now() - began >= limit);
            let timeout = CloseCause::HandshakeTimeout { limit };
            until(|| server.connections().open == 0).await;
            assert_eq!(seen.take(), Some(Err(StreamError::Closed(Some(timeout)))));
        })
        .unwrap();
}

#[test]
fn a_relative_path_is_named_as_it_was_given() {
    let options = SslOptions::new().certfile("no-such-cert.pem").provider(provider());
    match TcpServerOptions::new().ssl_options(options) {
        Err(ServerError::Tls(TlsError::NotFound { path, .. })) => assert_eq!(path, Path::new("no-such-cert.pem")),
        other => panic!("{other:?}"),
    }
}

/// The header of the PROXY protocol comes first, and the handshake with it or behind it.
#[test]
fn the_handshake_begins_behind_the_header_of_a_proxy() {
    run(async {
        let directory = Directory::new("proxy");
        let certificate = directory.certify();
        let server = TcpServerOptions::new()
            .ssl_options(directory.options())
            .unwrap()
            .proxy_protocol(ProxyProtocol::trusting(TrustedPeers::loopback()))
            .handler(async |stream: IoStream, address: PeerAddress| {
                stream.write(format!("{address}\n").as_bytes())?;
                echo(stream).await
            });
        server.listen(0, "127.0.0.1").unwrap();
        let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
        for cut in [0, 20, header.len()] {
            for together in [true, false] {
                let client = IoStream::connect(server.addresses()[0]).await.unwrap();
                client.write(&header[..cut]).unwrap().await.unwrap();
                turns(3).await;
                client.write(&header[cut..]).unwrap().await.unwrap();
                if !together {
                    turns(3).await;
                }
                client.start_tls(trusting(&certificate)).await.unwrap();
                assert_eq!(client.read_until(b"\n", None).await.unwrap(), "192.0.2.7:56324\n");
                asked(&client).await;
            }
        }
        // TLS alone is no header.
        let client = IoStream::connect(server.addresses()[0]).await.unwrap();
        client.start_tls(trusting(&certificate)).await.unwrap_err();
        assert_eq!(server.connections().refused_proxy_protocol, 1);
    });
}
