//! Streams over TLS: a server that sends each line back, with a certificate made on the fly, and a client for it.
//!
//! ```sh
//! cargo run --example tls_echo                       # prints its address and where its certificate is
//! openssl s_client -connect 127.0.0.1:8888 -CAfile CERTIFICATE
//! cargo run --example tls_echo -- --connect 127.0.0.1:8888 --ca CERTIFICATE
//! ```
//! In Tornado: `TCPServer(ssl_options={"certfile": ..., "keyfile": ...})`, and `TCPClient.connect(..., ssl_options=...)`. Here the
//! options are checked when the server is made, and read again on SIGHUP, without a lost connection.

#[path = "support/certificate.rs"]
mod certificate;
mod support;

use std::net::SocketAddr;
use std::path::PathBuf;

use certificate::Certificate;
use landspout::ioloop::IoLoop;
use landspout::ioloop::signal::SIGHUP;
use landspout::iostream::{IoStream, StreamError, Tls};
use landspout::netutil::SslOptions;
use landspout::tcpserver::TcpServerOptions;
use support::{Arguments, Flag};

/// A client that sends more without a line end is cut off. What counts is plaintext.
const MAX_LINE: usize = 64 * 1024;

fn main() -> Result<(), support::Failure> {
    let flags = [
        support::PORT,
        Flag("--certfile", "FILE", "the server's certificate as PEM [one made on the fly]"),
        Flag("--keyfile", "FILE", "its key"),
        Flag("--connect", "ADDRESS", "be a client of this server"),
        Flag("--ca", "FILE", "the certificate that the client trusts"),
    ];
    let arguments = Arguments::read("Sends each line back, over TLS.", &flags);
    match arguments.value("--connect") {
        Some(address) => be_client(&arguments, address),
        None => be_server(&arguments),
    }
}

fn be_server(arguments: &Arguments) -> Result<(), support::Failure> {
    // Kept to the end: its files go with it.
    let made = if arguments.has("--certfile") { None } else { Some(Certificate::make()?) };
    let certfile = made.as_ref().map_or_else(|| path(arguments, "--certfile"), Certificate::certfile);
    let keyfile = made.as_ref().map_or_else(|| path(arguments, "--keyfile"), Certificate::keyfile);
    let options = SslOptions::new().certfile(certfile.clone()).keyfile(keyfile);

    // A file that is missing, or holds no certificate, is an error here and not with the first client.
    let server = TcpServerOptions::new().ssl_options(options)?.handler(async |stream: IoStream, address| {
        // The handshake goes on by itself; this only waits for it, to tell what came of it.
        stream.wait_for_handshake().await?;
        tracing::info!("{address}: {:?}", stream.tls().map(|tls| (tls.version, tls.cipher, tls.resumed)));
        echo(&stream).await
    });
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    let reloading = server.clone();
    IoLoop::current().add_signal_handler(SIGHUP, move || match reloading.reload_certificates() {
        Ok(()) => tracing::info!("new clients get the new certificate"),
        Err(error) => tracing::error!("the old certificate stays: {error}"),
    })?;
    Certificate::announce(&certfile);
    support::announce("tls", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

async fn echo(stream: &IoStream) -> Result<(), StreamError> {
    loop {
        match stream.read_until(b"\n", Some(MAX_LINE)).await {
            Ok(line) => stream.write(&line)?.await?,
            // The client said goodbye. One that just vanishes leaves `CloseCause::Truncated`: there may have been more.
            Err(StreamError::Closed(None)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Sends one line and prints what comes back.
fn be_client(arguments: &Arguments, address: SocketAddr) -> Result<(), support::Failure> {
    let mut options = SslOptions::new();
    if arguments.has("--ca") {
        options = options.ca_certs(path(arguments, "--ca"));
    }
    let tls = Tls::client(options.client_config()?, "localhost")?;
    let line = IoLoop::current().run_sync(async move {
        let stream = IoStream::connect_tls(address, tls).await?;
        stream.write(b"hello over TLS\n")?;
        let line = stream.read_until(b"\n", Some(MAX_LINE)).await?;
        stream.close();
        Ok::<_, StreamError>(line)
    })??;
    print!("echo: {}", String::from_utf8_lossy(&line));
    Ok(())
}

fn path(arguments: &Arguments, flag: &str) -> PathBuf {
    arguments.text(flag).unwrap_or_default().into()
}
