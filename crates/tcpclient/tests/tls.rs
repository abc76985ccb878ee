//! TLS on connections of a client, with servers of ours and certificates made on the fly.
#![cfg(feature = "tls")]

mod common;

use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use landspout_ioloop::{IoLoop, ManualClock, with_timeout};
use landspout_iostream::{CloseCause, IoStream, StreamError, StreamOptions, Tls};
use landspout_netutil::{
    CertReqs, Connection, OverrideResolver, Pem, ServerConfig, SslOptions, ThreadedResolver, TlsError,
    add_accept_handler,
};
use landspout_tcpclient::{ConnectError, ConnectOptions, Stage, TcpClient};

use common::{Fixed, Unasked, listen, refused, run, run_jumping, v4, v6};

/// As a user has them: with the provider of the feature that is on. With none of them on, the test brings its own.
fn ssl_options() -> SslOptions {
    if cfg!(any(feature = "tls-ring", feature = "tls-aws-lc")) {
        SslOptions::new()
    } else {
        SslOptions::new().provider(rustls::crypto::ring::default_provider())
    }
}

/// A certificate, which is its own authority.
#[derive(Clone)]
struct Made {
    cert: String,
    key: String,
}

impl Made {
    fn new(names: &[&str]) -> Made {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Made { cert: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn server(&self) -> Arc<ServerConfig> {
        let both = self.key.clone() + &self.cert;
        ssl_options().certfile(Pem::from_memory(both)).alpn(["echo"]).server_config().unwrap()
    }

    fn trusted(&self) -> SslOptions {
        ssl_options().ca_certs(Pem::from_memory(self.cert.as_str()))
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new().ssl_options(self.trusted()).unwrap()
    }
}

/// A server on this loop. It tells its clients what name they have asked for, and goes.
fn serve(config: Arc<ServerConfig>) -> u16 {
    let (listener, port) = listen(v4(0));
    let handle = move |connection, _| {
        let Connection::Tcp(socket) = connection else { unreachable!() };
        let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        let tls = Tls::server(config.clone());
        // A client that refuses us is what some of the tests are about.
        drop(IoLoop::current().spawn(async move { greet(stream, tls).await.is_ok() }));
    };
    add_accept_handler(listener, handle).unwrap();
    port
}

async fn greet(stream: IoStream, tls: Tls) -> Result<(), StreamError> {
    stream.start_tls(tls).await?;
    let name = stream.tls().and_then(|tls| tls.server_name).unwrap_or_else(|| "nobody".to_owned());
    stream.write(format!("{name}\n").as_bytes())?.await?;
    stream.close();
    Ok(())
}

/// Every one of these names is this machine.
fn client() -> TcpClient {
    let resolver = OverrideResolver::new(ThreadedResolver::new());
    let names = ["one.test", "two.test"];
    TcpClient::with_resolver(names.iter().fold(resolver, |resolver, name| resolver.host(name, "127.0.0.1")))
}

/// What the server says.
async fn line(stream: &IoStream) -> String {
    String::from_utf8_lossy(&stream.read_until(b"\n", None).await.unwrap()).trim().to_owned()
}

#[track_caller]
fn assert_untrusted(error: &ConnectError, port: u16) {
    let ConnectError::Tls { address, source: StreamError::Closed(Some(CloseCause::Tls(failure))), .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(*address, v4(port));
    assert!(failure.is_certificate(), "{failure}");
    assert!(error.source().is_some());
}

#[test]
fn the_host_is_whom_tls_expects_and_asks_for() {
    run(async {
        let made = Made::new(&["one.test"]);
        let port = serve(made.server());
        let stream = client().connect_with("one.test", port, &made.options()).await.unwrap();
        assert_eq!(stream.tls().unwrap().alpn, None);
        assert_eq!(line(&stream).await, "one.test");
        // The certificate is good, and it is somebody else's.
        let error = client().connect_with("two.test", port, &made.options()).await.unwrap_err();
        assert_untrusted(&error, port);
        assert_eq!(error.to_string(), format!("no TLS with \"two.test\" at 127.0.0.1:{port}"));
    });
}

#[test]
fn another_name_may_be_expected_than_the_host() {
    run(async {
        let made = Made::new(&["three.test"]);
        let port = serve(made.server());
        let options = made.options().server_name("three.test");
        let stream = client().connect_with("127.0.0.1", port, &options).await.unwrap();
        assert_eq!(line(&stream).await, "three.test");
        assert_untrusted(&client().connect_with("one.test", port, &made.options()).await.unwrap_err(), port);
    });
}

#[test]
fn an_address_is_expected_in_the_certificate_and_not_sent() {
    run(async {
        let made = Made::new(&["127.0.0.1"]);
        let port = serve(made.server());
        let stream = client().connect_with("127.0.0.1", port, &made.options()).await.unwrap();
        assert_eq!(line(&stream).await, "nobody");
        assert_untrusted(&client().connect_with("one.test", port, &made.options()).await.unwrap_err(), port);
    });
}

#[test]
fn a_stranger_is_refused_unless_nobody_is_verified() {
    run(async {
        let (made, other) = (Made::new(&["one.test"]), Made::new(&["one.test"]));
        let port = serve(made.server());
        assert_untrusted(&client().connect_with("one.test", port, &other.options()).await.unwrap_err(), port);
        let options = ConnectOptions::new().ssl_options(ssl_options().cert_reqs(CertReqs::None)).unwrap();
        assert_eq!(line(&client().connect_with("two.test", port, &options).await.unwrap()).await, "two.test");
    });
}

#[test]
fn options_and_ready_made_configurations_are_taken_and_alpn_is_agreed_on() {
    run(async {
        let made = Made::new(&["one.test"]);
        let port = serve(made.server());
        let config = made.trusted().alpn(["other", "echo"]).client_config().unwrap();
        for options in [
            ConnectOptions::new().ssl_options(config.clone()).unwrap(),
            ConnectOptions::new().ssl_options(landspout_netutil::ClientConfig::clone(&config)).unwrap(),
        ] {
            let stream = client().connect_with("one.test", port, &options).await.unwrap();
            assert_eq!(stream.tls().unwrap().alpn.as_deref(), Some(&b"echo"[..]));
        }
        let missing = ConnectOptions::new().ssl_options(ssl_options().ca_certs("/no/such/file"));
        assert!(matches!(missing, Err(TlsError::NotFound { option: "ca_certs", .. })));
    });
}

#[test]
fn connections_with_the_same_options_resume_their_sessions() {
    run(async {
        let made = Made::new(&["one.test"]);
        let port = serve(made.server());
        let options = made.options();
        for resumed in [false, true] {
            let stream = client().connect_with("one.test", port, &options).await.unwrap();
            assert_eq!(stream.tls().unwrap().resumed, resumed);
            // The tickets come with the first bytes.
            line(&stream).await;
        }
    });
}

#[test]
fn a_name_that_cannot_be_expected_is_refused_before_anything_is_tried() {
    run(async {
        let options = Made::new(&["one.test"]).options();
        let client = TcpClient::with_resolver(Unasked);
        for (host, options) in [("no name", options.clone()), ("one.test", options.server_name(""))] {
            let error = client.connect_with(host, 443, &options).await.unwrap_err();
            assert!(matches!(&error, ConnectError::ServerName(_)), "{error:?}");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn a_peer_without_tls_is_an_error() {
    run(async {
        let (listener, port) = listen(v4(0));
        add_accept_handler(listener, |connection, _| {
            let Connection::Tcp(mut socket) = connection else { unreachable!() };
            socket.write_all(b"220 smtp.test ready\r\n").unwrap();
        })
        .unwrap();
        let options = Made::new(&["one.test"]).options();
        let error = client().connect_with("one.test", port, &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    });
}

/// A peer whose TLS never begins: it is in the backlog, and nobody accepts it.
#[test]
fn a_handshake_without_an_answer_ends_in_a_timeout() {
    let (_listener, port) = listen(v4(0));
    let (_inet, _inet6, closed) = refused();
    let resolver = Fixed::new(&[v6(closed), v4(port)]);
    let base = Made::new(&["one.test"]).options();
    let (limit, default) = (Duration::from_secs(5), Duration::from_secs(60));
    for (options, expected) in [
        (base.clone(), default),
        (base.clone().tls_timeout(limit), limit),
        (base.clone().timeout(limit), limit),
        (base.clone().timeout(limit * 2).tls_timeout(limit), limit),
        (base.timeout(limit).tls_timeout(limit * 2), limit),
    ] {
        let client = TcpClient::with_resolver(resolver.clone());
        let error = run_jumping(async move { client.connect_with("one.test", port, &options).await }).unwrap_err();
        let ConnectError::Timeout { stage: Stage::Tls, limit, attempts, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*limit, attempts.len()), (expected, 1));
    }
}

/// The descriptor is closed, which the peer sees.
#[test]
fn giving_up_during_the_handshake_closes_the_connection() {
    let (listener, port) = listen(v4(0));
    let options = Made::new(&["one.test"]).options();
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    io_loop.make_current();
    let given_up = io_loop.run_sync(async move {
        let client = client();
        with_timeout(Duration::from_secs(1), client.connect_with("127.0.0.1", port, &options.server_name("one.test")))
            .await
            .is_err()
    });
    assert_eq!(given_up, Ok(true));
    let (mut peer, _) = listener.accept().unwrap();
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).unwrap();
    assert_eq!(sent.first(), Some(&22), "a client hello");
}

#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
#[test]
fn by_default_the_systems_roots_are_believed() {
    const AGAIN: &str = "LANDSPOUT_TEST_AGAIN";
    // To change the environment of a process with threads is unsafe: the test runs itself once more.
    if let Some(file) = std::env::var_os(AGAIN) {
        let both = std::fs::read_to_string(file).unwrap();
        run(async move {
            let port = serve(SslOptions::new().certfile(Pem::from_memory(both)).server_config().unwrap());
            let client = client();
            for resumed in [false, true] {
                let stream = client.connect_tls("one.test", port).await.unwrap();
                assert_eq!(stream.tls().unwrap().resumed, resumed);
                assert_eq!(line(&stream).await, "one.test");
            }
            assert_untrusted(&client.connect_tls("two.test", port).await.unwrap_err(), port);
        });
        return;
    }
    let made = Made::new(&["one.test"]);
    let file = std::env::temp_dir().join(format!("landspout-tcpclient-{}.pem", std::process::id()));
    std::fs::write(&file, made.key + &made.cert).unwrap();
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "by_default_the_systems_roots_are_believed"])
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .env(AGAIN, &file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && printed.contains("1 passed"), "{printed}");
}

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
#[test]
fn without_a_provider_there_is_no_default() {
    let error = run(async { TcpClient::with_resolver(Unasked).connect_tls("one.test", 443).await }).unwrap_err();
    assert_eq!(error, ConnectError::Options(TlsError::NoProvider));
}
